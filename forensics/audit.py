"""The main flow. Read this first.

    probes -> backends -> store -> comparators (+ fingerprints) -> calibration -> verdict -> report

`audit` asks (left half, `collect`) and judges (right half, `judge`). `judge` reads the case file alone: no network, no
model, same case in -> same report out.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .assemble import assemble
from .collect import collect
from .comparators import COMPARATORS, Comparator
from .comparators.base import quick, usable_texts
from .config import AuditConfig
from .exact.case import lane
from .plan import Plan, gather, prompt_key, stored_plan
from .probes import FIRST_TOKEN
from .record import Report
from .recorded import import_files
from .store import UNKEYED, Store
from .threads import single_threaded
from .types import Listener, Progress, Sample, Score, silent
from .verdict.calibrate import calibrate, shipped_populations
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
    collect(config, store=store, progress=progress)
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
    sample = sample or gather(plan, store)
    names = comparators or plan.config.comparators or COMPARATORS.names()
    chosen = [COMPARATORS.load(name)() for name in names]
    conditions = conditions_of(plan, sample)
    seed = plan.config.seed
    # Each use has a stream of its own, so that adding a comparator does not move the others' numbers.
    people, why_not = pick_population(shipped_populations(), population or plan.config.population, conditions)
    plain = [quick(c, CHECK_RESAMPLES) for c in chosen]
    identity = score_all(as_suspect(sample, sample.reference), plain, seed)
    scores = fit_to_judge(score_all(sample, chosen, seed, progress), identity)
    exact = lane(store)
    progress(Progress("judge", "self-checks", 0, 1))
    checks = self_checks(sample, lambda s: score_all(s, plain, seed), identity, people, stream(seed, "self-checks"))
    strength = power(sample, stream(seed, "power"))
    lr = joint(scores, people, stream(seed, "joint"))
    fused = calibrate(scores, people) if people is not None else None
    if people is not None and lr is None:
        why_not = ("too few comparators could be measured for the population to speak",)
    gone = sum(c is None for c in sample.suspect) / max(len(sample.suspect), 1)
    if gone > MOST_MISSING:
        lr, why_not = None, (f"{gone:.0%} of the suspect's answers are missing: which ones may not be chance",)
    alike = people.same_model(scores) if people is not None else None
    verdict = decide(lr, why_not, exact, checks, strength, alike)
    progress(Progress("judge", "self-checks", 1, 1))
    return assemble(
        plan=plan, store=store, sample=sample, comparators=chosen, exact=exact, verdict=verdict, checks=checks,
        evidence=evidence(scores, people, stream(seed, "evidence")), conditions=conditions, population=people,
        validation=validate(fused.population, fused.columns, by_kind=False) if fused is not None else None,
        length=length_only(sample, stream(seed, "length-only")), asked=population or plan.config.population,
    )  # fmt: skip


def stream(seed: int, name: str) -> np.random.Generator:
    """One named random stream of the case's seed."""
    words = [int.from_bytes(name.encode()[i : i + 4], "big") for i in range(0, len(name.encode()), 4)]
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=tuple(words)))


def score_all(sample: Sample, comparators: list[Comparator], seed: int, progress: Listener = silent) -> list[Score]:
    """Every comparator on the families it reads."""
    scores = []
    for number, comparator in enumerate(comparators):
        progress(Progress("judge", comparator.name, number, len(comparators)))
        part = sample.rows(lambda unit, c=comparator: unit.family in c.families)  # type: ignore[misc]
        scores.append(comparator.compare(part, stream(seed, comparator.name)))
    return scores


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
    columns = [usable_texts(c) for c in (sample.suspect, *sample.candidates.values())]
    asked = [unit.family != FIRST_TOKEN for unit in sample.units]  # a next token is no answer to an item
    rows = [i for i, texts in enumerate(zip(*columns, strict=True)) if asked[i] and all(texts)]
    units = [sample.units[i] for i in rows]
    lengths = np.array([[np.log10(1 + len(str(c[i]))) for i in rows] for c in columns])
    gaps = np.abs(lengths[1:].mean(axis=1) - lengths[0].mean()) if rows else np.zeros(len(columns) - 1)
    return {
        "items": len({u.item for u in units}),
        "prompts": sorted({prompt_key(u.request) for u in units}),
        "length_ratio": float((lengths[0] - lengths[1]).mean()) if rows else 0.0,
        "one_sided_length": float(gaps[1:].min() - gaps[0]) if len(gaps) > 1 else 0.0,
    }
