"""How a regeneration test asks: the continuation form, and raw prompts by template."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.backends import open_backend
from forensics.exact.redraw import HEAD, Plan, inputs
from forensics.exact.regeneration import judge
from forensics.exact.served import read_log
from forensics.spec import parse_spec
from forensics.store import Store
from forensics.types import Request

ITEMS, DRAWS, WORDS = 60, 4, "river stone lamp window garden amber quiet motor signal harvest cotton ladder".split()


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def texts(tmp_path: Path) -> list[list[str]]:
    """A log, a file of redraws, and all draws ``[ITEMS][1 + DRAWS]``, the served one first."""
    rng = random.Random(0)
    drawn = [[" ".join(rng.choices(WORDS, k=2 * HEAD)) for _ in range(1 + DRAWS)] for _ in range(ITEMS)]
    write(tmp_path / "log.jsonl", [{"prompt": f"Thing {i}?", "response": row[0]} for i, row in enumerate(drawn)])
    redraws = [{"prompt": f"Thing {i}?", "response": t} for i, row in enumerate(drawn) for t in row[1:]]
    write(tmp_path / "redraws.jsonl", redraws)
    return drawn


def asked(folder: Path, suspect: str, plan: Plan) -> dict[str, Any]:
    log = read_log(folder / "log.jsonl")
    with Store(None) as store:
        return asyncio.run(inputs(log, {"suspect": suspect}, plan, store))


def continued(folder: Path, texts: list[list[str]], ask: str, *, knows: bool) -> str:
    """A suspect in a file: shown the first words of a draw it says the rest of it, the served ones' only if it knows
    them; of all others the rest of another item."""
    rows = []
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            known = text if knows and j == 0 else texts[(i + 1) % ITEMS][(j + 1) % len(row)]
            head, tail = text.split()[:HEAD], known.split()[HEAD:]
            rows.append({"prompt": ask.format(i=i, head=" ".join(head)), "response": " ".join(tail)})
    return f"file/{write(folder / 'suspect.jsonl', rows)}"


@pytest.mark.parametrize(
    ("template", "ask"), [(None, "Thing {i}?\n\n{head}"), ("Q: {prompt}\nA: ", "Q: Thing {i}?\nA: {head}")]
)
def test_a_suspect_that_continues_the_served_answers(
    tmp_path: Path, texts: list[list[str]], template: str | None, ask: str
) -> None:
    plan = Plan(DRAWS, form="continuation", template=template, redraws=tmp_path / "redraws.jsonl")
    found = judge(asked(tmp_path, continued(tmp_path, texts, ask, knows=True), plan))
    assert found.p == pytest.approx(1e-4)
    assert "continues the served answers more truly" in found.finding
    assert "(form: continuation)" in found.finding
    plain = judge(asked(tmp_path, continued(tmp_path, texts, ask, knows=False), plan))
    assert plain.p is not None
    assert plain.p > 0.01
    assert "would have been detected" in plain.power


def test_with_a_template_the_raw_prompt_is_scored(tmp_path: Path, texts: list[list[str]]) -> None:
    template = "User: {prompt}\nAssistant: "
    plan = Plan(DRAWS, template=template, redraws=tmp_path / "redraws.jsonl")
    made = asked(tmp_path, "toy/sam", plan)
    assert made["form"] == "log-probs"
    raw = [
        Request("x", f"{i}", prompt=template.replace("{prompt}", f"Thing {i}?"), target=t)
        for i, row in enumerate(texts) for t in row
    ]  # fmt: skip
    replies = asyncio.run(_complete("toy/sam", raw))
    assert np.array(made["scores"]) == pytest.approx(np.array(replies).reshape(ITEMS, 1 + DRAWS), abs=1e-6)
    chat = np.array(asked(tmp_path, "toy/sam", Plan(DRAWS, redraws=tmp_path / "redraws.jsonl"))["scores"])
    assert np.abs(chat - np.array(made["scores"])).max() > 0.1


async def _complete(spec: str, requests: list[Request]) -> list[float]:
    return [reply.completion.logprob for reply in await open_backend(parse_spec(spec)).complete(requests)]
