"""The bench's promises: a recipe that holds together, shares that are met, pairs whose label is true."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from forensics.probes import load_suite
from forensics.zoo import everyday
from forensics.zoo.bench import Entry, Source, by_name, digest, entries, recipe, with_needs
from forensics.zoo.bench_make import _drawn, make
from forensics.zoo.bench_pairs import COMMON, COMMON_NAMED, CONTROLS, SIBLING, pairs

TABLE = recipe()
MADE = entries(TABLE)
NAMED = by_name(MADE)
PAIRS = pairs(MADE, TABLE["families"])


def taught(name: str) -> set[str]:
    """Every teacher whose outputs a model read, itself or through its parents."""
    entry = NAMED[name]
    own = {s.name for s in entry.sources if s.kind == "model"}
    return own | (taught(entry.parent) if entry.parent else set())


def test_every_model_has_what_it_needs_before_it() -> None:
    seen: set[str] = set()
    for entry in with_needs(list(MADE), NAMED):
        assert seen.issuperset(entry.needs), entry.name
        seen.add(entry.name)


def test_a_family_needs_four_teachers_and_every_share_at_some_seed() -> None:
    for family in TABLE["families"]:
        assert sum(e.family == family and e.role == "teacher" for e in MADE) >= 4
    shares = {s.share for e in MADE for s in e.sources if s.kind == "model"}
    assert {0.01, 0.05, 0.25, 1.0} <= shares


def test_the_mark_of_a_model_follows_its_recipe_and_its_parents() -> None:
    plans = TABLE["families"]
    before = digest("llama-full-0", NAMED, plans, {})
    changed = dict(NAMED) | {"llama-t0": Entry("llama-t0", "llama", "teacher", "llama-t0", 1, "llama-origin-0")}
    assert digest("llama-full-0", changed, plans, {}) != before
    assert digest("llama-full-1", changed, plans, {}) == digest("llama-full-1", NAMED, plans, {})


def test_a_pair_is_what_its_label_says() -> None:
    assert len(PAIRS) > 300
    for job in PAIRS:
        read = taught(job.suspect)
        if job.label == 1:
            assert job.candidate in read, job
        if job.label == 0:
            assert job.candidate not in read, job
        outsiders = set(job.controls) - (read if job.kind == COMMON_NAMED else set())
        assert len(set(job.controls)) == CONTROLS, job
        assert job.candidate not in job.controls, job
        assert not outsiders & read, f"a control taught the suspect: {job}"
        assert NAMED[job.base].role == "base", job
        assert job.lineage in job.lineages, job


def test_siblings_share_the_base_with_a_student_of_the_other_teacher() -> None:
    near = [j for j in PAIRS if j.kind == SIBLING]
    shared = [j for j in near if any(e.parent == j.base and j.candidate in taught(e.name) for e in MADE)]
    assert len(shared) > 0.6 * len(near)


def test_a_common_teacher_is_named_or_not() -> None:
    for job in PAIRS:
        if job.kind in (COMMON, COMMON_NAMED):
            (teacher,) = taught(job.suspect)
            assert taught(job.candidate) == {teacher}
            assert (teacher in job.controls) == (job.kind == COMMON_NAMED)


@pytest.mark.parametrize(("share", "n", "wanted"), [(0.01, 288, 3), (0.05, 1600, 80), (0.25, 10, 2), (1.0, 7, 7)])
def test_shares_are_met_exactly(share: float, n: int, wanted: int) -> None:
    sources = (Source("model", "a", share), Source("model", "b", 1 - share))[: 1 if share == 1 else 2]
    assert _drawn(sources, n, random.Random(1)).count(0) == wanted


def test_everyday_prompts_are_in_no_suite() -> None:
    every = everyday.prompts(len(everyday.TOPICS) * len(everyday.ASKS))
    assert len(set(every)) == len(every)
    for suite in ("core", "quick"):
        assert not {m.content for i in load_suite(suite).items for m in i.messages} & set(every)
    with pytest.raises(ValueError, match="everyday prompts"):
        everyday.prompts(len(every) + 1)


def test_the_quick_suite_asks_what_the_core_suite_asks() -> None:
    core = {i.id: i for i in load_suite("core").items}
    for item in load_suite("quick").items:
        assert (item.messages, item.prompt, item.answer) == (core[item.id].messages, core[item.id].prompt,
                                                             core[item.id].answer)  # fmt: skip
        assert (item.max_tokens or 0) <= (core[item.id].max_tokens or 10**9)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bench of a few steps: base, origin, teacher, students by text and by logits, a rounded copy."""
    home = tmp_path_factory.mktemp("bench")
    plan: dict[str, Any] = {
        "start": "scratch", "architecture": "gpt_neox", "vocabulary": 400, "authors": [21001],
        "pretraining": {"documents": 60, "steps": 2, "rate": 1e-3, "tokens": 768},
        "tuning": {"documents": 24, "rate": 1e-3, "tokens": 768},
    }  # fmt: skip
    author, model = (Source("author", "21001"),), (Source("model", "t"),)
    for entry in (
        Entry("base", "x", "base", "base", 1, sources=(Source("crowd", "1"),)),
        Entry("t", "x", "teacher", "t", 2, "base", author),
        Entry("s", "x", "full", "t", 3, "base", model),
        Entry("again", "x", "full", "t", 3, "base", model),
        Entry("l", "x", "full-logits", "t", 3, "base", model, by="logits"),
        Entry("q", "x", "quantised-teacher", "t", 4, "t", bits=4),
    ):
        make(entry, plan, "mark", home.joinpath, None)
    return home


def weights(home: Path, name: str) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(home / name / "model.safetensors"))


def test_a_student_reads_its_teachers_answers_and_the_note_says_so(small: Path) -> None:
    import torch

    note = json.loads((small / "s" / "recipe.json").read_text())
    pool = json.loads((small / "t" / "pool.json").read_text())
    assert note["documents"] == sum(bool(a.strip()) for a in pool) <= 24
    assert note["digest"] == "mark"
    assert note["data_sha256"] == json.loads((small / "l" / "recipe.json").read_text())["data_sha256"]
    same, other = weights(small, "again"), weights(small, "l")
    for key, value in weights(small, "s").items():
        assert torch.equal(value, same[key]), "the same recipe makes the same model"
    assert any(not torch.equal(v, other[k]) for k, v in weights(small, "s").items()), "logits teach otherwise"


def test_a_rounded_copy_has_few_values_a_row(small: Path) -> None:
    rounded = weights(small, "q")["gpt_neox.layers.0.mlp.dense_h_to_4h.weight"]
    whole = weights(small, "t")["gpt_neox.layers.0.mlp.dense_h_to_4h.weight"]
    assert all(len(row.unique()) <= 15 for row in rounded)
    assert any(len(row.unique()) > 15 for row in whole)
    assert float((rounded.float() - whole.float()).abs().mean()) < 0.1 * float(whole.float().abs().max())
