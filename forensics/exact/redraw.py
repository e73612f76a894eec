"""Served answers, redraws, scores: what `regeneration.judge` reads, asked for and laid out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from ..store import Store
from ..types import Listener, Request, silent
from .case import rounded
from .gather import Panel, Texts, complete, panel
from .ranks import Array
from .served import Log, Served, digest_of, read_redraws

FORMS = ("log-probs", "answers", "continuation")
HEAD = 8  # words of each draw that the continuation form shows
HELD_BACK = 200  # calls of unsuspected accounts that are redrawn for the check


@dataclass(frozen=True, slots=True)
class Plan:
    """How a regeneration test is made; everything here is fixed before any answer is compared."""

    draws: int = 8
    items: int = 1000
    form: str | None = None
    samples: int = 3
    seed: int = 0
    template: str | None = None
    redraws: Path | None = None


async def inputs(
    log: Log, specs: Mapping[str, str], plan: Plan, store: Store, progress: Listener = silent
) -> dict[str, Any]:
    """Redraw, score, lay out. ``specs``: suspect, perhaps reference and base, further scorers under their own names.

    Errors: `UsageError` without a reference and without redraws, for an unknown form, or for a form that the suspect
    can't serve; `BackendError` as anywhere.
    """
    if plan.redraws is None and "reference" not in specs:
        raise UsageError("nothing to redraw from: give --reference SPEC, or --redraws FILE")
    mine, held = list(log.suspected[: plan.items]), list(log.others[:HELD_BACK])
    async with panel(specs, store, progress) as models:
        form = _form(plan, models, specs["suspect"])
        redrawn = read_redraws(plan.redraws, mine, held, plan.draws) if plan.redraws else None
        mine, texts = await _draws(mine, plan, redrawn, models)
        held, held_texts = await _draws(held, plan, redrawn, models)
        asked = [_asked(call, plan.template) for call in mine]
        scores, controls = await _scores(form, mine, asked, texts, plan, models)
        keep = complete(scores, *controls.values()) if len(texts) else np.zeros(0, int)
        checks = await _checks("suspected", asked, texts, controls.get("reference"), models)
        checks += await _checks("unsuspected", [_asked(c, plan.template) for c in held], held_texts, None, models)
        left_out = len(log.suspected[: plan.items]) - len(keep)
        return {
            "test": "regeneration", "form": form, "seed": plan.seed, "draws": digest_of(texts), "log": log.digest,
            "parties": dict(specs), "notes": [*log.notes, f"{left_out} items left out whole"],
            "scores": rounded(scores[keep]), "controls": {k: rounded(v[keep]) for k, v in controls.items()},
            "checks": checks,
        }  # fmt: skip


def _form(plan: Plan, models: Panel, suspect: str) -> str:
    able = models.scores("suspect", plan.template)
    form = plan.form or ("log-probs" if able else "answers")
    if form not in FORMS:
        raise UsageError(f"the forms of regeneration are {', '.join(FORMS)}, not {form!r}")
    if form == "log-probs" and not able:
        raise UsageError(
            f"{suspect} can't score given answers here: use --form answers, or --template for its raw prompt"
        )
    return form


async def _draws(
    calls: Sequence[Served], plan: Plan, redrawn: Mapping[str, list[str]] | None, models: Panel
) -> tuple[list[Served], list[list[str]]]:
    """Calls whose draws are all usable, and their texts ``[n][1 + m]``, the served one first.

    A call is left out whole if any of its draws is missing, so what is left out does not depend on which was served.
    """
    if redrawn is not None:
        rows = [[c.text, *redrawn[c.key]] for c in calls if c.key in redrawn]
        calls = [c for c in calls if c.key in redrawn]
    else:
        requests = [
            Request("regeneration", f"log-{c.line}", c.messages, sample=j,
                    sampling=replace(c.sampling, seed=plan.seed * 100_003 + j))
            for c in calls for j in range(1, plan.draws + 1)
        ]  # fmt: skip
        said = await models.said("reference", requests)
        rows = [[c.text, *(t or "" for t in said[i * plan.draws : (i + 1) * plan.draws])] for i, c in enumerate(calls)]
    good = [i for i, row in enumerate(rows) if all(row)]
    return [calls[i] for i in good], [rows[i] for i in good]


def _asked(call: Served, template: str | None) -> Request:
    if template is None:
        return Request("regeneration", f"log-{call.line}", call.messages)
    prompt = template.replace("{prompt}", "\n\n".join(m.content for m in call.messages))
    return Request("regeneration", f"log-{call.line}", prompt=prompt)


async def _scores(
    form: str, calls: Sequence[Served], asked: Sequence[Request], texts: Texts, plan: Plan, models: Panel
) -> tuple[Array, dict[str, Array]]:
    """Scores ``(n, 1 + m)`` and the control variates by name."""
    if not texts:
        return np.zeros((0, plan.draws + 1)), {}
    others = [name for name in models.backends if name != "suspect" and models.scores(name, plan.template)]
    controls = {name: await models.loglik(name, asked, texts) for name in others}
    if form == "log-probs":
        return await models.loglik("suspect", asked, texts), controls
    from .similarity import similarity

    if form == "answers":
        requests = [
            replace(r, sample=k, sampling=replace(c.sampling, seed=plan.seed * 100_003 + k))
            for r, c in zip(asked, calls, strict=True) for k in range(plan.samples)
        ]  # fmt: skip
        said = await models.said("suspect", requests)
        rows = [[t or "" for t in said[i * plan.samples : (i + 1) * plan.samples]] for i in range(len(texts))]
        scores, typical = similarity(rows, texts)
        return scores, {"typicality": typical}
    return await _continued(calls, texts, plan, models)


async def _continued(
    calls: Sequence[Served], texts: Texts, plan: Plan, models: Panel
) -> tuple[Array, dict[str, Array]]:
    """How truly the suspect continues each draw from its first words; a draw too short to be split counts 0."""
    from .similarity import similarity

    heads = [[" ".join(t.split()[:HEAD]) for t in row] for row in texts]
    tails = [[" ".join(t.split()[HEAD:]) for t in row] for row in texts]
    requests = [
        replace(_continue(c, head, plan.template), sampling=replace(c.sampling, temperature=0.0, seed=plan.seed))
        for c, row in zip(calls, heads, strict=True) for head in row
    ]  # fmt: skip
    said = await models.said("suspect", requests)
    width = len(texts[0])
    scores = np.zeros((len(texts), width))
    for j in range(width):
        spoken = [[said[i * width + j] or ""] for i in range(len(texts))]
        scores[:, j] = similarity(spoken, tails)[0][:, j]
    return scores, {"typicality": similarity(tails, tails)[1]}


def _continue(call: Served, head: str, template: str | None) -> Request:
    request = _asked(call, template)
    if request.prompt is not None:
        return replace(request, prompt=f"{request.prompt}{head}")
    *before, last = request.messages
    return replace(request, messages=(*before, replace(last, content=f"{last.content}\n\n{head}")))


async def _checks(
    who: str, asked: Sequence[Request], texts: Texts, under_reference: Array | None, models: Panel
) -> list[dict[str, Any]]:
    """Statistics that must be exchangeable if redraws are draws like the served ones: R's own score, and the length."""
    if not texts:
        return []
    found = {"length": np.array([[np.log1p(len(t)) for t in row] for row in texts])}
    if under_reference is None and models.scores("reference", None):
        under_reference = await models.loglik("reference", asked, texts)
    if under_reference is not None:
        found["log-probability under the reference"] = under_reference[complete(under_reference)]
    return [{"who": who, "name": name, "values": rounded(values)} for name, values in found.items()]
