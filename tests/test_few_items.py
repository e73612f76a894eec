"""Checks and pictures of a large case read some of its items, the same ones every time; its scores read all."""

from __future__ import annotations

import numpy as np
import pytest
from text_samples import text_sample

from forensics import scoring
from forensics.relations import relations
from forensics.scoring import few
from forensics.types import Sample, Score
from forensics.verdict import checks


@pytest.fixture
def sample() -> Sample:
    rng = np.random.default_rng(0)
    words = "stone river green house walk nobody perhaps one of them".split()
    return text_sample({p: [[" ".join(rng.choice(words, 20)) for _ in range(2)] for _ in range(60)]
                        for p in ("suspect", "reference", "ann", "bob", "cid", "dot")})  # fmt: skip


def test_few_are_drawn_by_hash_and_kept_whole(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    assert few(sample) is sample
    monkeypatch.setattr(scoring, "FEW", 40)
    part = few(sample)
    items = [u.item for u in part.units]
    assert len(set(items)) == 40
    assert all(items.count(item) == 2 for item in items)
    assert part == few(few(sample))
    assert {u.item for u in few(sample.rows(lambda u: u.item in set(items[:60]))).units} == set(items[:60])
    assert set(items) != {u.item for u in sample.units[:80]}


def test_controls_are_checked_on_few_items_and_the_check_says_so(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def score(part: Sample) -> list[Score]:
        asked.append(len({u.item for u in part.units}))
        return []

    def details() -> list[str]:
        monkeypatch.setattr(checks, "_judged", lambda name, what, *_, **__: checks.SelfCheck(name, None, what))
        found = checks.self_checks(sample, score, [], object(), np.random.default_rng(0))  # type: ignore[arg-type]
        return [c.detail for c in found if c.name.startswith("negative-control")]

    assert details() == [f"{name}, offered as suspect" for name in sample.controls]
    assert set(asked) == {60}
    asked.clear()
    monkeypatch.setattr(scoring, "FEW", 40)
    monkeypatch.setattr(checks, "FEW", 40)
    assert details() == [f"{name}, offered as suspect, on 40 of the items" for name in sample.controls]
    assert set(asked) == {40}


def test_the_map_says_of_how_many_items_it_is(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (found := relations(sample)) is not None
    assert found.n == 60
    monkeypatch.setattr(scoring, "FEW", 40)
    assert (found := relations(sample)) is not None
    assert found.n == 40
