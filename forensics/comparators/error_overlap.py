"""``error-overlap``: where both are wrong, does S give R's wrong answer?"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..types import Column, Sample, Score, Unit
from .base import MIN_ITEMS, RESAMPLES, Array, abstain, item_rows, relative, usable_texts
from .first_tokens import Lists, lists

LONG, TAIL = 40, 25  # words: of a longer answer only the end is read, where a worked solution says its result
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_WORD = re.compile(r"\w+")
_EMPTY = frozenset(
    "a an and are as at be by for from has have i in is it its of on or so that the this to was were which with".split()
)
Key = frozenset[str]


@dataclass(frozen=True, slots=True)
class ErrorOverlap:
    """Agreement on wrong answers, beyond what pairs of controls show where both of them are wrong:

        c_ij = b_ij (s_ij - q),    b = both S and j are wrong at item i,  s = with the same wrong answer      -1 … 1

    q = share of equal wrong answers among all cases in which two controls are both wrong. Conditioning on *both wrong*
    matches pairs on accuracy: a candidate that errs more often shares no more expected excess than one that errs
    seldom. Right: an accepted answer of the item (`Item.answer`) occurs. A wrong answer is, where a number was wanted,
    the number given that the question does not contain, else the words without those of the question and function
    words; the same if at least half of the words of both together are common. With several draws of an item, every
    draw of S meets every draw of j. Null hypothesis: the candidate is not S's teacher; popular mistakes are shared with
    the controls too.

    Status unsupported where no item has a known answer, insufficient where S is wrong on fewer than ``min_wrong``. The
    ablation "kappa_p of first tokens" is CAPA [2502.04313] of S and R less the controls' mean, over next-token lists at
    the same questions; options are the listed tokens, all beginnings of an accepted answer being one.
    Cost: one request an item and party, two with log-probs. Source: method.md 2.5, after 2502.04313 and 2506.07962.
    """

    name: str = "error-overlap"
    unit: str = "excess share of equal wrong answers"
    families: frozenset[str] = frozenset({"facts", "reasoning", "first-token"})
    min_wrong: int = 10
    ablate: bool = True
    resamples: int = RESAMPLES

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs texts, and a suite that knows the answers."""
        known = [i for i, u in enumerate(sample.units) if u.request.answer and u.family != "first-token"]
        if not known:
            return abstain(self.name, "unsupported", "no item of this suite has a known answer")
        columns = [usable_texts(c) for c in (sample.suspect, *sample.candidates.values())]
        rows = [i for i in known if all(c[i] for c in columns)]
        said = [[wrong_answer(str(c[i]), sample.units[i]) for i in rows] for c in columns]
        index, items = item_rows([sample.units[i] for i in rows])
        draws = [[[key for key, k in zip(column, index, strict=True) if k == row] for row in range(len(items))]
                 for column in said]  # fmt: skip
        wrong = sum(any(key is not None for key in keys) for keys in draws[0])
        if len(items) >= MIN_ITEMS and wrong < self.min_wrong:
            why = f"the suspect is wrong on {wrong} items with a known answer: at least {self.min_wrong} are needed"
            return abstain(self.name, "insufficient", why, n=wrong)
        closeness = excess(draws).reshape(-1, len(draws) - 1)
        ablations = {"kappa_p of first tokens": self._capa(sample)} if self.ablate else {}
        return relative(self.name, closeness, list(sample.candidates), rng, resamples=self.resamples,
                        ablations=ablations)  # fmt: skip

    def _capa(self, sample: Sample) -> float | None:
        """CAPA of S with R less its mean with the controls; None without lists of every party at known questions."""
        part = sample.rows(lambda u: u.family == "first-token" and bool(u.request.answer))
        values = capa([part.suspect, *part.candidates.values()], part.units)
        return float(values[0] - values[1:].mean()) if np.isfinite(values).all() and len(values) > 1 else None


def excess(said: Sequence[Sequence[Sequence[Key | None]]]) -> Array:
    """c ``(n_items, 1 + K)`` from the wrong answers (None: right) by party (S, R, controls), item and draw."""
    both = [_both(one[i], other[i]) for one, other in combinations(said[2:], 2) for i in range(len(one))]
    pairs = [same(a, b) for found in both for a, b in found]
    usual = sum(pairs) / len(pairs) if pairs else 0.0
    out = np.zeros((len(said[0]), len(said) - 1))
    for j, other in enumerate(said[1:]):
        for i, (mine, theirs) in enumerate(zip(said[0], other, strict=True)):
            total = sum(same(a, b) - usual for a, b in _both(mine, theirs))
            out[i, j] = total / (len(mine) * len(theirs))
    return out


def _both(one: Sequence[Key | None], other: Sequence[Key | None]) -> list[tuple[Key, Key]]:
    """All pairs of draws that are both wrong."""
    return [(a, b) for a in one if a is not None for b in other if b is not None]


def same(a: Key, b: Key) -> bool:
    """Whether two wrong answers are the same: half of their words together are common. No answer is like no other."""
    return bool(a & b) and 2 * len(a & b) >= len(a | b)


def wrong_answer(text: str, unit: Unit) -> Key | None:
    """What was answered in place of an accepted answer, as words: None if the answer is right, empty if it is none."""
    accepted = [_plain(a) for a in unit.request.answer]
    asked = _plain(" ".join(m.content for m in unit.request.messages) or unit.request.prompt or "")
    answer = _plain(text)
    words = answer.split()
    long = len(words) > LONG
    answer = " ".join(words[-TAIL:]) if long else answer
    if any(re.search(rf"(?<!\w)(?<!\d[.,:/-]){re.escape(a)}(?!\w)(?![.,:/-]\d)", answer) for a in accepted):
        return None
    if any(_NUMBER.search(a) for a in accepted):
        stated = set(_NUMBER.findall(asked))
        numbers = [n for n in _NUMBER.findall(answer) if n not in stated]
        return frozenset(numbers[-1:] if long else numbers[:1])
    return frozenset(_WORD.findall(answer)) - frozenset(_WORD.findall(asked)) - _EMPTY


def _plain(text: str) -> str:
    """Compatibility forms and case folded, commas out of thousands."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", folded)


def capa(columns: Sequence[Column], units: Sequence[Unit]) -> Array:
    """Chance-adjusted probabilistic agreement kappa_p of column 0 with every other ``(columns - 1,)``:

        kappa_p = (o - e) / (1 - e),                        o = mean_x sum_t p_1(t) p_2(t)
        e = a_1 a_2 + (1 - a_1)(1 - a_2) mean_x 1 / (|x| - 1)

    a: mean mass on right tokens, |x| the options at x: one for all right tokens, one for every other listed token.
    NaN without contexts that all parties have lists at.
    """
    seen: list[tuple[Array, Array, float]] = []
    for table in lists(columns):
        for c in np.flatnonzero(~np.isnan(table.floor).any(axis=0)):
            seen.append(_options(table, int(c), units[table.rows[c]].request.answer))
    if not seen:
        return np.full(max(len(columns) - 1, 0), np.nan)
    right = np.stack([r for r, _, _ in seen])
    observed = np.stack([o for _, o, _ in seen]).mean(axis=0)
    accuracy, chance = right.mean(axis=0), float(np.mean([1.0 / n for _, _, n in seen]))
    expected = accuracy[0] * accuracy[1:] + (1.0 - accuracy[0]) * (1.0 - accuracy[1:]) * chance
    return np.asarray((observed - expected) / np.maximum(1.0 - expected, 1e-9))


def _options(table: Lists, c: int, accepted: Sequence[str]) -> tuple[Array, Array, float]:
    """At one context: mass on right tokens ``(parties,)``, agreement with party 0 ``(parties - 1,)``, and how many
    wrong options there are (at least 1)."""
    span = slice(table.start[c], table.start[c + 1] if c + 1 < len(table.start) else None)
    mass = np.exp(np.nan_to_num(table.logprob[:, span], nan=-np.inf))
    begun = [_plain(t.decode("utf-8", errors="ignore")).strip() for t in table.tokens[span]]
    good = np.array([bool(t) and any(_plain(a).startswith(t) for a in accepted) for t in begun])
    right, wrong = mass[:, good].sum(axis=1), mass[:, ~good]
    return right, right[0] * right[1:] + wrong[1:] @ wrong[0], float(max(wrong.shape[1], 1))
