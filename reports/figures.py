"""Small figures as inline SVG, one for each comparator. What they show, not how an SVG is made: that is `svg`."""

from __future__ import annotations

from forensics.record import EvidenceRecord

from . import numbers as n
from . import tables
from .svg import INK, LINE, MARK, MUTED, Drawing

_LABELS = 112  # units for the names in front of the dots
_ROW = 22


def forest(e: EvidenceRecord, slug: str) -> str:
    """The value and its interval against the range of the background, on the comparator's own axis."""
    band, value = tables.span(e), e.value
    if value is None:
        return ""
    d = Drawing(height=84, across=[value, *(e.interval or ()), *(band or ())])
    if band:
        d.box(band[0], band[1], 34, 74)
    middle = dict(e.background.quantiles).get("0.5") if e.background else None
    if middle is not None:
        d.line(middle, middle, 37, 71, MUTED, 1.2, dashed=True)
    if e.interval:
        d.line(e.interval[0], e.interval[1], 54, 54, MARK, 3)
    d.marker(value, 54, own=True)
    places = tables.places(e)
    range_ = n.interval(band, places)
    label = f"value {n.signed(value, places)}, interval {n.interval(e.interval, places)}, background {range_}"
    return d.svg(slug, label)


def background(e: EvidenceRecord, slug: str) -> str:
    """The histogram of the background with the observed value."""
    if e.value is None or e.background is None:
        return ""
    bins = e.background.histogram
    d = Drawing(height=150, across=[e.value, *(edge for low, high, _ in bins for edge in (low, high))])
    top = max((count for *_, count in bins), default=1) or 1
    for low, high, count in bins:
        d.box(low, high, 26, 26 + 92 * count / top)
    d.line(e.value, e.value, 26, 134, MARK, 2.4)
    d.marker(e.value, 134, own=True)
    d.beside(e.value, 134, f"observed {n.signed(e.value, tables.places(e))}")
    total = sum(count for *_, count in bins)
    return d.svg(slug, f"{total} background values, {n.share(e.background.above)} at or above the observed one")


def closeness(e: EvidenceRecord, slug: str) -> str:
    """How close the suspect is to every candidate, nearest on top."""
    pairs = sorted(e.closeness, key=lambda pair: (pair[1], pair[0]))
    d = Drawing(height=_ROW * len(pairs) + 36, across=[value for _, value in pairs], left=_LABELS)
    for row, (name, value) in enumerate(pairs):
        y = 26 + _ROW * (row + 0.5)
        own = name == "reference"
        d.rule(y, LINE)
        d.marker(value, y, own=own)
        d.text(_LABELS - 8, y, _short(name), INK, bold=own)
    places = n.decimals(value for _, value in pairs)
    label = "from nearest: " + ", ".join(f"{name} {n.signed(value, places)}" for name, value in reversed(pairs))
    return d.svg(slug, label)


def _short(name: str, limit: int = 16) -> str:
    line = " ".join(name.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
