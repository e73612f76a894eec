"""Gates, alpha spending, and one outcome a gate."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from forensics import Report, UsageError
from forensics.check.gates import overall, parse_gate, parse_gates
from forensics.check.judged import judge_gate
from forensics.check.record import DriftRecord, GateResult
from forensics.check.spending import alpha_at
from forensics.record import ExactRecord

GOLDEN = Path(__file__).parents[1] / "golden" / "report-decided.json"


@pytest.fixture(scope="module")
def report() -> Report:
    """llr +1 or more with an interval above 0."""
    return Report.from_json(GOLDEN.read_bytes())


@pytest.mark.parametrize(
    ("text", "quantity", "threshold"),
    [
        ("llr>=1", "llr", 1.0),
        (" drift >= 0.5 ", "drift", 0.5),
        ("drift.next-token-divergence>=1e-3", "drift.next-token-divergence", 1e-3),
        ("exact.p<=0.001", "exact.p", 0.001),
        ("exact.canary.e>=100", "exact.canary.e", 100.0),
    ],
)
def test_gates_parse(text: str, quantity: str, threshold: float) -> None:
    gate = parse_gate(text)
    assert (gate.quantity, gate.threshold) == (quantity, threshold)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("llr", "is not NAME>=NUMBER"),
        ("llr>=", "is not NAME>=NUMBER"),
        ("llr>=one", "'one' is not a number"),
        ("llr>=nan", "'nan' is not a number"),
        ("llr>=inf", "'inf' is not a number"),
        ("llr<=1", "write >="),
        ("exact.p>=0.1", "write <="),
        ("exact.p<=2", "between 0 and 1"),
        ("drft>=1", "did you mean 'drift'"),
        ("drift.atribution>=0", "did you mean 'attribution'"),
        ("exact.cannary.p<=0.1", "did you mean 'canary'"),
        ("exact.canary>=1", "unknown quantity"),
        ("llr>=1; rm -rf /", "is not NAME>=NUMBER"),
    ],
)
def test_gates_that_do_not_parse_say_so(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        parse_gate(text)


def test_a_quantity_is_gated_once() -> None:
    with pytest.raises(UsageError, match="two gates"):
        parse_gates(["llr>=1", "llr>=2"])


def test_the_levels_of_all_looks_add_up_to_alpha() -> None:
    assert alpha_at(1, 0.05) == pytest.approx(0.05 * 6 / math.pi**2)
    assert 0.0499 < sum(alpha_at(k, 0.05) for k in range(1, 100_000)) <= 0.05
    assert sum(alpha_at(k, 0.05, 7) for k in range(1, 8)) == pytest.approx(0.05)
    with pytest.raises(UsageError, match="planned 7 looks"):
        alpha_at(8, 0.05, 7)


def drift(value: float | None, margin: float | None, reason: str = "") -> DriftRecord:
    interval = None if value is None or margin is None else (value - margin, value + margin)
    return DriftRecord("drift", "llr", value, interval, margin, 40, 0.1, 7, "clean runs", 0.1, 0.9, reason)


@pytest.mark.parametrize(
    ("text", "value", "margin", "outcome"),
    [
        ("drift>=0.5", 0.6, 0.4, "fail"),
        ("drift>=0.5", 0.5, 0.4, "fail"),  # at the gate
        ("drift>=0.5", 0.49, 0.4, "pass"),
        ("drift>=0.5", 0.6, 0.7, "inconclusive"),  # above the gate, not beyond noise
        ("drift>=0.5", 0.1, 0.7, "inconclusive"),  # noise would have hidden what the gate is about
        ("drift>=0.5", 0.8, 0.7, "fail"),
        ("drift>=0", 0.3, 0.4, "pass"),  # a gate of 0: only noise counts
        ("drift>=0", 0.41, 0.4, "fail"),
        ("drift>=0", -0.9, 0.4, "pass"),
        ("drift>=0.5", None, None, "inconclusive"),
    ],
)
def test_drift_fails_only_beyond_noise(
    report: Report, text: str, value: float | None, margin: float | None, outcome: str
) -> None:
    assert judge_gate(parse_gate(text), report, drift(value, margin, "not measured"), "").outcome == outcome


def test_llr(report: Report) -> None:
    v = report.verdict
    assert v.llr is not None
    assert v.llr >= 1
    assert judge_gate(parse_gate("llr>=1"), report, None, "").outcome == "fail"
    assert judge_gate(parse_gate(f"llr>={v.llr + 0.01}"), report, None, "").outcome == "pass"
    wide = replace(report, verdict=replace(v, interval=(-0.1, v.llr)))
    assert judge_gate(parse_gate("llr>=1"), wide, None, "").outcome == "inconclusive"
    withheld = replace(report, verdict=replace(v, decision="cannot-tell", llr=None, interval=None, bounds=None))
    assert judge_gate(parse_gate("llr>=1"), withheld, None, "").outcome == "inconclusive"
    weights = replace(withheld, verdict=replace(withheld.verdict, decision="copied-weights"))
    found = judge_gate(parse_gate("llr>=1"), weights, None, "")
    assert (found.outcome, "own weights" in found.detail) == ("fail", True)


def test_exact(report: Report) -> None:
    rows = (
        ExactRecord("canary", 4e-4, 50.0, 30, "ok", None),
        ExactRecord("weights", 0.5, None, 4, "ok", None),
        ExactRecord("weights", 1e-9, None, 4, "ok", None, against="base"),  # says nothing about the reference
        ExactRecord("combined", 1e-9, 1e9, 2, "ok", None),
    )
    with_exact = replace(report, exact=rows)
    found = judge_gate(parse_gate("exact.p<=0.001"), with_exact, None, "")
    assert (found.outcome, found.value) == ("fail", pytest.approx(8e-4))  # two tests: the smallest p is doubled
    assert judge_gate(parse_gate("exact.p<=0.0005"), with_exact, None, "").outcome == "pass"
    assert judge_gate(parse_gate("exact.canary.p<=0.0005"), with_exact, None, "").outcome == "fail"
    assert judge_gate(parse_gate("exact.weights.p<=0.1"), with_exact, None, "").outcome == "pass"
    assert judge_gate(parse_gate("exact.canary.e>=50"), with_exact, None, "").outcome == "fail"
    assert judge_gate(parse_gate("exact.twins.p<=0.1"), with_exact, None, "").outcome == "inconclusive"
    assert judge_gate(parse_gate("exact.p<=0.1"), replace(report, exact=()), None, "").outcome == "inconclusive"


def test_one_failure_outweighs_what_is_open() -> None:
    def made(outcome: str) -> GateResult:
        return GateResult("g", outcome, None, 0.0, None, "")  # type: ignore[arg-type]

    assert overall([made("pass"), made("inconclusive"), made("fail")]) == "fail"
    assert overall([made("pass"), made("inconclusive")]) == "inconclusive"
    assert overall([made("pass")]) == "pass"
