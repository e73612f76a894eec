"""Recorded answers as a model: files and stored cases."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from forensics.backends import open_backend
from forensics.backends.base import Backend
from forensics.backends.file import FileBackend
from forensics.backends.replay import ReplayBackend
from forensics.backends.toy import ToyBackend
from forensics.config import AuditConfig
from forensics.errors import EvidenceError, UsageError
from forensics.pairing import pair
from forensics.probes.base import FIRST_TOKEN
from forensics.recorded import import_files
from forensics.spec import parse_spec
from forensics.store import Store
from forensics.types import Capabilities, Completion, Message, ModelSpec, Reply, Request, Sampling, canonical, sha256

TOKEN: dict[str, Any] = {
    "token": "R",
    "logprob": -0.5,
    "top_logprobs": [{"token": "R", "logprob": -0.5}, {"token": "S", "logprob": -2}],
}
LAST = {"token": "hine", "logprob": -0.1, "top_logprobs": [*TOKEN["top_logprobs"], {"token": "T", "logprob": -3}]}
ROWS: list[dict[str, Any]] = [
    {"id": "river", "prompt": "Name a river.", "response": "Rhine", "logprobs": [TOKEN, LAST]},
    {"id": "river", "prompt": "Name a river.", "response": "Río Ebro"},
    {"id": "stone", "prompt": "Name a stone.", "response": None, "finish_reason": "error"},
    {"id": "tree", "response": "Oak"},
]


def write(path: Path, rows: list[Any], extra: str = "") -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows) + extra)
    return path


@pytest.fixture
def recorded(tmp_path: Path) -> FileBackend:
    return FileBackend(ModelSpec("file", str(write(tmp_path / "answers", ROWS))))


def ask(backend: Backend, *requests: Request) -> list[Completion]:
    replies = asyncio.run(backend.complete(requests))
    for reply in replies:
        assert reply.completion.raw_digest == (sha256(reply.raw) if isinstance(backend, FileBackend) else None)
    return [reply.completion for reply in replies]


def asked(item: str, prompt: str, **more: Any) -> Request:
    return Request("writing", item, (Message("user", prompt),), **more)


def test_looked_up_by_id_then_by_prompt(recorded: FileBackend) -> None:
    requests = (
        asked("river", "Name a river."),
        asked("river", "Name a river.", sample=1, sampling=Sampling(seed=5)),
        asked("tree", "Name a tree."),
        asked("elsewhere-7", "Name a river."),
        asked("stone", "Name a river."),  # the id says another question than the words: the words are right
        Request("raw", "x", prompt="Name a river."),
    )
    done = ask(recorded, *requests)
    assert [c.text for c in done] == ["Rhine", "Río Ebro", "Oak", "Rhine", "Rhine", "Rhine"]
    assert [c.request_digest for c in done] == [r.digest for r in requests]
    assert {c.received_at for c in done} == {None}


def test_what_is_not_in_the_file_is_an_error_of_that_request(recorded: FileBackend) -> None:
    done = ask(
        recorded,
        asked("lake", "Name a lake."),
        asked("river", "Name a river.", sample=2),
        asked("river", "Name a river.", target="Rhine"),
        asked("stone", "Name a stone."),
    )
    assert {c.finish for c in done} == {"error"}
    assert [c.text for c in done] == [None] * 4
    path = recorded.spec.name
    assert [c.error for c in done] == [
        f"not recorded in {path}", f"not recorded in {path}", "recorded answers can't score a text",
        f"recorded as failed ({path}:3)",
    ]  # fmt: skip


def test_a_next_token_query_gets_the_first_token(recorded: FileBackend) -> None:
    one = Sampling(max_tokens=1)
    request = Request(FIRST_TOKEN, "river@0", (Message("user", "Name a river."),), None, one, top_logprobs=2)
    (done,) = ask(recorded, request)
    assert (done.text, done.finish, len(done.tokens)) == ("R", "length", 1)
    assert done.tokens[0].top == ((b"R", -0.5), (b"S", -2.0))
    (none,) = ask(
        recorded, Request(FIRST_TOKEN, "tree@0", (Message("user", "Name a tree."),), None, one, top_logprobs=2)
    )
    assert (none.finish, none.error) == ("error", f"no log-probs recorded in {recorded.spec.name}")


def test_handshake_tells_what_the_file_holds(recorded: FileBackend, tmp_path: Path) -> None:
    caps, evidence = asyncio.run(recorded.handshake())
    assert caps == Capabilities(top_k=2, recorded=True, notes=("4 recorded answers (jsonl), 1 with log-probs",))
    assert json.loads(evidence)["sha256"] == sha256(Path(recorded.spec.name).read_bytes())
    bare = FileBackend(ModelSpec("file", str(write(tmp_path / "bare", ROWS[1:]))))
    assert asyncio.run(bare.handshake())[0].top_k == 0


def test_skip_bad_is_an_option_and_others_are_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "answers", ROWS, "oops\n")
    with pytest.raises(UsageError, match=":5: not JSON"):
        open_backend(parse_spec(f"file/{path}"))
    backend = open_backend(parse_spec(f"file/{path}?skip_bad=1"))
    assert isinstance(backend, FileBackend)
    assert len(backend.answers.skipped) == 1
    assert "1 bad records were skipped" in asyncio.run(backend.handshake())[0].notes
    with pytest.raises(UsageError, match="did you mean 'skip_bad'"):
        FileBackend(ModelSpec("file", str(path), (("skip-bad", "1"),)))
    with pytest.raises(UsageError, match="skip_bad is 0 or 1"):
        FileBackend(ModelSpec("file", str(path), (("skip_bad", "yes"),)))


def test_the_same_file_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    request = asked("river", "Name a river.")
    raws = set()
    for name in ("one", "other"):
        backend = FileBackend(ModelSpec("file", str(write(tmp_path / name, ROWS))))
        (reply,) = asyncio.run(backend.complete([request]))
        raws.add(reply.raw)
        assert json.loads(reply.raw)["response"] == "Rhine"
        asyncio.run(backend.close())
    assert len(raws) == 1


def test_every_paired_request_is_answered_as_the_pairing_says(tmp_path: Path) -> None:
    one = FileBackend(ModelSpec("file", str(write(tmp_path / "one", ROWS))))
    other = FileBackend(
        ModelSpec("file", str(write(tmp_path / "other", [{**r, "prompt": "?" + r["id"]} for r in ROWS])))
    )
    pairing = pair({"suspect": one.answers, "reference": other.answers})
    for name, backend in (("suspect", one), ("reference", other)):
        done = ask(backend, *(u.request for u in pairing.units))
        assert [c.text for c in done] == [c and c.text for c in pairing.columns[name]]


def test_an_imported_case_holds_the_records_of_its_files(tmp_path: Path) -> None:
    one, other = (write(tmp_path / name, ROWS, "oops\n") for name in ("one", "other"))
    with Store(None) as store:
        plan = import_files(AuditConfig(f"file/{one}", f"file/{other}", skip_bad=True), store)
        for party in plan.parties:
            mine = [e for e in store.entries() if e.request and e.party == str(party.spec)]
            kept = {store.body(e.request).decode(): store.body(e.raw) for e in mine}
            backend = FileBackend(ModelSpec("file", party.spec.name, (("skip_bad", "1"),)))
            replies = asyncio.run(backend.complete(plan.requests))
            assert kept == {reply.completion.request_digest: reply.raw for reply in replies}
            assert len(kept) == len(ROWS)


# -- replay

TOY = parse_spec("toy/a?parent=b&share=.5")
RIVER = asked("river", "Name a river.")


def toy_river(spec: ModelSpec) -> list[tuple[Request, Reply]]:
    (reply,) = asyncio.run(ToyBackend(spec).complete([RIVER]))
    return [(RIVER, reply)]


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A case that holds one answer and the handshake of one toy."""
    path = tmp_path / "a.case"
    toy = ToyBackend(TOY)
    caps, evidence = asyncio.run(toy.handshake())
    with Store(path) as store:
        body = {"capabilities": {"top_k": caps.top_k, "logprob_kind": "raw", "notes": ["x"]},
                "evidence": base64.b64encode(evidence).decode()}  # fmt: skip
        store.note("handshake", str(TOY), canonical(body))
        for spec in (parse_spec("toy/x"), TOY, parse_spec("toy/y")):
            store.answer(spec, toy_river(spec))
    return path


def replay(case: Path, query: str = "") -> ReplayBackend:
    backend = open_backend(parse_spec(f"replay/{case}{query}"))
    assert isinstance(backend, ReplayBackend)
    return backend


@pytest.mark.parametrize("query", ["toy/a?parent=b&share=.5", "toy/a%3Fparent%3Db%26share%3D.5"])
def test_replay_says_again_what_was_stored(case: Path, query: str) -> None:
    backend = replay(case, f"?party={query}")
    assert backend.party == TOY
    known, unknown = asyncio.run(backend.complete([RIVER, asked("lake", "Name a lake.")]))
    (told,) = asyncio.run(ToyBackend(TOY).complete([RIVER]))
    assert known == told
    assert (unknown.completion.finish, unknown.completion.error) == ("error", f"not stored in {case}")
    caps, evidence = asyncio.run(backend.handshake())
    assert caps == Capabilities(top_k=-1, logprob_kind="raw", notes=("x",), recorded=True)
    assert evidence == canonical({"toy": "a"})
    asyncio.run(backend.close())


def test_replay_refuses_what_it_can_not_replay(case: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"names no suspect; add \?party=SPEC, one of: toy/a\?parent=b&share=.5, toy/x"
    ):
        replay(case)
    with pytest.raises(UsageError, match="holds nothing of toy/b; one of: toy/a"):
        replay(case, "?party=toy/b")
    with pytest.raises(UsageError, match="takes the option party only, not 'share'"):
        replay(case, "?party=toy/a&share=.5")
    with pytest.raises(UsageError, match="no such case"):
        replay(tmp_path / "missing")


def test_replay_without_a_stored_handshake_claims_nothing(tmp_path: Path) -> None:
    path = tmp_path / "b.case"
    with Store(path) as store:
        store.answer(TOY, toy_river(TOY))
    backend = replay(path, f"?party={TOY}")
    assert asyncio.run(backend.handshake())[0] == Capabilities(recorded=True)
    asyncio.run(backend.close())
    with Store(path) as store:
        store.note("handshake", str(TOY), b'{"capabilities": {"top_q": 1}}')
    backend = replay(path, f"?party={TOY}")
    with pytest.raises(EvidenceError, match="stored handshake"):
        asyncio.run(backend.handshake())
    asyncio.run(backend.close())


def test_replay_takes_the_suspect_from_the_plan(tmp_path: Path) -> None:
    from forensics.plan import Party, Plan, save_plan

    path = tmp_path / "c.case"
    spec = ModelSpec("file", "gone.jsonl")
    with Store(path) as store:
        config = AuditConfig(suspect="gone.jsonl", reference="toy/b")
        save_plan(
            store,
            Plan(
                config, "recorded", "0", (Party("suspect", spec, Capabilities(recorded=True)),), (RIVER,), recorded=True
            ),
        )
        store.answer(spec, toy_river(TOY))
    for query in ("", "?party=suspect", "?party=file/gone.jsonl"):
        backend = replay(path, query)
        assert backend.party == spec
        assert ask(backend, RIVER)[0].text
        asyncio.run(backend.close())
