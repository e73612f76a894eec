"""What else could explain the findings, and what this audit did about each: a control that was used, or none."""

from __future__ import annotations

from collections.abc import Sequence

from .plan import Plan, system_prompt
from .probes import shipped_suites
from .record import Confounder
from .types import Evidence, ExactResult, Sample
from .verdict.calibrate import Population


def confounders(
    plan: Plan,
    sample: Sample,
    evidence: Sequence[Evidence],
    exact: Sequence[ExactResult],
    population: Population | None,
) -> tuple[Confounder, ...]:
    """One row a confounder (method, section 5); ``control`` is None where nothing was done."""
    done = {e.test for e in exact if e.status == "ok"}
    ablations = {label for e in evidence for label, value in e.score.ablations if value is not None}
    return (
        _base(plan, sample, done),
        _teacher(done),
        _corpus(done),
        Confounder("Length of answers", _length(ablations),
                   "Two models may answer equally long, or short, for other reasons."),
        Confounder("Layout, courtesy and openings", _listed(ablations, ("markdown", "preamble")),
                   "Formatting habits are shared by whole generations of models."),
        Confounder("Era and accuracy", None,
                   "Models of one time know the same things, and strong models converge on the same answers. Controls "
                   "of the suspect's age and strength would take this off; whether these are, the record can't show."),
        _sampling(plan),
        _drift(plan, sample),
        _prompts(population, len(plan.controls)),
        _known(plan),
    )  # fmt: skip


def _length(found: set[str]) -> str:
    """Regressed out where a comparator says so by repeating itself without; else only shown as a baseline."""
    out = "taken out by regression; " if "not length-adjusted" in found else ""
    return f"{out}shown alone, as the baseline length-only"


def _listed(found: set[str], words: tuple[str, ...]) -> str | None:
    """Ablations that take one of these things away."""
    mine = sorted(label for label in found if any(word in label for word in words))
    return f"comparators repeated without: {', '.join(mine)}" if mine else None


def _base(plan: Plan, sample: Sample, done: set[str]) -> Confounder:
    why = "Fine-tunes of one base resemble each other, whoever taught them."
    controls = []
    if plan.party("base") is not None:
        scored = any(scorer == "base" for scorer, _ in sample.likelihoods)
        controls.append("what the base gives is subtracted" if scored or sample.base else "the base is named")
    if "weights" in done:
        controls.append("weights were compared")
    return Confounder("Shared base model", "; ".join(controls) or None, why)


def _teacher(done: set[str]) -> Confounder:
    why = "A third model that taught both leaves the same traces. Such a model among the controls would show it."
    found = sorted(done & {"regeneration", "canary", "watermark", "twins"})
    return Confounder("Common teacher", f"the exact test {', '.join(found)} is immune to it" if found else None, why)


def _corpus(done: set[str]) -> Confounder:
    why = "Hp includes training on a public corpus of the reference's outputs: that is training on its outputs too."
    control = "the exact test regeneration separates the two" if "regeneration" in done else None
    return Confounder("Public corpus of the reference's outputs", control, why)


def _sampling(plan: Plan) -> Confounder:
    why = "System prompts, quantisation and hidden defaults of a server move all answers of that server."
    if plan.recorded:
        return Confounder("Sampling and serving settings", None, f"{why} Answers were recorded elsewhere.")
    s = plan.config.sampling
    sent = f"temperature {s.temperature:g} and top-p {s.top_p:g} sent explicitly to every party"
    control = f"{sent}; {system_prompt(plan)}"
    return Confounder("Sampling and serving settings", control, f"{why} What the server adds is not seen.")


def _drift(plan: Plan, sample: Sample) -> Confounder:
    why = "An endpoint may change while it is asked"
    if not sample.again:
        return Confounder("Serving drift", None, f"{why}; no request was repeated later to see.")
    asked = ", ".join(sorted(sample.again))
    return Confounder("Serving drift", f"requests repeated at the end, of {asked}; see the self-checks", f"{why}.")


def _prompts(population: Population | None, controls: int) -> Confounder:
    why = "Many prompts asked of one model are one observation of that model."
    if population is None:
        return Confounder("Prompts taken for independent observations",
                          f"shares of the background never fall below 1 in {controls + 1}", why)  # fmt: skip
    control = "ratios are calibrated, bounded and bootstrapped over lineages, not over prompts"
    return Confounder("Prompts taken for independent observations", control, why)


def _known(plan: Plan) -> Confounder:
    why = "Who knows the probes can train on them, or answer them in another voice."
    if plan.recorded:
        return Confounder("Probes known in advance", None, f"{why} The prompts are those of the recorded answers.")
    if plan.suite in shipped_suites():
        return Confounder("Probes known in advance", None, f"{why} The suite {plan.suite} is published with this tool.")
    control = "a suite of the auditor's own, its hash fixed before the first request"
    return Confounder("Probes known in advance", control, why)
