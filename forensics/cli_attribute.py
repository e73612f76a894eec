"""``forensics attribute``: which of these taught it, or none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .cli_output import Json, table
from .console import bars, guarded, say
from .errors import UsageError

SENTENCES = {
    "one": "The evidence points to one of the candidates: {sources}.",
    "several": "The evidence points to several of the candidates: {sources}. That can be true of one model.",
    "none": "The evidence points to none of these.",
    "cannot-tell": "No candidate stands out by enough to be named, nor is there enough for none of these.",
}


@guarded
def attribute(
    suspect: Annotated[Path | None, typer.Option("--suspect", "-S", help="The suspect's recorded answers.")] = None,
    candidate: Annotated[
        list[str] | None, typer.Option("--candidate", help="NAME=FILE: a possible teacher's answers; repeat it.")
    ] = None,
    control: Annotated[
        list[str] | None, typer.Option("--control", "-C", help="A file of a model that is no candidate; repeatable.")
    ] = None,
    population: Annotated[str, typer.Option("--population", help="auto, none, or a population's name.")] = "auto",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the resampling.")] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Count unreadable lines instead of stopping.")] = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")] = False,
) -> int:
    """Which of these taught the suspect: one, several, or none. Exit 0, or 3 where nothing can be said."""
    from .attribute import attribute as run
    from .serial import indented

    if suspect is None or not candidate:
        raise UsageError("attribute needs --suspect FILE and --candidate NAME=FILE, three models or more in all")
    with bars(quiet) as progress:
        found = run(str(suspect), _named(candidate), control or (), seed=seed, population=population,
                    skip_bad=skip_bad, progress=progress)  # fmt: skip
    if json:
        sys.stdout.write(indented(found))
    else:
        rows = [(str(c.rank), c.name, f"{c.score:+.2f}", _llr(c.llr), _span(c.interval)) for c in found.candidates]
        rows.append(("", "none of these", "", _llr(found.none.score), ""))
        table(f"Candidates, {found.n} items", ["rank", "candidate", "stands out (sd)", "llr", "95 % interval"], rows)
        say(SENTENCES[found.answer].format(sources=", ".join(found.sources)))
        for reason in sorted({c.reason for c in found.candidates if c.reason}):
            say(f"llr withheld: {reason}")
        say("A rank alone is not evidence: a rule that reads no answer names the best-known maker and is often right.")
    return 3 if found.answer == "cannot-tell" else 0


def _named(texts: list[str]) -> dict[str, str]:
    out: dict[str, str] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise UsageError(f"--candidate {text}: write NAME=FILE")
        if name in out or name == "suspect":
            raise UsageError(f"--candidate {text}: the name {name} is taken")
        out[name] = path
    return out


def _llr(value: float | None) -> str:
    return "withheld" if value is None else f"{value:+.2f}"


def _span(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"[{interval[0]:+.2f}, {interval[1]:+.2f}]"
