"""Lineages of known truth -> the shipped ``zoo`` population: every pair scored through the audit's own code.

Pairs: each student against its teacher (Hp), a quarter student against both of its teachers (Hp), and students,
independents and bases against teachers that taught them nothing (Hd); among these always the hard negative, a teacher
of another student of the *same base* who answered the *same prompts*. Descendants (copied weights) carry no label.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..audit import conditions_of
from ..backends import open_backend
from ..backends.base import Backend
from ..collect import Budget, fill
from ..comparators import COMPARATORS
from ..config import AuditConfig
from ..plan import Party, Plan, gather, make_plan
from ..probes import load_suite
from ..scoring import score_all, stream
from ..serial import lines
from ..store import Store
from ..types import Capabilities
from ..verdict.calibrate import Pair, Population
from ..verdict.checks import length_only
from ..verdict.validate import BASELINE
from ..workers import pool
from .bench_pairs import CONTROLS, Job

WRONG = 2  # wrong candidates a student
CARD = (
    "Models of under half a million parameters, trained from random initialisation on text of seeded grammars, audited "
    "with the zoo suite, their base known and three controls. Students had 25, 75 or 100 % of their text from the "
    "teacher; the 24 lineages share four bases and four origins. It says nothing about any real language model."
)
CAPS = Capabilities(top_k=-1, prompt_scoring=True, full_logits=True, weights=True, seed=True, logprob_kind="raw")


def jobs(rows: list[dict[str, Any]], seed: int = 0) -> list[Job]:
    """All pairs of a lineage manifest (`lineages.json`), drawn by one seed."""
    rng = np.random.default_rng(seed)
    models = {r["name"]: r for r in rows}
    teachers = [r["name"] for r in rows if r["role"] == "teacher"]
    bases = {r["name"] for r in rows if r["role"] == "base"}
    taught = {b: sorted({n for r in rows if r["base"] == b for n in r["teachers"]}) for b in bases}
    out: list[Job] = []
    for row in rows:
        # A base named for a model that does not come from it would be refused by the audit; so here.
        if row["role"] not in ("student", "student-25", "independent", "descendant") or (
            row["role"] == "independent" and row["base"] not in bases
        ):
            continue
        true = sorted(row["teachers"], key=lambda t: -row["teachers"][t])
        if row["role"] == "descendant":
            true = [row["base"]]
        base = row["base"] if row["base"] in bases else sorted(bases)[0]
        wrong = [t for t in teachers if t not in true and models[t]["lineage"] != row["lineage"]]
        rng.shuffle(wrong)
        near = [t for t in wrong if t in taught[base]]
        wrong = list(dict.fromkeys([*near[:1], *wrong]))[: 0 if row["role"] == "descendant" else WRONG]
        for candidate in (*true, *wrong):
            label = None if row["role"] == "descendant" else int(candidate in true)
            out.append(_job(row, candidate, label, base, models, teachers, rng))
    return out


def _job(
    row: dict[str, Any], candidate: str, label: int | None, base: str, models: dict[str, Any], teachers: list[str],
    rng: np.random.Generator,
) -> Job:  # fmt: skip
    touched = {row["lineage"] or row["name"], models[candidate]["lineage"]}
    touched |= {models[t]["lineage"] for t in row["teachers"]}
    free = [t for t in teachers if models[t]["lineage"] not in touched]
    # Few bases are shared by many lineages: a fold leaves out everything that shares the pair's base as well.
    touched.add(base)
    controls = tuple(str(c) for c in rng.choice(free, size=CONTROLS, replace=False))
    share = row["teachers"].get(candidate, 0.0)
    kind = f"student, {share:.0%} of its text" if label else row["role"]
    if label == 0:
        kind = "student of other teachers" if row["teachers"] else row["role"]
    lineage = row["lineage"] or row["name"]
    return Job(row["name"], candidate, kind, label, lineage, tuple(sorted(touched)), controls, base)


def build_population(
    models: Path, out: Path, *, progress: Callable[[str], None] = lambda _: None, workers: int = 2
) -> Population:
    """Score every pair of ``models/lineages.json`` and write the population to ``out``.

    Resumable: each worker keeps a case of its own beside the models, and asks nothing twice.
    """
    work = jobs(json.loads((models / "lineages.json").read_text()))
    suspects = sorted({job.suspect for job in work})
    shard = {name: number % workers for number, name in enumerate(suspects)}
    parts = [[job for job in work if shard[job.suspect] == k] for k in range(workers)]
    with pool(workers) as crew:
        futures = [crew.submit(score_jobs, part, models, k) for k, part in enumerate(parts)]
        scored = {(p.suspect, p.candidate): p for future in futures for p in future.result()}
    progress(f"{len(scored)} pairs scored")
    conditions = conditions_of(_plan(_config(work[0], models)))
    kept = {key: conditions[key] for key in ("suite", "base", "temperature")}
    made = {"providers": ["zoo"], **kept, "min_controls": CONTROLS}
    pairs = tuple(scored[job.suspect, job.candidate] for job in work)
    population = Population("zoo", CARD, made, COMPARATORS.names(), pairs)
    out.write_text(lines(population), encoding="utf-8")
    return population


def score_jobs(part: list[Job], models: Path, number: int) -> list[Pair]:
    """One worker's pairs, with one thread: two workers share two cores."""
    import torch

    torch.set_num_threads(1)
    with Store(models / f"population-{number}.case") as store:
        return [asyncio.run(_pair(job, models, store)) for job in part]


def _config(job: Job, models: Path) -> AuditConfig:
    spec = {n: f"hf/{models / n}" for n in (job.suspect, job.candidate, job.base, *job.controls)}
    controls = tuple(spec[c] for c in job.controls)
    # A base audited as its own suspect is still a valid pair: training added nothing, and the score must say so.
    return AuditConfig(spec[job.suspect], spec[job.candidate], controls, base=spec[job.base], suite="zoo")


def _plan(config: AuditConfig) -> Plan:
    specs = config.specs()
    return make_plan(config, load_suite(config.suite), [Party(n, s, CAPS) for n, s in specs.items()])


async def _pair(job: Job, models: Path, store: Store) -> Pair:
    plan = _plan(_config(job, models))
    backends: dict[str, Backend] = {p.name: open_backend(p.spec) for p in plan.parties}
    try:
        await fill(plan, backends, store, Budget())
    finally:
        for backend in backends.values():
            await backend.close()
    sample = gather(plan, store)
    chosen = [COMPARATORS.load(name)() for name in COMPARATORS.names()]
    scores = score_all(sample, [c if not hasattr(c, "ablate") else type(c)(ablate=False) for c in chosen], 0)
    scores.append(length_only(sample, stream(0, BASELINE)))  # a baseline for `validate`; no calibration reads it
    values = {s.comparator: None if s.value is None else float(f"{s.value:.6g}") for s in scores}
    return Pair(job.suspect, job.candidate, job.kind, job.label, job.lineage, job.lineages, values)


__all__ = ["Job", "build_population", "jobs"]
