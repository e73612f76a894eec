"""``choice-panel`` against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from text_samples import text_sample

from forensics.comparators.choice_panel import (
    ChoicePanel,
    choice,
    divergences,
    log_wealth,
    missing_mass,
    typical,
    wins,
)
from forensics.types import Score

WORDS = [f"word{i}" for i in range(12)]
PARTIES = ("suspect", "reference", "ann", "bob", "cid")


def preferences(rng: np.random.Generator, items: int) -> np.ndarray:
    return rng.dirichlet(np.full(len(WORDS), 0.3), items)


def draws(rng: np.random.Generator, shares: np.ndarray, n: int = 10) -> list[list[str]]:
    return [[f"{w}-{i}." for w in rng.choice(WORDS, n, p=p)] for i, p in enumerate(shares)]


def panel(seed: int, share: float, items: int = 40) -> dict[str, list[list[str]]]:
    """Everyone has preferences of one's own; the suspect takes ``share`` of the reference's."""
    rng = np.random.default_rng(seed)
    own = {p: preferences(rng, items) for p in PARTIES}
    own["suspect"] = share * own["reference"] + (1 - share) * own["suspect"]
    return {p: draws(rng, shares) for p, shares in own.items()}


def score(parties: dict[str, list[list[str]]], family: str = "choice") -> Score:
    return ChoicePanel().compare(text_sample(parties, family), np.random.default_rng(0))


@pytest.mark.parametrize(
    "written", ["Blue", "blue.", " BLUE!\n", "**Blue**", "Blue, of course.", "Ｂlue", "Sure! Blue"]
)
def test_one_choice_written_in_many_ways(written: str) -> None:
    assert choice(written) == "blue"


@pytest.mark.parametrize(
    ("written", "read"), [("42", "42"), ("蓝色。", "蓝色"), ("Jean-Luc", "jean-luc"), ("🎲", "🎲")]
)
def test_other_choices(written: str, read: str) -> None:
    assert choice(written) == read


def test_divergence_by_hand() -> None:
    # 3 : 1 against 1 : 3 is 1 - H(1/4); disjoint is one bit; the same is none
    item = [["a", "a", "a", "b"], ["a", "b", "b", "b"], ["c", "c", "c", "c"], ["a", "b", "a", "a"]]
    entropy = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert divergences([item])[0, 0].tolist() == pytest.approx([0.0, 1.0 - entropy, 1.0, 0.0], abs=1e-12)


def test_typicality_by_hand() -> None:
    d = np.zeros((2, 4, 4))
    d[0] = [[0, 0.2, 0.6, 0.7], [0.2, 0, 0.4, 0.8], [0.6, 0.4, 0, 0.5], [0.7, 0.8, 0.5, 0]]
    d[1, 0, 1:] = 1.0  # the suspect says what nobody says
    found = typical(d)
    assert found[0].tolist() == pytest.approx([-0.2 + 0.6, -0.6 + 0.5, -0.7 + 0.5])
    assert np.isnan(found[1]).all()


def test_missing_mass_by_hand() -> None:
    assert missing_mass(["a", "a", "b", "c"]) == 0.5
    assert missing_mass(["a"] * 4) == 0.0


def test_ties_share_the_win() -> None:
    d = np.zeros((3, 4, 4))
    d[:, :, 1] = [[0.1, 0, 0.5, 0.5], [0.5, 0, 0.5, 0.9], [0.9, 0, 0.5, 0.5]]
    assert wins(d).tolist() == [1.0, 0.5, 0.0]


def test_bets_by_hand_and_never_on_what_is_not_known_yet() -> None:
    h = np.array([1.0, 1.0, 0.0])
    # rate 1/4; share before each item: 1/4, (1/4 + 1)/2 = 5/8, (1/4 + 2)/3 = 3/4; stakes 0, 2 (largest), 2 (largest)
    assert (10 ** log_wealth(h, 4)).tolist() == pytest.approx([1.0, 2.5, 1.25])
    # rate 1/2; shares 1/2, 1/2, 2/3; stakes 0, 0, 2/3: a win is bet on only afterwards
    assert (10 ** log_wealth(np.array([0.5, 1.0, 0.0]), 2)).tolist() == pytest.approx([1.0, 1.0, 2 / 3])


def test_a_student_of_the_reference_stands_out_and_others_do_not() -> None:
    student, other = score(panel(0, 0.6)), score(panel(0, 0.0))
    assert (student.value or 0) > np.quantile(student.null, 0.975)
    assert dict(student.ablations)["log10 e-value, S against the controls"] > 2
    assert other.interval is not None
    assert other.interval[0] < 0 < other.interval[1]
    assert dict(other.ablations)["log10 e-value, S against the controls"] < 1


@pytest.mark.parametrize("written", ["OK.", "Seven"])
def test_an_endpoint_that_always_says_one_thing_is_no_evidence(written: str) -> None:
    parties = {**panel(1, 0.0), "suspect": [[written] * 10] * 40}
    found = score(parties)
    assert found.status == "insufficient"
    assert "one and the same answer" in (found.reason or "")


def test_answers_that_nobody_else_gives_are_no_evidence() -> None:
    parties = {**panel(1, 0.0), "suspect": [[f"nonsense{i}{d}" for d in range(10)] for i in range(40)]}
    assert "shares an answer" in (score(parties).reason or "")


def test_one_draw_an_item_and_long_answers_are_no_panel() -> None:
    once = {p: [a[:1] for a in answers] for p, answers in panel(2, 0.0).items()}
    assert "5 times or more" in (score(once).reason or "")
    long = {p: [[f"{t} and many words more" for t in a] for a in answers] for p, answers in panel(2, 0.0).items()}
    assert score(long).reason == score(once).reason
    assert score(panel(2, 0.6), "writing").status == "ok"  # recorded answers know no family but this one


@pytest.mark.statistical
def test_false_alarms_of_the_bets_and_of_the_interval() -> None:
    """Exchangeable parties, 300 simulated panels of 40 items: sup W_t >= 1/α in at most α of them (α = .05, .2), and
    the interval lies above 0 in at most 2.5 % (three standard errors)."""
    crossed, above = [], []
    for seed in range(300):
        parties = panel([seed, 7], 0.0)  # type: ignore[arg-type]
        found = score(parties)
        assert found.interval is not None
        above.append(found.interval[0] > 0)
        items = [[[choice(t) for t in parties[p][i]] for p in PARTIES] for i in range(40)]
        crossed.append(log_wealth(wins(divergences(items)), 4).max())
    for level in (0.05, 0.2):
        share = np.mean(np.array(crossed) >= -math.log10(level))
        assert share <= level + 3 * math.sqrt(level * (1 - level) / 300)
    assert np.mean(above) <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / 300)
