"""``file/<path>``: recorded answers as a model that says again what it said.

A request is looked up by its item id, else by its exact conversation. ``?skip_bad=1`` counts records that can't be read
instead of refusing the file.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace

from ..answer_formats import Answer, key_of
from ..answers import AnswerFile, read_answers
from ..errors import UsageError
from ..pairing import completion, keyed
from ..probes.base import FIRST_TOKEN
from ..registry import unknown
from ..types import Capabilities, Completion, Message, ModelSpec, Reply, Request, canonical, sha256


class FileBackend:
    """See the module. ``answers`` is the file as it was read."""

    batch = 64
    concurrency = 1

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        for name, value in spec.options:
            if name not in ("skip_bad", "vendor"):
                raise UsageError(f"{spec}: {unknown('option', name, ['skip_bad', 'vendor'])}")
            if name == "skip_bad" and value not in ("0", "1"):
                raise UsageError(f"{spec}: skip_bad is 0 or 1")
        self.answers = read_answers(spec.name, skip_bad=spec.option("skip_bad") == "1")
        self._ids, self._prompts = keyed(self.answers, "id"), keyed(self.answers, "prompt")

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Look the answers up; what the file does not hold is an error of that request alone."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        if request.target is not None:
            return self._failed(request, "recorded answers can't score a text")
        answer = self._find(request)
        if answer is None:
            return self._failed(request, f"not recorded in {self.spec.name}")
        raw = record(self.answers, answer)
        done = replace(completion(self.answers, answer, request.digest), raw_digest=sha256(raw))
        if request.probe == FIRST_TOKEN:
            if not answer.tokens:
                return self._failed(request, f"no log-probs recorded in {self.spec.name}")
            first = answer.tokens[0]
            done = replace(done, text=first.token.decode("utf-8", "replace"), tokens=(first,), finish="length")
        return Reply(done, raw)

    def _find(self, request: Request) -> Answer | None:
        item = request.item.rpartition("@")[0] if request.probe == FIRST_TOKEN else request.item
        known = self._ids.get((item, request.sample))
        key = key_of(request.messages or (Message("user", request.prompt or ""),))
        if known is None or known.key not in ("", key):
            # An id can mean another question elsewhere; the same words can't.
            return self._prompts.get((key, request.sample), known)
        return known

    def _failed(self, request: Request, why: str) -> Reply:
        raw = canonical({"error": why})
        return Reply(Completion(request.digest, None, "error", raw_digest=sha256(raw), error=why), raw)

    async def handshake(self, salt: bytes = b"") -> tuple[Capabilities, bytes]:
        """What the file holds."""
        file = self.answers
        lists = [len(token.top) for answer in file.answers for token in answer.tokens]
        with_tokens = sum(bool(answer.tokens) for answer in file.answers)
        found = {
            "sha256": file.digest, "format": file.format, "answers": len(file.answers),
            "with_logprobs": with_tokens, "skipped": len(file.skipped),
        }  # fmt: skip
        notes = [f"{len(file.answers)} recorded answers ({file.format}), {with_tokens} with log-probs"]
        if file.skipped:
            notes.append(f"{len(file.skipped)} bad records were skipped")
        caps = Capabilities(top_k=min(lists, default=0), recorded=True, notes=tuple(notes))
        return caps, canonical(found)

    async def close(self) -> None:
        """Nothing to let go of."""


def record(file: AnswerFile, answer: Answer) -> bytes:
    """One record in canonical JSON; nothing in it depends on when or where the file is read."""
    body = {
        "file": file.digest,
        "line": answer.line,
        "id": answer.id,
        "sample": answer.sample,
        "messages": [[m.role, m.content] for m in answer.conversation],
        "response": answer.text,
        "finish": answer.finish,
        "logprobs": [[_b64(t.token), t.logprob, [[_b64(k), p] for k, p in t.top]] for t in answer.tokens],
    }
    return canonical(body)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
