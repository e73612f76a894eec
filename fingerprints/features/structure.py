"""How long words, sentences and paragraphs are, and how varied the vocabulary is."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from fingerprints.features.base import Family, Vector, undefined
from fingerprints.reading import Reading

WINDOW = 50
# One base64 blob or unpunctuated megabyte must not own the mean, so single lengths are cut here.
MAX_WORD, MAX_SENTENCE, MAX_PARAGRAPH = 30, 100, 300

NAMES = (
    "sentence_length_mean",
    "sentence_length_sd",
    "paragraph_length_mean",
    "paragraph_length_sd",
    "word_length_mean",
    "word_length_sd",
    "type_token_ratio",
)
# The sd (n - 1) of values in [0, c] is largest for one 0 and one c: c / sqrt(2).
_UPPER = (*(top for c in (MAX_SENTENCE, MAX_PARAGRAPH, MAX_WORD) for top in (float(c), c / 2**0.5)), 1.0)


def structure(reading: Reading) -> Vector:
    """Mean and sample standard deviation (n - 1) of sentence and paragraph length in words and of word length in
    characters, and the type-token ratio in a moving window of 50 words. Fenced code is left out.

    Ranges: lengths are cut at 100 and 300 words and 30 characters, so means lie in [0, cut], deviations in
    [0, cut / sqrt 2], the ratio in [1/50, 1]. NaN: everything without a word, deviations with fewer than two
    sentences, paragraphs or words, the ratio below 50 words.
    Reference: Yule, Biometrika 30, 1939 (sentence length); Covington and McFall, Journal of Quantitative Linguistics
    17(2), 2010 (moving-average type-token ratio, which does not fall with length as the plain ratio does).
    """
    found = reading.words
    if not found:
        return undefined(len(NAMES))
    lengths = [[len([1 for word, _ in sentence if word]) for sentence in part] for part in reading.paragraphs]
    by_sentence = _mean_sd(chain.from_iterable(lengths), MAX_SENTENCE)
    by_paragraph = _mean_sd(map(sum, lengths), MAX_PARAGRAPH)
    by_word = _mean_sd(map(len, found), MAX_WORD)
    return np.array([*by_sentence, *by_paragraph, *by_word, moving_type_token_ratio(reading.lowered, WINDOW)])


def _mean_sd(lengths: Iterable[int], cut: int) -> tuple[float, float]:
    """Of the lengths above 0, cut. By value, of which there are few; sums of whole numbers are exact."""
    values = [(min(length, cut), times) for length, times in Counter(lengths).items() if length > 0]
    n = sum([times for _, times in values])
    total = sum([value * times for value, times in values])
    squares = n * sum([value * value * times for value, times in values]) - total * total
    return total / n, (squares / (n * (n - 1))) ** 0.5 if n > 1 else float("nan")


def moving_type_token_ratio(lowered: Sequence[str], window: int) -> float:
    """Mean over all windows of (distinct words) / window; NaN if the text is shorter than one window.

    A word at j is new in the windows that start after its previous occurrence and still reach j. Counting those
    windows word by word gives the sum in one pass, without visiting any window.
    """
    last_start = len(lowered) - window
    if last_start < 0:
        return float("nan")
    latest: dict[str, int] = {}
    previous = np.empty(len(lowered), dtype=np.int64)
    for j, word in enumerate(lowered):
        previous[j] = latest.get(word, -1)
        latest[word] = j
    at = np.arange(len(lowered))
    new_in = np.minimum(at, last_start) - np.maximum(previous + 1, at - window + 1) + 1
    return int(np.maximum(new_in, 0).sum()) / (window * (last_start + 1))


FAMILY = Family(NAMES, _UPPER, structure)
