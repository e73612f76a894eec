"""How numbers are written. HTML, Markdown and terminal all print what is made here, so they can't disagree.

Rounding happens here and nowhere else; words of the verbal scale are always read from the unrounded number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

NONE = "–"

NEITHER = 0.05  # |log10 LR| below which the verdict's sentence says that neither is supported

# ENFSI (2015): upper end of |log10 LR| (exclusive), word. Used for both directions alike.
VERBAL = (
    (1.0, "weak"),
    (2.0, "moderate"),
    (3.0, "moderately strong"),
    (4.0, "strong"),
    (6.0, "very strong"),
    (math.inf, "extremely strong"),
)


def decimals(values: Iterable[float | None]) -> int | None:
    """Decimals that give the largest of some numbers three digits; None: write them with an exponent."""
    scale = max((abs(v) for v in values if v is not None and math.isfinite(v)), default=0.0)
    if scale == 0.0:
        return 2
    places = 2 - math.floor(math.log10(scale))
    return None if places > 6 or places < -4 else max(places, 0)


def signed(value: float | None, places: int | None = 2) -> str:
    """``+1.23``: always with a sign, and no ``-0.00``."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return str(value)
    text = f"{value:+.2e}" if places is None else f"{value:+.{places}f}"
    return text.replace("-", "+", 1) if text[0] == "-" and float(text) == 0 else text


def plain(value: float, places: int | None = 2) -> str:
    """``1.23``, with a sign only where it is negative."""
    return signed(value, places).removeprefix("+")


def interval(pair: tuple[float, float] | None, places: int | None = 2) -> str:
    """``[+0.12, +0.34]``."""
    return NONE if pair is None else f"[{signed(pair[0], places)}, {signed(pair[1], places)}]"


def llr(value: float | None) -> str:
    """A log10 likelihood ratio: two decimals, signed."""
    return signed(value, 2)


def probability(p: float | None) -> str:
    """A p-value with three digits; what is not zero is never written as zero."""
    if p is None:
        return NONE
    if p <= 0:
        return "below 1e-300"  # a p of 0 is a number too small for a float, not an impossibility
    text = f"{p:.3g}"
    return "0.999…" if text == "1" and p < 1 else text


def share(part: float | None) -> str:
    """A share as a percentage, two digits, never rounded to 0 % or up to 100 %."""
    if part is None:
        return NONE
    if 0.9995 < part < 1:
        return "> 99.9 %"
    if 0 < part < 0.0995:
        return f"{100 * part:.2g} %"
    return f"{100 * part:.{1 if 0.985 < part < 1 else 0}f} %"


def e_value(e: float | None) -> str:
    """An e-value with three digits."""
    return NONE if e is None else f"{e:.3g}"


def count(n: int) -> str:
    """``12,345``."""
    return f"{n:,}"


def ratio(value: float) -> str:
    """The likelihood ratio itself: ``17``, ``1/17``, ``1.6``, with the digits that the verdict's sentence has."""
    size = abs(value)
    if size > 15:
        return f"10^{value:+.1f}"
    lr = 10.0**size
    text = f"{lr:,.0f}" if lr >= 10 else f"{lr:.1f}"
    return text if value >= 0 or text == "1.0" else f"1/{text}"


def in_words(value: float) -> str:
    """``LR = 17 (log10 +1.23)``."""
    return f"LR = {ratio(value)} (log10 {llr(value)})"


def verbal(value: float) -> str:
    """The word of the scale and the side it stands on, read from the unrounded value."""
    if abs(value) < NEITHER:
        return "support for neither"
    word = next(word for end, word in VERBAL if abs(value) < end)
    return f"{word} support for {'Hp' if value > 0 else 'Hd'}"
