"""Name -> "module:Object" tables: nothing is imported before it is used, and entry points add to them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from .errors import UsageError


class Registry:
    """One kind of extension (comparators, probes, backends …) by kebab-case name."""

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self._table = dict(table)
        self._scanned = False

    def _all(self) -> dict[str, str]:
        if not self._scanned:
            for point in entry_points(group=f"forensics.{self.kind}s"):
                self._table.setdefault(point.name, point.value)
            self._scanned = True
        return self._table

    def names(self) -> tuple[str, ...]:
        """All names, ours and those of other distributions."""
        return tuple(self._all())

    def load(self, name: str) -> Any:
        """The object behind a name. Errors: `UsageError` with the nearest known name."""
        target = self._table.get(name) or self._all().get(name)
        if target is None:
            raise UsageError(unknown(self.kind, name, self.names()))
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute)


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """One line for a name that nobody knows."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return f"unknown {kind} {name!r}: {hint}"
