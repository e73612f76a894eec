"""``watermark``: are the suspect's own words green under the key that the reference's watermark used? [2402.14904]

A watermark's key is a random number. A model that was not trained on text marked with it is independent of it, so every
(context, token) pair that it writes is green with the key's own probability, whatever the pair. Training on marked text
makes a model "radioactive". Each different pair counts once, with a weight that knows nothing of the key: what it
gained in the suspect's next-token distributions (form log-probs, see `distributions`); or by text 1, or, where controls
were asked the same, how much more often the suspect writes the pair than they do. Contexts that stood in the prompt
don't count. The hashing is that of transformers' own processors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..types import ExactResult
from .words import REJECT, trained

Ints = NDArray[np.int64]
Array = NDArray[np.float64]
DUMMIES = 1000
LEAST = 200  # pairs
LARGEST = 2**22  # cells of a null distribution
TINY = 1e-300
TILTS = (0.5, 1.0, 2.0, 4.0, 8.0)  # stakes of the e-value, in standard deviations; it averages over them
LEVELS, STEPS = 12, 2  # largest weight, and weights to one unit of the Pearson residual
CELLS = 2_000_000
LIMITS = {
    "kgw": (("context_width", 1, 64),),
    "synthid": (("ngram_len", 2, 64), ("sampling_table_size", 2, 2**24), ("sampling_table_seed", 0, 2**63 - 1)),
}
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

    ``levels``: weight, trials and green hits of all pairs of that weight; T = sum of weight x hits; ``gamma``: the
    chance of green; ``dummies``: T under random other keys. p = P[T' >= T], exact for weighted binomials, as long as
    the dummy keys scatter as that says, else their rank alone, (1 + #{dummies >= T}) / (D + 1). ``n``: different pairs.
    """
    result = ExactResult("watermark", "ok", assumes=ASSUMES, breaks=BREAKS, randomness=f"watermark {inputs['key']}")
    result = replace(result, n=int(inputs["pairs"]))
    if result.n < LEAST:
        return replace(result, status="insufficient", reason=f"{result.n} different pairs, {LEAST} are needed")
    weight, trials, hits = np.array(inputs["levels"], dtype=np.int64).T
    if (trials < 0).any() or (hits < 0).any() or (hits > trials).any():
        raise ValueError("hits that no pairs have")
    gamma, dummies = float(inputs["gamma"]), np.array(inputs["dummies"], dtype=np.float64)
    total, mean = int((weight * hits).sum()), float((weight * trials).sum() * gamma)
    deviation = float(np.sqrt((weight**2 * trials).sum() * gamma * (1 - gamma)))
    rank = (1 + int((dummies >= total).sum())) / (1 + len(dummies))
    analytic = weighted_tail(weight, trials, gamma, total)
    agree = _agree(dummies, mean, deviation)
    p = analytic if agree else rank
    found = "marked text of this key was in the suspect's training" if p <= REJECT else "no sign of marked text"
    up = weight > 0
    finding = (
        f"{found}: {hits[up].sum() / trials[up].sum():.4f} of the pairs it favours are green ({gamma:.2f} by chance), "
        f"{(total - mean) / deviation:+.1f} standard deviations in all; analytic p {analytic:.2g}, rank among "
        f"{len(dummies):,} dummy keys p {rank:.2g} (form: {inputs['form']})"
    )
    if not agree:
        finding += "; the dummy keys scatter otherwise than independent pairs would, so only the rank counts"
    e = _e(weight, trials, gamma, total, deviation) if agree else None
    power = "" if p <= REJECT else _power(inputs["form"], deviation, weight, trials, gamma)
    return replace(result, p=p, e=e, finding=finding, power=power)


def weighted_tail(weight: Ints, trials: Ints, gamma: float, total: int) -> float:
    """P[sum of weight x Bin(trials, gamma) >= total]; never 0.

    The characteristic function of the sum, tilted by exp(theta t) so that its mean lies at the total: what is
    transformed back is largest there, hence the tail has the accuracy of a float relative to itself, however far out.
    """
    kept = (weight != 0) & (trials > 0)
    w, n = weight[kept].astype(np.float64), trials[kept].astype(np.float64)
    least, most = float((w * n)[w < 0].sum()), float((w * n)[w > 0].sum())
    if total <= least:
        return 1.0
    if total > most:
        return TINY
    theta = _tilt(w, n, gamma, total - 0.5)
    log_k = np.log1p(gamma * np.expm1(theta * w))
    q = gamma * np.exp(theta * w - log_k)
    values, mass = _mass(w, n, q)
    above = values >= total
    tail = float((mass[above] * np.exp(-theta * (values[above] - total))).sum())
    log_p = float((n * log_k).sum()) - theta * total + float(np.log(max(tail, TINY)))
    return float(np.exp(np.clip(log_p, np.log(TINY), 0.0)))


def tails(weight: Ints, trials: Ints, gamma: float, totals: Ints) -> Array:
    """`weighted_tail` of many totals at once, to about 1e-12 in all: what dummy keys, each a null, would have as p."""
    values, mass = _mass(weight.astype(np.float64), trials.astype(np.float64), np.full(len(weight), gamma))
    above = np.minimum(mass[::-1].cumsum()[::-1], 1.0)
    return np.asarray(above[np.clip(totals - int(values[0]), 0, len(values) - 1)])


def _mass(w: Array, n: Array, q: Array) -> tuple[Array, Array]:
    """Values of sum of w x Bin(n, q), as far from its mean as counts, and their probabilities."""
    reach = float(16 * np.sqrt((n * q * (1 - q) * w**2).sum()) + 40 * np.abs(w).max())
    least, most, middle = float((w * n)[w < 0].sum()), float((w * n)[w > 0].sum()), float((n * w * q).sum())
    size = 1 << int(np.ceil(np.log2(min(most - least, 2 * reach) + 2)))
    if size > LARGEST:
        raise ValueError("more pairs than a case can hold")
    angle = 2 * np.pi / size * np.arange(size // 2 + 1)
    modulus, turn = np.zeros(len(angle)), np.zeros(len(angle))
    for one, count, chance in zip(w, n, q, strict=True):
        real, imaginary = 1 - chance + chance * np.cos(angle * one), chance * np.sin(angle * one)
        with np.errstate(divide="ignore"):
            modulus += count * np.log(np.hypot(real, imaginary))
        turn += count * np.arctan2(imaginary, real)
    mass = np.fft.irfft(np.exp(modulus - 1j * turn), size)
    values = np.arange(int(np.floor(max(least, middle - reach))), int(min(most, middle + reach)) + 1)
    return values.astype(np.float64), np.maximum(mass[values % size], 0.0)


def _tilt(w: Array, n: Array, gamma: float, wanted: float) -> float:
    """theta >= 0 at which the tilted mean is ``wanted``; 0 where the mean lies there or above untilted."""
    from scipy.optimize import brentq
    from scipy.special import expit, logit

    def short(theta: float) -> float:
        return float((n * w * expit(theta * w + logit(gamma))).sum()) - wanted

    if short(0.0) >= 0:
        return 0.0
    high = 1e-3 / float(np.abs(w).max())
    while short(high) < 0:
        high *= 2
    return float(brentq(short, high / 2 if high > 2e-3 / np.abs(w).max() else 0.0, high))


def _agree(dummies: Array, mean: float, deviation: float) -> bool:
    """Whether dummy keys have the mean of independent pairs, and no more than their variance (4.5 standard errors)."""
    count = len(dummies)
    centred = abs(dummies.mean() - mean) * np.sqrt(count) / deviation
    return bool(centred < 4.5 and dummies.var(ddof=1) < deviation**2 * (1 + 4.5 * np.sqrt(2 / (count - 1))))


def _e(weight: Ints, trials: Ints, gamma: float, total: int, deviation: float) -> float:
    logs = [t / deviation * total - (trials * np.log1p(gamma * np.expm1(t / deviation * weight))).sum() for t in TILTS]
    return float(np.exp(min(np.logaddexp.reduce(logs) - np.log(len(logs)), 690.0)))


def _power(form: str, deviation: float, weight: Ints, trials: Ints, gamma: float) -> str:
    from scipy.stats import norm

    up = int((weight * trials)[weight > 0].sum())
    least = (norm.isf(REJECT) + norm.ppf(0.9)) * deviation / up
    shown = f"a (weighted) green share of {gamma + least:.4f} instead of {gamma:.2f} among the pairs it favours"
    return f"{shown} would have been detected at p <= {REJECT} with probability .90{trained('watermark', form)}"


# -- pairs and their colours


def scheme(config: Mapping[str, Any]) -> str:
    """kgw or synthid, by what the configuration holds (the fields of transformers' watermarking configurations).

    Errors: `UsageError` for neither, or for values that no watermark has.
    """
    found = "synthid" if "keys" in config else "kgw" if "hashing_key" in config else ""
    if not found:
        raise UsageError("a watermark key has hashing_key (KGW), or keys and ngram_len (SynthID)")
    if found == "synthid":
        keys = config["keys"]
        if not isinstance(keys, list) or not keys or not all(_whole(k, 0, 2**63 - 1) for k in keys):
            raise UsageError("keys of SynthID is a list of whole numbers from 0 to 2^63 - 1")
    elif not _whole(config["hashing_key"], -(2**63), 2**63 - 1) or not config["hashing_key"]:
        raise UsageError("hashing_key of KGW is a whole number of at most 63 bits, and not 0")
    ratio = config.get("greenlist_ratio", 0.25)
    if isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not 0 < ratio < 1:
        raise UsageError(f"greenlist_ratio lies between 0 and 1, not {ratio!r}")
    if config.get("seeding_scheme", "lefthash") not in ("lefthash", "selfhash"):
        raise UsageError(f"seeding_scheme is lefthash or selfhash, not {config['seeding_scheme']!r}")
    for name, low, high in LIMITS[found]:
        if not _whole(config.get(name, low), low, high):
            raise UsageError(f"{name} is a whole number from {low} to {high:,}, not {config[name]!r}")
    if found == "synthid" and "ngram_len" not in config:
        raise UsageError("a SynthID key has an ngram_len")
    return found


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def width(config: Mapping[str, Any]) -> int:
    """Tokens of one scored n-gram, the token itself included."""
    if scheme(config) == "synthid":
        return int(config["ngram_len"])
    own = config.get("seeding_scheme", "lefthash") == "selfhash"
    return max(2, int(config.get("context_width", 1))) if own else 2  # lefthash reads the last token alone


def ngram_counts(
    prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], size: int
) -> Counter[tuple[int, ...]]:
    """How often each n-gram of ``size`` tokens occurs in the answers, where its context (all but the last token) is not
    in the answer's prompt.

    Contexts of token 0 alone are left out: KGW's hash multiplies by it, which gives every key the same list.
    """
    found: Counter[tuple[int, ...]] = Counter()
    for prompt, answer in zip(prompts, answers, strict=True):
        asked = {tuple(prompt[i : i + size - 1]) for i in range(len(prompt) - size + 2)}
        for i in range(len(answer) - size + 1):
            gram = tuple(answer[i : i + size])
            if gram[:-1] not in asked and any(gram[:-1]):
                found[gram] += 1
    return found


def weighted(
    suspect: Counter[tuple[int, ...]], controls: Sequence[Counter[tuple[int, ...]]], most: int, seed: int
) -> tuple[Ints, Ints]:
    """Different n-grams ``(n, size)`` and their weights ``(n,)``, at most so many, chosen without the key.

    Without controls every n-gram of the suspect weighs 1. With them the weight is the Pearson residual of the suspect's
    count s against the controls' r (scaled to the same total), (s - r) / sqrt(s + r + 1), in half units, capped.
    """
    grams = sorted(set(suspect).union(*controls))
    if not controls:
        ngrams, weight = np.array(grams, dtype=np.int64), np.ones(len(grams), np.int64)
    else:
        s = np.array([suspect[g] for g in grams], dtype=np.float64)
        r = np.array([sum(c[g] for c in controls) for g in grams], dtype=np.float64)
        r *= s.sum() / max(r.sum(), 1.0)
        residual = (s - r) / np.sqrt(s + r + 1)
        weight = np.clip(np.rint(STEPS * residual), -LEVELS, LEVELS).astype(np.int64)
        ngrams, weight = np.array(grams, dtype=np.int64)[weight != 0], weight[weight != 0]
    if len(ngrams) > most:
        kept = np.sort(np.random.default_rng(seed).choice(len(ngrams), most, replace=False))
        ngrams, weight = ngrams[kept], weight[kept]
    return ngrams, weight


def count(
    ngrams: Ints, weight: Ints, config: Mapping[str, Any], vocab: int, seed: int, dummies: int = DUMMIES
) -> dict[str, Any]:
    """What `judge` reads: ``levels``, ``gamma``, ``pairs``, and T under ``dummies`` random other keys."""
    if not len(ngrams):
        return {"levels": [], "gamma": 0.5, "pairs": 0, "dummies": []}
    layers, gamma, greens = (_synthid if scheme(config) == "synthid" else _kgw)(
        ngrams, config, vocab, np.random.default_rng(seed), dummies
    )
    product = weight[:, None] * layers
    values, place = np.unique(product, return_inverse=True)
    trials = np.bincount(place.ravel())
    hits = np.bincount(place.ravel(), next(greens).ravel())
    levels = [[int(w), int(n), int(h)] for w, n, h in zip(values, trials, hits, strict=True)]
    totals = [int((product * g).sum()) for g in greens]
    return {"levels": levels, "gamma": gamma, "pairs": len(ngrams), "dummies": totals}


# Weights of the layers of one n-gram, the chance of green, and the colours (n, layers): the true key's, then dummies'.
Greens = tuple[Ints, float, Iterator[Ints]]


def _kgw(ngrams: Ints, config: Mapping[str, Any], vocab: int, rng: np.random.Generator, dummies: int) -> Greens:
    """A greenlist is drawn once per key and context, because the library hashes one at a time."""
    import torch
    from transformers import WatermarkLogitsProcessor

    names = ("greenlist_ratio", "seeding_scheme", "context_width")
    given = {k: config[k] for k in names if k in config}
    own = config.get("seeding_scheme", "lefthash") == "selfhash"
    keys = [int(config["hashing_key"]), *(int(k) for k in rng.integers(1, 2**31 - 1, dummies))]
    contexts, place = np.unique(ngrams if own else ngrams[:, :-1], axis=0, return_inverse=True)
    groups = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])
    heads = [torch.tensor(c) for c in contexts]
    processor = WatermarkLogitsProcessor(vocab, "cpu", hashing_key=keys[0], **given)
    if not 0 < processor.greenlist_size < vocab:
        raise UsageError(f"greenlist_ratio {config['greenlist_ratio']} makes no list of {vocab:,} tokens green and red")

    def each() -> Iterator[Ints]:
        made, green, out = processor, np.zeros(vocab, np.int64), np.zeros(len(ngrams), np.int64)
        for key in keys:
            if own:  # its table is shuffled by the key
                made = WatermarkLogitsProcessor(vocab, "cpu", hashing_key=key, **given)
            made.hash_key = key
            for head, rows in zip(heads, groups, strict=True):
                ids = made._get_greenlist_ids(head).numpy()
                green[ids] = 1
                out[rows] = green[ngrams[rows, -1]]
                green[ids] = 0
            yield out[:, None].copy()

    return np.ones(1, np.int64), processor.greenlist_size / vocab, each()


def _synthid(ngrams: Ints, config: Mapping[str, Any], vocab: int, rng: np.random.Generator, dummies: int) -> Greens:
    """g-values of every depth, the first tournaments weighing most, as in SynthID's own weighted mean; dummy keys are
    hashed many at once, as if they were further depths."""
    import torch
    from transformers import SynthIDTextWatermarkLogitsProcessor

    depth = len(config["keys"])
    keys = np.vstack([np.array(config["keys"]), rng.integers(0, 2**31 - 1, (dummies, depth))])
    given = {
        "ngram_len": int(config["ngram_len"]), "sampling_table_size": int(config.get("sampling_table_size", 2**16)),
        "sampling_table_seed": int(config.get("sampling_table_seed", 0)), "context_history_size": 1,
        "device": torch.device("cpu"),
    }  # fmt: skip
    grams = torch.tensor(ngrams)[None]
    table = SynthIDTextWatermarkLogitsProcessor(keys=[0], **given).sampling_table

    def each() -> Iterator[Ints]:
        step = max(1, CELLS // (len(ngrams) * depth))
        for start in range(0, len(keys), step):
            part = keys[start : start + step]
            made = SynthIDTextWatermarkLogitsProcessor(keys=[int(k) for k in part.ravel()], **given)
            found = made.sample_g_values(made.compute_ngram_keys(grams))[0].numpy()
            yield from found.reshape(len(ngrams), len(part), depth).swapaxes(0, 1)

    return (
        np.rint(np.linspace(10, 1, depth)).astype(np.int64),
        float(table.double().mean()),
        each(),
    )  # the public table is not perfectly balanced
