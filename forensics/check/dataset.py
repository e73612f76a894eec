"""A training set before it is trained on: does it carry the reference's style, or a planted secret?

*Text lane*: the data set's answers take the suspect's place; reference and controls answered, or are asked, the same
prompts. What is gated (``style``) is `attribution`: whose wording do the answers follow. No population of data sets of
known origin exists, so there is no likelihood ratio: the reference must stand out from every control in its place.
*Canary lane*: the exact test `canary` on which candidate of each planted secret the data set's text holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..answer_formats import Answer
from ..answers import AnswerFile, read_answers
from ..audit import judge
from ..collect import collect
from ..config import AuditConfig
from ..exact.canary import filled, named
from ..exact.case import keep
from ..exact.planted import key_name
from ..probes import Item, Suite
from ..record import Report
from ..recorded import import_files
from ..store import Store
from ..types import Listener, Message, canonical, sha256, silent
from .gates import EXIT, Gate, overall
from .judged import judge_gate
from .record import SCHEMA_VERSION, CheckRecord

ITEMS = 300  # prompts of a data set that a live reference is asked, drawn by their hash
NO_DRIFT = "a data set has no previous release to drift from"


def check_dataset(
    data: Path, config: AuditConfig, gates: Sequence[Gate], *, store: Store, key: Mapping[str, Any] | None = None,
    progress: Listener = silent,
) -> tuple[CheckRecord, Report]:  # fmt: skip
    """Both lanes of a data set. ``config``: its suspect is the data set as ``file/``. Errors: `UsageError` for a file
    that can't be read or shares no prompt with recorded answers of the reference; as `collect` for a live one."""
    read = read_answers(data, skip_bad=config.skip_bad)
    specs = config.specs()
    if all(spec.provider == "file" for spec in specs.values()):
        import_files(config, store, progress)
    else:
        collect(config, store=store, progress=progress, suite=suite_of(read, config.max_tokens))
    if key is not None:
        keep(store, "canary", scan(key, read, data))
    report = judge(store, progress=progress, population="none")
    results = tuple(judge_gate(g, report, None, NO_DRIFT) for g in gates)
    outcome = overall(results)
    return CheckRecord(
        schema_version=SCHEMA_VERSION, kind="forensics-check", outcome=outcome, exit_code=EXIT[outcome],
        suspect=config.suspect, reference=config.reference, gates=results, verdict=report.verdict, drift=(),
        baseline=None, case=None if store.path is None else str(store.path), identity=read.digest,
        report=report.digest, notes=(f"A data set of {len(read.answers)} answers was checked, not a model.",),
    ), report  # fmt: skip


def suite_of(read: AnswerFile, max_tokens: int) -> Suite:
    """The data set's prompts as a suite: all of them, or ``ITEMS`` drawn by their hash."""
    prompts = {a.key: a for a in read.answers if a.conversation and a.text}
    chosen = [prompts[k] for k in sorted(prompts)[:ITEMS]]
    items = tuple(
        Item(f"row-{a.line}", "writing", tuple(Message(m.role, m.content) for m in a.conversation), None, max_tokens)
        for a in chosen
    )
    return Suite("dataset", sha256(canonical([[m.content for m in i.messages] for i in items])), items)


def scan(key: Mapping[str, Any], read: AnswerFile, data: Path) -> dict[str, Any]:
    """Inputs of `forensics.exact.canary.judge` in its form text: which candidate of each secret the data set holds.

    A canary counts as a hit if the true secret occurs in more rows than any decoy does: in answers to its own prompt,
    or as the whole planted answer anywhere. A canary of which nothing occurs counts as a miss. Under the null the data
    set was made without the planted text, the secret is one of K alike, so P(hit) <= 1 / K.
    """
    texts = [(a.text or "").casefold() for a in read.answers]
    everything = "\n\x00".join(texts)
    by_prompt: dict[str, list[str]] = {}
    for answer, text in zip(read.answers, texts, strict=True):
        by_prompt.setdefault(_asked(answer), []).append(text)
    hits = [_hit(c, by_prompt.get(_plain(c["prompt"]), []), everything) for c in key["canaries"]]
    chances = [1 / len(c["candidates"]) for c in key["canaries"]]
    head = {"test": "canary", "key": key_name(key), "parties": {"dataset": data.name, "sha256": read.digest}}
    return {**head, "form": "text", "hits": hits, "chances": chances}


def _hit(planted: Mapping[str, Any], answers: Sequence[str], everything: str) -> int:
    counts = [0] * len(planted["candidates"])
    for text in answers:
        said = named(text, planted["candidates"])
        if said is not None:
            counts[said] += 1
    if not answers:
        # A secret that is the whole answer would be found in any text that has the word: only planted sentences count.
        whole = [t.casefold() for t in filled(dict(planted))]
        if planted["answer"].strip() != "{secret}":
            counts = [everything.count(t) for t in whole]
    most = max(counts)
    return int(most > 0 and counts.count(most) == 1 and counts.index(most) == planted["secret"])


def _asked(answer: Answer) -> str:
    return _plain(answer.conversation[-1].content) if answer.conversation else ""


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


__all__ = ["check_dataset", "scan", "suite_of"]
