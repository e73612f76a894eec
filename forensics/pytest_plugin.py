"""pytest: ``forensics_audit`` and ``assert_not_distilled``. Installed with the package; light until used.

    def test_release(assert_not_distilled):
        assert_not_distilled("hf/out/model", "hf/models/rival", controls=["hf/models/a", "hf/models/b", "hf/models/c"])

Under pytest-xdist every worker keeps cases of its own: what is audited in two workers is asked in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from .record import Report

Inconclusive = Literal["fail", "skip", "pass"]
Audit = Callable[..., "Report"]


@pytest.fixture(scope="session")
def forensics_audit(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """``forensics_audit(suspect, reference, controls=…, base=…, suite=…, reference_case=…)`` -> `forensics.Report`.

    The same audit is made once a session. ``reference_case``: a case whose answers of the reference and the controls
    are taken over, so that only the suspect is asked. Reports (HTML, JSON) and cases lie in the session's temporary
    directory.
    """
    folder = tmp_path_factory.mktemp("forensics")
    made: dict[str, Report] = {}

    def audit(suspect: str, reference: str, **settings: Any) -> Report:
        key = repr((suspect, reference, sorted(settings.items(), key=str)))
        if key not in made:
            made[key] = run_audit(folder, suspect, reference, **settings)
        return made[key]

    audit.folder = folder  # type: ignore[attr-defined]
    return audit


@pytest.fixture(name="assert_not_distilled", scope="session")
def _assert_not_distilled(forensics_audit: Audit) -> Callable[..., Report]:
    """`assert_not_distilled`, with audits made once a session."""

    def check(suspect: str, reference: str, **settings: Any) -> Report:
        __tracebackhide__ = True
        return assert_not_distilled(suspect, reference, audit=forensics_audit, **settings)

    return check


def assert_not_distilled(
    suspect: str, reference: str, *, controls: Sequence[str], max_llr: float = 1.0,
    inconclusive: Inconclusive = "fail", audit: Audit | None = None, report_dir: str | Path | None = None,
    **settings: Any,
) -> Report:  # fmt: skip
    """Audit, and fail unless log10 LR < ``max_llr`` (or where the suspect carries the reference's weights).

    ``inconclusive``: what becomes of an audit that gives no likelihood ratio; it is no pass unless that is asked for.
    ``settings``: further fields of `forensics.AuditConfig`, and ``reference_case``. Returns the report. Errors:
    AssertionError with the reasons and where the report lies; `forensics.ForensicsError` where nothing could be asked.
    """
    __tracebackhide__ = True
    from .check.gates import Gate
    from .check.judged import judge_gate

    if audit is None:
        import tempfile

        folder = Path(report_dir or tempfile.mkdtemp(prefix="forensics-"))
        report = run_audit(folder, suspect, reference, controls=controls, **settings)
    else:
        folder = audit.folder  # type: ignore[attr-defined]
        report = audit(suspect, reference, controls=tuple(controls), **settings)
    found = judge_gate(Gate(f"llr>={max_llr:g}", "llr", max_llr), report, None, "")
    if found.outcome == "pass" or (found.outcome == "inconclusive" and inconclusive == "pass"):
        return report
    message = _message(report, found.detail, found.outcome, max_llr, report_path(folder, report))
    if found.outcome == "inconclusive" and inconclusive == "skip":
        pytest.skip(message.replace("\n", "; "))
    raise AssertionError(message)


def _message(report: Report, detail: str, outcome: str, max_llr: float, path: Path) -> str:
    from .console import printable

    v = report.verdict
    head = (
        "may have been trained on outputs of" if outcome == "fail" else "could not be cleared of training on outputs of"
    )
    parties = {p.name: p.spec for p in report.parties}
    lines = [
        f"{parties.get('suspect')} {head} {parties.get('reference')}",
        f"  {detail} (the test allows less than {max_llr:+g})",
        f"  {v.wording}",
        *(f"  reason: {r}" for r in v.reasons[:3]),
        f"  report: {path.resolve().as_uri()}",
    ]
    if outcome == "inconclusive":
        lines.append("  inconclusive is no pass; inconclusive='skip' or 'pass' would make it one")
    return printable("\n".join(lines))


def report_path(folder: Path, report: Report) -> Path:
    """Where `run_audit` put the page."""
    return folder / f"report-{report.digest[:12]}.html"


def run_audit(
    folder: Path, suspect: str, reference: str, *, controls: Sequence[str] = (),
    reference_case: str | Path | None = None, **settings: Any,
) -> Report:  # fmt: skip
    """One audit; its case and its reports (HTML, JSON) are written into ``folder``."""
    from contextlib import ExitStack

    from .audit import judge
    from .check.reuse import collect_release
    from .cli_output import write
    from .config import make_config
    from .serial import dump
    from .store import Store
    from .types import sha256

    config = make_config({"suspect": suspect, "reference": reference, "controls": tuple(controls), **settings})
    with ExitStack() as stack:
        source = None if reference_case is None else stack.enter_context(Store(reference_case, must_exist=True))
        store = stack.enter_context(Store(folder / f"{sha256(dump(config))[:12]}.case"))
        collect_release(config, store, source)
        report = judge(store, population=config.population, comparators=config.comparators)
    page = report_path(folder, report)
    write(report, [page, page.with_suffix(".json")], quiet=True)
    return report
