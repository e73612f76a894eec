"""Makes the shipped models again from nothing, on two CPU cores."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from forensics.workers import pool
from forensics.zoo import train
from forensics.zoo.recipe import SHIPPED, Recipe, by_name, digest

Progress = Callable[[str], None]
WORKERS = 2


def silent(message: str) -> None:
    """Progress that nobody wants to see."""


def home(out: Path, hidden: frozenset[str], name: str) -> Path:
    """Where a model lives: beside the others, or under `.work/` if it does not ship."""
    return out / ".work" / name if name in hidden else out / name


def is_made(path: Path, mark: str) -> bool:
    """Whether a finished model with this recipe hash is there; recipe.json is written last."""
    note = path / "recipe.json"
    return note.is_file() and json.loads(note.read_text())["digest"] == mark


def wanted(names: Collection[str], table: dict[str, Recipe]) -> list[Recipe]:
    """The named recipes and all that they need, parents first."""
    order: dict[str, Recipe] = {}

    def visit(name: str) -> None:
        for need in table[name].needs:
            visit(need)
        order[name] = table[name]

    for name in names:
        visit(name)
    return list(order.values())


class Made(Protocol):
    """What can be made: it has a name and names what must be there before."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def needs(self) -> tuple[str, ...]: ...  # noqa: D102


R = TypeVar("R", bound=Made)


def run(recipes: Collection[R], marks: Mapping[str, str], place: train.Home, make: Callable[[R, str], float],
        progress: Progress, workers: int = WORKERS) -> None:  # fmt: skip
    """Makes the recipes whose needs are met, `workers` at a time, until all are made; `make` must be picklable."""
    done = {name for name, mark in marks.items() if is_made(place(name), mark)}
    waiting = [recipe for recipe in recipes if recipe.name not in done]
    busy: dict[Future[float], str] = {}
    with pool(workers) as crew:
        while waiting or busy:
            ready = [r for r in waiting if done.issuperset(r.needs)][: workers - len(busy)]
            for recipe in ready:
                waiting.remove(recipe)
                busy[crew.submit(make, recipe, marks[recipe.name])] = recipe.name
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                name = busy.pop(future)
                progress(f"{name}: {future.result():.0f} s ({len(waiting) + len(busy)} to go)")
                done.add(name)


def ensure_tokenizer(path: Path) -> None:
    """Trains the shared tokenizer unless it is there."""
    if not (path / "tokenizer.json").is_file():
        train.make_tokenizer().save_pretrained(path)


def build(out: Path, *, names: Collection[str] | None = None, progress: Progress = silent,
          workers: int = WORKERS) -> None:  # fmt: skip
    """Makes the named shipped models (default: all) under `out/<name>`; what is already made is kept."""
    started, table = time.monotonic(), by_name(SHIPPED)
    chosen = wanted([r.name for r in SHIPPED if r.shipped] if names is None else names, table)
    hidden = frozenset({"tokenizer"} | {recipe.name for recipe in SHIPPED if not recipe.shipped})
    place = partial(home, out, hidden)
    ensure_tokenizer(place("tokenizer"))
    marks = {recipe.name: digest(recipe.name, table) for recipe in chosen}
    run(chosen, marks, place, partial(train.make, home=place), progress, workers)
    progress(f"zoo built in {time.monotonic() - started:.0f} s")
