"""Two models on one base: did each go its own way, or is one made from the other's weights?"""

from pathlib import Path

import numpy as np
import pytest

from forensics import zoo
from forensics.exact import recompute
from forensics.exact.weights import COPIED, OWN_WAY, change, common_base, match_weights
from forensics.types import ExactResult, LikelihoodRatio, canonical
from forensics.verdict.combine import decide

LR = LikelihoodRatio(1.2, (-1.3, 1.3), (0.4, 1.3), "made")


def cosine(suspect: Path, reference: Path, base: Path) -> ExactResult:
    return recompute(canonical(change(suspect, reference, base)))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The student's weights, a little further on: what training it lightly would leave."""
    from safetensors.numpy import save_file
    from safetensors.torch import load_file

    folder = tmp_path_factory.mktemp("copy")
    rng = np.random.default_rng(3)
    tensors = {k: v.float().numpy() for k, v in load_file(zoo.path("student") / "model.safetensors").items()}
    moved = {k: v + rng.normal(0, 0.3 * float(v.std()) * 0.05, v.shape).astype(v.dtype) for k, v in tensors.items()}
    save_file(moved, folder / "model.safetensors")
    (folder / "config.json").write_text((zoo.path("student") / "config.json").read_text())
    return folder


def test_two_students_of_different_teachers_went_their_own_way() -> None:
    found = cosine(zoo.path("student"), zoo.path("sibling"), zoo.path("base"))
    assert found.status == "ok"
    assert found.p is None
    assert found.value is not None
    assert -0.1 < found.value < OWN_WAY
    assert "own way" in found.finding


def test_a_copy_of_the_references_weights_did_not(copy: Path) -> None:
    found = cosine(copy, zoo.path("student"), zoo.path("base"))
    assert found.value is not None
    assert found.value > 0.6
    assert "own way" not in found.finding


def test_the_base_itself_has_no_change() -> None:
    found = cosine(zoo.path("base"), zoo.path("student"), zoo.path("base"))
    assert (found.status, found.value) == ("unsupported", None)


def results(suspect: Path, reference: Path, base: Path) -> list[ExactResult]:
    pairs = (("reference", suspect, reference), ("base", suspect, base), ("reference-base", base, reference))
    tests = [recompute(canonical(match_weights(a, b, against=label))) for label, a, b in pairs]
    return [*tests, cosine(suspect, reference, base)]


def test_a_common_base_that_is_named_leaves_the_ratio_standing() -> None:
    found = results(zoo.path("student"), zoo.path("sibling"), zoo.path("base"))
    assert common_base(found)
    verdict = decide(LR, (), found, (), "power")
    assert verdict.decision == "copied-outputs"
    assert verdict.lr == LR
    assert "own way" in verdict.reasons[-1]
    without = decide(LR, (), found[:-1], (), "power")
    assert without.decision == "shared-source", "without the changes, shared weights explain the resemblance"


def test_a_copy_never_reads_as_copied_outputs(copy: Path) -> None:
    found = results(copy, zoo.path("student"), zoo.path("base"))
    assert all(e.p is None or e.p < COPIED for e in found)
    assert decide(LR, (), found, (), "power").decision == "shared-source"
