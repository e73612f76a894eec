"""The baseline file: read, made from cases, moved on to the next release, compared."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..audit import CHECK_RESAMPLES
from ..audit import conditions_of as audit_conditions
from ..comparators import COMPARATORS
from ..comparators.base import quick
from ..config import AuditConfig
from ..errors import EvidenceError, UsageError
from ..plan import Plan, gather, stored_plan
from ..record import Report
from ..scoring import score_all
from ..serial import load
from ..store import Store
from ..threads import single_threaded
from ..types import Request, Sample, Score, canonical, sha256
from ..verdict.calibrate import shipped_populations
from ..verdict.checks import as_suspect, fit_to_judge
from ..verdict.combine import pick_population
from .drift import changes
from .record import SCHEMA_VERSION, Baseline, CheckRecord, Look, Release, Run, as_values

MAJOR = SCHEMA_VERSION.partition(".")[0]
NAMES = ("suite", "suite_digest", "reference", "controls", "seed", "temperature", "max_tokens")


def conditions_of(config: AuditConfig, suite: str, digest: str) -> dict[str, Any]:
    """What two releases must have in common for their difference to say something."""
    return {
        "suite": suite, "suite_digest": digest, "reference": config.reference,
        "controls": list(config.controls), "seed": config.seed, "temperature": config.temperature,
        "max_tokens": config.max_tokens,
    }  # fmt: skip


def conditions_of_plan(plan: Plan) -> dict[str, Any]:
    """The same of a case."""
    return conditions_of(plan.config, plan.suite, plan.suite_digest)


def differs(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """The first condition in which a check differs from its baseline, in words; None if there is none."""
    for name in NAMES:
        if name in expected and expected[name] != found[name]:
            return f"its {name.replace('_', ' ')} is {_show(expected[name])}, this check's {_show(found[name])}"
    return None


def _show(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"


def identity_of(plan: Plan, store: Store) -> str:
    """SHA-256 of everything that the suspect answered: the same checkpoint asked again has the same one."""
    party = plan.party("suspect")
    assert party is not None
    told = [store.get(party.spec, r) for r in plan.requests]
    return sha256(
        canonical([[r.digest, None if c is None else c.text] for r, c in zip(plan.requests, told, strict=True)])
    )


def read_baseline(path: Path) -> Baseline | Report:
    """A baseline file, or the report.json of the previous release. Errors: `UsageError`, `EvidenceError`."""
    import json

    from pydantic import ValidationError

    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(
            f"no such baseline: {path}; make one with forensics baseline update {path} --case CASE"
        ) from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    try:
        found = json.loads(data)
        version = str(found["schema_version"])
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is neither a baseline nor a report.json") from error
    if version.partition(".")[0] != MAJOR:
        raise UsageError(f"{path} has schema version {version}, this tool reads version {MAJOR}: make it again")
    try:
        if found.get("kind") == "forensics-baseline":
            baseline = load(Baseline, data)
            _sound(baseline, path)
            return baseline
        return _sealed(Report.from_json(data), path)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path} is neither a baseline nor a report.json: {where}: {first['msg'].lower()}") from error


def read_check(path: Path) -> CheckRecord:
    """What a check wrote with --record. Errors: `UsageError`."""
    from pydantic import ValidationError

    try:
        found = load(CheckRecord, path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise UsageError(f"{path} is not the record of a check (forensics check --record FILE)") from error
    if found.schema_version.partition(".")[0] != MAJOR:
        raise UsageError(f"{path} has schema version {found.schema_version}, this tool reads version {MAJOR}")
    return found


def _sound(baseline: Baseline, path: Path) -> None:
    if not baseline.releases or not all(r.runs for r in baseline.releases):
        raise UsageError(f"{path}: the baseline holds no release")
    if not 0.0 < baseline.alpha < 1.0:
        raise UsageError(f"{path}: alpha is {baseline.alpha}, it lies between 0 and 1")


def _sealed(report: Report, path: Path) -> Report:
    if report.hashed().digest != report.digest:
        raise EvidenceError(f"{path} was changed after it was made: its digest is not that of its contents")
    return report


def open_case(baseline: Baseline, path: Path, given: Path | None = None) -> Store:
    """The case of the current release. Errors: `UsageError` if it is missing, `EvidenceError` if it is another one."""
    where = given or path.parent / str(baseline.case)
    if not where.is_file():
        raise UsageError(
            f"the baseline's case {where} is not there: restore it, or name it with --reference-case "
            "(without it nothing can be compared item by item)"
        )
    store = Store(where, must_exist=True)
    head = baseline.current.runs[0].head
    if given is None and store.head != head:
        found = store.head
        store.close()
        raise EvidenceError(f"{where} is not the case of the baseline: its chain ends in {found[:12]}, not {head[:12]}")
    return store


@single_threaded
def release_of(cases: Sequence[Store]) -> tuple[Release, dict[str, Any], str | None]:
    """An accepted release from the cases of its runs, the first of which later releases are compared with; the
    conditions of its case, and the population that speaks about it. Errors: `UsageError` for runs of other conditions,
    or where nothing can be measured.
    """
    plans = [stored_plan(case) for case in cases]
    first = gather(plans[0], cases[0])
    seed = plans[0].config.seed
    scores = _as_judged(first, seed)
    levels = {s.comparator: s.value for s in scores if s.value is not None}
    if not levels:
        raise UsageError(
            f"{cases[0].path}: no comparator could be measured on this case, so nothing can be compared with it"
        )
    runs = [_run(plans[0], cases[0], dict.fromkeys(levels, 0.0))]
    for plan, case in zip(plans[1:], cases[1:], strict=True):
        why = differs(conditions_of_plan(plans[0]), conditions_of_plan(plan))
        if why is not None:
            raise UsageError(f"{case.path} is no run of the same release: {why.replace('this check', 'the run')}")
        sample = gather(plan, case)
        same_answers(sample, first, case)
        moved = changes(sample, first, list(levels), seed, 2)
        runs.append(_run(plan, case, {n: c.value for n, c in moved.items() if c.value is not None}))
    names = [r.identity for r in runs]
    if len(set(names)) < len(names):
        raise UsageError(
            "two of the runs gave the very same answers: a run that is counted twice makes noise look small"
        )
    wanted = plans[0].config.population
    people, _ = pick_population(shipped_populations(), wanted, audit_conditions(plans[0], first))
    named = wanted if wanted.endswith(".json") else None if people is None else people.name
    return Release(tuple(runs), as_values(levels)), conditions_of_plan(plans[0]), named


def _as_judged(sample: Sample, seed: int) -> list[Score]:
    """The scores that a report on this sample would show, without their intervals."""
    chosen = [COMPARATORS.load(name)() for name in COMPARATORS.names()]
    known = score_all(as_suspect(sample, sample.reference), [quick(c, CHECK_RESAMPLES) for c in chosen], seed)
    return fit_to_judge(score_all(sample, [quick(c, 2) for c in chosen], seed), known)


def _run(plan: Plan, case: Store, values: Mapping[str, float]) -> Run:
    return Run(plan.config.suspect, identity_of(plan, case), case.head, as_values(values))


def same_requests(new: Sequence[Request], old: Sequence[Request], what: str) -> None:
    """Errors: `UsageError` unless both were asked the same."""
    if [r.digest for r in new] != [r.digest for r in old]:
        families = sorted({r.probe for r in {*old} ^ {*new}})
        raise UsageError(
            f"{what} does not ask what the baseline's case did ({', '.join(families)}): the release offers more or "
            "less than the one before (log-probs, system prompts), or the tool has changed; make a new baseline"
        )


def same_answers(new: Sample, old: Sample, case: Store) -> None:
    """Errors: `UsageError` unless both cases hold the same answers of the reference and the controls."""
    same_requests([u.request for u in new.units], [u.request for u in old.units], str(case.path or "the case"))
    for name, column in old.candidates.items():
        mine = new.candidates.get(name)
        told = [None if c is None else c.text for c in column]
        if mine is None or [None if c is None else c.text for c in mine] != told:
            raise UsageError(
                f"{case.path or 'the case'} holds other answers of {name} than the baseline's case: collect it with "
                "--baseline, which takes them over"
            )


def new_baseline(
    release: Release, conditions: dict[str, Any], case: Path, home: Path, *, population: str | None, alpha: float,
    planned: int | None,
) -> Baseline:  # fmt: skip
    """A baseline with one release and no looks. Errors: `UsageError` for an alpha or plan that is none."""
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha lies between 0 and 1, not {alpha}")
    if planned is not None and planned < 1:
        raise UsageError(f"looks is at least 1, not {planned}")
    where = os.path.relpath(case.resolve(), home.resolve().parent)
    return Baseline(
        SCHEMA_VERSION, "forensics-baseline", conditions, alpha, planned, where, population, (release,), (), __version__
    )


def with_look(baseline: Baseline, check: CheckRecord) -> Baseline:
    """The same baseline with the check's look in its ledger; a release that was looked at before counts once."""
    if check.baseline is None:
        raise UsageError("this check had no baseline, so it spent nothing: accept its release with --case instead")
    if any(look.identity == check.identity for look in baseline.looks):
        return baseline
    number = len(baseline.looks) + 1
    if check.baseline.look != number:
        raise UsageError(
            f"the check was look {check.baseline.look}, and the baseline is at look {number}: run the check again"
        )
    look = Look(number, check.suspect, check.identity, check.baseline.level, check.outcome)
    return replace(baseline, looks=(*baseline.looks, look))


def moved_on(baseline: Baseline, release: Release, case: Path, home: Path, check: CheckRecord | None) -> Baseline:
    """The baseline with the next release as its current one. ``check``: the one it passed, and how far it moved."""
    if check is not None and check.outcome == "pass" and check.changes:
        before = baseline.current.runs
        step = {}
        for name, value in check.changes:
            known = [dict(r.values)[name] for r in before if name in dict(r.values)]
            if len(known) == len(before):
                step[name] = value - sum(known) / len(known)
        release = replace(release, step=as_values(step), over=len(before))
    where = os.path.relpath(case.resolve(), home.resolve().parent)
    return replace(baseline, releases=(*baseline.releases, release), case=where, tool=__version__)


def differences(a: Baseline, b: Baseline) -> Iterator[tuple[str, str, str]]:
    """(what, in the first, in the second), everything in which two baselines differ."""
    for name in NAMES:
        if a.conditions.get(name) != b.conditions.get(name):
            yield name.replace("_", " "), _show(a.conditions.get(name)), _show(b.conditions.get(name))
    for name in ("alpha", "planned"):
        if getattr(a, name) != getattr(b, name):
            yield name, _show(getattr(a, name)), _show(getattr(b, name))
    first, second = a.current, b.current
    if first.runs[0].identity != second.runs[0].identity:
        yield "release", f"{first.runs[0].spec} ({first.runs[0].identity[:8]})", \
            f"{second.runs[0].spec} ({second.runs[0].identity[:8]})"  # fmt: skip
    for what, x, y in (("runs", len(first.runs), len(second.runs)), ("releases", len(a.releases), len(b.releases)),
                       ("looks", len(a.looks), len(b.looks))):  # fmt: skip
        if x != y:
            yield what, str(x), str(y)
    one, two = dict(first.levels), dict(second.levels)
    for name in [*one, *(n for n in two if n not in one)]:
        if one.get(name) != two.get(name):
            yield f"level of {name}", _number(one.get(name)), _number(two.get(name))


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:+.4g}"
