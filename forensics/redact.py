"""A copy of a case without some of its texts, of which every hash still verifies."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from .errors import UsageError
from .plan import Plan, stored_plan
from .probes.base import FIRST_TOKEN
from .store import Store
from .types import Request

PROMPTS = ("plan", "protocol", "exact-input")  # entries that quote prompts
ANSWERS = ("answer", "failure")


def redact(
    case: Path, output: Path, *, items: Collection[str] = (), parties: Collection[str] = (), texts: bool = False,
    prompts: bool = False,
) -> int:  # fmt: skip
    """Write ``output``; returns how many bodies were taken out.

    ``items``: every answer to these items of the suite. ``parties``: every answer of these parties, by their names in
    the report. ``texts``: every answer of everybody. ``prompts``: the plan and whatever else quotes prompts. Scorings
    of an answer go with it. Bodies are kept once, so another party's answer that is the same to the byte goes too.
    Errors: `UsageError` (nothing chosen, unknown names, output exists), `EvidenceError`.
    """
    if not (items or parties or texts or prompts):
        raise UsageError("name what to take out: --item, --party, --texts or --prompts")
    with Store(case, must_exist=True) as store:
        store.check()
        chosen = _answers(store, items, parties, texts=texts) if items or parties or texts else set()
        if prompts:
            chosen |= {d for e in store.entries() if e.kind in PROMPTS for d in (e.raw, e.parsed)}
            chosen |= {e.request for e in store.entries() if e.request}
        chosen = {digest for digest in chosen if not store.redacted(digest)}
        if not chosen:
            raise UsageError(f"{case}: nothing of that is in the case")
        store.pack(output, chosen)
    return len(chosen)


def _answers(store: Store, items: Collection[str], parties: Collection[str], *, texts: bool) -> set[str]:
    plan = stored_plan(store)
    specs = _specs(plan, parties)
    asked = {r.digest for r in (*plan.requests, *plan.redraws(), *plan.repeats()) if _item(r) in items}
    # A request to score an answer holds it: its digest could be guessed, so it goes too.
    scored = {r.digest: (author, _item(r)) for authors in plan.scorings(store).values()
              for author, requests in authors.items() for r in requests if r is not None}  # fmt: skip
    out: set[str] = set()
    for entry in (e for kind in ANSWERS for e in store.entries(kind)):
        request = "" if store.redacted(entry.request) else store.body(entry.request).decode()
        author, item = scored.get(request, ("", ""))
        if texts or entry.party in specs or request in asked or author in parties or (item and item in items):
            out |= {entry.raw, entry.parsed}
            if request in scored:
                out.add(entry.request)
    if texts:
        out |= {e.raw for e in store.entries("exact-input")}
    return out


def _item(request: Request) -> str:
    """The item of the suite; next-token queries are numbered after an @."""
    return request.item.rpartition("@")[0] if request.probe == FIRST_TOKEN else request.item


def _specs(plan: Plan, parties: Collection[str]) -> set[str]:
    """Their specs, as entries name parties."""
    known = {p.name: str(p.spec) for p in plan.parties}
    for name in parties:
        if name not in known:
            raise UsageError(f"the case has no party {name!r}: its parties are {', '.join(known)}")
    return {known[name] for name in parties}
