import math
import time
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

import fingerprints
from fingerprints import (
    DEFAULT,
    FAMILIES,
    PLAIN,
    Fingerprint,
    char_ngrams,
    feature_names,
    load_family,
    matrix,
    vector,
    word_ngrams,
)

ALL = tuple(FAMILIES)
TEXTS = ["The cat sat. It purred!", "", "# Head\n\n- A dog\n- A bone, too", "I hope so?"]


def test_exported_names_exist_and_are_sorted() -> None:
    assert fingerprints.__all__ == sorted(
        fingerprints.__all__, key=lambda name: (name.islower(), not name.isupper(), name)
    )
    assert all(hasattr(fingerprints, name) for name in fingerprints.__all__)


def test_names_follow_the_families_asked_for() -> None:
    assert feature_names(["layout", "openers"])[0] == "layout:heading_lines"
    assert len(feature_names(ALL)) == sum(len(load_family(name).names) for name in FAMILIES)
    assert len(set(feature_names(ALL))) == len(feature_names(ALL))
    assert feature_names() == feature_names(DEFAULT)


def test_vector_joins_the_families_in_the_order_asked_for() -> None:
    both = vector(TEXTS[0], ["structure", "punctuation"])
    np.testing.assert_array_equal(both, np.concatenate([vector(TEXTS[0], [f]) for f in ("structure", "punctuation")]))
    assert both.dtype == np.float64


def test_matrix_stacks_vectors_of_any_iterable() -> None:
    rows = matrix(text for text in TEXTS)
    assert rows.shape == (4, len(feature_names()))
    np.testing.assert_array_equal(rows, [vector(text) for text in TEXTS])
    assert matrix([]).shape == (0, len(feature_names()))


def test_mistakes_are_refused() -> None:
    with pytest.raises(TypeError, match="not one text"):
        matrix("one text")
    with pytest.raises(TypeError, match="not one text"):
        Fingerprint.from_texts("one text")
    with pytest.raises(TypeError, match="not one name"):
        vector("text", "layout")
    with pytest.raises(ValueError, match="at least one"):
        vector("text", [])
    with pytest.raises(ValueError, match="distinct"):
        vector("text", ["layout", "layout"])
    with pytest.raises(TypeError):
        vector(None)  # type: ignore[arg-type]  # a missing answer must not pass as an empty one


def test_fingerprint_by_hand() -> None:
    values = np.array([[1.0, 5.0, np.nan], [3.0, np.nan, np.nan], [8.0, np.nan, np.nan]])
    found = Fingerprint.from_matrix(values, ["a:x", "a:y", "b:z"])
    # Column x: mean 4, squared deviations 9 + 1 + 16 = 26, sd sqrt(26 / 2).
    np.testing.assert_allclose(found.mean, [4.0, 5.0, np.nan])
    np.testing.assert_allclose(found.spread, [math.sqrt(13), np.nan, np.nan])
    assert found.n.tolist() == [3, 1, 0]


def test_fingerprint_agrees_with_two_passes_and_streams() -> None:
    def stream() -> Iterator[str]:
        yield from TEXTS

    rows = matrix(TEXTS)
    found = Fingerprint.from_texts(stream())
    known = (~np.isnan(rows)).sum(axis=0)
    np.testing.assert_array_equal(found.n, known)
    many = known > 1
    np.testing.assert_allclose(found.mean[many], np.nanmean(rows[:, many], axis=0))
    np.testing.assert_allclose(found.spread[many], np.nanstd(rows[:, many], axis=0, ddof=1), atol=1e-15)
    assert found == Fingerprint.from_matrix(rows)
    assert found != Fingerprint.from_matrix(rows[:1])


def test_welford_keeps_digits_that_sums_of_squares_lose() -> None:
    values = np.array([[1e9 + 1], [1e9 + 2], [1e9 + 3]])
    assert Fingerprint.from_matrix(values, ["a:x"]).spread[0] == pytest.approx(1.0)


def test_fingerprint_of_nothing() -> None:
    found = Fingerprint.from_texts([], ["layout"])
    assert np.isnan(found.mean).all()
    assert found.n.sum() == 0


def test_fingerprint_is_read_only_and_checked() -> None:
    found = Fingerprint.from_matrix(np.ones((2, 1)), ["a:x"])
    with pytest.raises(ValueError, match="read-only"):
        found.mean[0] = 2.0
    with pytest.raises(ValueError, match="1 names"):
        Fingerprint.from_matrix(np.ones((2, 2)), ["a:x"])
    with pytest.raises(ValueError, match="2 names"):
        Fingerprint(("a", "b"), np.ones(2), np.ones(1), np.ones(2, dtype=np.int64))
    with pytest.raises(TypeError):
        hash(found)


def test_fingerprint_shows_itself() -> None:
    found = Fingerprint.from_texts(TEXTS, ["layout", "openers"])
    count = len(feature_names(["layout", "openers"]))
    assert repr(found) == f"<Fingerprint of 3 texts: {count} features (layout, openers)>"
    hostile = Fingerprint.from_matrix(np.ones((2, 1)), ["<script>:x&y"])
    page = hostile._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;:x&amp;y" in page


def test_251_answers_take_little_time() -> None:
    answer = "Sure! Here is **one** answer — it's well-known, isn't it? It goes on:\n\n- first item\n- second\n\n"
    answers = [(answer * 20)[:1500]] * 251
    start = time.process_time()
    matrix(answers, PLAIN)
    # Measured 0.3 s; processor time, because test machines are busy.
    assert time.process_time() - start < 2


def test_a_stream_of_answers_takes_no_more_memory_when_it_is_longer() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        Fingerprint.from_texts((f"Answer {i}: " + "some words, and more of them. " * 20 for i in range(count)), PLAIN)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(5)
    # Ten times the answers; rows that were kept would add 400 * 412 * 8 bytes, more than the whole of it.
    assert peak(400) < 1.2 * peak(40)


def test_ngrams() -> None:
    assert list(char_ngrams("abcd", 3)) == ["abc", "bcd"]
    assert list(char_ngrams("ab", 3)) == []
    assert list(word_ngrams("To be, or not", 2)) == [("To", "be"), ("be", "or"), ("or", "not")]
    assert list(word_ngrams("To be", 3)) == []
    for ngrams in (char_ngrams, word_ngrams):
        with pytest.raises(ValueError, match="at least 1"):
            ngrams("abc", 0)
