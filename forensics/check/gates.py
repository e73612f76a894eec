"""``llr>=1``, ``drift>=0.5``, ``exact.p<=0.001``: what fails a build, and how noise is kept from doing it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError
from .record import GateResult, Outcome

DEFAULT = ("llr>=1",)
WITH_BASELINE = ("llr>=1", "drift>=0.5")
FOR_DATA = ("style>=0",)
CANARY = ("exact.p<=0.001",)  # where a key of planted secrets is given
_FORM = re.compile(r"\s*([A-Za-z][\w.-]*?)\s*(>=|<=|>|<|==|=)\s*([^\s=<>]\S*)\s*")
EXAMPLES = "'llr>=1', 'drift>=0.5', 'drift.attribution>=0', 'exact.p<=0.001'"


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition that fails the build. ``quantity``: llr, drift, drift.COMPARATOR, style, exact.p, exact.e,
    exact.TEST.p or exact.TEST.e."""

    text: str
    quantity: str
    threshold: float

    @property
    def kind(self) -> str:
        """llr, drift, style or exact."""
        return self.quantity.partition(".")[0]


def parse_gate(text: str) -> Gate:
    """A gate from its text. Errors: `UsageError` that says what does not parse, and what would."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"gate {text!r} is not NAME>=NUMBER or NAME<=NUMBER, as in {EXAMPLES}")
    quantity, sign, number = found.groups()
    try:
        threshold = float(number)
    except ValueError:
        threshold = math.nan
    if not math.isfinite(threshold):
        raise UsageError(f"gate {text!r}: {number!r} is not a number")
    _known(quantity, text)
    wanted = "<=" if quantity.endswith(".p") else ">="
    if sign != wanted:
        why = "small p-values are" if wanted == "<=" else "large values are"
        raise UsageError(f"gate {text!r}: a gate names what fails the build, and {why} what does: write {wanted}")
    if wanted == "<=" and not 0.0 < threshold < 1.0:
        raise UsageError(f"gate {text!r}: a p-value lies between 0 and 1")
    return Gate(f"{quantity}{sign}{number}", quantity, threshold)


def parse_gates(texts: Sequence[str]) -> tuple[Gate, ...]:
    """All gates. Errors: as `parse_gate`, and for a quantity that is gated twice."""
    gates = tuple(parse_gate(text) for text in texts)
    names = [g.quantity for g in gates]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} has two gates: one of them can never decide anything")
    return gates


def _known(quantity: str, text: str) -> None:
    from ..comparators import COMPARATORS
    from ..exact import EXACT
    from ..registry import unknown

    plain = ("llr", "drift", "style", "exact.p", "exact.e")
    kind, _, rest = quantity.partition(".")
    if quantity in plain:
        return
    if kind == "drift" and rest:
        if rest not in COMPARATORS.names():
            raise UsageError(f"gate {text!r}: {unknown('comparator', rest, COMPARATORS.names())}")
        return
    test, _, what = rest.rpartition(".")
    if kind == "exact" and test and what in ("p", "e"):
        if test not in (*EXACT.names(), "combined"):
            raise UsageError(f"gate {text!r}: {unknown('exact test', test, EXACT.names())}")
        return
    raise UsageError(f"gate {text!r}: {unknown('quantity', quantity, (*plain, 'drift.COMPARATOR', 'exact.TEST.p'))}")


def overall(results: Sequence[GateResult]) -> Outcome:
    """Fail if any gate fails, else inconclusive if any is, else pass."""
    outcomes = {r.outcome for r in results}
    if "fail" in outcomes:
        return "fail"
    return "inconclusive" if "inconclusive" in outcomes else "pass"


EXIT: dict[Outcome, int] = {"pass": 0, "fail": 1, "inconclusive": 3}
