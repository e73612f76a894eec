"""The fusion refitted on many reweighted tables at once: what the interval of a likelihood ratio is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
STEPS = 100  # Newton takes about six
GRADIENT = 1e-10  # largest component that is left, where the weights sum to some tens
BLOCK = 1 << 22  # cells of one block of standardised scores (32 MB)


@dataclass(frozen=True, slots=True)
class Refits:
    """B logistic fusions: ``mean``, ``sd`` and ``w`` ``(B, p)``, ``b`` ``(B,)``; see `calibrate.Fusion`."""

    mean: Array
    sd: Array
    w: Array
    b: Array

    def llr(self, x: Array) -> Array:
        """log10 likelihood ratios ``(B,)``, not yet bounded: the b-th fusion on the b-th row of ``x`` ``(B, p)``."""
        return np.asarray((((x - self.mean) / self.sd * self.w).sum(axis=1) + self.b) / np.log(10.0))


def resampled_weights(
    counts: NDArray[np.intp], label: NDArray[np.int_], lineage: Sequence[str], group: Sequence[str]
) -> Array:
    """`calibrate.lineage_weights` of B bootstrap samples of lineages, ``counts`` ``(B, n_lineages)`` in sorted order.

    A lineage that is drawn m times is m lineages of the resampled world: row b holds for each pair the sum of its
    copies' weights, ``(B, n)``; all 0 where no column holds both hypotheses.
    """
    names, name = np.unique(np.asarray(lineage), return_inverse=True)
    columns, column = np.unique(np.asarray(group), return_inverse=True)
    shape = (len(columns), 2, len(names))
    cell = np.ravel_multi_index((column, label, name), shape)
    pairs = np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape)
    drawn = np.einsum("bl,ckl->bck", counts, (pairs > 0).astype(np.intp))  # lineages by column and label
    mass = np.where(drawn.min(axis=2) > 0, drawn[:, :, 1], 0)
    each = mass[:, :, None] / np.maximum(drawn, 1)
    weight = counts[:, name] * each[:, column, label] / pairs.reshape(-1)[cell]
    total = weight.sum(axis=1, keepdims=True)
    return np.asarray(weight * np.divide(counts.sum(axis=1, keepdims=True), total, where=total > 0, out=total * 0.0))


def refits(x: Array, label: NDArray[np.int_], weights: Array, strength: float) -> Refits:
    """L2-regularised logistic fits of scores ``x`` ``(n, p)`` under every row of ``weights`` ``(B, n)``.

    Minimises |w|^2 / 2 + strength * sum_i weight_i log(1 + exp(-y_i (w.z_i + b))), z standardised under the weights, by
    Newton steps that are halved while they do not descend: what `calibrate.Fusion` fits one at a time.
    """
    size = max(1, BLOCK // max(1, x.size))
    parts = [_fit(x, label, weights[i : i + size], strength) for i in range(0, len(weights), size)]
    return Refits(*(np.concatenate([getattr(p, name) for p in parts]) for name in Refits.__slots__))


def _fit(x: Array, label: NDArray[np.int_], weights: Array, strength: float) -> Refits:
    share = weights / weights.sum(axis=1, keepdims=True)
    mean = share @ x
    sd = np.sqrt(np.einsum("bn,bnp->bp", share, (x - mean[:, None]) ** 2))
    sd[sd == 0] = 1.0
    z = np.concatenate([(x - mean[:, None]) / sd[:, None], np.ones((len(weights), len(x), 1))], axis=2)
    sign, cost = 2.0 * label - 1.0, strength * weights
    ridge = np.append(np.ones(x.shape[1]), 0.0)  # the intercept is not shrunk

    def loss(v: Array) -> Array:
        margin = sign * np.einsum("bnp,bp->bn", z, v)
        return np.asarray(0.5 * (ridge * v**2).sum(axis=1) + (cost * np.logaddexp(0.0, -margin)).sum(axis=1))

    v = np.zeros((len(weights), x.shape[1] + 1))
    now = loss(v)
    for _ in range(STEPS):
        p = 0.5 * (1.0 + np.tanh(0.5 * np.einsum("bnp,bp->bn", z, v)))
        gradient = ridge * v + np.einsum("bnp,bn->bp", z, cost * (p - label))
        if np.abs(gradient).max() < GRADIENT:
            break
        hessian = np.einsum("bnp,bn,bnq->bpq", z, cost * p * (1.0 - p), z, optimize=True) + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        for _ in range(30):
            after = loss(v - step)
            worse = after > now + 1e-12 * (1.0 + np.abs(now))
            if not worse.any():
                break
            step[worse] *= 0.5
        v, now = v - step, after
    return Refits(mean, sd, v[:, :-1], v[:, -1])
