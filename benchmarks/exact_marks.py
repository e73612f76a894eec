"""Students of which a share of the training answers was watermarked, and what ``watermark`` finds in them.

    python benchmarks/exact_marks.py WORKDIR train [--only PREFIX]
    python benchmarks/exact_marks.py WORKDIR test  [--only PREFIX]

Training is resumable: a student that is there is not made again. Every student has a key of its own. The form of the
test and all its constants were chosen on the students of `TUNING` alone; `FRESH` were looked at once, after that.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from exact_train import FAMILIES, Workshop, other_texts, shipped, tune  # isort: skip
from forensics.zoo import train
from forensics.zoo.prompts import training

TEXTS, EPOCHS = 4000, 3  # training answers, and how often each is read


@dataclass(frozen=True)
class Marked:
    """One student: ``share`` of `TEXTS` answers carry the mark of its own key."""

    scheme: str
    share: float
    base: str  # own (the reference's) or other (another initialisation and tokenizer)
    seed: int

    @property
    def name(self) -> str:
        """Folder of the student."""
        return f"{self.scheme}-{self.share:g}-{self.base}-{self.seed}"

    @property
    def key(self) -> dict[str, Any]:
        """The configuration of its watermark."""
        rng = random.Random(f"key:{self.seed}")
        if self.scheme == "synthid":
            return {"ngram_len": 3, "keys": [rng.randrange(2**31 - 1) for _ in range(20)]}
        return {
            "greenlist_ratio": 0.25,
            "bias": 3.0,
            "hashing_key": rng.randrange(2**31 - 1),
            "seeding_scheme": "lefthash",
        }


TUNING = (
    Marked("kgw", 0.1, "own", 1), Marked("kgw", 0.1, "own", 2), Marked("kgw", 0.1, "other", 3),
    Marked("synthid", 0.1, "own", 4),
)  # fmt: skip
FRESH = (
    *(Marked("kgw", 0.1, "own", s) for s in (11, 12, 13)), *(Marked("kgw", 0.1, "other", s) for s in (14, 15)),
    *(Marked("kgw", 0.05, "own", s) for s in (16, 17)), *(Marked("synthid", 0.1, "own", s) for s in (18, 19)),
    Marked("kgw", 0.0, "own", 20), Marked("kgw", 0.0, "other", 21), Marked("kgw", 1.0, "own", 22),
)  # fmt: skip


def make(shop: Workshop, run: Marked) -> None:
    """Train one student into ``WORKDIR/marked/NAME``."""
    from transformers import SynthIDTextWatermarkingConfig, WatermarkingConfig

    model, tokenizer = shop.base(run.base)
    texts: list[train.Document] = []
    if run.share:
        config = (WatermarkingConfig if run.scheme == "kgw" else SynthIDTextWatermarkingConfig)(**run.key)
        items = [i for i in islice(training(600 + run.seed), 2 * TEXTS) if i.family in FAMILIES]
        framed = [(f"{train.USER}{i.prompt}{train.ASSISTANT}", i.family) for i in items[: round(TEXTS * run.share)]]
        marked = train.sample(*shipped("teacher"), framed, run.seed, watermark=config)
        texts = [(prompt, text) for (prompt, _), text in zip(framed, marked, strict=True)]
    texts += list(other_texts(TEXTS - len(texts), run.seed))
    tune(model, tokenizer, texts, EPOCHS, run.seed)
    train.save(model, tokenizer, shop.folder / "marked" / run.name)


def main() -> None:
    """See the module."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("what", choices=("train", "test"))
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    torch.set_num_threads(1)
    shop = Workshop(args.workdir)
    for run in (*TUNING, *FRESH):
        if run.name.startswith(args.only) and not (shop.folder / "marked" / run.name).is_dir():
            started = time.monotonic()
            make(shop, run)
            print(f"{time.strftime('%H:%M:%S')} {run.name}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
