"""``next-token-divergence``: at shared contexts, is S's next-token distribution nearer to R's than to the controls'?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..types import Column, Completion, Sample, Score, TokenLogprob
from .base import RESAMPLES, Array, point, relative
from .first_tokens import Lists, common_mass, comparable, context_means, first, lists

LN2 = math.log(2.0)
SHORT = (20, 5)  # what endpoints list at most, and what the narrowest list


@dataclass(frozen=True, slots=True)
class NextTokenDivergence:
    """c_ij = - JS(P_S, P_j) at context i, in bits (0 … 1), between next-token distributions keyed by token *bytes*.

    Only the listed tokens are known. A token that one side does not list, and everything that neither lists, go into
    one common cell "anything else" (a side without floor lists its whole vocabulary, so there the token has mass 0).
    Joining cells can only lower a Jensen-Shannon divergence, so each is a lower bound of the true one, made the same
    way for every candidate (their difference is no bound). If S and any candidate put less than ``min_shared`` of mass
    on commonly listed tokens (mean over contexts), their vocabularies are disjoint: status unsupported, because one
    foreign tokenizer would push the value either way. Null hypothesis: the candidate is not S's teacher.

    ``censor``: read only so many of the likeliest tokens of every list (None: all that are listed, which is the whole
    vocabulary where it was asked for). The ablations repeat the value on the top 20 and the top 5 where lists are
    longer. Cost: one request of one token a context and party; a raw text gives up to four contexts.
    """

    name: str = "next-token-divergence"
    unit: str = "bits"
    families: frozenset[str] = frozenset({"first-token"})
    min_shared: float = 0.2
    censor: int | None = None
    ablate: bool = True
    resamples: int = RESAMPLES

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs top log-probs of every party."""
        closeness = comparable(self.name, sample, lambda columns: measured(columns, self.censor), self.min_shared)
        if isinstance(closeness, Score):
            return closeness
        columns = [sample.suspect, *sample.candidates.values()]
        longest = max((len(t.top) for column in columns for c in column if (t := first(c))), default=0)
        longest = min(longest, self.censor or longest)
        ablations = {f"top {k} only": point(context_means(sample, measured(columns, k)[0]))
                     for k in SHORT if self.ablate and k < longest}  # fmt: skip
        items = context_means(sample, closeness)
        return relative(self.name, items, list(sample.candidates), rng, resamples=self.resamples, ablations=ablations)


def measured(columns: Sequence[Column], censor: int | None) -> tuple[Array, Array]:
    """- JS in bits between column 0 and every other, and their mass in common: ``(n_units, columns - 1)`` twice."""
    closeness = np.full((len(columns[0]), len(columns) - 1), np.nan)
    shared = np.full_like(closeness, np.nan)
    for table in lists(columns, censor):
        closeness[table.rows] = -divergences(table).T
        shared[table.rows] = common_mass(table).T
    return closeness, shared


def divergences(table: Lists) -> Array:
    """Censored Jensen-Shannon divergences in bits ``(parties - 1, c)`` of party 0 from every other."""
    known = ~np.isnan(table.logprob)
    mass = np.exp(np.where(known, table.logprob, -np.inf))
    # Where a side lists its whole vocabulary, a token that it does not list is impossible there, and a cell of its own.
    closed = (table.floor == -np.inf)[:, table.context]
    used = (known[:1] | (known[1:] & closed[:1])) & (known[1:] | (known[:1] & closed[1:]))
    p, q = np.where(used, mass[:1], 0.0), np.where(used, mass[1:], 0.0)
    left = [np.clip(1.0 - table.total(x), 0.0, None) for x in (p, q)]
    bits = (table.total(_cells(p, q)) + _cells(*left)) / LN2
    unknown = np.isnan(table.floor[:1]) | np.isnan(table.floor[1:])
    return np.where(unknown, np.nan, np.clip(bits, 0.0, None))


def _cells(x: Array, y: Array) -> Array:
    """Each cell's part of the Jensen-Shannon divergence, nats."""
    from scipy.special import xlogy

    m = 0.5 * (x + y)
    m = np.where(m > 0, m, 1.0)
    return np.asarray(0.5 * (xlogy(x, x / m) + xlogy(y, y / m)))


def js_bits(p: TokenLogprob, q: TokenLogprob) -> tuple[float, float]:
    """Censored Jensen-Shannon divergence in bits of two lists, and the smaller side's mass on tokens that both list."""
    closeness, shared = measured([(Completion("", None, tokens=(t,)),) for t in (p, q)], None)
    return -float(closeness[0, 0]), float(shared[0, 0])
