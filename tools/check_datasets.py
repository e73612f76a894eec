"""How often the gate ``style`` fails a data set: rates on data sets of known origin, made with the zoo; JSON Lines.

    python tools/check_datasets.py

300 prompts that are in no suite. zoo/teacher (the reference) and three controls have answered each of them once. A data
set is what one source wrote to them: an author whose text no model of the zoo was trained on, or a model. In some data
sets a share of the rows, drawn at random, is the teacher's instead, drawn anew.
"""

from __future__ import annotations

import json
import random
import sys
from itertools import islice

import numpy as np
from threadpoolctl import threadpool_limits

from forensics import zoo
from forensics.audit import CHECK_RESAMPLES
from forensics.check.judged import beyond_controls
from forensics.comparators.attribution import Attribution
from forensics.comparators.base import quick
from forensics.types import Column, Completion, Message, Request, Sample, Unit
from forensics.verdict.checks import as_suspect, fit_to_judge
from forensics.zoo import train
from forensics.zoo.authors import Author
from forensics.zoo.prompts import Item, training

ROWS, PROMPTS = 300, 501
CONTROLS = ("control-a", "control-b", "control-c")
CLEAN, MIXED = 100, 30  # authors: 9,000 and on
SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
MODELS = ("independent", "teacher-2", "sibling", "base", *CONTROLS)  # none has learnt from the teacher
TAUGHT = ("student-25", "student", "descendant")


def told(name: str, items: list[Item], seed: int) -> list[str]:
    """One model's answers."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(zoo.path("base"), local_files_only=True)
    rng = random.Random(f"{name}:{seed}")
    asked = [(train.frame(item, rng), item.family) for item in items]
    return train.sample(train.load(zoo.path(name)), tokenizer, asked, seed)


def written(author: int, items: list[Item]) -> list[str]:
    """One author's answers."""
    rng = random.Random(f"data:{author}")
    return [Author(author).write(item, rng) for item in items]


class Gate:
    """``style>=0`` on data sets that answer the same prompts."""

    def __init__(self, items: list[Item]) -> None:
        self.requests = [
            Request("writing", f"row-{i}", (Message("user", item.prompt),)) for i, item in enumerate(items)
        ]
        self.units = tuple(Unit(r.item, r.probe, 0, r) for r in self.requests)
        self.reference, *others = (self.column(told(name, items, 1)) for name in ("teacher", *CONTROLS))
        self.controls = dict(zip(CONTROLS, others, strict=True))
        asked = as_suspect(self.sample(self.reference), self.reference)
        self.identity = [quick(Attribution(), CHECK_RESAMPLES).compare(asked, np.random.default_rng(0))]

    def column(self, texts: list[str]) -> Column:
        """Answers to the prompts, in their order."""
        return tuple(Completion(r.digest, t, "stop") for r, t in zip(self.requests, texts, strict=True))

    def sample(self, data: Column) -> Sample:
        """The data set in the suspect's place."""
        return Sample(self.units, data, self.reference, self.controls)

    def fails(self, texts: list[str]) -> bool:
        """Whether the build would."""
        found = Attribution(ablate=False).compare(self.sample(self.column(texts)), np.random.default_rng(0))
        (score,) = fit_to_judge([found], self.identity)
        assert score.value is not None
        assert score.interval is not None
        return score.value >= 0 and beyond_controls(score.interval, float(np.quantile(score.null, 0.975)))


def counted(fails: list[bool]) -> dict[str, object]:
    """k of n with the exact binomial interval, 95 %."""
    from scipy.stats import binomtest

    exact = binomtest(sum(fails), len(fails)).proportion_ci(0.95, "exact")
    return {"fails": sum(fails), "of": len(fails), "interval": [round(exact.low, 4), round(exact.high, 4)]}


def main() -> None:
    """See the module."""
    items = list(islice((i for i in training(PROMPTS) if i.family != "continuation"), ROWS))
    gate = Gate(items)
    again = told("teacher", items, 2)
    own = {a: written(a, items) for a in range(9_000, 9_000 + CLEAN)}
    say("authors, clean", counted([gate.fails(texts) for texts in own.values()]))
    for share in SHARES:
        hits = []
        for author in list(own)[:MIXED]:
            rng = random.Random(f"mix:{author}:{share}")
            taken = set(rng.sample(range(ROWS), round(share * ROWS)))
            hits.append(gate.fails([again[i] if i in taken else own[author][i] for i in range(ROWS)]))
        say(f"authors, {share:g} of the teacher's", counted(hits))
    for kind, names in (("a model that did not learn from it", MODELS), ("a model that did", TAUGHT)):
        for name in names:
            say(f"{kind}: {name}", {"fails": gate.fails(told(name, items, 2))})


def say(what: str, found: dict[str, object]) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps({"data": what, **found}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with threadpool_limits(limits=1):
        main()
