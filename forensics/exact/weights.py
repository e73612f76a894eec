"""``weights``: do two open-weight models descend from one initialisation? [2502.12292]

Hidden units have no order of their own: under independent random initialisation, whatever the data, matching one
model's rows to another's by largest total cosine gives a permutation that is uniform and independent of the rows'
numbers. That holds for the rows of an MLP's up-projection, and for the rows of one attention head's value projection
(query and key rows are tied to positions by rotary embeddings, so they are left alone). Copied (and further trained)
weights keep their numbers. Per matrix: Spearman's rho of the matching with the identity, one-sided p; Fisher's method
over matrices. It separates copied weights from copied outputs: a student with an initialisation of its own shows
nothing here, however well it was taught.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..types import ExactResult, canonical

UP_PROJECTIONS = ("mlp.up_proj.weight", "mlp.c_fc.weight", "mlp.dense_h_to_4h.weight", "mlp.fc1.weight")
VALUES = ("self_attn.v_proj.weight", "attn.c_attn.weight")  # GPT-2 keeps query, key and value in one matrix
SMALLEST_P = 1e-300
MOST_UNITS = 2048  # matching costs the cube of it
Matrix = NDArray[np.float32]
COPIED = 1e-6  # p below which two models are said to descend from one initialisation
SHARED = 1e-3  # p, after Bonferroni over matrices, below which a single one is named as shared
OWN_WAY = 0.3  # cosine of two changes from one base up to which neither model is made from the other: see `change`
PAIRS = {"reference": "suspect and reference", "base": "suspect and base", "reference-base": "base and reference"}
ASSUMES = (
    "the two models were initialised independently at random; hidden units have not been deliberately re-ordered since "
    "(re-ordering hides copied weights, it cannot fake them)"
)
CHANGE_ASSUMES = "suspect and reference were both made from the named base"
CHANGE_BREAKS = (
    "the same training texts move two models the same way; a long further training hides whose weights it began from"
)
BREAKS = (
    "both started from one public checkpoint or one seed: that is a common origin too, and the test does not say whose "
    "it was; units re-ordered on purpose hide a copy"
)


def judge(inputs: Mapping[str, Any]) -> ExactResult:
    """Do two open-weight models descend from one initialisation (copied weights, not copied outputs)?

    ``matrices``: name -> the matching, row i of the first model's live rows with row ``match[i]`` of the second's. p
    of "independent initialisations" by Fisher over matrices; ``n`` = matrices matched. ``unsupported`` when nothing of
    equal name and shape was found, ``failed`` when a matrix holds values that are not finite.
    """
    against = str(inputs["against"])
    if against == "change":
        return _judge_change(inputs)
    result = ExactResult("weights", "ok", against=against, assumes=ASSUMES, breaks=BREAKS)
    result = replace(result, randomness=f"initialisation {against}")
    if inputs.get("reason"):
        return replace(result, status=inputs["status"], reason=inputs["reason"])
    ps = {m["name"]: matching_p(np.array(m["match"], dtype=np.int64)) for m in inputs["matrices"]}
    p = fisher(list(ps.values()))
    seen = _shared(ps) if p < COPIED else "no shared weights seen"
    return replace(result, p=p, n=len(ps), finding=f"{PAIRS.get(against, against)}: {seen}")


def _judge_change(inputs: Mapping[str, Any]) -> ExactResult:
    """No test: the cosine of two changes, with what the bench saw of it. `judge` calls it for ``against`` "change"."""
    result = ExactResult("weights", "ok", against="change", assumes=CHANGE_ASSUMES, breaks=CHANGE_BREAKS)
    if inputs.get("reason"):
        return replace(result, status=inputs["status"], reason=inputs["reason"])
    dot, mine, theirs = (float(inputs[k]) for k in ("dot", "suspect", "reference"))
    if mine <= 0 or theirs <= 0:
        return replace(result, status="unsupported", reason="one of the two is the base itself: nothing changed")
    cosine = round(dot / math.sqrt(mine * theirs), 6)
    way = "each went its own way" if cosine <= OWN_WAY else "much of one is in the other, or both learnt the same texts"
    finding = f"suspect's and reference's changes from the base have a cosine of {cosine:+.2f}: {way}"
    return replace(result, n=int(inputs["matrices"]), value=cosine, finding=finding)


def change(suspect: Path, reference: Path, base: Path) -> dict[str, Any]:
    """The inputs of `judge` for how alike two models' changes from their common base are.

    Over all matrices that the weights test reads, with D_M = W_M - W_base: cosine = <D_S, D_R> / (|D_S| |D_R|). Two
    models tuned apart on one base had .04 to .12 in the bench (forensics/zoo/bench.toml); models made from R's weights
    .69 and more, copies with rounded weights .92; two trained on the very same texts .84. A number, not a test: no p.
    """
    parts = [matrices(folder) for folder in (suspect, reference, base)]
    total = {"dot": 0.0, "suspect": 0.0, "reference": 0.0}
    count = 0
    for name in sorted(parts[0].keys() & parts[1].keys() & parts[2].keys()):
        s, r, b = (read(part[name], name) for part in parts)
        if not s.shape == r.shape == b.shape:
            continue
        if not (np.isfinite(s).all() and np.isfinite(r).all() and np.isfinite(b).all()):
            reason = f"{name} holds values that are not finite"
            return {"test": "weights", "against": "change", "status": "failed", "reason": reason}
        mine, theirs = (s - b).ravel().astype(np.float64), (r - b).ravel().astype(np.float64)
        total["dot"] += float(mine @ theirs)
        total["suspect"] += float(mine @ mine)
        total["reference"] += float(theirs @ theirs)
        count += 1
    if not count:
        reason = "the three models have no matrices of equal name and shape"
        return {"test": "weights", "against": "change", "status": "unsupported", "reason": reason}
    return {"test": "weights", "against": "change", "matrices": count} | {
        k: float(f"{v:.9g}") for k, v in total.items()
    }


def _shared(ps: Mapping[str, float]) -> str:
    """One common initialisation, and which layers show it."""
    parts = []
    for label, known in (("MLP", UP_PROJECTIONS), ("attention", VALUES)):
        of_kind = {n: p for n, p in ps.items() if n.partition(" head ")[0].endswith(known)}
        layers = {_layer(name) for name in of_kind}
        shared = {_layer(name) for name, p in of_kind.items() if p * len(ps) < SHARED}
        if layers and shared == layers:
            parts.append(f"all {len(layers)} {label} layers")
        elif layers:
            which = ", ".join(sorted(shared, key=lambda s: (len(s), s)))
            parts.append(f"{label} layers {which} of {len(layers)}" if shared else f"no {label} layer of {len(layers)}")
    return f"one common initialisation ({'; '.join(parts)})"


def _layer(name: str) -> str:
    found = re.search(r"\.(\d+)\.", name)
    return found[1] if found else name


def common_base(results: Iterable[ExactResult]) -> bool:
    """Whether suspect, reference and the named base all carry weights of one initialisation."""
    found = {e.against: e.p for e in results if e.test == "weights" and e.status == "ok" and e.p is not None}
    return all(found.get(label, 1.0) < COPIED for label in PAIRS)


def compare_weights(suspect: Path, other: Path, *, against: str = "reference") -> ExactResult:
    """Match and judge two model directories with safetensors."""
    from . import recompute

    return recompute(canonical(match_weights(suspect, other, against=against)))


def match_weights(suspect: Path, other: Path, *, against: str = "reference") -> dict[str, Any]:
    """The inputs of `judge`: matchings of all up-projections and value heads of equal name and shape.

    Two matrices are in memory at a time.
    """
    mine, theirs = matrices(suspect), matrices(other)
    heads = (value_heads(suspect), value_heads(other))
    found: list[dict[str, Any]] = []
    inputs = {"test": "weights", "against": against, "matrices": found}
    for name in sorted(mine.keys() & theirs.keys()):
        a, b = read(mine[name], name), read(theirs[name], name)
        if a.shape != b.shape:
            continue
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            return inputs | {"status": "failed", "reason": f"{name} holds values that are not finite"}
        for part, x, y in _units(name, a, b, heads):
            match = matched(x, y)
            found.append({"name": part, "match": [int(i) for i in match]})
    if not found:
        reason = "the two models have no MLP up-projections or attention values of equal name and shape to match"
        return inputs | {"status": "unsupported", "reason": reason}
    return inputs


def _units(
    name: str, a: Matrix, b: Matrix, heads: tuple[int | None, int | None]
) -> Iterator[tuple[str, Matrix, Matrix]]:
    """The groups of rows that have no order of their own: all units of an MLP, the rows within one value head."""
    if name.endswith(UP_PROJECTIONS):
        yield name, a, b
        return
    count = heads[0]
    if count is None or heads[0] != heads[1] or len(a) % count:
        return
    for head, (x, y) in enumerate(zip(np.split(a, count), np.split(b, count), strict=True)):
        yield f"{name} head {head}", x, y


def matched(a: Matrix, b: Matrix) -> NDArray[np.int64]:
    """The best matching of rows ``(units, width)`` by cosine: live row i of a with live row ``match[i]`` of b.

    Rows without direction (pruned units) are left out, and b's rows are shuffled before matching: an assignment breaks
    ties in row order, which would look like the identity. Above ``MOST_UNITS`` a fixed random subset is matched.
    """
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(0)
    live = np.flatnonzero((np.linalg.norm(a, axis=1) > 0) & (np.linalg.norm(b, axis=1) > 0))
    if len(live) > MOST_UNITS:
        live = np.sort(rng.choice(live, MOST_UNITS, replace=False))
    if len(live) == 0:
        return np.zeros(0, np.int64)
    order = rng.permutation(len(live))
    _, match = linear_sum_assignment(_unit(a[live]) @ _unit(b[live][order]).T, maximize=True)
    return np.asarray(order[match], dtype=np.int64)


def matching_p(match: NDArray[np.int64]) -> float:
    """One-sided p of Spearman's rho between a matching and the identity; never below 1 / n!, the smallest that n units
    can give, and 1 for fewer than three."""
    from scipy.stats import spearmanr

    n = len(match)
    if sorted(match.tolist()) != list(range(n)):
        raise ValueError("a matching is a permutation")
    if n < 3:
        return 1.0
    floor = max(SMALLEST_P, math.exp(-math.lgamma(n + 1)))
    if np.array_equal(match, np.arange(n)):
        return floor
    return max(float(spearmanr(match, np.arange(n), alternative="greater").pvalue), floor)


def layer_p(a: Matrix, b: Matrix) -> float:
    """p of one pair of matrices ``(units, width)``."""
    return matching_p(matched(a, b))


def fisher(ps: list[float]) -> float:
    """Fisher's combination, never 0: matrices are initialised independently, so their p-values are independent."""
    from scipy.stats import combine_pvalues

    return max(float(combine_pvalues(ps, method="fisher").pvalue), SMALLEST_P)


def _unit(x: Matrix) -> Matrix:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), dtype=np.float32)


def matrices(folder: Path) -> dict[str, Path]:
    """Names of the matrices that can be matched and the safetensors file that holds each."""
    from safetensors import safe_open

    out: dict[str, Path] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            out |= {name: file for name in tensors.keys() if name.endswith(UP_PROJECTIONS + VALUES)}  # noqa: SIM118
    return out


def value_heads(folder: Path) -> int | None:
    """How many value heads the configuration says there are; None where it doesn't."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config = config.get("text_config") or config
        names = ("num_key_value_heads", "num_attention_heads", "n_head")
        found = next((config[name] for name in names if config.get(name)), None)
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, int) and found > 0 else None


def read(file: Path, name: str) -> Matrix:
    """One matrix as ``(units, width)``, float32; of GPT-2's fused attention the value third."""
    from safetensors import safe_open

    with safe_open(file, framework="pt") as tensors:
        matrix: Matrix = tensors.get_tensor(name).float().numpy()
    if name.endswith("attn.c_attn.weight"):
        return matrix[:, 2 * matrix.shape[1] // 3 :].T
    # GPT-2 stores (width, units); units are the longer side in every MLP that widens.
    return matrix.T if name.endswith("c_fc.weight") and matrix.shape[1] > matrix.shape[0] else matrix
