"""``openai/<model>`` and ``api/<profile>/<name>``: any server that speaks OpenAI's HTTP dialect.

Options: ``base_url``, ``timeout`` (seconds), ``concurrency``, ``retries``, ``max_tokens_field``; ``api/`` also takes
OpenRouter's ``order``, ``only`` and ``quantizations`` (comma separated), which forbid every fallback. The key comes
from ``<PROFILE>_API_KEY`` and stays inside `Wire`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import httpx2
import stamina

from ..errors import AuthError, ProtocolError, RateError, UnavailableError, UsageError
from ..registry import unknown
from ..types import Capabilities, Completion, ModelSpec, Reply, Request, canonical, sha256
from .handshake import CHAT, COMPLETIONS, ROUTING, Dialect, measure, path_of
from .openai_parse import Refusal, one_line, parse, refusal

OPENAI_URL = "https://api.openai.com/v1"
COMMON = ("base_url", "timeout", "concurrency", "retries", "max_tokens_field")
ADAPTATIONS = 8  # parameters that a server may refuse one after the other
NO_SCORING = "prompt scoring is not offered"
LARGEST = 32 * 2**20  # bytes of one answer
LONGEST_WAIT = 120.0  # seconds that a server may ask us to wait
SILENCES = 3  # requests in a row without any answer: then the server counts as gone
NEVER_AGAIN = (400, 401, 403, 404, 422)

Tape = list[dict[str, Any]]


class UnreadableError(ProtocolError):
    """One answer could not be taken; the next request may fare better."""


class _RetryError(Exception):
    """Try again after ``wait`` seconds, or after the usual pause. Retry hooks log its repr: no header enters it."""

    def __init__(self, why: str, *, wait: float | None = None, status: int = 0, raw: bytes = b"", gone: bool = False):
        super().__init__(why)
        self.wait, self.status, self.raw, self.gone = wait, status, raw, gone


@dataclass(frozen=True, slots=True)
class _Key:
    """A key that no repr shows."""

    value: str = field(repr=False)


class Wire:
    """POST with retries, as OpenAI's own client makes them, because servers are tested against that one."""

    def __init__(
        self, url: str, key: str | None, *, timeout: float, retries: int, connections: int,
        transport: httpx2.AsyncBaseTransport | None,
    ) -> None:  # fmt: skip
        parsed = httpx2.URL(url)
        self.host = f"{parsed.scheme}://{parsed.netloc.decode('ascii', 'replace')}"
        self.keyed = key is not None
        self._url, self._key, self._tries = url, _Key(key or ""), 1 + retries
        self._timeout = httpx2.Timeout(timeout, connect=min(timeout, 10.0))
        self._connections, self._transport = connections, transport
        self._client: httpx2.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._silent = 0

    async def post(self, path: str, body: Mapping[str, Any]) -> tuple[int, bytes]:
        """Status and body of the answer. Errors: `UnreadableError` for this request alone; `RateError`, `ProtocolError`
        (a redirect) and `UnavailableError` for all of them."""
        payload = json.dumps(body).encode()
        context = stamina.retry_context(
            on=lambda e: isinstance(e, _RetryError) and (e.wait or True),
            attempts=self._tries, timeout=None, wait_initial=0.5, wait_max=8.0, wait_jitter=0.5,
        )  # fmt: skip
        try:
            async for attempt in context:
                with attempt:
                    return await self._once(path, payload)
        except _RetryError as last:
            return self._give_up(last)
        raise AssertionError("the retry loop ends by an answer or by an exception")

    def hide(self, text: str) -> str:
        """The text without the key, should a server repeat it."""
        key = self._key.value
        return text.replace(key, "[key]") if len(key) >= 8 else text

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        if self._client is not None and self._loop is asyncio.get_running_loop():
            await self._client.aclose()
        self._client = None

    def _open(self) -> httpx2.AsyncClient:
        # Connections belong to an event loop, and a handshake may run in another one than the collection.
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
            if self.keyed:
                headers["Authorization"] = f"Bearer {self._key.value}"
            self._loop, self._client = loop, httpx2.AsyncClient(
                headers=headers, timeout=self._timeout, transport=self._transport, follow_redirects=False,
                limits=httpx2.Limits(max_connections=self._connections),
                trust_env=not is_loopback(self._url),  # a proxy can't reach our own machine
            )  # fmt: skip
        return self._client

    async def _once(self, path: str, payload: bytes) -> tuple[int, bytes]:
        try:
            async with self._open().stream("POST", self._url + path, content=payload) as response:
                raw = await _body(response)
        except httpx2.TransportError as error:
            self._failed(error)
        except httpx2.DecodingError as error:
            raise UnreadableError(f"the answer can't be decompressed: {one_line(error)}") from None
        self._silent = 0
        return self._sort(response.status_code, response.headers, raw)

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
            return status, raw
        why, wish = refusal(raw), headers.get("x-should-retry", "").lower()
        wait = retry_after(headers, datetime.now(UTC))
        error = _RetryError(self.hide(why.message), wait=wait, status=status, raw=raw)
        again = status in (408, 409, 429) or status >= 500 or wish == "true"
        if not again or wish == "false" or status in NEVER_AGAIN or "insufficient_quota" in why.code:
            return self._give_up(error)
        if wait and wait > LONGEST_WAIT:
            raise RateError(f"{self.host} wants a pause of {wait:.0f} s (HTTP {status}): try again later")
        raise error

    def _give_up(self, last: _RetryError) -> tuple[int, bytes]:
        why = str(last) or "no reason given"
        if last.status == 429:
            raise RateError(f"{self.host} answers HTTP 429: {why}; lower concurrency or try again later") from None
        if last.status in (502, 503, 504):
            raise UnavailableError(f"{self.host} answers HTTP {last.status}: {why}") from None
        if last.status:
            return last.status, last.raw
        if last.gone:
            raise UnavailableError(f"nothing answers at {self.host}: {why}") from None
        self._silent += 1
        if self._silent >= SILENCES:
            raise UnavailableError(f"{self.host} left {self._silent} requests unanswered: {why}") from None
        raise UnreadableError(f"no answer: {why}") from None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that the server asks for: ``retry-after-ms``, else ``retry-after`` as a number or an HTTP date."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            wait = float(text) * unit
        except ValueError:
            try:
                moment = parsedate_to_datetime(text)
            except ValueError:
                continue
            wait = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
        if 0 < wait < math.inf:
            return wait
    return None


def spells(raw: bytes, key: str) -> bool:
    """Whether a body holds a key, plainly or in the escapes that JSON has for its characters."""
    if b"\\" in raw:
        raw = re.sub(rb"\\u00([0-7][0-9a-fA-F])", lambda m: bytes([int(m[1], 16)]), raw).replace(b"\\/", b"/")
    return key.encode() in raw


async def _body(response: httpx2.Response) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > LARGEST:
            raise UnreadableError(f"the answer is larger than {LARGEST >> 20} MiB")
    return bytes(data)


def is_loopback(url: str) -> bool:
    """Whether a URL points to this very machine."""
    host = httpx2.URL(url).host
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class OpenAIBackend:
    """A model of OpenAI, or of whatever OPENAI_BASE_URL points to. ``transport`` replaces the network in tests."""

    batch = 1
    options: tuple[str, ...] = COMMON
    default_url: str | None = OPENAI_URL

    def __init__(self, spec: ModelSpec, *, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.spec = spec
        for name, _ in spec.options:
            if name not in self.options:
                raise UsageError(unknown(f"option of {spec.provider}/", name, self.options))
        profile, model = self._names()
        self.concurrency = int(_number(spec, "concurrency", 8, 1, 256))
        self._dialect = Dialect.of(spec, model)
        self._url = self._base_url(profile)
        self._wire = Wire(
            self._url, _key(profile, self._url), timeout=_number(spec, "timeout", 120, 0.1, 3600),
            retries=int(_number(spec, "retries", 4, 0, 20)), connections=self.concurrency, transport=transport,
        )  # fmt: skip
        self._echo: int | None = None  # max_tokens of a request that scores a prompt, once that was believed
        self._answered: set[str] = set()
        self._absent: dict[str, str] = {}

    def _names(self) -> tuple[str, str]:
        return "OPENAI", self.spec.name

    def _base_url(self, profile: str) -> str:
        url = self.spec.option("base_url") or os.environ.get(f"{profile}_BASE_URL") or self.default_url
        if not url:
            raise UsageError(f"{self.spec} has no server: set {profile}_BASE_URL or add ?base_url=https://host/v1")
        return _checked(url, "base_url" if self.spec.option("base_url") else f"{profile}_BASE_URL")

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Answer one after the other. Errors: see `Backend.complete`."""
        return [await self._ask(request) for request in requests]

    async def handshake(self) -> tuple[Capabilities, bytes]:
        """About six tiny requests; the evidence is their bodies and those of the answers, without any header."""
        tape: Tape = []

        async def ask(request: Request) -> Completion:
            return (await self._ask(request, tape=tape)).completion

        async def echo(request: Request, max_tokens: int) -> Completion:
            return (await self._ask(request, tape=tape, echo=max_tokens)).completion

        caps, self._echo = await measure(ask, echo)
        now, refused = datetime.now(UTC).isoformat(), self._dialect.omitted
        caps = replace(
            caps, observed_at=now, notes=(*caps.notes, *self._notes(caps)), seed=caps.seed and "seed" not in refused,
            logprob_kind="unknown" if "temperature" in refused else caps.logprob_kind,
        )  # fmt: skip
        return caps, canonical(tape)

    def _notes(self, caps: Capabilities) -> list[str]:
        model, echo = self._dialect.model, caps.model_echo or ""
        notes = [*self._dialect.notes, f"asked at {self._url}"]
        notes += [f"{path} is not offered: {why}" for path, why in self._absent.items()]
        if self._url.startswith("http://") and self._wire.keyed and not is_loopback(self._url):
            notes.append("the key travels unencrypted: base_url is http")
        if echo not in model and model not in echo:
            notes.append(f"asked for {model}, answered as {one_line(echo, 80)}")
        return notes

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()

    async def _ask(self, request: Request, *, tape: Tape | None = None, echo: int | None = None) -> Reply:
        path = path_of(request)
        echo = self._echo if echo is None else echo
        if request.target is not None and (path == CHAT or echo is None):
            return _failed(request, NO_SCORING)
        if path in self._absent:
            return _failed(request, self._absent[path])
        try:
            status, raw = await self._exchange(path, request, echo, tape)
        except UnreadableError as error:
            return _failed(request, str(error))
        if status == 200:
            self._answered.add(path)
        elif lost := self._judge(path, status, refusal(raw)):
            return _failed(request, lost, raw)
        return self._read(request, status, raw)

    async def _exchange(self, path: str, request: Request, echo: int | None, tape: Tape | None) -> tuple[int, bytes]:
        """Ask, and ask again without what the server refuses, until nothing is left to adapt."""
        for _ in range(ADAPTATIONS):
            body = self._dialect.body(request, echo)
            status, raw = await self._wire.post(path, body)
            if tape is not None:
                text = raw.decode("utf-8", "backslashreplace")
                tape.append({"path": path, "request": body, "status": status, "response": text})
            if status not in (400, 403, 422):
                break
            self._dialect.adapt(path, body, refusal(raw), forbidden=status == 403)
            if self._dialect.body(request, echo) == body:
                break
        return status, raw

    def _judge(self, path: str, status: int, why: Refusal) -> str | None:
        """Raise what no further request can mend; say why a path is not there; None for one request's failure."""
        said = self._wire.hide(why.message) or "no reason given"
        if status == 401 or (status == 403 and not why.blocked):
            raise AuthError(f"{self._wire.host} refused the key (HTTP {status}): {said}")
        if status == 402:
            raise RateError(f"{self._wire.host} wants payment (HTTP 402): {said}")
        if status not in (404, 405, 501) or why.blocked:
            return None
        if path not in self._answered and self._elsewhere(path, why):
            self._absent[path] = one_line(f"HTTP {status} at {path}: {said}")
            return self._absent[path]
        if path in self._answered and not Dialect.names_missing_model(why):
            return None
        where = f"{self._url}{path} (model {self._dialect.model})"
        raise UnavailableError(f"{where} answers HTTP {status}, check server and model: {said}")

    def _elsewhere(self, path: str, why: Refusal) -> bool:
        """Whether it is the path that is missing, and not the model or the server."""
        if self._answered or Dialect.names_other_path(why):
            return True
        return path == COMPLETIONS and not Dialect.names_missing_model(why)

    def _read(self, request: Request, status: int, raw: bytes) -> Reply:
        now = datetime.now(UTC).isoformat()
        try:
            done = parse(raw, request, now)
        except ProtocolError as error:
            return _failed(request, str(error) if status == 200 else f"HTTP {status}: {error}", raw, now)
        if status != 200 and done.error is None:
            return _failed(request, f"HTTP {status} with an answer in it", raw, now)
        return Reply(replace(done, error=self._wire.hide(done.error) if done.error else None), raw)


class ApiBackend(OpenAIBackend):
    """Any OpenAI-compatible server, under a profile that names its two environment variables."""

    options = (*COMMON, *ROUTING)
    default_url = None

    def _names(self) -> tuple[str, str]:
        profile, _, model = self.spec.name.partition("/")
        plain = profile.replace("-", "").replace("_", "")
        if not model or not plain.isascii() or not plain.isalnum():
            raise UsageError(
                f"{self.spec}: write api/<profile>/<model>, e.g. api/vllm/qwen?base_url=http://localhost:8000/v1"
            )
        return profile.upper().replace("-", "_"), model


def _failed(request: Request, why: str, raw: bytes = b"", at: str | None = None) -> Reply:
    done = Completion(request.digest, None, "error", raw_digest=sha256(raw), error=why)
    return Reply(replace(done, received_at=at or datetime.now(UTC).isoformat()), raw)


def _key(profile: str, url: str) -> str | None:
    name = f"{profile}_API_KEY"
    key = os.environ.get(name, "").strip()
    if not key:
        if is_loopback(url):
            return None
        raise AuthError(f"no key for {httpx2.URL(url).host}: set the environment variable {name}")
    if not (key.isascii() and key.isprintable()):
        raise AuthError(f"the environment variable {name} holds characters that no key has")
    return key


def _checked(url: str, source: str) -> str:
    """The base URL without a trailing slash. Nothing of a URL that may hide a secret is repeated in the message."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise UsageError(f"{source} is no URL: write https://host/v1") from None
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise UsageError(f"{source} must hold no user, password, query or fragment: keys come from the environment")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError(f"{source} must start with http:// or https:// and name a host")
    return url.rstrip("/")


def _number(spec: ModelSpec, name: str, default: float, low: float, high: float) -> float:
    text = spec.option(name)
    try:
        value = default if text is None else float(text)
    except ValueError:
        raise UsageError(f"option {name}={text} of {spec.provider}/{spec.name} is no number") from None
    if not low <= value <= high:
        raise UsageError(f"option {name}={text} of {spec.provider}/{spec.name} must be from {low:g} to {high:g}")
    return value
