"""Text in, feature vector out: how it is written, not what about. A leaf: no network, nothing of the engine."""

from fingerprints.extract import feature_names, matrix, vector
from fingerprints.features import DEFAULT, FAMILIES, FEATURE_SET, PLAIN, Family, load_family
from fingerprints.fingerprint import Fingerprint
from fingerprints.library import Entry, Library, LibraryError, load_library, write_library
from fingerprints.ngrams import char_ngrams, word_ngrams
from fingerprints.profile import Profile, prompt_set
from fingerprints.tokenise import paragraphs, sentences, tokens, words
from fingerprints.views import first_words, strip_markdown, strip_preamble, visible

__all__ = [
    "DEFAULT",
    "FAMILIES",
    "FEATURE_SET",
    "PLAIN",
    "Entry",
    "Family",
    "Fingerprint",
    "Library",
    "LibraryError",
    "Profile",
    "char_ngrams",
    "feature_names",
    "first_words",
    "load_family",
    "load_library",
    "matrix",
    "paragraphs",
    "prompt_set",
    "sentences",
    "strip_markdown",
    "strip_preamble",
    "tokens",
    "vector",
    "visible",
    "word_ngrams",
    "words",
    "write_library",
]
