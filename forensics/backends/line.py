"""One HTTP/1.1 connection as a transport of httpx2: httpcore2's connection over asyncio's own sockets.

`httpx2.AsyncClient` would do the same at three times the processor time a request (`benchmarks/endpoints.py`): client,
pool and anyio's streams cost more than the protocol. And a stream of our own sees what comes unasked.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore2
import httpx2

from ..errors import UsageError

IDLE = 5.0  # seconds after which a connection that nobody used is not used again: servers close theirs
BUFFER = 2**18  # bytes that may lie unread before the server has to wait
CONNECT = 10.0  # seconds to be connected in


def pool_for(url: str, *, proxied: bool) -> httpcore2.AsyncConnectionPool:
    """What makes the connections to a server, through the environment's proxy if ``proxied`` and if it names one.

    Certificates are always verified: by the system's authorities, or those in SSL_CERT_FILE and SSL_CERT_DIR.
    """
    return httpcore2.AsyncConnectionPool(
        ssl_context=httpx2.create_ssl_context(), proxy=proxy_for(url) if proxied else None,
        keepalive_expiry=IDLE, network_backend=_Network(),
    )  # fmt: skip


class Line(httpx2.AsyncBaseTransport):
    """One connection, opened when it is needed: one request at a time, and its answer read to the end before the next.
    No time limit but that of connecting: whoever asks sets one for the whole answer.

    An answer of which nothing came in after its question was sent is marked ``stale`` in the extensions: the server had
    answered an earlier question twice.
    """

    def __init__(self, pool: httpcore2.AsyncConnectionPool, url: str, timeout: float) -> None:
        self._origin, self._pool = httpcore2.URL(url).origin, pool
        self._connection: httpcore2.AsyncConnectionInterface | None = None
        self._extensions = {"timeout": {"connect": min(timeout, CONNECT)}}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; the body is read as the response is iterated. Errors: `httpx2.TransportError`."""
        url = request.url
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        asked = httpcore2.Request(
            request.method, target, headers=request.headers.raw, content=request.stream, extensions=self._extensions
        )
        if self._connection is not None and (self._connection.is_closed() or self._connection.has_expired()):
            await self.aclose()
        if self._connection is None:  # the pool's own queue is not used: every request has its connection
            self._connection = self._pool.create_connection(self._origin)
        try:
            answer = await self._connection.handle_async_request(asked)
        except ERRORS as error:
            raise _ours(error) from error
        stream = answer.extensions["network_stream"]
        return httpx2.Response(
            answer.status, headers=answer.headers, stream=_Body(answer),
            extensions={"stale": isinstance(stream, _Stream) and stream.silent},
        )  # fmt: skip

    async def aclose(self) -> None:
        """Close the connection; the next request opens another."""
        closing, self._connection = self._connection, None
        if closing is not None:
            await closing.aclose()


ERRORS = (
    httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
)  # fmt: skip


def _ours(error: Exception) -> Exception:
    """The error of the same name in httpx2."""
    found: Exception = getattr(httpx2, type(error).__name__)(str(error))
    return found


class _Body(httpx2.AsyncByteStream):
    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._answer.stream
        assert isinstance(stream, AsyncIterable)
        try:
            async for chunk in stream:
                yield chunk
        except ERRORS as error:
            raise _ours(error) from error

    async def aclose(self) -> None:
        await self._answer.aclose()


def proxy_for(url: str) -> httpcore2.Proxy | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY name for an address, unless NO_PROXY exempts its host.

    Errors: `UsageError` if it can't be used.
    """
    parts, known = urlsplit(url), getproxies()
    named = known.get(parts.scheme) or known.get("all")
    if not named or proxy_bypass(parts.hostname or ""):
        return None
    try:
        proxy = httpx2.Proxy(named if "://" in named else f"http://{named}")
    except (ValueError, httpx2.InvalidURL):  # what it says may repeat a password
        raise UsageError("the environment names a proxy that is no http, https or socks5 address") from None
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise UsageError("the environment names a SOCKS proxy: install the package socksio")
    where = httpcore2.URL(
        scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=proxy.url.raw_path
    )
    return httpcore2.Proxy(where, auth=proxy.raw_auth, headers=proxy.headers.raw)


class _Stream(asyncio.Protocol, httpcore2.AsyncNetworkStream):
    """A socket for httpcore2. What is written is sent with the next read, a request's head and body at once.

    ``silent``: nothing was received since the last write.
    """

    def __init__(self) -> None:
        self.silent = True
        self._transport: asyncio.Transport
        self._in, self._out, self._paused = bytearray(), bytearray(), False
        self._lost: BaseException | bool = False  # why the connection ended, True if the server just closed it
        self._reader: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._in += data
        self.silent = False
        if len(self._in) > BUFFER and not self._paused:
            self._transport.pause_reading()
            self._paused = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = exc or True
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._out and not self._lost:
            self._transport.write(bytes(self._out))
            self._out.clear()
        if not self._in and not self._lost:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        if not self._in and isinstance(self._lost, BaseException):
            raise httpcore2.ReadError(str(self._lost)) from self._lost
        data, self._in = bytes(self._in), bytearray()
        if self._paused:
            self._transport.resume_reading()
            self._paused = False
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._out += buffer
        self.silent = True

    async def aclose(self) -> None:
        self._transport.abort()  # closing politely would wait for a server that may never answer
        await asyncio.sleep(0)  # for the transport's own last callback

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
        loop, plain = asyncio.get_running_loop(), self._transport
        try:
            async with asyncio.timeout(timeout):
                made = await loop.start_tls(plain, self, ssl_context, server_hostname=server_hostname)
        except TimeoutError as error:
            plain.abort()
            raise httpcore2.ConnectTimeout("the TLS handshake took too long") from error
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        assert made is not None
        self._transport = made
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # an idle connection has nothing to say, unless it ends
            return bool(self._in or self._lost)
        return self._transport.get_extra_info(info)


def _race(host: str) -> float | None:
    """Seconds after which the next of a name's addresses is tried too (RFC 8305). A race that is cancelled may drop a
    socket unclosed (asyncio of Python 3.11), so a single address runs none."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return 0.25
    return None


class _Network(httpcore2.AsyncNetworkBackend):
    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> _Stream:  # fmt: skip
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                _, stream = await loop.create_connection(_Stream, host, port, happy_eyeballs_delay=_race(host))
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        return stream

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
