"""``weights``: do two open-weight models descend from one initialisation? [2502.12292]

Hidden units of an MLP have no order of their own: under independent random initialisation, whatever the data, matching
the rows of two models' up-projections by largest total cosine gives a permutation that is uniform and independent of
the rows' numbers. Copied (and further trained) weights keep their numbers. Per layer: Spearman's rho of the matching
with the identity, one-sided p; Fisher's method over layers. It separates copied weights from copied outputs: a student
with an initialisation of its own shows nothing here, however well it was taught.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..types import ExactResult

UP_PROJECTIONS = ("mlp.up_proj.weight", "mlp.c_fc.weight", "mlp.dense_h_to_4h.weight", "mlp.fc1.weight")
SMALLEST_P = 1e-300
MOST_UNITS = 2048  # matching costs the cube of it
Matrix = NDArray[np.float32]
COPIED = 1e-6  # p below which two models are said to descend from one initialisation
PAIRS = {"reference": "suspect and reference", "base": "suspect and base", "reference-base": "base and reference"}
ASSUMES = (
    "the two models were initialised independently at random; hidden units have not been deliberately re-ordered since "
    "(re-ordering hides copied weights, it cannot fake them)"
)


def compare_weights(suspect: Path, other: Path, *, against: str = "reference") -> ExactResult:
    """p of "independent initialisations" for two model directories with safetensors; n = layers compared.

    Status ``unsupported`` with a reason when no up-projections of equal shape are found, ``failed`` when a matrix holds
    values that are not finite. Two matrices are in memory at a time.
    """
    mine, theirs = up_projections(suspect), up_projections(other)
    ps, reason = [], ""
    for name in sorted(mine.keys() & theirs.keys()):
        a, b = read(mine[name], name), read(theirs[name], name)
        if a.shape != b.shape:
            continue
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            reason = f"{name} holds values that are not finite"
            return ExactResult("weights", "failed", against=against, assumes=ASSUMES, reason=reason)
        ps.append(layer_p(a, b))
    if not ps:
        reason = "the two models have no MLP up-projections of equal name and shape, so weights can't be matched"
        return ExactResult("weights", "unsupported", against=against, assumes=ASSUMES, reason=reason)
    p = fisher(ps)
    seen = "one common initialisation" if p < COPIED else "no shared weights seen"
    finding = f"{PAIRS.get(against, against)}: {seen}"
    return ExactResult("weights", "ok", p=p, n=len(ps), against=against, assumes=ASSUMES, finding=finding)


def layer_p(a: Matrix, b: Matrix) -> float:
    """One-sided p of Spearman's rho between the best matching of rows ``(units, width)`` and the identity.

    Rows without direction (pruned units) are left out, and b's rows are shuffled before matching: an assignment breaks
    ties in row order, which would look like the identity. Above ``MOST_UNITS`` a fixed random subset is matched.
    p is never below 1 / n!, the smallest that n units can give.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    live = np.flatnonzero((np.linalg.norm(a, axis=1) > 0) & (np.linalg.norm(b, axis=1) > 0))
    if len(live) > MOST_UNITS:
        live = np.sort(rng.choice(live, MOST_UNITS, replace=False))
    if len(live) < 3:
        return 1.0
    order = rng.permutation(len(live))
    _, match = linear_sum_assignment(_unit(a[live]) @ _unit(b[live][order]).T, maximize=True)
    found = order[match]
    floor = max(SMALLEST_P, math.exp(-math.lgamma(len(live) + 1)))
    if np.array_equal(found, np.arange(len(found))):
        return floor
    return max(float(spearmanr(found, np.arange(len(found)), alternative="greater").pvalue), floor)


def fisher(ps: list[float]) -> float:
    """Fisher's combination, never 0: layers are initialised independently, so their p-values are independent."""
    from scipy.stats import combine_pvalues

    return max(float(combine_pvalues(ps, method="fisher").pvalue), SMALLEST_P)


def _unit(x: Matrix) -> Matrix:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), dtype=np.float32)


def up_projections(folder: Path) -> dict[str, Path]:
    """Names of up-projection matrices and the safetensors file that holds each."""
    from safetensors import safe_open

    out: dict[str, Path] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            out |= {name: file for name in tensors.keys() if name.endswith(UP_PROJECTIONS)}  # noqa: SIM118
    return out


def read(file: Path, name: str) -> Matrix:
    """One up-projection as ``(units, width)``, float32."""
    from safetensors import safe_open

    with safe_open(file, framework="pt") as tensors:
        matrix: Matrix = tensors.get_tensor(name).float().numpy()
    # GPT-2 stores (width, units); units are the longer side in every MLP that widens.
    return matrix.T if name.endswith("c_fc.weight") and matrix.shape[1] > matrix.shape[0] else matrix
