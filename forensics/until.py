"""``--until``: the rule by which an audit may stop before the whole plan is asked.

    rule   = clause { "|" clause }
    clause = "llr>=X" | "llr<=-X" | "budget"                     X a number above 0

The first two hold where a look (`forensics.looks`) earns such a verdict; ``budget`` says that a budget which runs out
ends in the judgement of the last whole look, instead of exit 4.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from .errors import UsageError
from .types import Verdict

SHAPE = "a rule is clauses joined by |, each llr>=X, llr<=-X (X above 0) or budget"
_CLAUSE = re.compile(r"llr\s*(>=|<=)\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was read. ``above`` and ``below``: the llr to reach on either side, None where no clause says so."""

    above: float | None = None
    below: float | None = None
    budget: bool = False

    def __str__(self) -> str:
        clauses = [f"llr>={self.above:g}"] if self.above is not None else []
        clauses += [f"llr<={self.below:g}"] if self.below is not None else []
        return "|".join([*clauses, *(["budget"] if self.budget else [])])

    def met(self, verdict: Verdict) -> str:
        """The clause that a verdict fulfils, "" for none.

        The whole interval must lie on that side of 0, as for a decision; evidence for Hd counts only with a statement
        of power, as everywhere. A verdict without a ratio (a failed self-check, shared weights) fulfils nothing.
        """
        lr = verdict.lr
        if lr is None:
            return ""
        if self.above is not None and lr.llr >= self.above and lr.interval[0] > 0:
            return f"llr>={self.above:g}"
        if self.below is not None and lr.llr <= self.below and lr.interval[1] < 0 and verdict.power is not None:
            return f"llr<={self.below:g}"
        return ""


def parse_rule(text: str) -> Rule:
    """A rule from its text. Errors: `UsageError` with the clause that can't be read."""
    found: dict[str, float | bool] = {}
    for part in text.split("|"):
        clause = part.strip()
        name, value = _clause(clause)
        if name in found:
            raise UsageError(f"--until: {_shown(clause)} is a second clause of its kind; {SHAPE}")
        found[name] = value
    return Rule(**found)  # type: ignore[arg-type]


def _clause(clause: str) -> tuple[str, float | bool]:
    if clause == "budget":
        return "budget", True
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        raise UsageError(f"--until: {_shown(clause)} is no clause; {SHAPE}")
    value = float(match[2])
    if not math.isfinite(value) or (value <= 0 if match[1] == ">=" else value >= 0):
        raise UsageError(f"--until: {_shown(clause)} is met by findings that say nothing or the opposite; {SHAPE}")
    return ("above" if match[1] == ">=" else "below"), value


def _shown(clause: str) -> str:
    return repr(clause if len(clause) <= 40 else clause[:39] + "…")
