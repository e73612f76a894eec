"""Looking often must not inflate errors: P(llr >= x at any look | Hd) <= 10^-x, and its mirror under Hp."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm
from worlds import population

from forensics.verdict.calibrate import Population

SHIFT = {f"score-{i}": 1.2 for i in range(6)}  # six looks, one more score each
CASES = 4000


def ratios(people: Population, cases: np.ndarray) -> np.ndarray:
    """llr at every look ``(cases, looks)``, by the calibration that audits use."""
    columns = people.columns
    fits = [people.through(columns[:k]) for k in range(1, len(columns) + 1)]
    return np.stack([f.fusion.llr(cases[:, : len(f.columns)]) for f in fits], axis=1)


def fixed_n(people: Population, cases: np.ndarray) -> np.ndarray:
    """The broken rule: -log10 of the p-value of a test that is meant for one look."""
    k = np.arange(1, cases.shape[1] + 1)
    return np.asarray(-np.log10(norm.sf(np.cumsum(cases, axis=1) / np.sqrt(k))))


def too_often(paths: np.ndarray, x: float) -> bool:
    """Whether paths reach x more often than 10^-x, beyond what chance explains (one in a thousand)."""
    met = int((paths.max(axis=1) >= x).sum())
    return bool(binom.sf(met - 1, len(paths), 10**-x) < 0.001)


@pytest.fixture(scope="module")
def people() -> Population:
    return population(SHIFT, 1.0, lineages=400, seed=1)


@pytest.mark.parametrize("x", [0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("side", [0, 1])
def test_any_look_under_either_hypothesis(people: Population, x: float, side: int) -> None:
    rng = np.random.default_rng(side)
    cases = rng.normal(side * 1.2, 1.0, (CASES, len(SHIFT)))
    paths = ratios(people, cases) * (1 - 2 * side)
    assert not too_often(paths, x)


@pytest.mark.parametrize("x", [1.0, 1.5, 2.0])
def test_a_p_value_looked_at_every_time_would_be_caught(people: Population, x: float) -> None:
    cases = np.random.default_rng(0).normal(0.0, 1.0, (CASES, len(SHIFT)))
    last = fixed_n(people, cases)[:, -1:]
    assert not too_often(last, x), "at one look it is right"
    assert too_often(fixed_n(people, cases), x)


def test_it_stops(people: Population) -> None:
    """Validity is cheap for a rule that never fires."""
    cases = np.random.default_rng(2).normal(1.2, 1.0, (CASES, len(SHIFT)))
    paths = ratios(people, cases)
    assert np.mean((paths >= 1.0).any(axis=1)) > 0.8
    assert np.mean((paths[:, :3] >= 1.0).any(axis=1)) > 0.5
