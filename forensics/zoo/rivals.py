"""Two published rivals, as they would rank the bench's pairs. Columns of the population that no calibration reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ..comparators.first_tokens import first
from ..probes import FIRST_TOKEN
from ..types import Completion, Sample

BINS = 10
UNLIKELY = 0.1  # probability under the comparison model below which a token is rare
Array = NDArray[np.float64]


def rare_tokens(sample: Sample) -> float | None:
    """The rare-token idea of "DLI": where the comparison model (the base) finds a token of R's answers unlikely, how
    alike are the histograms (10 bins) of S's and of R's own probability there? Minus the Jensen-Shannon distance of the
    two; None without the scorings it needs. Where R's tokens are not S's, R's histogram is over all of its tokens."""
    from scipy.spatial.distance import jensenshannon

    own, base = sample.likelihoods.get(("suspect", "reference")), sample.likelihoods.get(("base", "reference"))
    theirs = sample.likelihoods.get(("reference", "reference"))
    if own is None or base is None or theirs is None:
        return None
    mine: list[float] = []
    its: list[float] = []
    for s, b, r in zip(own, base, theirs, strict=True):
        ps, pb, pr = _probabilities(s), _probabilities(b), _probabilities(r)
        if not len(ps) or len(ps) != len(pb) or not len(pr):
            continue
        rare = pb < UNLIKELY
        mine += ps[rare].tolist()
        its += pr[rare].tolist() if len(pr) == len(pb) else pr.tolist()
    if not mine or not its:
        return None
    edges = np.linspace(0, 1, BINS + 1)
    p, q = (np.histogram(x, edges)[0] / len(x) for x in (mine, its))
    return -float(jensenshannon(p, q, base=2))


def _probabilities(scored: Completion | None) -> Array:
    return np.exp([t.logprob for t in scored.tokens]) if scored is not None and scored.tokens else np.empty(0)


def agreement(sample: Sample) -> float | None:
    """Next-token agreement with a z-test against controls (2502.00706): share of contexts where S's likeliest next
    token is R's, less the largest such share of a control, over the standard error of two proportions."""
    part = sample.rows(lambda unit: unit.family == FIRST_TOKEN)
    columns = [[_likeliest(c) for c in column] for column in (part.suspect, *part.candidates.values())]
    rows = [i for i, cells in enumerate(zip(*columns, strict=True)) if all(c is not None for c in cells)]
    if not rows:
        return None
    shares = [float(np.mean([columns[0][i] == column[i] for i in rows])) for column in columns[1:]]
    best = max(shares[1:], default=0.0)
    pooled = (shares[0] + best) / 2
    error = np.sqrt(max(2 * pooled * (1 - pooled) / len(rows), 1e-12))
    return float((shares[0] - best) / error)


def _likeliest(completion: Completion | None) -> bytes | None:
    token = first(completion)
    return max(token.top, key=lambda t: t[1])[0] if token is not None else None


RIVALS: Mapping[str, Callable[[Sample], float | None]] = {
    "rival: rare-token histograms (DLI)": rare_tokens,
    "rival: next-token agreement, z-test (2502.00706)": agreement,
}
