"""``weights``: do two open-weight models descend from one initialisation? [2502.12292]

Hidden units of an MLP have no order of their own: under independent random initialisation, whatever the data, matching
the rows of two models' up-projections by largest total cosine gives a permutation that is uniform and independent of
the rows' numbers. Copied (and further trained) weights keep their numbers. Per layer: Spearman's rho of the matching
with the identity, one-sided p; Fisher's method over layers. It separates copied weights from copied outputs: a student
with an initialisation of its own shows nothing here, however well it was taught.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..types import ExactResult

UP_PROJECTIONS = ("mlp.up_proj.weight", "mlp.c_fc.weight", "mlp.dense_h_to_4h.weight", "mlp.fc1.weight")
SMALLEST_P = 1e-300
COPIED = 1e-6  # p below which two models are said to descend from one initialisation
PAIRS = {"reference": "suspect and reference", "base": "suspect and base", "reference-base": "base and reference"}
ASSUMES = (
    "the two models were initialised independently at random; hidden units have not been deliberately re-ordered since "
    "(re-ordering hides copied weights, it cannot fake them)"
)


def compare_weights(suspect: Path, other: Path, *, against: str = "reference") -> ExactResult:
    """p of "independent initialisations" for two model directories with safetensors; n = layers compared.

    Status ``unsupported`` with a reason when no up-projections of equal shape are found.
    """
    mine, theirs = up_projections(suspect), up_projections(other)
    layers = [k for k in mine if k in theirs and mine[k].shape == theirs[k].shape]
    if not layers:
        reason = "the two models have no MLP up-projections of equal name and shape, so weights can't be matched"
        return ExactResult("weights", "unsupported", against=against, assumes=ASSUMES, reason=reason)
    p = fisher([layer_p(mine[k], theirs[k]) for k in layers])
    seen = "one common initialisation" if p < COPIED else "no shared weights seen"
    finding = f"{PAIRS.get(against, against)}: {seen}"
    return ExactResult("weights", "ok", p=p, n=len(layers), against=against, assumes=ASSUMES, finding=finding)


def layer_p(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """One-sided p of Spearman's rho between the best matching of rows ``(units, width)`` and the identity."""
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import spearmanr

    cosine = _unit(a) @ _unit(b).T
    _, match = linear_sum_assignment(cosine, maximize=True)
    if np.array_equal(match, np.arange(len(match))):
        return SMALLEST_P
    return max(float(spearmanr(match, np.arange(len(match)), alternative="greater").pvalue), SMALLEST_P)


def fisher(ps: list[float]) -> float:
    """Fisher's combination, never 0: layers are initialised independently, so their p-values are independent."""
    from scipy.stats import combine_pvalues

    return max(float(combine_pvalues(ps, method="fisher").pvalue), SMALLEST_P)


def _unit(x: NDArray[np.float32]) -> NDArray[np.float32]:
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(norm > 0, norm, 1.0), dtype=np.float32)


def up_projections(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Up-projection matrices ``(units, width)`` by tensor name, read one at a time from the safetensors files."""
    from safetensors import safe_open

    out: dict[str, NDArray[np.float32]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a mapping
                if name.endswith(UP_PROJECTIONS):
                    matrix = tensors.get_tensor(name).float().numpy()
                    # GPT-2 stores (width, units); units are the longer side in every MLP that widens.
                    out[name] = (
                        matrix.T if name.endswith("c_fc.weight") and matrix.shape[1] > matrix.shape[0] else matrix
                    )
    return out
