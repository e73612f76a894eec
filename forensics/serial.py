"""Dataclass <-> JSON bytes through pydantic's TypeAdapter: unknown keys are errors, bytes are base64."""

from __future__ import annotations

import functools
from typing import Any, TypeVar

T = TypeVar("T")


@functools.cache
def _adapter(cls: type[Any]) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def dump(value: Any) -> bytes:
    """JSON bytes of a dataclass; the same value gives the same bytes."""
    out: bytes = _adapter(type(value)).dump_json(value)
    return out


def load(cls: type[T], data: bytes) -> T:
    """A dataclass from JSON bytes. Errors: pydantic's ValidationError."""
    value: T = _adapter(cls).validate_json(data)
    return value
