"""``watermark``: are the suspect's own words green under the key that the reference's watermark used? [2402.14904]

A watermark's key is a random number. A model that was not trained on text marked with it is independent of it, so every
(context, token) pair that it writes is green with the key's own probability, whatever the pair. Training on marked text
makes a model "radioactive". Each pair counts once, and not at all where its context stood in the prompt: repeated or
copied pairs are one observation. The hashing is that of transformers' own processors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..types import ExactResult
from .words import REJECT, measured

Ngrams = NDArray[np.int64]
DUMMIES = 1000
LEAST = 200  # pairs
BETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
CELLS = 2_000_000
ASSUMES = (
    "the key was drawn at random and kept secret, and pairs are hashed independently (the dummy keys show whether they "
    "are); nothing of the suspect's training or of the prompts depends on the key other than through marked text"
)
BREAKS = (
    "a key that is a public default, marked text in the prompts beyond the excluded contexts, or marked text that "
    "reached the suspect through others, such as a public corpus of the reference's answers"
)


def judge(inputs: Mapping[str, Any]) -> ExactResult:
    """Are the suspect's words green under the reference's watermark key more often than chance?

    ``hits`` of ``trials`` green at chance ``gamma``; ``dummies``: hits under random other keys. p = P[Bin(trials,
    gamma) >= hits] as long as the dummy keys scatter as that says, else their rank alone, (1 + #{dummies >= hits}) /
    (D + 1). e averages likelihood ratios over green shares fixed in advance. ``n``: unique (context, token) pairs.
    """
    from scipy.stats import binom

    hits, trials, gamma = int(inputs["hits"]), int(inputs["trials"]), float(inputs["gamma"])
    result = ExactResult("watermark", "ok", assumes=ASSUMES, breaks=BREAKS, randomness=f"watermark {inputs['key']}")
    result = replace(result, n=int(inputs["pairs"]))
    if result.n < LEAST:
        return replace(result, status="insufficient", reason=f"{result.n} unique pairs, {LEAST} are needed")
    dummies = np.array(inputs["dummies"], dtype=np.float64)
    rank = (1 + int((dummies >= hits).sum())) / (1 + len(dummies))
    analytic = max(float(binom.sf(hits - 1, trials, gamma)), 1e-300)
    agree = _agree(dummies, trials, gamma)
    p = analytic if agree else rank
    found = "marked text of this key was in the suspect's training" if p <= REJECT else "no sign of marked text"
    finding = (
        f"{found}: {hits / trials:.4f} of {trials:,} green ({gamma:.2f} by chance); analytic p {analytic:.2g}, rank "
        f"among {len(dummies):,} dummy keys p {rank:.2g}" + ("" if agree else "; the dummy keys scatter otherwise than "
        "independent pairs would, so only the rank counts")
    )  # fmt: skip
    e = _e(hits, trials, gamma) if agree else None
    return replace(result, p=p, e=e, finding=finding, power="" if p <= REJECT else _power(trials, gamma))


def _agree(dummies: NDArray[np.float64], trials: int, gamma: float) -> bool:
    """Whether dummy keys have the binomial's mean, and no more than its variance (4.5 standard errors)."""
    count, variance = len(dummies), trials * gamma * (1 - gamma)
    centre = abs(dummies.mean() - trials * gamma) / np.sqrt(variance / count)
    return bool(centre < 4.5 and dummies.var(ddof=1) < variance * (1 + 4.5 * np.sqrt(2 / (count - 1))))


def _e(hits: int, trials: int, gamma: float) -> float:
    logs = []
    for bet in BETS:
        share = gamma + bet * (1 - gamma)
        logs.append(hits * np.log(share / gamma) + (trials - hits) * np.log((1 - share) / (1 - gamma)))
    return float(np.exp(min(np.logaddexp.reduce(logs) - np.log(len(logs)), 690.0)))


def _power(trials: int, gamma: float) -> str:
    from scipy.stats import norm

    least = (norm.isf(REJECT) + norm.ppf(0.9)) * np.sqrt(gamma * (1 - gamma) / trials)
    shown = f"a green share of {gamma + least:.4f} instead of {gamma:.2f} would have been detected"
    return f"{shown} at p <= {REJECT} with probability .90{measured('watermark', trials)}"


# -- pairs and their colours


def scheme(config: Mapping[str, Any]) -> str:
    """kgw or synthid, by what the configuration holds (the fields of transformers' watermarking configurations).

    Errors: `UsageError` for neither, or for values that no watermark has.
    """
    if isinstance(config.get("keys"), list) and config["keys"] and isinstance(config.get("ngram_len"), int):
        if not all(isinstance(k, int) for k in config["keys"]) or config["ngram_len"] < 2:
            raise UsageError("a SynthID key has whole numbers as keys and an ngram_len of at least 2")
        return "synthid"
    if isinstance(config.get("hashing_key"), int):
        ratio = config.get("greenlist_ratio", 0.25)
        if not isinstance(ratio, (int, float)) or not 0 < ratio < 1:
            raise UsageError(f"greenlist_ratio lies between 0 and 1, not {ratio}")
        return "kgw"
    raise UsageError("a watermark key has hashing_key (KGW), or keys and ngram_len (SynthID)")


def width(config: Mapping[str, Any]) -> int:
    """Tokens of one scored n-gram, the token itself included."""
    if scheme(config) == "synthid":
        return int(config["ngram_len"])
    own = config.get("seeding_scheme", "lefthash") == "selfhash"
    return max(2, int(config.get("context_width", 1))) if own else 2  # lefthash reads the last token alone


def unique_ngrams(prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], size: int) -> Ngrams:
    """All different n-grams ``(n, size)`` of the answers whose context (all but the last token) is not in its prompt.

    Contexts of token 0 alone are left out: KGW's hash multiplies by it, which gives every key the same list.
    """
    found: dict[tuple[int, ...], None] = {}
    for prompt, answer in zip(prompts, answers, strict=True):
        asked = {tuple(prompt[i : i + size - 1]) for i in range(len(prompt) - size + 2)}
        for i in range(len(answer) - size + 1):
            gram = tuple(answer[i : i + size])
            if gram[:-1] not in asked and any(gram[:-1]):
                found[gram] = None
    return np.array(list(found), dtype=np.int64).reshape(-1, size)


def subset(ngrams: Ngrams, most: int, seed: int) -> Ngrams:
    """At most so many n-grams, chosen without the key."""
    if len(ngrams) <= most:
        return ngrams
    return ngrams[np.sort(np.random.default_rng(seed).choice(len(ngrams), most, replace=False))]


def count(ngrams: Ngrams, config: Mapping[str, Any], vocab: int, seed: int, dummies: int = DUMMIES) -> dict[str, Any]:
    """Hits under the true key and under random others: ``hits``, ``trials``, ``gamma``, ``pairs``, ``dummies``."""
    counted = _synthid if scheme(config) == "synthid" else _kgw
    hits, trials, gamma = counted(ngrams, config, vocab, np.random.default_rng(seed), dummies)
    return {
        "hits": int(hits[0]),
        "trials": trials,
        "gamma": gamma,
        "pairs": len(ngrams),
        "dummies": [int(h) for h in hits[1:]],
    }


def _kgw(
    ngrams: Ngrams, config: Mapping[str, Any], vocab: int, rng: np.random.Generator, dummies: int
) -> tuple[NDArray[np.int64], int, float]:
    """Green tokens per key. A greenlist is drawn once per key and context, because the library hashes one at a time."""
    import torch
    from transformers import WatermarkLogitsProcessor

    names = ("greenlist_ratio", "seeding_scheme", "context_width")
    given = {k: config[k] for k in names if k in config}
    own = config.get("seeding_scheme", "lefthash") == "selfhash"
    keys = [int(config["hashing_key"]), *(int(k) for k in rng.integers(1, 2**31 - 1, dummies))]
    contexts, place = np.unique(ngrams if own else ngrams[:, :-1], axis=0, return_inverse=True)
    order = np.argsort(place, kind="stable")
    groups = np.split(ngrams[order, -1], np.cumsum(np.bincount(place))[:-1])
    heads = [torch.tensor(c) for c in contexts]
    hits = np.zeros(len(keys), np.int64)
    processor = WatermarkLogitsProcessor(vocab, "cpu", hashing_key=keys[0], **given)
    green = np.zeros(vocab, bool)
    for k, key in enumerate(keys):
        if own:  # its table is shuffled by the key
            processor = WatermarkLogitsProcessor(vocab, "cpu", hashing_key=key, **given)
        processor.hash_key = key
        for head, tokens in zip(heads, groups, strict=True):
            ids = processor._get_greenlist_ids(head).numpy()
            green[ids] = True
            hits[k] += green[tokens].sum()
            green[ids] = False
    return hits, len(ngrams), processor.greenlist_size / vocab


def _synthid(
    ngrams: Ngrams, config: Mapping[str, Any], vocab: int, rng: np.random.Generator, dummies: int
) -> tuple[NDArray[np.int64], int, float]:
    """Sum of g-values over depths, per key; all dummy keys are hashed at once as if they were further depths."""
    import torch
    from transformers import SynthIDTextWatermarkLogitsProcessor

    depth = len(config["keys"])
    keys = [*map(int, config["keys"]), *(int(k) for k in rng.integers(0, 2**31 - 1, dummies * depth))]
    table = int(config.get("sampling_table_size", 2**16))
    processor = SynthIDTextWatermarkLogitsProcessor(
        ngram_len=int(config["ngram_len"]), keys=keys, sampling_table_size=table, context_history_size=1,
        sampling_table_seed=int(config.get("sampling_table_seed", 0)), device=torch.device("cpu"),
    )  # fmt: skip
    totals = np.zeros(len(keys), np.int64)
    step = max(1, CELLS // len(keys))
    for start in range(0, len(ngrams), step):
        grams = torch.tensor(ngrams[start : start + step])[None]
        totals += processor.sample_g_values(processor.compute_ngram_keys(grams))[0].sum(0).numpy()
    share = float(processor.sampling_table.double().mean())  # the public table is not perfectly balanced
    return totals.reshape(dummies + 1, depth).sum(axis=1), len(ngrams) * depth, share
