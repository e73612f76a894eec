import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerprints import first_words, strip_markdown, strip_preamble, visible


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Title\n\n- **a** *b* `c`\n1. ~~d~~ __e__ _f_", "Title\n\na b c\nd e f"),
        ("**a *b* c** ***d***", "a b c d"),
        ("2*3*4 is snake_case_name and 5 * 6 * 7", "2*3*4 is snake_case_name and 5 * 6 * 7"),
        ("[text](http://x.y) ![alt](i.png) [1]", "text alt [1]"),
        ("> - quoted item", "quoted item"),
        ("| a | b |\n|:--|---|\n| c | d |", "a b\nc d"),
        ("x\n\n---\n\ny", "x\n\n\ny"),
        ("```py\n# kept **as it is**\n```\n`a*b*c`", "# kept **as it is**\na*b*c"),
        ("", ""),
    ],
)
def test_strip_markdown(text: str, expected: str) -> None:
    assert strip_markdown(text) == expected


def test_first_words() -> None:
    assert first_words("- One, two; three.", 2) == "- One, two"
    assert first_words("One two.", 2) == "One two"
    assert first_words("One two.", 3) == "One two."
    assert len(first_words("word " * 100).split()) == 40
    with pytest.raises(ValueError, match="at least 1"):
        first_words("x", 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sure! Here is a list of fruit:\n\n- apple", "- apple"),
        ("**Certainly!** Great question! I'd be happy to help. Here’s one:\n\nA", "A"),
        ("Here is a haiku about rain.\n\nDrops", "Drops"),
        ("Here's the mail:\n\n---\n\nDear all", "Dear all"),
        ("Of course — the sky is blue.", "the sky is blue."),
        ("Paris.\n\nI hope this helps! Let me know if you have any questions.", "Paris."),
        ("Paris. Let me know if it helps!", "Paris."),
        ("Paris.\n\n---\n\nWould you like more?", "Paris."),
        ("Paris.\n\nHappy travelling!\nEnjoy!", "Paris."),
        ("Sure!", ""),
    ],
)
def test_strip_preamble_takes_courtesy(text: str, expected: str) -> None:
    assert strip_preamble(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Sure-fire ways to win",
        "OK.txt is a file",
        "Surely not.",
        "Here is where we met.",
        "Here is where we met.\nIt rained.",
        "I'm sorry, but I can't help with that.",
        "Facts.\n\nIn conclusion, it works.",
        "If you have leftovers, freeze them.",
        "  Plain text.  \n",
        "",
    ],
)
def test_strip_preamble_leaves_content(text: str) -> None:
    assert strip_preamble(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\u200bb", "a⟦U+200B⟧b"),
        ("\x1b[31mred\x9b0m", "⟦U+001B⟧[31mred⟦U+009B⟧0m"),
        ("\u202eevil\u2066\u00ad\ufeff", "⟦U+202E⟧evil⟦U+2066⟧⟦U+00AD⟧⟦U+FEFF⟧"),
        ("a\r\n\tb\x00\x08", "a⟦U+000D⟧\n\tb⟦U+0000⟧⟦U+0008⟧"),
        ("\ud800 \ue000 \U0010ffff", "⟦U+D800⟧ ⟦U+E000⟧ ⟦U+10FFFF⟧"),
        ("\U000e0041\U000e0100\u3164\u2800\u2028", "⟦U+E0041⟧⟦U+E0100⟧⟦U+3164⟧⟦U+2800⟧⟦U+2028⟧"),
        ("fake ⟦U+200B⟧", "fake ⟦U+27E6⟧U+200B⟦U+27E7⟧"),
        ("❤️ 👩‍💻 naïve 漢字 “quoted” —", "❤️ 👩‍💻 naïve 漢字 “quoted” —"),
        ("a\u200db x\ufe0f", "a⟦U+200D⟧b x⟦U+FE0F⟧"),
    ],
)
def test_visible(text: str, expected: str) -> None:
    assert visible(text) == expected


@given(st.text() | st.text(st.sampled_from("⟦⟧U+200B\u200b\u202e\x1b")))
def test_visible_can_be_undone(text: str) -> None:
    assert re.sub("⟦U\\+([0-9A-F]+)⟧", lambda found: chr(int(found[1], 16)), visible(text)) == text
