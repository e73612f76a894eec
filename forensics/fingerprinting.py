"""Files of recorded answers -> fingerprints: what `forensics fingerprint` does, without the command."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from fingerprints import (
    FAMILIES,
    PLAIN,
    Entry,
    Fingerprint,
    Library,
    LibraryError,
    Profile,
    load_family,
    load_library,
    prompt_set,
    write_library,
)

from .answers import each_answer
from .errors import EvidenceError, UsageError
from .pairing import recorded
from .registry import unknown
from .types import Listener, Progress, silent

MIN_ANSWERS = 30


def family_names(names: str) -> tuple[str, ...]:
    """`all`, or names with commas between them, in the order of the table. Errors: `UsageError` for an unknown one."""
    wanted = tuple(FAMILIES) if names == "all" else tuple(name.strip() for name in names.split(","))
    for name in wanted:
        if name not in FAMILIES:
            raise UsageError(unknown("family of features", name, FAMILIES))
    return tuple(name for name in FAMILIES if name in wanted)


def chosen_families(names: str | None) -> tuple[str, ...]:
    """The families to measure; by default all that need no extra. Errors: `UsageError` if one can't be."""
    chosen = PLAIN if names is None else family_names(names)
    for name in chosen:
        if why := load_family(name).missing():
            raise UsageError(f"family {name} abstains: {why}")
    return chosen


def measure(path: Path, *, families: Sequence[str], name: str | None = None, skip_bad: bool = False) -> Profile:
    """The profile of one file of answers, read one at a time; empty, blocked and failed answers are left out.

    Errors: `UsageError` for a file that can't be read.
    """
    asked: set[str] = set()
    answers = 0

    def texts() -> Iterator[str]:
        nonlocal answers
        for answer in each_answer(path, skip_bad=skip_bad):
            asked.add(answer.key)
            reply = recorded(str(path), answer, "")
            if reply.usable and reply.text is not None:
                answers += 1
                yield reply.text

    found = Fingerprint.from_texts(texts(), families)
    made = Profile(name or _stem(path), found, answers, prompt_set(asked))
    return Profile.from_json(made.to_json())  # rounded as if stored: a file and its fingerprint give the same numbers


def open_profile(source: Path, *, families: str | None = None, skip_bad: bool = False) -> Profile:
    """A stored fingerprint, or that of a file of answers. Errors: `UsageError`."""
    start = b""
    if source.is_file():
        with source.open("rb") as file:
            start = file.read(20)
    if not start.startswith(b'{"answers":'):  # canonical JSON: its first key
        return measure(source, families=chosen_families(families), skip_bad=skip_bad)
    try:
        return Profile.from_json(source.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{source}: {error}") from error


def open_library(directory: Path | None) -> Library:
    """The shipped library, or one of the user's. Errors: `EvidenceError` if it is not what its manifest says."""
    if directory is not None and not directory.is_dir():
        raise UsageError(f"no such library: {directory} (a directory that `fingerprint build --manifest` wrote)")
    try:
        return load_library() if directory is None else load_library(directory)
    except LibraryError as error:
        raise EvidenceError(f"library {error}") from error


def build_library(
    manifest: Path, out: Path, *, families: Sequence[str], source: str, progress: Listener = silent
) -> tuple[Library, tuple[str, ...]]:
    """A library of the models of a manifest, and the names of those left out for fewer than 30 usable answers.

    Errors: `UsageError` for a manifest or an answer file that can't be used.
    """
    rows = _rows(manifest)
    entries, left_out = [], []
    for done, row in enumerate(rows, start=1):
        profile = measure(_answers_of(row, manifest), families=families, name=row["name"])
        if profile.answers < MIN_ANSWERS:
            left_out.append(row["name"])
        else:
            entries.append(Entry(profile, row.get("vendor") or "", row.get("family") or ""))
        progress(Progress("fingerprint", "", done, len(rows), row["name"]))
    try:
        out.mkdir(parents=True, exist_ok=True)
        return write_library(entries, out, source=source), tuple(left_out)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot build a library in {out}: {error}") from error


def _stem(path: Path) -> str:
    """The file's name without the endings that say how it is stored; `vicuna-7b-v1.3` keeps its version."""
    while path.suffix in (".jsonl", ".json", ".ndjson", ".eval", ".gz", ".zst"):
        path = path.with_suffix("")
    return path.name.encode("utf-8", "replace").decode()


def _rows(manifest: Path) -> list[dict[str, str]]:
    """Rows of a population's manifest. Errors: `UsageError` with file and line."""
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{manifest}: can't be read as a manifest ({error})") from error
    for line, row in enumerate(rows, start=2):
        if not row.get("name") or not row.get("file"):
            raise UsageError(f"{manifest}: row {line} has no name or no file; a manifest has the columns name and file")
    if not rows:
        raise UsageError(f"{manifest}: no models in this manifest")
    return rows


def _answers_of(row: dict[str, str], manifest: Path) -> Path:
    """The row's file, beside the manifest or in `responses` beside it."""
    beside = manifest.parent / row["file"]
    return beside if beside.exists() else manifest.parent / "responses" / row["file"]
