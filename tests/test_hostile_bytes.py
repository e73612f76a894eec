"""Every parser of foreign bytes, driven by hypothesis: it reads or refuses with a `ForensicsError`, and is done soon.

The harnesses are those of tools/fuzz.py, which atheris drives (make fuzz). Here inputs that are in order are broken at
one place, by any of the values that have ever broken a parser.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import tracemalloc
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import fuzz
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.answers import Limits, read_answers
from forensics.casefile import check_seal
from forensics.errors import EvidenceError, ForensicsError, UsageError
from forensics.store import LARGEST, Store

DEEP, DEEPER = "@@deep", "@@deeper"
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 10**400, 2**63, 2**53, 1e308, float("inf"), float("nan"), "", "x", "\ud800",
    "\x00\x1b[31m", "a\nb", "7" * 5000, [], {}, [[]], [None], {"a": None}, [1, 2, 3], ["x"], [["x", 1.0]], "toy/x",
    DEEP, DEEPER,
)  # fmt: skip
DROP = object()
CASES = {"case-body": 10, "report": 10, "population": 8, "statement": 30}  # the others take less than a millisecond
QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def broken(seed: bytes, data: st.DataObject) -> bytes:
    """The JSON of a seed with one value, or a whole branch, replaced or left out."""
    head, mark, body = seed.partition(b"\n") if not seed.lstrip().startswith((b"{", b"[")) else (b"", b"", seed)
    value = json.loads(body)

    def change(node: Any) -> Any:
        if not isinstance(node, dict | list) or not node or data.draw(st.integers(0, 5)) == 0:
            return data.draw(st.sampled_from((*HOSTILE, DROP)))
        where = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        copy = node.copy()
        copy[where] = change(node[where])
        if copy[where] is DROP:
            del copy[where]
        return copy

    found = change(value)
    text = json.dumps(None if found is DROP else found)
    text = text.replace(f'"{DEEPER}"', "[" * 20_000).replace(f'"{DEEP}"', "[" * 900 + "]" * 900)
    return head + mark + text.encode()


@pytest.mark.parametrize("name", [n for n in fuzz.HARNESSES if n not in ("case-file", "configuration", "connection",
                                                                        "manifest", "model-spec")])  # fmt: skip
def test_a_value_that_should_not_be_there(name: str, tmp_path: Path) -> None:
    seeds = fuzz.seeds(name)

    @settings(QUICK, max_examples=CASES.get(name, 100))
    @given(st.data())
    def run(data: st.DataObject) -> None:
        fuzz.HARNESSES[name](broken(data.draw(st.sampled_from(seeds)), data), tmp_path)

    run()


@pytest.mark.parametrize("name", [n for n in fuzz.HARNESSES if n not in ("case-body", "report", "statement")])
def test_any_bytes(name: str, tmp_path: Path) -> None:
    """Bytes alone, and bytes somewhere in an input that was in order."""
    seeds = fuzz.seeds(name)

    @settings(QUICK, max_examples=25)
    @given(st.sampled_from(seeds), st.binary(max_size=60), st.floats(0, 1), st.integers(0, 40), st.booleans())
    def run(seed: bytes, junk: bytes, place: float, gone: int, alone: bool) -> None:
        at = int(place * len(seed))
        fuzz.HARNESSES[name](junk if alone else seed[:at] + junk + seed[at + gone :], tmp_path)

    run()


@pytest.mark.parametrize("name", fuzz.HARNESSES)
def test_the_seeds_are_in_order(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else everything above would only ever see the first refusal."""
    refused: list[ForensicsError] = []

    class Counted:
        def __enter__(self) -> None: ...

        def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
            if isinstance(error, ForensicsError):
                refused.append(error)
            return isinstance(error, ForensicsError)

    monkeypatch.setattr(fuzz, "one_line_at_most", Counted)
    seed = fuzz.seeds(name)[0]
    fuzz.HARNESSES[name](seed, tmp_path)
    parts = {"served-log": 2, "configuration": 2, "sealed-key": 6, "manifest": 2, "server-body": 3, "case-body": 3,
             "report": 2, "answers": 2, "case-file": 2}  # fmt: skip
    assert len(refused) < parts.get(name, 1), refused


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 5000, "can't be read as TOML"),
        ("tool = 5\n", "unknown configuration key"),
        ('suspect = "toy/a"\nreference = "toy/b"\nseed = 9007199254740992\n', "seed must be"),
        ('suspect = "toy/a"\nreference = "toy/b"\nmax_tokens = 99999999999999999999\n', "max_tokens must be below"),
        ('suspect = ["toy/a"]\nreference = "toy/b"\n', "suspect"),
        ('audit = 3\nsuspect = "toy/a"\n', "must be a table"),
    ],
)
def test_hostile_configuration(text: str, words: str, tmp_path: Path) -> None:
    from forensics.config import load_config

    for name in ("forensics.toml", "pyproject.toml"):
        (tmp_path / name).write_text(text)
        with pytest.raises(UsageError) as caught:
            load_config(tmp_path / name)
        assert name == "pyproject.toml" or words in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        '{"prompt": "x", "samples": 1000}',  # would be asked as the reference's second draws
        '{"prompt": "x", "samples": 1000000000}',
        '{"prompt": "x", "max_tokens": 1e999}',
        '{"prompt": "\\ud800"}',
        '{"prompt": "x", "answer": 5}',
        "[" * 50_000,
    ],
)
def test_hostile_suites(line: str, tmp_path: Path) -> None:
    from forensics.probes import load_suite

    (tmp_path / "s.jsonl").write_text(line)
    with pytest.raises(UsageError, match=r"s\.jsonl:1: "):
        load_suite(str(tmp_path / "s.jsonl"))


def test_a_suite_that_is_not_utf_8_names_its_line(tmp_path: Path) -> None:
    from forensics.probes import load_suite

    (tmp_path / "s.jsonl").write_bytes(b'{"prompt": "x"}\n{"prompt": "caf\xe9"}\n')
    with pytest.raises(UsageError, match=r"s\.jsonl:2: not UTF-8"):
        load_suite(str(tmp_path / "s.jsonl"))


# -- memory


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
def test_a_packed_bomb_takes_no_more_memory_than_the_limits(pack: Any, tmp_path: Path) -> None:
    """16 MB in a few KB, as one line and as many; small limits stand for the real ones."""
    for number, content in enumerate((bytes(16 << 20), b'{"prompt": "a", "response": "b"}\n' * (1 << 19))):
        path = tmp_path / f"bomb{number}"
        path.write_bytes(pack(content))
        del content
        tracemalloc.start()
        with pytest.raises(UsageError):
            read_answers(path, limits=Limits(1 << 20, 1 << 18, 1 << 18))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < (40 << 20)  # zstd unpacks 2 KiB at a time, into all of it here


def test_a_document_of_brackets_is_refused_before_it_is_built(tmp_path: Path) -> None:
    path = tmp_path / "brackets"
    path.write_bytes(b"[" + b"[]," * (1 << 20) + b"[]]")
    tracemalloc.start()
    with pytest.raises(UsageError, match="more than 100,000 values"):
        read_answers(path, limits=Limits(values=100_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (16 << 20)


def test_a_servers_body_of_brackets_is_refused_before_it_is_built() -> None:
    from forensics.backends.openai_parse import MOST_VALUES, parse
    from forensics.errors import ProtocolError
    from forensics.types import Request

    body = b'{"choices": [' + b"[]," * MOST_VALUES + b"[]]}"
    tracemalloc.start()
    with pytest.raises(ProtocolError, match="more than 2,097,152 values"):
        parse(body, Request("p", "i", prompt="x"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (1 << 20)


@pytest.mark.slow
def test_a_bomb_in_a_case_is_evidence_that_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "bomb.case"
    with Store(path) as store:
        entry = store.note("note", "", b"small")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        pack = zlib.compressobj(1)
        bomb = b"".join(pack.compress(bytes(1 << 24)) for _ in range((LARGEST >> 24) + 1)) + pack.flush()
        db.execute("DROP TRIGGER body_no_update")
        db.execute("UPDATE body SET data = ?", (bomb,))
    with Store(path, must_exist=True) as store, pytest.raises(EvidenceError, match="more than"):
        store.body(entry.raw)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE seal; CREATE VIEW seal AS WITH RECURSIVE n(digest) AS (SELECT 1 UNION ALL SELECT digest + 1 FROM n)"
        " SELECT digest FROM n",
        "ALTER TABLE entry ADD COLUMN more TEXT AS (hex(zeroblob(900000000)))",
        "CREATE TRIGGER evil AFTER INSERT ON entry BEGIN DELETE FROM meta; END",
        "CREATE TABLE other (a)",
    ],
)
def test_a_case_with_a_schema_of_its_own_is_no_case(statement: str, tmp_path: Path) -> None:
    """A view in the place of a table can make one harmless query run for ever."""
    path = tmp_path / "evil.case"
    with Store(path) as store:
        store.note("note", "", b"x")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(statement)
    with pytest.raises(EvidenceError, match="not a case of this tool"):
        check_seal(path)
    with pytest.raises(EvidenceError, match="not a case of this tool"):
        Store(path, must_exist=True)
