"""Kinds of pairs against one kind of negative, and pairs that no calibration reads."""

import numpy as np

from forensics.verdict.calibrate import Pair, Population
from forensics.verdict.contrasts import JOINT, contrasts
from forensics.verdict.validate import validate


def population(gap: float = 2.0) -> Population:
    rng = np.random.default_rng(5)
    rows = []
    for k in range(14):
        for kind, label, mean in (("student", 1, gap), ("weak student", None, gap / 4), ("sibling", 0, 0.0)):
            scores = {"a": float(rng.normal(mean)), "b": float(rng.normal(mean)), "rival": float(rng.normal())}
            name = f"{kind[0]}{k}"
            rows.append(Pair(name, f"t{k}", kind, label, name, (name, f"t{k}"), scores))
    return Population("made", "", {}, ("a", "b"), tuple(rows), against="sibling", subsets={"only a": ("a",)})


def ways(kind: str, people: Population) -> dict[str, float | None]:
    row = next(r for r in contrasts(people.through(people.columns)) if r.kind == kind)
    return {name: value for name, value, _ in row.ways}


def test_two_scores_beat_one_and_a_rival_that_guesses() -> None:
    found = ways("student", population())
    joint, one, rival = found[JOINT], found["only a llr"], found["rival"]
    assert joint is not None
    assert one is not None
    assert rival is not None
    assert joint > one > 0.8
    assert abs(rival - 0.5) < 0.25


def test_a_kind_without_a_label_is_ranked_and_fitted_to_by_nothing() -> None:
    people = population()
    calibration = people.through(people.columns)
    assert {p.kind for p in calibration.shown} == {"weak student"}
    value = ways("weak student", people)[JOINT]
    assert value is not None
    assert 0.5 < value < float(ways("student", people)[JOINT] or 0)
    without = Population("made", "", {}, ("a", "b"), tuple(p for p in people.pairs if p.label is not None))
    assert np.array_equal(without.through(("a", "b")).fusion.w, calibration.fusion.w)
    kinds = {k.name: k for k in validate(people).kinds}
    assert kinds["weak student"].pairs == 14


def test_a_pair_without_a_label_is_judged_by_a_fusion_that_did_not_see_its_lineage() -> None:
    people = population()
    labelled = people.through(people.columns)
    at = next(i for i, p in enumerate(labelled.pairs) if p.label == 1)
    pair = labelled.pairs[at]
    hidden = tuple(
        p if p is not pair else Pair(p.suspect, p.candidate, p.kind, None, p.lineage, p.lineages, p.scores)
        for p in people.pairs
    )
    other = Population("made", "", {}, people.columns, hidden).through(people.columns)
    place = next(i for i, p in enumerate(other.shown) if p.suspect == pair.suspect)
    assert np.isclose(other.shown_llr[place], labelled.held_out[at])
