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
    assert cards == 20
    assert page.count("figcaption") == page.count("figure") == page.count("svg") == cards + 1
    assert all(a.get("aria-label") for tag, a in page.tags if tag == "svg")


def test_exculpatory_evidence_has_the_same_box_and_heading() -> None:
    page = Page(reports.render(report_samples.decided(), "html"))
    assert [a["class"] for tag, a in page.tags if a.get("class", "").startswith("side ")] == ["side hp", "side hd"]
    text = reports.render(report_samples.decided(), "html")
    assert "<h3>Speaks for Hp</h3>" in text
    assert "<h3>Speaks against Hp, or for neither</h3>" in text
    style = text[text.index("<style>") : text.index("</style>")]
    hp, hd = (re.search(rf"\.side\.{side} {{(.*?)}}", style) for side in ("hp", "hd"))
    assert hp
    assert hd
    assert hp[1].replace("--hp", "") == hd[1].replace("--hd", "")


def test_confounders_say_what_was_not_controlled() -> None:
    page = Page(reports.render(report_samples.decided(), "html"))
    found = next(t for t in page.tables if t[0][0] == "Confounder")
    assert found[1][1] == "✓ weights were compared"
    assert found[2][1] == "✗ not controlled"


def test_a_map_that_would_mislead_is_not_drawn() -> None:
    from dataclasses import replace

    base = report_samples.decided()
    assert base.relations is not None
    drawn = reports.render(base, "html")
    bare = reports.render(replace(base, relations=replace(base.relations, stress=0.3, places=None)), "html")
    assert "map of 5 parties" in drawn
    assert "map of 5 parties" not in bare
    assert "No map is drawn" in bare


def test_learnt_tokens_are_marked_by_how_much() -> None:
    text = reports.render(report_samples.decided(), "html")
    for part in ('<span class="gain2"> kettle</span>', '<span class="lost"> goes</span>',
                 '<span class="gain3"> quiet</span>', '<span class="gain1"> small</span>'):  # fmt: skip
        assert part in text


def test_abstentions_are_rows() -> None:
    page = Page(reports.render(report_samples.decided(), "html"))
    rows = {row[0]: row for row in page.tables[0][1:]}
    assert len(rows) == 7
    assert "needs log-probs of the prompt" in rows["memorisation"][1]


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


def _contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("text", ["ink", "muted", "link", "hp", "hd", "mark"])
def test_contrast_is_enough_to_read(theme: int, text: str) -> None:
    page = reports.render(report_samples.empty(), "html")
    blocks = re.findall(r":root \{(.*?)\}", page, flags=re.S)
    colours = dict(re.findall(r"--([\w]+): (#[0-9a-f]{6})", blocks[theme]))
    heat = [f"heat{level}" for level in range(5)]
    for paper in ("page", "paper", "shade", *(["own", "band", *heat] if text == "ink" else [])):
        assert _contrast(colours[text], colours[paper]) >= 4.5, (text, paper)


def test_style_sheet_is_well_formed() -> None:
    page = reports.render(report_samples.empty(), "html")
    style = page[page.index("<style>") : page.index("</style>")]
    depth = 0
    for character in style:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert 0 <= depth <= 3
    assert depth == 0
    assert not re.search(r"[;}]\s*\{", style), "a rule without a selector"


@pytest.mark.parametrize(
    "decision", ["copied-outputs", "copied-weights", "shared-source", "independent", "cannot-tell"]
)
def test_every_decision_is_a_word_and_a_mark(decision: str) -> None:
    from dataclasses import replace

    base = report_samples.withheld()
    report = replace(base, verdict=replace(base.verdict, decision=decision))  # type: ignore[arg-type]
    text = Page(reports.render(report, "html")).text
    assert decision.replace("-", " ").capitalize() in text
    assert ("the question stays open" in text) == (decision == "cannot-tell")
    assert "support for H" not in text.replace("◀ support for Hd", "").split("Glossary")[0]


def test_an_unknown_direction_is_shown_as_context() -> None:
    text = Page(reports.render(report_samples.hostile(), "html")).text
    assert "they carry no weight" in text
