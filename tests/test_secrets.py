"""The key is nowhere: real processes against a loopback server, and a search through everything that they wrote.

The server is as hostile as it can be with a key that it knows: it repeats it in answers, in errors, in headers, in an
address to go to, and in the escapes of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from forensics import Store

KEY = "sk-live-7f3a9c0d51e84b26a7c4d8e9"
PIECE = KEY[-16:]  # no part of it of this length either
ESCAPED = "".join(f"\\u{ord(c):04x}" for c in KEY)


class Hostile(BaseHTTPRequestHandler):
    """One way to give a key back; ``seen`` collects what the process list shows of whoever asks."""

    mode = "honest"
    seen: list[bytes]
    keys: list[str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.keys.append(self.headers.get("authorization", ""))
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.seen.append(entry.read_bytes())
            except OSError:
                continue
        status, text, headers = self.answer(len(json.dumps(body)))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def answer(self, size: int) -> tuple[int, bytes, dict[str, str]]:
        said = f"The answer has {size} letters and {size % 7} words."
        whole = json.dumps({"choices": [{"message": {"content": said}, "finish_reason": "stop"}], "model": "m",
                            "usage": {"prompt_tokens": 3, "completion_tokens": 9}})  # fmt: skip
        error = json.dumps({"error": {"message": f"bad key Bearer {KEY}", "param": KEY, "code": KEY}})
        headers = {"x-your-key": KEY, "www-authenticate": f"Bearer {KEY}", "set-cookie": f"k={KEY}"}
        answers: dict[str, tuple[int, str, dict[str, str]]] = {
            "honest": (200, whole, headers),
            "answer": (200, whole.replace("words", KEY), {}),
            "model": (200, whole.replace('"m"', f'"{KEY}"'), {}),
            "escaped": (200, whole.replace("words", ESCAPED), {}),
            "refused": (401, error, headers),
            "bad-request": (400, error, headers),
            "not-json": (200, f"<h1>{KEY}</h1>", {}),
            "elsewhere": (307, "", {"location": f"http://127.0.0.1:9/{KEY}?k={KEY}"}),
            "no-such-path": (404, error, {}),
        }
        status, text, more = answers[self.mode]
        return status, text.encode(), more

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[tuple[str, type[Hostile]]]:
    handler = type("Handler", (Hostile,), {"seen": [], "keys": []})
    found = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}/v1", handler
    found.shutdown()
    found.server_close()
    thread.join()


def run(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FORENSICS_", "OPENAI_"))}
    command = [sys.executable, "-m", "forensics.cli", *args]
    return subprocess.run(command, cwd=folder, env={**clean, "ACME_API_KEY": KEY, **env}, capture_output=True,
                          timeout=300, check=False)  # fmt: skip


def everything(folder: Path, *runs: subprocess.CompletedProcess[bytes]) -> dict[str, bytes]:
    """All bytes of all files and streams, and each body of each case as it is when it is read."""
    found = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for number, done in enumerate(runs):
        found |= {f"stdout {number}": done.stdout, f"stderr {number}": done.stderr}
    for path in folder.rglob("*.case"):
        with Store(path, must_exist=True) as store:
            for entry in store.entries():
                for digest in {entry.raw, entry.parsed, entry.request} - {""}:
                    found[f"{path}: {entry.kind} {entry.seq}"] = store.body(digest)
                found[f"{path}: row {entry.seq}"] = repr(entry).encode()
    return found


def leaks(found: dict[str, bytes]) -> list[str]:
    return [name for name, data in found.items() if PIECE.encode() in data or ESCAPED[-60:].encode() in data]


def test_a_whole_audit(server: tuple[str, type[Hostile]], tmp_path: Path, suite_file: Path) -> None:
    """The case, the reports in every format, the manifest, the streams, the process list."""
    url, handler = server
    suspect = f"api/acme/rival?base_url={url}"
    parties = ["--suspect", suspect, "--reference", "toy/ref", "--control", "toy/ann", "--control", "toy/bob"]
    first = run(tmp_path, "audit", *parties, "--suite", str(suite_file), "--case", "a.case", "-o", "r.html", "-o",
                "r.json", "-o", "r.md", "--manifest", "m.json")  # fmt: skip
    assert first.returncode == 3, first.stderr
    again = run(tmp_path, "verify", "a.case", "--report", "r.json", "--manifest", "m.json")
    assert again.returncode == 0, again.stderr
    assert set(handler.keys) == {f"Bearer {KEY}"}
    found = everything(tmp_path, first, again)
    assert len([name for name in found if ".case: answer" in name]) > 40
    assert b"letters" in b"".join(found.values())
    assert leaks(found) == []
    assert any(b"forensics.cli" in line for line in handler.seen)
    assert leaks({"process list": b"\n".join(handler.seen)}) == []


@pytest.mark.parametrize(
    "mode",
    ["escaped", "bad-request", "elsewhere",
     *(pytest.param(m, marks=pytest.mark.slow) for m in ("answer", "model", "refused", "not-json", "no-such-path"))],
)  # fmt: skip
def test_a_server_that_gives_the_key_back(mode: str, server: tuple[str, type[Hostile]], tmp_path: Path) -> None:
    url, handler = server
    handler.mode = mode
    done = run(tmp_path, "doctor", f"api/acme/rival?base_url={url}&retries=0", "--case", "d.case", FORENSICS_DEBUG="1")
    assert done.returncode == 4, done.stderr
    assert handler.keys
    assert leaks(everything(tmp_path, done)) == []


def test_in_mid_audit(server: tuple[str, type[Hostile]], tmp_path: Path, suite_file: Path) -> None:
    """Answers that give the key back are failures with a reason; nothing of them is in the case."""
    url, handler = server
    spec = f"api/acme/rival?base_url={url}&retries=0"
    assert run(tmp_path, "doctor", spec, "--case", "a.case").returncode == 0
    handler.mode = "answer"
    parties = ["--suspect", spec, "--reference", "toy/ref", "--control", "toy/ann"]
    done = run(tmp_path, "collect", *parties, "--suite", str(suite_file), "--case", "b.case", FORENSICS_DEBUG="1")
    assert done.returncode == 4
    assert leaks(everything(tmp_path, done)) == []


def test_a_key_in_a_spec_is_refused_before_it_is_written(tmp_path: Path) -> None:
    for spec in (f"api/acme/x?api_key={KEY}&base_url=http://h/v1", f"api/acme/x?base_url=http://u:{KEY}@h/v1",
                 f"api/acme/x?base_url=http://h/v1?key={KEY}"):  # fmt: skip
        done = run(tmp_path, "audit", "--suspect", spec, "--reference", "toy/ref", "--control", "toy/ann")
        assert done.returncode == 2, done.stderr
        assert leaks(everything(tmp_path, done)) == [], spec
