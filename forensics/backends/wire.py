"""POST over HTTP with retries, a limit of running requests that follows the server, and a key that nobody sees."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn

import httpcore2
import httpx2
import stamina

from ..errors import ProtocolError, RateError, UnavailableError
from .line import Line, pool_for
from .openai_parse import json_object, one_line, refusal
from .waits import retry_after

LARGEST = 32 * 2**20  # bytes of one answer, whatever was asked
LONGEST_WAIT = 120.0  # seconds that a server may ask us to wait
SILENCES = 3  # requests in a row that came to nothing: then the server counts as gone
RECENT = 4096  # answers that are remembered to notice a second copy
FAILURES = 20  # the same where it says itself that something broke: that may be the request's fault
PATIENCE = 24  # "too many requests" that one request takes while others are answered
PLAIN = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": f"python-httpx2/{httpx2.__version__}",
}  # as everybody's requests: nothing says audit
NEVER_AGAIN = (400, 401, 403, 404, 422)


class UnreadableError(ProtocolError):
    """One answer could not be taken; the next request may fare better."""


class _RetryError(Exception):
    """Try again after ``wait`` seconds, or after the usual pause. Retry hooks log its repr: no header enters it."""

    def __init__(self, why: str, *, wait: float | None = None, status: int = 0, raw: bytes = b"", gone: bool = False):
        super().__init__(why)
        self.wait, self.status, self.raw, self.gone = wait, status, raw, gone


@dataclass(frozen=True, slots=True)
class Key:
    """A key that no repr shows, and how it is sent."""

    value: str = field(repr=False)
    header: str = "Authorization"
    prefix: str = "Bearer "


class Gate:
    """How many requests may run at once: from ``most`` down to half of that and so on at each 429, and up again by one
    whenever as many as may run were answered.

    The refusals of requests that started before the last halving are one message, not many.
    """

    def __init__(self, most: int) -> None:
        self.most, self.limit, self.running = most, float(most), 0
        self._round = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> int:
        """Wait for a place; hand the number back to `leave`."""
        while self.running >= int(self.limit):
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            await place
        self.running += 1
        return self._round

    def leave(self, round_: int, *, refused: bool, answered: bool) -> None:
        """Give the place back, and say how it went."""
        self.running -= 1
        if refused and round_ == self._round:
            self.limit, self._round = max(1.0, self.limit / 2), self._round + 1
        elif answered:
            self.limit = min(float(self.most), self.limit + 1 / self.limit)
        free = int(self.limit) - self.running
        while free > 0 and self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                free -= 1


class Wire:
    """One server. Retries as OpenAI's own client makes them, because servers are tested against that one."""

    def __init__(
        self, url: str, key: Key | None, *, timeout: float, retries: int, connections: int,
        transport: httpx2.AsyncBaseTransport | None, headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        parsed = httpx2.URL(url)
        self.host = f"{parsed.scheme}://{parsed.netloc.decode('ascii', 'replace')}"
        self.keyed = key is not None
        self.gate = Gate(connections)
        self._url, self._key, self._tries = url, key or Key(""), 1 + retries
        self._headers = [(name.encode(), value.encode()) for name, value in {**PLAIN, **(headers or {})}.items()]
        self._timeout, self._connections, self._transport = timeout, connections, transport
        self._pool: httpcore2.AsyncConnectionPool | None = None
        self._free: list[httpx2.AsyncBaseTransport] = []  # connections that are not in use
        self._recent: dict[bytes, int] = {}  # answers that carry an id, by their hashes -> what was asked; oldest first
        self._urls: dict[str, httpx2.URL] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lost = 0  # requests in a row that came to nothing
        self._answered_at: float | None = None

    async def post(self, path: str, body: Mapping[str, Any], most: int = LARGEST) -> tuple[int, bytes]:
        """Status and body of the answer, which may hold ``most`` bytes. Errors: `UnreadableError` for this request
        alone; `RateError`, `ProtocolError` (a redirect) and `UnavailableError` for all of them."""
        payload = json.dumps(body).encode()
        left, patience = self._tries - 1, PATIENCE

        def again(error: Exception) -> bool | float:
            nonlocal left, patience
            if not isinstance(error, _RetryError):
                return False
            if error.status == 429 and self._lately() and patience:
                patience -= 1
            else:
                left -= 1
            return left >= 0 and (error.wait or True)

        failed: list[_RetryError] = []
        try:
            return await self._once(path, payload, most)
        except _RetryError as first:
            failed.append(first)
        # Setting this up costs as much as the rest of a request, so it begins with what went wrong already.
        context = stamina.retry_context(
            on=again, attempts=None, timeout=None, wait_initial=0.5, wait_max=8.0, wait_jitter=0.5
        )
        try:
            async for attempt in context:
                with attempt:
                    if failed:
                        raise failed.pop()
                    return await self._once(path, payload, most)
        except _RetryError as last:
            return self._give_up(last)
        raise AssertionError("the retry loop ends by an answer or by an exception")

    def hide(self, text: str) -> str:
        """The text without the key, should a server repeat it."""
        key = self._key.value
        return text.replace(key, "[key]") if len(key) >= 8 else text

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        if self._loop is asyncio.get_running_loop():
            for line in self._free:
                await line.aclose()
        self._free, self._loop = [], None

    def _places(self) -> list[httpx2.AsyncBaseTransport]:
        # Connections belong to an event loop, and a handshake may run in another one than the collection.
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._free = loop, [self._line() for _ in range(self._connections)]
        return self._free

    def _line(self) -> httpx2.AsyncBaseTransport:
        """A connection of its own for each running request, so that one which is out of step can be closed alone."""
        if self._transport is not None:
            return self._transport
        if self._pool is None:
            self._pool = pool_for(self._url, proxied=not is_loopback(self._url))  # a proxy can't reach our own machine
        return Line(self._pool, self._url, self._timeout)

    def _request(self, path: str, payload: bytes) -> httpx2.Request:
        if path not in self._urls:
            self._urls[path] = httpx2.URL(self._url + path)
        url = self._urls[path]
        # Given as bytes and with a stream they are taken as they are; httpx2's own preparation costs more than parsing.
        headers = [(b"Host", url.netloc), *self._headers, (b"Content-Length", b"%d" % len(payload))]
        if self.keyed:
            headers.append((self._key.header.encode(), f"{self._key.prefix}{self._key.value}".encode()))
        return httpx2.Request("POST", url, headers=headers, stream=httpx2.ByteStream(payload))

    async def _once(self, path: str, payload: bytes, most: int) -> tuple[int, bytes]:
        turn = await self.gate.enter()
        free, status = self._places(), 0
        line, sound = free.pop(), False
        try:
            # One deadline for the whole answer: a server that sends a byte now and then never lets a read time out.
            async with asyncio.timeout(self._timeout):
                response = await line.handle_async_request(self._request(path, payload))
                stale = response.extensions.get("stale", False)
                raw = b"" if stale else await _body(response, most)
            status, sound = response.status_code, not stale and not self._copied(raw, payload)
        except TimeoutError:
            raise _RetryError(f"no whole answer within {self._timeout:g} s") from None
        except httpx2.TransportError as error:
            self._failed(error)
        except httpx2.DecodingError as error:
            raise UnreadableError(f"the answer can't be decompressed: {one_line(error)}") from None
        finally:
            free.append(line)
            self.gate.leave(turn, refused=status == 429, answered=status == 200)
            if not sound:
                await line.aclose()
        if not sound:
            raise _RetryError("the answer is another request's: the connection is out of step")
        return self._sort(status, response.headers, raw)

    def _copied(self, raw: bytes, payload: bytes) -> bool:
        """Whether this very answer, with its id, has answered another question before: real answers have ids of their
        own. (A cache repeats them for the same question.)"""
        if b'"id"' not in raw and b'"responseId"' not in raw:
            return False
        digest, asked = hashlib.sha256(raw).digest(), hash(payload)
        if self._recent.setdefault(digest, asked) != asked:
            return True
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        return False

    def _failed(self, error: httpx2.TransportError) -> NoReturn:
        why = self.hide(one_line(f"{type(error).__name__} {error}"))
        if "CERTIFICATE_VERIFY_FAILED" in why:
            raise UnavailableError(f"the certificate of {self.host} can't be verified: {why}") from None
        gone = httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError
        raise _RetryError(why, gone=isinstance(error, gone)) from None

    def _sort(self, status: int, headers: httpx2.Headers, raw: bytes) -> tuple[int, bytes]:
        if 300 <= status < 400:
            raise ProtocolError(f"{self.host} redirects (HTTP {status}): set base_url to where it really is")
        if len(self._key.value) >= 16 and spells(raw, self._key.value):
            if status not in (401, 403):
                raise UnreadableError("the server repeats the key in its answer: nothing of it is kept")
            raw = b""
        if status == 200:
            if not _whole(raw):
                raise _RetryError("no whole JSON object came back", status=status, raw=raw)
            self._lost, self._answered_at = 0, time.monotonic()
            return status, raw
        why, wish = refusal(raw), headers.get("x-should-retry", "").lower()
        wait = retry_after(headers, datetime.now(UTC), status, raw)
        error = _RetryError(self.hide(why.message), wait=wait, status=status, raw=raw)
        again = status in (408, 409, 429) or status >= 500 or wish == "true"
        if not again or wish == "false" or status in NEVER_AGAIN or "insufficient_quota" in why.code:
            return self._give_up(error, final=True)
        if wait and wait > LONGEST_WAIT:
            raise RateError(f"{self.host} wants a pause of {wait:.0f} s (HTTP {status}): try again later")
        raise error

    def _lately(self) -> bool:
        """Whether anything was answered within the longest wait."""
        return self._answered_at is not None and time.monotonic() - self._answered_at < LONGEST_WAIT

    def _give_up(self, last: _RetryError, *, final: bool = False) -> tuple[int, bytes]:
        """The end of one request; of all of them if the server is gone. ``final``: the server does not want it tried
        again, which is an answer of its own unless it is a 429."""
        why = str(last) or "no reason given"
        self._lost = 0 if final else self._lost + 1
        gone = self._answered_at is None or self._lost >= SILENCES
        if last.status == 429 and (final or gone):
            raise RateError(f"{self.host} answers HTTP 429: {why}; lower concurrency or try again later") from None
        if (last.status in (502, 503, 504) and (final or gone)) or (last.status >= 500 and self._lost >= FAILURES):
            raise UnavailableError(f"{self.host} answers HTTP {last.status}: {why}") from None
        if last.status:
            return last.status, last.raw
        if last.gone:
            raise UnavailableError(f"nothing answers at {self.host}: {why}") from None
        if self._lost >= SILENCES:
            raise UnavailableError(f"{self.host} left {self._lost} requests unanswered: {why}") from None
        raise UnreadableError(f"no answer: {why}") from None


def spells(raw: bytes, key: str) -> bool:
    """Whether a body holds a key, plainly or in the escapes that JSON has for its characters."""
    if b"\\" in raw:
        raw = re.sub(rb"\\u00([0-7][0-9a-fA-F])", lambda m: bytes([int(m[1], 16)]), raw).replace(b"\\/", b"/")
    return key.encode() in raw


def _whole(raw: bytes) -> bool:
    try:
        json_object(raw)
    except ProtocolError:
        return False
    return True


async def _body(response: httpx2.Response, most: int) -> bytes:
    data, stream = bytearray(), response.stream
    assert isinstance(stream, httpx2.AsyncByteStream)
    try:
        async for chunk in response.aiter_bytes() if "content-encoding" in response.headers else stream:
            data += chunk
            if len(data) > most:
                size = f"{most >> 20} MiB" if most >= 2**20 else f"{most >> 10} KiB"
                raise _RetryError(f"the answer is larger than {size}")
    finally:
        await response.aclose()
    return bytes(data)


def is_loopback(url: str) -> bool:
    """Whether a URL points to this very machine."""
    host = httpx2.URL(url).host
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
