"""Tests whose p-value is exact because something was randomised, by name. A lane of their own."""

from __future__ import annotations

import json
from typing import Any

from ..registry import Registry
from ..types import ExactResult

EXACT = Registry("exact", {"weights": "forensics.exact.weights:compare_weights"})


def recompute(inputs: bytes) -> ExactResult:
    """The result that stored inputs (entries ``exact-input`` of a case) give."""
    body: dict[str, Any] = json.loads(inputs)
    result: ExactResult = EXACT.load(str(body["test"]))(body)
    return result


__all__ = ["EXACT", "recompute"]
