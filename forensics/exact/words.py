"""What an exact result may say about its own strength: numbers from the case's spread and from measured runs."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from .ranks import detectable, power

REJECT = 0.01  # p at or below which a finding is worded as one; the p-value itself is always printed
EFFECTS = Path(__file__).parent / "data" / "effects.json"


def chance(p: float) -> str:
    """A probability in two digits that never rounds to 0 or 1."""
    return "above .99" if p > 0.99 else "below .01" if p < 0.01 else f"{p:.2f}".removeprefix("0")


@cache
def effects() -> tuple[dict[str, Any], ...]:
    """Measured effects, one row a trained student: see docs/exact.md."""
    return tuple(json.loads(EFFECTS.read_text(encoding="utf-8"))["runs"]) if EFFECTS.is_file() else ()


def rank_power(test: str, form: str, n: int, spread: float, unit: str) -> str:
    """The power statement of a rank test: from this case's own spread, and for the students that were measured."""
    if n == 0:
        return "no item tells its candidates apart: nothing could have been detected"
    least = detectable(n, REJECT)
    amount = f"{least * spread:.2g} {unit} ({least:.2f} of the spread between answers to one prompt)"
    seen = f"a mean advantage of {amount} would have been detected at p <= {REJECT} with probability .90"
    return seen + _runs(test, form, n)


def _runs(test: str, form: str, n: int) -> str:
    rows = [r for r in effects() if r["test"] == test and r["form"] == form and r.get("quote")]
    parts = [f"{r['quote']}: {chance(power(r['effect'], n, REJECT, r['between']))}" for r in rows]
    return f"; measured on small models, with {n} items, {'; '.join(parts)}" if parts else ""


def trained(test: str, form: str) -> str:
    """The same for tests whose effect was measured in standard deviations of the whole statistic."""
    rows = [r for r in effects() if r["test"] == test and r["form"] == form]
    parts = [f"{r['quote']}: {chance(power(r['effect'], 1, REJECT, r['between']))}" for r in rows]
    return f"; measured on small models, {'; '.join(parts)}" if parts else ""


def measured(test: str, n: int) -> str:
    """The same for tests whose power was measured as a share of secrets known."""
    rows = [r for r in effects() if r["test"] == test and r.get("quote")]
    return "".join(f"; {r['quote']}: {r['known']:.0%} known" for r in rows) if rows and n else ""
