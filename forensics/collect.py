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
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from .backends import open_backend
from .backends.base import Backend
from .config import AuditConfig
from .errors import BudgetExceeded, ForensicsError, UnavailableError, UsageError
from .exact.case import keep, lane
from .exact.weights import change, common_base, match_weights
from .plan import Party, Plan, make_plan, save_plan
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
    asked: int = 0
    used: int = 0

    def take(self, batch: Sequence[Request]) -> None:
        """Errors: `BudgetExceeded` before a request that would exceed the budget is sent."""
        if self.requests is not None and self.asked + len(batch) > self.requests:
            raise BudgetExceeded(
                f"the budget of {self.requests} requests is used up; continue with a larger --max-requests"
            )
        if self.tokens is not None and self.used >= self.tokens:
            raise BudgetExceeded(f"the budget of {self.tokens} tokens is used up; continue with a larger --max-tokens")
        self.asked += len(batch)

    def spend(self, batch: Sequence[Request], replies: Sequence[Reply]) -> None:
        """Count tokens as reported, or about four characters each where the endpoint does not say."""
        for request, reply in zip(batch, replies, strict=True):
            usage, text = reply.completion.usage, reply.completion.text or ""
            asked, said = usage.prompt_tokens, usage.completion_tokens
            self.used += _length(request) // 4 if asked is None else asked
            self.used += len(text) // 4 if said is None else said


def collect(config: AuditConfig, *, store: Store, progress: Listener = silent, suite: Suite | None = None) -> Plan:
    """Ask everything that the case does not hold yet. Resumes by itself: nothing is asked twice.

    Errors: `UsageError`, `BackendError`, `BudgetExceeded`; the case keeps what was answered.
    """
    suite = suite or load_suite(config.suite)
    return asyncio.run(_collect(config, store, progress, suite))


async def _collect(config: AuditConfig, store: Store, progress: Listener, suite: Suite) -> Plan:
    specs = config.specs()
    fix_protocol(store, config, suite.name, suite.digest)
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
        await fill(plan, backends, store, Budget(config.max_requests, config.max_total_tokens), progress, resumed)
        compare_weights(plan, backends, store, progress)
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
) -> None:
    """Ask whatever of the plan the store does not hold: answers first, then the scorings that follow from them.

    ``resumed``: parties whose handshake is an earlier run's. A server is believed to score given answers only by a
    backend that has seen it do so, so those shake hands once more if anything is left to score.
    """
    session = _Session(store, budget, progress)
    await session.ask(backends, answers_wanted(plan), "answers")
    # A party that answered nothing at all is an outage, not evidence: stop before spending more.
    for party in plan.parties:
        if party.name != "base" and not any(store.has(party.spec, r) for r in plan.requests):
            why = session.failures.get(party.name, "no reason given")
            raise UnavailableError(f"{party.spec} answered none of {len(plan.requests)} requests: {why}")
    wanted = scorings_wanted(plan, store)
    for name, requests in wanted.items():
        if name in resumed and any(not store.has(backends[name].spec, r) for r in requests):
            await backends[name].handshake()
    await session.ask(backends, wanted, "scoring")


async def ask(
    backends: dict[str, Backend],
    wanted: dict[str, list[Request]],
    store: Store,
    stage: str,
    progress: Listener = silent,
) -> None:
    """Ask each backend what the store does not hold yet. Errors: as `collect`; what was answered is kept."""
    await _Session(store, Budget(), progress).ask(backends, wanted, stage)


def answers_wanted(plan: Plan) -> dict[str, list[Request]]:
    """Party -> first requests."""
    wanted = {p.name: plan.base_requests() if p.name == "base" else list(plan.requests) for p in plan.parties}
    wanted["reference"] += plan.redraws()
    return wanted


def scorings_wanted(plan: Plan, store: Store) -> dict[str, list[Request]]:
    """Scorer -> requests that score the answers of reference and controls."""
    return {
        s: [r for rs in authors.values() for r in rs if r is not None] for s, authors in plan.scorings(store).items()
    }


async def handshake(backend: Backend, store: Store) -> Capabilities:
    """Measured once a case; the evidence is stored, and a resumed run believes the stored one."""
    spec = str(backend.spec)
    stored = store.last("handshake", spec)
    if stored is None:
        caps, evidence = await backend.handshake()
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
                    self.budget.take(batch)
                    async with self._local if backend.concurrency == 1 else nullcontext():
                        replies = await backend.complete(batch)
                except ForensicsError as error:
                    self.stopped = self.stopped or error
                    return
                self.budget.spend(batch, replies)
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


def estimate(
    config: AuditConfig, suite: Suite | None = None, caps: Callable[[ModelSpec], Capabilities] | None = None
) -> dict[str, Any]:
    """What an audit would ask, without asking anything: requests and the largest number of tokens, per party."""
    suite = suite or load_suite(config.suite)
    specs = config.specs()
    if not suite.items:
        raise UsageError("the suite has no items")
    guess = caps or (lambda spec: Capabilities(top_k=20, prompt_scoring=spec.provider in ("hf", "gguf", "zoo", "toy")))
    plan = make_plan(config, suite, [Party(n, s, guess(s)) for n, s in specs.items()])
    wanted = answers_wanted(plan)
    scored = sum(1 for r in plan.requests if _is_scored(r))
    out = {name: {"requests": len(rs), "max_output_tokens": sum(r.sampling.max_tokens for r in rs), "scorings": 0}
           for name, rs in wanted.items()}  # fmt: skip
    for scorer, authors in plan.scorers().items():
        out[scorer]["scorings"] = scored * len(authors)
    return {"suite": suite.name, "items": len(suite.items), "parties": out}


def _is_scored(request: Request) -> bool:
    from .plan import _text

    return _text(request)
