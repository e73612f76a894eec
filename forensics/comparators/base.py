"""What a comparator is, and the resampling that all of them share.

Every comparator is per item first. It says how close S is to each candidate on each item; `relative` turns that into
one number with an interval and a null, the same way for all:

    D_i(j) = c_ij - mean_{k != j} c_ik          j, k over the candidates; k over controls only
    value  = mean_i D_i(reference)              larger: S closer to R than the controls predict
    null   = the same with each control in R's place (R left out), resampled over items

Permuting labels would only test whether R and the controls are exchangeable, which they never are; a control in R's
place is a party that is known not to be the teacher. It is a background of few lineages, and the score says how many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..types import Column, Sample, Score, Status, Unit

Array = NDArray[np.float64]
RESAMPLES = 999
MIN_ITEMS = 30
MIN_CONTROLS = 2
ROUNDING = 1e-12
RESAMPLED = 1024  # items whose whole features are held to be resampled
BLOCK = 1 << 20  # cells of one block of bootstrap weights (8 MB): memory does not grow with the number of items


class Comparator(Protocol):
    """One statistic. ``name`` equals the file name; ``families`` are the probe families it reads."""

    name: str
    unit: str
    families: frozenset[str]

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """The score of this sample; what can't be measured is a status with a reason, never an exception."""
        ...


C = TypeVar("C", bound="Comparator")


def quick(comparator: C, resamples: int) -> C:
    """The same comparator without ablations and with few resamples, where it has such options."""
    known: set[str] = {f.name for f in fields(comparator)} if is_dataclass(comparator) else set()
    wanted = {"ablate": False, "resamples": resamples}
    return replace(comparator, **{k: v for k, v in wanted.items() if k in known})  # type: ignore[type-var]


def abstain(name: str, status: Status, reason: str, *, n: int = 0) -> Score:
    """A score that says why there is none."""
    return Score(name, status, n=n, reason=reason)


def usable_texts(column: Column) -> list[str | None]:
    """Texts that may be scored; None for missing, blocked, failed and empty answers."""
    return [c.text if c is not None and c.usable else None for c in column]


def item_rows(units: Sequence[Unit]) -> tuple[NDArray[np.intp], list[str]]:
    """Which item each unit belongs to ``(n_units,)``, and the items in the order in which they first occur."""
    items = list(dict.fromkeys(u.item for u in units))
    row = {item: i for i, item in enumerate(items)}
    return np.array([row[u.item] for u in units], dtype=np.intp), items


def by_item(units: Sequence[Unit], values: Array) -> tuple[Array, list[str]]:
    """Mean over an item's draws: ``(n_units, p) -> (n_items, p)``, NaN-aware, with the items in order.

    Draws of one item are not independent observations; items are what is resampled.
    """
    index, items = item_rows(units)
    total = np.zeros((len(items), values.shape[1]))
    count = np.zeros_like(total)
    seen = np.isfinite(values)
    np.add.at(total, index, np.where(seen, values, 0.0))
    np.add.at(count, index, seen)
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, total / count, np.nan), items


def contrasts(closeness: Array) -> Array:
    """``(n_items, 1 + K)`` closeness -> the same shape of D: each candidate against the controls other than itself."""
    k = closeness.shape[1] - 1
    out = np.empty_like(closeness)
    for j in range(k + 1):
        others = [c for c in range(1, k + 1) if c != j]
        out[:, j] = closeness[:, j] - closeness[:, others].mean(axis=1)
    return out


def bootstrap(
    statistic: Callable[[Array], Array],
    n: int,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    block: int = BLOCK,
) -> Array:
    """``statistic`` under ``resamples`` bootstrap samples of n items: ``(resamples, ...)``.

    It is given multinomial item weights ``(b, n)``, rows summing to 1, and returns ``(b, ...)``; weights come in blocks
    of resamples, so that memory does not grow with n. The random numbers do not depend on the size of the blocks.
    """
    step = max(1, block // max(n, 1))
    even = np.full(n, 1.0 / n)
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate([statistic(rng.multinomial(n, even, size=size) / n) for size in sizes])


def held_items(n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Which of n items are resampled where that takes all features of an item: all, or ``RESAMPLED`` drawn at random.

    Their bootstrap tells the spread to 1 / sqrt(2 RESAMPLED) = 2 %, as well as 999 resamples do.
    """
    return np.arange(n) if n <= RESAMPLED else np.sort(rng.choice(n, RESAMPLED, replace=False))


def around(mean: Array, draws: Array, held: Array, n: int, m: int) -> Array:
    """Bootstrap means ``draws`` of m held items, whose own mean is ``held``, as those of all n items, whose mean is
    ``mean``: mean + sqrt(m / n) (draws - held). The draws themselves where all are held."""
    return draws if m == n else np.asarray(mean + np.sqrt(m / n) * (draws - held), dtype=draws.dtype)


def relative(
    name: str,
    closeness: Array,
    names: Sequence[str],
    rng: np.random.Generator,
    *,
    trim: float = 0.0,
    resamples: int = RESAMPLES,
    ablations: Mapping[str, float | None] | None = None,
) -> Score:
    """Score from per-item closeness ``(n_items, 1 + K)``, reference first; rows with a NaN are left out.

    ``trim``: share of items cut at either end of D before averaging, for heavy-tailed statistics. Null hypothesis of
    ``null``: the candidate is not S's teacher. Status ``insufficient`` below 30 items or two controls.
    """
    closeness = closeness[np.isfinite(closeness).all(axis=1)]
    problem = shortage(len(closeness), len(names) - 1)
    if problem:
        return abstain(name, "insufficient", problem, n=len(closeness))
    d = contrasts(closeness)
    observed = trimmed_means(d, np.full((1, len(d)), 1.0 / len(d)), trim)[0]
    replicates = bootstrap(lambda weights: trimmed_means(d, weights, trim), len(d), rng, resamples=resamples)
    listed = closeness_of(closeness.mean(axis=0), names)
    return assemble(name, observed, replicates, len(d), listed, ablations)


def trimmed_means(values: Array, weights: Array, trim: float) -> Array:
    """Weighted trimmed means ``(B, p)`` of values ``(n, p)`` under weights ``(B, n)`` that sum to 1 a row.

    Mass ``trim`` is cut at either end anew under every row's weights: a cut that is fixed once makes intervals too
    narrow.
    """
    if trim == 0.0:
        return np.asarray(weights @ values)
    out = np.empty((len(weights), values.shape[1]))
    for j, column in enumerate(values.T):
        order = np.argsort(column, kind="stable")
        mass = weights[:, order]
        upto = np.cumsum(mass, axis=1)
        kept = np.clip(np.minimum(upto, 1.0 - trim) - np.maximum(upto - mass, trim), 0.0, None)
        out[:, j] = kept @ column[order] / (1.0 - 2.0 * trim)
    return out


def closeness_of(values: Array, names: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """Pairs of candidate and closeness, as scores carry them."""
    return tuple((n, float(v)) for n, v in zip(names, values, strict=True))


def assemble(
    name: str,
    observed: Array,
    replicates: Array,
    n: int,
    closeness: tuple[tuple[str, float], ...],
    ablations: Mapping[str, float | None] | None = None,
) -> Score:
    """A score from the contrasts ``(1 + K,)`` and their bootstrap ``(resamples, 1 + K)``.

    The interval is the percentile interval; the null takes resample b of control ``b mod K``.
    """
    # What is left of equal numbers by rounding is neither above nor below anything.
    observed, replicates = (np.where(np.abs(x) < ROUNDING, 0.0, x) for x in (observed, replicates))
    boots, controls = replicates[:, 0], replicates[:, 1:]
    rows = np.arange(len(controls))
    null = controls[rows, rows % controls.shape[1]]
    low, high = np.quantile(boots, [0.025, 0.975])
    return Score(
        comparator=name,
        status="ok",
        value=float(observed[0]),
        n=n,
        interval=(float(low), float(high)),
        null=tuple(map(float, null)),
        closeness=closeness,
        ablations=tuple((ablations or {}).items()),
        replicates=tuple(map(float, boots)),
    )


def shortage(n: int, controls: int) -> str | None:
    """Why there is too little to say anything, or None."""
    if controls < MIN_CONTROLS:
        return f"{controls} control(s): without {MIN_CONTROLS} nothing says what unrelated models look like"
    if n < MIN_ITEMS:
        return f"{n} items have an answer from every party: at least {MIN_ITEMS} are needed"
    return None


def point(closeness: Array) -> float | None:
    """Only the value of `relative`, for an ablation; None if fewer than 30 items remain."""
    closeness = closeness[np.isfinite(closeness).all(axis=1)]
    if len(closeness) < MIN_ITEMS or closeness.shape[1] < 1 + MIN_CONTROLS:
        return None
    return float(contrasts(closeness)[:, 0].mean())


def win_rate(closeness: Array) -> float | None:
    """Share of items on which S is nearer to R than to the controls on average, a tie counted half; None if fewer than
    30 remain. Not moved by how large the differences are."""
    closeness = closeness[np.isfinite(closeness).all(axis=1)]
    if len(closeness) < MIN_ITEMS or closeness.shape[1] < 1 + MIN_CONTROLS:
        return None
    return float((0.5 + 0.5 * np.sign(contrasts(closeness)[:, 0])).mean())
