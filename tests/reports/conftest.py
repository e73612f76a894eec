from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import report_samples

from forensics.record import Report

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(params=["decided", "withheld", "hostile", "empty"])
def any_report(request: pytest.FixtureRequest) -> Report:
    report: Report = getattr(report_samples, request.param)()
    return report


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare with a stored file; UPDATE_GOLDEN=1 rewrites it."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text, f"{name} differs; look at it, then UPDATE_GOLDEN=1"

    return check
