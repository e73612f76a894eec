"""The log-prob form of ``watermark``: how much each (context, token) pair gained in the suspect's own distributions.

At every position x of texts that know no key (the suspect's own answers), whole next-token distributions are had of
the suspect S, of its base (or controls that never saw the mark) B, and of the reference R. Training on text that R
wrote under a mark moves S along p_R(v|x) (exp(bias green(v)) / Z - 1), so what it learnt of a key is, to first order,
sum_v p_R(v|x) (LR(v|x) - mean_R LR) green(v), LR = log p_S - log p_B. That sum, over all positions of one context,
with green as the one random thing in it, is the statistic: the factors of green are the weights and know no key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.local import encode_prompt, encode_target
from ..backends.local_model import Job, LocalModel
from ..types import Request

Ints = NDArray[np.int64]
Array = NDArray[np.float64]
Rows = tuple[Ints, Array, Array]
BATCH, CELLS = 16, 2**24  # texts read at once, and the most positions x tokens of them
LEAST_MASS = 1e-4  # tokens that R finds less likely are left out: a mark can't have shown there
FLOOR = 1e-9
CLIP = 1.0  # nats
POWER, STEPS, LEVELS = 0.25, 2, 60  # chosen on simulated marks, see docs/exact.md


@dataclass(frozen=True, slots=True)
class Gains:
    """Different n-grams ``(n, size)``, the mass that R puts on them ``(n,)``, and their gain ``(n,)``: mass x nats."""

    ngrams: Ints
    mass: Array
    gain: Array


def gains(
    suspect: LocalModel, others: Sequence[LocalModel], reference: LocalModel, asked: Sequence[Request],
    texts: Sequence[str], size: int,
) -> Gains:  # fmt: skip
    """Sums over the texts' positions, without contexts that the prompt continues: marked text there would be copied."""
    models = [reference, suspect, *others]
    views = [_view(m, reference) for m in models]
    rows: list[Rows] = []
    spelt = (_row(models, *pair) for pair in zip(asked, texts, strict=True))
    for part in _batches((row for row in spelt if row is not None), len(reference.pieces)):
        read = [m.distributions([row.jobs[k] for row in part]) for k, m in enumerate(models)]
        for b, row in enumerate(part):
            under = [view.of(lp[b], row.at[k]) for k, (view, lp) in enumerate(zip(views, read, strict=True))]
            rows.append(_gain(row.contexts(size), *under))
    return _summed(rows, size)


@dataclass(frozen=True, slots=True)
class Row:
    """One text: the prompt's and the text's ids under R, a job a model, and which of each model's positions are read.

    ``places``: positions of R's that every model's tokens reach. ``at[k]``: the same positions as model k counts.
    """

    prompt: list[int]
    target: list[int]
    jobs: list[Job]
    places: Ints
    at: list[Ints]

    def contexts(self, size: int) -> tuple[Ints, NDArray[np.bool_]]:
        """The ``size - 1`` tokens before each place ``(n, size - 1)``, and whether the place counts."""
        ids = self.prompt + self.target
        known = {tuple(self.prompt[i : i + size - 1]) for i in range(len(self.prompt) - size + 1)}
        found = [tuple(ids[max(0, (end := len(self.prompt) + p) - size + 1) : end]) for p in self.places]
        kept = np.array([len(c) == size - 1 and c not in known and any(c) for c in found], dtype=bool)
        return np.array([c if k else (0,) * (size - 1) for c, k in zip(found, kept, strict=True)], np.int64), kept


def _batches(rows: Iterable[Row], vocabulary: int) -> Iterator[list[Row]]:
    part: list[Row] = []
    for row in rows:
        if part and (len(part) == BATCH or sum(len(r.target) for r in [*part, row]) * vocabulary > CELLS):
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def _row(models: Sequence[LocalModel], request: Request, text: str) -> Row | None:
    """None where a tokenizer can't spell the text, or a context is too small for it."""
    jobs, ends = [], []
    for model in models:
        try:
            prompt, target = encode_prompt(model, request), encode_target(model, text)
        except ValueError:
            return None
        if not prompt or (model.context is not None and len(prompt) + len(target) > model.context):
            return None
        jobs.append(Job(0, prompt, target, 0))
        ends.append(np.cumsum([0, *(len(model.pieces[i]) for i in target[:-1])]))
    shared = ends[0]
    for other in ends[1:]:
        shared = shared[np.isin(shared, other)]
    return Row(jobs[0].prompt, jobs[0].target, jobs, np.searchsorted(ends[0], shared),
               [np.searchsorted(e, shared) for e in ends])  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """A model's distributions over R's vocabulary. With R's own tokenizer: as they are. Else each of the model's tokens
    counts for the longest token of R that it begins with, and a token of R that the model spells in several pieces
    gets what the first piece has. Not a distribution any more, but the same for S and its base, and free of any key."""

    first: Any = None  # (V of the model,) R's token
    piece: Any = None  # (V of R,) the model's first piece of R's token, -1 where it has the token itself
    size: int = 0

    def of(self, logprobs: Any, places: Ints) -> Array:
        """Log-probs ``(n, V of R)`` at these of the model's positions."""
        import torch

        logprobs = logprobs[torch.from_numpy(places)]
        if self.first is None:
            return np.asarray(logprobs.numpy(), dtype=np.float64)
        mass = logprobs.exp()
        out = torch.zeros(len(mass), self.size).index_add_(1, self.first, mass)
        spelt = self.piece >= 0
        out[:, spelt] += mass[:, self.piece[spelt]]
        return np.asarray(np.log(np.maximum(out.numpy().astype(np.float64), FLOOR)))


def _view(model: LocalModel, reference: LocalModel) -> View:
    if model.pieces == reference.pieces:
        return View()
    import torch

    theirs = {piece: i for i, piece in reversed(list(enumerate(reference.pieces)))}
    mine = {piece: i for i, piece in reversed(list(enumerate(model.pieces)))}
    first = [_longest(piece, theirs) for piece in model.pieces]
    piece = [-1 if p in mine else _longest(p, mine) for p in reference.pieces]
    return View(torch.tensor(first), torch.tensor(piece), len(reference.pieces))


def _longest(piece: bytes, vocabulary: Mapping[bytes, int]) -> int:
    """The longest token that ``piece`` begins with; 0 where there is none."""
    return next((vocabulary[piece[:n]] for n in range(len(piece), 0, -1) if piece[:n] in vocabulary), 0)


def _gain(contexts: tuple[Ints, NDArray[np.bool_]], reference: Array, suspect: Array, *others: Array) -> Rows:
    """N-grams, mass and gain of one text: R's mass x log-ratio, less R's mean of it."""
    before, kept = contexts
    with np.errstate(invalid="ignore"):
        ratio = np.clip(np.nan_to_num(suspect - np.mean(others, axis=0)), -CLIP, CLIP)
    mass = np.exp(reference)
    gain = mass * (ratio - (mass * ratio).sum(axis=1, keepdims=True))
    place, token = np.nonzero((mass >= LEAST_MASS) & kept[:, None])
    return np.column_stack([before[place], token]), mass[place, token], gain[place, token]


def _summed(rows: Sequence[Rows], size: int) -> Gains:
    if not rows:
        return Gains(np.zeros((0, size), np.int64), np.zeros(0), np.zeros(0))
    ngrams, place = np.unique(np.concatenate([r[0] for r in rows]), axis=0, return_inverse=True)
    mass, gain = (
        np.asarray(np.bincount(place.ravel(), np.concatenate([r[k] for r in rows]), len(ngrams)), dtype=np.float64)
        for k in (1, 2)
    )
    return Gains(ngrams, mass, gain)


def weights(found: Gains, most: int) -> tuple[Ints, Ints]:
    """N-grams and whole-number weights, at most so many, without the key: the contexts that gained most come first.

    A weight is the gain a unit of mass^POWER, centred within its context (green lists have a fixed size, so what all
    tokens of a context share tells nothing), in units of the root mean square over all n-grams, `STEPS` to one, capped.
    """
    raw = found.gain / np.maximum(found.mass, LEAST_MASS) ** POWER
    _, place = np.unique(found.ngrams[:, :-1], axis=0, return_inverse=True)
    place = place.ravel()
    held = np.bincount(place)
    raw = raw - (np.bincount(place, raw) / np.maximum(held, 1))[place]
    spread = float(np.sqrt((raw**2).mean())) if len(raw) else 0.0
    if not spread:
        return found.ngrams[:0], np.zeros(0, np.int64)
    weight = np.clip(np.rint(STEPS * raw / spread), -LEVELS, LEVELS).astype(np.int64)
    used = np.bincount(place, weight != 0).astype(np.int64)
    order = np.argsort(-np.bincount(place, weight.astype(np.float64) ** 2), kind="stable")
    kept = np.zeros(len(held), dtype=bool)
    kept[order[np.cumsum(used[order]) <= most]] = True
    chosen = kept[place] & (weight != 0)
    return found.ngrams[chosen], weight[chosen]
