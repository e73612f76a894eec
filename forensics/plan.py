"""What a case set out to ask, fixed and stored before the first request, and what it got: the `Sample`.

The plan holds every first request. Two kinds follow from it by rule: a second draw of the reference (the positive
control), and, once answers are in, requests to score the answers of reference and controls under the suspect and its
base. So the right half needs the case file alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .config import AuditConfig
from .errors import EvidenceError, UsageError
from .probes import PROBES, Probe, Suite
from .probes.base import seed_of
from .serial import dump, load
from .store import Store
from .types import WIRE, Capabilities, Column, Completion, ModelSpec, Request, Sample, Unit, canonical, sha256

REDRAW = 1000  # draws from here on are the reference's second draws


@dataclass(frozen=True, slots=True)
class Party:
    """One model of the case. ``name``: suspect, reference, base, or a control's short name."""

    __pydantic_config__ = WIRE

    name: str
    spec: ModelSpec
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that was decided before anything was asked."""

    __pydantic_config__ = WIRE

    config: AuditConfig
    suite: str
    suite_digest: str
    parties: tuple[Party, ...]
    requests: tuple[Request, ...]
    recorded: bool = False
    notes: tuple[str, ...] = ()

    def party(self, name: str) -> Party | None:
        """A party by name, or None."""
        return next((p for p in self.parties if p.name == name), None)

    @property
    def controls(self) -> tuple[Party, ...]:
        """The controls in the order given."""
        return tuple(p for p in self.parties if p.name not in ("suspect", "reference", "base"))

    def redraws(self) -> tuple[Request, ...]:
        """The reference's second draws: one an item, of families whose answers are texts."""
        if self.recorded:
            return ()
        return tuple(
            replace(r, sample=REDRAW, sampling=replace(r.sampling, seed=seed_of(self.config.seed, r.item, REDRAW)))
            for r in self.requests
            if r.sample == 0 and r.probe in PROBES.names() and family(r.probe).scored
        )

    def base_requests(self) -> list[Request]:
        """What the base is asked to answer: texts, and only where it can't be taken off by scoring given answers."""
        measured = [p for p in self.parties if p.name in ("suspect", "base")]
        if all(p.capabilities.prompt_scoring for p in measured):
            return []
        return [r for r in self.requests if _text(r)]

    def scorings(self, store: Store) -> dict[str, dict[str, tuple[Request | None, ...]]]:
        """Scorer -> author -> requests aligned with ``requests``, for scorers that can score given answers.

        None where the author has no usable answer, or the answer is not one that is scored.
        """
        scorers = [p for p in self.parties if p.capabilities.prompt_scoring and p.name != "reference"]
        if not any(p.name == "suspect" for p in scorers):
            return {}
        if any(p.name == "base" for p in scorers):
            scorers = [p for p in scorers if p.name in ("suspect", "base")]
        authors = [p for p in self.parties if p.name not in ("suspect", "base")]
        columns = {a.name: [self._target(store, a, r) for r in self.requests] for a in authors}
        return {s.name: {name: tuple(column) for name, column in columns.items() if name != s.name} for s in scorers}

    def _target(self, store: Store, author: Party, request: Request) -> Request | None:
        if request.probe not in PROBES.names() or not family(request.probe).scored:
            return None
        answer = store.get(author.spec, request)
        if answer is None or not answer.usable:
            return None
        return replace(request, target=answer.text, sample=0, sampling=replace(request.sampling, seed=None))


def family(name: str) -> Probe:
    """A probe family by name."""
    probe: Probe = PROBES.load(name)
    return probe


def prompt_key(request: Request) -> str:
    """Twelve hexadecimal digits that stand for what was asked, roles and contents, whatever the sampling."""
    if request.prompt is not None:
        return sha256(request.prompt.encode())[:12]
    return sha256(canonical([[m.role, m.content] for m in request.messages]))[:12]


def make_plan(config: AuditConfig, suite: Suite, parties: Sequence[Party]) -> Plan:
    """Plan against what the weaker party offers."""
    requests = suite.plan(weakest([p.capabilities for p in parties if p.name != "base"]), sampling=config.sampling)
    return Plan(config, suite.name, suite.digest, tuple(parties), requests)


def weakest(caps: Sequence[Capabilities]) -> Capabilities:
    """What all of them offer: the smallest top-k (-1 is more than any), and every flag that all have."""
    ks = [c.top_k for c in caps]
    finite = [k for k in ks if k >= 0]
    return Capabilities(
        text=all(c.text for c in caps),
        top_k=min(finite) if finite else -1,
        prompt_scoring=all(c.prompt_scoring for c in caps),
        full_logits=all(c.full_logits for c in caps),
        seed=all(c.seed for c in caps),
        recorded=any(c.recorded for c in caps),
    )


def save_plan(store: Store, plan: Plan) -> None:
    """Store the plan, before the first request. Errors: `UsageError` if the case already holds another one."""
    old = store.last("plan")
    if old is None:
        store.note("plan", "", dump(plan))
        return
    stored = stored_plan(store)
    if asked(stored) != asked(plan):
        raise UsageError(
            f"{store.path} holds another audit ({stored.config.suspect} against {stored.config.reference}, suite "
            f"{stored.suite}): continue it with the same parties, suite and seed, or name a new case"
        )


def asked(plan: Plan) -> Mapping[str, Any]:
    """What must be the same for a case to be continued: budgets, population and comparators may change."""
    return {"config": plan.config.fixed, "suite": plan.suite_digest, "requests": plan.requests}


def stored_plan(store: Store) -> Plan:
    """The plan of a case. Errors: `EvidenceError` when the case has none, `UsageError` when it was taken out."""
    entry = next(store.entries("plan"), None)
    if entry is not None and store.redacted(entry.raw):
        raise UsageError(f"{store.path} is redacted, its plan too: it can be verified, not judged")
    body = store.last("plan")
    if body is None:
        raise EvidenceError(f"{store.path or 'the case'} holds no plan: nothing was collected in it")
    try:
        plan = load(Plan, body)
        names = [p.name for p in plan.parties]
        if len(set(names)) < len(names):
            raise ValueError(f"parties {names}")
        for request in (*plan.requests, *plan.redraws()):
            request.digest  # noqa: B018 - numbers that can't be hashed were never asked
    except ValueError as error:
        raise EvidenceError(f"{store.path or 'the case'}: the stored plan can't be read by this version") from error
    return plan


def gather(plan: Plan, store: Store) -> Sample:
    """The sample of a case: everything answered so far, aligned with the plan's requests. Errors: `EvidenceError`."""
    if plan.party("suspect") is None or plan.party("reference") is None:
        raise EvidenceError(f"{store.path or 'the case'}: its plan names no suspect or no reference")
    units = tuple(Unit(r.item, r.probe, r.sample, r) for r in plan.requests)
    columns = {p.name: _column(store, p.spec, plan.requests) for p in plan.parties}
    likelihoods = {
        (scorer, author): _column(store, _spec(plan, scorer), requests)
        for scorer, authors in plan.scorings(store).items()
        for author, requests in authors.items()
    }
    redraws = {r.item: r for r in plan.redraws()}
    second = _column(
        store,
        _spec(plan, "reference"),
        [redraws.get(r.item) if r.sample == 0 and _text(r) else None for r in plan.requests],
    )
    return Sample(
        units=units,
        suspect=columns["suspect"],
        reference=columns["reference"],
        controls={p.name: columns[p.name] for p in plan.controls},
        base=columns.get("base"),
        redraw=second if any(c is not None for c in second) else None,
        likelihoods=likelihoods,
    )


def _text(request: Request) -> bool:
    return request.probe in PROBES.names() and family(request.probe).scored


def _spec(plan: Plan, name: str) -> ModelSpec:
    party = plan.party(name)
    assert party is not None
    return party.spec


def _column(store: Store, spec: ModelSpec, requests: Sequence[Request | None]) -> Column:
    out: list[Completion | None] = [None if r is None else store.get(spec, r) for r in requests]
    return tuple(out)
