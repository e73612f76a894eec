"""``runner-up``: is R nearer to S than *every* control, or is another candidate the better explanation?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..types import Sample, Score
from .base import RESAMPLES, Array, abstain, assemble, bootstrap, closeness_of, shortage, trimmed_means
from .cross_likelihood import LIKELIHOOD_FAMILIES, CrossLikelihood


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """Lead of R over the nearest control, in the gains c_ij of `cross-likelihood` (nats per byte, trimmed means m_j):

        value = m_R - max_k m_k          k over controls; for the null with control j in R's place, k over the others

    `cross-likelihood` compares R with the controls' *mean*. If one control is S's teacher, or the teacher of both S and
    R, R stands above that mean without having taught anything; it does not stand above that control. So this value is
    near or below zero wherever somebody else among the candidates explains S better, and it is positive for R alone
    only. It misses a teacher that gave S less than a control did: a lead is about the largest source. Range: any real
    number. Null hypothesis: the candidate is not S's teacher; the maximum over K controls makes the null's mean
    negative. Cost: nothing beyond `cross-likelihood`. Source: method.md 5, "common teacher: candidates include it".
    """

    name: str = "runner-up"
    unit: str = "nats per byte"
    families: frozenset[str] = LIKELIHOOD_FAMILIES
    trim: float = 0.05
    resamples: int = RESAMPLES

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs what `cross-likelihood` needs."""
        gains = CrossLikelihood().gains(sample)
        if isinstance(gains, str):
            return abstain(self.name, "unsupported", gains)
        gains = gains[np.isfinite(gains).all(axis=1)]
        problem = shortage(len(gains), gains.shape[1] - 1)
        if problem:
            return abstain(self.name, "insufficient", problem, n=len(gains))
        means = trimmed_means(gains, np.full((1, len(gains)), 1.0 / len(gains)), self.trim)
        draws = bootstrap(lambda w: trimmed_means(gains, w, self.trim), len(gains), rng, resamples=self.resamples)
        listed = closeness_of(means[0], list(sample.candidates))
        return assemble(self.name, leads(means)[0], leads(draws), len(gains), listed)


def leads(means: Array) -> Array:
    """``(n, 1 + K)`` means, R first -> each candidate's lead over the nearest of the controls other than itself."""
    out = np.empty_like(means)
    for j in range(means.shape[1]):
        out[:, j] = means[:, j] - np.delete(means, [0, j] if j else [0], axis=1).max(axis=1)
    return out
