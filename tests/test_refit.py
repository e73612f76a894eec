"""Many fusions at once are the same fusions: held against scikit-learn on tables with rows that are really repeated."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.verdict.calibrate import Table, load_population
from forensics.verdict.refit import refits, resampled_weights


def drawn_again(table: Table, rng: np.random.Generator) -> tuple[np.ndarray, Table]:
    """A bootstrap sample of lineages, as counts and as a table in which every copy is a lineage of its own."""
    names = sorted(set(table.lineage))
    chosen = rng.choice(len(names), size=len(names))
    rows = [np.flatnonzero(np.asarray(table.lineage) == names[k]) for k in chosen]
    copies = [f"{i}" for i, part in enumerate(rows) for _ in part]
    return np.bincount(chosen, minlength=len(names)), table.rows(np.concatenate(rows), copies)


@pytest.mark.parametrize("name", ["zoo", "text-90"])  # one column of pairs, and twenty-one
def test_refits_are_scikit_learns(name: str) -> None:
    from sklearn.linear_model import LogisticRegression

    people = load_population(name)
    seen = people.through(people.columns)
    rng = np.random.default_rng(3)
    counts, tables = zip(*(drawn_again(seen.table, rng) for _ in range(4)), strict=True)
    t, at = seen.table, seen.table.x[:4]
    weights = resampled_weights(np.array(counts), t.label, t.lineage, t.group)
    found = refits(t.x, t.label, weights, seen.strength)
    for b, table in enumerate(tables):
        used = table.weight > 0
        x, label, weight = table.x[used], table.label[used], table.weight[used]
        assert weights[b].sum() == pytest.approx(weight.sum())
        mean, sd = np.average(x, axis=0, weights=weight), np.sqrt(np.cov(x.T, aweights=weight, ddof=0).diagonal())
        model = LogisticRegression(C=seen.strength, solver="newton-cholesky", tol=1e-13, max_iter=1000)
        model.fit((x - mean) / sd, label, sample_weight=weight)
        by_hand = (((at[b] - mean) / sd) @ model.coef_[0] + model.intercept_[0]) / np.log(10)
        assert found.llr(at)[b] == pytest.approx(by_hand, abs=1e-8)


def test_steps_that_overshoot_are_halved() -> None:
    """Full Newton steps from 0 run away here: one heavy row far from the others."""
    x, label = np.array([[0.47], [0.48], [0.76], [1.06], [1.83], [2.72]]), np.array([0, 1, 0, 1, 0, 1])
    weight = np.array([179.0, 0.25, 30.5, 0.14, 1144.0, 2.2])
    found = refits(x, label, weight[None], 402.0)
    z = (x - found.mean[0]) / found.sd[0]
    p = 1 / (1 + np.exp(-(z @ found.w[0] + found.b[0])))
    assert found.w[0] + z.T @ (402.0 * weight * (p - label)) == pytest.approx(0.0, abs=1e-6)  # the gradient


def test_a_sample_without_one_hypothesis_weighs_nothing() -> None:
    label, lineage = np.array([1, 0]), ("a", "b")
    weights = resampled_weights(np.array([[1, 1], [2, 0]]), label, lineage, ("", ""))
    assert weights[0] == pytest.approx([1.0, 1.0])
    assert not weights[1].any()
