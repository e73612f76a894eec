"""Drift: how far the suspect moved towards the reference since the previous release, and how far releases move anyway.

    d_c   = value of comparator c for the new release with the previous one as base        (c corrects for a base)
          = value(new) - value(previous) on the items that both answered                   (any other c)
    drift = llr(x + d) - llr(x)      x: the previous release's scores, llr: the population's fusion before its bounds

Two things make a clean release move. *Runs*: the same recipe with another seed gives another model, and nothing that is
done to one model's answers shows by how much; it is measured from clean runs of one release, and is what a drift must
exceed. *Items*: another set of prompts would have given another number; the bootstrap of d over items says how much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..comparators import COMPARATORS
from ..comparators.base import Array, contrasts, quick
from ..record import Report
from ..scoring import score_all
from ..types import Column, Sample, Score
from ..verdict.calibrate import Population

CORRECTED = ("attribution", "cross-likelihood")  # they take a base off themselves, item by item
RESAMPLES = 999
MIN_DF = 2  # fewer degrees of freedom say nothing useful about a standard deviation
TWO_SIDED = 1.9599639845  # normal quantile of .975
NINE_OF_TEN = 1.2815515594  # normal quantile of .9


@dataclass(frozen=True, slots=True)
class Change:
    """One comparator's change since the previous release. ``replicates``: its bootstrap over items; ``placebos``: the
    same change towards each control, ``(K,)``. ``sd``: over items, where there are no replicates. ``value`` None: not
    measured, and ``reason`` says why."""

    comparator: str
    value: float | None
    replicates: tuple[float, ...] = ()
    placebos: tuple[float, ...] = ()
    n: int = 0
    unit: str = ""
    reason: str = ""
    sd: float | None = None


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviation of one clean run around its release, with its degrees of freedom and where it comes from."""

    sd: float
    df: int
    source: str


def changes(
    new: Sample, old: Sample, comparators: Sequence[str], seed: int, resamples: int = RESAMPLES
) -> dict[str, Change]:
    """The change of every comparator from ``old`` to ``new``: two releases, asked the same, with the same answers of
    the reference and the controls (which is the caller's to see to). ``resamples``: of the bootstrap over items."""
    first, second = _both(new, old)
    corrected = _corrected(first, second)
    out = {}
    for name in comparators:
        comparator = quick(COMPARATORS.load(name)(), resamples)
        if name in CORRECTED:
            (score,) = score_all(corrected, [comparator], seed)
            out[name] = _change(score, None, comparator.unit)
        else:
            # The same random stream draws the same items for both, so the difference is resampled as a pair.
            (later,), (earlier,) = (score_all(s, [comparator], seed) for s in (first, second))
            out[name] = _change(later, earlier, comparator.unit)
    return out


def _both(new: Sample, old: Sample) -> tuple[Sample, Sample]:
    """Both samples with only the answers that the two releases have in common."""
    keep = [a is not None and a.usable and b is not None and b.usable
            for a, b in zip(new.suspect, old.suspect, strict=True)]  # fmt: skip

    def cut(column: Column) -> Column:
        return tuple(c if k else None for c, k in zip(column, keep, strict=True))

    return replace(new, suspect=cut(new.suspect)), replace(old, suspect=cut(old.suspect))


def _corrected(new: Sample, old: Sample) -> Sample:
    """The new release with the previous one in the base's place."""
    own = {("suspect", a): column for (s, a), column in new.likelihoods.items() if s == "suspect"}
    base = {("base", a): column for (s, a), column in old.likelihoods.items() if s == "suspect"}
    return replace(new, base=old.suspect, likelihoods={**own, **base} if base else {})


def _change(later: Score, earlier: Score | None, unit: str) -> Change:
    for score in (later, earlier):
        if score is not None and score.value is None:
            return Change(later.comparator, None, n=score.n, unit=unit, reason=score.reason or "not measured")
    assert later.value is not None
    values, replicates = later.value, np.array(later.replicates)
    placebo = _placebos(later)
    if earlier is not None:
        assert earlier.value is not None
        values -= earlier.value
        replicates = replicates - np.array(earlier.replicates)
        placebo = placebo - _placebos(earlier)
    found = (tuple(map(float, replicates)), tuple(map(float, placebo)))
    return Change(later.comparator, float(values), *found, n=later.n, unit=unit)


def _placebos(score: Score) -> Array:
    """The contrast with each control in the reference's place ``(K,)``."""
    closeness = np.array([[value for _, value in score.closeness]])
    return np.asarray(contrasts(closeness)[0, 1:])


def changes_between(new: Report, old: Report) -> dict[str, Change]:
    """The same from two reports alone: differences of levels, their items taken as independent (which they are not
    where both were asked the same: the interval is too wide rather than too narrow)."""
    before = {e.comparator: e for e in old.evidence}
    out = {}
    for e in new.evidence:
        o = before.get(e.comparator)
        if e.value is None or o is None or o.value is None or e.interval is None or o.interval is None:
            why = e.reason or (None if o is None else o.reason) or "not measured on both releases"
            out[e.comparator] = Change(e.comparator, None, unit=e.unit, reason=why)
            continue
        sd = math.hypot(e.interval[1] - e.interval[0], o.interval[1] - o.interval[0]) / (2 * TWO_SIDED)
        moved = np.array([[v for _, v in e.closeness]]) - np.array([[v for _, v in o.closeness]])
        placebo = contrasts(moved)[0, 1:]
        out[e.comparator] = Change(e.comparator, e.value - o.value, (), tuple(map(float, placebo)), e.n, e.unit, sd=sd)
    return out


Reading = Callable[[Mapping[str, float]], float]


def reading(quantity: str, levels: Mapping[str, float], population: Population | None) -> Reading:
    """What turns changes of comparators into the quantity's number: one of them, or ``drift``, the change of the llr.

    ``levels``: the previous release's scores of the comparators that the population's fusion reads.
    """
    if quantity != "drift":
        return lambda d: d[quantity]
    assert population is not None
    columns = tuple(levels)
    fusion = population.through(columns).fusion
    start = np.array([levels[c] for c in columns])

    def llr(d: Mapping[str, float]) -> float:
        moved = start + np.array([d[c] for c in columns])
        after, before = fusion.llr(np.stack([moved, start]))
        return float(after - before)

    return llr


@dataclass(frozen=True, slots=True)
class Estimate:
    """A drift with its interval at the look's level. ``margin``: what it must exceed to be more than noise.
    ``detectable``: the drift at which nine of ten builds would fail a gate of 0."""

    value: float
    margin: float
    interval: tuple[float, float]
    noise: Noise
    item_sd: float
    runs: int
    alpha: float
    spread: float  # standard deviation of the estimate between clean releases: noise.sd * sqrt(1 + 1 / runs)

    def detectable(self, gate: float) -> float:
        """The drift at which nine of ten builds fail at this gate."""
        return max(gate, self.margin) + NINE_OF_TEN * self.spread


def estimate(
    read: Reading, found: Mapping[str, Change], runs: Sequence[Mapping[str, float]], history: tuple[float, int],
    alpha: float,
) -> Estimate:  # fmt: skip
    """The drift of one release against the clean ``runs`` of the previous one (changes relative to its first run).

    value = q(d) - mean_r q(d_r) over the m runs. Under the null (another run of the same release, runs normal) it has
    mean 0 and variance sigma^2 (1 + 1/m), so with s on f degrees of freedom value > t_f(1 - alpha) s sqrt(1 + 1/m) with
    probability alpha: Student's prediction interval. ``history``: (sum of squares, degrees of freedom) of sigma^2 from
    earlier releases. Both releases were asked the same, so what the items add is part of sigma already.

    Without two degrees of freedom the changes towards the controls stand in for runs (`placebo`); that rests on an
    assumption, so there the bootstrap over items must be exceeded as well.
    """
    from scipy.stats import norm, t

    own = [read(r) for r in runs]
    value = read({c: _value(x) for c, x in found.items()}) - sum(own) / len(own)
    measured = clean_noise(own, history)
    noise = measured or placebo(read, found)
    spread = noise.sd * math.sqrt(1.0 + 1.0 / len(own))
    item_sd = _item_sd(read, found)
    margin = float(t.ppf(1.0 - alpha, noise.df)) * spread
    if measured is None:
        margin = max(margin, float(norm.ppf(1.0 - alpha)) * item_sd)
    return Estimate(value, margin, (value - margin, value + margin), noise, item_sd, len(own), alpha, spread)


def _value(change: Change) -> float:
    assert change.value is not None
    return change.value


def clean_noise(own: Sequence[float], history: tuple[float, int]) -> Noise | None:
    """sigma from the clean runs of a release and what earlier releases add; None below two degrees of freedom."""
    squares, df = history
    squares, df = squares + float(((np.array(own) - np.mean(own)) ** 2).sum()), df + len(own) - 1
    if df < MIN_DF:
        return None
    return Noise(math.sqrt(squares / df), df, "clean runs")


def placebo(read: Reading, found: Mapping[str, Change]) -> Noise:
    """sigma from the change towards each of K controls in the reference's place, K - 1 degrees of freedom.

    If the closeness to every candidate moves by independent amounts of variance v, the contrast with control j (others
    averaged) has variance v K / (K - 1), these contrasts sum to 0 with E[sum of squares] = v K^2 / (K - 1), and the
    contrast with R has variance v (1 + 1/K). That of a *change* between two runs is twice a run's, hence the half.
    """
    k = min(len(x.placebos) for x in found.values())
    moved = np.array([read({c: x.placebos[j] for c, x in found.items()}) for j in range(k)])
    variance = float((moved**2).sum()) * (k - 1) * (k + 1) / k**3
    return Noise(math.sqrt(variance / 2.0), k - 1, "controls")


def _item_sd(read: Reading, found: Mapping[str, Change]) -> float:
    if any(x.sd is not None for x in found.values()):
        still = dict.fromkeys(found, 0.0)
        return math.hypot(*(read({**still, c: x.sd or 0.0}) - read(still) for c, x in found.items()))
    count = min(len(x.replicates) for x in found.values())
    return float(np.std([read({c: x.replicates[b] for c, x in found.items()}) for b in range(count)], ddof=1))
