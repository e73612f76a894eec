"""Each family on a text whose values can be checked by hand."""

import math
import sys
import time

import pytest

from fingerprints import FAMILIES, PLAIN, feature_names, load_family, vector, words
from fingerprints.features.function_words import NAMES as FUNCTION_WORDS
from fingerprints.features.structure import moving_type_token_ratio

NAN = pytest.approx(math.nan, nan_ok=True)


def measure(family: str, text: str) -> dict[str, float]:
    return dict(zip(load_family(family).names, vector(text, [family]).tolist(), strict=True))


def assert_values(family: str, text: str, **expected: float) -> None:
    """The named features have these values, and every other one of the family is 0."""
    values = measure(family, text)
    wrong = {
        name: value for name, value in values.items() if value != pytest.approx(expected.get(name, 0.0), abs=1e-12)
    }
    assert not wrong
    assert expected.keys() <= values.keys()


def test_function_words() -> None:
    # Eight words; "Don't" is a word but no function word, code is not read.
    text = "The cat and the dog. I don't. THE\n```\nthe the\n```"
    assert_values("function-words", text, the=3 / 8, i=1 / 8, **{"and": 1 / 8})


def test_function_word_list() -> None:
    assert 110 <= len(FUNCTION_WORDS) <= 150
    assert all(word == word.lower() and word.isalpha() for word in FUNCTION_WORDS)


def test_punctuation() -> None:
    # Ten words: Well he said don't it’s well-known a new-ish day OK. The list dash and the code are layout.
    text = "- Well, he said: “don't” — it’s well-known; a (new-ish) day... OK!\n```\n;;;;\n```"
    assert_values(
        "punctuation",
        text,
        comma=0.1,
        colon=0.1,
        curly_double_quote=0.2,
        straight_apostrophe=0.1,
        curly_apostrophe=0.1,
        em_dash=0.1,
        semicolon=0.1,
        hyphenated=0.2,
        parenthesis=0.1,
        ellipsis=0.1,
        exclamation=0.1,
    )


def test_punctuation_rest() -> None:
    # Thirteen words: Is it See a b c d e f 1 2 g h.
    text = "Is it? See \"a\" [b] c/d e & f 1–2 - 'g' -- h."
    assert_values(
        "punctuation",
        text,
        question=1 / 13,
        straight_double_quote=2 / 13,
        bracket=1 / 13,
        slash=1 / 13,
        ampersand=1 / 13,
        en_dash=1 / 13,
        spaced_hyphen=1 / 13,
        straight_apostrophe=2 / 13,
        double_hyphen=1 / 13,
        period=1 / 13,
    )


def test_punctuation_is_cut_at_one_mark_a_word() -> None:
    assert_values("punctuation", "Wow!!!!!", exclamation=1.0)


def test_structure() -> None:
    # Sentences of 2, 4 and 3 words: mean 3, sd 1. Paragraphs of 6 and 3: mean 4.5, sd sqrt(4.5).
    # Letters: 2 2 | 1 1 1 1 | 4 4 2: mean 2, squared deviations 0 0 1 1 1 1 4 4 0 = 12, sd sqrt(12 / 8).
    values = measure("structure", "Go on. A b c d.\n\nThis well do")
    assert values == {
        "sentence_length_mean": pytest.approx(3.0),
        "sentence_length_sd": pytest.approx(1.0),
        "paragraph_length_mean": pytest.approx(4.5),
        "paragraph_length_sd": pytest.approx(math.sqrt(4.5)),
        "word_length_mean": pytest.approx(2.0),
        "word_length_sd": pytest.approx(math.sqrt(1.5)),
        "type_token_ratio": NAN,
    }


def test_structure_cuts_single_lengths() -> None:
    values = measure("structure", "x" * 1000 + " y" * 1000)
    assert values["sentence_length_mean"] == 100
    assert values["paragraph_length_mean"] == 300
    assert values["word_length_mean"] == pytest.approx((30 + 1000) / 1001)


def test_structure_skips_sentences_without_words() -> None:
    values = measure("structure", "One two. !!! Three four five six.\n\n...")
    assert (values["sentence_length_mean"], values["paragraph_length_mean"]) == (3.0, 6.0)
    assert values["paragraph_length_sd"] == NAN


def test_type_token_ratio() -> None:
    # Windows of 3 over a b a a c: {a b} {a b} {a c} -> (2 + 2 + 2) / 9.
    assert moving_type_token_ratio(["a", "b", "a", "a", "c"], 3) == pytest.approx(6 / 9)
    assert moving_type_token_ratio(["a", "b"], 3) == NAN
    assert measure("structure", "same Same " * 25)["type_token_ratio"] == pytest.approx(1 / 50)
    distinct = " ".join(f"w{i}" for i in range(60))
    assert measure("structure", distinct)["type_token_ratio"] == pytest.approx(1.0)


def test_type_token_ratio_agrees_with_counting_every_window() -> None:
    found = [str(i * i % 17) for i in range(120)]
    windows = [found[i : i + 50] for i in range(len(found) - 49)]
    expected = sum(len(set(window)) / 50 for window in windows) / len(windows)
    assert moving_type_token_ratio(found, 50) == pytest.approx(expected)


LAYOUT = """# Head

**Bold** start `x` and **more** 🙂👩‍💻
- one
  - **two**
1. three
> four

| a | b |
|---|---|
---
```py
# not a heading
```"""


def test_layout() -> None:
    # 12 filled lines in 3 blocks, 3 of them code; words: Head Bold start x and more one two three four a b = 12.
    assert_values(
        "layout",
        LAYOUT,
        heading_lines=1 / 12,
        bullet_lines=2 / 12,
        numbered_lines=1 / 12,
        quote_lines=1 / 12,
        table_lines=2 / 12,
        rule_lines=1 / 12,
        code_lines=3 / 12,
        nested_lines=1 / 12,
        bold_lead_lines=2 / 12,
        blocks_per_line=3 / 12,
        lines_per_word=9 / 12,
        bold_per_100_words=100 * 3 / 12,
        inline_code_per_100_words=100 / 12,
        emoji_per_word=2 / 12,
    )


def test_layout_bold_lead_is_bold_at_the_start() -> None:
    assert measure("layout", "a **b** c")["bold_lead_lines"] == 0.0
    assert measure("layout", "- **b** c\n- d")["bold_lead_lines"] == 0.5


def test_layout_of_lines_without_words() -> None:
    values = measure("layout", "---\n\n***")
    assert values["rule_lines"] == 1.0
    assert values["lines_per_word"] == NAN
    assert values["bold_per_100_words"] == NAN


def test_layout_rates_are_cut() -> None:
    values = measure("layout", "a\n\n" + "🙂 **-** `-`\n" * 5)
    assert (values["emoji_per_word"], values["lines_per_word"]) == (1.0, 1.0)
    assert (values["bold_per_100_words"], values["inline_code_per_100_words"]) == (100.0, 100.0)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("Sure! Here's a list:", {"opens_agreement", "opens_announcement", "opens_colon"}),
        ("**Certainly!** The end.", {"opens_agreement", "opens_bold", "closes_period"}),
        ("What a great question", {"opens_praise", "opens_question_word"}),
        ("I’d be happy to help!", {"opens_willingness", "opens_i", "closes_exclamation"}),
        ("I'm sorry, but no.", {"opens_apology", "opens_i", "closes_period"}),
        ("As an AI, no", {"opens_as_ai", "opens_preposition"}),
        ("Yes", {"opens_yes_no"}),
        ("The cat", {"opens_article"}),
        ("This is it", {"opens_pointer"}),
        ("# Surely", {"opens_heading"}),
        ("- x", {"opens_bullet"}),
        ("1) x", {"opens_numbered"}),
        ("```\nx\n```", {"opens_fence"}),
        ("x\n\nLet me know if it works!", {"closes_let_me_know", "closes_exclamation"}),
        ("x\n\nI hope this helps. Would you like more?", {"closes_hope", "closes_offer", "closes_question"}),
        ("x\nEnjoy “it.”", {"closes_wish", "closes_period"}),
        ("x\n\n**In conclusion**, x", {"closes_conclusion"}),
        ("Surely heretic", set()),
    ],
)
def test_openers(text: str, flags: set[str]) -> None:
    assert_values("openers", text, **dict.fromkeys(flags, 1.0))


def test_phrases() -> None:
    # Fifteen words. "in addition to" holds "in addition", and no phrase runs across the end of a sentence (Such as).
    text = "However, it’s such as in addition to that. The most of all. Such\n\nas this"
    expected = ["it's", "such as", "in addition", "in addition to", "the most"]
    assert_values("phrases", text, **dict.fromkeys(expected, 1 / 15))


def test_phrases_count_every_occurrence_outside_code() -> None:
    assert_values("phrases", "For example: for example.\n```\nfor example\n```", **{"for example": 2 / 4})


def test_phrase_list() -> None:
    names = load_family("phrases").names
    assert all(name == name.lower() == " ".join(words(name)) for name in names)
    assert not {name for name in names if " " not in name} & set(FUNCTION_WORDS)


def test_pos_templates() -> None:
    # Tagged as pronoun past adverb, ing noun | pronoun modal verb determiner noun preposition determiner noun.
    text = "She went home, making coffee. “I can see the end of the day.”"
    counts = {"noun": 3, "adverb": 1, "verb": 1, "past_form": 1, "ing_form": 1, "modal": 1, "determiner": 2}
    counts |= {"pronoun": 2, "preposition": 1, "noun_of_noun": 1, "modal_verb": 1, "trailing_ing": 1, "object": 1}
    counts |= {"subject_verb": 1, "subject_modal": 1}
    assert_values("pos-templates", text, starts_pronoun=1.0, **{name: n / 13 for name, n in counts.items()})


def test_pos_templates_split_contractions_and_know_lists() -> None:
    # pronoun auxiliary adverb | adverb, pronoun modal verb adjective, adjective, conjunction adjective noun
    values = measure("pos-templates", "It isn't. However, he will read red, green, and blue books.")
    assert values["auxiliary"] == values["modal"] == pytest.approx(1 / 12)  # It is n't However he will read red ...
    assert values["starts_adverb_comma"] == 0.5
    assert values["listed_adjectives"] == values["subject_modal"] == pytest.approx(1 / 12)


@pytest.mark.parametrize("text", ["Привет мир, это текст", "漢字漢字", "zxqv wvut qqqp", "🙂 … !"])
def test_pos_templates_abstain_where_the_text_is_not_english(text: str) -> None:
    assert list(vector(text, ["pos-templates"])) == [NAN] * len(feature_names(["pos-templates"]))


def test_pos_templates_look_at_the_first_5000_tokens() -> None:
    values = measure("pos-templates", "The dog ran. " * 1250 + "Cats sleep and cats eat. " * 2000)
    assert values["starts_determiner"] == 1.0
    start = time.process_time()
    hostile = "the " * 3000 + " ".join(f"qzx{i}vwk{i}jjqzxvwkjjqzxvwk" for i in range(30_000))
    measure("pos-templates", hostile)
    # Measured 2 s: at most 5,000 invented words of 20 characters are looked at. Without the limits it takes a minute.
    assert time.process_time() - start < 15


def test_a_family_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "HanTa", None)  # what an import finds where it is not installed
    assert "pip install 'distillation-forensics[pos]'" in load_family("pos-templates").missing()
    with pytest.raises(ModuleNotFoundError, match="HanTa"):
        vector("text", ["pos-templates"])
    assert not any(load_family(name).missing() for name in PLAIN)
    assert len(vector("text")) == len(feature_names())  # the others do not miss it


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", ["", " \n\t\n", "\u200b\u202e"])
def test_nothing_to_measure_is_nan(family: str, text: str) -> None:
    assert list(vector(text, [family])) == [NAN] * len(feature_names([family]))


def test_families_are_described_fully() -> None:
    for name in FAMILIES:
        family = load_family(name)
        assert len(set(family.names)) == len(family.names) == len(family.upper)
        assert "Reference:" in (family.measure.__doc__ or "")


def test_an_unknown_family_names_its_neighbour() -> None:
    with pytest.raises(ValueError, match="did you mean 'layout'"):
        load_family("layuot")
