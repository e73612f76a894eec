"""A population from recorded answers: pairs, controls, conditions, and what a case must match."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import writers

from forensics import compare
from forensics.audit import text_conditions
from forensics.config import make_config
from forensics.errors import UsageError
from forensics.labelled import CONTROLS, Corpus, build, jobs, read_corpus, score_jobs
from forensics.manifest import read_manifest
from forensics.record import Report
from forensics.serial import lines
from forensics.verdict.calibrate import Pair, Population, lineage_weights, load_population
from forensics.verdict.combine import decide
from forensics.verdict.metrics import auc
from forensics.verdict.validate import validate

ITEMS = 40
TEACHERS = ("ann", "bob", "cid", "dot", "eve", "fay", "gus")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven teachers, twelve students of two of them, one descendant; every one a lineage of its own."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = ["name,file,role,documented_teachers,cluster,vendor"]
    for name in TEACHERS:
        writers.write(folder / f"{name}.jsonl", name, ITEMS)
        rows.append(f"{name},{name}.jsonl,teacher,,{name},maker-{name}")
    for k in range(12):
        teacher = ("ann", "bob")[k % 2]
        writers.write(folder / f"s{k}.jsonl", f"s{k}", ITEMS, {teacher: 0.6})
        rows.append(f"s{k},s{k}.jsonl,student,{teacher},s{k},maker-s{k}")
    writers.write(folder / "child.jsonl", "ann", ITEMS, {"zoe": 0.1})
    rows.append("child,child.jsonl,derived,self:ann,child,maker-child")
    path = folder / "models.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def population(manifest: Path) -> Population:
    return build(read_corpus(manifest), "made", "Writers of made-up words.", items=(30, None), workers=1)


def test_controls_are_of_other_makers_and_untouched(manifest: Path) -> None:
    models = {m.name: m for m in read_manifest(manifest)}
    made = jobs(tuple(models.values()))
    assert {j.label for j in made} == {0, 1, None}
    for job in made:
        makers = [models[c].vendor for c in job.controls]
        assert len(set(makers)) == len(makers) <= CONTROLS
        assert not {models[job.suspect].vendor, models[job.candidate].vendor} & set(makers)
        assert not set(models[job.suspect].teachers) & set(job.controls)
    assert jobs(tuple(models.values())) == made
    assert jobs(tuple(models.values()), seed=1) != made


def test_a_population_is_made_of_numbers_and_is_the_same_twice(manifest: Path, population: Population) -> None:
    corpus = read_corpus(manifest)
    again = score_jobs(corpus, jobs(corpus.models), 0)
    assert [row[0] for _, row in again] == [p.scores for p in population.pairs]
    text = lines(population)
    for column in corpus.columns.values():
        assert not any(c is not None and c.text is not None and c.text[:40] in text for c in column)


def test_known_students_are_told_apart_within_a_column(population: Population) -> None:
    found = validate(population)
    by_name = {t.name: t for t in found.teachers}
    assert set(by_name) == {"ann", "bob"}
    assert min(t.auc for t in by_name.values()) > 0.9
    assert by_name["ann"].lineages == (
        6,
        len({p.lineage for p in population.pairs if p.group == "ann" and p.label == 0}),
    )
    assert found.cllr < 0.8
    assert validate(population) == found


def test_a_rule_that_knows_only_the_candidate_earns_nothing() -> None:
    """Ten students of one teacher, two of another, many negatives: the candidate's name has no weight on its own."""
    group = ["a"] * 30 + ["b"] * 22 + ["c"] * 9
    label = np.array([1] * 10 + [0] * 20 + [1] * 2 + [0] * 20 + [0] * 9)
    blind = np.array([{"a": 2.0, "b": 1.0, "c": 0.0}[g] for g in group])
    weight = lineage_weights(label, [f"m{i}" for i in range(61)], group)
    hp, hd = label == 1, label == 0
    assert auc(blind[hp], blind[hd], hp_weights=weight[hp], hd_weights=weight[hd]) == pytest.approx(0.5)
    assert weight[52:].sum() == 0.0
    assert weight.sum() == pytest.approx(61)


def case(manifest: Path, suspect: str = "s0", n_controls: int = 5) -> Report:
    at = manifest.parent
    chosen = tuple(str(at / f"{c}.jsonl") for c in TEACHERS if c not in ("ann", "bob"))[:n_controls]
    config = make_config(
        {"suspect": str(at / f"{suspect}.jsonl"), "reference": str(at / "ann.jsonl"), "controls": chosen,
         "population": str(at / "made.json")}
    )  # fmt: skip
    return compare(config)


def test_a_case_that_matches_gets_a_ratio_and_others_a_reason(manifest: Path, population: Population) -> None:
    made = manifest.parent / "made.json"
    made.write_text(lines(population))
    found = case(manifest)
    assert found.verdict.population == "made"
    assert found.verdict.llr is not None
    assert found.verdict.bounds is not None
    assert found.verdict.bounds[0] <= found.verdict.llr <= found.verdict.bounds[1]
    few = case(manifest, n_controls=4)
    assert few.verdict.llr is None
    assert "at least 5 controls" in " ".join(few.verdict.reasons)
    for change, why in (
        ({"prompts": ["0" * 12]}, "of the case's prompts"),
        ({"items": [200, None]}, "at least 200 items"),
        ({"length_ratio": [0.5, 0.6]}, "times as wordy"),
        ({"one_sided_length": -9.0}, "no control does"),
    ):
        made.write_text(lines(replace(population, conditions=population.conditions | change)))
        other = case(manifest)
        assert other.verdict.llr is None
        assert why in " ".join(other.verdict.reasons)


def test_a_descendant_of_the_weights_is_not_called_a_student(manifest: Path, population: Population) -> None:
    (manifest.parent / "made.json").write_text(lines(population))
    found = case(manifest, "child")
    assert found.verdict.decision == "shared-source"
    assert found.verdict.llr is None
    assert "nothing about training on outputs" in " ".join(found.verdict.wording.split())


def test_answers_alike_yield_to_a_weights_test() -> None:
    from forensics.types import ExactResult, LikelihoodRatio

    lr = LikelihoodRatio(1.2, (-1.3, 1.3), (0.4, 1.3), "made")
    assert decide(lr, (), [], [], None, "too much alike").decision == "shared-source"
    apart = ExactResult("weights", "ok", p=0.4, n=3, against="reference")
    assert decide(lr, (), [apart], [], None, "too much alike").decision == "copied-outputs"


def test_one_sided_length_is_how_much_nearer_the_reference_is() -> None:
    made = writers.sample(n=30, controls=2)

    def words(n: int) -> tuple[object, ...]:
        return tuple(replace(c, text=writers.answer("x", k, words=n)) for k, c in enumerate(made.reference) if c)

    sample = replace(made, suspect=words(10), reference=words(10), controls={"a": words(100), "b": words(200)})  # type: ignore[arg-type]
    found = text_conditions(sample)
    assert found["length_ratio"] == pytest.approx(0.0)
    assert found["one_sided_length"] == pytest.approx(1.0, abs=0.05)
    assert found["items"] == 30


def test_bad_populations_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such population"):
        load_population(str(tmp_path / "none.json"))
    (tmp_path / "bad.json").write_text('{"name": 3}')
    with pytest.raises(UsageError, match="is not a population"):
        load_population(str(tmp_path / "bad.json"))


def test_a_manifest_without_students_has_nothing_to_teach(tmp_path: Path) -> None:
    (tmp_path / "models.csv").write_text("name,file,role,documented_teachers,cluster\na,a.jsonl,teacher,,a\n")
    with pytest.raises(UsageError, match="nothing to learn"):
        jobs(read_manifest(tmp_path / "models.csv"))


def test_fewer_items_are_the_same_ones_every_time(manifest: Path) -> None:
    corpus: Corpus = read_corpus(manifest)
    few, fewer = corpus.first(20), corpus.first(10)
    assert {u.item for u in fewer.units} < {u.item for u in few.units}


@pytest.mark.parametrize("name", ["text-200", "text-90", "text-40"])
def test_shipped_text_populations_keep_their_promises(name: str) -> None:
    """Turing's rule on the held-out lineages, bounds within what so few of them support, no control at LR 10."""
    shipped = load_population(name)
    found = validate(shipped)
    for row in found.turing:
        assert row.hd <= 1.0 / row.x
    assert found.bounds[1] <= np.log10(min(found.lineages))
    assert found.errors[0].hits == 0
    assert 0.4 < found.auc < 1.0
    assert all(isinstance(p, Pair) and p.group for p in shipped.pairs)


def test_controls_of_one_maker_are_a_limitation(manifest: Path) -> None:
    at = manifest.parent
    config = make_config({"suspect": f"file/{at}/s0.jsonl", "reference": f"file/{at}/ann.jsonl", "population": "none"})

    def limits(makers: tuple[str, ...]) -> str:
        named = zip(("cid", "dot", "eve"), makers, strict=True)
        chosen = tuple(f"{at}/{n}.jsonl" + (f"?vendor={m}" if m else "") for n, m in named)
        return " ".join(compare(replace(config, controls=chosen)).limitations)

    assert "All controls are of one maker (Acme)" in limits(("Acme", "Acme", "Acme"))
    assert "of one maker" not in limits(("Acme", "Acme", "Bell"))
    assert "of one maker" not in limits(("", "", ""))
    assert "Who made the controls is not recorded" in limits(("", "", ""))
    assert "Who made the controls is not recorded" not in limits(("", "Acme", ""))
