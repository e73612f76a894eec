"""The conditions that a population was made under, and whether a case lies within them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

KNOWN_PROMPTS = 0.95  # share of a case's prompts that must be among a population's
IN_ANSWERS = ("items", "prompts", "length_ratio", "one_sided_length")  # known when the answers are in


def malformed(conditions: Mapping[str, Any]) -> str:
    """Why conditions that were read from a file can't be compared with a case's, "" if they can."""

    def number(value: Any) -> bool:
        return type(value) in (int, float) and abs(value) < 1e15

    def texts(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(v, str) for v in value)

    def span(value: Any) -> bool:
        return (
            isinstance(value, list) and len(value) == 2 and number(value[0]) and (value[1] is None or number(value[1]))
        )

    expected: dict[str, Callable[[Any], bool]] = {
        "min_controls": number, "providers": texts, "suites": texts, "prompts": texts, "items": span,
        "one_sided_length": number,
        "length_ratio": lambda value: span(value) and value[1] is not None and max(map(abs, value)) < 300,
    }  # fmt: skip
    for key, holds in expected.items():
        if key in conditions and not holds(conditions[key]):
            return f"its condition {key} can't be compared"
    return ""


def differs(key: str, expected: Any, case: Mapping[str, Any]) -> str | None:
    """Why the case lies outside one condition of a population, or None."""
    found = case.get(key)
    if key == "min_controls":
        few = int(case.get("controls", 0)) < int(expected)
        return f"it was made with at least {expected} controls, the case has {case.get('controls', 0)}" if few else None
    if key == "suites":
        asked = case.get("suite")
        return None if asked in expected else f"it was not made with the case's suite {_short(asked)}"
    if key == "providers":
        foreign = sorted(set(found or ()) - set(expected))
        return f"it covers models of {', '.join(expected)}, not of {', '.join(foreign)}" if foreign else None
    if key == "items":
        low, high = expected
        held = found is not None and found >= low and (high is None or found <= high)
        span = f"at least {low}" if high is None else f"{low} to {high}"
        return None if held else f"it covers {span} items that all parties answered, the case has {found or 0}"
    if key == "prompts":
        known = len(set(found or ()) & set(expected)) / max(len(found or ()), 1)
        return None if known >= KNOWN_PROMPTS else f"only {known:.0%} of the case's prompts are among its prompts"
    if key == "length_ratio":
        low, high = expected
        if found is not None and low <= found <= high:
            return None
        span = f"{10**low:.2g} to {10**high:.2g}"
        return f"it covers suspects {span} times as wordy as the reference, not {10 ** (found or 0):.2g}"
    if key == "one_sided_length":
        why = "suspect and reference write about equally much and no control does: add controls of that length"
        return why if found is None or found > expected else None
    return (
        None if found == expected else f"its {key.replace('_', ' ')} is {_short(expected)}, the case's {_short(found)}"
    )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:12] + "…" if len(text) > 24 else text
