"""What machines read: the record as JSON, and the JSON Schema that describes it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from forensics.record import SCHEMA_VERSION, Report

MAJOR = SCHEMA_VERSION.partition(".")[0]
NAME = f"report-{MAJOR}.json"


def render(report: Report, *, width: int | None = None) -> str:
    """The record itself: the one view that leaves nothing out and changes nothing."""
    return report.to_json()


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the record, from the dataclasses, so that it can't drift from them."""
    from pydantic import TypeAdapter

    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"distillation-forensics report, schema version {MAJOR}",
    }
    return head | {k: v for k, v in TypeAdapter(Report).json_schema(mode="serialization").items() if k != "title"}


def schema_text() -> str:
    """The schema as it is stored beside this module."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def stored_schema() -> str:
    """The schema that ships; a test holds it equal to `schema_text`."""
    return (files("reports") / "schema" / NAME).read_text(encoding="utf-8")
