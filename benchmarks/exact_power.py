"""Power of the exact tests from the runs of `exact_train.py`: tables, a figure, and what power statements quote.

    python benchmarks/exact_power.py WORKDIR

writes ``docs/exact-power.json`` (every number), ``.md`` (tables), ``.svg`` (figure) and the effects that power
statements quote, ``forensics/exact/data/effects.json``. Runs that are not there are missing from the tables, and
named at the end.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from exact_train import CANDIDATES, KEYS, LOGGED, REDRAWS, Run, grid, logged, shipped  # isort: skip
from forensics.exact.canary import combined_p
from forensics.exact.ranks import items_needed, rank_ps, rank_test
from forensics.exact.similarity import similarity
from forensics.exact.watermark import count, judge, ngram_counts, weighted, width

ITEMS, SUBSETS, LEVEL, NULLS = (50, 200, 1000), 100, 0.01, 2000
CONTROLS: dict[str, tuple[str, ...]] = {
    "none": (), "reference": ("teacher",), "base": ("BASE",), "reference and base": ("teacher", "BASE"),
}  # fmt: skip
WIDTH = 1 + REDRAWS


def scores_of(work: Path, name: str, columns: list[int]) -> np.ndarray:
    """l of the draws under one model, the served one first, ``(LOGGED, WIDTH)``."""
    return np.asarray(np.load(work / f"{name}.npz")["scores"][:, columns])


def cells(work: Path, run: Run, texts: list[list[str]]) -> list[dict[str, Any]]:
    """One row for every form and set of control variates: effect, wins, p of all items, rejection rates by items."""
    columns = [run.seed, *(j for j in range(WIDTH) if j != run.seed)]
    data = np.load(work / f"{run.name}.npz")
    head = {"test": "regeneration", "base": run.base, "share": run.share, "epochs": run.epochs, "texts": run.total,
            "dilution": round(run.total / (run.share * LOGGED) - 1, 1), "seed": run.seed}  # fmt: skip
    rows = []
    for label, names in CONTROLS.items():
        used = [scores_of(work, f"scorer-{run.base if n == 'BASE' else n}", columns) for n in names]
        controls = np.array(used).reshape(-1, LOGGED, WIDTH)
        rows.append(head | {"form": "log-probs", "controls": label} | rates(data["scores"][:, columns], controls))
    if "answers" in data:
        said = [[str(a[i]).strip() for a in data["answers"]] for i in range(LOGGED)]
        found, typical = similarity(said, [[row[j] for j in columns] for row in texts])
        rows.append(head | {"form": "answers", "controls": "typicality"} | rates(found, typical[None]))
    return rows


def rates(scores: np.ndarray, controls: np.ndarray) -> dict[str, Any]:
    """Rejection at .01 over random subsets of the logged items (all of them: one test), and the effect behind it."""
    rng = np.random.default_rng(0)
    every = rank_test(scores, controls, rng, permutations=9999)
    found = {}
    for n in ITEMS:
        subsets = [np.arange(LOGGED)] if n == LOGGED else [rng.choice(LOGGED, n, replace=False) for _ in range(SUBSETS)]
        ps = [rank_test(scores[i], controls[:, i], rng, permutations=499 if n < LOGGED else 9999).p for i in subsets]
        found[str(n)] = float(np.mean(np.array(ps) <= LEVEL))
    needed = items_needed(every.effect, LEVEL)
    return {"p": every.p, "log10_e": round(every.log_e / np.log(10), 2), "effect": round(every.effect, 4),
            "wins": round(every.wins, 4), "spread_nats": round(every.spread, 3), "rejects": found,
            "items_for_90": None if needed > 1e6 else round(needed)}  # fmt: skip


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
    """Watermarks by share, with and without the student's base as control."""
    _, tokenizer = shipped("teacher")
    prompts = [tokenizer(i.prompt, add_special_tokens=False)["input_ids"] for i in logged(LOGGED)]

    def counted(path: Path, scheme: str) -> Any:
        answers = np.load(path)["answers"]
        ids = [tokenizer(str(t).strip(), add_special_tokens=False)["input_ids"] for row in answers for t in row]
        return ngram_counts(prompts * len(answers), ids, width(KEYS[scheme]))

    rows = []
    for path in sorted(work.glob("mark-*.npz")):
        _, scheme, share, base = path.stem.split("-")
        suspect, control = counted(path, scheme), counted(work / f"scorer-{base}.npz", scheme)
        for label, used in (("none", []), ("base", [control])):
            found = count(*weighted(suspect, used, 20_000, 0), KEYS[scheme], 1216, 0)
            result = judge({"key": "", **found})
            total = sum(w * h for w, _, h in found["levels"])
            rank = (1 + sum(t >= total for t in found["dummies"])) / (1 + len(found["dummies"]))
            row = {"test": "watermark", "scheme": scheme, "base": base, "share": float(share), "controls": label}
            row |= {"pairs": result.n, "tokens": sum(suspect.values()), "p": result.p, "rank_p": rank}
            rows.append(row)
    return rows


def quotes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs that power statements quote."""
    out = []
    for r in rows:
        if r["test"] == "canary" and r["base"] == "other" and r["seed"] == 0:
            known = max(0.0, (r["first"] - 1 / CANDIDATES) / (1 - 1 / CANDIDATES))
            text = f"measured on small models, secrets that were read {r['repetitions']} times in one epoch"
            out.append({"test": "canary", "form": "log-probs", "quote": text, "known": round(known, 3)})
        if r["test"] != "regeneration" or r["base"] != "other" or r["texts"] != 2000 or r["seed"]:
            continue
        if r["controls"] not in ("reference and base", "typicality") or r["epochs"] > 1 or r["p"] > LEVEL:
            continue  # an effect that a thousand items don't show is no measured effect
        text = f"a student of another base and tokenizer that read {r['share']:.0%} of the answers once"
        out.append({"test": "regeneration", "form": r["form"], "quote": text, "effect": r["effect"]})
    return out


def figure(rows: list[dict[str, Any]], path: Path) -> None:
    """Rejection rate against logged items, by control variate; one panel for each base, students of one epoch."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "exact"
    from matplotlib import pyplot as plt

    drawn, axes = plt.subplots(1, 2, figsize=(8.5, 3.3), sharey=True, layout="constrained")
    for axis, base in zip(axes, ("own", "other"), strict=True):
        for share, style in ((1.0, "-"), (0.25, "--"), (0.05, ":")):
            for controls, colour in (("none", "#888888"), ("reference", "#1b6ca8"), ("reference and base", "#b3450b")):
                match = [r for r in rows if (r["base"], r["share"], r["epochs"], r["texts"], r["seed"], r["controls"])
                         == (base, share, 1, 2000, 0, controls)]  # fmt: skip
                if match:
                    label = f"{share:.0%} read, control variate: {controls}"
                    axis.plot(ITEMS, [match[0]["rejects"][str(n)] for n in ITEMS], style, color=colour, marker="o",
                              ms=3, label=label)  # fmt: skip
        axis.set(xscale="log", xlabel="logged items", ylim=(-0.03, 1.03), xticks=ITEMS, xticklabels=ITEMS,
                 title="the reference's own base" if base == "own" else "another base and tokenizer")  # fmt: skip
        axis.minorticks_off()
    axes[0].set_ylabel("rejections at p ≤ .01")
    drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=7, frameon=False)
    drawn.savefig(path, metadata={"Date": None})


REGENERATION = (
    "base | answers read# | epochs# | other texts per answer# | form | control variate | effect# | wins# | 50 items# | "
    "200 items# | p of 1,000# | items for .90#"
)
CANARY = "base | student# | read# | true secret first (.06 by chance)# | p# | p before training#"
WATERMARK = "scheme | base | share marked# | control | pairs# | tokens written# | p# | rank among 1,000 keys#"
CANARY_NOTE = "32 canaries of 16 candidates among 2,000 other texts, one epoch, log-probs, the base as control variate."
WATERMARK_NOTE = "4,000 training answers, of which the share is marked, three epochs; 4,000 answers of the student."


def tables(rows: list[dict[str, Any]]) -> str:
    """The tables of the documentation, in Markdown."""
    parts: dict[str, list[tuple[Any, ...]]] = {"regeneration": [], "canary": [], "watermark": []}
    for r in rows:
        kind = r["test"]
        if kind == "regeneration":
            few, many = (f"{r['rejects'][n]:.2f}" for n in ("50", "200"))
            needed = "–" if r["p"] > LEVEL else f"{r['items_for_90']:,}"
            row = (r["base"], f"{r['share']:.0%}", r["epochs"], f"{r['dilution']:g}", r["form"], r["controls"])
            row = (*row, f"{r['effect']:.2f}", f"{r['wins']:.0%}", few, many, f"{r['p']:.2g}", needed)
        elif kind == "canary":
            row = (r["base"], r["seed"] + 1, r["repetitions"], f"{r['first']:.2f}", f"{r['p']:.2g}")
            row = (*row, f"{r['p_before_training']:.2g}")
        else:
            row = (r["scheme"], r["base"], f"{r['share']:.0%}", r["controls"], f"{r['pairs']:,}", f"{r['tokens']:,}")
            row = (*row, f"{r['p']:.2g}", f"{r['rank_p']:.2g}")
        parts[kind].append(row)
    head = (
        "# Measured power of the exact tests\n\nMade by `benchmarks/exact_power.py`; read [exact.md](exact.md) first.\n"
    )
    regeneration = f"## Regeneration\n\n{table(REGENERATION, parts['regeneration'])}"
    canary = f"## Canaries\n\n{CANARY_NOTE}\n\n{table(CANARY, parts['canary'])}"
    return "\n".join(
        [head, regeneration, canary, f"## Watermarks\n\n{WATERMARK_NOTE}\n\n{table(WATERMARK, parts['watermark'])}"]
    )


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
    draws = json.loads((work / "draws.json").read_text())
    texts = [[draws[d][i] for d in range(WIDTH)] for i in range(LOGGED)]
    runs = grid()
    rows = [row for run in runs if (work / f"{run.name}.npz").is_file() for row in cells(work, run, texts)]
    others = canaries(work) + marks(work)
    missing = [run.name for run in runs if not (work / f"{run.name}.npz").is_file()]
    checks = [nulls(work, base) for base in ("own", "other")]
    found = {"level": LEVEL, "runs": rows + others, "imitator_nulls": checks, "not_run": missing}
    (root / "docs" / "exact-power.json").write_text(json.dumps(found, indent=1) + "\n")
    effects = root / "forensics" / "exact" / "data" / "effects.json"
    effects.write_text(json.dumps({"runs": quotes(rows + others)}, indent=1) + "\n")
    (root / "docs" / "exact-power.md").write_text(tables(rows + others))
    figure([r for r in rows if r["form"] == "log-probs"], root / "docs" / "exact-power.svg")
    print(f"{len(rows) + len(others)} rows; not run: {', '.join(missing)}")


if __name__ == "__main__":
    main()
