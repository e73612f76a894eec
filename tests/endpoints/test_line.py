"""One connection to a server: what comes unasked, what ends, and the way through a proxy."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from loopback import Loopback

from forensics.backends.line import BUFFER, Line, _Network, pool_for, proxy_for
from forensics.errors import UsageError

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def question(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    return head + await reader.readexactly(size)


async def with_server(serve: Serve, ask: Callable[[Line, str], Awaitable[Any]], proxied: bool = False) -> Any:
    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(quietly, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        line = Line(pool_for(url, proxied=proxied), url, 5)
        try:
            return await ask(line, url)
        finally:
            await line.aclose()
            await asyncio.sleep(0.02)  # for the server's own last callbacks


async def post(line: Line, url: str, content: bytes = b"{}") -> tuple[int, bytes, bool]:
    answer = await line.handle_async_request(httpx2.Request("POST", url, content=content))
    return answer.status_code, await answer.aread(), answer.extensions["stale"]


def test_head_and_body_leave_together_and_connections_are_kept() -> None:
    pieces: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            pieces.append(data)
            writer.write(ANSWER)

    async def ask(line: Line, url: str) -> list[Any]:
        return [await post(line, url) for _ in range(3)]

    assert asyncio.run(with_server(serve, ask)) == [(200, b"{}", False)] * 3
    assert len(pieces) == 3
    assert all(piece.endswith(b"\r\n\r\n{}") for piece in pieces)


@pytest.mark.parametrize("gap", [0.0, 0.02])
def test_what_comes_unasked_answers_nothing(gap: float) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await question(reader)
        writer.write(ANSWER + (ANSWER if not gap else b""))
        if gap:
            await asyncio.sleep(gap)
            writer.write(ANSWER)
        await question(reader)
        writer.write(ANSWER.replace(b"{}", b"[]"))

    async def ask(line: Line, url: str) -> list[Any]:
        first = await post(line, url)
        await asyncio.sleep(2 * gap)
        return [first, await post(line, url)]

    first, second = asyncio.run(with_server(serve, ask))
    assert first == (200, b"{}", False)
    # In one piece it is seen to be older than the question; come between the questions, it costs the connection.
    assert second == ((200, b"{}", True) if not gap else (200, b"{}", False))


def test_a_server_that_hangs_up_between_questions_is_called_again() -> None:
    calls = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await question(reader)
        writer.write(ANSWER)

    async def ask(line: Line, url: str) -> list[Any]:
        found = []
        for _ in range(3):
            found.append(await post(line, url))
            await asyncio.sleep(0.02)
        return found

    assert asyncio.run(with_server(serve, ask)) == [(200, b"{}", False)] * 3
    assert calls == 3


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", b"nonsense\r\n\r\n"])
def test_half_an_answer_is_an_error_of_httpx2(sent: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await question(reader)
        writer.write(sent)

    with pytest.raises(httpx2.RemoteProtocolError):
        asyncio.run(with_server(serve, post))


def test_a_server_waits_while_nobody_reads() -> None:
    size = 64 * 2**20
    written = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await question(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while written < size:
            writer.write(bytes(2**16))
            await writer.drain()
            written += 2**16

    async def ask(line: Line, url: str) -> int:
        answer = await line.handle_async_request(httpx2.Request("POST", url, content=b"{}"))
        await asyncio.sleep(0.3)
        waiting = written
        assert len(await answer.aread()) == size
        return waiting

    assert BUFFER <= asyncio.run(with_server(serve, ask)) < size / 2


def test_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await question(reader))
        writer.write(ANSWER)

    async def ask(_: Line, proxy: str) -> Any:
        monkeypatch.setenv("HTTP_PROXY", proxy.replace("//", "//me:pass@"))
        url = "http://model.example/v1"
        line = Line(pool_for(url, proxied=True), url, 5)
        try:
            return await post(line, url)
        finally:
            await line.aclose()

    for name in ("http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert asyncio.run(with_server(serve, ask)) == (200, b"{}", False)
    assert asked[0].startswith(b"POST http://model.example/v1 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cGFzcw==" in asked[0]
    monkeypatch.setenv("NO_PROXY", ".example")
    assert proxy_for("http://model.example/v1") is None
    monkeypatch.setenv("NO_PROXY", "")
    for bad in ("ftp://me:pass@host", "http://host:port"):
        monkeypatch.setenv("HTTP_PROXY", bad)
        with pytest.raises(UsageError, match="the environment names a proxy") as caught:
            proxy_for("http://model.example/v1")
        assert "pass" not in str(caught.value)


@pytest.fixture
def certified(tmp_path: Path) -> Path:
    """A certificate of localhost, of which nobody but SSL_CERT_FILE can know, and its key."""
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "server.pem").write_bytes(key.private_bytes(*form) + pem)
    (tmp_path / "ca.pem").write_bytes(pem)
    return tmp_path


@pytest.mark.parametrize("tunnelled", [False, True])
def test_over_tls(certified: Path, tunnelled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified / "server.pem")
    tunnels: list[bytes] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tunnels.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        there = await asyncio.open_connection("127.0.0.1", int(tunnels[0].split()[1].rpartition(b":")[2]))

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(2**16):
                sink.write(data)
            sink.close()

        try:
            await asyncio.gather(carry(reader, there[1]), carry(there[0], writer))
        finally:
            there[1].transport.abort()

    with Loopback(context=context) as server:

        async def ask(_: Line, proxy: str) -> list[tuple[int, bytes, bool]]:
            monkeypatch.setenv("HTTPS_PROXY", proxy)
            line = Line(pool_for(server.url, proxied=tunnelled), server.url, 5)
            try:
                url = f"{server.url}/chat/completions"
                return [await post(line, url, b'{"model": "m", "messages": []}') for _ in range(2)]
            finally:
                await line.aclose()

        for name in ("https_proxy", "NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            asyncio.run(with_server(tunnel, ask))
        monkeypatch.setenv("SSL_CERT_FILE", str(certified / "ca.pem"))
        found = asyncio.run(with_server(tunnel, ask))
    assert [(status, stale, b"answer" in body) for status, body, stale in found] == [(200, False, True)] * 2
    assert len(tunnels) == (2 if tunnelled else 0)  # one refused for its certificate, one used twice


def test_a_body_that_is_not_read_closes_the_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = json.dumps({"asked": len(await question(reader))}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    async def ask(line: Line, url: str) -> Any:
        answer = await line.handle_async_request(httpx2.Request("POST", url, content=b"{}"))
        await answer.aclose()
        return await post(line, url)

    status, body, stale = asyncio.run(with_server(serve, ask))
    assert (status, stale) == (200, False)
    assert b"asked" in body


def test_whoever_gives_up_while_connecting_leaves_no_socket() -> None:
    async def go() -> list[str]:
        left = []
        with Loopback() as server:
            port = httpx2.URL(server.url).port
            for turns in range(12):
                connecting = asyncio.ensure_future(_Network().connect_tcp("127.0.0.1", port or 0, timeout=5))
                for _ in range(turns):
                    await asyncio.sleep(0)
                connecting.cancel()
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", ResourceWarning)
                    with suppress(asyncio.CancelledError):
                        await (await connecting).aclose()
                    del connecting
                    await asyncio.sleep(0.01)
                    gc.collect()
                left += [str(w.message) for w in caught if "unclosed <socket" in str(w.message)]
        return left

    assert asyncio.run(go()) == []
