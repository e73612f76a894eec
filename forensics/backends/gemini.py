"""``gemini/<model>``: Google's Gemini API (generateContent). Conversations only; log-probs where the model has them.

Key in GEMINI_API_KEY, sent as a header and never in the URL; options as in `live`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from ..errors import ProtocolError
from ..types import Completion, Finish, Request, TokenLogprob, Usage, sha256
from .dialect import CHAT, COMPLETIONS, MOST, Dialect
from .live import LiveBackend
from .openai_parse import Refusal, count, json_object, refusal_of
from .token_lists import Position, number, text_of, tokens_of

FINISH: dict[str, Finish] = {
    "STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "filter", "RECITATION": "filter", "BLOCKLIST": "filter",
    "PROHIBITED_CONTENT": "filter", "SPII": "filter", "LANGUAGE": "filter", "IMAGE_SAFETY": "filter",
    "MALFORMED_FUNCTION_CALL": "stop", "OTHER": "unknown",
}  # fmt: skip
NAMES = {"topP": "top_p", "responseLogprobs": "logprobs", "maxOutputTokens": "max_tokens"}


@dataclass
class GenerateContent(Dialect):
    """Bodies of ``:generateContent``. top_k is the model's own: it can't be switched off."""

    def address(self, path: str) -> str:
        """The model stands in the path."""
        return f"/models/{quote(self.model, safe='/-._')}:generateContent"

    def body(self, request: Request, echo: int | None = None) -> dict[str, Any]:
        """What to send."""
        s = request.sampling
        turns = self.turns(request.messages)
        system = "\n\n".join(t["content"] for t in turns if t["role"] == "system")
        contents = [{"role": "model" if t["role"] == "assistant" else "user", "parts": [{"text": t["content"]}]}
                    for t in turns if t["role"] != "system"]  # fmt: skip
        sampling = {"temperature": s.temperature, "top_p": s.top_p, "seed": s.seed}
        kept = {"topP" if key == "top_p" else key: v for key, v in sampling.items()
                if v is not None and key not in self.omitted}  # fmt: skip
        k = min(MOST if request.top_logprobs < 0 else request.top_logprobs, self.limits.get(CHAT, MOST))
        settings = {"candidateCount": 1, "maxOutputTokens": s.max_tokens, **kept}
        settings |= {"responseLogprobs": True, "logprobs": k} if k else {}
        out: dict[str, Any] = {"contents": contents, "generationConfig": settings}
        return out | ({"systemInstruction": {"parts": [{"text": system}]}} if system else {})

    def adapt(self, path: str, body: Mapping[str, Any], why: Refusal, *, forbidden: bool = False) -> None:
        """As `Dialect.adapt`; Google has its own names, and its system text stands beside the conversation."""
        flat = {NAMES.get(key, key): v for key, v in body.get("generationConfig", {}).items()}
        if "systemInstruction" in body:
            flat["messages"] = [{"role": "system"}]
        message = why.message
        for theirs, ours in NAMES.items():
            message = re.sub(theirs, ours, message, flags=re.I)
        if re.search("developer instruction", message, re.I):
            message = f"system message not supported: {message}"
        super().adapt(path, flat, replace(why, message=message, param=""), forbidden=forbidden)


class GeminiBackend(LiveBackend):
    """See the module."""

    default_url = "https://generativelanguage.googleapis.com/v1beta"
    sends = GenerateContent
    key_header = ("x-goog-api-key", "")
    lacks: Mapping[str, str] = {COMPLETIONS: "Gemini continues no raw text"}

    @staticmethod
    def parse(raw: bytes, request: Request, received_at: str | None = None) -> Completion:
        """The completion in a body. Errors: `ProtocolError` if it neither answers nor says why."""
        body = json_object(raw)
        done = Completion(
            request.digest, None, usage=_usage(body.get("usageMetadata")),
            model_echo=text_of(body.get("modelVersion")), raw_digest=sha256(raw), received_at=received_at,
        )  # fmt: skip
        candidates = body.get("candidates")
        first = candidates[0] if isinstance(candidates, list) and candidates else None
        if isinstance(first, dict):
            return _generated(done, first, request)
        problem = refusal_of(body)
        if problem is not None:
            return replace(done, finish="filter" if problem.blocked else "error", error=problem.message)
        feedback = body.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            return replace(done, finish="filter", error=f"blocked: {text_of(feedback['blockReason']) or 'no reason'}")
        if "candidates" in body or "usageMetadata" in body:
            return replace(done, finish="error", error="the answer has no candidates")
        raise ProtocolError("the answer has neither candidates nor an error")


def _generated(done: Completion, candidate: Mapping[str, Any], request: Request) -> Completion:
    content = candidate.get("content")
    listed = content.get("parts") if isinstance(content, dict) else None
    parts = [p for p in listed if isinstance(p, dict)] if isinstance(listed, list) else []
    said = [text_of(p.get("text")) or "" for p in parts if "text" in p and p.get("thought") is not True]
    thought = [text_of(p.get("text")) or "" for p in parts if p.get("thought") is True]
    reason = candidate.get("finishReason")
    finish = FINISH.get(reason, "unknown") if isinstance(reason, str) else "unknown"
    text = "".join(said) if said else None
    if text == "" and finish == "length":
        text = None
    tokens = _tokens(candidate.get("logprobsResult"), text, request.top_logprobs)
    return replace(done, text=text, finish=finish, reasoning="".join(thought) if thought else None, tokens=tokens)


def _tokens(result: object, text: str | None, k: int) -> tuple[TokenLogprob, ...]:
    """Chosen and top candidates are parallel lists, and the chosen one may be missing among the top ones."""
    if not isinstance(result, dict):
        return ()
    chosen, tops = result.get("chosenCandidates"), result.get("topCandidates")
    if not isinstance(chosen, list):
        return ()
    lists: Sequence[object] = tops if isinstance(tops, list) and len(tops) == len(chosen) else [None] * len(chosen)
    out = []
    for row, listed in zip(chosen, lists, strict=True):
        token = _pair(row)
        if token is None:
            return ()
        inner = listed.get("candidates") if isinstance(listed, dict) else None
        top = [p for entry in inner if (p := _pair(entry)) is not None] if isinstance(inner, list) else []
        out.append(Position((token[0], None), token[1], [((t, None), v) for t, v in top if v is not None]))
    return tokens_of(out, text, k)


def _pair(row: object) -> tuple[str, float | None] | None:
    if not isinstance(row, dict) or (token := text_of(row.get("token", ""))) is None:
        return None
    # Zero is proto3's default, which its JSON leaves out: a certain token has no logProbability at all.
    return token, number(row.get("logProbability", 0.0))


def _usage(usage: object) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    said, thought = count(usage, "candidatesTokenCount"), count(usage, "thoughtsTokenCount")
    both = None if said is None and thought is None else (said or 0) + (thought or 0)
    return Usage(count(usage, "promptTokenCount"), both)
