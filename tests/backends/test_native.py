"""Recorded shapes of Anthropic's and Google's own dialects, and of the servers behind profiles."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.backends.anthropic import AnthropicBackend
from forensics.backends.gemini import GeminiBackend
from forensics.backends.live import LiveBackend
from forensics.backends.openai import ApiBackend
from forensics.errors import AuthError, ProtocolError, UsageError
from forensics.spec import parse_spec
from forensics.types import Completion, Message, Reply, Request, Sampling

KEY = "a-secret-that-is-long-enough-to-be-one"
ASK = (Message("system", "Be brief."), Message("user", "Hello"), Message("assistant", "Hi."), Message("user", "More"))
CHAT = Request("p", "i", ASK, None, Sampling(0.7, 0.9, 12, 5), top_logprobs=3)
RAW = Request("p", "i", (), "The sky", Sampling(1.0, 1.0, 12, 5))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC", "GEMINI", "OPENROUTER", "VLLM", "LITELLM", "MINE"):
        monkeypatch.setenv(f"{name}_API_KEY", KEY)
        monkeypatch.delenv(f"{name}_BASE_URL", raising=False)

    async def sleep(_: float) -> None:
        return None

    monkeypatch.setattr(asyncio, "sleep", sleep)


class Script:
    """Answers one after the other, the last one for ever; and what was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.seen = answers, list[httpx2.Request]()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        answer = self.answers[min(len(self.seen), len(self.answers) - 1)]
        self.seen.append(request)
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        number = {key: f"{body[key]}{len(self.seen)}" for key in ("id", "responseId") if key in body}
        return httpx2.Response(status, json=body | number)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(r.content) for r in self.seen]


def made(spec: str, script: Script) -> LiveBackend:
    cls = {"anthropic": AnthropicBackend, "gemini": GeminiBackend, "api": ApiBackend}[spec.partition("/")[0]]
    return cls(parse_spec(spec), transport=httpx2.MockTransport(script))


def run(spec: str, script: Script, *requests: Request) -> list[Reply]:
    async def go() -> list[Reply]:
        backend = made(spec, script)
        try:
            return list(await backend.complete(requests))
        finally:
            await backend.close()

    return asyncio.run(go())


CLAUDE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-20260101",
    "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 9, "cache_read_input_tokens": 3, "output_tokens": 2},
}  # fmt: skip


class TestAnthropic:
    def test_what_is_sent(self) -> None:
        script = Script(CLAUDE)
        done = run("anthropic/claude-x", script, CHAT)[0].completion
        assert script.bodies == [{
            "model": "claude-x", "max_tokens": 12, "system": "Be brief.", "temperature": 0.7, "top_p": 0.9,
            "messages": [{"role": m.role, "content": m.content} for m in ASK[1:]],
        }]  # fmt: skip
        sent = script.seen[0]
        assert str(sent.url) == "https://api.anthropic.com/v1/messages"
        assert (sent.headers["x-api-key"], sent.headers["anthropic-version"]) == (KEY, "2023-06-01")
        assert "authorization" not in sent.headers
        assert (done.text, done.finish, done.model_echo) == ("Hi", "stop", "claude-x-20260101")
        assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (12, 2)

    def test_top_p_of_one_is_left_out(self) -> None:
        script = Script(CLAUDE)
        run("anthropic/claude-x", script, Request("p", "i", ASK[1:2]))
        assert not {"top_p", "system", "seed", "logprobs"} & set(script.bodies[0])

    @pytest.mark.parametrize(
        ("change", "text", "finish", "reasoning"),
        [
            ({"content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "42"}]},
             "42", "stop", "hm"),
            ({"content": [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "42"}]},
             "42", "stop", None),
            ({"content": [], "stop_reason": "refusal"}, None, "filter", None),
            ({"content": [], "stop_reason": "max_tokens"}, None, "length", None),
            ({"content": [{"type": "text", "text": ""}], "stop_reason": "max_tokens"}, None, "length", None),
            ({"content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}], "stop_reason": "tool_use"},
             None, "stop", None),
            ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab", "stop", None),
            ({"stop_reason": "new_reason"}, "Hi", "unknown", None),
        ],
    )  # fmt: skip
    def test_answers(self, change: dict[str, Any], text: str | None, finish: str, reasoning: str | None) -> None:
        done = run("anthropic/claude-x", Script(CLAUDE | change), CHAT)[0].completion
        assert (done.text, done.finish, done.reasoning) == (text, finish, reasoning)

    def test_an_overload_is_tried_again(self) -> None:
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        script = Script((529, error), CLAUDE)
        assert run("anthropic/claude-x", script, CHAT)[0].completion.text == "Hi"
        assert len(script.seen) == 2

    def test_two_knobs_at_once_are_refused_and_remembered(self) -> None:
        said = (
            "`temperature` and `top_p` cannot both be specified for this model: top_p is not supported. Please use one."
        )
        error = (400, {"type": "error", "error": {"type": "invalid_request_error", "message": said}})
        script = Script(error, CLAUDE)
        assert run("anthropic/claude-x", script, CHAT)[0].completion.text == "Hi"
        assert {"temperature", "top_p"} - set(script.bodies[1]) != set()

    def test_a_wrong_key(self) -> None:
        error = {"type": "error", "error": {"type": "authentication_error", "message": f"invalid x-api-key {KEY}"}}
        with pytest.raises(AuthError, match="refused the key") as caught:
            run("anthropic/claude-x", Script((401, error)), CHAT)
        assert KEY not in str(caught.value)

    def test_raw_texts_and_scoring_are_not_there(self) -> None:
        script = Script(CLAUDE)
        errors = [
            r.completion.error for r in run("anthropic/claude-x", script, RAW, Request("p", "i", ASK, target="x"))
        ]
        assert errors == ["Anthropic continues no raw text", "prompt scoring is not offered"]
        assert script.seen == []

    def test_the_handshake_measures_what_there_is(self) -> None:
        script = Script(CLAUDE)
        caps, evidence = asyncio.run(made("anthropic/claude-x", script).handshake())
        assert (caps.top_k, caps.prompt_scoring, caps.seed, caps.text) == (0, False, False, True)
        assert caps.model_echo == "claude-x-20260101"
        assert KEY.encode() not in evidence


def gemini(text: str = "Hi", finish: str = "STOP", **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": finish, "index": 0}
    return {
        "candidates": [candidate | more], "modelVersion": "gemini-x-001", "responseId": "r",
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 5},
    }  # fmt: skip


def listed(*rows: tuple[str, float]) -> dict[str, Any]:
    return {"candidates": [{"token": t, "tokenId": i, "logProbability": v} for i, (t, v) in enumerate(rows)]}


class TestGemini:
    def test_what_is_sent(self) -> None:
        script = Script(gemini())
        done = run("gemini/gemini-x", script, CHAT)[0].completion
        assert script.bodies == [{
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [{"role": "user", "parts": [{"text": "Hello"}]}, {"role": "model", "parts": [{"text": "Hi."}]},
                         {"role": "user", "parts": [{"text": "More"}]}],
            "generationConfig": {"candidateCount": 1, "maxOutputTokens": 12, "temperature": 0.7, "topP": 0.9, "seed": 5,
                                 "responseLogprobs": True, "logprobs": 3},
        }]  # fmt: skip
        sent = script.seen[0]
        assert str(sent.url) == "https://generativelanguage.googleapis.com/v1beta/models/gemini-x:generateContent"
        assert sent.headers["x-goog-api-key"] == KEY
        assert KEY not in str(sent.url)
        assert (done.text, done.model_echo) == ("Hi", "gemini-x-001")
        assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (9, 7)

    def test_log_probs_with_the_chosen_token_outside_the_list(self) -> None:
        tops = [listed(("A", -0.1), ("B", -3.0), ("C", -4.0)), listed((" you", -0.5), (" me", -1.0))]
        result = {"chosenCandidates": listed(("Hi", -5.0), (" you", -0.5))["candidates"], "topCandidates": tops}
        first, second = run("gemini/gemini-x", Script(gemini("Hi you", logprobsResult=result)), CHAT)[
            0
        ].completion.tokens
        assert (first.token, first.logprob, len(first.top), first.floor) == (b"Hi", -5.0, 3, -4.0)
        assert (second.token, second.top) == (b" you", ((b" you", -0.5), (b" me", -1.0)))

    def test_a_certain_token_has_no_number(self) -> None:
        result = {
            "chosenCandidates": [{"token": "Hi", "tokenId": 1}],
            "topCandidates": [{"candidates": [{"token": "Hi"}]}],
        }
        (token,) = run("gemini/gemini-x", Script(gemini(logprobsResult=result)), CHAT)[0].completion.tokens
        assert (token.logprob, token.top) == (0.0, ((b"Hi", 0.0),))

    @pytest.mark.parametrize(
        ("body", "text", "finish", "reasoning"),
        [
            (gemini(content={"parts": [{"text": "hm", "thought": True}, {"text": "42"}]}), "42", "stop", "hm"),
            (gemini(finish="MAX_TOKENS", content={"role": "model"}), None, "length", None),
            (gemini(finish="SAFETY", content={}), None, "filter", None),
            (gemini(finish="RECITATION", content={}), None, "filter", None),
            ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {}}, None, "filter", None),
            ({"candidates": [], "usageMetadata": {}}, None, "error", None),
        ],
    )  # fmt: skip
    def test_answers(self, body: dict[str, Any], text: str | None, finish: str, reasoning: str | None) -> None:
        done = run("gemini/gemini-x", Script(body), CHAT)[0].completion
        assert (done.text, done.finish, done.reasoning) == (text, finish, reasoning)

    def test_log_probs_are_refused_by_name_and_left_out(self) -> None:
        error = {
            "error": {
                "code": 400,
                "message": "Logprobs is not enabled for models/gemini-x",
                "status": "INVALID_ARGUMENT",
            }
        }
        script = Script((400, error), gemini())
        assert run("gemini/gemini-x", script, CHAT)[0].completion.text == "Hi"
        assert "responseLogprobs" not in script.bodies[1]["generationConfig"]

    def test_a_model_without_system_instruction_gets_it_in_the_users_text(self) -> None:
        error = {"error": {"code": 400, "message": "Developer instruction is not enabled for models/gemma-3-1b-it",
                           "status": "INVALID_ARGUMENT"}}  # fmt: skip
        script = Script((400, error), gemini())
        assert run("gemini/gemma", script, CHAT)[0].completion.text == "Hi"
        assert script.bodies[1]["contents"][0]["parts"] == [{"text": "Be brief.\n\nHello"}]
        assert "systemInstruction" not in script.bodies[1]

    def test_a_wrong_key_is_a_400(self) -> None:
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
        error = {
            "error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": details}
        }
        with pytest.raises(AuthError, match="refused the key"):
            run("gemini/gemini-x", Script((400, error)), CHAT)


class TestProfiles:
    @pytest.mark.parametrize(
        ("spec", "url", "extras"),
        [
            ("api/vllm/m", "http://localhost:8000/v1", {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}),
            ("api/sglang/m", "http://localhost:30000/v1", {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}),
            ("api/llamacpp/m", "http://localhost:8080/v1", {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0}),
            ("api/ollama/m", "http://localhost:11434/v1", {}),
            ("api/litellm/m", "http://localhost:4000/v1", {}),
            ("api/openrouter/org/m?only=deepinfra", "https://openrouter.ai/api/v1", {}),
            ("api/mine/m?server=vllm&base_url=https://h.example/v1", "https://h.example/v1", {"top_k": -1}),
        ],
    )
    def test_where_it_is_and_which_defaults_are_switched_off(
        self, spec: str, url: str, extras: dict[str, float]
    ) -> None:
        script = Script({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})
        run(spec, script, CHAT)
        assert str(script.seen[0].url) == f"{url}/chat/completions"
        body = script.bodies[0]
        assert {k: body[k] for k in extras} == extras
        assert (body["presence_penalty"], body["frequency_penalty"]) == (0.0, 0.0)
        if not extras:
            assert not {"top_k", "min_p"} & set(body)

    def test_a_router_must_be_pinned(self) -> None:
        with pytest.raises(UsageError, match="pin the upstream"):
            ApiBackend(parse_spec("api/openrouter/org/m"))
        script = Script({"choices": [{"message": {"content": "Hi"}}], "provider": "DeepInfra"})
        done = run("api/openrouter/org/m?only=deepinfra", script, CHAT)[0].completion
        assert script.bodies[0]["provider"] == {
            "only": ["deepinfra"], "allow_fallbacks": False, "require_parameters": True,
        }  # fmt: skip
        assert done.fingerprint == "DeepInfra"

    def test_an_unknown_server(self) -> None:
        with pytest.raises(UsageError, match="did you mean 'vllm'"):
            ApiBackend(parse_spec("api/mine/m?server=vlm&base_url=https://h.example/v1"))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["content", "candidates", "parts", "text", "usage", "logprobsResult", "chosenCandidates",
                         "topCandidates", "token", "error", "message", "details", "stop_reason", "promptFeedback"]),
        inner, max_size=4),
    max_leaves=12,
).map(lambda body: json.dumps(body).encode()))  # fmt: skip
def test_whatever_comes_is_a_completion_or_one_error(raw: bytes) -> None:
    for cls in (AnthropicBackend, GeminiBackend):
        with contextlib.suppress(ProtocolError):
            assert isinstance(cls.parse(raw, CHAT), Completion)
