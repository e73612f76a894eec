"""How long servers ask us to wait: the forms that were seen, and what is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from forensics.backends.waits import retry_after

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=30)
HTTP = format_datetime(LATER, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": HTTP}, 30),
        ({"retry-after": "20s"}, 20),
        ({"x-ratelimit-reset-requests": "12ms", "x-ratelimit-remaining-requests": "0"}, 0.012),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"}, 360),
        ({"x-ratelimit-reset-tokens": "1h2m3.5s", "x-ratelimit-remaining-tokens": "0"}, 3723.5),
        # OpenAI names both; only the limit that is used up makes us wait, the longer of two that are.
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-remaining-requests": "0",
          "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "4000"}, 1),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-remaining-requests": "0",
          "x-ratelimit-reset-tokens": "2s", "x-ratelimit-remaining-tokens": "0"}, 2),
        ({"x-ratelimit-reset-requests": "7"}, 7),  # Azure: whole seconds
        ({"x-ratelimit-reset": str(int(LATER.timestamp() * 1000)), "x-ratelimit-remaining": "0"}, 30),  # OpenRouter
        ({"x-ratelimit-reset": str(int(LATER.timestamp()))}, 30),
        ({"anthropic-ratelimit-requests-reset": "2026-11-25T12:00:30Z",
          "anthropic-ratelimit-requests-remaining": "0"}, 30),
        ({"anthropic-ratelimit-input-tokens-reset": "2026-11-25T13:00:30+01:00",
          "anthropic-ratelimit-input-tokens-remaining": "0",
          "anthropic-ratelimit-requests-reset": "2026-11-25T12:10:00Z",
          "anthropic-ratelimit-requests-remaining": "12"}, 30),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-remaining-requests": "-1"}, None),  # Azure again
        ({"x-ratelimit-reset-requests": "2026-11-25T11:00:00Z"}, None),  # over already
    ],
)  # fmt: skip
def test_headers_of_a_429(headers: dict[str, str], seconds: float | None) -> None:
    found = retry_after(headers, NOW)
    assert found == (None if seconds is None else pytest.approx(seconds, rel=1e-3))


def test_limits_of_other_answers_are_no_wish_to_wait() -> None:
    headers = {"x-ratelimit-reset-requests": "30s", "x-ratelimit-remaining-requests": "0"}
    assert retry_after(headers, NOW, 500) is None
    assert retry_after(headers | {"retry-after": "2"}, NOW, 500) == 2


def test_google_says_it_in_the_body() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure"},
               {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.074824224s"}]  # fmt: skip
    body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": details}}
    assert retry_after({}, NOW, 429, json.dumps(body).encode()) == pytest.approx(34.074824224)
    assert retry_after({}, NOW, 429, json.dumps([body]).encode()) == pytest.approx(34.074824224)
    for raw in (
        b'{"retryDelay": 3}',
        b'{"error": {"details": "retryDelay"}}',
        b"retryDelay",
        b"[" * 99999 + b"retryDelay",
    ):
        assert retry_after({}, NOW, 429, raw) is None
