"""Writers of made-up answers: each has habits of wording, and a student takes over some of its teacher's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from forensics.types import Column, Completion, Message, Request, Sample, Unit

NOUNS = "river lamp garden engine letter bridge market forest window harbour kitchen mountain".split()
FILLERS = [
    f"{a}{b}" for a in "ba de fi go lu me ni po ra su".split() for b in "ler mon tas vin der kor pel rix".split()
]


def habits(name: str) -> list[str]:
    """The eight words that a writer likes too much, drawn by its name."""
    rng = np.random.default_rng(abs(hash_of(name)))
    return [str(w) for w in rng.choice(FILLERS, 8, replace=False)]


def hash_of(text: str) -> int:
    """A number that does not change between runs."""
    import zlib

    return zlib.crc32(text.encode())


def answer(name: str, item: int, mix: Mapping[str, float] | None = None, words: int = 45) -> str:
    """Words about the item, every fifth of them a habit: the writer's own, or with some probability a teacher's."""
    rng = np.random.default_rng(hash_of(f"{name} {item}"))
    sources = {name: 1.0} | dict(mix or {})
    own = 1.0 - sum(p for n, p in sources.items() if n != name)
    weights = [own if n == name else p for n, p in sources.items()]
    out = []
    for place in range(words):
        source = str(rng.choice(list(sources), p=weights))
        if place % 5 == 2:
            out.append(str(rng.choice(habits(source))))
        else:
            out.append(str(rng.choice(NOUNS)))
    return " ".join(out) + "."


def units(n: int) -> tuple[Unit, ...]:
    """Items of one prompt each."""
    made = [Request("writing", f"i{k}", (Message("user", f"Tell me about item number {k}."),)) for k in range(n)]
    return tuple(Unit(r.item, "writing", 0, r) for r in made)


def column(name: str, n: int, mix: Mapping[str, float] | None = None) -> Column:
    """A writer's answers to the first ``n`` items."""
    return tuple(Completion(u.request.digest, answer(name, k, mix), "stop") for k, u in enumerate(units(n)))


def sample(
    suspect: str = "sam", mix: Mapping[str, float] | None = None, n: int = 80, base: Mapping[str, float] | None = None,
    controls: int = 5,
) -> Sample:  # fmt: skip
    """A suspect with a share of other writers' habits, the reference "ref" and some controls."""
    return Sample(
        units(n), column(suspect, n, mix), column("ref", n),
        {f"c{k}": column(f"c{k}", n) for k in range(controls)},
        None if base is None else column(suspect, n, base),
    )  # fmt: skip


def write(path: Path, name: str, n: int, mix: Mapping[str, float] | None = None) -> Path:
    """A file of recorded answers."""
    rows = [{"prompt": u.request.messages[0].content, "response": answer(name, k, mix)} for k, u in enumerate(units(n))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
