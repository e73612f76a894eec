"""Numbers to words: the ENFSI (2015) verbal scale, symmetric, read from the raw likelihood ratio."""

from __future__ import annotations

from ..types import LikelihoodRatio

SCALE = (
    (1.0, "weak"),
    (2.0, "moderate"),
    (3.0, "moderately strong"),
    (4.0, "strong"),
    (6.0, "very strong"),
    (float("inf"), "extremely strong"),
)


def strength(llr: float) -> str:
    """The word for |llr|: 1-10 weak, 10-100 moderate, … 1e4-1e6 very strong, above extremely strong."""
    return next(word for limit, word in SCALE if abs(llr) < limit)


def statement(lr: LikelihoodRatio, hp: str, other: str = "it was not") -> str:
    """One sentence that says how much more probable the findings are under one hypothesis than under the other.

    ``hp``: Hp as a clause about the suspect; ``other``: Hd as a short clause after it.
    """
    if abs(lr.llr) < 0.05:
        return f"The findings are about equally probable whether {hp} or {other}: they support neither."
    times = 10 ** abs(lr.llr)
    shown = f"{times:.1f}" if times < 10 else f"{times:.0f}"
    more = "more" if lr.llr > 0 else "less"
    side = "Hp" if lr.llr > 0 else "Hd"
    bound = lr.bounds[1] if lr.llr > 0 else lr.bounds[0]
    capped = ", the most that the population can support" if abs(lr.llr - bound) < 1e-9 else ""
    return (
        f"The findings are about {shown} times {more} probable if {hp} than if {other}: {strength(lr.llr)} support for "
        f"{side} (population {lr.population}{capped})."
    )
