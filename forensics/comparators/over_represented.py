"""``over-represented``: does S overuse the words and phrases that R overuses?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..types import Sample, Score
from .answer_overlap import TEXT_FAMILIES, views
from .base import Array, Texts, assemble, bootstrap, closeness_of, complete_texts, contrasts, item_rows
from .terms import presence, without_prompts

BUCKETS = 1 << 17
MIN_ANSWERS = 3


@dataclass(frozen=True, slots=True)
class OverRepresented:
    """Words and n-grams that a model uses in more answers than its peers do, shared by S and a candidate.

    f_j(t) = share of items in which party j uses term t (words and n-grams up to ``ngram`` among its first ``words``
    words; terms of the item's own prompt do not count). With f(t) the mean over the candidates and n items,
    z_j(t) = sqrt(n) (f_j(t) - f(t)) / sqrt(f(t) + 1/n), cut at 0 from below: what is *over*-represented. Closeness of S
    to j is cos(z_S, z_j), less j's typicality: the mean of cos(z_k, z_j) over the other controls k. Unit: cosine, -1 …
    1; the value, a difference of two, lies in -2 … 2. Null hypothesis: the candidate is not S's teacher.

    S has no part in f, so it cannot move the yardstick. Equal numbers of words are read from everybody because over
    whole answers length and topic drown the habit (measured on public models: ablation "all words"). Idea: Monroe,
    Colaresi & Quinn 2008 (over-use against peers); slop lists.
    """

    name: str = "over-represented"
    unit: str = "cosine"
    families: frozenset[str] = TEXT_FAMILIES
    ngram: int = 3
    words: int = 40
    ablate: bool = True

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs texts only."""
        from fingerprints.views import first_words

        texts = complete_texts(self.name, sample)
        if isinstance(texts, Score):
            return texts

        def cut(text: str) -> str:
            return first_words(text, self.words)

        shares = self.shares(texts, cut)
        n = texts.n_items
        observed = closeness(shares, np.full((1, n), 1.0 / n))
        replicates = bootstrap(lambda w: closeness(shares, w), n, rng, block=16)
        ablations = {
            label: self._value(texts, view) for label, view in (self._ablations(cut) if self.ablate else {}).items()
        }
        return assemble(self.name, contrasts(observed)[0], contrasts(replicates), n,
                        closeness_of(observed[0], texts.names), ablations)  # fmt: skip

    def _ablations(self, cut: Callable[[str], str]) -> dict[str, Callable[[str], str]]:
        changed = {label: view for label, view in views().items() if label != "first 40 words"}
        return {"all words": str, **{k: lambda text, view=v: cut(view(text)) for k, v in changed.items()}}

    def _value(self, texts: Texts, view: Callable[[str], str]) -> float:
        n = texts.n_items
        return float(contrasts(closeness(self.shares(texts, view), np.full((1, n), 1.0 / n)))[0, 0])

    def shares(self, texts: Texts, view: Callable[[str], str]) -> list[Any]:
        """Per party (S, then candidates) a sparse ``(n_items, n_terms)`` with the share of draws that use the term."""
        from scipy.sparse import csr_matrix, diags

        index, items = item_rows(texts.units)
        counts = np.bincount(index, minlength=len(items))
        draws = csr_matrix((np.ones(len(index)), (index, np.arange(len(index)))), shape=(len(items), len(index)))
        mean = diags(1.0 / counts) @ draws
        found = [presence(tuple(column), self.ngram, BUCKETS) for column in texts.view(view)]
        own = without_prompts(found, texts.units, self.ngram, BUCKETS)
        # A term of one party only says nothing about two; dropping it also keeps the bootstrap small.
        parties = np.sum([np.asarray(m.sum(axis=0)).ravel() > 0 for m in own], axis=0)
        answers = np.sum([np.asarray(m.sum(axis=0)).ravel() for m in own], axis=0)
        kept = np.flatnonzero((parties >= 2) & (answers >= MIN_ANSWERS))
        return [(mean @ m[:, kept]).astype(np.float32).tocsr() for m in own]


def closeness(shares: list[Any], weights: Array) -> Array:
    """Closeness ``(B, 1 + K)`` under item weights ``(B, n_items)``, typicality taken off."""
    n = weights.shape[1]
    # Single precision: the bootstrap is bound by memory, and the cosines need no more than six digits.
    f = np.stack([(m.T @ weights.T.astype(np.float32)).T for m in shares], axis=1)  # (B, 2 + K, terms)
    peers = f[:, 1:].mean(axis=1, keepdims=True)
    f -= peers
    f /= np.sqrt(peers + 1.0 / n)
    z = np.maximum(f, 0.0, out=f)
    product = z @ z.transpose(0, 2, 1)
    norm = np.sqrt(np.einsum("bpp->bp", product))
    norm[norm == 0] = 1.0  # a party that overuses nothing resembles nobody
    cosine = product / norm[:, :, None] / norm[:, None, :]
    parties = cosine.shape[1]
    out = np.empty((len(weights), parties - 1))
    for j in range(1, parties):
        others = [k for k in range(2, parties) if k != j]
        out[:, j - 1] = cosine[:, 0, j] - cosine[:, j, others].mean(axis=1)
    return out
