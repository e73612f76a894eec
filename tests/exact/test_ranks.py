"""The rank test behind canaries, twins and regeneration: exact under the null, whatever the scores look like."""

from __future__ import annotations

import math

import numpy as np
import pytest

from forensics.exact.ranks import (
    detectable,
    e_process,
    harmonic_e,
    items_needed,
    power,
    rank_ps,
    rank_test,
    standardised,
)

NONE = np.zeros((0, 1, 1))


def made(rng: np.random.Generator, n: int = 40, c: int = 6, lead: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that lean on one control variate, heavy-tailed; column 0 leads."""
    control = rng.normal(size=(1, n, c)) * 10
    scores = 1.1 * control[0] + rng.standard_t(3, size=(n, c)) * rng.gamma(1.0, 2.0, size=(n, 1))
    scores[:, 0] += lead
    return scores, control


def none(scores: np.ndarray) -> np.ndarray:
    return np.zeros((0, *scores.shape))


def test_a_control_variate_turns_a_blind_test_into_a_sharp_one() -> None:
    scores, control = made(np.random.default_rng(1), lead=2.0)
    assert rank_test(scores, none(scores), np.random.default_rng(0)).p > 0.05
    with_control = rank_test(scores, control, np.random.default_rng(0))
    assert with_control.p < 0.001
    assert with_control.e > 100
    assert with_control.beta[0] == pytest.approx(1.1, abs=0.05)


def test_p_is_never_zero_and_a_constant_score_gives_one() -> None:
    scores = np.zeros((30, 5))
    scores[:, 0] = 1
    found = rank_test(scores, none(scores), np.random.default_rng(0), permutations=99)
    assert found.p == pytest.approx(1 / 100)
    flat = rank_test(np.ones((30, 5)), none(scores), np.random.default_rng(0), permutations=99)
    assert (flat.p, flat.n, flat.log_e) == (1.0, 0, 0.0)


def test_not_a_number_is_refused() -> None:
    scores = np.ones((5, 3))
    scores[2, 1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        rank_test(scores, none(scores), np.random.default_rng(0))


def test_beta_does_not_know_which_column_was_picked() -> None:
    """The heart of exactness: any order of the candidates gives the same beta and the same set of residuals."""
    rng = np.random.default_rng(2)
    scores, control = made(rng, lead=5.0)
    order = rng.permuted(np.tile(np.arange(6), (40, 1)), axis=1)
    z, spread, beta = standardised(scores, control)
    shuffled, other, same = standardised(
        np.take_along_axis(scores, order, 1), np.take_along_axis(control, order[None], 2)
    )
    assert same == pytest.approx(beta)
    assert other == pytest.approx(spread)
    assert shuffled == pytest.approx(np.take_along_axis(z, order, 1))


def test_every_bet_of_the_e_process_is_fair() -> None:
    """Given the unordered candidates, the payoff averages to 1 over which of them was picked, at every item."""
    scores, control = made(np.random.default_rng(3), n=25, c=4)
    for bet in (0.5, 2.0):
        before = e_process(scores, control, (bet,))
        for item in (0, 7, 24):
            start = before[item - 1] if item else 0.0
            paid = []
            for picked in range(4):
                order = [picked, *(j for j in range(4) if j != picked)]
                s, c = scores[: item + 1].copy(), control[:, : item + 1].copy()
                s[item], c[:, item] = s[item][order], c[:, item][:, order]
                paid.append(math.exp(e_process(s, c, (bet,))[item] - start))
            assert np.mean(paid) == pytest.approx(1.0)


def test_ranks_count_ties_against_the_finding() -> None:
    scores = np.array([[1.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    assert rank_ps(scores, none(scores)) == pytest.approx([2 / 3, 1 / 3, 1.0])
    every = [math.exp(harmonic_e(np.array([r]), 8)) for r in range(1, 9)]
    assert np.mean(every) == pytest.approx(1.0)


def test_power_is_what_simulation_finds() -> None:
    rng, n = np.random.default_rng(4), 60
    effect, rejected = [], []
    for _ in range(400):
        scores, control = made(rng, n=n, lead=0.9)
        found = rank_test(scores, control, rng, permutations=299)
        effect.append(found.effect)
        rejected.append(found.p <= 0.05)
    assert power(float(np.mean(effect)), n, 0.05) == pytest.approx(np.mean(rejected), abs=0.06)
    assert power(detectable(n, 0.01), n, 0.01) == pytest.approx(0.9)
    assert items_needed(detectable(n, 0.01), 0.01) == pytest.approx(n)
    assert items_needed(0.0, 0.01) == math.inf


def rejections(rng: np.random.Generator, nulls: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    found = [rank_test(*made(rng, n=n), rng, permutations=199) for _ in range(nulls)]
    return np.array([f.p for f in found]), np.array([f.log_e for f in found])


def test_nulls_short_form() -> None:
    ps, log_e = rejections(np.random.default_rng(5), 400, 30)
    for level in (0.05, 0.01):
        assert (ps <= level).mean() <= level + 3 * math.sqrt(level * (1 - level) / len(ps))
    assert (log_e >= math.log(20)).mean() <= 0.05
    assert ps.min() > 0
