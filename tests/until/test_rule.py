"""The rule: which texts are one, and which verdicts meet it."""

from __future__ import annotations

import pytest

from forensics import AuditConfig, UsageError
from forensics.types import LikelihoodRatio, Verdict
from forensics.until import Rule, parse_rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("llr>=1", Rule(above=1.0)),
        (" llr >= 1.25 | llr<=-.5 |budget", Rule(1.25, -0.5, True)),
        ("budget|llr<=-2", Rule(below=-2.0, budget=True)),
        ("budget", Rule(budget=True)),
    ],
)
def test_rules_that_are_read(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize(
    "text",
    ["", "|", "llr", "llr>2", "llr=2", "foo>=1", "llr>=-1", "llr>=0", "llr<=0", "llr<=1", "llr>=nan", "llr>=inf",
     "llr>=1e400", "llr>=1|", "llr>=1|llr>=1.1", "budget|budget", "llr>=1 llr<=-1", "LLR>=1", "llr>=१", "x" * 5000],
)  # fmt: skip
def test_texts_that_are_no_rule(text: str) -> None:
    with pytest.raises(UsageError, match="--until") as caught:
        parse_rule(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_budget_has_to_be_named() -> None:
    with pytest.raises(UsageError, match="max-requests"):
        AuditConfig("toy/a", "toy/b", until="llr>=1|budget")
    assert AuditConfig("toy/a", "toy/b", until="llr>=1|budget", max_requests=5).until


def verdict(llr: float | None, interval: tuple[float, float] = (0, 0), power: str | None = "so much") -> Verdict:
    lr = None if llr is None else LikelihoodRatio(llr, (-2.0, 2.0), interval, "p")
    return Verdict("cannot-tell", lr, "", (), power=power)


def test_what_meets_a_rule() -> None:
    rule = parse_rule("llr>=1|llr<=-1")
    assert rule.met(verdict(1.0, (0.1, 2.0))) == "llr>=1"
    assert rule.met(verdict(-1.5, (-2.0, -0.1))) == "llr<=-1"
    assert not rule.met(verdict(0.99, (0.5, 2.0)))
    assert not rule.met(verdict(1.5, (-0.1, 2.0))), "an interval that holds 0 is no decision either"
    assert not rule.met(verdict(-1.5, (-2.0, 0.1)))
    assert not rule.met(verdict(None)), "withheld: a failed self-check, shared weights"


def test_evidence_against_needs_power() -> None:
    assert not parse_rule("llr<=-1").met(verdict(-1.5, (-2.0, -1.0), power=None))
    assert parse_rule("llr>=1").met(verdict(1.5, (1.0, 2.0), power=None))


def test_one_side_does_not_stop_the_other() -> None:
    assert not parse_rule("llr>=1").met(verdict(-1.5, (-2.0, -1.0)))
    assert not parse_rule("llr<=-1").met(verdict(1.5, (1.0, 2.0)))
