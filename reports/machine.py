"""What machines read: the record as JSON, and the JSON Schema that describes it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from forensics.check.record import SCHEMA_VERSION as CHECK_VERSION
from forensics.check.record import CheckRecord
from forensics.record import SCHEMA_VERSION, Report

# Stored under schema/ as NAME-MAJOR.json.
RECORDS: dict[str, tuple[str, Any]] = {"report": (SCHEMA_VERSION, Report), "check": (CHECK_VERSION, CheckRecord)}


def render(report: Report, *, width: int | None = None) -> str:
    """The record itself: the one view that leaves nothing out and changes nothing."""
    return report.to_json()


def schema(record: str = "report") -> dict[str, Any]:
    """JSON Schema (2020-12) of one of `RECORDS`, from the dataclasses, so that it can't drift from them."""
    from pydantic import TypeAdapter

    version, cls = RECORDS[record]
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"distillation-forensics {record}, schema version {version.partition('.')[0]}",
    }
    return head | {k: v for k, v in TypeAdapter(cls).json_schema(mode="serialization").items() if k != "title"}


def file_name(record: str) -> str:
    """What the stored schema of a record is called."""
    return f"{record}-{RECORDS[record][0].partition('.')[0]}.json"


def schema_text(record: str = "report") -> str:
    """The schema as it is stored beside this module."""
    return json.dumps(schema(record), indent=2, ensure_ascii=False) + "\n"


def stored_schema(record: str = "report") -> str:
    """The schema that ships; a test holds it equal to `schema_text`."""
    return (files("reports") / "schema" / file_name(record)).read_text(encoding="utf-8")
