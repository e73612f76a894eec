"""Power of the exact tests from the runs of `exact_train.py`: tables, a figure, and what power statements quote.

    python benchmarks/exact_power.py WORKDIR

writes ``docs/exact-power.json`` (every number), ``.md`` (tables), ``.svg`` (figure) and the effects that power
statements quote, ``forensics/exact/data/effects.json``. A run that is not in the work directory keeps the rows that
``docs/exact-power.json`` has of it; runs that are in neither are named at the end.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from exact_train import CANDIDATES, LOGGED, REDRAWS, Run, grid  # isort: skip
from forensics.exact.canary import combined_p
from forensics.exact.ranks import between_students, items_needed, rank_ps, rank_test
from forensics.exact.similarity import similarity

ITEMS, SUBSETS, LEVEL, NULLS = (50, 200, 1000), 100, 0.01, 2000
CONTROLS: dict[str, tuple[str, ...]] = {
    "none": (), "reference": ("teacher",), "base": ("BASE",), "reference and base": ("teacher", "BASE"),
}  # fmt: skip
WIDTH = 1 + REDRAWS
WHICH = ("test", "base", "share", "epochs", "texts", "logged", "form", "controls")  # what students of a cell share


def scores_of(work: Path, name: str, columns: list[int], n: int = LOGGED) -> np.ndarray:
    """l of the draws under one model, the served one first, ``(n, WIDTH)``."""
    return np.asarray(np.load(work / f"{name}.npz")["scores"][:n, columns])


def cells(work: Path, run: Run, texts: list[list[str]]) -> list[dict[str, Any]]:
    """One row for every form and set of control variates: effect, wins, p of all items, rejection rates by items."""
    n = run.logged
    columns = [run.seed, *(j for j in range(WIDTH) if j != run.seed)]
    data = np.load(work / f"{run.name}.npz")
    head = {"test": "regeneration", "base": run.base, "share": run.share, "epochs": run.epochs, "texts": run.total,
            "dilution": round(run.total / (run.share * n) - 1, 1), "seed": run.seed, "logged": n}  # fmt: skip
    rows = []
    for label, names in CONTROLS.items():
        used = [scores_of(work, f"scorer-{run.base if k == 'BASE' else k}", columns, n) for k in names]
        controls = np.array(used).reshape(-1, n, WIDTH)
        rows.append(head | {"form": "log-probs", "controls": label} | rates(data["scores"][:, columns], controls))
    if "answers" in data:
        said = [[str(a[i]).strip() for a in data["answers"]] for i in range(n)]
        found, typical = similarity(said, [[row[j] for j in columns] for row in texts])
        rows.append(head | {"form": "answers", "controls": "typicality"} | rates(found, typical[None]))
    return rows


def rates(scores: np.ndarray, controls: np.ndarray) -> dict[str, Any]:
    """Rejection at .01 over random subsets of the logged items (all of them: one test), and the effect behind it."""
    rng = np.random.default_rng(0)
    every = rank_test(scores, controls, rng, permutations=9999)
    found = {}
    for n in (n for n in ITEMS if n <= len(scores)):
        whole = n == len(scores)
        subsets = [np.arange(n)] if whole else [rng.choice(len(scores), n, replace=False) for _ in range(SUBSETS)]
        ps = [rank_test(scores[i], controls[:, i], rng, permutations=9999 if whole else 499).p for i in subsets]
        found[str(n)] = float(np.mean(np.array(ps) <= LEVEL))
    return {"p": every.p, "log10_e": round(every.log_e / np.log(10), 2), "effect": round(every.effect, 4),
            "wins": round(every.wins, 4), "spread_nats": round(every.spread, 3), "rejects": found}  # fmt: skip


def cell(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The students of one cell as one row: means, the p of each, and how far apart their effects lie.

    ``between``: standard deviation of the effect between students, sampling error of the items included (0 for one
    student: not measured). The items needed are those of `ranks.power` with it.
    """
    effects = [r["effect"] for r in rows]
    between = between_students(effects)
    needed = items_needed(float(np.mean(effects)), LEVEL, between=between)
    means = {k: float(np.mean([r[k] for r in rows])) for k in ("effect", "wins")}
    rejects = {n: [r["rejects"][n] for r in rows] for n in rows[0]["rejects"]}
    kept = {k: rows[0][k] for k in WHICH}
    return kept | means | {"students": len(rows), "effects": effects, "between": round(between, 4), "rejects": rejects,
                           "p": [r["p"] for r in rows], "dilution": rows[0]["dilution"],
                           "items_for_90": None if needed > 1e6 else round(needed)}  # fmt: skip


def grouped(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cells of regeneration rows, in the order in which they first occur."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for r in rows:
        found.setdefault(tuple(r[k] for k in WHICH), []).append(r)
    return [cell(group) for group in found.values()]


def nulls(work: Path, base: str) -> dict[str, Any]:
    """The heavy imitator, three epochs on other draws of the very same prompts: which draw was served is drawn anew."""
    rng = np.random.default_rng(1)
    columns = list(range(WIDTH))
    scores = scores_of(work, f"imitator-{base}", columns)
    controls = np.array([scores_of(work, f"scorer-{n}", columns) for n in ("teacher", base)])
    ps = []
    for _ in range(NULLS):
        rows = rng.choice(LOGGED, 100, replace=False)
        order = rng.permuted(np.tile(columns, (100, 1)), axis=1)
        picked = [np.take_along_axis(x[rows], order, 1) for x in (scores, *controls)]
        ps.append(rank_test(picked[0], np.array(picked[1:]), rng, permutations=199).p)
    found = np.array(ps)
    return {
        "base": base,
        "nulls": NULLS,
        "at_05": float((found <= 0.05).mean()),
        "at_01": float((found <= 0.01).mean()),
    }


def canaries(work: Path) -> list[dict[str, Any]]:
    """Canaries by repetitions; the base before training as control variate."""
    rows = []
    for path in sorted(work.glob("canary-*.npz")):
        data, (_, base, seed) = np.load(path), path.stem.split("-")
        for times in (1, 4, 16):
            ranks = np.rint(CANDIDATES * rank_ps(data[f"after-{times}"], data[str(times)][None]))
            before = np.rint(CANDIDATES * rank_ps(data[str(times)], np.zeros((0, *data[str(times)].shape))))
            rows.append({"test": "canary", "base": base, "seed": int(seed), "repetitions": times, "n": len(ranks),
                         "first": float((ranks == 1).mean()), "p": combined_p(ranks, CANDIDATES),
                         "p_before_training": combined_p(before, CANDIDATES)})  # fmt: skip
    return rows


def marks(work: Path) -> list[dict[str, Any]]:
    """What `exact_marks.py` found."""
    return [row for path in sorted((work / "marked").glob("*.json")) for row in json.loads(path.read_text())]


MARKS = "scheme | base | share marked# | student | form | prompts# | pairs# | standard deviations# | p# | rank#"
MARKS_NOTE = """\
4,000 training answers, of which the share is marked (about 30 tokens each), three epochs; a key, texts and an order of
its own for every student; prompts of another draw than the training's; the student's base as control; rank among 200 or
1,000 random keys. The *first* students (four answers a prompt, one key for all) are those on which the text form was
developed; the log-prob form was fixed before any of the numbered ones was made, and each was looked at once."""


def marks_table(rows: list[dict[str, Any]]) -> str:
    """Watermarks, and the wrong keys of all students together."""
    found = [r for r in rows if r["test"] == "watermark"]
    lines = [
        (r["scheme"], r["base"], f"{r['share']:.0%}", r["seed"] or "first", r["form"]
         if r["controls"] == "base" else f"{r['form']}, no control", f"{r['prompts']:,}", f"{r['pairs']:,}",
         f"{r['z']:.1f}" if "z" in r else "", f"{r['p']:.2g}", f"{r['rank_p']:.2g}")
        for r in sorted(found, key=lambda r: (r["scheme"], r["base"], -r["share"], r["seed"], r["form"], r["prompts"]))
    ]  # fmt: skip
    wrong = [r for r in found if "keys" in r]
    keys = sum(r["keys"] for r in wrong)
    at = [sum(r["keys"] * r[k] for r in wrong) / max(keys, 1) for k in ("wrong_05", "wrong_01")]
    said = f"Wrong keys, {keys:,} over the numbered rows: {at[0]:.3f} have p ≤ .05 and {at[1]:.4f} have p ≤ .01."
    return f"{MARKS_NOTE}\n\n{table(MARKS, lines)}\n{said}\n"


def quotes(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs that power statements quote: cells of regeneration, canaries, watermarks."""
    out = []
    for r in others:
        if r["test"] == "canary" and r["base"] == "other" and r["seed"] == 0:
            known = max(0.0, (r["first"] - 1 / CANDIDATES) / (1 - 1 / CANDIDATES))
            text = f"measured on small models, secrets that were read {r['repetitions']} times in one epoch"
            out.append({"test": "canary", "form": "log-probs", "quote": text, "known": round(known, 3)})
    fresh: dict[tuple[Any, ...], list[float]] = {}
    for r in others:
        if r["test"] == "watermark" and r["controls"] == "base" and r["prompts"] == 1000 and not r.get("chosen_on"):
            fresh.setdefault((r["scheme"], r["base"], r["share"], r["form"]), []).append(r["z"])
    for (scheme, base, share, form), z in fresh.items():
        if not share:
            continue
        whose = "the reference's own base" if base == "own" else "another base and tokenizer"
        text = (
            f"1,000 prompts, a student of {whose}, {share:.0%} of whose 4,000 training answers were marked ({scheme})"
        )
        spread = float(np.sqrt(max(between_students(z) ** 2 - 1, 0)))  # a deviation of 1 is the key's own
        effect = {"effect": round(float(np.mean(z)), 3), "between": round(spread, 3), "students": len(z)}
        out.append({"test": "watermark", "form": form, "quote": text} | effect)
    for r in rows:
        if (r["base"], r["texts"], r["epochs"]) != ("other", 2000, 1):
            continue
        if r["controls"] not in ("reference and base", "typicality") or min(r["p"]) > LEVEL:
            continue  # an effect that a thousand items don't show is no measured effect
        text = f"a student of another base and tokenizer that read {r['share']:.0%} of the answers once"
        effect = {"effect": round(r["effect"], 4), "between": r["between"], "students": r["students"]}
        out.append({"test": "regeneration", "form": r["form"], "quote": text} | effect)
    return out


def figure(rows: list[dict[str, Any]], path: Path) -> None:
    """Rejection rate against logged items, by control variate; one panel for each base, students of one epoch. Where
    there are two students the line is their mean and the bar reaches from one to the other; of all items there is one
    test a student."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "exact"
    from matplotlib import pyplot as plt

    drawn, axes = plt.subplots(1, 2, figsize=(8.5, 3.3), sharey=True, layout="constrained")
    for axis, base in zip(axes, ("own", "other"), strict=True):
        for share, style in ((1.0, "-"), (0.25, "--"), (0.05, ":")):
            for controls, colour in (("none", "#888888"), ("reference", "#1b6ca8"), ("reference and base", "#b3450b")):
                match = [r for r in rows if (r["base"], r["share"], r["epochs"], r["texts"], r["controls"])
                         == (base, share, 1, 2000, controls)]  # fmt: skip
                if match:
                    rates = np.array([match[0]["rejects"][str(n)] for n in ITEMS])
                    mean = rates.mean(axis=1)
                    label = f"{share:.0%} read, control variate: {controls}"
                    bars = np.array([mean - rates.min(axis=1), rates.max(axis=1) - mean])
                    bars[:, -1] = 0  # all items are one test a student, no rate
                    axis.errorbar(ITEMS, mean, bars, ls=style, color=colour, marker="o", ms=3, capsize=2, label=label)
        axis.set(xscale="log", xlabel="logged items", ylim=(-0.03, 1.03), xticks=ITEMS, xticklabels=ITEMS,
                 title="the reference's own base" if base == "own" else "another base and tokenizer")  # fmt: skip
        axis.minorticks_off()
    axes[0].set_ylabel("rejections at p ≤ .01")
    drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=7, frameon=False)
    drawn.savefig(path, metadata={"Date": None})


REGENERATION = (
    "base | answers read# | epochs# | other texts per answer# | form | control variate | students# | effect# | wins# | "
    "50 items# | 200 items# | logged# | p of all# | items for .90#"
)
CANARY = "base | student# | read# | true secret first (.06 by chance)# | p# | p before training#"
CANARY_NOTE = "32 canaries of 16 candidates among 2,000 other texts, one epoch, log-probs, the base as control variate."
REGENERATION_NOTE = (
    "Rates are over 100 random subsets of the logged items. Two numbers are two students (other texts, other draws\n"
    "served, another order); the items for .90 then include the variance between them, with one student they can't.\n"
    "Dilution 1:100 and 1:10 with three epochs are run with fewer logged items."
)


def tables(cells_: list[dict[str, Any]], others: list[dict[str, Any]]) -> str:
    """The tables of the documentation, in Markdown."""
    rows = []
    for r in cells_:
        few, many = (_each(r["rejects"].get(n, []), ".2f") for n in ("50", "200"))
        needed = "–" if max(r["p"]) > LEVEL or not r["items_for_90"] else f"{r['items_for_90']:,}"
        rows.append((r["base"], f"{r['share']:.0%}", r["epochs"], f"{r['dilution']:g}", r["form"], r["controls"],
                     r["students"], _each(r["effects"], ".2f"), f"{r['wins']:.0%}", few, many, f"{r['logged']:,}",
                     _each(r["p"], ".2g"), needed))  # fmt: skip
    canary = [(r["base"], r["seed"] + 1, r["repetitions"], f"{r['first']:.2f}", f"{r['p']:.2g}",
               f"{r['p_before_training']:.2g}") for r in others if r["test"] == "canary"]  # fmt: skip
    made = "Made by `benchmarks/exact_power.py`; read [exact.md](exact.md) first."
    return "\n".join([
        f"# Measured power of the exact tests\n\n{made}\n",
        f"## Regeneration\n\n{REGENERATION_NOTE}\n\n{table(REGENERATION, rows)}",
        f"## Canaries\n\n{CANARY_NOTE}\n\n{table(CANARY, canary)}",
        f"## Watermarks\n\n{marks_table(others)}",
    ])  # fmt: skip


def _each(values: list[float], form: str) -> str:
    return " / ".join(f"{v:{form}}" for v in values) or "–"


def table(head: str, rows: list[tuple[Any, ...]]) -> str:
    """One table; columns that end in # are aligned to the right."""
    names = head.split(" | ")
    rule = " | ".join("---:" if name.endswith("#") else "---" for name in names)
    lines = [" | ".join(name.rstrip("#") for name in names), rule, *(" | ".join(map(str, row)) for row in rows)]
    return "".join(f"| {line} |\n" for line in lines)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path)
    work = parser.parse_args().workdir
    root = Path(__file__).parents[1]
    record = root / "docs" / "exact-power.json"
    before = json.loads(record.read_text())
    runs = grid()
    made = [run for run in runs if (work / f"{run.name}.npz").is_file()]
    draws = json.loads((work / "draws.json").read_text()) if made else []
    texts = [list(column) for column in zip(*draws, strict=True)]
    new = [row for run in made for row in cells(work, run, texts)]
    real = work / "smollm2.json"
    new += canaries(work) + marks(work) + (json.loads(real.read_text()) if real.is_file() else [])
    checks = [nulls(work, base) for base in ("own", "other") if (work / f"imitator-{base}.npz").is_file()]
    known = {_key(r): r for r in before["runs"]} | {_key(r): r for r in new}
    order = {name: i for i, name in enumerate(("regeneration", "canary", "watermark"))}
    rows = sorted(known.values(), key=lambda r: order[r["test"]])
    found = {"level": LEVEL, "runs": rows, "imitator_nulls": checks or before["imitator_nulls"]}
    record.write_text(json.dumps(found, indent=1) + "\n")
    regeneration = [r for r in rows if r["test"] == "regeneration"]
    others = [r for r in rows if r["test"] != "regeneration"]
    grid_ = grouped(regeneration)
    effects = root / "forensics" / "exact" / "data" / "effects.json"
    effects.write_text(json.dumps({"runs": quotes(grid_, others)}, indent=1) + "\n")
    (root / "docs" / "exact-power.md").write_text(tables(grid_, others))
    figure([r for r in grid_ if r["form"] == "log-probs"], root / "docs" / "exact-power.svg")
    have = {tuple(r[k] for k in ("base", "share", "epochs", "texts", "seed", "logged")) for r in regeneration}
    missing = [r.name for r in runs if (r.base, r.share, r.epochs, r.total, r.seed, r.logged) not in have]
    print(f"{len(new)} new rows of {len(rows)}; in neither place: {', '.join(missing) or 'none'}")


def _key(row: dict[str, Any]) -> str:
    """What a row is about, without what was found."""
    about = "test base share epochs texts logged form controls seed prompts repetitions scheme".split()
    return json.dumps([row.get(k) for k in about])


if __name__ == "__main__":
    main()
