"""Next-token lists of several parties as one table, keyed by token *bytes*: what the first-token comparators read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..types import Column, Completion, Sample, Score, TokenLogprob, Unit
from .base import Array, abstain, by_item

ENTRIES = 1 << 20  # listed tokens read at a time: memory does not grow with contexts times vocabulary


@dataclass(frozen=True, slots=True)
class Lists:
    """Some contexts, each with the union of the tokens that any party lists there.

    ``rows``: which of the sample's units the contexts are ``(c,)``. ``start``: where each context's tokens begin in the
    table ``(c,)``; tokens of a context lie together. ``logprob``: nats ``(parties, n)``, NaN where the party does not
    list the token. ``floor``: the largest logprob that an unlisted token can have ``(parties, c)``; -inf where the
    list is the whole vocabulary, NaN where the party has no list. ``tokens``: their bytes ``(n,)``.
    """

    rows: NDArray[np.intp]
    start: NDArray[np.intp]
    logprob: Array
    floor: Array
    tokens: tuple[bytes, ...]

    @property
    def context(self) -> NDArray[np.intp]:
        """Which context each token belongs to ``(n,)``."""
        return np.repeat(np.arange(len(self.start)), np.diff([*self.start, len(self.tokens)]))

    def total(self, values: Array) -> Array:
        """Sums over the tokens of each context: ``(..., n) -> (..., c)``."""
        return np.asarray(np.add.reduceat(values, self.start, axis=-1))


def lists(columns: Sequence[Column], censor: int | None = None) -> Iterator[Lists]:
    """The parties' lists in blocks of contexts; a context that nobody has a list of is left out.

    ``censor``: keep that many of the likeliest tokens, as an endpoint would that lists no more.
    """
    block: list[int] = []
    held = 0
    for i in range(len(columns[0]) if columns else 0):
        size = sum(len(c.tokens[0].top) for c in (column[i] for column in columns) if c is not None and c.tokens)
        if block and held + size > ENTRIES:
            yield from _table(columns, block, censor)
            block, held = [], 0
        if size:
            block.append(i)
            held += size
    yield from _table(columns, block, censor)


def _table(columns: Sequence[Column], rows: Sequence[int], censor: int | None) -> Iterator[Lists]:
    listed = {
        (p, i): censored(token, censor)
        for i in rows
        for p, column in enumerate(columns)
        if (token := first(column[i])) is not None
    }
    kept = [i for i in rows if any((p, i) in listed for p in range(len(columns)))]
    if not kept:
        return
    where: list[dict[bytes, int]] = []
    start, n = [], 0
    for i in kept:
        union = dict.fromkeys(t for p in range(len(columns)) if (p, i) in listed for t in listed[p, i][0])
        where.append({t: n + k for k, t in enumerate(union)})
        start.append(n)
        n += len(union)
    logprob, floor = np.full((len(columns), n), np.nan), np.full((len(columns), len(kept)), np.nan)
    column_of = {i: c for c, i in enumerate(kept)}
    for (p, i), (known, least) in listed.items():
        c = column_of[i]
        floor[p, c] = least
        logprob[p, [where[c][t] for t in known]] = list(known.values())
    tokens = tuple(t for tokens in where for t in tokens)
    yield Lists(np.array(kept, dtype=np.intp), np.array(start, dtype=np.intp), logprob, floor, tokens)


def first(completion: Completion | None) -> TokenLogprob | None:
    """The first position's distribution, or None where there is none or it is not finite."""
    if completion is None or not completion.tokens or completion.finish == "error":
        return None
    token = completion.tokens[0]
    return token if token.top and all(lp <= 1e-6 for _, lp in token.top) else None


def censored(token: TokenLogprob, k: int | None) -> tuple[Mapping[bytes, float], float]:
    """Logprobs by bytes and the floor, of the k likeliest (None: all that are listed).

    A token listed twice (two ids, the same bytes) is added up, and a list whose mass exceeds 1 by that is scaled down.
    """
    known = dict(token.top)
    if len(known) < len(token.top):
        mass: dict[bytes, float] = {}
        for piece, lp in token.top:
            mass[piece] = mass.get(piece, 0.0) + math.exp(lp)
        known = {piece: math.log(p) if p > 0 else -math.inf for piece, p in mass.items()}
    over = math.log(max(math.fsum(map(math.exp, known.values())), 1.0))
    if over > 0.0:
        known = {piece: lp - over for piece, lp in known.items()}
    floor = -math.inf if token.floor is None else token.floor
    if k is not None and len(known) > k:
        kept = sorted(known.items(), key=lambda pair: -pair[1])[:k]
        return dict(kept), max(floor, kept[-1][1])
    return known, floor


def context_means(sample: Sample, closeness: Array) -> Array:
    """Mean over the contexts cut from one item (``id@0``, ``id@1`` …): they overlap and are one observation."""
    units: list[Unit] = [replace(u, item=u.item.partition("@")[0]) for u in sample.units]
    return by_item(units, closeness)[0]


def comparable(
    name: str, sample: Sample, measured: Callable[[Sequence[Column]], tuple[Array, Array]], least: float
) -> Array | Score:
    """Closeness ``(n_units, 1 + K)`` of S to every candidate, or the score that says why ``name`` abstains.

    ``measured``: columns, S first -> closeness and mass in common, which must be ``least`` on average: see `foreign`.
    """
    columns = {"suspect": sample.suspect, **sample.candidates}
    why = silent(columns)
    if why:
        return abstain(name, "unsupported", why)
    closeness, shared = measured(list(columns.values()))
    why = foreign(list(sample.candidates), shared, least)
    return abstain(name, "unsupported", why) if why else closeness


def silent(columns: Mapping[str, Column]) -> str | None:
    """Why next tokens can't be compared: the parties (by name, the suspect first) that gave no list; else None."""
    mute = [name for name, column in columns.items() if all(first(c) is None for c in column)]
    if "suspect" in mute:
        return "the suspect gave no next-token log-probs"
    return f"no next-token log-probs from {', '.join(mute)}" if mute else None


def common_mass(table: Lists) -> Array:
    """How far the vocabularies of party 0 and each other agree ``(parties - 1, c)``: the smaller side's mass on tokens
    that both list; NaN where either has no list."""
    mass, known = np.exp(np.nan_to_num(table.logprob, nan=-np.inf)), ~np.isnan(table.logprob)
    both = known[:1] & known[1:]
    shared = np.minimum(table.total(np.where(both, mass[:1], 0.0)), table.total(np.where(both, mass[1:], 0.0)))
    return np.where(np.isnan(table.floor[:1]) | np.isnan(table.floor[1:]), np.nan, shared)


def foreign(names: Sequence[str], shared: Array, least: float) -> str | None:
    """Why token bytes can't be compared: a candidate whose mass ``(contexts, candidates)`` in common with the suspect
    is below ``least`` on average; else None."""
    for name, masses in zip(names, shared.T, strict=True):
        seen = masses[np.isfinite(masses)]
        if len(seen) and seen.mean() < least:
            return f"the vocabularies of the suspect and {name} hardly overlap: token bytes can't be compared"
    return None
