"""The answers that a text comparator reads: which rows of a sample count, and their texts, a block of items at a time.

Nothing here holds texts together: a column may lie in the case file, and 100,000 answers of a dozen parties are more
than a machine has. What comparators keep of an item is a few numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, update_wrapper
from typing import Concatenate, ParamSpec, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from ..types import Column, Completion, Sample, Score, Unit
from .base import MIN_CONTROLS, MIN_ITEMS, abstain, item_rows, shortage

ITEMS = 1024  # items whose texts are read at a time
ANSWERS = 8 * ITEMS  # answers of one party that are read at a time, where items have many draws
READ = 1 << 15  # characters of an answer that are read: who answers in megabytes shall not stop an audit
LONGEST = 1 << 15  # characters of a text up to which what was found in it is kept

LETTERS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
UNSPACED = re.compile(f"[{LETTERS}]")

Rows = NDArray[np.intp]
P = ParamSpec("P")
T = TypeVar("T")


class Told(Sequence[str]):
    """The usable texts in some rows of a column, to their first `READ` characters, each looked up when asked for."""

    __slots__ = ("_column", "_rows")

    def __init__(self, column: Column, rows: Rows) -> None:
        self._column, self._rows = column, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice | Rows) -> Told: ...
    def __getitem__(self, place: int | slice | Rows) -> str | Told:
        if isinstance(place, slice | np.ndarray):
            return Told(self._column, self._rows[place])
        answer = self._column[int(self._rows[place])]
        assert answer is not None
        assert answer.text is not None
        return answer.text[:READ]


@dataclass(frozen=True, slots=True)
class Texts:
    """Answers of all parties to the units that every one of them answered.

    ``columns``: S, the reference, then the controls, each aligned with ``units``; ``rows``: where these stand in the
    sample. ``names``: the candidates, reference first. ``n_items``: how many items the units belong to.
    """

    units: list[Unit]
    rows: Rows
    columns: list[Told]
    names: list[str]
    n_items: int

    def view(self, change: Callable[[str], str], rows: Rows) -> list[Iterator[str]]:
        """Some rows of each column with every text changed, for an ablation."""
        return [map(change, column[rows]) for column in self.columns]


def complete_texts(name: str, sample: Sample, *, min_words: int = 0) -> Texts | Score:
    """What a text comparator reads, or the score that says why ``name`` abstains.

    A unit counts if every party has a usable answer of at least ``min_words`` words to it. A suspect that says one and
    the same thing to most items has no style and no choices: how far it is from the candidates says only how far each
    of them is from the others.
    """
    columns = [sample.suspect, *sample.candidates.values()]
    rows = answered(columns, range(len(sample.units)), min_words=min_words)
    units = by_prompt([sample.units[i] for i in rows])
    told = [Told(column, rows) for column in columns]
    index, items = item_rows(units)
    problem = shortage(len(items), len(sample.controls))
    if problem and len(sample.controls) >= MIN_CONTROLS:
        problem = problem.replace("an answer", f"an answer of {min_words} words or more") if min_words else problem
        problem += _fewest(["suspect", *sample.candidates], columns)
    problem = problem or repetition(index, told[0])
    if problem:
        return abstain(name, "insufficient", problem, n=len(items))
    return Texts(units, rows, told, list(sample.candidates), len(items))


def answered(columns: Iterable[Column], rows: Iterable[int], *, min_words: int = 0) -> Rows:
    """Those of the rows to which every column has a usable answer of at least ``min_words`` words."""
    for column in columns:
        rows = [i for i in rows if _counts(column[i], min_words)]
    return np.array(list(rows), dtype=np.intp)


def _counts(answer: Completion | None, min_words: int) -> bool:
    if answer is None or not answer.usable:
        return False
    text = answer.text or ""
    return not min_words or len(text.split()) >= min_words or (len(text) >= min_words and unspaced(text))


def unspaced(text: str) -> bool:
    """Whether two thirds of a text are in a script that parts no words: Han, kana, Thai, Lao, Burmese, Khmer. There a
    run of letters is a sentence, and a character is the nearest thing to a word."""
    return not text.isascii() and 3 * len(UNSPACED.findall(text)) > 2 * len(text)


def _fewest(names: Sequence[str], columns: Sequence[Column]) -> str:
    """Whom it is owed to that few items have an answer from everybody, if it is owed to one party."""
    usable = [sum(answer is not None and answer.usable for answer in column) for column in columns]
    least, *others = sorted(usable)
    return f"; {names[usable.index(least)]} has {least}" if least < MIN_ITEMS <= others[0] else ""


def by_prompt(units: Sequence[Unit]) -> list[Unit]:
    """The units, those that ask the same under several item ids as draws of the first one: a repeated prompt is one
    observation."""
    first: dict[object, str] = {}
    out = []
    for unit in units:
        asked = (unit.request.messages, unit.request.prompt)
        item = first.setdefault(asked, unit.item) if any(asked) else unit.item
        out.append(unit if item == unit.item else replace(unit, item=item))
    return out


def item_blocks(units: Sequence[Unit]) -> Iterator[tuple[Rows, Rows]]:
    """Items in blocks of ``ITEMS``, fewer where they have many draws: the rows of the block's units, and which of its
    items each belongs to. An item's draws are never parted."""
    index, items = item_rows(units)
    order = np.argsort(index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(index, minlength=len(items)))])
    first = 0
    while first < len(items):
        full = int(np.searchsorted(starts, starts[first] + ANSWERS, side="right")) - 1
        last = max(first + 1, min(first + ITEMS, full))
        rows = order[starts[first] : starts[last]]
        yield rows, index[rows] - first
        first = last


def repetition(index: Rows, answers: Iterable[str]) -> str | None:
    """Why the suspect's answers are no evidence: one of them is given to more than half of the items; ``index``: the
    item of each."""
    # Hashes: the texts themselves, folded, would be as much memory as all of the suspect's answers.
    said = np.fromiter((hash(a.strip().casefold()) for a in answers), np.int64, len(index))
    draws = np.bincount(index)
    # Of many draws, the share: who flips a coin says the same word to every item, and the other one as well.
    most = np.bincount(np.unique(said, return_inverse=True)[1], weights=1.0 / draws[index]).max(initial=0.0)
    if most > len(draws) / 2:
        return f"the suspect gives one and the same answer to {most:.0f} of {len(draws)} items"
    return None


def remembered(texts: int) -> Callable[[Callable[Concatenate[str, P], T]], Callable[Concatenate[str, P], T]]:
    """`functools.lru_cache` for functions of a text: most texts are the same in several views, and self-checks and
    populations read all of them again. Not for texts beyond ``LONGEST``, as prompts can be."""

    def wrap(function: Callable[Concatenate[str, P], T]) -> Callable[Concatenate[str, P], T]:
        cached = lru_cache(maxsize=texts)(function)

        def call(text: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return cached(text, *args, **kwargs) if len(text) <= LONGEST else function(text, *args, **kwargs)  # type: ignore[arg-type]

        update_wrapper(call, function)
        return call

    return wrap
