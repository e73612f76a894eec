"""``over-represented``: does S overuse the words and phrases that R overuses?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..types import Sample, Score
from .answer_overlap import TEXT_FAMILIES, views
from .base import RESAMPLES, Array, around, assemble, bootstrap, closeness_of, contrasts, held_items
from .terms import beginning, presence, without_prompts
from .texts import Rows, Texts, complete_texts, item_blocks

BUCKETS = 1 << 17
MIN_ANSWERS = 5


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
    resamples: int = RESAMPLES

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs texts only."""
        texts = complete_texts(self.name, sample)
        if isinstance(texts, Score):
            return texts

        def cut(text: str) -> str:
            return beginning(text, self.words)

        n, parties = texts.n_items, len(texts.columns)
        chosen = held_items(n, rng)
        mean, held = self.shares(texts, cut, chosen)
        own = held @ even(len(chosen))

        def resampled(weights: Array) -> Array:
            """One resample at a time: a table of parties x terms stays in the processor's cache, a block does not."""
            drawn = (around(mean, held @ w, own, n, len(chosen)) for w in weights.astype(np.float32))
            return np.stack([closeness(f.reshape(parties, -1), n) for f in drawn])

        observed = closeness(mean.reshape(parties, -1), n)
        replicates = bootstrap(resampled, len(chosen), rng, resamples=self.resamples)
        # A resample holds some items twice, so its profiles are noisier than the data's and all cosines smaller: only
        # the spread of the replicates is used, around what was observed.
        replicates += observed - replicates.mean(axis=0)
        ablations = {
            label: self._value(texts, view) for label, view in (self._ablations(cut) if self.ablate else {}).items()
        }
        return assemble(self.name, contrasts(observed[None])[0], contrasts(replicates), n,
                        closeness_of(observed, texts.names), ablations)  # fmt: skip

    def _ablations(self, cut: Callable[[str], str]) -> dict[str, Callable[[str], str]]:
        def after(view: Callable[[str], str]) -> Callable[[str], str]:
            return lambda text: cut(view(text))

        changed = {label: after(view) for label, view in views().items() if label != "first 40 words"}
        return {"all words": str, **changed}

    def _value(self, texts: Texts, view: Callable[[str], str]) -> float:
        mean, _ = self.shares(texts, view, np.arange(0))
        return float(contrasts(closeness(mean.reshape(len(texts.columns), -1), texts.n_items)[None])[0, 0])

    def shares(self, texts: Texts, view: Callable[[str], str], held: Rows) -> tuple[Array, Any]:
        """The share of an item's draws in which a party uses a term, S first: mean over items ``(parties * n_terms,)``,
        and sparse of the ``held`` items ``(parties * n_terms, m)``.

        Single precision: the bootstrap is bound by memory, and cosines need no more.
        """
        from scipy.sparse import hstack

        equal, start, kept = even(texts.n_items), 0, []
        mean: Any = 0.0
        for block in self.blocks(texts, view):
            stop = start + block.shape[1]
            mean = mean + block @ equal[start:stop]
            inside = held[(held >= start) & (held < stop)] - start
            kept.append(block if len(inside) == block.shape[1] else block[:, inside])
            start = stop
        return np.asarray(mean), hstack(kept, format="csc")

    def blocks(self, texts: Texts, view: Callable[[str], str]) -> Iterator[Any]:
        """The shares of a block of items ``(parties * n_terms, n)``; read twice where there are several."""
        from scipy.sparse import csr_matrix, diags, vstack

        parts = list(item_blocks(texts.units))
        once = self._own(texts, view, parts[0][0]) if len(parts) == 1 else None
        seen = np.zeros((len(texts.columns), BUCKETS))
        for rows, _ in parts:
            seen += [np.asarray(m.sum(axis=0)).ravel() for m in once or self._own(texts, view, rows)]
        parties, answers = (seen > 0).sum(axis=0), seen.sum(axis=0)
        # A term of one party only says nothing about two; dropping it also keeps the bootstrap small.
        kept = np.flatnonzero((parties >= 2) & (answers >= MIN_ANSWERS))
        for rows, item in parts:
            n = int(item[-1]) + 1
            draws = csr_matrix((np.ones(len(item)), (item, np.arange(len(item)))), shape=(n, len(item)))
            mean = diags(1.0 / np.bincount(item)) @ draws
            own = once or self._own(texts, view, rows)
            yield vstack([(mean @ m[:, kept]).T.astype(np.float32) for m in own], format="csc")

    def _own(self, texts: Texts, view: Callable[[str], str], rows: Rows) -> list[Any]:
        found = [presence(column, self.ngram, BUCKETS) for column in texts.view(view, rows)]
        return without_prompts(found, [texts.units[i] for i in rows], self.ngram, BUCKETS)


def even(n: int) -> Array:
    """Equal weights ``(n,)``."""
    return np.full(n, 1.0 / n, dtype=np.float32)


def closeness(shares: Array, n: int) -> Array:
    """Closeness ``(1 + K,)`` from shares of n items ``(parties, n_terms)``, typicality taken off."""
    f = np.maximum(shares, 0.0)  # a share that few of many items are resampled for may fall below 0
    peers = f[1:].mean(axis=0)
    f -= peers
    f /= np.sqrt(peers + 1.0 / n)
    z = np.maximum(f, 0.0, out=f)
    product = np.asarray(z @ z.T, dtype=np.float64)
    norm = np.sqrt(np.diag(product))
    norm[norm == 0] = 1.0  # a party that overuses nothing resembles nobody
    cosine = product / np.outer(norm, norm)
    parties = len(cosine)
    typical = [np.delete(cosine[j, 2:], j - 2 if j >= 2 else []).mean() for j in range(1, parties)]
    return np.asarray(cosine[0, 1:] - typical)
