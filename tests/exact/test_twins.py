"""Twins: the keyed release and its rank test."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.errors import UsageError
from forensics.exact.twins import judge, release, released

NONCE = "0f" * 32


def documents(n: int) -> list[dict[str, object]]:
    return [{"id": i, "versions": [f"text {i} in version {v}" for v in range(4)]} for i in range(n)]


def test_one_version_of_each_goes_out() -> None:
    key = release(documents(2000), NONCE)
    assert key == release(documents(2000), NONCE)
    out = released(key)
    assert [d["text"] for d in out] == [d["versions"][d["secret"]] for d in key["documents"]]
    assert np.bincount([d["secret"] for d in key["documents"]]).min() > 430


@pytest.mark.parametrize("bad", [["one"], ["same", "same"], ["a", 3], "text", ["a", "b", "c"]])
def test_documents_that_cannot_be_released(bad: object) -> None:
    with pytest.raises(UsageError, match="document 2"):
        release([*documents(1)[:1], {"versions": bad}], NONCE)


def inputs(scores: np.ndarray) -> dict[str, object]:
    return {"test": "twins", "key": "k", "seed": 0, "scores": scores.tolist(), "controls": {}}


def test_the_released_versions_are_found() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(60, 4)) * 3
    blank = judge(inputs(scores))
    assert blank.p is not None
    assert blank.p > 0.01
    assert "nats a document" in blank.power
    scores[:, 0] += 3
    found = judge(inputs(scores))
    assert found.p == pytest.approx(1e-4)
    assert "prefers the released versions" in found.finding
    assert judge(inputs(scores[:19])).status == "insufficient"
