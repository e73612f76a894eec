"""One small drawing with one axis or two: matplotlib draws it, its colours become the page's CSS variables.

It is drawn at the size it is shown at (one unit is one CSS pixel), so that its text stays readable on a telephone.
Shapes are put on the figure itself: a matplotlib Axes with its ticks takes ten times as long for the same picture.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

WIDTH = 300
FONT = 11.5
RIGHT = 12
FLOOR = 26  # height of the axis line over the lower edge

# Drawn with, then replaced by the variable of the same name.
INK, MUTED, LINE, BAND, MARK = "#010101", "#020202", "#030303", "#040404", "#050505"
HP, HD = "#060606", "#070707"
_VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", BAND: "band", MARK: "mark", HP: "hp", HD: "hd"}
_DASHES = {"solid": "-", "dashed": (0, (4, 2)), "dotted": (0, (1, 1.6))}

_OPTIONS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "distillation-forensics",
    "text.parse_math": False,  # a dollar in a model's name is no formula
    "font.size": FONT,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Our settings and no one else's: a reader's matplotlibrc must not change a report."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # names in scripts that matplotlib's own font lacks
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_OPTIONS)
        yield


class Drawing:
    """``across``: values that must fit on the axis. Heights are units over the lower edge; use within `drawing`."""

    def __init__(self, *, height: float, across: Sequence[float], left: float = 8, floor: float = FLOOR) -> None:
        from matplotlib.figure import Figure
        from matplotlib.transforms import Affine2D

        self._figure = Figure(figsize=(WIDTH / 72, height / 72))
        self._figure.patch.set_visible(False)
        self._units = Affine2D().scale(1 / 72) + self._figure.dpi_scale_trans
        self._left, self._floor = left, floor
        low, high = min(across), max(across)
        pad = 0.07 * (high - low) or 0.07 * abs(high) or 1.0
        self._low, self._high = low - pad, high + pad
        self._ticks()

    def at(self, value: float) -> float:
        """Units from the left edge."""
        span = WIDTH - RIGHT - self._left
        return self._left + span * (value - self._low) / (self._high - self._low)

    def line(self, x0: float, x1: float, y0: float, y1: float, colour: str, width: float, dashed: bool = False) -> None:
        """A straight line."""
        style: Any = (0, (2, 2)) if dashed else "-"
        self._stroke([self.at(x0), self.at(x1)], [y0, y1], color=colour, linewidth=width, linestyle=style)

    def rule(self, y: float, colour: str) -> None:
        """A thin line over the whole width of the axis."""
        self._stroke([self._left, WIDTH - RIGHT], [y, y], color=colour, linewidth=0.8)

    def box(self, x0: float, x1: float, y0: float, y1: float) -> None:
        """A part of the background."""
        from matplotlib.patches import Rectangle

        corner, width = (self.at(x0), y0), self.at(x1) - self.at(x0)
        self._figure.add_artist(
            Rectangle(
                corner,
                width,
                y1 - y0,
                facecolor=BAND,
                edgecolor=MUTED,
                linewidth=0.8,
                transform=self._units,
                clip_on=False,
            )
        )

    def marker(self, x: float, y: float, *, own: bool) -> None:
        """A filled diamond for what the report is about, a circle for everything else."""
        colour = MARK if own else INK
        self._stroke(
            [self.at(x)], [y], color=colour, marker="D" if own else "o", markersize=8 if own else 7, linestyle="none",
            markerfacecolor=MARK if own else "none", markeredgewidth=1.6,
        )  # fmt: skip

    def beside(self, x: float, y: float, text: str) -> None:
        """Bold text on that side of a point where there is more room."""
        right = self.at(x) > WIDTH / 2
        self.text(self.at(x) + (-9 if right else 9), y, text, INK, bold=True, align="right" if right else "left")

    def text(self, x: float, y: float, text: str, colour: str, *, bold: bool = False, align: str = "right") -> None:
        """Text at a place in units."""
        weight = "bold" if bold else "normal"
        self._figure.text(
            x, y, text, color=colour, fontweight=weight, ha=align, va="center_baseline", transform=self._units
        )

    def svg(self, slug: str, label: str) -> str:
        """The drawing as part of a page; ``label`` says it in words, ``slug`` keeps its ids apart from others'."""
        out = io.StringIO()
        metadata = dict.fromkeys(("Date", "Creator", "Type", "Format"))
        self._figure.savefig(out, format="svg", metadata=metadata)
        return _inline(out.getvalue(), slug, label)

    def _stroke(self, x: list[float], y: list[float], **style: Any) -> None:
        from matplotlib.lines import Line2D

        self._figure.add_artist(Line2D(x, y, transform=self._units, solid_capstyle="butt", clip_on=False, **style))

    def _ticks(self) -> None:
        self.rule(self._floor, LINE)
        shown, texts = _scale(self._low, self._high, 4 if self._left < 50 else 3)
        for value, text in zip(shown, texts, strict=True):
            self.line(value, value, self._floor - 4, self._floor, LINE, 1)
            self.text(self.at(value), self._floor - 13, text, MUTED, align="center")


class Plot(Drawing):
    """With a vertical axis too: ``up`` are values that must fit on it. ``titles``: of the axes, the lower one first."""

    def __init__(self, *, across: Sequence[float], up: Sequence[float], titles: tuple[str, str], rows: int) -> None:
        """``rows``: how many entries of a legend stand over the plot."""
        height = 226 + 15 * rows
        super().__init__(height=height, across=across, left=34, floor=42)
        self._bottom, self._top = min(up), max(up)
        self._ceiling, self._legend = height - 26 - 15 * rows, height - 24
        values, texts = _scale(self._bottom, self._top, 5)
        for value, text in zip(values, texts, strict=True):
            self.rule(self.up(value), LINE)
            self.text(self._left - 5, self.up(value), text, MUTED)
        self.text((self._left + WIDTH - RIGHT) / 2, 10, titles[0], MUTED, align="center")
        self.text(2, height - 8, titles[1], MUTED, align="left")

    def up(self, value: float) -> float:
        """Units from the lower edge; what lies beyond the axis is put on its end."""
        inside = min(max(value, self._bottom), self._top)
        return (
            self._floor + 4 + (self._ceiling - self._floor - 4) * (inside - self._bottom) / (self._top - self._bottom)
        )

    def curve(self, points: Sequence[tuple[float, float]], colour: str, style: str = "solid", width: float = 2) -> None:
        """A line through points in the plot's own values."""
        x, y = [self.at(a) for a, _ in points], [self.up(b) for _, b in points]
        self._stroke(x, y, color=colour, linewidth=width, linestyle=_DASHES[style])

    def upright(self, x: float, colour: str) -> None:
        """A line from the floor to the ceiling."""
        self._stroke([self.at(x)] * 2, [self._floor, self._ceiling], color=colour, linewidth=1.6)

    def entry(self, text: str, colour: str, style: str = "solid") -> None:
        """The next line of the legend."""
        left = self._left
        self._stroke([left, left + 24], [self._legend] * 2, color=colour, linewidth=2, linestyle=_DASHES[style])
        self.text(left + 30, self._legend, text, INK, align="left")
        self._legend -= 15


class Plane(Drawing):
    """A map without axes: both directions have one scale."""

    def __init__(self, across: tuple[float, float], up: tuple[float, float]) -> None:
        super().__init__(height=WIDTH, across=across, left=RIGHT)
        self._bottom, self._span = up[0] - 0.07 * (up[1] - up[0]), (up[1] - up[0]) * 1.14 or 1.0

    def point(self, x: float, y: float, name: str, *, own: bool) -> None:
        """One party with its name."""
        height = RIGHT + (WIDTH - 2 * RIGHT) * (y - self._bottom) / self._span
        self.marker(x, height, own=own)
        self.beside(x, height, name)

    def _ticks(self) -> None:
        pass


def _scale(low: float, high: float, room: int) -> tuple[list[float], list[str]]:
    """Round values within a range, and how they are written."""
    from matplotlib.ticker import MaxNLocator

    values = MaxNLocator(nbins=room, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    shown = [float(v) for v in values if low <= v <= high]
    return shown, _tick_labels(shown)


def _tick_labels(values: list[float]) -> list[str]:
    """The shortest labels that tell the ticks apart and are exact."""
    for places in range(7):
        if all(abs(float(f"{v:.{places}f}") - v) <= 1e-9 * max(map(abs, values)) for v in values):
            return [f"{v:.{places}f}" if v else "0" for v in values]
    return [f"{v:.2g}" if v else "0" for v in values]


def _inline(svg: str, slug: str, label: str) -> str:
    """No prolog, no styles or ids of its own, our colours and the page's font."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<(metadata|style)\b.*?</\1>|<!--.*?-->|<defs>\s*</defs>", "", body, flags=re.S)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    size = re.search(r'viewBox="([^"]*)"', body)
    head = f'<svg role="img" aria-label="{escape(label)}" viewBox="{size[1] if size else ""}">'
    body = re.sub(r"<svg[^>]*>", "", body, count=1)
    # Only inside of tags: between them stands text, and numbers that must stay as they are.
    body = re.sub(r"<[^>]*>", lambda tag: _tag(tag[0], slug, used), body)
    return head + re.sub(r"\n\s*", "\n", body).strip()


def _tag(tag: str, slug: str, used: set[str]) -> str:
    tag = re.sub(r' id="([^"]*)"', lambda m: f' id="{slug}-{m[1]}"' if m[1] in used else "", tag)
    tag = re.sub(r'(xlink:)?href="#', f'href="#{slug}-', tag).replace("url(#", f"url(#{slug}-")
    tag = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", tag)
    tag = re.sub(r"(\.\d\d)\d+", r"\1", tag)
    for colour, name in _VARIABLES.items():
        tag = tag.replace(colour, f"var(--{name})")
    return tag
