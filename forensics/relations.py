"""Where suspect, reference and controls lie relative to each other: a picture of the case, without weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .comparators.answer_overlap import AnswerOverlap
from .comparators.base import MIN_ITEMS, by_item
from .comparators.texts import complete_texts
from .record import Relations, sig
from .scoring import few
from .types import Sample, Score

Array = NDArray[np.float64]
FLAT = 0.1  # stress-1 up to which a map counts as fair (Kruskal 1964: .05 good, .1 fair, .2 poor)


def relations(sample: Sample) -> Relations | None:
    """Mean cosine of word n-grams of every two parties' answers to the same prompt, and a map if it is honest.

    The map is classical scaling (Torgerson 1952) of the distances 1 - cosine; it is left out where its stress-1,
    sqrt(sum (d - d_map)^2 / sum d^2), exceeds `FLAT`. None with fewer than 30 items that all parties answered; of
    many items `few` are read, ``n`` says how many.
    """
    comparator = AnswerOverlap()
    part = few(sample.rows(lambda unit: unit.family in comparator.families))
    texts = complete_texts("relations", part)
    if isinstance(texts, Score):
        return None
    names = ("suspect", *texts.names)
    matrix = np.eye(len(names))
    n = 0
    for i in range(len(names) - 1):
        order = [i, *(j for j in range(len(names)) if j != i)]
        items, found = by_item(texts.units, comparator.cosines([texts.columns[j] for j in order]))
        n = len(found)
        matrix[i, order[1:]] = items.mean(axis=0)
    matrix = np.triu(matrix, 1) + np.triu(matrix, 1).T + np.eye(len(names))
    if n < MIN_ITEMS or len(names) < 4 or not np.isfinite(matrix).all():
        return None
    places, stress = scaled(1.0 - matrix)
    return Relations(
        names=names, n=n, cosine=tuple(tuple(sig(v) for v in row) for row in matrix), stress=sig(stress),
        places=tuple((sig(x), sig(y)) for x, y in places) if stress <= FLAT else None,
    )  # fmt: skip


def scaled(distance: Array) -> tuple[Array, float]:
    """Classical scaling of distances ``(n, n)``: places ``(n, 2)``, signs fixed, and the stress-1 of the picture."""
    n = len(distance)
    centre = np.eye(n) - 1.0 / n
    values, vectors = np.linalg.eigh(-0.5 * centre @ distance**2 @ centre)
    places = vectors[:, [-1, -2]] * np.sqrt(np.maximum(values[[-1, -2]], 0.0))
    # An eigenvector has no sign of its own: the suspect, first of all, lies left and low.
    places *= np.where(places[0] > 0, -1.0, 1.0)
    drawn = np.linalg.norm(places[:, None] - places[None, :], axis=2)
    above = np.triu_indices(n, 1)
    total = float((distance[above] ** 2).sum())
    return places, float(np.sqrt(((distance[above] - drawn[above]) ** 2).sum() / total)) if total else 0.0
