from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
import report_samples
from pages import Page

import reports
from forensics.errors import UsageError
from forensics.record import EvidenceRecord, Report
from reports import markdown

NUMBER = r"[-+]?\d[\d,]*\.?\d*(?:e[-+]\d+)?"


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("name", ["decided", "withheld"])
@pytest.mark.parametrize(("format", "ending"), [("md", "md"), ("terminal", "txt"), ("json", "json")])
def test_golden(name: str, format: str, ending: str, golden: Callable[[str, str], None]) -> None:
    golden(f"report-{name}.{ending}", plain(reports.render(getattr(report_samples, name)(), format, width=100)))


@pytest.mark.parametrize("format", list(reports.FORMATS))
def test_same_record_same_bytes(format: str, any_report: Report) -> None:
    again = Report.from_json(any_report.to_json())
    assert reports.render(any_report, format) == reports.render(again, format)


def test_json_is_the_record(any_report: Report) -> None:
    assert Report.from_json(reports.render(any_report, "json")) == any_report


def test_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="html"):
        reports.render(report_samples.empty(), "htm")


def test_names_are_there() -> None:
    assert all(hasattr(reports, name) for name in reports.__all__)


def test_import_loads_nothing_heavy() -> None:
    heavy = {"jinja2", "matplotlib", "rich", "pydantic", "numpy"}
    code = f"import sys, reports; print({heavy} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def _rows_md(text: str) -> dict[str, str]:
    part = text[text.index("## Evidence") : text.index("## Likelihood ratios")]
    return {line.split("|")[1].partition("(")[0].strip(): line for line in part.splitlines() if line.startswith("| ")}


def _rows_html(text: str) -> dict[str, str]:
    return {row[0].partition(" (")[0]: " | ".join(row) for row in Page(text).tables[0]}


def _rows_terminal(text: str, names: list[str]) -> dict[str, str]:
    part = text[text.index("\nEvidence\n") : text.index("\n· ")]
    starts = sorted((part.index(f"\n{name} "), name) for name in names)
    ends = [start for start, _ in starts[1:]] + [len(part)]
    return {name: part[start:end] for (start, name), end in zip(starts, ends, strict=True)}


def _expected(e: EvidenceRecord) -> list[float]:
    band = dict(e.background.quantiles) if e.background else {}
    found = [float(e.n), e.value, *(e.interval or ()), band.get("0.025"), band.get("0.975"), e.llr]
    if e.background:
        found.append(100 * e.background.above)
    return [x for x in found if x is not None]


def _holds(row: str, wanted: float) -> bool:
    """Whether the row prints the number, rounded as far as it is printed there."""
    for text in re.findall(NUMBER, row):
        shown = text.replace(",", "")
        places = len(shown.partition(".")[2]) if "e" not in shown else 12
        if abs(float(shown) - wanted) <= 0.5 * 10**-places + 1e-9:
            return True
    return False


@pytest.mark.parametrize("name", ["decided", "withheld"])
def test_three_views_print_the_numbers_of_the_record(name: str) -> None:
    report: Report = getattr(report_samples, name)()
    record = Report.from_json(reports.render(report, "json"))
    names = [e.comparator for e in record.evidence]
    views = [
        _rows_md(reports.render(report, "md")), _rows_html(reports.render(report, "html")),
        _rows_terminal(plain(reports.render(report, "terminal", width=100)), names),
    ]  # fmt: skip
    for e in record.evidence:
        found = [sorted(re.findall(NUMBER, re.sub(r"\(.*\)", "", view[e.comparator]))) for view in views]
        assert found[0] == found[1] == found[2]
        for wanted in _expected(e):
            assert all(_holds(view[e.comparator], wanted) for view in views), (e.comparator, wanted)


def _cells(rows: list[list[str]]) -> list[list[str]]:
    return [[" ".join(cell.replace("\\", "").split()) for cell in row] for row in rows]


@pytest.mark.parametrize("name", ["ratios", "exact", "exact_words", "relations", "closeness", "baselines",
                                  "confounders", "parties", "ablations", "self_checks"])  # fmt: skip
def test_every_table_is_the_same_on_the_page_and_in_markdown(name: str) -> None:
    from reports import tables, text

    record = report_samples.decided()
    table = getattr(tables, name)(text.clean(record))
    wanted = _cells([[c.label for c in table.columns], *map(list, table.rows)])
    page = [_cells(t) for t in Page(reports.render(record, "html")).tables]
    lines = [line for line in reports.render(record, "md").splitlines() if line.startswith("| ")]
    written = _cells([line.strip("|").split("|") for line in lines])
    assert any(t == wanted for t in page) or name == "self_checks"
    start = written.index(wanted[0])
    assert [wanted[0], *written[start + 2 : start + 1 + len(wanted)]] == wanted


@pytest.mark.parametrize("name", ["decided", "withheld"])
def test_the_first_screen_says_the_same_in_every_view(name: str) -> None:
    from reports import summary, text

    report: Report = getattr(report_samples, name)()
    s = summary.summarise(text.clean(report))
    views = [
        Page(reports.render(report, "html")).text, reports.render(report, "md").replace("\\", ""),
        plain(reports.render(report, "terminal", width=3000)).replace("│", " "),
    ]  # fmt: skip
    assert s.changes
    assert s.speaks_for or s.speaks_against
    for line in (s.question, s.hp, s.hd, s.wording, *s.lines, *s.rests, *s.speaks_for, *s.speaks_against, *s.changes):
        for view in views:
            assert " ".join(line.split()) in " ".join(view.split()), line


def test_evidence_for_and_against_is_sorted_by_the_same_rule() -> None:
    """Mirror the numbers, and the two lists change places: neither side has a rule of its own."""
    from dataclasses import replace

    from reports import summary

    base = report_samples.decided()
    turned = []
    for e in base.evidence:
        bg = e.background
        if bg is not None and e.value is not None:
            low, high = (dict(bg.quantiles)[q] for q in ("0.025", "0.975"))
            bg = replace(bg, quantiles=(("0.025", -high), ("0.5", 0.0), ("0.975", -low)))
        turned.append(replace(e, value=None if e.value is None else -e.value, llr=None if e.llr is None else -e.llr,
                              background=bg))  # fmt: skip
    a, b = summary.summarise(base), summary.summarise(replace(base, evidence=tuple(turned)))

    def names(lines: tuple[str, ...]) -> list[str]:
        return [line.partition(":")[0] for line in lines]

    assert names(a.speaks_for) == names(b.speaks_against)
    assert names(a.speaks_against) == names(b.speaks_for)


def test_verdict_line_is_the_same_everywhere() -> None:
    report = report_samples.decided()
    page = Page(reports.render(report, "html")).text
    for text in (reports.render(report, "md"), plain(reports.render(report, "terminal")), page):
        assert "LR = 17 (log10 +1.23): moderate support for Hp" in text
        assert "[+0.77, +1.69] (LR 5.9 to 49)" in text
        assert "[-1.90, +1.90] (LR 1/80 to 80)" in text


def test_a_value_at_the_bound_is_said_to_be_at_the_bound() -> None:
    from dataclasses import replace

    base = report_samples.decided()
    report = replace(base, verdict=replace(base.verdict, llr=1.90309, interval=(1.5, 1.90309)))
    assert "at the bound" in reports.render(report, "md")
    assert "at the bound" not in reports.render(base, "md")


def test_no_color_loses_colour_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = reports.render(report_samples.decided(), "terminal", width=80)
    monkeypatch.setenv("NO_COLOR", "1")
    bare = reports.render(report_samples.decided(), "terminal", width=80)
    assert re.search(r"\x1b\[[0-9;]*3\dm", coloured)
    assert not re.search(r"\x1b\[[0-9;]*3\dm", bare)
    assert plain(coloured) == plain(bare)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_terminal_keeps_to_its_width(width: int, any_report: Report) -> None:
    assert max(map(len, plain(reports.render(any_report, "terminal", width=width)).splitlines())) <= width


@pytest.mark.parametrize("limit", [300, 3_000, 8_000, 60_000])
def test_markdown_fits_its_limit_and_says_what_is_gone(limit: int) -> None:
    whole = markdown.render(report_samples.large())
    text = markdown.render(report_samples.large(), max_bytes=limit)
    assert len(text.encode()) <= limit < len(whole.encode())
    assert "report.json has all" in text


def test_short_markdown_loses_both_sides_or_neither() -> None:
    for limit in range(4_000, 170_000, 20_000):
        text = markdown.render(report_samples.large(), max_bytes=limit)
        assert ("Exhibits for Hp" in text) == ("Exhibits against Hp" in text)


@pytest.mark.parametrize("record", ["report", "check"])
def test_pydantic_schema_is_current(record: str) -> None:
    from reports.machine import schema_text, stored_schema

    assert stored_schema(record) == schema_text(record), "run python -m reports.schema"
    assert reports.schema(record) == json.loads(stored_schema(record))


def test_schema_names_what_the_contract_promises() -> None:
    promised = (
        "schema_version case parties capabilities verdict evidence exact baselines self_checks limitations exhibits"
    )
    assert {*promised.split(), "manifest"} <= set(reports.schema()["properties"])
