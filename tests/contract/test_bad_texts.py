"""Bad input of every comparator that reads whole answers: a status with a reason or a finite number, never a crash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from text_samples import text_sample

from forensics.comparators import COMPARATORS, answer_overlap, texts
from forensics.types import Message, Sample, Score

TEXT = ("answer-overlap", "over-represented", "attribution", "style-delta", "relative-mmd")
PARTIES = ("suspect", "reference", "ann", "bob", "cid")
SCRIPTS = {
    "han": "的一是不了人我在有他这中大来上国",
    "arabic": "ابتثجحخدذرزسشصضطظعغ",
    "thai": "กขคงจชซดตถทนบปผพฟ",
    "emoji": "😀😁🎲🎯🚗🌊🔥🌲🐟🍞",
    "latin": "abcdefghijklmnop",
}


def score(name: str, sample: Sample) -> Score:
    return COMPARATORS.load(name)().compare(sample, np.random.default_rng(0))


def made(word: Callable[[np.random.Generator], str], words: int = 40, items: int = 36) -> dict[str, list[list[str]]]:
    """Answers of every party; the suspect has half of each of the reference's."""
    rng = np.random.default_rng(0)
    out = {p: [[" ".join(word(rng) for _ in range(words))] for _ in range(items)] for p in PARTIES}
    for mine, theirs in zip(out["suspect"], out["reference"], strict=True):
        mine[0] = theirs[0][: len(theirs[0]) // 2] + mine[0][len(mine[0]) // 2 :]
    return out


def letters(script: str) -> Callable[[np.random.Generator], str]:
    return lambda rng: "".join(rng.choice(list(SCRIPTS[script]), rng.integers(1, 6)))


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize("script", SCRIPTS)
def test_any_script(name: str, script: str) -> None:
    found = score(name, text_sample(made(letters(script))))
    if name == "style-delta" and script in ("emoji", "thai"):
        assert found.status in ("ok", "insufficient")
        return
    assert found.status == "ok"
    assert found.value is not None
    assert np.isfinite([found.value, *found.null]).all()
    if name in ("answer-overlap", "relative-mmd"):
        assert found.value > 0


@pytest.mark.parametrize("name", TEXT)
def test_one_word_answers(name: str) -> None:
    found = score(name, text_sample(made(letters("latin"), words=1)))
    if name == "style-delta":
        assert (found.status, "30" in (found.reason or "")) == ("insufficient", True)
    else:
        assert found.status == "ok"
        assert np.isfinite(found.null).all()


@pytest.mark.parametrize("name", [*TEXT, "choice-panel"])
def test_a_control_that_says_nothing(name: str) -> None:
    parties: dict[str, list[list[str | None]]] = {**made(letters("latin")), "bob": [[None]] * 36}  # type: ignore[dict-item]
    found = score(name, text_sample(parties))
    assert found.status == "insufficient"
    assert "every party" in (found.reason or "")


@pytest.mark.parametrize("name", TEXT)
def test_the_same_prompt_under_many_ids_is_one_observation(name: str) -> None:
    sample = text_sample(made(letters("latin"), items=40))
    asked = (Message("user", "The same question?"),)
    units = tuple(replace(u, request=replace(u.request, messages=asked)) for u in sample.units)
    found = score(name, replace(sample, units=units))
    assert (found.status, found.n) == ("insufficient", 1)
    assert score(name, sample).n == 40


@pytest.mark.parametrize("name", TEXT)
def test_an_answer_of_a_megabyte(name: str) -> None:
    parties = made(letters("latin"))
    parties["suspect"][3][0] = "lorem ipsum dolor " * 60_000
    parties["ann"][4][0] = "x" * 1_000_000
    found = score(name, text_sample(parties))
    assert found.status == "ok"
    assert np.isfinite(found.value or 0.0)


@pytest.mark.parametrize("name", ["over-represented", "attribution", "relative-mmd", "style-delta"])
def test_blocks_of_items_give_the_same_score(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parties = made(letters("latin"))
    whole = score(name, text_sample(parties))
    monkeypatch.setattr(texts, "ITEMS", 7)
    assert len(list(texts.item_blocks(text_sample(parties).units))) == 6
    parts = score(name, text_sample(parties))
    assert parts.value == pytest.approx(whole.value, abs=1e-6)
    assert parts.interval == pytest.approx(whole.interval, abs=1e-6)
    assert dict(parts.ablations) == pytest.approx(dict(whole.ablations), abs=1e-6)


def test_blocks_of_units_give_the_same_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [[t for (t,) in column] for column in made(letters("latin")).values()]
    whole = answer_overlap.AnswerOverlap().cosines(columns)
    monkeypatch.setattr(answer_overlap, "UNITS", 10)
    assert answer_overlap.AnswerOverlap().cosines(columns) == pytest.approx(whole, abs=1e-7)
    assert whole[:, 0].mean() > 2 * whole[:, 1:].mean()
