"""Over-represented terms and attribution, on writers whose habits are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import writers

from forensics.comparators.attribution import Attribution
from forensics.comparators.opening_style import OpeningStyle
from forensics.comparators.over_represented import OverRepresented
from forensics.comparators.style_delta import StyleDelta
from forensics.types import Completion, Score


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


PLAIN = (OverRepresented(ablate=False, resamples=299), Attribution(ablate=False, resamples=299))


@pytest.mark.parametrize("comparator", PLAIN, ids=lambda c: c.name)
class TestHabits:
    def test_a_student_of_the_reference_stands_out(self, comparator: OverRepresented | Attribution) -> None:
        score = comparator.compare(writers.sample(mix={"ref": 0.5}), rng())
        assert score.status == "ok"
        assert score.interval is not None
        assert score.interval[0] > 0
        assert score.value is not None
        assert score.value > np.quantile(score.null, 0.975)

    def test_a_student_of_a_control_does_not(self, comparator: OverRepresented | Attribution) -> None:
        score = comparator.compare(writers.sample(mix={"c1": 0.5}), rng())
        assert score.value is not None
        assert score.value < 0
        named = dict(score.closeness)
        assert max(named, key=lambda n: named[n]) == "c1"

    def test_nobody_s_student_lies_in_the_background(self, comparator: OverRepresented | Attribution) -> None:
        """By chance one in six is above all five controls; more than half of eight is not chance (p < .01)."""
        values = [comparator.compare(writers.sample(f"sam{k}", n=40), rng()) for k in range(8)]
        assert sum(s.value > np.quantile(s.null, 0.975) for s in values if s.value is not None) <= 4

    def test_the_reference_knows_itself(self, comparator: OverRepresented | Attribution) -> None:
        made = writers.sample(n=80)
        score = comparator.compare(replace(made, suspect=made.reference), rng())
        assert score.value is not None
        assert score.value > np.quantile(score.null, 0.975)

    def test_words_of_the_prompt_or_one_word_answers_are_no_evidence(
        self, comparator: OverRepresented | Attribution
    ) -> None:
        made = writers.sample()
        constant = tuple(Completion(u.request.digest, "OK.", "stop") for u in made.units)
        score = comparator.compare(replace(made, suspect=constant), rng())
        assert score.status != "ok" or score.value == pytest.approx(0.0, abs=1e-9)


def test_over_represented_by_hand() -> None:
    """Two terms, four items: ref uses a in all, c0 b in all, c1 both in half; S uses a in all."""
    from forensics.comparators.over_represented import closeness

    table = [
        [1, 1, 1, 1], [0, 0, 0, 0],
        [1, 1, 1, 1], [0, 0, 0, 0],
        [0, 0, 0, 0], [1, 1, 1, 1],
        [1, 1, 0, 0], [0, 0, 1, 1],
    ]  # fmt: skip
    found = closeness(np.array(table, dtype=np.float32).mean(axis=1).reshape(4, 2), 4)
    # peers: a = b = 1/2. z(S) = z(ref) = (+, 0), z(c0) = (0, +), z(c1) = (0, 0), which resembles nobody.
    assert found == pytest.approx([1.0 - 0.0, 0.0 - 0.0, 0.0 - 0.0], abs=1e-6)


def test_the_change_from_the_base_counts_not_the_level() -> None:
    """S's base had a control's habits, and so has S, besides some of the reference's: only those are new."""
    mix = {"c1": 0.6, "ref": 0.2}
    level = Attribution().compare(writers.sample(mix=mix), rng())
    change = Attribution().compare(writers.sample(mix=mix, base={"c1": 0.75}), rng())
    by_level, by_change = dict(level.closeness), dict(change.closeness)
    assert max(by_level, key=lambda n: by_level[n]) == "c1"
    assert max(by_change, key=lambda n: by_change[n]) == "reference"
    assert change.value is not None
    assert change.value > np.quantile(change.null, 0.975)
    assert dict(change.ablations)["level, base not subtracted"] == pytest.approx(
        dict(replace_base(change, mix).ablations)["level, base not subtracted"]
    )


def replace_base(_: Score, mix: dict[str, float]) -> Score:
    """The same case with another base: the level does not move."""
    return Attribution().compare(writers.sample(mix=mix, base={"c2": 0.5}), rng())


def test_a_base_that_answered_nothing_is_no_base() -> None:
    made = writers.sample(mix={"ref": 0.5})
    blank = replace(made, base=tuple(None for _ in made.units))
    assert Attribution().compare(blank, rng()) == Attribution().compare(made, rng())


def test_opening_style_reads_the_beginning_only() -> None:
    made = writers.sample()
    longer = tuple(
        Completion(c.request_digest, f"{c.text} And then! (really) \n\n- a list\n- of things", "stop")
        for c in made.suspect
        if c is not None
    )
    opening, whole = OpeningStyle(ablate=False), StyleDelta(ablate=False)
    assert opening.compare(replace(made, suspect=longer), rng()) == opening.compare(made, rng())
    assert whole.compare(replace(made, suspect=longer), rng()) != whole.compare(made, rng())


def test_the_value_lies_inside_its_interval() -> None:
    """Resampling repeats items, which by itself lowers every cosine; it must not move the interval."""
    for mix in ({"ref": 0.5}, {"c1": 0.5}):
        score = OverRepresented(ablate=False).compare(writers.sample(mix=mix), rng())
        assert score.value is not None
        assert score.interval is not None
        assert score.interval[0] < score.value < score.interval[1]
        middle = sum(score.interval) / 2
        assert abs(middle - score.value) < 0.2 * (score.interval[1] - score.interval[0])


def test_terms_are_what_a_vectoriser_says() -> None:
    from sklearn.feature_extraction.text import HashingVectorizer

    from forensics.comparators.terms import TOKEN, counts, presence

    odd = ("", "one", "Straße İstanbul — don't, 3.14!", "東京 は\nbig", "the the the the")
    texts = (*odd, *(writers.answer("sam", k, words=400) for k in range(12)))
    for ngram in (1, 3):
        options = {"token_pattern": TOKEN, "ngram_range": (1, ngram), "alternate_sign": False, "norm": None}
        direct = HashingVectorizer(**options).transform(texts)
        found = counts(texts, ngram)
        assert found.shape == direct.shape
        assert (found != direct).nnz == 0
        folded = HashingVectorizer(**options, n_features=1 << 10, binary=True).transform(texts)
        assert (presence(texts, ngram, 1 << 10) != folded).nnz == 0
