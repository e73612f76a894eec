"""Recompute every hash and every number of a case, its report and its manifest, and name the first difference.

What each step rests on: a report's own digest shows slips; the seal shows any change of the file's bytes; the chain
shows any change of what was asked and answered; judging the case again shows any number that it does not give; the
signature shows who vouched for all of it. Seal, chain and digest can be made anew by whoever has the file. What binds
them to a day and a person is a signed manifest, or a chain head that the other side wrote down.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from . import attest
from .audit import judge
from .backends import BACKENDS
from .casefile import check_seal
from .errors import EvidenceError, ForensicsError, ProtocolError, UsageError
from .exact import recompute
from .looks import LOOKS
from .plan import asked, stored_plan
from .protocol import KIND as PROTOCOL
from .protocol import OTHERWISE, stored_protocol
from .record import Report
from .store import Store
from .types import LIVE, Completion, ExactResult, Listener, Request, sha256, silent

State = Literal["ok", "open"]
TOLERANCE = 2e-5  # of numbers with six digits, judged with other versions of the numerical libraries
MACHINE = ("versions", "code")  # parts of a report's manifest that may differ between two machines


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was recomputed, or that could not be (``open``). A difference is an `EvidenceError` instead."""

    name: str
    state: State
    detail: str


@dataclass(frozen=True, slots=True)
class Sources:
    """What there is to verify."""

    case: Path | None = None
    report: Path | None = None
    manifest: Path | None = None
    key: Path | None = None


def verify(sources: Sources, progress: Listener = silent) -> Iterator[Check]:
    """All checks, in order. Errors: `EvidenceError` with the first difference, `UsageError`."""
    report, signed = None, None
    if sources.report is not None:
        report = read_report(sources.report)
        yield Check("report", "ok", "its bytes are those of a record, and its digest is right")
    if sources.manifest is not None:
        signed = attest.read(sources.manifest, sources.key)
        yield _signature(signed, sources.key)
        _subjects(signed, sources)
        yield Check("manifest", "ok", "its files are these files")
    if sources.case is not None:
        yield from _case(sources.case, report, signed, bound=_bound(sources, signed), progress=progress)
    elif report is not None:
        if _bound(sources, signed):
            yield Check("numbers", "ok", "not recomputed, but vouched for by the signature: no case was given")
        else:
            yield Check("numbers", "open", "not recomputed: name the case that the report was made from, --case FILE")


def _bound(sources: Sources, signed: attest.Signed | None) -> bool:
    """Whether somebody whose key the reader brought has signed this very report."""
    return signed is not None and sources.key is not None and sources.report is not None


def read_report(path: Path) -> Report:
    """A report.json that is, byte for byte, what this tool writes. Errors: `EvidenceError`, `UsageError`."""
    from pydantic import ValidationError

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the report {path}: {error.strerror}") from error
    try:
        report = Report.from_json(data)
        same = report.to_json().encode() == data
    except (ValidationError, ValueError) as error:
        raise EvidenceError(f"{path} is not a report record: {str(error).splitlines()[0]}") from error
    if not same:
        raise EvidenceError(f"{path} was changed: it is not written as this tool writes it")
    if report.hashed().digest != report.digest:
        raise EvidenceError(f"{path} was changed: its digest belongs to other contents")
    return report


def _signature(signed: attest.Signed, key: Path | None) -> Check:
    if signed.key is None:
        return Check("signature", "open", "the manifest is not signed: nobody vouches for it")
    if key is None:
        return Check("signature", "open", f"valid for the key {signed.key}; whose that is, --key FILE would tell")
    return Check("signature", "ok", f"valid, and made with the key that you named ({signed.key})")


def _subjects(signed: attest.Signed, sources: Sources) -> None:
    """The report is the one that the statement speaks about. (The case: see `_same_case`.)"""
    if sources.report is not None:
        digest = _digests(signed).get(attest.REPORT)
        if digest != sha256(sources.report.read_bytes()):
            raise EvidenceError(f"{sources.report} is not the report that {sources.manifest} was made for")


def _digests(signed: attest.Signed) -> dict[str, str]:
    try:
        return {s["name"]: s["digest"]["sha256"] for s in signed.statement["subject"]}
    except (KeyError, TypeError) as error:
        raise EvidenceError("the manifest names no files") from error


def _case(
    path: Path, report: Report | None, signed: attest.Signed | None, *, bound: bool, progress: Listener
) -> Iterator[Check]:
    check_seal(path)
    yield Check("seal", "ok", "every byte of the case file is as it was sealed")
    with Store(path, must_exist=True) as store:
        store.check()
        gone = store.redactions
        redacted = f"; {gone} bodies are redacted, their commitments stand" if gone else ""
        yield Check("chain", "ok", f"{len(store)} entries to {store.head[:16]}{redacted}")
        yield from _order(store)
        read = answers(store)
        more = f", and {read} were read again from these bytes" if read else ""
        yield Check("answers", "ok", f"each belongs to the request and the bytes that it names{more}")
        if report is not None:
            _same_chain(report, store)
        yield from exact_results(store)
        if report is None and not any(store.entries("plan")) and any(store.entries("exact")):
            yield Check("numbers", "ok", "none beyond the exact results: no audit was collected in this case")
            return
        yield from _numbers(path, store, report, signed, bound=bound, progress=progress)


def _order(store: Store) -> Iterator[Check]:
    """The protocol is the first entry, and the plan comes before every answer."""
    kinds = [entry.kind for entry in store.entries()]
    if PROTOCOL not in kinds or "plan" not in kinds:
        yield Check("protocol", "open", "the case holds no protocol or no plan: nothing was fixed beforehand")
        return
    first = min((kinds.index(k) for k in ("answer", "failure") if k in kinds), default=len(kinds))
    late = max(kinds.index("plan"), kinds.index(LOOKS) if LOOKS in kinds else 0) > first
    if kinds[0] != PROTOCOL or kinds.count(PROTOCOL) != 1 or late:
        yield Check("protocol", "open", "protocol, plan or looks were written after something had been asked")
        return
    protocol = stored_protocol(store)
    if protocol is None or store.redacted(next(store.entries("plan")).raw):
        yield Check("protocol", "ok", "fixed before the first request; its words are redacted")
        return
    plan = stored_plan(store)
    if (protocol.suite_digest, protocol.config.fixed) != (plan.suite_digest, asked(plan)["config"]):
        raise EvidenceError("the plan is not the one that the protocol announced: suite or configuration differ")
    yield Check("protocol", "ok", "probes and analysis were fixed before the first request")


def answers(store: Store) -> int:
    """Every parsed answer names the request and the raw bytes that it stands beside, and where a server's own bytes
    were kept they are read again. Returns how many were. Errors: `EvidenceError`."""
    known, count = _requests(store), 0
    for kind in ("answer", "failure"):
        for entry in store.entries(kind):
            if any(store.redacted(d) for d in (entry.request, entry.parsed, entry.raw)):
                continue
            done = store.read(Completion, entry.parsed)
            if done.request_digest != store.body(entry.request).decode():
                raise EvidenceError(f"entry {entry.seq}: the answer belongs to another request")
            if done.raw_digest is not None and done.raw_digest != sha256(store.body(entry.raw)):
                raise EvidenceError(f"entry {entry.seq}: the answer was not read from the bytes that came with it")
            request = known.get(done.request_digest)
            if kind == "answer" and request is not None and entry.party.partition("/")[0] in LIVE:
                parse = BACKENDS.load(entry.party.partition("/")[0]).parse
                try:
                    made = parse(store.body(entry.raw), request, done.received_at)
                except ProtocolError as error:
                    raise EvidenceError(f"entry {entry.seq}: the server's bytes are no answer: {error}") from error
                if replace(made, error=done.error) != done:
                    raise EvidenceError(
                        f"entry {entry.seq}: the server's bytes give another answer than the stored one"
                    )
                count += 1
    return count


def _requests(store: Store) -> dict[str, Request]:
    """Every request of the plan by its digest; none where the plan is missing or redacted."""
    entry = next(store.entries("plan"), None)
    if entry is None or store.redacted(entry.raw):
        return {}
    plan = stored_plan(store)
    scored = [r for authors in plan.scorings(store).values() for rs in authors.values() for r in rs if r is not None]
    return {r.digest: r for r in (*plan.requests, *plan.redraws(), *plan.repeats(), *scored)}


def _same_chain(report: Report, store: Store) -> None:
    for key, found in (("chain_head", store.head), ("entries", len(store))):
        said = report.manifest.get(key)
        if said != found:
            raise EvidenceError(f"manifest.{key}: the report says {_show(said)}, the case has {_show(found)}")


def exact_results(store: Store) -> Iterator[Check]:
    """Exact results are made again from their stored inputs."""
    made: dict[tuple[str, str], list[ExactResult]] = {}
    for entry in store.entries("exact-input"):
        if not store.redacted(entry.raw):
            result = recompute(store.body(entry.raw))
            made.setdefault((result.test, result.against), []).append(result)
    for entry in store.entries("exact"):
        if store.redacted(entry.raw):
            continue
        stored = store.read(ExactResult, entry.raw)
        again = made.get((stored.test, stored.against))
        name = f"exact {stored.test} ({stored.against})"
        if again is None:
            yield Check(
                name,
                "open",
                "can't be recomputed here: no inputs are stored; it stands in the chain as it was measured",
            )
        elif not any(_same_result(stored, made) for made in again):
            raise EvidenceError(f"{name}: the case holds p = {stored.p}, its inputs give p = {again[0].p}")
        else:
            yield Check(name, "ok", "recomputed from its stored inputs")


def _same_result(stored: ExactResult, made: ExactResult) -> bool:
    """Status and numbers; another version may word the finding otherwise."""
    pairs = ((stored.p, made.p), (stored.e, made.e), (stored.n, made.n), (stored.value, made.value),
             (stored.status, made.status))  # fmt: skip
    return all(_equal(a, b, TOLERANCE) for a, b in pairs)


def _numbers(
    path: Path, store: Store, report: Report | None, signed: attest.Signed | None, *, bound: bool, progress: Listener
) -> Iterator[Check]:
    if store.redactions:
        yield from _redacted(path, store, report, signed, bound=bound)
        return
    judged = again(store, report, progress)
    if report is None:
        v = judged.verdict
        llr = "withheld" if v.llr is None else f"{v.llr:+.2f}"
        yield Check("numbers", "ok", f"the case gives: {v.decision}, llr {llr} (no report to compare with)")
    else:
        remark = compare(report, judged)
        yield Check("numbers", "ok", "the case gives every number of the report" + remark)
    yield from _stopping(judged)
    if signed is not None:
        made = attest.statement(path, store, report or judged, {})
        _same_case(signed, made, whole=True, skip=() if report else ("tool", "packages", "code"))
        yield Check("statement", "ok", "everything in the manifest follows from the case and the report")


def _stopping(judged: Report) -> Iterator[Check]:
    """A case with a stopping rule stopped where the rule says. Errors: `EvidenceError` that names the look."""
    s = judged.stopping
    if s is None:
        return
    if any(line.startswith(OTHERWISE) for line in judged.limitations):
        yield Check(
            "stopping", "open", "the report judges otherwise than was fixed, so it can't show what the rule saw"
        )
        return
    for number, look in enumerate(s.looks, 1):
        if look.met and number < s.look and number not in s.earlier:
            raise EvidenceError(f"stopping: look {number} met {look.met}, and the case goes on to look {s.look}")
    if s.why.startswith("llr") and not s.looks[-1].met:
        raise EvidenceError(f"stopping: the case says that look {s.look} met {s.why}; its answers do not")
    yield Check("stopping", "ok", f"at look {s.look} of {s.looks_planned}, as the rule {s.rule} says")


def _redacted(
    path: Path, store: Store, report: Report | None, signed: attest.Signed | None, *, bound: bool
) -> Iterator[Check]:
    if signed is not None and report is not None:
        _same_case(signed, attest.statement(path, store, report, {}), whole=False)
        yield Check("statement", "ok", "everything in the manifest follows from the redacted case and the report")
    if report is None:
        return
    if bound:
        yield Check("numbers", "ok", "not recomputed, as texts are redacted, but vouched for by the signature")
    else:
        yield Check("numbers", "open", "not recomputed: texts are redacted, and no signature of a key that you named "
                    "vouches for this report")  # fmt: skip


def again(store: Store, report: Report | None, progress: Listener = silent) -> Report:
    """The case judged once more, in the way that the report says. Errors: `EvidenceError`."""
    if report is None:
        return judge(store, progress=progress)
    try:
        how = report.manifest["judged"]
        return judge(store, progress=progress, population=how["population"], comparators=tuple(how["comparators"]))
    except EvidenceError:
        raise
    except (KeyError, TypeError, ForensicsError) as error:
        raise EvidenceError(f"manifest.judged: the case can't be judged in this way: {error}") from error


def _same_case(signed: attest.Signed, made: Mapping[str, Any], *, whole: bool, skip: Collection[str] = ()) -> None:
    """The statement is the one that these files give; a redacted case has other bytes, and the same chain. ``skip``:
    what another machine may say otherwise, if no report says what was said then."""
    said, found = signed.statement.get("predicate", {}), made["predicate"]
    for key in sorted({*said, *found}):
        if key in skip or (not whole and key == "configuration" and found.get(key) is None):
            continue
        if said.get(key) != found.get(key):
            where = next(differences(said.get(key), found.get(key), key, 0.0), key)
            raise EvidenceError(f"the manifest differs: {where}")
    if whole:
        theirs, ours = _digests(signed), {s["name"]: s["digest"]["sha256"] for s in made["subject"]}
        for name, digest in ours.items():
            if not (skip and name == attest.REPORT) and digest not in theirs.values():
                raise EvidenceError(f"the manifest was made for another {name}")


def compare(report: Report, judged: Report) -> str:
    """A remark on versions, "" if there is nothing to remark. Errors: `EvidenceError` that names the first difference.

    With the same versions both must be equal; with others, numbers may differ in the last of their six digits.
    """
    said, found = _body(report), _body(judged)
    machine = [(record["manifest"].pop(key, None)) for record in (said, found) for key in MACHINE]
    same = machine[:2] == machine[2:]
    first = next(differences(said, found, "", 0.0 if same else TOLERANCE), None)
    if first is not None:
        other = "" if same else " (it was made with other versions of the packages or of this tool)"
        raise EvidenceError(f"{first}{other}")
    return "" if same else ", to the last digit but one: it was made with other versions"


def _body(report: Report) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(report.to_json())
    del value["digest"]
    return value


def differences(said: Any, found: Any, path: str, tolerance: float) -> Iterator[str]:
    """Every place where two JSON values differ, as sentences."""
    if isinstance(said, dict) and isinstance(found, dict):
        for key in [*said, *(k for k in found if k not in said)]:
            yield from _member(said, found, key, f"{path}.{key}" if path else str(key), tolerance)
    elif isinstance(said, list) and isinstance(found, list):
        for i in range(max(len(said), len(found))):
            yield from _member(dict(enumerate(said)), dict(enumerate(found)), i, f"{path}[{i}]", tolerance)
    elif not _equal(said, found, tolerance):
        yield f"{path}: the report says {_show(said)}, the case gives {_show(found)}"


def _member(said: Mapping[Any, Any], found: Mapping[Any, Any], key: Any, path: str, tolerance: float) -> Iterator[str]:
    if key not in said:
        yield f"{path}: missing in the report, the case gives {_show(found[key])}"
    elif key not in found:
        yield f"{path}: the report says {_show(said[key])}, the case gives nothing there"
    else:
        yield from differences(said[key], found[key], path, tolerance)


def _equal(said: Any, found: Any, tolerance: float) -> bool:
    number = (int, float)
    if type(said) is not type(found) or not isinstance(said, number) or isinstance(said, bool):
        return type(said) is type(found) and bool(said == found)
    return bool(said == found or abs(said - found) <= tolerance * max(abs(said), abs(found)))


def _show(value: Any, limit: int = 60) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[: limit - 1] + "…"
