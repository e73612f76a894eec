"""The record as tables of finished strings. Every view prints these and formats nothing itself.

Input is a record that went through `text.clean`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from forensics.record import EvidenceRecord, Exhibit, Report

from . import numbers as n
from . import words
from .text import one_line

ABOVE, INSIDE, BELOW, ABSTAINED = "▲", "●", "▼", "○"
READING = {
    ABOVE: "above the background",
    INSIDE: "inside the background",
    BELOW: "below the background",
    "": "no background to read it against",
}
MANIFEST_ROWS = 300
TOKENS = 12


@dataclass(frozen=True, slots=True)
class Column:
    """One column; ``numeric``: right-aligned, and made by `numbers` alone."""

    label: str
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Finished strings. The first cell of a row names it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str = ""


def columns(text: str) -> tuple[Column, ...]:
    """``"Comparator | n#"``: labels, a # after those that hold numbers."""
    labels = [label.strip() for label in text.split("|")]
    return tuple(Column(label.removesuffix("#"), label.endswith("#")) for label in labels)


def span(e: EvidenceRecord) -> tuple[float, float] | None:
    """The middle 95 % of a comparator's background."""
    quantiles = dict(e.background.quantiles) if e.background else {}
    low, high = quantiles.get("0.025"), quantiles.get("0.975")
    return None if low is None or high is None else (low, high)


def mark(e: EvidenceRecord) -> str:
    """Where the value lies against the background's range."""
    if e.status != "ok" or e.value is None:
        return ABSTAINED
    band = span(e)
    if band is None:
        return ""
    return ABOVE if e.value > band[1] else BELOW if e.value < band[0] else INSIDE


def places(e: EvidenceRecord) -> int | None:
    """Decimals for all numbers of one comparator."""
    return n.decimals((e.value, *(e.interval or ()), *(span(e) or ())))


def reading(e: EvidenceRecord) -> str:
    """The second column in words: the mark explained, or why there is no number."""
    reason = one_line(e.reason or "")
    sign = mark(e)
    if sign == ABSTAINED:
        return f"{ABSTAINED} {words.STATUS[e.status]}" + (f" ({reason})" if reason else "")
    return f"{sign} {READING[sign]}".strip() + (f" ({reason})" if reason else "")


def name(e: EvidenceRecord) -> str:
    """The comparator, and the unit of its value."""
    return one_line(e.comparator) + (f" ({one_line(e.unit)})" if e.unit and e.value is not None else "")


def evidence(report: Report) -> Table:
    """Every comparator is a row, those that abstained too."""
    rows = []
    for e in report.evidence:
        d = places(e)
        rows.append((
            name(e), reading(e), n.count(e.n), n.signed(e.value, d), n.interval(e.interval, d),
            n.interval(span(e), d), n.share(e.background.above if e.background else None), n.llr(e.llr),
        ))  # fmt: skip
    head = columns("Comparator | Reading | n# | Value# | 95 % interval# | Background range# | At or above# | llr#")
    return Table("Evidence by comparator", head, tuple(rows), "No comparator was run.")


def _ranked(pairs: tuple[tuple[str, float], ...]) -> list[tuple[str, float]]:
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


def closeness(report: Report) -> Table:
    """Which candidate the suspect is nearest to, by comparator."""
    rows = []
    for e in report.evidence:
        if not e.closeness:
            continue
        ranked = _ranked(e.closeness)
        d = n.decimals(v for _, v in ranked)
        names = [name for name, _ in ranked]
        scores = dict(ranked)
        place = f"{names.index('reference') + 1} of {len(names)}" if "reference" in scores else n.NONE
        others = [name for name in names if name != "reference"]
        rows.append((
            one_line(e.comparator), one_line(names[0]), place, n.signed(scores.get("reference"), d),
            one_line(others[0]) if others else n.NONE, n.signed(scores[others[0]], d) if others else n.NONE,
        ))  # fmt: skip
    head = columns("Comparator | Nearest | Place of the reference | Its value# | Nearest control | Its value#")
    return Table("Closeness by comparator", head, tuple(rows), "No comparator gave a ranking.")


def closeness_of(item: EvidenceRecord | Exhibit) -> Table:
    """The whole ranking behind one row of `closeness`, or of one exhibit."""
    ranked = _ranked(item.closeness)
    d = n.decimals(v for _, v in ranked)
    rows = tuple((one_line(name), n.signed(v, d), str(i)) for i, (name, v) in enumerate(ranked, 1))
    return Table("Closeness", columns("Candidate | Closeness# | Place#"), rows)


def histogram(e: EvidenceRecord) -> Table:
    """The background's counts."""
    bins = e.background.histogram if e.background else ()
    d = n.decimals(edge for low, high, _ in bins for edge in (low, high))
    rows = tuple((n.signed(low, d), n.signed(high, d), n.count(k)) for low, high, k in bins)
    return Table("Background", columns("From# | To# | Count#"), rows)


def ablations(report: Report) -> Table:
    """Each comparator with one thing taken away."""
    rows = []
    for e in report.evidence:
        d = n.decimals((e.value, *(v for _, v in e.ablations)))
        for change, value in e.ablations:
            rows.append((one_line(e.comparator), one_line(change), n.signed(value, d), n.signed(e.value, d)))
    head = columns("Comparator | Changed | Value then# | Value as reported#")
    return Table("Ablations", head, tuple(rows), "No ablation was made.")


def exact(report: Report) -> Table:
    """The exact lane: what was found."""
    rows = []
    for x in report.exact:
        note = words.STATUS[x.status] + (f" ({one_line(x.reason)})" if x.reason else "")
        rows.append((
            one_line(x.test), one_line(x.finding or x.against), n.count(x.n), n.probability(x.p), n.e_value(x.e), note,
        ))  # fmt: skip
    return Table("Exact tests", columns("Test | Finding | n# | p# | e# | Status"), tuple(rows), words.NO_EXACT)


def exact_words(report: Report) -> Table:
    """The exact lane: why each result holds, what would break it, what it could have found."""
    rows = [(one_line(x.test), *(one_line(t) or n.NONE for t in (x.assumes, x.breaks, x.power))) for x in report.exact]
    head = columns("Test | Holds because | Broken by | Would have detected")
    return Table("What the exact tests rest on", head, tuple(dict.fromkeys(rows)), words.NO_EXACT)


def confounders(report: Report) -> Table:
    """What else could explain the findings, and what was done about it."""
    rows = tuple((one_line(c.name), f"✓ {one_line(c.control)}" if c.control else words.NOT_CONTROLLED, one_line(c.why))
                 for c in report.confounders)  # fmt: skip
    return Table("Confounders", columns("Confounder | Control used | Why it matters"), rows, words.NO_CONFOUNDERS)


def relations(report: Report) -> Table:
    """Every two parties' closeness."""
    r = report.relations
    if r is None:
        return Table("Closeness of all parties", columns("Party"), (), words.NO_RELATIONS)
    d = n.decimals(v for i, row in enumerate(r.cosine) for j, v in enumerate(row) if i != j)
    rows = [(one_line(name), *(n.NONE if i == j else n.plain(v, d) for j, v in enumerate(r.cosine[i])))
            for i, name in enumerate(r.names)]  # fmt: skip
    head = (Column("Party"), *(Column(one_line(name), True) for name in r.names))
    return Table("Closeness of all parties", head, tuple(rows))


def heat(report: Report) -> tuple[tuple[int, ...], ...]:
    """How dark a cell of `relations` is: 0 (farthest) … 4 (nearest), by its place between the extremes; -1 none."""
    r = report.relations
    if r is None:
        return ()
    found = [v for i, row in enumerate(r.cosine) for j, v in enumerate(row) if i != j]
    low, high = min(found), max(found)
    step = (high - low) / 5 or 1.0
    return tuple(
        tuple(-1 if i == j else min(4, int((v - low) / step)) for j, v in enumerate(row))
        for i, row in enumerate(r.cosine)
    )


def ratios(report: Report) -> Table:
    """Each comparator's own llr, and the joint one, with bounds."""
    rows = [(one_line(e.comparator), n.llr(e.llr), n.interval(e.llr_interval), n.interval(e.llr_bounds))
            for e in report.evidence if e.llr is not None]  # fmt: skip
    v = report.verdict
    if v.llr is not None:
        rows.append((words.JOINT, n.llr(v.llr), n.interval(v.interval), n.interval(v.bounds)))
    head = columns("Comparator | llr# | 95 % interval# | Bounds#")
    return Table("Likelihood ratios", head, tuple(rows), words.NO_RATIOS)


def tokens(exhibit: Exhibit) -> Table:
    """The tokens of the reference's answer that the suspect has learnt most, beyond its base."""
    ranked = sorted(exhibit.tokens, key=lambda t: -t[1])[:TOKENS]
    rows = tuple((one_line(text) or "⟦space⟧", n.signed(gain)) for text, gain in ranked)
    return Table("Tokens", columns("Token | Gain, nats#"), rows)


def baselines(report: Report) -> Table:
    """What simple rules would have said."""
    rows = []
    for name, b in report.baselines.items():
        d = n.decimals((b.value, *(b.interval or ())))
        label = one_line(name).replace("_", "-")
        rows.append((label, n.signed(b.value, d), n.interval(b.interval, d), one_line(b.detail)))
    head = columns("Baseline | Value# | 95 % interval# | What it is")
    return Table("Baselines", head, tuple(rows), "No baseline was computed.")


def self_checks(report: Report) -> Table:
    """The audit tried on answers that are known."""
    outcome = {True: "✓ passed", False: "✗ failed", None: "○ not possible"}
    rows = tuple((one_line(c.name), outcome[c.passed], one_line(c.detail)) for c in report.self_checks)
    empty = "No self-check was made: nothing shows that this audit could have found what it looks for."
    return Table("Self-checks", columns("Check | Outcome | Detail"), rows, empty)


def parties(report: Report) -> Table:
    """Who answered, and how much of it could be used."""
    rows = []
    for p in report.parties:
        mean = n.NONE if p.mean_characters is None else f"{p.mean_characters:,.0f}"
        counts = (n.count(p.answers), n.count(p.unusable), n.count(p.missing))
        rows.append((one_line(p.name), p.role, one_line(p.spec), *counts, mean))
    head = columns("Party | Role | Specification | Answers# | Of these unusable# | Missing# | Mean characters#")
    return Table("Parties", head, tuple(rows), "No party is recorded.")


def capabilities(report: Report) -> Table:
    """What each endpoint was measured to offer."""
    rows = []
    for party, c in report.capabilities.items():
        top = "whole vocabulary" if c.top_k < 0 else n.count(c.top_k)
        offered = {"text": c.text, "prompt scoring": c.prompt_scoring, "logits": c.full_logits, "weights": c.weights,
                   "seed": c.seed}  # fmt: skip
        has = ", ".join(name for name, yes in offered.items() if yes) or n.NONE
        echo, seen = one_line(c.model_echo or "") or n.NONE, one_line(c.observed_at or "") or n.NONE
        notes = "; ".join(one_line(note) for note in c.notes) or n.NONE
        kind = f"{top} ({c.logprob_kind})" if c.top_k else "none"
        rows.append((one_line(party), "yes" if c.recorded else "no", has, kind, echo, seen, notes))
    head = columns("Party | Recorded answers only | Offers | Log-probs listed | Calls itself | Observed at | Notes")
    return Table("Measured capabilities", head, tuple(rows), "No capability was measured.")


def manifest(report: Report) -> Table:
    """Versions, hashes, seeds and conditions, flattened."""
    pairs = list(flat(report.manifest, ""))
    rows = tuple((one_line(key), one_line(value)) for key, value in pairs[:MANIFEST_ROWS])
    if len(pairs) > MANIFEST_ROWS:
        rows += (("…", f"{len(pairs) - MANIFEST_ROWS} more in report.json"),)
    return Table("Manifest", columns("Key | Value"), rows, "The record has no manifest.")


def flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Nested values as (path, text)."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)) and any(isinstance(v, (Mapping, list, tuple)) for v in value):
        for i, inner in enumerate(value):
            yield from flat(inner, f"{path}[{i}]")
    elif isinstance(value, (list, tuple)):
        yield path, ", ".join(map(_plain, value)) or n.NONE
    else:
        yield path, _plain(value)


def _plain(value: Any) -> str:
    if value is None or value == {}:
        return n.NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
