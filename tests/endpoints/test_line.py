"""One connection to a server: what comes unasked, what ends, and the way through a proxy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from forensics.backends.line import BUFFER, Line, pool_for, proxy_for
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


async def post(line: Line, url: str) -> tuple[int, bytes, bool]:
    answer = await line.handle_async_request(httpx2.Request("POST", url, content=b"{}"))
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
