"""How good a population's likelihood ratios are on lineages that the fusion did not see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..record import ErrorRate, GroupRow, PavStep, QueryRow, TeacherRow, TuringRow, ValidationRecord, sig
from ..threads import single_threaded
from .calibrate import Array, Calibration, Population
from .contrasts import contrasts
from .metrics import auc, cllr, cllr_cal, cllr_min, empirical_cross_entropy, pav, tippett, upper_bound

BASELINE = "length-only"
LIMITS = (2.0, 5.0, 10.0)
STRONG = 1.0  # |llr| from which a ratio on the wrong side counts as an error
RESAMPLES = 500
FEW = 3  # lineages under Hp from which a column's AUC has an interval
GRID = 101  # points of a Tippett curve
PRIORS = np.round(np.arange(-2.0, 2.01, 0.1), 1)  # log10 odds
Mask = NDArray[np.bool_]


@single_threaded
def validate(population: Population, columns: Sequence[str] | None = None, *, by_kind: bool = True) -> ValidationRecord:
    """Judge every labelled pair of a population by a fusion that saw none of its lineages.

    ``columns``: the comparators that are fused, those of a case; all by default. ``by_kind``: with `contrasts` and the
    one-token queries, which take most of the time and say nothing about one case.
    """
    calibration = population.through(tuple(columns or population.columns))
    held = HeldOut(calibration)
    x = calibration.table.x
    bits = [f(*held.sides, **held.weights) for f in (cllr, cllr_min, cllr_cal)]
    return ValidationRecord(
        population=population.name, card=population.card, digest=population.digest, scores=calibration.columns,
        pairs=(int(held.hp.sum()), int(held.hd.sum())),
        lineages=(len(set(held.names[held.hp])), len(set(held.names[held.hd]))),
        bounds=_pair(calibration.bounds),
        auc=sig(auc(*held.sides, **held.weights)), auc_interval=held.interval(auc, held.hp | held.hd),
        cllr=sig(bits[0]), cllr_interval=held.interval(cllr, held.hp | held.hd),
        cllr_min=sig(bits[1]), cllr_cal=sig(bits[2]),
        errors=held.errors(), turing=held.turing(),
        kinds=(*(held.group(*row) for row in _kinds(calibration)), *held.shown(calibration)),
        columns=tuple((c, sig(auc(x[held.hp, i], x[held.hd, i], **held.weights)))
                      for i, c in enumerate(calibration.columns)),
        length_only=_baseline(population), tippett=held.tippett(calibration.bounds), pav=held.pav(),
        cross_entropy=held.cross_entropy(), teachers=tuple(_teachers(calibration, held.llr)),
        against=population.against,
        contrasts=contrasts(calibration) if population.against and by_kind else (),
        queries=tuple(_queries(population)) if by_kind else (),
    )  # fmt: skip


class HeldOut:
    """A calibration's held-out llrs, clipped to its bounds, with the weights that make lineages count once."""

    def __init__(self, calibration: Calibration) -> None:
        label = calibration.table.label
        self.llr = np.clip(calibration.held_out, *calibration.bounds)
        self.names = np.array(calibration.table.lineage)
        self._weight = calibration.table.weight
        # A column without students weighs nothing; its pairs still count as errors where they mislead.
        self.hp: Mask = (label == 1) & (self._weight > 0)
        self.hd: Mask = (label == 0) & (self._weight > 0)
        self._wrong = {"LR >= 10 under Hd": (label == 0, self.llr), "LR <= 1/10 under Hp": (label == 1, -self.llr)}

    @property
    def sides(self) -> tuple[Array, Array]:
        """llrs under Hp and under Hd."""
        return self.llr[self.hp], self.llr[self.hd]

    @property
    def weights(self) -> dict[str, Array]:
        """Their weights, as the metrics take them."""
        return {"hp_weights": self._weight[self.hp], "hd_weights": self._weight[self.hd]}

    def interval(self, metric: Callable[..., float], rows: Mask) -> tuple[float, float]:
        """95 % percentile interval of a metric over ``rows``, lineages of each hypothesis drawn with replacement."""
        rng = np.random.default_rng(0)
        sides = [_by_lineage(self.names, rows & side) for side in (self.hp, self.hd)]
        draws = []
        for _ in range(RESAMPLES):
            values, weights = [], []
            for groups in sides:
                chosen = [groups[k] for k in rng.integers(0, len(groups), len(groups))]
                values.append(self.llr[np.concatenate(chosen)])
                weights.append(self._weight[np.concatenate(chosen)])
            draws.append(metric(*values, hp_weights=weights[0], hd_weights=weights[1]))
        low, high = np.quantile(draws, [0.025, 0.975])
        return sig(low), sig(high)

    def group(self, name: str, mine: Mask) -> GroupRow:
        """Some pairs apart; those under Hp are ranked against all pairs under Hd."""
        hp, found, interval = mine & self.hp, None, None
        if hp.any():
            weights = {"hp_weights": self._weight[hp], "hd_weights": self._weight[self.hd]}
            found = sig(auc(self.llr[hp], self.llr[self.hd], **weights))
            interval = self.interval(auc, hp | self.hd)
        lineages = self.names[mine]
        high = float(_evenly(lineages)[self.llr[mine] >= STRONG].sum() / len(set(lineages)))
        return GroupRow(name, int(mine.sum()), len(set(lineages)), found, interval, sig(high))

    def shown(self, calibration: Calibration) -> Iterable[GroupRow]:
        """Kinds of pairs without a label, ranked against all pairs under Hd."""
        llr = np.clip(calibration.shown_llr, *calibration.bounds)
        for kind in dict.fromkeys(p.kind for p in calibration.shown):
            mine = np.array([p.kind == kind for p in calibration.shown])
            names = np.array([p.lineage for p in calibration.shown])[mine]
            found = auc(llr[mine], self.llr[self.hd], hp_weights=_evenly(names), hd_weights=self._weight[self.hd])
            high = float(_evenly(names)[llr[mine] >= STRONG].sum() / len(set(names)))
            yield GroupRow(kind, int(mine.sum()), len(set(names)), sig(found), None, sig(high))

    def errors(self) -> tuple[ErrorRate, ...]:
        """Lineages with any pair that misleads strongly, on either side."""
        out = []
        for name, (side, wrong) in self._wrong.items():
            worst = [wrong[rows].max() for rows in _by_lineage(self.names, side)]
            hits, n = sum(bool(w >= STRONG) for w in worst), len(worst)
            out.append(ErrorRate(name, hits, n, sig(hits / n), sig(upper_bound(hits, n))))
        return tuple(out)

    def turing(self) -> tuple[TuringRow, ...]:
        """See `TuringRow`."""
        hd, hp = self._weight[self.hd], self._weight[self.hp]
        p, d = self.sides
        return tuple(
            TuringRow(x, sig(hd[d >= np.log10(x)].sum() / hd.sum()), sig(hp[p <= -np.log10(x)].sum() / hp.sum()))
            for x in LIMITS
        )

    def tippett(self, bounds: tuple[float, float]) -> tuple[tuple[float, float, float], ...]:
        """The curves over the range that may be claimed."""
        at = np.linspace(*bounds, GRID)
        shares = tippett(*self.sides, at, **self.weights)
        return tuple((sig(a), sig(p), sig(d)) for a, (p, d) in zip(at, shares, strict=True))

    def pav(self) -> tuple[PavStep, ...]:
        """The blocks of the recalibration, in order."""
        best = np.full(len(self.llr), np.nan)
        best[self.hp], best[self.hd] = pav(*self.sides, **self.weights)
        out = []
        for value in np.unique(best[self.hp | self.hd]):
            rows = best == value
            mine = self.llr[rows]
            hp, hd = int(self.hp[rows].sum()), int(self.hd[rows].sum())
            earned = sig(value) if np.isfinite(value) else None
            out.append(PavStep(sig(mine.min()), sig(mine.max()), hp, hd, earned))
        return tuple(out)

    def cross_entropy(self) -> tuple[tuple[float, float, float, float], ...]:
        """The three curves over prior odds from 1:100 to 100:1."""
        curves = empirical_cross_entropy(*self.sides, PRIORS, **self.weights)
        return tuple((sig(o), sig(a), sig(b), sig(c)) for o, (a, b, c) in zip(PRIORS, curves, strict=True))


def _pair(value: tuple[float, float]) -> tuple[float, float]:
    return sig(value[0]), sig(value[1])


def _by_lineage(names: NDArray[np.str_], rows: Mask) -> list[NDArray[np.intp]]:
    return [np.flatnonzero(rows & (names == g)) for g in sorted(set(names[rows]))]


def _evenly(names: NDArray[np.str_]) -> Array:
    """Weights under which each lineage counts 1 in all."""
    found, count = np.unique(names, return_counts=True)
    return np.asarray(1.0 / count[np.searchsorted(found, names)])


def _kinds(calibration: Calibration) -> Iterable[tuple[str, Mask]]:
    rows = calibration.pairs
    for kind, label in dict.fromkeys((p.kind, p.label) for p in rows):
        yield kind, np.array([(p.kind, p.label) == (kind, label) for p in rows])


def _teachers(calibration: Calibration, llr: Array) -> Iterable[TeacherRow]:
    """Every column with both hypotheses, by the number of its lineages under Hp."""
    t, pairs = calibration.table, calibration.pairs
    named = [g for g in sorted(set(t.group)) if g]
    columns = {g: _column(t.label, np.array(t.lineage), np.array([x == g for x in t.group])) for g in named}
    ordered = sorted((g for g in named if min(map(len, columns[g]))), key=lambda g: (-len(columns[g][0]), g))
    lengths = np.array([np.nan if p.scores.get(BASELINE) is None else p.scores[BASELINE] for p in pairs], dtype=float)
    for name in ordered:
        hp, hd = columns[name]
        yield TeacherRow(
            name, (len(hp), len(hd)), sig(_even_auc(llr, hp, hd)),
            _within_interval(llr, hp, hd) if len(hp) >= FEW else None,
            None if np.isnan(lengths).any() else sig(_even_auc(lengths, hp, hd)),
            tuple((c, sig(_even_auc(t.x[:, i], hp, hd))) for i, c in enumerate(calibration.columns)),
        )  # fmt: skip


Lineages = list[NDArray[np.intp]]


def _column(label: NDArray[np.int_], names: NDArray[np.str_], inside: Mask) -> tuple[Lineages, Lineages]:
    return _by_lineage(names, inside & (label == 1)), _by_lineage(names, inside & (label == 0))


def _even_auc(values: Array, hp: Lineages, hd: Lineages) -> float:
    sides = [np.concatenate(side) for side in (hp, hd)]
    weights = [np.concatenate([np.full(len(g), 1.0 / len(g)) for g in side]) for side in (hp, hd)]
    return auc(values[sides[0]], values[sides[1]], hp_weights=weights[0], hd_weights=weights[1])


def _within_interval(values: Array, hp: Lineages, hd: Lineages) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    draws = [
        _even_auc(values, *([side[k] for k in rng.integers(0, len(side), len(side))] for side in (hp, hd)))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return sig(low), sig(high)


def _queries(population: Population) -> Iterable[QueryRow]:
    """What `divergence-tokens` alone would have cost, by kind of pair."""
    for kind in dict.fromkeys(p.kind for p in population.pairs if p.asked is not None):
        mine = [p for p in population.pairs if p.kind == kind and p.asked is not None]
        weight = _evenly(np.array([p.lineage for p in mine]))
        asked = [p.asked for p in mine if p.asked is not None]
        reached = np.array([end is not None for _, end in asked])
        spent = float(np.median([n if end is None else end for n, end in asked]))
        share = float(weight[reached].sum() / weight.sum())
        yield QueryRow(kind, len(mine), len({p.lineage for p in mine}), sig(share), sig(spent))


def _baseline(population: Population) -> float | None:
    rows = [p for p in population.pairs if p.label is not None and p.scores.get(BASELINE) is not None]
    hp = [p.scores[BASELINE] for p in rows if p.label == 1]
    hd = [p.scores[BASELINE] for p in rows if p.label == 0]
    return sig(auc(np.array(hp, dtype=float), np.array(hd, dtype=float))) if hp and hd else None
