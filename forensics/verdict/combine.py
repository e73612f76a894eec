"""Scores of a case -> evidence and one verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..exact.weights import COPIED
from ..types import Evidence, ExactResult, LikelihoodRatio, Score, SelfCheck, Verdict
from .calibrate import Population, calibrate
from .wording import statement

DECISIVE = 1.0  # |llr| from which a decision is made: an LR of 10

HP = "the suspect was trained on outputs of the reference"
HD = "the suspect is a model of the same kind that was not trained on outputs of the reference"


def joint(scores: Sequence[Score], population: Population | None, rng: np.random.Generator) -> LikelihoodRatio | None:
    """One bounded likelihood ratio from all scores that were measured; None if the population can't support it."""
    calibration = calibrate(scores, population) if population is not None else None
    if calibration is None:
        return None
    by_name = {s.comparator: s for s in scores}
    chosen = [by_name[c] for c in calibration.columns]
    values = np.array([s.value for s in chosen], dtype=np.float64)
    return calibration.llr(values, np.array([s.replicates for s in chosen]).T, rng)


def evidence(scores: Sequence[Score], population: Population | None, rng: np.random.Generator) -> tuple[Evidence, ...]:
    """Each score with its own likelihood ratio; a score that is not ok has none."""
    return tuple(Evidence(s, joint([s], population, rng) if s.status == "ok" else None) for s in scores)


def pick_population(
    names: Sequence[str], wanted: str, conditions: Mapping[str, Any]
) -> tuple[Population | None, tuple[str, ...]]:
    """The population that speaks about these conditions, or why none does."""
    from .calibrate import load_population

    if wanted == "none":
        return None, ("no population was asked for",)
    reasons = []
    for name in names if wanted == "auto" else (wanted,):
        population = load_population(name)
        mismatch = population.mismatch(conditions)
        if not mismatch:
            return population, ()
        reasons.append(f"population {name} does not match: {mismatch[0]}")
    return None, tuple(reasons) or ("no reference population is installed",)


def decide(
    lr: LikelihoodRatio | None,
    withheld: Sequence[str],
    exact: Sequence[ExactResult],
    checks: Sequence[SelfCheck],
    power: str | None,
) -> Verdict:
    """The verdict. Weights come first: a model that carries R's weights resembles R without having copied outputs."""
    by_party = {e.against: e for e in exact if e.test == "weights" and e.status == "ok" and e.p is not None}
    shared = by_party.get("reference")
    failed = [c for c in checks if c.passed is False]
    if shared is not None and shared.p is not None and shared.p < COPIED:
        return _weights_verdict(shared, by_party.get("reference-base"), lr, power)
    if failed:
        reasons = tuple(f"self-check {c.name} failed: {c.detail}" for c in failed)
        wording = "Nothing can be said: the audit failed a check of itself on an answer that is known."
        return Verdict("cannot-tell", None, wording, reasons, power=power)
    if lr is None:
        wording = (
            "No likelihood ratio can be given: no validated reference population matches this case. "
            "The ranking against the controls is shown for what it is; it is not evidence of training on outputs."
        )
        return Verdict("cannot-tell", None, wording, tuple(withheld), ALTERNATIVES, power)
    return _from_llr(lr, by_party, power)


ALTERNATIVES = (
    "a common third teacher, or a public corpus of the reference's outputs, leaves the same traces",
    "text alone cannot tell copied outputs from copied weights",
)


def _from_llr(lr: LikelihoodRatio, weights: Mapping[str, ExactResult], power: str | None) -> Verdict:
    wording = statement(lr, HP, HD)
    alternatives = ALTERNATIVES if "reference" not in weights else ALTERNATIVES[:1]
    if lr.llr >= DECISIVE and lr.interval[0] > 0:
        return Verdict(
            "copied-outputs", lr, wording, (f"llr {lr.llr:+.2f} is at least {DECISIVE:+.0f}",), alternatives, power
        )
    if lr.llr <= -DECISIVE and lr.interval[1] < 0:
        why = f"llr {lr.llr:+.2f} is at most {-DECISIVE:+.0f}"
        return Verdict(
            "independent", lr, wording, (why,), ("a small share of the reference's outputs can go unseen",), power
        )
    why = (
        f"llr {lr.llr:+.2f} with interval [{lr.interval[0]:+.2f}, {lr.interval[1]:+.2f}] does not reach ±{DECISIVE:.0f}"
    )
    return Verdict("cannot-tell", lr, wording, (why,), alternatives, power)


def _weights_verdict(
    shared: ExactResult, base: ExactResult | None, lr: LikelihoodRatio | None, power: str | None
) -> Verdict:
    if base is not None and base.p is not None and base.p < COPIED:
        wording = (
            "Suspect, reference and the suspect's base carry the same weight lineage: a shared base explains their "
            "resemblance, and says nothing about outputs."
        )
        return Verdict(
            "shared-source",
            None,
            wording,
            (f"weights test p = {shared.p:.1g} against reference and base",),
            power=power,
        )
    wording = (
        "The suspect's weights descend from the reference's weights: that is copied weights, and their resemblance "
        "in text says nothing about training on outputs."
    )
    reasons = [f"weights test p = {shared.p:.1g} over {shared.n} layers"]
    if lr is not None:
        reasons.append(
            f"the passive llr ({lr.llr:+.2f}) is withheld: its population holds no pairs with shared weights"
        )
    return Verdict("copied-weights", None, wording, tuple(reasons), power=power)
