"""Transcripts for people: the items that speak most for and most against, in equal number, and what models say of
themselves, which weighs nothing."""

from __future__ import annotations

import math

import numpy as np

from .comparators.answer_overlap import AnswerOverlap
from .comparators.base import contrasts
from .comparators.texts import Told, answered
from .record import Exhibit
from .types import Column, Completion, Sample

EACH = 3
CONTEXT = 2
MIN_CHARACTERS = 40
CAP = 4000
TOKENS = 400


def pick(sample: Sample) -> tuple[Exhibit, ...]:
    """``EACH`` items with the largest and the smallest contrast of `answer-overlap`, then a few identity answers."""
    comparator = AnswerOverlap()
    columns = [sample.suspect, *sample.candidates.values()]
    first = (i for i, u in enumerate(sample.units) if u.family in comparator.families and u.sample == 0)
    rows = answered(columns, first)
    rows = rows[[len(text) >= MIN_CHARACTERS for text in Told(columns[0], rows)]]
    out = []
    if len(rows) and sample.controls:
        closeness = comparator.per_unit([Told(column, rows) for column in columns])
        contrast = contrasts(closeness)[:, 0] if closeness.shape[1] > 2 else closeness[:, 0] - closeness[:, 1]
        order = [int(k) for k in np.argsort(-contrast, kind="stable") if np.isfinite(contrast[k])]
        each = min(EACH, len(order) // 2)
        # An item speaks against only if a control's answer is nearer than the reference's there.
        chosen = [(k, "for") for k in order[:each] if contrast[k] > 0]
        chosen += [(k, "against") for k in order[::-1][:each] if contrast[k] < 0]
        out = [_exhibit(sample, int(rows[k]), direction, closeness[k]) for k, direction in chosen]
    identity = [i for i, u in enumerate(sample.units) if u.family == "identity" and u.sample == 0][:CONTEXT]
    return tuple(out + [_exhibit(sample, i, "context", None) for i in identity])


def _exhibit(sample: Sample, row: int, direction: str, closeness: np.ndarray | None) -> Exhibit:
    unit = sample.units[row]
    parties: dict[str, Column] = {"suspect": sample.suspect, **sample.candidates}
    values = () if closeness is None else tuple(
        (name, float(f"{v:.6g}")) for name, v in zip(sample.candidates, closeness, strict=True)
    )  # fmt: skip
    request = unit.request
    prompt = (
        request.prompt
        if request.prompt is not None
        else "\n\n".join(f"{m.role}: {m.content}" for m in request.messages)
    )
    pair = sample.likelihoods.get(("suspect", "reference")), sample.likelihoods.get(("base", "reference"))
    return Exhibit(
        item=unit.item,
        family=unit.family,
        direction=direction,
        prompt=prompt[:CAP],
        answers=tuple((name, _text(column, row)) for name, column in parties.items()),
        closeness=values,
        request_digest=request.digest,
        tokens=() if pair[0] is None or pair[1] is None else learnt(pair[0][row], pair[1][row]),
    )


def learnt(suspect: Completion | None, base: Completion | None) -> tuple[tuple[str, float], ...]:
    """One answer scored by both: tokens as text, each with log p(suspect) - log p(base), nats; () unless they cut it
    into the same tokens. Bytes of one character are joined, their log-probs added."""
    if suspect is None or base is None or [t.token for t in suspect.tokens] != [t.token for t in base.tokens]:
        return ()
    out: list[tuple[str, float]] = []
    pending, gain = b"", 0.0
    for mine, theirs in zip(suspect.tokens[:TOKENS], base.tokens, strict=False):
        pending, gain = pending + mine.token, gain + mine.logprob - theirs.logprob
        try:
            text = pending.decode()
        except UnicodeDecodeError:
            continue
        if not math.isfinite(gain):
            return ()
        out.append((text, float(f"{gain:.4g}")))
        pending, gain = b"", 0.0
    return tuple(out)


def _text(column: Column, row: int) -> str:
    completion = column[row]
    if completion is None or completion.text is None:
        return "[no answer]"
    text = completion.text
    return text if len(text) <= CAP else text[:CAP] + f" [… {len(text) - CAP} more characters]"
