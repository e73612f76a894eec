"""Words and n-grams as hashed columns: what the term comparators count."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..types import Unit

TOKEN = r"(?u)\w+|[^\w\s]"


@lru_cache(maxsize=256)
def counts(texts: tuple[str, ...], ngram: int) -> Any:
    """Sparse counts ``(n_texts, 2**20)`` of words and n-grams of up to ``ngram``.

    Hashed, so there is no vocabulary to keep or to leak. Kept, because comparators, self-checks and ablations read the
    same columns again.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    vectoriser = HashingVectorizer(
        token_pattern=TOKEN, ngram_range=(1, ngram), alternate_sign=False, norm=None, dtype=np.float32
    )
    return vectoriser.transform(texts)


@lru_cache(maxsize=256)
def presence(texts: tuple[str, ...], ngram: int, buckets: int) -> Any:
    """The same as 0 or 1 in fewer columns ``(n_texts, buckets)``; ``buckets`` is a power of two below 2**20."""
    from scipy.sparse import csr_matrix

    found = counts(texts, ngram)
    # Summing duplicates works in place: the kept counts must not be touched.
    parts = (np.ones(found.nnz), found.indices % buckets, found.indptr.copy())
    folded = csr_matrix(parts, shape=(len(texts), buckets))
    folded.sum_duplicates()
    folded.data[:] = 1.0
    return folded


@lru_cache(maxsize=1 << 15)
def beginning(text: str, words: int) -> str:
    """The first words of an answer. Kept, because self-checks and populations read the same answers again."""
    from fingerprints.views import first_words

    return first_words(text, words)


def without_prompts(found: Sequence[Any], units: Sequence[Unit], ngram: int, buckets: int) -> list[Any]:
    """The same matrices without the terms that the unit's own prompt contains: everybody repeats those."""
    prompts = tuple(" ".join(m.content for m in unit.request.messages or ()) for unit in units)
    asked = presence(prompts, ngram, buckets)
    out = []
    for m in found:
        own = (m - m.multiply(asked)).tocsr()
        own.eliminate_zeros()
        out.append(own)
    return out
