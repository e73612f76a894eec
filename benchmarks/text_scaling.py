"""Seconds and memory of the text comparators: ``python benchmarks/text_scaling.py [--items 251 1000 …]``.

One suspect, one reference, ten controls; answers of about 200 words are made by this script. Every size runs in a
process of its own. Seconds are of the processor (one core), so that a busy machine does not count, and of the clock.
Memory is what a comparator adds to the highest so far.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

from forensics.comparators import COMPARATORS
from forensics.types import Completion, Message, Request, Sample, Unit

TEXT = ("answer-overlap", "over-represented", "style-delta", "relative-mmd", "attribution", "choice-panel")
PARTIES = ("suspect", "reference", *(f"control-{i}" for i in range(10)))
SYLLABLES = "ba de ki lo mu na pe ri so tu va we xi yo zu ca fe gi ho ju".split()


def column(rng: np.random.Generator, items: int, words: int, draws: int) -> tuple[Completion, ...]:
    """Answers of ``words`` words, with sentences, paragraphs and lists, drawn from a vocabulary of Zipf shape."""
    vocabulary = np.array([" ".join(rng.choice(SYLLABLES, 1 + i % 3)).replace(" ", "") for i in range(5000)])
    share = 1.0 / np.arange(1, len(vocabulary) + 1)
    out = []
    for _ in range(items * draws):
        drawn = rng.choice(vocabulary, words, p=share / share.sum())
        pieces = [" ".join(drawn[i : i + 12]).capitalize() + "." for i in range(0, words, 12)]
        text = "\n\n".join(("- " if i % 5 == 4 else "") + piece for i, piece in enumerate(pieces))
        out.append(Completion("d", text, "stop"))
    return tuple(out)


def sample(items: int, words: int, draws: int) -> Sample:
    """The whole case."""
    units = tuple(
        Unit(f"i{i}", "writing", d, Request("writing", f"i{i}", (Message("user", f"Question {i}?"),), sample=d))
        for i in range(items)
        for d in range(draws)
    )
    columns = {p: column(np.random.default_rng(n), items, words, draws) for n, p in enumerate(PARTIES)}
    return Sample(units, columns.pop("suspect"), columns.pop("reference"), columns)


def choices(items: int, draws: int = 8) -> Sample:
    """One-word answers, eight draws an item: each item has five words, each party its own taste."""
    units = tuple(
        Unit(f"i{i}", "choice", d, Request("choice", f"i{i}", (Message("user", f"Choose {i}."),), sample=d))
        for i in range(items)
        for d in range(draws)
    )
    columns = {}
    for n, party in enumerate(PARTIES):
        rng = np.random.default_rng(n)
        picks = [rng.choice(5, draws, p=rng.dirichlet(np.ones(5))) for _ in range(items)]
        columns[party] = tuple(Completion("d", f"word{i}x{k}", "stop") for i, row in enumerate(picks) for k in row)
    return Sample(units, columns.pop("suspect"), columns.pop("reference"), columns)


def peak() -> float:
    """Highest resident memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(items: int, words: int, only: list[str]) -> None:
    """One size: a line for each comparator."""
    total = 0.0
    made = sample(items, words, 1)
    for name in only:
        asked = choices(max(items // 8, 32)) if name == "choice-panel" else made
        comparator = COMPARATORS.load(name)()
        before, start, clock = peak(), time.process_time(), time.perf_counter()
        score = comparator.compare(asked, np.random.default_rng(0))
        seconds, clock = time.process_time() - start, time.perf_counter() - clock
        total += seconds
        print(
            f"{items:8d} items  {name:18s} {seconds:8.2f} s ({clock:8.2f} by the clock)  +{peak() - before:7.0f} MB  "
            f"{score.status}" + (f": {score.reason}" if score.reason else ""),
            flush=True,
        )
    print(f"{items:8d} items  {'all':18s} {total:8.2f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[251])
    parser.add_argument("--words", type=int, default=200)
    parser.add_argument("--only", nargs="+", default=[n for n in TEXT if n in COMPARATORS.names()])
    parser.add_argument("--here", action="store_true", help="in this process")
    args = parser.parse_args()
    for items in args.items:
        if args.here:
            measure(items, args.words, args.only)
        else:
            command = [sys.executable, __file__, "--here", "--items", str(items), "--words", str(args.words)]
            subprocess.run([*command, "--only", *args.only], check=True)


if __name__ == "__main__":
    main()
