"""The figures of a population's validation. ``here``: the llr of the case at hand, marked where there is one."""

from __future__ import annotations

from forensics.record import ValidationRecord

from . import numbers as n
from .svg import HD, HP, INK, MARK, MUTED, Plot

CASE = "this case"


def tippett(v: ValidationRecord, slug: str, here: float | None = None) -> str:
    """Share of Hp and of Hd pairs at or above each llr."""
    d = Plot(across=v.bounds, up=(0, 1), titles=("llr", "share at or above"), rows=2 + (here is not None))
    d.upright(0, MUTED)
    d.curve([(x, hp) for x, hp, _ in v.tippett], HP)
    d.curve([(x, hd) for x, _, hd in v.tippett], HD, "dashed")
    d.entry("Hp pairs", HP)
    d.entry("Hd pairs", HD, "dashed")
    _case(d, here)
    return d.svg(slug, f"At llr 0: {_at_zero(v)}")


def _at_zero(v: ValidationRecord) -> str:
    _, hp, hd = min(v.tippett, key=lambda row: abs(row[0]))
    return f"{n.share(hp)} of Hp pairs and {n.share(hd)} of Hd pairs lie above"


def pav(v: ValidationRecord, slug: str, here: float | None = None) -> str:
    """The llr that a system gives against the llr that its own pairs earn."""
    finite = [step.llr for step in v.pav if step.llr is not None]
    ends = (min(v.bounds[0], *finite, 0.0) - 0.25, max(v.bounds[1], *finite, 0.0) + 0.25)
    titles = ("llr as given", "llr earned")
    d = Plot(across=v.bounds, up=ends, titles=titles, rows=2 + (here is not None))
    d.curve([(v.bounds[0], v.bounds[0]), (v.bounds[1], v.bounds[1])], MUTED, "dashed", 1.4)
    for step in v.pav:
        beyond = ends[1] if step.hp else ends[0]
        earned = beyond if step.llr is None else step.llr
        wide = max(step.high - step.low, 0.01 * (v.bounds[1] - v.bounds[0]))
        style = "solid" if step.llr is not None else "dotted"
        d.curve([(step.low, earned), (step.low + wide, earned)], INK, style, 3)
    d.entry("earned; dotted: beyond any number", INK)
    d.entry("where both are equal", MUTED, "dashed")
    _case(d, here)
    return d.svg(slug, f"{len(v.pav)} blocks; Cllr {v.cllr:.3f}, after recalibration {v.cllr_min:.3f}")


def cross_entropy(v: ValidationRecord, slug: str) -> str:
    """Bits that a reader still lacks, by his prior odds."""
    x = [row[0] for row in v.cross_entropy]
    most = max(max(row[1:]) for row in v.cross_entropy)
    d = Plot(across=(min(x), max(x)), up=(0, most), titles=("prior odds, log10", "bits still lacking"), rows=3)
    d.upright(0, MUTED)
    for column, (text, colour, style) in enumerate(_ENTROPIES, start=1):
        d.curve([(row[0], row[column]) for row in v.cross_entropy], colour, style)
        d.entry(text, colour, style)
    return d.svg(slug, f"At even odds: {v.cllr:.3f} with these ratios, {v.cllr_min:.3f} at best, 1 without any")


_ENTROPIES = (("these ratios", MARK, "solid"), ("recalibrated on themselves", INK, "dotted"),
              ("no ratio at all (LR = 1)", MUTED, "dashed"))  # fmt: skip


def _case(d: Plot, here: float | None) -> None:
    if here is not None:
        d.upright(here, MARK)
        d.entry(f"{CASE}: {n.llr(here)}", MARK)
