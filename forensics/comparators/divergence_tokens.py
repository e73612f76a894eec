"""``divergence-tokens``: where R would say what neither the base nor any control would, does S say it too?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..types import Sample, Score
from .base import RESAMPLES, Array, abstain, assemble, bootstrap, by_item, closeness_of, contrasts, shortage
from .cross_likelihood import LIKELIHOOD_FAMILIES
from .scored import agree, common_starts, leading, scoring


@dataclass(frozen=True, slots=True)
class DivergenceTokens:
    """c_ij = share of the divergence positions of j's answer to item i at which S's likeliest token is j's, 0 … 1.

    A divergence position is a byte offset of j's answer at which every scorer begins a token, j's likeliest token leads
    its second by ``margin`` nats or more, and it is neither the base's nor any (other) control's. Tokens are compared
    as bytes and are the same if one begins with the other. For a control in j's place R plays no part in the choice,
    so the null's positions are chosen as R's are, against one control less: they are a little easier to meet by
    chance, which pulls an innocent S below its background, never above it. Each candidate's mean is over the items that
    have a position of its own, 30 at least. Unit: share of positions; the value lies in -1 … 1. Null hypothesis: the
    candidate is not S's teacher.

    The ablations treat the positions of R's answers as one-token queries, in the order of the plan: h_t = 1 for a hit,
    W_t = prod (1 + lambda_s (h_s - pi0)), a test martingale under E[h_t | past] <= ``pi0``, and the number of queries
    until W reaches ``evidence`` (Ville: under the null that ever happens with probability 1/evidence at most).
    Positions of one answer are dependent. The bets are predictable, so dependence costs no validity as long as pi0
    bounds the hit rate *given the past*; a rate averaged over negative lineages does so only on average, so pi0 is set
    above it. "One bet an answer" takes the answer's share of hits for h, and needs the bound only from answer to
    answer. The default lies above what the shipped zoo's negatives reach at the reference's positions (.09 and .13).

    Cost: nothing is generated; every answer of reference and controls is scored by suspect, base, controls and (its
    own) reference, with five alternatives a token: see `Plan.scorers`. As a live test it is one request of one token a
    position. Source: method.md; bets after 2010.09686.
    """

    name: str = "divergence-tokens"
    unit: str = "share of positions"
    families: frozenset[str] = LIKELIHOOD_FAMILIES
    margin: float = 0.25
    pi0: float = 0.3
    evidence: float = 100.0
    ablate: bool = True
    resamples: int = RESAMPLES

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs prompt scoring with alternatives by every party, and by the base where there is one."""
        authors = list(sample.candidates)
        lacking = self._lacking(sample, authors)
        if lacking:
            return abstain(self.name, "unsupported", lacking)
        hits = {author: self.hits(sample, author) for author in authors}
        shares = np.array([[np.mean(h) if h else np.nan for h in column] for column in hits.values()]).T
        closeness, _ = by_item(sample.units, shares.reshape(-1, len(authors)))
        had = np.isfinite(closeness)
        problem = shortage(int(had.sum(axis=0).min()), len(authors) - 1)
        if problem:
            return abstain(self.name, "insufficient", f"divergence positions: {problem}", n=int(had[:, 0].sum()))

        def means(weights: Array) -> Array:
            """Each candidate's mean over its own items with a position: few items have one of every candidate."""
            mass = np.maximum(weights @ had.astype(np.float64), 1e-12)
            return np.asarray(weights @ np.nan_to_num(closeness) / mass)

        n = len(closeness)
        observed = means(np.full((1, n), 1.0 / n))
        replicates = contrasts(bootstrap(means, n, rng, resamples=self.resamples))
        listed = closeness_of(observed[0], authors)
        ablations = self._ablations(hits) if self.ablate else {}
        return assemble(self.name, contrasts(observed)[0], replicates, int(had[:, 0].sum()), listed, ablations)

    def hits(self, sample: Sample, author: str) -> list[list[bool]]:
        """Per unit, whether S says the author's token at each divergence position of the author's answer."""
        others = [c for c in sample.controls if c != author]
        base = ["base"] if ("base", author) in sample.likelihoods else []
        return [self._hits(sample, [author, "suspect", *base, *others], author, row)
                for row in range(len(sample.units))]  # fmt: skip

    def _hits(self, sample: Sample, scorers: list[str], author: str, row: int) -> list[bool]:
        scored = [scoring(sample, s, author, row) for s in scorers]
        whole = [c for c in scored if c is not None]
        joint = common_starts(whole) if len(whole) == len(scored) else None
        out = []
        for position in joint[1].T if joint is not None else ():
            mine = leading(whole[0], position[0])
            if mine is None or mine[1] < self.margin:
                continue
            said = [leading(c, p) for c, p in zip(whole[1:], position[1:], strict=True)]
            if not any(x is not None and agree(mine[0], x[0]) for x in said[1:]):
                out.append(said[0] is not None and agree(mine[0], said[0][0]))
        return out

    def _lacking(self, sample: Sample, authors: list[str]) -> str | None:
        """Why it can't be measured, or None."""
        if not any(s == "suspect" for s, _ in sample.likelihoods):
            return "the suspect can't score given answers (no prompt scoring)"
        for scorer in (*authors, "suspect"):
            own = ("reference",) if scorer == "reference" else authors
            columns = [sample.likelihoods.get((scorer, a)) for a in own]
            if any(c is None for c in columns):
                return f"{scorer} can't score given answers: what it would have said is not known"
            if not any(t.top for column in columns for c in column or () if c is not None for t in c.tokens[:1]):
                return f"{scorer} lists no alternatives beside the tokens it scores"
        return None

    def _ablations(self, hits: dict[str, list[list[bool]]]) -> dict[str, float | None]:
        pooled = {author: [h for row in column for h in row] for author, column in hits.items()}
        answers = [row for row in hits["reference"] if row]
        bets = queries_until([float(np.mean(row)) for row in answers], self.pi0, self.evidence)
        path = wealth(pooled["reference"], self.pi0)
        needed = queries_until(pooled["reference"], self.pi0, self.evidence)
        rates = [float(np.mean(h)) if h else None for h in pooled.values()]
        known = [r for r in rates[1:] if r is not None]
        return {
            "pooled over all positions": None if rates[0] is None or not known else rates[0] - float(np.mean(known)),
            "positions of the reference": float(len(pooled["reference"])),
            "log10 wealth after all of them": float(path[-1]) if len(path) else None,
            f"queries until the wealth is {self.evidence:g}": None if needed is None else float(needed),
            "queries until then, one bet an answer": None if bets is None else float(sum(map(len, answers[:bets]))),
        }


def wealth(hits: Sequence[float] | NDArray[np.bool_], pi0: float) -> Array:
    """log10 W_t ``(n,)`` of W_t = prod_{s <= t} (1 + lambda_s (h_s - pi0)), W_0 = 1.

    lambda_t = max(0, (p - pi0) / (pi0 (1 - pi0))), the growth-optimal bet if S hit at rate p, with p = (1 + pi0 + hits
    before t) / (2 + t - 1): one pseudo-hit and a share, out of two, before the first query. It depends on the past only
    and lies in [0, 1/pi0). h is 0 or 1, or a share in between. Null hypothesis: E[h_t | past] <= pi0 for every t; then
    W is a non-negative supermartingale, and P(sup W >= 1/alpha) <= alpha. Errors: `ValueError` unless 0 < pi0 < 1.
    """
    if not 0.0 < pi0 < 1.0:
        raise ValueError(f"pi0 lies between 0 and 1, not {pi0}")
    h = np.asarray(hits, dtype=np.float64)
    before = np.concatenate([[0.0], np.cumsum(h)[:-1]]) if len(h) else h
    p = (1.0 + pi0 + before) / (2.0 + np.arange(len(h)))
    bet = np.clip((p - pi0) / (pi0 * (1.0 - pi0)), 0.0, None)
    return np.asarray(np.cumsum(np.log1p(bet * (h - pi0))) / math.log(10.0))


def queries_until(hits: Sequence[float] | NDArray[np.bool_], pi0: float, evidence: float = 100.0) -> int | None:
    """After how many bets `wealth` first reaches ``evidence``; None if it never does."""
    path = wealth(hits, pi0)
    reached = np.flatnonzero(path >= math.log10(evidence) - 1e-12)
    return int(reached[0]) + 1 if len(reached) else None
