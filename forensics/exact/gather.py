"""Log, key or texts + models -> the inputs of an exact test. The half that asks; `judge` of each test never does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from ..backends import open_backend
from ..backends.base import Backend
from ..collect import ask, handshake
from ..errors import UsageError
from ..spec import parse_spec
from ..store import Store
from ..types import Capabilities, Listener, Message, Request, Sampling, silent

T = TypeVar("T")
TEMPLATED = ("hf", "gguf", "zoo", "toy")  # they render a chat as the model's own raw prompt
Texts = Sequence[Sequence[str]]


@dataclass
class Panel:
    """The models of one test by name ("suspect", "reference", "base", control specs), opened and measured."""

    backends: dict[str, Backend]
    capabilities: dict[str, Capabilities]
    store: Store
    progress: Listener = silent
    notes: list[str] = field(default_factory=list)

    def scores(self, name: str, template: str | None = None) -> bool:
        """Whether the model can score given answers: servers do so for raw prompts only, hence with a template."""
        if name not in self.capabilities or not self.capabilities[name].prompt_scoring:
            return False
        return template is not None or self.backends[name].spec.provider in TEMPLATED

    async def said(self, name: str, requests: Sequence[Request]) -> list[str | None]:
        """The model's answers, stripped; None where there is no usable one."""
        backend = self.backends[name]
        await ask({name: backend}, {name: list(requests)}, self.store, "answers", self.progress)
        found = [self.store.get(backend.spec, r) for r in requests]
        return [(c.text or "").strip() if c is not None and c.usable else None for c in found]

    async def loglik(self, name: str, asked: Sequence[Request], texts: Texts) -> np.ndarray:
        """l(text | what was asked), nats, ``(n, c)``; NaN where the model could not score it."""
        from dataclasses import replace

        backend = self.backends[name]
        rows = [
            [replace(r, target=t, sampling=Sampling(max_tokens=1)) for t in row]
            for r, row in zip(asked, texts, strict=True)
        ]
        await ask({name: backend}, {name: [r for row in rows for r in row]}, self.store, "scoring", self.progress)
        found = [[self.store.get(backend.spec, r) for r in row] for row in rows]
        return np.array([[np.nan if c is None or not c.tokens else c.logprob for c in row] for row in found])


@asynccontextmanager
async def panel(specs: Mapping[str, str], store: Store, progress: Listener = silent) -> AsyncIterator[Panel]:
    """Open the models, measure them, close them."""
    backends = {name: open_backend(parse_spec(spec)) for name, spec in specs.items()}
    try:
        caps = {name: await _measured(backend, store) for name, backend in backends.items()}
        yield Panel(backends, caps, store, progress)
    finally:
        for backend in backends.values():
            await backend.close()


async def _measured(backend: Backend, store: Store) -> Capabilities:
    known = store.last("handshake", str(backend.spec)) is not None
    found = await handshake(backend, store)
    if known and backend.batch == 1:
        await backend.handshake(
            store.secret("handshake")
        )  # a server scores only through a backend that has seen it do so
    return found


def run(job: Coroutine[Any, Any, T]) -> T:
    """The one event loop of an exact test."""
    return asyncio.run(job)


def chat(prompt: str, item: str, probe: str, **kw: Any) -> Request:
    """One user turn."""
    return Request(probe, item, (Message("user", prompt),), **kw)


def controls_of(names: Mapping[str, str | None], controls: Sequence[str]) -> dict[str, str]:
    """Party name -> spec, without those not given; controls by their spec."""
    out = {name: spec for name, spec in names.items() if spec}
    for spec in controls:
        if spec in out:
            raise UsageError(f"control {spec} was given twice")
        out[spec] = spec
    return out


def complete(*blocks: np.ndarray) -> np.ndarray:
    """Rows that are finite in every block: items are left out whole, whichever of their candidates failed."""
    return np.flatnonzero(np.logical_and.reduce([np.isfinite(b).all(axis=tuple(range(1, b.ndim))) for b in blocks]))
