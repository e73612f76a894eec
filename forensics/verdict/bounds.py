"""How large a likelihood ratio a population of limited size can support."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def size_bounds(n: int) -> tuple[float, float]:
    """[-log10 N, log10 N] for N independent lineages: no larger |LR| can have been observed to be right."""
    limit = math.log10(max(n, 1))
    return -limit, limit


def elub(hp: Rated, hd: Rated) -> tuple[float, float]:
    """Empirical lower and upper bounds, log10 (Vergeer et al., Science & Justice 56, 2016).

    For a decision threshold t (accept Hp where LR >= t) the expected loss is  P(LR < t | Hp) + t P(LR >= t | Hd),
    each rate computed with one further, misleading observation added. The system must not lose more than the neutral
    system LR = 1, which loses min(1, t). The bounds are the thresholds nearest to 1 where it would, searched at the
    observed LRs and, between them, solved exactly: rates are constant there, so the loss is linear in t.

    Pairs of one lineage are one observation: rates weigh lineages, and the added observation is one lineage of ``n``.
    """
    if not len(hp.llr) or not len(hd.llr):
        return 0.0, 0.0
    edges = np.unique(np.concatenate([hp.llr, hd.llr, [0.0]]))
    upper, lower = _upper(hp, hd, edges[edges >= 0.0]), _lower(hp, hd, edges[edges <= 0.0][::-1])
    return min(lower, 0.0), max(upper, 0.0)


class Rated:
    """log10 LRs with weights that sum to 1, and the number of independent lineages behind them."""

    def __init__(self, llr: ArrayLike, weights: ArrayLike | None = None, n: int | None = None) -> None:
        values = np.asarray(llr, dtype=np.float64)
        order = np.argsort(values, kind="stable")
        self.llr: Array = values[order]
        w = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
        self.n = len(values) if n is None else n
        self._upto = np.concatenate([[0.0], np.cumsum(w[order]) / max(float(w.sum()), 1e-300)])

    def below(self, log_t: float, *, included: bool) -> float:
        """Weight of LRs below t, or at most t."""
        side: Literal["left", "right"] = "right" if included else "left"
        return float(self._upto[int(np.searchsorted(self.llr, log_t, side=side))])


def _rates(p: Rated, d: Rated, log_t: float, *, after: bool) -> tuple[float, float]:
    """(miss, false alarm) with the added observation, for t just after (or at) ``log_t``."""
    miss = (p.n * p.below(log_t, included=after) + 1) / (p.n + 1)
    alarm = (d.n * (1.0 - d.below(log_t, included=after)) + 1) / (d.n + 1)
    return miss, alarm


def _upper(p: Rated, d: Rated, edges: Array) -> float:
    """Smallest t >= 1 where miss + t alarm > 1; on each open piece (edge, next) the rates do not change."""
    for here, following in zip(edges, [*edges[1:], math.inf], strict=True):
        miss, alarm = _rates(p, d, here, after=True)
        crossing = math.log10((1.0 - miss) / alarm) if miss < 1.0 else -math.inf
        if crossing < following:
            return float(max(here, crossing))
    return float(edges[-1])


def _lower(p: Rated, d: Rated, edges: Array) -> float:
    """Largest t <= 1 where miss + t alarm > t; pieces (next lower edge, edge]."""
    for here, following in zip(edges, [*edges[1:], -math.inf], strict=True):
        miss, alarm = _rates(p, d, here, after=False)
        crossing = math.log10(miss / (1.0 - alarm)) if alarm < 1.0 else math.inf
        if crossing > following:
            return float(min(here, crossing))
    return float(edges[-1])
