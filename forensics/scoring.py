"""Comparators run on a sample."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from .comparators import Comparator
from .helper import Helper
from .types import Column, Completion, Lazy, Listener, Progress, Sample, Score, sha256, silent

HELPED = ("style-delta", "opening-style")  # half of the work, and all of fingerprints'
WORTH = 1_000_000  # characters from which on half of the work is more than starting a process
MOST = 50_000_000  # more would be held twice
FEW = 1000  # items on which a control is checked and a map drawn


def stream(seed: int, name: str) -> np.random.Generator:
    """One named random stream of the case's seed."""
    words = [int.from_bytes(name.encode()[i : i + 4], "big") for i in range(0, len(name.encode()), 4)]
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=tuple(words)))


def score_all(
    sample: Sample, comparators: Sequence[Comparator], seed: int, progress: Listener = silent,
    helper: Helper | None = None,
) -> list[Score]:  # fmt: skip
    """Every comparator on the families it reads; the same numbers with a helper and without."""
    helped = [c for c in comparators if helper is not None and c.name in HELPED]
    if helper is not None and helped:
        helper.send(score_all, bare(sample), helped, seed)
    scores = {}
    for number, comparator in enumerate(comparators):
        if comparator not in helped:
            progress(Progress("judge", comparator.name, number, len(comparators)))
            part = sample.rows(lambda unit, c=comparator: unit.family in c.families)  # type: ignore[misc]
            scores[comparator.name] = comparator.compare(part, stream(seed, comparator.name))
    if helper is not None and helped:
        progress(Progress("judge", helped[0].name, len(scores), len(comparators)))
        for score in helper.receive() or score_all(sample, helped, seed):
            scores[score.comparator] = score
    return [scores[c.name] for c in comparators]


def few(sample: Sample) -> Sample:
    """The sample, or `FEW` of its items, drawn by their hash: for what is done anew for every control, the self-checks
    and the map."""
    items = {unit.item for unit in sample.units}
    kept = set(sorted(items, key=lambda item: sha256(item.encode()))[:FEW])
    return sample if len(items) <= FEW else sample.rows(lambda unit: unit.item in kept)


def bare(sample: Sample) -> Sample:
    """What comparators of text read of a sample: units, texts, and how they ended."""

    def texts(column: Column) -> Column:
        return tuple(None if c is None else Completion("", c.text, c.finish) for c in column)

    return Sample(sample.units, texts(sample.suspect), texts(sample.reference),
                  {name: texts(column) for name, column in sample.controls.items()})  # fmt: skip


def helper_for(sample: Sample) -> AbstractContextManager[Helper | None]:
    """A helper where there is a core for it and text enough; None where the answers are more than should be held."""
    from joblib import cpu_count  # knows what of the machine this process may use

    columns = [sample.suspect, *sample.candidates.values()]
    if not sys.executable or any(isinstance(column, Lazy) for column in columns) or cpu_count() < 2:
        return nullcontext()
    size = sum(len(c.text or "") for column in columns for c in column if c is not None)
    return Helper() if WORTH <= size <= MOST else nullcontext()
