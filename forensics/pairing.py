"""Answers of several parties -> items that they have in common: by item id, else by the exact prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .answer_formats import Answer, key_of
from .answers import AnswerFile, show
from .errors import UsageError
from .types import Column, Completion, Message, Request, Sampling, Unit

FAMILY = "writing"
UNRECORDED = "unrecorded"  # the role of a message that stands for a prompt which no file holds
KeyKind = Literal["id", "prompt"]
Key = tuple[str, int]
Table = dict[Key, Answer]
Row = Sequence[Answer | None]


@dataclass(frozen=True, slots=True)
class Pairing:
    """Items that the parties needed have in common, in the order of the first one's file.

    ``columns``: each party's answers aligned with ``units``, None where it has none. ``sources``: the records that they
    were made from. ``unpaired``: how many answers of each party are in no unit. ``by``: what paired them. ``notes``:
    what a reader of the result must know.
    """

    by: KeyKind
    units: tuple[Unit, ...]
    columns: Mapping[str, Column]
    sources: Mapping[str, Row]
    unpaired: Mapping[str, int]
    notes: tuple[str, ...] = ()


def item_keys(files: Iterable[AnswerFile]) -> KeyKind:
    """By item id if every answer of every file has one, else by the exact prompt."""
    return "id" if all(answer.id for file in files for answer in file.answers) else "prompt"


def keyed(file: AnswerFile, by: KeyKind) -> Table:
    """The answers of one file by (id or hash of the conversation, sample); those without such a key are left out."""
    out: Table = {}
    following = Counter[str]()
    for answer in file.answers:
        key, sample = answer.id if by == "id" else answer.key, answer.sample
        if not key:
            continue
        if (key, sample) in out:  # two ids that share one prompt are two draws of it
            while (key, following[key]) in out:
                following[key] += 1
            sample = following[key]
        out[key, sample] = answer
    return out


def completion(file: AnswerFile, answer: Answer, request_digest: str) -> Completion:
    """A recorded answer as the answer to a request. Nothing says when it was received, so that none differs by that."""
    return recorded(file.path, answer, request_digest)


def recorded(path: str, answer: Answer, request_digest: str) -> Completion:
    """`completion` of an answer that no `AnswerFile` holds."""
    error = f"recorded as failed ({path}:{answer.line})" if answer.finish == "error" else None
    return Completion(request_digest, answer.text, answer.finish, answer.tokens, error=error)


def pair(files: Mapping[str, AnswerFile], need: Sequence[str] = ("suspect", "reference")) -> Pairing:
    """Line the files up. Errors: `UsageError` when the parties in ``need`` have no item in common."""
    ordered = {name: files[name] for name in (*need, *(n for n in files if n not in need))}
    by, keys, notes = _choose(ordered, need)
    tables = {name: keyed(file, by) for name, file in ordered.items()}
    rows = [[table.get(key) for table in tables.values()] for key in keys]
    units, digests = _units(keys, rows, by)
    cells = dict(zip(ordered, zip(*rows, strict=True), strict=True))
    sources = {name: cells[name] for name in files}
    columns = {
        name: tuple(a and completion(files[name], a, digest) for a, digest in zip(answers, digests, strict=True))
        for name, answers in sources.items()
    }
    notes += _remarks(rows, units)
    unpaired = {name: len(files[name].answers) - sum(c is not None for c in columns[name]) for name in files}
    return Pairing(by, units, columns, sources, unpaired, tuple(notes))


def _choose(files: Mapping[str, AnswerFile], need: Sequence[str]) -> tuple[KeyKind, list[Key], list[str]]:
    by = item_keys(files.values())
    other: KeyKind = "prompt" if by == "id" else "id"
    keys, agreeing = _common(files, need, by)
    if agreeing:
        return by, keys, []
    others, _ = _common(files, need, other)
    if others:
        names = {"id": "item ids", "prompt": "the exact prompts"}
        return other, others, [f"{names[by]} pair nothing, so the answers are paired by {names[other]}"]
    if keys:
        return by, keys, []
    counts = [f"{name} has {_items(files[name], by)}" for name in need]
    raise UsageError(
        f"no item is in all of {', '.join(need)}: {'; '.join(counts)}; answers are paired by id if all have one, "
        "else by the exact prompt"
    )


def _common(files: Mapping[str, AnswerFile], need: Sequence[str], by: KeyKind) -> tuple[list[Key], int]:
    """Keys that all needed parties have, and how many of them do not contradict each other about the prompt."""
    tables = [keyed(files[name], by) for name in need]
    keys = [key for key in tables[0] if all(key in table for table in tables[1:])]
    return keys, sum(len({t[key].key for t in tables} - {""}) <= 1 for key in keys)


def _items(file: AnswerFile, by: KeyKind) -> str:
    first = file.answers[0]
    asked = first.conversation[-1].content if first.conversation else ""
    shown = show(first.id if by == "id" or not asked else asked)
    count = len({a.id if by == "id" else a.key for a in file.answers})
    return f"{count:,} items, the first is {shown}"


def _units(keys: Sequence[Key], rows: Sequence[Row], by: KeyKind) -> tuple[tuple[Unit, ...], list[str]]:
    """One request for all parties of an item, and its digest: what differs between parties can be no part of it."""
    units: list[Unit] = []
    digests: dict[str, None] = {}
    draws = Counter[tuple[str, Sampling]]()
    for (key, sample), row in zip(keys, rows, strict=True):
        answers = [a for a in row if a]
        item = key if by == "id" else key[:16]
        asked = next((a.conversation for a in answers if a.conversation), (Message(UNRECORDED, item),))
        settings = {a.sampling for a in answers}
        sampling = (settings.pop() if len(settings) == 1 else None) or Sampling()
        request = Request(FAMILY, item, asked, sampling=sampling, sample=sample)
        # A store knows a request by its digest, which has no id in it: two ids that ask the same are two draws.
        words = (key_of(asked), sampling)
        while (digest := request.digest) in digests:
            draws[words] += 1
            request = replace(request, sample=draws[words])
        digests[digest] = None
        units.append(Unit(item, FAMILY, request.sample, request))
    return tuple(units), list(digests)


def _remarks(rows: Sequence[Row], units: Sequence[Unit]) -> list[str]:
    counts = {
        "have different prompts on different sides": sum(len({a.key for a in r if a} - {""}) > 1 for r in rows),
        "were sampled with different settings": sum(len({a.sampling for a in r if a} - {None}) > 1 for r in rows),
        "have no recorded prompt": sum(u.request.messages[0].role == UNRECORDED for u in units),
    }
    return [f"{count:,} of {len(rows):,} paired answers {what}" for what, count in counts.items() if count]
