"""``python -m reports.schema``: write the JSON Schemas of the records beside this file."""

from __future__ import annotations

from pathlib import Path

from reports.machine import RECORDS, file_name, schema_text

if __name__ == "__main__":
    for record in RECORDS:
        Path(__file__).with_name(file_name(record)).write_text(schema_text(record), encoding="utf-8")
