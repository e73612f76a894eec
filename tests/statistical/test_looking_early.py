"""Looking early at models of known lineage: held-out llrs of the shipped populations' pairs, at nested columns."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from scipy.stats import binom

from forensics.verdict.calibrate import load_population

pytestmark = pytest.mark.statistical
ORDERS = {
    "zoo": ("next-token-divergence", "cross-likelihood", "answer-overlap", "style-delta"),
    "logprob": ("runner-up", "over-represented"),
}


@pytest.mark.parametrize("name", ORDERS)
def test_no_more_lineages_mislead_at_any_look_than_the_threshold_allows(name: str) -> None:
    people = load_population(name)
    paths: dict[tuple[str, str], list[float]] = defaultdict(list)
    for k in range(1, len(ORDERS[name]) + 1):
        columns = tuple(c for c in people.columns if c in ORDERS[name][:k])
        fit = people.through(columns)
        for pair, llr in zip(fit.pairs, np.clip(fit.held_out, *fit.bounds), strict=True):
            paths[pair.suspect, pair.candidate].append(float(llr))
    pairs = people.through(people.columns).pairs
    for side, sign in ((0, 1), (1, -1)):
        mine = [p for p in pairs if p.label == side]
        n = len({p.lineage for p in mine})
        assert n >= 20
        for x in (0.5, 0.7, 1.0):
            # A lineage counts if any of its pairs misleads at any look: harder than what is claimed, of one pair.
            met = len({p.lineage for p in mine if max(sign * v for v in paths[p.suspect, p.candidate]) >= x})
            assert binom.sf(met - 1, n, 10**-x) > 0.05, (side, x, met, n)
    students = [p for p in pairs if "100" in p.kind and p.label == 1]
    early = [paths[p.suspect, p.candidate][0] >= 1.0 for p in students]
    assert np.mean(early) > 0.5, "looking early would save nothing"
