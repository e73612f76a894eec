"""Tests whose p-value is exact because something was randomised, by name. A lane of their own.

Every test is a pure function ``(inputs) -> ExactResult`` on plain values: what was measured, the seed, and nothing
else. The inputs are kept in the case, so `recompute` repeats any result offline, without knowing which test it is.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from ..registry import Registry
from ..types import ExactResult, sha256

EXACT = Registry(
    "exact",
    {
        "canary": "forensics.exact.canary:judge",
        "regeneration": "forensics.exact.regeneration:judge",
        "watermark": "forensics.exact.watermark:judge",
        "twins": "forensics.exact.twins:judge",
        "weights": "forensics.exact.weights:judge",
    },
)


def recompute(inputs: bytes) -> ExactResult:
    """The result that these stored inputs give. Errors: `EvidenceError` where they are no inputs of an exact test."""
    import numpy as np

    from ..errors import EvidenceError

    try:
        body: dict[str, Any] = json.loads(inputs)
        with np.errstate(invalid="raise", divide="raise"):
            result: ExactResult = EXACT.load(str(body["test"]))(body)
        measured = result.value is not None and math.isfinite(result.value) and result.p is None
        if result.status == "ok" and not measured and not 0 < (result.p or 0) <= 1:
            raise ValueError(f"p = {result.p}")
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise EvidenceError(
            f"stored inputs of an exact test can't be read ({type(error).__name__}: {error})"
        ) from error
    return replace(result, inputs=sha256(inputs))


__all__ = ["EXACT", "recompute"]
