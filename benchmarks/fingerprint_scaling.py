"""Is a fingerprint linear in the answers and flat in memory? ``python benchmarks/fingerprint_scaling.py [--sizes …]``.

Answers of 20 to 180 words are made one at a time and streamed into `Fingerprint.from_texts`. Printed for each size:
microseconds of processor time an answer, its ratio to the first size, and the most memory that the process ever held.
The time to make the texts is measured apart and taken off.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections.abc import Iterator

from fingerprints import FAMILIES, PLAIN, Fingerprint

WORDS = (
    "the a of to and in that it was river stone lamp window garden quiet motor signal harvest engine meadow however "
    "harbor marble orchard canyon silver anchor for example such as ran stood under behind slowly again before after"
).split()
OPENERS = ("Sure! ", "Here is a list:\n\n- ", "# Answer\n\n", "However, ", "I think that ", "")


def answers(count: int) -> Iterator[str]:
    """The same answers for the same count, each made when it is asked for."""
    rng = random.Random(count)
    for _ in range(count):
        words = rng.choices(WORDS, k=rng.randint(20, 180))
        sentences = (" ".join(words[i : i + 12]).capitalize() for i in range(0, len(words), 12))
        yield rng.choice(OPENERS) + rng.choice((". ", ".\n\n", ".\n- ", "! ")).join(sentences) + "."


def seconds(count: int, families: tuple[str, ...]) -> float:
    """Processor time of the fingerprint alone."""
    start = time.process_time()
    for _ in answers(count):
        pass
    making = time.process_time() - start
    start = time.process_time()
    found = Fingerprint.from_texts(answers(count), families)
    total = time.process_time() - start
    assert int(found.n.max()) == count
    return total - making


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--families", nargs="+", default=list(PLAIN), choices=list(FAMILIES))
    args = parser.parse_args()
    seconds(200, tuple(args.families))  # warm up: imports, compiled patterns
    first = 0.0
    print(f"{'answers':>8} {'us an answer':>13} {'ratio':>6} {'peak MiB':>9}")
    for count in args.sizes:
        each = 1e6 * seconds(count, tuple(args.families)) / count
        first = first or each
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{count:8} {each:13.0f} {each / first:6.2f} {peak:9.1f}")


if __name__ == "__main__":
    main()
