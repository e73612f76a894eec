"""Which of these models taught the suspect, by its recorded answers: one, several, or none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .answers import read_answers
from .audit import text_conditions
from .comparators import COMPARATORS
from .comparators.base import MIN_CONTROLS, quick
from .errors import UsageError
from .labelled import FUSED
from .pairing import pair
from .record import sig
from .scoring import score_all, stream
from .threads import single_threaded
from .types import WIRE, LikelihoodRatio, Listener, Progress, Sample, Score, silent
from .verdict.calibrate import shipped_populations
from .verdict.combine import DECISIVE, joint, pick_population

RESAMPLES = 199


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate. ``score``: how far S's closeness to it stands out among all models of the case, in standard
    deviations, mean over the comparators; it does not grow with the number of answers. ``llr``: null when withheld."""

    __pydantic_config__ = WIRE

    name: str
    score: float
    llr: float | None
    rank: int
    interval: tuple[float, float] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class NoneOfThese:
    """ "None of these taught S": ``score`` is -log10 of the mean of the candidates' likelihood ratios, the ratio of
    "none" to "one of them, each as likely"; null unless every candidate has one. ``supported``: the score is above 0.
    """

    __pydantic_config__ = WIRE

    score: float | None
    supported: bool


@dataclass(frozen=True, slots=True)
class Attributed:
    """The answer. ``sources``: candidates with llr >= 1, interval above 0. ``answer``: one | several | none |
    cannot-tell; "none" needs a score of at least 1."""

    __pydantic_config__ = WIRE

    candidates: tuple[Candidate, ...]
    none: NoneOfThese
    n: int
    answer: str
    sources: tuple[str, ...]
    population: str | None
    comparators: tuple[str, ...]


@single_threaded
def attribute(
    suspect: str, candidates: Mapping[str, str], controls: Sequence[str] = (), *, seed: int = 0,
    population: str = "auto", skip_bad: bool = False, progress: Listener = silent,
) -> Attributed:  # fmt: skip
    """Offer every candidate as the reference, the others and ``controls`` as its controls (paths of answer files).

    Errors: `UsageError` for unreadable files, nothing in common, or fewer than three models to compare.
    """
    named = {**candidates, **{f"control {path}": path for path in controls}}
    if len(named) < 1 + MIN_CONTROLS:
        raise UsageError(
            f"{len(named)} model(s) to compare with, {1 + MIN_CONTROLS} are needed: add --candidate or --control"
        )
    files = {"suspect": read_answers(suspect, skip_bad=skip_bad)}
    files |= {name: read_answers(path, skip_bad=skip_bad) for name, path in named.items()}
    paired = pair(files, need=tuple(files))
    chosen = [quick(COMPARATORS.load(name)(), RESAMPLES) for name in FUSED]
    results: dict[str, tuple[list[Score], LikelihoodRatio | None, str | None]] = {}
    used = None
    for number, name in enumerate(candidates):
        progress(Progress("judge", name, number, len(candidates)))
        others = {other: paired.columns[other] for other in named if other != name}
        sample = Sample(paired.units, paired.columns["suspect"], paired.columns[name], others)
        scores = score_all(sample, chosen, seed)
        case = {"providers": ["file"], "suite": "recorded", "base": False, "controls": len(others)}
        people, why = pick_population(shipped_populations(), population, case | text_conditions(sample))
        lr = joint(scores, people, stream(seed, f"attribute {name}"))
        used = used or (people.name if people is not None and lr is not None else None)
        results[name] = (scores, lr, None if lr is not None else (*why, "too few comparators could be measured")[0])
    return _answer(results, used)


Judged = tuple[list[Score], LikelihoodRatio | None, str | None]


def _answer(results: Mapping[str, Judged], used: str | None) -> Attributed:
    names = list(results)
    points = np.array([_standing(results[name][0]) for name in names])
    ranks = {int(i): rank for rank, i in enumerate(np.argsort(-points, kind="stable"), 1)}
    rows = []
    for i, name in enumerate(names):
        _, lr, reason = results[name]
        interval = None if lr is None else (sig(lr.interval[0]), sig(lr.interval[1]))
        rows.append(Candidate(name, sig(points[i]), None if lr is None else sig(lr.llr), ranks[i], interval, reason))
    known = [r.llr for r in rows if r.llr is not None]
    score = None if len(known) < len(rows) else sig(-float(np.log10(np.mean(10.0 ** np.array(known)))))
    sources = tuple(
        r.name for r in rows if r.llr is not None and r.llr >= DECISIVE and r.interval is not None and r.interval[0] > 0
    )
    none = NoneOfThese(score, score is not None and score > 0)
    answer = "cannot-tell"
    if sources:
        answer = "one" if len(sources) == 1 else "several"
    elif score is not None and score >= DECISIVE:
        answer = "none"
    ok = [s for s in results[names[0]][0] if s.status == "ok"]
    rows.sort(key=lambda r: r.rank)
    n = max((s.n for s in results[names[0]][0]), default=0)
    return Attributed(tuple(rows), none, n, answer, sources, used, tuple(s.comparator for s in ok))


def _standing(scores: Sequence[Score]) -> float:
    """Mean over the comparators of (closeness to the reference - mean over all) / standard deviation over all."""
    out = []
    for score in scores:
        values = np.array([value for _, value in score.closeness])
        if score.status == "ok" and values.std() > 0:
            out.append((values[0] - values.mean()) / values.std())
    return float(np.mean(out)) if out else 0.0


__all__ = ["Attributed", "attribute"]
