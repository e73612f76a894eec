"""The looks: nested parts of the plan, in the order of expected evidence per token."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from worlds import LOTS, population

from forensics import AuditConfig, Store, collect
from forensics.collect import estimate, guessed_plan
from forensics.comparators import COMPARATORS
from forensics.comparators.base import quick
from forensics.looks import (
    NEXT,
    REST,
    SCORINGS,
    TEXTS,
    Look,
    answers_wanted,
    expected,
    held,
    lot_of,
    plan_looks,
    scorings_wanted,
    upto,
)
from forensics.plan import Plan, gather, stored_plan
from forensics.probes import FIRST_TOKEN, load_suite
from forensics.scoring import score_all
from forensics.types import Capabilities


@pytest.fixture
def plan(config: AuditConfig) -> Plan:
    return guessed_plan(config, load_suite(config.suite))


def names(looks: tuple[Look, ...]) -> list[str]:
    return [look.name for look in looks]


def test_what_is_cheap_and_tells_much_comes_first(plan: Plan) -> None:
    alike = dict.fromkeys(LOTS, 2.0)
    assert names(plan_looks(plan, population(alike, 1.0)))[0] == NEXT
    texts = plan_looks(plan, population(alike | {"next-token-divergence": 0.0, "cross-likelihood": 0.0}, 1.0))
    assert names(texts)[0] == TEXTS, "tokens that tell nothing wait, however few they are"


def test_looks_are_nested_and_end_in_the_whole_plan(plan: Plan, config: AuditConfig) -> None:
    looks = plan_looks(plan, population(dict.fromkeys(LOTS, 2.0), 1.0))
    assert set(names(looks)) == {NEXT, TEXTS, SCORINGS, REST}
    for before, after in pairwise(looks):
        assert set(before.lots) < set(after.lots)
        assert before.requests < after.requests
        assert before.tokens < after.tokens
    for party, requests in answers_wanted(plan, looks[0]).items():
        assert set(requests) <= set(answers_wanted(plan, looks[1])[party])
    promised = sum(p["requests"] + p["scorings"] for p in estimate(config)["parties"].values())
    assert looks[-1].requests == promised
    tokens = sum(p["input_tokens"] + p["max_output_tokens"] for p in estimate(config)["parties"].values())
    assert looks[-1].tokens == tokens


def test_lots_that_no_column_reads_wait_for_the_end(plan: Plan) -> None:
    looks = plan_looks(plan, population({"answer-overlap": 2.0}, 1.0))
    assert names(looks) == [TEXTS, REST]
    assert looks[0].columns == looks[1].columns == ("answer-overlap",)


def test_who_can_score_nothing_is_asked_no_scorings(config: AuditConfig) -> None:
    blind = guessed_plan(config, load_suite(config.suite), lambda _: Capabilities(top_k=20))
    looks = plan_looks(blind, population(dict.fromkeys(LOTS, 2.0), 1.0))
    assert SCORINGS not in names(looks)
    assert "cross-likelihood" not in looks[-1].columns, "it will never be measured"


@pytest.mark.parametrize(
    ("column", "lot"),
    [("next-token-divergence", NEXT), ("residual-correlation", NEXT), ("style-delta", TEXTS), ("runner-up", SCORINGS),
     ("divergence-tokens", REST), ("nobody-knows-it", REST)],
)  # fmt: skip
def test_the_lot_of_a_comparator(column: str, lot: str) -> None:
    assert lot_of(column) == lot


@pytest.mark.parametrize("lots", [(NEXT,), (SCORINGS,), (NEXT, TEXTS)])
def test_a_look_is_the_same_whether_the_case_stopped_there_or_went_on(
    config: AuditConfig, case: Path, lots: tuple[str, ...]
) -> None:
    class Only:
        def begin(self, plan: Plan) -> list[Look]:
            return [Look(lots), Look((*lots, REST))]

        def enough(self, plan: Plan, number: int) -> bool:
            return True

    short = Store(None)
    collect(config, store=short, stopping=Only())
    with Store(case, must_exist=True) as whole:
        plan = stored_plan(whole)
        cut = upto(plan, gather(plan, whole), lots)
    assert upto(plan, gather(plan, short), lots) == cut
    assert held(cut) == sum(1 for _ in short.entries("answer"))


def test_a_comparator_has_all_that_it_reads_when_its_lot_is_in(case: Path) -> None:
    with Store(case, must_exist=True) as whole:
        plan = stored_plan(whole)
        sample = gather(plan, whole)
    for name in ("next-token-divergence", "residual-correlation", "runner-up", "cross-likelihood", "answer-overlap"):
        lot = lot_of(name)
        for lots in {(lot,), (NEXT, lot)} if lot != NEXT else {(NEXT,)}:
            chosen = [quick(COMPARATORS.load(name)(), 19)]
            (full,), (part,) = score_all(sample, chosen, 0), score_all(upto(plan, sample, lots), chosen, 0)
            assert full.status == "ok"
            assert part.value == full.value, (name, lots)


def test_what_a_look_expects_of_each_party(plan: Plan) -> None:
    first = sum(r.probe == FIRST_TOKEN for r in plan.requests)
    assert expected(plan, (NEXT,))["suspect"] == first
    assert expected(plan, (SCORINGS,))["suspect"] == 0
    assert expected(plan, (SCORINGS,))["reference"] == 40
    assert expected(plan, (REST,))["ann"] == len(plan.requests)


def test_without_a_base_the_controls_score_too(config: AuditConfig) -> None:
    store, bare = Store(None), replace(config, base=None)
    collect(bare, store=store)
    plan = stored_plan(store)
    assert set(scorings_wanted(plan, store, Look((SCORINGS,)))) == {"suspect", "ann", "bob", "cid"}
    assert set(scorings_wanted(plan, store, Look((NEXT,)))) == set()
