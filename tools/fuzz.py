"""Every parser of foreign bytes as one function ``(data, folder) -> None``, and a coverage-guided run over each.

A harness returns, or raises a `ForensicsError` of one line: anything else is a defect. The tests drive the same
harnesses with hypothesis (tests/test_hostile_bytes.py); here atheris does, for so many seconds each (make fuzz).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Harness = Callable[[bytes, Path], None]
MEMORY = 2048  # MiB that one harness may use
LONGEST = 25  # seconds that one input may take


def written(data: bytes, folder: Path, name: str) -> Path:
    """The bytes as a file."""
    path = folder / name
    path.write_bytes(data)
    return path


# -- the harnesses


def answers(data: bytes, folder: Path) -> None:
    """A file of recorded answers, in whatever format; what can be read is paired."""
    from forensics.answers import Limits, read_answers
    from forensics.pairing import pair

    path = written(data, folder, "answers")
    for skip in (False, True):
        with one_line_at_most():
            file = read_answers(path, skip_bad=skip, limits=Limits(1 << 24, 1 << 20, 1 << 22))
            pair({"suspect": file, "reference": file})


def served_log(data: bytes, folder: Path) -> None:
    """A provider's own log, and the same bytes as a batch's requests."""
    from forensics.exact.served import read_log

    path = written(data, folder, "log")
    for requests in (None, path):
        with one_line_at_most():
            read_log(path, requests=requests, skip_bad=True)


def suite(data: bytes, folder: Path) -> None:
    """A suite of probes, planned."""
    from forensics.probes import load_suite
    from forensics.types import Capabilities, Sampling

    with one_line_at_most():
        for request in load_suite(str(written(data, folder, "suite.jsonl"))).plan(
            Capabilities(top_k=20), sampling=Sampling(seed=1)
        ):
            assert request.digest


def configuration(data: bytes, folder: Path) -> None:
    """forensics.toml and pyproject.toml."""
    from forensics.config import load_config
    from forensics.serial import dump

    for name in ("forensics.toml", "pyproject.toml"):
        with one_line_at_most():
            found = load_config(written(data, folder, name))
            dump(found)
            found.specs()


def model_spec(data: bytes, folder: Path) -> None:
    """What stands behind --suspect, and the backend it opens."""
    from forensics.backends import open_backend
    from forensics.spec import parse_spec

    with one_line_at_most():
        spec = parse_spec(data.decode("utf-8", "replace"))
        assert str(spec)
        if spec.provider != "replay":
            open_backend(spec)


def server_body(data: bytes, folder: Path) -> None:
    """An answer of a server, to a conversation, to raw text and to a text to be scored."""
    from forensics.backends.openai_parse import parse, refusal
    from forensics.serial import dump
    from forensics.types import Message, Request, Sampling

    turns = (Message("user", "Hello"),)
    for request in (
        Request("p", "i", turns, None, Sampling(), top_logprobs=3),
        Request("p", "i", (), "The sky", Sampling(), top_logprobs=3),
        Request("p", "i", (), "The sky", Sampling(), top_logprobs=2, target=" is blue"),
    ):
        with one_line_at_most():
            dump(parse(data, request))
    refusal(data)


def connection(data: bytes, folder: Path) -> None:
    """What a server sends over the socket, whatever it was asked, before it closes it."""
    import asyncio

    from forensics.backends import open_backend
    from forensics.spec import parse_spec
    from forensics.types import Message, Request, Sampling

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(data)
            await writer.drain()
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            backend = open_backend(parse_spec(f"api/mine/m?base_url={url}&retries=0&timeout=5&concurrency=1"))
            try:
                await backend.complete([Request("p", "i", (Message("user", "Hello"),), None, Sampling(max_tokens=4))])
            finally:
                await backend.close()

    with one_line_at_most():
        asyncio.run(ask())


def case_file(data: bytes, folder: Path) -> None:
    """A case file of which not a byte is trusted."""
    from forensics.store import Store
    from forensics.verify import Sources, verify

    path = written(data, folder, "any.case")
    with one_line_at_most():
        list(verify(Sources(case=path)))
    with one_line_at_most(), Store(path, must_exist=True) as store:
        store.check()


def case_body(data: bytes, folder: Path) -> None:
    """A case whose chain and seal are right and of which one body was forged: ``kind``, a line break, the bytes."""
    from forensics.audit import judge
    from forensics.redact import redact
    from forensics.store import Store
    from forensics.verify import Sources, verify

    kind, _, body = data.partition(b"\n")
    path = folder / "forged.case"
    forge(path, kind.decode("ascii", "replace"), body)
    with one_line_at_most():
        list(verify(Sources(case=path)))
    with one_line_at_most(), Store(path, must_exist=True) as store:
        judge(store)
    with one_line_at_most():
        redact(path, folder / f"{len(list(folder.iterdir()))}.case", texts=True)


def population(data: bytes, folder: Path) -> None:
    """A population: compared with a case's conditions, calibrated, judged."""
    from forensics.types import Score
    from forensics.verdict.calibrate import calibrate, load_population

    with one_line_at_most():
        found = load_population(str(written(data, folder, "people.json")))
        conditions = {"suite": "x", "providers": ["hf"], "controls": 3, "items": 50, "prompts": ["a"], "base": False,
                      "length_ratio": 0.1, "one_sided_length": 0.0, "temperature": 1.0}  # fmt: skip
        found.mismatch(conditions)
        scores = [Score(c, "ok", 0.5, 40, (0.4, 0.6), replicates=(0.5, 0.6)) for c in found.columns]
        found.same_model(scores)
        fused = calibrate(scores, found)
        if fused is not None:
            import numpy as np

            fused.point(np.array([0.5] * len(fused.columns)))
        assert found.digest


def manifest(data: bytes, folder: Path) -> None:
    """models.csv: the pairs that it makes, and the library that is built from it."""
    from forensics.fingerprinting import build_library
    from forensics.labelled import jobs
    from forensics.manifest import read_manifest

    path = written(data, folder, "models.csv")
    with one_line_at_most():
        jobs(read_manifest(path))
    with one_line_at_most():
        build_library(path, folder / "library", families=("punctuation",), source="")


def sealed_key(data: bytes, folder: Path) -> None:
    """Keys of canaries, twins and watermarks, with the hash that these very bytes have."""
    from forensics.exact import canary, sealed, twins, watermark

    path = written(data, folder, "key.json")
    with one_line_at_most():
        key = sealed.read_json(path)
        if not isinstance(key, dict):
            return
        with one_line_at_most():
            watermark.width(key)
            watermark.scheme(key)
        committed = sealed.commitment(key)
        for kind, shown in (("canary", lambda k: canary.sheet(k, committed)), ("twins", twins.released)):
            with one_line_at_most():
                shown(sealed.read(path, kind, committed, None))
    with one_line_at_most():
        sealed.read(path, "canary", None, path)
    for needs, made in (("prompt", canary.plant), ("versions", lambda rows, _, nonce: twins.release(rows, nonce))):
        with one_line_at_most():
            made(sealed.read_lines(path, needs), 4, "0" * 64)


def report(data: bytes, folder: Path) -> None:
    """report.json: read as a record, verified, and shown in every format."""
    import reports
    from forensics.cli_output import load_record
    from forensics.verify import Sources, verify

    path = written(data, folder, "report.json")
    with one_line_at_most():
        list(verify(Sources(report=path)))
    with one_line_at_most():
        record = load_record(path)
        for name in reports.FORMATS:
            reports.render(record, name).encode()
        reports.render_comparison(record, record, "md").encode()


def statement(data: bytes, folder: Path) -> None:
    """The manifest of a case (in-toto, DSSE), held against a report and a case that are in order."""
    from forensics.verify import Sources, verify

    path = written(data, folder, "m.intoto.json")
    with one_line_at_most():
        list(verify(Sources(case=sound_case(), manifest=path)))


def fingerprint(data: bytes, folder: Path) -> None:
    """A stored fingerprint, or a file of answers to make one from."""
    from forensics.fingerprinting import open_profile

    with one_line_at_most():
        open_profile(written(data, folder, "print.json"), families="punctuation")


HARNESSES: Mapping[str, Harness] = {
    harness.__name__.replace("_", "-"): harness
    for harness in (
        answers, served_log, suite, configuration, model_spec, server_body, connection, case_file, case_body,
        population, manifest, sealed_key, report, statement, fingerprint,
    )
}  # fmt: skip


@contextlib.contextmanager
def one_line_at_most() -> Any:
    """Lets a `ForensicsError` with a message pass as handled; everything else goes on up."""
    from forensics.errors import ForensicsError

    try:
        yield
    except ForensicsError as error:
        if not str(error).strip():
            raise AssertionError("an error says what is wrong") from error


# -- what is in order, to start from


@cache
def workplace() -> Path:
    """A folder for this process."""
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def sound_case() -> Path:
    """A small sealed case with an exact test in it."""
    from forensics import AuditConfig, Store, collect
    from forensics.exact.case import keep

    path, items = workplace() / "sound.case", workplace() / "three.jsonl"
    items.write_text("".join(f'{{"id": "i{i}", "prompt": "Say {i}.", "max_tokens": 6}}\n' for i in range(3)))
    config = AuditConfig("toy/sam?parent=ref", "toy/ref", ("toy/ann", "toy/bob"), suite=str(items))
    with Store(path) as store:
        collect(config, store=store)
        keep(store, "suspect", {"test": "canary", "key": "k", "form": "text", "hits": [1] * 6, "chances": [0.25] * 6})
    return path


@cache
def bodies() -> Mapping[str, bytes]:
    """One body of each kind of entry in the sound case; answers as they were parsed."""
    from forensics import Store

    with Store(sound_case(), must_exist=True) as store:
        return {e.kind: store.body(e.parsed) for e in store.entries()}


def forge(path: Path, kind: str, body: bytes) -> None:
    """The sound case written anew with another body under the first entry of a kind; everything hashes as it should."""
    from forensics import Store

    path.unlink(missing_ok=True)
    with Store(sound_case(), must_exist=True) as old, Store(path) as new:
        done = False
        for entry in old.entries():
            request = old.body(entry.request).decode() if entry.request else ""
            raw, parsed = old.body(entry.raw), old.body(entry.parsed)
            if entry.kind == kind and not done:
                raw, parsed, done = (raw if entry.kind == "answer" else body), body, True
            with new._transaction():
                new._append(entry.kind, entry.party, request, raw, parsed, entry.received_at)


def seeds(name: str) -> list[bytes]:
    """Inputs that are in order, for a harness to start from."""
    lines = b'{"prompt": "Hi", "response": "Ho", "id": "1", "sampling": {"temperature": 1, "max_tokens": 5}}\n'
    found: dict[str, list[bytes]] = {
        "answers": [lines, b'[{"instruction": "a", "output": "b"}]', b'{"custom_id": "1", "response": {"body": '
                    b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}}}',
                    b'{"doc_id": 1, "arguments": [["q", {"until": []}]], "resps": [["a"]]}',
                    b'{"epoch": 1, "input": "q", "id": 1, "output": {"choices": [{"message": {"content": "a"}}]}}'],
        "served-log": [lines, b'{"custom_id": "1", "body": {"messages": [{"role": "user", "content": "q"}]}}',
                       b'{"request": {"messages": [{"role": "user", "content": "q"}], "max_tokens": 4}, "response": '
                       b'{"choices": [{"message": {"content": "a"}, "finish_reason": "length"}]}, "user": "u"}'],
        "suite": [b'{"id": "a", "family": "choice", "prompt": "Heads?", "samples": 2, "max_tokens": 4, "answer": '
                  b'["h"], "lang": "en", "system": "s"}', b'{"messages": [{"role": "user", "content": "q"}]}'],
        "configuration": [b'suspect = "toy/a"\nreference = "toy/b"\ncontrols = ["toy/c"]\nseed = 3\nmax_tokens = 9\n',
                          b'[tool.forensics.audit]\nsuspect = "toy/a"\nreference = "toy/b"\n'],
        "model-spec": [b"api/me/x?base_url=http://127.0.0.1:9/v1&timeout=3", b"toy/sam?parent=ref&share=0.7"],
        "server-body": [b'{"choices": [{"message": {"content": "The sky"}, "finish_reason": "stop", "logprobs": '
                        b'{"content": [{"token": "The", "logprob": -1, "bytes": [84], "top_logprobs": []}]}}], '
                        b'"usage": {"prompt_tokens": 1}}'],
        "connection": [b"HTTP/1.1 200 OK\r\ncontent-length: 43\r\nx-id: 1\r\n\r\n"
                       b'{"choices": [{"message": {"content": ""}}]}',
                       b"HTTP/1.1 429 No\r\nretry-after: 900\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
                       b"HTTP/1.1 302 x\r\nlocation: http://h/\r\n\r\n"],
        "manifest": [b"name,file,role,documented_teachers,cluster\na,a.jsonl,student,b,x\nb,b.jsonl,teacher,,y\n"],
        "sealed-key": [_sealed("canary"), _sealed("twins"), b'{"greenlist_ratio": 0.25, "bias": 2.0, "hashing_key": 3,'
                       b' "seeding_scheme": "lefthash", "context_width": 1}'],
        "case-file": [sound_case().read_bytes()] if name == "case-file" else [],
        "case-body": [f"{k}\n".encode() + v for k, v in bodies().items()] if name == "case-body" else [],
        "population": [_people()] if name == "population" else [],
        "report": [_record()] if name == "report" else [],
        "statement": [_statement()] if name == "statement" else [],
        "fingerprint": [lines],
    }  # fmt: skip
    return found[name]


def _sealed(kind: str) -> bytes:
    from forensics.exact import canary, twins

    if kind == "canary":
        return json.dumps(canary.plant([{"prompt": "p", "answer": "a {secret}"}] * 4, 4, "1" * 64)).encode()
    return json.dumps(twins.release([{"versions": ["a", "b"], "prompt": "p"}] * 20, "1" * 64)).encode()


def _people() -> bytes:
    pairs = [
        {"suspect": f"s{i}", "candidate": f"c{i}", "kind": "student", "label": i % 2, "lineage": f"l{i}",
         "lineages": [f"l{i}"], "scores": {"answer-overlap": i % 2 + i / 50, "relative-mmd": i / 9}, "group": ""}
        for i in range(24)
    ]  # fmt: skip
    conditions = {"providers": ["hf"], "min_controls": 3, "items": [40, 89], "prompts": ["a"], "base": False,
                  "length_ratio": [-1.0, 1.0], "one_sided_length": -0.5}  # fmt: skip
    found = {"name": "people", "card": "c", "conditions": conditions, "pairs": pairs}
    found |= {"columns": ["answer-overlap", "relative-mmd"], "alike": ["answer-overlap", 9.0]}
    return json.dumps(found).encode()


def _record() -> bytes:
    from forensics import Store
    from forensics.audit import judge

    with Store(sound_case(), must_exist=True) as store:
        return judge(store).to_json().encode()


def _statement() -> bytes:
    from forensics import Store
    from forensics.attest import attest
    from forensics.audit import judge

    with Store(sound_case(), must_exist=True) as store:
        found = judge(store)
    return attest(sound_case(), found, {}, None)


# -- the run


def run_one(name: str, seconds: int) -> None:
    """Fuzz one harness in this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["forensics", "fingerprints", "reports"]):
        import forensics.verify as engine
        import reports as views

    assert engine, views
    corpus, place = workplace() / "corpus", workplace() / "place"
    corpus.mkdir()
    for number, seed in enumerate(seeds(name)):
        (corpus / str(number)).write_bytes(seed)

    def test(data: bytes) -> None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        HARNESSES[name](data, place)

    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY}", f"-timeout={LONGEST}", "-max_len=65536"]
    atheris.Setup([sys.argv[0], *limits, "-print_final_stats=0", "-verbosity=0", str(corpus)], test)
    atheris.Fuzz()


def main() -> None:
    """Run the harnesses one after the other, each in a process of its own; exit 1 if one of them found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(HARNESSES)}")
    parser.add_argument("--seconds", type=int, default=60, help="how long each")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if unknown := [n for n in chosen.names if n not in HARNESSES]:
        parser.error(f"no harness {unknown[0]}: {', '.join(HARNESSES)}")
    if find_spec("atheris") is None:
        print("fuzzing skipped: atheris is not installed here (pip install atheris); hypothesis runs in make test")
        return
    if chosen.here:
        run_one(chosen.names[0], chosen.seconds)
        return
    failed = []
    for name in chosen.names or HARNESSES:
        command = [sys.executable, __file__, name, "--here", "--seconds", str(chosen.seconds)]
        with tempfile.TemporaryDirectory() as found:
            done = subprocess.run(command, cwd=found, capture_output=True, text=True, errors="replace", check=False)
            print(f"{name}: {'ok' if done.returncode == 0 else 'FAILED'}", flush=True)
            if done.returncode:
                failed.append(name)
                print(done.stderr[-4000:], flush=True)
                for path in Path(found).iterdir():
                    print(f"{path.name}: {path.read_bytes()[:400]!r}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
