"""What holds of every text: bounds, NaN instead of nothing, independence of length, and time linear in it."""

import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fingerprints import (
    FAMILIES,
    feature_names,
    first_words,
    load_family,
    matrix,
    strip_markdown,
    strip_preamble,
    vector,
    visible,
)
from fingerprints.features.base import Vector
from fingerprints.features.structure import WINDOW
from fingerprints.tokenise import prose, words

ALL = tuple(FAMILIES)
NAMES = feature_names(ALL)
UPPER = np.array([top for name in FAMILIES for top in load_family(name).upper])

PIECES = ["the", "Sure!", "I hope", "don’t", "3.14", "漢字。", "\n", "\n\n", " ", "- ", "1. ", "# ", "> ", "|", "---"]
PIECES += ["**", "*", "`", "_", "—", "...", "?", '"', "🙂", "\u200b", "\u202e", "\x1b[31m", "\x00", "\ud800", "\u0301"]
texts = st.text() | st.lists(st.sampled_from([*PIECES, "```\n", "Here is"])).map("".join)
unfenced = st.text(st.characters(exclude_characters="`~")) | st.lists(
    st.sampled_from([piece for piece in PIECES if piece != "`"])
).map("".join)


@settings(deadline=None)  # the first one loads the tagger
@given(texts)
@example("a" + "!" * 500)
@example("a\n" * 100)
def test_features_are_nan_or_within_their_bounds(text: str) -> None:
    values = vector(text, ALL)
    known = ~np.isnan(values)
    assert values.shape == UPPER.shape
    assert (values[known] >= 0).all()
    assert (values[known] <= UPPER[known]).all()


@settings(deadline=None)
@given(unfenced)
@example("One two. Three four five.\n\nSix!")
@example("word " * 60 + "and other things " * 20)
def test_doubling_a_text_changes_no_rate(text: str) -> None:
    # Fences are left out because an unclosed one rightly swallows what follows.
    once, twice = vector(text, ALL), vector(text + "\n\n" + text, ALL)
    known = ~(np.isnan(once) | np.isnan(twice))
    sd = np.array([name.endswith("_sd") for name in NAMES])
    ratio = np.array([name.endswith("type_token_ratio") for name in NAMES])
    plain = known & ~sd & ~ratio
    np.testing.assert_allclose(twice[plain], once[plain], rtol=1e-12, atol=1e-12)
    # Dividing by n - 1 makes a repeated sample look a little narrower: sqrt((n - 1) / (n - 1/2)), at n = 2 sqrt(2/3).
    assert (twice[known & sd] <= once[known & sd] * (1 + 1e-12)).all()
    assert (twice[known & sd] >= once[known & sd] * np.sqrt(2 / 3) * (1 - 1e-12)).all()
    # Only windows across the seam are new.
    n_words = len(words(prose(text)))
    if n_words >= WINDOW:
        seam = (WINDOW - 1) / (2 * n_words - WINDOW + 1)
        assert abs(twice[ratio] - once[ratio]).max() <= seam + 1e-12


def test_short_and_long_texts_of_one_source_agree() -> None:
    # Length is the first confounder of every style statistic. 12 against 96 sentences drawn from the same source:
    # means over many texts must not drift with it.
    rng = np.random.default_rng(7)
    vocabulary = np.array([f"w{i}" for i in range(200)] + ["the", "of", "and", "it"] * 20)

    def sentence() -> str:
        return " ".join(rng.choice(vocabulary, rng.integers(4, 20))) + "."

    def mean(n_sentences: int, n_texts: int) -> Vector:
        made = ["\n\n".join(sentence().capitalize() for _ in range(n_sentences)) for _ in range(n_texts)]
        rows: Vector = matrix(made, ["structure"]).mean(axis=0)
        return rows

    np.testing.assert_allclose(mean(12, 320), mean(96, 40), rtol=0.02)


@given(texts)
def test_views_take_any_text(text: str) -> None:
    assert len(strip_markdown(text)) <= len(text)
    assert len(strip_preamble(text)) <= len(text)
    assert len(words(first_words(text, 3))) <= 3
    visible(text).encode("utf-8")


@given(st.text())
def test_an_interjection_before_any_text_is_stripped(text: str) -> None:
    assert strip_preamble("Sure! X" + text).startswith("X")


HOSTILE = [
    "a", "word ", "1,", "a-", "-", ". ", "*", "**a", "`a\n", "[", "[a](", "__a ", " ", "\n", "\n ", "> ", "- ", "1. ",
    "\x1b[", "\u200b", "\u202e", "🙂\u200d", "a\u0301\u0323", "\ud800", "漢。", "\"'", "I hope. ", "Sure! ", "Here is ",
    "| a ", "---\n", "\r", "\0", "```\n", "if you have ", "🇩", "\U000e0041", "~~a",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE, ids=repr)
def test_time_is_linear_on_hostile_text(unit: str) -> None:
    # A pattern that back-tracks takes minutes to years on these, a linear one some tenths of a second (processor time).
    text = "a" + unit * (100_000 // len(unit)) + "!"
    start = time.process_time()
    vector(text, ALL)
    for view in (strip_markdown, strip_preamble, first_words, visible):
        view(text)
    assert time.process_time() - start < 8


def test_one_megabyte_on_one_line() -> None:
    start = time.process_time()
    values = dict(zip(NAMES, vector("word " * 200_000, ALL), strict=True))
    assert time.process_time() - start < 20
    assert values["structure:sentence_length_mean"] == 100
