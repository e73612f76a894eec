"""Bodies of OpenAI-compatible servers -> `Completion`. Pure: stored bytes give the same completion again.

Servers disagree on almost everything here; every branch below was somebody's answer. What can't be read is a
`ProtocolError`, what was refused or blocked is a completion that says so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from ..errors import ProtocolError
from ..types import Completion, Finish, Request, TokenLogprob, Usage, sha256

SENTINEL = -9999.0  # what servers write for "not among the listed ones"; -inf means the same
POSITIVE_SLACK = 0.01  # rounding may lift a logprob of 0 a little; anything above is no logprob
LONGEST_LEAD = 32  # bytes of special tokens that may stand before an echoed prompt

FINISH: dict[str, Finish] = {
    "stop": "stop", "eos": "stop", "eos_token": "stop", "stop_sequence": "stop", "end_turn": "stop",
    "tool_calls": "stop", "function_call": "stop", "length": "length", "max_tokens": "length",
    "content_filter": "filter", "safety": "filter", "error": "error",
}  # fmt: skip
BLOCKED = re.compile(r"content.?filter|content management policy|requires moderation|was flagged|ResponsibleAI", re.I)
THINK = re.compile(r"\s*<(think|thinking)>")
ESCAPED = re.compile(r"bytes:((?:\\x[0-9a-fA-F]{2}|[^\\])*\\x[0-9a-fA-F]{2}(?:\\x[0-9a-fA-F]{2}|[^\\])*)")
BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")

Piece = tuple[str, bytes | None]  # a token's string, and its bytes where the server gives them


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


@dataclass(frozen=True, slots=True)
class _Position:
    token: Piece
    logprob: float | None
    top: list[tuple[Piece, float]]


def parse(raw: bytes, request: Request, received_at: str | None = None) -> Completion:
    """The completion in a response body, whatever the HTTP status was.

    Errors: `ProtocolError` if the bytes are not a JSON object, or an object that neither answers nor says why.
    """
    body = _object(raw)
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    done = Completion(
        request.digest, None, usage=_usage(body.get("usage")), model_echo=_string(body.get("model")),
        fingerprint=_fingerprint(body), raw_digest=sha256(raw), received_at=received_at,
    )  # fmt: skip
    problem = _refusal(body) if choice is None else _reason(choice.get("error"))
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
        return _refusal(_object(raw)) or Refusal("")
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


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the answer is not JSON ({type(error).__name__}, {len(raw)} bytes)") from None
    if not isinstance(body, dict):
        raise ProtocolError(f"the answer is JSON, but no object ({type(body).__name__})")
    return body


def _refusal(body: Mapping[str, Any]) -> Refusal | None:
    if body.get("error") or "choices" in body:
        return _reason(body.get("error"))
    if "message" in body:  # older vLLM
        return _reason(body)
    return _reason(body.get("detail"))  # FastAPI


def _reason(error: object) -> Refusal | None:
    if not error:
        return None
    if not isinstance(error, dict):
        return Refusal(one_line(error))
    message, param, code = (error.get(key) for key in ("message", "param", "code"))
    return Refusal(one_line(message or error), one_line(param or ""), one_line(code or error.get("type") or ""))


def _string(value: object) -> str | None:
    """Text that can be written as UTF-8 again: lone surrogates, which JSON can escape, become U+FFFD."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _usage(usage: object) -> Usage:
    if not isinstance(usage, dict):
        return Usage()

    def count(key: str) -> int | None:
        value = usage.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None

    return Usage(count("prompt_tokens"), count("completion_tokens"))


def _fingerprint(body: Mapping[str, Any]) -> str | None:
    # A router names the provider that really answered; two of them are not one model.
    parts = [_string(body.get("provider")), _string(body.get("system_fingerprint"))]
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
    tokens = _tokens(_positions(choice.get("logprobs")), content, request.top_logprobs)
    return replace(
        done, text=text, finish=finish, reasoning="\n".join(apart) if apart else None,
        tokens=_visible(tokens, text) if apart else tokens,
        error="the server broke off" if finish == "error" else None,
    )  # fmt: skip


def _content(content: object) -> tuple[str | None, str | None]:
    """Text and reasoning of a message's content: a string, nothing, or a list of typed parts."""
    if not isinstance(content, list):
        return _string(content), None
    said, thought = [], []
    for part in content:
        if isinstance(part, dict):
            inner = part.get("thinking")
            if inner is not None:
                thought.append((_content(inner)[0] if not isinstance(inner, dict) else None) or "")
            elif isinstance(part.get("text"), str):
                said.append(_string(part["text"]) or "")
    return "".join(said) if said else None, "".join(thought) if thought else None


def _reasoning(turn: Mapping[str, Any]) -> str | None:
    for key in ("reasoning_content", "reasoning"):
        if isinstance(turn.get(key), str) and turn[key]:
            return _string(turn[key])
    details = turn.get("reasoning_details")
    rows = [d for d in details if isinstance(d, dict)] if isinstance(details, list) else []
    return "".join(_string(d.get("text")) or _string(d.get("summary")) or "" for d in rows) or None


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


def _positions(logprobs: object) -> list[_Position]:
    """Positions in either shape; none at all if one of them can't be read, because a gap would shift the rest."""
    if isinstance(logprobs, dict):
        rows = logprobs.get("content")
        if not isinstance(rows, list):
            return _legacy(logprobs)
    else:
        rows = logprobs
    if not isinstance(rows, list):
        return []
    out = []
    for row in rows:
        piece = _piece(row)
        if piece is None:
            return []
        listed = row.get("top_logprobs")
        top = [(p, v) for e in listed or () if (p := _piece(e)) and (v := _number(e.get("logprob"))) is not None] \
            if isinstance(listed, list) else []  # fmt: skip
        out.append(_Position(piece, _number(row.get("logprob")), top))
    return out


def _legacy(logprobs: Mapping[str, Any]) -> list[_Position]:
    """The shape of /completions: parallel lists, and a dictionary of alternatives a position."""
    tokens, values, tops = (logprobs.get(k) for k in ("tokens", "token_logprobs", "top_logprobs"))
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        return []
    listed = tops if isinstance(tops, list) and len(tops) == len(tokens) else [None] * len(tokens)
    out = []
    for token, value, alternatives in zip(tokens, values, listed, strict=True):
        text = _string(token)
        if text is None:
            return []
        pairs = alternatives.items() if isinstance(alternatives, dict) else ()
        known = [(_string(t) or "", v) for t, x in pairs if (v := _number(x)) is not None]
        out.append(_Position((text, None), _number(value), [((t, None), v) for t, v in known]))
    return out


def _piece(row: object) -> Piece | None:
    if not isinstance(row, dict) or (text := _string(row.get("token"))) is None:
        return None
    given = row.get("bytes")
    if isinstance(given, list) and given and all(type(b) is int and 0 <= b < 256 for b in given):
        return text, bytes(given)
    return text, None


def _number(value: object) -> float | None:
    """A logprob, or None for what can't be one: null, NaN, a boolean, a probability."""
    if isinstance(value, str) and value.lower() in ("-inf", "-infinity"):
        return -math.inf
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if math.isnan(number) or number > POSITIVE_SLACK else min(number, 0.0)


def _tokens(positions: Sequence[_Position], text: str | None, k: int) -> tuple[TokenLogprob, ...]:
    decode = _decoder(positions, text)
    tokens = [_token(position, k, decode) for position in positions]
    known = tuple(t for t in tokens if t is not None)
    return known if len(known) == len(tokens) else ()


def _token(position: _Position, k: int, decode: Callable[[Piece], bytes]) -> TokenLogprob | None:
    token = decode(position.token)
    best: dict[bytes, float] = {}
    for piece, value in position.top:
        if value > SENTINEL:
            key = decode(piece)
            best[key] = max(value, best.get(key, value))
    logprob = best.get(token) if position.logprob is None else position.logprob
    if logprob is None:
        return None
    top = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))
    # A sampled token from outside the k likeliest is added to the list; it must not lower the floor. How many were
    # listed for their own sake is certain only if it is what was asked for.
    extra = k > 0 and 1 < len(top) != k and top[-1][0] == token
    floor = top[-2 if extra else -1][1] if top else None
    if extra and len(top) > k:
        top.pop()
    if logprob <= SENTINEL:
        logprob = SENTINEL if floor is None else floor
    return TokenLogprob(token, logprob, tuple(top), floor)


def _decoder(positions: Sequence[_Position], text: str | None) -> Callable[[Piece], bytes]:
    """How token strings without bytes become bytes: as they are, or in the alphabet of a tokeniser's vocabulary file.

    A marked alphabet is believed if the sampled tokens then join to the text.
    """
    strings = [p.token[0] for p in positions] + [piece[0] for p in positions for piece, _ in p.top]
    modes = []
    if any(s.startswith(("\u0120", "\u010a")) for s in strings):
        modes.append("byte-level")
    if any(s.startswith("\u2581") or BYTE_TOKEN.fullmatch(s) for s in strings):
        modes.append("sentencepiece")
    modes.append("plain")
    wanted = (text or "").encode()
    fits = (m for m in modes if wanted in b"".join(_bytes(p.token, m) for p in positions))
    mode = next(fits, modes[0])
    return lambda piece: _bytes(piece, mode)


def _bytes(piece: Piece, mode: str) -> bytes:
    string, given = piece
    if given is not None:
        return given
    escaped = ESCAPED.fullmatch(string)
    if escaped:
        return re.sub(rb"\\x([0-9a-fA-F]{2})", lambda m: bytes([int(m[1], 16)]), escaped[1].encode())
    if mode == "byte-level" and all(c in _byte_alphabet() for c in string):
        return bytes(_byte_alphabet()[c] for c in string)
    if mode == "sentencepiece":
        single = BYTE_TOKEN.fullmatch(string)
        return bytes([int(single[1], 16)]) if single else string.replace("\u2581", " ").encode()
    return string.encode()


@cache
def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in own]
    return {chr(b): b for b in own} | {chr(256 + i): b for i, b in enumerate(others)}


def _scored(done: Completion, choice: Mapping[str, Any], request: Request) -> Completion:
    """The target's tokens out of an echoed prompt, cut by bytes; anything doubtful is an error, never a number."""
    target = request.target or ""
    positions = _positions(choice.get("logprobs"))
    head, wanted = (request.prompt or "").encode(), target.encode()
    decode = _decoder(positions, (request.prompt or "") + target)
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
    tokens = tuple(t for p in rows if (t := _token(p, request.top_logprobs, decode)) is not None)
    return replace(done, text=target, finish="stop", tokens=tokens)


def _ends(pieces: Iterable[bytes]) -> Iterable[int]:
    total = 0
    for piece in pieces:
        total += len(piece)
        yield total
