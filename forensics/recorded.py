"""Files of recorded answers -> a case: the left half of `compare`."""

from __future__ import annotations

from .answers import AnswerFile, read_answers
from .backends.file import record
from .config import AuditConfig
from .errors import UsageError
from .pairing import pair
from .plan import Party, Plan, save_plan
from .protocol import fix_protocol
from .store import Store
from .types import Capabilities, Listener, Progress, Reply, canonical, sha256, silent

BATCH = 1000


def import_files(config: AuditConfig, store: Store, progress: Listener = silent) -> Plan:
    """Read, pair and store the answers of every party; the files' hashes go into the case.

    Errors: `UsageError` for a party that is no file, an unreadable line (unless ``skip_bad``), or nothing to pair.
    """
    specs = config.specs()
    for name, spec in specs.items():
        if spec.provider != "file":
            raise UsageError(f"compare reads recorded answers, but {name} is {spec}: use audit to ask a live model")
    files: dict[str, AnswerFile] = {}
    for name, spec in specs.items():
        progress(Progress("read", name, 0, 1, spec.name))
        files[name] = read_answers(spec.name, skip_bad=config.skip_bad)
        progress(Progress("read", name, 1, 1, spec.name))
    pairing = pair(files)
    requests = tuple(unit.request for unit in pairing.units)
    digest = sha256(canonical([r.digest for r in requests]))
    caps = Capabilities(recorded=True)
    parties = tuple(Party(name, spec, caps) for name, spec in specs.items())
    notes = tuple(_skipped(files)) + tuple(pairing.notes)
    fix_protocol(store, config, "recorded", digest)
    plan = Plan(config, "recorded", digest, parties, requests, recorded=True, notes=notes)
    save_plan(store, plan)
    known = {entry.party: store.body(entry.raw).decode() for entry in store.entries("file")}
    for name, spec in specs.items():
        if known.get(str(spec), files[name].digest) != files[name].digest:
            raise UsageError(
                f"{store.path} holds another version of {spec.name}: name a new case, or judge it with --case alone"
            )
    for name, spec in specs.items():
        if str(spec) not in known:
            store.note("file", str(spec), files[name].digest.encode())
        rows = list(zip(requests, pairing.columns[name], pairing.sources[name], strict=True))
        for start in range(0, len(rows), BATCH):  # the records are the answers once more: never all at once
            pairs = [
                (request, Reply(told, record(files[name], answer)))
                for request, told, answer in rows[start : start + BATCH] if told is not None and answer is not None
            ]  # fmt: skip
            store.answer(spec, pairs)
    return plan


def _skipped(files: dict[str, AnswerFile]) -> list[str]:
    return [
        f"{name}: {len(f.skipped)} line(s) of {f.path} could not be read and were left out (first: {f.skipped[0]})"
        for name, f in files.items()
        if f.skipped
    ]
