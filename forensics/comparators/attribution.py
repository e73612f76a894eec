"""``attribution``: whose habits of wording do S's answers follow, by a classifier that never saw S?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..types import Column, Sample, Score, Unit
from .answer_overlap import TEXT_FAMILIES, views
from .base import RESAMPLES, Array, by_item, item_rows, point, relative
from .terms import presence
from .texts import Texts, complete_texts, item_blocks

BUCKETS = 1 << 17


@dataclass(frozen=True, slots=True)
class Attribution:
    """Log-odds of S's answers under a classifier of the candidates' answers to *other* prompts.

    Terms t: words and n-grams up to ``ngram`` that at least ``common`` of the candidates' answers use, so that topics
    play no part. For candidate j with term counts n_j(t) (answers that use t) and the field's rates p(t):
    w_j(t) = ln [ (n_j(t) + m p(t)) / (N_j + m) / p(t) ], an informative Dirichlet prior of mass m (Monroe, Colaresi &
    Quinn 2008). c_ij = mean of w_j(t) over the terms of S's answer to item i, less the same mean for the other
    controls' answers to it (j's typicality); w is learnt on the half of the items that i is not in. Unit: nats per
    term. Null hypothesis: the candidate is not S's teacher.

    Where the case has the suspect's base, or an earlier release of it, c_ij of the base's answer is subtracted: the
    *change*, not the level. The level holds all that S's makers, base and era have in common with somebody; the change
    holds what the training added. "None of these" is the answer when no candidate stands out (`forensics attribute`).
    """

    name: str = "attribution"
    unit: str = "nats per term"
    families: frozenset[str] = TEXT_FAMILIES
    ngram: int = 3
    common: float = 0.05
    prior: float = 2000.0
    ablate: bool = True
    resamples: int = RESAMPLES

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs texts only."""
        texts = complete_texts(self.name, sample)
        if isinstance(texts, Score):
            return texts
        base = sample.base if any(c is not None and c.usable for c in sample.base or ()) else None
        items = self._items(texts, base, str)
        ablations = {"level, base not subtracted": point(self._items(texts, None, str))} if base is not None else {}
        for label, view in views().items() if self.ablate else ():
            ablations[label] = point(self._items(texts, base, view))
        return relative(self.name, items, texts.names, rng, resamples=self.resamples, ablations=ablations)

    def _items(self, texts: Texts, base: Column | None, view: Callable[[str], str]) -> Array:
        half = halves(texts.units)
        parts = [rows for rows, _ in item_blocks(texts.units)]
        weights = self.learn(texts, view, parts, half)
        values = np.empty((len(half), len(texts.names)))
        for rows in parts:
            suspect, _, *controls = (log_odds(m, weights, half[rows]) for m in self._terms(texts, view, rows))
            if base is not None:
                told = [c.text if c is not None and c.usable else None for c in (base[i] for i in texts.rows[rows])]
                suspect -= log_odds(presence((view(t or "") for t in told), self.ngram, BUCKETS), weights, half[rows])
                suspect[[t is None for t in told]] = np.nan
            else:
                for j in range(suspect.shape[1]):
                    suspect[:, j] -= np.mean([c[:, j] for k, c in enumerate(controls, 1) if k != j], axis=0)
            values[rows] = suspect
        return by_item(texts.units, values)[0]

    def _terms(self, texts: Texts, view: Callable[[str], str], rows: NDArray[np.intp]) -> list[Any]:
        return [presence(column, self.ngram, BUCKETS) for column in texts.view(view, rows)]

    def learn(
        self, texts: Texts, view: Callable[[str], str], parts: Sequence[NDArray[np.intp]], half: NDArray[np.intp]
    ) -> list[tuple[NDArray[np.intp], Array]]:
        """Per half the terms that count and their w ``(n_terms, 1 + K)``, learnt on the *other* half.

        Texts are read in ``parts`` of the rows.
        """
        used = np.zeros((2, len(texts.names), BUCKETS))
        for rows in parts:
            candidates = self._terms(texts, view, rows)[1:]
            for side in (0, 1):
                used[side] += [np.asarray(m[half[rows] != side].sum(axis=0)).ravel() for m in candidates]
        out = []
        for side, counts in enumerate(used):
            rate = counts.sum(axis=0)
            kept = np.flatnonzero(rate >= max(2.0, self.common * len(counts) * (half != side).sum()))
            counts, field = counts[:, kept], rate[kept] / max(rate[kept].sum(), 1.0)
            smooth = (counts + self.prior * field) / (counts.sum(axis=1, keepdims=True) + self.prior)
            out.append((kept, np.asarray(np.log(smooth / field).T)))
        return out


def log_odds(asked: Any, weights: list[tuple[NDArray[np.intp], Array]], half: NDArray[np.intp]) -> Array:
    """c ``(n_units, 1 + K)`` of the answers ``asked``; 0, no evidence either way, for one without a common term."""
    out = np.zeros((asked.shape[0], weights[0][1].shape[1]))
    for side, (kept, w) in enumerate(weights):
        rows = np.flatnonzero(half == side)
        terms = asked[rows][:, kept]
        size = np.maximum(np.asarray(terms.sum(axis=1)).ravel(), 1.0)
        out[rows] = (terms @ w) / size[:, None]
    return out


def halves(units: Sequence[Unit]) -> NDArray[np.intp]:
    """Which half of the items each unit is in ``(n_units,)``: drawn by the items' names, not by their order."""
    index, items = item_rows(units)
    digests = np.array([hashlib.sha256(item.encode()).digest() for item in items], dtype="S32")
    rank = np.argsort(np.argsort(digests, kind="stable"))
    return np.asarray(rank[index] % 2)
