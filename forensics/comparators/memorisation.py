"""``memorisation``: does S know the words of R's answers that nobody would guess?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..types import Column, Sample, Score
from .base import RESAMPLES, Array, abstain, by_item, relative
from .cross_likelihood import LIKELIHOOD_FAMILIES
from .scored import scoring, spans, stand_ins


@dataclass(frozen=True, slots=True)
class Memorisation:
    """Base-corrected gain on the ``share`` of j's answer that the base finds least likely, nats per byte:

        c_ij = sum_{t in T} [ l_S(t) - l_B(t) ] / bytes(T),        T = the ceil(share n) spans with least l_B per token

    Spans t: j's answer cut where all scorers cut it, so other tokenizers compare; their l is a sum over tokens. T is
    chosen by the base alone. Without a base, l_B is the mean over controls other than j, as in `cross-likelihood`.
    What the base finds unlikely becomes likelier under almost any further training, for every author's text alike:
    that is why it is j against the controls on the *same prompts*, never against text of another date. Answers under
    ``min_bytes`` are left out, and 5 % of items trimmed at either end. Null hypothesis: the candidate is not S's
    teacher.

    Ablation "token-probability deviation": mean over items of max(0, tau - p) over S's own tokens, as the mean of the
    controls' less S's, where generated log-probs are recorded: prompts that S was trained on are answered with less
    hesitation. It names no candidate. Cost: what `cross-likelihood` costs. Source: Min-K% [2404.02936 and 2310.16789]
    against a base in place of a threshold; deviation after 2510.04850.
    """

    name: str = "memorisation"
    unit: str = "nats per byte"
    families: frozenset[str] = LIKELIHOOD_FAMILIES
    share: float = 0.2
    tau: float = 1.0
    min_bytes: int = 20
    trim: float = 0.05
    ablate: bool = True
    resamples: int = RESAMPLES

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs prompt scoring by the suspect, and by the base or at least two controls."""
        if not any(s == "suspect" for s, _ in sample.likelihoods):
            return abstain(self.name, "unsupported", "the suspect can't score given answers (no prompt scoring)")
        authors = list(sample.candidates)
        behind = {author: stand_ins(sample, author) for author in authors}
        if not all(behind.values()):
            why = "no base, and fewer than two controls that can score given answers stand in for it"
            return abstain(self.name, "unsupported", why)
        gains = [[self._gain(sample, a, behind[a], row) for a in authors] for row in range(len(sample.units))]
        closeness, _ = by_item(sample.units, np.array(gains, dtype=np.float64).reshape(-1, len(authors)))
        ablations = {"token-probability deviation": self._deviation(sample)} if self.ablate else {}
        return relative(self.name, closeness, authors, rng, trim=self.trim, resamples=self.resamples,
                        ablations=ablations)  # fmt: skip

    def _gain(self, sample: Sample, author: str, behind: list[str], row: int) -> float:
        scored = [c for s in ("suspect", *behind) if (c := scoring(sample, s, author, row)) is not None]
        cut = spans(scored) if len(scored) == 1 + len(behind) else None
        if cut is None or cut[1].sum() < self.min_bytes:
            return float("nan")
        return hardest(*cut, share=self.share)

    def _deviation(self, sample: Sample) -> float | None:
        """Mean over the items that all of S and the controls answered with log-probs; None where fewer than 30 are."""
        columns = [[deviation_of(c, i, self.tau) for i in range(len(sample.units))]
                   for c in (sample.suspect, *sample.controls.values())]  # fmt: skip
        items, _ = by_item(sample.units, np.array(columns, dtype=np.float64).T.reshape(-1, len(columns)))
        items = items[np.isfinite(items).all(axis=1)]
        return float((items[:, 1:].mean(axis=1) - items[:, 0]).mean()) if len(items) >= 30 else None


def hardest(logprob: Array, sizes: Array, tokens: Array, *, share: float) -> float:
    """Gain of scorer 0 over the mean of the others on the hardest spans, nats per byte; shapes as `spans` returns.

    Hardest: least mean log-prob a token under the mean of the others; ties keep the text's order.
    """
    behind = logprob[1:].mean(axis=0)
    order = np.argsort(behind / tokens[1:].mean(axis=0), kind="stable")
    chosen = order[: int(np.ceil(share * len(order)))]
    return float((logprob[0, chosen] - behind[chosen]).sum() / max(sizes[chosen].sum(), 1.0))


def deviation_of(column: Column, row: int, tau: float) -> float:
    """Mean over a generated answer's tokens of max(0, tau - p); NaN without usable text and finite log-probs."""
    c = column[row]
    if c is None or not c.usable or not c.tokens or not np.isfinite(c.logprob):
        return float("nan")
    return float(np.mean([max(0.0, tau - np.exp(t.logprob)) for t in c.tokens]))
