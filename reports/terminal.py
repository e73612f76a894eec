"""The report on a terminal. Data only ever enters as `rich.text.Text`: brackets in it are brackets, not markup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from forensics.record import Report

from . import summary, tables, validated, words
from . import text as texts

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table as RichTable

STYLE = {"hp": "yellow", "hd": "cyan", "other": "magenta", "none": "bold"}


def render(report: Report, *, width: int | None = None) -> str:
    """The report with ANSI colours, which the environment variable NO_COLOR takes away."""
    import io

    from rich.console import Console

    console = Console(
        file=io.StringIO(), width=width or 100, height=100, force_terminal=True, color_system="standard",
        legacy_windows=False, highlight=False, emoji=False, markup=False,
    )  # fmt: skip
    print_report(report, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def print_report(report: Report, console: Console) -> None:
    """Verdict first, then what it rests on. Nothing is said by colour alone."""
    record = texts.clean(report)
    s = summary.summarise(record)
    _verdict(console, s)
    _section(console, "Evidence", _evidence(record))
    _section(console, "Closeness", _table(tables.closeness(record), console.width), words.NEAREST)
    _section(console, "Ablations", _table(tables.ablations(record), console.width))
    _section(console, "Exact tests", _table(tables.exact(record), console.width))
    if record.exact:
        console.print(_table(tables.exact_words(record), console.width))
    for t in validated.all_tables(record.validation)[:2] if record.validation else ():
        _section(console, t.title, _table(t, console.width))
    _section(console, "Baselines", _table(tables.baselines(record), console.width))
    _section(console, "Confounders", _table(tables.confounders(record), console.width))
    _section(console, "Self-checks", _table(tables.self_checks(record), console.width))
    _section(console, "What it does not say", _lines(s.limitations))
    if s.alternatives:
        _section(console, "Other explanations that remain", _lines(s.alternatives))


def _verdict(console: Console, s: summary.Summary) -> None:
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    ratio = [Text(words.WITHHELD, style="bold"), Text(s.instead)] if s.withheld else [Text(line) for line in s.lines]
    parts: list[RenderableType] = [
        _pair("Hp", s.hp), _pair("Hd", s.hd), Text(), Text(s.wording, style="bold"), *ratio,
    ]  # fmt: skip
    if s.reasons:
        parts += [Text(), Text("Reasons"), _lines(s.reasons)]
    parts += [Text(), Text("Speaks for Hp"), _lines(s.speaks_for, "Nothing that was measured.")]
    parts += [Text("Speaks against Hp, or for neither"), _lines(s.speaks_against, "Nothing that was measured.")]
    parts += [Text(), Text("Rests on"), _lines(s.rests), Text(), _pair("Power", s.power)]
    parts += [Text(), Text("What would change it"), _lines(s.changes)]
    title = Text(f"{s.mark} {s.headline}", style=STYLE[s.side])
    console.print(Text(s.question, style="bold"))
    console.print(Panel(Group(*parts), title=title, title_align="left", padding=(1, 2)))


def _section(console: Console, title: str, body: RenderableType, note: str = "") -> None:
    from rich.text import Text

    console.print(Text(f"\n{title}", style="bold"))
    if note:
        console.print(Text(note))
    console.print(body)


def _grid(columns: Iterable[tuple[str, bool]]) -> RichTable:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="")
    for label, numeric in columns:
        grid.add_column(Text(_head(label)), justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    return grid


def _head(label: str) -> str:
    """A long heading on two lines, so that it is not what makes a column wide."""
    return "\n".join(label.rsplit(" ", 1)) if len(label) > 9 and "\n" not in label else label


def _table(t: tables.Table, width: int) -> RenderableType:
    """Any table; where it is too wide for numbers and words alike, each row becomes a short paragraph."""
    from rich.text import Text

    if not t.rows:
        return Text(t.empty)
    numbers = [max(len(row[i]) for row in t.rows) if c.numeric else 9 for i, c in enumerate(t.columns)]
    if sum(numbers) + 3 * len(numbers) > width:
        return _lines(tuple(_sentence(t, row) for row in t.rows))
    grid = _grid((c.label, c.numeric) for c in t.columns)
    for row in t.rows:
        grid.add_row(*(Text(cell) for cell in row))
    return grid


def _sentence(t: tables.Table, row: tuple[str, ...]) -> str:
    return row[0] + ": " + "; ".join(f"{c.label} {v}" for c, v in list(zip(t.columns, row, strict=True))[1:])


def _evidence(report: Report) -> RenderableType:
    """Two lines a comparator, which fits 80 columns; those that abstained are rows too, and below it stands why."""
    from rich.console import Group
    from rich.text import Text

    t = tables.evidence(report)
    if not t.rows:
        return Text(t.empty)
    numeric = [(label, True) for label in ("n", "Value\n95 % interval", "Background\nat or above", "llr")]
    grid = _grid([("Comparator", False), *numeric])
    notes = []
    for (_, reading, count, value, interval, background, above, llr), e in zip(t.rows, report.evidence, strict=True):
        abstained = reading.startswith(tables.ABSTAINED)
        short = " ".join(reading.replace(":", "").split()[:2]) if tables.mark(e) else "no background"
        cells = ("–", "–") if abstained else (f"{value}\n{interval}", f"{background}\n{above}")
        name = texts.one_line(e.comparator)
        if e.unit and not abstained:
            short += f" ({texts.one_line(e.unit)})"
        grid.add_row(Text(name, style="bold").append(f"\n{short}", style="not bold"), *map(Text, (count, *cells, llr)))
        if e.reason:
            why = reading.removeprefix(tables.ABSTAINED).strip() if abstained else texts.one_line(e.reason)
            notes.append(f"{name}: {why}")
    return Group(grid, _lines(tuple(notes))) if notes else grid


def _pair(label: str, text: str) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(label, style="bold"), Text(text))
    return grid


def _lines(lines: tuple[str, ...], empty: str = "Nothing is recorded.") -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    for line in lines or (empty,):
        grid.add_row(Text("·"), Text(line))
    return grid
