"""The numbers behind a drift: by hand, by simulation, and on two releases of the toy lab."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from forensics import Store
from forensics.check.baseline import read_baseline
from forensics.check.drift import Change, changes, clean_noise, estimate, placebo, reading
from forensics.check.record import Baseline, Release, Run
from forensics.check.run import _drift, history
from forensics.plan import gather, stored_plan
from forensics.verdict.calibrate import load_population

ONE = reading("attribution", {}, None)


def change(
    value: float, replicates: tuple[float, ...] = (0.0, 0.0), placebos: tuple[float, ...] = (0.0, 0.0)
) -> Change:
    return Change("attribution", value, replicates, placebos, 40, "nats per term")


def test_the_margin_is_students_prediction_interval() -> None:
    runs = [{"attribution": v} for v in (0.0, 2.0, 4.0)]  # mean 2, s = 2, two degrees of freedom
    made = estimate(ONE, {"attribution": change(10.0)}, runs, (0.0, 0), 0.05)
    assert made.value == pytest.approx(8.0)
    assert made.noise.sd == pytest.approx(2.0)
    assert made.margin == pytest.approx(2.919986 * 2.0 * math.sqrt(4 / 3), rel=1e-5)  # t_2(.95) = 2.919986
    assert made.interval == pytest.approx((8.0 - made.margin, 8.0 + made.margin))
    assert made.detectable(20.0) == pytest.approx(20.0 + 1.2815516 * 2.0 * math.sqrt(4 / 3), rel=1e-5)


def test_earlier_releases_add_degrees_of_freedom() -> None:
    found = clean_noise([0.0, 2.0], (4.0, 3))
    assert found is not None
    assert (found.sd, found.df) == (pytest.approx(math.sqrt(6.0 / 4)), 4)
    assert clean_noise([1.0], (3.0, 1)) is None  # one degree of freedom says nothing


def test_history_counts_runs_and_steps() -> None:
    def release(*values: float, step: float | None = None, over: int = 0) -> Release:
        runs = tuple(Run("toy/a", str(v), "", (("attribution", v),)) for v in values)
        return Release(runs, (("attribution", 0.0),), None if step is None else (("attribution", step),), over)

    b = Baseline("1.0", "forensics-baseline", {}, 0.05, None, None, None,
                 (release(0.0, 2.0, 4.0), release(0.0, step=3.0, over=3)))  # fmt: skip
    squares, df = history(b, ONE, {"attribution"})
    assert (squares, df) == (
        pytest.approx(8.0 + 9.0 / (1 + 1 / 3)),
        3,
    )  # the current release's own runs are not history


def test_clean_runs_raise_alarms_at_the_stated_level() -> None:
    """4,000 simulated releases, each against four runs of its own: exact under normality, whatever sigma is."""
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(4000):
        own = rng.normal(3.0, 0.7, 5)
        runs = [{"attribution": v} for v in own[:4]]
        made = estimate(ONE, {"attribution": change(float(own[4]))}, runs, (0.0, 0), 0.05)
        alarms += made.value > made.margin
    assert 0.05 - 3 * math.sqrt(0.05 * 0.95 / 4000) < alarms / 4000 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4000)


@pytest.mark.parametrize("k", [3, 6])
def test_controls_stand_in_for_runs_where_all_directions_move_alike(k: int) -> None:
    """The placebo's sigma is right on average if closeness to every candidate moves by independent equal amounts."""
    rng = np.random.default_rng(k)
    squares = []
    for _ in range(4000):
        c = rng.normal(0.0, 1.0, k)
        d = tuple(c[j] - np.delete(c, j).mean() for j in range(k))
        squares.append(placebo(ONE, {"attribution": change(0.0, placebos=d)}).sd ** 2)
    contrast = 1.0 + 1.0 / k  # variance of a change towards R; a single run has half of it
    assert np.mean(squares) == pytest.approx(contrast / 2, rel=0.06)


def test_without_runs_the_items_must_be_exceeded_too() -> None:
    rng = np.random.default_rng(0)
    noisy = change(1.0, tuple(rng.normal(1.0, 5.0, 999)), (0.01, -0.01, 0.0))
    made = estimate(ONE, {"attribution": noisy}, [{"attribution": 0.0}], (0.0, 0), 0.05)
    assert made.noise.source == "controls"
    assert made.margin == pytest.approx(1.644854 * made.item_sd, rel=1e-5)
    assert made.item_sd == pytest.approx(5.0, rel=0.1)


def test_a_release_has_not_moved_from_itself(lab: Path) -> None:
    with Store(lab / "run1.case", must_exist=True) as store:
        sample = gather(stored_plan(store), store)
    found = changes(sample, sample, ("attribution", "cross-likelihood", "answer-overlap"), 0)
    assert all(c.value == pytest.approx(0.0, abs=1e-12) for c in found.values())
    assert all(abs(p) < 1e-12 for c in found.values() for p in c.placebos)


def test_the_previous_release_is_taken_off_item_by_item(lab: Path) -> None:
    """On every item the change of the log-likelihood rate, S less the previous release, R less the controls."""
    from forensics.comparators.cross_likelihood import CrossLikelihood, rates

    samples = []
    for name in ("run2", "run1"):
        with Store(lab / f"{name}.case", must_exist=True) as store:
            samples.append(gather(stored_plan(store), store))
    new, old = samples
    gain = {}
    for author, column in new.candidates.items():
        both = [rates(s.likelihoods["suspect", author], column, 20) for s in (new, old)]
        gain[author] = both[0] - both[1]
    d = gain["reference"] - np.mean([gain[c] for c in new.controls], axis=0)
    d = np.sort(d[np.isfinite(d) & np.isfinite(sum(gain.values()))])
    cut = CrossLikelihood().trim * len(d)
    weight = np.clip(np.minimum(np.arange(1, len(d) + 1), len(d) - cut) - np.maximum(np.arange(len(d)), cut), 0, None)
    found = changes(new, old, ("cross-likelihood",), 0)["cross-likelihood"]
    assert found.value == pytest.approx(float((weight * d).sum() / weight.sum()), rel=1e-9)
    assert found.value != 0.0


def test_drift_is_the_populations_llr_before_its_bounds() -> None:
    zoo = load_population("zoo")
    columns = ("answer-overlap", "cross-likelihood")
    levels = dict.fromkeys(columns, 0.0)
    read = reading("drift", levels, zoo)
    step = {"answer-overlap": 0.01, "cross-likelihood": 0.02}
    fusion = zoo.through(columns).fusion
    by_hand = sum(step[c] / fusion.sd[i] * fusion.w[i] for i, c in enumerate(columns)) / math.log(10)
    assert read(step) == pytest.approx(by_hand)
    assert read(dict.fromkeys(columns, 0.0)) == 0.0


def test_the_labs_baseline_holds_five_runs(lab: Path) -> None:
    b = read_baseline(lab / "baseline.json")
    assert isinstance(b, Baseline)
    assert len(b.current.runs) == 5
    assert set(dict(b.current.runs[0].values).values()) == {0.0}
    assert len({r.identity for r in b.current.runs}) == 5


def test_a_comparator_that_the_llr_reads_and_the_release_lacks_leaves_the_drift_open() -> None:
    """The others alone would be another quantity, and a release could hide what moved by not offering it."""
    zoo = load_population("zoo")
    found = {c: Change(c, 0.1, (0.0, 0.1), (0.0, 0.1), 40) for c in zoo.columns}
    levels = tuple((c, 0.0) for c in zoo.columns)
    run = Run("toy/a", "i", "", levels)
    b = Baseline("1.0", "forensics-baseline", {}, 0.05, None, None, "zoo", (Release((run, run, run), levels),))
    assert _drift("drift", found, b, zoo, 0.05, 0.5, {}).value is not None
    gone = {**found, "cross-likelihood": Change("cross-likelihood", None, reason="it can't score")}
    made = _drift("drift", gone, b, zoo, 0.05, 0.5, {})
    assert made.value is None
    assert made.reason.startswith("the llr reads cross-likelihood, ")
    assert made.reason.endswith("it can't score")
    assert _drift("cross-likelihood", gone, b, zoo, 0.05, 0.5, {}).reason == "it can't score"
