"""How much of a bare forward loop's speed scoring keeps: ``python benchmarks/local_scoring.py [spec]``.

Both sides see the same padded batches in the same order. The bare side only calls the model, which computes the logits
of every position and keeps none; ours starts from text, tokenises, computes the targets' logits only, lists the
likeliest tokens a position that an audit asks for, and ends in replies with their JSON bytes. Both
run in a worker thread and alternate, so that a busy machine slows both; the ratio is the median over rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from typing import Any

from forensics.backends import open_backend
from forensics.backends.local import LocalBackend, make_job
from forensics.plan import ALTERNATIVES
from forensics.spec import parse_spec
from forensics.types import Message, Request

WORDS = (
    "the a of to and in that it was river stone lamp window garden quiet motor signal harvest engine meadow thunder "
    "harbor marble orchard canyon silver anchor willow maple ribbon ran stood under behind slowly again before after"
).split()


def requests(count: int, rng: random.Random) -> list[Request]:
    """Questions of 5 to 30 words with answers of 20 to 120."""

    def words(low: int, high: int) -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(low, high)))

    return [
        Request("bench", str(i), (Message("user", words(5, 30)),), target=words(20, 120), top_logprobs=ALTERNATIVES)
        for i in range(count)
    ]


def bare(backend: LocalBackend, batches: Sequence[Any]) -> float:
    """Seconds for one forward pass over each padded batch."""
    import torch

    start = time.perf_counter()
    with torch.inference_mode():
        for ids in batches:
            backend.opened().model(input_ids=ids, use_cache=False)
    return time.perf_counter() - start


def ours(backend: LocalBackend, asked: Sequence[Request]) -> float:
    """Seconds for the same through the backend, text to replies."""
    start = time.perf_counter()
    replies = asyncio.run(backend.complete(asked))
    seconds = time.perf_counter() - start
    assert all(reply.completion.error is None for reply in replies)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", nargs="?", default="zoo/base")
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    backend = open_backend(parse_spec(args.spec))
    assert isinstance(backend, LocalBackend), f"{args.spec} is no local model"
    start = time.perf_counter()
    model = backend.opened()
    print(f"{args.spec}: {model.model.num_parameters() / 1e6:.1f} M parameters, {model.model.dtype}, "
          f"{model.model.device}, loaded in {time.perf_counter() - start:.1f} s")  # fmt: skip
    asked = requests(args.count, random.Random(1))
    jobs = [make_job(model, i, request) for i, request in enumerate(asked)]
    groups = list(model.batches(jobs, backend.batch))
    batches = [model._right([job.fed for job in group]) for group in groups]
    fed, scored = sum(len(job.fed) for job in jobs), sum(len(job.target) for job in jobs)
    shapes = ", ".join("x".join(map(str, ids.shape)) for ids in batches[:8])
    print(f"{len(jobs)} answers, {fed} tokens read, {scored} scored, {len(batches)} batches: {shapes}")
    bare(backend, batches[:1]), ours(backend, asked[:8])  # warm up
    rounds = [
        (asyncio.run(asyncio.to_thread(bare, backend, batches)), ours(backend, asked)) for _ in range(args.rounds)
    ]
    alone, through = (statistics.median(r[i] for r in rounds) for i in (0, 1))
    ratio = statistics.median(a / b for a, b in rounds)
    print(f"bare model(**batch) {fed / alone:9.0f} tokens/s")
    print(f"scoring             {fed / through:9.0f} tokens/s, {scored / through:.0f} scored tokens/s")
    print(f"ratio               {ratio:9.2f}  (rounds {', '.join(f'{a / b:.2f}' for a, b in rounds)})")


if __name__ == "__main__":
    main()
