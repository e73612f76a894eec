"""Several exact tests, one e-value: multiplied where their randomness is independent, averaged where it is not."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..types import ExactResult

OF_TRAINING = ("canary", "regeneration", "watermark", "twins")  # weights answers another question: copied weights
LARGEST = 1e300


def e_of_p(p: float) -> float:
    """A p-value as an e-value: (1 - p + p ln p) / (p ln^2 p), the mixture of all k p^(k-1), k uniform on (0, 1).

    Its mean under a uniform p is 1, so it may be used for any valid p [1912.06116]. p = 1 gives 1/2.
    """
    if not 0 < p <= 1:
        raise ValueError(f"a p-value lies in (0, 1], not {p}")
    if p > 1 - 1e-4:
        return 0.5 + (1 - p) / 6
    return min((1 - p + p * math.log(p)) / (p * math.log(p) ** 2), LARGEST)


def combined(results: Sequence[ExactResult]) -> ExactResult | None:
    """The e-value of all tests that speak about training on the reference's outputs; None if fewer than two do.

    Results of one ``randomness`` (the same draws, the same key) are averaged, the averages are multiplied: given the
    suspect, independent randomness makes independent e-values. p = min(1, 1/e) (Markov).
    """
    groups: dict[str, list[float]] = {}
    for r in results:
        if r.test in OF_TRAINING and r.status == "ok" and r.p is not None:
            groups.setdefault(r.randomness, []).append(r.e if r.e is not None else e_of_p(r.p))
    count = sum(map(len, groups.values()))
    if count < 2:
        return None
    log_e = sum(math.log(max(sum(es) / len(es), 1 / LARGEST)) for es in groups.values())
    e = math.exp(min(log_e, math.log(LARGEST)))
    how = f"{count} tests on {len(groups)} independent sources of randomness"
    return ExactResult(
        "combined", "ok", p=min(1.0, 1 / e), e=e, n=count, randomness="combined",
        assumes="each of the tests holds; tests on the same randomness are averaged, on independent ones multiplied",
        breaks="one of the tests is broken: then only the others speak",
        finding=f"{how}: the suspect was trained on what was randomised" if e >= 100 else f"{how}: no joint finding",
    )  # fmt: skip
