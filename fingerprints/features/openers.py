"""How an answer opens and how it closes."""

from itertools import islice

import numpy as np

from fingerprints.courtesy import CLOSINGS, OPENINGS, closes_with, opens_with
from fingerprints.features.base import Family, Vector, undefined
from fingerprints.markdown import Line
from fingerprints.reading import Reading
from fingerprints.tokenise import clean, each_sentence, sentences, word_spans

_FIRST_WORDS = {
    "i": frozenset({"i", "i'm", "i'd", "i'll", "i've"}),
    "yes_no": frozenset({"yes", "no"}),
    "article": frozenset({"the", "a", "an"}),
    "pointer": frozenset({"this", "that", "these", "those", "it", "there"}),
    "question_word": frozenset({"what", "who", "when", "where", "why", "how", "which"}),
    "preposition": frozenset({"in", "on", "at", "to", "for", "as", "from", "by", "with"}),
}
_FIRST_LINES = ("heading", "bullet", "numbered", "fence")

NAMES = (
    *(f"opens_{kind}" for kind in OPENINGS),
    *(f"opens_{kind}" for kind in _FIRST_WORDS),
    *(f"opens_{kind}" for kind in _FIRST_LINES),
    "opens_bold",
    "opens_colon",
    *(f"closes_{kind}" for kind in CLOSINGS),
    "closes_question",
    "closes_exclamation",
    "closes_period",
)


def openers(reading: Reading) -> Vector:
    """Flags, 1 if the answer has the trait, else 0; over many answers the mean is a rate. All NaN for a blank text.

    `opens_agreement` ... `opens_as_ai`: one of the first two sentences of the first line starts with such a phrase
    (`Sure! Here is a list:` is agreement and announcement); `opens_i` ...: class of the first word; `opens_heading` ...
    `opens_bold`: markdown of the first line; `opens_colon`: it ends with a colon. `closes_let_me_know` ...
    `closes_conclusion`: one of the last two sentences of the last line starts with such a phrase; `closes_question`
    ...: the last mark, behind quotes, brackets and emphasis.
    Reference: first words as a lead feature of chat models, Sun et al., arXiv 2502.12150.
    """
    filled = [line for line in reading.lines if line.kind != "blank"]
    if not filled:
        return undefined(len(NAMES))
    return np.array([*_opening(filled[0]), *_closing(filled[-1])], dtype=np.float64)


def _opening(line: Line) -> list[bool]:
    head = list(islice(each_sentence(line.body), 2))
    body = clean(line.body)
    start, end = next(word_spans(body), (0, 0))
    first = body[start:end].lower().replace("’", "'")
    return [
        *(any(opens_with(kind, sentence) for sentence in head) for kind in OPENINGS),
        *(first in members for members in _FIRST_WORDS.values()),
        *(line.kind == kind for kind in _FIRST_LINES),
        line.body.startswith(("**", "__")),
        line.body.rstrip("*_ ").endswith((":", "：")),
    ]


def _closing(line: Line) -> list[bool]:
    tail = sentences(line.body)[-2:]
    end = line.body.rstrip("\"'”’»)]*_ ")
    return [
        *(any(closes_with(kind, sentence) for sentence in tail) for kind in CLOSINGS),
        end.endswith(("?", "？")),
        end.endswith(("!", "！")),
        end.endswith((".", "。")),
    ]


FAMILY = Family(NAMES, (1.0,) * len(NAMES), openers)
