"""What an audit is asked to do: TOML file, environment and flags, validated once; unknown keys are errors."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from .errors import UsageError
from .types import LIVE, MANNERS, WIRE, ModelSpec, Sampling
from .until import parse_rule

PREFIX = "FORENSICS_"
LISTS = ("controls", "comparators")


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """One audit. Specs are strings (`forensics.spec`); ``population``: "auto", "none" or a name."""

    __pydantic_config__ = WIRE

    suspect: str
    reference: str
    controls: tuple[str, ...] = ()
    base: str | None = None
    suite: str = "core"
    seed: int = 0
    temperature: float = 1.0
    max_tokens: int = 256
    max_requests: int | None = None
    max_total_tokens: int | None = None
    max_cost: float | None = None
    prices: str | None = None
    system: str | None = None
    comparators: tuple[str, ...] = ()
    population: str = "auto"
    skip_bad: bool = False
    until: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_tokens", "max_requests", "max_total_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}")
        if self.max_cost is not None and not self.max_cost > 0:
            raise UsageError(f"max_cost must be above 0, not {self.max_cost}")
        if self.max_cost is not None and self.prices is None:
            raise UsageError("max_cost needs prices: name a file with what each model costs (--prices FILE)")
        if not 0.0 <= self.temperature <= 2.0:
            raise UsageError(f"temperature must be between 0 and 2, not {self.temperature}")
        if not 0 <= self.seed < 2**53:  # canonical JSON has no larger whole numbers
            raise UsageError(f"seed must be from 0 to {2**53 - 1}, not {str(self.seed)[:40]}")
        if self.max_tokens >= 2**31:
            raise UsageError(f"max_tokens must be below {2**31}, not {str(self.max_tokens)[:40]}")
        if self.until is not None:
            limits = (self.max_requests, self.max_total_tokens, self.max_cost)
            if parse_rule(self.until).budget and all(limit is None for limit in limits):
                raise UsageError("--until: budget names no budget: add --max-requests, --max-tokens or --max-cost")

    @property
    def sampling(self) -> Sampling:
        """What every request starts from."""
        return Sampling(temperature=self.temperature, max_tokens=self.max_tokens, seed=self.seed)

    @property
    def fixed(self) -> AuditConfig:
        """The part that must stay the same for a case to be continued."""
        same = replace(self, suspect=_plain(self.suspect), reference=_plain(self.reference),
                       controls=tuple(map(_plain, self.controls)), base=self.base and _plain(self.base))  # fmt: skip
        return replace(same, max_requests=None, max_total_tokens=None, max_cost=None, prices=None, population="auto",
                       comparators=(), until=None)  # fmt: skip

    def specs(self) -> dict[str, ModelSpec]:
        """Parties by name: "suspect", "reference", "base", and controls under short, unique names."""
        from .spec import parse_spec

        out = {"suspect": parse_spec(self.suspect), "reference": parse_spec(self.reference)}
        for text in self.controls:
            spec = parse_spec(text)
            name = base = short_name(spec)
            number = 2
            while name in out or name == "base":
                name, number = f"{base} ({number})", number + 1
            out[name] = spec
        if self.base is not None:
            out["base"] = parse_spec(self.base)
        _refuse_twins(out)
        return out


def _plain(text: str) -> str:
    """A spec without the options that say how patiently a live model is asked: a case continues whatever they are."""
    head, _, query = text.partition("?")
    if head.partition("/")[0] not in LIVE:
        return text
    kept = "&".join(part for part in query.split("&") if part.partition("=")[0] not in MANNERS)
    return f"{head}?{kept}" if kept else head


def _refuse_twins(specs: Mapping[str, ModelSpec]) -> None:
    """One model in two places would be compared with itself. The base may also be a control."""
    seen: dict[tuple[str, str, tuple[tuple[str, str], ...]], str] = {}
    for name, spec in specs.items():
        local = spec.provider in ("file", "hf", "gguf", "replay") and Path(spec.name).exists()
        # The maker and how patiently a model is asked change no answer.
        options = tuple(pair for pair in spec.options if pair[0] not in ("vendor", *MANNERS))
        key = (spec.provider, str(Path(spec.name).resolve()) if local else spec.name, options)
        other = seen.setdefault(key, name)
        if other != name and not (name == "base" and other not in ("suspect", "reference")):
            raise UsageError(f"{spec} is named twice, as {other} and as {name}: every party is another model")


def short_name(spec: ModelSpec) -> str:
    """What a control is called in tables: the last part of its name, without the endings of answer files."""
    name = spec.name.rstrip("/").rpartition("/")[2]
    for ending in (".zst", ".gz", ".jsonl", ".json", ".gguf"):
        name = name.removesuffix(ending)
    return name or spec.name


def load_config(path: str | Path | None = None, **flags: Any) -> AuditConfig:
    """Flag > environment (``FORENSICS_SUITE`` …) > file > default.

    The file is ``forensics.toml`` or a ``pyproject.toml`` with ``[tool.forensics]``. Errors: `UsageError` naming the
    file or variable and the key.
    """
    values = _from_file(path) if path is not None else {}
    values |= _from_environment()
    values |= {k: v for k, v in flags.items() if v is not None and v != ()}
    return make_config(values)


def make_config(values: Mapping[str, Any]) -> AuditConfig:
    """Validate plain values. Errors: `UsageError` with the first thing that is wrong."""
    from pydantic import TypeAdapter, ValidationError

    from .registry import unknown

    known = [f.name for f in fields(AuditConfig)]
    for key in values:
        if key not in known:
            raise UsageError(unknown("configuration key", key, known))
    try:
        return TypeAdapter(AuditConfig).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "configuration"
        if first["type"] == "missing":
            raise UsageError(f"{where} is not given: name it with --{where} or in the configuration file") from error
        raise UsageError(f"configuration: {where}: {first['msg'].lower()}") from error


def _from_file(path: str | Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"no such configuration file: {path}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} can't be read as TOML: {str(error)[:300]}") from error
    section: Any = data
    for name in ("tool", "forensics") if Path(path).name == "pyproject.toml" else ():
        section = section.get(name, {}) if isinstance(section, dict) else None
    if isinstance(section, dict):
        section = section.get("audit", {key: value for key, value in section.items() if key != "check"})
    if not isinstance(section, dict):
        raise UsageError(f"{path}: [audit] must be a table")
    return dict(section)


def _from_environment() -> dict[str, Any]:
    out: dict[str, Any] = {}
    for field in fields(AuditConfig):
        text = os.environ.get(PREFIX + field.name.upper())
        if text:
            out[field.name] = tuple(text.split()) if field.name in LISTS else text
    return out
