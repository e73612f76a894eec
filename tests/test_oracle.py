"""Our metrics against lir, the Netherlands Forensic Institute's package, where both define the same thing."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from forensics.verdict import metrics
from forensics.verdict.bounds import Rated, elub

Array = NDArray[np.float64]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own imports warn; ours are errors
    pytest.importorskip("lir", reason="lir is not installed: pip install -c constraints.txt '.[oracle]'")
    from lir.algorithms.bayeserror import calculate_expected_utility
    from lir.algorithms.bayeserror import elub as lir_elub
    from lir.algorithms.isotonic_regression import IsotonicCalibrator
    from lir.data.models import LLRData
    from lir.metrics import cllr, cllr_cal, cllr_min
    from lir.plotting.expected_calibration_error import calculate_ece


@pytest.fixture(params=range(4))
def llrs(request: pytest.FixtureRequest) -> tuple[Array, Array]:
    """Overlapping, miscalibrated, of unequal size, with ties."""
    rng = np.random.default_rng(request.param)
    hp, hd = rng.normal(0.7, 0.8, 60 + 20 * request.param), rng.normal(-0.9, 0.7, 45)
    return np.round(hp, 1 + request.param), np.round(hd, 1 + request.param)


def stacked(hp: Array, hd: Array) -> tuple[Array, NDArray[np.int_]]:
    return np.concatenate([hp, hd]), np.concatenate([np.ones(len(hp), int), np.zeros(len(hd), int)])


def test_costs(llrs: tuple[Array, Array]) -> None:
    x, y = stacked(*llrs)
    theirs = LLRData(features=x, labels=y)
    assert metrics.cllr(*llrs) == pytest.approx(cllr(theirs), abs=1e-9)
    assert metrics.cllr_min(*llrs) == pytest.approx(cllr_min(theirs), abs=1e-9)
    assert metrics.cllr_cal(*llrs) == pytest.approx(cllr_cal(theirs), abs=1e-9)


def test_pav(llrs: tuple[Array, Array]) -> None:
    x, y = stacked(*llrs)
    with np.errstate(divide="ignore"):
        theirs = IsotonicCalibrator().fit(x, y).transform(x)
    assert np.concatenate(metrics.pav(*llrs)) == pytest.approx(theirs, abs=1e-9)


def test_empirical_cross_entropy(llrs: tuple[Array, Array]) -> None:
    x, y = stacked(*llrs)
    odds = np.linspace(-3, 3, 25)
    priors = 10**odds / (1 + 10**odds)
    ours = metrics.empirical_cross_entropy(*llrs, odds)
    with np.errstate(divide="ignore"):
        pav = IsotonicCalibrator().fit(x, y).transform(x)
        for column, values in enumerate((x, pav, np.zeros_like(x))):
            assert ours[:, column] == pytest.approx(calculate_ece(10**values, y, priors), abs=1e-9)


def test_expected_loss_of_thresholds(llrs: tuple[Array, Array]) -> None:
    """The quantity that the bounds come from; theirs accepts above a threshold, ours at it, so none is put on a tie."""
    x, y = stacked(*llrs)
    hp, hd = map(Rated, llrs)
    for log_t in np.linspace(-1.5, 1.5, 31) + 0.00001:
        miss = (hp.n * hp.below(log_t, included=False) + 1) / (hp.n + 1)
        alarm = (hd.n * (1 - hd.below(log_t, included=False)) + 1) / (hd.n + 1)
        theirs = calculate_expected_utility(10**x, y, np.array([10**log_t]), add_misleading=1)
        assert miss + 10**log_t * alarm == pytest.approx(float(theirs[0]), abs=1e-9)


def test_bounds(llrs: tuple[Array, Array]) -> None:
    """Theirs searches a grid and steps back by one; ours solves for the crossing: they agree to the grid."""
    x, y = stacked(*llrs)
    step = 1e-4
    assert elub(*map(Rated, llrs)) == pytest.approx(
        lir_elub(x.copy(), y, add_misleading=1, step_size=step), abs=2 * step
    )
