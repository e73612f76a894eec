"""What endpoints said of themselves while they were asked: another model's name or another build in mid-audit."""

from __future__ import annotations

from collections.abc import Iterable

from .plan import Plan
from .types import Column, Sample

SHOWN = 4
Told = tuple[str, str, str | None, str | None]  # when, the request, the model's name, the build


def changes(plan: Plan, sample: Sample) -> list[str]:
    """Sentences for the report, one a party and kind of change. The handshake's model name counts as the first."""
    out = []
    for party in plan.parties:
        done = _answers(party.name, sample)
        names = _spans((when, name) for when, _, name, _ in done)
        if party.capabilities.model_echo and names and party.capabilities.model_echo not in names:
            names = {party.capabilities.model_echo: (0, "")} | names
        builds = _spans((when, build) for when, _, _, build in done)
        if len(names) > 1:
            out.append(
                f"{party.name}: the endpoint named its model {_told(names)}. More than one model may have answered."
            )
        if len(builds) > 1:
            out.append(f"{party.name}: the endpoint's system fingerprint changed while it was asked: {_told(builds)}.")
    return out


def _answers(name: str, sample: Sample) -> list[Told]:
    """What a party said of itself, in order; answers may be too many to be held."""
    columns: list[Column | None] = [{"suspect": sample.suspect, "base": sample.base, **sample.candidates}.get(name)]
    columns += [sample.again.get(name), sample.redraw if name == "reference" else None]
    columns += [column for (scorer, _), column in sample.likelihoods.items() if scorer == name]
    found = [
        (c.received_at or "", c.request_digest, c.model_echo, c.fingerprint)
        for column in columns for c in column or () if c is not None and (c.model_echo, c.fingerprint) != (None, None)
    ]  # fmt: skip
    return sorted(found, key=lambda told: told[:2])


def _spans(done: Iterable[tuple[str, str | None]]) -> dict[str, tuple[int, str]]:
    """Value -> how many answers had it, and when the first of them came."""
    out: dict[str, tuple[int, str]] = {}
    for when, value in done:
        if value is not None:
            count, since = out.get(value, (0, when))
            out[value] = (count + 1, since)
    return out


def _told(spans: dict[str, tuple[int, str]]) -> str:
    rows = [f"{_short(v)} ({count} answers, first {since[:19]})" if count else f"{_short(v)} (handshake)"
            for v, (count, since) in list(spans.items())[:SHOWN]]  # fmt: skip
    more = f" and {len(spans) - SHOWN} more" if len(spans) > SHOWN else ""
    return ", then ".join(rows) + more


def _short(value: str) -> str:
    plain = "".join(c if c.isprintable() else "\ufffd" for c in value)
    return repr(plain if len(plain) <= 60 else plain[:59] + "…")
