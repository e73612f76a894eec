"""Dataclass <-> JSON bytes through pydantic's TypeAdapter: unknown keys are errors, bytes are base64."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def _make(cls: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


# The one TypeAdapter of each dataclass; building it costs milliseconds.
adapter: Callable[[Any], Any] = functools.cache(_make)


def dump(value: Any) -> bytes:
    """JSON bytes of a dataclass; the same value gives the same bytes."""
    out: bytes = adapter(type(value)).dump_json(value)
    return out


def lines(value: Any) -> str:
    """The same as text with a value a line: a file that version control can show the changes of."""
    import json

    return json.dumps(json.loads(dump(value)), indent=0, ensure_ascii=False) + "\n"


def indented(value: Any) -> str:
    """JSON text for people and programs, two-space indented, newline at the end."""
    import json
    import re

    text = json.dumps(json.loads(dump(value)), ensure_ascii=False, indent=2) + "\n"
    # JSON itself escapes only the controls below U+0020; a terminal obeys those of U+007F to U+009F too.
    return re.sub("[\x7f-\x9f]", lambda m: f"\\u{ord(m[0]):04x}", text)


def load(cls: type[T], data: bytes) -> T:
    """A dataclass from JSON bytes. Errors: pydantic's ValidationError."""
    value: T = adapter(cls).validate_json(data)
    return value
