"""Recorded shapes of real servers, replayed through httpx2.MockTransport; sockets only on the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import math
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.backends import open_backend
from forensics.backends.handshake import Opening, believable
from forensics.backends.live import LiveBackend, allowance
from forensics.backends.openai import ApiBackend, OpenAIBackend
from forensics.backends.openai_parse import parse, split_thoughts
from forensics.backends.token_lists import SENTINEL
from forensics.backends.waits import retry_after
from forensics.backends.wire import LARGEST, PATIENCE
from forensics.errors import AuthError, ProtocolError, RateError, UnavailableError, UsageError
from forensics.spec import parse_spec
from forensics.types import Capabilities, Completion, Message, ModelSpec, Reply, Request, Sampling, TokenLogprob, sha256

# A starved machine may take any time for any of these; what hangs is stopped by whoever runs the tests.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEY = "sk-proj-a-secret-that-is-long-enough"
ASK = (Message("system", "Be brief."), Message("user", "Hello"))
CHAT = Request("p", "i", ASK, None, Sampling(0.7, 0.9, 12, 5), top_logprobs=3)
RAW = Request("p", "i", (), "The sky", Sampling(1.0, 1.0, 12, 5), top_logprobs=3)
SCORE = Request("p", "i", (), "The sky", Sampling(), top_logprobs=2, target=" is blue")

Handler = Callable[[httpx2.Request], httpx2.Response]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "MINE_BASE_URL", "MINE_API_KEY", "MY_BOX_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the retries would have slept."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return taken


def message(content: Any = "Hi", finish: str | None = "stop", logprobs: Any = None, **more: Any) -> dict[str, Any]:
    turn = {"role": "assistant", "content": content, **more}
    return {"choices": [{"index": 0, "message": turn, "finish_reason": finish, "logprobs": logprobs}]}


def text(content: str, logprobs: Any = None, finish: str = "stop") -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": content, "finish_reason": finish, "logprobs": logprobs}]}


def entry(token: str, logprob: Any, top: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    listed = [{"token": t, "logprob": v, "bytes": None} for t, v in (top or {}).items()]
    return {"token": token, "logprob": logprob, "bytes": None, "top_logprobs": listed, **more}


def read(body: Any, request: Request = CHAT) -> Completion:
    return parse(json.dumps(body).encode(), request, "2026-01-01T00:00:00+00:00")


def read_tokens(*rows: dict[str, Any], content: Any = "", request: Request = CHAT) -> tuple[TokenLogprob, ...]:
    return read(message(content, logprobs={"content": list(rows)}), request).tokens


def refuse(text: str, status: int = 400, param: str | None = None, code: str | None = None) -> httpx2.Response:
    return httpx2.Response(status, json={"error": {"message": text, "param": param, "code": code, "type": "x"}})


def serving(handler: Handler, spec: str = "openai/gpt-x") -> LiveBackend:
    provider = ApiBackend if spec.startswith("api/") else OpenAIBackend
    return provider(parse_spec(spec), transport=httpx2.MockTransport(handler))


def scripted(*answers: httpx2.Response | Exception | dict[str, Any]) -> tuple[Handler, list[dict[str, Any]]]:
    """Answers one after the other, the last one for ever; and the bodies that were asked with."""
    asked: list[dict[str, Any]] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        answer = answers[min(len(asked), len(answers) - 1)]
        asked.append(json.loads(request.content))
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, dict):
            return httpx2.Response(200, json=answer)
        return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)

    return handler, asked


def run(backend: LiveBackend, *requests: Request) -> list[Reply]:
    async def go() -> list[Reply]:
        try:
            return list(await backend.complete(requests))
        finally:
            await backend.close()

    return asyncio.run(go())


def answer(*answers: httpx2.Response | Exception | dict[str, Any], request: Request = CHAT) -> Completion:
    handler, _ = scripted(*answers)
    return run(serving(handler), request)[0].completion


class TestText:
    def test_a_plain_answer_keeps_what_identifies_it(self) -> None:
        body = message("Hi") | {
            "model": "gpt-x-2026", "system_fingerprint": "fp_1", "usage": {"prompt_tokens": 9, "completion_tokens": 2},
        }  # fmt: skip
        done = read(body)
        assert (done.text, done.finish, done.reasoning, done.error) == ("Hi", "stop", None, None)
        assert (done.model_echo, done.fingerprint) == ("gpt-x-2026", "fp_1")
        assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (9, 2)
        assert done.raw_digest == sha256(json.dumps(body).encode())
        assert done.received_at == "2026-01-01T00:00:00+00:00"

    def test_a_router_says_who_answered(self) -> None:
        assert read(message() | {"provider": "Together"}).fingerprint == "Together"

    @pytest.mark.parametrize(
        ("body", "finish"),
        [
            (message(None, "content_filter"), "filter"),
            (message(None, "stop", refusal="I can't help with that."), "filter"),
            (message(None, "tool_calls", tool_calls=[{"id": "1"}]), "stop"),
            (message(None, "length"), "length"),
            (message("", "length"), "length"),
            (message(None, None), "unknown"),
        ],
    )
    def test_no_text_is_none_and_never_empty(self, body: dict[str, Any], finish: str) -> None:
        done = read(body)
        assert done.text is None
        assert done.finish == finish
        assert not done.usable

    def test_an_empty_answer_stays_empty(self) -> None:
        assert read(message("", "stop")).text == ""

    @pytest.mark.parametrize(
        ("reason", "finish"),
        [
            ("stop", "stop"),
            ("eos_token", "stop"),
            ("length", "length"),
            ("content_filter", "filter"),
            ("odd", "unknown"),
        ],
    )
    def test_finish_reasons(self, reason: str, finish: str) -> None:
        assert read(message("Hi", reason)).finish == finish

    @pytest.mark.parametrize(
        "more",
        [
            {"reasoning_content": "hm"},
            {"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
            {"reasoning_details": [{"text": "h"}, {"summary": "m"}]},
        ],
    )
    def test_reasoning_is_kept_apart(self, more: dict[str, Any]) -> None:
        done = read(message("42", **more))
        assert (done.text, done.reasoning) == ("42", "hm")

    @pytest.mark.parametrize(
        ("content", "said", "thought"),
        [
            ("<think>hm</think>\n\n42", "42", "hm"),
            ("\n<thinking>hm</thinking>42", "42", "hm"),
            ("hm</think>42", "42", "hm"),
            ("<think>hm", None, "hm"),
            ("tags like <think> and </think>", "tags like <think> and </think>", None),
            ("42", "42", None),
            (None, None, None),
        ],
    )
    def test_inline_thoughts(self, content: str | None, said: str | None, thought: str | None) -> None:
        assert split_thoughts(content) == (said, thought)
        assert (read(message(content)).text, read(message(content)).reasoning) == (said, thought)

    def test_a_raw_text_with_tags_is_left_alone(self) -> None:
        assert read(text("<think>a</think>b"), RAW).text == "<think>a</think>b"

    def test_typed_parts(self) -> None:
        parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "42"}]
        done = read(message(parts))
        assert (done.text, done.reasoning) == ("42", "hm")

    def test_lone_surrogates_can_be_written_again(self) -> None:
        done = parse(b'{"choices":[{"message":{"content":"a\\ud800b \\ud83d\\ude00"},"finish_reason":"stop"}]}', CHAT)
        assert done.text == "a\ufffdb \U0001f600"


class TestErrors:
    @pytest.mark.parametrize("raw", [b"", b"<html>", b"[]", b"{}", b"\xff\xfe\x00", b"[" * 100_000, b"9" * 5000])
    def test_what_is_no_answer(self, raw: bytes) -> None:
        with pytest.raises(ProtocolError):
            parse(raw, CHAT)

    @pytest.mark.parametrize(
        ("body", "finish", "said"),
        [
            ({"choices": []}, "error", "no choices"),
            ({"error": {"message": "too\nlong", "code": 400}}, "error", "too long"),
            ({"error": "overloaded"}, "error", "overloaded"),
            ({"object": "error", "message": "old vLLM"}, "error", "old vLLM"),
            ({"detail": [{"loc": ["body", "x"], "msg": "no"}]}, "error", "'msg': 'no'"),
            ({"choices": [{"error": {"message": "upstream"}}]}, "error", "upstream"),
            ({"error": {"message": "blocked", "code": "content_filter"}}, "filter", "blocked"),
            (message("part", "error"), "error", "broke off"),
        ],
    )
    def test_what_says_why_not(self, body: dict[str, Any], finish: str, said: str) -> None:
        done = read(body)
        assert done.finish == finish
        assert said in (done.error or "")
        assert "\n" not in (done.error or "")


class TestTokens:
    @pytest.mark.parametrize("logprobs", [None, {"content": None}, {}, [], {"content": [{"token": 1}]}, "no"])
    def test_none(self, logprobs: Any) -> None:
        assert read(message("Hi", logprobs=logprobs)).tokens == ()

    def test_openai_shape(self) -> None:
        row = {"token": "Hi", "logprob": -0.25, "bytes": [72, 105], "top_logprobs": [
            {"token": "Hi", "logprob": -0.25, "bytes": [72, 105]},
            {"token": "\ufffd", "logprob": -3.0, "bytes": [240, 159]},
            {"token": "Yo", "logprob": -2.0, "bytes": None},
        ]}  # fmt: skip
        assert read(message("Hi", logprobs={"content": [row]})).tokens == (
            TokenLogprob(b"Hi", -0.25, ((b"Hi", -0.25), (b"Yo", -2.0), (b"\xf0\x9f", -3.0)), -3.0),
        )

    @pytest.mark.parametrize(
        "wrap", [lambda c, p: message(c, logprobs=p), lambda c, p: text(c, p)], ids=["chat", "raw"]
    )
    def test_completion_shape_also_within_a_chat(self, wrap: Callable[[str, Any], Any]) -> None:
        shape = {
            "tokens": ["Hi", "!"],
            "token_logprobs": [-0.5, -1.0],
            "top_logprobs": [{"Hi": -0.5, "Yo": -2.0}, None],
        }
        assert read(wrap("Hi!", shape)).tokens == (
            TokenLogprob(b"Hi", -0.5, ((b"Hi", -0.5), (b"Yo", -2.0)), -2.0),
            TokenLogprob(b"!", -1.0),
        )

    @pytest.mark.parametrize("low", [SENTINEL, -math.inf, "-inf"], ids=["openai", "literal", "string"])
    def test_sentinels_are_no_logprobs(self, low: Any) -> None:
        (token,) = read_tokens(entry("C", low, {"A": -0.1, "B": -3.0, "C": low}))
        assert token == TokenLogprob(b"C", -3.0, ((b"A", -0.1), (b"B", -3.0)), -3.0)

    def test_a_sampled_token_outside_the_list(self) -> None:
        (token,) = read_tokens(entry("Z", -7.0, {"A": -0.1, "B": -3.0, "C": -4.0}))
        assert (token.logprob, token.floor, len(token.top)) == (-7.0, -4.0, 3)

    def test_k_plus_one_entries_do_not_lower_the_floor(self) -> None:
        (token,) = read_tokens(entry("Z", -7.0, {"Z": -7.0, "C": -4.0, "A": -0.1, "B": -3.0}))
        assert token == TokenLogprob(b"Z", -7.0, ((b"A", -0.1), (b"B", -3.0), (b"C", -4.0)), -4.0)

    def test_k_plus_one_of_a_lowered_k(self) -> None:
        (token,) = read_tokens(entry("Z", -7.0, {"A": -0.1, "Z": -7.0}))
        assert (token.floor, len(token.top)) == (-0.1, 2)

    def test_k_entries_with_the_sampled_one_last_are_whole(self) -> None:
        (token,) = read_tokens(entry("C", -4.0, {"A": -0.1, "B": -3.0, "C": -4.0}))
        assert (token.floor, len(token.top)) == (-4.0, 3)

    def test_duplicates_keep_the_larger(self) -> None:
        row = entry("A", -0.1)
        row["top_logprobs"] = [
            {"token": t, "logprob": v} for t, v in (("B", -4.0), ("A", -0.1), ("B", -3.0), ("B", -5.0))
        ]
        assert read_tokens(row)[0].top == ((b"A", -0.1), (b"B", -3.0))

    def test_same_letters_are_not_the_same_token(self) -> None:
        assert len(read_tokens(entry(" B", -0.1, {" B": -0.1, "\tB": -3.0}))[0].top) == 2

    @pytest.mark.parametrize("value", [None, True, "x", 0.7, 10**400], ids=str)
    def test_one_unreadable_position_spoils_the_list(self, value: Any) -> None:
        assert read_tokens(entry("A", -1.0), entry("B", value)) == ()

    def test_a_missing_value_is_taken_from_the_list(self) -> None:
        assert read_tokens(entry("A", None, {"A": -0.1, "B": -3.0}))[0].logprob == -0.1

    def test_rounding_above_zero(self) -> None:
        assert read_tokens(entry("A", 1e-6))[0].logprob == 0.0

    @pytest.mark.parametrize(
        ("strings", "content", "joined"),
        [
            (["The", "\u0120sky", "\u010a"], "The sky\n", b"The sky\n"),
            (["\u2581The", "\u2581sky", "<0x0A>"], "The sky\n", b" The sky\n"),
            (["caf\u00c3\u00a9", "\u0120x"], "caf\u00e9 x", "caf\u00e9 x".encode()),
            (["bytes:\\xf0\\x9f", "bytes:\\x98\\x80"], "\U0001f600", "\U0001f600".encode()),
            (["bytes: \\xe2\\x80", "bytes:\\x93"], " \u2013", " \u2013".encode()),
            (["\u0120", "\u2581"], "\u0120\u2581", "\u0120\u2581".encode()),
            (["\u0120a"], None, b" a"),
        ],
    )
    def test_strings_without_bytes(self, strings: list[str], content: str | None, joined: bytes) -> None:
        tokens = read_tokens(*(entry(s, -1.0) for s in strings), content=content)
        assert b"".join(t.token for t in tokens) == joined

    def test_alternatives_follow_the_alphabet_of_the_tokens(self) -> None:
        (token,) = read_tokens(entry("The", -1.0, {"The": -1.0, "\u0120A": -2.0}), content="The")
        assert token.top == ((b"The", -1.0), (b" A", -2.0))

    def test_tokens_of_the_reasoning_are_dropped(self) -> None:
        rows = [entry(t, -1.0) for t in ("<think>", "hm", "</think>", "\n\n", "4", "2", "<|end|>")]
        done = read(message("<think>hm</think>\n\n42", logprobs={"content": rows}))
        assert [t.token for t in done.tokens] == [b"4", b"2", b"<|end|>"]
        done = read(message("<think>hm", "length", logprobs={"content": rows[:2]}))
        assert (done.text, done.tokens) == (None, ())


def echoed(tokens: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    tops = [None, *({t: v} for t, v in zip(tokens[1:], values[1:], strict=True))]
    return text("".join(tokens), {"tokens": tokens, "token_logprobs": values, "top_logprobs": tops})


class TestScoring:
    def test_only_the_target(self) -> None:
        done = read(echoed(["The", " sky", " is", " blue", "."], [None, -1.0, -2.0, -3.0, -4.0]), SCORE)
        assert (done.text, done.finish) == (" is blue", "stop")
        assert [(t.token, t.logprob) for t in done.tokens] == [(b" is", -2.0), (b" blue", -3.0)]
        assert done.logprob == -5.0

    def test_a_start_token_may_precede(self) -> None:
        done = read(echoed(["<s>", "The", " sky", " is", " blue"], [None, -1.0, -2.0, -3.0, -4.0]), SCORE)
        assert done.logprob == -7.0

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (text(".", {"tokens": ["."], "token_logprobs": [-1.0], "top_logprobs": None}), "not echo"),
            (text("The sky is blue"), "not echo"),
            (echoed(["The", " sky is", " blue"], [None, -1.0, -2.0]), "straddles"),
            (echoed(["The", " sky", " is", " blue."], [None, -1.0, -2.0, -1.0]), "straddles"),
            (echoed(["The", " sky", " is", " blue"], [None, -1.0, None, -1.0]), "no logprob"),
            (echoed(["The", " sky", " is", " blue"], [None, -1.0, SENTINEL, -1.0]), "no logprob"),
        ],
    )
    def test_doubt_is_an_error(self, body: dict[str, Any], why: str) -> None:
        done = read(body, SCORE)
        assert (done.text, done.tokens, done.finish) == (None, (), "error")
        assert why in (done.error or "")


class TestFuzz:
    @UNTIMED
    @given(st.binary(max_size=200))
    def test_arbitrary_bytes(self, raw: bytes) -> None:
        for request in (CHAT, RAW, SCORE):
            with contextlib.suppress(ProtocolError):
                assert isinstance(parse(raw, request), Completion)

    @UNTIMED
    @given(st.data())
    def test_mutated_answers(self, data: st.DataObject) -> None:
        junk = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("\ud800"),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=5,
        )  # fmt: skip
        chat = message("<think>a</think>The sky", logprobs={"content": [entry("\u0120The", -1.0, {"A": -2.0})]})
        body: Any = data.draw(
            st.sampled_from([chat, echoed(["The", " sky", " is", " blue"], [None, -1.0, -2.0, -3.0])])
        )
        body = json.loads(json.dumps(body | {"model": "m", "usage": {"prompt_tokens": 1}, "error": None}))
        at: Any = ""
        node, parent = body, body
        while isinstance(node, dict | list) and node and (at == "" or data.draw(st.booleans())):
            at = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else list(range(len(node)))))
            parent, node = node, node[at]
        parent[at] = data.draw(junk)
        for request in (CHAT, RAW, SCORE):
            try:
                done = read(body, request)
            except ProtocolError:
                continue
            assert "\ud800" not in f"{done.text}{done.reasoning}{done.error}{done.model_echo}"
            for token in done.tokens:
                assert token.logprob <= 0
                assert all(value <= 0 for _, value in token.top)
                assert [v for _, v in token.top] == sorted((v for _, v in token.top), reverse=True)

    @UNTIMED
    @given(st.text(max_size=40))
    def test_any_retry_after(self, value: str) -> None:
        wait = retry_after({"retry-after": value, "retry-after-ms": value}, datetime.now(UTC))
        assert wait is None or 0 < wait < math.inf


class TestRequests:
    def test_everything_is_sent_explicitly(self) -> None:
        handler, asked = scripted(message())
        run(serving(handler, "openai/org/gpt-x"), CHAT)
        assert asked == [{
            "model": "org/gpt-x", "messages": [{"role": m.role, "content": m.content} for m in ASK],
            "temperature": 0.7, "top_p": 0.9, "n": 1, "seed": 5, "max_tokens": 12, "logprobs": True, "top_logprobs": 3,
            "presence_penalty": 0.0, "frequency_penalty": 0.0,
        }]  # fmt: skip

    def test_raw_text_goes_to_completions(self) -> None:
        seen: list[httpx2.Request] = []

        def handler(request: httpx2.Request) -> httpx2.Response:
            seen.append(request)
            return httpx2.Response(200, json=text("!"))

        run(serving(handler), RAW)
        assert str(seen[0].url) == "https://api.openai.com/v1/completions"
        assert seen[0].headers["authorization"] == f"Bearer {KEY}"
        body = json.loads(seen[0].content)
        assert (body["prompt"], body["logprobs"], "top_logprobs" in body) == ("The sky", 3, False)

    def test_nothing_about_logprobs_unless_wanted(self) -> None:
        handler, asked = scripted(message())
        run(serving(handler), Request("p", "i", ASK))
        assert not {"logprobs", "top_logprobs", "seed", "provider"} & set(asked[0])

    def test_routing_forbids_fallbacks(self) -> None:
        handler, asked = scripted(message())
        run(serving(handler, "api/mine/m?base_url=http://localhost:1/v1&order=a,b"), CHAT)
        assert asked[0]["provider"] == {"order": ["a", "b"], "allow_fallbacks": False, "require_parameters": True}

    def test_the_body_is_kept_as_it_came(self) -> None:
        raw = b' {"choices": [ {"message": {"content":"Hi"}, "finish_reason":"stop"} ] }\n'
        handler, _ = scripted(
            httpx2.Response(200, content=raw), httpx2.Response(400, content=b'{"error": {"message":"no"}}')
        )
        good, bad = run(serving(handler), CHAT, CHAT)
        assert (good.raw, good.completion.raw_digest) == (raw, sha256(raw))
        assert bad.raw == b'{"error": {"message":"no"}}'
        for reply in (good, bad):
            assert datetime.fromisoformat(reply.completion.received_at or "").utcoffset() == timedelta(0)
            assert parse(reply.raw, CHAT, reply.completion.received_at) == reply.completion


ADAPTED = [
    (refuse("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'.",
            param="max_tokens", code="unsupported_parameter"), {"max_tokens": None, "max_completion_tokens": 12}),
    (refuse("Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is "
            "supported.", param="temperature"), {"temperature": None}),
    (httpx2.Response(422, json={"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"],
                                            "msg": "Extra inputs are not permitted"}]}), {"seed": None}),
    (httpx2.Response(422, json={"error": "Input validation error: `top_p` must be > 0.0 and < 1.0"}), {"top_p": None}),
    (refuse("System role not supported"), {"messages": [{"role": "user", "content": "Be brief.\n\nHello"}]}),
    (refuse("Unsupported value: 'messages[0].role' does not support 'system' with this model.",
            param="messages[0].role"), {"messages": [{"role": "user", "content": "Be brief.\n\nHello"}]}),
    (refuse("Requested sample logprobs of 3, which is greater than max allowed: 2"), {"top_logprobs": 2}),
    (refuse("3 is greater than the maximum of 1 - 'logprobs'", param="logprobs"), {"top_logprobs": 1}),
    (refuse("You are not allowed to request logprobs from this model", 403), {"logprobs": None, "top_logprobs": None}),
    (refuse("litellm.UnsupportedParamsError: bedrock does not support parameters: ['seed'], for model=x. To drop "
            "these, set `litellm.drop_params=True`"), {"seed": None}),
    (refuse("Unsupported parameter: 'presence_penalty' is not supported with this model.", param="presence_penalty"),
     {"presence_penalty": None}),
    (refuse("Gaudi doesn't support logprobs. Please remove 'logprobs'/'top_logprobs'"), {"logprobs": None}),
]  # fmt: skip


class TestAdapting:
    @pytest.mark.parametrize(("refusal", "changed"), ADAPTED)
    def test_once_and_remembered(self, refusal: httpx2.Response, changed: dict[str, Any]) -> None:
        handler, asked = scripted(refusal, message())
        replies = run(serving(handler), CHAT, CHAT)
        assert [r.completion.text for r in replies] == ["Hi", "Hi"]
        assert len(asked) == 3
        assert asked[1] == asked[2]
        assert {key: asked[1].get(key) for key in changed} == changed
        untouched = set(asked[0]) - set(changed) - {"logprobs", "top_logprobs"}
        assert all(asked[1][key] == asked[0][key] for key in untouched)

    def test_too_many_logprobs_without_a_number(self) -> None:
        handler, asked = scripted(refuse("top_logprobs is too high"), message())
        run(serving(handler), Request("p", "i", ASK, top_logprobs=-1))
        assert [b["top_logprobs"] for b in asked] == [20, 5]

    def test_several_in_a_row(self) -> None:
        handler, asked = scripted(*(refusal for refusal, _ in ADAPTED[:3]), message())
        assert run(serving(handler), CHAT)[0].completion.text == "Hi"
        assert not {"max_tokens", "temperature", "seed"} & set(asked[-1])

    @pytest.mark.parametrize(
        "refusal",
        [
            refuse("max_tokens is too large: 12. This model supports at most 4 completion tokens", param="max_tokens"),
            refuse("This model's maximum context length is 8 tokens. However, you requested 12 in max_tokens."),
            refuse("Something else is invalid"),
            refuse("'n' is not supported", param="stream"),
        ],
    )
    def test_other_refusals_are_the_answer(self, refusal: httpx2.Response) -> None:
        handler, asked = scripted(refusal)
        done = run(serving(handler), CHAT)[0].completion
        assert (done.finish, done.text, len(asked)) == ("error", None, 1)
        assert done.error

    def test_a_field_that_was_chosen_stays(self) -> None:
        handler, asked = scripted(ADAPTED[0][0], message())
        spec = ModelSpec("openai", "m", (("max_tokens_field", "max_tokens"),))
        done = run(OpenAIBackend(spec, transport=httpx2.MockTransport(handler)), CHAT)[0].completion
        assert (done.finish, len(asked)) == ("error", 1)

    def test_a_server_that_refuses_for_ever_is_not_asked_for_ever(self) -> None:
        handler, asked = scripted(refuse("temperature is not supported", param="temperature"))
        assert run(serving(handler), CHAT)[0].completion.finish == "error"
        assert len(asked) == 2


def dated(when: str) -> str:
    """An HTTP date of the kind that is named."""
    minute = timedelta(seconds=60)
    return {
        "in 60 s, GMT": format_datetime(datetime.now(UTC) + minute, usegmt=True),
        "in 60 s, another zone": format_datetime(datetime.now(timezone(timedelta(hours=-2))) + minute),
        "in 60 s, no zone": format_datetime(datetime.now(UTC).replace(tzinfo=None) + minute),
        "60 s ago": format_datetime(datetime.now(UTC) - minute, usegmt=True),
    }[when]


class TestRetries:
    @pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
    def test_again_with_doubling_pauses(self, status: int, pauses: list[float]) -> None:
        failing = [httpx2.Response(status, json={"error": "busy"})] * 3
        assert answer(*failing, message()).text == "Hi"
        assert [0.5 * 2**i <= p <= 0.5 * 2**i + 0.5 for i, p in enumerate(pauses)] == [True] * 3

    def test_pauses_end_at_eight_seconds(self, pauses: list[float]) -> None:
        handler, _ = scripted(*[httpx2.Response(500)] * 8, message())
        run(serving(handler, "openai/m?retries=9"), CHAT)
        assert max(pauses) == 8.0

    @pytest.mark.parametrize(
        ("headers", "low", "high"),
        [
            ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5, 1.5),
            ({"retry-after": "2.5"}, 2.5, 2.5),
            ({"retry-after-ms": "soon", "retry-after": "7"}, 7, 7),
            ("in 60 s, GMT", 30, 60),
            ("in 60 s, another zone", 30, 60),
            ("in 60 s, no zone", 30, 60),
            ("60 s ago", 0.5, 1),
            ({"retry-after": "-3"}, 0.5, 1),
            ({"retry-after": "nan"}, 0.5, 1),
        ],
    )
    def test_the_server_says_when(
        self, headers: dict[str, str] | str, low: float, high: float, pauses: list[float]
    ) -> None:
        if isinstance(headers, str):  # a date is made now: tests are collected long before they run
            headers = {"retry-after": dated(headers)}
        assert answer(httpx2.Response(429, headers=headers), message()).text == "Hi"
        assert len(pauses) == 1
        assert low <= pauses[0] <= high

    def test_too_long_a_wait(self, pauses: list[float]) -> None:
        with pytest.raises(RateError, match="121 s"):
            answer(httpx2.Response(429, headers={"retry-after": "121"}))
        assert pauses == []

    @pytest.mark.parametrize(("status", "wish", "tries"), [(500, "false", 1), (418, "true", 2), (400, "true", 1)])
    def test_x_should_retry(self, status: int, wish: str, tries: int) -> None:
        handler, asked = scripted(
            httpx2.Response(status, headers={"x-should-retry": wish}, json={"error": "x"}), message()
        )
        run(serving(handler), CHAT)
        assert len(asked) == tries

    @pytest.mark.parametrize("status", [400, 413, 422])
    def test_never_again(self, status: int) -> None:
        handler, asked = scripted(httpx2.Response(status, content=b"nonsense"))
        done = run(serving(handler), CHAT)[0].completion
        assert (done.finish, len(asked)) == ("error", 1)
        assert done.error == f"HTTP {status}: the answer is not JSON (JSONDecodeError, 8 bytes)"

    def test_a_lost_connection(self, pauses: list[float]) -> None:
        assert answer(httpx2.ReadError("reset"), httpx2.RemoteProtocolError("eof"), message()).text == "Hi"
        assert len(pauses) == 2

    @pytest.mark.parametrize(
        ("failure", "error"),
        [
            (httpx2.Response(429, json={"error": "slow down"}), RateError),
            (httpx2.Response(503), UnavailableError),
            (httpx2.ConnectError("refused"), UnavailableError),
            (refuse("pay", 402), RateError),
        ],
    )
    def test_what_no_request_can_mend(self, failure: httpx2.Response | Exception, error: type[Exception]) -> None:
        with pytest.raises(error) as caught:
            answer(failure)
        assert "\n" not in str(caught.value)

    def test_used_up_quota_is_not_tried_again(self, pauses: list[float]) -> None:
        with pytest.raises(RateError, match="quota"):
            answer(refuse("You exceeded your current quota", 429, code="insufficient_quota"))
        assert pauses == []

    def test_one_bad_request_is_one_error(self) -> None:
        assert answer(refuse("boom", 500)).error == "boom"

    def test_a_bad_certificate_is_not_tried_again(self, pauses: list[float]) -> None:
        with pytest.raises(UnavailableError, match="certificate"):
            answer(httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"))
        assert pauses == []

    def test_one_unlucky_request_does_not_end_a_run(self) -> None:
        handler, _ = scripted(message(), *[httpx2.Response(503, json={"error": "busy"})] * 2, message())
        done = [r.completion for r in run(serving(handler, "openai/m?retries=1"), CHAT, CHAT, CHAT)]
        assert [(d.text, d.error) for d in done] == [("Hi", None), (None, "busy"), ("Hi", None)]

    def test_too_many_requests_use_up_no_retry_as_long_as_others_are_answered(self) -> None:
        busy = httpx2.Response(429, json={"error": "slow down"})
        handler, asked = scripted(message(), *[busy] * 10, message())
        assert [r.completion.text for r in run(serving(handler, "openai/m?retries=1"), CHAT, CHAT)] == ["Hi", "Hi"]
        handler, asked = scripted(message(), busy)
        last = run(serving(handler, "openai/m?retries=1"), CHAT, CHAT)[1].completion
        assert (last.error, len(asked)) == ("slow down", 1 + PATIENCE + 2)

    def test_silence_is_forgiven_twice(self) -> None:
        handler, asked = scripted(httpx2.ReadTimeout("slow"))
        backend = serving(handler, "openai/m?retries=1")
        assert [r.completion.error for r in run(backend, CHAT, CHAT)] == ["no answer: ReadTimeout slow"] * 2
        with pytest.raises(UnavailableError, match="3 requests"):
            run(backend, CHAT)
        assert len(asked) == 6


class TestRefusedAccess:
    @pytest.mark.parametrize("status", [401, 403])
    def test_the_key(self, status: int) -> None:
        with pytest.raises(AuthError, match="refused the key") as caught:
            answer(refuse(f"Incorrect API key provided: {KEY}", status))
        assert KEY not in str(caught.value)

    def test_a_forbidden_key_is_not_haggled_with(self) -> None:
        handler, asked = scripted(refuse("seed is not allowed for this project", 403, param="seed"))
        with pytest.raises(AuthError):
            run(serving(handler), CHAT)
        assert len(asked) == 1

    def test_moderation_is_not_about_the_key(self) -> None:
        assert answer(refuse("requires moderation; your input was flagged", 403)).finish == "filter"

    def test_an_unknown_model(self) -> None:
        with pytest.raises(UnavailableError, match="does not exist"):
            answer(refuse("The model `gpt-x` does not exist", 404, code="model_not_found"))

    def test_no_raw_completions(self) -> None:
        handler, asked = scripted(httpx2.Response(405, json={"detail": "Method Not Allowed"}))
        first, second = run(serving(handler), RAW, RAW)
        assert first.completion.error == second.completion.error == "HTTP 405 at /completions: Method Not Allowed"
        assert len(asked) == 1

    def test_a_base_model_without_chat(self) -> None:
        handler, _ = scripted(refuse("This is not a chat model", 404), text("!"))
        chat, raw = run(serving(handler), CHAT, RAW)
        assert (chat.completion.finish, raw.completion.text) == ("error", "!")

    def test_an_odd_404_after_answers(self) -> None:
        handler, _ = scripted(message(), refuse("No endpoints found", 404), message())
        assert [r.completion.finish for r in run(serving(handler), CHAT, CHAT, CHAT)] == ["stop", "error", "stop"]

    def test_scoring_is_not_offered_unasked(self) -> None:
        handler, asked = scripted(message())
        chat = Request("p", "i", ASK, target="x")
        assert {r.completion.error for r in run(serving(handler), SCORE, chat)} == {"prompt scoring is not offered"}
        assert asked == []


class TestWire:
    def test_a_redirect_is_refused(self) -> None:
        handler, asked = scripted(httpx2.Response(307, headers={"location": "https://elsewhere.example/v1"}), message())
        with pytest.raises(ProtocolError, match="redirects"):
            run(serving(handler), CHAT)
        assert len(asked) == 1

    def test_an_endless_body_is_cut(self) -> None:
        sent = itertools.count()

        async def flood() -> Any:
            for _ in range(64):
                next(sent)
                yield bytes(2**16)

        backend = serving(lambda _: httpx2.Response(200, content=flood()), "openai/m?retries=0")
        reply = run(backend, CHAT)[0]
        assert reply.completion.error == "no answer: the answer is larger than 277 KiB"
        assert reply.raw == b""
        assert next(sent) * 2**16 <= allowance(CHAT) + 2**17

    def test_a_larger_answer_where_more_was_asked_for(self) -> None:
        long = Request("p", "i", ASK, None, Sampling(max_tokens=4096), top_logprobs=20)
        assert 2**18 < allowance(CHAT) < allowance(long) <= LARGEST
        assert answer(message("x" * 2**20), request=long).text == "x" * 2**20

    def test_rubbish_compression(self) -> None:
        backend = serving(lambda _: httpx2.Response(200, headers={"content-encoding": "gzip"}, content=slow(b"no")))
        assert "decompressed" in (run(backend, CHAT)[0].completion.error or "")

    def test_nobody_listens(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        backend = open_backend(parse_spec(f"api/mine/m?base_url=http://127.0.0.1:{port}/v1&retries=1"))
        with pytest.raises(UnavailableError, match=f"nothing answers at http://127.0.0.1:{port}"):
            asyncio.run(backend.complete([CHAT]))

    @pytest.mark.filterwarnings("ignore")  # the first loop's connection dies with it
    def test_a_real_socket_and_two_event_loops(self, local: str) -> None:
        backend = ApiBackend(parse_spec(f"api/mine/m?base_url={local}&retries=0"))
        assert asyncio.run(backend.complete([CHAT]))[0].completion.text == "Hi"
        assert run(backend, CHAT)[0].completion.text == "Hi"
        gc.collect()

    def test_real_redirects_carry_no_key_elsewhere(self, local: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MINE_API_KEY", KEY)
        with pytest.raises(ProtocolError, match="redirects"):
            run(ApiBackend(parse_spec(f"api/mine/m?base_url={local}/moved")), CHAT)


async def slow(data: bytes) -> Any:
    yield data


@pytest.fixture
def local() -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            moved = "/moved/" in self.path
            body = b"" if moved else json.dumps(message()).encode()
            self.send_response(302 if moved else 200)
            self.send_header("Location", "/chat/completions")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class TestSpecs:
    @pytest.mark.parametrize(
        ("spec", "said"),
        [
            ("openai/m?base_ulr=x", "did you mean 'base_url'"),
            ("openai/m?order=a", "unknown option"),
            ("openai/m?timeout=soon", "no number"),
            ("openai/m?concurrency=0", "from 1 to 256"),
            ("openai/m?retries=nan", "from 0 to 20"),
            ("openai/m?base_url=ftp://host", "http"),
            ("openai/m?base_url=https://me:hunter2@host/v1", "no user, password"),
            ("api/mine/m", "MINE_BASE_URL"),
            ("api/mine", "api/<profile>/<model>"),
            ("api/mi ne/m", "api/<profile>/<model>"),
        ],
    )
    def test_mistakes(self, spec: str, said: str) -> None:
        with pytest.raises(UsageError) as caught:
            open_backend(parse_spec(spec))
        assert said in str(caught.value)
        assert "hunter2" not in str(caught.value)

    def test_no_such_field(self) -> None:
        with pytest.raises(UsageError, match="max_completion_tokens"):
            OpenAIBackend(ModelSpec("openai", "m", (("max_tokens_field", "tokens"),)))

    @pytest.mark.parametrize(
        ("spec", "variable"),
        [("openai/m", "OPENAI_API_KEY"), ("api/my-box/m?base_url=https://host.example/v1", "MY_BOX_API_KEY")],
    )
    def test_a_missing_key_names_its_variable(self, spec: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_API_KEY")
        with pytest.raises(AuthError, match=variable) as caught:
            open_backend(parse_spec(spec))
        assert "\n" not in str(caught.value)

    def test_a_key_that_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk\u2026pasted")
        with pytest.raises(AuthError, match="OPENAI_API_KEY") as caught:
            open_backend(parse_spec("openai/m"))
        assert "pasted" not in str(caught.value)

    @pytest.mark.parametrize("host", ["localhost:8000", "127.3.2.1", "[::1]:8000"])
    def test_the_own_machine_needs_no_key(self, host: str) -> None:
        backend = open_backend(parse_spec(f"api/mine/org/m?base_url=http://{host}/v1/&concurrency=3"))
        assert (backend.batch, backend.concurrency) == (1, 3)

    def test_the_environment_names_the_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", "https://proxy.example/v9/")
        monkeypatch.setenv("MINE_BASE_URL", "https://mine.example/v1")
        monkeypatch.setenv("MINE_API_KEY", "mine")
        seen: list[httpx2.Request] = []

        def handler(request: httpx2.Request) -> httpx2.Response:
            seen.append(request)
            return httpx2.Response(200, json=message())

        run(serving(handler), CHAT)
        run(serving(handler, "api/mine/org/m"), CHAT)
        assert [str(r.url) for r in seen] == [
            "https://proxy.example/v9/chat/completions", "https://mine.example/v1/chat/completions",
        ]  # fmt: skip
        assert seen[1].headers["authorization"] == "Bearer mine"
        assert json.loads(seen[1].content)["model"] == "org/m"


WORDS = [f" w{i}" for i in range(30)]


class Server:
    """A small next-word model behind the dialect, honest unless told otherwise."""

    def __init__(self, **quirks: Any) -> None:
        self.quirks, self.asked, self.draws = quirks, 0, 0

    def row(self, context: str, temperature: float = 1.0) -> dict[str, float]:
        scores = [int(sha256(f"{context}|{w}".encode())[:4], 16) / 2**13 / temperature for w in WORDS]
        total = math.log(sum(map(math.exp, scores)))
        return {w: s - total for w, s in zip(WORDS, scores, strict=True)}

    def listed(self, context: str, word: str, body: dict[str, Any], k: int) -> tuple[float, dict[str, float]]:
        row = self.row(context, body["temperature"] if self.quirks.get("processed") else 1.0)
        if self.quirks.get("inflated"):
            row = dict.fromkeys(row, -0.1)
        top = dict(sorted(row.items(), key=lambda p: -p[1])[: min(k, self.quirks.get("most", 20))])
        return row[word], top | {word: row[word]}

    def generate(self, body: dict[str, Any], context: str) -> list[str]:
        self.draws += 1
        seed = {"yes": body.get("seed"), "no": self.draws, "stuck": 0, "lucky": self.draws == 4}[
            self.quirks.get("seeded", "yes")
        ]
        words: list[str] = []
        for i in range(body.get("max_tokens", 8)):
            row = self.row(context + "".join(words))
            noise = {w: int(sha256(f"{seed}{i}{w}".encode())[:4], 16) / 2**16 for w in WORDS}
            words.append(max(WORDS, key=lambda w: row[w] - math.log(-math.log(noise[w] * 0.999 + 5e-4))))
        return words

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        words = self.generate(body, "chat:")
        rows = []
        for i, word in enumerate(words):
            value, top = self.listed("chat:" + "".join(words[:i]), word, body, body.get("top_logprobs", 0))
            rows.append(entry(word, value, top))
        return message("".join(words), "length", None if self.quirks.get("silent") else {"content": rows})

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt = body["prompt"]
        if not body.get("echo"):
            words = self.generate(body, prompt)
            pairs = [self.listed(prompt + "".join(words[:i]), w, body, body["logprobs"]) for i, w in enumerate(words)]
            return text("".join(words), self.shape(words, pairs), "length")
        start = prompt.index(" w")
        words = [" " + w for w in prompt[start + 1 :].split(" ")]
        head, added = prompt[:start], self.generate(body, prompt)
        contexts = [head + "".join(words[:i]) for i in range(len(words))]
        pairs = [self.listed(c, w, body, 1) for c, w in zip(contexts, words, strict=True)]
        if self.quirks.get("echo") == "shifted":
            pairs = pairs[1:] + pairs[:1]
        if self.quirks.get("echo") == "generated-only":
            return text(prompt, self.shape(added, [self.listed(prompt, w, body, 1) for w in added]))
        tail = [self.listed(prompt, w, body, 1) for w in added]
        return text(prompt, self.shape([head, *words, *added], [(None, None), *pairs, *tail]))

    @staticmethod
    def shape(words: list[str], pairs: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
        return {"tokens": words, "token_logprobs": [p[0] for p in pairs], "top_logprobs": [p[1] for p in pairs]}

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        body = json.loads(request.content)
        raw = request.url.path.endswith("/v1/completions")
        if raw and self.quirks.get("no_raw"):
            return httpx2.Response(404, json={"detail": "Not Found"})
        if raw and body.get("echo") and self.quirks.get("echo") == "refused":
            return refuse("Only no echo is supported")
        if raw and body.get("echo") and self.quirks.get("least", 0) > body["max_tokens"]:
            return refuse("max_tokens must be at least 1, got 0.")
        if raw and body.get("echo") and body["max_tokens"] > self.quirks.get("echo_limit", 1):
            return refuse("max_tokens must be 0 with echo")
        if not raw and self.quirks.get("no_chat"):
            return refuse("no chat template is defined", 400)
        if "seed" in body and self.quirks.get("no_seed"):
            return refuse("seed is not supported", param="seed")
        if "temperature" in body and self.quirks.get("no_temperature"):
            return refuse("temperature is not supported", param="temperature")
        answer = self.completion(body) if raw else self.chat(body)
        return httpx2.Response(200, json=answer | {"model": self.quirks.get("model", "gpt-x-0613"), "usage": {}})


def shake(spec: str = "openai/gpt-x", **quirks: Any) -> tuple[Capabilities, bytes, Server, LiveBackend]:
    server = Server(**quirks)
    backend = serving(server, spec)
    caps, evidence = asyncio.run(backend.handshake())
    return caps, evidence, server, backend


class TestHandshake:
    def test_an_honest_server(self) -> None:
        caps, evidence, server, backend = shake()
        assert (caps.top_k, caps.prompt_scoring, caps.seed, caps.logprob_kind) == (20, True, True, "raw")
        assert (caps.model_echo, caps.text, caps.recorded) == ("gpt-x-0613", True, False)
        assert server.asked == 6
        tape = json.loads(evidence)
        assert [set(t) for t in tape] == [{"path", "request", "response", "status"}] * 6
        assert "https://api.openai.com/v1" in " ".join(caps.notes)
        target = Request("p", "i", (), "Once more", Sampling(), target=" w1 w2", top_logprobs=1)
        done = run(backend, target)[0].completion
        expected = [server.row("Once more")[" w1"], server.row("Once more w1")[" w2"]]
        assert [t.logprob for t in done.tokens] == pytest.approx(expected)

    def test_what_it_asks_is_drawn_by_a_salt(self) -> None:
        drawn = [Opening.of(salt.to_bytes(32)) for salt in range(200)]
        assert Opening.of((7).to_bytes(32)) == drawn[7]
        assert len({o.turn for o in drawn}) > 100
        assert len({o.text for o in drawn}) > 100
        assert len({o.seed for o in drawn}) == 200
        assert max(o.seed for o in drawn) < 2**30

    def test_sampling_does_not_colour_a_score(self) -> None:
        _, _, server, backend = shake(processed=True)
        target = Request("p", "i", (), "Once more", Sampling(0.3, 0.5), target=" w1", top_logprobs=1)
        assert run(backend, target)[0].completion.logprob == pytest.approx(server.row("Once more")[" w1"])

    def test_a_server_that_must_generate_while_it_scores(self) -> None:
        caps, _, server, _ = shake(least=1)
        assert (caps.prompt_scoring, server.asked) == (True, 6)

    def test_a_server_that_only_scores_while_it_generates_nothing(self) -> None:
        caps, _, server, backend = shake(echo_limit=0)
        assert (caps.prompt_scoring, server.asked) == (True, 7)
        target = Request("p", "i", (), "Once more", Sampling(), target=" w1 w2", top_logprobs=1)
        assert run(backend, target)[0].completion.error is None

    @pytest.mark.parametrize("echo", ["shifted", "generated-only", "refused"])
    def test_a_dishonest_echo_is_not_believed(self, echo: str) -> None:
        caps, _, server, backend = shake(echo=echo)
        assert not caps.prompt_scoring
        assert server.asked == (6 if echo == "shifted" else 7)  # an echo with other numbers is not asked for again
        assert any("scoring" in note for note in caps.notes)
        assert run(backend, SCORE)[0].completion.error == "prompt scoring is not offered"

    def test_no_raw_completions(self) -> None:
        caps, _, _, _ = shake(no_raw=True)
        assert (caps.prompt_scoring, caps.top_k) == (False, 20)
        assert any("/completions is not offered: HTTP 404" in note for note in caps.notes)

    def test_a_base_model(self) -> None:
        caps, _, _, _ = shake(no_chat=True)
        assert (caps.prompt_scoring, caps.top_k, caps.seed) == (True, 20, True)
        assert any("no conversations: no chat template" in note for note in caps.notes)

    def test_dropped_without_a_word(self) -> None:
        caps, _, _, _ = shake(silent=True)
        assert (caps.top_k, caps.logprob_kind) == (0, "unknown")
        assert any("left out without a word" in note for note in caps.notes)

    def test_fewer_than_asked(self) -> None:
        assert shake(most=5)[0].top_k == 5

    def test_processed_logprobs(self) -> None:
        assert shake(processed=True)[0].logprob_kind == "processed"

    @pytest.mark.parametrize("seeded", ["no", "stuck"])
    def test_a_seed_that_is_ignored(self, seeded: str) -> None:
        caps = shake(seeded=seeded)[0]
        assert not caps.seed
        assert any("may not sample" in note for note in caps.notes) == (seeded == "stuck")

    def test_no_probabilities(self) -> None:
        caps = shake(inflated=True)[0]
        assert caps.top_k == 0
        assert any("sum to more than 1" in note for note in caps.notes)

    def test_what_a_server_refuses_is_not_taken_as_measured(self) -> None:
        caps = shake(no_temperature=True)[0]
        assert caps.logprob_kind == "unknown"
        assert "the server refuses temperature: it is left out" in caps.notes
        assert shake(seeded="lucky")[0].seed
        assert not shake(seeded="lucky", no_seed=True)[0].seed

    def test_another_model_answers(self) -> None:
        assert any("answered as other" in note for note in shake(model="other")[0].notes)

    def test_nothing_answers_a_request(self) -> None:
        with pytest.raises(ProtocolError, match="answers no request"):
            shake(no_chat=True, no_raw=True)

    def test_a_predictable_text_tells_nothing(self) -> None:
        flat = [TokenLogprob(bytes([65 + i]), -0.01) for i in range(8)]
        steep = [TokenLogprob(bytes([65 + i]), -float(i % 3)) for i in range(8)]
        assert not believable(flat, flat)
        assert believable(steep, steep)
        assert not believable(steep[:3], steep[:3])
        assert not believable(steep, steep[1:])
        recut = [*steep[:5], TokenLogprob(b"other", -9.0)]
        assert believable(steep, recut)


class TestSecrets:
    def test_the_key_is_nowhere(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(0)
        caps, evidence, _, backend = shake()
        failing = serving(lambda _: httpx2.Response(500, json={"error": "boom"}))
        run(failing, CHAT)
        shown = f"{backend!r}{vars(backend)}{vars(backend._wire)}{backend.spec}{caps}{caplog.text}"
        shown += "".join(str(vars(record)) for record in caplog.records)
        assert KEY not in shown
        assert KEY.encode() not in evidence

    @pytest.mark.parametrize("status", [200, 400, 500])
    def test_a_server_that_repeats_the_key(self, status: int, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(0)
        handler, _ = scripted(httpx2.Response(status, json={"error": {"message": f"Bearer {KEY}"}}))
        backend = serving(handler)
        reply = run(backend, CHAT)[0]
        assert "nothing of it is kept" in (reply.completion.error or "")
        assert KEY.encode() not in reply.raw
        assert KEY not in caplog.text + str([vars(r) for r in caplog.records])

    def test_a_short_key_is_blanked_in_messages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "short-key")
        assert answer(refuse("you sent short-key", 400)).error == "you sent [key]"
