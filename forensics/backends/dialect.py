"""What a server turns out to accept: request bodies, less what it was seen to refuse."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError
from ..types import Message, ModelSpec, Request
from .openai_parse import Refusal
from .profiles import profile_of

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
    r"\b(top_logprobs|logprobs|max_completion_tokens|max_tokens|temperature|top_p|top_k|min_p|seed|presence_penalty"
    r"|frequency_penalty|repetition_penalty|repeat_penalty)\b|['`](n)['`]",
    re.I,
)
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "seed", "n", "presence_penalty", "frequency_penalty",
            "repetition_penalty", "repeat_penalty")  # fmt: skip
LOCATION = re.compile(r"loc['\"]: *[\[(] *['\"]body['\"], *['\"](\w+)['\"]")


def path_of(request: Request) -> str:
    """Conversations and raw texts have different endpoints."""
    return CHAT if request.prompt is None else COMPLETIONS


@dataclass
class Dialect:
    """Request bodies for one server, less what it was seen to refuse."""

    model: str
    max_field: str | None = None  # None: max_tokens until that is refused
    routing: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, float] = field(default_factory=dict)  # what switches this server's own defaults off
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
        profile = profile_of(spec)
        return cls(model, max_field, routing, profile.sampling, notes=[profile.note] if profile.note else [])

    def address(self, path: str) -> str:
        """Where a path lies below the base URL."""
        return path

    def body(self, request: Request, echo: int | None = None) -> dict[str, Any]:
        """What to send. ``echo``: max_tokens of a request that scores its target instead of generating."""
        s, path = request.sampling, path_of(request)
        sampling = {"temperature": s.temperature, "top_p": s.top_p, "n": 1, "seed": s.seed,
                    "presence_penalty": 0.0, "frequency_penalty": 0.0, **self.extras}  # fmt: skip
        k = min(MOST if request.top_logprobs < 0 else request.top_logprobs, self.limits.get(path, 2**31))
        out: dict[str, Any] = {"model": self.model}
        if path == CHAT:
            out["messages"] = self.turns(request.messages)
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
        elif name in SAMPLING and name in body:
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

    def turns(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        """The conversation, its system text at the head of the user's where the role is refused."""
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
