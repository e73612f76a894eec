"""``forensics attribute``: one, several, none, or no answer."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import writers

from forensics.attribute import Attributed, _answer, attribute
from forensics.errors import UsageError
from forensics.types import LikelihoodRatio, Score

NAMES = ("ann", "bob", "cid", "dot")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answers")
    for name in NAMES:
        writers.write(folder / f"{name}.jsonl", name, 40)
    writers.write(folder / "pupil.jsonl", "sam", 40, {"bob": 0.6})
    return folder


def test_the_teacher_ranks_first_and_no_ratio_is_claimed_without_a_population(files: Path) -> None:
    candidates = {name: str(files / f"{name}.jsonl") for name in NAMES}
    found = attribute(str(files / "pupil.jsonl"), candidates)
    assert found.candidates[0].name == "bob"
    assert [c.rank for c in found.candidates] == [1, 2, 3, 4]
    assert all(c.llr is None and c.reason for c in found.candidates)
    assert found.none.score is None
    assert not found.none.supported
    assert found.answer == "cannot-tell"
    assert attribute(str(files / "pupil.jsonl"), dict(reversed(candidates.items()))).candidates[0].name == "bob"


def judged(llr: float, spread: float = 0.2) -> tuple[list[Score], LikelihoodRatio, None]:
    score = Score("attribution", "ok", 0.1, 40, (0.0, 0.2), closeness=(("reference", llr), ("a", 0.0), ("b", -0.1)))
    return [score], LikelihoodRatio(llr, (-2.5, 2.5), (llr - spread, llr + spread), "made"), None


@pytest.mark.parametrize(
    ("llrs", "answer", "sources"),
    [
        ((1.5, -0.5, 0.2), "one", ("a",)),
        ((1.5, 1.2, -1.0), "several", ("a", "b")),
        ((-1.5, -1.2, -1.7), "none", ()),
        ((0.4, -0.2, 0.1), "cannot-tell", ()),
    ],
)
def test_answers(llrs: tuple[float, ...], answer: str, sources: tuple[str, ...]) -> None:
    found: Attributed = _answer({n: judged(v) for n, v in zip("abc", llrs, strict=True)}, "made")
    assert (found.answer, found.sources) == (answer, sources)
    # log10 of the mean of the ratios, worked out here
    mean = sum(10**v for v in llrs) / 3
    assert found.none.score is not None
    assert 10**-found.none.score == pytest.approx(mean, rel=1e-5)
    assert found.none.supported == (mean < 1)


def test_an_interval_over_zero_names_nobody() -> None:
    found = _answer({n: judged(v, spread=1.1) for n, v in zip("abc", (1.05, -0.5, -0.5), strict=True)}, "made")
    assert found.sources == ()


def test_one_withheld_ratio_leaves_none_open() -> None:
    rows = {n: judged(-1.5) for n in "ab"} | {"c": (judged(0.0)[0], None, "length")}
    found = _answer(rows, "made")  # type: ignore[arg-type]
    assert found.none.score is None
    assert not found.none.supported
    assert replace(found).answer == "cannot-tell"


def test_two_models_are_too_few(files: Path) -> None:
    with pytest.raises(UsageError, match="3 are needed"):
        attribute(str(files / "pupil.jsonl"), {"ann": str(files / "ann.jsonl"), "bob": str(files / "bob.jsonl")})


def run(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forensics.cli", "attribute", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_command_prints_the_contract_s_json(files: Path) -> None:
    named = [f"--candidate={name}={files / name}.jsonl" for name in NAMES[:2]]
    found = run("--suspect", str(files / "pupil.jsonl"), *named, "--control", str(files / "cid.jsonl"), "--json")
    assert found.returncode == 3, found.stderr
    told = json.loads(found.stdout)
    assert {"candidates", "none", "n"} <= set(told)
    assert {"name", "score", "llr", "rank"} <= set(told["candidates"][0])
    assert {"score", "supported"} == set(told["none"])
    assert [c["name"] for c in told["candidates"]] == ["bob", "ann"]
    assert told["n"] == 40


@pytest.mark.parametrize("text", ["nofile", "=x.jsonl", "ann="])
def test_a_candidate_is_name_and_file(text: str) -> None:
    found = run("--suspect", "x.jsonl", "--candidate", text)
    assert found.returncode == 2
    assert "write NAME=FILE" in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1
