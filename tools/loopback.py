"""A model server on this machine's loopback that breaks by plan: for the fault tests and the throughput benchmark.

It speaks OpenAI's dialect. What goes wrong with which request follows from the seed, the request's body and how often
that body came before, so a run can be repeated whatever the order that its requests arrive in.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import TracebackType
from typing import Any

KINDS = ("rate-limit", "server-error", "reset", "half-body", "invalid-json", "slow-loris", "twice-at-once",
         "twice-later", "late", "other-model", "flood")  # fmt: skip
LOSES = ("rate-limit", "server-error", "reset", "half-body", "invalid-json", "slow-loris", "flood")  # nothing usable
FLOOD = 10 * 2**20  # bytes
STORM = 40  # requests that a storm of 429 answers lasts


@dataclass(frozen=True)
class Plan:
    """``rates``: probability of each kind of fault at one request. ``storms``: every so many requests, `STORM` times
    429 in a row. ``dies_after``: this many requests, and nothing listens any more. ``latency``: seconds."""

    rates: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    latency: float = 0.0
    storms: int | None = None
    dies_after: int | None = None

    @classmethod
    def even(cls, share: float, **more: Any) -> Plan:
        """All kinds equally often, ``share`` of the requests together."""
        return cls({kind: share / len(KINDS) for kind in KINDS}, **more)

    def fault(self, key: str, before: int) -> str | None:
        """What happens to the request with this key, which came ``before`` times already."""
        if not self.rates:
            return None
        draw = int(hashlib.sha256(f"{self.seed}/{key}/{before}".encode()).hexdigest()[:12], 16) / 16**12
        for kind, rate in self.rates.items():
            draw -= rate
            if draw < 0:
                return kind
        return None


def key_of(body: bytes) -> str:
    """What an answer says to tell which request it belongs to."""
    return hashlib.sha256(body).hexdigest()[:16]


def words(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An answer that names the request it belongs to."""
    return {"role": "assistant", "content": f"answer {key} in a few more words than one"}


class Loopback:
    """``with Loopback(plan) as server``: it runs in a thread of its own. ``message`` makes the answer's message."""

    def __init__(
        self,
        plan: Plan | None = None,
        message: Callable[[Mapping[str, Any], str], dict[str, Any]] = words,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.plan, self.message, self.context = plan or Plan(), message, context
        self.asked: Counter[str] = Counter()  # by key
        self.faults: Counter[str] = Counter()
        self.running = self.most_running = 0
        self._total = 0
        self._watch: tuple[int, threading.Event] | None = None
        self._lines: set[_Line] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Loopback:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def total(self) -> int:
        """Requests so far."""
        return self._total

    def after(self, more: int) -> threading.Event:
        """An event that is set once so many more requests have come."""
        event = threading.Event()
        self._watch = (self._total + more, event)
        return event

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._server = await self._loop.create_server(
            lambda: _Line(self), "127.0.0.1", 0, backlog=1024, ssl=self.context
        )
        host = "https://localhost" if self.context else "http://127.0.0.1"
        self.url = f"{host}:{self._server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._stop.wait()
        self.die()
        await asyncio.sleep(0)  # the transports' own last callbacks

    def die(self) -> None:
        """Close everything for good."""
        self._server.close()
        for line in list(self._lines):
            line.transport.abort()

    def refusal(self, body: Mapping[str, Any]) -> str | None:
        """Why a request is refused with HTTP 400, or None; a test's server may say more."""
        return "no raw completions here" if "messages" not in body else None

    def next_fault(self, key: str) -> str | None:
        """Count a request and say what happens to it."""
        self._total += 1
        before = self.asked[key]
        self.asked[key] += 1
        if self._watch is not None and self._total >= self._watch[0]:
            self._watch[1].set()
        plan = self.plan
        if plan.dies_after is not None and self._total > plan.dies_after:
            self.die()
            return "dead"
        if plan.storms and self._total % plan.storms < STORM and self._total > plan.storms:
            return "rate-limit"
        return plan.fault(key, before)


class _Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: Loopback) -> None:
        self.server, self._buffer = server, b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server._lines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server._lines.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            lower = head.lower()
            at = lower.index(b"content-length:") + 15
            size = int(lower[at:].split(b"\r\n", 1)[0])
            if len(rest) < size:
                return
            self._buffer = rest[size:]
            self._request(rest[:size])

    def _request(self, body: bytes) -> None:
        server, key = self.server, key_of(body)
        kind = server.next_fault(key)
        if kind == "dead":
            return
        server.faults[kind or "none"] += 1
        server.running += 1
        server.most_running = max(server.most_running, server.running)
        loop = server._loop
        loop.call_later(server.plan.latency * (5 if kind == "late" else 1), self._answer, body, key, kind)

    def _answer(self, body: bytes, key: str, kind: str | None) -> None:
        self.server.running -= 1
        if self.transport.is_closing():
            return
        nth = self.server.asked[key]
        if kind == "reset":
            self.transport.abort()
        elif kind == "rate-limit":
            self._send(429, {"error": {"message": "slow down", "type": "rate_limit"}}, _wait(nth))
        elif kind == "server-error":
            self._send((500, 502, 503, 529)[nth % 4], {"error": {"message": "it broke"}}, "retry-after-ms: 20")
        elif kind == "invalid-json":
            self._raw(200, b'{"choices": [{"message": {"content": "so far')
        elif kind == "slow-loris":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
            self._drip()
        else:
            self._whole(body, key, kind)

    def _whole(self, body: bytes, key: str, kind: str | None) -> None:
        asked = json.loads(body)
        why = self.server.refusal(asked)
        if why is not None:
            self._send(400, {"error": {"message": why}})
            return
        message = self.server.message(asked, key)
        if kind == "flood":
            message = message | {"content": "x" * FLOOD}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": message.pop("logprobs", None)}
        model = "another/model" if kind == "other-model" else asked["model"]
        usage = {"prompt_tokens": 9, "completion_tokens": min(9, asked.get("max_tokens", 9))}
        name = f"chatcmpl-{key}-{self.server.asked[key]}"
        data = json.dumps({"id": name, "choices": [choice], "model": model, "usage": usage})
        packed = _packed(200, data.encode())
        if kind == "half-body":
            self.transport.write(packed[: len(packed) - 40])
            self.transport.close()
        elif kind == "twice-at-once":
            self.transport.write(packed * 2)
        elif kind == "twice-later":
            self.transport.write(packed)
            self.server._loop.call_later(0.002, self._again, packed)
        else:
            self.transport.write(packed)

    def _again(self, packed: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(packed)

    def _drip(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(b" ")
            self.server._loop.call_later(0.05, self._drip)

    def _send(self, status: int, body: Any, header: str = "") -> None:
        self._raw(status, json.dumps(body).encode(), header)

    def _raw(self, status: int, body: bytes, header: str = "") -> None:
        self.transport.write(_packed(status, body, header))


def _packed(status: int, body: bytes, header: str = "") -> bytes:
    more = f"{header}\r\n" if header else ""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _wait(number: int) -> str:
    """A pause of a few milliseconds, said in another way each time."""
    soon = datetime.now(UTC) + timedelta(milliseconds=30)
    return (
        "retry-after-ms: 20",
        "retry-after: 0.02",
        f"retry-after: {format_datetime(soon, usegmt=True)}",
        "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 20ms",
        f"anthropic-ratelimit-requests-remaining: 0\r\nanthropic-ratelimit-requests-reset: {soon.isoformat()}",
    )[number % 5]


def toys(table: Mapping[str, str]) -> Callable[[Mapping[str, Any], str], dict[str, Any]]:
    """A ``message`` that answers as shipped toys do, log-probs and all: model's name -> spec of a toy."""
    from forensics.backends.toy import ToyBackend
    from forensics.spec import parse_spec
    from forensics.types import Message, Request, Sampling

    models = {name: ToyBackend(parse_spec(spec)) for name, spec in table.items()}

    def message(body: Mapping[str, Any], key: str) -> dict[str, Any]:
        turns = tuple(Message(m["role"], m["content"]) for m in body["messages"])
        sampling = Sampling(body["temperature"], body["top_p"], body["max_tokens"], body.get("seed"))
        request = Request("p", turns[-1].content, turns, None, sampling, top_logprobs=body.get("top_logprobs", 0))
        done = models[body["model"]]._answer(request)
        rows = [
            {"token": t.token.decode(), "logprob": t.logprob, "bytes": list(t.token),
             "top_logprobs": [{"token": a.decode(), "logprob": v, "bytes": list(a)} for a, v in t.top]}
            for t in done.tokens
        ]  # fmt: skip
        found: dict[str, Any] = {"role": "assistant", "content": done.text}
        return found | ({"logprobs": {"content": rows}} if rows else {})

    return message
