"""What a server turns out to accept (`Dialect`) and to offer (`measure`): tried, never believed.

A server that lacks something usually answers 200 and leaves it out, or fills it with plausible numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ..errors import ProtocolError, UsageError
from ..types import Capabilities, Completion, LogprobKind, Message, ModelSpec, Request, Sampling, TokenLogprob
from .openai_parse import Refusal

CHAT, COMPLETIONS = "/chat/completions", "/completions"
MOST = 20  # log-probs a token that anybody offers without being configured to
ROUTING = ("order", "only", "quantizations")  # OpenRouter's
FALLBACK = 5  # the limit of those who do not name theirs

REFUSED = re.compile(
    r"support|permitted|allowed|forbidden|extra|unknown|unrecogni[sz]ed|unexpected|only|must be|invalid|greater than"
    r"|maximum|more than|too (?:high|large)|remove|deprecated|not enabled|should be|at most",
    re.I,
)
NOT_THE_FIELD = re.compile(r"too large|context length|range|at least|minimum|greater|must be", re.I)
BOUNDED = re.compile(r"greater|maximum|max |more than|at most|too |<=|less|between|should be|range", re.I)
SYSTEM = re.compile(r"messages\[\d+\]\.role|system (?:role|message|prompt)|roles must alternate", re.I)
NO_MODEL = re.compile(r"model_not_found|no such model|unknown model|model\b.{0,200}(?:does not exist|not found)", re.I)
OTHER_PATH = re.compile(r"is (?:not )?a chat model|did you mean to use v1/", re.I)
PARAMETER = re.compile(
    r"\b(top_logprobs|logprobs|max_completion_tokens|max_tokens|temperature|top_p|seed)\b|['`](n)['`]", re.I
)
LOCATION = re.compile(r"loc['\"]: *[\[(] *['\"]body['\"], *['\"](\w+)['\"]")

Ask = Callable[[Request], Awaitable[Completion]]
Echo = Callable[[Request, int], Awaitable[Completion]]


def path_of(request: Request) -> str:
    """Conversations and raw texts have different endpoints."""
    return CHAT if request.prompt is None else COMPLETIONS


@dataclass
class Dialect:
    """Request bodies for one server, less what it was seen to refuse."""

    model: str
    max_field: str | None = None  # None: max_tokens until that is refused
    routing: Mapping[str, Any] = field(default_factory=dict)
    omitted: set[str] = field(default_factory=set)
    limits: dict[str, int] = field(default_factory=dict)
    renamed: bool = False
    folded: bool = False
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, spec: ModelSpec, model: str) -> Dialect:
        """The dialect that a spec's options ask for. Errors: `UsageError`."""
        max_field = spec.option("max_tokens_field")
        if max_field not in (None, "max_tokens", "max_completion_tokens"):
            raise UsageError(f"option max_tokens_field={max_field}: write max_tokens or max_completion_tokens")
        routing: dict[str, Any] = {key: value.split(",") for key, value in spec.options if key in ROUTING}
        if routing:  # else a router may answer with another model, or drop log-probs, and not say so
            routing |= {"allow_fallbacks": False, "require_parameters": True}
        return cls(model, max_field, routing)

    def body(self, request: Request, echo: int | None = None) -> dict[str, Any]:
        """What to send. ``echo``: max_tokens of a request that scores its target instead of generating."""
        s, path = request.sampling, path_of(request)
        sampling = {"temperature": s.temperature, "top_p": s.top_p, "n": 1, "seed": s.seed}
        k = min(MOST if request.top_logprobs < 0 else request.top_logprobs, self.limits.get(path, 2**31))
        out: dict[str, Any] = {"model": self.model}
        if path == CHAT:
            out["messages"] = self._turns(request.messages)
            out[self.max_field or ("max_completion_tokens" if self.renamed else "max_tokens")] = s.max_tokens
            out |= {"logprobs": True, "top_logprobs": k} if k else {}
        else:
            out["prompt"], out["max_tokens"] = request.prompt, s.max_tokens
            out |= {"logprobs": k} if k else {}
        if request.target is not None:  # sampling must not colour a score, should the log-probs be processed ones
            sampling |= {"temperature": 1.0, "top_p": 1.0}
            out |= {"prompt": f"{request.prompt}{request.target}", "echo": True}
            out |= {"max_tokens": echo, "logprobs": max(1, k)}
        out |= {key: v for key, v in sampling.items() if v is not None and key not in self.omitted}
        return out | ({"provider": dict(self.routing)} if self.routing else {})

    def adapt(self, path: str, body: Mapping[str, Any], why: Refusal, *, forbidden: bool = False) -> None:
        """Learn from a refusal; nothing changes unless it names something that was sent. ``forbidden``: HTTP 403,
        which is about the key unless it is about log-probs."""
        name = _parameter(why)
        if not REFUSED.search(f"{why.message} {why.code}") or (forbidden and "logprobs" not in name):
            return
        if name in ("logprobs", "top_logprobs"):
            self._lower(path, body, why)
        elif name == "max_tokens" and path == CHAT and not self.max_field and not NOT_THE_FIELD.search(why.message):
            self.renamed = True
            self._note("max_completion_tokens is sent instead of max_tokens")
        elif name in ("temperature", "top_p", "seed", "n") and name in body:
            self.omitted.add(name)
            self._note(f"the server refuses {name}: it is left out")
        elif name == "system" and any(m["role"] == "system" for m in body.get("messages", ())):
            self.folded = True
            self._note("the server refuses the system role: its text stands at the head of the user's")

    @staticmethod
    def names_missing_model(why: Refusal) -> bool:
        """Whether a 404 is about the model and not about the path."""
        return bool(NO_MODEL.search(f"{why.code} {why.message}"))

    @staticmethod
    def names_other_path(why: Refusal) -> bool:
        """Whether a 404 says that the model answers at the other endpoint."""
        return bool(OTHER_PATH.search(why.message))

    def _lower(self, path: str, body: Mapping[str, Any], why: Refusal) -> None:
        sent = int(body.get("top_logprobs", body.get("logprobs", 0)))
        named = [int(n) for n in re.findall(r"(?<![\w.-])\d{1,6}(?![\w.]*\w)", why.message)]
        lower = [n for n in named if 0 < n < sent] or ([FALLBACK] if sent > FALLBACK else [0])
        limit = max(lower) if BOUNDED.search(why.message) else 0
        if limit < self.limits.get(path, 2**31):
            self.limits[path] = limit
            self._note(f"{path} lists at most {limit} log-probs a token" if limit else f"{path} refuses log-probs")

    def _turns(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        turns = [{"role": m.role, "content": m.content} for m in messages]
        if not self.folded:
            return turns
        head = "\n\n".join(t["content"] for t in turns if t["role"] == "system")
        rest = [t for t in turns if t["role"] != "system"]
        if head and rest and rest[0]["role"] == "user":
            return [{"role": "user", "content": f"{head}\n\n{rest[0]['content']}"}, *rest[1:]]
        return [{"role": "user", "content": head}, *rest] if head else rest

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _parameter(why: Refusal) -> str:
    """The parameter that a refusal is about: by its own field, else by location, else the first that is mentioned."""
    if why.param == "n" or PARAMETER.fullmatch(why.param):
        return why.param
    located = LOCATION.search(why.message)
    if located:
        return located[1]
    if SYSTEM.search(f"{why.param} {why.message}"):
        return "system"
    mention = None if why.param else PARAMETER.search(why.message)
    return (mention[1] or mention[2]).lower() if mention else ""


MATCHES = 4  # scored tokens that must agree
TURN = (Message("user", "Write one sentence of a dozen unusual words."),)
TEXT = "Once upon a time, in a small town by the sea, there lived"


def _request(lane: str, *, temperature: float = 1.0, tokens: int = 16, seed: int = 11, top: int = MOST) -> Request:
    sampling = Sampling(temperature, 1.0, tokens, seed)
    if lane == CHAT:
        return Request("handshake", "chat", TURN, None, sampling, top_logprobs=top)
    return Request("handshake", "raw", (), TEXT, sampling, top_logprobs=top)


async def measure(ask: Ask, echo: Echo) -> tuple[Capabilities, int | None]:
    """Capabilities, and the ``max_tokens`` with which this server scores prompts (None: it can't be trusted to).

    Errors: `ProtocolError` if neither a conversation nor a raw text gets an answer.
    """
    lane, notes = CHAT, []
    first = await ask(_request(CHAT))
    raw = await ask(_request(COMPLETIONS))
    if first.finish == "error":
        if raw.finish == "error":
            raise ProtocolError(f"the endpoint answers no request: {first.error}")
        notes.append(f"no conversations: {first.error}")
        lane, first = COMPLETIONS, raw
    again, other = await ask(_request(lane)), await ask(_request(lane, seed=12))
    cool = await ask(_request(lane, temperature=0.5, tokens=1))
    scoring = None
    # One token first: a server may take none for no limit, and write until its context is full (llama.cpp's does).
    for max_tokens in (1, 0) if len(raw.tokens) >= MATCHES else ():
        target = Request("handshake", "echo", (), TEXT, Sampling(1.0, 1.0, 1), top_logprobs=1, target=raw.text or "")
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
