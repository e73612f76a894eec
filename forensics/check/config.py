"""The table ``[check]`` of forensics.toml, beside ``[audit]``: gates, baseline, and a new one's alpha."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..types import WIRE


@dataclass(frozen=True, slots=True)
class CheckConfig:
    """How a release is checked. Paths are relative to the configuration file. ``looks``: how many releases ``alpha``
    is spread over, None for a series without end. ``canary``: a sealed key, with ``commitment`` or ``sheet``."""

    __pydantic_config__ = WIRE

    gates: tuple[str, ...] = ()
    baseline: str | None = None
    reference_case: str | None = None
    alpha: float = 0.05
    looks: int | None = None
    inconclusive_ok: bool = False
    canary: str | None = None
    commitment: str | None = None
    sheet: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise UsageError(f"[check] alpha lies between 0 and 1, not {self.alpha}")
        if self.looks is not None and self.looks < 1:
            raise UsageError(f"[check] looks is at least 1, not {self.looks}")


PATHS = ("baseline", "reference_case", "canary", "sheet")


def load_check(path: Path | None) -> CheckConfig:
    """The table of a forensics.toml or pyproject.toml; the defaults where it has none. Errors: `UsageError`."""
    from pydantic import TypeAdapter, ValidationError

    from ..registry import unknown

    values = _table(path) if path is not None else {}
    known = [f.name for f in fields(CheckConfig)]
    for key in values:
        if key not in known:
            raise UsageError(f"{path}: [check]: {unknown('key', key, known)}")
    for key in PATHS:
        if path is not None and isinstance(values.get(key), str):
            values[key] = str(path.parent / values[key])
    try:
        return TypeAdapter(CheckConfig).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the table"
        raise UsageError(f"{path}: [check] {where}: {first['msg'].lower()}") from error


def _table(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"no such configuration file: {path}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} can't be read as TOML: {error}") from error
    if path.name == "pyproject.toml":
        data = data.get("tool", {}).get("forensics", {})
    table = data.get("check", {})
    if not isinstance(table, dict):
        raise UsageError(f"{path}: [check] must be a table")
    return dict(table)
