"""How good a population's likelihood ratios are on lineages that the fusion did not see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .calibrate import Array, Calibration, Population, lineage_weights
from .metrics import auc, cllr, cllr_min, false_positive_rate

BASELINE = "length-only"
LIMITS = (2.0, 5.0, 10.0)
Kind = tuple[str, int, int, float | None, float]


@dataclass(frozen=True, slots=True)
class Validation:
    """Held-out figures; llrs are clipped to the population's bounds, as every audit clips them.

    ``kinds``: (kind, pairs, lineages, AUC against all Hd pairs or None for Hd kinds, share with LR >= 10).
    ``columns``: (comparator alone, its AUC). ``turing``: (x, share of Hd with LR >= x, share of Hp with LR <= 1/x);
    neither should exceed 1/x. ``false_positives``: lineages under Hd whose worst pair has LR >= 10, as a share, and
    its one-sided 95 % upper bound. All shares and means weigh lineages, not pairs.
    """

    population: str
    lineages: tuple[int, int]
    bounds: tuple[float, float]
    auc: float
    cllr: float
    cllr_min: float
    false_positives: tuple[float, float]
    turing: tuple[tuple[float, float, float], ...]
    kinds: tuple[Kind, ...]
    columns: tuple[tuple[str, float], ...]
    length_only: float | None


def validate(population: Population) -> Validation:
    """Judge every pair of a population by a fusion that saw none of its lineages."""
    calibration = Calibration(population, population.columns)
    low, high = calibration.bounds
    x, label, lineage, _ = calibration.table
    llr = np.clip(calibration.held_out, low, high)
    weight = lineage_weights(label, lineage)
    hp, hd = label == 1, label == 0
    weights = {"hp_weights": weight[hp], "hd_weights": weight[hd]}
    names = np.array(lineage)
    worst = np.array([llr[hd & (names == g)].max() for g in sorted(set(names[hd]))])
    return Validation(
        population=population.name,
        lineages=(len(set(names[hp])), len(set(names[hd]))),
        bounds=(low, high),
        auc=auc(llr[hp], llr[hd], **weights),
        cllr=cllr(llr[hp], llr[hd], **weights),
        cllr_min=cllr_min(llr[hp], llr[hd], **weights),
        false_positives=false_positive_rate(worst, 1.0),
        turing=tuple(
            (t, _share(llr[hd] >= np.log10(t), weight[hd]), _share(llr[hp] <= -np.log10(t), weight[hp]))
            for t in LIMITS
        ),
        kinds=_kinds(calibration, llr),
        columns=tuple((c, auc(x[hp, i], x[hd, i], **weights)) for i, c in enumerate(population.columns)),
        length_only=_baseline(population),
    )  # fmt: skip


def _share(hit: np.ndarray, weight: Array) -> float:
    return float(weight[hit].sum() / weight.sum())


def _kinds(calibration: Calibration, llr: Array) -> tuple[Kind, ...]:
    rows = calibration.pairs
    hd = np.array([p.label == 0 for p in rows])
    out = []
    for kind in dict.fromkeys((p.kind, p.label) for p in rows):
        mine = np.array([(p.kind, p.label) == kind for p in rows])
        lineages = len({p.lineage for p, keep in zip(rows, mine, strict=True) if keep})
        found = auc(llr[mine], llr[hd]) if kind[1] else None
        out.append((kind[0], int(mine.sum()), lineages, found, float((llr[mine] >= 1.0).mean())))
    return tuple(out)


def _baseline(population: Population) -> float | None:
    rows = [p for p in population.pairs if p.label is not None and p.scores.get(BASELINE) is not None]
    hp = [p.scores[BASELINE] for p in rows if p.label == 1]
    hd = [p.scores[BASELINE] for p in rows if p.label == 0]
    return auc(np.array(hp, dtype=float), np.array(hd, dtype=float)) if hp and hd else None
