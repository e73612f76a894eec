"""``python -m reports.schema``: write the JSON Schema of the record beside this file."""

from __future__ import annotations

from pathlib import Path

from reports.machine import NAME, schema_text

if __name__ == "__main__":
    Path(__file__).with_name(NAME).write_text(schema_text(), encoding="utf-8")
