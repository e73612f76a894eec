"""Recorded answers of models of documented lineage -> a text population: every pair scored through the audit's code.

Pairs: each suspect against one release of every teacher that taught somebody in the manifest (Hp or Hd, as documented)
and of ``WRONG`` further teachers (Hd); and weight descendants and re-prompted variants against their parents, without a
label, to know what shared weights look like. Controls are drawn anew for every pair, from vendors that are neither the
suspect's nor the candidate's: an investigator's choice of controls is part of what the error rates must cover.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .answers import read_answers
from .audit import text_conditions
from .comparators import COMPARATORS
from .comparators.base import quick
from .errors import UsageError
from .manifest import INDEPENDENT, Model, label, read_manifest, related
from .pairing import pair
from .plan import prompt_key
from .scoring import score_all, stream
from .threads import single_threaded
from .types import Column, Sample, Unit
from .verdict.calibrate import Pair, Population
from .verdict.checks import length_only
from .verdict.validate import BASELINE
from .workers import pool

CONTROLS = 8
MIN_CONTROLS = 5
WRONG = 3
# What is fused reads equally much of every answer, or divides by its length; over whole answers, length and topic carry
# the likeness. What is only shown is scored too: `answer-overlap` knows shared weights when it sees them.
FUSED = ("over-represented", "attribution", "opening-style", "relative-mmd")
SHOWN = ("answer-overlap", "style-delta")
ALIKE = "answer-overlap"
GRID = (0.1, 0.3, 1.0)


@dataclass(frozen=True, slots=True)
class Job:
    """One pair to score, with its controls, all by name."""

    suspect: str
    candidate: str
    kind: str
    label: int | None
    lineage: str
    group: str
    controls: tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """Answers of many models to the same items."""

    models: tuple[Model, ...]
    units: tuple[Unit, ...]
    columns: dict[str, Column]

    def first(self, items: int | None) -> Corpus:
        """Only ``items`` of the items, drawn by the digest of what was asked."""
        rows = sorted(range(len(self.units)), key=lambda i: self.units[i].request.digest)[:items]
        units = tuple(self.units[i] for i in rows)
        return Corpus(self.models, units, {n: tuple(c[i] for i in rows) for n, c in self.columns.items()})

    def sample(self, job: Job) -> Sample:
        """What a comparator sees of a pair."""
        controls = {name: self.columns[name] for name in job.controls}
        return Sample(self.units, self.columns[job.suspect], self.columns[job.candidate], controls)


def read_corpus(manifest: str | Path) -> Corpus:
    """All answers of a manifest, paired. Errors: `UsageError` for a file that is missing or has nothing in common."""
    models = read_manifest(manifest)
    files = {m.name: read_answers(m.path) for m in models}
    paired = pair(files, need=tuple(files))
    return Corpus(models, paired.units, dict(paired.columns))


def jobs(models: Sequence[Model], seed: int = 0) -> list[Job]:
    """All pairs of a manifest. Errors: `UsageError` if nobody is documented to have been taught by anybody here."""
    teachers = [m for m in models if m.role == "teacher"]
    taught = {t.column for t in teachers if any(label(s, t) == 1 for s in models)}
    if not taught:
        raise UsageError("no model of the manifest is documented as a student of another one in it: nothing to learn")
    out: list[Job] = []
    for suspect in models:
        rng = stream(seed, f"pairs of {suspect.name}")
        for candidate in models:
            kind = related(suspect, candidate)
            if kind is not None:
                out.append(_job(suspect, candidate, None, kind, models, rng))
        if suspect.role not in INDEPENDENT:
            continue
        by_column: dict[str, list[Model]] = {}
        for t in teachers:
            if label(suspect, t) is not None:
                by_column.setdefault(t.column, []).append(t)
        further = [c for c in by_column if c not in taught]
        rng.shuffle(further)
        for column in [c for c in by_column if c in taught] + further[:WRONG]:
            candidate = by_column[column][int(rng.integers(len(by_column[column])))]
            truth = label(suspect, candidate)
            kind = "student" if truth else ("student of other teachers" if suspect.role == "student" else suspect.role)
            out.append(_job(suspect, candidate, truth, kind, models, rng))
    return [job for job in out if len(job.controls) >= MIN_CONTROLS]


def _job(
    suspect: Model, candidate: Model, truth: int | None, kind: str, models: Sequence[Model], rng: np.random.Generator
) -> Job:
    free = [
        m for m in models
        if m.role in ("teacher", "control") and m.vendor not in (suspect.vendor, candidate.vendor)
        and (label(suspect, m) == 0 or truth is None) and m.cluster not in (suspect.cluster, candidate.cluster)
    ]  # fmt: skip
    order = [free[int(i)] for i in rng.permutation(len(free))]
    # As many makers as there are, before a second model of any: controls of one maker resemble each other.
    rank: dict[str, int] = {}
    turn = []
    for m in order:
        turn.append(rank.get(m.vendor, 0))
        rank[m.vendor] = turn[-1] + 1
    chosen = [order[i].name for i in sorted(range(len(order)), key=lambda i: (turn[i], i))][:CONTROLS]
    return Job(suspect.name, candidate.name, kind, truth, suspect.cluster, candidate.column, tuple(chosen))


def build(
    corpus: Corpus, name: str, card: str, *, items: tuple[int, int | None], seed: int = 0, workers: int = 2,
    progress: Callable[[str], None] = lambda _: None,
) -> Population:  # fmt: skip
    """Score every pair; the population speaks for cases of ``items[0]`` to ``items[1]`` items."""
    part = corpus.first(None if items[1] is None else items[0])
    work = jobs(corpus.models, seed)
    shards = [work[k::workers] for k in range(workers)]
    # fork shares the answers with the workers; nothing here has started a thread.
    with pool(workers, "fork") as crew:
        futures = [crew.submit(score_jobs, part, shard, seed) for shard in shards if shard]
        rows = {(j.suspect, j.candidate): r for f, s in zip(futures, shards, strict=False) for j, r in f.result()}
    progress(f"{len(rows)} pairs scored on {len({u.item for u in part.units})} items")
    pairs = tuple(_pair(job, rows[job.suspect, job.candidate][0]) for job in work)
    lengths = np.array([rows[j.suspect, j.candidate][1] for j in work if j.label is not None])
    conditions: dict[str, Any] = {
        "base": False,
        "items": list(items),
        "min_controls": MIN_CONTROLS,
        "length_ratio": [round(float(q), 3) for q in np.quantile(lengths[:, 0], [0.01, 0.99])],
        "one_sided_length": round(float(np.quantile(lengths[:, 1], 0.99)), 3),
        "prompts": sorted({prompt_key(u.request) for u in corpus.units}),
    }
    return Population(name, card, conditions, FUSED, pairs, GRID, _alike(pairs))


def _alike(pairs: Sequence[Pair]) -> tuple[str, float] | None:
    """See `Population.same_model`."""
    values = [v for p in pairs if p.label is not None and (v := p.scores.get(ALIKE)) is not None]
    return (ALIKE, max(values)) if values else None


Row = tuple[dict[str, float | None], tuple[float, float]]


@single_threaded
def score_jobs(corpus: Corpus, part: Iterable[Job], seed: int) -> list[tuple[Job, Row]]:
    """Values of all text comparators, without their intervals: a population needs none."""
    chosen = [quick(COMPARATORS.load(name)(), 2) for name in (*FUSED, *SHOWN)]
    out = []
    for job in part:
        sample = corpus.sample(job)
        scores = [*score_all(sample, chosen, seed), length_only(sample, stream(seed, BASELINE))]
        values = {s.comparator: None if s.value is None else float(f"{s.value:.6g}") for s in scores}
        found = text_conditions(sample)
        out.append((job, (values, (found["length_ratio"], found["one_sided_length"]))))
    return out


def _pair(job: Job, scores: dict[str, float | None]) -> Pair:
    touched = tuple(sorted({job.lineage, job.group}))
    return Pair(job.suspect, job.candidate, job.kind, job.label, job.lineage, touched, scores, job.group)
