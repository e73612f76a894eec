"""What may change while a case is collected, and what is shown in the meantime."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forensics import AuditConfig
from forensics.console import minutely
from forensics.errors import UsageError
from forensics.spec import parse_spec
from forensics.types import Progress


def test_how_patiently_a_model_is_asked_is_no_part_of_its_name() -> None:
    fast = parse_spec("api/mine/m?base_url=http://h/v1&concurrency=64&timeout=9&retries=0")
    assert str(fast) == "api/mine/m?base_url=http://h/v1"
    assert fast.option("concurrency") == "64"
    assert str(parse_spec("openai/m?vendor=x&retries=2")) == "openai/m?vendor=x"
    one = AuditConfig("api/mine/m?base_url=http://h/v1&concurrency=64", "openai/r?retries=1", ("gemini/g?timeout=5",))
    other = AuditConfig("api/mine/m?base_url=http://h/v1", "openai/r", ("gemini/g",), max_requests=3)
    assert one.fixed == other.fixed
    assert one.fixed != replace(other, suspect="api/mine/m").fixed
    with pytest.raises(UsageError, match="named twice"):
        AuditConfig("openai/m?retries=1", "openai/m").specs()


def test_a_log_gets_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    listen = minutely(lambda: now)
    for second in range(181):
        now = float(second)
        listen(Progress("answers", "suspect", 2 * second, 4000))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "answers suspect: 120/4000, 2.0/s, about 0:32:20 left",
        "answers suspect: 240/4000, 2.0/s, about 0:31:20 left",
        "answers suspect: 360/4000, 2.0/s, about 0:30:20 left",
    ]
