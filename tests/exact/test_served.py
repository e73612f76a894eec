"""Logs in the shapes they come in, and what is left out of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forensics.errors import UsageError
from forensics.exact.served import read_log, read_redraws


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def own(i: int, **more: Any) -> dict[str, Any]:
    return {"prompt": f"p{i}", "response": f" r{i} ", "account": "acme", "time": "2026-01-01T00:00:00Z", **more}


def test_plain_lines(tmp_path: Path) -> None:
    rows = [
        own(1),
        own(2, account="bob"),
        own(1, response="again"),
        own(3, response="", account="bob"),
        own(4, account=7),
    ]
    log = read_log(write(tmp_path / "log.jsonl", *rows), accounts=["acme"])
    assert [(s.messages[0].content, s.text) for s in log.suspected] == [("p1", "r1")]
    assert [s.text for s in log.others] == ["r2", "r4"]
    assert any("1 repeated" in note for note in log.notes)
    assert any("1 calls without a usable answer" in note for note in log.notes)


def test_a_prompt_that_both_asked_is_checked_on_neither_twice(tmp_path: Path) -> None:
    log = read_log(
        write(tmp_path / "log.jsonl", own(1), own(1, account="bob"), own(2, account="bob")), accounts=["acme"]
    )
    assert [s.text for s in log.others] == ["r2"]


def test_one_account_is_said_to_be_one(tmp_path: Path) -> None:
    log = read_log(write(tmp_path / "log.jsonl", own(1), own(2)), accounts=["acme"])
    assert any("no other account" in note for note in log.notes)
    with pytest.raises(UsageError, match="no call of account 'eve'; the log has 1 accounts"):
        read_log(tmp_path / "log.jsonl", accounts=["eve"])


def test_chat_logs(tmp_path: Path) -> None:
    row = {
        "request": {"model": "m", "messages": [{"role": "user", "content": "hi"}], "user": "acme", "max_tokens": 9,
                    "temperature": 0.5},
        "response": {"created": 1767225600, "choices": [{"message": {"content": "hello"}, "finish_reason": "length"}]},
    }  # fmt: skip
    failed = {"request": {"messages": [{"role": "user", "content": "no"}]}, "response": {"error": {"message": "x"}}}
    log = read_log(write(tmp_path / "log.jsonl", row, failed), accounts=["acme"])
    (call,) = log.suspected
    assert (call.text, call.sampling.max_tokens, call.sampling.temperature) == ("hello", 9, 0.5)


def test_transcripts(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
    ]
    log = read_log(
        write(tmp_path / "log.jsonl", {"messages": turns, "metadata": {"account": "acme"}}), accounts=["acme"]
    )
    assert [m.role for m in log.suspected[0].messages] == ["system", "user"]
    assert log.suspected[0].text == "a"
    with pytest.raises(UsageError, match="not the assistant's"):
        read_log(write(tmp_path / "bad.jsonl", {"messages": turns[:2]}))


def test_batch_output_with_its_input(tmp_path: Path) -> None:
    body = {"choices": [{"message": {"content": "four"}, "finish_reason": "stop"}]}
    out = write(tmp_path / "out.jsonl", {"custom_id": "1", "response": {"status_code": 200, "body": body}})
    with pytest.raises(UsageError, match="--requests"):
        read_log(out)
    asked = {"messages": [{"role": "user", "content": "2+2?"}], "max_tokens": 5, "user": "acme"}
    log = read_log(out, requests=write(tmp_path / "in.jsonl", {"custom_id": "1", "body": asked}), accounts=["acme"])
    assert (log.suspected[0].messages[0].content, log.suspected[0].sampling.max_tokens) == ("2+2?", 5)
    with pytest.raises(UsageError, match="messages"):
        read_log(out, requests=write(tmp_path / "bad.jsonl", {"custom_id": "1", "body": {}}))


def test_answers_cut_at_an_unknown_limit_stop_the_test(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", own(1), own(2, finish_reason="length"))
    with pytest.raises(UsageError, match=r"log.jsonl:2: 1 answers were cut .* --max-tokens"):
        read_log(path)
    assert read_log(path, max_tokens=33).suspected[1].sampling.max_tokens == 33


def test_redraws_from_a_file(tmp_path: Path) -> None:
    log = read_log(write(tmp_path / "log.jsonl", own(1), own(2)))
    path = write(tmp_path / "redraws.jsonl", *[{"prompt": "p1", "response": f"d{j}"} for j in range(3)])
    assert read_redraws(path, log.suspected, (), 2) == {log.suspected[0].key: ["d0", "d1"]}
    with pytest.raises(UsageError, match="has 4 redraws"):
        read_redraws(path, log.suspected, (), 4)
