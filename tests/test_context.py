"""What stands in a report without weight: where the parties lie, confounders, learnt tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forensics import AuditConfig, Report, Store, audit, judge
from forensics.exhibits import learnt
from forensics.relations import FLAT, scaled
from forensics.types import Completion, TokenLogprob


@pytest.fixture(scope="module")
def report(case: Path) -> Report:
    with Store(case, must_exist=True) as store:
        return judge(store)


def test_distances_on_a_plane_come_back_and_others_are_called_distorted() -> None:
    rng = np.random.default_rng(0)
    places = rng.normal(size=(6, 2))
    distance = np.linalg.norm(places[:, None] - places[None, :], axis=2)
    drawn, stress = scaled(distance)
    assert stress == pytest.approx(0.0, abs=1e-9)
    assert np.linalg.norm(drawn[:, None] - drawn[None, :], axis=2) == pytest.approx(distance)
    _, stress = scaled(1.0 - np.eye(8))  # everybody equally far: no plane shows that
    assert stress > FLAT


def test_every_two_parties_are_compared_both_ways_alike(report: Report) -> None:
    r = report.relations
    assert r is not None
    matrix = np.array(r.cosine)
    assert r.names[:2] == ("suspect", "reference")
    assert np.array_equal(matrix, matrix.T)
    assert (matrix[0, 1] > matrix[0, 2:]).all()  # the toy suspect does copy
    assert (matrix[2:, 1] < matrix[0, 1]).all()
    assert (r.places is None) == (r.stress > FLAT)


def test_confounders_follow_what_was_done(report: Report, config: AuditConfig) -> None:
    def controls(of: Report) -> dict[str, str | None]:
        return {c.name: c.control for c in of.confounders}

    mine = controls(report)
    assert mine["Common teacher"] is None
    assert mine["Serving drift"] is None
    assert "subtracted" in (mine["Shared base model"] or "")
    assert "auditor's own" in (mine["Probes known in advance"] or "")
    assert controls(audit(replace(config, base=None)))["Shared base model"] is None


def test_learnt_tokens_join_the_bytes_of_a_character() -> None:
    def scored(*pairs: tuple[bytes, float]) -> Completion:
        return Completion("d", "x", "stop", tuple(TokenLogprob(b, p) for b, p in pairs))

    suspect = scored((b"a", -1.0), (b"\xc3", -0.5), (b"\xa4", -0.25))
    base = scored((b"a", -3.0), (b"\xc3", -1.0), (b"\xa4", -1.0))
    assert learnt(suspect, base) == (("a", 2.0), ("\u00e4", 1.25))
    assert learnt(suspect, scored((b"a", -3.0))) == ()
    assert learnt(suspect, None) == ()
    assert learnt(scored((b"a", float("-inf"))), scored((b"a", -1.0))) == ()
