"""``forensics suite`` as it is used: drawn, committed to, revealed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forensics.cli", "suite", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_from_the_salt_to_exit_5(tmp_path: Path) -> None:
    made = run(tmp_path, "--salt-file", "salt", "-o", "private.jsonl")
    assert made.returncode == 0, made.stderr
    assert len(made.stdout.strip()) == 64
    assert (tmp_path / "salt").read_text().strip() not in made.stdout + made.stderr
    again = run(tmp_path, "--salt-file", "salt", "-o", "private.jsonl")
    assert again.returncode == 2
    same = run(tmp_path, "--salt-file", "salt", "-o", "private.jsonl", "--check")
    assert (same.returncode, same.stdout) == (0, made.stdout)
    with (tmp_path / "private.jsonl").open("a") as file:
        file.write('{"prompt": "one more"}\n')
    assert run(tmp_path, "--salt-file", "salt", "-o", "private.jsonl", "--check").returncode == 5
