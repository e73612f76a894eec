"""A fingerprint with its name and provenance, as JSON: what is stored, shipped and compared. Numbers only, no text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np

from fingerprints.extract import feature_names
from fingerprints.features import FAMILIES, FEATURE_SET, load_family
from fingerprints.features.base import Vector
from fingerprints.fingerprint import Fingerprint

FORMAT = "forensics-fingerprint/1"
DIGITS = 4  # significant; the standard error of a mean over 251 answers is a sixteenth of its spread
MAX_BYTES = 1 << 20
_STRICT = {"extra": "forbid", "strict": True}


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """The fingerprint of one model."""

    name: str
    """Who answered."""
    fingerprint: Fingerprint
    """Mean, spread and n of each feature, the families in the order of the table."""
    answers: int
    """Answers that were measured; empty, blocked and failed ones are not among them."""
    prompts: str
    """`prompt_set` of what was asked; "" where the answers' file does not say."""

    @property
    def families(self) -> tuple[str, ...]:
        """The families that were measured."""
        return tuple(dict.fromkeys(name.partition(":")[0] for name in self.fingerprint.names))

    def only(self, families: Sequence[str]) -> Fingerprint:
        """The fingerprint of these families, in this order. Errors: ValueError for one that was not measured."""
        absent = [family for family in families if family not in self.families]
        if absent:
            raise ValueError(f"{self.name} was not measured on the family {absent[0]!r}, only on {self.families}")
        place = {name: i for i, name in enumerate(self.fingerprint.names)}
        names = feature_names(families)
        at = [place[name] for name in names]
        found = self.fingerprint
        return Fingerprint(names, found.mean[at], found.spread[at], found.n[at])

    def to_json(self) -> bytes:
        """Canonical JSON (RFC 8785) with numbers rounded to 4 significant digits: the same profile, the same bytes."""
        import rfc8785

        families = {}
        for family in self.families:
            part = self.only([family])
            counts = part.n.tolist()
            families[family] = {
                "mean": _rounded(part.mean),
                "spread": _rounded(part.spread),
                "n": counts[0] if len(set(counts)) == 1 else counts,
            }
        return rfc8785.dumps(
            {"format": FORMAT, "feature_set": FEATURE_SET, "name": self.name, "answers": self.answers,
             "prompts": self.prompts, "families": families}
        )  # fmt: skip

    @property
    def digest(self) -> str:
        """SHA-256 of `to_json`."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @classmethod
    def from_json(cls, data: bytes) -> Profile:
        """Read what `to_json` wrote. Errors: ValueError in one line, whatever the bytes are."""
        if len(data) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES:,} bytes: no fingerprint")
        stored = _validated(data)
        if stored.feature_set != FEATURE_SET:
            raise ValueError(
                f"made with feature set {stored.feature_set[:20]!r}, this is {FEATURE_SET!r}: "
                "their numbers can't be compared; build it again from the answers"
            )
        unknown = sorted(set(stored.families) - set(FAMILIES))
        if unknown or not stored.families:
            raise ValueError(f"unknown family {unknown[0][:40]!r}" if unknown else "a fingerprint without a family")
        families = tuple(name for name in FAMILIES if name in stored.families)
        columns = [_columns(name, stored.families[name], stored.answers) for name in families]
        mean, spread, n = (np.concatenate(column) for column in zip(*columns, strict=True))
        found = Fingerprint(feature_names(families), mean, spread, n.astype(np.int64))
        return cls(stored.name, found, stored.answers, stored.prompts)


def prompt_set(keys: Iterable[str]) -> str:
    """SHA-256 over the distinct keys of the prompts: equal for equal sets of prompts; "" if one is unknown."""
    distinct = sorted(set(keys))
    if not distinct or "" in distinct:
        return ""
    return hashlib.sha256("\n".join(distinct).encode()).hexdigest()


def _rounded(values: Vector) -> list[float | None]:
    return [None if np.isnan(value) else float(f"{value:.{DIGITS}g}") for value in values.tolist()]


def _columns(family: str, stored: _Numbers, answers: int) -> tuple[Vector, Vector, Vector]:
    """Mean, spread and n of one family, if they can be those of a fingerprint."""
    upper = np.array(load_family(family).upper)
    mean, spread = (np.array(column, dtype=np.float64) for column in (stored.mean, stored.spread))
    n = np.array(stored.n if isinstance(stored.n, list) else [stored.n] * len(upper), dtype=np.float64)
    if not len(mean) == len(spread) == len(n) == len(upper):
        raise ValueError(f"family {family!r} does not have {len(upper)} features")
    if (n > answers).any() or (n < 0).any():
        raise ValueError(f"family {family!r} counts more answers than there are, or less than none")
    if (np.isnan(mean) != (n == 0)).any() or (np.isnan(spread) != (n < 2)).any():
        raise ValueError(f"family {family!r} has a number without answers, or answers without a number")
    slack = 1 + 10.0 ** (1 - DIGITS)  # rounding may lift a value that stood at the bound
    if any((column < 0).any() or (column > upper * slack).any() for column in (mean, spread)):
        raise ValueError(f"family {family!r} has a value that the feature can't have")
    return mean, spread, n


@dataclass(frozen=True)
class _Numbers:
    __pydantic_config__: ClassVar = _STRICT
    mean: list[float | None]
    spread: list[float | None]
    n: int | list[int]


@dataclass(frozen=True)
class _Stored:
    __pydantic_config__: ClassVar = _STRICT
    format: Literal["forensics-fingerprint/1"]
    feature_set: str
    name: str
    answers: int
    prompts: str
    families: dict[str, _Numbers]


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(_Stored)


def _validated(data: bytes) -> _Stored:
    from pydantic import ValidationError

    try:
        stored: _Stored = _adapter().validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"]) or "the file"
        raise ValueError(f"no fingerprint: {where}: {first['msg']}") from None
    if len(stored.name) > 200 or not 0 <= stored.answers < 1 << 53:
        raise ValueError("no fingerprint: a name of more than 200 characters, or no possible number of answers")
    if not re.fullmatch(r"([0-9a-f]{64})?", stored.prompts):
        raise ValueError("no fingerprint: prompts is no SHA-256")
    return stored
