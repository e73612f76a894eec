"""``forensics baseline``: what later releases are compared with. A part of the command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .cli_check import ConfigFile, Quiet
from .cli_output import Json, save, table
from .console import guarded, say
from .errors import UsageError

if TYPE_CHECKING:
    from .check.record import Baseline

app = typer.Typer(
    name="baseline", no_args_is_help=True, rich_markup_mode=None,
    help="What later releases are compared with: update, show, diff.",
)  # fmt: skip


@app.command("update")
@guarded
def update(
    path: Annotated[Path, typer.Argument(help="The baseline file to write.", metavar="BASELINE")],
    case: Annotated[Path | None, typer.Option("--case", help="The case of the accepted release.")] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option("--run", help="The case of another clean run of that release (another seed); repeatable."),
    ] = None,
    record: Annotated[Path | None, typer.Option("--check", help="What a check wrote with --record.")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Accept the release although no gate passed it.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Forget all releases and looks so far.")] = False,
    alpha: Annotated[float | None, typer.Option("--alpha", help="False alarms over all looks (default 0.05).")] = None,
    looks: Annotated[int | None, typer.Option("--looks", help="How many releases that is spread over.")] = None,
    config: ConfigFile = None, quiet: Quiet = False,
) -> int:  # fmt: skip
    """Make a baseline from a release's case, or move it on by a check: --check spends the look, a pass accepts it."""
    from .check.baseline import read_baseline
    from .check.config import load_check
    from .check.record import Baseline

    settings = load_check(config)
    old = None
    if path.exists() and not restart:
        read = read_baseline(path)
        if not isinstance(read, Baseline):
            raise UsageError(f"{path} is a report: name another file for the baseline")
        old = read
    if old is None:
        if case is None:
            raise UsageError("a new baseline starts from an accepted release: name its case with --case")
        new = _first(case, run or [], path, settings.alpha if alpha is None else alpha, looks or settings.looks)
    elif alpha is not None or looks is not None:
        raise UsageError("alpha and looks are fixed when a baseline is made: --restart makes a new one")
    elif record is None and case is None:
        raise UsageError("say what is new: --check RECORD of a check, or --case CASE --accept")
    else:
        new = _next(old, path, case, run or [], record, accept)
    save(path, new.to_json())
    if not quiet:
        say(f"wrote {path}: {new.current.runs[0].spec}, {len(new.current.runs)} run(s), {len(new.looks)} look(s) spent")
    return 0


def _first(case: Path, runs: Sequence[Path], path: Path, alpha: float, planned: int | None) -> Baseline:
    from .check.baseline import new_baseline, release_of
    from .store import Store

    with ExitStack() as stack:
        cases = [stack.enter_context(Store(p, must_exist=True)) for p in (case, *runs)]
        release, conditions, people = release_of(cases)
    return new_baseline(release, conditions, case, path, population=people, alpha=alpha, planned=planned)


def _next(
    old: Baseline, path: Path, case: Path | None, runs: Sequence[Path], record: Path | None, accept: bool
) -> Baseline:
    from .check.baseline import differs, moved_on, read_check, release_of, with_look
    from .store import Store

    check = None if record is None else read_check(record)
    new = old if check is None else with_look(old, check)
    if check is None and not accept:
        raise UsageError("this release was not checked: check it first (--record, then --check), or pass --accept")
    if check is not None and check.outcome != "pass" and not accept:
        say(f"the check {check.outcome}: its look is spent, the baseline stays at {old.current.runs[0].spec}")
        return new
    where = case or (None if check is None or check.case is None else Path(check.case))
    if where is None:
        raise UsageError("the release's case was not kept: check it again with --case, and name that here")
    with ExitStack() as stack:
        cases = [stack.enter_context(Store(p, must_exist=True)) for p in (where, *runs)]
        release, conditions, _ = release_of(cases)
    why = differs(old.conditions, conditions)
    if why is not None:
        raise UsageError(f"{where} does not continue {path}: {why}")
    if check is not None and release.runs[0].identity != check.identity:
        raise UsageError(f"{where} is not the case that {record} is about")
    return moved_on(new, release, where, path, check)


@app.command("show")
@guarded
def show(
    path: Annotated[Path, typer.Argument(help="The baseline file.", metavar="BASELINE")], json: Json = False
) -> int:
    """What a baseline holds, what it has spent, and what the next check will be able to see."""
    from .check.show import facts, noise

    b = _baseline(path)
    if json:
        sys.stdout.write(b.to_json())
        return 0
    table(f"baseline {path}", ("what", "value"), facts(b))
    head = ("drift of", "one run's sd", "df", "noise margin at the next look", "9 of 10 builds fail at")
    table("noise between clean runs", head, noise(b))
    if b.looks:
        rows = [(str(k.number), k.spec, k.identity[:8], f"{k.level:.3g}", k.outcome) for k in b.looks]
        table("looks", ("look", "release", "identity", "level", "outcome"), rows)
    return 0


@app.command("diff")
@guarded
def diff(
    first: Annotated[Path, typer.Argument(help="The earlier baseline.")],
    second: Annotated[Path, typer.Argument(help="The later baseline.")],
    json: Json = False,
) -> int:
    """In what two baselines differ."""
    from .check.baseline import differences

    rows = list(differences(_baseline(first), _baseline(second)))
    if json:
        from json import dumps

        found = [{"what": what, "first": a, "second": b} for what, a, b in rows]
        sys.stdout.write(dumps(found, indent=2, ensure_ascii=False) + "\n")
    elif rows:
        table("difference", ("what", str(first), str(second)), rows)
    else:
        say("no difference")
    return 0


def _baseline(path: Path) -> Baseline:
    from .check.baseline import read_baseline
    from .check.record import Baseline

    found = read_baseline(path)
    if not isinstance(found, Baseline):
        raise UsageError(f"{path} is a report.json, not a baseline: forensics report shows it")
    return found
