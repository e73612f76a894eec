"""Exact tests and the case file: inputs and result go in together, the combination is made when the case is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..serial import dump
from ..store import Store
from ..types import ExactResult, canonical
from . import recompute
from .combine import combined


def keep(store: Store, label: str, inputs: Mapping[str, Any]) -> ExactResult:
    """Judge the inputs and append both; inputs that the case holds already are not appended again."""
    body = canonical(dict(inputs))
    result = recompute(body)
    known = {r.inputs for r in kept(store)}
    if result.inputs not in known:
        store.note("exact-input", label, body)
        store.note("exact", label, dump(result))
    return result


def kept(store: Store) -> list[ExactResult]:
    """The results in the case, in order."""
    return [store.read(ExactResult, entry.raw) for entry in store.entries("exact")]


def lane(store: Store) -> list[ExactResult]:
    """The exact lane of a report: the kept results, then what they say together."""
    return with_combination(kept(store))


def with_combination(results: Sequence[ExactResult]) -> list[ExactResult]:
    """The results, then their combination where there is more than one to combine."""
    together = combined(results)
    return [*results, *([together] if together else [])]


def rounded(values: Iterable[Iterable[float]]) -> list[list[float]]:
    """Numbers as they are stored: six decimals, the same on every reading."""
    return [[round(float(v), 6) for v in row] for row in values]
