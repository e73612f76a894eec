"""``twins``: does the suspect prefer the version of a document that was released to its unreleased paraphrases?

Of K versions of each document that say the same, one was released, chosen by a secret key whose hash was published
first [2504.13416]. A model that never met the released texts can't tell which version went out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import UsageError
from ..types import ExactResult
from .ranks import rank_test
from .sealed import draw
from .words import REJECT, rank_power

ASSUMES = (
    "which version of a document was released was drawn at random by the key after all versions were fixed, and the "
    "unreleased versions never left the house"
)
BREAKS = (
    "an unreleased version got out, or the versions were written after the choice; the released documents may have "
    "reached the suspect through others"
)
LEAST = 20


def release(documents: Sequence[Mapping[str, Any]], nonce: str) -> dict[str, Any]:
    """The key: which of its ``versions`` goes out, for every document ``{"versions": [...], "prompt"?, "id"?}``.

    Errors: `UsageError` where documents have fewer than two different versions, or not all equally many.
    """
    rng = draw(nonce)
    out: list[dict[str, Any]] = []
    for number, document in enumerate(documents, 1):
        versions = document["versions"]
        if not isinstance(versions, list) or not all(isinstance(v, str) and v.strip() for v in versions):
            raise UsageError(f"document {number}: versions are not a list of texts")
        if len(set(versions)) < max(2, len(versions)):
            raise UsageError(f"document {number}: versions are two or more different texts")
        if out and len(versions) != len(out[0]["versions"]):
            raise UsageError(
                f"document {number}: has {len(versions)} versions, the first has {len(out[0]['versions'])}"
            )
        prompt = document.get("prompt")
        out.append({
            "id": str(document.get("id", number)), "prompt": prompt if isinstance(prompt, str) else "",
            "versions": versions, "secret": int(rng.integers(len(versions))),
        })  # fmt: skip
    return {"kind": "twins", "version": 1, "nonce": nonce, "documents": out}


def released(key: Mapping[str, Any]) -> list[dict[str, str]]:
    """What goes out: id, prompt and the chosen version of each document."""
    return [{"id": d["id"], "prompt": d["prompt"], "text": d["versions"][d["secret"]]} for d in key["documents"]]


def judge(inputs: Mapping[str, Any]) -> ExactResult:
    """Does the suspect prefer the versions that a secret key chose for release to their paraphrases?

    ``scores`` ``(n, K)``: nats under the suspect, the released version first; ``controls``: control variates by name,
    same shape. Null: the released index is uniform given the versions. p from within-document permutation, e
    anytime-valid.
    """
    scores = np.array(inputs["scores"], dtype=np.float64)
    result = ExactResult("twins", "ok", assumes=ASSUMES, breaks=BREAKS, randomness=f"twins {inputs['key']}")
    if len(scores) < LEAST:
        reason = f"{len(scores)} documents have all their versions scored, {LEAST} are needed"
        return replace(result, status="insufficient", n=len(scores), reason=reason)
    controls = np.array(list(inputs["controls"].values()), dtype=np.float64).reshape(-1, *scores.shape)
    found = rank_test(scores, controls, np.random.default_rng(inputs["seed"]))
    what = "prefers the released versions" if found.p <= REJECT else "shows no preference for the released versions"
    finding = f"the suspect {what}: they beat {found.wins:.0%} of their unreleased twins over {found.n} documents"
    power = "" if found.p <= REJECT else rank_power("twins", "log-probs", found.n, found.spread, "nats a document")
    return replace(result, p=found.p, e=found.e, n=found.n, finding=finding, power=power)
