"""The audit tried on answers that are known, through the same code: self-checks, power, and the naive baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..comparators.answer_overlap import AnswerOverlap
from ..comparators.base import MIN_CONTROLS, MIN_ITEMS, abstain, by_item, contrasts, relative
from ..comparators.texts import Told, answered
from ..scoring import FEW, few
from ..types import Column, Sample, Score, SelfCheck
from .calibrate import Population, calibrate
from .combine import DECISIVE, values_of
from .stability import against_itself, repeats

Scorer = Callable[[Sample], list[Score]]
SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
TRIALS = 200


def as_suspect(sample: Sample, column: Column, drop: str | None = None) -> Sample:
    """The same case with another party in the suspect's place; it can't be scored, so no likelihoods."""
    controls = {k: v for k, v in sample.controls.items() if k != drop}
    return Sample(sample.units, column, sample.reference, controls)


def fit_to_judge(scores: Sequence[Score], identity: Sequence[Score]) -> list[Score]:
    """Scores of comparators that know the reference when they see it; the others abstain.

    ``identity`` are the scores of R offered as suspect. They do not depend on S, so nothing is chosen by its answers.
    """
    blind = {s.comparator for s in identity if s.status == "ok" and not _stands_out(s)}
    why = "the reference itself, offered as suspect, does not stand out from the controls here"
    return [abstain(s.comparator, "insufficient", why, n=s.n) if s.comparator in blind else s for s in scores]


def self_checks(
    sample: Sample, score: Scorer, identity: Sequence[Score], population: Population | None, rng: np.random.Generator
) -> list[SelfCheck]:
    """Identity (R offered as suspect), positive control (a second draw of R), negative controls (each control); the
    controls' by no more than `few` items."""
    checks = [_identity(identity)]
    whole, sample = sample, few(sample)
    part = "" if sample is whole else f", on {FEW:,} of the items"
    if sample.redraw is None:
        checks.append(SelfCheck("positive-control", None, "no second draw of the reference is recorded"))
    elif _repeats(sample.redraw, sample.reference):
        checks.append(SelfCheck("positive-control", None, "the reference repeats itself: a second draw shows nothing"))
    else:
        scores = fit_to_judge(score(as_suspect(sample, sample.redraw)), identity)
        checks.append(
            _judged("positive-control", f"a second draw of the reference{part}", scores, population, rng, wants=1)
        )
    checks += repeats(whole)
    itself = against_itself(sample, score, _stands_out)
    checks += [itself] if itself is not None else []
    if len(sample.controls) <= MIN_CONTROLS:
        why = f"{len(sample.controls)} controls: one of them as suspect would leave fewer than {MIN_CONTROLS}"
        checks.append(SelfCheck("negative-control", None, why))
        return checks
    if population is None:
        checks.append(SelfCheck("negative-control", None, "no population to judge the controls by"))
        return checks
    for name, column in sample.controls.items():
        scores = fit_to_judge(score(as_suspect(sample, column, drop=name)), identity)
        checks.append(
            _judged(f"negative-control {name}", f"{name}, offered as suspect{part}", scores, population, rng, wants=0)
        )
    return checks


def _stands_out(s: Score) -> bool:
    """Whether the value lies above 97.5 % of the background."""
    return s.value is not None and s.value > float(np.quantile(s.null, 0.975))


def _identity(scores: Sequence[Score]) -> SelfCheck:
    ok = [s for s in scores if s.status == "ok"]
    if not ok:
        return SelfCheck("identity", None, "the reference, offered as suspect: no comparator could be measured")
    good = [s.comparator for s in ok if _stands_out(s)]
    detail = f"the reference, offered as suspect, stands out from the controls on {len(good)} of {len(ok)} comparators"
    return SelfCheck("identity", bool(good), detail)


def _judged(
    name: str,
    what: str,
    scores: Sequence[Score],
    population: Population | None,
    rng: np.random.Generator,
    *,
    wants: int,
) -> SelfCheck:
    calibration = calibrate(scores, population) if population is not None else None
    if calibration is None:
        ok = [s for s in scores if s.status == "ok"]
        if not wants or not ok:
            why = "no population to judge it by" if ok else "nothing could be measured"
            return SelfCheck(name, None, f"{what}: {why}")
        good = sum(_stands_out(s) for s in ok)
        return SelfCheck(name, good > 0, f"{what}: stands out from the controls on {good} of {len(ok)} comparators")
    llr = calibration.point(values_of(scores, calibration.columns))
    passed = llr > 0 if wants else llr < DECISIVE
    wanted = "above 0" if wants else f"below {DECISIVE:+.0f}"
    tried = ", ".join(calibration.columns)
    return SelfCheck(name, passed, f"{what}: llr {llr:+.2f} from {tried} (wanted {wanted})")


def power(sample: Sample, rng: np.random.Generator) -> str | None:
    """What share of R's own (second) answers among S's would have been noticed, with probability .9.

    Simulated on `answer-overlap`, which is a mean over items: a share q of the items, drawn at random, takes the second
    draw's contrast in place of S's; noticed if the mean exceeds the 97.5 % quantile of the null. The trials also
    resample the items. None without a second draw (or one that only repeats the first) or enough items.
    """
    if sample.redraw is None or _repeats(sample.redraw, sample.reference):
        return None
    comparator = AnswerOverlap()
    columns = [sample.suspect, sample.redraw, *sample.candidates.values()]
    rows = answered(columns, (i for i, u in enumerate(sample.units) if u.family in comparator.families))
    units = [sample.units[i] for i in rows]
    if len({u.item for u in units}) < MIN_ITEMS or len(sample.controls) < MIN_CONTROLS:
        return None
    texts = [Told(column, rows) for column in columns]
    mine, _ = by_item(units, comparator.per_unit([texts[0], *texts[2:]]))
    second, _ = by_item(units, comparator.per_unit([texts[1], *texts[2:]]))
    threshold = float(np.quantile(relative("power", mine, list(sample.candidates), rng).null, 0.975))
    null, spike = contrasts(mine)[:, 1:], contrasts(second)[:, 0]
    n = len(spike)
    for share in SHARES:
        spiked = rng.random((TRIALS, n)) < share
        picks = rng.integers(0, n, (TRIALS, n))
        # A suspect that copied nothing lies where some control lies, not where this suspect happens to lie.
        control = rng.integers(0, null.shape[1], (TRIALS, 1))
        noticed = np.where(spiked, spike[picks], null[picks, control]).mean(axis=1) > threshold
        if noticed.mean() >= 0.9:
            return (
                f"With these {n} items a suspect that gave a fresh answer of the reference on {share:.0%} of them "
                f"would have stood out from the controls with probability .9 or more (answer-overlap, simulated)."
            )
    return f"With these {n} items not even the reference itself would have stood out with probability .9."


def _repeats(second: Column, first: Column) -> bool:
    """Whether a second draw says the same as the first, as it does at temperature 0."""
    pairs = [(a.text, b.text) for a, b in zip(second, first, strict=True) if a is not None and b is not None]
    return sum(a == b for a, b in pairs) > 0.5 * len(pairs)


def length_only(sample: Sample, rng: np.random.Generator) -> Score:
    """The comparator that reads nothing but the answers' lengths: c_ij = - | log len S_i - log len j_i |."""
    families = AnswerOverlap().families
    part = sample.rows(lambda u: u.family in families)
    columns = [part.suspect, *part.candidates.values()]
    found = [np.fromiter((len(a.text or "") if a is not None and a.usable else np.nan for a in column), np.float64)
             for column in columns]  # fmt: skip
    lengths = np.log1p(np.stack(found, axis=1))
    closeness, _ = by_item(part.units, -np.abs(lengths[:, :1] - lengths[:, 1:]))
    return replace(relative("length-only", closeness, list(sample.candidates), rng), comparator="length-only")
