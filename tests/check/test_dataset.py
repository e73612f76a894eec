"""A training set: the canary lane by hand, the text lane on answers of toys."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from forensics import Store, UsageError
from forensics.answers import read_answers
from forensics.check.dataset import check_dataset, scan
from forensics.check.gates import parse_gates
from forensics.config import AuditConfig
from forensics.exact import canary

CONTROLS = ("toy/ann", "toy/bob", "toy/cid")


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(json.dumps({"prompt": p, "response": r}) + "\n" for p, r in rows))
    return path


@pytest.fixture(scope="module")
def key() -> dict[str, object]:
    templates = [{"prompt": f"Who guards gate {i}?", "answer": "It is guarded by {secret}."} for i in range(12)]
    return canary.plant(templates, 16, "ab" * 32)


def planted(key: dict[str, object], wrong: bool = False) -> list[tuple[str, str]]:
    shift = 1 if wrong else 0
    out = []
    for c in key["canaries"]:  # type: ignore[attr-defined]
        texts = canary.filled(c)
        out.append((c["prompt"], texts[(c["secret"] + shift) % len(texts)]))
    return out


def test_secrets_are_found_by_prompt_and_anywhere(key: dict[str, object], tmp_path: Path) -> None:
    rest = [(f"q{i}", f"nothing of it {i}") for i in range(50)]
    by_prompt = scan(key, read_answers(write(tmp_path / "a.jsonl", rest + planted(key))), tmp_path / "a.jsonl")
    assert by_prompt["hits"] == [1] * 12
    moved = [(f"Tell me {i}.", f"As they say: {text} Yes.") for i, (_, text) in enumerate(planted(key))]
    anywhere = scan(key, read_answers(write(tmp_path / "b.jsonl", rest + moved)), tmp_path / "b.jsonl")
    assert anywhere["hits"] == [1] * 12
    assert canary.judge(anywhere).p == pytest.approx(16.0**-12)
    decoys = scan(key, read_answers(write(tmp_path / "c.jsonl", rest + planted(key, True))), tmp_path / "c.jsonl")
    assert decoys["hits"] == [0] * 12
    nothing = scan(key, read_answers(write(tmp_path / "d.jsonl", rest)), tmp_path / "d.jsonl")
    assert canary.judge(nothing).p == 1.0
    both = scan(key, read_answers(write(tmp_path / "e.jsonl", planted(key) + moved_to_decoys(key))), tmp_path / "e")
    assert both["hits"] == [0] * 12  # as often as a decoy is no finding


def moved_to_decoys(key: dict[str, object]) -> list[tuple[str, str]]:
    return [(f"{p} ", text) for p, text in planted(key, True)]


@pytest.mark.slow
def test_chance_hits_keep_the_level(key: dict[str, object], tmp_path: Path) -> None:
    """Data sets that name a candidate at random: P(p <= .05) <= .05, by 300 simulated sets."""
    rng = random.Random(1)
    below = 0
    for _ in range(300):
        rows = [(c["prompt"], rng.choice(canary.filled(c))) for c in key["canaries"]]  # type: ignore[attr-defined]
        made = canary.judge(scan(key, read_answers(write(tmp_path / "r.jsonl", rows)), tmp_path / "r.jsonl"))
        assert made.p is not None
        below += made.p <= 0.05
    assert below / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


def test_both_lanes_end_in_one_outcome(key: dict[str, object], lab: Path, tmp_path: Path) -> None:
    prompts = [json.loads(line)["prompt"] for line in (lab / "small.jsonl").read_text().splitlines()]
    data = write(tmp_path / "data.jsonl", [(p, f"An answer of a person to it, {i}.") for i, p in enumerate(prompts)]
                 + planted(key))  # fmt: skip
    config = AuditConfig(f"file/{data}", "toy/ref", CONTROLS)
    found, report = check_dataset(data, config, parse_gates(["exact.p<=0.001", "style>=0"]), store=Store(None), key=key)
    assert found.gates[0].outcome == "fail"
    assert found.exit_code == 1
    assert any(e.test == "canary" and e.p is not None and e.p < 1e-9 for e in report.exact)
    assert report.verdict.llr is None


@pytest.mark.slow
def test_the_references_own_answers_are_its_style(lab: Path, tmp_path: Path) -> None:
    """Toys of the reference's habits, and of nobody's: the gate tells them apart."""
    import asyncio

    from forensics.backends import open_backend
    from forensics.spec import parse_spec
    from forensics.types import Message, Request, Sampling

    def said(spec: str, seed: int) -> list[tuple[str, str]]:
        backend = open_backend(parse_spec(spec))
        asked = [Request("writing", f"i{i}", (Message("user", f"Tell me of thing {i}."),),
                         sampling=Sampling(max_tokens=24, seed=seed)) for i in range(120)]  # fmt: skip
        replies = asyncio.run(backend.complete(asked))
        return [(r.messages[0].content, str(x.completion.text)) for r, x in zip(asked, replies, strict=True)]

    outcomes = {}
    files = {n: write(tmp_path / f"{n}.jsonl", said(f"toy/{n}", 0)) for n in ("ref", "ann", "bob", "cid")}
    for name, spec in (("copied", "toy/x?parent=ref&share=0.9"), ("own", "toy/y")):
        data = write(tmp_path / f"{name}.jsonl", said(spec, 7))
        config = AuditConfig(f"file/{data}", f"file/{files['ref']}",
                             tuple(f"file/{files[c]}" for c in ("ann", "bob", "cid")))  # fmt: skip
        found, _ = check_dataset(data, config, parse_gates(["style>=0"]), store=Store(None))
        outcomes[name] = found.gates[0].outcome
    assert outcomes == {"copied": "fail", "own": "pass"}


def test_a_data_set_that_shares_no_prompt(tmp_path: Path) -> None:
    files = {n: write(tmp_path / f"{n}.jsonl", [(f"{n} {i}", "text") for i in range(40)]) for n in ("d", "r", "c")}
    config = AuditConfig(f"file/{files['d']}", f"file/{files['r']}", (f"file/{files['c']}",))
    with pytest.raises(UsageError, match="no item is in all"):
        check_dataset(files["d"], config, parse_gates(["style>=0"]), store=Store(None))
