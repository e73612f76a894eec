"""Which words two answers share and which only one has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

WORDS = 400  # a side; the matcher is quadratic, and nobody reads further

_TOKEN = re.compile(r"\s*\S+")


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring words of one side; ``only``: the other side does not have them at this place."""

    text: str
    only: bool


Side = tuple[Run, ...]


def compare(left: str, right: str) -> tuple[Side, Side]:
    """Both sides in runs of shared words and words of their own; what lies beyond the cap is kept out and counted."""
    a, b = _TOKEN.findall(left), _TOKEN.findall(right)
    first, second = a[:WORDS], b[:WORDS]
    matcher = SequenceMatcher(None, [w.strip() for w in first], [w.strip() for w in second], autojunk=False)
    sides: tuple[list[Run], list[Run]] = ([], [])
    for tag, i, j, k, m in matcher.get_opcodes():
        for runs, words in zip(sides, (first[i:j], second[k:m]), strict=True):
            if words:
                runs.extend(_runs("".join(words), tag != "equal"))
    return _with_rest(sides[0], len(a)), _with_rest(sides[1], len(b))


def _runs(text: str, only: bool) -> tuple[Run, ...]:
    """A run, the space before it kept out of the mark."""
    bare = text.lstrip()
    if not only or len(bare) == len(text):
        return (Run(text, only),)
    return Run(text[: len(text) - len(bare)], False), Run(bare, only)


def shared(side: Side) -> int:
    """How many words of a side the other side has too, in the same order."""
    return sum(len(run.text.split()) for run in side if not run.only)


def _with_rest(runs: list[Run], total: int) -> Side:
    if total <= WORDS:
        return tuple(runs)
    return (*runs, Run(f" ⟦… {total - WORDS:,} more words, not compared⟧", False))
