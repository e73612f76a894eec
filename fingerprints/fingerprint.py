"""Many vectors to one `Fingerprint`: mean, spread and n of each feature."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from fingerprints.extract import feature_names, rows
from fingerprints.features.base import Vector

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """Mean and spread of each feature over a set of texts. Arrays are `(n_features,)` and read-only."""

    names: tuple[str, ...]
    """Feature names, as `feature_names` gives them."""
    mean: Vector
    """Mean over the texts that have the feature; NaN if none has."""
    spread: Vector
    """Sample standard deviation (n - 1) over those texts; NaN with fewer than two."""
    n: Counts
    """Number of texts that have the feature."""

    def __post_init__(self) -> None:
        for array in (self.mean, self.spread, self.n):
            if array.shape != (len(self.names),):
                raise ValueError(f"{len(self.names)} names, but an array of shape {array.shape}")
            array.setflags(write=False)

    @classmethod
    def from_texts(cls, texts: Iterable[str], families: Sequence[str] | None = None) -> Self:
        """Measure and summarise in one pass over any iterable; one text is held at a time."""
        return cls._from_rows(feature_names(families), rows(texts, families))

    @classmethod
    def from_matrix(cls, values: Vector, names: Sequence[str] | None = None) -> Self:
        """Summarise a matrix `(n_texts, n_features)`; names default to those of the `DEFAULT` families."""
        names = feature_names() if names is None else tuple(names)
        if values.ndim != 2 or values.shape[1] != len(names):
            raise ValueError(f"{len(names)} names, but a matrix of shape {values.shape}")
        return cls._from_rows(names, values)

    @classmethod
    def _from_rows(cls, names: tuple[str, ...], rows: Iterable[Vector]) -> Self:
        """Welford's update, feature by feature, over the rows that are not NaN there."""
        n = np.zeros(len(names), dtype=np.int64)
        mean = np.zeros(len(names))
        squares = np.zeros(len(names))
        for row in rows:
            known = ~np.isnan(row)
            n += known
            delta = np.where(known, row - mean, 0.0)
            mean += delta / np.maximum(n, 1)
            squares += delta * np.where(known, row - mean, 0.0)
        variance = np.where(n > 1, squares / np.maximum(n - 1, 1), np.nan)
        return cls(names, np.where(n > 0, mean, np.nan), np.sqrt(variance), n)

    def __eq__(self, other: object) -> bool:
        """Equal names and equal numbers, NaN equal to NaN."""
        if not isinstance(other, Fingerprint):
            return NotImplemented
        same = np.array_equal(self.mean, other.mean, equal_nan=True)
        same = same and np.array_equal(self.spread, other.spread, equal_nan=True)
        return same and self.names == other.names and np.array_equal(self.n, other.n)

    __hash__ = None  # type: ignore[assignment]  # compared by value and holding arrays

    def __repr__(self) -> str:
        families = ", ".join(dict.fromkeys(name.partition(":")[0] for name in self.names))
        texts = int(self.n.max(initial=0))
        return f"<Fingerprint of {texts} texts: {len(self.names)} features ({families})>"

    def _repr_html_(self) -> str:
        head = "<tr><th>feature</th><th>mean</th><th>spread</th><th>n</th></tr>"
        columns = zip(self.names, self.mean, self.spread, self.n, strict=True)
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{mean:.4g}</td><td>{spread:.4g}</td><td>{n}</td></tr>"
            for name, mean, spread, n in columns
        )
        return f"<table><caption>{html.escape(repr(self))}</caption><thead>{head}</thead><tbody>{rows}</tbody></table>"
