"""Seconds and memory of the text comparators: ``python benchmarks/text_scaling.py [--items 251 1000 …]``.

One suspect, one reference, ten controls (``--controls``); answers of about 200 words (``--words``) are made by this
script, beforehand, or ``--lazy`` each time that one is asked for, as from a large case file: then nothing of the case
is in memory but what the comparator keeps of it. Or real ones: ``--files SUSPECT REFERENCE CONTROL …``, files of
recorded answers to the same prompts. Every size runs in a process of its own, ``--apart`` every comparator too, with
cold caches; ``--together`` all comparators in one call, with a second process where an audit would start one. Seconds
are of the processor (one core), so that a busy machine counts little, and of the clock. Memory is what a comparator
adds to the highest so far, the case itself not counted; KB an item is that over the items.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Mapping

import numpy as np

from forensics import AuditConfig, Store
from forensics.comparators import COMPARATORS
from forensics.comparators.base import RESAMPLES, quick
from forensics.plan import gather
from forensics.recorded import import_files
from forensics.scoring import helper_for, score_all
from forensics.types import Column, Completion, Lazy, Message, Request, Sample, Unit

TEXT = (
    "answer-overlap", "over-represented", "attribution", "opening-style", "style-delta", "relative-mmd", "choice-panel"
)  # fmt: skip
SYLLABLES = "ba de ki lo mu na pe ri so tu va we xi yo zu ca fe gi ho ju".split()


def column(seed: int, answers: int, words: int) -> Lazy:
    """Answers of ``words`` words, with sentences, paragraphs and lists, drawn from a vocabulary of Zipf shape."""
    rng = random.Random(seed)
    vocabulary = ["".join(rng.choices(SYLLABLES, k=1 + i % 3)) for i in range(5000)]
    share = list(itertools.accumulate(1.0 / (i + 1) for i in range(len(vocabulary))))

    def made(row: int) -> Completion:
        drawn = random.Random(seed << 32 | row).choices(vocabulary, cum_weights=share, k=words)
        pieces = [" ".join(drawn[i : i + 12]).capitalize() + "." for i in range(0, words, 12)]
        return Completion("d", "\n\n".join(("- " if i % 5 == 4 else "") + p for i, p in enumerate(pieces)), "stop")

    return Lazy(made, range(answers))


def parties(controls: int) -> tuple[str, ...]:
    """Who answers."""
    return ("suspect", "reference", *(f"control-{i}" for i in range(controls)))


def recorded(files: list[str]) -> Sample:
    """The case that `forensics compare` makes of files of answers: suspect, reference, controls."""
    suspect, reference, *controls = (f"file/{name}" for name in files)
    with Store(None) as store:
        return gather(import_files(AuditConfig(suspect, reference, tuple(controls)), store), store)


def sample(items: int, words: int, draws: int, controls: int, lazy: bool = False) -> Sample:
    """The whole case."""
    units = tuple(
        Unit(f"i{i}", "writing", d, Request("writing", f"i{i}", (Message("user", f"Question {i}?"),), sample=d))
        for i in range(items)
        for d in range(draws)
    )
    columns = {p: column(n, items * draws, words) for n, p in enumerate(parties(controls))}
    return case(units, columns, lazy)


def case(units: tuple[Unit, ...], columns: Mapping[str, Lazy], lazy: bool) -> Sample:
    """The columns as a sample, held or not."""
    held: dict[str, Column] = {name: made if lazy else tuple(made) for name, made in columns.items()}
    return Sample(units, held.pop("suspect"), held.pop("reference"), held)


def choices(items: int, controls: int, lazy: bool = False, draws: int = 8) -> Sample:
    """One-word answers, eight draws an item: each item has five words, each party its own taste."""
    units = tuple(
        Unit(f"i{i}", "choice", d, Request("choice", f"i{i}", (Message("user", f"Choose {i}."),), sample=d))
        for i in range(items)
        for d in range(draws)
    )

    def taste(party: int) -> Lazy:
        def made(row: int) -> Completion:
            item = row // draws
            liked = random.Random(party << 32 | item).choices(range(5), k=3)
            return Completion("d", f"word{item}x{random.Random(party << 32 | row).choice(liked)}", "stop")

        return Lazy(made, range(items * draws))

    return case(units, {name: taste(n) for n, name in enumerate(parties(controls))}, lazy)


def peak() -> float:
    """Highest resident memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(args: argparse.Namespace) -> None:
    """One size: a line for each comparator."""
    total, wall, items = 0.0, 0.0, args.items[0]
    made = recorded(args.files) if args.files else None
    if made is None and set(args.only) != {"choice-panel"}:
        made = sample(items, args.words, 1, args.controls, args.lazy)
    if args.together:
        assert made is not None
        together(made, args)
        return
    for name in args.only:
        count = max(items // 8, 32) if name == "choice-panel" and not args.files else items
        asked = made if count == items and made is not None else choices(count, args.controls, args.lazy)
        comparator = COMPARATORS.load(name)()
        comparator = comparator if args.ablate else quick(comparator, RESAMPLES)
        part = asked.rows(lambda unit, c=comparator: unit.family in c.families)
        before, start, clock = peak(), time.process_time(), time.perf_counter()
        score = comparator.compare(part, np.random.default_rng(0))
        seconds, clock = time.process_time() - start, time.perf_counter() - clock
        total, wall, grown = total + seconds, wall + clock, peak() - before
        print(
            f"{len(part.units):8d} answers each  {name:18s} {seconds:8.2f} s ({clock:8.2f} by the clock)  "
            f"{grown:+7.0f} MB {1e3 * grown / score.n if score.n else 0:8.2f} KB an item  {score.status}"
            + (f": {score.reason}" if score.reason else ""),
            flush=True,
        )
    load = os.getloadavg()[0]
    print(
        f"{'':23}{'all':18s} {total:8.2f} s ({wall:8.2f} by the clock, load {load:.1f})  peak {peak():.0f} MB",
        flush=True,
    )


def together(asked: Sample, args: argparse.Namespace) -> None:
    """All comparators as an audit runs them: seconds by the clock."""
    chosen = [COMPARATORS.load(name)() for name in args.only if name != "choice-panel" or args.files]
    chosen = [c if args.ablate else quick(c, RESAMPLES) for c in chosen]
    start = time.perf_counter()
    with helper_for(asked) as helper:
        score_all(asked, chosen, 0, helper=helper)
    seconds, load = time.perf_counter() - start, os.getloadavg()[0]
    print(f"{len(asked.units)} answers each, {len(chosen)} comparators, {1 + (helper is not None)} processes: "
          f"{seconds:.2f} s by the clock, load {load:.1f}", flush=True)  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[251])
    parser.add_argument("--words", type=int, default=200)
    parser.add_argument("--controls", type=int, default=10)
    parser.add_argument("--files", nargs="+", default=[], help="recorded answers: suspect, reference, controls")
    parser.add_argument("--no-ablate", dest="ablate", action="store_false", help="without ablations")
    parser.add_argument("--lazy", action="store_true", help="make an answer each time that it is asked for")
    parser.add_argument("--only", nargs="+", default=list(TEXT), choices=TEXT)
    parser.add_argument("--together", action="store_true", help="all at once, with a second process")
    parser.add_argument("--apart", action="store_true", help="every comparator in a process of its own")
    parser.add_argument("--here", action="store_true", help="in this process")
    args = parser.parse_args()
    if args.here:
        measure(args)
        return
    options = ["--words", str(args.words), "--controls", str(args.controls), *([] if args.ablate else ["--no-ablate"])]
    options += [f"--{name}" for name in ("lazy", "together") if vars(args)[name]]
    options += ["--files", *args.files] if args.files else []
    for items in args.items[:1] if args.files else args.items:
        for only in [[name] for name in args.only] if args.apart else [args.only]:
            command = [sys.executable, __file__, "--here", "--items", str(items), *options, "--only", *only]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
