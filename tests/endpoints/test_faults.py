"""A server that breaks by plan, over real sockets: every request ends as exactly one answer, or as failed and why."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback import KINDS, Loopback, Plan, key_of

from forensics.backends import open_backend
from forensics.backends.live import LiveBackend
from forensics.backends.wire import Gate
from forensics.collect import ask
from forensics.errors import UnavailableError
from forensics.spec import parse_spec
from forensics.store import Store
from forensics.types import Completion, Listener, Message, Progress, Request, Sampling, silent


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


def backend(server: Loopback, options: str = "timeout=0.5&concurrency=32") -> LiveBackend:
    made = open_backend(parse_spec(f"api/mine/m?base_url={server.url}&{options}"))
    assert isinstance(made, LiveBackend)
    return made


def collected(store: Store, asked: LiveBackend, wanted: list[Request]) -> dict[str, Completion]:
    asyncio.run(_asked(store, asked, wanted))
    found = {r.item: store.get(asked.spec, r) for r in wanted}
    return {item: done for item, done in found.items() if done is not None}


async def _asked(store: Store, asked: LiveBackend, wanted: list[Request], progress: Listener = silent) -> None:
    try:
        await ask({"suspect": asked}, {"suspect": wanted}, store, "answers", progress)
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
    expected = {r.item: key_of(json.dumps(client._dialect.body(r)).encode()) for r in wanted}
    assert {item: str(done.text).split()[1] for item, done in answers.items()} == {i: expected[i] for i in answers}
    store.check()


def test_every_request_ends_as_one_answer_or_as_failed(store: Store) -> None:
    with Loopback(Plan.even(0.3, seed=1, latency=0.002, storms=150)) as server:
        ended(store, server, requests(250), 0.3)


@pytest.mark.slow
def test_ten_thousand_requests_with_thirty_percent_faults(store: Store) -> None:
    with Loopback(Plan.even(0.3, seed=2, latency=0.002, storms=2000)) as server:
        ended(store, server, requests(10_000), 0.3)
        print(f"\n{server.total} requests for 10,000 items; {dict(server.faults)}")


def test_an_endpoint_that_dies_for_good_stops_the_run_and_loses_nothing(store: Store) -> None:
    wanted = requests(200)
    with Loopback(Plan(dies_after=60)) as server:
        client = backend(server, "timeout=30&concurrency=4&retries=1")
        with pytest.raises(UnavailableError, match="nothing answers at http"):
            collected(store, client, wanted)
    kept = len(list(store.entries("answer")))
    assert 50 <= kept <= 60
    store.check()
    with Loopback() as again:  # the same spec would be asked at the same address; what was answered is not asked again
        other = backend(again, "timeout=30&concurrency=4")
        other.spec = client.spec
        assert len(collected(store, other, wanted)) == 200
        assert len(again.asked) == 200 - kept


def test_many_refusals_halve_what_runs_at_once_and_it_grows_back(store: Store) -> None:
    with Loopback(Plan(latency=0.004, storms=300)) as server:
        client = backend(server, "timeout=5&concurrency=16")
        lowest = 16.0

        def watch(_: Progress) -> None:
            nonlocal lowest
            lowest = min(lowest, client._wire.gate.limit)

        asyncio.run(_asked(store, client, requests(700), watch))
    assert server.most_running <= 16
    assert lowest <= 4
    assert client._wire.gate.limit > 8
    assert len(list(store.entries("answer"))) == 700


def test_a_gate_counts_the_refusals_of_one_round_once() -> None:
    async def go() -> list[float]:
        gate, limits = Gate(16), []
        rounds = [await gate.enter() for _ in range(16)]
        for r in rounds:
            gate.leave(r, refused=True, answered=False)
        limits.append(gate.limit)
        for _ in range(8 + 9):
            gate.leave(await gate.enter(), refused=False, answered=True)
        limits.append(gate.limit)
        for _ in range(9):
            gate.leave(await gate.enter(), refused=True, answered=False)
        return [*limits, gate.limit]

    first, second, last = asyncio.run(go())
    assert first == 8.0
    assert 9.5 < second < 10.0
    assert last == 1.0
