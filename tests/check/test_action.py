"""The composite Action's steps in a plain shell, as a runner would run them; the hooks' and the GitLab job's files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml
from toy_lab import TAUGHT

pytestmark = pytest.mark.slow  # whole processes, one after another
ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / ".github/actions/audit/action.yml").read_text())


def act(cwd: Path, tmp: Path, **inputs: str) -> tuple[int, dict[str, str], str, str]:
    """(exit code of the first step that fails, outputs, job summary, what was printed): expressions filled in, each
    step a script run by ``bash --noprofile --norc -eo pipefail``, as GitHub documents."""
    values = {name: str(entry.get("default", "")) for name, entry in ACTION["inputs"].items()} | inputs
    found: dict[str, dict[str, str]] = {}
    summary, printed = tmp / "summary.md", ""
    summary.touch()

    def fill(text: str) -> str:
        def one(match: re.Match[str]) -> str:
            kind, *rest = match[1].strip().split(".")
            return values[rest[0]] if kind == "inputs" else found[rest[0]].get(rest[2], "")

        return re.sub(r"\$\{\{(.*?)\}\}", one, text)

    code = 0
    for number, step in enumerate(ACTION["runs"]["steps"]):
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]  # inputs come by the environment: nothing is pasted into a script
        if step.get("if") == "inputs.install != ''" and not values["install"]:
            continue
        script, output = tmp / f"step-{number}.sh", tmp / f"output-{number}"
        script.write_text(step["run"])
        output.touch()
        env = {k: v for k, v in os.environ.items() if not k.startswith("FORENSICS_")}
        env |= {name: fill(str(value)) for name, value in step.get("env", {}).items()}
        env |= {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_ACTIONS": "true"}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)], cwd=cwd, env=env, capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip
        lines = (line.partition("=") for line in output.read_text().splitlines())
        found[step.get("id", str(number))] = {key: value for key, _, value in lines}
        printed += done.stdout + done.stderr
        code = done.returncode
        if code:
            break
    outputs = {name: fill(entry["value"]) for name, entry in ACTION["outputs"].items()}
    return code, outputs, summary.read_text(), printed


def test_the_steps_of_the_action(lab: Path, tmp_path: Path) -> None:
    out = tmp_path / "out dir"
    code, outputs, summary, printed = act(
        lab, tmp_path, install="", python=sys.executable, suspect=TAUGHT, case=str(tmp_path / "r.case"),
        output=str(out), gates="drift.cross-likelihood>=0\nllr>=1\n", args="--quiet --seed 0",
    )  # fmt: skip
    assert code == 1, printed
    assert (outputs["outcome"], outputs["exit-code"], outputs["llr"], outputs["drift"]) == ("fail", "1", "", "")
    assert (out / "report.html").is_file()
    assert outputs["report"] == f"{out}/report.html"
    assert JUnitXml.fromfile(outputs["junit"]).failures == 1
    assert summary.startswith("## ✗ forensics check failed")
    assert sum(line.startswith("::error") for line in printed.splitlines()) == 1


def test_inputs_are_no_commands(lab: Path, tmp_path: Path) -> None:
    evil = f'"; touch {tmp_path}/pwned; $(touch {tmp_path}/pwned) `touch {tmp_path}/pwned`'
    code, outputs, _, _ = act(
        lab, tmp_path, install="", python=sys.executable, gates=f"llr>=1{evil}", suspect=evil, args="--quiet",
        case=str(tmp_path / "r.case"), output=str(tmp_path / "out"),
    )  # fmt: skip
    assert (code, outputs["exit-code"], outputs["outcome"]) == (2, "2", "")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("hook", yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()))
def test_the_hooks_run_as_they_stand(lab: Path, hook: dict[str, Any]) -> None:
    """pre-commit calls the entry with the files that match, several at once."""
    assert {"id", "name", "entry", "language", "files"} <= set(hook)
    files = [p.name for p in sorted(lab.iterdir()) if re.search(hook["files"], p.name)][:2]
    assert files
    _, *args = hook["entry"].split()
    done = subprocess.run([sys.executable, "-m", "forensics.cli", *args, *files], cwd=lab, capture_output=True,
                          text=True, timeout=300, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_gitlab_job_uses_options_that_exist() -> None:
    job = yaml.safe_load((ROOT / "examples/ci/gitlab-ci.yml").read_text())["forensics"]
    (script,) = job["script"]
    found = subprocess.run([sys.executable, "-m", "forensics.cli", "check", "--help"], capture_output=True, text=True,
                           timeout=60, check=True, env={**os.environ, "COLUMNS": "200"})  # fmt: skip
    for option in re.findall(r"(?<=\s)--[a-z-]+", script):
        assert option in found.stdout
    assert job["allow_failure"]["exit_codes"] == [3]
    assert job["artifacts"]["reports"]["junit"] in script.replace("$FORENSICS_OUT", job["variables"]["FORENSICS_OUT"])
