"""Text from outside. A model's answer, a model's name and a server's error message are all hostile until shown inert.

`clean` goes over the whole record once, so that no view has to remember to.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from fingerprints.views import visible
from forensics.record import Exhibit

T = TypeVar("T")

TRANSCRIPT = 4_000  # characters of one answer
LINE = 1_200  # characters of any other string


def shown(text: str, limit: int = LINE) -> str:
    """At most ``limit`` characters, everything that is not seen as a label ⟦U+202E⟧, and how much was left out."""
    rest = len(text) - limit
    return visible(text[:limit]) + (f" ⟦… {rest:,} more characters⟧" if rest > 0 else "")


def clean(value: T) -> T:
    """A record, or any part of one, with every string capped and visible."""
    return _clean(value, LINE)  # type: ignore[no-any-return]


def _clean(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return shown(value, limit)
    if is_dataclass(value) and not isinstance(value, type):
        inner = TRANSCRIPT if isinstance(value, Exhibit) else limit
        return replace(value, **{f.name: _clean(getattr(value, f.name), inner) for f in fields(value)})
    if isinstance(value, (list, tuple)):
        return tuple(_clean(item, limit) for item in value)
    if isinstance(value, dict):
        return {_clean(key, LINE): _clean(item, limit) for key, item in value.items()}
    return value


def one_line(text: str) -> str:
    """Line breaks and tabs as single spaces, for table cells and headings."""
    return " ".join(text.split())
