"""Everything that was found -> the record."""

from __future__ import annotations

import functools
import platform
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np

from .comparators import Comparator
from .comparators.texts import READ
from .confounders import confounders
from .exhibits import pick
from .plan import Plan
from .protocol import KIND as PROTOCOL
from .protocol import deviations
from .record import (
    SCHEMA_VERSION,
    Background,
    Baseline,
    CaseRecord,
    EvidenceRecord,
    ExactRecord,
    PartyRecord,
    Report,
    SelfCheckRecord,
    Stopping,
    ValidationRecord,
    VerdictRecord,
    sig,
)
from .relations import relations
from .serial import dump
from .serving import changes
from .store import Store
from .types import (
    Column,
    Evidence,
    ExactResult,
    LikelihoodRatio,
    Role,
    Sample,
    Score,
    SelfCheck,
    Verdict,
    canonical,
    sha256,
)
from .verdict.calibrate import Population
from .verdict.combine import HD, HP

BINS = 24
QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)
PACKAGES = ("distillation-forensics", "numpy", "scipy", "scikit-learn")


def assemble(
    *,
    plan: Plan,
    store: Store,
    sample: Sample,
    comparators: Sequence[Comparator],
    evidence: Sequence[Evidence],
    exact: Sequence[ExactResult],
    verdict: Verdict,
    checks: Sequence[SelfCheck],
    conditions: Mapping[str, Any],
    population: Population | None,
    validation: ValidationRecord | None,
    length: Score,
    asked: str,
    stopping: Stopping | None = None,
    expected: Mapping[str, int] | None = None,
) -> Report:
    """The record of one audit; the same case gives the same record.

    ``asked``: the population as it was asked for. ``expected``: how many first requests each party had to answer.
    """
    parties = _parties(plan, sample, expected or {})
    units = {c.name: c.unit for c in comparators}
    return Report(
        schema_version=SCHEMA_VERSION,
        case=_case(plan),
        parties=tuple(parties),
        capabilities={p.name: p.capabilities for p in plan.parties},
        verdict=_verdict(verdict),
        evidence=tuple(_evidence(e, units.get(e.score.comparator, "")) for e in evidence),
        exact=tuple(exact_record(e) for e in exact),
        baselines=_baselines(length),
        self_checks=tuple(SelfCheckRecord(c.name, c.passed, c.detail) for c in checks),
        limitations=(*_stopped(stopping), *_limitations(plan, store, sample, list(units), exact, population, parties)),
        exhibits=pick(sample),
        confounders=confounders(plan, sample, evidence, exact, population),
        relations=relations(sample),
        manifest=_manifest(plan, store, conditions, population, {"population": asked, "comparators": list(units)}),
        validation=validation,
        stopping=stopping,
    ).hashed()


def _sig(value: float | None) -> float | None:
    return None if value is None else sig(value)


def _pair(value: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if value is None else (sig(value[0]), sig(value[1]))


def _case(plan: Plan) -> CaseRecord:
    suspect, reference = plan.config.suspect, plan.config.reference
    return CaseRecord(
        id=sha256(dump(plan))[:12],
        question=f"Was {suspect} trained on outputs of {reference}?",
        Hp=f"{HP} (suspect: {suspect}; reference: {reference})",
        Hd=HD,
    )


def _verdict(v: Verdict) -> VerdictRecord:
    lr: LikelihoodRatio | None = v.lr
    return VerdictRecord(
        decision=v.decision,
        llr=None if lr is None else sig(lr.llr),
        bounds=None if lr is None else _pair(lr.bounds),
        interval=None if lr is None else _pair(lr.interval),
        wording=v.wording,
        population=None if lr is None else lr.population,
        reasons=v.reasons,
        power=v.power,
        alternatives=v.alternatives,
    )


def exact_record(e: ExactResult) -> ExactRecord:
    """One exact result as the record has it."""
    numbers = (e.test, _sig(e.p), _sig(e.e), e.n, e.status, e.reason)
    return ExactRecord(*numbers, e.against, e.assumes, e.finding, e.breaks, e.power, e.inputs, _sig(e.value))


def _evidence(e: Evidence, unit: str) -> EvidenceRecord:
    s = e.score
    return EvidenceRecord(
        comparator=s.comparator,
        status=s.status,
        value=_sig(s.value),
        n=s.n,
        interval=_pair(s.interval),
        llr=None if e.lr is None else sig(e.lr.llr),
        reason=s.reason,
        unit=unit,
        background=background(s),
        closeness=tuple((name, sig(v)) for name, v in s.closeness),
        ablations=tuple((name, _sig(v)) for name, v in s.ablations),
        llr_interval=None if e.lr is None else _pair(e.lr.interval),
        llr_bounds=None if e.lr is None else _pair(e.lr.bounds),
    )


def background(s: Score) -> Background | None:
    """The null in brief; see `Background`."""
    if not s.null or s.value is None:
        return None
    null = np.array(s.null)
    least = 1.0 / len(s.closeness)
    counts, edges = np.histogram(null, bins=BINS)
    return Background(
        quantiles=tuple((str(q), sig(np.quantile(null, q))) for q in QUANTILES),
        histogram=tuple((sig(a), sig(b), int(c)) for a, b, c in zip(edges, edges[1:], counts, strict=False)),
        above=sig(max((1 + int((null >= s.value).sum())) / (1 + len(null)), least)),
    )


def _role(name: str) -> Role:
    return name if name in ("suspect", "reference", "base") else "control"  # type: ignore[return-value]


def _parties(plan: Plan, sample: Sample, expected: Mapping[str, int]) -> list[PartyRecord]:
    columns: dict[str, Column | None] = {"suspect": sample.suspect, **sample.candidates, "base": sample.base}
    out = []
    for party in plan.parties:
        answers, unusable, lengths = 0, 0, []
        for c, unit in zip(columns.get(party.name) or (), sample.units, strict=False):
            if c is not None:
                answers, unusable = answers + 1, unusable + (not c.usable)
                if c.usable and unit.family != "first-token":
                    lengths.append(len(c.text or ""))
        mean = sig(float(np.mean(lengths))) if lengths else None
        missing = 0 if party.name == "base" else expected.get(party.name, len(sample.units)) - answers
        out.append(PartyRecord(_role(party.name), party.name, str(party.spec), answers, unusable, missing, mean))
    return out


def _baselines(length: Score) -> dict[str, Baseline]:
    blind = (
        "A rule that reads no answer has a likelihood ratio of 1 (llr 0): who sells a model is a prior, not a finding."
    )
    if length.status == "ok":
        shown = background(length)
        share = 1.0 if shown is None else shown.above
        detail = (
            "The same contrast from nothing but the answers' lengths (log scale). Where this stands out as much as the "
            f"comparators do, length explains them; here {share:.0%} of the background is at or above it."
        )
    else:
        detail = f"not measured: {length.reason}"
    return {
        "text_blind": Baseline(0.0, None, blind),
        "length_only": Baseline(_sig(length.value), _pair(length.interval), detail),
    }


def _limitations(
    plan: Plan, store: Store, sample: Sample, names: Sequence[str], exact: Sequence[ExactResult],
    population: Population | None, parties: Sequence[PartyRecord],
) -> list[str]:  # fmt: skip
    out = [
        "Similarity to the reference is expected of any two modern assistants; every number here is relative to the "
        f"{len(plan.controls)} controls, and is no better than they are.",
        "Training on a public corpus of the reference's outputs, or on a common third teacher, leaves the same traces "
        "as training on the reference itself; nothing here separates them.",
        "The number of prompts is not a number of independent observations: one suspect is one model.",
    ]
    makers = {party.spec.vendor for party in plan.controls}
    if len(makers) == 1 and None not in makers and len(plan.controls) > 1:
        out.append(
            f"All controls are of one maker ({makers.pop()}), whose models resemble each other: what sets the "
            "reference apart from them may be that it is of another. Add controls of other makers."
        )
    elif plan.recorded and makers == {None}:
        out.append(
            "Who made the controls is not recorded (FILE?vendor=MAKER says it). Models of the same maker resemble each "
            "other: were all controls such, that alone could set the reference apart."
        )
    if population is None:
        out.append("No reference population matches this case, so the error rates of its numbers are unknown.")
    else:
        out.append(f"The population {population.name} speaks for models like its own only. {population.card}")
    if not any(e.test == "weights" and e.status == "ok" for e in exact):
        out.append("Weights were not compared: copied weights would look like copied outputs.")
    if plan.party("base") is None:
        out.append("The suspect's base is not part of the case: what it inherited from its base is not taken off.")
    if plan.recorded:
        out.append(
            "Answers were recorded elsewhere: sampling, system prompt and dates are as their owner says, not measured."
        )
    elif sample.redraw is None:
        out.append("No second draw of the reference was collected, so there is no positive control.")
    out.extend(changes(plan, sample))
    out.extend(plan.notes)
    out.extend(deviations(store, names, population))
    if store.redactions:
        out.append(
            f"The case is redacted: {store.redactions} bodies were taken out. What was in them counts as missing, so "
            "these are not the numbers of the whole case."
        )
    for party in parties:
        if party.missing:
            out.append(
                f"{party.name}: {party.missing} of {party.missing + party.answers} requests have no answer (failed, or "
                "not recorded); which ones are missing may not be chance."
            )
        if party.unusable:
            out.append(
                f"{party.name}: {party.unusable} of {party.answers} answers were empty or blocked and are not scored."
            )
    return out + _cut(sample) + _lengths(parties)


def _cut(sample: Sample) -> list[str]:
    """Whose answers were not read to their end."""
    columns = {"suspect": sample.suspect, **sample.candidates}
    long = {name: sum(c is not None and len(c.text or "") > READ for c in column) for name, column in columns.items()}
    told = ", ".join(f"{name} {n}" for name, n in long.items() if n)
    return [f"Answers were compared to their first {READ:,} characters; longer ones: {told}."] if told else []


def _stopped(s: Stopping | None) -> list[str]:
    """What was left unasked."""
    if s is None or s.whole:
        return []
    return [
        f"{s.requests_planned - s.requests} of {s.requests_planned} planned requests were not made, by the stopping "
        f"rule {s.rule}: whatever their answers would have shown is not part of this. The same audit without --until "
        "makes them."
    ]


def _lengths(parties: Sequence[PartyRecord]) -> list[str]:
    means = {p.name: p.mean_characters for p in parties if p.mean_characters}
    suspect, reference = means.get("suspect"), means.get("reference")
    others = [v for k, v in means.items() if k not in ("suspect", "reference", "base")]
    if not (suspect and reference and others):
        return []
    near = max(suspect, reference) / min(suspect, reference)
    far = min(max(suspect, o) / min(suspect, o) for o in others)
    if far > 1.5 * near:
        return [
            "One-sided length: suspect and reference write about equally much and no control does; add such a control."
        ]
    return []


def _brief(conditions: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions with the prompts' keys counted and hashed, and numbers as every view prints them."""
    keys: Sequence[str] = conditions.get("prompts", ())
    out = {k: sig(v) if isinstance(v, float) else v for k, v in conditions.items() if k != "prompts"}
    return out | {"prompts": {"count": len(keys), "sha256": sha256(canonical(keys))}}


def _manifest(
    plan: Plan, store: Store, conditions: Mapping[str, Any], population: Population | None, judged: Mapping[str, Any]
) -> dict[str, Any]:
    received = sorted(e.received_at for e in store.entries("answer") if e.received_at)
    lineages = None if population is None else {"Hp": len(population.lineages(1)), "Hd": len(population.lineages(0))}
    first = next(store.entries(PROTOCOL), None)
    return {
        "chain_head": store.head,
        "entries": len(store),
        "protocol": None if first is None else first.raw,
        "plan": sha256(dump(plan)),
        "suite": plan.suite,
        "suite_digest": plan.suite_digest,
        "seed": plan.config.seed,
        "judged": dict(judged),
        "conditions": _brief(conditions),
        "population": None
        if population is None
        else {"name": population.name, "digest": population.digest, "lineages": lineages},
        "files": {e.party: store.body(e.raw).decode() for e in store.entries("file")},
        "first_answer": received[0] if received else None,
        "last_answer": received[-1] if received else None,
        **made_by(),
    }


def made_by() -> dict[str, Any]:
    """What may differ between two machines that judge one case: versions, and the code itself by its hashes."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {"versions": versions, "code": {name: code_digest(name) for name in ("forensics", "fingerprints")}}


@functools.cache
def code_digest(package: str) -> str:
    """SHA-256 over a package's Python and data files, by name. Weights of the zoo are not code."""
    found = {}

    def walk(folder: Traversable, path: str) -> None:
        for child in folder.iterdir():
            where = f"{path}/{child.name}"
            if child.is_dir() and child.name not in ("__pycache__", "weights"):
                walk(child, where)
            elif child.name.endswith((".py", ".json", ".jsonl")):
                found[where] = sha256(child.read_bytes())

    walk(resources.files(package), package)
    return sha256(canonical(found))
