"""One record of a file of answers -> `Answer`: the parts that records have, and the formats made of them.

A parser of `FORMATS` knows one record and nothing of the file around it; what it can't read is `Bad`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .types import Finish, Message, Sampling, TokenLogprob, sha256

UNNUMBERED = -1
_WORDS: dict[Finish, str] = {
    "stop": "stop eos eos_token end_turn stop_sequence completed",
    "length": "length max_tokens model_length max_output_tokens incomplete",
    "filter": "filter content_filter refusal safety blocked recitation",
    "error": "error failed",
}
_FINISH = {word: finish for finish, words in _WORDS.items() for word in words.split()}


@dataclass(frozen=True, slots=True)
class Answer:
    """One recorded answer. ``line`` counts lines, or entries where the file is one JSON document or a zip."""

    prompt: str | None
    messages: tuple[Message, ...]
    text: str | None
    id: str | None
    sample: int = 0
    system: str | None = None
    sampling: Sampling | None = None
    tokens: tuple[TokenLogprob, ...] = ()
    finish: Finish = "unknown"
    line: int = 0
    account: str | None = None
    time: str | None = None

    @property
    def conversation(self) -> tuple[Message, ...]:
        """What was asked, system message first; empty where the file does not say."""
        asked = self.messages or (() if self.prompt is None else (Message("user", self.prompt),))
        return (Message("system", self.system), *asked) if asked and self.system else asked

    @property
    def key(self) -> str:
        """What the answer is paired by where there are no ids: a hash of the conversation, "" without one."""
        return key_of(self.conversation)


class Bad(Exception):  # noqa: N818 - `read_answers` lets none out
    """One record can't be read; ``line`` only where the parser knows better than the reader."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why)
        self.line = line


def key_of(conversation: tuple[Message, ...]) -> str:
    """SHA-256 over roles and contents; "" for no conversation."""
    turns = [[m.role, m.content] for m in conversation]
    return sha256(json.dumps(turns, ensure_ascii=False).encode()) if turns else ""


# -- the parts of a record


def json_object(value: Any, name: str) -> dict[str, Any]:
    """The value, if it is one."""
    if not isinstance(value, dict):
        raise Bad(f"{name} is not a JSON object")
    return value


def _text(value: Any, name: str) -> str | None:
    """Text, the text parts of a list of parts, or None. A model's reasoning is no part of its answer."""
    if isinstance(value, list):
        parts = [p for p in value if not (isinstance(p, dict) and p.get("type") in ("reasoning", "thinking"))]
        texts: list[Any] = [p.get("text") if isinstance(p, dict) else p for p in parts]
        if not all(isinstance(t, str) for t in texts):
            raise Bad(f"{name} has a part that is not text")
        return "".join(texts)
    if value is not None and not isinstance(value, str):
        raise Bad(f"{name} is not text")
    return value


def messages_of(value: Any) -> tuple[Message, ...]:
    """The turns of a conversation. Errors: `Bad`."""
    if not isinstance(value, list) or not value:
        raise Bad("messages are not a list of messages")
    turns = [
        (_text(json_object(m, "a message").get("role"), "a role"), _text(m.get("content"), "a message")) for m in value
    ]
    return tuple(Message(role or "user", content or "") for role, content in turns)


def _number(value: Any, name: str, low: float, kind: type[Any] = int) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, kind)) or not low <= value < 1 << 53:
        raise Bad(f"{name} is not {'a whole number' if kind is int else 'a number'} of at least {low:g}")
    return value


def _id(value: Any) -> str | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
        raise Bad("the id is neither text nor a whole number")
    return None if value is None else str(value)


ACCOUNT = ("account", "account_id", "user", "user_id", "customer")
TIME = ("time", "timestamp", "created", "created_at")


def _noted(names: tuple[str, ...], *rows: Any) -> str | None:
    """The first of these fields that one of the rows has: logs name accounts and times in many ways."""
    fields = [row.get(name) for row in rows if isinstance(row, dict) for name in names]
    found = next((v for v in fields if isinstance(v, (str, int, float)) and not isinstance(v, bool) and v != ""), None)
    return None if found is None else str(found)


def sampling_of(value: Any) -> Sampling | None:
    """Sampling parameters, defaults where one is missing; None for none. Errors: `Bad`."""
    if value is None:
        return None
    given = {k: v for k, v in json_object(value, "sampling").items() if v is not None}
    plain, seed = Sampling(), given.get("seed")
    return Sampling(
        float(_number(given.get("temperature", plain.temperature), "temperature", 0, float)),
        float(_number(given.get("top_p", plain.top_p), "top_p", 0, float)),
        _number(given.get("max_tokens", plain.max_tokens), "max_tokens", 1),
        None if seed is None else _number(seed, "seed", -(1 << 53) + 1),
    )


def _tokens(value: Any) -> tuple[TokenLogprob, ...]:
    """OpenAI's ``{"content": [{"token", "bytes", "logprob", "top_logprobs"}]}``, or that list alone."""
    rows = value.get("content") if isinstance(value, dict) else value
    if rows is None and (value is None or "content" in value):
        return ()
    if not isinstance(rows, list):
        raise Bad("logprobs are not in the shape of OpenAI's chat answers")
    out = []
    for row in rows:
        top = [_token(t) for t in json_object(row, "a token of logprobs").get("top_logprobs") or ()]
        top.sort(key=lambda pair: -pair[1])
        out.append(TokenLogprob(*_token(row), tuple(top), top[-1][1] if top else None))
    return tuple(out)


def _token(row: Any) -> tuple[bytes, float]:
    row = json_object(row, "a token of logprobs")
    text, given, logprob = row.get("token"), row.get("bytes"), row.get("logprob")
    if not isinstance(text, str) or isinstance(logprob, bool) or not isinstance(logprob, (int, float)):
        raise Bad("a token of logprobs lacks token or logprob")
    if not -1e9 < logprob < 1e-3:
        raise Bad(f"a log-probability of {logprob:g}")
    if given is not None and not (isinstance(given, list) and all(isinstance(b, int) and 0 <= b < 256 for b in given)):
        raise Bad("the bytes of a token are not a list of bytes")
    return text.encode() if given is None else bytes(given), float(logprob)


def _finish(value: Any) -> Finish:
    return _FINISH.get(value.lower(), "unknown") if isinstance(value, str) else "unknown"


def _choice(value: Any, ident: str | None, sample: int, line: int, asked: tuple[Message, ...] = ()) -> Answer:
    """One choice of a chat or text completion, of Inspect or of OpenAI. A refusal is a blocked answer, not its text."""
    choice = json_object(value, "a choice")
    message = json_object(choice.get("message") or {}, "a message")
    text = _text(message.get("content", choice.get("text")), "the answer")
    finish = _finish(choice.get("finish_reason") or choice.get("stop_reason"))
    if message.get("refusal"):
        text, finish = None, "filter"
    return Answer(None, asked, text, ident, sample, tokens=_tokens(choice.get("logprobs")), finish=finish, line=line)


# -- the formats


def _own(row: dict[str, Any], line: int) -> list[Answer]:
    sample = row.get("sample")
    return [
        Answer(
            prompt=_text(row.get("prompt"), "prompt"),
            messages=() if row.get("messages") is None else messages_of(row["messages"]),
            text=_text(row["response"], "response"),
            id=_id(row.get("id")),
            sample=UNNUMBERED if sample is None else _number(sample, "sample", 0),
            system=_text(row.get("system"), "system"),
            sampling=sampling_of(row.get("sampling")),
            tokens=_tokens(row.get("logprobs")),
            finish=_finish(row.get("finish_reason")),
            line=line,
            account=_noted(ACCOUNT, row, row.get("metadata")),
            time=_noted(TIME, row),
        )
    ]


def _alpaca(row: dict[str, Any], line: int) -> list[Answer]:
    asked = [_text(row["instruction"], "instruction"), _text(row.get("input"), "input")]
    prompt = "\n\n".join(part for part in asked if part)
    return [Answer(prompt, (), _text(row["output"], "output"), _id(row.get("id")), UNNUMBERED, line=line)]


def _lm_eval(row: dict[str, Any], line: int) -> list[Answer]:
    asked = row.get("arguments") or []
    if isinstance(asked, dict):
        asked = [list(a.values()) if isinstance(a, dict) else a for a in asked.values()]
    if not isinstance(asked, list) or (len(asked) > 1 and not isinstance(asked[0], str)):
        raise Bad("arguments of more than one request: a log-likelihood task has no answers to compare")
    parts = asked[0] if asked and isinstance(asked[0], list) else asked
    prompt, options = [*parts, None, None][:2]
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]  # a chat, kept as its JSON in a tuple of one
    groups = row["resps"] if isinstance(row["resps"], list) else []
    texts = [t for group in groups for t in (group if isinstance(group, list) else [group])]
    if not texts or not all(isinstance(t, str) for t in texts) or isinstance(options, str):
        raise Bad("resps hold no text: a log-likelihood task has no answers to compare")
    ident, prompt = _id(row.get("doc_id")), _text(prompt, "arg_0")
    sampling = _lm_sampling(options) if isinstance(options, dict) else None
    return [Answer(prompt, (), t, ident, n, sampling=sampling, line=line) for n, t in enumerate(texts)]


def _lm_sampling(options: dict[str, Any]) -> Sampling | None:
    given = {"max_tokens": options.get("max_gen_toks", options.get("max_tokens"))}
    given |= {"temperature": 0 if options.get("do_sample") is False else options.get("temperature")}
    return sampling_of({**given, "top_p": options.get("top_p")})


def _inspect(row: dict[str, Any], line: int) -> list[Answer]:
    asked, turns = row["input"], row.get("messages")
    if isinstance(turns, list) and len(turns) > 1:
        # What a solver made of the input, if it asked once: with turns of the model's own it is not the same for all.
        given = [t for t in turns[:-1] if isinstance(t, dict) and t.get("role") in ("system", "user")]
        asked = given if len(given) == len(turns) - 1 else asked
    messages = (Message("user", asked),) if isinstance(asked, str) else messages_of(asked)
    ident, epoch = _id(row.get("id")), _number(row["epoch"], "epoch", 1)
    output = json_object(row.get("output") or {}, "output")
    choices = output.get("choices") or []
    if row.get("error") or output.get("error"):
        return [Answer(None, messages, None, ident, epoch - 1, finish="error", line=line)]
    if not isinstance(choices, list) or not choices:
        text = _text(output.get("completion"), "completion") or None
        return [Answer(None, messages, text, ident, epoch - 1, line=line)]
    start = (epoch - 1) * len(choices)
    return [_choice(c, ident, start + n, line, messages) for n, c in enumerate(choices)]


def _batch(row: dict[str, Any], line: int) -> list[Answer]:
    ident = _id(row["custom_id"])
    response = json_object(row["response"] or {}, "response")
    body = json_object(response.get("body") or {}, "the body")
    if row.get("error") or body.get("error") or not body or response.get("status_code", 200) != 200:
        return [Answer(None, (), None, ident, 0, finish="error", line=line)]
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise Bad("the body of the response has no choices: only chat and text completions are answers")
    return [_choice(c, ident, n, line) for n, c in enumerate(choices)]


def _chat_log(row: dict[str, Any], line: int) -> list[Answer]:
    """One call as a proxy or a server logs it: ``request`` is the body that was sent, ``response`` what came back."""
    asked, response = json_object(row["request"], "request"), json_object(row["response"] or {}, "response")
    body = json_object(response.get("body") or response, "the body")
    messages = messages_of(asked["messages"]) if asked.get("messages") else ()
    prompt = None if messages else _text(asked.get("prompt"), "prompt")
    choices, ident = body.get("choices") or [], _id(row.get("id"))
    if not isinstance(choices, list):
        raise Bad("the choices of the response are not a list")
    found = [_choice(c, ident, n, line, messages) for n, c in enumerate(choices)]
    return [
        replace(
            a, prompt=prompt, sampling=asked_sampling(asked), time=_noted(TIME, row, body),
            account=_noted(ACCOUNT, row, row.get("metadata"), asked, asked.get("metadata")),
        )
        for a in found or [Answer(None, messages, None, ident, finish="error", line=line)]
    ]  # fmt: skip


def asked_sampling(body: dict[str, Any]) -> Sampling | None:
    """The sampling of a request's body; None where it sets no limit: what an answer was cut at is then unknown."""
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is None:
        return None
    return sampling_of({**{k: body.get(k) for k in ("temperature", "top_p", "seed")}, "max_tokens": limit})


def _transcript(row: dict[str, Any], line: int) -> list[Answer]:
    """A conversation whose last turn is the answer."""
    *asked, last = messages_of(row["messages"])
    if last.role != "assistant" or not asked:
        raise Bad("the last of the messages is not the assistant's")
    answer = Answer(None, tuple(asked), last.content, _id(row.get("id")), UNNUMBERED, line=line)
    return [
        replace(
            answer, sampling=sampling_of(row.get("sampling")), finish=_finish(row.get("finish_reason")),
            account=_noted(ACCOUNT, row, row.get("metadata")), time=_noted(TIME, row),
        )
    ]  # fmt: skip


_Parser = Callable[[dict[str, Any], int], list[Answer]]
FORMATS: dict[str, tuple[set[str], _Parser]] = {
    "openai-batch": ({"custom_id", "response"}, _batch),
    "lm-eval": ({"resps"}, _lm_eval),
    "inspect": ({"epoch", "input"}, _inspect),
    "alpaca-eval": ({"instruction", "output"}, _alpaca),
    "chat-log": ({"request", "response"}, _chat_log),
    "jsonl": ({"response"}, _own),
    "transcript": ({"messages"}, _transcript),
}
