"""``residual-correlation``: does S share R's idiosyncratic next-token preferences, those that controls do not have?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..types import Column, Sample, Score
from .base import RESAMPLES, Array, abstain, point, relative
from .first_tokens import Lists, common_mass, comparable, context_means, first, lists

FEWEST = 4  # tokens of a context: a rank correlation of fewer is a coin toss


@dataclass(frozen=True, slots=True)
class ResidualCorrelation:
    """c_ij = Spearman correlation, over the tokens of context i, of S's and j's log-probs with the controls' mean off:

        r_p(t) = l_p(t) - mean_{k in panel} l_k(t),        c_ij = rho( r_S - r_B, r_j )                    -1 … 1

    Tokens t: the union of what the parties list at context i, keyed by bytes, an unlisted one at the party's floor.
    Where the base answered next-token queries, r_S - r_B = l_S - l_B is what the training changed; without a base, r_S.
    The panel is the controls other than j. Without a base S's residual holds the panel's mean too, and that alone
    correlates the two; for R, which has one control more in its panel, c is therefore the mean over leaving out each
    control in turn, so that R and the controls are measured alike. Null hypothesis: the candidate is not S's teacher.
    Contexts with fewer than four tokens, or where a residual is constant, are left out; disjoint vocabularies are
    unsupported, as in `next-token-divergence`. Cost: its requests, and as many to the base. Source: method.md.
    """

    name: str = "residual-correlation"
    unit: str = "rank correlation"
    families: frozenset[str] = frozenset({"first-token"})
    min_shared: float = 0.2
    ablate: bool = True
    resamples: int = RESAMPLES

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs top log-probs of every party, and of the base where its preferences are to come off."""
        names = list(sample.candidates)
        if len(names) < 3:
            return abstain(self.name, "insufficient", f"{len(names) - 1} control(s): two are needed for a residual")
        base = sample.base if sample.base is not None and any(first(c) for c in sample.base) else None
        closeness = comparable(self.name, sample, lambda columns: correlations(columns, base), self.min_shared)
        if isinstance(closeness, Score):
            return closeness
        ablations = {}
        if self.ablate and base is not None:
            level, _ = correlations([sample.suspect, *sample.candidates.values()], None)
            ablations["base not subtracted"] = point(context_means(sample, level))
        items = context_means(sample, closeness)
        return relative(self.name, items, names, rng, resamples=self.resamples, ablations=ablations)


def correlations(columns: Sequence[Column], base: Column | None) -> tuple[Array, Array]:
    """c of column 0 with every other, and their mass in common: ``(n_units, columns - 1)`` twice."""
    n = len(columns)
    closeness = np.full((len(columns[0]), n - 1), np.nan)
    shared = np.full_like(closeness, np.nan)
    for table in lists([*columns, base] if base is not None else columns):
        values = filled(table)
        shared[table.rows] = common_mass(table)[: n - 1].T
        ends = [*table.start[1:], values.shape[1]]
        for row, start, end in zip(table.rows, table.start, ends, strict=True):
            closeness[row] = _context(values[:, start:end], n)
    return closeness, shared


def filled(table: Lists) -> Array:
    """Log-probs ``(parties, n)`` with unlisted tokens at the party's floor: the largest they can have, or, where the
    whole vocabulary is listed and does not hold the token, its least likely one. NaN where a party has no list."""
    listed = np.isfinite(table.logprob)
    least = np.minimum.reduceat(np.where(listed, table.logprob, np.inf), table.start, axis=1)
    floor = np.where(np.isneginf(table.floor), least, table.floor)
    return np.where(listed, table.logprob, floor[:, table.context])


def _context(values: Array, n: int) -> Array:
    """c ``(n - 1,)`` at one context, from log-probs ``(n or n + 1, tokens)``: S, R, controls, and perhaps the base."""
    out = np.full(n - 1, np.nan)
    if values.shape[1] < FEWEST or not np.isfinite(values).all():
        return out
    controls = range(2, n)
    pairs = [(1, [k for k in controls if k != left]) for left in controls]
    pairs += [(j, [k for k in controls if k != j]) for j in controls]
    panel = np.stack([values[others].mean(axis=0) for _, others in pairs])
    mine = values[0] - (values[n] if len(values) > n else panel)
    if len(values) > n and not np.ptp(np.round(mine, 9)):
        return np.zeros(n - 1)  # the base itself: nothing was inherited from anybody
    rho = spearman(np.broadcast_to(mine, panel.shape), values[[j for j, _ in pairs]] - panel)
    out[0] = rho[: len(controls)].mean()
    out[1:] = rho[len(controls) :]
    return out


def spearman(a: Array, b: Array) -> Array:
    """Spearman's rho of the rows of a and b ``(n, tokens)``, ties at their mean rank; NaN where a row is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(np.round(x, 9), axis=1) for x in (a, b)]
    x, y = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    norm = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(norm > 0, (x * y).sum(axis=1) / norm, np.nan))
