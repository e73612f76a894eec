"""Texts to vectors."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fingerprints.features import DEFAULT, load_family
from fingerprints.features.base import Vector
from fingerprints.reading import Reading


def feature_names(families: Sequence[str] | None = None) -> tuple[str, ...]:
    """Names `family:feature`, in the order of the columns. Those of `DEFAULT` if no families are given."""
    return tuple(f"{name}:{feature}" for name in _chosen(families) for feature in load_family(name).names)


def vector(text: str, families: Sequence[str] | None = None) -> Vector:
    """Features of one text: `(n_features,)`, NaN where the text has no data for a feature."""
    return next(rows([text], families))


def matrix(texts: Iterable[str], families: Sequence[str] | None = None) -> Vector:
    """Features of many texts: `(n_texts, n_features)`. Takes any iterable and holds one text at a time."""
    width = len(feature_names(families))
    return np.fromiter(rows(texts, families), dtype=np.dtype((np.float64, width)))


def rows(texts: Iterable[str], families: Sequence[str] | None = None) -> Iterator[Vector]:
    """`vector` of each text, one at a time.

    Errors: ModuleNotFoundError that says what to install, if a family can't be measured on this machine.
    """
    # A str is an iterable of str: without this check one text would become a matrix of letters.
    if isinstance(texts, str):
        raise TypeError("texts is an iterable of texts, not one text")
    loaded = [load_family(name) for name in _chosen(families)]
    for family in loaded:
        if reason := family.missing():
            raise ModuleNotFoundError(reason)
    return (np.concatenate([family.measure(reading) for family in loaded]) for reading in map(Reading, texts))


def _chosen(families: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(families, str):
        raise TypeError("families is a sequence of names, not one name")
    chosen = DEFAULT if families is None else tuple(families)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError("families must be distinct, and at least one")
    return chosen
