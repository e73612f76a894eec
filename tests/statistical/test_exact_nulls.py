"""Exact tests on real log-probs: four suspects that never saw the served answers, 2,000 nulls each.

Every suspect scores 12 draws of the reference to each prompt, once. A null makes a random draw the served one (or the
true secret, or the released twin) and some others its alternatives: that is the null itself, not a model of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from forensics.backends import open_backend
from forensics.exact.canary import combined_p
from forensics.exact.ranks import rank_ps, rank_test
from forensics.exact.regeneration import refusal
from forensics.exact.similarity import similarity
from forensics.probes import load_suite
from forensics.spec import parse_spec
from forensics.types import Message, Request, Sampling

pytest.importorskip("torch")
pytestmark = pytest.mark.statistical
NULLS, DRAWS, ITEMS, M = 2000, 12, 60, 8
SUSPECTS = {
    "untrained": "zoo/independent",
    "heavy imitator of R on other draws": "zoo/student",
    "sibling": "zoo/sibling",
    "shares R's own weights": "zoo/descendant",
}


def ask(name: str, requests: list[Request]) -> list[object]:
    async def run() -> list[object]:
        backend = open_backend(parse_spec(name))
        return [reply.completion for reply in await backend.complete(requests)]

    return asyncio.run(run())


@pytest.fixture(scope="module")
def asked() -> list[Request]:
    items = [i for i in load_suite("zoo").items if i.family in ("writing", "layout", "facts")][:ITEMS]
    return [Request("null", i.id, (Message("user", i.prompt),)) for i in items]


@pytest.fixture(scope="module")
def draws(asked: list[Request]) -> list[list[str]]:
    from dataclasses import replace

    wanted = [replace(r, sample=j, sampling=Sampling(max_tokens=48, seed=j)) for r in asked for j in range(DRAWS)]
    said = [c.text or "-" for c in ask("zoo/teacher", wanted)]  # type: ignore[attr-defined]
    return [said[i * DRAWS : (i + 1) * DRAWS] for i in range(len(asked))]


def scored(name: str, asked: list[Request], draws: list[list[str]]) -> np.ndarray:
    from dataclasses import replace

    wanted = [replace(r, target=t) for r, row in zip(asked, draws, strict=True) for t in row]
    return np.array([c.logprob for c in ask(name, wanted)]).reshape(len(asked), DRAWS)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def controls(asked: list[Request], draws: list[list[str]]) -> np.ndarray:
    return np.stack([scored(name, asked, draws) for name in ("zoo/teacher", "zoo/base")])


@pytest.fixture(scope="module")
def suspects(asked: list[Request], draws: list[list[str]]) -> dict[str, np.ndarray]:
    return {kind: scored(name, asked, draws) for kind, name in SUSPECTS.items()}


Record = Callable[[str, object], None]  # rejection rates go into the JUnit file, where one is asked for


def holds(record: Record, ps: np.ndarray, log_e: np.ndarray | None = None) -> None:
    for level in (0.05, 0.01):
        record(f"rejected at {level}", (ps <= level).mean())
        assert (ps <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / len(ps)), (ps <= level).mean()
    assert ps.min() > 0
    if log_e is not None:
        assert (log_e >= np.log(20)).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(ps))


def shuffles(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.permuted(np.tile(np.arange(DRAWS), (n, 1)), axis=1)[:, : M + 1]


@pytest.mark.parametrize("kind", SUSPECTS)
@pytest.mark.parametrize("with_controls", [True, False])
def test_regeneration_and_twins(
    kind: str, with_controls: bool, suspects: dict[str, np.ndarray], controls: np.ndarray, record_property: Record
) -> None:
    rng, scores = np.random.default_rng([len(kind), with_controls]), suspects[kind]
    used = controls if with_controls else controls[:0]
    found = []
    for _ in range(NULLS):
        order = shuffles(rng, len(scores))
        picked = np.take_along_axis(used, order[None], 2) if len(used) else np.zeros((0, *order.shape))
        found.append(rank_test(np.take_along_axis(scores, order, 1), picked, rng, permutations=199))
    holds(record_property, np.array([f.p for f in found]), np.array([f.log_e for f in found]))


@pytest.mark.parametrize("kind", SUSPECTS)
def test_regeneration_by_text_alone(
    kind: str, asked: list[Request], draws: list[list[str]], record_property: Record
) -> None:
    from dataclasses import replace

    rng = np.random.default_rng(len(kind))
    wanted = [replace(r, sampling=Sampling(max_tokens=48, seed=99)) for r in asked]
    said = [[c.text or ""] for c in ask(SUSPECTS[kind], wanted)]  # type: ignore[attr-defined]
    ps, log_e = [], []
    scores, typical = similarity(said, draws)
    for _ in range(NULLS):
        order = shuffles(rng, len(scores))
        picked = [np.take_along_axis(x, order, 1) for x in (scores, typical)]
        found = rank_test(picked[0], picked[1][None], rng, permutations=199)
        ps.append(found.p)
        log_e.append(found.log_e)
    holds(record_property, np.array(ps), np.array(log_e))


@pytest.mark.parametrize("kind", SUSPECTS)
def test_canary(kind: str, suspects: dict[str, np.ndarray], controls: np.ndarray, record_property: Record) -> None:
    rng, scores = np.random.default_rng(len(kind)), suspects[kind]
    ps = []
    for _ in range(NULLS):
        order = shuffles(rng, len(scores))
        ranks = np.rint(
            (M + 1) * rank_ps(np.take_along_axis(scores, order, 1), np.take_along_axis(controls, order[None], 2))
        )
        ps.append(combined_p(ranks, M + 1))
    holds(record_property, np.array(ps))


def test_the_checks_refuse_honest_logs_no_more_often_than_they_say(
    controls: np.ndarray, draws: list[list[str]]
) -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([[len(t) for t in row] for row in draws], dtype=np.float64)
    refused = 0
    for number in range(200):
        order = shuffles(rng, len(lengths))
        checks = [{"who": "suspected", "name": n, "values": np.take_along_axis(v, order, 1)}
                  for n, v in (("length", lengths), ("R", controls[0]))]  # fmt: skip
        refused += bool(refusal({"seed": number, "checks": checks}))
    assert refused / 200 <= 0.01 + 3 * np.sqrt(0.01 * 0.99 / 200)
