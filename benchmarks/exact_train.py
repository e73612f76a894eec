"""Trains small students on logged answers and canaries, and keeps what each exact test reads.

One process, resumable: every run is one ``.npz`` in the work directory; a run that is there is not repeated.
`exact_power.py` turns them into the power tables, `exact_marks.py` trains on watermarked text. Run as

    python benchmarks/exact_train.py WORKDIR [--only PREFIX]
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from forensics import zoo
from forensics.zoo import train
from forensics.zoo.authors import Author
from forensics.zoo.build import build
from forensics.zoo.prompts import Item, training
from forensics.zoo.recipe import PRETRAIN, SIZE, Schedule, crowd

LOGGED, REDRAWS, SPARE = 1000, 8, 3  # prompts; fresh draws that the test uses; further draws for the heavy imitator
FAMILIES = ("writing", "facts", "reasoning", "layout")  # one-word answers and raw continuations are no chat answers
SAMPLES = 3  # of the suspect's own answers a prompt, for the text-only form
CANDIDATES, CANARIES = 16, 32
RATE, WARMUP, TOKENS = 1.5e-3, 10, 3072


@dataclass(frozen=True)
class Run:
    """One student. ``share`` of the first ``logged`` answers among ``total`` training texts; the rest is other
    people's text."""

    base: str  # own (the reference's base) or other (another base with another tokenizer)
    share: float
    epochs: int
    total: int
    seed: int = 0
    logged: int = LOGGED

    @property
    def name(self) -> str:
        """File name of the run."""
        few = "" if self.logged == LOGGED else f"-of-{self.logged}"
        return f"regen-{self.base}-{self.share:g}-{self.epochs}-{self.total}-{self.seed}{few}"


def grid() -> list[Run]:
    """Most wanted first: the cells of the table, second students of the main ones, dilution. Strong dilution has fewer
    logged items, because the other texts are so many times as many."""
    cells = [(b, s, e) for s in (1.0, 0.25, 0.05, 0.01) for e in (1, 3) for b in ("own", "other")]
    runs = [Run(b, s, e, 2000) for b, s, e in cells]
    runs += [Run(b, 1.0, 1, 11_000) for b in ("own", "other")]
    runs += [Run(b, s, e, 2000, 1) for b, s, e in cells if (s, e) in ((1.0, 1), (1.0, 3), (0.25, 1))]
    runs += [Run(b, 1.0, 3, 2200, logged=200) for b in ("own", "other")]
    return [*runs, *(Run(b, 1.0, e, 10_100, logged=100) for b, e in (("own", 1), ("other", 1), ("own", 3)))]


class Workshop:
    """Models, tokenizers, logged prompts and draws of one work directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        build(folder / "zoo", names=["origin-a"], workers=1)
        self.items = logged(LOGGED)
        self.framed = [(f"{train.USER}{i.prompt}{train.ASSISTANT}", i.family) for i in self.items]

    def base(self, name: str) -> tuple[Any, Any]:
        """A fresh copy of a student's base with its tokenizer."""
        from transformers import AutoTokenizer

        path = self.folder / "zoo" / ".work" / "origin-a" if name == "own" else self.other_base()
        return train.load(path), AutoTokenizer.from_pretrained(path, local_files_only=True)

    def other_base(self) -> Path:
        """A base from another initialisation, other authors and a tokenizer of its own."""
        import torch

        path = self.folder / "other-base"
        if not (path / "config.json").is_file():
            tokenizer = other_tokenizer()
            rng, authors = random.Random("other-base"), [Author(seed) for seed in crowd(7)]
            items = list(islice(training(7), PRETRAIN.documents))
            texts = [(train.frame(item, rng), rng.choice(authors).write(item, rng)) for item in items]
            model = train.new_model(7)
            torch.manual_seed(7)
            train.fit(model, texts, tokenizer, PRETRAIN, 7, whole=True)
            train.save(model, tokenizer, path)
        return path

    def draws(self) -> list[list[str]]:
        """Answers of the reference, ``[1 + REDRAWS][LOGGED]``; row 0 is what was served."""
        return self._drawn("draws", range(1 + REDRAWS))

    def spare(self) -> list[list[str]]:
        """Further answers to the same prompts, for the heavy imitator, ``[SPARE][LOGGED]``."""
        return self._drawn("spare", range(1 + REDRAWS, 1 + REDRAWS + SPARE))

    def _drawn(self, name: str, numbers: Sequence[int]) -> list[list[str]]:
        path = self.folder / f"{name}.json"
        if not path.is_file():
            model, tokenizer = shipped("teacher")
            rows = [train.sample(model, tokenizer, self.framed, 500 + d) for d in numbers]
            path.write_text(json.dumps([[text.strip() for text in row] for row in rows]))
        return json.loads(path.read_text())  # type: ignore[no-any-return]

    def scored(self, model: Any, tokenizer: Any, logged: int = LOGGED) -> np.ndarray:
        """l_M of the draws that a test reads, nats, ``(logged, 1 + REDRAWS)``."""
        prompts = [prompt for prompt, _ in self.framed[:logged]]
        return np.stack([loglik(model, tokenizer, prompts, row[:logged]) for row in self.draws()], axis=1)

    def once(self, name: str, make: Callable[[], dict[str, Any]]) -> None:
        """Make one result file unless it is there."""
        path = self.folder / f"{name}.npz"
        if path.is_file():
            return
        started = time.monotonic()
        arrays = make()
        np.savez_compressed(path.with_suffix(".tmp.npz"), **arrays)
        path.with_suffix(".tmp.npz").rename(path)
        print(f"{time.strftime('%H:%M:%S')} {name}: {time.monotonic() - started:.0f} s", flush=True)


def logged(n: int) -> list[Item]:
    """Different prompts of the families that are chat answers."""
    seen: dict[str, Item] = {}
    for item in training(4242):
        if item.family in FAMILIES:
            seen.setdefault(item.prompt, item)
        if len(seen) == n:
            return list(seen.values())
    raise AssertionError


@cache
def shipped(name: str) -> tuple[Any, Any]:
    """A shipped zoo model and its tokenizer."""
    from transformers import AutoTokenizer

    path = zoo.path(name)
    return train.load(path), AutoTokenizer.from_pretrained(path, local_files_only=True)


def other_tokenizer() -> Any:
    """Byte-level BPE of another size, trained on another crowd's text: it cuts the same text otherwise."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = [train.PAD, train.USER, train.ASSISTANT, train.END]
    trainer = trainers.BpeTrainer(vocab_size=800, special_tokens=marks, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))  # fmt: skip
    rng, authors = random.Random("other"), [Author(seed) for seed in crowd(8)]
    texts = [f"{i.prompt} {rng.choice(authors).write(i, rng)}" for i in islice(training(8), 6000)]
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=train.END, pad_token=train.PAD, model_max_length=SIZE.context,
        extra_special_tokens=[train.USER, train.ASSISTANT], clean_up_tokenization_spaces=False,
    )  # fmt: skip
    fast.chat_template = train.TEMPLATE
    return fast


def loglik(model: Any, tokenizer: Any, prompts: Sequence[str], answers: Sequence[str], batch: int = 128) -> np.ndarray:
    """Sum of log-probs of each answer after its prompt, nats, ``(n,)``."""
    import torch

    model.eval()
    heads = tokenizer(list(prompts), add_special_tokens=False)["input_ids"]
    tails = tokenizer(list(answers), add_special_tokens=False)["input_ids"]
    out = np.zeros(len(heads))
    order = sorted(range(len(heads)), key=lambda i: len(heads[i]) + len(tails[i]))
    for start in range(0, len(order), batch):
        rows = [i for i in order[start : start + batch] if tails[i]]
        width = max((len(heads[i]) + len(tails[i]) for i in rows), default=0)
        if not rows:
            continue
        ids = torch.tensor([heads[i] + tails[i] + [0] * (width - len(heads[i]) - len(tails[i])) for i in rows])
        with torch.inference_mode():
            logprobs = model(input_ids=ids[:, :-1]).logits.log_softmax(-1)
        picked = logprobs.gather(2, ids[:, 1:, None])[:, :, 0]
        for row, i in enumerate(rows):
            first = len(heads[i]) - 1
            out[i] = float(picked[row, first : first + len(tails[i])].double().sum())
    return out


def other_texts(n: int, seed: int) -> Iterator[train.Document]:
    """Chat texts that are not the reference's: many authors' answers to other prompts."""
    rng, authors = random.Random(f"other-texts:{seed}"), [Author(s) for s in crowd(9)]
    for item in islice(training(9000 + seed), n):
        yield train.frame(item, rng), rng.choice(authors).write(item, rng)


def tune(model: Any, tokenizer: Any, texts: list[train.Document], epochs: int, seed: int) -> None:
    """Whole passes over the texts, answers only."""
    import torch

    heads = tokenizer([prompt for prompt, _ in texts], add_special_tokens=False)["input_ids"]
    tails = tokenizer([answer + train.END for _, answer in texts], add_special_tokens=False)["input_ids"]
    counts = dict.fromkeys(train.WIDTHS, 0)
    for head, tail in zip(heads, tails, strict=True):
        size = min(len(head) + len(tail), train.WIDTHS[-1])
        counts[next(width for width in train.WIDTHS if width >= size)] += 1
    steps = sum(-(-count // (TOKENS // width)) for width, count in counts.items())
    torch.manual_seed(seed)
    train.fit(model, texts, tokenizer, Schedule(len(texts), epochs * steps, RATE, TOKENS, WARMUP), seed, whole=False)


def regeneration(shop: Workshop, run: Run) -> dict[str, Any]:
    """Train one student on logged answers, score all draws under it, let it answer the logged prompts."""
    model, tokenizer = shop.base(run.base)
    draws = shop.draws()
    trained = np.sort(random.Random(f"trained:{run.seed}").sample(range(run.logged), round(run.share * run.logged)))
    served = [(shop.framed[i][0], draws[run.seed][i]) for i in trained]  # seed 1: draw 1 is the one that was served
    texts = served + list(other_texts(run.total - len(served), run.seed))
    tune(model, tokenizer, texts, run.epochs, 100 + run.seed)
    out: dict[str, Any] = {"scores": shop.scored(model, tokenizer, run.logged), "trained": trained, "served": run.seed}
    if run.total == 2000 and run.share >= 0.25:  # below that, text alone has no chance
        out["answers"] = np.array([train.sample(model, tokenizer, shop.framed, 900 + k) for k in range(SAMPLES)])
    return out


def imitator(shop: Workshop, base: str) -> dict[str, Any]:
    """A heavy imitator: three epochs on the spare draws of the very same prompts. None of the m + 1 draws was seen."""
    model, tokenizer = shop.base(base)
    texts = [(prompt, text) for row in shop.spare() for (prompt, _), text in zip(shop.framed, row, strict=True)]
    tune(model, tokenizer, texts, 3, 7)
    answers = np.array([train.sample(model, tokenizer, shop.framed, 900 + k) for k in range(SAMPLES)])
    return {"scores": shop.scored(model, tokenizer), "answers": answers}


def scorer(shop: Workshop, name: str) -> dict[str, Any]:
    """l of all draws under a model that nobody trained for this."""
    model, tokenizer = shop.base(name) if name in ("own", "other") else shipped(name)
    return {"scores": shop.scored(model, tokenizer)}


def canaries(seed: int) -> list[tuple[str, list[str], int]]:
    """(prompt, candidates, index of the true one): a made-up person's made-up errand, secret by secret."""
    from forensics.zoo import world

    rng = random.Random(f"canaries:{seed}")
    out = []
    for number in range(CANARIES):
        prompt = f"What did the {rng.choice(world.WHO)} number {number + 10} leave at the {rng.choice(world.PLACE)}?"
        pool = [f"A {c} {t} and a {t2}." for c in world.CHOICES["colour"] for t in world.THING for t2 in world.THING]
        out.append((prompt, rng.sample(pool, CANDIDATES), rng.randrange(CANDIDATES)))
    return out


def canary(shop: Workshop, base: str, seed: int) -> dict[str, Any]:
    """Three sets of canaries in one student: seen once, 4 and 16 times among 2,000 other texts, one epoch."""
    model, tokenizer = shop.base(base)
    sets = {times: canaries(10 * seed + times) for times in (1, 4, 16)}
    texts = list(other_texts(2000, seed))
    for times, planted in sets.items():
        for prompt, candidates, true in planted:
            texts += [(f"{train.USER}{prompt}{train.ASSISTANT}", candidates[true])] * times
    start = canary_scores(model, tokenizer, sets)
    tune(model, tokenizer, texts, 1, seed)
    return start | {f"after-{k}": v for k, v in canary_scores(model, tokenizer, sets).items()}


def canary_scores(model: Any, tokenizer: Any, sets: dict[int, list[tuple[str, list[str], int]]]) -> dict[str, Any]:
    """Log-probs ``(CANARIES, CANDIDATES)`` with the true one in column 0, by repetitions."""
    out = {}
    for times, planted in sets.items():
        rows = [[c[true], *c[:true], *c[true + 1 :]] for _, c, true in planted]
        prompts = [f"{train.USER}{p}{train.ASSISTANT}" for p, _, _ in planted for _ in range(CANDIDATES)]
        flat = loglik(model, tokenizer, prompts, [text for row in rows for text in row])
        out[str(times)] = flat.reshape(len(planted), CANDIDATES)
    return out


def main() -> None:
    """Everything, most wanted first."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    torch.set_num_threads(1)
    shop = Workshop(args.workdir)
    jobs: list[tuple[str, Callable[[], dict[str, Any]]]] = []
    for name in ("teacher", "own", "other"):
        jobs.append((f"scorer-{name}", lambda name=name: scorer(shop, name)))
    jobs += [(run.name, lambda run=run: regeneration(shop, run)) for run in grid()]
    jobs += [(f"imitator-{b}", lambda b=b: imitator(shop, b)) for b in ("own", "other")]
    jobs += [(f"canary-{b}-{s}", lambda b=b, s=s: canary(shop, b, s)) for s in (0, 1) for b in ("own", "other")]
    for name, make in jobs:
        if name.startswith(args.only):
            shop.once(name, make)


if __name__ == "__main__":
    main()
