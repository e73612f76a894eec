"""Every kind of pair against one kind of negative, by each way of telling them apart: jointly, in parts, by rivals."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..record import ContrastRow, sig
from .calibrate import Array, Calibration, Pair
from .metrics import auc

RESAMPLES = 200
JOINT = "joint llr"


def contrasts(calibration: Calibration) -> tuple[ContrastRow, ...]:
    """AUC of every kind of pair against the population's `against`, lineages weighing the same, with 95 % intervals.

    Ways: the held-out joint llr; the held-out llr of each subset of columns; every score of the pairs by itself, also
    those that no calibration reads (rivals, other censorings). Intervals draw lineages of either side with replacement.
    """
    population = calibration.population
    pairs = population.pairs
    ways: dict[str, dict[int, float]] = {JOINT: _llrs(calibration)}
    for name, columns in population.subsets.items():
        part = population.through(columns)
        ways[f"{name} llr"] = _llrs(part) if part.usable else {}
    for column in dict.fromkeys(c for p in pairs for c in p.scores):
        ways[column] = {i: float(v) for i, p in enumerate(pairs) if (v := p.scores.get(column)) is not None}
    negatives = [i for i, p in enumerate(pairs) if p.kind == population.against]
    out = []
    for kind in dict.fromkeys(p.kind for p in pairs if p.kind != population.against):
        mine = [i for i, p in enumerate(pairs) if p.kind == kind]
        found = tuple((name, *_auc(pairs, values, mine, negatives)) for name, values in ways.items())
        out.append(ContrastRow(kind, len(mine), len({pairs[i].lineage for i in mine}), found))
    return tuple(out)


def _llrs(calibration: Calibration) -> dict[int, float]:
    """Held-out llr, not bounded, by the pair's place in the population."""
    place = {id(p): i for i, p in enumerate(calibration.population.pairs)}
    both = ((calibration.pairs, calibration.held_out), (calibration.shown, calibration.shown_llr))
    return {place[id(p)]: float(v) for pairs, llr in both for p, v in zip(pairs, llr, strict=True)}


def _auc(
    pairs: tuple[Pair, ...], values: dict[int, float], mine: list[int], negatives: list[int]
) -> tuple[float | None, tuple[float, float] | None]:
    sides = [_by_lineage(pairs, [i for i in rows if i in values], values) for rows in (mine, negatives)]
    if sum(map(len, sides[0])) < len(mine) / 2 or not sides[1]:
        return None, None
    rng = np.random.default_rng(0)
    draws = [_of([side[k] for k in rng.integers(0, len(side), len(side))] for side in sides) for _ in range(RESAMPLES)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return sig(_of(sides)), (sig(low), sig(high))


def _by_lineage(pairs: tuple[Pair, ...], rows: list[int], values: dict[int, float]) -> list[Array]:
    groups: dict[str, list[float]] = {}
    for i in rows:
        groups.setdefault(pairs[i].lineage, []).append(values[i])
    return [np.array(v) for v in groups.values()]


def _of(sides: Iterable[list[Array]]) -> float:
    hp, hd = (list(side) for side in sides)
    weights = [np.concatenate([np.full(len(g), 1.0 / len(g)) for g in side]) for side in (hp, hd)]
    return auc(np.concatenate(hp), np.concatenate(hd), hp_weights=weights[0], hd_weights=weights[1])
