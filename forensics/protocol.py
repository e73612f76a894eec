"""What is fixed before the first request: who is compared, by which probes, with which statistics, decided how.

Its hash is the first link of the case's chain, so nobody can choose probes, comparators or a population by the answers
that they give and call it planned. Judging in another way stays possible, and the report says what was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import __version__
from .comparators import COMPARATORS
from .config import AuditConfig
from .errors import UsageError
from .serial import dump
from .store import Store
from .types import WIRE
from .until import parse_rule
from .verdict.calibrate import Population, load_population, shipped_populations
from .verdict.combine import DECISIVE

KIND = "protocol"
OTHERWISE = "Not as fixed before the first request"


@dataclass(frozen=True, slots=True)
class Protocol:
    """See the module. ``populations``: (name, digest) of those that could have been read from; ``decisive``: |llr|."""

    __pydantic_config__ = WIRE

    tool: str
    config: AuditConfig
    suite: str
    suite_digest: str
    comparators: tuple[str, ...]
    populations: tuple[tuple[str, str], ...]
    decisive: float


def fix_protocol(store: Store, config: AuditConfig, suite: str, suite_digest: str) -> None:
    """Store the protocol of a new case, before anything else. A case that is continued keeps its own.

    Errors: `UsageError` if it is continued by a stopping rule that it was not begun with.
    """
    if len(store):
        _same_rule(store, config)
        return
    names = (config.population,) if config.population not in ("auto", "none") else shipped_populations()
    populations = () if config.population == "none" else tuple((p.name, p.digest) for p in map(load_population, names))
    chosen = config.comparators or COMPARATORS.names()
    found = Protocol(__version__, config, suite, suite_digest, chosen, populations, DECISIVE)
    store.note(KIND, "", dump(found))


def _same_rule(store: Store, config: AuditConfig) -> None:
    fixed = stored_protocol(store)
    if config.until is None or fixed is None:
        return
    begun = fixed.config.until
    if begun is None or parse_rule(begun) != parse_rule(config.until):
        how = "without a rule" if begun is None else f"by the rule {parse_rule(begun)}"
        raise UsageError(
            f"{store.path or 'the case'} was begun {how}: a rule that is chosen when answers are in is not fixed "
            "beforehand; continue without --until, or name a new case"
        )


def stored_protocol(store: Store) -> Protocol | None:
    """The protocol of a case; None where it has none or it is redacted."""
    first = next(store.entries(KIND), None)
    if first is None or store.redacted(first.raw):
        return None
    return store.read(Protocol, first.raw)


def deviations(store: Store, comparators: Sequence[str], population: Population | None) -> list[str]:
    """What is judged otherwise than was fixed, as sentences for the report."""
    fixed = stored_protocol(store)
    if fixed is None:
        return ["What was to be asked and how it was to be judged was not fixed before the first request."]
    out = []
    added = sorted(set(comparators) - set(fixed.comparators))
    dropped = sorted(set(fixed.comparators) - set(comparators))
    for names, what in ((added, "were added"), (dropped, "were left out")):
        if names:
            out.append(f"{OTHERWISE}: the comparators {', '.join(names)} {what}.")
    if population is not None and (population.name, population.digest) not in fixed.populations:
        out.append(f"{OTHERWISE}: the population {population.name} is another one, or another version of it.")
    return out
