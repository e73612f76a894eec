"""Bad input of every comparator that reads whole answers: a status with a reason or a finite number, never a crash."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from text_samples import text_sample

from forensics import assemble
from forensics.comparators import COMPARATORS, answer_overlap, base, texts
from forensics.types import Completion, Lazy, Message, Sample, Score

TEXT = ("answer-overlap", "over-represented", "attribution", "style-delta", "relative-mmd")
PARTIES = ("suspect", "reference", "ann", "bob", "cid")
WHOLE = (*TEXT, "opening-style", "choice-panel")
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


def chosen() -> dict[str, list[list[str]]]:
    """One-word answers of every party, six draws an item."""
    rng = np.random.default_rng(0)
    return {p: [[str(rng.choice(["red", "blue", "green"])) for _ in range(6)] for _ in range(36)] for p in PARTIES}


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


@pytest.mark.parametrize("name", ["answer-overlap", "over-represented", "attribution"])
def test_a_script_without_spaces_is_read_by_characters(name: str) -> None:
    parties = {p: [[t.replace(" ", "")] for (t,) in column] for p, column in made(letters("han")).items()}
    found = score(name, text_sample(parties))
    assert found.status == "ok"
    if name == "answer-overlap":
        assert (found.value or 0.0) > max(found.null)


def test_rounding_is_neither_above_nor_below() -> None:
    found = base.relative(
        "x", np.full((40, 4), 0.1) + np.linspace(0, 1e-16, 4), ["r", "a", "b", "c"], np.random.default_rng(0)
    )
    assert (found.value, set(found.null)) == (0.0, {0.0})


@pytest.mark.parametrize("name", TEXT)
def test_one_word_answers(name: str) -> None:
    found = score(name, text_sample(made(letters("latin"), words=1)))
    if name == "style-delta":
        assert (found.status, "of 8 words or more" in (found.reason or "")) == ("insufficient", True)
    elif name == "answer-overlap":
        assert (found.status, "in common" in (found.reason or "")) == ("insufficient", True)
    else:
        assert found.status == "ok"
        assert np.isfinite(found.null).all()


@pytest.mark.parametrize("name", [*TEXT, "choice-panel"])
def test_a_control_that_says_nothing(name: str) -> None:
    parties: dict[str, list[list[str | None]]] = {**made(letters("latin")), "bob": [[None]] * 36}  # type: ignore[dict-item]
    found = score(name, text_sample(parties))
    assert found.status == "insufficient"
    assert "every party" in (found.reason or "")
    assert "bob has 0" in (found.reason or "")


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


@pytest.mark.parametrize("name", TEXT)
def test_nothing_is_read_beyond_the_first_characters(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parties = made(letters("latin"))
    beginning = {party: [[t[:150] for t in draws] for draws in column] for party, column in parties.items()}
    assert score(name, text_sample(parties)) != score(name, text_sample(beginning))
    monkeypatch.setattr(texts, "READ", 150)
    assert score(name, text_sample(parties)) == score(name, text_sample(beginning))


def test_the_report_says_whose_answers_were_not_read_to_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    parties = {p: [["short"]] * 3 for p in PARTIES} | {"suspect": [["x" * 151], ["x" * 150], ["x" * 900]]}
    assert assemble._cut(text_sample(parties)) == []
    monkeypatch.setattr(assemble, "READ", 150)
    (told,) = assemble._cut(text_sample(parties))
    assert told == "Answers were compared to their first 150 characters; longer ones: suspect 2."


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


def lazily(sample: Sample, text: Callable[[str], str] = str) -> Sample:
    """The same sample with answers that are made each time that one is asked for."""

    def column(held: Sequence[Completion | None]) -> Lazy:
        return Lazy(lambda row: Completion("d", text(held[row].text), "stop"), range(len(held)))  # type: ignore[union-attr, arg-type]

    columns = {name: column(held) for name, held in sample.controls.items()}
    return Sample(sample.units, column(sample.suspect), column(sample.reference), columns)


@pytest.mark.parametrize("name", WHOLE)
def test_no_more_answers_than_a_block_are_ever_held(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = [0, 0]

    class Counted(str):
        __slots__ = ()

        def __new__(cls, text: str) -> Counted:
            alive[0] += 1
            alive[1] = max(alive)
            return super().__new__(cls, text)

        def __del__(self) -> None:
            alive[0] -= 1

    monkeypatch.setattr(texts, "ITEMS", 5)
    monkeypatch.setattr(answer_overlap, "UNITS", 5)
    monkeypatch.setattr(texts, "LONGEST", 0)
    parties = made(letters("latin")) if name != "choice-panel" else chosen()
    sample = text_sample(parties)
    assert score(name, lazily(sample, Counted)) == score(name, sample)
    assert alive[0] == 0
    assert alive[1] <= 2 * 5


@pytest.mark.parametrize("name", ["over-represented", "style-delta"])
def test_the_spread_of_some_items_is_that_of_all(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parties = made(letters("latin"), items=400, words=12)
    rng = np.random.default_rng(1)
    for k, column in enumerate(parties.values()):  # each with a habit of its own
        column[:] = [[re.sub(" ", lambda _, k=k: ", " if rng.random() < 0.1 * k else " ", t)] for (t,) in column]  # type: ignore[misc]
    sample = text_sample(parties)
    whole = score(name, sample)
    monkeypatch.setattr(base, "RESAMPLED", 100)
    some = score(name, sample)
    assert some.value == whole.value
    assert np.std(some.replicates) == pytest.approx(np.std(whole.replicates), rel=0.25)
    assert np.mean(some.replicates) == pytest.approx(np.mean(whole.replicates), abs=np.std(whole.replicates))
