"""Whether an endpoint is one model: what it says when it is asked the same again, after everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..comparators.base import MIN_CONTROLS
from ..comparators.first_tokens import first
from ..comparators.next_token_divergence import js_bits
from ..types import Column, Sample, Score, SelfCheck

FEW = 5  # repeated queries below which nothing is said
NOISE = 0.05  # bits that serving alone may move a distribution: batch sizes, reduced precision
SHARE = 0.5  # of the way to the nearest other model

Scorer = Callable[[Sample], list[Score]]


def repeats(sample: Sample) -> list[SelfCheck]:
    """One check a live party whose next-token queries were repeated word for word.

    d = mean Jensen-Shannon divergence (bits) between first and repeated distribution; e = the same between the party
    and the nearest other one, at the same contexts. Passed unless d exceeds both ``NOISE`` and ``SHARE`` e: then the
    endpoint moved half as far as another model lies away.
    """
    columns = {"suspect": sample.suspect, **sample.candidates}
    out = []
    for name, again in sample.again.items():
        if name in columns and any(u.family == "first-token" and a is not None
                                   for u, a in zip(sample.units, again, strict=True)):  # fmt: skip
            out.append(_repeated(name, again, columns))
    return out


def _repeated(name: str, again: Column, columns: dict[str, Column]) -> SelfCheck:
    rows = [i for i, a in enumerate(again) if first(a) is not None and first(columns[name][i]) is not None]
    check = f"repeat {name}"
    if len(rows) < FEW:
        return SelfCheck(check, None, f"{len(rows)} next-token queries were answered twice: too few to compare")
    own = _mean(columns[name], again, rows)
    others = {n: _mean(again, c, rows) for n, c in columns.items() if n != name}
    near = min(others, key=lambda n: (others[n], n))
    passed = own <= max(NOISE, SHARE * others[near])
    detail = (
        f"{len(rows)} next-token queries repeated at the end: they moved by {own:.3f} bits on average; the nearest "
        f"other model, {near}, lies {others[near]:.3f} bits away"
    )
    return SelfCheck(check, passed, detail)


def _mean(left: Column, right: Column, rows: Sequence[int]) -> float:
    pairs = [(first(left[i]), first(right[i])) for i in rows]
    known = [js_bits(a, b)[0] for a, b in pairs if a is not None and b is not None]
    return float(np.mean(known)) if known else float("inf")


def against_itself(sample: Sample, score: Scorer, stands_out: Callable[[Score], bool]) -> SelfCheck | None:
    """The suspect's second draw offered as suspect, with its own first answers in the reference's place.

    One model resembles itself more than it resembles others; an endpoint behind which models change need not. None for
    a suspect that was not asked again.
    """
    again, check = sample.again.get("suspect"), "suspect-against-itself"
    if again is None or not any(a is not None and a.usable and u.family != "first-token"
                                for a, u in zip(again, sample.units, strict=True)):  # fmt: skip
        return None
    pairs = [(a.text, b.text) for a, b in zip(again, sample.suspect, strict=True) if a and b and a.text and b.text]
    if sum(a == b for a, b in pairs) > 0.5 * len(pairs):
        return SelfCheck(check, None, "the suspect repeats itself word for word: a second draw shows nothing")
    others = {**sample.controls, "reference": sample.reference}
    if len(others) < MIN_CONTROLS:
        return SelfCheck(check, None, f"fewer than {MIN_CONTROLS} other models to set it against")
    offered = Sample(sample.units, again, sample.suspect, others)
    # Not the next-token queries: those were repeated word for word, and `repeats` judges them.
    ok = [s for s in score(offered.rows(lambda u: u.family != "first-token")) if s.status == "ok"]
    if not ok:
        return SelfCheck(check, None, "a second draw of the suspect: nothing could be measured")
    good = [s.comparator for s in ok if stands_out(s)]
    stands = f"stands out from the other models on {len(good)} of {len(ok)} comparators"
    detail = f"a second draw of the suspect, held against its first: {stands}"
    return SelfCheck(check, bool(good), detail)
