"""Lists of tokens and log-probs, in whatever shape -> `TokenLogprob`. Keys are bytes, never text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..types import TokenLogprob

SENTINEL = -9999.0  # what servers write for "not among the listed ones"; -inf means the same
POSITIVE_SLACK = 0.01  # rounding may lift a logprob of 0 a little; anything above is no logprob
ESCAPED = re.compile(r"bytes:((?:\\x[0-9a-fA-F]{2}|[^\\])*\\x[0-9a-fA-F]{2}(?:\\x[0-9a-fA-F]{2}|[^\\])*)")
BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")

Piece = tuple[str, bytes | None]  # a token's string, and its bytes where the server gives them


@dataclass(frozen=True, slots=True)
class Position:
    """One token as it came: string and bytes, its logprob, the listed alternatives."""

    token: Piece
    logprob: float | None
    top: list[tuple[Piece, float]]


def text_of(value: object) -> str | None:
    """Text that can be written as UTF-8 again: lone surrogates, which JSON can escape, become U+FFFD."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def positions_of(logprobs: object) -> list[Position]:
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
        piece = piece_of(row)
        if piece is None:
            return []
        listed = row.get("top_logprobs")
        top = [(p, v) for e in listed or () if (p := piece_of(e)) and (v := number(e.get("logprob"))) is not None] \
            if isinstance(listed, list) else []  # fmt: skip
        out.append(Position(piece, number(row.get("logprob")), top))
    return out


def _legacy(logprobs: Mapping[str, Any]) -> list[Position]:
    """The shape of /completions: parallel lists, and a dictionary of alternatives a position."""
    tokens, values, tops = (logprobs.get(k) for k in ("tokens", "token_logprobs", "top_logprobs"))
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        return []
    listed = tops if isinstance(tops, list) and len(tops) == len(tokens) else [None] * len(tokens)
    out = []
    for token, value, alternatives in zip(tokens, values, listed, strict=True):
        text = text_of(token)
        if text is None:
            return []
        pairs = alternatives.items() if isinstance(alternatives, dict) else ()
        known = [(text_of(t) or "", v) for t, x in pairs if (v := number(x)) is not None]
        out.append(Position((text, None), number(value), [((t, None), v) for t, v in known]))
    return out


def piece_of(row: object) -> Piece | None:
    """A token's string and bytes, or None."""
    if not isinstance(row, dict) or (text := text_of(row.get("token"))) is None:
        return None
    given = row.get("bytes")
    if isinstance(given, list) and given and all(type(b) is int and 0 <= b < 256 for b in given):
        return text, bytes(given)
    return text, None


def number(value: object) -> float | None:
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


def tokens_of(positions: Sequence[Position], text: str | None, k: int) -> tuple[TokenLogprob, ...]:
    """All positions as tokens, or none: a gap would shift the rest. ``k``: how many alternatives were asked for."""
    decode = decoder(positions, text)
    tokens = [token_of(position, k, decode) for position in positions]
    known = tuple(t for t in tokens if t is not None)
    return known if len(known) == len(tokens) else ()


def token_of(position: Position, k: int, decode: Callable[[Piece], bytes]) -> TokenLogprob | None:
    """One position; None if its logprob can't be known."""
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


def decoder(positions: Sequence[Position], text: str | None) -> Callable[[Piece], bytes]:
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
