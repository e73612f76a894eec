"""``relative-mmd`` against its formula written out with kernel matrices, and the permutation test."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from text_samples import text_sample

from forensics.comparators.relative_mmd import RelativeMmd, equality_test, hamming, mmd2_unbiased
from forensics.errors import UsageError

PARTIES = ("suspect", "reference", "ann", "bob", "cid")


def word(rng: np.random.Generator, letters: str, longest: int = 12) -> str:
    return "".join(rng.choice(list(letters), rng.integers(1, longest + 1)))


def answers(rng: np.random.Generator, items: int, draws: int) -> dict[str, list[list[str]]]:
    alphabets = ("abcx", "abcy", "xyz", "abz", "bcz")
    return {
        p: [[word(rng, letters) for _ in range(draws)] for _ in range(items)]
        for p, letters in zip(PARTIES, alphabets, strict=True)
    }


def test_the_kernel_by_hand() -> None:
    assert hamming(["abc"], ["abd", "abc", "xab"])[0] == pytest.approx([2 / 3, 1.0, 0.0])
    # missing positions agree with nothing, and a shorter answer is not nearer for being short
    assert hamming(["ab"], ["abcd"])[0, 0] == pytest.approx(2 / np.sqrt(8))
    assert hamming(["abcX"], ["abcY"], length=3)[0, 0] == pytest.approx(1.0)
    assert hamming(["é字😀"], ["é字x"])[0, 0] == pytest.approx(2 / 3)


def test_the_kernel_is_positive_definite() -> None:
    rng = np.random.default_rng(0)
    texts = [word(rng, "abc") for _ in range(60)]
    assert np.linalg.eigvalsh(hamming(texts, texts)).min() > -1e-9


def test_the_value_is_the_relative_mmd_with_typicality_subtracted() -> None:
    """Written out from unbiased MMDs of every pair of parties: their within-terms cancel in the value."""
    made = answers(np.random.default_rng(1), 30, 4)
    mmd = np.array([[[mmd2_unbiased(made[a][i], made[b][i]) for b in PARTIES] for a in PARTIES] for i in range(30)])
    controls = (2, 3, 4)
    c = np.array([
        [0.5 * (np.mean([m[j, k] for k in controls if k != j]) - m[0, j]) for j in range(1, 5)] for m in mmd
    ])  # fmt: skip
    found = RelativeMmd().compare(text_sample(made), np.random.default_rng(0))
    shown = dict(found.ablations)
    assert shown["not length-adjusted"] == pytest.approx((c[:, 0] - c[:, 1:].mean(axis=1)).mean(), abs=1e-12)
    plain = np.mean(mmd[:, 0, 2:].mean(axis=1) - mmd[:, 0, 1])
    assert shown["typicality not subtracted"] == pytest.approx(plain, abs=1e-12)


def test_one_draw_a_prompt_estimates_the_same_quantity() -> None:
    """No within-term can be had from one draw; the value still has the mean that many draws give."""
    rng = np.random.default_rng(2)
    many = RelativeMmd().compare(text_sample(answers(rng, 60, 12)), rng)
    ones = [RelativeMmd().compare(text_sample(answers(rng, 60, 1)), rng) for _ in range(60)]
    values = [dict(s.ablations)["not length-adjusted"] or 0.0 for s in ones]
    expected = dict(many.ablations)["not length-adjusted"] or 0.0
    assert abs(np.mean(values) - expected) < 4 * np.hypot(np.std(values) / np.sqrt(60), np.std(values) / np.sqrt(12))
    assert abs(expected) > 0.02  # far from what a value of zero would pass with
    assert all(dict(s.ablations)["typicality not subtracted"] is None for s in ones)


def test_the_nearest_control_is_named_beside_the_mean() -> None:
    same, other = [[chr(0x4E00 + i) * 8] for i in range(40)], [[str(10_000_000 + 7919 * i)] for i in range(40)]
    parties = {"suspect": same, "reference": same, "ann": same, "bob": other, "cid": other}
    found = RelativeMmd().compare(text_sample(parties), np.random.default_rng(0))
    # closeness 1 - 1/3 for R, 1 - 0 for ann, 0 - 1/2 for bob and cid
    assert found.value == pytest.approx(2 / 3)
    assert dict(found.ablations)["against the nearest control"] == pytest.approx(2 / 3 - 1)


def test_lone_surrogates_and_null_characters_are_read() -> None:
    rng = np.random.default_rng(0)
    odd = [["\ud800\x00" * 3], ["\x00"], ["\u202e字"]] * 12
    parties = {p: odd if p == "suspect" else answers(rng, 36, 1)[p] for p in PARTIES}
    assert RelativeMmd().compare(text_sample(parties), rng).status == "ok"


def test_unbiased_mmd_by_hand() -> None:
    # within 1 and 1/2 (of pairs), cross 3/4
    assert mmd2_unbiased(["ab", "ab"], ["ab", "ax"]) == pytest.approx(1.0 + 0.5 - 2 * 0.75)
    with pytest.raises(UsageError, match="two answers a side: 1 and 2"):
        mmd2_unbiased(["a"], ["a", "b"])


def test_equality_test_by_enumeration() -> None:
    """Two against two: two of the six labellings, the observed and its mirror, are largest."""
    p, statistic = equality_test(["aa", "aa"], ["bb", "bb"], np.random.default_rng(0), permutations=5000)
    assert statistic == pytest.approx(2.0)
    assert p == pytest.approx(1 / 3, abs=0.03)


def test_equality_test_never_says_zero_and_repeats() -> None:
    args = (["aaaa"] * 30, ["bbbb"] * 30)
    assert equality_test(*args, np.random.default_rng(0), permutations=99)[0] == 0.01
    assert equality_test(*args, np.random.default_rng(0)) == equality_test(*args, np.random.default_rng(0))
    assert equality_test(["a"] * 9, ["a"] * 9, np.random.default_rng(0))[0] == 1.0


def test_labels_are_permuted_within_a_prompt_only() -> None:
    """The prompts differ and one side has more of each, the models are the same: shuffled across, p is tiny."""
    rng = np.random.default_rng(3)
    a = [f"{q}{rng.integers(3)}" for q in ["aaaa"] * 40 + ["bbbb"] * 10]
    b = [f"{q}{rng.integers(3)}" for q in ["aaaa"] * 10 + ["bbbb"] * 40]
    assert equality_test(a, b, rng)[0] == 0.001
    assert equality_test(a, b, rng, prompts=([t[:4] for t in a], [t[:4] for t in b]))[0] > 0.05


def test_what_can_not_be_compared_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match="two answers of each side"):
        equality_test(["a", "b"], ["a", "b"], rng, prompts=([0, 1], [0, 1]))
    with pytest.raises(UsageError, match="4 answers, but 3 prompts"):
        equality_test(["a", "b"], ["a", "b"], rng, prompts=([0], [0, 0]))


def test_time_does_not_depend_on_what_is_not_read() -> None:
    long = [[chr(0x4E00 + i) * 1_000_000] for i in range(30)]
    parties = dict.fromkeys(PARTIES, long)
    found = RelativeMmd(ablate=False).compare(text_sample(parties), np.random.default_rng(0))
    assert found.value == pytest.approx(0.0, abs=1e-9)


@pytest.mark.statistical
@pytest.mark.parametrize("prompts", [1, 5])
def test_false_alarms_of_the_equality_test(prompts: int) -> None:
    """Under equality Pr(p <= u) <= u for u = .01, .05, .2 over 1,000 simulated tests (three standard errors)."""
    rng = np.random.default_rng(4)
    letters = ["abc", "xyz", "abz", "bcy", "cx"]
    found = []
    for _ in range(1000):
        group = rng.integers(prompts, size=24)
        a, b = ([word(rng, letters[g], 4) for g in group] for _ in range(2))
        found.append(equality_test(a, b, rng, prompts=(list(group), list(group)), permutations=99)[0])
    for level in (0.01, 0.05, 0.2):
        assert np.mean(np.array(found) <= level) <= level + 3 * np.sqrt(level * (1 - level) / 1000)
    assert all(x <= y for x, y in pairwise(np.quantile(found, [0.1, 0.5, 0.9])))
    assert np.mean(np.array(found) <= 0.5) > 0.4  # and not by being far too careful
