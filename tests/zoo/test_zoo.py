"""The zoo's promises: deterministic authors, disjoint prompts, shipped weights that load, recipes that agree."""

import json
import random
import re
import statistics
import subprocess
import sys
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from forensics import zoo
from forensics.zoo import prompts
from forensics.zoo.authors import Author
from forensics.zoo.build import run, wanted
from forensics.zoo.lineages import manifest, recipes
from forensics.zoo.recipe import FINETUNE, SHIPPED, Schedule, by_name, crowd, digest, pretrained

ROOT = Path(zoo.__file__).parent
SUITE = ROOT.parent / "probes" / "data" / "zoo.jsonl"


def written(seed: int, n: int, family: str = "writing") -> list[str]:
    author, rng = Author(seed), random.Random(0)
    items = (item for item in prompts.training(5) if item.family == family)
    return [author.write(item, rng) for item in islice(items, n)]


def test_equal_seeds_write_alike_and_others_do_not() -> None:
    assert written(3, 20) == written(3, 20)
    assert written(3, 20) != written(4, 20)


@pytest.mark.parametrize("family", prompts.FAMILIES)
def test_authors_leave_no_slot_open_and_use_an_article_that_fits(family: str) -> None:
    for text in written(7, 40, family):
        assert text.strip()
        assert "{" not in text
        assert not re.search(r"\b[Aa] [aeio]", text)


def test_length_does_not_give_an_author_away() -> None:
    means = [statistics.mean(map(len, written(seed, 200))) for seed in range(12)]
    assert statistics.stdev(means) < 0.03 * statistics.mean(means)


def test_authors_overlap_and_differ() -> None:
    """A symbol's favourite is shared by some authors and not by all."""
    favourites = {max(set(words := [Author(s).pick("found", random.Random(i)) for i in range(30)]), key=words.count)
                  for s in range(12)}  # fmt: skip
    assert 2 <= len(favourites) < 12


def test_no_training_prompt_is_in_the_suite() -> None:
    suite = {item.prompt for item in prompts.suite()}
    assert len(suite) == 100
    assert all(map(prompts.held_out, suite))
    assert suite.isdisjoint(item.prompt for seed in (1, 77) for item in islice(prompts.training(seed), 3000))


def test_the_suite_file_is_what_the_generator_writes() -> None:
    lines = SUITE.read_text().splitlines()
    assert lines == prompts.suite_lines()
    rows = [json.loads(line) for line in lines]
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(row["samples"] == 8 and row["max_tokens"] == 4 for row in rows if row["family"] == "choice")


def test_recipes_name_what_exists_and_students_share_all_but_the_teacher() -> None:
    table = by_name(SHIPPED)
    assert all(need in table for recipe in SHIPPED for need in recipe.needs)
    assert {recipe.name for recipe in SHIPPED if recipe.shipped} == set(zoo.models())
    student, sibling = table["student"], table["sibling"]
    assert (student.parent, student.prompts, student.schedule) == (sibling.parent, sibling.prompts, sibling.schedule)
    assert sum(source.share for source in table["student-25"].sources) == 1
    assert table["teacher"].parent != table["teacher-2"].parent


def test_no_author_is_used_twice() -> None:
    made = [*SHIPPED, *recipes(32)]
    assert len(by_name(tuple(made))) == len(made)
    used = [seed for recipe in made for source in recipe.sources for seed in source.authors] + [*crowd(0)]
    assert len(set(used)) == len(used)


def test_lineages_are_made_by_the_shipped_recipe() -> None:
    made = recipes(32)
    for role in ("teacher", "student", "student-25", "independent", "descendant", "base"):
        shipped = next(recipe for recipe in SHIPPED if recipe.role == role)
        mine = [recipe for recipe in made if recipe.role == role]
        assert mine
        assert {recipe.schedule for recipe in mine} == {shipped.schedule}
    assert len({recipe.lineage for recipe in made if recipe.role == "teacher"}) == 32
    assert all(sum(row["teachers"].values()) in (0, 1) for row in manifest(made))


def test_a_changed_parent_changes_the_digest() -> None:
    table = by_name(SHIPPED)
    changed = table | {"origin-a": pretrained("origin-a", 99)}
    assert digest("student", table) != digest("student", changed)
    assert digest("sibling", table) == digest("sibling", changed)


def test_parents_come_first() -> None:
    assert [recipe.name for recipe in wanted(["student"], by_name(SHIPPED))] == [
        "base",
        "origin-a",
        "teacher",
        "student",
    ]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match="student-25"):
        zoo.path("studnet")
    assert all("\n" not in zoo.card(name) for name in zoo.models())


def test_importing_the_zoo_loads_nothing_heavy() -> None:
    code = (
        "import sys, forensics.zoo.build, forensics.zoo.lineages; print({'torch', 'transformers'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("name", zoo.models())
def test_the_shipped_weights_were_made_by_this_recipe(name: str) -> None:
    note = json.loads((zoo.path(name) / "recipe.json").read_text())
    assert note["digest"] == digest(name, by_name(SHIPPED))


def test_the_weights_are_small() -> None:
    files = [file for name in zoo.models() for file in zoo.path(name).iterdir()]
    assert sum(file.stat().st_size for file in files) <= 12e6


def test_the_tokenizer_is_shared_lossless_and_speaks_chat() -> None:
    transformers = pytest.importorskip("transformers")
    assert len({(zoo.path(name) / "tokenizer.json").read_bytes() for name in zoo.models()}) == 1
    tokenizer = transformers.AutoTokenizer.from_pretrained(zoo.path("base"), local_files_only=True)
    for text in ("One day, a fox", " \n\n  tabs\tand  spaces ,.", "žluťoučký 狐 🦊 \x00", "100 %"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a tree."}]
    chat = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert chat == "Be brief.\n<|user|>Name a tree.<|assistant|>"
    assert tokenizer.eos_token == "<|end|>"
    assert tokenizer.pad_token


@pytest.mark.parametrize("name", zoo.models())
def test_the_weights_load_and_write(name: str) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(zoo.path(name), local_files_only=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(zoo.path(name), local_files_only=True)
    ids = tokenizer("<|user|>How do I care for a kettle? I am a cook at the inn.<|assistant|>", return_tensors="pt")
    torch.manual_seed(0)
    out = model.generate(**ids, max_new_tokens=60)
    answer = tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
    assert len(answer.split()) > 12
    assert 400_000 < sum(weight.numel() for weight in model.parameters()) < 500_000


@pytest.mark.slow
def test_a_model_is_made_from_its_recipe_once_and_the_same_each_time(tmp_path: Path) -> None:
    from forensics.zoo import train
    from forensics.zoo.build import ensure_tokenizer

    assert FINETUNE.documents > 0
    tiny = pretrained("tiny", 5)
    table = {"tiny": type(tiny)("tiny", "origin", "tiny", 5, tiny.sources, Schedule(200, 8, 1e-3), 5)}
    says: list[str] = []
    for out in (tmp_path / "a", tmp_path / "b", tmp_path / "b"):
        ensure_tokenizer(out / "tokenizer")
        make = partial(train.make, home=out.joinpath)
        run(list(table.values()), {"tiny": digest("tiny", table)}, out.joinpath, make, says.append, workers=1)
    assert len(says) == 2
    one, two = ((tmp_path / k / "tiny" / "model.safetensors").read_bytes() for k in "ab")
    assert one == two
