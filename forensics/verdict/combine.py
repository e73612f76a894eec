"""Scores of a case -> evidence and one verdict."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..exact.weights import COPIED, OWN_WAY, common_base
from ..types import Evidence, ExactResult, LikelihoodRatio, Score, SelfCheck, Verdict
from .calibrate import Array, Population, calibrate
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
    replicates = np.array([by_name[c].replicates for c in calibration.columns]).T
    return calibration.llr(values_of(scores, calibration.columns), replicates, rng)


def values_of(scores: Sequence[Score], columns: Sequence[str]) -> Array:
    """The scores' values in the order of a calibration's columns ``(p,)``."""
    by_name = {s.comparator: s.value for s in scores}
    return np.array([by_name[c] for c in columns], dtype=np.float64)


def evidence(scores: Sequence[Score], population: Population | None, rng: np.random.Generator) -> tuple[Evidence, ...]:
    """Each score with its own likelihood ratio; a score that is not ok has none."""
    return tuple(Evidence(s, joint([s], population, rng) if s.status == "ok" else None) for s in scores)


def pick_population(
    names: Sequence[str], wanted: str, conditions: Mapping[str, Any], later: Collection[str] = ()
) -> tuple[Population | None, tuple[str, ...]]:
    """The population that speaks about these conditions, or why none does; of several the one of the fewest providers,
    whose models are most like the case's. ``later``: conditions that lie in answers which are not there yet."""
    from .calibrate import load_population

    if wanted == "none":
        return None, ("no population was asked for",)
    reasons, fitting = [], []
    for name in names if wanted == "auto" else (wanted,):
        population = load_population(name)
        mismatch = population.mismatch(conditions, later)
        if mismatch:
            reasons.append(f"population {name} does not match: {mismatch[0]}")
        else:
            fitting.append(population)
    if fitting:
        return min(fitting, key=lambda p: (len(p.conditions.get("providers", ())), p.name)), ()
    return None, tuple(reasons) or ("no reference population is installed",)


def decide(
    lr: LikelihoodRatio | None,
    withheld: Sequence[str],
    exact: Sequence[ExactResult],
    checks: Sequence[SelfCheck],
    power: str | None,
    alike: str | None = None,
) -> Verdict:
    """The verdict. Weights come first: a model that carries R's weights resembles R without having copied outputs.

    ``alike``: why the answers alone look like R itself (`Population.same_model`); it yields to a weights test that
    found nothing shared.
    """
    by_party = {e.against: e for e in exact if e.test == "weights" and e.status == "ok" and e.p is not None}
    shared = by_party.get("reference")
    failed = [c for c in checks if c.passed is False]
    change = next((e.value for e in exact if e.test == "weights" and e.against == "change"), None)
    apart = change is not None and change <= OWN_WAY and common_base(exact)
    if shared is not None and shared.p is not None and shared.p < COPIED and not apart:
        return _weights_verdict(shared, by_party.get("reference-base"), lr, power)
    of_base = by_party.get("base")
    if of_base is not None and of_base.p is not None and of_base.p >= COPIED:
        lr, withheld = (
            None,
            (f"the named base is not the suspect's base: their weights share nothing (p = {of_base.p:.2g})",),
        )
    if failed:
        reasons = tuple(f"self-check {c.name} failed: {c.detail}" for c in failed)
        wording = "Nothing can be said: the audit failed a check of itself on an answer that is known."
        return Verdict("cannot-tell", None, wording, reasons, power=power)
    if alike is not None and shared is None:
        return _same_model_verdict(alike, lr, power)
    if lr is None:
        wording = (
            "No likelihood ratio can be given. The ranking against the controls is shown for what it is; it is not "
            "evidence of training on outputs."
        )
        return Verdict("cannot-tell", None, wording, tuple(withheld), ALTERNATIVES, power)
    verdict = _from_llr(lr, by_party, power)
    if apart:
        why = (
            f"suspect and reference were made from the same base, and each went its own way from there (cosine of the "
            f"changes {change:+.2f}): the base explains the weights that they share, and the llr has it taken off"
        )
        verdict = replace(verdict, reasons=(*verdict.reasons, why))
    return verdict


ALTERNATIVES = (
    "a common third teacher, or a public corpus of the reference's outputs, leaves the same traces",
    "text alone cannot tell copied outputs from copied weights",
)


WEIGHTS_ALTERNATIVES = (
    "the weights test gives no direction: the reference made from the suspect looks the same",
    "a parent of both that nobody has named",
)


def _from_llr(lr: LikelihoodRatio, weights: Mapping[str, ExactResult], power: str | None) -> Verdict:
    wording = statement(lr, HP)
    alternatives = ALTERNATIVES if "reference" not in weights else ALTERNATIVES[:1]
    if lr.llr >= DECISIVE and lr.interval[0] > 0:
        return Verdict(
            "copied-outputs", lr, wording, (f"llr {lr.llr:+.2f} is at least {DECISIVE:+.0f}",), alternatives, power
        )
    if lr.llr <= -DECISIVE and lr.interval[1] < 0 and power is not None:
        why = f"llr {lr.llr:+.2f} is at most {-DECISIVE:+.0f}"
        other = ("a smaller share of the reference's outputs than the population's students had can go unseen",)
        return Verdict("independent", lr, wording, (why,), other, power)
    why = (
        f"llr {lr.llr:+.2f} with interval [{lr.interval[0]:+.2f}, {lr.interval[1]:+.2f}] does not reach ±{DECISIVE:.0f}"
    )
    return Verdict("cannot-tell", lr, wording, (why,), alternatives, power)


def _same_model_verdict(alike: str, lr: LikelihoodRatio | None, power: str | None) -> Verdict:
    wording = (
        "The answers are more alike than those of any teacher and student the population knows: the same model under "
        "another prompt, or a descendant of its weights, is suspected. That explains the resemblance, and says nothing "
        "about training on outputs."
    )
    reasons = [alike]
    if lr is not None:
        reasons.append(
            f"the passive llr ({lr.llr:+.2f}) is withheld: no labelled pair of its population shares weights"
        )
    other = ("a suspect trained on far more of the reference's outputs than any student of the population",)
    return Verdict("shared-source", None, wording, tuple(reasons), other, power)


def _weights_verdict(
    shared: ExactResult, base: ExactResult | None, lr: LikelihoodRatio | None, power: str | None
) -> Verdict:
    """Copied weights only if the suspect's own base is known and not of that lineage: else a common parent would
    be accused of being a copy."""
    reasons = [f"weights test p = {shared.p:.1g} over {shared.n} layers"]
    if lr is not None:
        reasons.append(
            f"the passive llr ({lr.llr:+.2f}) is withheld: its population holds no pairs with shared weights"
        )
    if base is not None and base.p is not None and base.p >= COPIED:
        wording = (
            "Suspect and reference carry weights of one initialisation, and the suspect's named base does not: one was "
            "made from the other's weights. Their resemblance in text says nothing about training on outputs."
        )
        return Verdict("copied-weights", None, wording, tuple(reasons), WEIGHTS_ALTERNATIVES, power)
    wording = (
        "Suspect and reference carry weights of one initialisation: a common base, or a copy in either direction. That "
        "explains their resemblance, and says nothing about training on outputs."
    )
    if base is None:
        reasons.append("the suspect's base was not named with open weights, so a common base can't be told from a copy")
    else:
        reasons.append("the suspect's base is of the same weight lineage")
    return Verdict("shared-source", None, wording, tuple(reasons), power=power)
