"""A server that breaks by plan, over real sockets: every request ends as exactly one answer, or as failed and why."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback import KINDS, LOSES, Loopback, Plan

from forensics.backends import open_backend
from forensics.backends.base import Backend
from forensics.collect import ask
from forensics.errors import UnavailableError
from forensics.spec import parse_spec
from forensics.store import Store
from forensics.types import Completion, Message, Request, Sampling


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries pause for seconds; here for hundredths of them."""
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: sleep(seconds / 50))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "faults.case") as case:
        yield case


def requests(n: int) -> list[Request]:
    return [Request("p", str(i), (Message("user", f"question {i}"),), None, Sampling(max_tokens=16)) for i in range(n)]


def backend(server: Loopback, options: str = "timeout=0.5&concurrency=32") -> Backend:
    return open_backend(parse_spec(f"api/mine/m?base_url={server.url}&{options}"))


def collected(store: Store, asked: Backend, wanted: list[Request]) -> dict[str, Completion]:
    asyncio.run(_asked(store, asked, wanted))
    found = {r.item: store.get(asked.spec, r) for r in wanted}
    return {item: done for item, done in found.items() if done is not None}


async def _asked(store: Store, asked: Backend, wanted: list[Request]) -> None:
    try:
        await ask({"suspect": asked}, {"suspect": wanted}, store, "answers")
    finally:
        await asked.close()


def ended(store: Store, server: Loopback, wanted: list[Request], share: float) -> None:
    """The outcome of a run with faults: counts, contents, reasons, and a case that holds together."""
    client = backend(server)
    answers = collected(store, client, wanted)
    failures = {store.body(e.request).decode(): store.body(e.parsed) for e in store.entries("failure")}
    by_digest = {r.digest: r.item for r in wanted}
    assert Counter(e.party for e in store.entries("answer")).total() == len(answers)
    assert {by_digest[d] for d in failures} == {r.item for r in wanted} - answers.keys()
    assert all(b'"error":"' in parsed for parsed in failures.values())
    assert len(failures) <= 0.02 * len(wanted)
    assert set(server.faults) >= set(KINDS)
    assert sum(server.faults[k] for k in KINDS) > 0.8 * share * server.total
    # Each answer names the request it belongs to: the key is a hash of the body that was sent.
    keys = Counter(str(done.text).split()[1] for done in answers.values())
    assert set(keys.values()) == {1}
    assert all(server.asked[key] for key in keys)
    store.check()


def test_every_request_ends_as_one_answer_or_as_failed(store: Store) -> None:
    with Loopback(Plan.even(0.3, seed=1, latency=0.002, storms=150)) as server:
        ended(store, server, requests(400), 0.3)


@pytest.mark.slow
def test_ten_thousand_requests_with_thirty_percent_faults(store: Store) -> None:
    with Loopback(Plan.even(0.3, seed=2, latency=0.002, storms=2000)) as server:
        ended(store, server, requests(10_000), 0.3)
        print(f"\n{server.total} requests for 10,000 items; {dict(server.faults)}")
