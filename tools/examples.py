"""``make examples``: the example reports in docs/examples, each from its own case."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "examples"
CONTROLS = ("zoo/control-a", "zoo/control-b", "zoo/control-c")
ZOO = {"zoo-student": "zoo/student", "zoo-sibling": "zoo/sibling"}


def main() -> None:
    """Audit, write, verify what was written."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        for name, suspect in ZOO.items():
            case = Path(work) / f"{name}.case"
            outputs = [FOLDER / f"{name}.{ending}" for ending in ("html", "json")]
            parties = ["--suspect", suspect, "--reference", "zoo/teacher", "--base", "zoo/base", "--suite", "zoo"]
            parties += [part for control in CONTROLS for part in ("--control", control)]
            _forensics("audit", *parties, "--case", str(case), *(f"-o{path}" for path in outputs))
            _forensics("verify", str(case), "--report", str(outputs[1]))
        reports = [str(FOLDER / f"{name}.json") for name in ZOO]
        _forensics("report", "--compare", *reports, "-o", str(FOLDER / "compare.html"))


def _forensics(*args: str) -> None:
    done = subprocess.run([sys.executable, "-m", "forensics.cli", *args], stdout=subprocess.DEVNULL, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"forensics {args[0]} ended in {done.returncode}")


if __name__ == "__main__":
    main()
