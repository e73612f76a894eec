"""Key + suspect -> the inputs of `canary.judge` and `twins.judge`: asked for and laid out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import UsageError
from ..store import Store
from ..types import Listener, Request, Sampling, canonical, sha256, silent
from . import canary
from .case import rounded
from .gather import Panel, chat, complete, panel

WORDS = Sampling(max_tokens=64)


def key_name(key: Mapping[str, Any]) -> str:
    """What names a key's randomness in a case: the start of its hash, which gives nothing of it away."""
    return sha256(canonical(dict(key)))[:16]


async def _likelihoods(
    models: Panel, asked: Sequence[Request], texts: Sequence[Sequence[str]], template: str | None
) -> dict[str, Any]:
    """Scores of the suspect and of every other scorer, rows that all could score."""
    scores = await models.loglik("suspect", asked, texts)
    others = [name for name in models.backends if name != "suspect" and models.scores(name, template)]
    controls = {name: await models.loglik(name, asked, texts) for name in others}
    keep = complete(scores, *controls.values())
    return {"scores": rounded(scores[keep]), "controls": {k: rounded(v[keep]) for k, v in controls.items()}}


async def canary_inputs(
    key: Mapping[str, Any],
    specs: Mapping[str, str],
    store: Store,
    *,
    text: bool = False,
    samples: int = 1,
    template: str | None = None,
    progress: Listener = silent,
) -> dict[str, Any]:
    """By log-probs where the suspect can score given answers, else (or with ``text``) by what it says."""
    planted = key["canaries"]
    head = {"test": "canary", "key": key_name(key), "parties": dict(specs)}
    async with panel(specs, store, progress) as models:
        asked = [_prompted(c["prompt"], f"canary-{i}", "canary", template) for i, c in enumerate(planted)]
        if models.scores("suspect", template) and not text:
            _same_count(planted)
            rows = [_secret_first(canary.filled(c), c["secret"]) for c in planted]
            return {**head, "form": "log-probs", **await _likelihoods(models, asked, rows, template)}
        ways = [replace(r, sample=k, sampling=replace(WORDS, seed=k)) for r in asked for k in range(samples)]
        said = await models.said("suspect", ways)
        hits = [_majority(said[i * samples : (i + 1) * samples], c) for i, c in enumerate(planted)]
        chances = [1 / len(c["candidates"]) for c in planted]
        return {**head, "form": "text", "hits": hits, "chances": chances}


def _same_count(planted: Sequence[Mapping[str, Any]]) -> None:
    if len({len(c["candidates"]) for c in planted}) > 1:
        raise UsageError("canaries with different numbers of candidates can only be tested by text: pass --text")


def _majority(answers: Sequence[str | None], planted: Mapping[str, Any]) -> int:
    """1 if the candidate named most often is the secret; a tie between candidates names none of them."""
    named = [canary.named(a, planted["candidates"]) for a in answers if a]
    counts = np.bincount([i for i in named if i is not None], minlength=len(planted["candidates"]))
    return int(counts.max() > 0 and (counts == counts.max()).sum() == 1 and counts.argmax() == planted["secret"])


def _secret_first(texts: Sequence[str], secret: int) -> list[str]:
    return [texts[secret], *texts[:secret], *texts[secret + 1 :]]


def _prompted(prompt: str, item: str, probe: str, template: str | None) -> Request:
    if template is None:
        return chat(prompt, item, probe)
    return Request(probe, item, prompt=template.replace("{prompt}", prompt))


async def twins_inputs(
    key: Mapping[str, Any],
    specs: Mapping[str, str],
    store: Store,
    *,
    seed: int = 0,
    template: str | None = None,
    progress: Listener = silent,
) -> dict[str, Any]:
    """Every version of every document scored; a document without a prompt is scored as plain text."""
    documents = key["documents"]
    async with panel(specs, store, progress) as models:
        if not models.scores("suspect", template):
            raise UsageError(f"twins needs a suspect that scores given text, and {specs['suspect']} does not")
        asked = [_introduced(d, template) for d in documents]
        rows = [_secret_first(d["versions"], d["secret"]) for d in documents]
        found = await _likelihoods(models, asked, rows, template)
        return {"test": "twins", "key": key_name(key), "seed": seed, "parties": dict(specs), **found}


def _introduced(document: Mapping[str, Any], template: str | None) -> Request:
    """What a version is scored after: its prompt, or an empty line for plain text."""
    if document["prompt"]:
        return _prompted(document["prompt"], document["id"], "twins", template)
    return Request("twins", document["id"], prompt="\n")
