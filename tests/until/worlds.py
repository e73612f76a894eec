"""Populations that are made up: what is tested with them is the rule, not the models."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from forensics.serial import lines
from forensics.verdict.calibrate import Pair, Population

SEEN = {"next-token-divergence": 0.069, "cross-likelihood": 0.08, "answer-overlap": 0.029}  # of the toy student
LOTS = ("next-token-divergence", "cross-likelihood", "answer-overlap")  # next tokens, scorings, texts


def population(
    shift: dict[str, float], sd: float | None, lineages: int = 60, name: str = "made-up", seed: int = 0
) -> Population:
    """``lineages`` under each hypothesis; scores are normal around 0 under Hd and around ``shift`` under Hp. ``sd``:
    None for a fifth of the shift."""
    rng = np.random.default_rng(seed)
    pairs = []
    for i in range(lineages):
        for label in (0, 1):
            scores: dict[str, float | None] = {
                c: float(label * d + rng.normal(0, d / 5 if sd is None else sd)) for c, d in shift.items()
            }
            own = f"l{i}-{label}"
            kind = "student" if label else "stranger"
            pairs.append(Pair(f"s{i}", f"r{i}", kind, label, own, (own,), scores))
    return Population(name, "made up for a test.", {}, tuple(shift), tuple(pairs))


def written(folder: Path, people: Population) -> str:
    path = folder / f"{people.name}.json"
    path.write_text(lines(people))
    return str(path)
