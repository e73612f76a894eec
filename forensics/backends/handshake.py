"""What a server turns out to offer: tried, never believed.

A server that lacks something usually answers 200 and leaves it out, or fills it with plausible numbers.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..errors import ProtocolError
from ..types import Capabilities, Completion, LogprobKind, Message, Request, Sampling, TokenLogprob
from .dialect import CHAT, COMPLETIONS, MOST

Ask = Callable[[Request], Awaitable[Completion]]
Echo = Callable[[Request, int], Awaitable[Completion]]

MATCHES = 4  # scored tokens that must agree
ABOUT = "amber barley copper driftwood emerald flint granite hazel ivory juniper linen marble nutmeg oak pewter quartz"
TOWNS = "village town harbour hamlet castle convent mill farm inn cottage city palace monastery lighthouse"
NEAR = "sea river lake forest moor mountain canal coast marsh border quarry vineyard orchard desert island bridge"


@dataclass(frozen=True)
class Opening:
    """What a handshake says, drawn by a salt so that no list of prompts gives it away. Its form does: two texts, one of
    them three times over, is what nobody else asks first."""

    turn: tuple[Message, ...]
    text: str
    seed: int

    @classmethod
    def of(cls, salt: bytes) -> Opening:
        """One of 53,760 pairs of texts, and a seed below 2^30."""

        def ranked(pool: str) -> list[str]:
            return sorted(pool.split(), key=lambda word: hmac.digest(salt, word.encode(), "sha256"))

        one, two = ranked(ABOUT)[:2]
        turn = (
            Message("system", "You write English."),  # who refuses the role says so here, before a plan is made
            Message("user", f"Write one sentence of a dozen unusual words about {one} and {two}."),
        )
        text = f"Once upon a time, in a small {ranked(TOWNS)[0]} by the {ranked(NEAR)[0]}, there lived"
        return cls(turn, text, int.from_bytes(hmac.digest(salt, b"seed", "sha256")[:4]) >> 2)

    def request(
        self, lane: str, *, temperature: float = 1.0, tokens: int = 16, other: bool = False, top: int = MOST
    ) -> Request:
        """One thing to ask; ``other``: with another seed."""
        sampling = Sampling(temperature, 1.0, tokens, self.seed + other)
        if lane == CHAT:
            return Request("handshake", "chat", self.turn, None, sampling, top_logprobs=top)
        return Request("handshake", "raw", (), self.text, sampling, top_logprobs=top)


async def measure(ask: Ask, echo: Echo, salt: bytes = b"") -> tuple[Capabilities, int | None]:
    """Capabilities, and the ``max_tokens`` with which this server scores prompts (None: it can't be trusted to).

    Errors: `ProtocolError` if neither a conversation nor a raw text gets an answer.
    """
    lane, notes, say = CHAT, [], Opening.of(salt)
    first = await ask(say.request(CHAT))
    raw = await ask(say.request(COMPLETIONS))
    if first.finish == "error":
        if raw.finish == "error":
            raise ProtocolError(f"the endpoint answers no request: {first.error}")
        notes.append(f"no conversations: {first.error}")
        lane, first = COMPLETIONS, raw
    again, other = await ask(say.request(lane)), await ask(say.request(lane, other=True))
    cool = await ask(say.request(lane, temperature=0.5, tokens=1))
    scoring = None
    # One token first: a server may take none for no limit, and write until its context is full (llama.cpp's does).
    for max_tokens in (1, 0) if len(raw.tokens) >= MATCHES else ():
        target = Request(
            "handshake", "echo", (), say.text, Sampling(1.0, 1.0, 1), top_logprobs=1, target=raw.text or ""
        )
        read = await echo(target, max_tokens)
        if believable(raw.tokens, read.tokens):
            scoring = max_tokens
        if read.tokens:
            break
    if scoring is None:
        notes.append("prompt scoring is not offered, or did not give back the log-probs of a text just generated")
    top_k, doubts = _listed(first)
    caps = Capabilities(
        top_k=top_k, prompt_scoring=scoring is not None, model_echo=first.model_echo or raw.model_echo,
        seed=_said(first) is not None and _said(first) == _said(again) != _said(other),
        logprob_kind=_kind(first, cool) if top_k else "unknown",
        notes=(*notes, *doubts, *_remarks(first, again, other)),
    )  # fmt: skip
    return caps, scoring


def _said(done: Completion) -> tuple[str | None, str | None] | None:
    return (done.text, done.reasoning) if done.text or done.reasoning else None


def _listed(done: Completion) -> tuple[int, tuple[str, ...]]:
    """How many log-probs a token are really listed, and why not more."""
    # The shortest list, because the longer ones may hold the sampled token on top of what is offered.
    most = min((len(t.top) for t in done.tokens if t.top), default=0)
    if not done.tokens:
        return 0, ("log-probs were asked for and left out without a word, or can't be read",)
    if not most:
        return 0, ("only the sampled token's logprob is given",)
    if any(sum(math.exp(v) for _, v in t.top) > 1.01 for t in done.tokens):
        return 0, ("the listed log-probs sum to more than 1: they are not believed",)
    return min(most, MOST), () if most >= MOST else (f"asked for {MOST} log-probs a token, got {most}",)


def _remarks(first: Completion, again: Completion, other: Completion) -> Iterator[str]:
    if _said(first) is not None and _said(first) == _said(again) == _said(other):
        yield "another seed at temperature 1 gives the same answer: the server may not sample at all"
    if first.tokens and first.text and first.text.encode() not in b"".join(t.token for t in first.tokens):
        yield "the tokens' bytes do not join to the text"
    if first.reasoning is not None:
        yield "reasons before it answers; the reasoning is kept apart"
    elif first.text is None:
        yield f"no text came back (finish: {first.finish})"
    if first.usage.completion_tokens is None:
        yield "token usage is not reported"
    if first.tokens and again.tokens:
        a, b = dict(first.tokens[0].top), dict(again.tokens[0].top)
        jitter = max((abs(a[t] - b[t]) for t in a.keys() & b.keys()), default=0.0)
        if jitter > 1e-4:
            yield f"the same request twice: log-probs differ by up to {jitter:.2g}"


def _kind(warm: Completion, cool: Completion) -> LogprobKind:
    """Raw log-probs ignore temperature; processed ones move twice as far apart at temperature 0.5."""
    if not warm.tokens or not cool.tokens:
        return "unknown"
    a, b = dict(warm.tokens[0].top), dict(cool.tokens[0].top)
    common = sorted(a.keys() & b.keys(), key=lambda t: -a[t])
    if len(common) < 3:
        return "unknown"
    steps = [(a[t] - a[common[0]], b[t] - b[common[0]]) for t in common[1:]]
    square = sum(x * x for x, _ in steps)
    slope = sum(x * y for x, y in steps) / square if square > 0.01 else 0.0
    return "raw" if 0.85 < slope < 1.15 else "processed" if 1.7 < slope < 2.3 else "unknown"


def believable(said: Sequence[TokenLogprob], read: Sequence[TokenLogprob]) -> bool:
    """Whether scoring a text gave the log-probs that were reported while it was generated, at the same positions.

    Neighbours must differ enough that a list shifted by one would have been noticed.
    """
    pairs = []
    for one, two in zip(said, read, strict=False):
        if one.token != two.token:  # cut into other tokens from here on
            break
        pairs.append((one.logprob, two.logprob))
    close = all(abs(x - y) <= 0.1 + 0.05 * abs(x) for x, y in pairs)
    telling = any(abs(a[0] - b[0]) > 0.5 for a, b in pairwise(pairs))
    return len(pairs) >= MATCHES and close and telling
