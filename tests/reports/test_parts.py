from __future__ import annotations

import pytest
import report_samples

from reports import diff, numbers, tables, text
from reports.markdown import escape, fenced
from reports.scale import scale


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1.2304, "LR = 17 (log10 +1.23)"), (-1.2304, "LR = 1/17 (log10 -1.23)"), (0.0, "LR = 1.0 (log10 +0.00)"),
     (0.3, "LR = 2.0 (log10 +0.30)"), (-0.001, "LR = 1.0 (log10 +0.00)"), (3.5, "LR = 3,162 (log10 +3.50)"),
     (40.0, "LR = 10^+40.0 (log10 +40.00)")],
)  # fmt: skip
def test_likelihood_ratio_in_words(value: float, shown: str) -> None:
    assert numbers.in_words(value) == shown


@pytest.mark.parametrize(
    ("value", "word"),
    [(0.999, "weak support for Hp"), (1.0, "moderate support for Hp"), (-2.0, "moderately strong support for Hd"),
     (0.04, "support for neither"), (-0.04, "support for neither"), (6.0, "extremely strong support for Hp")],
)  # fmt: skip
def test_verbal_scale_is_symmetric_and_read_from_the_raw_value(value: float, word: str) -> None:
    assert numbers.verbal(value) == word


@pytest.mark.parametrize("p", [1e-300, 5e-324, 1e-9, 0.00049, 0.9999, 0.0])
def test_p_is_never_written_as_zero_or_as_certainty(p: float) -> None:
    assert numbers.probability(p).strip("0.") != ""
    assert numbers.probability(p) != "1"


@pytest.mark.parametrize("part", [1 / 401, 1e-6, 0.9975, 0.99999])
def test_share_is_never_rounded_to_nothing_or_all(part: float) -> None:
    assert numbers.share(part) not in ("0 %", "100 %", "100.0 %")


@pytest.mark.parametrize("values", [(0.142, -0.05), (12.3, 0.1), (1e-9,), (123456.0,), (0.0,), (9.996,)])
def test_decimals_keep_three_digits(values: tuple[float, ...]) -> None:
    places = numbers.decimals(values)
    for value in values:
        assert float(numbers.signed(value, places)) == pytest.approx(value, abs=0.006 * max(map(abs, values)))


def test_reading_follows_the_background() -> None:
    marks = [tables.mark(e) for e in report_samples.decided().evidence]
    assert marks == ["▲", "▲", "●", "▲", "▼", "○", "○"]


def test_diff_gives_back_both_texts() -> None:
    left, right = diff.compare("one two  three\nfour", "one 2  three five")
    assert "".join(run.text for run in left) == "one two  three\nfour"
    assert "".join(run.text for run in right) == "one 2  three five"
    assert [run.text for run in left if run.only] == ["two", "four"]
    assert [run.text for run in right if run.only] == ["2", "five"]
    assert diff.shared(left) == diff.shared(right) == 2


def test_diff_is_capped_and_counts_what_it_left() -> None:
    left, _ = diff.compare("a " * 5000, "b " * 5000)
    assert sum(len(run.text.split()) for run in left[:-1]) == diff.WORDS
    assert "4,600 more words" in left[-1].text


def test_common_words_are_not_junk() -> None:
    words = "the " * 300
    left, _ = diff.compare(words, words + "end")
    assert diff.shared(left) == 300


def test_fence_is_longer_than_any_inside() -> None:
    assert fenced("a\n`````\nb").splitlines()[0] == "``````text"


@pytest.mark.parametrize(
    "raw",
    [
        "a|b",
        "`x`",
        "<b>",
        "*a*",
        "_a_",
        "[a](b)",
        "#",
        "~~a~~",
        "&lt;",
        "-",
        "1.",
        "===",
        "@who",
        "http://a",
        "www.b.c",
    ],
)
def test_markdown_escapes(raw: str) -> None:
    assert escape(raw) != raw


def test_escaped_text_is_one_line() -> None:
    assert "\n" not in escape("a\n\n# b\r\nc")


def test_cap_says_how_much_is_left() -> None:
    assert text.shown("x" * 5_000, 4_000).endswith("⟦… 1,000 more characters⟧")


def test_a_text_can_not_fake_a_note_of_ours() -> None:
    assert "⟦… 9 more" not in text.shown("⟦… 9 more characters⟧")


@pytest.mark.parametrize("bounds", [(-1.9, 1.9), (-0.5, 2.5), (0.0, 0.0), (0.2, 1.0), (-7.0, 7.0)])
@pytest.mark.parametrize("llr", [-9.0, 0.0, 0.31, 9.0])
def test_scale_stays_on_the_paper(bounds: tuple[float, float], llr: float) -> None:
    drawn = scale(llr, bounds, (llr - 1, llr + 1))
    points = [drawn.zero, drawn.value, drawn.low, drawn.high, *(x for x, _ in drawn.ticks)]
    points += [edge for s in drawn.segments for edge in (s.start, s.start + s.width)]
    assert all(-0.02 <= x <= 100.02 for x in points)
    assert drawn.low <= drawn.value <= drawn.high
    assert sum(s.width for s in drawn.segments) == pytest.approx(100, abs=0.1)


def test_scale_is_symmetric() -> None:
    drawn = scale(0.4, (-1.5, 1.5), None)
    assert [s.word for s in drawn.segments] == ["moderate", "weak", "weak", "moderate"]
    assert [s.side for s in drawn.segments] == ["hd", "hd", "hp", "hp"]
    widths = [s.width for s in drawn.segments]
    assert widths == widths[::-1]
