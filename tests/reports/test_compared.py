from __future__ import annotations

import time
from dataclasses import replace

import pytest
import report_samples
from pages import Page

import reports
from reports import compared, text

FIRST = report_samples.decided()


def test_the_same_record_twice_differs_in_nothing() -> None:
    page = Page(reports.render_comparison(FIRST, FIRST, "html")).text
    assert "Parties, suite, seed, population and versions are the same." in page
    rows = compared.evidence(text.clean(FIRST), text.clean(FIRST)).rows
    assert {row[1] for row in rows if row[2] != "–"} == {"● intervals overlap"}
    assert {float(row[-1]) for row in rows if row[-1] != "–"} == {0.0}


def test_a_change_beyond_both_intervals_is_marked() -> None:
    e = FIRST.evidence[0]
    assert e.value is not None
    assert e.interval is not None
    moved = replace(e, value=e.value + 1, interval=(e.interval[0] + 1, e.interval[1] + 1))
    second = replace(FIRST, evidence=(moved, *FIRST.evidence[1:]), manifest={**FIRST.manifest, "seed": 1})
    for a, b, sign, change in ((FIRST, second, "▲", 1.0), (second, FIRST, "▼", -1.0)):
        row = compared.evidence(text.clean(a), text.clean(b)).rows[0]
        assert row[1].startswith(sign)
        assert float(row[-1]) == pytest.approx(change)
    found = compared.conditions(text.clean(FIRST), text.clean(second)).rows
    assert [row[0] for row in found] == ["seed"]


def test_page_and_markdown_hold_the_same_tables() -> None:
    second = report_samples.withheld()
    page = Page(reports.render_comparison(FIRST, second, "html"))
    lines = [x for x in reports.render_comparison(FIRST, second, "md").splitlines() if x.startswith("| ")]
    written = [[c.replace("\\", "").strip() for c in x.strip("|").split("|")] for x in lines]
    shown = [row for t in page.tables for row in t]
    assert shown == [row for row in written if set(row) - {"---", "---:"}]
    assert page.unbalanced == page.open == []


def test_hostile_records_do_nothing() -> None:
    hostile = report_samples.hostile()
    page = Page(reports.render_comparison(hostile, hostile, "html"))
    assert page.count("script") == page.count("img") == 0


def test_a_large_report_is_rendered_in_three_seconds() -> None:
    """200 items, 10 controls, 11 comparators; processor time, so that a busy machine does not matter."""
    report = report_samples.large()
    reports.render(report_samples.decided(), "html")
    start = time.process_time()
    page = reports.render(report, "html")
    assert time.process_time() - start < 3.0
    assert len(page.encode()) < 3_000_000
