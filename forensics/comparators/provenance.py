"""Where the sentences of a reference's answer come from: known to the base before, or learnt since?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..types import Completion

Label = Literal["teacher-originated", "boosted", "shared", "not learnt"]
MARGIN = 0.05  # nats per byte: a difference of rates that counts
_END = re.compile(r"(?<=[.!?])\s+|\n+|(?<=[。！？])")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of R's answer with its log-likelihood under suspect, base and reference, nats per byte."""

    text: str
    label: Label
    suspect: float
    base: float
    reference: float


def sentences(text: str) -> list[str]:
    """The text in sentences, each with the space that follows it: they join to the text."""
    ends = [m.end() for m in _END.finditer(text) if m.end() < len(text)]
    return [part for a, b in zip([0, *ends], [*ends, len(text)], strict=True) if (part := text[a:b])]


def provenance(
    text: str, suspect: Completion, base: Completion, reference: Completion, *, margin: float = MARGIN
) -> tuple[Sentence, ...]:
    """R's answer ``text``, scored by suspect, base and R itself, sentence by sentence. With rates l in nats per byte:

        teacher-originated  l_R - l_B >= margin, and S is nearer to R than to the base: l_S >= (l_R + l_B) / 2
        not learnt          l_R - l_B >= margin, and S is not
        boosted             l_R - l_B < margin: the base had it already, but l_S - l_B >= margin
        shared              l_R - l_B < margin, and S has it as the base had it

    A token belongs to the sentence in which it begins. After the classes that 2512.20908 gives to a student's own
    sentences; here the teacher's are classed, so "student-originated" has no counterpart. A description, never a
    finding by itself: any further training boosts sentences.
    """
    parts = sentences(text)
    sizes = np.array([len(p.encode()) for p in parts], dtype=np.float64)
    rates = [_sums(c, sizes) / np.maximum(sizes, 1.0) for c in (suspect, base, reference)]
    return tuple(
        Sentence(p, _label(s, b, r, margin), s, b, r)
        for p, s, b, r in zip(parts, *(map(float, x) for x in rates), strict=True)
    )


def _sums(scored: Completion, sizes: Sequence[float] | np.ndarray) -> np.ndarray:
    starts = np.cumsum([0, *(len(t.token) for t in scored.tokens)])[:-1]
    which = np.minimum(np.searchsorted(np.cumsum(sizes), starts, side="right"), len(sizes) - 1)
    return np.bincount(which, weights=[t.logprob for t in scored.tokens], minlength=len(sizes))


def _label(suspect: float, base: float, reference: float, margin: float) -> Label:
    if reference - base >= margin:
        return "teacher-originated" if suspect >= (reference + base) / 2 else "not learnt"
    return "boosted" if suspect - base >= margin else "shared"
