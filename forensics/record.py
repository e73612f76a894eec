"""The record, report.json: what contract.md promises, as dataclasses. Every view of a report is made from it alone.

Numbers are rounded to 6 significant decimals once, here, so that all views say the same; ``llr`` is log10, null when
withheld, and never outside ``bounds``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from .serial import indented, load
from .types import WIRE, Capabilities, Decision, Role, Status, sha256

SCHEMA_VERSION = "1.1"
LARGEST = 1e15  # of any number that a picture shows: a record that was edited must fail when it is read


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """Which question was put, before any number."""

    __pydantic_config__ = WIRE

    id: str
    question: str
    Hp: str
    Hd: str


@dataclass(frozen=True, slots=True)
class PartyRecord:
    """One model and what came back from it."""

    __pydantic_config__ = WIRE

    role: Role
    name: str  # "suspect", "reference", "base" or the control's name as used in `closeness`
    spec: str
    answers: int
    unusable: int  # empty or blocked: kept, counted, never scored as text
    missing: int  # planned and not answered: failed, or not recorded
    mean_characters: float | None


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """The one bounded statement."""

    __pydantic_config__ = WIRE

    decision: Decision
    llr: float | None
    bounds: tuple[float, float] | None
    interval: tuple[float, float] | None
    wording: str
    population: str | None
    reasons: tuple[str, ...]
    power: str | None
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Background:
    """The null of a comparator in brief: quantiles of the same statistic with controls in the reference's place,
    and ``above``: the share of it at or above the observed value, (1 + hits) / (1 + n), but never below 1 / (1 + K):
    K controls are K models, however often their items are resampled."""

    __pydantic_config__ = WIRE

    quantiles: tuple[tuple[str, float], ...]  # ("0.025", value), ("0.25", …), "0.5", "0.75", "0.975"
    histogram: tuple[tuple[float, float, int], ...]  # (low edge, high edge, count)
    above: float


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """One comparator. Its ``llr`` is its own, dependent on the others': they are never added."""

    __pydantic_config__ = WIRE

    comparator: str
    status: Status
    value: float | None
    n: int
    interval: tuple[float, float] | None
    llr: float | None
    reason: str | None
    unit: str = ""
    background: Background | None = None
    closeness: tuple[tuple[str, float], ...] = ()  # the suspect's closeness to each candidate; larger = closer
    ablations: tuple[tuple[str, float | None], ...] = ()
    llr_interval: tuple[float, float] | None = None
    llr_bounds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ExactRecord:
    """One exact test; a lane of its own."""

    __pydantic_config__ = WIRE

    test: str
    p: float | None
    e: float | None
    n: int
    status: Status
    reason: str | None
    against: str = "reference"
    assumes: str = ""
    finding: str = ""
    breaks: str = ""  # what would make the finding wrong
    power: str = ""  # beside a non-rejection: what would have been detected, with what probability
    inputs: str = ""  # SHA-256 of the case's stored inputs that the result is made from
    value: float | None = None  # what was measured, where that is no test and has no p


@dataclass(frozen=True, slots=True)
class SelfCheckRecord:
    """The audit tried on an answer that is known; ``passed`` is null where it could not be done."""

    __pydantic_config__ = WIRE

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class LookRecord:
    """One look of a sequential audit: what it added, what of the population it measured, how many requests were
    answered by then, its llr (null where it has none), and the clause of the rule that it met ("" for none)."""

    __pydantic_config__ = WIRE

    name: str
    columns: tuple[str, ...]
    requests: int
    llr: float | None
    met: str = ""


@dataclass(frozen=True, slots=True)
class Stopping:
    """Where an audit with a stopping rule ended: at ``look`` of ``looks_planned``, with ``requests`` of (at most)
    ``requests_planned`` asked. ``looks``: as the rule saw them. ``earlier``: looks at which the case had stopped before
    it was continued."""

    __pydantic_config__ = WIRE

    rule: str
    population: str
    look: int
    looks_planned: int
    why: str
    requests: int
    requests_planned: int
    looks: tuple[LookRecord, ...]
    earlier: tuple[int, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the whole plan was asked."""
        return self.look == self.looks_planned


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a rule without the tool's statistics would have said: beside the real number, so that nobody is fooled."""

    __pydantic_config__ = WIRE

    value: float | None
    interval: tuple[float, float] | None
    detail: str


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One item with every party's answer. ``direction``: for (Hp), against (Hd) or context. ``closeness`` as above."""

    __pydantic_config__ = WIRE

    item: str
    family: str
    direction: str
    prompt: str
    answers: tuple[tuple[str, str], ...]  # (party, text), suspect first, then reference, then controls
    closeness: tuple[tuple[str, float], ...] = ()
    request_digest: str = ""
    # The reference's answer in tokens, each with log p(suspect) - log p(base) in nats: what was learnt beyond the base.
    tokens: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Confounder:
    """Something else that could explain the findings; ``control``: what was done about it, null for nothing."""

    __pydantic_config__ = WIRE

    name: str
    control: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Relations:
    """Every two parties' mean ``cosine`` over ``n`` items, in the order of ``names``. ``places``: a map of them, null
    where two dimensions would distort the distances (``stress``) too much. It carries no weight."""

    __pydantic_config__ = WIRE

    names: tuple[str, ...]
    n: int
    cosine: tuple[tuple[float, ...], ...]
    stress: float
    places: tuple[tuple[float, float], ...] | None


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """How often a population's ratios mislead strongly. ``hits`` of ``n`` independent lineages whose worst pair does;
    ``upper``: exact one-sided 95 % bound of the rate."""

    __pydantic_config__ = WIRE

    name: str
    hits: int
    n: int
    rate: float
    upper: float


@dataclass(frozen=True, slots=True)
class TuringRow:
    """Turing's check at one LR ``x``: Pr(LR >= x | Hd) and Pr(LR <= 1/x | Hp); neither should exceed 1/x."""

    __pydantic_config__ = WIRE

    x: float
    hd: float
    hp: float


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Some pairs of a population apart, by their kind. ``auc``: against all Hd pairs, with its 95 %
    interval over lineages; null for kinds under Hd. ``at_ten``: share of the pairs with LR >= 10."""

    __pydantic_config__ = WIRE

    name: str
    pairs: int
    lineages: int
    auc: float | None
    interval: tuple[float, float] | None
    at_ten: float


@dataclass(frozen=True, slots=True)
class TeacherRow:
    """One candidate's column: its students against models that it did not teach, lineages equal on both sides.

    A rule that only knows who the candidate is has an AUC of .5 in every column. ``columns``: (one comparator alone,
    its AUC in the column), ``length_only`` the rule that reads lengths. ``interval``: null with fewer than three
    lineages under Hp.
    """

    __pydantic_config__ = WIRE

    name: str
    lineages: tuple[int, int]
    auc: float
    interval: tuple[float, float] | None
    length_only: float | None
    columns: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class PavStep:
    """One block of the monotone recalibration: llrs from ``low`` to ``high``, so many pairs of both kinds, and the
    ``llr`` that they earn; null where the block holds one hypothesis alone, so that its own ratio is infinite."""

    __pydantic_config__ = WIRE

    low: float
    high: float
    hp: int
    hd: int
    llr: float | None


@dataclass(frozen=True, slots=True)
class ContrastRow:
    """One kind of pair against one kind of negative: AUC (None: not measured on most pairs) and its 95 % interval, by
    way of telling them apart. ``pairs`` and ``lineages``: of this kind."""

    __pydantic_config__ = WIRE

    kind: str
    pairs: int
    lineages: int
    ways: tuple[tuple[str, float | None, tuple[float, float] | None], ...]


@dataclass(frozen=True, slots=True)
class QueryRow:
    """One kind of pair under `divergence-tokens` alone. ``reached``: share of pairs (lineages weighing alike) whose
    wealth came to 100 or more; ``median``: of the number of one-token queries until then, or of all there were."""

    __pydantic_config__ = WIRE

    kind: str
    pairs: int
    lineages: int
    reached: float
    median: float


@dataclass(frozen=True, slots=True)
class ValidationRecord:
    """How good a population's llrs are on lineages that its calibration did not see, clipped to its bounds as every
    audit clips them. All shares and means weigh lineages, not pairs; intervals are 95 %, bootstrap over lineages.

    ``scores``: the comparators that were fused. ``tippett``: (llr, share of Hp at or above it, share of Hd).
    ``cross_entropy``: (log10 prior odds, bits lost by the system, after PAV, by LR = 1). ``columns``: (one comparator
    alone, its AUC). ``kinds``: by kind of pair. ``teachers``: within each candidate's column, where there are several.
    """

    __pydantic_config__ = WIRE

    population: str
    card: str
    digest: str
    scores: tuple[str, ...]
    pairs: tuple[int, int]  # Hp, Hd
    lineages: tuple[int, int]
    bounds: tuple[float, float]
    auc: float
    auc_interval: tuple[float, float]
    cllr: float
    cllr_interval: tuple[float, float]
    cllr_min: float
    cllr_cal: float
    errors: tuple[ErrorRate, ...]
    turing: tuple[TuringRow, ...]
    kinds: tuple[GroupRow, ...]
    columns: tuple[tuple[str, float], ...]
    length_only: float | None
    tippett: tuple[tuple[float, float, float], ...]
    pav: tuple[PavStep, ...]
    cross_entropy: tuple[tuple[float, float, float, float], ...]
    teachers: tuple[TeacherRow, ...] = ()
    against: str = ""
    contrasts: tuple[ContrastRow, ...] = ()
    queries: tuple[QueryRow, ...] = ()

    def to_json(self) -> str:
        """JSON text like `Report.to_json`'s."""
        return indented(self)


def numbers(value: Any) -> Iterator[float]:
    """Every float in a record, or in any part of one."""
    if isinstance(value, float):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for f in fields(value):
            yield from numbers(getattr(value, f.name))
    elif isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers(item)


def sig(value: float) -> float:
    """Six significant digits: enough for any use, and the same in every view."""
    return float(f"{value:.6g}")


@dataclass(frozen=True, slots=True)
class Report:
    """The record. ``manifest`` holds versions, hashes, seeds and the conditions of the audit."""

    __pydantic_config__ = WIRE

    schema_version: str
    case: CaseRecord
    parties: tuple[PartyRecord, ...]
    capabilities: dict[str, Capabilities]
    verdict: VerdictRecord
    evidence: tuple[EvidenceRecord, ...]
    exact: tuple[ExactRecord, ...]
    baselines: dict[str, Baseline]
    self_checks: tuple[SelfCheckRecord, ...]
    limitations: tuple[str, ...]
    exhibits: tuple[Exhibit, ...]
    manifest: dict[str, Any] = field(default_factory=dict)
    confounders: tuple[Confounder, ...] = ()
    relations: Relations | None = None
    validation: ValidationRecord | None = None  # of the population that the llr was read from
    stopping: Stopping | None = None  # of an audit with a stopping rule
    digest: str = ""  # of everything else in the record: see `hashed`

    @property
    def exit_code(self) -> int:
        """0 with a decision, 3 without one (contract: never folded into 0)."""
        return 3 if self.verdict.decision == "cannot-tell" else 0

    def hashed(self) -> Report:
        """The same record with its digest: SHA-256 of its JSON text with an empty one.

        It tells a slip from the original. Who edits on purpose can compute it too: `verify` asks the case for that.
        """
        bare = replace(self, digest="")
        return replace(self, digest=sha256(bare.to_json().encode()))

    def to_json(self) -> str:
        """The record as JSON text, two-space indented, newline at the end; the same report gives the same text."""
        return indented(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Report:
        """Read a record. Errors: ValueError (mostly pydantic's) for anything that no audit writes."""
        report = load(cls, text.encode() if isinstance(text, str) else text)
        for row in report.evidence:
            if (row.status == "ok") != (row.value is not None):
                raise ValueError(f"{row.comparator}: a value and the status {row.status}")
        drawn = (
            report.verdict,
            report.evidence,
            report.baselines,
            report.relations,
            report.validation,
            report.exhibits,
        )
        if any(not abs(number) <= LARGEST for number in numbers(drawn)):
            raise ValueError(f"a number that is none, or beyond {LARGEST:g}")
        return report

    def __repr__(self) -> str:
        v = self.verdict
        llr = "llr withheld" if v.llr is None else f"llr {v.llr:+.2f} in [{v.bounds[0]:+.2f}, {v.bounds[1]:+.2f}]"  # type: ignore[index]
        return f"<Report {self.case.id}: {v.decision}, {llr}>"

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f"<tr><td>{escape(e.comparator)}</td><td>{escape(e.status)}</td>"
            f"<td>{'' if e.value is None else f'{e.value:+.4g}'}</td><td>{e.n}</td>"
            f"<td>{escape(e.reason or '')}</td></tr>"
            for e in self.evidence
        )
        return (
            f"<p><b>{escape(self.verdict.decision)}</b>: {escape(self.verdict.wording)}</p><table><tr>"
            f"<th>comparator</th><th>status</th><th>value</th><th>n</th><th>reason</th></tr>{rows}</table>"
        )
