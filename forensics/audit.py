"""The main flow. Read this first.

    probes -> backends -> store -> comparators (+ fingerprints) -> calibration -> verdict -> report

`audit` asks (left half, `collect`) and judges (right half, `judge`). `judge` reads the case file alone: no network, no
model, same case in -> same report out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .assemble import assemble
from .collect import collect
from .comparators import COMPARATORS, Comparator
from .comparators.base import abstain, quick
from .comparators.texts import Told, answered
from .config import AuditConfig
from .errors import BudgetExceeded
from .exact.case import lane
from .looks import WHOLE, Look, Looks, Stop, expected, held, looks_of, lot_of, stops_of, upto
from .plan import Plan, gather, prompt_key, stored_plan
from .probes import FIRST_TOKEN
from .record import LookRecord, Report, Stopping, sig
from .recorded import import_files
from .scoring import helper_for, score_all, stream
from .store import UNKEYED, Store
from .threads import single_threaded
from .types import ExactResult, Listener, Progress, Sample, Score, SelfCheck, Verdict, silent
from .until import parse_rule
from .verdict.calibrate import Population, calibrate, shipped_populations
from .verdict.checks import as_suspect, fit_to_judge, length_only, power, self_checks
from .verdict.combine import decide, evidence, joint, pick_population
from .verdict.validate import validate

CHECK_RESAMPLES = 199  # the self-checks read a score's background, not its interval
MOST_MISSING = 0.2  # share of the suspect's answers that may be missing before nothing is concluded


def audit(config: AuditConfig, *, store: Store | None = None, progress: Listener = silent) -> Report:
    """Ask everything, then judge. Without a store the case lives in a temporary file.

    Errors: `UsageError`, `BackendError`, `BudgetExceeded` (what was answered stays in the store), `EvidenceError`.
    """
    if store is None:
        with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "audit.case", key=UNKEYED) as case:
            return audit(config, store=case, progress=progress)
    stopping = None
    if config.until is not None:
        from .sequential import Until

        stopping = Until(config, store, progress)
    try:
        collect(config, store=store, progress=progress, stopping=stopping)
    except BudgetExceeded as error:
        if stopping is None or not stopping.out_of_budget(error):
            raise
    return judge(store, progress=progress, population=config.population, comparators=config.comparators)


def compare(config: AuditConfig, *, store: Store | None = None, progress: Listener = silent) -> Report:
    """Judge recorded answers (``file/`` specs): the right half on files of answers, offline."""
    case = Store(None) if store is None else store
    import_files(config, case, progress)
    return judge(case, progress=progress, population=config.population, comparators=config.comparators)


@single_threaded
def judge(
    store: Store,
    *,
    progress: Listener = silent,
    population: str | None = None,
    comparators: tuple[str, ...] | None = None,
    sample: Sample | None = None,
) -> Report:
    """The right half: a stored case in, a report out. Population and comparators may differ from the stored plan's.
    ``sample``: the case's, where the caller has gathered it already.

    Errors: `EvidenceError` if the case's hash chain is broken or it holds no plan.
    """
    store.check()
    plan = stored_plan(store)
    names = comparators or plan.config.comparators or COMPARATORS.names()
    chosen = [COMPARATORS.load(name)() for name in names]
    wanted, seed = population or plan.config.population, plan.config.seed
    looks, stops = looks_of(store), stops_of(store)
    # What is judged: everything, unless the case stopped by its rule.
    look = looks.looks[stops[-1].look - 1] if looks is not None and stops else WHOLE
    sample = upto(plan, sample or gather(plan, store), look.lots)
    w = weigh(plan, store, sample, chosen, wanted, look, progress)
    fused = calibrate(w.scores, w.population) if w.population is not None else None
    return assemble(
        plan=plan, store=store, sample=sample, comparators=chosen, exact=w.exact, verdict=w.verdict, checks=w.checks,
        evidence=evidence(w.scores, w.population, stream(seed, "evidence")), conditions=w.conditions,
        population=w.population,
        validation=validate(fused.population, fused.columns, by_kind=False) if fused is not None else None,
        length=length_only(sample, stream(seed, "length-only")), asked=wanted, expected=expected(plan, look.lots),
        stopping=None if looks is None or not stops else retrace(plan, store, chosen, wanted, looks, stops, w.verdict),
    )  # fmt: skip


def retrace(
    plan: Plan, store: Store, chosen: list[Comparator], wanted: str, looks: Looks, stops: Sequence[Stop],
    verdict: Verdict,
) -> Stopping:  # fmt: skip
    """How the looks went, weighed again from the stored answers as the rule saw them: without what a live endpoint was
    asked once more when it had stopped. ``verdict``: of the last look, with that."""
    sample, at, rule = gather(plan, store), stops[-1].look, parse_rule(looks.rule)
    rows = []
    for number, look in enumerate(looks.looks[:at], 1):
        part = upto(plan, sample, look.lots, again=False)
        known = number == at and not sample.again
        seen = verdict if known else weigh(plan, store, part, chosen, wanted, look).verdict
        llr = None if seen.lr is None else sig(seen.lr.llr)
        rows.append(LookRecord(look.name, look.columns, held(part), llr, rule.met(seen)))
    return Stopping(
        looks.rule, looks.population, at, len(looks.looks), stops[-1].why,
        held(upto(plan, sample, looks.looks[at - 1].lots)), looks.looks[-1].requests, tuple(rows),
        tuple(s.look for s in stops[:-1]),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Weighed:
    """Scores of a sample and the verdict that follows, with everything that it rests on."""

    scores: list[Score]
    exact: Sequence[ExactResult]
    checks: list[SelfCheck]
    verdict: Verdict
    conditions: dict[str, Any]
    population: Population | None


def weigh(
    plan: Plan, store: Store, sample: Sample, chosen: list[Comparator], wanted: str, look: Look = WHOLE,
    progress: Listener = silent,
) -> Weighed:  # fmt: skip
    """The verdict on a sample, or on its part up to a look. ``wanted``: the population as it was asked for."""
    conditions = conditions_of(plan, sample)
    seed = plan.config.seed
    # Each use has a stream of its own, so that adding a comparator does not move the others' numbers.
    people, why_not = pick_population(shipped_populations(), wanted, conditions)
    plain = [quick(c, CHECK_RESAMPLES) for c in chosen]
    with helper_for(sample) as helper:
        identity = score_all(as_suspect(sample, sample.reference), plain, seed, helper=helper)
        found = score_all(sample, chosen, seed, progress, helper)
        scores = [unasked(s, look) for s in fit_to_judge(found, identity)]
        exact = lane(store)
        progress(Progress("judge", "self-checks", 0, 1))

        def again(other: Sample) -> list[Score]:
            return score_all(other, plain, seed, helper=helper)

        checks = self_checks(sample, again, identity, people, stream(seed, "self-checks"))
    strength = power(sample, stream(seed, "power"))
    lr = joint(scores, people, stream(seed, "joint"))
    if people is not None and lr is None:
        why_not = ("too few comparators could be measured for the population to speak",)
    asked = expected(plan, look.lots)["suspect"]
    gone = (asked - sum(c is not None for c in sample.suspect)) / max(asked, 1)
    if gone > MOST_MISSING:
        lr, why_not = None, (f"{gone:.0%} of the suspect's answers are missing: which ones may not be chance",)
    alike = people.same_model(scores) if people is not None else None
    verdict = decide(lr, why_not, exact, checks, strength, alike)
    progress(Progress("judge", "self-checks", 1, 1))
    return Weighed(scores, exact, checks, verdict, conditions, people)


def unasked(score: Score, look: Look) -> Score:
    """The score; if it is missing because the audit stopped before what it reads, one that says so."""
    if score.status == "ok" or look.whole or lot_of(score.comparator) in look.lots:
        return score
    return abstain(score.comparator, "insufficient", "what it reads was not asked: the audit stopped before")


def conditions_of(plan: Plan, sample: Sample | None = None) -> dict[str, Any]:
    """What a population must have been made under to speak about this case; with the answers, what they add to it."""
    return {
        "suite": plan.suite_digest,
        "providers": sorted({p.spec.provider for p in plan.parties}),
        "base": plan.party("base") is not None,
        "temperature": plan.config.temperature,
        "controls": len(plan.controls),
    } | ({} if sample is None else text_conditions(sample))


def text_conditions(sample: Sample) -> dict[str, Any]:
    """Conditions that lie in the answers: how many items all parties answered, what was asked, and lengths.

    ``length_ratio``: mean over items of log10 (len S / len R). ``one_sided_length``: how much nearer, in the same unit,
    S's mean log length lies to R's than to any control's.
    """
    columns = [sample.suspect, *sample.candidates.values()]
    # A next token is no answer to an item.
    rows = answered(columns, (i for i, unit in enumerate(sample.units) if unit.family != FIRST_TOKEN))
    units = [sample.units[i] for i in rows]
    told = [Told(column, rows) for column in columns]
    lengths = np.stack([np.log10(1 + np.fromiter(map(len, texts), np.float64, len(rows))) for texts in told])
    gaps = np.abs(lengths[1:].mean(axis=1) - lengths[0].mean()) if len(rows) else np.zeros(len(columns) - 1)
    return {
        "items": len({u.item for u in units}),
        "prompts": sorted({prompt_key(u.request) for u in units}),
        "length_ratio": float((lengths[0] - lengths[1]).mean()) if len(rows) else 0.0,
        "one_sided_length": float(gaps[1:].min() - gaps[0]) if len(gaps) > 1 else 0.0,
    }
