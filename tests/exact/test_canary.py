"""Canaries: planting, sealing, and the two ways of testing."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from forensics.errors import EvidenceError, UsageError
from forensics.exact import canary, sealed
from forensics.exact.ranks import harmonic_e, rank_ps

NONCE = "5e" * 32
TEMPLATES = [{"prompt": f"What is the word of door {i}?", "answer": "It is {secret}."} for i in range(12)]


def key() -> dict[str, object]:
    return canary.plant(TEMPLATES, 8, NONCE)


def test_secrets_follow_from_the_nonce_and_are_spread_over_the_candidates() -> None:
    assert key() == key()
    many = canary.plant([{"prompt": str(i), "candidates": ["a", "b", "c", "d"]} for i in range(4000)], 8, NONCE)
    counts = np.bincount([c["secret"] for c in many["canaries"]])
    assert counts.min() > 900
    assert all(len(set(c["candidates"])) == 8 for c in key()["canaries"])  # type: ignore[attr-defined]


def test_the_sheet_holds_no_decoy() -> None:
    made = key()
    sheet = json.dumps(canary.sheet(made, "h"))
    for c in made["canaries"]:  # type: ignore[attr-defined]
        assert c["candidates"][c["secret"]] in sheet
        assert not any(d in sheet for i, d in enumerate(c["candidates"]) if i != c["secret"])


@pytest.mark.parametrize(
    "bad",
    [
        {"prompt": "p", "answer": "no slot"},
        {"prompt": 3, "answer": "{secret}"},
        {"prompt": "p", "candidates": ["one"]},
        {"prompt": "p", "candidates": ["Same", "same"]},
        {"prompt": "p", "candidates": ["a", "b", ""]},
    ],
)
def test_templates_that_cannot_be_planted(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="template 1"):
        canary.plant([bad], 4, NONCE)


def test_a_key_must_match_its_committed_hash(tmp_path: Path) -> None:
    made, path = key(), tmp_path / "key.json"
    committed = sealed.write(path, made)
    assert sealed.read(path, "canary", committed, None) == made
    sheet = tmp_path / "sheet.json"
    sheet.write_text(json.dumps(canary.sheet(made, committed)))
    assert sealed.read(path, "canary", None, sheet) == made
    changed = json.loads(path.read_text())
    changed["canaries"][0]["secret"] = (changed["canaries"][0]["secret"] + 1) % 8
    path.write_text(json.dumps(changed))
    with pytest.raises(EvidenceError, match="does not match the hash") as error:
        sealed.read(path, "canary", committed, None)
    assert error.value.exit_code == 5
    with pytest.raises(EvidenceError):
        sealed.read(path, "canary", "0" * 64, sheet)
    with pytest.raises(UsageError, match="--commitment"):
        sealed.read(path, "canary", None, None)
    with pytest.raises(UsageError, match="no twins key"):
        sealed.read(path, "twins", committed, None)
    with pytest.raises(UsageError, match="exists already"):
        sealed.write(path, made)


def test_the_p_value_is_the_exact_tail_of_its_statistic() -> None:
    """By enumeration: three canaries of four candidates have 64 equally likely outcomes."""
    outcomes = [np.array(r, dtype=float) for r in product(range(1, 5), repeat=3)]
    worth = np.rint(np.log(4 / np.arange(1, 5)) / canary.STEP)
    totals = np.array([worth[o.astype(int) - 1].sum() for o in outcomes])
    for outcome, total in zip(outcomes, totals, strict=True):
        assert canary.combined_p(outcome, 4) == pytest.approx((totals >= total).mean())


def test_the_upper_tail_is_the_binomial_where_chances_are_equal() -> None:
    from scipy.stats import binom

    assert canary.upper_tail(np.full(9, 0.2)) == pytest.approx(binom.sf(np.arange(-1, 9), 9, 0.2))


def inputs(scores: np.ndarray) -> dict[str, object]:
    return {"test": "canary", "form": "log-probs", "key": "k", "scores": scores.tolist(), "controls": {}}


def test_known_secrets_are_found_and_unknown_ones_come_with_power() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(24, 16))
    blank = canary.judge(inputs(scores))
    assert blank.p is not None
    assert blank.p > 0.01
    assert "would have been detected" in blank.power
    scores[:12, 0] += 10
    found = canary.judge(inputs(scores))
    assert found.p is not None
    assert found.e is not None
    assert found.p < 1e-6
    assert found.e > 1e6
    assert "knows planted secrets" in found.finding


def test_by_text() -> None:
    hits = {"test": "canary", "form": "text", "key": "k", "hits": [1] * 6 + [0] * 6, "chances": [1 / 8] * 12}
    found = canary.judge(hits)
    assert found.p == pytest.approx(canary.upper_tail(np.full(12, 1 / 8))[6])
    assert canary.judge({**hits, "hits": [0] * 12}).p == 1.0
    assert canary.judge({**hits, "hits": [1], "chances": [0.5]}).status == "insufficient"


def test_which_candidate_an_answer_names() -> None:
    words = ["moko", "mokori", "tavi"]
    assert canary.named("It is MOKORI, not tavi.", words) == 1
    assert canary.named("tavi or moko", words) == 2
    assert canary.named("nothing of the kind", words) is None


def nulls(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A suspect with strong opinions of its own about the candidates; the secret is drawn after."""
    ps, log_es = [], []
    for _ in range(count):
        opinions = rng.standard_t(2, size=(10, 8)) * 5
        order = rng.permuted(np.tile(np.arange(8), (10, 1)), axis=1)
        ranks = np.rint(8 * rank_ps(np.take_along_axis(opinions, order, 1), np.zeros((0, 10, 8))))
        ps.append(canary.combined_p(ranks, 8))
        log_es.append(harmonic_e(ranks, 8))
    return np.array(ps), np.array(log_es)


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.statistical)])
def test_nulls(count: int) -> None:
    ps, log_es = nulls(np.random.default_rng(count), count)
    for level in (0.05, 0.01):
        assert (ps <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / count)
    assert (log_es >= np.log(20)).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / count)
    assert ps.min() > 0
