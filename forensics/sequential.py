"""An audit with a stopping rule: fixes the looks, judges after each, and notes in the case where it stopped."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .audit import conditions_of, weigh
from .collect import guessed_plan
from .comparators import COMPARATORS
from .config import AuditConfig
from .errors import BudgetExceeded, UsageError
from .looks import REST, Look, Looks, fix_looks, looks_of, plan_looks, stop_at, stops_of, upto
from .plan import Plan, gather
from .probes import load_suite
from .store import Store
from .types import Listener, silent
from .until import Rule, parse_rule
from .verdict.calibrate import Population, shipped_populations
from .verdict.combine import pick_population
from .verdict.conditions import IN_ANSWERS

NOTHING_LEFT = "no clause is met, and nothing that is left to ask can change the llr"


class Until:
    """A `forensics.collect.StoppingRule`. ``done``: how many looks are complete."""

    def __init__(self, config: AuditConfig, store: Store, progress: Listener = silent) -> None:
        assert config.until is not None
        self.rule, self.config, self.store, self.progress = parse_rule(config.until), config, store, progress
        self.looks: Sequence[Look] = ()
        self.done = 0
        expect(config)

    def begin(self, plan: Plan) -> Sequence[Look]:
        """The looks, fixed in the case. Errors: `UsageError` for a rule that no look can meet, or that comes late."""
        if looks_of(self.store) is None and any(True for _ in self.store.entries("answer")):
            raise UsageError(
                f"{self.store.path or 'the case'} holds answers that its rule did not ask for: continue without --until"
            )
        population = population_for(plan, self.config.population)
        looks = plan_looks(plan, population)
        check_reachable(self.rule, population, looks)
        self.looks = fix_looks(self.store, Looks(str(self.rule), population.name, looks)).looks
        return self.looks

    def enough(self, plan: Plan, number: int) -> bool:
        """Whether the rule is met by what was asked so far. A case that went on from a look does not return to it."""
        self.done, look = number, self.looks[number - 1]
        before = max((s.look for s in stops_of(self.store)), default=0)
        if before > number or (look.whole and before == number):
            return look.whole
        if look.whole:
            stop_at(self.store, number, "the whole plan was asked")
            return True
        names = self.config.comparators or COMPARATORS.names()
        chosen = [COMPARATORS.load(name)() for name in names]
        part = upto(plan, gather(plan, self.store), look.lots, again=False)
        clause = self.rule.met(weigh(plan, self.store, part, chosen, self.config.population, look).verdict)
        if not clause and look.columns == self.looks[-1].columns:
            clause = NOTHING_LEFT
        if clause:
            stop_at(self.store, number, clause)
        return bool(clause)

    def out_of_budget(self, error: BudgetExceeded) -> bool:
        """Whether a used-up budget ends the audit here: the rule says so, and one look at least is complete."""
        if self.rule.budget and self.done:
            stop_at(self.store, self.done, f"budget: {str(error).partition(';')[0]}")
            return True
        return False


def expect(config: AuditConfig) -> Looks:
    """The looks as they would be if every model offered what models of its provider mostly do; asks nothing.

    Errors: `UsageError` for a rule that can't be met, whatever they offer.
    """
    assert config.until is not None
    plan = guessed_plan(config, load_suite(config.suite))
    population, rule = population_for(plan, config.population), parse_rule(config.until)
    looks = plan_looks(plan, population)
    check_reachable(rule, population, [*looks, Look((REST,), population.columns)])
    return Looks(str(rule), population.name, looks)


def population_for(plan: Plan, wanted: str) -> Population:
    """The population that a rule about the llr is read from. Errors: `UsageError` where none speaks about the plan."""
    found, why = pick_population(shipped_populations(), wanted, conditions_of(plan), IN_ANSWERS)
    if found is None:
        raise UsageError(f"--until needs a population that gives an llr, and there is none: {why[-1]}")
    return found


def check_reachable(rule: Rule, population: Population, looks: Sequence[Look]) -> None:
    """Errors: `UsageError` for a threshold beyond what the population supports at any look."""
    measured = [population.through(look.columns) for look in reversed(looks) if look.columns]
    usable = [c for c in measured if c.usable]
    if not usable:
        raise UsageError(
            f"--until: the population {population.name} gives no llr here: its scores can't be measured on these models"
        )
    for threshold, side in ((rule.above, 1), (rule.below, 0)):
        if threshold is None:
            continue
        if any(threshold <= c.bounds[1] if side else threshold >= c.bounds[0] for c in usable):
            continue
        low, high = usable[0].bounds
        most = math.floor(100 * high) / 100 if side else math.ceil(100 * low) / 100
        sign = ">=" if side else "<="
        raise UsageError(
            f"--until: llr{sign}{threshold:g} can't be reached: the population {population.name} "
            f"({usable[0].sizes[0]} lineages under Hp, {usable[0].sizes[1]} under Hd) supports {low:+.2f} to "
            f"{high:+.2f}; ask for llr{sign}{most:g} at most"
        )
