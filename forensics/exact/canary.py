"""``canary``: does the suspect prefer the secrets that were planted to those that could have been?

Before a release, each of n canaries gets a secret drawn uniformly from K candidates fixed in advance; the hash of the
key is published. A model that never met the planted text can't tell a secret from its K - 1 decoys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..types import ExactResult
from .ranks import Array, harmonic_e, rank_ps
from .sealed import draw
from .words import REJECT, chance, measured

SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")
SLOT = "{secret}"
ASSUMES = (
    "each secret was drawn at random from its candidates after these were fixed, the hash of the key was published "
    "before the release, and the secrets left the house in the planted text only"
)
BREAKS = (
    "the key was known to whoever chose the suspect's answers or the candidates; the planted text was passed on to "
    "others than the suspected accounts (then it shows training on the text, not by whom it was taken)"
)
LEAST = 4
STEP = 0.05
KNOWN = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)  # shares of secrets known that power and e-value are stated for


def plant(templates: Sequence[Mapping[str, Any]], k: int, nonce: str) -> dict[str, Any]:
    """The key: every template ``{"prompt", "answer" with {secret}, "candidates"?}`` with K candidates and its secret.

    Without candidates of its own a template gets K made-up words. Errors: `UsageError` for a template without slot,
    for fewer than two or repeated candidates.
    """
    rng = draw(nonce)
    out = []
    for number, t in enumerate(templates, 1):
        prompt, answer = t.get("prompt"), t.get("answer", SLOT)
        if not isinstance(prompt, str) or not isinstance(answer, str) or SLOT not in answer:
            raise UsageError(f"template {number}: needs a prompt, and an answer that has the slot {SLOT}")
        given = t.get("candidates")
        candidates = list(given) if isinstance(given, list) else _made_up(k, rng)
        texts = [c for c in candidates if isinstance(c, str) and c.strip()]
        if len({c.casefold() for c in texts}) < max(2, len(candidates)):
            raise UsageError(f"template {number}: candidates are two or more different texts")
        out.append({"prompt": prompt, "answer": answer, "candidates": texts, "secret": int(rng.integers(len(texts)))})
    return {"kind": "canary", "version": 1, "nonce": nonce, "canaries": out}


def sheet(key: Mapping[str, Any], committed: str) -> dict[str, Any]:
    """What is planted: prompts and answers with their secrets, no decoys; it carries the commitment."""
    planted = [{"prompt": c["prompt"], "answer": filled(c)[c["secret"]]} for c in key["canaries"]]
    return {"commitment": committed, "canaries": planted}


def filled(canary: Mapping[str, Any]) -> list[str]:
    """The answer with each candidate in its slot."""
    return [canary["answer"].replace(SLOT, c) for c in canary["candidates"]]


def _made_up(k: int, rng: np.random.Generator) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < k:
        found["".join(rng.choice(SYLLABLES, 4))] = None
    return list(found)


def named(text: str, candidates: Sequence[str]) -> int | None:
    """Which candidate an answer names: the one that occurs first, the longer of two at one place; None for none."""
    low = text.casefold()
    places = [(low.find(c.casefold()), -len(c), i) for i, c in enumerate(candidates)]
    return min((p for p in places if p[0] >= 0), default=(0, 0, None))[2]


def judge(inputs: Mapping[str, Any]) -> ExactResult:
    """Does the suspect know planted secrets, each drawn at random from K candidates?

    ``form`` log-probs: ``scores`` ``(n, K)`` nats, the true one first, and ``controls``; per canary p = #{candidates >=
    true} / K, combined as Fisher does; e = product of harmonic rank e-values. ``form`` text: ``hits`` and ``chances``
    (1 / K) per canary; p = P[at least so many hits] (Poisson binomial); e averages over how often a secret is known.
    """
    n = len(inputs["scores"] if inputs["form"] == "log-probs" else inputs["hits"])
    result = ExactResult("canary", "ok", n=n, assumes=ASSUMES, breaks=BREAKS, randomness=f"canary {inputs['key']}")
    if n < LEAST:
        return replace(result, status="insufficient", reason=f"{n} canaries can be read, {LEAST} are needed")
    p, e, finding, strength = (_by_rank if inputs["form"] == "log-probs" else _by_hits)(inputs)
    found = "the suspect knows planted secrets" if p <= REJECT else "no sign that the suspect knows the secrets"
    return replace(result, p=p, e=e, finding=f"{found}: {finding}", power="" if p <= REJECT else strength)


def _by_rank(inputs: Mapping[str, Any]) -> tuple[float, float, str, str]:
    scores: Array = np.array(inputs["scores"], dtype=np.float64)
    controls: Array = np.array(list(inputs["controls"].values()), dtype=np.float64).reshape(-1, *scores.shape)
    n, k = scores.shape
    ranks = np.rint(rank_ps(scores, controls) * k)
    p, e = combined_p(ranks, k), float(np.exp(min(harmonic_e(ranks, k), 690.0)))
    first = int((ranks == 1).sum())
    words = f"{first} of {n} true secrets come first among {k} candidates ({n / k:.1f} by chance)"
    return p, e, words, _rank_power(n, k)


def combined_p(ranks: Array, k: int) -> float:
    """P[statistic at least this large] for independent ranks, each uniform on 1 … k; never 0.

    The statistic is Fisher's, sum of log(k / rank), in steps of ``STEP``: on that grid its null distribution is
    computed exactly, where the usual chi-square would waste much of the power (ranks are not continuous).
    """
    worth, tail = _null(len(ranks), k)
    return float(tail[worth[ranks.astype(np.int64) - 1].sum()])


@lru_cache(maxsize=4)
def _null(n: int, k: int) -> tuple[NDArray[np.int64], Array]:
    """What each rank is worth in steps, and P[sum of n such >= s] for every sum s."""
    worth = np.rint(np.log(k / np.arange(1, k + 1)) / STEP).astype(np.int64)
    mass = np.ones(1)
    for _ in range(n):
        wider = np.zeros(len(mass) + worth[0])
        for steps in worth:
            wider[steps : steps + len(mass)] += mass / k
        mass = wider
    return worth, np.clip(mass[::-1].cumsum()[::-1], 1e-300, 1.0)


def _rank_power(n: int, k: int) -> str:
    """With what probability the test rejects if a share of the secrets come out first; 1,000 simulated suspects."""
    rng = np.random.default_rng(0)
    for share in KNOWN:
        ranks = np.where(rng.random((1000, n)) < share, 1, rng.integers(1, k + 1, (1000, n)))
        rate = float(np.mean([combined_p(row, k) <= REJECT for row in ranks]))
        if rate >= 0.9:
            seen = f"would have been detected (p <= {REJECT}) with probability {chance(rate)}"
            return f"a suspect that knows {share:.0%} of the {n} secrets {seen}{measured('canary', n)}"
    return f"{n} canaries of {k} candidates are too few: a suspect that knows {KNOWN[-1]:.0%} of them may go unseen"


def _by_hits(inputs: Mapping[str, Any]) -> tuple[float, float, str, str]:
    hits, chances = np.array(inputs["hits"], dtype=np.int64), np.array(inputs["chances"], dtype=np.float64)
    total, n = int(hits.sum()), len(hits)
    tail = upper_tail(chances)
    p = float(min(tail[total], 1.0))
    # A suspect that knows a share s of the secrets names s + (1 - s) / K of them; the shares are fixed in advance.
    logs = [np.log(np.where(hits > 0, (s + (1 - s) * chances) / chances, 1 - s)).sum() for s in KNOWN]
    e = float(np.exp(min(np.logaddexp.reduce(logs) - np.log(len(logs)), 690.0)))
    words = f"it named {total} of {n} true secrets ({chances.sum():.1f} expected by chance)"
    return p, e, words, _hit_power(tail, chances)


def _hit_power(tail: Array, chances: Array) -> str:
    if not (tail <= REJECT).any():
        return f"{len(chances)} canaries are too few for p <= {REJECT} whatever the suspect says"
    critical = int(np.argmax(tail <= REJECT))
    for share in KNOWN:
        rate = float(upper_tail(share + (1 - share) * chances)[critical])
        if rate >= 0.9:
            break
    return f"a suspect that names {share:.0%} of the secrets would have been detected with probability {chance(rate)}"


def upper_tail(chances: Array) -> Array:
    """P[at least h hits], h = 0 … n, of independent hits with these chances; by convolution, never 0."""
    mass = np.ones(1)
    for hit in chances:
        mass = np.convolve(mass, [1 - hit, hit])
    return np.asarray(np.maximum(mass[::-1].cumsum()[::-1], 1e-300))
