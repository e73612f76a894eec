"""Exact results in a case: stored with their inputs, recomputed, combined, shown."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forensics import Store, judge
from forensics.errors import EvidenceError
from forensics.exact import EXACT, recompute
from forensics.exact.case import keep, kept
from forensics.exact.combine import combined, e_of_p
from forensics.types import ExactResult, sha256

RNG = np.random.default_rng(0)
INPUTS = {
    "canary": {"test": "canary", "form": "log-probs", "key": "k", "scores": RNG.normal(size=(9, 4)).tolist(),
               "controls": {}},
    "regeneration": {"test": "regeneration", "form": "answers", "seed": 3, "draws": "d", "checks": [],
                     "scores": RNG.random((40, 5)).tolist(), "controls": {"typicality": RNG.random((40, 5)).tolist()}},
    "twins": {"test": "twins", "key": "k", "seed": 0, "scores": RNG.normal(size=(30, 3)).tolist(), "controls": {}},
    "watermark": {"test": "watermark", "form": "text", "key": "k", "gamma": 0.25, "pairs": 700,
                  "levels": [[-1, 300, 80], [1, 400, 101]],
                  "dummies": (25 + 11 * RNG.normal(size=100)).round().astype(int).tolist()},
    "weights": {"test": "weights", "against": "reference", "matrices": [{"name": "model.layers.0.mlp.up_proj.weight",
                "match": RNG.permutation(9).tolist()}]},
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT.names())
def test_every_test_recomputes_from_the_case_alone(name: str, tmp_path: Path) -> None:
    path = tmp_path / "exact.case"
    with Store(path) as store:
        result = keep(store, name, INPUTS[name])
        assert result.status == "ok"
        assert keep(store, name, INPUTS[name]) == result  # not a second time
        assert len(kept(store)) == 1
    with Store(path, must_exist=True) as store:
        (stored,), (entry,) = kept(store), store.entries("exact-input")
        assert recompute(store.body(entry.raw)) == stored == result
        assert stored.inputs == sha256(store.body(entry.raw))
    assert 0 < (result.p or 0) <= 1
    assert result.assumes
    assert result.breaks
    assert result.randomness


@pytest.mark.parametrize("bad", [b"{}", b"[]", b'{"test": "twins"}', b"nonsense", b'{"test": "weights", "against": 1}'])
def test_inputs_that_were_tampered_with(bad: bytes) -> None:
    with pytest.raises(EvidenceError):
        recompute(bad)


def test_a_matching_that_is_no_permutation_is_no_evidence() -> None:
    with pytest.raises(EvidenceError):
        recompute(json.dumps({**INPUTS["weights"], "matrices": [{"name": "x", "match": [0, 0, 1]}]}).encode())


def test_the_calibrator_is_fair() -> None:
    from scipy.integrate import quad

    total = quad(lambda u: e_of_p(math.exp(u)) * math.exp(u), -690, math.log(1 - 1e-6))[0]
    assert total == pytest.approx(1.0, abs=2e-3)
    assert e_of_p(1.0) == pytest.approx(0.5)
    assert e_of_p(1e-6) > 1000


def result(test: str, e: float, randomness: str) -> ExactResult:
    return ExactResult(test, "ok", p=min(1, 1 / e), e=e, n=30, randomness=randomness)


def test_independent_randomness_multiplies_and_shared_randomness_averages() -> None:
    log_probs, text = result("regeneration", 40.0, "draws a"), result("regeneration", 2.0, "draws a")
    canary = result("canary", 10.0, "canary b")
    both = combined([log_probs, text])
    assert both is not None
    assert both.e == pytest.approx(21.0)
    every = combined([log_probs, text, canary, result("weights", 1e9, "initialisation")])
    assert every is not None
    assert every.e == pytest.approx(210.0)
    assert every.p == pytest.approx(1 / 210)
    assert combined([canary]) is None
    assert combined([canary, replace(text, status="failed", p=None, e=None)]) is None


def test_the_report_shows_the_exact_lane(case: Path, tmp_path: Path) -> None:
    import shutil

    path = tmp_path / "toy.case"
    shutil.copy(case, path)
    with Store(path) as store:
        for name in ("regeneration", "canary"):
            keep(store, name, INPUTS[name])
        report = judge(store)
        assert judge(store).to_json() == report.to_json()
    assert [x.test for x in report.exact] == ["regeneration", "canary", "combined"]
    assert all(x.assumes and x.breaks for x in report.exact)
    assert report.exact[0].power
