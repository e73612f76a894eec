"""How much of the false-alarm rate each look at a new release may spend."""

from __future__ import annotations

import math

from ..errors import UsageError


def alpha_at(look: int, alpha: float, planned: int | None = None) -> float:
    """The level of look k = 1, 2, …, so that the levels of all looks add up to at most ``alpha``.

    Without a plan alpha_k = alpha * 6 / (pi^2 k^2): the series has no end, and later looks get little. With ``planned``
    looks each gets alpha / planned (Bonferroni), and after them nothing is left. By the union bound the probability
    that any of a lineage's clean releases is called a drift is at most ``alpha``, however the looks depend on each
    other. Errors: `UsageError` when the plan is used up.
    """
    if planned is None:
        return alpha * 6.0 / (math.pi * look) ** 2
    if look > planned:
        raise UsageError(
            f"the baseline planned {planned} looks, and this is number {look}: nothing of alpha = {alpha:g} is left; "
            "start a new baseline (forensics baseline update --restart), with more looks"
        )
    return alpha / planned
