"""Metrics, bounds, calibration and wording."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from forensics.types import ExactResult, LikelihoodRatio, Score, SelfCheck
from forensics.verdict.bounds import Rated, elub, size_bounds
from forensics.verdict.calibrate import Calibration, Pair, Population, lineage_weights
from forensics.verdict.combine import decide
from forensics.verdict.metrics import (
    auc,
    cllr,
    cllr_min,
    empirical_cross_entropy,
    false_positive_rate,
    pav,
    tippett,
)
from forensics.verdict.validate import validate
from forensics.verdict.wording import statement, strength


def population(n: int, gap: float, seed: int = 0, columns: tuple[str, ...] = ("x", "y")) -> Population:
    rng = np.random.default_rng(seed)
    pairs = []
    for i in range(n):
        for label in (1, 0):
            scores = {c: float(rng.normal(gap if label else 0.0)) for c in columns}
            pairs.append(Pair(f"s{i}", f"t{label}{i}", "made", label, f"L{i}", (f"L{i}",), scores))
    return Population("made", "made for a test", {"suite": "s"}, columns, tuple(pairs))


def test_cllr_of_a_system_that_says_nothing_is_one() -> None:
    assert cllr([0.0, 0.0], [0.0]) == pytest.approx(1.0)


def test_cllr_by_hand() -> None:
    # LR 9 under Hp, LR 1/9 under Hd: both cost log2(1 + 1/9)
    assert cllr([math.log10(9)], [-math.log10(9)]) == pytest.approx(math.log2(10 / 9))


def test_cllr_min_undoes_a_wrong_scale_and_never_exceeds_cllr() -> None:
    rng = np.random.default_rng(0)
    p, d = rng.normal(1, 1, 200), rng.normal(-1, 1, 200)
    assert cllr_min(5 * p + 3, 5 * d + 3) == pytest.approx(cllr_min(p, d))
    assert cllr_min(p, d) <= cllr(p, d)
    assert cllr_min([1.0, 2.0], [-1.0]) == pytest.approx(0.0, abs=1e-9)


def test_pav_by_hand() -> None:
    # order: d, p d, p, where the middle two violate and pool to even odds
    best = pav([1.0, 3.0], [0.0, 2.0])
    assert [list(side) for side in best] == [[0.0, math.inf], [-math.inf, 0.0]]


def test_pav_counts_weights_not_pairs() -> None:
    # one block (d above p); Hp weighs 3/4 of its side there
    best = pav([0.0, 5.0], [1.0], hp_weights=[3.0, 1.0])
    assert best[0][0] == pytest.approx(math.log10(0.75))


def test_tippett_by_hand() -> None:
    curves = tippett([0.5, 2.0], [-1.0, 0.5], [0.0, 0.5, 1.0], hp_weights=[1.0, 3.0])
    assert curves.tolist() == [[1.0, 0.5], [1.0, 0.5], [0.75, 0.0]]


def test_empirical_cross_entropy_of_the_neutral_system_is_the_priors() -> None:
    odds = np.array([-1.0, 0.0, 2.0])
    p = 10**odds / (1 + 10**odds)
    entropy = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    curves = empirical_cross_entropy([0.3, 1.0], [-0.2], odds)
    assert curves[:, 2] == pytest.approx(entropy)
    assert curves[1, 0] == pytest.approx(cllr([0.3, 1.0], [-0.2]))
    assert curves[1, 1] == pytest.approx(cllr_min([0.3, 1.0], [-0.2]), abs=1e-12)


def test_auc_by_hand() -> None:
    assert auc([1, 3], [2, 0]) == pytest.approx(0.75)
    assert auc([1, 1], [1]) == pytest.approx(0.5)


def test_false_positive_rate_has_the_rule_of_three() -> None:
    rate, upper = false_positive_rate(np.zeros(100), at=1.0)
    assert rate == 0.0
    assert upper == pytest.approx(1 - 0.05 ** (1 / 100))


def test_size_bounds() -> None:
    assert size_bounds(100) == (-2.0, 2.0)


def test_elub_of_perfect_separation_is_the_sample_size() -> None:
    low, high = elub(Rated([50.0] * 30), Rated([-50.0] * 30))
    assert high == pytest.approx(math.log10(30))
    assert low == pytest.approx(-math.log10(30))


def test_elub_of_a_reversed_system_allows_nothing() -> None:
    assert elub(Rated([-1.0] * 30), Rated([1.0] * 30)) == (0.0, 0.0)


def test_elub_counts_lineages_not_pairs() -> None:
    many = elub(Rated([50.0] * 300, n=30), Rated([-50.0] * 900, n=30))
    assert many == pytest.approx(elub(Rated([50.0] * 30), Rated([-50.0] * 30)))


def test_elub_agrees_with_a_search_over_thresholds() -> None:
    rng = np.random.default_rng(3)
    p, d = rng.normal(0.8, 0.7, 40), rng.normal(-0.8, 0.7, 25)
    low, high = elub(Rated(p), Rated(d))

    def loses(t: float) -> bool:
        miss = ((p < math.log10(t)).sum() + 1) / (len(p) + 1)
        alarm = ((d >= math.log10(t)).sum() + 1) / (len(d) + 1)
        return miss + t * alarm > min(1.0, t)

    grid = np.arange(0.0, 3.0, 0.0005)
    assert high == pytest.approx(next(g for g in grid if loses(10**g)), abs=2e-3)
    assert low == pytest.approx(-next(g for g in grid if loses(10**-g)), abs=2e-3)


def test_lineage_weights_count_lineages_not_pairs() -> None:
    label = np.array([1, 1, 1, 0])
    weights = lineage_weights(label, ["a", "a", "b", "c"])
    assert weights[:2].sum() == pytest.approx(weights[2])
    assert weights[label == 1].sum() == pytest.approx(weights[label == 0].sum())


def test_the_llr_never_leaves_its_bounds() -> None:
    calibration = Calibration(population(20, 6.0), ("x", "y"))
    lr = calibration.llr(np.array([60.0, 60.0]), np.full((5, 2), 60.0), np.random.default_rng(0))
    assert lr.llr == lr.bounds[1] <= math.log10(20)
    assert lr.interval[1] <= lr.bounds[1]


def test_more_of_the_same_lineages_does_not_widen_the_bounds() -> None:
    made = population(20, 6.0)
    again = Population(made.name, made.card, made.conditions, made.columns, made.pairs * 5)
    assert Calibration(again, made.columns).bounds[1] <= math.log10(20) + 1e-9


def test_held_out_llrs_of_noise_say_nothing() -> None:
    """No information: the mean held-out llr is near 0 for both hypotheses and Cllr near 1."""
    calibration = Calibration(population(40, 0.0, seed=5), ("x", "y"))
    label = calibration.table.label
    held = calibration.held_out
    assert 0.9 < cllr(held[label == 1], held[label == 0]) < 1.1
    assert calibration.bounds[1] < 0.5


def test_a_trait_of_one_lineage_can_not_be_exploited_by_its_other_pairs() -> None:
    """Every lineage has a score level of its own that betrays its label; held out, it must be worth nothing."""
    rng = np.random.default_rng(8)
    pairs = []
    for i in range(24):
        label = i % 2
        level = float(rng.normal())
        for j in range(6):
            scores = {"x": level, "y": float(rng.normal())}
            pairs.append(Pair(f"s{i}-{j}", "t", "made", label, f"L{i}", (f"L{i}", f"shared-{i // 2 % 3}"), scores))
    calibration = Calibration(Population("made", "", {}, ("x", "y"), tuple(pairs)), ("x", "y"))
    held, label = calibration.held_out, calibration.table.label
    assert cllr(held[label == 1], held[label == 0]) > 0.9
    assert calibration.bounds[1] < 0.7


def test_a_population_of_few_lineages_is_not_usable() -> None:
    assert not Calibration(population(9, 5.0), ("x",)).usable
    assert Calibration(population(10, 5.0), ("x",)).usable


def test_a_ratio_outside_its_bounds_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="within the bounds"):
        LikelihoodRatio(2.0, (-1.0, 1.0), (0.0, 1.0), "p")


def test_mismatch_names_what_differs() -> None:
    made = population(10, 1.0)
    assert made.mismatch({"suite": "s"}) == ()
    assert "suite" in made.mismatch({"suite": "t"})[0]


@pytest.mark.parametrize(
    ("llr", "word"), [(0.5, "weak"), (-1.5, "moderate"), (2.5, "moderately strong"), (3.5, "strong")]
)
def test_the_scale_is_symmetric(llr: float, word: str) -> None:
    assert strength(llr) == strength(-llr) == word


def test_the_statement_is_as_loud_for_hd() -> None:
    up = statement(LikelihoodRatio(1.2, (-2, 2), (1, 1.5), "p"), "A", "B")
    down = statement(LikelihoodRatio(-1.2, (-2, 2), (-1.5, -1), "p"), "A", "B")
    assert up.replace("more", "less").replace("Hp", "Hd") == down
    assert "16 times more probable if A than if B: moderate support for Hp" in up


def test_the_statement_says_when_it_is_capped() -> None:
    assert "the most" in statement(LikelihoodRatio(0.8, (-1.4, 0.8), (0.5, 0.8), "p"), "A")
    assert "the most" not in statement(LikelihoodRatio(0.7, (-1.4, 0.8), (0.5, 0.8), "p"), "A")


LR = LikelihoodRatio(1.4, (-1.5, 1.5), (0.9, 1.5), "p")


def weights(p: float, against: str = "reference") -> ExactResult:
    return ExactResult("weights", "ok", p=p, n=3, against=against)


def test_shared_weights_are_never_copied_outputs() -> None:
    """A common parent must not be accused of being a copy: that takes a base of another lineage."""
    shared, other = weights(1e-40), weights(0.4, "reference-base")
    assert decide(LR, (), [shared, other], [], None).decision == "copied-weights"
    assert decide(LR, (), [shared], [], None).decision == "shared-source"
    assert decide(LR, (), [shared, weights(1e-40, "reference-base")], [], None).decision == "shared-source"
    for case in ([shared], [shared, other]):
        assert decide(LR, (), case, [], None).lr is None
    assert decide(LR, (), [weights(0.5)], [], None).decision == "copied-outputs"


def test_a_base_that_is_not_the_base_withholds_the_ratio() -> None:
    verdict = decide(LR, (), [weights(0.5), weights(0.7, "base")], [], None)
    assert (verdict.decision, verdict.lr) == ("cannot-tell", None)
    assert "base" in verdict.reasons[0]
    assert decide(LR, (), [weights(0.5), weights(1e-40, "base")], [], None).decision == "copied-outputs"


def test_a_failed_self_check_ends_in_cannot_tell() -> None:
    verdict = decide(LR, (), [], [SelfCheck("identity", False, "no")], None)
    assert (verdict.decision, verdict.lr) == ("cannot-tell", None)
    assert decide(LR, (), [], [SelfCheck("identity", None, "not possible")], None).decision == "copied-outputs"


def test_an_interval_across_zero_decides_nothing() -> None:
    wide = LikelihoodRatio(1.2, (-1.5, 1.5), (-0.1, 1.5), "p")
    assert decide(wide, (), [], [], None).decision == "cannot-tell"
    against = LikelihoodRatio(-1.2, (-1.5, 1.5), (-1.5, -0.4), "p")
    assert decide(against, (), [], [], "power was stated").decision == "independent"
    assert decide(against, (), [], [], None).decision == "cannot-tell"


def test_a_score_without_value_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="reason"):
        Score("x", "failed")
    with pytest.raises(ValueError, match="interval"):
        Score("x", "ok", value=1.0)


def test_validation_counts_lineages_and_knows_noise_from_signal() -> None:
    good, noise = validate(population(25, 4.0)), validate(population(25, 0.0, seed=2))
    assert good.lineages == (25, 25)
    assert good.auc > 0.99
    assert good.cllr < 0.3
    assert good.cllr_min <= good.cllr
    assert [e.n for e in good.errors] == [25, 25]
    assert all(e.rate == e.hits / e.n < e.upper for e in good.errors)
    assert good.errors[0].hits or good.errors[0].upper == pytest.approx(1 - 0.05 ** (1 / 25), abs=1e-6)
    assert 0.25 < noise.auc < 0.75
    assert noise.cllr > 0.85
    assert noise.length_only is None
    assert good.auc_interval[0] <= good.auc <= good.auc_interval[1]
    assert noise.auc_interval[0] <= 0.5 <= noise.auc_interval[1]


def test_validation_curves_agree_with_its_figures() -> None:
    v = validate(population(25, 1.5))
    assert {p: s for p, s, *_ in v.cross_entropy}[0.0] == v.cllr
    assert {p: b for p, _, b, _ in v.cross_entropy}[0.0] == v.cllr_min
    assert v.cllr - v.cllr_min == pytest.approx(v.cllr_cal, abs=2e-6)
    assert v.tippett[0][1:] == (1.0, 1.0)
    assert (sum(b.hp for b in v.pav), sum(b.hd for b in v.pav)) == v.pairs
    assert v.kinds[0].pairs == 25


def test_validation_of_the_columns_of_a_case() -> None:
    v = validate(population(25, 1.5), ("y",))
    assert v.scores == ("y",)
    assert v.columns[0][0] == "y"


def test_a_kind_that_is_all_of_one_hypothesis_has_the_population_s_auc() -> None:
    """Teachers' columns of unequal size weigh lineages unequally: the row and the headline must be the same figure."""
    base = population(30, 1.2)
    pairs = []
    for i, pair in enumerate(base.pairs):
        lineage = i // 2
        columns = ("big", "small") if lineage % 5 == 0 else ("big",)
        pairs += [replace(pair, group=column, candidate=column) for column in columns]
    v = validate(Population(base.name, base.card, base.conditions, base.columns, tuple(pairs)))
    assert v.kinds[0].auc == v.auc
    assert v.kinds[0].interval == v.auc_interval
