"""Texts to vectors, and many vectors to one `Fingerprint`."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from fingerprints.features import FAMILIES, load_family
from fingerprints.features.base import Vector
from fingerprints.reading import Reading

Counts = npt.NDArray[np.int64]


def feature_names(families: Sequence[str] | None = None) -> tuple[str, ...]:
    """Names `family:feature`, in the order of the columns. All registered families if none are given."""
    return tuple(f"{name}:{feature}" for name in _chosen(families) for feature in load_family(name).names)


def vector(text: str, families: Sequence[str] | None = None) -> Vector:
    """Features of one text: `(n_features,)`, NaN where the text has no data for a feature."""
    reading = Reading(text)
    return np.concatenate([load_family(name).measure(reading) for name in _chosen(families)])


def matrix(texts: Iterable[str], families: Sequence[str] | None = None) -> Vector:
    """Features of many texts: `(n_texts, n_features)`. Takes any iterable and holds one text at a time."""
    _refuse_single(texts)
    width = len(feature_names(families))
    return np.fromiter((vector(text, families) for text in texts), dtype=np.dtype((np.float64, width)))


def _chosen(families: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(families, str):
        raise TypeError("families is a sequence of names, not one name")
    chosen = tuple(FAMILIES) if families is None else tuple(families)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError("families must be distinct, and at least one")
    return chosen


def _refuse_single(texts: Iterable[str]) -> None:
    # A str is an iterable of str: without this check one text would become a matrix of letters.
    if isinstance(texts, str):
        raise TypeError("texts is an iterable of texts, not one text")


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
        """Measure and summarise in one pass; no matrix is kept."""
        _refuse_single(texts)
        return cls._from_rows(feature_names(families), (vector(text, families) for text in texts))

    @classmethod
    def from_matrix(cls, values: Vector, names: Sequence[str] | None = None) -> Self:
        """Summarise a matrix `(n_texts, n_features)`; names default to those of all families."""
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
