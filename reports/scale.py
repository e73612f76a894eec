"""The drawn scale of the first screen: where the likelihood ratio lies between its bounds, in per cent of the width.

Per cent, not pixels: the page draws it at any width with text of one size, which a scaled picture could not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from . import numbers as n


@dataclass(frozen=True, slots=True)
class Segment:
    """One word of the verbal scale, cut at the bounds."""

    word: str
    side: str  # "hp" or "hd"
    start: float
    width: float
    level: int  # 0 or 1, by turns outwards from zero

    @property
    def label(self) -> str:
        """Where the word fits below its segment: "always", on "wide" screens only, or "never"."""
        needed = 7.0 * len(self.word)  # pixels
        return "always" if 3.1 * self.width >= needed else "wide" if 6.5 * self.width >= needed else "never"


@dataclass(frozen=True, slots=True)
class Scale:
    """Positions in per cent."""

    zero: float
    value: float
    anchor: str
    low: float
    high: float
    label: str
    ends: tuple[str, str]
    ticks: tuple[tuple[float, str], ...]
    segments: tuple[Segment, ...]


def scale(llr: float, bounds: tuple[float, float], interval: tuple[float, float] | None) -> Scale:
    """The scale from the lowest to the highest value that may be claimed, zero always on it."""
    low, high = min(*bounds, 0.0), max(*bounds, 0.0)
    if high - low < 1e-9:
        low, high = -1.0, 1.0

    def at(x: float) -> float:
        return round(100 * (min(max(x, low), high) - low) / (high - low), 2)

    step = max(1, math.ceil((high - low) / 8))
    whole = [t for t in range(math.ceil(low), math.floor(high) + 1) if t % step == 0]
    ticks = tuple((at(t), f"{t:+d}" if t else "0") for t in whole)
    first, last = interval or (llr, llr)
    place = at(llr)
    return Scale(
        zero=at(0), value=place, anchor="start" if place < 18 else "end" if place > 82 else "middle",
        low=at(first), high=at(last), label=f"llr {n.llr(llr)}", ends=(n.llr(low), n.llr(high)), ticks=ticks,
        segments=_segments(low, high, at),
    )  # fmt: skip


def _segments(low: float, high: float, at: Callable[[float], float]) -> tuple[Segment, ...]:
    out = []
    start = 0.0
    for level, (end, word) in enumerate(n.VERBAL):
        for side, limit, sign in (("hd", -low, -1), ("hp", high, 1)):
            if start < limit:
                a, b = sorted((at(sign * start), at(sign * min(end, limit))))
                out.append(Segment(word, side, a, round(b - a, 2), level % 2))
        start = end
    return tuple(sorted(out, key=lambda s: s.start))
