"""What `forensics baseline show` prints: what was spent, and what the next look can see."""

from __future__ import annotations

import math

from ..comparators import COMPARATORS
from ..errors import UsageError
from ..verdict.calibrate import load_population
from .drift import NINE_OF_TEN, clean_noise, reading
from .record import Baseline
from .run import history
from .spending import alpha_at

Rows = list[tuple[str, ...]]


def facts(b: Baseline) -> Rows:
    """(what, value)."""
    run = b.current.runs[0]
    c = b.conditions
    spent = sum(look.level for look in b.looks)
    plan = (
        "without end (alpha_k = alpha 6 / (pi k)^2)" if b.planned is None else f"{b.planned}, alpha / {b.planned} each"
    )
    try:
        following = f"{alpha_at(len(b.looks) + 1, b.alpha, b.planned):.3g}"
    except UsageError:
        following = "none left"
    return [
        ("release", f"{run.spec} ({run.identity[:8]})"),
        ("its runs", str(len(b.current.runs))),
        ("its case", str(b.case)),
        ("releases so far", str(len(b.releases))),
        ("reference", str(c.get("reference"))),
        ("controls", ", ".join(c.get("controls", ()))),
        ("suite", f"{c.get('suite')} ({str(c.get('suite_digest'))[:8]}), seed {c.get('seed')}"),
        ("population", b.population or "none: no llr, so no drift of it; gate drift.COMPARATOR"),
        ("alpha", f"{b.alpha:g}; looks: {plan}"),
        ("spent", f"{spent:.3g} in {len(b.looks)} look(s); level of the next one: {following}"),
    ]


def noise(b: Baseline) -> Rows:
    """(quantity, sd of one run, degrees of freedom, margin at the next look, what nine of ten builds would fail at)."""
    from scipy.stats import t

    try:
        level = alpha_at(len(b.looks) + 1, b.alpha, b.planned)
    except UsageError:
        return []
    levels = dict(b.current.levels)
    runs = [dict(r.values) for r in b.current.runs]
    rows: Rows = []
    for name in ("drift", *(n for n in COMPARATORS.names() if n in levels)):
        columns = {name: 0.0}
        people = None
        if name == "drift":
            if b.population is None:
                continue
            people = load_population(b.population)
            columns = {n: levels[n] for n in COMPARATORS.names() if n in levels and n in people.columns}
        if not all(set(columns) <= set(r) for r in runs):
            continue
        read = reading(name, columns, people)
        found = clean_noise([read(r) for r in runs], history(b, read, set(columns)))
        if found is None:
            rows.append((name, "not measured", "0", "measured at the check, from the controls", ""))
            continue
        spread = found.sd * math.sqrt(1 + 1 / len(runs))
        margin = float(t.ppf(1 - level, found.df)) * spread
        rows.append((name, f"{found.sd:.3g}", str(found.df), f"{margin:.3g}", f"{margin + NINE_OF_TEN * spread:.3g}"))
    return rows
