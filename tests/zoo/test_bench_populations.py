"""The shipped populations of the bench: the recipe's pairs, numbers only, and what the card says of them."""

import re
from pathlib import Path

import numpy as np
import pytest

from forensics import zoo
from forensics.verdict.calibrate import load_population, shipped_populations
from forensics.verdict.combine import pick_population
from forensics.zoo.bench import entries, recipe
from forensics.zoo.bench_pairs import SIBLING, pairs

CARD = (Path(zoo.__file__).parents[1] / "populations" / "CARD.md").read_text(encoding="utf-8")
LOGPROB = load_population("logprob")


@pytest.mark.parametrize("name", ["logprob", "text-base"])
def test_the_pairs_are_the_recipes(name: str) -> None:
    table = recipe()
    made = {(j.suspect, j.candidate, j.kind, j.label) for j in pairs(entries(table), table["families"])}
    assert {(p.suspect, p.candidate, p.kind, p.label) for p in load_population(name).pairs} == made


def test_a_pair_touches_its_base_so_that_a_family_is_judged_by_the_others() -> None:
    for pair in LOGPROB.pairs:
        assert any("-base-" in name for name in pair.lineages)
    table = LOGPROB.through(LOGPROB.columns).table
    smollm2 = [i for i, t in enumerate(table.touches) if any(n.startswith("smollm2") for n in t)]
    assert len(smollm2) > 40
    assert all("smollm2-base-0" in table.touches[i] for i in smollm2)


def test_no_negative_reaches_ten_and_the_bounds_are_the_cards() -> None:
    calibration = LOGPROB.through(LOGPROB.columns)
    low, high = calibration.bounds
    assert f"{low:.2f} … +{high:.2f}" in CARD
    llr = np.clip(calibration.held_out, low, high)
    assert max(llr[calibration.table.label == 0]) < 1.0
    assert calibration.sizes == (22, 34)
    siblings = [x for p, x in zip(calibration.pairs, llr, strict=True) if p.kind == SIBLING]
    students = [x for p, x in zip(calibration.pairs, llr, strict=True) if p.kind == "student, 100 %"]
    assert np.mean(np.subtract.outer(students, siblings) > 0) > 0.98


def test_a_case_of_the_shipped_zoo_is_judged_by_the_zoos_own_population() -> None:
    zoo_own = load_population("zoo")
    case = {**zoo_own.conditions, "controls": 3}
    assert not LOGPROB.mismatch({**case, "providers": ["hf"]})
    found, _ = pick_population(shipped_populations(), "auto", case)
    assert found is not None
    assert found.name == "zoo"
    other, _ = pick_population(shipped_populations(), "auto", {**case, "providers": ["hf", "zoo"]})
    assert other is not None
    assert other.name == "logprob"


def test_no_text_in_the_populations() -> None:
    folder = Path(zoo.__file__).parents[1] / "populations"
    for name in ("logprob", "text-base"):
        words = re.findall(r'"([^"]{60,})"', (folder / f"{name}.json").read_text(encoding="utf-8"))
        assert all(w == LOGPROB.card or re.fullmatch(r"[0-9a-f]{64}", w) for w in words), words[:3]
