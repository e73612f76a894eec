"""The pytest plugin in a pytest of its own, alone and under pytest-xdist."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

INSTALLED = any(p.value == "forensics.pytest_plugin" for p in entry_points(group="pytest11"))
TESTS = """
import pytest
from forensics.pytest_plugin import assert_not_distilled as plain

SETTINGS = dict(controls=("toy/ann", "toy/bob", "toy/cid"), suite={suite!r}, reference_case={case!r})

def test_open(assert_not_distilled):
    assert_not_distilled("toy/run6?parent=house&share=0.9", "toy/ref", **SETTINGS)

def test_asked_for(assert_not_distilled):
    report = assert_not_distilled("toy/run6?parent=house&share=0.9", "toy/ref", inconclusive="pass", **SETTINGS)
    assert report.verdict.decision == "cannot-tell"

def test_skipped(assert_not_distilled):
    assert_not_distilled("toy/run6?parent=house&share=0.9", "toy/ref", inconclusive="skip", **SETTINGS)

def test_once(forensics_audit):
    args = ("toy/run6?parent=house&share=0.9", "toy/ref")
    assert forensics_audit(*args, **SETTINGS) is forensics_audit(*args, **SETTINGS)
"""


def pytest_run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    plugin = [] if INSTALLED else ["-p", "forensics.pytest_plugin"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "-q", *args], cwd=folder,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("args", [(), ("-n", "2")])
def test_the_fixtures(lab: Path, tmp_path: Path, args: tuple[str, ...]) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    text = TESTS.format(suite=str(lab / "small.jsonl"), case=str(lab / "run1.case"))
    (tmp_path / "test_it.py").write_text(text)
    found = pytest_run(tmp_path, *args)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "1 failed, 2 passed, 1 skipped" in found.stdout
    assert "could not be cleared of training on outputs of toy/ref" in found.stdout
    link = found.stdout.split("report: file://")[1].split()[0]
    assert Path(link).read_text().startswith("<!doctype html>") or "<html" in Path(link).read_text()
    assert "pytest_plugin.py" not in found.stdout  # the traceback ends in the test


def test_a_copy_fails_in_words(tmp_path: Path) -> None:
    """A report with a decision, without asking anybody."""
    from forensics import Report
    from forensics.pytest_plugin import assert_not_distilled

    golden = Report.from_json((Path(__file__).parents[1] / "golden" / "report-decided.json").read_bytes())

    def audit(*_: object, **__: object) -> Report:
        return golden

    audit.folder = tmp_path  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match=r"may have been trained on outputs of[\s\S]*llr \+[\s\S]*report: file://"):
        assert_not_distilled("a", "b", controls=(), audit=audit)
    assert assert_not_distilled("a", "b", controls=(), max_llr=9.0, audit=audit) is golden


def test_unused_it_imports_nothing_heavy() -> None:
    program = (
        "import pytest, sys\nbefore = set(sys.modules)\nimport forensics.pytest_plugin\n"
        "print(sorted(m for m in set(sys.modules) - before))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert set(eval(found.stdout)) <= {"forensics", "forensics.pytest_plugin", "__future__"}
