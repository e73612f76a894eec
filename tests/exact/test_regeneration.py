"""Regeneration: what it finds, when it refuses, and that its nulls hold."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from forensics.exact import recompute
from forensics.exact.regeneration import judge, two_sided
from forensics.types import canonical


def inputs(rng: np.random.Generator, n: int = 60, lead: float = 0.0, **more: Any) -> dict[str, Any]:
    """A suspect that mostly repeats what R thinks of an answer; the served ones lead by so many nats."""
    under_r = rng.normal(size=(n, 6)) * 8
    scores = 0.9 * under_r + rng.standard_t(3, size=(n, 6))
    scores[:, 0] += lead
    checks = [{"who": "suspected", "name": "log-probability under the reference", "values": under_r.tolist()}]
    return {"test": "regeneration", "form": "log-probs", "seed": 0, "draws": "d", "scores": scores.tolist(),
            "controls": {"reference": under_r.tolist()}, "checks": checks, **more}  # fmt: skip


def test_it_finds_served_answers_and_says_so() -> None:
    found = judge(inputs(np.random.default_rng(0), lead=2.0))
    assert found.status == "ok"
    assert found.p == pytest.approx(1e-4)
    assert found.e is not None
    assert found.e > 1e4
    assert "more probability than fresh draws" in found.finding
    assert "reference as control variate" in found.finding
    assert re.search(r"e-value passed 100 after \d\d? of them", found.finding)
    assert found.power == ""
    assert found.assumes
    assert found.breaks


def test_a_non_rejection_says_what_it_would_have_found() -> None:
    found = judge(inputs(np.random.default_rng(1)))
    assert found.p is not None
    assert found.p > 0.01
    assert "nats an answer" in found.power
    assert "probability .90" in found.power
    assert "could only be checked on the suspected accounts" in found.finding


def test_drift_of_the_sampler_is_refused() -> None:
    rng = np.random.default_rng(2)
    held = rng.normal(size=(80, 6)) * 8
    same = {"who": "unsuspected", "name": "log-probability under the reference", "values": held.tolist()}
    good = judge(inputs(rng, checks=[same]))
    assert good.status == "ok"
    assert "could only be checked" not in good.finding
    held[:, 1:] -= 6  # redraws from a hotter sampler
    drifted = judge(inputs(rng, lead=2.0, checks=[{**same, "values": held.tolist()}]))
    assert (drifted.status, drifted.p) == ("failed", None)
    assert "unsuspected accounts and redraws are not exchangeable" in (drifted.reason or "")


def test_items_picked_by_their_answers_are_refused() -> None:
    rng = np.random.default_rng(3)
    body = inputs(rng, n=400)
    lengths = rng.normal(size=(400, 6))
    kept = np.flatnonzero(lengths[:, 0] > -0.2)  # "I chose the longer ones"
    rows = {k: np.array(body[k])[kept].tolist() for k in ("scores",)}
    picked = {"who": "suspected", "name": "length", "values": lengths[kept].tolist()}
    found = judge({**body, **rows, "controls": {}, "checks": [picked]})
    assert found.status == "failed"
    assert "picked by their answers" in (found.reason or "")


def test_too_little_is_insufficient() -> None:
    assert judge(inputs(np.random.default_rng(4), n=19)).status == "insufficient"
    body = inputs(np.random.default_rng(4))
    flat = judge({**body, "scores": np.ones((60, 6)).tolist(), "controls": {}, "checks": []})
    assert flat.status == "insufficient"
    assert "sampling without randomness" in (flat.reason or "")


def test_the_same_inputs_give_the_same_result() -> None:
    body = canonical(inputs(np.random.default_rng(5), lead=0.3))
    assert recompute(body) == recompute(body)


def test_the_checks_are_two_sided_and_fair() -> None:
    rng = np.random.default_rng(6)
    ps = np.array([two_sided(rng.exponential(size=(30, 5)), rng, 199) for _ in range(300)])
    assert (ps <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    low = rng.normal(size=(60, 5))
    low[:, 0] -= 2
    assert two_sided(low, rng) < 0.001
    assert two_sided(-low, rng) < 0.001
