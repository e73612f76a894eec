"""The check as users run it: real processes for the command, the toy lab for everything between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from junitparser import JUnitXml
from toy_lab import CONTROLS, TAUGHT, clean

from forensics import EvidenceError, Store, UsageError
from forensics.check.baseline import differences, moved_on, open_case, read_baseline, release_of, with_look
from forensics.check.gates import parse_gates
from forensics.check.record import Baseline, CheckRecord
from forensics.check.run import Previous, assess, check, from_report
from forensics.config import AuditConfig, load_config
from reports import checked

GATES = ("drift.cross-likelihood>=0",)


def run(*args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FORENSICS_", "OPENAI_", "GITHUB_"))}
    return subprocess.run(
        [sys.executable, "-m", "forensics.cli", *args], cwd=cwd, env={**kept, "COLUMNS": "120", **env},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def one_line(found: subprocess.CompletedProcess[str], code: int) -> str:
    lines = [line for line in found.stderr.splitlines() if not line.startswith("case ")]
    assert found.returncode == code, found.stderr
    assert len(lines) == 1, found.stderr
    assert lines[0].startswith("forensics: ")
    return lines[0]


def baseline(lab: Path) -> Baseline:
    found = read_baseline(lab / "baseline.json")
    assert isinstance(found, Baseline)
    return found


@contextmanager
def previous(lab: Path, b: Baseline | None = None) -> Iterator[Previous]:
    b = b or baseline(lab)
    with open_case(b, lab / "baseline.json") as case:
        yield Previous("baseline.json", b, case)


def checked_release(lab: Path, spec: str, b: Baseline | None = None, store: Store | None = None) -> CheckRecord:
    config = AuditConfig(spec, "toy/ref", CONTROLS, suite=str(lab / "small.jsonl"))
    with previous(lab, b) as p:
        return check(config, parse_gates(GATES), store=Store(None) if store is None else store, previous=p)[0]


def test_a_clean_release_passes_and_one_that_copies_fails(lab: Path) -> None:
    passed = checked_release(lab, clean(6))
    assert (passed.outcome, passed.exit_code) == ("pass", 0)
    failed = checked_release(lab, TAUGHT)
    assert (failed.outcome, failed.exit_code) == ("fail", 1)
    (gate,) = failed.gates
    assert gate.gate == GATES[0]
    assert gate.value is not None
    assert gate.interval is not None
    assert gate.interval[0] > 0
    assert failed.baseline is not None
    assert (failed.baseline.look, failed.baseline.level) == (1, 0.0125)


@pytest.mark.slow
def test_only_the_suspect_is_asked(lab: Path) -> None:
    """Everything else comes from the baseline's case, byte by byte, and no other model is opened."""
    store = Store(None)
    config = AuditConfig(clean(6), "toy/ref", CONTROLS, suite=str(lab / "small.jsonl"))
    with previous(lab) as p:
        check(config, parse_gates(GATES), store=store, previous=p)
        assert p.case is not None
        theirs = {(e.party, store.body(e.raw)) for e in store.entries("answer") if e.party != clean(6)}
        known = {(e.party, p.case.body(e.raw)) for e in p.case.entries("answer")}
    assert theirs
    assert theirs <= known
    store.check()


@pytest.mark.slow
def test_a_look_is_spent_once_and_a_pass_moves_the_baseline_on(lab: Path, tmp_path: Path) -> None:
    b, home = baseline(lab), lab / "baseline.json"
    failed = checked_release(lab, TAUGHT)
    after = with_look(b, failed)
    assert [k.outcome for k in after.looks] == ["fail"]
    assert with_look(after, failed) == after  # the same checkpoint again spends nothing
    assert checked_release(lab, TAUGHT, after).baseline == failed.baseline
    path = tmp_path / "run6.case"
    with Store(path) as store:
        passed = checked_release(lab, clean(6), after, store)
    assert passed.baseline is not None
    assert passed.baseline.look == 2
    with Store(path, must_exist=True) as case:
        release, _, _ = release_of([case])
    moved = moved_on(with_look(after, passed), release, path, home, passed)
    assert moved.current.step is not None
    assert moved.current.over == 5
    assert [r.spec for r in moved.current.runs] == [clean(6)]
    assert {what for what, _, _ in differences(b, moved)} >= {"release", "runs", "releases", "looks"}
    with pytest.raises(UsageError, match="run the check again"):
        with_look(with_look(after, passed), replace(passed, identity="other"))


@pytest.mark.slow
def test_noise_of_earlier_releases_is_used_by_the_next(lab: Path, tmp_path: Path) -> None:
    path = lab / "run6.case"
    with Store(path) as store:
        passed = checked_release(lab, clean(6), None, store)
    with Store(path, must_exist=True) as case:
        release, _, _ = release_of([case])
    moved = moved_on(with_look(baseline(lab), passed), release, path, lab / "baseline.json", passed)
    found = checked_release(lab, clean(7), moved)
    (d,) = [d for d in found.drift if d.quantity == "cross-likelihood"]
    assert (d.noise, d.run_df) == ("clean runs", 5)  # four of the earlier release's runs, one step


@pytest.mark.slow
def test_a_report_can_stand_in_for_the_baseline(lab: Path) -> None:
    config = AuditConfig(clean(6), "toy/ref", CONTROLS, suite=str(lab / "small.jsonl"))
    store = Store(None)
    with previous(lab) as p:
        _, report = check(config, (), store=store, previous=p)
    other = Store(None)
    config = replace(config, suspect=TAUGHT)
    found, _ = check(config, parse_gates(GATES), store=other, previous=from_report(report, "report.json"))
    (d,) = [d for d in found.drift if d.quantity == "cross-likelihood"]
    assert d.value is not None
    assert d.value > 0
    assert (d.noise, d.run_df) == ("controls", 2)
    assert any("without its case" in note for note in found.notes)


def test_without_a_baseline_a_drift_is_open_not_passed(lab: Path) -> None:
    with Store(lab / "run1.case", must_exist=True) as store:
        found, _ = assess(store, parse_gates(GATES))
    assert (found.outcome, found.exit_code) == ("inconclusive", 3)


def test_other_conditions_are_refused(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text((lab / "small.jsonl").read_text().replace("thing", "matter"))
    config = AuditConfig(clean(6), "toy/ref", CONTROLS, suite=str(tmp_path / "other.jsonl"))
    with previous(lab) as p, pytest.raises(UsageError, match="suite"):
        check(config, parse_gates(GATES), store=Store(None), previous=p)
    config = AuditConfig(clean(6), "toy/other", CONTROLS, suite=str(lab / "small.jsonl"))
    with previous(lab) as p, pytest.raises(UsageError, match="its reference is toy/ref, this check's toy/other"):
        check(config, parse_gates(GATES), store=Store(None), previous=p)
    with previous(lab) as p:
        b = replace(p, baseline=replace(p.baseline, conditions={**p.baseline.conditions, "suite_digest": "other"}))
        with pytest.raises(UsageError, match="suite digest is other"):
            check(replace(config, reference="toy/ref"), parse_gates(GATES), store=Store(None), previous=b)


def test_runs_that_are_the_same_run_are_refused(lab: Path) -> None:
    with (
        Store(lab / "run1.case", must_exist=True) as one,
        Store(lab / "run2.case", must_exist=True) as two,
        pytest.raises(UsageError, match="counted twice"),
    ):
        release_of([one, two, two])


# -- files that are not what they should be


def test_bad_baselines(lab: Path, tmp_path: Path) -> None:
    text = (lab / "baseline.json").read_text()
    path = tmp_path / "b.json"
    for change, words in (
        (text.replace('"schema_version": "1.0"', '"schema_version": "7.0"'), "schema version 7.0"),
        (text.replace('"alpha": 0.05', '"alpha": 5'), "alpha is 5"),
        (text.replace('"alpha": 0.05', '"alpha": "x"'), "alpha"),
        (text[:200], "neither a baseline nor a report"),
        ("[]", "neither a baseline nor a report"),
        ("{}", "neither a baseline nor a report"),
        (text.replace('"kind"', '"kin"'), "neither a baseline nor a report"),
    ):
        path.write_text(change)
        with pytest.raises(UsageError, match=words):
            read_baseline(path)
    path.write_text(text)
    b = read_baseline(path)
    assert isinstance(b, Baseline)
    with pytest.raises(UsageError, match="is not there"):
        open_case(b, path)
    (tmp_path / "run1.case").write_bytes((lab / "run2.case").read_bytes())
    with pytest.raises(EvidenceError, match="is not the case of the baseline"):
        open_case(b, path)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--gate", "llr"], 2, "is not NAME>=NUMBER"),
        pytest.param(["--baseline", "none.json"], 2, "no such baseline", marks=pytest.mark.slow),
        pytest.param(["--baseline", "small.jsonl"], 2, "neither a baseline nor a report", marks=pytest.mark.slow),
        pytest.param(["--config", "none.toml"], 2, "no such configuration file", marks=pytest.mark.slow),
        pytest.param(["--junit", "no/such/dir.xml"], 2, "its directory does not exist", marks=pytest.mark.slow),
        (["--reference-case", "none.case"], 2, "none.case is not there"),
        pytest.param(["--case", "none/x.case"], 2, "its directory does not exist", marks=pytest.mark.slow),
        pytest.param(["--dataset", "none.jsonl"], 2, "no such file of answers", marks=pytest.mark.slow),
        pytest.param(["--canary", "small.jsonl"], 2, "is not JSON", marks=pytest.mark.slow),
    ],
)
def test_bad_input_is_one_line(lab: Path, args: list[str], code: int, words: str) -> None:
    config = [] if "--config" in args else ["--config", "forensics.toml"]
    assert words in one_line(run("check", *config, *args, cwd=lab), code)


@pytest.mark.slow
def test_lint(lab: Path, tmp_path: Path) -> None:
    assert run("lint", "forensics.toml", "baseline.json", cwd=lab).returncode == 0
    good = (lab / "forensics.toml").read_text()
    for change, words in (
        ("gates = [", 'gate = ["llr>=1"]\ngates = ['),
        ("drift.cross-likelihood>=0", "drift.cross>=0"),
        ('baseline = "baseline.json"', ""),
        ("[check]", "[check]\nalpha = 2"),
        ("[check]", '[check]\ncanary = "key.json"'),
        ('"toy/ref"', '"toy"'),
    ):
        (tmp_path / "forensics.toml").write_text(good.replace(change, words, 1))
        one_line(run("lint", "forensics.toml", cwd=tmp_path), 2)


# -- the command, its files and its streams


def test_the_files_that_ci_reads(lab: Path, tmp_path: Path) -> None:
    step = tmp_path / "step.md"
    step.write_text("# An earlier step\n")
    found = run(
        "check", "--config", "forensics.toml", "-S", TAUGHT, "--case", str(tmp_path / "r.case"),
        "--gate", GATES[0], "--gate", "llr>=1", "--junit", str(tmp_path / "j.xml"), "--summary", str(step), "--record",
        str(tmp_path / "c.json"), "-o", str(tmp_path / "r.html"), "--json", "--annotate", "-q",
        cwd=lab, GITHUB_STEP_SUMMARY=str(step),
    )  # fmt: skip
    assert found.returncode == 1, found.stderr
    record = json.loads(found.stdout)
    assert record == json.loads((tmp_path / "c.json").read_text())
    assert [g["outcome"] for g in record["gates"]] == ["fail", "inconclusive"]
    annotations = [line for line in found.stderr.splitlines() if line.startswith("::")]
    assert len(annotations) == 1
    assert annotations[0].startswith("::error title=forensics check::failed")
    xml = JUnitXml.fromfile(str(tmp_path / "j.xml"))
    assert (xml.tests, xml.failures, xml.errors, xml.skipped) == (2, 1, 0, 1)
    (suite,) = xml
    first, second = suite
    assert (first.name, first.result[0].type, second.is_skipped) == (GATES[0], "gate", True)
    assert "r.html" in first.result[0].text
    text = step.read_text()
    assert text.startswith("# An earlier step\n## ✗ forensics check failed")
    assert len(text.encode()) < checked.SUMMARY_BYTES + 100


@pytest.mark.slow
def test_three_is_not_zero_unless_asked_for(lab: Path) -> None:
    args = ["check", "--case", "run1.case", "--gate", "llr>=1", "-q"]
    assert run(*args, cwd=lab).returncode == 3
    found = run(*args, "--inconclusive-ok", "--json", cwd=lab)
    assert found.returncode == 0
    record = json.loads(found.stdout)
    assert (record["outcome"], record["exit_code"]) == ("inconclusive", 0)


@pytest.mark.slow
def test_from_nothing_to_the_second_release(lab: Path, tmp_path: Path) -> None:
    for name in ("small.jsonl", "forensics.toml"):
        (tmp_path / name).write_text((lab / name).read_text())
    args = ["check", "--config", "forensics.toml", "-q"]
    first = run(*args, "-S", clean(1), "--gate", "llr>=1", "--case", "r1.case", cwd=tmp_path)
    assert first.returncode == 3  # no baseline is needed where nothing is gated on drift; no population speaks of toys
    assert "--case" in one_line(run("baseline", "update", "baseline.json", cwd=tmp_path), 2)
    runs = [part for n in (2, 3, 4) for part in ("--run", str(lab / f"run{n}.case"))]
    made = run("baseline", "update", "baseline.json", "--case", "r1.case", *runs, "--restart", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    second = run(*args, "-S", TAUGHT, "--case", "r2.case", "--record", "c2.json", cwd=tmp_path)
    assert second.returncode == 1, second.stderr
    kept = run("baseline", "update", "baseline.json", "--check", "c2.json", cwd=tmp_path)
    assert "its look is spent" in kept.stderr
    shown = run("baseline", "show", "baseline.json", cwd=tmp_path)
    assert "1 look" in shown.stdout
    assert (
        json.loads(run("baseline", "show", "baseline.json", "--json", cwd=tmp_path).stdout)["looks"][0]["number"] == 1
    )
    third = run(*args, "-S", clean(8), "--case", "r3.case", "--record", "c3.json", cwd=tmp_path)
    assert third.returncode == 0, third.stdout
    assert run("baseline", "update", "baseline.json", "--check", "c3.json", cwd=tmp_path).returncode == 0
    difference = run("baseline", "diff", str(lab / "baseline.json"), "baseline.json", "--json", cwd=tmp_path)
    assert "release" in [row["what"] for row in json.loads(difference.stdout)]


class Dying(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that answers so many requests and then only errors."""

    left = 0
    asked = 0

    def do_POST(self) -> None:
        type(self).asked += 1
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "messages" not in body:  # no raw prompts here
            self.do_GET()
            return
        type(self).left -= 1
        if type(self).left < 0:
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        asked = body["messages"][-1]["content"]
        said = {"message": {"role": "assistant", "content": f"An answer to {asked}"}, "finish_reason": "stop"}
        data = json.dumps({"id": f"x{type(self).left}", "model": "m", "choices": [{"index": 0, **said}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    """The spec of a model behind a `Dying` server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Dying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"api/lab/m?base_url=http://127.0.0.1:{server.server_port}/v1&retries=0"
    finally:
        server.shutdown()
        server.server_close()


def test_a_release_that_offers_less_is_refused_before_it_is_asked(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The baseline's toys list next tokens, this server does not: its audit would ask other things."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    Dying.left, Dying.asked = 10_000, 0
    with serving() as spec, previous(lab) as p:
        config = AuditConfig(spec, "toy/ref", CONTROLS, suite=str(lab / "small.jsonl"))
        with pytest.raises(UsageError, match="does not ask what the baseline's"):
            check(config, parse_gates(GATES), store=Store(None), previous=p)
    assert 0 < Dying.asked < 15  # the handshake; the suite has 40 items


def test_a_dry_run_asks_the_release_alone(lab: Path, tmp_path: Path) -> None:
    for name in ("small.jsonl", "forensics.toml", "baseline.json", "run1.case"):
        (tmp_path / name).write_bytes((lab / name).read_bytes())
    config = tmp_path / "forensics.toml"  # an audit's stopping rule is not the check's
    config.write_text(config.read_text().replace("[audit]", '[audit]\nuntil = "llr>=1"'))
    assert "until" in config.read_text()
    found = run("check", "--config", "forensics.toml", "-S", clean(6), "--dry-run", "--json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert "until" not in told
    parties = told["parties"]
    assert parties["suspect"]["requests"] >= 40
    assert all(not any(row.values()) for name, row in parties.items() if name != "suspect")
    assert len(list(tmp_path.iterdir())) == 4  # no case was begun
    (tmp_path / "data.jsonl").write_text('{"prompt": "a", "response": "b"}\n{"prompt": "c", "response": "d"}\n')
    found = run("check", "--dataset", "data.jsonl", "-R", "toy/ref", "-C", "toy/ann", "-C", "toy/bob", "--dry-run",
                "--json", cwd=tmp_path)  # fmt: skip
    assert {n: p["requests"] > 0 for n, p in json.loads(found.stdout)["parties"].items()} == {
        "suspect": False, "reference": True, "ann": True, "bob": True}  # fmt: skip


@pytest.mark.slow
def test_an_endpoint_that_dies_in_the_middle_is_resumed(lab: Path, tmp_path: Path) -> None:
    with serving() as spec:
        case = str(tmp_path / "r.case")
        plain = tmp_path / "plain.toml"  # a server without logits can't be compared with the baseline's toys
        text = (lab / "forensics.toml").read_text().split("[check]")[0]
        plain.write_text(text.replace('"small.jsonl"', f'"{lab}/small.jsonl"'))
        args = ["check", "--config", str(plain), "-S", spec, "--gate", "llr>=1", "--case", case,
                "--reference-case", "run1.case", "--junit", str(tmp_path / "j.xml"), "-q"]  # fmt: skip
        Dying.left = 25
        stopped = run(*args, cwd=lab, NO_PROXY="127.0.0.1")
        assert stopped.returncode == 4, stopped.stderr
        xml = JUnitXml.fromfile(str(tmp_path / "j.xml"))
        assert (xml.tests, xml.errors) == (1, 1)
        with Store(tmp_path / "r.case", must_exist=True) as store:
            kept = sum(e.party.startswith("api/lab/m") for e in store.entries("answer"))
        assert 0 < kept < 40
        Dying.left = 10_000
        done = run(*args, cwd=lab, NO_PROXY="127.0.0.1")
        assert done.returncode == 3, done.stderr
        assert 10_000 - Dying.left < 60  # what was answered is not asked again
        assert JUnitXml.fromfile(str(tmp_path / "j.xml")).skipped == 1


def test_another_checkpoint_under_the_same_name_is_refused(lab: Path, tmp_path: Path) -> None:
    from forensics.backends import open_backend
    from forensics.check.reuse import _same_checkpoint
    from forensics.spec import parse_spec

    (tmp_path / "m").mkdir()
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(b"one")
    backend = open_backend(parse_spec(f"hf/{tmp_path / 'm'}"))
    with Store(tmp_path / "x.case") as store:
        _same_checkpoint(store, backend)
        _same_checkpoint(store, backend)
        weights.write_bytes(b"two")
        with pytest.raises(UsageError, match="another checkpoint"):
            _same_checkpoint(store, backend)


def test_names_can_not_break_out_of_the_views(lab: Path) -> None:
    found = checked_release(lab, clean(6))
    evil = "x\n::error::pwned\r%0A|<script>\x1b[31m\x00`"
    hostile = replace(found, suspect=evil, gates=tuple(replace(g, detail=evil, gate=evil) for g in found.gates))
    line = checked.annotation(hostile)
    assert "\n" not in line
    assert "%0A" not in line.replace("%250A", "")
    xml = JUnitXml.fromstring(checked.junit(hostile).encode())
    assert xml.tests == 1
    text = checked.markdown(hostile)
    assert "<script>" not in text
    assert "\x1b" not in text
    assert len(checked.markdown(hostile, None, max_bytes=300).encode()) <= 300


def test_the_config_file_takes_the_table(lab: Path) -> None:
    assert load_config(lab / "forensics.toml").suspect == clean(1)
