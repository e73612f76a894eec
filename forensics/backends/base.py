"""What a way to reach a model must offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ..types import Capabilities, ModelSpec, Reply, Request


@runtime_checkable
class Backend(Protocol):
    """One model, reached one way. Built by ``Class(spec)``; opening may fail with a `BackendError`, building with a
    `UsageError`.

    ``batch``: how many requests one `complete` call wants (1 for HTTP; local models take many).
    ``concurrency``: how many `complete` calls may run at once.
    """

    spec: ModelSpec
    batch: int
    concurrency: int

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Answer, in order. What one request did wrong is a completion with ``finish="error"`` and ``error`` set;
        what no further request can mend (no key, no server, no weights) is a `BackendError`."""
        ...

    async def handshake(self, salt: bytes = b"") -> tuple[Capabilities, bytes]:
        """Measure what the endpoint really offers; the bytes are what the answer was read from, kept as evidence.
        ``salt`` draws what is asked, so that a server can't know it beforehand."""
        ...

    async def close(self) -> None:
        """Let go of connections and memory."""
        ...
