"""llama.cpp's server as llama-cpp-python ships it: conversations with log-probs, and an echo that lies.

It multiplies 4-bit weights by activations rounded to 8 bits (Q4_1 x Q8_1); in this process the same weights are
float32 numbers, multiplied by float32 activations. So log-probs differ a little everywhere, and greedy texts part where
two words were about as likely. The tolerances are twice what was measured (llama-cpp-python 0.3.36 without AVX-512
kernels, SmolLM2-135M Q4_1, 917 log-probs at 48 contexts): median .07, 95 % .24, largest .57 nats.
"""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from audits import Audited, audited, common_tops
from smollm2 import NAME

from forensics.backends import open_backend
from forensics.backends.handshake import Opening
from forensics.spec import parse_spec
from forensics.types import Capabilities, Request, Sampling

pytestmark = pytest.mark.servers

MEDIAN, HIGH, LARGEST = 0.15, 0.5, 1.2  # nats, of one log-prob
FARTHEST = 3.4  # nats, between a chosen token and the likeliest one


@pytest.fixture(scope="module")
def served(llama_server: str, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return audited(llama_server, tmp_path_factory.mktemp("served"))


def test_what_it_offers(served: Audited) -> None:
    caps: Capabilities = served.report.capabilities["suspect"]
    assert (caps.top_k, caps.logprob_kind, caps.seed) == (20, "raw", True)
    assert not any("left out" in note for note in caps.notes)


def test_prompt_scoring_is_refused(served: Audited) -> None:
    caps = served.report.capabilities["suspect"]
    assert not caps.prompt_scoring
    assert any("did not give back the log-probs of a text just generated" in note for note in caps.notes)
    assert "cross-likelihood" not in served.values


def test_because_its_echo_is_shifted(llama_server: str) -> None:
    """What it lists beside a token of the prompt is the distribution of the token after it."""
    url = parse_qs(urlsplit(llama_server).query)["base_url"][0] + "/completions"
    plain = {"model": NAME, "temperature": 1.0, "top_p": 1.0, "seed": 11}

    def post(**more: object) -> dict[str, list]:  # type: ignore[type-arg]
        answer = httpx2.post(url, json=plain | more, timeout=120, trust_env=False).json()
        return answer["choices"][0] | answer["choices"][0]["logprobs"]

    said = post(prompt=Opening.of(b"").text, max_tokens=12, logprobs=5)
    read = post(prompt=Opening.of(b"").text + str(said["text"]), max_tokens=1, echo=True, logprobs=1)
    start = next(i for i in range(len(read["tokens"])) if read["tokens"][i : i + 12] == said["tokens"])
    shifted = [beside[token] for beside, token in zip(read["top_logprobs"][start - 1 :], said["tokens"], strict=False)
               if token in beside]  # fmt: skip
    told = [v for v, beside, token in zip(said["token_logprobs"], read["top_logprobs"][start - 1 :], said["tokens"],
            strict=False) if token in beside]  # fmt: skip
    assert len(told) >= 4
    assert shifted == pytest.approx(told, abs=1e-3)
    assert max(abs(a - b) for a, b in zip(read["token_logprobs"][start : start + 12], said["token_logprobs"],
               strict=True)) > 3  # fmt: skip


def test_the_same_next_tokens(served: Audited, local: Audited) -> None:
    gaps = sorted(abs(a - b) for _, pairs in common_tops(local, served) for a, b in pairs)
    assert len(gaps) > 700
    assert statistics.median(gaps) < MEDIAN
    assert gaps[int(0.95 * len(gaps))] < HIGH
    assert gaps[-1] < LARGEST
    likeliest = [item for item, one in local.next_tokens.items()
                 if one.tokens[0].top[0][0] == served.next_tokens[item].tokens[0].top[0][0]]  # fmt: skip
    assert len(likeliest) >= 0.85 * len(local.next_tokens)  # measured: 45 of 48


def test_its_texts_are_the_model_s(served: Audited, local: Audited, folder: Path) -> None:
    """Greedy texts part where two words are close, so each token that the server chose is held against the likeliest
    one here. Measured: 13 of 36 texts the same; 406 of 432 tokens are the first choice here too, the others at most
    1.67 nats below it."""
    backend = open_backend(parse_spec(f"hf/{folder / NAME}"))
    requests = {u.item: u.request for u in served.sample.units if u.family != "first-token"}
    asked = [
        Request("s", i, r.messages, r.prompt, Sampling(), top_logprobs=1, target=served.texts[i])
        for i, r in requests.items()
    ]
    replies = asyncio.run(backend.complete(asked))
    gaps = [t.top[0][1] - t.logprob for reply in replies for t in reply.completion.tokens]
    assert len(gaps) > 8 * len(asked)
    assert sum(gap == 0 for gap in gaps) > 0.88 * len(gaps)
    assert max(gaps) < FARTHEST
    same = sum(served.texts[i] == local.texts[i] for i in local.texts)
    assert same >= 0.2 * len(local.texts)


def test_the_same_numbers(served: Audited, local: Audited) -> None:
    """Other texts, other numbers; but by less than the choice of items alone would move them."""
    intervals = {e.comparator: e.interval for e in local.report.evidence if e.interval is not None}
    shared = served.values.keys() & local.values.keys()
    assert {"answer-overlap", "over-represented", "relative-mmd", "next-token-divergence"} <= shared
    for name in shared:
        low, high = intervals[name]
        assert low <= served.values[name] <= high, (name, served.values[name], intervals[name])
    gap = abs(served.values["next-token-divergence"] - local.values["next-token-divergence"])
    assert gap < 0.01  # nats; measured .0003
