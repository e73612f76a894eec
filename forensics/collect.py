"""Plan -> requests -> completions, into the case file. The only module that runs an event loop.

Several parties are asked at once; local models take turns, because they would only share the same cores. Answers are
acknowledged as they come, so whatever stops a run (Ctrl-C, a dead endpoint, the budget) loses none of them.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from .backends import open_backend
from .backends.base import Backend
from .backends.profiles import profile_of
from .config import AuditConfig
from .errors import BudgetExceeded, ForensicsError, UnavailableError, UsageError
from .exact.case import keep, lane
from .exact.weights import change, common_base, match_weights
from .looks import WHOLE, Look, again_wanted, answers_wanted, belongs, continued, scorings_wanted
from .plan import Party, Plan, is_text, make_plan, save_plan
from .prices import FREE, Prices, load_prices, most_tokens, tokens_of
from .probes import Suite, load_suite
from .protocol import fix_protocol
from .serial import adapter
from .store import Store
from .types import Capabilities, Listener, ModelSpec, Progress, Reply, Request, canonical, silent

T = TypeVar("T")


@dataclass
class Budget:
    """What may still be asked in this run. ``take`` counts before asking, ``spend`` afterwards."""

    requests: int | None = None
    tokens: int | None = None
    cost: float | None = None
    prices: Prices = field(default_factory=Prices)
    asked: int = 0
    used: int = 0
    paid: float = 0.0
    running: float = 0.0  # what the requests on their way cost at most

    @classmethod
    def of(cls, config: AuditConfig) -> Budget:
        """The budget of one run. Errors: `UsageError` if a limit on money can't be kept: a model has no price."""
        prices = load_prices(config.prices) if config.prices else Prices()
        if config.max_cost is not None:
            unknown = [str(spec) for spec in config.specs().values() if prices.of(spec) is None]
            if unknown:
                raise UsageError(f"{prices.path} has no price for {unknown[0]}: a limit on money can't be kept")
        return cls(config.max_requests, config.max_total_tokens, config.max_cost, prices)

    def take(self, spec: ModelSpec, batch: Sequence[Request]) -> None:
        """Errors: `BudgetExceeded` before a request that would exceed the budget is sent."""
        if self.requests is not None and self.asked + len(batch) > self.requests:
            raise BudgetExceeded(
                f"the budget of {self.requests} requests is used up; continue with a larger --max-requests"
            )
        if self.tokens is not None and self.used >= self.tokens:
            raise BudgetExceeded(f"the budget of {self.tokens} tokens is used up; continue with a larger --max-tokens")
        most = self._most(spec, batch)
        if self.cost is not None and self.paid + self.running + most > self.cost:
            raise BudgetExceeded(
                f"the budget of {self.cost:g} {self.prices.currency} is used up; continue with a larger --max-cost"
            )
        self.asked, self.running = self.asked + len(batch), self.running + most

    def spend(self, spec: ModelSpec, batch: Sequence[Request], replies: Sequence[Reply]) -> None:
        """Count tokens as reported, or about four characters each where the endpoint does not say."""
        price = self.prices.of(spec) or FREE
        self.running -= self._most(spec, batch)
        for request, reply in zip(batch, replies, strict=True):
            asked, said = tokens_of(request, reply.completion.usage, reply.completion.text)
            self.used, self.paid = self.used + asked + said, self.paid + price.of(asked, said)

    def _most(self, spec: ModelSpec, batch: Sequence[Request]) -> float:
        price = self.prices.of(spec) or FREE
        return 0.0 if price is FREE else sum(price.of(most_tokens(r), r.sampling.max_tokens) for r in batch)


class StoppingRule(Protocol):
    """Who says in which order the plan is asked, and after each look whether that is enough. It judges, not we."""

    def begin(self, plan: Plan) -> Sequence[Look]:
        """The looks, before the first request."""
        ...

    def enough(self, plan: Plan, number: int) -> bool:
        """Whether to stop after look ``number``, from 1."""
        ...


def collect(
    config: AuditConfig, *, store: Store, progress: Listener = silent, suite: Suite | None = None,
    stopping: StoppingRule | None = None,
) -> Plan:  # fmt: skip
    """Ask everything that the case does not hold yet. Resumes by itself: nothing is asked twice.

    ``stopping``: who may find that a part of it is enough. Errors: `UsageError`, `BackendError`, `BudgetExceeded`; the
    case keeps what was answered.
    """
    suite = suite or load_suite(config.suite)
    return asyncio.run(_collect(config, store, progress, suite, stopping))


async def _collect(
    config: AuditConfig, store: Store, progress: Listener, suite: Suite, stopping: StoppingRule | None
) -> Plan:
    specs = config.specs()
    fix_protocol(store, config, suite.name, suite.digest)
    budget = Budget.of(config)
    backends = {name: open_backend(spec) for name, spec in specs.items()}
    try:
        caps = {}
        resumed = {name for name, spec in specs.items() if store.last("handshake", str(spec)) is not None}
        for name, backend in backends.items():
            progress(Progress("handshake", name, 0, 1, str(backend.spec)))
            caps[name] = await handshake(backend, store)
            progress(Progress("handshake", name, 1, 1, str(backend.spec)))
        plan = make_plan(config, suite, [Party(n, specs[n], caps[n]) for n in specs])
        save_plan(store, plan)
        if stopping is None:
            await fill(plan, backends, store, budget, progress, resumed)
            compare_weights(plan, backends, store, progress)
            continued(store)
        else:
            looks = stopping.begin(plan)
            compare_weights(plan, backends, store, progress)  # costs no request, and a look's verdict rests on it too
            await fill(plan, backends, store, budget, progress, resumed, looks, partial(stopping.enough, plan))
        return plan
    finally:
        for backend in backends.values():
            await backend.close()


async def fill(
    plan: Plan,
    backends: dict[str, Backend],
    store: Store,
    budget: Budget,
    progress: Listener = silent,
    resumed: Collection[str] = (),
    looks: Sequence[Look] = (WHOLE,),
    enough: Callable[[int], bool] = lambda _: False,
) -> None:
    """Ask whatever of the plan the store does not hold: answers first, then the scorings that follow from them; look
    by look until it is ``enough``, and at the end a live party once more.

    ``resumed``: parties whose handshake is an earlier run's. A server is believed to score given answers only by a
    backend that has seen it do so, so those shake hands once more if anything is left to score.
    """
    session = _Session(store, budget, progress)
    for number, look in enumerate(looks, 1):
        await session.ask(backends, answers_wanted(plan, look), "answers")
        _outage(plan, store, session, look)
        if look.whole:
            await session.ask(backends, again_wanted(plan, look), "again")
        wanted = scorings_wanted(plan, store, look)
        for name, requests in wanted.items():
            if name in resumed and any(not store.has(backends[name].spec, r) for r in requests):
                await backends[name].handshake(store.secret("handshake"))
                resumed = set(resumed) - {name}
        await session.ask(backends, wanted, "scoring")
        if enough(number) and not look.whole:
            await session.ask(backends, again_wanted(plan, look), "again")
            return


def _outage(plan: Plan, store: Store, session: _Session, look: Look) -> None:
    """A party that answered nothing at all is an outage, not evidence: stop before spending more."""
    for party in plan.parties:
        asked = [r for r in plan.requests if belongs(party.name, r, look.lots)]
        if party.name != "base" and asked and not any(store.has(party.spec, r) for r in asked):
            why = session.failures.get(party.name, "no reason given")
            raise UnavailableError(f"{party.spec} answered none of {len(asked)} requests: {why}")


async def ask(
    backends: dict[str, Backend],
    wanted: dict[str, list[Request]],
    store: Store,
    stage: str,
    progress: Listener = silent,
) -> None:
    """Ask each backend what the store does not hold yet. Errors: as `collect`; what was answered is kept."""
    await _Session(store, Budget(), progress).ask(backends, wanted, stage)


async def handshake(backend: Backend, store: Store) -> Capabilities:
    """Measured once a case; the evidence is stored, and a resumed run believes the stored one."""
    spec = str(backend.spec)
    stored = store.last("handshake", spec)
    if stored is None:
        caps, evidence = await backend.handshake(store.secret("handshake"))
        body = {"capabilities": adapter(Capabilities).dump_python(caps, mode="json"),
                "evidence": base64.b64encode(evidence).decode()}  # fmt: skip
        stored = canonical(body)
        store.note("handshake", spec, stored, received_at=caps.observed_at or "")
    found: Capabilities = adapter(Capabilities).validate_python(json.loads(stored)["capabilities"])
    return replace(found, notes=tuple(found.notes))


def compare_weights(plan: Plan, backends: dict[str, Backend], store: Store, progress: Listener) -> None:
    """The exact test that needs nothing but open weights; its results are kept in the case, once."""
    folders = {name: getattr(b, "weights_dir", lambda: None)() for name, b in backends.items()}
    wanted = [
        ("suspect", "reference", "reference"),
        ("suspect", "base", "base"),
        ("base", "reference", "reference-base"),
    ]
    done = {entry.party for entry in store.entries("exact")}
    for one, other, label in wanted:
        first, second = folders.get(one), folders.get(other)
        if first is None or second is None or label in done:
            continue
        progress(Progress("weights", label, 0, 1))
        keep(store, label, match_weights(first, second, against=label))
        progress(Progress("weights", label, 1, 1))
    three = [folders.get(name) for name in ("suspect", "reference", "base")]
    if common_base(lane(store)) and "change" not in done:
        suspect, reference, base = (f for f in three if f is not None)
        keep(store, "change", change(suspect, reference, base))


class _Session:
    """One run: who asks what, with which budget, and what went wrong."""

    def __init__(self, store: Store, budget: Budget, progress: Listener) -> None:
        self.store, self.budget, self.progress = store, budget, progress
        self.failures: dict[str, str] = {}
        self.stopped: ForensicsError | None = None  # the first reason to stop; what is being asked is still stored
        self._local = asyncio.Lock()

    async def ask(self, backends: dict[str, Backend], wanted: dict[str, list[Request]], stage: str) -> None:
        """All parties at once; the first error stops all of them, after their running requests are stored."""
        await _together([self._party(stage, name, backends[name], requests) for name, requests in wanted.items()])
        if self.stopped is not None:
            raise self.stopped

    async def _party(self, stage: str, name: str, backend: Backend, requests: list[Request]) -> None:
        todo = list({r.digest: r for r in requests if not self.store.has(backend.spec, r)}.values())
        total, done = len(requests), len(requests) - len(todo)
        self.progress(Progress(stage, name, done, total))
        batches = iter(_batches(todo, backend.batch))

        async def worker() -> None:
            nonlocal done
            for batch in batches:
                if self.stopped is not None:
                    return
                try:
                    self.budget.take(backend.spec, batch)
                    async with self._local if backend.concurrency == 1 else nullcontext():
                        replies = await backend.complete(batch)
                except ForensicsError as error:
                    self.stopped = self.stopped or error
                    return
                self.budget.spend(backend.spec, batch, replies)
                self.store.answer(backend.spec, list(zip(batch, replies, strict=True)))
                for reply in replies:
                    if reply.completion.finish == "error":
                        self.failures[name] = reply.completion.error or "no reason given"
                done += len(batch)
                self.progress(Progress(stage, name, done, total))

        await _together([worker() for _ in range(backend.concurrency)])


def _batches(requests: list[Request], size: int) -> Iterator[list[Request]]:
    """Batches of like requests, longest first: ragged shapes are slow, and the worst case for memory comes at once."""
    if size > 1:
        requests = sorted(requests, key=lambda r: (r.target is None, r.sampling.max_tokens, _length(r)), reverse=True)
    for start in range(0, len(requests), size):
        yield requests[start : start + size]


def _length(request: Request) -> int:
    return len(request.prompt or "") + sum(len(m.content) for m in request.messages) + len(request.target or "")


async def _together(jobs: Sequence[Coroutine[Any, Any, T]]) -> None:
    """Run jobs; the first `ForensicsError` is raised bare, not as a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
    except BaseExceptionGroup as error:
        raise _first(error) from error


def _first(error: BaseException) -> BaseException:
    """The error to show: one of ours if there is one."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    inner = [_first(e) for e in error.exceptions]
    return next((e for e in inner if isinstance(e, ForensicsError)), inner[0])


def guessed_plan(config: AuditConfig, suite: Suite, caps: Callable[[ModelSpec], Capabilities] | None = None) -> Plan:
    """The plan as it would be if every model offered what models of its provider mostly do."""
    specs = config.specs()
    if not suite.items:
        raise UsageError("the suite has no items")
    for spec in specs.values():
        profile_of(spec)  # a router that is not pinned is refused before anything is counted
    guess = caps or (
        lambda spec: Capabilities(
            top_k=0 if spec.provider == "anthropic" else 20,
            prompt_scoring=spec.provider in ("hf", "gguf", "zoo", "toy"),
        )
    )
    return make_plan(config, suite, [Party(n, s, guess(s)) for n, s in specs.items()])


def estimate(
    config: AuditConfig, suite: Suite | None = None, caps: Callable[[ModelSpec], Capabilities] | None = None
) -> dict[str, Any]:
    """What an audit would ask, without asking anything: requests and the largest number of tokens, per party."""
    suite = suite or load_suite(config.suite)
    plan = guessed_plan(config, suite, caps)
    wanted = answers_wanted(plan)
    for name, requests in again_wanted(plan).items():
        wanted[name] = [*wanted[name], *requests]
    scored = [r for r in plan.requests if is_text(r)]
    prices = load_prices(config.prices) if config.prices else None
    out: dict[str, dict[str, Any]] = {}
    for party in plan.parties:
        requests = wanted.get(party.name, [])
        times = len(plan.scorers().get(party.name, ()))  # each text once an author
        sent = sum(tokens_of(r)[0] for r in requests) + times * sum(
            tokens_of(r)[0] + r.sampling.max_tokens for r in scored
        )
        said = sum(r.sampling.max_tokens for r in requests)
        row: dict[str, Any] = {
            "requests": len(requests),
            "input_tokens": sent,
            "max_output_tokens": said,
            "scorings": times * len(scored),
        }
        if prices is not None:
            price = prices.of(party.spec)
            row["max_cost"] = None if price is None else price.of(sent, said + times * len(scored))
        out[party.name] = row
    found = {"suite": suite.name, "items": len(suite.items), "parties": out}
    return found | ({} if prices is None else {"currency": prices.currency})
