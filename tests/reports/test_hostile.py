"""What models, servers and file names bring must arrive as text and do nothing."""

from __future__ import annotations

import re
import unicodedata

import pytest
import report_samples
from pages import Page

import reports


def _steers(text: str, allowed: str) -> set[str]:
    return {f"U+{ord(c):04X}" for c in text if unicodedata.category(c) in ("Cc", "Cf") and c not in allowed}


def _all_texts() -> dict[str, str]:
    """Every format of everything that is written from a record, but for JSON, which escapes by its encoding."""
    record = report_samples.hostile()
    assert record.validation is not None
    found = {name: reports.render(record, name) for name in reports.FORMATS if name != "json"}
    found |= {f"compared {n}": reports.render_comparison(record, record, n) for n in ("html", "md")}
    found |= {f"validated {n}": reports.render_validation(record.validation, n) for n in ("html", "md")}
    tables = reports.validation_tables(record.validation)
    found["validated tables"] = "\n".join(cell for t in tables for row in t.rows for cell in row)
    return found


def test_nothing_gets_through_in_any_format() -> None:
    for name, source in _all_texts().items():
        text = re.sub(r"\x1b\[[0-9;]*m", "", source) if name == "terminal" else source
        assert _steers(text, "\n") == set(), name
        if "html" in name:
            assert "<script" not in source, name
            assert Page(source).count("img") == 0, name
        if "md" in name:
            plain = re.sub(r"(?ms)^(`{3,})text\n.*?^\1$", "", source)
            assert not re.search(r"(?<!\\)<|(?<!\\)\]\(|(?<!\\)://", plain), name


def test_no_format_is_a_spreadsheet() -> None:
    """A cell that begins with = or + is a formula there; whoever adds such a format has to quote them."""
    assert set(reports.FORMATS) <= {"html", "md", "json", "terminal", "junit", "summary"}


@pytest.mark.parametrize(
    "name", ["\x1b]0;owned\x07", "[bold red]x[/]", "a\u202eb", "\x9b31m", "[link=http://x]y[/link]\\"]
)
def test_a_bar_is_named_by_text(name: str) -> None:
    """Controls are called after their files, and those are named by whoever made them."""
    import io

    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TextColumn

    from forensics.console import label
    from forensics.types import Progress

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system=None, width=80)
    with Bars(TextColumn("{task.description}"), console=console, auto_refresh=False) as display:
        display.add_task(label(Progress("answers", name, 0, 1)), total=1)
    shown = re.sub(r"\x1b\[\??[0-9;]*[a-zA-Z]", "", out.getvalue())  # rich moves its own cursor
    assert _steers(shown, "\n\r") == set()
    assert "owned" not in out.getvalue() or "\ufffd]0;owned\ufffd" in shown
    assert "bold" not in name or "[bold red]x[/]" in shown


@pytest.mark.parametrize("format", ["html", "md", "terminal"])
def test_no_control_bidi_or_zero_width_character_gets_through(format: str) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", reports.render(report_samples.hostile(), format))
    assert _steers(text, "\n") == set()
    for label in ("U+001B", "U+202E", "U+200B", "U+0000", "U+009B", "U+E0041"):
        assert f"⟦{label}⟧" in text or label in text


def test_terminal_writes_no_escape_but_colours() -> None:
    text = reports.render(report_samples.hostile(), "terminal")
    assert re.sub(r"\x1b\[[0-9;]*m", "", text).count("\x1b") == 0


def test_brackets_are_not_rich_markup() -> None:
    assert "[bold red]x[/]" in reports.render(report_samples.hostile(), "terminal", width=300)


def test_html_holds_the_text_as_text() -> None:
    source = reports.render(report_samples.hostile(), "html")
    page = Page(source)
    assert page.count("script") == page.count("img") == 0
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7*7 }}" in page.text
    assert "<script" not in source


def test_megabyte_answers_are_capped() -> None:
    for format, limit in (("html", 400_000), ("md", 200_000), ("terminal", 200_000)):
        text = reports.render(report_samples.hostile(), format)
        assert len(text) < limit, format
    assert "more characters⟧" in reports.render(report_samples.hostile(), "html")


def test_markdown_rows_keep_their_columns() -> None:
    """A pipe or a line break in a name would shift every number behind it under another heading."""
    lines = reports.render(report_samples.hostile(), "md").splitlines()
    fence = ""
    columns = 0
    for line in lines:
        opened = re.match(r"`{3,}", line)
        if opened and (not fence or line == fence):
            fence = "" if fence else opened[0]
        elif not fence and line.startswith("|"):
            cells = len(re.findall(r"(?<!\\)\|", line))
            assert columns in (0, cells), line
            columns = cells
        else:
            columns = 0
    assert fence == ""


def test_markdown_outside_of_fences_has_no_live_markup() -> None:
    text = re.sub(r"(?ms)^(`{3,})text\n.*?^\1$", "", reports.render(report_samples.hostile(), "md"))
    assert not re.search(r"(?<!\\)<", text)
    assert not re.search(r"(?<!\\)\]\(", text)
    assert not re.search(r"(?<!\\)://", text)
