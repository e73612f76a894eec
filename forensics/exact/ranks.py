"""The one argument behind canaries, twins and regeneration: which of c exchangeable candidates is the real one?

For item i there are c candidates; one was picked at random and shown to the world (column 0), the others were not. A
model S that never saw the picked ones can't tell: given the unordered candidates, the picked index is uniform on c
values, independently over items. Everything below is a function of the unordered candidates except for which column is
read as the picked one, so every p and e holds for *any* S. Scores are nats, arrays are ``(n items, c candidates)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PERMUTATIONS = 9_999
BETS = (0.1, 0.25, 0.5, 1.0, 2.0)  # stakes per unit of spread; the e-value averages over them, so none has to be chosen
RIDGE = 20.0  # prior weight, in items, of "all control variates share a coefficient of 1" in the running fit
CHUNK = 4_000_000
PASSED = 100  # an e-value at which nobody needs to go on


@dataclass(frozen=True, slots=True)
class Ranked:
    """One rank test. ``effect``: mean advantage of the picked candidate in within-item spreads; ``spread``: that spread
    in the scores' unit; ``wins``: share of the other candidates that the picked one beats (.5 under the null);
    ``passed``: items after which the e-value first reached `PASSED`, 0 for never."""

    p: float
    log_e: float
    n: int
    effect: float
    spread: float
    wins: float
    beta: tuple[float, ...]
    passed: int

    @property
    def e(self) -> float:
        """The e-value, capped where a float ends."""
        return math.exp(min(self.log_e, 700.0))


def rank_test(scores: Array, controls: Array, rng: np.random.Generator, *, permutations: int = PERMUTATIONS) -> Ranked:
    """Within-item permutation test of column 0 of ``scores`` with control variates ``controls`` ``(k, n, c)``.

    delta = scores - sum_k beta_k controls_k, beta fitted by least squares on all c candidates alike; z = delta centred
    within its item, in units of the item's own spread; T = sum_i z_i0. p = (1 + #{T' >= T}) / (1 + N) over N draws of
    a random column for every item. Null: the picked column is uniform given the candidates. Errors: `ValueError` for
    values that are not finite.
    """
    z, spread, beta = standardised(scores, controls)
    observed = z[:, 0].sum()
    hits, done = 0, 0
    n, c = z.shape
    step = max(1, CHUNK // max(n, 1))
    rows = np.arange(n)
    while done < permutations:
        size = min(step, permutations - done)
        drawn = z[rows, rng.integers(0, c, (size, n))].sum(axis=1)
        hits += int((drawn >= observed - 1e-9).sum())  # ties count, whatever the order of additions made of them
        done += size
    informative = spread > 0
    path = e_process(scores, controls)
    return Ranked(
        p=(1 + hits) / (1 + permutations),
        log_e=float(path[-1]) if len(path) else 0.0,
        n=int(informative.sum()),
        effect=float(z[informative, 0].mean()) if informative.any() else 0.0,
        spread=float(np.median(spread[informative])) if informative.any() else 0.0,
        wins=float(((z[:, :1] > z[:, 1:]) + 0.5 * (z[:, :1] == z[:, 1:])).mean()) if n else 0.5,
        beta=tuple(float(b) for b in beta),
        passed=int(np.argmax(path >= math.log(PASSED))) + 1 if (path >= math.log(PASSED)).any() else 0,
    )


def standardised(scores: Array, controls: Array) -> tuple[Array, Array, Array]:
    """z ``(n, c)``, the spread of each item ``(n,)``, and beta ``(k,)``; items without spread have z = 0."""
    y, x = _centred(scores), _centred(controls)
    if not len(x):
        return (*_scaled(y), np.zeros(0))
    beta = np.asarray(np.linalg.lstsq(x.reshape(len(x), -1).T, y.ravel(), rcond=None)[0], dtype=np.float64)
    return (*_scaled(y - np.tensordot(beta, x, axes=1)), beta)


def _scaled(delta: Array) -> tuple[Array, Array]:
    spread = np.sqrt((delta**2).mean(axis=-1))
    spread = np.where(spread > 1e-6, spread, 0.0)
    return np.divide(delta, spread[..., None], out=np.zeros_like(delta), where=spread[..., None] > 0), spread


def _centred(values: Array) -> Array:
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("scores that are not finite can't be ranked")
    return np.asarray(values - values.mean(axis=-1, keepdims=True))


def e_process(scores: Array, controls: Array, bets: Sequence[float] = BETS) -> Array:
    """log e after items 1 … n ``(n,)``: a wealth that no S can grow unless it knows the picked ones (Ville).

    Item i pays c exp(b z_i0) / sum_j exp(b z_ij), mean 1 under the null; beta for item i comes from the unordered
    candidates of items up to i, so the bet is placed before the picked one is looked at. The e-value is the average
    over the stakes b. It may be read after any item: stopping when it is large costs nothing. The order of the items
    has to be fixed in advance (the log's own).
    """
    y, x = _centred(scores), np.moveaxis(_centred(controls), 0, -1)
    n, k = len(y), x.shape[-1]
    if n == 0:
        return np.zeros(0)
    if k:
        unit = np.maximum((x**2).sum(axis=(1, 2)).cumsum() / np.arange(1, n + 1) / k, 1e-12)
        prior = RIDGE * unit[:, None]
        gram = np.einsum("nci,ncj->nij", x, x).cumsum(axis=0) + prior[..., None] * np.eye(k)
        cross = np.einsum("nci,nc->ni", x, y).cumsum(axis=0) + prior / k
        y = y - np.einsum("nck,nk->nc", x, np.linalg.solve(gram, cross[..., None])[..., 0])
    z, _ = _scaled(y)
    stakes = np.asarray(bets)[:, None, None] * z
    paid = stakes[:, :, 0] - np.log(np.exp(stakes).mean(axis=2))
    wealth = paid.cumsum(axis=1)
    top = wealth.max(axis=0)
    return np.asarray(top + np.log(np.exp(wealth - top).mean(axis=0)))


def rank_ps(scores: Array, controls: Array) -> Array:
    """Per item #{candidates >= the picked one} / c, in {1/c … 1}: each is a p-value on its own. Ties count."""
    z, _, _ = standardised(scores, controls)
    return np.asarray((z >= z[:, :1] - 1e-9).mean(axis=1))


def harmonic_e(ranks: Array, c: int) -> float:
    """log of the product of 1 / (rank H_c / c): an e-value from independent ranks 1 … c, fixed in advance."""
    harmonic = (1.0 / np.arange(1, c + 1)).sum()
    return float(np.log(c / harmonic / ranks).sum())


def power(effect: float, n: float, alpha: float, between: float = 0.0) -> float:
    """Probability that `rank_test` rejects at alpha when the picked ones lead by ``effect`` spreads on average.

    T / sqrt(n) has mean 0 and variance 1 under the null by construction, whatever the scores; normal approximation.
    ``between``: standard deviation of the effect from student to student, which no number of items averages out.
    """
    from scipy.stats import norm

    return float(norm.sf((norm.isf(alpha) - effect * math.sqrt(n)) / math.sqrt(1 + n * between**2)))


def between_students(effects: Sequence[float]) -> float:
    """Standard deviation between students; 0 for one, of which it can't be told."""
    return float(np.std(effects, ddof=1)) if len(effects) > 1 else 0.0


def detectable(n: int, alpha: float, wanted: float = 0.9) -> float:
    """The effect, in spreads, that n items detect with probability ``wanted``."""
    from scipy.stats import norm

    return float((norm.isf(alpha) + norm.ppf(wanted)) / math.sqrt(max(n, 1)))


def items_needed(effect: float, alpha: float, wanted: float = 0.9, between: float = 0.0) -> float:
    """How many items detect ``effect`` spreads with probability ``wanted``; inf where no number does."""
    from scipy.stats import norm

    if effect <= 0 or effect <= norm.ppf(wanted) * between:
        return math.inf
    low = ((norm.isf(alpha) + norm.ppf(wanted)) / effect) ** 2
    if not between:
        return float(low)
    from scipy.optimize import brentq

    high = 2 * low
    while power(effect, high, alpha, between) < wanted and high < 1e9:
        high *= 4
    return float(brentq(lambda n: power(effect, n, alpha, between) - wanted, low / 2, high)) if high < 1e9 else math.inf
