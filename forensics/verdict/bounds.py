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


def elub(hp: ArrayLike, hd: ArrayLike) -> tuple[float, float]:
    """Empirical lower and upper bounds, log10 (Vergeer et al., Science & Justice 56, 2016).

    For a decision threshold t (accept Hp where LR >= t) the expected loss is  P(LR < t | Hp) + t P(LR >= t | Hd),
    each rate computed with one further, misleading observation added. The system must not lose more than the neutral
    system LR = 1, which loses min(1, t). The bounds are the thresholds nearest to 1 where it would, searched at the
    observed LRs and, between them, solved exactly: rates are constant there, so the loss is linear in t.
    """
    p, d = np.sort(np.asarray(hp, dtype=np.float64)), np.sort(np.asarray(hd, dtype=np.float64))
    if not len(p) or not len(d):
        return 0.0, 0.0
    edges = np.unique(np.concatenate([p, d, [0.0]]))
    upper, lower = _upper(p, d, edges[edges >= 0.0]), _lower(p, d, edges[edges <= 0.0][::-1])
    return min(lower, 0.0), max(upper, 0.0)


def _rates(p: Array, d: Array, log_t: float, *, after: bool) -> tuple[float, float]:
    """(miss, false alarm) with the added observation, for t just after (or at) ``log_t``."""
    side: Literal["left", "right"] = "right" if after else "left"
    miss = (np.searchsorted(p, log_t, side=side) + 1) / (len(p) + 1)
    alarm = (len(d) - np.searchsorted(d, log_t, side=side) + 1) / (len(d) + 1)
    return float(miss), float(alarm)


def _upper(p: Array, d: Array, edges: Array) -> float:
    """Smallest t >= 1 where miss + t alarm > 1; on each open piece (edge, next) the rates do not change."""
    for here, following in zip(edges, [*edges[1:], math.inf], strict=True):
        miss, alarm = _rates(p, d, here, after=True)
        crossing = math.log10((1.0 - miss) / alarm) if miss < 1.0 else -math.inf
        if crossing < following:
            return float(max(here, crossing))
    return float(edges[-1])


def _lower(p: Array, d: Array, edges: Array) -> float:
    """Largest t <= 1 where miss + t alarm > t; pieces (next lower edge, edge]."""
    for here, following in zip(edges, [*edges[1:], -math.inf], strict=True):
        miss, alarm = _rates(p, d, here, after=False)
        crossing = math.log10(miss / (1.0 - alarm)) if alarm < 1.0 else math.inf
        if crossing > following:
            return float(min(here, crossing))
    return float(edges[-1])
