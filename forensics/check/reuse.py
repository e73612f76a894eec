"""A release's case, with everything that does not depend on the release taken over from another case.

The reference, the controls and the base do not change between releases. Their handshakes, answers and scorings are
copied with the very bytes that they came in, so only the suspect is asked; and two releases that were compared with the
same answers differ by nothing but themselves.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ..backends import open_backend
from ..backends.base import Backend
from ..collect import Budget, compare_weights, fill, handshake
from ..config import AuditConfig
from ..errors import UsageError
from ..plan import Party, Plan, make_plan, save_plan, stored_plan
from ..probes import Suite, load_suite
from ..protocol import fix_protocol
from ..store import Store
from ..types import Capabilities, Listener, ModelSpec, Reply, Request, canonical, silent

CHECKPOINT = "checkpoint"  # kind of entry: what the suspect's files were when it was first asked
FILES = ("*.safetensors", "*.gguf", "*.json", "*.jinja")


class Borrowed:
    """A party whose answers another case holds: the model behind it is opened only if something is missing after all,
    so that a check needs neither the reference's key nor the controls' weights."""

    batch = 16
    concurrency = 1

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._real: Backend | None = None

    def _opened(self) -> Backend:
        self._real = self._real or open_backend(self.spec)
        return self._real

    async def handshake(self, salt: bytes = b"") -> tuple[Capabilities, bytes]:
        """The model's own."""
        return await self._opened().handshake(salt)

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Ask the model itself."""
        return await self._opened().complete(requests)

    def weights_dir(self) -> Path | None:
        """Where the weights lie, if they lie here."""
        if self.spec.provider not in ("hf", "zoo"):
            return None
        folder: Path | None = getattr(self._opened(), "weights_dir", lambda: None)()
        return folder if folder is not None and folder.is_dir() else None

    async def close(self) -> None:
        """Let go of the model, if it was opened."""
        if self._real is not None:
            await self._real.close()


def collect_release(
    config: AuditConfig, store: Store, source: Store | None = None, progress: Listener = silent,
    planned: Callable[[Plan], None] | None = None,
) -> Plan:  # fmt: skip
    """Ask whatever neither the case nor ``source`` holds. Resumes as `forensics.collect.collect` does. ``planned`` sees
    the plan before anything is asked, and may refuse it.

    Errors: `UsageError`, `BackendError`, `BudgetExceeded`; the case keeps what was answered. `UsageError` also where
    the suspect's files are not those that the case was begun with: its answers would be of two checkpoints.
    """
    return asyncio.run(_collect(config, store, source, progress, planned))


async def _collect(
    config: AuditConfig, store: Store, source: Store | None, progress: Listener, planned: Callable[[Plan], None] | None
) -> Plan:
    specs, suite = config.specs(), load_suite(config.suite)
    shared = {} if source is None else _shared(stored_plan(source), config, suite)
    fix_protocol(store, config, suite.name, suite.digest)
    backends = {name: Borrowed(spec) if name in shared else open_backend(spec) for name, spec in specs.items()}
    try:
        _same_checkpoint(store, backends["suspect"])
        resumed = {name for name, spec in specs.items() if store.last("handshake", str(spec)) is not None}
        for spec in shared.values():
            _copy_handshake(store, source, spec)
        caps = {name: await handshake(backend, store) for name, backend in backends.items()}
        plan = make_plan(config, suite, [Party(n, specs[n], caps[n]) for n in specs])
        if planned is not None:
            planned(plan)
        save_plan(store, plan)
        for name, spec in shared.items():
            assert source is not None
            store.take_over(source, spec, _asked(source, name))
        budget = Budget(config.max_requests, config.max_total_tokens)
        await fill(plan, backends, store, budget, progress, resumed - set(shared))
        compare_weights(plan, backends, store, progress)
        return plan
    finally:
        for backend in backends.values():
            await backend.close()


def taken_over(config: AuditConfig, source: Store) -> frozenset[str]:
    """The parties that a check would not ask, because ``source`` holds their answers. Errors: `UsageError`."""
    return frozenset(_shared(stored_plan(source), config, load_suite(config.suite)))


def _shared(theirs: Plan, config: AuditConfig, suite: Suite) -> dict[str, ModelSpec]:
    """The parties of the other case that this one has too, but for the suspect. Errors: `UsageError`."""
    own, other = config.fixed, theirs.config.fixed
    for name in ("seed", "temperature", "max_tokens"):
        if getattr(own, name) != getattr(other, name):
            raise UsageError(
                f"the reference case was collected with {name} {getattr(other, name)}, not {getattr(own, name)}"
            )
    if theirs.suite_digest != suite.digest:
        raise UsageError(
            f"the reference case was collected with suite {theirs.suite} ({theirs.suite_digest[:8]}), not {suite.name}"
        )
    known = {str(p.spec): p.name for p in theirs.parties if p.name != "suspect"}
    found = {name: spec for name, spec in config.specs().items() if name != "suspect" and known.get(str(spec)) == name}
    if "reference" not in found:
        raise UsageError(f"the reference case is about {theirs.config.reference}, not {config.reference}")
    return found


def _copy_handshake(store: Store, source: Store | None, spec: ModelSpec) -> None:
    body = None if source is None else source.last("handshake", str(spec))
    if body is not None and store.last("handshake", str(spec)) is None:
        store.note("handshake", str(spec), body)


def _asked(source: Store, name: str) -> Iterator[Request]:
    """Everything that a party of a case was asked, each request once."""
    plan = stored_plan(source)
    scored: Mapping[str, Sequence[Request | None]] = plan.scorings(source).get(name, {})
    wanted = [*plan.requests, *plan.redraws(), *(r for column in scored.values() for r in column if r is not None)]
    yield from {r.digest: r for r in wanted}.values()


def _same_checkpoint(store: Store, suspect: Backend) -> None:
    """A path names whatever lies there today: the case remembers what lay there when it was begun."""
    found = checkpoint(suspect)
    if found is None:
        return
    stored = store.last(CHECKPOINT, str(suspect.spec))
    if stored is None:
        store.note(CHECKPOINT, str(suspect.spec), canonical(found))
    elif stored != canonical(found):
        raise UsageError(
            f"{store.path} holds answers of another checkpoint at {suspect.spec}: name a new case with --case, or "
            "remove that one"
        )


def checkpoint(suspect: Backend) -> dict[str, str] | None:
    """SHA-256 of a local model's files by name; None for a model that is not here as files."""
    folder: Path | None = getattr(suspect, "weights_dir", lambda: None)()
    if suspect.spec.provider == "gguf":
        files = [Path(os.path.expanduser(suspect.spec.name))]
    elif suspect.spec.provider == "file":
        files = [Path(suspect.spec.name)]
    else:
        files = [] if folder is None else sorted({p for pattern in FILES for p in folder.glob(pattern)})
    found = {}
    for path in files:
        if path.is_file():
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found or None
