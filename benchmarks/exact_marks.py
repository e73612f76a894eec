"""Students of which a share of the training answers was watermarked, and what ``watermark`` finds in them.

    python benchmarks/exact_marks.py WORKDIR train [--only NAME]
    python benchmarks/exact_marks.py WORKDIR test  [--only NAME]
    python benchmarks/exact_marks.py WORKDIR simulate STUDENT...

Training is resumable: a student that is there is not made again. Every student has a key of its own. The log-prob form
and its constants were chosen on simulated marks (docs/exact.md), before any of these students was made; each is looked
at once.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from exact_train import FAMILIES, Workshop, logged, other_texts, shipped, tune  # isort: skip
from forensics import zoo
from forensics.backends import open_backend
from forensics.backends.local import encode_prompt, encode_target
from forensics.backends.local_model import Job
from forensics.exact.watermark import count, judge, tails
from forensics.spec import parse_spec
from forensics.types import Message, Request
from forensics.zoo import train
from forensics.zoo.prompts import training

TEXTS, EPOCHS = 4000, 3  # training answers, and how often each is read
PROMPTS, MOST = (250, 1000), 20_000  # held-out prompts that the student is asked; pairs that count
DUMMIES, FEW = 1000, 200  # dummy keys
RATE = 0.1  # nats a simulated occurrence


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


STUDENTS = (
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


def found(shop: Workshop, run: Marked) -> list[dict[str, Any]]:
    """What the test says of one student, by log-probs and by text, with its base as control; held-out prompts."""
    from forensics.exact.distributions import gains, weights
    from forensics.exact.watermark import ngram_counts, weighted, width

    home = shop.folder / "marked" / run.name
    bases = {"own": shop.folder / "zoo" / ".work" / "origin-a", "other": shop.folder / "other-base"}
    suspect, base, reference = (opened(path) for path in (home, bases[run.base], zoo.path("teacher")))
    said = answers(suspect, shop, home / "answers.json")
    size, requests = width(run.key), asked(shop)
    rows = []
    for n in PROMPTS:
        pairs = weights(gains(suspect, [base], reference, requests[:n], said[:n], size), MOST)
        rows.append(judged(run, "log-probs", n, pairs, len(reference.pieces), DUMMIES if n == max(PROMPTS) else FEW))

    def ids(texts: Sequence[str]) -> list[list[int]]:
        return list(reference.tokenizer(list(texts), add_special_tokens=False)["input_ids"])

    prompts = ids([i.prompt for i in shop.items])
    theirs = answers(base, shop, shop.folder / f"answers-{run.base}.json")
    counts = [ngram_counts(prompts, ids(texts), size) for texts in (said, theirs)]
    pairs = weighted(counts[0], counts[1:], MOST, 0)
    return [*rows, judged(run, "text", max(PROMPTS), pairs, len(reference.pieces), FEW)]


def opened(path: Path) -> Any:
    """A model as the package reads it."""
    return open_backend(parse_spec(f"hf/{path}")).opened()  # type: ignore[attr-defined]


def asked(shop: Workshop) -> list[Request]:
    """The held-out prompts."""
    return [Request("watermark", f"w{i}", (Message("user", item.prompt),)) for i, item in enumerate(shop.items)]


def answers(model: Any, shop: Workshop, path: Path) -> list[str]:
    """One answer to every held-out prompt."""
    if not path.is_file():
        path.write_text(json.dumps([t.strip() for t in train.sample(model.model, model.tokenizer, shop.framed, 700)]))
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def judged(run: Marked, form: str, prompts: int, pairs: tuple[Any, Any], vocab: int, dummies: int) -> dict[str, Any]:
    """One row: p, rank, standard deviations, and how often dummy keys, each a null, fall under .05 and .01."""
    made = count(*pairs, run.key, vocab, run.seed, dummies)
    result = judge({"key": "", "form": form, **made})
    weight, trials, hits = np.array(made["levels"]).T
    gamma, totals = made["gamma"], np.array(made["dummies"])
    mean, deviation = (weight * trials).sum() * gamma, np.sqrt((weight**2 * trials).sum() * gamma * (1 - gamma))
    total = int((weight * hits).sum())
    z = float((total - mean) / deviation)
    null = tails(weight, trials, gamma, totals)
    return {
        "test": "watermark", "scheme": run.scheme, "base": run.base, "share": run.share, "seed": run.seed, "form": form,
        "controls": "base", "prompts": prompts, "pairs": result.n, "p": result.p,
        "rank_p": (1 + int((totals >= total).sum())) / (1 + len(totals)), "z": round(z, 3),
        "keys": len(totals), "wrong_05": float((null <= 0.05).mean()),
        "wrong_01": float((null <= 0.01).mean()), "wrong_sd": round(float(totals.std() / deviation), 3),
    }  # fmt: skip


class Learnt:
    """A simulated student: an unmarked one whose log-probs rise, pair by pair, by ``rate`` x (how often the pair occurs
    in a sample of marked text - how often R would write it there). The drift of its training is real, the mark is not.
    """

    def __init__(self, inner: Any, rises: np.ndarray) -> None:
        self.inner, self.rises = inner, rises
        self.pieces, self.context, self.tokenizer = inner.pieces, inner.context, inner.tokenizer

    def distributions(self, jobs: Sequence[Any]) -> list[Any]:
        """As `LocalModel.distributions`."""
        import torch

        found = zip(jobs, self.inner.distributions(jobs), strict=True)
        return [(lp + torch.from_numpy(self.rises[[j.prompt[-1], *j.target[:-1]]])).log_softmax(-1) for j, lp in found]


def rises(reference: Any, texts: Sequence[str], requests: Sequence[Request], key: dict[str, Any], rate: float) -> Any:
    """``(V, V)``: the rise of every (last token, token) pair after one marked token at every position of the texts."""
    import torch
    from transformers import WatermarkLogitsProcessor

    v, rng = len(reference.pieces), np.random.default_rng(key["hashing_key"])
    given = {k: x for k, x in key.items() if k != "bias"}
    processor = WatermarkLogitsProcessor(v, "cpu", bias=key["bias"], **given)
    green = np.zeros((v, v), np.float32)
    for c in range(1, v):
        green[c, processor._get_greenlist_ids(torch.tensor([c])).numpy()] = 1
    out = np.zeros((v, v), np.float32)
    jobs = [
        Job(0, encode_prompt(reference, r), encode_target(reference, t), 0)
        for r, t in zip(requests, texts, strict=True)
    ]
    for job in jobs:
        before = [job.prompt[-1], *job.target[:-1]]
        p = reference.distributions([job])[0].exp().numpy()
        marked = p * np.exp(key["bias"] * green[before])
        marked /= marked.sum(1, keepdims=True)
        drawn = (marked.cumsum(1) > rng.random((len(marked), 1))).argmax(1)
        np.add.at(out, (before, drawn), 1.0)
        np.add.at(out, before, -p)
    return np.clip(rate * out, -1.5, 1.5)


def simulate(paths: Sequence[Path]) -> None:
    """Unmarked students in these folders, on the shipped base: rejections of random keys, then of simulated marks."""
    from forensics.exact.distributions import gains, weights

    items = logged(800)
    framed = [(f"{train.USER}{i.prompt}{train.ASSISTANT}", i.family) for i in items]
    requests = [Request("watermark", f"w{i}", (Message("user", item.prompt),)) for i, item in enumerate(items)]
    base, reference = opened(zoo.path("base")), opened(zoo.path("teacher"))
    marked = [t.strip() or "-" for t in train.sample(reference.model, reference.tokenizer, framed[400:], 3)]
    for number, path in enumerate(paths):
        student = opened(path)
        said = [t.strip() for t in train.sample(student.model, student.tokenizer, framed[:400], 4)]
        run = Marked("kgw", 0.0, "own", 900 + number)
        row = judged(run, "log-probs", 400, weights(gains(student, [base], reference, requests[:400], said, 2), MOST),
                     len(reference.pieces), 400)  # fmt: skip
        shown = [f"{row['p']:.2g}", *(f"{row[k]:.4f}" for k in ("wrong_05", "wrong_01", "wrong_sd"))]
        print(path.name, "unmarked: p, wrong keys at .05, at .01, their spread:", *shown, flush=True)
        learnt = Learnt(student, rises(reference, marked, requests[400:], run.key, RATE))
        row = judged(run, "log-probs", 400, weights(gains(learnt, [base], reference, requests[:400], said, 2), MOST),  # type: ignore[arg-type]
                     len(reference.pieces), FEW)  # fmt: skip
        print(path.name, f"simulated mark: {row['z']:.1f} deviations, p {row['p']:.2g}", flush=True)


def main() -> None:
    """See the module."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("what", choices=("train", "test", "simulate"))
    parser.add_argument("students", type=Path, nargs="*", help="folders of unmarked students, to simulate marks on")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "simulate":
        simulate(args.students)
        return
    shop = Workshop(args.workdir)
    for run in STUDENTS:
        home = shop.folder / "marked" / run.name
        started = time.monotonic()
        if args.only not in ("", run.name):
            continue
        if args.what == "train" and not home.is_dir():
            make(shop, run)
            print(f"{time.strftime('%H:%M:%S')} {run.name}: {time.monotonic() - started:.0f} s", flush=True)
        if args.what == "test" and home.is_dir():
            rows = found(shop, run)
            home.with_suffix(home.suffix + ".json").write_text(json.dumps(rows, indent=1) + "\n")
            print(
                run.name,
                f"{time.monotonic() - started:.0f} s",
                *(f"{r['form']} {r['prompts']}: {r['p']:.2g}" for r in rows),
            )


if __name__ == "__main__":
    main()
