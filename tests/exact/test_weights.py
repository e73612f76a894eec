"""The weights test: exact under independent initialisation, blind to data, sharp for copies."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from forensics.exact.weights import SMALLEST_P, compare_weights, fisher, layer_p

torch = pytest.importorskip("torch")
RNG = np.random.default_rng


def matrix(seed: int, units: int = 64, width: int = 24) -> np.ndarray:
    return RNG(seed).normal(size=(units, width)).astype(np.float32)


def save(folder: Path, *layers: np.ndarray, name: str = "mlp.up_proj.weight") -> Path:
    from safetensors.numpy import save_file

    folder.mkdir()
    save_file({f"model.layers.{i}.{name}": m for i, m in enumerate(layers)}, folder / "model.safetensors")
    return folder


def test_a_further_trained_copy_is_found(tmp_path: Path) -> None:
    one = [matrix(i) for i in range(3)]
    moved = [m + 0.5 * matrix(i + 10) for i, m in enumerate(one)]
    found = compare_weights(save(tmp_path / "a", *one), save(tmp_path / "b", *moved))
    assert found.status == "ok"
    assert found.p is not None
    assert 0 < found.p < 1e-20
    assert found.n == 3


def test_p_is_never_zero() -> None:
    assert layer_p(matrix(0), matrix(0)) == pytest.approx(math.exp(-math.lgamma(65)))
    assert fisher([SMALLEST_P] * 9) > 0


def test_a_permuted_copy_is_not_called_a_copy() -> None:
    order = RNG(1).permutation(64)
    assert layer_p(matrix(0), matrix(0)[order]) > 1e-4


def test_shapes_that_do_not_match_are_unsupported(tmp_path: Path) -> None:
    found = compare_weights(save(tmp_path / "a", matrix(0)), save(tmp_path / "b", matrix(1, units=32)))
    assert (found.status, found.p) == ("unsupported", None)
    assert "equal name and shape" in (found.reason or "")


def test_pruned_units_are_no_evidence() -> None:
    """Ties: rows set to zero in both models must not be matched in row order."""
    a, b = matrix(0), matrix(1)
    a[RNG(2).choice(64, 40, replace=False)] = 0
    b[RNG(3).choice(64, 40, replace=False)] = 0
    assert layer_p(a, b) > 1e-3
    assert layer_p(np.zeros((64, 24), np.float32), matrix(0)) == 1.0
    assert layer_p(np.ones((64, 24), np.float32), np.ones((64, 24), np.float32)) > 1e-4


def test_few_units_can_not_give_a_small_p() -> None:
    assert layer_p(matrix(0, units=4), matrix(0, units=4)) == pytest.approx(1 / 24)


def test_weights_that_are_not_finite_fail_with_a_reason(tmp_path: Path) -> None:
    bad = matrix(0)
    bad[3, 3] = np.nan
    found = compare_weights(save(tmp_path / "a", bad), save(tmp_path / "b", matrix(1)))
    assert (found.status, found.p) == ("failed", None)
    assert "not finite" in (found.reason or "")


def uniformity(n: int) -> float:
    from scipy.stats import kstest

    return float(kstest([layer_p(matrix(2 * i + 100), matrix(2 * i + 101)) for i in range(n)], "uniform").pvalue)


def test_independent_weights_give_uniform_p_short_form() -> None:
    assert uniformity(200) > 1e-3


@pytest.mark.statistical
def test_independent_weights_give_uniform_p() -> None:
    """2,000 pairs of independent initialisations: rejection at .05 and .01 within three Monte-Carlo errors."""
    p = np.array([layer_p(matrix(2 * i + 1000), matrix(2 * i + 1001)) for i in range(2000)])
    for level in (0.05, 0.01):
        error = np.sqrt(level * (1 - level) / len(p))
        assert (p <= level).mean() <= level + 3 * error
    combined = np.array([fisher(list(row)) for row in p.reshape(-1, 4)])
    assert (combined <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(combined))
