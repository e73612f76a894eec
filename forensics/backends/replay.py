"""``replay/<case>?party=<spec>``: the answers that a stored case holds of one party, and nothing new.

``party`` is the spec that the case was collected with, or the party's name in the case's plan; without it, the suspect.
The options of a party may follow unescaped: ``replay/a.case?party=toy/a?parent=b&share=.5``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace

from ..errors import EvidenceError, UsageError
from ..serial import load
from ..store import Store
from ..types import Capabilities, Completion, ModelSpec, Reply, Request, canonical, sha256


class ReplayBackend:
    """See the module. ``party`` is the spec whose answers are replayed."""

    batch = 64
    concurrency = 1

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._store = Store(spec.name, must_exist=True)
        try:
            self.party = self._party()
        except BaseException:
            self._store.close()
            raise

    def _party(self) -> ModelSpec:
        from ..plan import stored_plan
        from ..spec import parse_spec

        extra = [f"{key}={value}" for key, value in self.spec.options if key != "party"]
        text = self.spec.option("party")
        if extra and "?" not in (text or ""):
            raise UsageError(f"{self.spec}: replay takes the option party only, not {extra[0].partition('=')[0]!r}")
        planned = stored_plan(self._store).parties if self._store.last("plan") else ()
        # The plan's own specs first: a bare path is only a spec as long as its file exists.
        specs = {str(p.spec): p.spec for p in planned} | {p.name: p.spec for p in planned}
        wanted = "&".join([text, *extra]) if text else "suspect"
        known = {entry.party for kind in ("answer", "handshake") for entry in self._store.entries(kind)}
        if not text and wanted not in specs:
            raise UsageError(f"{self.spec}: the case names no suspect; add ?party=SPEC, {_choices(known)}")
        party = specs[wanted] if wanted in specs else parse_spec(wanted)
        if str(party) not in known:
            raise UsageError(f"{self.spec.name} holds nothing of {party}; {_choices(known)}")
        return party

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """The stored answers; a request that was never answered is an error of that request alone."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        done, raw = self._store.get(self.party, request), self._store.raw(self.party, request)
        if done is None or raw is None:
            why = f"not stored in {self.spec.name}"
            raw = canonical({"error": why})
            return Reply(Completion(request.digest, None, "error", raw_digest=sha256(raw), error=why), raw)
        return Reply(done, raw)

    async def handshake(self, salt: bytes = b"") -> tuple[Capabilities, bytes]:
        """What was measured when the case was collected; nothing can be measured now."""
        body = self._store.last("handshake", str(self.party))
        if body is None:
            return Capabilities(recorded=True), canonical({"replay": str(self.party), "handshake": None})
        try:
            stored = json.loads(body)
            caps = load(Capabilities, json.dumps(stored["capabilities"]).encode())
            evidence = base64.b64decode(stored["evidence"], validate=True)
        except (KeyError, TypeError, ValueError) as error:
            raise EvidenceError(f"{self.spec.name}: the stored handshake of {self.party} can't be read") from error
        return replace(caps, recorded=True), evidence

    async def close(self) -> None:
        """Close the case."""
        self._store.close()


def _choices(known: set[str]) -> str:
    return f"one of: {', '.join(sorted(known))}" if known else "but the case has no answers at all"
