"""Words and n-grams as hashed columns: what the term comparators count."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..types import Unit
from .texts import LETTERS, remembered, unspaced

TOKEN = r"(?u)\w+|[^\w\s]"
TERMS = 1 << 20
_token = re.compile(TOKEN)
_character = re.compile(rf"[{LETTERS}]|[^\W{LETTERS}]+|[^\w\s]")

Hashed = tuple[NDArray[np.int32], NDArray[np.float32]]


@remembered(1 << 14)
def hashed(text: str, ngram: int) -> Hashed:
    """Columns, ascending, and counts of a text's words and n-grams of up to ``ngram``, case ignored.

    Column of a term: scikit-learn's feature hashing, |MurmurHash3(term)| mod 2**20, so there is no vocabulary to keep
    or to leak. A text in a script without spaces is read by its characters.
    """
    from sklearn.utils import murmurhash3_32

    words = (_character if unspaced(text) else _token).findall(text.lower())
    terms, last = list(words), words
    for n in range(1, ngram):
        last = [f"{head} {word}" for head, word in zip(last, words[n:], strict=False)]
        terms += last
    column = np.abs(np.fromiter(map(murmurhash3_32, terms), np.int64, len(terms))) % TERMS
    columns, count = np.unique(column, return_counts=True)
    return columns.astype(np.int32), count.astype(np.float32)


@remembered(1 << 15)
def folded(text: str, ngram: int, buckets: int) -> NDArray[np.int32]:
    """The columns of `hashed` in fewer ``buckets``, each once."""
    return np.unique(hashed(text, ngram)[0] % buckets).astype(np.int32)


def counts(texts: Iterable[str], ngram: int) -> Any:
    """Sparse counts ``(n_texts, 2**20)`` of words and n-grams of up to ``ngram``."""
    rows = [hashed(text, ngram) for text in texts]
    return _sparse([columns for columns, _ in rows], [count for _, count in rows], TERMS)


def presence(texts: Iterable[str], ngram: int, buckets: int) -> Any:
    """The same as 0 or 1 in fewer columns ``(n_texts, buckets)``; ``buckets`` is a power of two below 2**20."""
    rows = [folded(text, ngram, buckets) for text in texts]
    return _sparse(rows, [np.ones(len(columns)) for columns in rows], buckets)


def _sparse(columns: Sequence[NDArray[Any]], data: Sequence[NDArray[Any]], width: int) -> Any:
    from scipy.sparse import csr_matrix

    ends = np.cumsum([0, *map(len, columns)])
    found = csr_matrix((np.concatenate(data), np.concatenate(columns), ends), shape=(len(columns), width))
    found.has_canonical_format = True
    return found


@remembered(1 << 15)
def beginning(text: str, words: int) -> str:
    """The first words of an answer."""
    from fingerprints.views import first_words

    return first_words(text, words)


def without_prompts(found: Sequence[Any], units: Sequence[Unit], ngram: int, buckets: int) -> list[Any]:
    """The same matrices without the terms that the unit's own prompt contains: everybody repeats those."""
    asked = presence((" ".join(m.content for m in unit.request.messages or ()) for unit in units), ngram, buckets)
    out = []
    for m in found:
        own = (m - m.multiply(asked)).tocsr()
        own.eliminate_zeros()
        out.append(own)
    return out
