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


def load(cls: type[T], data: bytes) -> T:
    """A dataclass from JSON bytes. Errors: pydantic's ValidationError."""
    value: T = adapter(cls).validate_json(data)
    return value
