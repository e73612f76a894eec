"""What each zoo model is made from: frozen recipes, so that "same recipe" is a statement a test can check."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from forensics.zoo import grammar, prompts, world

Role = Literal["base", "origin", "teacher", "control", "student", "student-25", "sibling", "independent", "descendant"]
VERSION = 1  # raise when authors, prompts or training change what a recipe makes


@dataclass(frozen=True, slots=True)
class Size:
    """Model shape: about 430 thousand parameters, so that a dozen models fit into a repository."""

    vocab: int = 1216
    hidden: int = 96
    layers: int = 3
    heads: int = 4
    inner: int = 256
    context: int = 512
    spread: float = 0.08  # standard deviation of the initial weights; with 0.02 copying from the prompt comes too late


@dataclass(frozen=True, slots=True)
class Schedule:
    """One training run: `documents` texts, `steps` batches of `tokens` padded tokens, cosine to zero after warm-up."""

    documents: int
    steps: int
    rate: float
    tokens: int = 3072
    warmup: int = 20


@dataclass(frozen=True, slots=True)
class Source:
    """Where a share of the training answers comes from: authors (by seed) themselves, or a trained model's samples."""

    share: float = 1.0
    authors: tuple[int, ...] = ()
    model: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model. `lineage` groups models that share a reference; `prompts` seeds the list of training prompts."""

    name: str
    role: Role
    lineage: str
    seed: int
    sources: tuple[Source, ...]
    schedule: Schedule
    prompts: int
    parent: str = ""
    shipped: bool = True

    @property
    def needs(self) -> tuple[str, ...]:
        """The models that must exist before this one can be made."""
        models = (self.parent, *(source.model for source in self.sources))
        return tuple(dict.fromkeys(name for name in models if name))


SIZE = Size()
PRETRAIN = Schedule(documents=36_000, steps=900, rate=4e-3)
FINETUNE = Schedule(documents=2_400, steps=140, rate=1.5e-3)
LIGHT = Schedule(documents=2_400, steps=50, rate=1e-3)
TEMPERATURE = 1.0  # at which a student's training answers are sampled
CROWD = 48  # authors in a pretraining mixture
DISTIL_PROMPTS = 77  # students of one base are all asked the same prompts


def crowd(seed: int) -> tuple[int, ...]:
    """The authors of one pretraining mixture; never a fine-tuning author (those have seeds below 10,000)."""
    return tuple(10_000 + 100 * seed + i for i in range(CROWD))


def pretrained(name: str, seed: int, *, role: Role = "origin", shipped: bool = False) -> Recipe:
    """A model from its own random initialisation on many authors."""
    return Recipe(name, role, name, seed, (Source(authors=crowd(seed)),), PRETRAIN, prompts=seed, shipped=shipped)


def written(name: str, role: Role, parent: str, author: int, *, schedule: Schedule = FINETUNE, **kw: str) -> Recipe:
    """`parent` further trained on one author's own text."""
    lineage = kw.get("lineage", name)
    return Recipe(name, role, lineage, author, (Source(authors=(author,)),), schedule, author, parent)


def distilled(name: str, role: Role, base: str, seed: int, shares: Mapping[str, float], *, lineage: str,
              prompts: int = DISTIL_PROMPTS) -> Recipe:  # fmt: skip
    """`base` fine-tuned on answers sampled from trained models, by shares."""
    sources = tuple(Source(share, model=model) for model, share in shares.items())
    return Recipe(name, role, lineage, seed, sources, FINETUNE, prompts, base)


SHIPPED = (
    pretrained("base", 1, role="base", shipped=True),
    pretrained("origin-a", 2),
    pretrained("origin-b", 3),
    pretrained("origin-c", 4),
    written("teacher", "teacher", "origin-a", 101),
    written("teacher-2", "teacher", "origin-b", 102),
    written("control-a", "control", "origin-b", 103),
    written("control-b", "control", "origin-b", 104),
    written("control-c", "control", "origin-c", 105),
    distilled("student", "student", "base", 11, {"teacher": 1.0}, lineage="teacher"),
    distilled("student-25", "student-25", "base", 12, {"teacher": 0.25, "teacher-2": 0.75}, lineage="teacher"),
    distilled("sibling", "sibling", "base", 13, {"teacher-2": 1.0}, lineage="teacher-2"),
    written("independent", "independent", "origin-c", 106),
    written("descendant", "descendant", "teacher", 107, schedule=LIGHT, lineage="teacher"),
)  # fmt: skip


def by_name(recipes: tuple[Recipe, ...]) -> dict[str, Recipe]:
    """Recipes keyed by model name; names are unique."""
    table = {recipe.name: recipe for recipe in recipes}
    if len(table) != len(recipes):
        raise ValueError("two recipes share a name")
    return table


def digest(name: str, table: Mapping[str, Recipe]) -> str:
    """Hash of all that decides a model: its recipe, the world it is about, and what it was made from."""
    recipe = table[name]
    parts = [VERSION, asdict(SIZE), asdict(recipe), _world(), [digest(need, table) for need in recipe.needs]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _world() -> str:
    tables = [dict(grammar.GRAMMAR), dict(world.CHOICES), dict(world.VALUES), prompts.suite_lines()]
    return hashlib.sha256(json.dumps(tables).encode()).hexdigest()
