"""``cross-likelihood``: did training raise S's likelihood of R's answers more than of the controls' answers?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..types import Column, Completion, Sample, Score
from .base import Array, abstain, by_item, relative

LIKELIHOOD_FAMILIES = frozenset({"writing", "layout", "reasoning", "multilingual"})


@dataclass(frozen=True, slots=True)
class CrossLikelihood:
    """Base-corrected log-likelihood gain per byte of the candidates' own answers:

        c_ij = [ l_S(y_i^j | x_i) - l_B(y_i^j | x_i) ] / bytes(y_i^j)          nats per byte

    y^j written by candidate j, l summed over tokens, per byte because parties tokenise differently. Without a base the
    controls stand in for it: l_B is the mean over the controls other than j itself (a model scores its own words too
    well). Answers under ``min_bytes`` are left out and 5 % of items trimmed at either end, because short answers make
    per-byte rates heavy-tailed. Null hypothesis: the candidate is not S's teacher; R's text may just be easier to fit,
    which is why the null is controls in R's place, and the calibration negative lineages.
    After 2512.20908 and the base-corrected form of method.md.
    """

    name: str = "cross-likelihood"
    unit: str = "nats per byte"
    families: frozenset[str] = LIKELIHOOD_FAMILIES
    min_bytes: int = 20
    trim: float = 0.05

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs prompt scoring by the suspect, and by the base or at least two controls."""
        authors = list(sample.candidates)
        if not any(s == "suspect" for s, _ in sample.likelihoods):
            return abstain(self.name, "unsupported", "the suspect can't score given answers (no prompt scoring)")
        corrected = []
        for author in authors:
            texts = sample.candidates[author]
            own = rates(sample.likelihoods.get(("suspect", author)), texts, self.min_bytes)
            base = self._base(sample, author, texts)
            if base is None:
                why = "no base, and fewer than two controls that can score given answers stand in for it"
                return abstain(self.name, "unsupported", why)
            corrected.append(own - base)
        closeness, _ = by_item(sample.units, np.stack(corrected, axis=1))
        return relative(self.name, closeness, authors, rng, trim=self.trim)

    def _base(self, sample: Sample, author: str, texts: Column) -> Array | None:
        if ("base", author) in sample.likelihoods:
            return rates(sample.likelihoods["base", author], texts, self.min_bytes)
        panel = [
            rates(sample.likelihoods[scorer, author], texts, self.min_bytes)
            for scorer in sample.controls
            if scorer != author and (scorer, author) in sample.likelihoods
        ]
        return np.mean(panel, axis=0) if len(panel) >= (2 if author == "reference" else 1) else None


def rates(scored: Column | None, texts: Column, min_bytes: int) -> Array:
    """Log-likelihood per byte ``(n_units,)``; NaN where the answer is missing, too short, or not fully scored."""
    if scored is None:
        return np.full(len(texts), np.nan)
    return np.array([_rate(s, t, min_bytes) for s, t in zip(scored, texts, strict=True)], dtype=np.float64)


def _rate(scored: Completion | None, answer: Completion | None, min_bytes: int) -> float:
    if scored is None or answer is None or not answer.usable or not scored.tokens or scored.finish == "error":
        return float("nan")
    size = len((answer.text or "").encode())
    if size < min_bytes or sum(len(t.token) for t in scored.tokens) < size:
        return float("nan")
    value = scored.logprob / size
    return value if np.isfinite(value) else float("nan")
