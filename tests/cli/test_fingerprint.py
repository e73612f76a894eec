"""`forensics fingerprint` as users run it: processes, streams, exit codes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

OPENERS = ["Sure!", "Well,", "However,", "I think", "The answer:", "Certainly.", "As an AI,", "Note", "- One", "# Head"]


def run(*args: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "forensics.cli", "fingerprint", *map(str, args)],
        env={**os.environ, "COLUMNS": "120", **env}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def answers(path: Path, writer: int, count: int = 40, *, prompts: str = "Say") -> Path:
    """A writer with an opener and a vocabulary of its own."""
    rng = random.Random(writer)
    words = rng.choices("the of and to in it is that for with as on but not this which you we they".split(), k=8)
    rows = [
        {"prompt": f"{prompts} {i}", "response": f"{OPENERS[writer % 10]} {' '.join(rng.choices(words, k=30))}."}
        for i in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of twelve models beside a directory of their answers."""
    root = tmp_path_factory.mktemp("models")
    (root / "responses").mkdir()
    rows = ["name,file,vendor,family,role,documented_teachers,cluster"]
    for i in range(12):
        answers(root / "responses" / f"m{i}.jsonl", i)
        rows.append(f"model-{i},m{i}.jsonl,maker-{i},family-{i},control,,c{i}")
    answers(root / "responses" / "few.jsonl", 99, count=5)
    rows.append("model-few,few.jsonl,maker,family,control,,c")
    (root / "models.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def library(models: Path) -> Path:
    found = run("build", "--manifest", models / "models.csv", "-o", models / "library", "--source", "made up")
    assert found.returncode == 0, found.stderr
    assert found.stdout == ""
    assert "model-few: fewer than 30 usable answers, left out" in found.stderr
    return models / "library"


def one_line(found: subprocess.CompletedProcess[str], code: int) -> str:
    assert found.returncode == code, found.stderr
    assert found.stdout == ""
    assert found.stderr.count("\n") == 1, found.stderr
    return found.stderr


def test_a_library_is_built_again_byte_for_byte(models: Path, library: Path, tmp_path: Path) -> None:
    again = run("build", "--manifest", models / "models.csv", "-o", tmp_path / "x", "--source", "made up", "-q")
    assert again.returncode == 0
    assert {p.name: p.read_bytes() for p in library.iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "x").iterdir()
    }


def test_build_show_nearest(models: Path, library: Path, tmp_path: Path) -> None:
    made = run("build", models / "responses" / "m3.jsonl", "-o", tmp_path / "own.json", "--name", "own")
    assert (made.returncode, made.stdout) == (0, "")
    shown = run("show", tmp_path / "own.json", "--library", library)
    assert shown.returncode == 0
    assert "own: 40 answers" in shown.stdout
    assert "openers:opens_i" in shown.stdout
    found = run("nearest", tmp_path / "own.json", "--library", library, "--n", "2")
    assert found.returncode == 0
    assert "model-3" in found.stdout
    assert "background: 66 unrelated pairs" in found.stdout
    assert "no evidence of training" in found.stderr
    assert "prompts are not" not in found.stderr


def test_json_is_stdout_alone_and_says_the_same(models: Path, library: Path, tmp_path: Path) -> None:
    file = models / "responses" / "m5.jsonl"
    found = run("nearest", file, "--library", library, "--json", "--n", "3")
    assert (found.returncode, found.stderr) == (0, "")
    record = json.loads(found.stdout)
    assert [record["name"], record["status"], record["answers"]] == ["m5", "ok", 40]
    assert record["neighbours"][0]["name"] == "model-5"
    assert record["neighbours"][0]["distance"] == 0
    assert len(record["neighbours"]) == 3
    assert record["prompts_match"] is True
    assert record["pairs"] == 66
    assert "no evidence of training" in record["caveat"]
    shown = json.loads(run("show", file, "--library", library, "--json", "--families", "openers").stdout)
    by_name = {row["feature"]: row for row in shown["features"]}
    assert set(by_name["openers:opens_as_ai"]) == {"feature", "mean", "spread", "n", "percentile"}
    assert all(name.startswith("openers:") for name in by_name)
    assert run("nearest", file, "--library", library, "--json", "--n", "3").stdout == found.stdout


def test_other_prompts_are_warned_of(library: Path, tmp_path: Path) -> None:
    found = run("nearest", answers(tmp_path / "x.jsonl", 4, prompts="Tell"), "--library", library)
    assert found.returncode == 0
    assert "The prompts are not the library's" in found.stderr


def test_too_few_answers_end_in_3(library: Path, tmp_path: Path) -> None:
    few = answers(tmp_path / "few.jsonl", 1, count=29)
    with few.open("a") as file:  # blocked, empty and failed answers are no answers
        file.write('{"prompt": "a", "response": ""}\n{"prompt": "b", "response": "x", "finish_reason": "filter"}\n')
    found = run("nearest", few, "--library", library)
    assert "29 usable answers, fewer than 30" in one_line(found, 3)
    record = json.loads(run("nearest", few, "--library", library, "--json").stdout)
    assert (record["status"], record["neighbours"]) == ("insufficient", [])
    shown = run("show", few, "--library", library)
    assert shown.returncode == 3
    assert "few: 29 answers" in shown.stdout
    built = run("build", few, "-o", tmp_path / "few.json")
    assert built.returncode == 3
    assert json.loads((tmp_path / "few.json").read_bytes())["answers"] == 29


def test_hostile_answers(library: Path, tmp_path: Path) -> None:
    texts = [
        "",
        " ",
        "x",
        "word",
        "\x00\x1b[31m\x07",
        "漢字。" * 500,
        "نص عربي",
        "🙂" * 300,
        "\u202e\u200b",
        "a" * 100_000,
    ]
    texts += ["word " * 200_000, "```\nnever closed", "| a |" * 999, "Привет, мир. " * 50, "\n" * 1000, "!" * 1000]
    rows = [{"prompt": str(i), "response": text} for i, text in enumerate(texts * 3)]
    path = tmp_path / "\x1bevil.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = run("nearest", path, "--library", library)
    assert found.returncode == 0, found.stderr
    assert "\x1b" not in found.stdout + found.stderr
    assert run("build", path, "-o", tmp_path / "evil.json").returncode == 0


def test_mistakes_are_one_line(models: Path, library: Path, tmp_path: Path) -> None:
    file = models / "responses" / "m1.jsonl"
    out = tmp_path / "o.json"
    assert "give one file of answers, or --manifest" in one_line(run("build", "-o", out), 2)
    assert "no such file" in one_line(run("build", tmp_path / "none.jsonl", "-o", out), 2)
    assert "did you mean 'layout'" in one_line(run("build", file, "-o", out, "--families", "layuot"), 2)
    assert "directory does not exist" in one_line(run("build", file, "-o", tmp_path / "no" / "x.json"), 2)
    assert "no such library" in one_line(run("show", file, "--library", tmp_path / "none"), 2)
    assert "manifest.json: No such file" in one_line(run("show", file, "--library", tmp_path), 5)
    (tmp_path / "bad.json").write_text('{"answers":3}')
    assert "no fingerprint" in one_line(run("show", tmp_path / "bad.json"), 2)
    (tmp_path / "models.csv").write_text("name,role\nx,control\n")
    assert "row 2 has no name or no file" in one_line(
        run("build", "--manifest", tmp_path / "models.csv", "-o", tmp_path / "y"), 2
    )
    assert "library was not measured on pos-templates" in one_line(
        run("nearest", file, "--families", "layout,pos-templates", "--library", library), 2
    )
    run("build", file, "-o", out, "--families", "layout")
    assert "not measured on the family 'openers'" in one_line(
        run("nearest", out, "--families", "openers", "--library", library), 2
    )


def test_a_changed_library_ends_in_5(models: Path, library: Path, tmp_path: Path) -> None:
    for path in library.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    changed = tmp_path / "model-4.json"
    changed.write_bytes(changed.read_bytes().replace(b"0.1", b"0.2", 1))
    found = run("nearest", models / "responses" / "m1.jsonl", "--library", tmp_path)
    assert "model-4.json" in one_line(found, 5)


def test_a_missing_extra_is_one_line_that_names_it(models: Path, tmp_path: Path) -> None:
    # A path entry that holds nothing but a stub which hides the tagger.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['HanTa'] = None\n")
    found = run("build", models / "responses" / "m1.jsonl", "-o", tmp_path / "o.json", "--families", "all",
                PYTHONPATH=str(tmp_path))  # fmt: skip
    line = one_line(found, 2)
    assert "pos-templates abstains" in line
    assert "pip install 'distillation-forensics[pos]'" in line


def test_show_and_nearest_take_little_time(models: Path) -> None:
    for command in ("show", "nearest"):
        start = time.perf_counter()
        assert run(command, models / "responses" / "m1.jsonl").returncode == 0
        # Measured 0.9 s alone; test machines are busy.
        assert time.perf_counter() - start < 6
