"""From scores to one likelihood ratio: populations, the joint calibration, and its cross-validated bounds."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..threads import single_threaded
from ..types import WIRE, LikelihoodRatio, Score
from .bounds import Rated, elub, size_bounds
from .conditions import differs, malformed
from .refit import refits, resampled_weights

Array = NDArray[np.float64]
Labels = NDArray[np.int_]
LN10 = float(np.log(10.0))
# Fixed on the zoo population's held-out lineages (Cllr before bounding .29 at 1, .20 at 3, .14 at 10): larger values
# still fit better there, and would lean harder on the one comparator that happens to be best in so small a world.
REGULARISATION = 3.0
RESAMPLES = 200
MIN_LINEAGES = 10
OUTER, INNER = 5, 3


@dataclass(frozen=True, slots=True)
class Pair:
    """One (suspect, candidate) pair of known truth. ``label``: 1 Hp, 0 Hd, None neither (kept for display).

    ``lineages``: every independent lineage that the pair touches; a fold leaves out all pairs that touch its lineage.
    ``lineage``: the one that the pair counts for.
    """

    __pydantic_config__ = WIRE

    suspect: str
    candidate: str
    kind: str
    label: int | None
    lineage: str
    lineages: tuple[str, ...]
    scores: dict[str, float | None]
    group: str = ""  # the candidate's column: pairs are weighed within it
    asked: tuple[int, int | None] | None = None  # one-token queries: how many there were, after how many W reached 100


@dataclass(frozen=True)
class Population:
    """A labelled table of pairs, made under stated conditions.

    ``regularisation``: the strengths among which an inner, grouped cross-validation chooses; one is simply used.
    ``against``: the kind of negative that validation ranks every kind of pair against, on its own. ``subsets``: sets of
    columns, by name, whose own fusion is shown beside the joint one there.
    """

    __pydantic_config__ = WIRE

    name: str
    card: str
    conditions: dict[str, Any]
    columns: tuple[str, ...]
    pairs: tuple[Pair, ...]
    regularisation: tuple[float, ...] = (REGULARISATION,)
    alike: tuple[str, float] | None = None
    against: str = ""
    subsets: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that the calibration reads."""
        from ..serial import dump

        return hashlib.sha256(dump(self)).hexdigest()

    @cached_property
    def _seen(self) -> dict[tuple[str, ...], Calibration]:
        return {}

    def through(self, columns: tuple[str, ...]) -> Calibration:
        """The population seen through some of its columns; worked out once."""
        return self._seen.setdefault(columns, Calibration(self, columns))

    def same_model(self, scores: Iterable[Score]) -> str | None:
        """Why S looks like R itself, re-prompted or further trained, rather than like a student of R; or None.

        `alike` names a comparator and its largest value over all pairs of the population that share no weights.
        """
        if self.alike is None:
            return None
        name, limit = self.alike
        value = next((s.value for s in scores if s.comparator == name and s.value is not None), None)
        if value is None or value <= limit:
            return None
        return f"{name} {value:.3f} is above {limit:.3f}, which no pair of models without shared weights reached"

    def lineages(self, label: int) -> tuple[str, ...]:
        """Independent lineages with at least one pair of this label."""
        return tuple(sorted({p.lineage for p in self.pairs if p.label == label}))

    def mismatch(self, conditions: Mapping[str, Any], later: Collection[str] = ()) -> tuple[str, ...]:
        """Why this population does not speak about a case made under ``conditions``; empty if it does. ``later``: those
        that nobody can know yet."""
        asked = {key: expected for key, expected in self.conditions.items() if key not in later}
        return tuple(why for key, expected in asked.items() if (why := differs(key, expected, conditions)))


def load_population(name: str) -> Population:
    """A shipped population by name, or one that `forensics calibrate` wrote, NAME.json. Errors: `UsageError`."""
    if not name.endswith(".json"):
        return _shipped_population(name)
    if not Path(name).is_file():
        raise UsageError(f"no such population: {name}")
    return _read_population(name, Path(name))


def _shipped_population(name: str) -> Population:
    from ..registry import unknown

    path: Any = resources.files("forensics.populations") / f"{name}.json"
    if not path.is_file():
        raise UsageError(unknown("population", name, shipped_populations()))
    return _read_population(name, path)


def _read_population(name: str, path: Any) -> Population:
    try:
        return _parsed(name, path.read_bytes())
    except OSError as error:
        raise UsageError(f"{name} can't be read: {error.strerror}") from error


@lru_cache(maxsize=16)
def _parsed(name: str, data: bytes) -> Population:
    """By its bytes, so that what is worked out through its columns is kept while the file is the same."""
    from pydantic import ValidationError

    from ..serial import load

    try:
        found = load(Population, data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))[:100] or "the file"
        raise UsageError(f"{name} is not a population: {where}: {first['msg'].lower()}") from error
    if why := malformed(found.conditions) or _unusable(found):
        raise UsageError(f"{name} is not a population: {why}")
    return found


def _unusable(found: Population) -> str:
    """What no calibration could be fitted to, "" for nothing."""
    numbers = [v for p in found.pairs for v in p.scores.values() if v is not None]
    numbers += [*found.regularisation, *([found.alike[1]] if found.alike else [])]
    if not all(abs(v) < 1e15 for v in numbers):
        return "a score that is no number"
    if any(p.label not in (0, 1, None) for p in found.pairs) or len(set(found.columns)) < len(found.columns):
        return "a label other than 0, 1 and null, or a column twice"
    return "" if found.regularisation and min(found.regularisation) > 0 else "no regularisation above 0"


def shipped_populations() -> tuple[str, ...]:
    """Names of the populations in this package."""
    folder = resources.files("forensics.populations")
    return tuple(sorted(p.name.removesuffix(".json") for p in folder.iterdir() if p.name.endswith(".json")))


class Fusion:
    """L2-regularised logistic fusion with the prior odds removed.

    llr(x) = (w·z + b) / ln 10, z = (x - mean) / sd over the population's pairs. Each hypothesis weighs the same, and
    within it each lineage the same (see `lineage_weights`); weights sum to the number of lineages, so that the
    regularisation knows how little is independent.
    """

    def __init__(self, x: Array, label: Labels, weight: Array, strength: float = REGULARISATION) -> None:
        from sklearn import config_context
        from sklearn.linear_model import LogisticRegression

        self.mean = np.average(x, axis=0, weights=weight)
        self.sd = np.sqrt(np.average((x - self.mean) ** 2, axis=0, weights=weight))
        self.sd[self.sd == 0] = 1.0
        model = LogisticRegression(C=strength, max_iter=1000)
        # Thousands of small fits: checking the input would take longer than they do.
        with config_context(assume_finite=True, skip_parameter_validation=True):
            model.fit((x - self.mean) / self.sd, label, sample_weight=weight)
        self.w, self.b = model.coef_[0].astype(np.float64), float(model.intercept_[0])

    def llr(self, x: Array) -> Array:
        """log10 likelihood ratios ``(n,)`` of scores ``(n, p)``, not yet bounded."""
        return np.asarray((((x - self.mean) / self.sd) @ self.w + self.b) / LN10)


def lineage_weights(label: Labels, lineage: Sequence[str], group: Sequence[str] | None = None) -> Array:
    """Weights ``(n,)``: lineages equal within a hypothesis, hypotheses equal, sum = number of lineages.

    With ``group`` (the candidate's column) that holds within each column, and columns weigh as their lineages under Hp
    do. A rule that only knows who the candidate is then has equal weight on both sides of every column: it earns
    nothing. A column that has one hypothesis only weighs nothing.
    """
    names, name = np.unique(np.asarray(lineage), return_inverse=True)
    columns, column = np.unique(np.asarray(group if group is not None else [""] * len(label)), return_inverse=True)
    shape = (len(columns), 2, len(names))
    cell = np.ravel_multi_index((column, np.asarray(label, dtype=np.intp), name), shape)
    pairs = np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape)
    lineages = (pairs > 0).sum(axis=2)  # (columns, 2)
    mass = np.where(lineages.min(axis=1) > 0, lineages[:, 1], 0)
    weight = mass[column] / np.maximum(lineages[column, label], 1) / pairs.reshape(-1)[cell]
    total = weight.sum()
    return np.asarray(weight * (len(names) / total) if total else weight)


@dataclass(frozen=True)
class Table:
    """Labelled pairs as arrays: scores ``(n, p)``, labels, what each pair counts for and all that it touches."""

    x: Array
    label: Labels
    lineage: tuple[str, ...]
    touches: tuple[tuple[str, ...], ...]
    group: tuple[str, ...]

    @cached_property
    def weight(self) -> Array:
        """See `lineage_weights`."""
        return lineage_weights(self.label, self.lineage, self.group)

    def rows(self, index: Any, lineage: Sequence[str] | None = None) -> Table:
        """Some of the pairs, with repetition if ``index`` repeats them; ``lineage`` renames what they count for."""
        index = np.flatnonzero(index) if np.asarray(index).dtype == bool else np.asarray(index)
        names = tuple(self.lineage[i] for i in index) if lineage is None else tuple(lineage)
        return Table(self.x[index], self.label[index], names, tuple(self.touches[i] for i in index),
                     tuple(self.group[i] for i in index))  # fmt: skip

    def fit(self, strength: float) -> Fusion | None:
        """The fusion of these pairs; None where they hold one hypothesis only."""
        used = self.weight > 0
        if len(set(self.label[used].tolist())) < 2:
            return None
        return Fusion(self.x[used], self.label[used], self.weight[used], strength)

    @single_threaded
    def held_out(self, strengths: Sequence[float]) -> Array:
        """llr ``(n,)`` of each pair by a fusion that saw no pair touching its lineages; 0 where there is none.

        Nested: with several ``strengths`` every fold chooses its own, by the same procedure inside.
        """
        out = np.zeros(len(self.x))
        for test in self.folds():
            touched = {name for i in test for name in self.touches[i]}
            train = self.rows(np.array([not touched.intersection(t) for t in self.touches]))
            fusion = train.fit(train.strength(strengths))
            if fusion is not None:
                out[test] = fusion.llr(self.x[test])
        return out

    def folds(self) -> list[list[int]]:
        """Rows that are held out together: one set of lineages a fold; within a column, a fifth of its suspects."""
        number = {name: k % OUTER for k, name in enumerate(sorted(set(self.lineage)))}
        out: dict[Any, list[int]] = {}
        for i, (touched, group, name) in enumerate(zip(self.touches, self.group, self.lineage, strict=True)):
            out.setdefault((group, number[name]) if group else touched, []).append(i)
        return [out[key] for key in sorted(out)]

    def strength(self, strengths: Sequence[float]) -> float:
        """The regularisation with the smallest Cllr on lineages held out in ``INNER`` folds."""
        if len(strengths) == 1 or self.x.shape[1] == 1 or not self.weight.any():
            return strengths[len(strengths) // 2]
        from .metrics import cllr

        names = sorted(set(self.lineage))
        fold = {name: k % INNER for k, name in enumerate(names)}
        folds = np.array([fold[name] for name in self.lineage])
        costs = []
        for c in strengths:
            llr = np.zeros(len(self.x))
            for k in range(INNER):
                fusion = self.rows(folds != k).fit(c)
                if fusion is not None:
                    llr[folds == k] = fusion.llr(self.x[folds == k])
            hp, hd = self.label == 1, self.label == 0
            costs.append(cllr(llr[hp], llr[hd], hp_weights=self.weight[hp], hd_weights=self.weight[hd]))
        return strengths[int(np.argmin(costs))]


@dataclass(frozen=True)
class Calibration:
    """A population seen through the columns that a case has measured."""

    population: Population
    columns: tuple[str, ...]

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The labelled pairs that have all columns: the rows of `table`."""
        labelled = (p for p in self.population.pairs if p.label is not None)
        return tuple(p for p in labelled if all(p.scores.get(c) is not None for c in self.columns))

    @cached_property
    def table(self) -> Table:
        """The labelled pairs as arrays."""
        rows = self.pairs
        x = np.array([[p.scores[c] for c in self.columns] for p in rows], dtype=np.float64).reshape(
            len(rows), len(self.columns)
        )
        return Table(x, np.array([p.label for p in rows], dtype=np.int_), tuple(p.lineage for p in rows),
                     tuple(p.lineages for p in rows), tuple(p.group for p in rows))  # fmt: skip

    @property
    def usable(self) -> bool:
        """Whether enough lineages of both kinds have these columns."""
        return min(self.sizes) >= MIN_LINEAGES

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """How many lineages the fit rests on, under Hp and under Hd."""
        t = self.table
        used = t.weight > 0
        names = np.array(t.lineage)
        return len(set(names[used & (t.label == 1)])), len(set(names[used & (t.label == 0)]))

    @cached_property
    def strength(self) -> float:
        """The regularisation of the fusion that judges cases."""
        return self.table.strength(self.population.regularisation)

    @cached_property
    def fusion(self) -> Fusion:
        """Fitted on everything."""
        fusion = self.table.fit(self.strength)
        assert fusion is not None  # `usable` says so first
        return fusion

    @cached_property
    def held_out(self) -> Array:
        """Cross-validated llr ``(n,)`` of every labelled pair."""
        return self.table.held_out(self.population.regularisation)

    @cached_property
    def shown(self) -> tuple[Pair, ...]:
        """The pairs without a label that have all columns: judged like the others, and fitted to by nothing."""
        return tuple(p for p in self.population.pairs
                     if p.label is None and all(p.scores.get(c) is not None for c in self.columns))  # fmt: skip

    @cached_property
    def shown_llr(self) -> Array:
        """llr ``(n,)`` of each pair of `shown` by a fusion that saw none of its lineages; 0 where there is none."""
        strengths = self.population.regularisation
        fitted: dict[tuple[str, ...], Fusion | None] = {}
        out = np.zeros(len(self.shown))
        for i, pair in enumerate(self.shown):
            if pair.lineages not in fitted:
                train = self.table.rows(np.array([not set(pair.lineages).intersection(t) for t in self.table.touches]))
                fitted[pair.lineages] = train.fit(train.strength(strengths))
            fusion = fitted[pair.lineages]
            if fusion is not None:
                out[i] = fusion.llr(np.array([[pair.scores[c] for c in self.columns]], dtype=np.float64))[0]
        return out

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """[-log10 N, log10 N], N the smaller number of lineages, tightened by ELUB on the held-out llrs."""
        label, weight = self.table.label, self.table.weight
        sides = zip((1, 0), self.sizes, strict=True)
        hp, hd = (Rated(self.held_out[label == k], weight[label == k], n) for k, n in sides)
        low, high = size_bounds(min(self.sizes))
        tight_low, tight_high = elub(hp, hd)
        return max(low, tight_low), min(high, tight_high)

    def point(self, values: Array) -> float:
        """The bounded llr of scores ``(p,)``, without an interval."""
        return float(np.clip(self.fusion.llr(values[None])[0], *self.bounds))

    @single_threaded
    def llr(self, values: Array, replicates: Array, rng: np.random.Generator) -> LikelihoodRatio:
        """The bounded ratio of one case: scores ``(p,)`` and their item bootstrap ``(B, p)``.

        The interval (95 %, percentile) covers both which items were asked (replicates) and which lineages the
        population happens to hold (each refit draws them again with replacement).
        """
        low, high = self.bounds
        t, n = self.table, len(set(self.table.lineage))
        counts = np.array([np.bincount(rng.choice(n, size=n), minlength=n) for _ in range(RESAMPLES)])
        weights = resampled_weights(counts, t.label, t.lineage, t.group)
        drawn = np.flatnonzero(weights.any(axis=1))  # the others hold one hypothesis only
        draws = refits(t.x, t.label, weights[drawn], self.strength).llr(replicates[drawn % len(replicates)])
        point = self.point(values)
        ends = np.clip(np.quantile(draws, [0.025, 0.975]), low, high)
        interval = (min(float(ends[0]), point), max(float(ends[1]), point))
        return LikelihoodRatio(point, (low, high), interval, self.population.name)


def calibrate(scores: Iterable[Score], population: Population) -> Calibration | None:
    """The calibration for exactly the scores that were measured, or None if the population can't support them."""
    columns = tuple(s.comparator for s in scores if s.status == "ok" and s.comparator in population.columns)
    calibration = population.through(columns)
    return calibration if columns and calibration.usable else None
