"""What all models behind HTTP share: options, key, handshake, adapting to refusals, one `Reply` a request.

Options of every such spec: ``base_url``, ``timeout`` (seconds for one whole answer), ``concurrency`` (the most requests
at once; halved by every 429), ``retries``. The key comes from ``<PROFILE>_API_KEY`` and stays inside `Wire`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx2

from ..errors import AuthError, ProtocolError, RateError, UnavailableError, UsageError
from ..registry import unknown
from ..types import Capabilities, Completion, ModelSpec, Reply, Request, canonical, sha256
from . import openai_parse
from .dialect import CHAT, COMPLETIONS, MOST, Dialect, path_of
from .handshake import measure
from .openai_parse import Refusal, one_line, refusal
from .wire import LARGEST, Key, UnreadableError, Wire, is_loopback

COMMON = ("base_url", "timeout", "concurrency", "retries", "vendor")
ADAPTATIONS = 12  # parameters that a server may refuse one after the other
NO_SCORING = "prompt scoring is not offered"

Tape = list[dict[str, Any]]


class LiveBackend:
    """A model behind HTTP. Subclasses say where, with which key, and what is sent and read (``dialect``, ``parse``).

    ``transport`` replaces the network in tests.
    """

    batch = 1
    options: tuple[str, ...] = COMMON
    default_url: str | None = None
    sends: type[Dialect] = Dialect
    headers: Mapping[str, str] = {}
    key_header = ("Authorization", "Bearer ")
    lacks: Mapping[str, str] = {}  # paths that this provider has not, and why
    parse = staticmethod(openai_parse.parse)

    def __init__(self, spec: ModelSpec, *, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.spec = spec
        for name, _ in spec.options:
            if name not in self.options:
                raise UsageError(unknown(f"option of {spec.provider}/", name, self.options))
        profile, model = self._names()
        self.concurrency = int(_number(spec, "concurrency", 8, 1, 256))
        self._dialect = self.sends.of(spec, model)
        self._url = self._base_url(profile)
        self._wire = Wire(
            self._url, _key(profile, self._url, self.key_header), timeout=_number(spec, "timeout", 120, 0.1, 3600),
            retries=int(_number(spec, "retries", 4, 0, 20)), connections=self.concurrency, transport=transport,
            headers=self.headers,
        )  # fmt: skip
        self._echo: int | None = None  # max_tokens of a request that scores a prompt, once that was believed
        self._answered: set[str] = set()
        self._absent: dict[str, str] = dict(self.lacks)

    def _names(self) -> tuple[str, str]:
        """Profile, which names the environment variables, and model."""
        return self.spec.provider.upper(), self.spec.name

    def _base_url(self, profile: str) -> str:
        url = self.spec.option("base_url") or os.environ.get(f"{profile}_BASE_URL") or self.default_url
        if not url:
            raise UsageError(f"{self.spec} has no server: set {profile}_BASE_URL or add ?base_url=https://host/v1")
        return _checked(url, "base_url" if self.spec.option("base_url") else f"{profile}_BASE_URL")

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Answer one after the other. Errors: see `Backend.complete`."""
        return [await self._ask(request) for request in requests]

    async def handshake(self, salt: bytes = b"") -> tuple[Capabilities, bytes]:
        """About six tiny requests; the evidence is their bodies and those of the answers, without any header."""
        tape: Tape = []

        async def ask(request: Request) -> Completion:
            return (await self._ask(request, tape=tape)).completion

        async def echo(request: Request, max_tokens: int) -> Completion:
            return (await self._ask(request, tape=tape, echo=max_tokens)).completion

        caps, self._echo = await measure(ask, echo, salt)
        now, refused = datetime.now(UTC).isoformat(), self._dialect.omitted
        caps = replace(
            caps, observed_at=now, notes=(*caps.notes, *self._notes(caps)), seed=caps.seed and "seed" not in refused,
            logprob_kind="unknown" if "temperature" in refused else caps.logprob_kind,
            system_role=not self._dialect.folded,
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
            status, raw = await self._wire.post(self._dialect.address(path), body, allowance(request))
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
        if status == 401 or (status == 403 and not why.blocked) or "API_KEY_INVALID" in why.code:
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
            done = self.parse(raw, request, now)
        except ProtocolError as error:
            return _failed(request, str(error) if status == 200 else f"HTTP {status}: {error}", raw, now)
        if status != 200 and done.error is None:
            return _failed(request, f"HTTP {status} with an answer in it", raw, now)
        return Reply(replace(done, error=self._wire.hide(done.error)) if done.error else done, raw)


def _failed(request: Request, why: str, raw: bytes = b"", at: str | None = None) -> Reply:
    done = Completion(request.digest, None, "error", raw_digest=sha256(raw), error=why)
    return Reply(replace(done, received_at=at or datetime.now(UTC).isoformat()), raw)


def allowance(request: Request) -> int:
    """Bytes that an honest answer to this request may hold: generous for each token and each listed alternative."""
    listed = MOST + 1 if request.top_logprobs < 0 else request.top_logprobs
    tokens = request.sampling.max_tokens
    if request.target is not None:
        tokens += len((request.prompt or "").encode()) + len(request.target.encode())
    return min(LARGEST, 2**18 + tokens * (2**10 + 2**8 * listed))


def _key(profile: str, url: str, header: tuple[str, str]) -> Key | None:
    name = f"{profile}_API_KEY"
    key = os.environ.get(name, "").strip()
    if not key:
        if is_loopback(url):
            return None
        raise AuthError(f"no key for {httpx2.URL(url).host}: set the environment variable {name}")
    if not (key.isascii() and key.isprintable()):
        raise AuthError(f"the environment variable {name} holds characters that no key has")
    return Key(key, *header)


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
