"""Our MMD beside two other implementations. Install them with ``pip install -e '.[oracle]'``; skipped without."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from forensics.comparators.relative_mmd import hamming, mmd2_unbiased

pytestmark = pytest.mark.slow


def imported(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason="pip install -e '.[oracle]'", exc_type=ImportError)


def rbf(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    from sklearn.metrics.pairwise import rbf_kernel

    return np.asarray(rbf_kernel(x, y, gamma=0.5))


def biased(x: Any, y: Any, kernel: Any) -> float:
    """MMD²_V from our MMD²_u, for a kernel with k(x, x) = 1: mean over all pairs = w + (1 - w) / n."""
    spread = [(1.0 - kernel(z, z).mean()) / (len(z) - 1) for z in (x, y)]
    return mmd2_unbiased(x, y, kernel) + sum(spread)


def words(rng: np.random.Generator, n: int, letters: str) -> list[str]:
    return ["".join(rng.choice(list(letters), 20)) for _ in range(n)]


@pytest.mark.parametrize("sizes", [(12, 12), (9, 30), (40, 25)])
@pytest.mark.parametrize("kind", ["text", "vector"])
def test_hyppo(sizes: tuple[int, int], kind: str) -> None:
    """dCov² of 1 - k with the labels is MMD²_V · 2 n² m² / N⁴ (hyppo's own identity for its MMD)."""
    dcorr = imported("hyppo.independence.dcorr")
    rng = np.random.default_rng(sizes)
    n, m = sizes
    if kind == "text":
        x, y, kernel = words(rng, n, "abc"), words(rng, m, "abd"), hamming
        k = hamming([*x, *y], [*x, *y])
    else:
        x, y, kernel = rng.normal(size=(n, 3)), rng.normal(0.5, 1.0, (m, 3)), rbf
        k = rbf(np.vstack([x, y]), np.vstack([x, y]))
    label = np.repeat([0.0, 1.0], [n, m])
    theirs = dcorr._dcov(1.0 - k, np.abs(label[:, None] - label), bias=True) ** 2 * (n + m) ** 4 / (2.0 * n**2 * m**2)
    assert biased(x, y, kernel) == pytest.approx(theirs, abs=1e-9)


def test_hyppo_mmd() -> None:
    """hyppo's MMD divides the covariance by both variances: multiplied back it is ours."""
    ksample, dcorr = imported("hyppo.ksample"), imported("hyppo.independence.dcorr")
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(15, 3)), rng.normal(0.7, 1.0, (22, 3))
    both, label = np.vstack([x, y]), np.repeat([0.0, 1.0], [15, 22])
    factor = 2.0 * 15**2 * 22**2 / 37**4
    theirs = ksample.MMD(compute_kernel="rbf", bias=True, gamma=0.5).statistic(x, y)
    distances = (1.0 - rbf(both, both), np.abs(label[:, None] - label))
    spread = np.prod([dcorr._dcov(d, d, bias=True) for d in distances])
    assert biased(x, y, rbf) == pytest.approx((theirs / factor) ** 2 * spread / factor, abs=1e-9)


def test_model_equality_testing() -> None:
    """The statistic of 2410.20247's own package, on answers at least as long as what is read."""
    tests = imported("model_equality_testing.tests")
    distribution = imported("model_equality_testing.distribution")
    utils = imported("model_equality_testing.utils")
    rng = np.random.default_rng(2)
    x, y = words(rng, 14, "abc"), words(rng, 23, "abd")

    def sample(texts: list[str]) -> Any:
        codes = utils.pad_to_length(utils.tokenize_unicode(texts), L=20)
        return distribution.CompletionSample(prompts=np.zeros(len(texts), int), completions=codes, m=1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = tests.mmd_hamming(sample(x), sample(y))
    assert mmd2_unbiased(x, y) == pytest.approx(theirs, abs=1e-9)
