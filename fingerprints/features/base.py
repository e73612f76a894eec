"""What a feature family is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fingerprints.reading import Reading

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Family:
    """A named group of features measured together.

    Every feature is a rate, a share, a mean or a 0/1 flag in [0, upper], whatever the length of the text; what a text
    has no data for (no words, one sentence only) is NaN, never 0.
    """

    names: tuple[str, ...]
    """Feature names without the family's; unique within it."""
    upper: tuple[float, ...]
    """Upper bound of each feature; the lower bound is always 0."""
    measure: Callable[[Reading], Vector]
    """A text as it was read -> `(n_features,)` float64, in the order of `names`."""
    missing: Callable[[], str] = str
    """Why the family can't be measured on this machine and what to install; "" where it can."""


def undefined(n_features: int) -> Vector:
    """A vector of NaN: the text has nothing to measure these features on."""
    return np.full(n_features, np.nan)
