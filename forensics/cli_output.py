"""What the commands print and write: records in, streams and files out."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import printable, say
from .errors import EvidenceError, UsageError

if TYPE_CHECKING:
    from .config import AuditConfig
    from .probes import Suite
    from .record import Report

Output = Annotated[
    list[Path] | None, typer.Option("--output", "-o", help="Write the report: .html, .md or .json; repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the report record and nothing else.")]

FORMAT_OF = {".html": "html", ".htm": "html", ".md": "md", ".json": "json"}


def print_report(record: Report) -> None:
    """The report on stdout."""
    from rich.console import Console

    from reports.terminal import print_report as show

    show(record, Console(highlight=False, emoji=False, markup=False))


def load_record(source: Path) -> Report:
    """The record of a case, which is judged again, or of a report.json. Errors: `UsageError`, `EvidenceError`."""
    from pydantic import ValidationError

    from .audit import judge
    from .record import Report
    from .store import Store

    if is_case(source):
        with Store(source, must_exist=True) as store:
            return judge(store)
    try:
        return Report.from_json(source.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise EvidenceError(f"{source} is neither a case nor a report record: {where}: {first['msg']}") from error
    except ValueError as error:
        raise EvidenceError(f"{source} is not a report record: {error}") from error


def is_case(source: Path) -> bool:
    """Whether a file is a case. Errors: `UsageError` if there is no such file."""
    if not source.is_file():
        raise UsageError(f"no such case or report: {source}")
    with source.open("rb") as file:
        return file.read(16).startswith(b"SQLite format 3")


def check_outputs(paths: Sequence[Path] | None) -> None:
    """Before anything is asked: every report can be written where it is wanted."""
    for path in paths or ():
        if path.suffix not in FORMAT_OF:
            raise UsageError(f"{path}: a report file ends in {', '.join(FORMAT_OF)}")
        if not path.parent.is_dir():
            raise UsageError(f"cannot write {path}: its directory does not exist")


def show(records: Sequence[Report], format: str | None, paths: Sequence[Path] | None) -> None:
    """One report, or two side by side: on stdout, or in files of one format or of those that their endings name."""
    import reports

    def made(name: str) -> str:
        return (
            reports.render(records[0], name)
            if len(records) == 1
            else reports.render_comparison(records[0], records[1], name)
        )

    for path in paths or ():
        save(path, made(format or FORMAT_OF[path.suffix]))
        say(f"wrote {path.resolve()}")
    if not paths and format is None and len(records) == 1:
        print_report(records[0])
    elif not paths:
        sys.stdout.write(made(format or "md"))


def write(record: Report, paths: Sequence[Path], quiet: bool) -> None:
    """One file a path, its format told by its ending."""
    import reports

    for path in paths:
        save(path, reports.render(record, FORMAT_OF[path.suffix]))
        if not quiet:
            say(f"wrote {path.resolve()}")


def save(path: Path, text: str) -> None:
    """A text file. Errors: `UsageError`."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; its texts are never markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(printable(title), style="italic"), title_justify="left", header_style="bold")
    for number, column in enumerate(head):
        short = number == 0 and all(len(row[0]) <= 24 for row in rows)  # short names are not broken
        drawn.add_column(column, overflow="fold", no_wrap=short)
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    Console(highlight=False).print(drawn)


def dry_run_of(config: AuditConfig, json: bool, suite: Suite | None = None, taken_over: Collection[str] = ()) -> int:
    """What would be asked at most, by party: requests, tokens, and money if there is a price file. ``taken_over``:
    parties whose answers another case holds."""
    from json import dumps

    from .collect import estimate

    found = estimate(config, suite)
    for name in taken_over:
        found["parties"][name] = dict.fromkeys(found["parties"][name], 0)
    if config.until is not None:
        from .sequential import expect

        looks = expect(config)
        rows_of = [{"look": v.name, "requests": v.requests, "tokens": v.tokens, "llr_under_Hp": v.expected[0],
                    "llr_under_Hd": v.expected[1]} for v in looks.looks]  # fmt: skip
        found["until"] = {"rule": looks.rule, "population": looks.population, "looks": rows_of}
    if json:
        sys.stdout.write(dumps(found, indent=2) + "\n")
        return 0
    rows = list(found["parties"].items())
    columns = ["requests", "scorings", "input_tokens", "max_output_tokens"]
    head = ["party", "requests", "scorings", "input tokens, about", "output tokens, at most"]
    cells = [[name, *(str(p[c]) for c in columns)] for name, p in rows]
    total = ["all", *(str(sum(p[c] for _, p in rows)) for c in columns)]
    if "currency" in found:
        head.append(f"cost, at most, {found['currency']}".rstrip(", "))
        costs = [p["max_cost"] for _, p in rows]
        for cell, cost in zip(cells, costs, strict=True):
            cell.append("no price" if cost is None else f"{cost:.4f}")
        total.append("unknown" if None in costs else f"{sum(costs):.4f}")
    title = f"suite {found['suite']}: {found['items']} items; handshakes add about 7 small requests a live model"
    table(title, head, [*cells, total])
    if "until" in found:
        _looks(found["until"])
    return 0


def _looks(found: Mapping[str, Any]) -> None:
    """In which order it would be asked, cumulatively, and what the population's own models show by then."""
    head = ("look", "asked by then", "requests", "tokens, at most", "mean llr under Hp", "under Hd")
    rows = [
        (str(i), v["look"], str(v["requests"]), str(v["tokens"]), f"{v['llr_under_Hp']:+.2f}",
         f"{v['llr_under_Hd']:+.2f}")
        for i, v in enumerate(found["looks"], 1)
    ]  # fmt: skip
    table(f"asked until {found['rule']}, by the population {found['population']}", head, rows)
