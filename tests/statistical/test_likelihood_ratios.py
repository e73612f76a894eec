"""The likelihood ratio against simulated truth: is it as modest as it says, whatever the population's size?"""

from __future__ import annotations

import numpy as np
import pytest

from forensics.verdict.calibrate import Calibration, Pair, Population

pytestmark = pytest.mark.statistical
COLUMNS = ("x", "y")


def draw(rng: np.random.Generator, n: int, gap: float, label: int, spread: float) -> np.ndarray:
    """Dependent scores ``(n, 2)``: a shared part makes fusing them as independent overconfident."""
    shared = rng.normal(size=(n, 1)) * spread
    return shared + rng.normal(size=(n, 2)) * 0.5 + gap * label


def made(rng: np.random.Generator, lineages: int, gap: float, spread: float) -> Population:
    pairs = []
    for i in range(lineages):
        for label, per in ((1, 2), (0, 3)):
            centre = draw(rng, 1, gap, label, spread)[0]
            for _ in range(per):  # pairs of one lineage are near copies of each other
                values = centre + rng.normal(size=2) * 0.1
                scores = dict(zip(COLUMNS, map(float, values), strict=True))
                pairs.append(Pair("s", "t", "made", label, f"L{i}", (f"L{i}",), scores))
    return Population("made", "simulated", {}, COLUMNS, tuple(pairs))


@pytest.mark.parametrize("lineages", [12, 30, 60])
@pytest.mark.parametrize("gap", [0.0, 1.0, 3.0])
def test_turing_holds_on_lineages_never_seen(lineages: int, gap: float) -> None:
    """Pr(LR >= x | Hd) <= 1/x on new lineages over 60 populations, likewise Pr(LR <= 1/x | Hp) <= 1/x.

    Populations are what is independent, so the margin is three standard errors of the mean over populations.
    """
    rng = np.random.default_rng([lineages, int(gap * 10)])
    limits = (2.0, 5.0, 10.0)
    wrong = np.zeros((60, 2, len(limits)))
    for trial in range(60):
        calibration = Calibration(made(rng, lineages, gap, 1.0), COLUMNS)
        low, high = calibration.bounds
        for label in (0, 1):
            llr = np.clip(calibration.fusion.llr(draw(rng, 100, gap, label, 1.0)), low, high)
            misleading = -llr if label else llr
            wrong[trial, label] = [(misleading >= np.log10(x)).mean() for x in limits]
    mean, error = wrong.mean(axis=0), wrong.std(axis=0, ddof=1) / np.sqrt(len(wrong))
    assert (mean <= 1.0 / np.array(limits) + 3 * error).all(), mean
    assert (mean[:, 2] <= 0.1 + 0.05).all(), mean


def test_the_bounds_do_not_grow_with_pairs_but_with_lineages() -> None:
    rng = np.random.default_rng(4)
    small, large = made(rng, 12, 6.0, 0.3), made(rng, 100, 6.0, 0.3)
    assert Calibration(small, COLUMNS).bounds[1] <= np.log10(12) + 1e-9
    assert Calibration(large, COLUMNS).bounds[1] > Calibration(small, COLUMNS).bounds[1]
