"""Small figures as inline SVG, one for each comparator. What they show, not how an SVG is made: that is `svg`."""

from __future__ import annotations

from forensics.record import EvidenceRecord, Relations, Report

from . import numbers as n
from . import tables, words
from .svg import INK, LINE, MARK, MUTED, RIGHT, WIDTH, Drawing, Plane

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


def ratios(report: Report, slug: str) -> str:
    """The forest plot: every comparator's own llr with interval and bounds, the joint one last, on one axis."""
    rows = [(e.comparator, e.llr, e.llr_interval, e.llr_bounds) for e in report.evidence if e.llr is not None]
    v = report.verdict
    if v.llr is not None:
        rows.append((words.JOINT, v.llr, v.interval, v.bounds))
    if not rows:
        return ""
    edges = [x for _, llr, *pairs in rows for x in (llr, *(end for pair in pairs if pair for end in pair))]
    d = Drawing(height=38 * len(rows) + 34, across=[0.0, *edges])
    for row, (name, llr, interval, bounds) in enumerate(reversed(rows)):
        y, own = 40 + 38 * row, name == words.JOINT
        if bounds:
            d.box(bounds[0], bounds[1], y - 6, y + 6)
        if interval:
            d.line(interval[0], interval[1], y, y, MARK if own else INK, 3 if own else 2)
        d.line(0, 0, y - 9, y + 9, MUTED, 1.2, dashed=True)
        d.marker(llr, y, own=own)
        d.text(8, y + 17, _short(name, 30), INK, bold=own, align="left")
        d.text(WIDTH - RIGHT, y + 17, n.llr(llr), INK, bold=own)
    return d.svg(slug, "; ".join(f"{name} llr {n.llr(llr)}" for name, llr, *_ in rows))


def relations(r: Relations, slug: str) -> str:
    """The map of the parties, if there is one."""
    if r.places is None:
        return ""
    x, y = ([place[k] for place in r.places] for k in (0, 1))
    reach = max(max(x) - min(x), max(y) - min(y)) / 2 or 1.0
    middle = [(max(v) + min(v)) / 2 for v in (x, y)]
    d = Plane(*((m - reach, m + reach) for m in middle))
    for name, (a, b) in zip(r.names, r.places, strict=True):
        d.point(a, b, _short(name), own=name == "suspect")
    return d.svg(slug, f"map of {len(r.names)} parties, stress {r.stress:.2f}")


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
