"""``anthropic/<model>``: Anthropic's Messages API. Conversations only; there are no log-probs, seeds or second draws.

Key in ANTHROPIC_API_KEY; options as in `live`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ProtocolError
from ..types import Completion, Finish, Request, Usage, sha256
from .dialect import COMPLETIONS, Dialect
from .live import LiveBackend
from .openai_parse import count, json_object, refusal_of
from .token_lists import text_of

VERSION = "2023-06-01"
LOG_PROBS = "Anthropic's API gives no log-probs and takes no seed"
FINISH: dict[str, Finish] = {
    "end_turn": "stop", "stop_sequence": "stop", "tool_use": "stop", "pause_turn": "stop", "max_tokens": "length",
    "model_context_window_exceeded": "length", "refusal": "filter",
}  # fmt: skip


@dataclass
class Messages(Dialect):
    """Bodies of ``/v1/messages``."""

    def address(self, path: str) -> str:
        """One path for everything."""
        return "/messages"

    def body(self, request: Request, echo: int | None = None) -> dict[str, Any]:
        """What to send. top_p 1 is what leaving it out means, and some models refuse it beside a temperature."""
        s = request.sampling
        turns = self.turns(request.messages)
        system = "\n\n".join(t["content"] for t in turns if t["role"] == "system")
        out: dict[str, Any] = {"model": self.model, "max_tokens": s.max_tokens}
        out["messages"] = [t for t in turns if t["role"] != "system"]
        out |= {"system": system} if system else {}
        sampling = {"temperature": s.temperature, "top_p": s.top_p if s.top_p < 1 else None}
        return out | {key: v for key, v in sampling.items() if v is not None and key not in self.omitted}


class AnthropicBackend(LiveBackend):
    """See the module."""

    default_url = "https://api.anthropic.com/v1"
    sends = Messages
    headers: Mapping[str, str] = {"anthropic-version": VERSION}
    key_header = ("x-api-key", "")
    lacks: Mapping[str, str] = {COMPLETIONS: "Anthropic continues no raw text"}

    @staticmethod
    def parse(raw: bytes, request: Request, received_at: str | None = None) -> Completion:
        """The completion in a body. Errors: `ProtocolError` if it neither answers nor says why."""
        body = json_object(raw)
        done = Completion(
            request.digest, None, usage=_usage(body.get("usage")), model_echo=text_of(body.get("model")),
            raw_digest=sha256(raw), received_at=received_at,
        )  # fmt: skip
        content = body.get("content")
        if not isinstance(content, list):
            problem = refusal_of(body)
            if problem is None:
                raise ProtocolError("the answer has neither content nor an error")
            return replace(done, finish="filter" if problem.blocked else "error", error=problem.message)
        parts = [part for part in content if isinstance(part, dict)]
        said = [text_of(p.get("text")) or "" for p in parts if p.get("type", "text") == "text"]
        thought = [text_of(p.get("thinking")) or "" for p in parts if p.get("type") == "thinking"]
        reason = body.get("stop_reason")
        finish = FINISH.get(reason, "unknown") if isinstance(reason, str) else "unknown"
        text = "".join(said) if said else None
        if text == "" and finish == "length":
            text = None
        return replace(done, text=text, finish=finish, reasoning="".join(thought) if thought else None)


def _usage(usage: object) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    cached = [count(usage, k) for k in ("cache_creation_input_tokens", "cache_read_input_tokens")]
    asked = count(usage, "input_tokens")
    return Usage(None if asked is None else asked + sum(c or 0 for c in cached), count(usage, "output_tokens"))
