"""``style-delta``: is S's style nearer to R's than the controls' styles are, typicality taken off?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..types import Sample, Score
from .answer_overlap import views
from .base import RESAMPLES, Array, around, assemble, bootstrap, closeness_of, contrasts, held_items
from .terms import beginning
from .texts import Rows, Texts, Told, complete_texts, item_blocks, remembered

TRIALS = 100  # of General Impostors
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
    ``words``: read only so many words of every answer. Ablations: views of the text, Burrows' delta in the cosine's
    place, and the General Impostors share.
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
        n, chosen = texts.n_items, held_items(texts.n_items, rng)
        mean, held = standardised(texts, chosen, self._read)
        own = held.mean(axis=0).ravel()

        def resampled(weights: Array) -> Array:
            drawn = around(mean.ravel(), weights @ held.reshape(len(held), -1), own, n, len(held))
            return closeness(cosine_distances(drawn.reshape(len(weights), *mean.shape)))

        observed = closeness(cosine_distances(mean[None]))
        replicates = bootstrap(resampled, len(held), rng, resamples=self.resamples)
        ablations = {}
        if self.ablate and mean.size:
            ablations = {"Burrows' delta": burrows(mean), "General Impostors share": impostors(mean, rng)}
        for label, view in views().items() if self.ablate else ():
            if self.words is None or label != "first 40 words":
                changed, _ = standardised(texts, chosen[:0], lambda text, v=view: self._read(v(text)))  # type: ignore[misc]
                ablations[label] = float(contrasts(closeness(cosine_distances(changed[None])))[0, 0])
        return assemble(self.name, contrasts(observed)[0], contrasts(replicates), n,
                        closeness_of(observed[0], texts.names), ablations)  # fmt: skip

    def _read(self, text: str) -> str:
        return text if self.words is None else beginning(text, self.words)


def cosine_distances(means: Array) -> Array:
    """Mean features ``(B, parties, F)``, S first -> 1 - cos of every two parties ``(B, parties, parties)``, centred on
    the candidates."""
    means = means - means[:, 1:].mean(axis=1, keepdims=True)
    norm = np.linalg.norm(means, axis=2, keepdims=True)
    unit = means / np.where(norm > 0, norm, 1.0)
    return np.asarray(1.0 - np.einsum("bpf,bqf->bpq", unit, unit, optimize=True))


def closeness(distance: Array) -> Array:
    """Distances ``(B, 2 + K, 2 + K)`` -> closeness of S to the candidates ``(B, 1 + K)``, typicality taken off."""
    parties = distance.shape[1]
    out = np.empty((len(distance), parties - 1))
    for j in range(1, parties):
        others = [k for k in range(2, parties) if k != j]
        out[:, j - 1] = -distance[:, 0, j] + distance[:, j, others].mean(axis=1)
    return out


def burrows(mean: Array) -> float:
    """The value with Burrows' (2002) delta, the mean of | z_a - z_b | over the features, in the cosine's place."""
    distance = np.abs(mean[:, None] - mean[None]).mean(axis=2)
    return float(contrasts(closeness(distance[None]))[0, 0])


def impostors(mean: Array, rng: np.random.Generator) -> float:
    """General Impostors (Koppel & Winter 2014): in which share of ``TRIALS`` random halves of the features and of the
    controls S is nearer to R, by cosine, than to every control drawn. On average 1 / (1 + K / 2) for an R like them.
    """
    k, width, won = len(mean) - 2, mean.shape[1], 0
    for _ in range(TRIALS):
        part = mean[:, rng.choice(width, (width + 1) // 2, replace=False)]
        drawn = 2 + rng.choice(k, (k + 1) // 2, replace=False)
        far = cosine_distances(part[None])[0, 0]
        won += bool(far[1] < far[drawn].min())
    return won / TRIALS


@remembered(1 << 15)
def features_of(text: str) -> Array:
    """Fingerprint features ``(F,)``."""
    from fingerprints import vector

    return vector(text)


def standardised(texts: Texts, held: Rows, view: Callable[[str], str]) -> tuple[Array, Array]:
    """Mean over items of every party's features ``(parties, F)``, and those of the ``held`` items ``(m, parties, F)``.

    Features are z-scored on the candidates' answers, NaN (undefined) set to the mean, 0. Spread and mean come from the
    candidates only, so that S cannot move the yardstick. Features that never vary are dropped; z is cut at ±4, because
    one odd answer must not carry a style. Answers are read twice, first for the yardstick: what stays in memory is the
    held items' features.
    """
    kind = np.dtype((np.float64, features_of("").shape))

    def features(column: Told, rows: Rows) -> Array:
        return np.fromiter(map(features_of, map(view, column[rows])), kind, len(rows))

    centre, spread = moments(
        features(column, rows) for rows, _ in item_blocks(texts.units) for column in texts.columns[1:]
    )
    live = np.flatnonzero(spread > 1e-9)
    centre, spread, parties = centre[live], spread[live], len(texts.columns)
    mean, kept, start = np.zeros((parties, len(live))), np.empty((len(held), parties, len(live))), 0
    for rows, item in item_blocks(texts.units):
        draws = np.bincount(item)
        stop = start + len(draws)
        inside = np.flatnonzero((held >= start) & (held < stop))
        for party, column in enumerate(texts.columns):
            z = (features(column, rows)[:, live] - centre) / spread
            z = np.clip(np.nan_to_num(z, copy=False, nan=0.0), -4.0, 4.0, out=z)
            if len(draws) < len(item):
                z = np.add.reduceat(z, np.flatnonzero(np.diff(item, prepend=-1))) / draws[:, None]
            mean[party] += z.sum(axis=0) / texts.n_items
            kept[inside, party] = z[held[inside] - start]
        start = stop
    return mean, kept


def moments(parts: Iterable[Array]) -> tuple[Array, Array]:
    """Mean and standard deviation of each feature over all rows of the parts that have it; 0 and 0 with fewer than two.

    Of part after part (Chan, Golub & LeVeque 1983), so that they are never held together.
    """
    n = mean = squares = np.zeros(1)
    for part in parts:
        seen = np.isfinite(part)
        count = seen.sum(axis=0)
        own = np.where(seen, part, 0.0).sum(axis=0) / np.maximum(count, 1)
        total, apart = n + count, own - mean
        share = count / np.maximum(total, 1)
        squares = squares + (np.where(seen, part - own, 0.0) ** 2).sum(axis=0) + apart**2 * n * share
        mean, n = mean + apart * share, total
    known = n >= 2
    return np.where(known, mean, 0.0), np.where(known, np.sqrt(squares / np.maximum(n, 1)), 0.0)
