"""How alike two answers to one prompt are: cosine of word n-grams, rare ones weighing more. Fixed in advance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..comparators.terms import counts
from .ranks import Array

NGRAM = 4


def similarity(said: Sequence[Sequence[str]], draws: Sequence[Sequence[str]]) -> tuple[Array, Array]:
    """Mean cosine of what the suspect said ``[n][k]`` with each draw ``[n][c]``, and each draw's typicality: its mean
    cosine with the other draws of its prompt. Both ``(n, c)``, 0 … 1.

    The idf is over all draws, served and redrawn alike, so nothing in it knows which one was served.
    """
    from sklearn.feature_extraction.text import TfidfTransformer

    n, c = len(draws), len(draws[0])
    idf = TfidfTransformer(sublinear_tf=True).fit(counts(tuple(t for row in draws for t in row), NGRAM))
    columns = [idf.transform(counts(tuple(row[j] for row in draws), NGRAM)) for j in range(c)]
    spoken = [idf.transform(counts(tuple(row[k] for row in said), NGRAM)) for k in range(len(said[0]))]

    def cosine(a: object, b: object) -> Array:
        return np.asarray(a.multiply(b).sum(axis=1), dtype=np.float64).ravel()  # type: ignore[attr-defined]

    scores = np.stack([np.mean([cosine(s, y) for s in spoken], axis=0) for y in columns], axis=1)
    typical = np.zeros((n, c))
    for i in range(c):
        for j in range(i):
            value = cosine(columns[i], columns[j]) / max(c - 1, 1)
            typical[:, i] += value
            typical[:, j] += value
    return np.asarray(scores), typical
