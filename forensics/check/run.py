"""The check: audit a release, measure its drift since the previous one, judge the gates.

case of the release (its own answers; the reference's from the baseline's case) -> report
that case + the baseline's case -> drift, with the noise of items and of runs
report + drift -> one outcome a gate -> 0, 1 or 3
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..audit import judge
from ..comparators import COMPARATORS
from ..config import AuditConfig
from ..errors import UsageError
from ..plan import Plan, gather, stored_plan
from ..probes import load_suite
from ..record import Report, sig
from ..recorded import import_files
from ..store import Store
from ..threads import single_threaded
from ..types import Listener, Sample, silent
from ..verdict.calibrate import Population, load_population
from .baseline import conditions_of, conditions_of_plan, differs, identity_of, same_answers, same_requests
from .drift import Change, Reading, changes, changes_between, estimate, reading
from .gates import EXIT, Gate, overall
from .judged import judge_gate
from .record import SCHEMA_VERSION, Against, Baseline, CheckRecord, DriftRecord, Release, Run, as_values
from .reuse import collect_release
from .spending import alpha_at

NEW = "there is no baseline yet: make one with forensics baseline update"


@dataclass(frozen=True, slots=True)
class Previous:
    """What a release is compared with: a baseline with its case, or a bare report of the previous release."""

    file: str
    baseline: Baseline
    case: Store | None = None
    report: Report | None = None


def check(
    config: AuditConfig, gates: Sequence[Gate], *, store: Store, previous: Previous | None = None,
    source: Store | None = None, progress: Listener = silent, extra: Any = None,
) -> tuple[CheckRecord, Report]:  # fmt: skip
    """Audit the release, or judge the case if it is complete, and hold it against the gates.

    ``source``: a case whose answers of the reference, the controls and the base are taken over; the baseline's by
    default. ``extra``: called with the store before it is judged (a canary test). Errors: as `forensics.audit.audit`,
    and `UsageError` where baseline and release were not made under the same conditions.
    """
    if source is None and previous is not None:
        source = previous.case
    if all(spec.provider == "file" for spec in config.specs().values()):
        import_files(config, store, progress)
    else:
        if previous is not None:
            comparable(config, previous)
        collect_release(config, store, source, progress, lambda plan: _same_plan(plan, previous))
    if extra is not None:
        extra(store)
    return assess(store, gates, previous=previous, population=config.population, progress=progress)


@single_threaded
def assess(
    store: Store, gates: Sequence[Gate], *, previous: Previous | None = None, population: str | None = None,
    progress: Listener = silent,
) -> tuple[CheckRecord, Report]:  # fmt: skip
    """The right half: a stored case against the gates; asks nothing."""
    plan = stored_plan(store)
    if previous is not None:
        _comparable(previous, conditions_of_plan(plan))
    sample = gather(plan, store)
    report = judge(store, progress=progress, population=population, sample=sample)
    identity = identity_of(plan, store)
    against = None if previous is None else _against(previous, identity)
    found: dict[str, Change] = {}
    drift: dict[str, DriftRecord] = {}
    if previous is not None and against is not None:
        found = _changes(plan, sample, store, report, previous)
        people = _population(report)
        unmeasured = {e.comparator: e.reason for e in report.evidence if e.reason}
        level = against.level / max(1, sum(g.kind == "drift" for g in gates))  # several gates share the look's level
        for name in _quantities(gates, found):
            drift[name] = _drift(name, found, previous.baseline, people, level, _gate_of(gates, name), unmeasured)
    results = tuple(judge_gate(g, report, drift.get(_name(g)), NEW) for g in gates)
    outcome = overall(results)
    return CheckRecord(
        schema_version=SCHEMA_VERSION, kind="forensics-check", outcome=outcome, exit_code=EXIT[outcome],
        suspect=plan.config.suspect, reference=plan.config.reference, gates=results, verdict=report.verdict,
        drift=tuple(drift.values()), baseline=against, case=None if store.path is None else str(store.path),
        identity=identity,
        report=report.digest, changes=as_values({n: c.value for n, c in found.items() if c.value is not None}),
        notes=_notes(previous, report),
    ), report  # fmt: skip


def from_report(report: Report, file: str) -> Previous:
    """A report.json in a baseline's place: levels without answers, no other runs, the first look."""
    levels = {e.comparator: e.value for e in report.evidence if e.value is not None}
    parties = {p.name: p.spec for p in report.parties}
    controls = [p.spec for p in report.parties if p.role == "control"]
    manifest = report.manifest
    conditions = {"suite": manifest.get("suite"), "suite_digest": manifest.get("suite_digest"),
                  "reference": parties.get("reference"), "controls": controls,
                  "seed": manifest.get("seed")}  # fmt: skip
    run = Run(parties.get("suspect", ""), report.digest, str(manifest.get("chain_head", "")),
              as_values(dict.fromkeys(levels, 0.0)))  # fmt: skip
    release = Release((run,), as_values(levels))
    baseline = Baseline(SCHEMA_VERSION, "forensics-baseline", conditions, 0.05, None, None, None, (release,))
    return Previous(file, baseline, None, report)


def _against(previous: Previous, identity: str) -> Against:
    """Which look this is: a release that was looked at before keeps its look."""
    b = previous.baseline
    known = next((look for look in b.looks if look.identity == identity), None)
    number = len(b.looks) + 1 if known is None else known.number
    level = alpha_at(number, b.alpha, b.planned) if known is None else known.level
    runs = b.current.runs
    return Against(previous.file, runs[0].spec, len(runs), number, level, b.alpha, b.planned)


def comparable(config: AuditConfig, previous: Previous) -> None:
    """What can be known before anything is asked. Errors: `UsageError` if a release that is audited like this could not
    be compared with the previous one."""
    suite = load_suite(config.suite)
    _comparable(previous, conditions_of(config, suite.name, suite.digest))


def _comparable(previous: Previous, conditions: Mapping[str, Any]) -> None:
    why = differs(previous.baseline.conditions, conditions)
    if why is not None:
        raise UsageError(f"{previous.file} can't be compared with: {why}")


def _same_plan(plan: Plan, previous: Previous | None) -> None:
    if previous is not None and previous.case is not None:
        same_requests(plan.requests, stored_plan(previous.case).requests, "this check")


def _changes(plan: Plan, new: Sample, store: Store, report: Report, previous: Previous) -> dict[str, Change]:
    """The change of every comparator that the previous release was measured by; without a value where the new one could
    not be."""
    known = dict(previous.baseline.current.levels)
    evidence = {e.comparator: e for e in report.evidence}
    good = [name for name in known if name in evidence and evidence[name].status == "ok"]
    gone = {name: Change(name, None, unit=evidence[name].unit, reason=evidence[name].reason or "not measured")
            if name in evidence else Change(name, None, reason="this installation has no such comparator")
            for name in known if name not in good}  # fmt: skip
    if previous.report is not None:
        moved = changes_between(report, previous.report)
        return {**{name: moved[name] for name in good}, **gone}
    assert previous.case is not None
    old = gather(stored_plan(previous.case), previous.case, ("suspect",))
    same_answers(new, old, store)
    # What the others scored is the same answers by the same models: read once.
    others = {key: column for key, column in new.likelihoods.items() if key[0] != "suspect"}
    old = replace(old, likelihoods={**others, **old.likelihoods})
    return {**changes(new, old, good, plan.config.seed), **gone}


def _population(report: Report) -> Population | None:
    """The population that the report was judged by: a shipped one by its name, a user's by its file."""
    told, asked = report.manifest.get("population"), str(report.manifest["judged"]["population"])
    if told is None:
        return None
    return load_population(asked if asked.endswith(".json") else str(told["name"]))


def _quantities(gates: Sequence[Gate], found: Mapping[str, Change]) -> list[str]:
    """What is shown: the drift, and that of every comparator that was measured on the previous release or is gated."""
    gated = [_name(g) for g in gates if g.kind == "drift"]
    return list(dict.fromkeys(["drift", *gated, *found]))


def _name(gate: Gate) -> str:
    """``drift`` or the comparator whose drift is gated."""
    return gate.quantity.removeprefix("drift.")


def _gate_of(gates: Sequence[Gate], quantity: str) -> float:
    return next((g.threshold for g in gates if g.kind == "drift" and _name(g) == quantity), 0.0)


def _drift(
    quantity: str, found: Mapping[str, Change], baseline: Baseline, population: Population | None, level: float,
    gate: float, why: Mapping[str, str],
) -> DriftRecord:  # fmt: skip
    levels = _read_by(quantity, found, baseline.current, population, why)
    unit = "llr" if quantity == "drift" else (found[quantity].unit if quantity in found else "")
    if isinstance(levels, str):
        return _none(quantity, unit, levels)
    used = {name: found[name] for name in levels}
    read = reading(quantity, levels, population)
    runs = [dict(r.values) for r in baseline.current.runs]
    if not all(set(levels) <= set(r) for r in runs):
        return _none(quantity, unit, "the baseline's runs were not measured by all of these comparators")
    made = estimate(read, used, runs, history(baseline, read, set(levels)), level)
    return DriftRecord(
        quantity=quantity, unit=unit, value=sig(made.value), interval=(sig(made.interval[0]), sig(made.interval[1])),
        margin=sig(made.margin), n=min(c.n for c in used.values()), run_sd=sig(made.noise.sd), run_df=made.noise.df,
        noise=made.noise.source, item_sd=sig(made.item_sd), detectable=sig(made.detectable(gate)),
    )  # fmt: skip


def _none(quantity: str, unit: str, reason: str) -> DriftRecord:
    return DriftRecord(quantity, unit, None, None, None, 0, None, None, "", None, None, reason)


def _read_by(
    quantity: str,
    found: Mapping[str, Change],
    current: Release,
    population: Population | None,
    why: Mapping[str, str],
) -> dict[str, float] | str:
    """The previous release's levels of the comparators that a quantity reads, or why it can't be read."""
    levels = dict(current.levels)
    if quantity != "drift":
        change = found.get(quantity)
        if change is None or quantity not in levels:
            return why.get(quantity) or f"{quantity} was not measured on the previous release"
        return {quantity: levels[quantity]} if change.value is not None else change.reason
    if population is None:
        return "no population speaks about this case, so there is no llr that could have moved; gate drift.COMPARATOR"
    columns = tuple(c for c in COMPARATORS.names() if c in population.columns and c in levels)
    gone = next((c for c in columns if found[c].value is None), None)
    if gone is not None:
        return f"the llr reads {gone}, which the previous release has and this one does not: {found[gone].reason}"
    if not columns or not population.through(columns).usable:
        return "too few of the population's comparators were measured on both releases"
    return {c: levels[c] for c in columns}


def history(baseline: Baseline, read: Reading, needs: set[str]) -> tuple[float, int]:
    """Sum of squares and degrees of freedom of one run's variance, from earlier releases: their runs, and the steps by
    which releases passed (a step over m runs has variance sigma^2 (1 + 1/m))."""
    squares, df = 0.0, 0
    for release in baseline.releases:
        if release.step is not None and needs <= set(dict(release.step)):
            squares += read(dict(release.step)) ** 2 / (1.0 + 1.0 / release.over)
            df += 1
        runs = [dict(r.values) for r in release.runs]
        if release is not baseline.current and len(runs) > 1 and all(needs <= set(r) for r in runs):
            moved = [read(r) for r in runs]
            mean = sum(moved) / len(moved)
            squares += sum((x - mean) ** 2 for x in moved)
            df += len(moved) - 1
    return squares, df


def _notes(previous: Previous | None, report: Report) -> tuple[str, ...]:
    if previous is None:
        return ("No baseline: this is a one-off audit, and says nothing about what the release has changed.",)
    if previous.report is not None:
        return (
            "The baseline is a report without its case: levels are compared, not answers, so the previous release is "
            "not taken off item by item, and no look is kept; forensics baseline update makes a baseline that does.",
        )
    levels, people = dict(previous.baseline.current.levels), _population(report)
    unread = [
        e.comparator
        for e in report.evidence
        if e.status == "ok" and people is not None and e.comparator in people.columns and e.comparator not in levels
    ]
    if unread:
        what = ", ".join(unread)
        return (f"The drift does not read {what}: the baseline was not measured by it. Make the baseline again.",)
    return ()
