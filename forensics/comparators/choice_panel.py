"""``choice-panel``: free one-word choices, asked many times: does S choose as R does?"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..types import Sample, Score
from .base import MIN_ITEMS, RESAMPLES, Array, abstain, point, relative
from .texts import Rows, Texts, Told, complete_texts, item_blocks

WORD = re.compile(r"\w+(?:['’-]\w+)*")
LONGEST_READ = 200  # characters of an answer that are looked at
LONGEST = 3  # words of an answer that still counts as a choice
MOST = 0.8  # share of the candidates' answers to an item that must be choices
BET = 0.5  # share of the largest bet that keeps the wealth positive


@dataclass(frozen=True, slots=True)
class ChoicePanel:
    """Closeness of S's choices to each candidate's, over items that are asked at least ``min_draws`` times:

        c_ij = - JSD(p_iS, p_ij) + mean_{k != j} JSD(p_ij, p_ik)        bits; k over controls

    p_iM: shares of M's answers to item i, by first word without case, punctuation, markdown and preamble. The second
    term is typicality; it also takes off the bias of the plug-in divergence, about (answers seen - 1) / (4 n ln 2) bits
    for n draws, as far as that is the candidate's own. Items that the candidates do not answer in a word, and items
    where S shares no answer with any of them, say nothing and are left out. Null hypothesis: the candidate is not S's
    teacher.

    Ablations: typicality not subtracted; answers as written; S's Good-Turing missing mass (share of its answers that
    occurred once: the chance that its next answer is a new one); and log10 of an e-value for "in closeness to R, S is
    exchangeable with the controls at each item, given the items before". With h_t = 1 if S is the nearest of S and the
    controls to R at item t (1/g if g are) and π0 = 1 / (K + 1), which is its mean under that null,

        W_t = W_{t-1} (1 + λ_t (h_t - π0)),  λ_t = what a bettor would stake on the share won so far, in [0, 1/π0)

    is a martingale, so that Pr(sup W_t >= 1/α) <= α whenever one stops (Ville). It rejects "S is like the controls",
    which is less than "S was taught by R". After the choice panels of fpverify and 2410.20247.
    """

    name: str = "choice-panel"
    unit: str = "bits"
    families: frozenset[str] = frozenset({"choice", "writing"})
    min_draws: int = 5
    ablate: bool = True
    resamples: int = RESAMPLES

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs texts only, and many draws of an item."""
        texts = complete_texts(self.name, sample)
        if isinstance(texts, Score):
            return texts
        seen = self._measured(texts, choice)
        asked = len(seen.closeness)
        if asked < MIN_ITEMS:
            why = (
                f"{asked} items were answered in a word, {self.min_draws} times or more, by every party: at least "
                f"{MIN_ITEMS} are needed"
            )
            return abstain(self.name, "insufficient", why, n=asked)
        if np.isfinite(seen.closeness).all(axis=1).sum() < MIN_ITEMS:
            why = f"the suspect shares an answer with any candidate on fewer than {MIN_ITEMS} of {asked} items"
            return abstain(self.name, "insufficient", why, n=asked)
        ablations: dict[str, float | None] = {
            "typicality not subtracted": point(seen.level),
            "missing mass of the suspect's answers": float(seen.missing.mean()),
            "log10 e-value, S against the controls": float(log_wealth(seen.won, seen.level.shape[1])[-1]),
        }
        if self.ablate:
            ablations["answers as written"] = point(self._measured(texts, str.strip).closeness)
        return relative(self.name, seen.closeness, texts.names, rng, resamples=self.resamples, ablations=ablations)

    def _measured(self, texts: Texts, read: Callable[[str], str]) -> Measured:
        """What is kept of the items that count: a few numbers each."""
        k = len(texts.columns) - 1
        parts = [Measured(np.empty((0, k)), np.empty((0, k)), np.empty(0), np.empty(0))]
        for rows, item in item_blocks(texts.units):
            draws = np.split(rows, np.flatnonzero(np.diff(item)) + 1)
            panel = [[[read(t) for t in column[r]] for column in texts.columns]
                     for r in draws if len(r) >= self.min_draws and _chosen(texts.columns[1:], r)]  # fmt: skip
            if panel:
                divergence = divergences(panel)
                missing = np.array([missing_mass(item[0]) for item in panel])
                parts.append(Measured(typical(divergence), -divergence[:, 0, 1:], wins(divergence), missing))
        return Measured(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class Measured(NamedTuple):
    """By item: closeness ``(n, 1 + K)``, the same without typicality, h of `ChoicePanel`, and S's missing mass."""

    closeness: Array
    level: Array
    won: Array
    missing: Array


def choice(text: str) -> str:
    """The first word of an answer, without case, punctuation, markdown and preamble; the answer if it has no word."""
    from fingerprints.views import strip_markdown, strip_preamble

    plain = unicodedata.normalize("NFKC", text[:LONGEST_READ]).strip()
    for view in (strip_markdown, strip_preamble):
        plain = view(plain).strip() or plain
    word = WORD.search(plain)
    return (word.group() if word else plain).casefold()


def _chosen(columns: Sequence[Told], rows: Rows) -> bool:
    short = [len(WORD.findall(text[:LONGEST_READ])) <= LONGEST for column in columns for text in column[rows]]
    return sum(short) >= MOST * len(short)


def divergences(panel: Sequence[Sequence[Sequence[str]]]) -> Array:
    """Jensen-Shannon divergences in bits ``(n_items, P, P)`` between the parties' answers to each item, S first."""
    from scipy.spatial.distance import jensenshannon

    out = []
    for item in panel:
        counts = [Counter(answers) for answers in item]
        seen = list(dict.fromkeys(answer for count in counts for answer in count))
        shares = np.array([[count[answer] for answer in seen] for count in counts], dtype=np.float64)
        # Rounding can leave the square of a distance a little below 0, which its root turns into NaN.
        distance = jensenshannon(shares[:, None, :], shares[None, :, :], base=2, axis=2)
        out.append(np.nan_to_num(distance) ** 2)
    return np.stack(out)


def typical(divergence: Array) -> Array:
    """Closeness ``(n_items, 1 + K)``, typicality subtracted; NaN where S shares no answer with any candidate."""
    k = divergence.shape[1] - 2
    own = divergence[:, 1:, 2:].sum(axis=2)  # to the controls; a control's divergence from itself is 0
    closeness = -divergence[:, 0, 1:] + own / np.array([k] + [k - 1] * k)
    apart = np.all(divergence[:, 0, 1:] > 1.0 - 1e-9, axis=1, keepdims=True)
    return np.where(apart, np.nan, closeness)


def missing_mass(answers: Sequence[str]) -> float:
    """Good-Turing estimate of the probability that the next answer is one not seen yet: answers seen once over n."""
    return sum(n == 1 for n in Counter(answers).values()) / len(answers)


def wins(divergence: Array) -> Array:
    """h ``(n_items,)``: 1 / g if S is among the g nearest of S and the controls to R, else 0."""
    rivals = divergence[:, [0, *range(2, divergence.shape[1])], 1]
    nearest = rivals <= rivals.min(axis=1, keepdims=True) + 1e-9
    return np.where(nearest[:, 0], 1.0 / nearest.sum(axis=1), 0.0)


def log_wealth(h: Array, parties: int) -> Array:
    """log10 W_t ``(n_items,)`` of `ChoicePanel` for outcomes ``h`` of mean 1 / ``parties`` under the null."""
    rate = 1.0 / parties
    won = np.concatenate([[0.0], np.cumsum(h)[:-1]])
    share = (rate + won) / (1.0 + np.arange(len(h)))  # before item t; starts at the null rate
    stake = np.clip((share - rate) / (rate * (1.0 - rate)), 0.0, BET / rate)
    return np.asarray(np.cumsum(np.log10(1.0 + stake * (h - rate))))
