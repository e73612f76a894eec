"""One gate, one outcome."""

from __future__ import annotations

from collections.abc import Sequence

from ..record import ExactRecord, Report
from .gates import Gate
from .record import DriftRecord, GateResult, Outcome


def judge_gate(gate: Gate, report: Report, drift: DriftRecord | None, new: str) -> GateResult:
    """Pass, fail or inconclusive: a gate fails only on what noise does not explain, and passes only if it could have
    failed. ``new``: why there is no drift where nothing was compared."""
    if gate.kind == "drift":
        return _drift(gate, drift, new)
    if gate.kind == "exact":
        return _exact(gate, report.exact)
    if gate.kind == "style":
        return _style(gate, report)
    return _llr(gate, report)


def _result(
    gate: Gate, outcome: Outcome, value: float | None, interval: tuple[float, float] | None, why: str
) -> GateResult:
    return GateResult(gate.text, outcome, value, gate.threshold, interval, why)


def _llr(gate: Gate, report: Report) -> GateResult:
    v = report.verdict
    if v.decision == "copied-weights":
        return _result(gate, "fail", v.llr, v.interval, "the suspect carries the reference's own weights: " + v.wording)
    if v.llr is None or v.interval is None:
        why = "; ".join(v.reasons) or v.wording
        return _result(gate, "inconclusive", None, None, f"no likelihood ratio can be given: {why}")
    ends = f"llr {v.llr:+.2f}, interval {v.interval[0]:+.2f} to {v.interval[1]:+.2f}"
    if v.llr < gate.threshold:
        return _result(gate, "pass", v.llr, v.interval, ends)
    if v.interval[0] <= 0.0 < gate.threshold:
        return _result(gate, "inconclusive", v.llr, v.interval, f"{ends}: at the gate, but the interval reaches 0")
    return _result(gate, "fail", v.llr, v.interval, ends)


def _drift(gate: Gate, drift: DriftRecord | None, new: str) -> GateResult:
    if drift is None or drift.value is None or drift.margin is None:
        return _result(gate, "inconclusive", None, None, new if drift is None else drift.reason)
    noise = f"noise explains up to {drift.margin:.3g} ({drift.noise}, {drift.run_df} df)"
    said = f"moved by {drift.value:+.3g} {drift.unit}; {noise}"
    if drift.value >= gate.threshold and drift.value > drift.margin:
        return _result(gate, "fail", drift.value, drift.interval, said)
    if 0.0 < gate.threshold < drift.margin:
        why = (
            f"{said}: a drift of the gate's size could not be told from it; add runs of the previous release "
            "(forensics baseline update --run), or raise the gate"
        )
        return _result(gate, "inconclusive", drift.value, drift.interval, why)
    return _result(gate, "pass", drift.value, drift.interval, said)


def _exact(gate: Gate, results: Sequence[ExactRecord]) -> GateResult:
    _, _, rest = gate.quantity.partition(".")
    test, _, what = rest.rpartition(".")
    rows = [r for r in results if r.status == "ok" and r.against == "reference" and getattr(r, what) is not None
            and (r.test == test if test else r.test != "combined")]  # fmt: skip
    if not rows:
        tests = test or "exact"
        return _result(
            gate, "inconclusive", None, None, f"the case holds no {tests} result: run forensics exact … --case"
        )
    if what == "p":
        best = min(rows, key=lambda r: r.p or 0.0)
        value = min(1.0, (best.p or 0.0) * len(rows))
        many = f", times {len(rows)} tests" if len(rows) > 1 else ""
        return _result(
            gate, "fail" if value <= gate.threshold else "pass", value, None, f"{best.test}: p = {best.p:.3g}{many}"
        )
    best = max(rows, key=lambda r: r.e or 0.0)
    value = (best.e or 0.0) / len(rows)  # a mean of e-values is one, and at least the largest over their number
    return _result(gate, "fail" if value >= gate.threshold else "pass", value, None, f"{best.test}: e = {best.e:.3g}")


def _style(gate: Gate, report: Report) -> GateResult:
    e = next((e for e in report.evidence if e.comparator == "attribution"), None)
    if e is None or e.value is None or e.interval is None or e.background is None:
        why = "attribution was not measured" if e is None else e.reason or "attribution was not measured"
        return _result(gate, "inconclusive", None, None, why)
    edge = dict(e.background.quantiles)["0.975"]
    ends = f"attribution {e.value:+.3g} {e.unit}, interval {e.interval[0]:+.3g} to {e.interval[1]:+.3g}"
    said = f"{ends}; controls in the reference's place reach {edge:+.3g}"
    failed = e.value >= gate.threshold and beyond_controls(e.interval, edge)
    return _result(gate, "fail" if failed else "pass", e.value, e.interval, said)


def beyond_controls(interval: tuple[float, float], edge: float) -> bool:
    """Whether an attribution is more than controls in the reference's place reach (``edge``: 97.5 % of theirs)."""
    return interval[0] > max(edge, 0.0)
