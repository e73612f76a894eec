"""``style-delta``: is S's style nearer to R's than the controls' styles are, typicality taken off?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..types import Sample, Score
from .answer_overlap import views
from .base import RESAMPLES, Array, assemble, bootstrap, closeness_of, complete_texts, contrasts, item_rows
from .terms import beginning

STYLE_FAMILIES = frozenset({"writing", "layout", "reasoning"})


@dataclass(frozen=True, slots=True)
class StyleDelta:
    """Cosine delta (Smith & Aldridge 2011, after Burrows 2002) over the fingerprint features.

    Features are z-scored per feature over all answers of the controls and the reference, averaged over items per
    party, and centred on the mean of the candidates:  d(a, b) = 1 - cos(z_a, z_b).
    Closeness of S to j:  c_j = - d(S, j) + mean_{k != j} d(j, k),  k over controls: the second term is j's typicality,
    without which a candidate in the middle of the field is near to everybody. Unit: cosine distances; closeness
    lies in -2 … 2 and the value, a difference of two, in -4 … 4.
    Null hypothesis: the candidate is not S's teacher. Answers too short to have a style (< 8 words) are left out.
    ``words``: read only so many words of every answer.
    """

    name: str = "style-delta"
    unit: str = "cosine distance"
    families: frozenset[str] = STYLE_FAMILIES
    min_words: int = 8
    ablate: bool = True
    resamples: int = RESAMPLES
    words: int | None = None

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs texts only."""
        texts = complete_texts(self.name, sample, min_words=self.min_words)
        if isinstance(texts, Score):
            return texts
        index, items = item_rows(texts.units)
        features = standardised(texts.columns, index, len(items), self._read)
        closeness = self._observed(features)
        replicates = bootstrap(lambda weights: self._closeness(features, weights), len(items), rng,
                               resamples=self.resamples)  # fmt: skip
        ablations = {}
        for label, view in views().items() if self.ablate else ():
            if self.words is None or label != "first 40 words":
                changed = standardised(texts.columns, index, len(items), lambda text, v=view: self._read(v(text)))  # type: ignore[misc]
                ablations[label] = float(contrasts(self._observed(changed))[0, 0])
        return assemble(self.name, contrasts(closeness)[0], contrasts(replicates), len(items),
                        closeness_of(closeness[0], texts.names), ablations)  # fmt: skip

    def _read(self, text: str) -> str:
        return text if self.words is None else beginning(text, self.words)

    def _observed(self, features: Array) -> Array:
        n = len(features)
        return self._closeness(features, np.full((1, n), 1.0 / n))

    def _closeness(self, features: Array, weights: Array) -> Array:
        """``(n_items, 1 + 1 + K, F)`` and weights ``(B, n_items)`` -> closeness ``(B, 1 + K)``."""
        means = (weights @ features.reshape(len(features), -1)).reshape(len(weights), *features.shape[1:])
        means = means - means[:, 1:].mean(axis=1, keepdims=True)
        norm = np.linalg.norm(means, axis=2, keepdims=True)
        unit = means / np.where(norm > 0, norm, 1.0)
        distance = 1.0 - np.einsum("bpf,bqf->bpq", unit, unit, optimize=True)
        parties = distance.shape[1]
        out = np.empty((len(weights), parties - 1))
        for j in range(1, parties):
            others = [k for k in range(2, parties) if k != j]
            out[:, j - 1] = -distance[:, 0, j] + distance[:, j, others].mean(axis=1)
        return out


@lru_cache(maxsize=1 << 16)
def features_of(text: str) -> Array:
    """Fingerprint features ``(F,)``. Kept: ablations leave most texts as they are, self-checks read all again."""
    from fingerprints import vector

    return vector(text)


def standardised(
    texts: list[list[str]], index: NDArray[np.intp], n_items: int, view: Callable[[str], str] = str
) -> Array:
    """Features ``(n_items, parties, F)``: z-scored on the candidates' answers, NaN (undefined) set to the mean, 0.

    Spread and mean come from the candidates only, so that S cannot move the yardstick. Features that never vary are
    dropped; z is cut at ±4, because one odd answer must not carry a style. What is returned, 8 bytes a feature of an
    answer, is all that has to be held: every resample weighs all items anew.
    """
    kind = np.dtype((np.float64, features_of("").shape))
    raw = [_filled(kind, map(features_of, map(view, column)), len(column)) for column in texts]
    mean, spread = _moments(raw[1:])
    live = np.flatnonzero(spread > 1e-9)
    mean, spread = mean[live], spread[live]
    count = np.maximum(np.bincount(index, minlength=n_items), 1.0)[:, None]
    out = np.zeros((n_items, len(raw), len(live)))
    for party in range(len(raw)):
        z = (raw[party][:, live] - mean) / spread
        raw[party] = np.empty((0, 0))  # two copies of everything are never held
        z = np.clip(np.nan_to_num(z, copy=False, nan=0.0), -4.0, 4.0, out=z)
        if n_items == len(index):
            out[index, party] = z
        else:
            np.add.at(out[:, party], index, z)
            out[:, party] /= count
    return out


def _filled(kind: Any, rows: Iterable[Array], n: int) -> Array:
    return np.asarray(np.fromiter(rows, kind, n))


def _moments(raw: list[Array]) -> tuple[Array, Array]:
    """Mean and standard deviation of each feature over all answers that have it; 0 and 0 with fewer than two."""
    width = raw[0].shape[1]
    mean, spread = np.zeros((2, width))
    for start in range(0, width, 16):  # a few features at a time: NumPy copies what it is given
        part = np.concatenate([m[:, start : start + 16] for m in raw])
        defined = np.flatnonzero(np.isfinite(part).sum(axis=0) >= 2)
        part = part[:, defined]
        mean[start + defined], spread[start + defined] = np.nanmean(part, axis=0), np.nanstd(part, axis=0)
    return mean, spread
