"""Which parts of speech are used, which of them open a sentence, and how often stock patterns of them recur."""

import re
from collections import Counter
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from fingerprints.features.base import Family, Vector, undefined
from fingerprints.reading import Reading, Token

# Class: its letter, and the tags of the British National Corpus that it holds. A sentence becomes a string of letters
# (`,` is a comma, `.` any other mark), and a template a pattern of fixed length over such strings.
_CLASSES = {
    "noun": ("n", "NN NN0 NN1 NN2 NP0 UNC ZZ0"),
    "adjective": ("a", "AJ0 AJC AJS ORD"),
    "adverb": ("r", "AV0 AVP AVQ XX0 ITJ"),
    "verb": ("v", "VVB VVI VVZ"),
    "past_form": ("d", "VVD VVN"),
    "ing_form": ("g", "VVG"),
    "auxiliary": ("x", "VBB VBD VBG VBI VBN VBZ VDB VDD VDG VDI VDN VDZ VHB VHD VHG VHI VHN VHZ"),
    "modal": ("m", "VM0"),
    "determiner": ("t", "AT0 DT0 DTQ DPS POS"),
    "pronoun": ("p", "PNP PNI PNQ EX0"),
    "preposition": ("i", "PRP PRF IN"),
    "infinitive_to": ("o", "TO0"),
    "conjunction": ("c", "CJC CJS CJT"),
    "number": ("u", "CRD"),
}
_LETTER_OF = {tag: letter for letter, tags in _CLASSES.values() for tag in tags.split()}
_TEMPLATES = {
    "described_noun": "tan",
    "compound_noun": "nn",
    "noun_of_noun": "tnitn",
    "noun_chain": "inin",
    "oxford_triple": "n,n,cn",
    "plain_triple": "n,ncn",
    "noun_pair": "ncn",
    "adjective_pair": "aca",
    "listed_adjectives": "a,a",
    "verb_pair": "vcv",
    "passive": "xd",
    "modal_verb": "mv",
    "modal_passive": "mxd",
    "infinitive": "ov",
    "object": "vtn",
    "described_object": "v[ta]an",
    "preposition_ing": "ig",
    "trailing_ing": ",g",
    "trailing_clause": ",c",
    "adverb_verb": "rv",
    "adverb_adjective": "ra",
    "subject_verb": "p[vd]",
    "subject_modal": "pm",
    "predicate_adjective": "[np]xa",
    "predicate_noun": "[np]xt",
}
_LEADS = {f"starts_{name}": letter for name, (letter, _) in _CLASSES.items()} | {"starts_adverb_comma": "r,"}
NAMES = (*_CLASSES, *_TEMPLATES, *_LEADS)

MAX_TOKENS = (
    5000  # rates are settled by then, and a hostile megabyte of invented words costs seconds instead of minutes
)
MAX_LETTERS = 20  # the tagger tries all cuts of a word that it does not know
MIN_KNOWN = 0.5

_patterns = [re.compile(f"(?={template})") for template in _TEMPLATES.values()]
_contraction = re.compile(r"(?i)(.+?)(n't|'(?:s|re|ve|ll|d|m))")


def missing() -> str:
    """Why the family can't be measured here; "" where it can."""
    if find_spec("HanTa") is not None:
        return ""
    return "part-of-speech templates need the tagger HanTa: pip install 'distillation-forensics[pos]'"


@cache
def _tagger() -> Any:
    from HanTa.HanoverTagger import HanoverTagger

    return HanoverTagger("morphmodel_en.pgz")


def pos_templates(reading: Reading) -> Vector:
    """`noun` ... `number`: words of that class / words. `described_noun` ... `predicate_noun`: occurrences of the
    pattern inside a sentence, overlaps counted / words. `starts_*`: sentences whose first token is of that class /
    sentences with a word; `starts_adverb_comma`: an adverb and a comma (`However, ...`).

    Unit 1, range [0, 1]. English only: NaN where less than half of the words are in the tagger's lexicon, and without a
    word. Contractions are two words; words are cut at 20 characters, the text at 5,000 tokens.
    Tags are those of HanTa's English model, sentence by sentence; a sentence that it can't tag is left out.
    Reference: Wartena, KONVENS 2019 (the tagger); templates of parts of speech in generated text, Shaib et al., arXiv
    2407.00211.
    """
    words = reading.lowered[:MAX_TOKENS]
    lexicon = _tagger().cache
    if not words or sum(word in lexicon for word in words) < MIN_KNOWN * len(words):
        return undefined(len(NAMES))
    sentences = _tagged(reading.sentences)
    joined = "\n".join(sentences)
    counts = Counter(joined)
    n_words = sum(counts[letter] for letter, _ in _CLASSES.values())
    if n_words == 0:
        return undefined(len(NAMES))
    by_word = [counts[letter] for letter, _ in _CLASSES.values()]
    by_word += [len(pattern.findall(joined)) for pattern in _patterns]
    by_sentence = [sum(sentence.startswith(lead) for sentence in sentences) for lead in _LEADS.values()]
    return np.concatenate([np.array(by_word) / n_words, np.array(by_sentence) / len(sentences)])


def _tagged(sentences: list[list[Token]]) -> list[str]:
    """Letters of each sentence that has a word and can be tagged, up to the one that reaches the limit."""
    result, left = [], MAX_TOKENS
    for sentence in sentences:
        found = _letters(sentence[:left]).lstrip(",.")
        if found:
            result.append(found)
        left -= len(sentence)
        if left <= 0:
            break
    return result


def _letters(sentence: list[Token]) -> str:
    lexicon = _tagger().cache
    pieces: list[str] = []
    fixed: list[str] = []
    for word, mark in sentence:
        parts = _pieces(word) if word else [mark if mark in lexicon else "-"]
        pieces += parts
        fixed += [""] * len(parts) if word else ["," if mark in ",，、" else "."]
    try:
        tags = _tagger().tag_sent([*pieces, "."], taglevel=0)
    except KeyError:  # no sequence of tags has a probability above 0
        return ""
    return "".join(mark or _LETTER_OF.get(tag, "n") for mark, tag in zip(fixed, tags, strict=False))


def _pieces(word: str) -> list[str]:
    plain = word.replace("’", "'")
    found = _contraction.fullmatch(plain)
    parts = found.groups() if found else (plain,)
    return [part[:MAX_LETTERS] for part in parts]


FAMILY = Family(NAMES, (1.0,) * len(NAMES), pos_templates, missing)
