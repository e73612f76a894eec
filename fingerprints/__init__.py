"""Text in, feature vector out: how it is written, not what about. A leaf: no network, nothing of the engine."""

from fingerprints.extract import Fingerprint, feature_names, matrix, vector
from fingerprints.features import FAMILIES, Family, load_family
from fingerprints.ngrams import char_ngrams, word_ngrams
from fingerprints.tokenise import paragraphs, sentences, tokens, words
from fingerprints.views import first_words, strip_markdown, strip_preamble, visible

__all__ = [
    "FAMILIES",
    "Family",
    "Fingerprint",
    "char_ngrams",
    "feature_names",
    "first_words",
    "load_family",
    "matrix",
    "paragraphs",
    "sentences",
    "strip_markdown",
    "strip_preamble",
    "tokens",
    "vector",
    "visible",
    "word_ngrams",
    "words",
]
