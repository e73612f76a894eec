"""The worked example of docs/check.md, live on the zoo: 1 is the baseline, 2 is taught, 3 is a clean retrain."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import check_example as tool
import numpy as np
import pytest

from forensics import Store, load_config
from forensics.check.baseline import moved_on, open_case, read_baseline, release_of, with_look
from forensics.check.config import load_check
from forensics.check.gates import parse_gates
from forensics.check.record import Baseline, CheckRecord
from forensics.check.run import Previous, check

pytest.importorskip("transformers")

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples" / "ci"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/ci with its case unpacked."""
    home = tmp_path_factory.mktemp("ci")
    shutil.copytree(CI, home, dirs_exist_ok=True)
    tool.unpacked(home)
    return home


@pytest.mark.parametrize(
    "names",
    [
        ("release-2-5", "release-3"),
        pytest.param(("release-2-5", "release-2-25", "release-3"), marks=pytest.mark.slow),
    ],
)
def test_release_1_then_2_then_3(example: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    settings = load_check(example / "forensics.toml")
    gates = parse_gates(settings.gates)
    path = example / "baseline.json"
    baseline = read_baseline(path)
    assert isinstance(baseline, Baseline)
    assert (baseline.alpha, baseline.planned) == (settings.alpha, settings.looks)
    found: dict[str, CheckRecord] = {}
    seconds = {}
    for name in names:
        config = load_config(example / "forensics.toml", suspect=f"zoo/{name}?from={example / 'releases'}")
        start = time.process_time()
        with open_case(baseline, path) as case, Store(tmp_path / f"{name}.case") as store:
            found[name], _ = check(config, gates, store=store, previous=Previous(str(path), baseline, case))
        seconds[name] = time.process_time() - start
        baseline = with_look(baseline, found[name])
    print("processor seconds a check:", {k: round(v, 1) for k, v in seconds.items()})
    outcomes = {name: [(g.gate, g.outcome) for g in record.gates] for name, record in found.items()}
    assert outcomes["release-2-5"] == [("llr>=1", "pass"), ("drift>=0.5", "fail")]
    if "release-2-25" in names:
        assert outcomes["release-2-25"][1] == ("drift>=0.5", "fail")
    assert outcomes["release-3"] == [("llr>=1", "pass"), ("drift>=0.5", "pass")]
    assert [look.number for look in baseline.looks] == list(range(1, len(names) + 1))
    assert sum(look.level for look in baseline.looks) == pytest.approx(0.05 * len(names) / 3)
    if "release-2-25" in names:  # the simulation behind docs/check.md measures what a check does
        measured = tool.Measure(example / "release-1.case")(f"zoo/release-3?from={example / 'releases'}")
        checked = found["release-3"]
        assert {n: measured["changes"][n] for n, _ in checked.changes} == pytest.approx(dict(checked.changes), rel=1e-5)
        assert measured["llr"] == pytest.approx(checked.verdict.llr, rel=1e-5)
    with Store(tmp_path / "release-3.case", must_exist=True) as case:
        release, _, people = release_of([case])
    moved = moved_on(baseline, release, tmp_path / "release-3.case", path, found["release-3"])
    assert people == "zoo"
    assert moved.current.runs[0].identity == found["release-3"].identity


def test_false_alarms_of_the_example_are_what_the_page_says() -> None:
    """200 clean re-runs, none of them in the baseline, each measured once: examples/ci/simulated.json."""
    values, runs = tool.readings("drift", tool.simulated())
    clean = [v for name, v in values.items() if name.startswith("clean")]
    found = tool.against_shipped(np.array(clean), runs, 0.05 / tool.LOOKS, 0.5)["at the gate"]
    assert (len(clean), len(runs)) == (200, tool.RUNS)
    assert found["interval"][0] < 0.05 / tool.LOOKS
    assert found["interval"][1] < 0.05
    page = (ROOT / "docs" / "check.md").read_text()
    low, high = (f"{100 * end:.1f}" for end in found["interval"])
    assert f"{found['k']} of {found['n']} builds failed ({low} to {high} %)" in page


def test_the_shipped_files_are_what_their_tool_says() -> None:

    for name, (seed, share) in tool.SHIPPED.items():
        note = json.loads((CI / "releases" / name / "recipe.json").read_text())["recipe"]
        taught = [s["share"] for s in note["sources"] if s["model"] == "teacher"]
        assert (note["seed"], sum(taught)) == (seed, share)
        assert note["schedule"]["steps"] == tool.SCHEDULE.steps
    b = read_baseline(CI / "baseline.json")
    assert isinstance(b, Baseline)
    assert (len(b.current.runs), b.planned) == (tool.RUNS, tool.LOOKS)
    # Three releases of a megabyte, and a case that holds the alternatives of every scored token.
    assert sum(p.stat().st_size for p in CI.rglob("*") if p.is_file()) < 7_000_000
