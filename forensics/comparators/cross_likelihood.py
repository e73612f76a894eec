"""``cross-likelihood``: did training raise S's likelihood of R's answers more than of the controls' answers?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..types import Column, Completion, Sample, Score
from .base import RESAMPLES, Array, abstain, by_item, relative, win_rate
from .provenance import provenance
from .scored import scoring, stand_ins

LIKELIHOOD_FAMILIES = frozenset({"writing", "layout", "reasoning", "multilingual"})


@dataclass(frozen=True, slots=True)
class CrossLikelihood:
    """Base-corrected log-likelihood gain per byte of the candidates' own answers:

        c_ij = [ l_S(y_i^j | x_i) - l_B(y_i^j | x_i) ] / bytes(y_i^j)          nats per byte

    y^j written by candidate j, l summed over tokens, per byte because parties tokenise differently. Without a base the
    controls stand in for it: l_B is the mean over the controls other than j itself (a model scores its own words too
    well). The value is then that of the scorer x author residual of method.md 2.1: the least-squares fit of one effect
    a scorer and one an author to those cells gives the same contrast, as every control is missing from one panel.
    Answers under ``min_bytes`` are left out and 5 % of items trimmed at either end, because short answers make per-byte
    rates heavy-tailed. Null hypothesis: the candidate is not S's teacher; R's text may just be easier to fit, which is
    why the null is controls in R's place, and the calibration negative lineages.
    After 2512.20908 and the base-corrected form of method.md.

    Ablations: the win rate over items and, where R scored its own answers and there is a base, the shares of R's
    sentences that S learnt, had boosted or had anyway (`provenance`), the first also less the controls' mean.
    Cost: nothing is generated; every answer of reference and controls is scored by the suspect and the base (without
    one, the controls): 2 (K + 1) scorings an item with K controls, of as many tokens as the answers have.
    """

    name: str = "cross-likelihood"
    unit: str = "nats per byte"
    families: frozenset[str] = LIKELIHOOD_FAMILIES
    min_bytes: int = 20
    trim: float = 0.05
    ablate: bool = True
    resamples: int = RESAMPLES

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs prompt scoring by the suspect, and by the base or at least two controls."""
        closeness = self.gains(sample)
        if isinstance(closeness, str):
            return abstain(self.name, "unsupported", closeness)
        ablations = self._ablations(sample, closeness) if self.ablate else {}
        return relative(self.name, closeness, list(sample.candidates), rng, trim=self.trim, resamples=self.resamples,
                        ablations=ablations)  # fmt: skip

    def gains(self, sample: Sample) -> Array | str:
        """c ``(n_items, 1 + K)``, reference first, nats per byte; or why they can't be measured."""
        if not any(s == "suspect" for s, _ in sample.likelihoods):
            return "the suspect can't score given answers (no prompt scoring)"
        own, behind = [], []
        for author in sample.candidates:
            standing = stand_ins(sample, author)
            if not standing:
                return "no base, and fewer than two controls that can score given answers stand in for it"
            own.append(self._rates(sample, "suspect", author))
            behind.append(np.mean([self._rates(sample, s, author) for s in standing], axis=0))
        return by_item(sample.units, np.stack(own, axis=1) - np.stack(behind, axis=1))[0]

    def _rates(self, sample: Sample, scorer: str, author: str) -> Array:
        return rates(sample.likelihoods.get((scorer, author)), sample.candidates[author], self.min_bytes)

    def _ablations(self, sample: Sample, closeness: Array) -> dict[str, float | None]:
        out = {"win rate over items": win_rate(closeness)}
        shares = {author: sentence_shares(sample, author) for author in sample.candidates}
        mine = shares["reference"]
        if mine:
            out |= {f"sentences {label}": mine[label] for label in ("teacher-originated", "boosted", "shared")}
            others = [s["teacher-originated"] for author, s in shares.items() if author != "reference" and s]
            if others:
                least = mine["teacher-originated"] - float(np.mean(others))
                out["sentences teacher-originated, less the controls'"] = least
        return out


def sentence_shares(sample: Sample, author: str) -> dict[str, float] | None:
    """Shares of the author's sentences by label of `provenance`; None where S, base or author can't score them."""
    found: Counter[str] = Counter()
    for row, answer in enumerate(sample.candidates[author]):
        scored = [scoring(sample, s, author, row) for s in ("suspect", "base", author)]
        suspect, base, own = scored
        if answer is not None and answer.text and suspect is not None and base is not None and own is not None:
            found.update(s.label for s in provenance(answer.text, suspect, base, own))
    total = sum(found.values())
    labels = ("teacher-originated", "not learnt", "boosted", "shared")
    return {label: found[label] / total for label in labels} if total else None


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
