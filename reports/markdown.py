"""Markdown with the same words and numbers, for step summaries and tickets; cut to a size if one is given."""

from __future__ import annotations

import re
from dataclasses import dataclass

from forensics.record import Exhibit, Report

from . import numbers as n
from . import summary, tables, validated, words
from . import text as texts

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~&!$])")


@dataclass(frozen=True, slots=True)
class Block:
    """One part of the document; ``weight``: the smaller, the sooner it is left out where space is short."""

    title: str
    text: str
    weight: int


def render(report: Report, *, width: int | None = None, max_bytes: int | None = None) -> str:
    """The report as Markdown. ``max_bytes``: leave out whole sections, least important first, and say which."""
    record = texts.clean(report)
    return _fit([*_first(record), *_sections(record), *_exhibits(record), *_last(record)], max_bytes)


def escape(text: str) -> str:
    """Text of others as one line that no Markdown renderer takes for markup, a link or a mention."""
    line = _SPECIAL.sub(r"\\\1", texts.one_line(text))
    line = re.sub(r"(?i)(?<=\w)://", r"\\://", line)
    line = re.sub(r"(?i)\bwww\.", "www\\.", line)
    line = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", line)  # a list item
    line = re.sub(r"^([-+=])(?=[-=\s]|$)", r"\\\1", line)
    return line.replace("@", "&#64;")


def fenced(text: str) -> str:
    """A block of text in a fence longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def table(t: tables.Table) -> str:
    """A pipe table; numbers, which only `numbers` makes, as they are."""
    if not t.rows:
        return f"_{escape(t.empty)}_"
    head = "| " + " | ".join(escape(c.label) for c in t.columns) + " |"
    rule = "|" + "|".join(" ---: " if c.numeric else " --- " for c in t.columns) + "|"
    body = ["| " + " | ".join(_cell(c, v) for c, v in zip(t.columns, row, strict=True)) + " |" for row in t.rows]
    return "\n".join([head, rule, *body])


def _cell(column: tables.Column, value: str) -> str:
    # A value may carry a unit, and a unit comes with the comparator: only what looks like a number is left alone.
    return value if column.numeric and re.fullmatch(r"[-+\d.,%eE \[\]–…<>]*", value) else escape(value)


def _bullets(lines: tuple[str, ...], empty: str) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines) or f"_{escape(empty)}_"


def _first(report: Report) -> list[Block]:
    s = summary.summarise(report)
    ratio = [f"**{escape(words.WITHHELD)}** {escape(s.instead)}"] if s.withheld else [f"- {line}" for line in s.lines]
    parts = [
        f"# {escape(s.question)}", f"- **Hp**: {escape(s.hp)}\n- **Hd**: {escape(s.hd)}",
        f"## {s.mark} {escape(s.headline)}", escape(s.meaning), f"**{escape(s.wording)}**", "\n".join(ratio),
    ]  # fmt: skip
    if s.reasons:
        parts += ["Reasons:", _bullets(s.reasons, "")]
    parts += ["### What it rests on", _bullets(s.rests, "Nothing is recorded.")]
    parts += ["### Speaks for Hp", _bullets(s.speaks_for, "Nothing that was measured.")]
    parts += ["### Speaks against Hp, or for neither", _bullets(s.speaks_against, "Nothing that was measured.")]
    parts += ["### What would change it", _bullets(s.changes, "The record does not say.")]
    parts += ["### What it does not say", _bullets(s.limitations, "No limitation is recorded.")]
    if s.alternatives:
        parts += ["Other explanations that remain:", _bullets(s.alternatives, "")]
    parts += ["### Self-checks", table(tables.self_checks(report)), "### Power", escape(s.power)]
    return [Block("Answer", "\n\n".join(parts), 100)]


def _sections(report: Report) -> list[Block]:
    evidence = tables.evidence(report)
    closeness = f"{escape(words.NEAREST)}\n\n{table(tables.closeness(report))}"
    exact = "A lane of its own, never mixed into the llr above.\n\n" + table(tables.exact(report))
    if report.exact:
        exact += "\n\n" + table(tables.exact_words(report))
    baselines = f"{escape(words.BASELINES)}\n\n{table(tables.baselines(report))}"
    return [
        Block("Evidence", f"## Evidence\n\n{table(evidence)}", 90),
        Block("Likelihood ratios", f"## Likelihood ratios\n\n{table(tables.ratios(report))}", 85),
        Block("Exact tests", f"## Exact tests\n\n{exact}", 80),
        Block("Baselines", f"## Baselines\n\n{baselines}", 70),
        Block("Closeness", f"## Closeness\n\n{closeness}", 60),
        Block("Relations", _relations(report), 55),
        Block("Confounders", f"## Confounders\n\n{table(tables.confounders(report))}", 75),
        Block("Validation", _validation(report), 65),
        Block("Ablations", f"## Ablations\n\n{table(tables.ablations(report))}", 50),
    ]


def _relations(report: Report) -> str:
    note = f"\n\n{escape(words.RELATIONS)}" if report.relations else ""
    return f"## Where the parties lie{note}\n\n{table(tables.relations(report))}"


def _validation(report: Report) -> str:
    v = report.validation
    if v is None:
        return f"## Validation of the population\n\n_{escape(words.NOT_VALIDATED)}_"
    found = [f"### {t.title}\n\n{table(t)}" for t in validated.all_tables(v)]
    return "\n\n".join(["## Validation of the population", escape(words.HELD_OUT), escape(v.card), *found])


def _exhibits(report: Report) -> list[Block]:
    # For and against leave together, so that a short report does not lean to one side.
    found = summary.groups(report)
    text = ["## Exhibits"]
    for group in found:
        text += [f"### {group.title}", group.explanation]
        text += [_exhibit(x) for x in group.exhibits] or [f"_{words.NO_EXHIBITS}_"]
    return [Block("Exhibits", "\n\n".join(text), 10)]


def _exhibit(x: Exhibit) -> str:
    near = summary.nearest_control(x)
    parts = [f"#### {escape(x.item)} ({escape(x.family)})", "Prompt:", fenced(x.prompt)]
    for party, text in x.answers:
        if party in ("suspect", "reference", near):
            label = f"{party} (nearest control)" if party == near and x.closeness else party
            parts += [f"{escape(label)}:", fenced(text) if text else "_(empty answer)_"]
    if x.closeness:
        parts.append(table(tables.closeness_of(x)))
    return "\n\n".join([*parts, f"Request {escape(x.request_digest) or 'not recorded'}"])


def _last(report: Report) -> list[Block]:
    glossary = "\n".join(f"- **{escape(term)}**: {escape(meaning)}" for term, meaning in words.GLOSSARY)
    parties = f"{table(tables.parties(report))}\n\n{table(tables.capabilities(report))}"
    return [
        Block("Parties", f"## Parties and conditions\n\n{parties}", 40),
        Block("Manifest", f"## Manifest\n\n{escape(words.HASHES)}\n\n{table(tables.manifest(report))}", 30),
        Block("Glossary", f"## Glossary\n\n{glossary}", 20),
    ]


def _fit(blocks: list[Block], max_bytes: int | None) -> str:
    kept = list(blocks)
    while True:
        gone = [b.title for b in blocks if b not in kept]
        note = f"_Left out to stay within {n.count(max_bytes or 0)} bytes: {', '.join(gone)}. report.json has all._"
        text = "\n\n".join([*(b.text for b in kept), *([note] if gone else [])]) + "\n"
        size = len(text.encode())
        if max_bytes is None or size <= max_bytes:
            return text
        if len(kept) == 1:
            return _hard(text, max_bytes)
        kept.remove(min(kept, key=lambda b: b.weight))


def _hard(text: str, max_bytes: int) -> str:
    """The first screen alone is too long: cut it at a line, because half an escape or half a number misleads."""
    end = "\n\n_Cut here; report.json has all._\n"
    room = max(0, max_bytes - len(end.encode()))
    head = text.encode()[:room].decode(errors="ignore")
    return (head[: head.rfind("\n")] if "\n" in head else "") + end if max_bytes > len(end) else ""
