"""Answers scored by several models: what two of them say at the same *bytes* of a text."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..types import Completion, Sample
from .base import Array

Positions = NDArray[np.intp]
_SPECIAL = re.compile(rb"<[^<>\s]+>")


def stand_ins(sample: Sample, author: str) -> list[str]:
    """Who says how likely the author's text is to a model like S that did not learn it: the base, else the controls.

    A control's own text is left to the other controls, because a model scores its own words too well; the reference's
    needs two of them. Empty where nobody can.
    """
    if ("base", author) in sample.likelihoods:
        return ["base"]
    panel = [c for c in sample.controls if c != author and (c, author) in sample.likelihoods]
    return panel if len(panel) >= (2 if author == "reference" else 1) else []


def scoring(sample: Sample, scorer: str, author: str, row: int) -> Completion | None:
    """One answer scored, or None where it is missing, failed, in parts, or not finite (context overflow, NaN)."""
    column = sample.likelihoods.get((scorer, author))
    answer = sample.candidates[author][row]
    found = None if column is None else column[row]
    if found is None or answer is None or not answer.usable or not found.tokens or found.finish == "error":
        return None
    size = len((answer.text or "").encode())
    whole = sum(len(t.token) for t in found.tokens) >= size
    return found if whole and np.isfinite(found.logprob) else None


def common_starts(scored: Sequence[Completion]) -> tuple[Positions, Positions] | None:
    """Byte offsets at which every scorer begins a token ``(n,)``, and which of its tokens that is ``(scorers, n)``.

    None if the scorers don't spell the same bytes, as where a tokenizer puts a space before a text.
    """
    spelt = {b"".join(t.token for t in c.tokens) for c in scored}
    if len(spelt) != 1:
        return None
    starts = [np.cumsum([0, *(len(t.token) for t in c.tokens[:-1])]) for c in scored]
    offsets = starts[0]
    for other in starts[1:]:
        offsets = np.intersect1d(offsets, other)
    index = np.stack([np.searchsorted(s, offsets) for s in starts])
    return offsets, index


def spans(scored: Sequence[Completion]) -> tuple[Array, Array, Array] | None:
    """The text cut where all scorers cut it: logprob of each span ``(scorers, n)``, nats, its bytes ``(n,)``, and how
    many tokens it is to the scorers ``(scorers, n)``. None if they don't spell the same bytes."""
    joint = common_starts(scored)
    if joint is None:
        return None
    offsets, index = joint
    sizes = np.diff([*offsets, sum(len(t.token) for t in scored[0].tokens)]).astype(np.float64)
    tokens = np.stack([np.diff([*row, len(c.tokens)]) for row, c in zip(index, scored, strict=True)])
    sums = np.stack([np.add.reduceat([t.logprob for t in c.tokens], row) for row, c in zip(index, scored, strict=True)])
    return sums, sizes, tokens.astype(np.float64)


def leading(completion: Completion, position: int) -> tuple[bytes, float] | None:
    """The likeliest token at a position and its margin over the next, nats; None where no alternatives are listed, a
    value is not finite, or it is spelt like a control token, whose spelling is its tokenizer's own."""
    token = completion.tokens[position]
    values = sorted((lp for _, lp in token.top), reverse=True)[:2]
    if not values or not np.isfinite(values[0]) or values[0] > 1e-6:
        return None
    second = values[1] if len(values) > 1 else (-np.inf if token.floor is None else token.floor)
    piece = max(token.top, key=lambda pair: pair[1])[0]
    return None if not piece or _SPECIAL.fullmatch(piece) else (piece, float(values[0] - second))


def agree(a: bytes, b: bytes) -> bool:
    """Whether two next tokens say the same as far as both go: one is the beginning of the other."""
    return a.startswith(b) or b.startswith(a)
