"""Bodies of OpenAI-compatible servers -> `Completion`. Pure: stored bytes give the same completion again.

Servers disagree on almost everything here; every branch below was somebody's answer. What can't be read is a
`ProtocolError`, what was refused or blocked is a completion that says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ProtocolError
from ..types import Completion, Finish, Request, TokenLogprob, Usage, sha256
from .token_lists import SENTINEL, decoder, positions_of, text_of, token_of, tokens_of

MOST_VALUES = 2 << 20  # of one body: a third of it would be 4,096 tokens with 20 alternatives each
LONGEST_LEAD = 32  # bytes of special tokens that may stand before an echoed prompt

FINISH: dict[str, Finish] = {
    "stop": "stop", "eos": "stop", "eos_token": "stop", "stop_sequence": "stop", "end_turn": "stop",
    "tool_calls": "stop", "function_call": "stop", "length": "length", "max_tokens": "length",
    "content_filter": "filter", "safety": "filter", "error": "error",
}  # fmt: skip
BLOCKED = re.compile(r"content.?filter|content management policy|requires moderation|was flagged|ResponsibleAI", re.I)
THINK = re.compile(r"\s*<(think|thinking)>")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server says when it does not answer."""

    message: str
    param: str = ""
    code: str = ""

    @property
    def blocked(self) -> bool:
        """A content filter spoke, not a fault."""
        return bool(BLOCKED.search(f"{self.code} {self.message}"))


def parse(raw: bytes, request: Request, received_at: str | None = None) -> Completion:
    """The completion in a response body, whatever the HTTP status was.

    Errors: `ProtocolError` if the bytes are not a JSON object, or an object that neither answers nor says why.
    """
    body = json_object(raw)
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    done = Completion(
        request.digest, None, usage=_usage(body.get("usage")), model_echo=text_of(body.get("model")),
        fingerprint=_fingerprint(body), raw_digest=sha256(raw), received_at=received_at,
    )  # fmt: skip
    problem = refusal_of(body) if choice is None else reason_of(choice.get("error"))
    if problem is not None:
        return replace(done, finish="filter" if problem.blocked else "error", error=problem.message)
    if choice is None:
        if "choices" not in body:
            raise ProtocolError("the answer has neither choices nor an error")
        return replace(done, finish="error", error="the answer has no choices")
    if request.target is not None:
        return _scored(done, choice, request)
    return _generated(done, choice, request)


def refusal(raw: bytes) -> Refusal:
    """Why a server refused; an empty message if it does not say so in a way that can be read."""
    try:
        return refusal_of(json_object(raw)) or Refusal("")
    except ProtocolError:
        return Refusal("")


def one_line(value: object, limit: int = 300) -> str:
    """Printable text on one line, cut at ``limit`` characters."""
    try:
        text = str(value)
    except RecursionError:  # a body may be nested just as deep as the parser allows
        text = type(value).__name__
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def json_object(raw: bytes) -> dict[str, Any]:
    """The object in a body. Errors: `ProtocolError`."""
    # Each value takes some sixty bytes, however short it is: a body of nothing but brackets would fill the memory.
    if len(raw) > MOST_VALUES and sum(map(raw.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise ProtocolError(f"the answer holds more than {MOST_VALUES:,} values ({len(raw)} bytes)")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the answer is not JSON ({type(error).__name__}, {len(raw)} bytes)") from None
    if not isinstance(body, dict):
        raise ProtocolError(f"the answer is JSON, but no object ({type(body).__name__})")
    return body


def refusal_of(body: Mapping[str, Any]) -> Refusal | None:
    """What an error body says; None if it is none."""
    if body.get("error") or "choices" in body:
        return reason_of(body.get("error"))
    if "message" in body:  # older vLLM
        return reason_of(body)
    return reason_of(body.get("detail"))  # FastAPI


def reason_of(error: object) -> Refusal | None:
    """The refusal in the value of a body's ``error``; None if there is none."""
    if not error:
        return None
    if not isinstance(error, dict):
        return Refusal(one_line(error))
    message, param, code = (error.get(key) for key in ("message", "param", "code"))
    details = error.get("details")
    if isinstance(details, list):  # Google says in there what its code only hints at
        code = next((d["reason"] for d in details if isinstance(d, dict) and d.get("reason")), code)
    return Refusal(one_line(message or error), one_line(param or ""), one_line(code or error.get("type") or ""))


def count(usage: Mapping[str, Any], key: str) -> int | None:
    """A count of tokens, or None for what can't be one."""
    value = usage.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def _usage(usage: object) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    return Usage(count(usage, "prompt_tokens"), count(usage, "completion_tokens"))


def _fingerprint(body: Mapping[str, Any]) -> str | None:
    # A router names the provider that really answered; two of them are not one model.
    parts = [text_of(body.get("provider")), text_of(body.get("system_fingerprint"))]
    return " ".join(p for p in parts if p) or None


def _generated(done: Completion, choice: Mapping[str, Any], request: Request) -> Completion:
    message = choice.get("message")
    turn: Mapping[str, Any] = message if isinstance(message, dict) else {"content": choice.get("text")}
    reason = choice.get("finish_reason")
    finish = FINISH.get(reason.lower(), "unknown") if isinstance(reason, str) else "unknown"
    content, aside = _content(turn.get("content"))
    text, reasoning = split_thoughts(content) if isinstance(message, dict) else (content, None)
    apart = [part for part in (_reasoning(turn), aside, reasoning) if part is not None]
    if turn.get("refusal"):
        finish = "filter"
    if text == "" and finish == "length":  # every token went elsewhere, so no answer was seen
        text = None
    tokens = tokens_of(positions_of(choice.get("logprobs")), content, request.top_logprobs)
    return replace(
        done, text=text, finish=finish, reasoning="\n".join(apart) if apart else None,
        tokens=_visible(tokens, text) if apart else tokens,
        error="the server broke off" if finish == "error" else None,
    )  # fmt: skip


def _content(content: object) -> tuple[str | None, str | None]:
    """Text and reasoning of a message's content: a string, nothing, or a list of typed parts."""
    if not isinstance(content, list):
        return text_of(content), None
    said, thought = [], []
    for part in content:
        if isinstance(part, dict):
            inner = part.get("thinking")
            if inner is not None:
                thought.append((_content(inner)[0] if not isinstance(inner, dict) else None) or "")
            elif isinstance(part.get("text"), str):
                said.append(text_of(part["text"]) or "")
    return "".join(said) if said else None, "".join(thought) if thought else None


def _reasoning(turn: Mapping[str, Any]) -> str | None:
    for key in ("reasoning_content", "reasoning"):
        if isinstance(turn.get(key), str) and turn[key]:
            return text_of(turn[key])
    details = turn.get("reasoning_details")
    rows = [d for d in details if isinstance(d, dict)] if isinstance(details, list) else []
    return "".join(text_of(d.get("text")) or text_of(d.get("summary")) or "" for d in rows) or None


def split_thoughts(content: str | None) -> tuple[str | None, str | None]:
    """Answer and inline reasoning. Reasoning that never ends leaves no answer; one whose opening tag the chat
    template had already written ends at the first closing tag."""
    if content is None:
        return None, None
    opened = THINK.match(content)
    closing = f"</{opened[1]}>" if opened else "</think>"
    rest = content[opened.end() :] if opened else content
    if opened is None and (closing not in content or "<think>" in content):
        return content, None
    thought, found, answer = rest.partition(closing)
    return (answer.lstrip("\r\n") if found else None), thought


def _visible(tokens: tuple[TokenLogprob, ...], text: str | None) -> tuple[TokenLogprob, ...]:
    """The tokens of the answer, where the list also holds those of the reasoning; none if that can't be told."""
    start = b"".join(t.token for t in tokens).rfind(text.encode()) if text else -1
    if start < 0:
        return ()
    end = 0
    for index, token in enumerate(tokens):
        end += len(token.token)
        if end > start:
            return tokens[index:]
    return ()


def _scored(done: Completion, choice: Mapping[str, Any], request: Request) -> Completion:
    """The target's tokens out of an echoed prompt, cut by bytes; anything doubtful is an error, never a number."""
    target = request.target or ""
    positions = positions_of(choice.get("logprobs"))
    head, wanted = (request.prompt or "").encode(), target.encode()
    decode = decoder(positions, (request.prompt or "") + target)
    first = b"".join(decode(p.token) for p in positions).find(head + wanted)
    if not positions or not 0 <= first <= LONGEST_LEAD:
        return replace(done, finish="error", error="the server does not echo the prompt with log-probs")
    ends = list(_ends(decode(p.token) for p in positions))
    start = first + len(head)
    inside = [i for i, end in enumerate(ends) if start < end <= start + len(wanted)]
    starts = [0, *ends]
    if not inside or starts[inside[0]] != start or ends[inside[-1]] != start + len(wanted):
        return replace(done, finish="error", error="a token straddles the border of the text to be scored")
    rows = [positions[i] for i in inside]
    if any(p.logprob is None or p.logprob <= SENTINEL for p in rows):
        return replace(done, finish="error", error="a token of the text to be scored has no logprob")
    tokens = tuple(t for p in rows if (t := token_of(p, request.top_logprobs, decode)) is not None)
    return replace(done, text=target, finish="stop", tokens=tokens)


def _ends(pieces: Iterable[bytes]) -> Iterable[int]:
    total = 0
    for piece in pieces:
        total += len(piece)
        yield total
