"""A check's record as people and CI read it: JUnit XML, Markdown for a job summary, one annotation, a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from forensics.record import Report

from . import numbers as n
from . import text as texts
from .markdown import escape
from .markdown import render as audit_markdown

if TYPE_CHECKING:
    from forensics.check.record import CheckRecord, DriftRecord

Drawn = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
SUMMARY_BYTES = 65_536  # of the 1 MiB that a job summary may have: it is read on one screen
MARKS = {"pass": "✓", "fail": "✗", "inconclusive": "○"}
WORDS = {"pass": "passed", "fail": "failed", "inconclusive": "inconclusive"}
_NOT_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def headline(check: CheckRecord) -> str:
    """The outcome in one line, with the gates that made it."""
    c = texts.clean(check)
    named = [g.gate for g in c.gates if g.outcome == c.outcome]
    what = f": {', '.join(named)}" if c.outcome != "pass" and named else ""
    return texts.one_line(f"{WORDS[c.outcome]}{what} ({c.suspect} against {c.reference})")


def junit(check: CheckRecord, *, report: str | None = None) -> str:
    """JUnit XML: a test case a gate; failed gates are failures, inconclusive ones are skipped. ``report``: where the
    whole report lies."""
    c = texts.clean(check)
    counts = {k: sum(g.outcome == k for g in c.gates) for k in WORDS}
    root, suite = _suite(len(c.gates), failures=counts["fail"], skipped=counts["inconclusive"])
    properties = ElementTree.SubElement(suite, "properties")
    facts = {"suspect": c.suspect, "reference": c.reference, "outcome": c.outcome, "decision": c.verdict.decision,
             "llr": "withheld" if c.verdict.llr is None else n.llr(c.verdict.llr), "report": report or ""}  # fmt: skip
    if c.baseline is not None:
        facts |= {"baseline": c.baseline.release, "look": str(c.baseline.look)}
    for name, value in facts.items():
        ElementTree.SubElement(properties, "property", name=name, value=_xml(value))
    for g in c.gates:
        case = ElementTree.SubElement(suite, "testcase", classname="forensics.check", name=_xml(g.gate), time="0")
        told = _xml(texts.one_line(g.detail))
        if g.outcome == "fail":
            failure = ElementTree.SubElement(case, "failure", message=told, type="gate")
            failure.text = _xml("\n".join([told, c.verdict.wording, *([f"report: {report}"] if report else [])]))
        elif g.outcome == "inconclusive":
            ElementTree.SubElement(case, "skipped", message=f"inconclusive: {told}")
        ElementTree.SubElement(case, "system-out").text = told
    return _written(root)


def junit_error(message: str, gates: Sequence[str]) -> str:
    """The same for a check that did not come to an end: every gate is an error."""
    root, suite = _suite(len(gates), errors=len(gates))
    for name in gates:
        case = ElementTree.SubElement(suite, "testcase", classname="forensics.check", name=_xml(name), time="0")
        ElementTree.SubElement(case, "error", message=_xml(texts.one_line(texts.shown(message))), type="not-completed")
    return _written(root)


def _suite(tests: int, *, failures: int = 0, skipped: int = 0, errors: int = 0) -> tuple[ElementTree.Element, ...]:
    counts = {"tests": tests, "failures": failures, "errors": errors, "skipped": skipped}
    told = {k: str(v) for k, v in counts.items()}
    root = ElementTree.Element("testsuites", told | {"name": "forensics"})
    return root, ElementTree.SubElement(root, "testsuite", told | {"name": "forensics check", "time": "0"})


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _written(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def annotation(check: CheckRecord) -> str:
    """One workflow command of GitHub Actions; everything in it that could start another one is escaped."""
    level = {"pass": "notice", "fail": "error", "inconclusive": "warning"}[check.outcome]
    details = [texts.one_line(g.detail) for g in texts.clean(check).gates if g.outcome == check.outcome]
    message = ". ".join([headline(check), *(details[:1] if check.outcome != "pass" else [])])
    return f"::{level} title=forensics check::{_command(message)}"


def _command(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def markdown(check: CheckRecord, report: Report | None = None, *, max_bytes: int = SUMMARY_BYTES) -> str:
    """The outcome, a table of gates, a table of drifts, and as much of the audit's report as fits."""
    c = texts.clean(check)
    parts = [f"## {MARKS[c.outcome]} forensics check {escape(headline(check))}", _gates(c), _against(c)]
    if c.drift:
        parts.append(_drifts(c.drift))
    parts += [f"- {escape(note)}" for note in c.notes]
    text = "\n\n".join(p for p in parts if p) + "\n"
    left = max_bytes - len(text.encode()) - 200
    if report is None or left < 2_000:
        return text if len(text.encode()) <= max_bytes else text.encode()[:max_bytes].decode(errors="ignore")
    inner = audit_markdown(report, max_bytes=left)
    return f"{text}\n<details><summary>The audit</summary>\n\n{inner}\n</details>\n"


def _gates(c: CheckRecord) -> str:
    rows = []
    for g in c.gates:
        cells = (f"{MARKS[g.outcome]} {WORDS[g.outcome]}", escape(g.gate), _number(g.value), _pair(g.interval))
        rows.append("| " + " | ".join((*cells, escape(g.detail))) + " |")
    return "\n".join(["| outcome | gate | value | interval | why |", "| --- | --- | ---: | ---: | --- |", *rows])


def _against(c: CheckRecord) -> str:
    if c.baseline is None:
        return ""
    return escape(against(c))


def against(c: CheckRecord) -> str:
    """What the release was compared with, in a sentence."""
    b = c.baseline
    if b is None:
        return ""
    plan = "a series without end" if b.planned is None else f"{b.planned} looks"
    return (
        f"Compared with {b.release} ({b.runs} clean run{'s' if b.runs != 1 else ''}); look {b.look}, at level "
        f"{b.level:.3g} of alpha = {b.alpha:g} over {plan}."
    )


def _drifts(rows: Sequence[DriftRecord]) -> str:
    head = "| drift | value | interval | noise margin | one run's sd (df) | items' sd | 9 of 10 builds fail at |"
    body = [
        f"| {escape(d.quantity)} | {_number(d.value)} | {_pair(d.interval)} | {_number(d.margin)} | "
        f"{_number(d.run_sd)} ({d.run_df}, {escape(d.noise)}) | {_number(d.item_sd)} | {_number(d.detectable)} |"
        if d.value is not None
        else f"| {escape(d.quantity)} | – | – | – | – | – | {escape(d.reason)} |"
        for d in rows
    ]
    return "\n".join([head, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |", *body])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3g}"


def _pair(value: tuple[float, float] | None) -> str:
    return "–" if value is None else f"{value[0]:+.3g} to {value[1]:+.3g}"


def tables(check: CheckRecord) -> list[Drawn]:
    """(title, columns, rows) for a terminal."""
    c = texts.clean(check)
    gates: list[tuple[str, ...]] = [
        (
            f"{MARKS[g.outcome]} {WORDS[g.outcome]}",
            g.gate,
            _number(g.value),
            _pair(g.interval),
            texts.one_line(g.detail),
        )
        for g in c.gates
    ]
    found: list[Drawn] = [
        (f"forensics check {headline(check)}", ("outcome", "gate", "value", "interval", "why"), gates)
    ]
    measured = [d for d in c.drift if d.value is not None]
    if measured:
        rows: list[tuple[str, ...]] = [
            (d.quantity, _number(d.value), _number(d.margin), f"{_number(d.run_sd)} ({d.run_df})",
             _number(d.detectable), d.unit)
            for d in measured
        ]  # fmt: skip
        head = ("drift", "value", "noise margin", "run sd (df)", "9 of 10 fail at", "unit")
        found.append((against(c), head, rows))
    return found


def remarks(check: CheckRecord) -> tuple[str, ...]:
    """What a reader of the tables must know besides: drifts that could not be measured, and notes."""
    c = texts.clean(check)
    gone = [f"drift {d.quantity}: {texts.one_line(d.reason)}" for d in c.drift if d.value is None]
    return (*gone, *map(texts.one_line, c.notes))
