"""Which pairs of the bench are asked, what is known about each, and against which controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forensics.zoo.bench import Entry, by_name, teachers

CONTROLS = 3
LEAST = 0.25  # share of the training answers from which a pair counts for Hp; smaller ones are shown, not fitted to
SIBLING = "sibling: same base, same prompts, another teacher"
COMMON = "common teacher, not named (same data, another seed)"
COMMON_NAMED = "common teacher, named as a control"
KINDS: Mapping[str, str] = {
    "full-other-epochs": "student, 100 %, other number of epochs",
    "full-logits": "student, 100 %, by logits",
    "full-seed-2": "student, 100 %",
    "full-then-domain": "student, 100 %, then tuned on other data",
    "full-of-other-family": "student, 100 %, of another architecture and tokenizer",
    "quarter-raw": "student, 25 %, the rest raw text",
    "quantised-student": "student, 100 %, quantised",
}
OTHERS: Mapping[str, str] = {
    "copy": "the base itself", "domain": "base tuned on unrelated text",
    "descendant": "descendant of R's weights", "quantised-teacher": "quantised copy of R",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Job:
    """One pair to score, by model name. ``label``: 1 Hp, 0 Hd, None neither."""

    suspect: str
    candidate: str
    kind: str
    label: int | None
    lineage: str
    lineages: tuple[str, ...]
    controls: tuple[str, ...]
    base: str
    family: str = ""


def pairs(made: Sequence[Entry], plans: Mapping[str, Any], seed: int = 0) -> list[Job]:
    """All pairs of the bench, drawn by one seed: each student with its teachers and with others."""
    rng = np.random.default_rng(seed)
    table = by_name(tuple(made))
    out: list[Job] = []
    for entry in made:
        if entry.role in ("base", "origin", "teacher"):
            continue
        taught = _taught(entry, table)
        field = teachers(*_field(entry, taught, plans))
        wrong = [t for t in field if t not in taught]
        rng.shuffle(wrong)
        near = [t for t in wrong if _same_base(t, entry, table)]
        wrong = list(dict.fromkeys([*near[:1], *wrong]))
        if entry.role in ("descendant", "quantised-teacher"):
            out.append(_job(entry, entry.parent, OTHERS[entry.role], None, field, table, rng))
            continue
        for teacher, share in taught.items():
            label = 1 if share >= LEAST else None
            out.append(_job(entry, teacher, KINDS.get(entry.role, _share(share)), label, field, table, rng))
        kind = SIBLING if taught else OTHERS[entry.role]
        few = 2 if entry.role in ("full", "copy", "domain") else 1
        out += [_job(entry, t, kind, 0, field, table, rng) for t in wrong[:few]]
        if entry.role == "full-seed-2":
            twin = f"{entry.family}-full-{entry.name.rpartition('-')[2]}"
            (teacher,) = taught
            out.append(_job(entry, twin, COMMON, None, field, table, rng))
            out.append(_job(entry, twin, COMMON_NAMED, 0, field, table, rng, named=teacher))
    return out


def _taught(entry: Entry, table: Mapping[str, Entry]) -> dict[str, float]:
    """Teacher -> share of the training answers, through later tuning and rounding."""
    own = {s.name: s.share for s in entry.sources if s.kind == "model"}
    if own or entry.role in ("descendant", "quantised-teacher", "domain", "copy", "teacher", "base", "origin"):
        return own
    return _taught(table[entry.parent], table) if entry.parent else {}


def _field(entry: Entry, taught: Mapping[str, float], plans: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    family = next(iter(taught)).rpartition("-")[0] if taught else entry.family
    return family, plans[family]


def _same_base(teacher: str, entry: Entry, table: Mapping[str, Entry]) -> bool:
    """Whether the teacher taught another student of the suspect's base."""
    base = _base(entry, table)
    return any(e.parent == base and any(s.name == teacher for s in e.sources) for e in table.values())


def _base(entry: Entry, table: Mapping[str, Entry]) -> str:
    """What the suspect's owner would name as its base: the start of all its trainings."""
    if entry.role in ("descendant", "quantised-teacher"):
        return f"{entry.family}-base-0"
    while entry.parent and entry.role != "base":
        entry = table[entry.parent]
    return entry.name


def _share(share: float) -> str:
    return f"student, {share:.0%}".replace("%", " %")


def _job(
    entry: Entry, candidate: str, kind: str, label: int | None, field: Sequence[str], table: Mapping[str, Entry],
    rng: np.random.Generator, named: str = "",
) -> Job:  # fmt: skip
    sources = set(_taught(entry, table)) | set(_taught(table[candidate], table)) | {candidate, entry.parent}
    free = [t for t in field if t not in sources]
    controls = [str(c) for c in rng.choice(free, size=CONTROLS - bool(named), replace=False)]
    base = _base(entry, table)
    lineage = table[candidate].lineage if candidate in _taught(entry, table) else entry.lineage
    touched = {t for t in sources if table.get(t) is not None and table[t].role == "teacher"} | {base, lineage}
    chosen = (*([named] if named else []), *controls)
    return Job(entry.name, candidate, kind, label, lineage, tuple(sorted(touched)), chosen, base, entry.family)
