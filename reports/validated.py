"""A population's validation: its tables, its cards, and the page, Markdown and JSON that hold it alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from forensics.record import GroupRow, ValidationRecord

from . import charts, svg, words
from . import numbers as n
from . import text as texts
from .tables import Column, Table, columns
from .text import one_line

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Card:
    """A figure with its reading aid and its numbers."""

    name: str
    svg: Markup
    table: Table
    note: str = ""


def figures(v: ValidationRecord) -> Table:
    """The figures that stand for all."""
    rows = [
        ("Independent lineages, Hp / Hd", f"{v.lineages[0]} / {v.lineages[1]}"),
        ("Pairs, Hp / Hd", f"{v.pairs[0]} / {v.pairs[1]}"),
        ("Bounds of the llr", n.interval(v.bounds)),
        ("AUC: how often an Hp pair scores above an Hd pair", _with_interval(v.auc, v.auc_interval)),
        ("Cllr: bits lost; 0 is perfect, 1 says nothing", _with_interval(v.cllr, v.cllr_interval)),
        ("Cllr_min: of these, lost because pairs overlap", f"{v.cllr_min:.3f}"),
        ("Cllr_cal: of these, lost because ratios are too small or too large", f"{v.cllr_cal:.3f}"),
        ("AUC of the answers' length alone", n.NONE if v.length_only is None else f"{v.length_only:.3f}"),
        *((f"AUC of {one_line(name)} alone", f"{value:.3f}") for name, value in v.columns),
    ]
    return Table("Validation", columns("Figure | Value#"), tuple(rows))


def errors(v: ValidationRecord) -> Table:
    """Error rates, counted in lineages."""
    rows = tuple((e.name, f"{e.hits} of {e.n}", n.share(e.rate), n.share(e.upper)) for e in v.errors)
    return Table("Strongly misleading ratios", columns("Lineages with any pair at | Seen# | Rate# | 95 % bound#"), rows)


def turing(v: ValidationRecord) -> Table:
    """Turing's check."""
    rows = tuple((f"{t.x:g}", f"{t.hd:.3f}", f"{t.hp:.3f}", f"{1 / t.x:.3f}") for t in v.turing)
    head = columns("x | Pr(LR ≥ x given Hd)# | Pr(LR ≤ 1/x given Hp)# | Allowed#")
    return Table("Turing's check", head, rows)


def groups(title: str, rows: tuple[GroupRow, ...]) -> Table:
    """Kinds of pairs, or any other division of a population."""
    out = tuple((one_line(g.name), n.count(g.pairs), n.count(g.lineages),
                 n.NONE if g.auc is None or g.interval is None else _with_interval(g.auc, g.interval),
                 n.share(g.at_ten)) for g in rows)  # fmt: skip
    return Table(title, columns("Which | Pairs# | Lineages# | AUC against Hd# | LR ≥ 10#"), out)


def all_tables(v: ValidationRecord) -> tuple[Table, ...]:
    """Every table but those of the curves."""
    return figures(v), *contrasts(v), *teachers(v), errors(v), turing(v), groups("Kinds of pairs", v.kinds), *queries(v)


def queries(v: ValidationRecord) -> tuple[Table, ...]:
    """What the one-token test alone costs, and how often it gets there."""
    if not v.queries:
        return ()
    rows = tuple((one_line(q.kind), n.count(q.pairs), n.count(q.lineages), n.share(q.reached), f"{q.median:.0f}")
                 for q in v.queries)  # fmt: skip
    head = columns("Which | Pairs# | Lineages# | Reached 100# | Median number of queries until then, or in all#")
    return (Table("divergence-tokens alone: one-token queries until the evidence is 100 to 1", head, rows),)


def contrasts(v: ValidationRecord) -> tuple[Table, ...]:
    """Each kind of pair against one kind of negative: by the fused ratios with intervals, and by everything else."""
    if not v.contrasts:
        return ()
    names = [name for name, *_ in v.contrasts[0].ways]
    fused = [name for name in names if name.endswith(" llr")]
    alone = [name for name in names if name not in fused]
    joint = []
    for row in v.contrasts:
        ways = {name: (value, interval) for name, value, interval in row.ways}
        cells = (n.NONE if (found := ways[f])[0] is None or found[1] is None else _short(found[0], found[1])
                 for f in fused)  # fmt: skip
        joint.append((one_line(row.kind), n.count(row.pairs), n.count(row.lineages), *cells))
    head = columns("Which | Pairs# | Lineages#")
    wide = (*head, *(Column(one_line(name).removesuffix(" llr"), True) for name in fused))
    each = tuple(
        (one_line(name), *(n.NONE if (a := {w: x for w, x, _ in row.ways}[name]) is None else f"{a:.3f}"
                           for row in v.contrasts)) for name in alone)  # fmt: skip
    kinds = (Column("AUC of one score alone"), *(Column(one_line(row.kind), True) for row in v.contrasts))
    title = f"AUC of held-out ratios against “{one_line(v.against)}”"
    return Table(title, wide, tuple(joint)), Table(f"AUC of single scores against “{one_line(v.against)}”", kinds, each)


def teachers(v: ValidationRecord) -> tuple[Table, ...]:
    """Within each candidate's column: the fused ratios with intervals, then each score alone."""
    if not v.teachers:
        return ()
    fused, each = [], []
    for t in v.teachers:
        name, found = one_line(t.name), f"{t.auc:.3f}" if t.interval is None else _short(t.auc, t.interval)
        length = n.NONE if t.length_only is None else f"{t.length_only:.3f}"
        fused.append((name, f"{t.lineages[0]} / {t.lineages[1]}", found, "0.500", length))
        known = dict(t.columns)
        each.append((name, *(f"{known[score]:.3f}" if score in known else n.NONE for score in v.scores)))
    head = columns("Teacher | Hp / Hd# | AUC# | Text-blind# | Length alone#")
    alone = (Column("Teacher"), *(Column(one_line(score), True) for score in v.scores))
    title = "AUC within one teacher's column"
    return Table(title, head, tuple(fused)), Table(f"{title}, one score alone", alone, tuple(each))


def cards(v: ValidationRecord, here: float | None = None) -> list[Card]:
    """The three figures; use within `svg.drawing`."""
    from markupsafe import Markup

    return [
        Card("Tippett plot", Markup(charts.tippett(v, "vt", here)), _tippett(v), words.TIPPETT),
        Card("Calibration (PAV)", Markup(charts.pav(v, "vp", here)), _pav(v), words.PAV),
        Card("Empirical cross-entropy", Markup(charts.cross_entropy(v, "ve")), _entropy(v), words.CROSS_ENTROPY),
    ]


def _tippett(v: ValidationRecord) -> Table:
    rows = tuple((n.llr(x), n.share(hp), n.share(hd)) for x, hp, hd in v.tippett)
    return Table("Tippett plot", columns("llr# | Hp at or above# | Hd at or above#"), rows)


def _pav(v: ValidationRecord) -> Table:
    rows = []
    for step in v.pav:
        earned = "beyond" if step.llr is None else n.llr(step.llr)
        rows.append((n.llr(step.low), n.llr(step.high), n.count(step.hp), n.count(step.hd), earned))
    return Table("Calibration", columns("From llr# | To llr# | Hp pairs# | Hd pairs# | Earned llr#"), tuple(rows))


def _entropy(v: ValidationRecord) -> Table:
    rows = tuple((n.signed(o, 1), *(f"{x:.3f}" for x in rest)) for o, *rest in v.cross_entropy)
    return Table(
        "Empirical cross-entropy", columns("Prior odds, log10# | These ratios# | Recalibrated# | LR = 1#"), rows
    )


def _short(value: float, interval: tuple[float, float]) -> str:
    """The same in less room: five of them stand beside each other."""
    return f"{value:.3f} [{interval[0]:.2f}, {interval[1]:.2f}]"


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def html(v: ValidationRecord) -> str:
    """A page of its own."""
    from .html import environment

    record = texts.clean(v)
    with svg.drawing():
        drawn = cards(record)
    return (
        environment()
        .get_template("validation.html.j2")
        .render(v=record, cards=drawn, tables=all_tables(record), w=words)
    )


def markdown(v: ValidationRecord) -> str:
    """The same figures without the curves."""
    from .markdown import escape, table

    record = texts.clean(v)
    parts = [f"# Population {escape(record.population)}", escape(record.card), escape(words.HELD_OUT)]
    parts += [f"## {t.title}\n\n{table(t)}" for t in all_tables(record)]
    return "\n\n".join([*parts, f"Population hash {record.digest}"]) + "\n"


def as_json(v: ValidationRecord) -> str:
    """The record itself."""
    return v.to_json()


VIEWS: Mapping[str, Callable[[ValidationRecord], str]] = MappingProxyType(
    {"html": html, "md": markdown, "json": as_json}
)
