"""What ``forensics list`` shows and ``forensics init`` writes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

Listing = tuple[str, tuple[str, ...], Sequence[tuple[str, ...]]]


def _first_line(thing: object) -> str:
    return " ".join((thing.__doc__ or "").strip().split("\n\n")[0].split())


def probes() -> Listing:
    """Families with their evidence, lane and cost in the core suite."""
    from .probes import PROBES, load_suite

    items = load_suite("core").items
    rows = []
    for name in PROBES.names():
        probe = PROBES.load(name)
        mine = [i for i in items if i.family == name]
        asked, tokens = sum(i.samples for i in mine), sum(i.samples * (i.max_tokens or 0) for i in mine)
        rows.append((name, probe.evidence, probe.lane, str(len(mine)), str(asked), str(tokens)))
    return (
        "probe families (cost a party in the core suite)",
        ("family", "evidence for", "lane", "items", "requests", "tokens"),
        rows,
    )


def comparators() -> Listing:
    """Statistics with their unit."""
    from .comparators import COMPARATORS

    rows = []
    for name in COMPARATORS.names():
        comparator = COMPARATORS.load(name)()
        rows.append((name, comparator.unit, ", ".join(sorted(comparator.families)), _first_line(comparator)))
    return "comparators", ("name", "unit", "reads", "what it is"), rows


def backends() -> Listing:
    """Providers of model specs."""
    from .backends import BACKENDS
    from .backends.profiles import PROFILES

    about = {
        "hf": "transformers: a local directory or an id, safetensors only",
        "gguf": "a GGUF file through transformers",
        "zoo": "a shipped model of known lineage",
        "openai": "OpenAI; key in OPENAI_API_KEY",
        "anthropic": "Anthropic; key in ANTHROPIC_API_KEY",
        "gemini": "Google Gemini; key in GEMINI_API_KEY",
        "api": "api/<profile>/<name>: any OpenAI-compatible server; <PROFILE>_BASE_URL, <PROFILE>_API_KEY; known: "
        + ", ".join(PROFILES),
        "file": "a file of recorded answers",
        "replay": "a stored case",
        "toy": "an in-memory mock, for trying a configuration",
    }
    return (
        "backends",
        ("provider", "what it reaches"),
        [(n, about.get(n, "an installed extension")) for n in BACKENDS.names()],
    )


def exact() -> Listing:
    """Exact tests."""
    from .exact import EXACT

    return "exact tests", ("name", "what it is"), [(n, _first_line(EXACT.load(n))) for n in EXACT.names()]


def fingerprints() -> Listing:
    """Families of features, and what of them is measured unless told otherwise."""
    from fingerprints import FAMILIES, PLAIN, load_family

    rows = []
    for name in FAMILIES:
        family = load_family(name)
        used = "by default" if name in PLAIN else family.missing() or "on demand"
        rows.append((name, str(len(family.names)), used, _first_line(sys.modules[family.measure.__module__])))
    return "feature families of a fingerprint", ("name", "features", "measured", "what it is"), rows


def populations() -> Listing:
    """Shipped populations with their size in lineages."""
    from .verdict.calibrate import load_population, shipped_populations

    rows = []
    for name in shipped_populations():
        p = load_population(name)
        rows.append((name, f"{len(p.lineages(1))} / {len(p.lineages(0))}", ", ".join(p.columns), p.card))
    return "populations", ("name", "lineages Hp / Hd", "scores", "card"), rows


def suites() -> Listing:
    """Shipped suites."""
    from .probes import load_suite, shipped_suites

    rows = []
    for name in shipped_suites():
        suite = load_suite(name)
        rows.append((name, str(len(suite.items)), suite.digest[:12]))
    return "suites", ("name", "items", "digest"), rows


def zoo() -> Listing:
    """Shipped models."""
    from . import zoo

    return "zoo models", ("name", "what it is"), [(n, zoo.card(n)) for n in zoo.models()]


KINDS: dict[str, Callable[[], Listing]] = {
    "probes": probes,
    "comparators": comparators,
    "backends": backends,
    "exact": exact,
    "fingerprints": fingerprints,
    "populations": populations,
    "suites": suites,
    "zoo": zoo,
}

TEMPLATE = """\
# distillation-forensics: one audit. Flags and FORENSICS_* variables override what stands here.
# Keys of endpoints are never written here: they come from the environment (OPENAI_API_KEY, <PROFILE>_API_KEY).

[audit]
# Models as provider/name?option=value: openai/…, anthropic/…, gemini/…, api/<profile>/<name>,
# hf/<directory>, gguf/<file>, zoo/<name>, or a file of recorded answers.
suspect = "zoo/student"
reference = "zoo/teacher"

# Models known to be unrelated to the reference, of the suspect's kind; three or more.
controls = ["zoo/control-a", "zoo/control-b", "zoo/control-c"]

# The suspect's base model or an earlier release, if it can be asked: the strongest correction there is.
base = "zoo/base"

# What to ask: "core" for real models, "zoo" for the shipped ones, or your own .jsonl file.
suite = "zoo"

# seed = 0
# temperature = 1.0
# max_tokens = 256            # longest answer where an item does not say
# max_requests = 5000         # stop cleanly (exit 4) and continue later
# max_total_tokens = 1000000
# prices = "prices.toml"      # what each model costs a million tokens: see docs/endpoints.md
# max_cost = 20.0             # in the price file's currency
# until = "llr>=1|llr<=-1"    # stop when that much is shown: see docs/endpoints.md
# system = "You are …"        # a system prompt, the same for every party
# population = "auto"         # "none" withholds every likelihood ratio
# comparators = ["answer-overlap", "style-delta", "next-token-divergence", "cross-likelihood"]
"""
