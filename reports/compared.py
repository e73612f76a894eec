"""Two audits side by side: last month's and today's. Differences of numbers, and what makes them comparable or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from forensics.record import EvidenceRecord, Report

from . import numbers as n
from . import summary, tables, words
from . import text as texts
from .tables import Table, columns
from .text import one_line

CONDITIONS = ("suite_digest", "seed", "conditions", "judged", "population", "versions", "code")


def answers(first: Report, second: Report) -> Table:
    """What both audits say first."""
    a, b = summary.summarise(first), summary.summarise(second)
    v, w = first.verdict, second.verdict
    rows = [
        ("Question", a.question, b.question), ("Case", one_line(first.case.id), one_line(second.case.id)),
        ("Answers collected", _when(first), _when(second)),
        ("Decision", f"{a.mark} {a.headline}", f"{b.mark} {b.headline}"),
        ("llr (log10)", n.llr(v.llr), n.llr(w.llr)), ("95 % interval", n.interval(v.interval), n.interval(w.interval)),
        ("Bounds", n.interval(v.bounds), n.interval(w.bounds)),
        ("Population", one_line(v.population or n.NONE), one_line(w.population or n.NONE)),
        ("Power", a.power, b.power),
    ]  # fmt: skip
    return Table("The two answers", columns("What | First | Second"), tuple(rows))


def _when(report: Report) -> str:
    first, last = (report.manifest.get(key) for key in ("first_answer", "last_answer"))
    return one_line(f"{first} to {last}") if first and last else n.NONE


def evidence(first: Report, second: Report) -> Table:
    """Every comparator of either audit; an interval that excludes the other's value is marked."""
    mine, theirs = ({one_line(e.comparator): e for e in r.evidence} for r in (first, second))
    rows = []
    for name in dict.fromkeys((*mine, *theirs)):
        a, b = mine.get(name), theirs.get(name)
        d = n.decimals(x for e in (a, b) if e for x in (e.value, *(e.interval or ())))
        change = b.value - a.value if a and b and a.value is not None and b.value is not None else None
        rows.append((name, _moved(a, b), *_cells(a, d), *_cells(b, d), n.signed(change, d)))
    head = columns("Comparator | Reading | First# | Its interval# | Second# | Its interval# | Change#")
    return Table("Evidence side by side", head, tuple(rows), "Neither audit ran a comparator.")


def _cells(e: EvidenceRecord | None, d: int | None) -> tuple[str, str]:
    return (n.NONE, n.NONE) if e is None else (n.signed(e.value, d), n.interval(e.interval, d))


def _moved(a: EvidenceRecord | None, b: EvidenceRecord | None) -> str:
    if a is None or b is None:
        return "only in the second" if a is None else "only in the first"
    if a.value is None or b.value is None or a.interval is None or b.interval is None:
        return "not measured in both"
    if a.interval[1] < b.interval[0]:
        return "▲ closer to the reference than before"
    if b.interval[1] < a.interval[0]:
        return "▼ farther from the reference than before"
    return "● intervals overlap"


def exact(first: Report, second: Report) -> Table:
    """Exact tests of either audit."""
    rows = []
    found = [{(one_line(x.test), one_line(x.against)): x for x in r.exact} for r in (first, second)]
    for key in dict.fromkeys((*found[0], *found[1])):
        ps = (n.probability(side[key].p) if key in side else n.NONE for side in found)
        rows.append((f"{key[0]} ({key[1]})", *ps))
    return Table("Exact tests side by side", columns("Test | p in the first# | p in the second#"), tuple(rows),
                 "Neither audit ran an exact test.")  # fmt: skip


def conditions(first: Report, second: Report) -> Table:
    """What was not the same: without this list, two numbers side by side mislead."""
    rows = []
    for role, a, b in _parties(first, second):
        if a != b:
            rows.append((role, a, b))
    sides = [dict(tables.flat({k: r.manifest.get(k) for k in CONDITIONS}, "")) for r in (first, second)]
    for key in dict.fromkeys((*sides[0], *sides[1])):
        a, b = (one_line(side.get(key, n.NONE)) for side in sides)
        if a != b:
            rows.append((one_line(key).replace("_", " "), a, b))
    return Table("Conditions that differ", columns("Condition | First | Second"), tuple(rows), words.SAME_CONDITIONS)


def _parties(first: Report, second: Report) -> list[tuple[str, str, str]]:
    out = []
    for role in ("suspect", "reference", "control", "base"):
        sides = (", ".join(one_line(p.spec) for p in r.parties if p.role == role) or n.NONE for r in (first, second))
        a, b = sides
        out.append((role, a, b))
    return out


def all_tables(first: Report, second: Report) -> tuple[Table, ...]:
    """All of them, for records that were cleaned."""
    return tuple(make(first, second) for make in (answers, conditions, evidence, exact))


def html(first: Report, second: Report) -> str:
    """A page of its own."""
    from .html import environment

    a, b = texts.clean(first), texts.clean(second)
    page = environment().get_template("comparison.html.j2")
    return page.render(a=a, b=b, found=all_tables(a, b), w=words, t=tables)


def markdown(first: Report, second: Report) -> str:
    """The same tables."""
    from .markdown import escape, table

    found = all_tables(texts.clean(first), texts.clean(second))
    parts = ["# Two audits side by side", escape(words.SIDE_BY_SIDE)]
    return "\n\n".join([*parts, *(f"## {t.title}\n\n{table(t)}" for t in found)]) + "\n"


def as_json(first: Report, second: Report) -> str:
    """Both records, whole."""
    both: dict[str, Any] = {"first": json.loads(first.to_json()), "second": json.loads(second.to_json())}
    return json.dumps(both, ensure_ascii=True, indent=2) + "\n"


VIEWS: Mapping[str, Callable[[Report, Report], str]] = MappingProxyType({"html": html, "md": markdown, "json": as_json})
