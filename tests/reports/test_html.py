from __future__ import annotations

import re

import pytest
import report_samples
from pages import Page

import reports
from forensics.record import Report

CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@pytest.fixture
def page(any_report: Report) -> Page:
    return Page(reports.render(any_report, "html"))


def test_nothing_runs_and_nothing_is_fetched(page: Page) -> None:
    forbidden = {"script", "link", "iframe", "object", "embed", "base", "form", "img"}
    assert forbidden & {tag for tag, _ in page.tags} == set()
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "action", "xlink:href"):
                assert value.startswith("#"), (tag, value)
            if name == "style":
                assert not re.search(r"url\((?!#)|@import", value)


def test_style_sheet_fetches_nothing() -> None:
    text = reports.render(report_samples.decided(), "html")
    style = text[text.index("<style>") : text.index("</style>")]
    assert not re.search(r"url\(|@import|http", style)
    assert text.count("<style") == 1


def test_policy_forbids_what_the_page_does_not_need(page: Page) -> None:
    equivalents = {a["http-equiv"]: a["content"] for _, a in page.tags if "http-equiv" in a}
    assert equivalents == {"Content-Security-Policy": CSP}


def test_tags_are_balanced(page: Page) -> None:
    assert page.unbalanced == []
    assert page.open == []


def test_headings_start_at_one_and_skip_no_level(page: Page) -> None:
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    steps = zip(page.headings, page.headings[1:], strict=False)
    assert all(below - above <= 1 for above, below in steps), page.headings


def test_landmarks_and_language(page: Page) -> None:
    for tag in ("header", "main", "nav", "footer"):
        assert page.count(tag) >= 1
    assert dict(page.tags)["html"] == {"lang": "en"}


def test_ids_are_unique_and_every_link_inside_arrives(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    wanted = {a["href"][1:] for _, a in page.tags if "href" in a}
    wanted |= {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    for _, attributes in page.tags:
        for value in attributes.values():
            wanted |= set(re.findall(r"url\(#([^)]*)\)", value))
    assert wanted <= set(page.ids)


def test_every_table_head_says_what_it_heads(page: Page) -> None:
    for tag, attributes in page.tags:
        if tag == "th":
            assert attributes.get("scope") in ("row", "col")
    assert page.count("table") == page.count("thead")


def test_every_figure_has_a_text_and_its_numbers() -> None:
    page = Page(reports.render(report_samples.decided(), "html"))
    cards = sum(a.get("class") == "card" for tag, a in page.tags if tag == "figure")
    assert cards == 15
    assert page.count("figcaption") == page.count("figure") == page.count("svg") == cards + 1
    assert all(a.get("aria-label") for tag, a in page.tags if tag == "svg")


def test_abstentions_are_rows() -> None:
    page = Page(reports.render(report_samples.decided(), "html"))
    rows = {row[0]: row for row in page.tables[0][1:]}
    assert len(rows) == 7
    assert "needs log-probs of the prompt" in rows["memorisation"][-1]


def test_withheld_is_said_and_no_number_is_made_up() -> None:
    text = Page(reports.render(report_samples.withheld(), "html")).text
    assert "Withheld: no likelihood ratio is given." in text
    assert "No population matches the conditions" in text
    assert not re.search(r"LR = ", text)


def test_colours_of_figures_follow_the_page() -> None:
    text = reports.render(report_samples.decided(), "html")
    drawn = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.S))
    assert "var(--mark)" in drawn
    assert not re.search(r"#[0-9a-fA-F]{6}\b", re.sub(r'(href|clip-path)="[^"]*"', "", drawn))


def test_names_inside_figures_are_not_formulas() -> None:
    from dataclasses import replace

    names = (("reference", 0.1), ("$\\frac{1}", 0.2), ("模型", 0.3))
    e = replace(report_samples.decided().evidence[0], closeness=names)
    text = reports.render(replace(report_samples.decided(), evidence=(e,)), "html")
    assert "$\\frac{1}" in text
    assert "模型" in text


def test_headline_carries_its_strength() -> None:
    page = Page(reports.render(report_samples.decided(), "html"))
    assert "Copied outputs: moderate support for Hp" in page.text


def test_size_of_a_large_report() -> None:
    assert len(reports.render(report_samples.large(), "html").encode()) < 3_000_000
