"""Views of one record: HTML, Markdown, terminal and JSON. No statistics here: every number printed is in the record.

`render` turns a `forensics.record.Report` into text; `schema` is the JSON Schema of the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forensics.record import Report, ValidationRecord

    from .tables import Table

__all__ = ["COMPARISONS", "FORMATS", "render", "render_comparison", "render_validation", "schema", "validation_tables"]

FORMATS: Mapping[str, str] = MappingProxyType({
    "html": "reports.html:render",
    "md": "reports.markdown:render",
    "json": "reports.machine:render",
    "terminal": "reports.terminal:render",
})  # fmt: skip

COMPARISONS = ("html", "md", "json")


def render(report: Report, format: str, *, width: int | None = None) -> str:
    """The report as text in one of `FORMATS` or of the entry points ``forensics.formats``; the same record gives the
    same text. ``width``: columns, for the terminal. Errors: `UsageError` for a format that nobody knows."""
    from forensics.registry import Registry

    view = Registry("format", FORMATS).load(format)
    text: str = view(report, width=width)
    return text


def render_validation(validation: ValidationRecord, format: str) -> str:
    """A population's validation alone: html, md or json."""
    from . import validated

    return validated.VIEWS[format](validation)


def validation_tables(validation: ValidationRecord) -> tuple[Table, ...]:
    """Its figures as tables of finished strings, for a terminal."""
    from . import text as texts
    from . import validated

    return validated.all_tables(texts.clean(validation))


def render_comparison(first: Report, second: Report, format: str) -> str:
    """Two audits side by side, the earlier one first, in one of `COMPARISONS`."""
    from . import compared

    return compared.VIEWS[format](first, second)


def schema(record: str = "report") -> dict[str, Any]:
    """JSON Schema of report.json, or of a ``check``'s record, made from the dataclasses."""
    from . import machine

    return machine.schema(record)
