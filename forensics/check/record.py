"""What a check and a baseline are as files: dataclasses that their JSON is made from. Numbers and names, no texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..record import VerdictRecord
from ..serial import indented
from ..types import WIRE

SCHEMA_VERSION = "1.0"
Outcome = Literal["pass", "fail", "inconclusive"]
Values = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class GateResult:
    """What one gate came to. ``interval``: of the value, where it has one; ``detail``: why, in a sentence."""

    __pydantic_config__ = WIRE

    gate: str
    outcome: Outcome
    value: float | None
    threshold: float
    interval: tuple[float, float] | None
    detail: str


@dataclass(frozen=True, slots=True)
class Run:
    """One clean run of a release. ``values``: its changes relative to the release's first run, by comparator;
    ``identity``: SHA-256 of what it answered; ``head``: of its case's chain."""

    __pydantic_config__ = WIRE

    spec: str
    identity: str
    head: str
    values: Values


@dataclass(frozen=True, slots=True)
class Release:
    """An accepted release. ``levels``: the first run's scores; ``step``: the changes by which it passed its own check,
    less the mean of the ``over`` runs it was checked against; None where it was not checked, or failed."""

    __pydantic_config__ = WIRE

    runs: tuple[Run, ...]
    levels: Values
    step: Values | None = None
    over: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """One release that was checked, whatever came of it: what it spent can't be spent again."""

    __pydantic_config__ = WIRE

    number: int
    spec: str
    identity: str
    level: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Baseline:
    """What later releases are compared with. ``case``: the current release's case, relative to the baseline's file;
    ``conditions``: what a check must have in common with it; ``population``: the one that speaks about the release;
    ``planned``: how many looks ``alpha`` is spread over, None for a series without end; ``releases``: the accepted
    ones, the current one last."""

    __pydantic_config__ = WIRE

    schema_version: str
    kind: Literal["forensics-baseline"]
    conditions: dict[str, Any]
    alpha: float
    planned: int | None
    case: str | None
    population: str | None
    releases: tuple[Release, ...]
    looks: tuple[Look, ...] = ()
    tool: str = ""

    @property
    def current(self) -> Release:
        """The previous release, as a check sees it."""
        return self.releases[-1]

    def to_json(self) -> str:
        """JSON text, two-space indented, newline at the end."""
        return indented(self)


@dataclass(frozen=True, slots=True)
class DriftRecord:
    """One drift, or why there is none. ``margin``: what noise explains at the look's level, one-sided; ``interval``:
    value -/+ margin; ``run_sd``: of one clean run around its release, ``item_sd``: of the value over other prompts;
    ``detectable``: the drift at which nine of ten builds would fail its gate (or a gate of 0)."""

    __pydantic_config__ = WIRE

    quantity: str
    unit: str
    value: float | None
    interval: tuple[float, float] | None
    margin: float | None
    n: int
    run_sd: float | None
    run_df: int | None
    noise: str
    item_sd: float | None
    detectable: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Against:
    """What the release was compared with, and what the look spends."""

    __pydantic_config__ = WIRE

    file: str
    release: str
    runs: int
    look: int
    level: float
    alpha: float
    planned: int | None


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """The outcome of one check. ``changes``: by comparator, relative to the previous release's first run."""

    __pydantic_config__ = WIRE

    schema_version: str
    kind: Literal["forensics-check"]
    outcome: Outcome
    exit_code: int
    suspect: str
    reference: str
    gates: tuple[GateResult, ...]
    verdict: VerdictRecord
    drift: tuple[DriftRecord, ...]
    baseline: Against | None
    case: str | None
    identity: str
    report: str  # the audit's record by its digest
    changes: Values = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """JSON text, two-space indented, newline at the end."""
        return indented(self)


def as_values(found: Mapping[str, float]) -> Values:
    """A mapping of numbers as a record has it."""
    from ..record import sig

    return tuple((name, sig(value)) for name, value in found.items())
