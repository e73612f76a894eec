"""``answer-overlap``: does S answer the same prompt with R's words rather than the controls' words?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..types import Sample, Score
from .base import RESAMPLES, Array, abstain, by_item, point, relative
from .terms import TERMS, counts
from .texts import ITEMS, complete_texts, remembered

TEXT_FAMILIES = frozenset({"writing", "layout", "reasoning", "facts", "choice", "continuation", "multilingual"})

UNITS = ITEMS  # units counted at a time


@dataclass(frozen=True, slots=True)
class AnswerOverlap:
    """Shared words and word n-grams with each candidate's answer to the same prompt, length taken out.

    Per prompt, c_ij = cosine of idf-weighted word n-grams (n = 1 … ``ngram``) of S's answer and candidate j's answer
    to the *same* prompt, idf over all answers of the case, so that shared phrases of the prompts count little.

    What length alone explains is taken out: c is regressed on | log len S - log len j | and the log of the shorter
    length over the *control* cells only, and the residual is what is compared. Unit: cosine, -1 … 1. Null hypothesis:
    the candidate is not S's teacher. Ablations repeat the value raw, without markdown, without courtesy, on the first
    40 words. Idea: shared rare n-grams as in over-representation and stylometry work; the per-prompt form after
    2410.20247 (kernels that are zero across prompts).
    """

    name: str = "answer-overlap"
    unit: str = "cosine"
    families: frozenset[str] = TEXT_FAMILIES
    ngram: int = 3
    ablate: bool = True
    resamples: int = RESAMPLES

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs texts only."""
        texts = complete_texts(self.name, sample)
        if isinstance(texts, Score):
            return texts
        raw = self.cosines(texts.columns)
        if not raw.any():
            why = "no answer of the suspect has a word in common with another one to the same prompt"
            return abstain(self.name, "insufficient", why, n=texts.n_items)
        adjusted, _ = by_item(texts.units, regressed(raw, log_lengths(texts.columns)))
        ablations = {"not length-adjusted": point(by_item(texts.units, raw)[0])}
        for label, view in views().items() if self.ablate else ():
            ablations[label] = point(by_item(texts.units, self.per_unit(texts.columns, view))[0])
        return relative(self.name, adjusted, texts.names, rng, resamples=self.resamples, ablations=ablations)

    def per_unit(self, texts: Sequence[Sequence[str]], view: Callable[[str], str] = str) -> Array:
        """Length-adjusted closeness ``(n_units, 1 + K)`` of column 0 (S) with every other column."""
        return regressed(self.cosines(texts, view), log_lengths(texts, view))

    def cosines(self, texts: Sequence[Sequence[str]], view: Callable[[str], str] = str) -> Array:
        """Cosines ``(n_units, 1 + K)`` of column 0 (S) with every other column, every text changed by ``view``.

        Counted in blocks of units, twice where there are several: n-grams of all answers at once would fill the memory.
        """
        from sklearn.feature_extraction.text import TfidfTransformer

        def counted(start: int) -> list[Any]:
            return [counts(map(view, column[start : start + UNITS]), self.ngram) for column in texts]

        n = len(texts[0])
        blocks = range(0, n, UNITS)
        once = counted(0) if len(blocks) == 1 else None
        seen = sum(np.bincount(np.concatenate([m.indices for m in once or counted(start)]), minlength=TERMS)
                   for start in blocks)  # fmt: skip
        idf = TfidfTransformer(sublinear_tf=True)
        idf.idf_ = (np.log((1.0 + n * len(texts)) / (1.0 + seen)) + 1.0).astype(np.float32)
        out = np.empty((n, len(texts) - 1))
        for start in blocks:
            suspect, *others = (idf.transform(m) for m in once or counted(start))
            # A text without one word has no direction: it resembles nobody, itself included.
            out[start : start + UNITS] = np.stack(
                [np.asarray(suspect.multiply(other).sum(axis=1)).ravel() for other in others], axis=1
            )
        return out


def log_lengths(texts: Sequence[Sequence[str]], view: Callable[[str], str] = str) -> Array:
    """log(1 + characters) ``(n_units, 2 + K)`` of every party's answers, changed by ``view``."""
    lengths = [np.fromiter((len(view(t)) for t in column), np.float64, len(column)) for column in texts]
    return np.log1p(np.stack(lengths, axis=1))


def regressed(closeness: Array, length: Array) -> Array:
    """Residual of closeness ``(n, 1 + K)`` after what log lengths ``(n, 2 + K)``, S first, explain among the controls
    (columns 1 …)."""

    def cells(part: slice) -> Array:
        mine, theirs = length[part, :1], length[part, 1:]
        return np.stack([np.ones_like(theirs), np.abs(mine - theirs), np.minimum(mine, theirs)], axis=2)

    def system(part: slice) -> Array:
        return np.column_stack([cells(part)[:, 1:].reshape(-1, 3), closeness[part, 1:].ravel()])

    parts = [slice(start, start + UNITS) for start in range(0, len(closeness), UNITS)]
    # The triangle of a block's QR is all that least squares need of it.
    whole = system(parts[0]) if len(parts) == 1 else np.vstack([np.linalg.qr(system(p), mode="r") for p in parts])
    coefficients, *_ = np.linalg.lstsq(whole[:, :3], whole[:, 3], rcond=None)
    # Centred, so that the residual stays on the cosine's own scale.
    centre = sum(cells(p)[:, 1:, 1:].sum(axis=(0, 1)) for p in parts) / closeness[:, 1:].size
    out = np.empty_like(closeness)
    for part in parts:
        out[part] = closeness[part] - (cells(part)[:, :, 1:] - centre) @ coefficients[1:]
    return out


@cache
def views() -> dict[str, Callable[[str], str]]:
    """The ablations that every text comparator prints beside its value. Kept: all of them read the same answers."""
    from fingerprints.views import first_words, strip_markdown, strip_preamble

    named = {"markdown stripped": strip_markdown, "preamble removed": strip_preamble, "first 40 words": first_words}
    return {label: remembered(1 << 14)(view) for label, view in named.items()}
