"""One battery over every registered comparator."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forensics import AuditConfig, Store, collect
from forensics.comparators import COMPARATORS
from forensics.plan import gather, stored_plan
from forensics.types import Completion, Sample, Score

NAMES = COMPARATORS.names()
CONTROLS = ("toy/ann", "toy/bob", "toy/cid")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that comparators read: long and short answers, choices, facts; next tokens and scored answers follow."""
    lines = [{"prompt": f"Tell me about thing {i}.", "max_tokens": 24} for i in range(40)]
    lines += [{"prompt": f"Tell me briefly about thing {i}.", "max_tokens": 5} for i in range(60)]
    lines += [
        {"family": "choice", "prompt": f"Name a thing of kind {i}.", "max_tokens": 1, "samples": 8} for i in range(32)
    ]
    # The toy never says "basalt": every answer is wrong.
    lines += [
        {"family": "facts", "prompt": f"What is thing {i} of?", "max_tokens": 1, "samples": 8, "answer": "basalt"}
        for i in range(40)
    ]
    path = tmp_path_factory.mktemp("contract") / "small.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def gathered(suite: Path, reference: str, controls: tuple[str, ...]) -> Sample:
    config = AuditConfig("toy/sam?parent=ref&share=0.7", reference, controls, base="toy/base", suite=str(suite))
    with Store(None) as store:
        collect(config, store=store)
        return gather(stored_plan(store), store)


@pytest.fixture(scope="module")
def sample(suite: Path) -> Sample:
    return gathered(suite, "toy/ref", CONTROLS)


@pytest.fixture(scope="module")
def swapped(suite: Path) -> Sample:
    """The same with a control in the reference's place, and the reference among the controls."""
    return gathered(suite, CONTROLS[0], ("toy/ref", *CONTROLS[1:]))


def score(name: str, sample: Sample, seed: int = 0) -> Score:
    comparator = COMPARATORS.load(name)()
    return comparator.compare(sample.rows(lambda u: u.family in comparator.families), np.random.default_rng(seed))


def column(sample: Sample, make: object) -> tuple[Completion | None, ...]:
    return tuple(make(c) if c is not None else None for c in sample.suspect)  # type: ignore[operator]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_named_after_its_file_and_documents_itself(name: str) -> None:
    comparator = COMPARATORS.load(name)()
    assert comparator.name == name
    assert type(comparator).__module__.rpartition(".")[2] == name.replace("-", "_")
    assert "Null hypothesis" in (comparator.__doc__ or "")
    assert comparator.unit


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_score(name: str, sample: Sample) -> None:
    first, second = score(name, sample), score(name, sample)
    assert first == second
    assert first.status == "ok"
    assert first.interval is not None
    assert first.value is not None
    assert first.interval[0] <= first.value <= first.interval[1]
    assert first.closeness[0][0] == "reference"


@pytest.mark.parametrize("name", NAMES)
def test_swapping_reference_and_control_flips_who_is_near(name: str, sample: Sample, swapped: Sample) -> None:
    """Orientation: with an unrelated control in the reference's place the value must fall."""
    if name == "style-delta":
        pytest.skip("the toy has no style to speak of")
    right, wrong = score(name, sample).value, score(name, swapped).value
    assert right is not None
    assert wrong is not None
    assert right > 0 > wrong


@pytest.mark.parametrize("name", NAMES)
def test_too_little_is_a_status_with_a_reason(name: str, sample: Sample) -> None:
    families = COMPARATORS.load(name)().families
    few = [u.item for u in sample.units if u.family in families][-10:]
    found = score(name, sample.rows(lambda u: u.item in few))
    assert (found.status, found.value) == ("insufficient", None)
    assert "30" in (found.reason or "")
    one = replace(sample, controls={"ann": sample.controls["ann"]})
    assert score(name, one).status in ("insufficient", "unsupported")
    nothing = score(name, sample.rows(lambda u: False))
    assert nothing.status in ("insufficient", "unsupported")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["empty", "blocked", "missing"])
def test_answers_that_are_none_are_never_scored(name: str, kind: str, sample: Sample) -> None:
    """A suspect that says nothing must not resemble anybody."""
    make = {
        "empty": lambda c: replace(c, text="", tokens=()),
        "blocked": lambda c: replace(c, text=None, finish="filter", tokens=()),
        "missing": lambda c: None,
    }[kind]
    silent = replace(sample, suspect=column(sample, make), likelihoods={})
    found = score(name, silent)
    assert found.status in ("insufficient", "unsupported")
    assert found.value is None


@pytest.mark.parametrize("name", ["answer-overlap", "style-delta", "relative-mmd", "choice-panel"])
@pytest.mark.parametrize("text", ["OK.", "\u202eevil\u200b <script>alert(1)</script>", "\x00\x1b[31m", "字" * 50])
def test_constant_and_hostile_answers_do_not_stand_out(name: str, text: str, sample: Sample) -> None:
    """The comparators that read text: a suspect that always says one thing abstains or lies within the background."""
    found = score(name, replace(sample, suspect=column(sample, lambda c: replace(c, text=text))))
    if found.value is None:
        assert found.reason
    else:
        assert found.value <= max(found.null) + 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_not_finite_log_probs_are_left_out(name: str, sample: Sample) -> None:
    def poison(c: Completion) -> Completion:
        return replace(c, tokens=tuple(replace(t, logprob=float("nan"), top=((b"x", float("nan")),)) for t in c.tokens))

    bad = replace(
        sample,
        suspect=column(sample, poison),
        likelihoods={k: tuple(poison(c) if c else None for c in v) for k, v in sample.likelihoods.items()},
    )
    found = score(name, bad)
    assert found.value is None or np.isfinite(found.value)
    if name in ("next-token-divergence", "cross-likelihood"):
        assert found.status != "ok"
