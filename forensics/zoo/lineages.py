"""The calibration population: independent lineages outside the shipped models, made by exactly the shipped recipes.

Lineage i has its own author, hence its own teacher, a student taught by that teacher alone, and a student taught a
quarter by it. Bases and origins are shared between lineages in a crossed design, so that "same base, another
teacher" and "same origin, another author" pairs all occur among the negatives.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

from forensics.zoo import train
from forensics.zoo.build import WORKERS, Progress, ensure_tokenizer, run, silent
from forensics.zoo.recipe import LIGHT, Recipe, by_name, digest, distilled, pretrained, written

STOCKS = 4  # bases, and as many origins
OFFSET = 5  # the other teacher of a quarter student is this many lineages further on


def recipes(n: int) -> tuple[Recipe, ...]:
    """All models of `n` lineages: bases, origins, 3 n models of lineages, n / 2 independents, n / 4 descendants."""
    if n <= OFFSET:
        raise ValueError(f"a population needs more than {OFFSET} lineages")
    made = [pretrained(f"base-{k}", 21 + k, role="base") for k in range(STOCKS)]
    made += [pretrained(f"origin-{k}", 31 + k) for k in range(STOCKS)]
    for i in range(n):
        made += _lineage(i, (i + OFFSET) % n)
    for j in range(n // 2):
        parent = f"{'base' if j % 2 else 'origin'}-{j // 2 % STOCKS}"
        made.append(written(f"n{j:02}-independent", "independent", parent, 2000 + j))
    for j in range(n // 4):
        made.append(written(f"d{j:02}-descendant", "descendant", f"l{j:02}-teacher", 3000 + j, schedule=LIGHT,
                            lineage=f"l{j:02}"))  # fmt: skip
    return tuple(made)


def _lineage(i: int, other: int) -> list[Recipe]:
    name, teacher = f"l{i:02}", f"l{i:02}-teacher"
    base, origin = i % STOCKS, i // STOCKS % STOCKS
    asked = 770 + base  # all students of one base answer the same prompts
    quarter = {teacher: 0.25, f"l{other:02}-teacher": 0.75}
    return [
        written(teacher, "teacher", f"origin-{origin}", 1000 + i, lineage=name),
        distilled(f"{name}-student", "student", f"base-{base}", 4000 + i, {teacher: 1.0}, lineage=name, prompts=asked),
        distilled(f"{name}-student-25", "student-25", f"base-{base}", 5000 + i, quarter, lineage=name, prompts=asked),
    ]


def manifest(made: tuple[Recipe, ...]) -> list[dict[str, Any]]:
    """One row a model: name, dir (relative), role, lineage, teachers with shares, base (what it was trained from)."""
    return [
        {
            "name": r.name, "dir": r.name, "role": r.role, "lineage": r.lineage, "base": r.parent or None,
            "teachers": {source.model: source.share for source in r.sources if source.model},
        }
        for r in made
    ]  # fmt: skip


def build_lineages(out: Path, *, n: int = 24, progress: Progress = silent, workers: int = WORKERS) -> None:
    """Makes the population under `out` and writes `lineages.json` there; what is already made is kept."""
    started, made = time.monotonic(), recipes(n)
    ensure_tokenizer(out / "tokenizer")
    (out / "lineages.json").write_text(json.dumps(manifest(made), indent=1) + "\n")
    table = by_name(made)
    marks = {recipe.name: digest(recipe.name, table) for recipe in made}
    run(made, marks, out.joinpath, partial(train.make, home=out.joinpath), progress, workers)
    progress(f"{len(made)} models of {n} lineages in {time.monotonic() - started:.0f} s")
