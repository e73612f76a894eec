"""Which models of a library write most like a given one, and how near unrelated models lie to each other anyway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fingerprints.features.base import Vector
from fingerprints.fingerprint import Fingerprint
from fingerprints.library import Entry, Library
from fingerprints.profile import Profile

MAX_Z = 4.0
QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One model of the library."""

    name: str
    vendor: str
    family: str
    distance: float
    """Delta, 0 or more; see `nearest`."""
    nearer: float
    """Share of unrelated pairs of the library that are nearer to each other than this."""
    itself: bool
    """Whether it is the very fingerprint that was asked about."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """Models by distance, and the background that the distances are to be read against."""

    neighbours: tuple[Neighbour, ...]
    """All models of the library, nearest first; equal distances by name."""
    families: tuple[str, ...]
    """The families of features that were compared."""
    features: int
    """Features among them whose differences in the library are more than chance."""
    pairs: int
    """Unrelated pairs: models of different makers and families. Who learnt from whose outputs is not asked."""
    unrelated: tuple[float, float, float]
    """Distances between unrelated pairs: quantiles 5, 50 and 95 %."""
    closest_unrelated: tuple[float, float, float]
    """Each model's distance to its nearest unrelated one: quantiles 5, 50 and 95 %. Some model is always nearest; this
    is how near the nearest is without any relation.
    """
    prompts_match: bool
    """Whether the prompts are those of the library. If not, style differs by what was asked as well."""


def nearest(profile: Profile, library: Library, families: Sequence[str] | None = None) -> Nearest:
    """All models of a library by their distance to a profile.

    Distance: Burrows' delta (Literary and Linguistic Computing 17(3), 2002), families weighing alike:
    d(a, b) = mean over families of mean over their features of r |z_a - z_b|. A feature's mean is z-scored by mean and
    sample standard deviation s over the library's models and cut at 4. r = sqrt(max(0, 1 - e / s^2)), in 0 ... 1, takes
    weight from features whose differences are chance: e is the mean of (spread^2 / n) over the models. Unit: standard
    deviations of the library. A feature that a model has no answer for stands at the library's mean; one that never
    varies is dropped.

    A description, not a test: there is no null hypothesis of training here, and nearness is no evidence of it.
    Errors: ValueError for families that either side was not measured on.
    """
    chosen = tuple(families or [f for f in library.families if f in profile.families])
    if not chosen:
        raise ValueError("no family of features that both the fingerprint and the library were measured on")
    scale = Scale.of([entry.profile.only(chosen) for entry in library.entries])
    models = scale.place([entry.profile.only(chosen).mean for entry in library.entries])
    # Rounded, so that distances which are equal but for the order of a sum stand in the order of names.
    distances = deltas(scale.place([profile.only(chosen).mean]), models)[0].round(9)
    between = deltas(models, models).round(9)
    apart = _unrelated(library.entries)
    background = np.sort(between[np.triu(apart)])
    closest = np.where(apart, between, np.inf).min(axis=1)
    shares = np.searchsorted(background, distances, side="left") / max(len(background), 1)
    digest = profile.digest
    neighbours = [
        Neighbour(e.name, e.vendor, e.family, d, float(share), e.profile.digest == digest)
        for e, d, share in zip(library.entries, distances.tolist(), shares, strict=True)
    ]
    return Nearest(
        tuple(sorted(neighbours, key=lambda n: (n.distance, n.name))), chosen, int((scale.weight > 0).sum()),
        len(background), _quantiles(background), _quantiles(closest[np.isfinite(closest)]),
        profile.prompts in library.prompts - {""},
    )  # fmt: skip


def percentiles(profile: Profile, library: Library) -> Vector:
    """Where each feature's mean lies among the library's models: share of models below it, ties half, 0 ... 1.

    `(n_features,)`, in the order of the profile's names; NaN where either side has nothing.
    """
    shared = [family for family in profile.families if family in library.families]
    result = np.full(len(profile.fingerprint.names), np.nan)
    if not shared:
        return result
    own = profile.only(shared)
    field = np.stack([entry.profile.only(shared).mean for entry in library.entries])
    known = ~np.isnan(field)
    below = (field < own.mean).sum(axis=0) + 0.5 * (field == own.mean).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(np.isnan(own.mean), np.nan, below / known.sum(axis=0))
    place = dict(zip(own.names, shares, strict=True))
    return np.array([place.get(name, np.nan) for name in profile.fingerprint.names])


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """The library's yardstick: where each feature lies, how far models differ in it, and what it weighs."""

    centre: Vector
    """Mean over models, `(F,)`."""
    spread: Vector
    """Sample standard deviation over models; 1 where there is none."""
    weight: Vector
    """r of the feature / (features of its family that vary * families); 0 where it never varies."""

    @classmethod
    def of(cls, models: Sequence[Fingerprint]) -> Scale:
        """The yardstick of these models, measured on the same features."""
        means = np.stack([model.mean for model in models])
        centre, spread = _moments(means)
        noise, _ = _moments(np.stack([model.spread**2 / np.maximum(model.n, 1) for model in models]))
        live = spread > 1e-12
        spread = np.where(live, spread, 1.0)
        families = np.array([name.partition(":")[0] for name in models[0].names])
        _, place, total = np.unique(families[live], return_inverse=True, return_counts=True)
        weight = np.zeros(len(spread))
        weight[live] = (
            np.sqrt(np.maximum(0.0, 1.0 - noise[live] / spread[live] ** 2)) / total[place] / max(len(total), 1)
        )
        return cls(centre, spread, weight)

    def place(self, means: Sequence[Vector]) -> Vector:
        """Means `(n, F)` -> weighted z, cut at 4; NaN, a feature without an answer, stands at the centre."""
        z = np.nan_to_num((np.stack(means) - self.centre) / self.spread, nan=0.0)
        placed: Vector = np.clip(z, -MAX_Z, MAX_Z) * self.weight
        return placed


def deltas(one: Vector, other: Vector) -> Vector:
    """Distances `(n, m)` between rows that `Scale.place` has placed."""
    # City-block distance; to import scipy.spatial for it takes longer than all of the command's own work.
    return np.array([np.abs(other - row).sum(axis=1) for row in one])


def _moments(values: Vector) -> tuple[Vector, Vector]:
    """Mean and sample standard deviation of each column over what is not NaN; 0 where fewer than one, two have it."""
    known = ~np.isnan(values)
    n = known.sum(axis=0)
    mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(n, 1)
    squares = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0)
    return mean, np.sqrt(squares / np.maximum(n - 1, 1))


def _unrelated(entries: Sequence[Entry]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Pairs with different, known makers and families. Models of unknown origin have no part in the background."""
    vendors = np.array([entry.vendor for entry in entries])
    families = np.array([entry.family for entry in entries])
    known = (vendors != "") & (families != "")
    apart = (vendors[:, None] != vendors) & (families[:, None] != families)
    result: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = apart & known & known[:, None]
    return result


def _quantiles(values: Vector) -> tuple[float, float, float]:
    if not len(values):
        return (float("nan"),) * 3
    low, middle, high = np.quantile(values, QUANTILES).tolist()
    return low, middle, high
