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


def pav(
    hp: ArrayLike, hd: ArrayLike, *, hp_weights: ArrayLike | None = None, hd_weights: ArrayLike | None = None
) -> tuple[Array, Array]:
    """The llrs of the best monotone recalibration (pool adjacent violators; Zadrozny & Elkan 2002, Brümmer 2010).

    Isotonic regression of "is Hp" on the llr, both hypotheses weighing the same, back to log10 odds. Returns the Hp
    and the Hd values in the order given. A block that holds one hypothesis alone gets -inf or +inf.
    """
    from sklearn.isotonic import IsotonicRegression

    p, d = np.asarray(hp, dtype=np.float64), np.asarray(hd, dtype=np.float64)
    w = np.concatenate([_weights(p, hp_weights), _weights(d, hd_weights)])
    x, y = np.concatenate([p, d]), np.concatenate([np.ones(len(p)), np.zeros(len(d))])
    posterior = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(x, y, sample_weight=w)
    with np.errstate(divide="ignore"):
        llr = np.log10(posterior) - np.log10(1.0 - posterior)  # both classes weigh 1: the prior odds are 1
    return llr[: len(p)], llr[len(p) :]


def cllr_min(
    hp: ArrayLike, hd: ArrayLike, *, hp_weights: ArrayLike | None = None, hd_weights: ArrayLike | None = None
) -> float:
    """Cllr after `pav`: what discrimination alone allows."""
    best = pav(hp, hd, hp_weights=hp_weights, hd_weights=hd_weights)
    # An infinite LR on the right side costs nothing; PAV never puts one on the wrong side of its own data.
    return cllr(*best, hp_weights=hp_weights, hd_weights=hd_weights)


def cllr_cal(
    hp: ArrayLike, hd: ArrayLike, *, hp_weights: ArrayLike | None = None, hd_weights: ArrayLike | None = None
) -> float:
    """Cllr - Cllr_min: what is lost because the numbers are not as large as they should be (Brümmer & du Preez 2006).

    Never below 0; PAV is fitted to the very data it is judged on, so this is an upper estimate for small samples.
    """
    weights = {"hp_weights": hp_weights, "hd_weights": hd_weights}
    return cllr(hp, hd, **weights) - cllr_min(hp, hd, **weights)


def tippett(
    hp: ArrayLike,
    hd: ArrayLike,
    at: ArrayLike,
    *,
    hp_weights: ArrayLike | None = None,
    hd_weights: ArrayLike | None = None,
) -> Array:
    """Tippett curves ``(len(at), 2)``: the share of Hp and of Hd pairs with llr >= each value in ``at`` (log10).

    Good ratios keep the first column high up to their largest claim and let the second fall to 0 before llr 0.
    """
    grid = np.asarray(at, dtype=np.float64)
    columns = []
    for values, weights in ((hp, hp_weights), (hd, hd_weights)):
        v = np.asarray(values, dtype=np.float64)
        columns.append((v[None, :] >= grid[:, None]) @ _weights(v, weights))
    return np.asarray(np.stack(columns, axis=1))


def empirical_cross_entropy(
    hp: ArrayLike,
    hd: ArrayLike,
    log_odds: ArrayLike,
    *,
    hp_weights: ArrayLike | None = None,
    hd_weights: ArrayLike | None = None,
) -> Array:
    """Empirical cross-entropy ``(len(log_odds), 3)`` in bits: of these llrs, after `pav`, and of LR = 1 throughout.

    At prior odds O, P = O / (1 + O):  P mean_Hp log2(1 + 1 / (LR O)) + (1 - P) mean_Hd log2(1 + LR O)  (Ramos &
    Gonzalez-Rodriguez, Forensic Sci. Int. 230, 2013). ``log_odds`` is log10 O; at 0 the first column is Cllr. Where
    the first exceeds the third, a reader with that prior would do better without the system.
    """
    prior = np.asarray(log_odds, dtype=np.float64)[:, None] * LN10
    p1 = 1.0 / (1.0 + np.exp(-prior[:, 0]))
    best = pav(hp, hd, hp_weights=hp_weights, hd_weights=hd_weights)
    columns = []
    for p, d in ((hp, hd), best, (np.zeros(len(best[0])), np.zeros(len(best[1])))):
        p, d = np.asarray(p, dtype=np.float64), np.asarray(d, dtype=np.float64)
        cost_p = np.logaddexp(0.0, -(p * LN10 + prior)) @ _weights(p, hp_weights)
        cost_d = np.logaddexp(0.0, d * LN10 + prior) @ _weights(d, hd_weights)
        columns.append((p1 * cost_p + (1.0 - p1) * cost_d) / np.log(2.0))
    return np.stack(columns, axis=1)


def auc(
    hp: ArrayLike, hd: ArrayLike, *, hp_weights: ArrayLike | None = None, hd_weights: ArrayLike | None = None
) -> float:
    """P(score under Hp > score under Hd) + ½ P(equal)."""
    p, d = np.asarray(hp, dtype=np.float64), np.asarray(hd, dtype=np.float64)
    wins = (p[:, None] > d[None, :]) + 0.5 * (p[:, None] == d[None, :])
    return float(_weights(p, hp_weights) @ wins @ _weights(d, hd_weights))


def false_positive_rate(hd: ArrayLike, at: float) -> tuple[float, float]:
    """Share of Hd values with llr >= ``at`` and its exact (Clopper-Pearson) one-sided 95 % upper bound."""
    d = np.asarray(hd, dtype=np.float64)
    hits, n = int((d >= at).sum()), len(d)
    return hits / n, upper_bound(hits, n)


def upper_bound(hits: int, n: int) -> float:
    """The exact (Clopper-Pearson) one-sided 95 % upper bound of a rate of which ``hits`` in ``n`` were seen."""
    from scipy.stats import beta

    return 1.0 if hits == n else float(beta.ppf(0.95, hits + 1, n - hits))
