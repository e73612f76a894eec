"""How good a set of likelihood ratios is. Inputs are log10 LRs of pairs under Hp and under Hd, optionally weighted.

Weights exist because pairs are not independent: a lineage counts once, however many pairs it is in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
LN10 = float(np.log(10.0))


def _weights(values: Array, weights: ArrayLike | None) -> Array:
    w = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    return np.asarray(w / w.sum())


def cllr(
    hp: ArrayLike, hd: ArrayLike, *, hp_weights: ArrayLike | None = None, hd_weights: ArrayLike | None = None
) -> float:
    """Cllr = ½ [ mean_Hp log2(1 + 1/LR) + mean_Hd log2(1 + LR) ]; bits; 0 perfect, 1 an LR that is always 1
    (Brümmer & du Preez 2006)."""
    p, d = np.asarray(hp, dtype=np.float64), np.asarray(hd, dtype=np.float64)
    cost_p = np.logaddexp(0.0, -p * LN10) @ _weights(p, hp_weights)
    cost_d = np.logaddexp(0.0, d * LN10) @ _weights(d, hd_weights)
    return float((cost_p + cost_d) / 2.0 / np.log(2.0))


def cllr_min(
    hp: ArrayLike, hd: ArrayLike, *, hp_weights: ArrayLike | None = None, hd_weights: ArrayLike | None = None
) -> float:
    """Cllr after the best monotone recalibration (pool adjacent violators): what discrimination alone allows."""
    from sklearn.isotonic import IsotonicRegression

    p, d = np.asarray(hp, dtype=np.float64), np.asarray(hd, dtype=np.float64)
    w = np.concatenate([_weights(p, hp_weights), _weights(d, hd_weights)])
    x, y = np.concatenate([p, d]), np.concatenate([np.ones(len(p)), np.zeros(len(d))])
    posterior = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(x, y, sample_weight=w)
    with np.errstate(divide="ignore"):
        llr = np.log10(posterior) - np.log10(1.0 - posterior)  # both classes weigh 1: the prior odds are 1
    # An infinite LR on the right side costs nothing; PAV never puts one on the wrong side of its own data.
    return cllr(llr[: len(p)], llr[len(p) :], hp_weights=hp_weights, hd_weights=hd_weights)


def auc(
    hp: ArrayLike, hd: ArrayLike, *, hp_weights: ArrayLike | None = None, hd_weights: ArrayLike | None = None
) -> float:
    """P(score under Hp > score under Hd) + ½ P(equal)."""
    p, d = np.asarray(hp, dtype=np.float64), np.asarray(hd, dtype=np.float64)
    wins = (p[:, None] > d[None, :]) + 0.5 * (p[:, None] == d[None, :])
    return float(_weights(p, hp_weights) @ wins @ _weights(d, hd_weights))


def false_positive_rate(hd: ArrayLike, at: float) -> tuple[float, float]:
    """Share of Hd values with llr >= ``at`` and its exact (Clopper-Pearson) one-sided 95 % upper bound."""
    from scipy.stats import beta

    d = np.asarray(hd, dtype=np.float64)
    hits, n = int((d >= at).sum()), len(d)
    upper = 1.0 if hits == n else float(beta.ppf(0.95, hits + 1, n - hits))
    return hits / n, upper
