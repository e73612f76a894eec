"""The command as users run it: real processes, their streams and their exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOYS = [
    "--suspect",
    "toy/sam?parent=ref&share=0.7",
    "--reference",
    "toy/ref",
    "--control",
    "toy/ann",
    "--control",
    "toy/bob",
]


def run(*args: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FORENSICS_", "OPENAI_"))}
    return subprocess.run(
        [sys.executable, "-m", "forensics.cli", *args],
        cwd=cwd, env={**clean, "COLUMNS": "120", **env}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def one_line(found: subprocess.CompletedProcess[str], code: int) -> str:
    """The single line of an error; nothing on stdout, no traceback."""
    lines = [line for line in found.stderr.splitlines() if not line.startswith(("case ", "wrote "))]
    assert found.returncode == code, found.stderr
    assert found.stdout == ""
    assert len(lines) == 1, found.stderr
    assert lines[0].startswith("forensics: ")
    return lines[0]


def test_help_is_quick_and_light() -> None:
    program = (
        "import sys\nfrom forensics.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'scipy', 'sklearn', 'torch', 'transformers', 'matplotlib', 'numpy', 'pydantic'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "audit" in found.stdout
    assert "HEAVY []" in found.stdout


def test_every_command_has_help() -> None:
    for command in (
        "demo",
        "audit",
        "collect",
        "compare",
        "report",
        "doctor",
        "list",
        "init",
        "verify",
        "redact",
        "fingerprint",
    ):
        found = run(command, "--help")
        assert found.returncode == 0
        assert found.stdout.startswith("Usage:")


def test_an_audit_from_nothing_to_a_report(tmp_path: Path, suite_file: Path) -> None:
    args = ["audit", *TOYS, "--suite", str(suite_file), "--case", "a.case"]
    found = run(*args, "-o", "r.html", "-o", "r.json", "-o", "r.md", cwd=tmp_path)
    assert found.returncode == 3, found.stderr
    assert "cannot" in found.stdout.lower()
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["verdict"]["decision"] == "cannot-tell"
    assert "<html" in (tmp_path / "r.html").read_text()
    again = run("compare", "--case", "a.case", "--json", cwd=tmp_path)
    assert again.returncode == 3
    assert again.stdout == (tmp_path / "r.json").read_text()
    html = run("report", "a.case", "-f", "html", cwd=tmp_path)
    assert html.stdout == (tmp_path / "r.html").read_text()
    assert run("report", "r.json", "-f", "html", cwd=tmp_path).stdout == html.stdout


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["audit", "--suspect", "opnai/gpt", "--reference", "toy/b"], 2, "did you mean 'openai'"),
        (["audit", "--suspect", "toy/a"], 2, "reference is not given"),
        (["audit", "--suspect", "toy/a", "--reference", "nonsense"], 2, "no model spec and no file"),
        (["compare", "--suspect", "/no/such.jsonl", "--reference", "/no/such2.jsonl"], 2, "no such file"),
        (["compare", "--case", "none.case"], 2, "no such case"),
        (["audit", "--suspect", "hf/no/such/dir", "--reference", "toy/b", "--suite", "zoo"], 4, "no/such/dir"),
        (["audit", "--suspect", "openai/gpt-4o-mini", "--reference", "toy/b"], 4, "OPENAI_API_KEY"),
        (["audit", "--suspect", "api/x/y?api_key=1", "--reference", "toy/b"], 2, "looks like a secret"),
        (["audit", "--suspect", "zoo/studnet", "--reference", "toy/b"], 2, "did you mean 'student'"),
        (["audit", "--suspect", "toy/a", "--reference", "toy/b", "--suite", "nope"], 2, "no suite 'nope'"),
        (["audit", "--suspect", "toy/a", "--reference", "toy/b", "-o", "r.pdf"], 2, "r.pdf"),
        (["audit", "--config", "none.toml"], 2, "no such configuration file"),
        (["report", "none.json"], 2, "no such case or report"),
        (["list", "probs"], 2, "did you mean 'probes'"),
    ],
)
def test_bad_input_is_one_line_and_the_right_code(tmp_path: Path, args: list[str], code: int, words: str) -> None:
    assert words in one_line(run(*args, cwd=tmp_path), code)


def test_a_directory_without_weights(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text('{"model_type": "llama"}')
    found = run("audit", "--suspect", f"hf/{tmp_path / 'm'}", "--reference", "toy/b", cwd=tmp_path)
    assert "weights" in one_line(found, 4)


def test_an_endpoint_that_is_down(tmp_path: Path) -> None:
    spec = "api/local/m?base_url=http://127.0.0.1:9/v1&retries=1"
    line = one_line(run("audit", "--suspect", spec, "--reference", "toy/b", cwd=tmp_path), 4)
    assert "127.0.0.1:9" in line


def test_a_broken_line_names_file_and_line(tmp_path: Path) -> None:
    good = '{"prompt": "p%d", "response": "r"}\n'
    (tmp_path / "a.jsonl").write_text(good % 1 + '{"prompt": "p2", "respo\n')
    (tmp_path / "b.jsonl").write_text(good % 1)
    found = run("compare", "--suspect", "a.jsonl", "--reference", "b.jsonl", cwd=tmp_path)
    assert "a.jsonl:2" in one_line(found, 2)
    lenient = run("compare", "--suspect", "a.jsonl", "--reference", "b.jsonl", "--skip-bad", "--json", cwd=tmp_path)
    assert lenient.returncode == 3
    assert any("1 line" in text for text in json.loads(lenient.stdout)["limitations"])


def test_files_that_do_not_pair(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "one", "response": "r"}\n')
    (tmp_path / "b.jsonl").write_text('{"prompt": "two", "response": "r"}\n')
    assert "no item is in all" in one_line(
        run("compare", "--suspect", "a.jsonl", "--reference", "b.jsonl", cwd=tmp_path), 2
    )


def test_the_budget_stops_and_the_same_command_continues(tmp_path: Path, suite_file: Path) -> None:
    args = ["audit", *TOYS, "--suite", str(suite_file)]
    stopped = run(*args, "--max-requests", "100", cwd=tmp_path)
    assert "100 requests" in one_line(stopped, 4)
    (case,) = tmp_path.glob("forensics-*.case")
    finished = run(*args, "--json", cwd=tmp_path)
    assert finished.returncode == 3
    assert "(continued)" in finished.stderr
    assert list(tmp_path.glob("*.case")) == [case]


def test_a_changed_case_is_code_5(tmp_path: Path, suite_file: Path) -> None:
    import sqlite3

    run("collect", *TOYS, "--suite", str(suite_file), "--case", "a.case", cwd=tmp_path)
    db = sqlite3.connect(tmp_path / "a.case")
    db.execute("DROP TRIGGER entry_no_update")
    db.execute("UPDATE entry SET received_at = 'never' WHERE seq = 9")
    db.commit()
    db.close()
    assert "entry 9" in one_line(run("compare", "--case", "a.case", cwd=tmp_path), 5)
    (tmp_path / "r.json").write_text('{"schema_version": "1.0"}')
    assert "r.json" in one_line(run("report", "r.json", cwd=tmp_path), 5)


def test_dry_run_asks_nothing(tmp_path: Path, suite_file: Path) -> None:
    found = run("audit", *TOYS, "--suite", str(suite_file), "--dry-run", "--json", cwd=tmp_path)
    assert found.returncode == 0
    assert json.loads(found.stdout)["items"] == 40
    assert list(tmp_path.iterdir()) == []


def test_init_then_dry_run(tmp_path: Path) -> None:
    assert run("init", cwd=tmp_path).returncode == 0
    assert "exists already" in one_line(run("init", cwd=tmp_path), 2)
    found = run("audit", "--config", "forensics.toml", "--dry-run", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "zoo" in found.stdout


def test_doctor_and_list() -> None:
    found = run("doctor", "toy/x", "--json")
    assert json.loads(found.stdout)["prompt_scoring"] is True
    for kind in ("probes", "comparators", "backends", "exact", "populations", "suites", "zoo"):
        assert run("list", kind).returncode == 0


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_keeps_what_was_answered(tmp_path: Path, times: int) -> None:
    """A slow endpoint (never answering, on the loopback), interrupted once and twice."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        spec = f"api/slow/m?base_url=http://127.0.0.1:{server.getsockname()[1]}/v1"
        process = subprocess.Popen(
            [sys.executable, "-m", "forensics.cli", "collect", "-S", spec, "-R", "toy/b", "--case", "a.case"],
            cwd=tmp_path, stderr=subprocess.PIPE, text=True,
            # Whoever runs these tests in the background has SIGINT ignored, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            for _ in range(times):
                process.send_signal(signal.SIGINT)
                time.sleep(0.05)
            try:
                _, talk = process.communicate(timeout=60)
            finally:
                process.kill()
    assert process.returncode == 4, talk
    assert "Traceback" not in talk
    assert "interrupted" in talk
    assert (tmp_path / "a.case").is_file()


def test_kill_9_loses_no_answer_and_asks_none_twice(tmp_path: Path) -> None:
    """Killed as soon as answers arrive; the same command then finishes, and the chain still holds."""
    import sqlite3

    suite = tmp_path / "long.jsonl"
    suite.write_text("".join(f'{{"prompt": "Tell me about {i}.", "max_tokens": 30}}\n' for i in range(400)))
    args = [*TOYS, "--suite", "long.jsonl", "--case", "a.case"]
    process = subprocess.Popen([sys.executable, "-m", "forensics.cli", "collect", *args], cwd=tmp_path)

    def answered() -> list[tuple[str, str, str]]:
        if not (tmp_path / "a.case").is_file():
            return []
        db = sqlite3.connect(tmp_path / "a.case", timeout=30)
        try:
            return list(db.execute("SELECT party, request, hash FROM entry WHERE kind = 'answer'"))
        except sqlite3.OperationalError:  # the tables are not there yet
            return []
        finally:
            db.close()

    deadline = time.monotonic() + 60
    while not answered() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    before = answered()
    assert before
    finished = run("collect", *args, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    after = answered()
    assert len({row[:2] for row in after}) == len(after) > len(before)
    assert set(before) <= set(after)
    assert run("compare", "--case", "a.case", "--json", cwd=tmp_path).returncode == 3


def test_foreign_text_can_not_steer_the_terminal() -> None:
    found = run("doctor", "toy/a[/b]\x1b[31mRED")
    assert found.returncode == 0, found.stderr
    assert "\x1b" not in found.stdout
    assert "a[/b]" in found.stdout


def test_a_defect_is_one_line_and_no_finding(tmp_path: Path) -> None:
    """An exception that is not ours must not end in 1, which would mean "at or above the gate"."""
    program = (
        "import forensics.console as c, typer\n"
        "app = typer.Typer()\n"
        "@app.command()\n@c.guarded\ndef f() -> int:\n    raise KeyError('x')\n"
        "app()\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "internal error (KeyError" in one_line(found, 4)


def test_two_runs_of_one_case(tmp_path: Path, suite_file: Path) -> None:
    from forensics import Store

    with Store(tmp_path / "a.case"):
        found = run("collect", *TOYS, "--suite", str(suite_file), "--case", "a.case", cwd=tmp_path)
    assert "in use by another run" in one_line(found, 2)


def test_a_local_model_without_torch_names_the_extra(tmp_path: Path) -> None:
    program = (
        "import sys\nsys.modules['torch'] = None\n"
        "from forensics.cli import app\n"
        "app(['audit', '-S', 'zoo/student', '-R', 'toy/b', '--suite', 'zoo'])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert "pip install 'distillation-forensics[local]'" in one_line(found, 4)


def test_validate_writes_every_format(tmp_path: Path) -> None:
    files = [tmp_path / f"v.{ending}" for ending in ("html", "md", "json")]
    found = run("validate", "--population", "zoo", *(f"-o{file}" for file in files))
    assert found.returncode == 0, found.stderr
    record = json.loads(files[2].read_text())
    assert record["lineages"] == [24, 30]
    for text in (found.stdout, *(file.read_text() for file in files[:2])):
        assert f"{record['cllr']:.3f}" in text
    assert json.loads(run("validate", "--population", "zoo", "--json").stdout) == record
    assert "ends in" in one_line(run("validate", "--population", "zoo", "-o", str(tmp_path / "v.pdf")), 2)
