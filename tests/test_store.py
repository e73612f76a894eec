"""The case file keeps what it was given, refuses changes, and notices those made behind its back."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import EvidenceError, UsageError
from forensics.store import Store
from forensics.types import Completion, ModelSpec, Reply, Request, TokenLogprob, canonical, plain

SPEC = ModelSpec("toy", "x")
ODD = TokenLogprob(b"\xff\x00", -0.5, ((b"\xf0\x9f", float("-inf")),), None)


def ask(item: str) -> Request:
    return Request("writing", item, prompt=f"say {item}")


def reply(request: Request, text: str | None = "hello", finish: str = "stop") -> Reply:
    done = Completion(request.digest, text, finish, (ODD,))  # type: ignore[arg-type]
    return Reply(done, b'{"raw": "' + (text or "").encode() + b'"}')


def filled(path: Path, n: int = 5) -> Path:
    with Store(path) as store:
        store.note("plan", "", b"{}")
        store.answer(SPEC, [(ask(str(i)), reply(ask(str(i)), f"answer {i}")) for i in range(n)])
    return path


def test_what_went_in_comes_out_after_reopening(tmp_path: Path) -> None:
    filled(tmp_path / "a.case")
    with Store(tmp_path / "a.case", must_exist=True) as store:
        found = store.get(SPEC, ask("3"))
        assert found == reply(ask("3"), "answer 3").completion
        assert store.get(ModelSpec("toy", "y"), ask("3")) is None
        assert store.get(SPEC, ask("9")) is None
        store.check()
        assert len(store) == 6


def test_answers_are_taken_over_byte_by_byte(tmp_path: Path) -> None:
    with Store(tmp_path / "a.case") as one, Store(tmp_path / "b.case") as two:
        one.answer(SPEC, [(ask("0"), reply(ask("0"))), (ask("1"), reply(ask("1"), "other"))])
        one.answer(SPEC, [(ask("2"), reply(ask("2"), None, "error"))])
        two.answer(SPEC, [(ask("1"), reply(ask("1"), "my own"))])
        two.take_over(one, SPEC, [ask(str(i)) for i in range(4)])
        two.take_over(one, SPEC, [ask("0")])
        assert two.get(SPEC, ask("0")) == one.get(SPEC, ask("0"))
        assert two.raw(SPEC, ask("0")) == one.raw(SPEC, ask("0"))
        assert two.raw(SPEC, ask("1")) == b'{"raw": "my own"}'  # what is answered here stays
        assert not two.has(SPEC, ask("2"))  # a failure is no answer
        assert len(two) == 2
        two.note("after", "", b"{}")  # the chain goes on from what was taken over
        two.check()


VALUES = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers(1 - 2**53, 2**53 - 1),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner),
)


@given(VALUES)
def test_what_hashes_are_taken_over_is_canonical_json(value: object) -> None:
    assert plain(value) == canonical(value)


def test_a_transaction_that_fails_leaves_the_chain_as_it_was(tmp_path: Path) -> None:
    with Store(filled(tmp_path / "a.case")) as store:
        before = len(store), store.head
        broken = Reply(reply(ask("8")).completion, None)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            store.answer(SPEC, [(ask("7"), reply(ask("7"))), (ask("8"), broken)])
        assert (len(store), store.head, store.has(SPEC, ask("7"))) == (*before, False)
        store.answer(SPEC, [(ask("7"), reply(ask("7")))])
        store.check()


def test_failures_are_kept_and_asked_again() -> None:
    store = Store(None)
    store.answer(SPEC, [(ask("1"), reply(ask("1"), None, "error"))])
    assert not store.has(SPEC, ask("1"))
    assert [e.kind for e in store.entries()] == ["failure"]
    store.answer(SPEC, [(ask("1"), reply(ask("1")))])
    assert store.has(SPEC, ask("1"))


def test_an_answer_is_kept_once() -> None:
    store = Store(None)
    for text in ("first", "second"):
        store.answer(SPEC, [(ask("1"), reply(ask("1"), text))])
    found = store.get(SPEC, ask("1"))
    assert found is not None
    assert found.text == "first"
    assert len(store) == 1


@pytest.mark.parametrize("change", ["sampling", "target", "top", "prompt", "sample"])
def test_anything_that_can_change_an_answer_changes_the_key(change: str) -> None:
    from dataclasses import replace

    one = ask("1")
    other = {
        "sampling": replace(one, sampling=replace(one.sampling, temperature=0.5)),
        "target": replace(one, target="x"),
        "top": replace(one, top_logprobs=5),
        "prompt": replace(one, prompt="say 1 "),
        "sample": replace(one, sample=1),
    }[change]
    assert one.digest != other.digest


@pytest.mark.parametrize("statement", ["UPDATE entry SET kind = 'x'", "DELETE FROM entry", "DELETE FROM body"])
def test_it_is_append_only(tmp_path: Path, statement: str) -> None:
    path = filled(tmp_path / "a.case")
    with sqlite3.connect(path) as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)
    db.close()


def tamper(path: Path, statement: str, *args: object) -> None:
    db = sqlite3.connect(path)
    for name in ("entry_no_update", "entry_no_delete", "body_no_update", "body_no_delete"):
        db.execute(f"DROP TRIGGER {name}")
    db.execute(statement, args)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("UPDATE entry SET received_at = '2020' WHERE seq = 3", "entry 3"),
        ("DELETE FROM entry WHERE seq = 2", "entry 3"),
        ("UPDATE entry SET party = 'toy/z' WHERE seq = 4", "entry 4"),
        ("DELETE FROM body WHERE digest = (SELECT parsed FROM entry WHERE seq = 5)", "missing"),
    ],
)
def test_tampering_is_named(tmp_path: Path, statement: str, word: str) -> None:
    path = filled(tmp_path / "a.case")
    tamper(path, statement)
    with Store(path) as store, pytest.raises(EvidenceError, match=word):
        store.check()


def test_a_changed_body_is_named(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.case")
    new = zlib.compress(b"something else")
    tamper(path, "UPDATE body SET data = ? WHERE digest = (SELECT raw FROM entry WHERE seq = 4)", new)
    with Store(path) as store, pytest.raises(EvidenceError, match="was changed"):
        store.check()


def test_files_that_are_no_cases(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello " * 100)
    with pytest.raises(EvidenceError, match="not a readable case"):
        Store(tmp_path / "text")
    db = sqlite3.connect(tmp_path / "other.db")
    db.execute("CREATE TABLE x (y)")
    db.commit()
    db.close()
    with pytest.raises(EvidenceError, match="not a case"):
        Store(tmp_path / "other.db")
    with pytest.raises(UsageError, match="no such case"):
        Store(tmp_path / "none.case", must_exist=True)
    with pytest.raises(UsageError, match="directory"):
        Store(tmp_path / "no" / "such" / "a.case")


def test_two_runs_do_not_write_one_case(tmp_path: Path) -> None:
    with Store(tmp_path / "a.case"), pytest.raises(UsageError, match="in use by another run"):
        Store(tmp_path / "a.case")
    Store(tmp_path / "a.case").close()


def test_reading_a_case_writes_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.case")
    before = path.read_bytes()
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        with Store(path, must_exist=True) as store:
            store.check()
            assert store.get(SPEC, ask("3")) is not None
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == ["a.case"]
    finally:
        tmp_path.chmod(0o755)
    (tmp_path / "empty.case").touch()
    with pytest.raises(EvidenceError, match="not a case"):
        Store(tmp_path / "empty.case", must_exist=True)
    assert (tmp_path / "empty.case").stat().st_size == 0
