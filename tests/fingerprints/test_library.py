"""The reference library: what is written is read back, and nothing that was changed is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fingerprints import (
    FAMILIES,
    PLAIN,
    Entry,
    Fingerprint,
    LibraryError,
    Profile,
    feature_names,
    load_library,
    write_library,
)
from fingerprints.library import MANIFEST, SHIPPED, file_name
from fingerprints.profile import prompt_set

LAYOUT = feature_names(["layout"])


def entry(name: str, seed: int, *, vendor: str = "", family: str = "") -> Entry:
    rng = np.random.default_rng(seed)
    rows = np.clip(rng.normal(rng.uniform(0.2, 0.8, len(LAYOUT)), 0.05, (40, len(LAYOUT))), 0, 1)
    profile = Profile(name, Fingerprint.from_matrix(rows, LAYOUT), 40, prompt_set(["p"]))
    return Entry(profile, vendor or f"maker {name}", family or name)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    write_library([entry(f"m/{i}", i) for i in range(12)], tmp_path, source="made up")
    return tmp_path


def test_what_is_written_is_read(built: Path) -> None:
    library = load_library(built)
    assert library.source == "made up"
    assert [e.name for e in library.entries] == sorted(f"m/{i}" for i in range(12))
    assert library.families == ("layout",)
    found = library.find("m/3")
    assert found is not None
    assert found.to_json() == entry("m/3", 3).profile.to_json()
    assert library.find("m/99") is None
    assert (library.entries[0].vendor, library.entries[0].family) == ("maker m/0", "m/0")


def test_the_same_entries_give_the_same_bytes(built: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    write_library([entry(f"m/{i}", i) for i in reversed(range(12))], other, source="made up")
    assert {p.name: p.read_bytes() for p in built.iterdir()} == {p.name: p.read_bytes() for p in other.iterdir()}
    assert load_library(built).digest == load_library(other).digest


def change_manifest(directory: Path, **changes: Any) -> None:
    head = json.loads((directory / MANIFEST).read_text())
    models = head["models"]
    models[0] = {**models[0], **{k: v for k, v in changes.items() if k in models[0]}}
    head |= {k: v for k, v in changes.items() if k not in models[0]}
    (directory / MANIFEST).write_text(json.dumps(head))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, "was changed"),
        ({"file": "../secret.json"}, "no name of a file"),
        ({"name": "m/77"}, "no name of a file"),
        ({"answers": 39}, "not the model that the manifest names"),
        ({"prompts": ""}, "not the model that the manifest names"),
        ({"vendor": 3}, "a model without"),
        ({"feature_set": "0"}, "another feature set"),
        ({"format": "x"}, "no manifest"),
        ({"source": None}, "no manifest"),
        ({"models": {}}, "no manifest"),
        ({"models": [1]}, "a model without"),
        ({"models": []}, "fewer than 10"),
    ],
)
def test_a_manifest_that_lies_is_noticed(built: Path, changes: dict[str, Any], message: str) -> None:
    change_manifest(built, **changes)
    with pytest.raises(LibraryError, match=message) as caught:
        load_library(built)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"format": 1}'])
def test_what_is_no_manifest_is_refused(built: Path, data: bytes) -> None:
    (built / MANIFEST).write_bytes(data)
    with pytest.raises(LibraryError, match="no manifest"):
        load_library(built)


def test_every_changed_or_missing_file_is_noticed(built: Path) -> None:
    for path in sorted(built.glob("m_*.json")):
        kept = path.read_bytes()
        path.write_bytes(kept.replace(b"1", b"2", 1))
        with pytest.raises(LibraryError, match=path.name):
            load_library(built)
        path.unlink()
        with pytest.raises(LibraryError, match="No such file"):
            load_library(built)
        path.write_bytes(kept)
    load_library(built)


def test_a_model_twice_in_the_manifest_is_refused(built: Path) -> None:
    head = json.loads((built / MANIFEST).read_text())
    head["models"].append(head["models"][0])
    (built / MANIFEST).write_text(json.dumps(head))
    with pytest.raises(LibraryError, match="same name"):
        load_library(built)


def test_what_can_be_no_library_is_not_written(tmp_path: Path) -> None:
    entries = [entry(f"m{i}", i) for i in range(10)]
    with pytest.raises(ValueError, match="at least 10"):
        write_library(entries[1:], tmp_path, source="")
    with pytest.raises(ValueError, match="same name"):
        write_library([*entries, entry("m1", 5)], tmp_path, source="")
    with pytest.raises(ValueError, match="unfit for a file"):
        write_library([*entries, entry("x/y", 5), entry("x:y", 6)], tmp_path, source="")
    (tmp_path / "old.json").write_text("{}")
    with pytest.raises(ValueError, match=r"old\.json"):
        write_library(entries, tmp_path, source="")


@pytest.mark.parametrize("name", ["../x", "..", "a/b", ".hidden", "C:\\x", "", "ü\0"])
def test_file_names_stay_in_their_directory(name: str) -> None:
    made = file_name(name)
    assert Path(made).name == made
    assert made.isascii()
    assert "\0" not in made


# -- the shipped library


def test_the_shipped_library_is_what_its_manifest_says() -> None:
    library = load_library()
    assert len(library.entries) == 110
    assert library.families == PLAIN
    assert all(e.vendor and e.family for e in library.entries)
    assert all(e.profile.answers >= 240 for e in library.entries)
    files = sorted(SHIPPED.glob("*"))
    assert len(files) == 111
    assert sum(path.stat().st_size for path in files) < 1_500_000


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def test_the_shipped_fingerprints_hold_numbers_and_no_text() -> None:
    keys = {"format", "feature_set", "name", "answers", "prompts", "families", "mean", "spread", "n", *FAMILIES}
    for e in load_library().entries:
        stored = json.loads((SHIPPED / file_name(e.name)).read_bytes())
        allowed = keys | {stored["format"], stored["feature_set"], e.name, e.profile.prompts}
        assert set(strings(stored)) <= allowed


def test_shipped_fingerprints_come_from_their_answers(corpus: Path) -> None:
    from forensics.fingerprinting import measure

    for e in load_library().entries[::37]:
        again = measure(corpus / f"{e.name}.jsonl.zst", families=PLAIN)
        assert again.to_json() + b"\n" == (SHIPPED / file_name(e.name)).read_bytes()


@pytest.mark.slow
def test_the_shipped_library_is_built_again_byte_for_byte(corpus: Path, tmp_path: Path) -> None:
    from forensics.fingerprinting import build_library

    made, left_out = build_library(corpus.parent / "models.csv", tmp_path, families=PLAIN, source=load_library().source)
    assert not left_out
    assert made.digest == load_library().digest
    assert all(path.read_bytes() == (SHIPPED / path.name).read_bytes() for path in tmp_path.iterdir())
