"""Radioactivity: pairs, weights, colours, and the two p-values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.exact.watermark import count, judge, ngram_counts, scheme, tails, weighted, weighted_tail, width

KGW = {"greenlist_ratio": 0.25, "bias": 2.0, "hashing_key": 15485863}
SYNTHID = {"ngram_len": 3, "keys": [654, 400, 836, 123, 340]}
VOCAB = 300


def test_schemes() -> None:
    assert [(scheme(c), width(c)) for c in (KGW, SYNTHID)] == [("kgw", 2), ("synthid", 3)]
    assert width({**KGW, "seeding_scheme": "selfhash", "context_width": 4}) == 4


@pytest.mark.parametrize("bad", [
    {}, {"keys": [], "ngram_len": 3}, {"keys": ["a"], "ngram_len": 3}, {"keys": [1]}, {**SYNTHID, "ngram_len": 1},
    {**SYNTHID, "ngram_len": 10**9}, {**SYNTHID, "keys": [2**70]}, {**SYNTHID, "keys": [True]},
    {**SYNTHID, "sampling_table_size": 10**12}, {**SYNTHID, "sampling_table_size": 0}, {**KGW, "greenlist_ratio": 1.5},
    {**KGW, "greenlist_ratio": True}, {**KGW, "hashing_key": 0}, {**KGW, "hashing_key": "7"},
    {**KGW, "hashing_key": 10**30}, {**KGW, "seeding_scheme": "foo"}, {**KGW, "seeding_scheme": ["lefthash"]},
    {**KGW, "context_width": "x"}, {**KGW, "context_width": 0},
], ids=str)  # fmt: skip
def test_bad_keys(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        scheme(bad)


def test_a_key_without_green_tokens() -> None:
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match="green and red"):
        count(np.array([[1, 2]]), np.array([1]), {**KGW, "greenlist_ratio": 0.001}, VOCAB, 0, 1)


def test_pairs_whose_context_stood_in_the_prompt_do_not_count() -> None:
    found = ngram_counts([[5, 6], []], [[1, 2, 5, 3, 1, 2], [5, 3, 0, 4]], 2)
    assert found == Counter({(1, 2): 2, (2, 5): 1, (3, 1): 1, (5, 3): 1, (3, 0): 1})  # (0, 4): every key's list
    assert ngram_counts([[1, 2, 9]], [[1, 2, 3]], 3) == Counter()


def test_weights_follow_from_the_counts_alone() -> None:
    suspect, control = Counter({(1, 2): 30, (1, 3): 5}), Counter({(1, 2): 5, (1, 3): 5, (2, 2): 25})
    ngrams, weight = weighted(suspect, [control], 100, 0)
    assert dict(zip(map(tuple, ngrams.tolist()), weight.tolist(), strict=True)) == {(1, 2): 8, (2, 2): -10}
    ngrams, weight = weighted(suspect, [], 100, 0)
    assert weight.tolist() == [1, 1]
    assert len(weighted(Counter({(1, i): 1 for i in range(50)}), [], 10, 0)[0]) == 10


def test_the_weighted_tail_by_enumeration() -> None:
    weight, trials, gamma = np.array([-2, 1, 3]), np.array([2, 3, 1]), 0.25
    every = [
        (np.dot(weight, h), np.prod([_binom(n, k, gamma) for n, k in zip(trials, h, strict=True)]))
        for h in product(range(3), range(4), range(2))
    ]
    for total in range(-5, 8):
        assert weighted_tail(weight, trials, gamma, total) == pytest.approx(
            sum(p for t, p in every if t >= total) or 1e-300
        )


def _binom(n: int, k: int, p: float) -> float:
    from scipy.stats import binom

    return float(binom.pmf(k, n, p))


def test_colours_are_the_librarys_own() -> None:
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig, SynthIDTextWatermarkLogitsProcessor, WatermarkDetector

    rng = np.random.default_rng(0)
    ids = rng.integers(1, VOCAB - 1, 80)
    config = LlamaConfig(vocab_size=VOCAB, bos_token_id=VOCAB - 1)
    for given in (KGW, {**KGW, "seeding_scheme": "selfhash", "context_width": 3}):
        detector = WatermarkDetector(config, "cpu", given, ignore_repeated_ngrams=True)
        theirs = detector(torch.tensor(ids)[None], return_dict=True)
        ngrams, weight = weighted(ngram_counts([[]], [ids.tolist()], width(given)), [], 10**6, 0)
        ours = count(ngrams, weight, given, VOCAB, 0, 3)
        assert ours["levels"] == [[1, int(theirs.num_tokens_scored[0]), int(theirs.num_green_tokens[0])]]
    made = SynthIDTextWatermarkLogitsProcessor(
        **SYNTHID, sampling_table_size=2**16, sampling_table_seed=0, context_history_size=8, device=torch.device("cpu")
    )
    ngrams, weight = weighted(ngram_counts([[]], [ids.tolist()], 3), [], 10**6, 0)
    ours = count(ngrams, weight, SYNTHID, VOCAB, 0, 7)
    layers = made.compute_g_values(torch.tensor(ids)[None])[0].sum(0).tolist()
    assert ours["levels"] == [[w, len(ngrams), hits] for w, hits in zip((1, 3, 6, 8, 10), layers[::-1], strict=True)]
    assert len(ours["dummies"]) == 7


def text(rng: np.random.Generator, key: dict[str, Any] | None, n: int = 1500) -> Counter[tuple[int, ...]]:
    """Pairs of a writer; with a key, one that chooses a green token half of the time."""
    pairs = rng.integers(1, VOCAB, (n, 2))
    if key is not None:
        from forensics.exact.watermark import _kgw

        green = next(_kgw(pairs, key, VOCAB, rng, 0)[2])[:, 0]
        keep = (green == 1) | (rng.random(n) < 0.6)
        pairs = pairs[keep]
    return Counter(map(tuple, pairs.tolist()))


def test_marked_text_is_found_and_unmarked_text_is_not() -> None:
    pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    marked = judge({"key": "k", "form": "text", **count(*weighted(text(rng, KGW), [], 10**6, 0), KGW, VOCAB, 0, 100)})
    assert marked.p is not None
    assert marked.e is not None
    assert marked.p < 1e-6
    assert marked.e > 1e4
    assert "rank among 100 dummy keys p 0.0099" in marked.finding
    plain = judge({"key": "k", "form": "text", **count(*weighted(text(rng, None), [], 10**6, 0), KGW, VOCAB, 0, 100)})
    assert plain.p is not None
    assert plain.p > 0.01
    assert "would have been detected" in plain.power
    wrong = judge(
        {
            "key": "k",
            "form": "text",
            **count(*weighted(text(rng, {**KGW, "hashing_key": 7}), [], 10**6, 0), KGW, VOCAB, 0, 100),
        }
    )
    assert wrong.p is not None
    assert wrong.p > 0.01


def test_where_dummy_keys_disagree_only_the_rank_counts() -> None:
    rng = np.random.default_rng(2)
    wild = (250 + 60 * rng.normal(size=500)).round().astype(int).tolist()  # pairs that hang together
    found = judge(
        {"key": "k", "form": "text", "levels": [[1, 1000, 330]], "gamma": 0.25, "pairs": 1000, "dummies": wild}
    )
    assert found.p == (1 + sum(d >= 330 for d in wild)) / 501
    assert found.e is None
    assert "only the rank counts" in found.finding


def test_too_few_pairs() -> None:
    assert (
        judge({"key": "k", "form": "text", **count(*weighted(Counter(), [], 9, 0), KGW, VOCAB, 0, 9)}).status
        == "insufficient"
    )


def test_all_tails_at_once_are_the_same() -> None:
    weight, trials, totals = np.array([-3, 1, 5]), np.array([40, 90, 20]), np.array([-20, 0, 17, 40, 60])
    one = [weighted_tail(weight, trials, 0.25, int(t)) for t in totals]
    assert tails(weight, trials, 0.25, totals) == pytest.approx(one, rel=1e-9)


@pytest.mark.parametrize("keys", [150, pytest.param(2000, marks=pytest.mark.statistical)])
@pytest.mark.parametrize("config", [KGW, SYNTHID], ids=["kgw", "synthid"])
def test_wrong_keys_give_uniform_p(
    config: dict[str, Any], keys: int, record_property: Callable[[str, object], None]
) -> None:
    """Every dummy key is a null: its analytic p among them all. With weights from a contrast, as in use."""
    pytest.importorskip("torch")
    from scipy.stats import binom, kstest

    rng = np.random.default_rng(3)
    size = width(config)

    def writer() -> Counter[tuple[int, ...]]:
        zipf = rng.zipf(1.3, (3000, size)) % (VOCAB - 1) + 1
        return Counter(map(tuple, zipf.tolist()))

    found = count(*weighted(writer(), [writer()], 10**6, 0), config, VOCAB, 0, keys)
    weight, trials, _ = np.array(found["levels"]).T
    ps = tails(weight, trials, found["gamma"], np.array(found["dummies"]))
    for level in (0.05, 0.01):
        record_property(f"rejected at {level}", (ps <= level).mean())
        assert (ps <= level).sum() <= binom.ppf(1 - 1e-4, keys, level)
    assert kstest(ps, "uniform").pvalue > 1e-3
    ranks = np.array([(1 + (np.array(found["dummies"]) >= t).sum()) / (1 + keys) for t in found["dummies"]])
    assert np.abs(ranks - ps).max() < 3 / np.sqrt(keys)
