"""``next-token-divergence``: at shared contexts, is S's next-token distribution nearer to R's than to the controls'?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..types import Completion, Sample, Score, TokenLogprob
from .base import Array, abstain, relative

LN2 = math.log(2.0)


@dataclass(frozen=True, slots=True)
class NextTokenDivergence:
    """c_ij = - JS(P_S, P_j) at context i, in bits (0 … 1), between next-token distributions keyed by token *bytes*.

    Only the listed tokens are known. A token that one side does not list, and everything that neither lists, go into
    one common cell "anything else" (a side without floor lists its whole vocabulary, so there the token has mass 0).
    Joining cells can only lower a Jensen-Shannon divergence, so each is a lower bound of the true one, made the same
    way for every candidate (their difference is no bound). If S and any candidate put less than ``min_shared`` of mass
    on commonly listed tokens (mean over contexts), their vocabularies are disjoint: status unsupported, because one
    foreign tokenizer would push the value either way. Null hypothesis: the candidate is not S's teacher.
    """

    name: str = "next-token-divergence"
    unit: str = "bits"
    families: frozenset[str] = frozenset({"first-token"})
    min_shared: float = 0.2

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs top log-probs of every party."""
        columns = [[first(c) for c in column] for column in (sample.suspect, *sample.candidates.values())]
        if not any(t is not None for t in columns[0]):
            return abstain(self.name, "unsupported", "the suspect gave no next-token log-probs")
        silent = [n for n, c in zip(sample.candidates, columns[1:], strict=True) if all(t is None for t in c)]
        if silent:
            return abstain(self.name, "unsupported", f"no next-token log-probs from {', '.join(silent)}")
        closeness = np.full((len(sample.units), len(columns) - 1), np.nan)
        shared = np.full_like(closeness, np.nan)
        for i in range(len(sample.units)):
            mine = columns[0][i]
            for j, column in enumerate(columns[1:]):
                theirs = column[i]
                if mine is not None and theirs is not None:
                    divergence, common = js_bits(mine, theirs)
                    closeness[i, j] = -divergence
                    shared[i, j] = common
        for name, masses in zip(sample.candidates, shared.T, strict=True):
            seen = masses[np.isfinite(masses)]
            if len(seen) and seen.mean() < self.min_shared:
                why = f"the vocabularies of the suspect and {name} hardly overlap: token bytes can't be compared"
                return abstain(self.name, "unsupported", why)
        return relative(self.name, items_of(sample, closeness), list(sample.candidates), rng)


def items_of(sample: Sample, closeness: Array) -> Array:
    """Mean over the contexts cut from one item (``id@0``, ``id@1`` …): they overlap and are one observation."""
    from dataclasses import replace

    from .base import by_item

    units = [replace(u, item=u.item.partition("@")[0]) for u in sample.units]
    return by_item(units, closeness)[0]


def first(completion: Completion | None) -> TokenLogprob | None:
    """The first position's distribution, or None where there is none or it is not finite."""
    if completion is None or not completion.tokens or completion.finish == "error":
        return None
    token = completion.tokens[0]
    return token if token.top and all(lp <= 1e-6 for _, lp in token.top) else None


def js_bits(p: TokenLogprob, q: TokenLogprob) -> tuple[float, float]:
    """Censored Jensen-Shannon divergence in bits, and the smaller side's mass on tokens that both list."""
    a, b = _mass(p), _mass(q)
    both = a.keys() & b.keys()
    cells: list[tuple[float, float]] = [(a[k], b[k]) for k in both]
    for mine, other, flip in ((a, q, False), (b, p, True)):
        for token in mine.keys() - both:
            if other.floor is None:  # the other side lists everything: the token is impossible there
                cells.append((0.0, mine[token]) if flip else (mine[token], 0.0))
    left, right = 1.0 - sum(x for x, _ in cells), 1.0 - sum(y for _, y in cells)
    cells.append((max(left, 0.0), max(right, 0.0)))
    common = min(sum(a[k] for k in both), sum(b[k] for k in both))
    return _js(cells), common


def _mass(t: TokenLogprob) -> dict[bytes, float]:
    """Probabilities by bytes; a token listed twice (two ids, the same bytes) is added up."""
    out: dict[bytes, float] = {}
    for token, logprob in t.top:
        out[token] = out.get(token, 0.0) + math.exp(logprob)
    total = sum(out.values())
    return {k: v / total for k, v in out.items()} if total > 1.0 else out


def _js(cells: list[tuple[float, float]]) -> float:
    total = 0.0
    for x, y in cells:
        m = 0.5 * (x + y)
        total += (0.5 * x * math.log(x / m) if x > 0 else 0.0) + (0.5 * y * math.log(y / m) if y > 0 else 0.0)
    return max(total, 0.0) / LN2
