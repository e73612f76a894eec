"""The bench's pairs -> the shipped ``logprob`` population, by the audit's own plan, store and comparators.

Each family has one case (``NAME.case`` beside its models). `collect_family` asks every model once what all its pairs
need; `score_family` makes the pairs' numbers from the case. Beside the audit's comparators stand columns that no
calibration reads: the next-token divergence with whole vocabularies and with five tokens, the length, two rivals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..audit import conditions_of
from ..backends import open_backend
from ..backends.base import Backend
from ..collect import ask
from ..comparators import COMPARATORS
from ..comparators.answer_overlap import TEXT_FAMILIES
from ..comparators.base import MIN_ITEMS, quick, relative
from ..comparators.divergence_tokens import DivergenceTokens, queries_until
from ..comparators.first_tokens import context_means
from ..comparators.next_token_divergence import LN2, NextTokenDivergence
from ..config import AuditConfig
from ..looks import answers_wanted, scorings_wanted
from ..plan import REDRAW, Party, Plan, gather, make_plan, prompt_key
from ..probes import FIRST_TOKEN, load_suite
from ..scoring import score_all, stream
from ..serial import lines
from ..store import Store
from ..types import Capabilities, Request, Sample, Unit
from ..verdict.calibrate import Pair, Population
from ..verdict.checks import length_only
from ..verdict.validate import BASELINE
from ..workers import pool
from . import rivals
from .bench import entries, recipe
from .bench_pairs import CONTROLS, SIBLING, Job, pairs
from .build import silent

SUITES = {"llama": "zoo", "neox": "zoo", "smollm2": "quick"}
CAPS = Capabilities(top_k=-1, prompt_scoring=True, full_logits=True, weights=True, seed=True, logprob_kind="raw")
FULL, FIVE = "next-token-divergence, whole vocabulary", "next-token-divergence, top 5"
TEXT = ("answer-overlap", "over-represented", "attribution", "opening-style", "relative-mmd")
TOKENS = ("next-token-divergence", "residual-correlation", "cross-likelihood", "runner-up", "memorisation",
          "divergence-tokens")  # fmt: skip
GRID = (0.1, 0.3, 1.0, 3.0, 10.0)  # strengths of the regularisation, chosen inside each fold
MODEST = 0.3  # for text: from 1 on two lineages under Hd come to LR 10
# Fixed on the bench itself (populations/CARD.md): with more columns the pairs of a named common teacher come through.
FUSED = ("runner-up", "over-represented")
RESAMPLES = 19  # only values are kept
Progress = Callable[[str], None]
CARD = (
    "Pairs of models whose lineage is known because they were trained for it (forensics/zoo/bench.toml): two "
    "architectures from random initialisation with their own tokenizers, and LoRA students of SmolLM2-135M-Instruct. "
    "Negatives are mostly siblings: same base, same prompts, another teacher. See forensics/populations/CARD.md."
)


def collect_family(family: str, models: Path, *, partial_ok: bool = False, progress: Progress = silent) -> None:
    """Ask every model of a family's pairs once. Resumable. ``partial_ok``: leave out models that are not made yet."""
    jobs = [j for j in _jobs() if j.family == family]
    with Store(models / f"{family}.case") as store:
        asyncio.run(_collect(jobs, models, store, partial_ok, progress))


async def _collect(jobs: Sequence[Job], models: Path, store: Store, partial_ok: bool, progress: Progress) -> None:
    made = {n for j in jobs for n in _names(j) if (models / n / "recipe.json").is_file()}
    jobs = [j for j in jobs if not partial_ok or made.issuperset(_names(j))]
    plans = {j: _plan(j, models) for j in jobs}
    for stage in ("answers", "scoring"):
        wanted: dict[str, dict[str, Request]] = {}
        for plan in plans.values():
            spec = {p.name: str(p.spec) for p in plan.parties}
            parts = scorings_wanted(plan, store) if stage == "scoring" else answers_wanted(plan)
            for party, asked in parts.items():
                wanted.setdefault(spec[party], {}).update({r.digest: r for r in asked if r.sample < REDRAW})
        for number, (text, requests) in enumerate(wanted.items(), 1):
            backend = open_backend(next(p.spec for plan in plans.values() for p in plan.parties if str(p.spec) == text))
            todo = [r for r in requests.values() if not store.has(backend.spec, r)]
            if todo:
                await _one(backend, todo, store, stage)
                progress(f"{stage} {number}/{len(wanted)}: {Path(text.partition('?')[0]).name}, {len(todo)} requests")


async def _one(backend: Backend, todo: list[Request], store: Store, stage: str) -> None:
    try:
        await ask({"model": backend}, {"model": todo}, store, stage)
    finally:
        await backend.close()


def _names(job: Job) -> tuple[str, ...]:
    return (job.suspect, job.candidate, *job.controls, job.base)


def _jobs() -> list[Job]:
    table = recipe()
    return pairs(entries(table), table["families"])


def _config(job: Job, models: Path) -> AuditConfig:
    # SmolLM2 in bfloat16: on processors that have it four times as fast, and far below what the comparators resolve.
    kind = "?dtype=bfloat16" if job.family == "smollm2" else ""
    spec = {n: f"hf/{models / n}{kind}" for n in _names(job)}
    controls = tuple(spec[c] for c in job.controls)
    return AuditConfig(spec[job.suspect], spec[job.candidate], controls, base=spec[job.base], suite=SUITES[job.family])


def _plan(job: Job, models: Path) -> Plan:
    config = _config(job, models)
    return make_plan(config, load_suite(config.suite), [Party(n, s, CAPS) for n, s in config.specs().items()])


def score_family(family: str, models: Path, *, progress: Progress = silent) -> list[Pair]:
    """The pairs' numbers, from the case alone (whole vocabularies: from the models, once, kept beside them)."""
    import torch

    torch.set_num_threads(1)
    jobs = [j for j in _jobs() if j.family == family]
    chosen = [quick(COMPARATORS.load(n)(), RESAMPLES) for n in COMPARATORS.names()]
    out = []
    with Store(models / f"{family}.case", must_exist=True) as store:
        for number, job in enumerate(jobs, 1):
            sample = gather(_plan(job, models), store)
            scores = score_all(sample, chosen, 0)
            values = {s.comparator: s.value for s in scores}
            values[BASELINE] = length_only(sample, stream(0, BASELINE)).value
            first = sample.rows(lambda unit: unit.family == FIRST_TOKEN)
            five = NextTokenDivergence(censor=5, ablate=False, resamples=RESAMPLES)
            values[FIVE] = five.compare(first, stream(0, FIVE)).value
            values[FULL] = _full(job, models, first)
            values |= {name: rival(sample) for name, rival in rivals.RIVALS.items()}
            kept = {k: None if v is None else float(f"{v:.6g}") for k, v in values.items()}
            row = (job.suspect, job.candidate, job.kind, job.label, job.lineage, job.lineages)
            out.append(Pair(*row, kept, asked=_asked(sample)))
            if number % 10 == 0:
                progress(f"{family}: {number} of {len(jobs)} pairs scored")
    return out


def _asked(sample: Sample) -> tuple[int, int | None]:
    """How many one-token queries `divergence-tokens` has for the reference, and how many it needed to reach 100."""
    test = DivergenceTokens()
    part = sample.rows(lambda unit: unit.family in test.families)
    hits = [h for row in test.hits(part, "reference") for h in row]
    return len(hits), queries_until(hits, test.pi0, test.evidence)


def _full(job: Job, models: Path, sample: Sample) -> float | None:
    """Next-token divergence on whole vocabularies; None where the parties do not share a tokenizer."""
    names = (job.suspect, job.candidate, *job.controls)
    tables = [distributions(models / n, sample.units, job.family) for n in names]
    if any(t.shape != tables[0].shape for t in tables):
        return None
    closeness = np.stack([-_divergence(tables[0], other) for other in tables[1:]], axis=1)
    score = relative(FULL, context_means(sample, closeness), list(names[1:]), stream(0, FULL), resamples=RESAMPLES)
    return score.value


def _divergence(p: Any, q: Any) -> Any:
    """Jensen-Shannon divergence in bits, row by row ``(contexts,)`` of ``(contexts, vocabulary)``."""
    from scipy.special import rel_entr

    out = np.empty(len(p))
    for i in range(len(p)):
        x, y = p[i].astype(np.float64), q[i].astype(np.float64)
        m = 0.5 * (x + y)
        out[i] = 0.5 * (rel_entr(x, m).sum() + rel_entr(y, m).sum()) / LN2
    return out


def distributions(folder: Path, units: Sequence[Unit], family: str) -> Any:
    """Next-token probabilities ``(contexts, vocabulary)``, float32, kept in ``next-token.npy`` beside the model."""
    path = folder / "next-token.npy"
    if path.is_file():
        return np.load(path, mmap_mode="r")
    import torch

    from ..backends.local import encode_prompt
    from ..backends.local_model import Source, load_model

    model = load_model(Source(str(folder), folder=folder, dtype="bfloat16" if family == "smollm2" else None))
    rows = []
    with torch.inference_mode():
        for unit in units:
            ids = torch.tensor([encode_prompt(model, unit.request)])
            rows.append(model.model(input_ids=ids, use_cache=False).logits[0, -1].float().softmax(-1).numpy())
    table = np.stack(rows).astype(np.float32)
    np.save(path, table)
    return table


def build_populations(models: Path, out: Path, *, progress: Progress = silent, workers: int = 2) -> None:
    """Collect and score every family; writes ``logprob.json`` and ``text-base.json`` into ``out``. Resumable."""
    with pool(workers) as crew:
        scored = [p for part in crew.map(partial(_family, models=models), SUITES) for p in part]
    progress(f"{len(scored)} pairs scored")
    for population in populations(scored, models):
        (out / f"{population.name}.json").write_text(lines(population), encoding="utf-8")


def _family(family: str, models: Path) -> list[Pair]:
    import torch

    torch.set_num_threads(1)
    collect_family(family, models)
    return score_family(family, models)


def populations(scored: Sequence[Pair], models: Path) -> tuple[Population, Population]:
    """``logprob``, for models that can score given answers, and ``text-base``, for recorded answers with a base's.

    The same pairs; the second has only what text gives, and speaks about answers to the bench's own prompts.
    """
    plans = {f: _plan(next(j for j in _jobs() if j.family == f), models) for f in SUITES}
    suites = sorted({conditions_of(plan)["suite"] for plan in plans.values()})
    made = {"providers": ["gguf", "hf", "zoo"], "suites": suites, "base": True, "temperature": 1.0,
            "min_controls": CONTROLS}  # fmt: skip
    swapped = {name: tuple(name if c == "next-token-divergence" else c for c in TOKENS) for name in (FULL, FIVE)}
    subsets = {"log-probs": TOKENS, "whole vocabulary": swapped[FULL],
               "top 5": swapped[FIVE], "text": TEXT}  # fmt: skip
    logprob = Population("logprob", CARD, made, FUSED, tuple(scored), GRID, None, SIBLING, subsets)
    asked = sorted({prompt_key(r) for plan in plans.values() for r in plan.requests if r.probe in TEXT_FAMILIES})
    told = {"providers": ["file"], "base": True, "items": [MIN_ITEMS, None], "prompts": asked,
            "min_controls": CONTROLS}  # fmt: skip
    kept = (*TEXT, BASELINE)
    text = tuple(replace(p, scores={k: p.scores.get(k) for k in kept}, asked=None) for p in scored)
    return logprob, Population("text-base", CARD, told, TEXT, text, (MODEST,), None, SIBLING)
