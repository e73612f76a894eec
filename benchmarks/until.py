"""What `audit --until` saves, and how often looking early accuses or clears a model of known lineage wrongly.

    python benchmarks/until.py held-out                the pairs that the population was made of: no model is needed
    python benchmarks/until.py ask DIR... -o WORK      asks shipped and given zoo models; resumable
    python benchmarks/until.py report DIR... -o WORK   the same tables of these

Held out: every pair's llr at every look by a fusion that saw none of its lineages, and the plan's cost at that look.

DIR holds models made from zoo/base, as `tools/check_example.py simulate` and `students` here make them (their
recipe.json says what they learnt). Each is a suspect against all six shipped models that have a style of their own;
controls are three of the others. n counts suspects: one that misleads against one of its references counts a share.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from forensics import zoo
from forensics.backends import open_backend
from forensics.collect import ask
from forensics.comparators import COMPARATORS
from forensics.comparators.base import quick
from forensics.config import AuditConfig
from forensics.looks import NEXT, SCORINGS, TEXTS, WHOLE, Look, answers_wanted, held, plan_looks, scorings_wanted, upto
from forensics.plan import Party, Plan, gather, make_plan
from forensics.prices import tokens_of
from forensics.probes import load_suite
from forensics.scoring import score_all
from forensics.store import Store
from forensics.types import Request, Sample
from forensics.verdict.calibrate import calibrate, load_population
from forensics.verdict.combine import values_of
from forensics.zoo import train
from forensics.zoo.population import CAPS
from forensics.zoo.recipe import distilled

AUTHORS = ("teacher", "teacher-2", "control-a", "control-b", "control-c", "independent")
SHIPPED = {"student": {"teacher": 1.0}, "student-25": {"teacher": 0.25, "teacher-2": 0.75},
           "sibling": {"teacher-2": 1.0}}  # fmt: skip
PART = Look((NEXT, TEXTS, SCORINGS))
LEAST = 0.25  # share from which a pair counts for Hp, as in the populations
THRESHOLDS = (0.3, 0.5, 0.7, 1.0)
Row = dict[str, Any]


def students(out: Path, rounds: int) -> None:
    """New students of the shipped authors, from zoo/base by the zoo's recipe: all, a quarter, half of the text."""
    for number in range(rounds):
        for i, teacher in enumerate(AUTHORS):
            for k, share in enumerate((1.0, 0.25, 0.5)):
                other = AUTHORS[(i + 2 + k) % len(AUTHORS)]
                shares = {teacher: share} | ({other: 1 - share} if share < 1 else {})
                name = f"student-{round(100 * share)}-{teacher}-{number}"
                recipe = distilled(name, "student", "base", 9100 + 100 * k + i + 1000 * number, shares, lineage=teacher)
                if not (out / name / "recipe.json").exists():
                    (out / name).mkdir(parents=True, exist_ok=True)
                    train.make(recipe, "", lambda n, own=name: _home(out, own, n))


def _home(out: Path, own: str, name: str) -> Path:
    return out / name if name == own else zoo.path("base" if name == "tokenizer" else name)


def suspects(folders: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Spec -> shares of its teachers among the shipped models."""
    out = {f"zoo/{name}": shares for name, shares in SHIPPED.items()}
    for folder in folders:
        for path in sorted(folder.glob("*/recipe.json")):
            sources = json.loads(path.read_text())["recipe"]["sources"]
            shares = {s["model"]: s["share"] for s in sources if s["model"]}
            out[f"zoo/{path.parent.name}?from={folder}"] = shares
    return out


def plan_of(suspect: str, reference: str) -> Plan:
    """The fixed plan of one pair; which authors are controls depends on the reference alone."""
    at = AUTHORS.index(reference)
    controls = tuple(f"zoo/{AUTHORS[(at + step) % len(AUTHORS)]}" for step in (2, 3, 4))
    config = AuditConfig(suspect, f"zoo/{reference}", controls, base="zoo/base", suite="zoo")
    return make_plan(config, load_suite("zoo"), [Party(n, s, CAPS) for n, s in config.specs().items()])


def collect(store: Store, names: Sequence[str], against: Sequence[str]) -> None:
    """Ask each model once what all its pairs need; against the teacher the whole plan, else what the looks read."""
    for name in names:
        plans = [(plan_of(name, r), WHOLE if r == "teacher" else PART) for r in against]
        for stage in ("answers", "scoring"):
            wanted: dict[str, dict[str, Request]] = defaultdict(dict)
            for plan, look in plans:
                spec = {p.name: str(p.spec) for p in plan.parties}
                parts = scorings_wanted(plan, store, look) if stage == "scoring" else answers_wanted(plan, look)
                for party, asked in parts.items():
                    wanted[spec[party]].update({r.digest: r for r in asked})
            for spec, requests in wanted.items():
                party = next(p.spec for plan, _ in plans for p in plan.parties if str(p.spec) == spec)
                todo = [r for r in requests.values() if not store.has(party, r)]
                if todo:
                    asyncio.run(_one(party, todo, store, stage))
        print(name, flush=True)


async def _one(spec: Any, todo: list[Request], store: Store, stage: str) -> None:
    backend = open_backend(spec)
    try:
        await ask({"model": backend}, {"model": todo}, store, stage)
    finally:
        await backend.close()


def tokens(sample: Sample) -> int:
    """Tokens sent and generated, as the backends counted them."""
    columns = [sample.suspect, *sample.candidates.values(), sample.base or (), sample.redraw or ()]
    out = sum(
        sum(tokens_of(u.request, c.usage, c.text))
        for column in columns for c, u in zip(column, sample.units, strict=False) if c is not None
    )  # fmt: skip
    for (_, author), column in sample.likelihoods.items():
        for c, a, u in zip(column, sample.candidates[author], sample.units, strict=True):
            if c is not None and a is not None:
                out += sum(tokens_of(replace(u.request, target=a.text), c.usage, ""))
    return out


def measure(store: Store, names: dict[str, dict[str, float]], population: str) -> Iterator[Row]:
    """Every pair at every look: its llr (without interval: a rule on it is met at least as often), and what it cost."""
    people = load_population(population)
    chosen = [quick(COMPARATORS.load(c)(), 19) for c in people.columns]
    order: tuple[Look, ...] = ()
    for name, shares in names.items():
        for reference in AUTHORS:
            plan = plan_of(name, reference)
            order = order or plan_looks(plan, people)
            whole = gather(plan, store)
            if any(not any(whole.likelihoods.get(("suspect", author), ())) for author in whole.candidates):
                continue  # not asked, or in part
            looks = []
            for look in order[:-1]:
                part = upto(plan, whole, look.lots)
                scores = score_all(part, chosen, 0)
                fused = calibrate(scores, people)
                llr = math.nan if fused is None else fused.point(values_of(scores, fused.columns))
                looks.append({"look": look.name, "llr": llr, "requests": held(part), "tokens": tokens(part)})
            row = {"suspect": name, "reference": reference, "share": shares.get(reference, 0.0), "looks": looks,
                   "taught": sorted(shares)}  # fmt: skip
            if reference == "teacher":
                row |= {"requests": held(whole), "tokens": tokens(whole)}
            yield row


def stopped(looks: Sequence[Row], x: float) -> int:
    """The look at which llr>=x|llr<=-x is met, or the last. Evidence for Hd needs texts, for the power statement."""
    for number, row in enumerate(looks):
        texts = any(r["look"] == TEXTS for r in looks[: number + 1])
        if row["llr"] >= x or (row["llr"] <= -x and texts):
            return number
    return len(looks) - 1


def kind(row: Row) -> str:
    """What the suspect is to this reference."""
    if row["share"]:
        return f"student, {row['share']:.0%} of its text" if row["share"] >= LEAST else "student, less than a quarter"
    return "student of another (sibling)" if row["taught"] else "the base on an author's own text"


def held_out(population: str) -> Iterator[Row]:
    """Every labelled pair of a population at every look; its lineage stands in the suspect's place."""
    people = load_population(population)
    plan = plan_of("zoo/student", "teacher")
    order = plan_looks(plan, people)
    fits = [people.through(look.columns) for look in order[:-1]]
    llr = [dict(zip(((p.suspect, p.candidate) for p in f.pairs), np.clip(f.held_out, *f.bounds), strict=True))
           for f in fits]  # fmt: skip
    for pair in fits[-1].pairs:
        looks = [{"look": v.name, "llr": float(found[pair.suspect, pair.candidate]), "requests": v.requests,
                  "tokens": v.tokens} for v, found in zip(order, llr, strict=False)]  # fmt: skip
        yield {"suspect": pair.lineage, "kind": pair.kind, "share": float(pair.label or 0), "looks": looks,
               "requests": order[-1].requests, "tokens": order[-1].tokens}  # fmt: skip


def report(rows: Sequence[Row], title: str) -> None:
    """Savings at llr>=1|llr<=-1, then how often each rule misleads, by model (held out: by lineage)."""
    from scipy.stats import beta

    print(f"{title}; rule llr>=1|llr<=-1; requests and tokens as shares of the fixed plan's")
    print("| suspect | pairs | stopped at look | for Hp / Hd / neither | requests | tokens | same decision |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if "tokens" in row:
            groups[row.get("kind") or kind(row)].append(row)
    for name, mine in sorted(groups.items()):
        ends = [stopped(r["looks"], 1.0) for r in mine]
        llr = np.array([r["looks"][e]["llr"] for r, e in zip(mine, ends, strict=True)])
        last = np.array([r["looks"][-1]["llr"] for r in mine])
        share = {k: np.mean([r["looks"][e][k] / r[k] for r, e in zip(mine, ends, strict=True)])
                 for k in ("requests", "tokens")}  # fmt: skip
        at = " ".join(f"{k + 1}:{ends.count(k)}" for k in sorted(set(ends)))
        sides = f"{(llr >= 1).sum()} / {(llr <= -1).sum()} / {(abs(llr) < 1).sum()}"
        same = int((np.trunc(np.clip(llr, -1, 1)) == np.trunc(np.clip(last, -1, 1))).sum())
        print(f"| {name} | {len(mine)} | {at} | {sides} | {share['requests']:.0%} | {share['tokens']:.0%} | {same} |")
    print("\n| x | side | n | ever met at any look, 95 % interval | allowed | met by the last look | n with any pair |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for x in THRESHOLDS:
        for side, sign, wrong in (("Hp", 1, lambda r: r["share"] == 0), ("Hd", -1, lambda r: r["share"] >= LEAST)):
            paths: dict[str, list[Row]] = defaultdict(list)
            for row in filter(wrong, rows):
                paths[row["suspect"]].append(row)
            met = sum(np.mean([any(sign * v["llr"] >= x for v in r["looks"]) for r in mine]) for mine in paths.values())
            end = sum(np.mean([sign * r["looks"][-1]["llr"] >= x for r in mine]) for mine in paths.values())
            some = sum(any(sign * v["llr"] >= x for r in mine for v in r["looks"]) for mine in paths.values())
            n = len(paths)
            low = beta.ppf(0.025, met, n - met + 1) if met else 0.0
            high = beta.ppf(0.975, met + 1, n - met) if met < n else 1.0
            print(f"| {x:g} | wrongly for {side} | {n} | {met / n:.1%} [{low:.1%}, {high:.1%}] | {10**-x:.0%} | "
                  f"{end / n:.1%} | {some} |")  # fmt: skip


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("held-out", "students", "ask", "report"))
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/until"))
    parser.add_argument("--population", default="zoo")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--against", action="append", choices=AUTHORS, help="default: all six")
    args = parser.parse_args()
    if args.what == "held-out":
        report(list(held_out(args.population)), f"population {args.population}, held out")
        return
    args.output.mkdir(parents=True, exist_ok=True)
    if args.what == "students":
        students(args.output, args.rounds)
        return
    found = suspects([f.resolve() for f in args.folders])
    if args.what == "ask":
        import torch

        torch.set_num_threads(1)
    with Store(args.output / "until.case") as store:
        if args.what == "ask":
            collect(store, list(found), args.against or AUTHORS)
        else:
            known = {e.party for e in store.entries("answer")}
            rows = list(measure(store, {n: s for n, s in found.items() if n in known}, args.population))
            (args.output / f"{args.population}.json").write_text(json.dumps(rows))
            report(rows, f"population {args.population}, suspects against zoo/teacher")


if __name__ == "__main__":
    main()
