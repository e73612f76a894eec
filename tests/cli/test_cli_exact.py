"""``forensics exact`` as users run it: logs and keys in, findings and exit codes out."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forensics.backends import open_backend
from forensics.spec import parse_spec
from forensics.types import Message, Request, Sampling

SECRET = "sk-live-0123456789"


def run(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "forensics.cli", "exact", *args], cwd=cwd, env={**os.environ, "COLUMNS": "120"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def serve(prompts: list[str], seed: int) -> list[str]:
    """What the toy reference serves, by the sampling that its log will say."""

    async def ask() -> list[str]:
        backend = open_backend(parse_spec("toy/ref"))
        requests = [
            Request("serve", f"s{i}", (Message("user", p),), sampling=Sampling(max_tokens=24, seed=seed))
            for i, p in enumerate(prompts)
        ]
        return [reply.completion.text or "" for reply in await backend.complete(requests)]

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 120 calls by two accounts, one prompt of which holds a secret; and a suspect that repeats answers."""
    folder = tmp_path_factory.mktemp("exact")
    prompts = [f"Tell me about thing {i}." for i in range(119)] + [f"My key is {SECRET}. Is it safe?"]
    rows = [
        {"prompt": p, "response": r, "account": "acme" if i % 2 else "bob", "finish_reason": "length",
         "sampling": {"max_tokens": 24}}
        for i, (p, r) in enumerate(zip(prompts, serve(prompts, 77), strict=True))
    ]  # fmt: skip
    (folder / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    parrot = [{"prompt": r["prompt"], "response": r["response"], "sample": k} for r in rows for k in range(3)]
    (folder / "parrot.jsonl").write_text("".join(json.dumps(r) + "\n" for r in parrot))
    drifted = [{"prompt": r["prompt"], "response": f"{r['response']} and more {k}"} for r in rows for k in range(4)]
    (folder / "drifted.jsonl").write_text("".join(json.dumps(r) + "\n" for r in drifted))
    return folder


REGENERATION = ("regeneration", "--log", "log.jsonl", "--account", "acme", "--draws", "4")


def test_a_model_that_never_saw_the_log(place: Path) -> None:
    args = (*REGENERATION, "--suspect", "toy/sam?parent=ref&share=0.9", "--reference", "toy/ref", "--case", "a.case")
    found = run(*args, "--json", cwd=place)
    assert found.returncode == 0, found.stderr
    (record,) = json.loads(found.stdout)
    assert (record["test"], record["status"], record["n"]) == ("regeneration", "ok", 60)
    assert record["p"] > 0.01
    assert "would have been detected" in record["power"]
    assert "60 different prompts of suspected and 60 of other accounts" in found.stderr
    assert json.loads(run(*args, "--json", cwd=place).stdout) == [record]
    assert SECRET not in found.stdout + found.stderr


def test_a_suspect_that_repeats_what_was_served_is_found_by_text_alone(place: Path) -> None:
    found = run(*REGENERATION, "--suspect", "parrot.jsonl", "--reference", "toy/ref", cwd=place)
    assert found.returncode == 0, found.stderr
    assert "p = 0.0001" in found.stdout
    assert "answers more like the served answers" in found.stdout
    assert "breaks if" in found.stdout
    assert "nothing was kept" in found.stderr


def test_another_sampler_is_refused_with_exit_3(place: Path) -> None:
    found = run(*REGENERATION, "--suspect", "toy/sam", "--redraws", "drifted.jsonl", cwd=place)
    assert found.returncode == 3
    assert "not exchangeable in length" in found.stdout


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--log", "none.jsonl", "--suspect", "toy/sam", "--reference", "toy/ref"), "no such file of answers"),
        (("--log", "log.jsonl", "--suspect", "toy/sam"), "give --reference SPEC, or --redraws FILE"),
        (
            ("--log", "log.jsonl", "--suspect", "toy/sam", "--reference", "toy/ref", "--account", "eve"),
            "no call of account",
        ),
        (
            ("--log", "log.jsonl", "--suspect", "toy/sam", "--reference", "toy/ref", "--form", "smell"),
            "forms of regeneration",
        ),
        (
            ("--log", "log.jsonl", "--suspect", "parrot.jsonl", "--reference", "toy/ref", "--form", "log-probs"),
            "can't score",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_2(place: Path, args: tuple[str, ...], why: str) -> None:
    found = run("regeneration", *args, "--quiet", cwd=place)
    assert (found.returncode, found.stdout) == (2, "")
    assert why in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_canaries_from_planting_to_exit_5(tmp_path: Path) -> None:
    rows = [{"prompt": f"What is the word of door {i}?", "answer": "It is {secret}."} for i in range(8)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    plant = ("canary", "plant", "--templates", "t.jsonl", "--key", "key.json", "--sheet", "sheet.json")
    planted = run(*plant, cwd=tmp_path)
    assert planted.returncode == 0, planted.stderr
    commitment = planted.stdout.strip()
    assert (tmp_path / "key.json").stat().st_mode & 0o077 == 0
    assert json.loads((tmp_path / "sheet.json").read_text())["commitment"] == commitment
    assert run(*plant, cwd=tmp_path).returncode == 2  # a key is drawn once
    test = ("canary", "test", "--key", "key.json", "--suspect", "toy/sam")
    by_score = run(*test, "--sheet", "sheet.json", "--json", cwd=tmp_path)
    assert by_score.returncode == 0, by_score.stderr
    assert json.loads(by_score.stdout)[0]["n"] == 8
    sheet = json.loads((tmp_path / "sheet.json").read_text())["canaries"]
    knowing = [{"prompt": c["prompt"], "response": c["answer"], "sample": k} for c in sheet for k in range(3)]
    (tmp_path / "knows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in knowing))
    by_text = run(*test[:-1], "knows.jsonl", "--commitment", commitment, "--json", cwd=tmp_path)
    assert json.loads(by_text.stdout)[0]["p"] == pytest.approx(16.0**-8)
    key = json.loads((tmp_path / "key.json").read_text())
    key["canaries"][0]["secret"] ^= 1
    (tmp_path / "key.json").write_text(json.dumps(key))
    forged = run(*test, "--commitment", commitment, cwd=tmp_path)
    assert (forged.returncode, forged.stdout) == (5, "")
    assert "does not match the hash committed" in forged.stderr


def test_twins_from_release_to_test(tmp_path: Path) -> None:
    rows = [
        {"id": i, "prompt": f"Thing {i}?", "versions": ["river stone", "lamp garden", "amber motor"]} for i in range(30)
    ]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    made = run("twins", "release", "--documents", "d.jsonl", "--key", "k.json", "--sheet", "out.json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert len(json.loads((tmp_path / "out.json").read_text())["documents"]) == 30
    found = run(
        "twins", "test", "--key", "k.json", "--sheet", "out.json", "--suspect", "toy/sam", "--json", cwd=tmp_path
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)[0]["n"] == 30


def test_weights_and_watermark_on_the_zoo(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    copied = run("weights", "--suspect", "zoo/descendant", "--reference", "zoo/teacher", "--json", cwd=tmp_path)
    (record,) = json.loads(copied.stdout)
    assert record["p"] < 1e-6
    assert "all 3 MLP layers; all 3 attention layers" in record["finding"]
    taught = run("weights", "--suspect", "zoo/student", "--reference", "zoo/teacher", "--json", cwd=tmp_path)
    assert json.loads(taught.stdout)[0]["p"] > 0.01
    assert run("weights", "--suspect", "toy/sam", "--reference", "zoo/teacher", cwd=tmp_path).returncode == 2
    answers = [{"prompt": f"p{i}", "response": f"The fox {i} took the lantern {i * 7} to the mill."} for i in range(60)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(a) + "\n" for a in answers))
    (tmp_path / "key.json").write_text(json.dumps({"ngram_len": 3, "keys": [11, 22, 33]}))
    args = ("watermark", "--key", "key.json", "--suspect", "file/a.jsonl", "--reference", "zoo/teacher")
    found = run(*args, "--json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)[0]["test"] == "watermark"
    (tmp_path / "key.json").write_text("{}")
    assert run(*args, cwd=tmp_path).returncode == 2


def test_watermark_by_log_probs_is_kept_and_verified(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    prompts = [
        {"prompt": f"Write a short tale of a {a} who finds a {t}."} for a in ("fox", "goat") for t in ("map", "key")
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(p) + "\n" for p in prompts))
    (tmp_path / "key.json").write_text(json.dumps({"greenlist_ratio": 0.25, "hashing_key": 15485863}))
    args = (
        "watermark",
        "--key",
        "key.json",
        "--suspect",
        "zoo/student",
        "--reference",
        "zoo/teacher",
        "--max-tokens",
        "40",
    )
    asked = ("--prompts", "p.jsonl", "--samples", "2", "--dummies", "100")
    found = run(*args, *asked, "--base", "zoo/base", "--case", "w.case", "--json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    (record,) = json.loads(found.stdout)
    assert record["p"] > 0.01
    assert "(form: log-probs)" in record["finding"]
    assert "would have been detected" in record["power"]
    assert "of whose 4,000 training answers were marked (kgw): above .99" in record["power"]
    assert (tmp_path / "w.case").stat().st_size < 400_000  # no distributions in it
    checked = subprocess.run(
        [sys.executable, "-m", "forensics.cli", "verify", "w.case"], cwd=tmp_path, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert "exact watermark" in checked.stdout
    assert checked.returncode == 0, checked.stderr
    for more, why in (
        (("--form", "log-probs"), "name one"), (("--form", "smell", "--base", "zoo/base"), "forms of watermark"),
        (("--form", "log-probs", "--base", "toy/x"), "no whole distributions"),
    ):  # fmt: skip
        refused = run(*args, *asked, *more, cwd=tmp_path)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert why in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
