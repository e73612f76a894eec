"""One HTML file: no script, nothing fetched, the same bytes for the same record."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.record import EvidenceRecord, Exhibit, Report

from . import diff, figures, summary, svg, tables, validated, words
from . import text as texts
from .scale import Scale, scale
from .validated import Card

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers side by side."""

    left: str
    right: str
    sides: tuple[diff.Side, diff.Side]
    shared: int
    words: tuple[int, int]


@dataclass(frozen=True, slots=True)
class ShownExhibit:
    """An exhibit with its comparisons made."""

    item: str
    family: str
    prompt: str
    digest: str
    closeness: tables.Table
    tokens: tuple[tuple[str, int], ...]
    token_table: tables.Table
    main: Pair | None
    control: Pair | None
    others: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ShownGroup:
    """The exhibits of one direction."""

    title: str
    explanation: str
    exhibits: tuple[ShownExhibit, ...]


def render(report: Report, *, width: int | None = None) -> str:
    """The page. ``width`` is ignored: it fits itself to any screen and to paper."""
    record = texts.clean(report)
    with svg.drawing():
        cards = _cards(record)
    page = environment().get_template("report.html.j2")
    return page.render(
        r=record, s=summary.summarise(record), t=tables, w=words, v=validated, scale=_scale(record),
        groups=_groups(record), **cards,
    )  # fmt: skip


@functools.cache
def environment() -> Environment:
    """The templates; everything printed by them is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("reports"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip


def _scale(report: Report) -> Scale | None:
    v = report.verdict
    return None if v.llr is None or v.bounds is None else scale(v.llr, v.bounds, v.interval)


def _cards(report: Report) -> dict[str, list[Card]]:
    from markupsafe import Markup

    found: dict[str, list[Card]] = {
        "forests": [],
        "backgrounds": [],
        "closenesses": [],
        "validation": [],
        "forest": [],
        "map": [],
    }
    for i, e in enumerate(report.evidence):
        name = tables.name(e)
        if e.value is not None:
            found["forests"].append(Card(name, Markup(figures.forest(e, f"f{i}")), _row(report, i), _position(e)))
        if e.value is not None and e.background and e.background.histogram:
            found["backgrounds"].append(Card(name, Markup(figures.background(e, f"b{i}")), tables.histogram(e)))
        if e.closeness:
            found["closenesses"].append(Card(name, Markup(figures.closeness(e, f"c{i}")), tables.closeness_of(e)))
    ratios = figures.ratios(report, "lr")
    if ratios:
        found["forest"].append(Card("llr of each comparator", Markup(ratios), tables.ratios(report)))
    if report.relations and report.relations.places:
        drawn = Markup(figures.relations(report.relations, "map"))
        found["map"].append(
            Card(f"Map, stress {report.relations.stress:.2f}", drawn, tables.relations(report), words.MAP)
        )
    if report.validation:
        found["validation"] = validated.cards(report.validation, report.verdict.llr)
    return found


def _row(report: Report, i: int) -> tables.Table:
    """One row of the evidence table, upright, so that it fits a small card."""
    whole = tables.evidence(report)
    rows = tuple((c.label, v) for c, v in zip(whole.columns, whole.rows[i], strict=True) if c.numeric)
    return tables.Table(whole.title, (tables.Column("Measure"), tables.Column("Number", True)), rows)


def _position(e: EvidenceRecord) -> str:
    sign = tables.mark(e)
    return f"{sign} {tables.READING[sign]}".strip()


def _groups(report: Report) -> list[ShownGroup]:
    return [ShownGroup(g.title, g.explanation, tuple(map(_shown, g.exhibits))) for g in summary.groups(report)]


def _shown(exhibit: Exhibit) -> ShownExhibit:
    answers = dict(exhibit.answers)
    near = summary.nearest_control(exhibit)
    taken = {"suspect", "reference", near}
    return ShownExhibit(
        item=texts.one_line(exhibit.item), family=texts.one_line(exhibit.family), prompt=exhibit.prompt,
        digest=texts.one_line(exhibit.request_digest), closeness=tables.closeness_of(exhibit),
        tokens=tuple((text, _level(gain)) for text, gain in exhibit.tokens), token_table=tables.tokens(exhibit),
        main=_pair(answers, "suspect", "reference"), control=_pair(answers, "suspect", near) if near else None,
        others=tuple((name, text) for name, text in exhibit.answers if name not in taken),
    )  # fmt: skip


def _level(gain: float) -> int:
    """How a token is marked: -1 lost half a nat or more, 1 … 3 gained half, one and two nats, 0 neither."""
    return -1 if gain <= -0.5 else sum(gain >= limit for limit in (0.5, 1.0, 2.0))


def _pair(answers: dict[str, str], left: str, right: str) -> Pair | None:
    if left not in answers or right not in answers:
        return None
    sides = diff.compare(answers[left], answers[right])
    counts = (len(answers[left].split()), len(answers[right].split()))
    return Pair(texts.one_line(left), texts.one_line(right), sides, diff.shared(sides[0]), counts)
