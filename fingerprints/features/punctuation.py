"""How often each class of punctuation mark is used."""

from collections import Counter

import numpy as np

from fingerprints.features.base import Family, Vector, undefined
from fingerprints.reading import Reading

# Classes of single marks; runs of dots and of hyphens are counted apart, below.
_CLASSES = {
    "period": ".。",
    "comma": ",，、",
    "semicolon": ";；",
    "colon": ":：",
    "exclamation": "!！",
    "question": "?？",
    "em_dash": "—―",
    "en_dash": "–",
    "spaced_hyphen": "-",
    "straight_double_quote": '"',
    "curly_double_quote": "“”„",
    "parenthesis": "(（",
    "bracket": "[",
    "slash": "/",
    "ampersand": "&",
}
_RUNS = ("ellipsis", "double_hyphen")
_INSIDE_WORDS = {"straight_apostrophe": "'", "curly_apostrophe": "’‘", "hyphenated": "-‐‑"}

NAMES = (*_CLASSES, *_RUNS, *_INSIDE_WORDS)


def punctuation(reading: Reading) -> Vector:
    """Marks of each class / words of prose, cut at 1; unit 1, range [0, 1]; NaN without a word.

    Line marks (`-`, `1.`, `|`) and fenced code are left out: they are layout. A parenthesis is counted where it opens;
    `hyphenated` counts words with a hyphen inside, the apostrophes count such words and quoting marks alike; two or
    more dots are one ellipsis. More than one mark a word is no prose, hence the cut.
    Reference: Grieve, Literary and Linguistic Computing 22(3), 2007 (punctuation marks among the best single families).
    """
    found = reading.words
    if not found:
        return undefined(len(NAMES))
    counts = Counter(reading.marks)
    single = [sum([counts.get(mark, 0) for mark in members]) for members in _CLASSES.values()]
    ellipsis = counts["…"] + sum(count for mark, count in counts.items() if mark.startswith(".."))
    hyphens = sum(count for mark, count in counts.items() if mark.startswith("--"))
    joined = [word for word in found if not word.isalnum()]
    inside = [_words_with(joined, members) for members in _INSIDE_WORDS.values()]
    inside[0] += counts["'"]
    inside[1] += counts["’"] + counts["‘"]
    rates = np.array([*single, ellipsis, hyphens, *inside], dtype=np.float64) / len(found)
    return np.minimum(rates, 1.0)


def _words_with(found: list[str], members: str) -> int:
    return sum(any(mark in word for mark in members) for word in found)


FAMILY = Family(NAMES, (1.0,) * len(NAMES), punctuation)
