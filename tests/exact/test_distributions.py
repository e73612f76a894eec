"""The log-prob form of radioactivity: positions, vocabularies, weights; found where it is, uniform where it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from forensics.backends import open_backend  # noqa: E402
from forensics.backends.local import encode_prompt, encode_target  # noqa: E402
from forensics.backends.local_model import Job, LocalModel  # noqa: E402
from forensics.exact.distributions import Gains, View, _row, _view, gains, weights  # noqa: E402
from forensics.exact.watermark import count, judge, tails  # noqa: E402
from forensics.probes import load_suite  # noqa: E402
from forensics.spec import parse_spec  # noqa: E402
from forensics.types import Message, Request, Sampling  # noqa: E402

KGW = {"greenlist_ratio": 0.25, "hashing_key": 15485863}
SYNTHID = {"ngram_len": 3, "keys": [654, 400, 836, 123, 340]}


def model(name: str) -> LocalModel:
    return open_backend(parse_spec(f"zoo/{name}")).opened()  # type: ignore[attr-defined, no-any-return]


class Tilted:
    """A model that learnt a KGW mark: its log-probs rise by ``nats`` where a token is green after the one before."""

    def __init__(self, inner: LocalModel, key: dict[str, Any], nats: float) -> None:
        from transformers import WatermarkLogitsProcessor

        self.inner, self.nats = inner, nats
        self.pieces, self.context, self.tokenizer = inner.pieces, inner.context, inner.tokenizer
        self.processor = WatermarkLogitsProcessor(len(inner.pieces), "cpu", **key)

    def distributions(self, jobs: list[Job]) -> list[Any]:
        out = []
        for job, lp in zip(jobs, self.inner.distributions(jobs), strict=True):
            raised = lp.clone()
            for row, token in enumerate([job.prompt[-1], *job.target[:-1]]):
                raised[row, self.processor._get_greenlist_ids(torch.tensor([token]))] += self.nats
            out.append(raised.log_softmax(-1))
        return out


@pytest.fixture(scope="module")
def asked() -> list[Request]:
    items = [i for i in load_suite("zoo").items if i.family in ("writing", "facts", "layout")][:120]
    return [Request("w", i.id, (Message("user", i.prompt),), sampling=Sampling(max_tokens=40, seed=1)) for i in items]


@pytest.fixture(scope="module")
def texts(asked: list[Request]) -> list[str]:
    import asyncio

    said = asyncio.run(open_backend(parse_spec("zoo/student")).complete(asked))
    return [r.completion.text or "" for r in said]


def test_distributions_are_those_that_scores_are_read_from(asked: list[Request], texts: list[str]) -> None:
    teacher = model("teacher")
    jobs = [
        Job(0, encode_prompt(teacher, r), encode_target(teacher, t), 0) for r, t in zip(asked[:3], texts, strict=False)
    ]
    for job, lp, scored in zip(jobs, teacher.distributions(jobs), teacher.score(jobs), strict=True):
        assert lp.shape == (len(job.target), len(teacher.pieces))
        assert lp.exp().sum(-1).numpy() == pytest.approx(1, abs=1e-4)
        assert lp[range(len(job.target)), job.target].tolist() == pytest.approx([t.logprob for t in scored], abs=1e-4)


def test_a_suspect_that_is_its_own_base_gained_nothing(asked: list[Request], texts: list[str]) -> None:
    student = model("student")
    found = gains(student, [student], model("teacher"), asked[:10], texts[:10], 2)
    assert len(found.gain) > 100
    assert np.abs(found.gain).max() == 0
    assert len(weights(found, 100)[0]) == 0


def test_contexts_that_the_prompt_continues_do_not_count(asked: list[Request]) -> None:
    teacher = model("teacher")
    row = _row([teacher], asked[0], "The fox took the fox.")
    assert row is not None
    for size in (2, 3):
        before, kept = row.contexts(size)
        ids = row.prompt + row.target
        prompt = {tuple(row.prompt[i : i + size - 1]) for i in range(len(row.prompt) - size + 1)}  # and what follows
        for place, context, counts in zip(row.places, before, kept, strict=True):
            end = len(row.prompt) + place
            assert counts == (tuple(ids[end - size + 1 : end]) not in prompt)
            assert not counts or tuple(context) == tuple(ids[end - size + 1 : end])


def test_another_tokenizers_tokens_are_read_by_their_bytes() -> None:
    class Named:
        def __init__(self, *pieces: bytes) -> None:
            self.pieces = pieces

    reference, other = Named(b"a", b"ab", b"c", b"abc"), Named(b"a", b"abx", b"c", b"b")
    assert _view(reference, reference) == View()  # type: ignore[arg-type]
    view = _view(other, reference)  # type: ignore[arg-type]
    read = np.exp(view.of(torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log(), np.array([0])))
    # a: itself; ab: from abx, and its first piece a; c: itself; abc: its first piece a. b is no beginning of any.
    assert read[0] == pytest.approx([0.1 + 0.4, 0.2 + 0.1, 0.3, 0.1])


def test_weights_sum_to_nothing_in_every_context() -> None:
    rng = np.random.default_rng(0)
    ngrams = np.column_stack([np.repeat(np.arange(1, 60), 20), np.tile(np.arange(20), 59)])
    ngrams, weight = weights(Gains(ngrams, np.ones(1180), rng.normal(size=1180)), 10**6)
    assert np.abs(np.bincount(ngrams[:, 0], weight)).max() < 0.25 * np.bincount(ngrams[:, 0], np.abs(weight)).max()
    few, _ = weights(Gains(ngrams, np.ones(len(ngrams)), rng.normal(size=len(ngrams))), 100)
    assert len(few) <= 100
    assert set(few[:, 0]) < set(ngrams[:, 0])


def test_a_learnt_mark_is_found_and_another_key_is_not(asked: list[Request], texts: list[str]) -> None:
    base, teacher = model("student"), model("teacher")
    marked = Tilted(base, KGW, 0.1)
    pairs = weights(gains(marked, [base], teacher, asked, texts, 2), 20_000)  # type: ignore[arg-type]
    found = judge({"key": "k", "form": "log-probs", **count(*pairs, KGW, len(teacher.pieces), 0, 100)})
    assert found.p is not None
    assert found.p < 1e-10
    assert "log-probs" in found.finding
    wrong = judge(
        {"key": "k", "form": "log-probs", **count(*pairs, {**KGW, "hashing_key": 7}, len(teacher.pieces), 0, 100)}
    )
    assert wrong.p is not None
    assert wrong.p > 0.01


@pytest.mark.parametrize("keys", [100, pytest.param(2000, marks=pytest.mark.statistical)])
@pytest.mark.parametrize("suspect", ["student", "independent"])
@pytest.mark.parametrize("config", [KGW, SYNTHID], ids=["kgw", "synthid"])
def test_random_keys_give_uniform_p(
    config: dict[str, Any], suspect: str, keys: int, asked: list[Request], texts: list[str],
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    """Real distributions of a student of R that read no mark, and of a stranger; the key is what is random."""
    from scipy.stats import binom, kstest

    teacher = model("teacher")
    found = gains(model(suspect), [model("base")], teacher, asked, texts, int(config.get("ngram_len", 2)))
    made = count(*weights(found, 20_000), config, len(teacher.pieces), 0, keys)
    weight, trials, _ = np.array(made["levels"]).T
    ps = tails(weight, trials, made["gamma"], np.array(made["dummies"]))
    for level in (0.05, 0.01):
        record_property(f"rejected at {level}", (ps <= level).mean())
        assert (ps <= level).sum() <= binom.ppf(1 - 1e-4, keys, level)
    assert kstest(ps, "uniform").pvalue > 1e-3


def test_weights_that_know_the_key_would_show(asked: list[Request], texts: list[str]) -> None:
    """The test above fails where it must: weights of one key's green tokens raised by two make that key's p no p."""
    from forensics.exact.watermark import _kgw

    teacher = model("teacher")
    ngrams, weight = weights(gains(model("student"), [model("base")], teacher, asked, texts, 2), 20_000)
    green = next(_kgw(ngrams, KGW, len(teacher.pieces), np.random.default_rng(0), 0)[2])[:, 0]
    leaked = count(ngrams, weight + 2 * green, KGW, len(teacher.pieces), 0, 100)
    assert judge({"key": "k", "form": "log-probs", **leaked}).p < 1e-6  # type: ignore[operator]
