from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerprints import paragraphs, sentences, tokens, words
from fingerprints.reading import Reading
from fingerprints.tokenise import clean, pairs, prose, split, word_spans


def marks(text: str) -> list[str]:
    return [mark for _, mark in pairs(clean(text)) if mark]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop the well-known dog’s bark.", ["Don't", "stop", "the", "well-known", "dog’s", "bark"]),
        ("'quoted' -dash- end-", ["quoted", "dash", "end"]),
        ("1,000.5 and 12:30, 1st GPT-4", ["1,000.5", "and", "12:30", "1st", "GPT-4"]),
        ("a--b", ["a", "b"]),
        ("東京は big", ["東", "京", "は", "big"]),
        ("naïve Ünï Привет, Καλημέρα 한국어", ["naïve", "Ünï", "Привет", "Καλημέρα", "한국어"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("wo\u200brd so\u00adft", ["word", "soft"]),
        ("\x1b[31mred\x1b[0m", ["red"]),
        ("a\x00b", ["a", "b"]),
        ("❤️ 🙂 … !", []),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(st.characters(max_codepoint=127)) | st.text("aB1.,:'-_ !\"\n", max_size=40))
def test_the_short_cuts_of_ascii_change_nothing(text: str) -> None:
    cleaned = clean(text)
    assert pairs(cleaned) == pairs(cleaned + " 東")[:-1]  # one Han character, and the Unicode pattern reads it all
    assert list(word_spans(cleaned)) == list(word_spans(cleaned + " 東"))[:-1]
    assert clean(text + "\u200b") == cleaned


def ends(chunk: str, following: str) -> bool:
    core = chunk.rstrip("\"'”’»)]*_")
    if not core or core[-1] not in ".!?…。！？":
        return False
    if core[-1] not in ".…":
        return True
    initial = len(core) == 2 and core[0].isupper() and core[0] != "I"
    return not (following[0].islower() or initial or core.lower().lstrip('("') in ("dr.", "e.g."))


CHUNKS = 'Dr. e.g. (e.g. A. I. etc.) go." No!? so... end…** 4. x 東京。 。」 ! ) .'


@given(st.lists(st.sampled_from(CHUNKS.split()), min_size=1))
def test_sentences_end_where_a_reading_word_by_word_says(chunks: list[str]) -> None:
    found = [""]
    for chunk, following in zip(chunks, [*chunks[1:], ""], strict=True):
        found[-1] += f" {chunk}" if found[-1] else chunk
        if following and ends(chunk, following):
            found.append("")
    assert list(split("  ".join(chunks))) == found


def test_tokens_keep_runs_of_dots_and_hyphens_together() -> None:
    assert tokens('Wait... "what" -- no!?') == ["Wait", "...", '"', "what", '"', "--", "no", "!", "?"]


def test_an_emoji_is_one_mark_and_a_joiner_is_none() -> None:
    assert marks("👍🏽 ok 🇩🇪") == ["👍🏽", "🇩🇪"]


@given(st.text())
def test_tokens_are_words_and_marks(text: str) -> None:
    assert Counter(tokens(text)) == Counter(words(text)) + Counter(marks(text))


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith met J. Doe, e.g. Here it ends.", ["Dr. Smith met J. Doe, e.g. Here it ends."]),
        ("It costs 3.14 dollars. yes, really", ["It costs 3.14 dollars. yes, really"]),
        ('He said "Go." Then left.', ['He said "Go."', "Then left."]),
        ("A hard\nwrap. Next", ["A hard wrap.", "Next"]),
        (
            "# Title\nBody here\n- item one\n  goes on\n- item two",
            ["Title", "Body here", "item one goes on", "item two"],
        ),
        ("你好。再见！", ["你好。", "再见！"]),
        ("| a | b |\n|---|---|\n| c | d |", ["a b", "c d"]),
        ("Look:\n```\ncode. More code.\n```\nDone.", ["Look:", "Done."]),
        (" \n ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_paragraphs_are_blocks_between_blank_lines_without_code_or_rules() -> None:
    text = "# Head\n\nFirst line\nstill first.\r\n\r\n- a\n- b\n\n---\n```py\nx = 1\n```\nLast."
    assert paragraphs(text) == ["Head", "First line still first.", "a\nb", "Last."]
    assert prose(text) == "Head\n\nFirst line still first.\n\na\nb\n\nLast."


def test_an_unclosed_fence_runs_to_the_end_and_a_longer_one_needs_its_like() -> None:
    assert paragraphs("Before\n```\ncode\n\nmore") == ["Before"]
    assert paragraphs("````\n```\nstill code\n````\nAfter") == ["After"]
    assert paragraphs("```\n```py\nstill code\n```\nAfter") == ["After"]
    assert paragraphs("```inline``` text") == ["```inline``` text"]


@given(st.text())
def test_sentences_and_paragraphs_hold_the_words_of_the_prose(text: str) -> None:
    expected = words(prose(text))
    assert [word for sentence in sentences(text) for word in words(sentence)] == expected
    assert [word for paragraph in paragraphs(text) for word in words(paragraph)] == expected
    assert Reading(text).words == expected
    assert Reading(text).marks == marks(prose(text))


def test_a_reading_nests_tokens_in_sentences_in_paragraphs() -> None:
    found = Reading("# Head\n\nOne two. Three!\n- item").paragraphs
    flat = [[" ".join(word or mark for word, mark in sentence) for sentence in part] for part in found]
    assert flat == [["Head"], ["One two .", "Three !", "item"]]
