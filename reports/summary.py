"""The first screen, and the exhibits, as finished strings: what all views say first and in the same words."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.record import Exhibit, Report

from . import numbers as n
from . import tables, words
from .text import one_line

DIRECTIONS = (
    (
        "for",
        "Exhibits for Hp",
        "The items that speak most for Hp, by one rule. Every case has some, whatever the truth is.",
    ),
    ("against", "Exhibits against Hp", "The items that speak most against Hp, by the same rule."),
    ("context", "Context", "Shown for orientation; they carry no weight."),
)


@dataclass(frozen=True, slots=True)
class Summary:
    """See the module. ``lines``: the likelihood ratio in words, empty when it is withheld."""

    question: str
    hp: str
    hd: str
    decision: str
    side: str
    mark: str
    meaning: str
    wording: str
    lines: tuple[str, ...]
    reasons: tuple[str, ...]
    rests: tuple[str, ...]
    limitations: tuple[str, ...]
    alternatives: tuple[str, ...]
    power: str
    speaks_for: tuple[str, ...]
    speaks_against: tuple[str, ...]
    changes: tuple[str, ...]

    strength: str

    @property
    def headline(self) -> str:
        """The decision and, where there is one, how strong it is: never the one without the other."""
        return f"{self.decision}: {self.strength}" if self.strength else self.decision

    @property
    def instead(self) -> str:
        """What a missing likelihood ratio means here: an open question, or an answer on other grounds."""
        return words.NOT_ONE if self.side == "none" else words.OTHER_GROUNDS

    @property
    def withheld(self) -> bool:
        """Whether there is no likelihood ratio."""
        return not self.lines


def summarise(report: Report) -> Summary:
    """The first screen of a cleaned record."""
    v = report.verdict
    decision, meaning = words.DECISIONS[v.decision]
    side = words.SIDES[v.decision]
    strength = n.verbal(v.llr) if v.llr is not None and side in ("hp", "hd") else ""
    return Summary(
        question=one_line(report.case.question),
        hp=one_line(report.case.Hp),
        hd=one_line(report.case.Hd),
        decision=decision,
        side=side,
        mark=words.MARKS[side],
        meaning=meaning,
        wording=one_line(v.wording),
        lines=_ratio_lines(report),
        reasons=tuple(map(one_line, v.reasons)),
        rests=_rests_on(report),
        limitations=tuple(map(one_line, report.limitations)),
        alternatives=tuple(map(one_line, v.alternatives)),
        power=one_line(v.power or "") or words.NO_POWER,
        speaks_for=_speaking(report, "hp"),
        speaks_against=_speaking(report, "hd"),
        changes=_changes(report),
        strength=strength,
    )


def _speaking(report: Report, side: str) -> tuple[str, ...]:
    """Comparators on one side, strongest first. Without a ratio the background decides, and inside it is not for."""
    found = []
    for e in report.evidence:
        sign = tables.mark(e)
        if sign == tables.ABSTAINED:
            continue
        towards = "hp" if sign == tables.ABOVE else "hd"
        if e.llr is not None:
            towards = "none" if abs(e.llr) < n.NEITHER else "hp" if e.llr > 0 else "hd"
        if side == towards or (side == "hd" and towards == "none"):
            ratio = f", llr {n.llr(e.llr)}" if e.llr is not None else ""
            found.append((-abs(e.llr or 0.0), f"{one_line(e.comparator)}: {tables.READING[sign]}{ratio}"))
    return tuple(line for _, line in sorted(found, key=lambda pair: pair[0]))


def _changes(report: Report) -> tuple[str, ...]:
    """What would move the answer, from the record alone."""
    v, out = report.verdict, []
    if any(c.passed is False for c in report.self_checks):
        out.append(words.CHANGE_CHECKS)
    if v.llr is None and v.decision == "cannot-tell":
        out.append(words.CHANGE_POPULATION)
    elif v.llr is not None and v.interval and v.bounds:
        low, high = v.interval
        if high - low < n.NEITHER:
            out.append(words.CHANGE_NOT_BY_PROMPTS)
        else:
            out.append(f"Other prompts of the same kind: they could bring the llr to {n.llr(low)} or to {n.llr(high)}.")
        if min(abs(v.llr - v.bounds[0]), abs(v.llr - v.bounds[1])) < 1e-9:
            out.append(words.CHANGE_BOUNDS)
        if v.decision == "cannot-tell":
            out.append(words.CHANGE_DECISION)
    gaps = [one_line(c.name).lower() for c in report.confounders if c.control is None]
    if gaps:
        out.append(f"A finding about what was not controlled: {', '.join(gaps)}.")
    if not any(x.status == "ok" and x.test not in ("weights",) for x in report.exact):
        out.append(words.CHANGE_EXACT)
    return tuple(out)


def _ratio_lines(report: Report) -> tuple[str, ...]:
    v = report.verdict
    if v.llr is None:
        return ()
    lines = [f"{n.in_words(v.llr)}: {n.verbal(v.llr)}"]
    if v.interval:
        low, high = v.interval
        lines.append(f"95 % interval {n.interval(v.interval)} (LR {n.ratio(low)} to {n.ratio(high)})")
    if v.bounds:
        low, high = v.bounds
        lines.append(f"Bounds {n.interval(v.bounds)} (LR {n.ratio(low)} to {n.ratio(high)}): all that can be claimed")
        if min(abs(v.llr - low), abs(v.llr - high)) < 1e-9:
            lines.append(words.AT_BOUND)
    return tuple(lines)


def _rests_on(report: Report) -> tuple[str, ...]:
    marks = [tables.mark(e) for e in report.evidence]
    gave = len(marks) - marks.count(tables.ABSTAINED)
    lines = [f"{gave} of {len(marks)} comparators gave a number; {marks.count(tables.ABSTAINED)} abstained."]
    if gave:
        places = [(tables.ABOVE, "above"), (tables.INSIDE, "inside"), (tables.BELOW, "below")]
        counted = ", ".join(f"{marks.count(sign)} {word}" for sign, word in places)
        lines.append(f"Against what controls show in the reference's place: {counted}.")
    done = [x for x in report.exact if x.status == "ok"]
    if done:
        results = "; ".join(one_line(x.finding or x.test) + (f" (p = {n.probability(x.p)})" if x.p is not None else "")
                            for x in done[:4])  # fmt: skip
        lines.append(f"{len(done)} exact {'test' if len(done) == 1 else 'tests'}: {results}.")
    else:
        lines.append("No exact test gave a result.")
    lines += _stopping(report)
    population = one_line(report.verdict.population or "")
    lines.append(f"Calibrated on the population {population}." if population else "No population was used.")
    for p in report.parties:
        if p.role in ("suspect", "reference"):
            lines.append(f"Answers of the {p.role}: {n.count(p.answers)}, of these {n.count(p.unusable)} unusable.")
    return tuple(lines)


def _stopping(report: Report) -> list[str]:
    """By which rule it was asked, where that ended, and what every look showed."""
    s = report.stopping
    if s is None:
        return []
    earlier = f"; it had stopped before at look {', '.join(map(str, s.earlier))}" if s.earlier else ""
    looks = "; ".join(
        f"{i} {one_line(v.name)} ({n.count(v.requests)} requests): "
        + ("no llr" if v.llr is None else f"llr {n.llr(v.llr)}")
        for i, v in enumerate(s.looks, 1)
    )
    where = f"Stopped at look {s.look} of {s.looks_planned}, after {n.count(s.requests)} of "
    where += f"{n.count(s.requests_planned)} requests"
    return [
        f"{where}, by the rule {one_line(s.rule)}, fixed beforehand: {one_line(s.why)}{earlier}.",
        f"Looks: {looks}.",
    ]


@dataclass(frozen=True, slots=True)
class Group:
    """The exhibits of one direction."""

    title: str
    explanation: str
    exhibits: tuple[Exhibit, ...]


def groups(report: Report) -> tuple[Group, ...]:
    """Exhibits by direction: both sides always, context only where there is some."""
    out = []
    for direction, title, explanation in DIRECTIONS:
        found = tuple(x for x in report.exhibits if _direction(x) == direction)
        if found or direction != "context":
            out.append(Group(title, explanation, found))
    return tuple(out)


def _direction(exhibit: Exhibit) -> str:
    """A direction this version does not know is shown as context, not dropped."""
    return exhibit.direction if exhibit.direction in ("for", "against") else "context"


def nearest_control(exhibit: Exhibit) -> str | None:
    """The control whose answer stands nearest to the suspect's."""
    names = [party for party, _ in exhibit.answers if party not in ("suspect", "reference", "base")]
    scores = dict(exhibit.closeness)
    return max(names, key=lambda name: scores.get(name, float("-inf")), default=None)
