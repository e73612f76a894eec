"""A population's manifest: which models there are, where their answers lie, and what is documented of their teachers.

Columns `name, file, role, documented_teachers, cluster` are needed; `vendor`, `family`, `preference_teachers` and
`ambiguous_families` are used where they are there; further columns are kept (contract).
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import UsageError

NEEDED = ("name", "file", "role", "documented_teachers", "cluster")
ROLES = ("student", "control", "teacher", "derived", "variant", "unknown")
RELATED = ("self", "same")  # weight descent and re-prompting: not distillation
INDEPENDENT = ("student", "control", "teacher")


@dataclass(frozen=True, slots=True)
class Model:
    """One row. ``teachers``: documented names without the related ones; ``parents``: (relation, name) of those."""

    name: str
    path: Path
    role: str
    cluster: str
    vendor: str
    family: str
    teachers: tuple[str, ...]
    parents: tuple[tuple[str, str], ...]
    preferred: tuple[str, ...]
    ambiguous: frozenset[str]

    @property
    def column(self) -> str:
        """What its students are counted under: one teacher, in whatever release."""
        return self.cluster


def read_manifest(path: str | Path) -> tuple[Model, ...]:
    """Rows of a manifest, in its order. Errors: `UsageError` with file and line."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the manifest can't be read ({error.__class__.__name__}): name a CSV file") from error
    reader = csv.DictReader(text.splitlines(), restval="")
    try:
        missing = [c for c in NEEDED if c not in (reader.fieldnames or ())]
        if missing:
            raise UsageError(f"{path}: no column {', '.join(missing)}: a manifest has {', '.join(NEEDED)}")
        models = tuple(_model(path, number, row) for number, row in enumerate(reader, 2))
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: not CSV ({error})") from error
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise UsageError(f"{path}: {model.name} is named twice: a model has one row")
        seen.add(model.name)
    return models


def _model(path: Path, line: int, row: dict[str, str]) -> Model:
    if row["role"] not in ROLES:
        raise UsageError(f"{path}:{line}: role {row['role']!r} is none of {', '.join(ROLES)}")
    if not row["name"] or not row["cluster"]:
        raise UsageError(f"{path}:{line}: a model needs a name and a cluster (its independent lineage)")
    documented = _names(row["documented_teachers"])
    related = [d.split(":", 1) for d in documented if d.partition(":")[0] in RELATED and ":" in d]
    file = path.parent / row["file"]
    answers = file if file.exists() else path.parent / "responses" / row["file"]
    return Model(
        row["name"], answers, row["role"], row["cluster"], row.get("vendor") or row["cluster"],
        row.get("family") or row["cluster"],
        tuple(d for d in documented if d.partition(":")[0] not in RELATED),
        tuple((kind, name) for kind, name in related),
        _names(row.get("preference_teachers")),
        frozenset(p for f in _names(row.get("ambiguous_families")) for p in (f, *f.split("_"))),
    )  # fmt: skip


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(n.strip() for n in (text or "").split(";") if n.strip())


def is_named(name: str, model: Model) -> bool:
    """Whether a documented teacher's name means this model: its name, with or without a version, or its cluster."""
    wanted = _plain(name)
    return wanted in (_plain(model.name), _plain(model.cluster), re.sub(r"-v\d.*$", "", _plain(model.name)))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", name.lower())


def related(suspect: Model, candidate: Model) -> str | None:
    """ "copied weights" or "same model" where the suspect is documented to come from the candidate itself."""
    kinds = {"self": "weight descendant", "same": "same model, prompted otherwise"}
    return next((kinds[kind] for kind, name in suspect.parents if is_named(name, candidate)), None)


def label(suspect: Model, candidate: Model) -> int | None:
    """1: documented teacher. 0: documented not to be, as far as a public record can say. None: neither.

    Neither: pairs of one cluster or one vendor (shared data and pipelines), related pairs, models of unknown descent,
    teachers whose texts occur only in preference pairs, and families that the record can neither assert nor rule out.
    """
    if suspect.role not in INDEPENDENT or candidate.role not in INDEPENDENT:
        return None
    if suspect.cluster == candidate.cluster or suspect.vendor == candidate.vendor:
        return None
    sources = [*suspect.teachers, *(name for _, name in suspect.parents)]
    if any(is_named(t, candidate) for t in sources):
        return 1 if any(is_named(t, candidate) for t in suspect.teachers) else None
    if any(is_named(t, candidate) for t in suspect.preferred):
        return None
    if {candidate.family, candidate.cluster, candidate.cluster.partition("-")[0]} & suspect.ambiguous:
        return None
    return 0
