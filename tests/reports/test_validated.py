from __future__ import annotations

import re
from dataclasses import replace

import report_samples
from pages import Page

import reports

VALIDATION = report_samples.VALIDATION
NUMBER = r"[-+]?\d[\d,]*\.?\d*(?: %)?"


def _numbers(rows: list[list[str]]) -> list[str]:
    return re.findall(NUMBER, " ".join(" ".join(row) for row in rows))


def test_page_and_markdown_print_the_same_numbers() -> None:
    page = Page(reports.render_validation(VALIDATION, "html"))
    markdown = reports.render_validation(VALIDATION, "md")
    lines = [line.replace("\\", "").strip("|").split("|") for line in markdown.splitlines() if line.startswith("| ")]
    count = len(reports.validation_tables(VALIDATION))
    assert _numbers([row for t in page.tables[:count] for row in t]) == _numbers(lines)


def test_figures_of_the_record_are_all_printed() -> None:
    text = Page(reports.render_validation(VALIDATION, "html")).text
    for wanted in ("80 / 80", "160 / 480", "0.941 [0.912, 0.966]", "0.412 [0.330, 0.510]", "0.372", "0.040", "2 of 80",
                   "7.7 %", "0.110", "0.550", "meridian-large", "0.950 [0.90, 0.99]"):  # fmt: skip
        assert wanted in text, wanted


def test_every_curve_has_a_reading_aid_and_its_numbers() -> None:
    page = Page(reports.render_validation(VALIDATION, "html"))
    assert page.count("figure") == page.count("details") == page.count("svg") == 3
    assert page.text.count("How to read it") == 3
    sizes = [len(t) - 1 for t in page.tables[-3:]]
    assert sizes == [len(VALIDATION.tippett), len(VALIDATION.pav), len(VALIDATION.cross_entropy)]


def test_the_case_is_marked_on_the_curves_of_its_report() -> None:
    base = report_samples.decided()
    assert reports.render(base, "html").count("this case: +1.23") == 2
    withheld = replace(base, verdict=replace(base.verdict, llr=None, bounds=None, interval=None))
    assert "this case" not in reports.render(withheld, "html")


def test_json_is_the_record() -> None:
    from forensics.record import ValidationRecord
    from forensics.serial import load

    assert load(ValidationRecord, reports.render_validation(VALIDATION, "json").encode()) == VALIDATION


def test_hostile_names_do_nothing() -> None:
    hostile = report_samples.hostile().validation
    assert hostile is not None
    page = Page(reports.render_validation(hostile, "html"))
    assert page.count("script") == page.count("img") == 0
    assert page.unbalanced == page.open == []
    assert "<script" not in re.sub(r"\\.", "", reports.render_validation(hostile, "md"))
