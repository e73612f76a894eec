"""The parts of a plan in the order of expected evidence per token, and what a case holds up to one of them.

A *lot* is what some comparators need and others do not: the next-token queries; the texts; the answers of reference
and controls scored by the suspect and its base. A *look* judges the case when one more lot is in. When all that the
population reads is in, the llr is that of the whole plan, and the rest waits for an audit without a rule.

Why looking early does not inflate errors: the looks are fixed beforehand and nested, and the llr of each is calibrated
by the population through just the columns that it has (the population's models were asked the same lots). The
likelihood ratio of growing information is a martingale under Hd, so by Ville's inequality P(LR ever >= x | Hd) <= 1/x,
and likewise for 1/LR under Hp. Calibrated ratios are estimates of it: docs/endpoints.md has what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .comparators import COMPARATORS
from .plan import REDRAW, Plan, family, is_text
from .prices import tokens_of
from .probes import FIRST_TOKEN, PROBES
from .serial import dump
from .store import Store
from .types import WIRE, Column, Request, Sample
from .verdict.calibrate import Population

NEXT, TEXTS, SCORINGS, REST = "next tokens", "texts", "scorings", "the rest"
# Columns that need given answers scored by the suspect and by what stands in for its base, and by nobody else.
SCORED = frozenset({"cross-likelihood", "runner-up", "memorisation"})
LAST = frozenset({"divergence-tokens"})  # needs every scorer
LOOKS, STOP = "looks", "stop"  # kinds of entries in the case
CONTINUED = "continued to the whole plan without the rule"


@dataclass(frozen=True, slots=True)
class Look:
    """``lots``: all that is asked up to here. ``columns``: what of the population can then be measured. ``expected``:
    the population's mean llr through these columns under Hp and under Hd. ``tokens``: at most, of all parties."""

    __pydantic_config__ = WIRE

    lots: tuple[str, ...]
    columns: tuple[str, ...] = ()
    expected: tuple[float, float] = (0.0, 0.0)
    requests: int = 0
    tokens: int = 0

    @property
    def name(self) -> str:
        """What this look adds."""
        return self.lots[-1]

    @property
    def whole(self) -> bool:
        """Whether the whole plan is asked."""
        return REST in self.lots


@dataclass(frozen=True, slots=True)
class Looks:
    """What was fixed before the first request: the rule, the population that it is read from, and the looks."""

    __pydantic_config__ = WIRE

    rule: str
    population: str
    looks: tuple[Look, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a case stopped: the number of the look, from 1, and why."""

    __pydantic_config__ = WIRE

    look: int
    why: str


WHOLE = Look((REST,))


def plan_looks(plan: Plan, population: Population) -> tuple[Look, ...]:
    """The looks of a plan, greedily: the lot that raises the expected separation most per token comes next.

    Separation = mean llr of the population's pairs under Hp less that under Hd (in the sample that the calibration was
    fitted to: it decides the order and nothing else). A lot that no column of the population reads waits for the end.
    """
    columns = {lot: tuple(c for c in population.columns if lot_of(c) == lot) for lot in _lots(plan)}
    left = [lot for lot, mine in columns.items() if mine]
    out: list[Look] = []
    lots: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()

    def look(lot: str) -> Look:
        wider = tuple(c for c in population.columns if c in measured or c in columns.get(lot, ()))
        found = (*lots, lot)
        return Look(found, wider, separation(population, wider), *cost(plan, found))

    before, spent = 0.0, 0
    while left:
        tried = [look(lot) for lot in left]
        best = max(tried, key=lambda v: (v.expected[0] - v.expected[1] - before) / max(v.tokens - spent, 1))
        out.append(best)
        lots, measured = best.lots, best.columns
        before, spent = best.expected[0] - best.expected[1], best.tokens
        left.remove(best.name)
    return (*out, look(REST))


def lot_of(column: str) -> str:
    """The lot after which a comparator can be measured; the last for those that this page does not know."""
    if column not in COMPARATORS.names() or column in LAST:
        return REST
    if column in SCORED:
        return SCORINGS
    families = COMPARATORS.load(column)().families
    if families == {FIRST_TOKEN}:
        return NEXT
    return REST if FIRST_TOKEN in families else TEXTS


def _lots(plan: Plan) -> list[str]:
    """The lots that a plan has."""
    held = [NEXT] if any(r.probe == FIRST_TOKEN for r in plan.requests) else []
    held += [TEXTS] if any(_passive(r) for r in plan.requests) else []
    scored = "suspect" in plan.scorers() and any(is_text(r) for r in plan.requests)
    return [*held, *([SCORINGS] if scored else [])]


def separation(population: Population, columns: tuple[str, ...]) -> tuple[float, float]:
    """Mean llr under Hp and under Hd of the population's own pairs, lineages weighing alike, within its size."""
    import numpy as np

    from .verdict.bounds import size_bounds

    calibration = population.through(columns)
    if not columns or not calibration.usable:
        return 0.0, 0.0
    table = calibration.table
    llr = np.clip(calibration.fusion.llr(table.x), *size_bounds(min(calibration.sizes)))
    means = [float(np.average(llr[table.label == k], weights=table.weight[table.label == k])) for k in (1, 0)]
    return means[0], means[1]


def belongs(party: str, request: Request, lots: Sequence[str]) -> bool:
    """Whether a party is asked a first request up to a look."""
    if REST in lots:
        return True
    if request.probe == FIRST_TOKEN:
        return NEXT in lots
    if TEXTS in lots and _passive(request):
        return True
    author = party not in ("suspect", "base") and request.sample < REDRAW
    return SCORINGS in lots and author and is_text(request)


def _passive(request: Request) -> bool:
    return request.probe in PROBES.names() and family(request.probe).lane == "passive"


def scores(plan: Plan, scorer: str, lots: Sequence[str]) -> bool:
    """Whether a party scores given answers up to a look."""
    if REST in lots:
        return True
    able = plan.scorers()
    standing = scorer == "base" if "base" in able else scorer != "reference"
    return SCORINGS in lots and (scorer == "suspect" or standing)


def answers_wanted(plan: Plan, look: Look = WHOLE) -> dict[str, list[Request]]:
    """Party -> first requests, of a look's part of the plan."""
    wanted = {p.name: plan.base_requests() if p.name == "base" else list(plan.requests) for p in plan.parties}
    wanted["reference"] += plan.redraws()
    return {name: [r for r in requests if belongs(name, r, look.lots)] for name, requests in wanted.items()}


def again_wanted(plan: Plan, look: Look = WHOLE) -> dict[str, list[Request]]:
    """Live party -> what it is asked a second time, after everything else."""
    wanted = {
        p.name: [r for r in plan.again(p) if r is not None and belongs(p.name, r, look.lots)] for p in plan.parties
    }
    return {name: requests for name, requests in wanted.items() if requests}


def scorings_wanted(plan: Plan, store: Store, look: Look = WHOLE) -> dict[str, list[Request]]:
    """Scorer -> requests that score the answers of reference and controls."""
    return {
        s: [r for rs in authors.values() for r in rs if r is not None]
        for s, authors in plan.scorings(store).items()
        if scores(plan, s, look.lots)
    }


def cost(plan: Plan, lots: Sequence[str]) -> tuple[int, int]:
    """Requests and, at most, tokens (sent and generated) of all parties up to a look, as `collect.estimate` counts."""
    look = Look(tuple(lots))
    first = [r for wanted in (answers_wanted, again_wanted) for rs in wanted(plan, look).values() for r in rs]
    texts = [r for r in plan.requests if is_text(r)]
    times = sum(len(authors) for scorer, authors in plan.scorers().items() if scores(plan, scorer, lots))
    tokens = sum(tokens_of(r)[0] + r.sampling.max_tokens for r in first)
    tokens += times * sum(tokens_of(r)[0] + r.sampling.max_tokens for r in texts)
    return len(first) + times * len(texts), tokens


def upto(plan: Plan, sample: Sample, lots: Sequence[str], *, again: bool = True) -> Sample:
    """The sample as it was at a look, whatever else the case holds by now. ``again``: with what a live endpoint was
    asked once more when it had stopped; the rule is applied without, because it was."""
    if REST in lots:
        return sample if again else replace(sample, again={})

    def cut(column: Column, party: str) -> Column:
        return tuple(
            c if belongs(party, unit.request, lots) else None for c, unit in zip(column, sample.units, strict=True)
        )

    asked = replace(
        sample,
        suspect=cut(sample.suspect, "suspect"),
        reference=cut(sample.reference, "reference"),
        controls={name: cut(column, name) for name, column in sample.controls.items()},
        base=None if sample.base is None else cut(sample.base, "base"),
        redraw=sample.redraw if TEXTS in lots else None,
        likelihoods={k: column for k, column in sample.likelihoods.items() if scores(plan, k[0], lots)},
        again={name: cut(column, name) for name, column in sample.again.items()} if again else {},
    )
    return asked.rows(lambda unit: belongs("reference", unit.request, lots))


def held(sample: Sample) -> int:
    """How many requests of a sample are answered."""
    columns = [sample.suspect, *sample.candidates.values(), sample.base or (), sample.redraw or ()]
    columns += [*sample.likelihoods.values(), *sample.again.values()]
    return sum(c is not None for column in columns for c in column)


def expected(plan: Plan, lots: Sequence[str]) -> Mapping[str, int]:
    """How many of the plan's first requests each party is asked up to a look; nothing is missing of the base."""
    return {
        p.name: 0 if p.name == "base" else sum(belongs(p.name, r, lots) for r in plan.requests) for p in plan.parties
    }


def fix_looks(store: Store, looks: Looks) -> Looks:
    """Store the looks before the first request; a case that is continued keeps its own."""
    found = looks_of(store)
    if found is None:
        store.note(LOOKS, "", dump(looks))
        return looks
    return found


def looks_of(store: Store) -> Looks | None:
    """The looks of a case, None where it has no rule."""
    entry = next(store.entries(LOOKS), None)
    return None if entry is None or store.redacted(entry.raw) else store.read(Looks, entry.raw)


def stop_at(store: Store, look: int, why: str) -> None:
    """Note where a case stopped; saying the same again adds nothing."""
    if stops_of(store)[-1:] != [Stop(look, why)]:
        store.note(STOP, "", dump(Stop(look, why)))


def continued(store: Store) -> None:
    """Note that a case which had stopped holds the whole plan by now, asked without the rule."""
    looks, stops = looks_of(store), stops_of(store)
    if looks is not None and stops and stops[-1].look < len(looks.looks):
        stop_at(store, len(looks.looks), CONTINUED)


def stops_of(store: Store) -> list[Stop]:
    """Where a case stopped, first to last."""
    return [store.read(Stop, e.raw) for e in store.entries(STOP) if not store.redacted(e.raw)]
