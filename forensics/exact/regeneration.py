"""``regeneration``: does the suspect prefer the answers that were served to fresh draws of the same model?

For a logged prompt the served answer and m fresh draws of the same frozen reference are exchangeable for every model
that never saw the served one, however similar to the reference, whatever its base. Training on *other* draws costs
power, not validity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..types import ExactResult
from .ranks import PASSED, Array, Ranked, rank_test
from .words import REJECT, rank_power

ASSUMES = (
    "the served answers and the redraws come from the same frozen model, prompt and sampler, one independent draw "
    "each; logged items were chosen without reading the answers; the suspect got the served answers, not the redraws"
)
BREAKS = (
    "the reference or its sampler changed since (checked), items picked by their answers (checked), one stored answer "
    "served to several askers, or served answers that somebody posted in public: then it shows training on them, not "
    "by whom they were taken"
)
REFUSE = 0.01  # level of the checks together; two-sided, Bonferroni over checks
LEAST = 20  # items that tell their candidates apart
UNITS = {"log-probs": "nats an answer", "answers": "similarity", "continuation": "similarity"}
PREFERS = {
    "log-probs": "gives the served answers more probability than fresh draws of the reference",
    "answers": "answers more like the served answers than like fresh draws of the reference",
    "continuation": "continues the served answers more truly than fresh draws of the reference",
}


def judge(inputs: Mapping[str, Any]) -> ExactResult:
    """Does the suspect prefer the logged answers that were served to fresh draws of the reference?

    ``scores`` ``(n, m + 1)``, the served answer first: nats under the suspect (form log-probs) or similarity to what
    the suspect says (answers, continuation; n-grams weighted by an idf that is symmetric in all draws). ``controls``:
    control variates by name, same shape. ``checks``: statistics that must be exchangeable, whoever the suspect is.
    Null: served and redrawn are exchangeable given the prompt. p from within-prompt permutation, e anytime-valid.
    """
    scores = np.array(inputs["scores"], dtype=np.float64)
    result = ExactResult("regeneration", "ok", assumes=ASSUMES, breaks=BREAKS, randomness=f"draws {inputs['draws']}")
    n = len(scores)
    if n < LEAST:
        reason = f"{n} items have a served answer and all its redraws, {LEAST} are needed"
        return replace(result, status="insufficient", n=n, reason=reason)
    broken = refusal(inputs)
    if broken:
        return replace(result, status="failed", n=n, reason=broken)
    controls = np.array(list(inputs["controls"].values()), dtype=np.float64).reshape(-1, *scores.shape)
    found = rank_test(scores, controls, np.random.default_rng(inputs["seed"]))
    if found.n < LEAST:
        reason = f"only {found.n} items tell their draws apart (sampling without randomness?), {LEAST} are needed"
        return replace(result, status="insufficient", n=found.n, reason=reason)
    form = inputs["form"]
    power = "" if found.p <= REJECT else rank_power("regeneration", form, found.n, found.spread, UNITS[form])
    return replace(result, p=found.p, e=found.e, n=found.n, finding=_finding(inputs, found), power=power)


def _finding(inputs: Mapping[str, Any], found: Ranked) -> str:
    names = list(inputs["controls"])
    taken = f", with {' and '.join(names)} as control variate" if names else ", without a control variate"
    what = PREFERS[inputs["form"]] if found.p <= REJECT else "shows no preference for the served answers"
    held = "" if any(c["who"] == "unsuspected" for c in inputs["checks"]) else (
        "; drift between serving and redrawing could only be checked on the suspected accounts themselves"
    )  # fmt: skip
    wins = f"the served answer beats {found.wins:.0%} of its redraws"
    grown = f"; its e-value passed {PASSED} after {found.passed} of them" if found.passed else ""
    return f"the suspect {what}: {wins} over {found.n} logged prompts{taken} (form: {inputs['form']}){grown}{held}"


def refusal(inputs: Mapping[str, Any]) -> str:
    """Why the test must not be made, or "". Every check is a statistic of the texts and of R alone, so it has to be
    exchangeable between served and redrawn whether or not the suspect was trained on them."""
    rng = np.random.default_rng([inputs["seed"], 1])
    checks = [c for c in inputs["checks"] if len(c["values"]) >= LEAST]
    ps = [two_sided(np.array(c["values"], dtype=np.float64), rng) for c in checks]
    for p, check in zip(ps, checks, strict=True):
        if p * len(ps) <= REFUSE:
            who = f"answers served to {check['who']} accounts"
            cause = (
                "the reference or its sampling differs from what was served"
                if check["who"] == "unsuspected"
                else "the reference or its sampling differs from what was served, or items were picked by their answers"
            )
            return (
                f"{who} and redraws are not exchangeable in {check['name']} (p = {p:.2g}): {cause}; no test is possible"
            )
    return ""


def two_sided(values: Array, rng: np.random.Generator, permutations: int = 4_999) -> float:
    """Two-sided within-prompt permutation p of column 0 of ``(n, m + 1)`` values."""
    none = np.zeros((0, *values.shape))
    up = rank_test(values, none, rng, permutations=permutations).p
    down = rank_test(-values, none, rng, permutations=permutations).p
    return min(1.0, 2 * min(up, down))
