"""What a case set out to ask, fixed and stored before the first request, and what it got: the `Sample`.

The plan holds every first request. Two kinds follow from it by rule: a second draw of the reference (the positive
control), and, once answers are in, requests to score the answers of reference and controls (`Plan.scorers`). So the
right half needs the case file alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .config import AuditConfig
from .errors import EvidenceError, UsageError
from .probes import FIRST_TOKEN, PROBES, Probe, Suite
from .probes.base import seed_of
from .serial import dump, load
from .store import Store
from .types import (
    WIRE,
    Capabilities,
    Column,
    Completion,
    Lazy,
    Message,
    ModelSpec,
    Request,
    Sample,
    Unit,
    canonical,
    sha256,
)

REDRAW = 1000  # draws from here on are the reference's second draws
ALTERNATIVES = 5  # likeliest tokens kept a position of a scored answer: an argmax, its margin, and room for spellings
AGAIN = 2000  # and from here on what a live endpoint is asked again when everything else is answered
HELD = 1 << 15  # answers of a case that are held while it is judged; those of a larger one are read when asked for
HELD_BYTES = 1 << 27  # the same by the bytes of the case
REPEATED = 24  # next-token queries that are repeated word for word


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

    def again(self, party: Party) -> tuple[Request | None, ...]:
        """What a live party is asked a second time at the end, aligned with ``requests``: some next-token queries word
        for word, and of the suspect each text once more, drawn anew: the same model on the same endpoint."""
        out: list[Request | None] = [None] * len(self.requests)
        if self.recorded or party.capabilities.recorded or not party.spec.live or party.name == "base":
            return tuple(out)
        queries = [i for i, r in enumerate(self.requests) if r.top_logprobs and not is_text(r)]
        for i in queries[:: max(1, len(queries) // REPEATED)][:REPEATED]:
            out[i] = replace(self.requests[i], sample=AGAIN)
        if party.name == "suspect":
            for i, r in enumerate(self.requests):
                if r.sample == 0 and is_text(r):
                    seed = seed_of(self.config.seed, r.item, AGAIN)
                    out[i] = replace(r, sample=AGAIN, sampling=replace(r.sampling, seed=seed))
        return tuple(out)

    def repeats(self) -> tuple[Request, ...]:
        """All requests of `again`, each once."""
        return tuple({r.digest: r for p in self.parties for r in self.again(p) if r is not None}.values())

    def base_requests(self) -> list[Request]:
        """What the base is asked: texts (`attribution` reads the change), and next tokens where it lists them."""
        k = next((p.capabilities.top_k for p in self.parties if p.name == "base"), 0)
        listed = [r for r in self.requests if r.probe == FIRST_TOKEN and (k < 0 or 0 < r.top_logprobs <= k)]
        return [r for r in self.requests if is_text(r)] + listed

    def scorers(self) -> dict[str, tuple[str, ...]]:
        """Scorer -> the authors whose answers it scores: nothing unless the suspect can score given answers.

        Every scorer reads the answers of reference and controls, the reference its own only (where does R itself waver,
        and what would it have said?). So a scored item costs, with K controls that can score, K + 1 scorings each by
        suspect, base and controls and one by the reference: (K + 1)(K + 2) + 1, of as many tokens as the answers have.
        """
        able = [p.name for p in self.parties if p.capabilities.prompt_scoring]
        authors = tuple(p.name for p in self.parties if p.name not in ("suspect", "base"))
        if "suspect" not in able:
            return {}
        return {name: ("reference",) if name == "reference" else authors for name in able}

    def scorings(self, store: Store) -> dict[str, dict[str, tuple[Request | None, ...]]]:
        """Scorer -> author -> requests aligned with ``requests``, for scorers that can score given answers.

        None where the author has no usable answer, or the answer is not one that is scored.
        """
        wanted = self.scorers()
        parties = {p.name: p for p in self.parties}
        read = {a for authors in wanted.values() for a in authors}
        columns = {a: [self._target(store, parties[a], r) for r in self.requests] for a in read}
        out: dict[str, dict[str, tuple[Request | None, ...]]] = {}
        for scorer, authors in wanted.items():
            k = parties[scorer].capabilities.top_k
            top = ALTERNATIVES if k < 0 else min(k, ALTERNATIVES)
            out[scorer] = {
                a: tuple(None if r is None else replace(r, top_logprobs=top) for r in columns[a]) for a in authors
            }
        return out

    def _target(self, store: Store, author: Party, request: Request) -> Request | None:
        if request.probe not in PROBES.names() or not family(request.probe).scored:
            return None
        answer = store.get(author.spec, request)
        if answer is None or not answer.usable:
            return None
        return replace(request, target=answer.text, sample=0, sampling=replace(request.sampling, seed=None), answer=())


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
    folded = not all(p.capabilities.system_role for p in parties)
    framed = tuple(_framed(r, config.system, folded) for r in requests)
    return Plan(config, suite.name, suite.digest, tuple(parties), framed)


def _framed(request: Request, system: str | None, folded: bool) -> Request:
    """The request with the audit's system prompt, unless the item brings its own. Where one party refuses the role, all
    parties get the text at the head of the user's: else they would not be asked the same."""
    turns = request.messages
    if turns and system and turns[0].role != "system":
        turns = (Message("system", system), *turns)
    if folded and len(turns) > 1 and turns[0].role == "system" and turns[1].role == "user":
        turns = (Message("user", f"{turns[0].content}\n\n{turns[1].content}"), *turns[2:])
    return request if turns == request.messages else replace(request, messages=turns)


def system_prompt(plan: Plan) -> str:
    """What every party was told before the questions, in words for the report."""
    systems = {m.content for r in plan.requests for m in r.messages if m.role == "system"}
    if plan.config.system is None and not systems:
        return "no system prompt"
    told = "one system prompt" if plan.config.system is not None else "the items' own system prompts"
    refused = [p.name for p in plan.parties if not p.capabilities.system_role]
    how = f", at the head of the user's text because {', '.join(refused)} refuses that role" if refused else ""
    return f"{told}, the same for every party{how}"


def weakest(caps: Sequence[Capabilities]) -> Capabilities:
    """What all of them offer: the smallest top-k (-1 is more than any), and every flag that all have."""
    ks = [c.top_k for c in caps]
    finite = [k for k in ks if k >= 0]
    return Capabilities(
        text=all(c.text for c in caps),
        top_k=min(finite) if finite else -1,
        prompt_scoring=all(c.prompt_scoring for c in caps),
        full_logits=all(c.full_logits for c in caps),
        system_role=all(c.system_role for c in caps),
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


def gather(plan: Plan, store: Store, scorers: Collection[str] | None = None) -> Sample:
    """The sample of a case: everything answered so far, aligned with the plan's requests; ``scorers``: only what these
    have scored. Errors: `EvidenceError`."""
    if plan.party("suspect") is None or plan.party("reference") is None:
        raise EvidenceError(f"{store.path or 'the case'}: its plan names no suspect or no reference")
    units = tuple(Unit(r.item, r.probe, r.sample, r) for r in plan.requests)
    columns = {p.name: _column(store, p.spec, plan.requests) for p in plan.parties}
    likelihoods = {
        (scorer, author): _column(store, _spec(plan, scorer), requests)
        for scorer, authors in plan.scorings(store).items()
        if scorers is None or scorer in scorers
        for author, requests in authors.items()
    }
    redraws = {r.item: r for r in plan.redraws()}
    second = _column(
        store,
        _spec(plan, "reference"),
        [redraws.get(r.item) if r.sample == 0 and is_text(r) else None for r in plan.requests],
    )
    return Sample(
        units=units,
        suspect=columns["suspect"],
        reference=columns["reference"],
        controls={p.name: columns[p.name] for p in plan.controls},
        base=columns.get("base"),
        redraw=second if any(c is not None for c in second) else None,
        again={p.name: column for p in plan.parties if any(column := _column(store, p.spec, plan.again(p)))},
        likelihoods=likelihoods,
    )


def is_text(request: Request) -> bool:
    """Whether the answers of reference and controls to this request are scored."""
    return request.probe in PROBES.names() and family(request.probe).scored


def _spec(plan: Plan, name: str) -> ModelSpec:
    party = plan.party(name)
    assert party is not None
    return party.spec


def _column(store: Store, spec: ModelSpec, requests: Sequence[Request | None]) -> Column:
    def read(row: int) -> Completion | None:
        request = requests[row]
        return None if request is None else store.get(spec, request)

    column = Lazy(read, range(len(requests)))
    return column if len(store) > HELD or store.size > HELD_BYTES else tuple(column)
