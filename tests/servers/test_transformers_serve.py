"""`transformers serve`: texts only. It answers 200 to everything and leaves out what it does not do."""

from __future__ import annotations

import pytest
from audits import Audited, audited

from forensics.backends import open_backend
from forensics.collect import ask
from forensics.spec import parse_spec
from forensics.store import Store
from forensics.types import Capabilities, Message, ModelSpec, Request, Sampling

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def served(transformers_server: str, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return audited(transformers_server, tmp_path_factory.mktemp("served"))


async def answered(spec: ModelSpec, asked: list[Request], store: Store) -> None:
    backend = open_backend(spec)
    try:
        await ask({"suspect": backend}, {"suspect": asked}, store, "answers")
    finally:
        await backend.close()


def test_what_is_left_out_without_a_word_is_noticed(served: Audited) -> None:
    caps: Capabilities = served.report.capabilities["suspect"]
    assert (caps.top_k, caps.prompt_scoring, caps.seed) == (0, False, False)
    assert any("left out without a word" in note for note in caps.notes)


def test_it_does_not_sample_and_the_handshake_says_so(served: Audited) -> None:
    """Its generation_config has no do_sample, so it decodes greedily at temperature 1 too, with HTTP 200."""
    assert any("may not sample" in note for note in served.report.capabilities["suspect"].notes)


def test_the_same_texts(served: Audited, local: Audited) -> None:
    """The same float32 weights through the same library: greedy answers are the same, but for ties of less than 1e-4
    nats, which a batch's padding can turn. Measured: 36 of 36 the same; one may differ."""
    assert served.texts.keys() == local.texts.keys()
    assert all(served.texts.values())
    different = [item for item in local.texts if served.texts[item] != local.texts[item]]
    assert len(different) <= 1, different


def test_the_same_numbers(served: Audited, local: Audited) -> None:
    """Same texts, so the text comparators must agree to the last digit; what reads log-probs has none to read."""
    shared = served.values.keys() & local.values.keys()
    assert {"answer-overlap", "over-represented", "relative-mmd"} <= shared
    if served.texts == local.texts:
        assert {c: served.values[c] for c in shared} == {c: local.values[c] for c in shared}
    assert "next-token-divergence" not in served.values
    reasons = {e.comparator: e.reason for e in served.report.evidence if e.value is None}
    assert reasons["next-token-divergence"]


def test_all_requests_at_once(transformers_server: str, local: Audited) -> None:
    """Its event loop takes eight at a time; nobody's answer lands at another's request."""
    import asyncio

    spec = parse_spec(transformers_server.replace("concurrency=1", "concurrency=8"))
    items = [item for item in local.texts if not item.startswith("begun")][:8]
    asked = [Request("w", i, (Message("user", f"Write one sentence about {i}."),), None, Sampling(0.0, 1.0, 12))
             for i in items]  # fmt: skip
    with Store(None) as store:
        asyncio.run(answered(spec, asked, store))
        said = {r.item: store.get(spec, r) for r in asked}
    assert all(done is not None and done.text == local.texts[item] for item, done in said.items())
