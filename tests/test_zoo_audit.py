"""The zoo audited live, through the real transformers backend: right things about models of known truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from forensics import AuditConfig, Report, Store, audit
from forensics.verdict.calibrate import load_population

pytest.importorskip("transformers")

CONTROLS = ("zoo/control-a", "zoo/control-b", "zoo/control-c")
STUDENT = AuditConfig("zoo/student", "zoo/teacher", CONTROLS, base="zoo/base", suite="zoo")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    folder = tmp_path_factory.mktemp("zoo")
    out = {}
    for name in ("student", "sibling", "descendant"):
        with Store(folder / f"{name}.case") as store:
            out[name] = audit(replace(STUDENT, suspect=f"zoo/{name}"), store=store)
    return out


def test_the_student_is_found(reports: dict[str, Report]) -> None:
    verdict = reports["student"].verdict
    assert verdict.decision == "copied-outputs"
    assert verdict.llr is not None
    assert verdict.bounds is not None
    assert 1.0 <= verdict.llr <= verdict.bounds[1] < 2.0
    assert verdict.population == "zoo"


def test_the_sibling_is_not_accused(reports: dict[str, Report]) -> None:
    """The hard negative: same base, same prompts, another teacher."""
    verdict = reports["sibling"].verdict
    assert verdict.decision in ("independent", "cannot-tell")
    assert verdict.llr is not None
    assert verdict.llr < 0


def test_copied_weights_are_called_copied_weights(reports: dict[str, Report]) -> None:
    assert reports["descendant"].verdict.decision == "copied-weights"
    assert reports["descendant"].verdict.llr is None


def test_the_audit_checked_itself(reports: dict[str, Report]) -> None:
    for report in reports.values():
        assert all(check.passed for check in report.self_checks), report.self_checks
        assert report.verdict.power


def test_every_comparator_of_the_population_measured_something(reports: dict[str, Report]) -> None:
    columns = load_population("zoo").columns
    by_name = {e.comparator: e for e in reports["student"].evidence}
    for name in columns:
        assert by_name[name].status == "ok"
        assert by_name[name].llr is not None
    assert all(e.llr is None for name, e in by_name.items() if name not in columns)


def test_another_suite_gets_no_likelihood_ratio(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(
        "".join(f'{{"prompt": "Tell me about the harbour, part {i}.", "max_tokens": 8}}\n' for i in range(32))
    )
    report = audit(replace(STUDENT, suite=str(path)))
    assert (report.verdict.decision, report.verdict.llr) == ("cannot-tell", None)
    assert any("suite" in reason for reason in report.verdict.reasons)
