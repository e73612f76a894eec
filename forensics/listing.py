"""What ``forensics list`` shows and ``forensics init`` writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .record import GroupRow, ValidationRecord

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

    about = {
        "hf": "transformers: a local directory or an id, safetensors only",
        "gguf": "a GGUF file through transformers",
        "zoo": "a shipped model of known lineage",
        "openai": "OpenAI; key in OPENAI_API_KEY",
        "api": "api/<profile>/<name>: any OpenAI-compatible server; <PROFILE>_BASE_URL, <PROFILE>_API_KEY",
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


def validation(v: ValidationRecord) -> tuple[Listing, ...]:
    """The figures of `forensics validate` as tables."""
    hp, hd = v.lineages
    figures = [
        ("independent lineages, Hp / Hd", f"{hp} / {hd}"),
        ("bounds of the llr", f"{v.bounds[0]:+.2f} … {v.bounds[1]:+.2f}"),
        ("AUC", f"{v.auc:.3f} [{v.auc_interval[0]:.3f}, {v.auc_interval[1]:.3f}]"),
        ("Cllr (0 perfect, 1 says nothing)", f"{v.cllr:.3f} [{v.cllr_interval[0]:.3f}, {v.cllr_interval[1]:.3f}]"),
        ("Cllr_min (discrimination alone)", f"{v.cllr_min:.3f}"),
        ("Cllr_cal (lost in calibration)", f"{v.cllr_cal:.3f}"),
        *((f"lineages with any pair at {e.name}", f"{e.hits} of {e.n} (95 % upper bound {e.upper:.1%})")
          for e in v.errors),
        ("AUC of length alone", "not recorded" if v.length_only is None else f"{v.length_only:.3f}"),
        *((f"Pr(LR >= {t.x:g} | Hd), Pr(LR <= 1/{t.x:g} | Hp)", f"{t.hd:.3f}, {t.hp:.3f} (each at most {1 / t.x:.3f})")
          for t in v.turing),
        *((f"AUC of {name} alone", f"{value:.3f}") for name, value in v.columns),
    ]  # fmt: skip
    head = ("kind", "pairs", "lineages", "AUC against Hd", "LR >= 10")
    return (
        (f"population {v.population}, lineage-grouped cross-validation", ("figure", "value"), figures),
        ("kinds of pairs", head, [_group(g) for g in v.kinds]),
        *([("groups", head, [_group(g) for g in v.groups])] if v.groups else []),
    )


def _group(g: GroupRow) -> tuple[str, ...]:
    found = "" if g.auc is None or g.interval is None else f"{g.auc:.3f} [{g.interval[0]:.3f}, {g.interval[1]:.3f}]"
    return g.name, str(g.pairs), str(g.lineages), found, f"{g.at_ten:.1%}"


KINDS: dict[str, Callable[[], Listing]] = {
    "probes": probes,
    "comparators": comparators,
    "backends": backends,
    "exact": exact,
    "populations": populations,
    "suites": suites,
    "zoo": zoo,
}

TEMPLATE = """\
# distillation-forensics: one audit. Flags and FORENSICS_* variables override what stands here.
# Keys of endpoints are never written here: they come from the environment (OPENAI_API_KEY, <PROFILE>_API_KEY).

[audit]
# Models as provider/name?option=value: openai/…, api/<profile>/<name>, hf/<directory>, gguf/<file>, zoo/<name>,
# or a file of recorded answers.
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
# population = "auto"         # "none" withholds every likelihood ratio
# comparators = ["answer-overlap", "style-delta", "next-token-divergence", "cross-likelihood"]
"""
