"""Our permutation test beside model-equality-testing's: ``python benchmarks/relative_mmd.py [--answers 500]``.

Both are given the same answers, read the same number of characters, use the same statistic (unbiased MMD with the
Hamming kernel) and the same number of permutations; answers are made by this script. The rival rebuilds its kernel for
every permutation, so at 500 x 500 answers it runs for minutes. It is installed for this comparison only:

    pip install --no-deps model-equality-testing==0.0.2 && pip install tqdm torch matplotlib
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import time
import warnings
from typing import Any

import numpy as np

from forensics.comparators.relative_mmd import equality_test, hamming

WORDS = "river stone lamp window garden quiet motor signal harvest engine meadow thunder harbor marble orchard".split()


def answers(rng: np.random.Generator, count: int, length: int, habit: float) -> list[str]:
    """Answers of more than ``length`` characters that open with one of two phrases, the first one with ``habit``."""
    openings = rng.choice(["Certainly, here it is: ", "Well, let me think of "], count, p=[habit, 1.0 - habit])
    return [o + " ".join(rng.choice(WORDS, length // 4)) for o in openings]


def rival(a: list[str], b: list[str], length: int, permutations: int) -> tuple[float, float, float]:
    """p, statistic and seconds (without imports) of model-equality-testing."""
    from model_equality_testing.algorithm import run_two_sample_test
    from model_equality_testing.distribution import CompletionSample
    from model_equality_testing.utils import pad_to_length, tokenize_unicode

    def sample(texts: list[str]) -> Any:
        codes = pad_to_length(tokenize_unicode([t[:length] for t in texts]), L=length)
        return CompletionSample(prompts=np.zeros(len(texts), int), completions=codes, m=1)

    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        p, statistic = run_two_sample_test(
            sample(a), sample(b), pvalue_type="permutation_pvalue", stat_type="mmd_hamming", b=permutations
        )
    return float(p), float(statistic), time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=500)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--permutations", type=int, default=100)
    parser.add_argument("--difference", type=float, default=0.05, help="how much more often one side uses one opening")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    a, b = (answers(rng, args.answers, args.length, 0.5 + side * args.difference / 2) for side in (-1, 1))
    start = time.perf_counter()
    p, statistic = equality_test(
        a, b, rng, permutations=args.permutations, kernel=lambda x, y: hamming(x, y, args.length)
    )
    ours = time.perf_counter() - start
    print(f"{args.answers} x {args.answers} answers of {args.length} characters, {args.permutations} permutations")
    print(f"ours   {ours:8.2f} s   MMD² {statistic:.9f}   p {p:.4f}")
    try:
        their_p, their_statistic, theirs = rival(a, b, args.length, args.permutations)
    except ImportError as error:
        raise SystemExit(f"{error}: pip install --no-deps model-equality-testing==0.0.2, and tqdm") from error
    print(f"theirs {theirs:8.2f} s   MMD² {their_statistic:.9f}   p {their_p:.4f}")
    # The rival leaves out the observed labelling: its p is #/N, ours (1 + #) / (N + 1).
    mid = (p + their_p) / 2
    error = math.sqrt(2 * mid * (1 - mid) / args.permutations) + 1 / (args.permutations + 1)
    print(f"ratio  {theirs / ours:8.0f}     statistics differ by {abs(statistic - their_statistic):.1e}; "
          f"p by {abs(p - their_p):.4f}, Monte-Carlo error {error:.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
