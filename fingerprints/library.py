"""The reference library: fingerprints of models of known origin, with a manifest whose hashes are checked at load."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fingerprints.features import FEATURE_SET
from fingerprints.profile import Profile

SHIPPED = Path(__file__).parent / "data"
MANIFEST = "manifest.json"
FORMAT = "forensics-fingerprint-library/1"
MIN_MODELS = 10  # fewer give no spread to standardise by and no background


class LibraryError(ValueError):
    """A library that is not what its manifest says: a file is missing, was changed, or can't be read."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One model of a library."""

    profile: Profile
    """Its fingerprint."""
    vendor: str
    """Who made it; "" if unknown."""
    family: str
    """Models of one family share weights, data or maker, and are no background for each other; "" if unknown."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.profile.name


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """Fingerprints of many models that answered the same prompts."""

    entries: tuple[Entry, ...]
    """The models, by name."""
    source: str
    """Where the answers came from."""
    digest: str
    """SHA-256 of the manifest, which holds those of all files."""

    @property
    def families(self) -> tuple[str, ...]:
        """The families of features that every model was measured on."""
        first = self.entries[0].profile.families
        return tuple(f for f in first if all(f in entry.profile.families for entry in self.entries))

    @property
    def prompts(self) -> frozenset[str]:
        """The prompt sets that were asked."""
        return frozenset(entry.profile.prompts for entry in self.entries)

    def find(self, name: str) -> Profile | None:
        """The profile of this name."""
        return next((entry.profile for entry in self.entries if entry.name == name), None)


def write_library(entries: Iterable[Entry], directory: Path, *, source: str) -> Library:
    """Write one file a model, and the manifest. The same entries give the same bytes.

    Errors: ValueError for too few models, two of one name, or a directory that holds files of another library.
    """
    ordered = sorted(entries, key=lambda entry: entry.name)
    files = {file_name(entry.name): entry for entry in ordered}
    if len(files) < len(ordered):
        raise ValueError("two models have the same name, or names that differ only in characters unfit for a file")
    if len(ordered) < MIN_MODELS:
        raise ValueError(f"a library needs at least {MIN_MODELS} models, not {len(ordered)}")
    strange = sorted(path.name for path in directory.glob("*.json") if path.name not in {*files, MANIFEST})
    if strange:
        raise ValueError(f"{directory} holds {strange[0]}, which is no part of this library: name an empty directory")
    for name, entry in files.items():
        (directory / name).write_bytes(entry.profile.to_json() + b"\n")
    models = [
        {"name": e.name, "file": name, "vendor": e.vendor, "family": e.family, "answers": e.profile.answers,
         "prompts": e.profile.prompts, "sha256": hashlib.sha256(e.profile.to_json() + b"\n").hexdigest()}
        for name, e in files.items()
    ]  # fmt: skip
    head = {"format": FORMAT, "feature_set": FEATURE_SET, "source": source, "models": models}
    (directory / MANIFEST).write_text(json.dumps(head, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return load_library(directory)


def load_library(directory: Path = SHIPPED) -> Library:
    """Read a library and check every hash. Errors: `LibraryError` in one line that names the file."""
    data = _read(directory / MANIFEST)
    rows, source = _manifest(data, directory / MANIFEST)
    entries = tuple(_entry(row, directory) for row in rows)
    if len(entries) < MIN_MODELS or len({entry.name for entry in entries}) < len(entries):
        raise LibraryError(f"{directory}: fewer than {MIN_MODELS} models, or two of the same name")
    return Library(entries, source, hashlib.sha256(data).hexdigest())


def file_name(model: str) -> str:
    """The name of a model's file: what a file system might not take becomes `_`."""
    return re.sub(r"[^A-Za-z0-9._-]|^\.", "_", model) + ".json"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LibraryError(f"{path}: {error.strerror}") from error


def _manifest(data: bytes, path: Path) -> tuple[Sequence[Any], str]:
    try:
        head = json.loads(data)
        form, version, source, rows = (head[key] for key in ("format", "feature_set", "source", "models"))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise LibraryError(f"{path}: no manifest of a library ({type(error).__name__})") from error
    if form != FORMAT or not isinstance(rows, list) or not isinstance(source, str):
        raise LibraryError(f"{path}: no manifest of a library")
    if version != FEATURE_SET:
        raise LibraryError(f"{path}: made with another feature set; build the library again from the answers")
    return rows, source


def _entry(row: Any, directory: Path) -> Entry:
    keys = ("name", "file", "vendor", "family", "sha256")
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in keys):
        raise LibraryError(f"{directory / MANIFEST}: a model without {', '.join(keys)}")
    if row["file"] != file_name(row["name"]):
        raise LibraryError(f"{directory / MANIFEST}: {row['file']!r} is no name of a file of {row['name']!r}")
    path = directory / row["file"]
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        raise LibraryError(f"{path}: not the bytes that the manifest names; it was changed")
    try:
        profile = Profile.from_json(data)
    except ValueError as error:
        raise LibraryError(f"{path}: {error}") from error
    if (profile.name, profile.answers, profile.prompts) != (row["name"], row.get("answers"), row.get("prompts")):
        raise LibraryError(f"{path}: not the model that the manifest names")
    return Entry(profile, row["vendor"], row["family"])
