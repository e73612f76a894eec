"""``forensics check`` and ``forensics lint``: releases checked like tests. A part of the command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_output import Json, Output, check_outputs, save, table, write
from .console import bars, guarded, say
from .errors import ForensicsError, UsageError

if TYPE_CHECKING:
    from .check.config import CheckConfig
    from .check.gates import Gate
    from .check.record import CheckRecord
    from .check.run import Previous
    from .config import AuditConfig
    from .record import Report
    from .store import Store

Suspect = Annotated[str | None, typer.Option("--suspect", "-S", help="The release: provider/name.")]
Reference = Annotated[str | None, typer.Option("--reference", "-R", help="The model it must not learn from.")]
Control = Annotated[list[str] | None, typer.Option("--control", "-C", help="An unrelated model; three or more.")]
Base = Annotated[str | None, typer.Option("--base", "-B", help="What all releases are trained from.")]
Gates = Annotated[
    list[str] | None,
    typer.Option("--gate", help="What fails the build, as in llr>=1, drift>=0.5, exact.p<=0.001; repeatable."),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="forensics.toml with [audit] and [check].")]
BaselineFile = Annotated[
    Path | None, typer.Option("--baseline", help="A baseline, or the previous release's report.json.")
]
Inconclusive = Annotated[
    bool, typer.Option("--inconclusive-ok", help="End in 0 where a gate could not be decided (else 3).")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")]


@guarded
def check(
    config: ConfigFile = None, baseline: BaselineFile = None, gate: Gates = None,
    suspect: Suspect = None, reference: Reference = None, control: Control = None, base: Base = None,
    suite: Annotated[str | None, typer.Option("--suite", help="A shipped suite's name or a .jsonl file.")] = None,
    dataset: Annotated[
        Path | None, typer.Option("--dataset", help="Check a training set (JSON Lines) instead of a model.")
    ] = None,
    case: Annotated[Path | None, typer.Option("--case", help="The release's case; alone, it is only judged.")] = None,
    reference_case: Annotated[
        Path | None, typer.Option("--reference-case", help="A case whose answers of reference and controls to re-use.")
    ] = None,
    canary: Annotated[Path | None, typer.Option("--canary", help="A sealed canary key to test for.")] = None,
    commitment: Annotated[str | None, typer.Option("--commitment", help="The hash that was published.")] = None,
    sheet: Annotated[Path | None, typer.Option("--sheet", help="The published sheet that carries the hash.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML: a test case a gate.")] = None,
    summary: Annotated[
        Path | None, typer.Option("--summary", help="Write Markdown; appended if it is $GITHUB_STEP_SUMMARY.")
    ] = None,
    record: Annotated[Path | None, typer.Option("--record", help="Write the check's record (JSON).")] = None,
    annotate: Annotated[
        bool | None, typer.Option("--annotate/--no-annotate", help="One annotation on stderr (default: in Actions).")
    ] = None,
    output: Output = None, json: Json = False, inconclusive_ok: Inconclusive = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked, and ask nothing.")] = False,
    max_requests: Annotated[int | None, typer.Option("--max-requests", help="Stop (exit 4) before more.")] = None,
    population: Annotated[str | None, typer.Option("--population", help="auto, none, or a population's name.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of sampling and resampling.")] = None,
    quiet: Quiet = False,
) -> int:  # fmt: skip
    """Has this release moved towards the reference? Exit 0 below all gates, 1 at or above one, 3 inconclusive, 4."""
    from .check.config import load_check

    settings = _without_missing(load_check(config), gate)
    gates = _gates(gate, settings, baseline is not None or settings.baseline is not None, dataset is not None,
                   canary is not None or settings.canary is not None)  # fmt: skip
    check_outputs(output)
    for path in (junit, summary, record):
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"cannot write {path}: its directory does not exist")
    flags = {"suspect": suspect, "reference": reference, "controls": tuple(control or ()), "base": base,
             "suite": suite, "max_requests": max_requests, "population": population, "seed": seed}  # fmt: skip
    baseline, source = baseline or _path(settings.baseline), reference_case or _path(settings.reference_case)
    if dry_run:
        return _dry_run(dataset, config, flags, baseline, source, json)
    key = _key(canary or _path(settings.canary), commitment or settings.commitment, sheet or _path(settings.sheet))
    try:
        if dataset is not None:
            made = _dataset(dataset, config, flags, gates, case, key, quiet)
        else:
            made = _release(config, flags, gates, (baseline, source, case), key, quiet)
    except ForensicsError as error:
        if junit is not None:
            import reports.checked as view

            save(junit, view.junit_error(" ".join(str(error).split()), [g.text for g in gates]))
        raise
    found = _allowed(made[0]) if inconclusive_ok or settings.inconclusive_ok else made[0]
    _deliver(found, made[1], junit, summary, record, output, json, annotate, quiet)
    return found.exit_code


def _without_missing(settings: CheckConfig, given: Sequence[str] | None) -> CheckConfig:
    """A first release has no baseline yet: the configured one may be missing as long as nothing is gated on drift."""
    from dataclasses import replace

    gates = given or settings.gates
    first = settings.baseline is not None and not Path(settings.baseline).exists()
    return replace(settings, baseline=None) if first and gates and not any("drift" in g for g in gates) else settings


def _gates(
    given: Sequence[str] | None, settings: CheckConfig, compared: bool, data: bool, canary: bool
) -> tuple[Gate, ...]:
    from .check.gates import CANARY, DEFAULT, FOR_DATA, WITH_BASELINE, parse_gates

    gates = parse_gates(given or settings.gates or (
        (*(FOR_DATA if data else WITH_BASELINE if compared else DEFAULT), *(CANARY if canary else ()))
    ))  # fmt: skip
    if not compared and any(g.kind == "drift" for g in gates):
        raise UsageError("a drift is measured from a baseline: name it with --baseline, or drop the gate on drift")
    return gates


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _key(path: Path | None, commitment: str | None, sheet: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    from .exact import sealed

    return sealed.read(path, "canary", commitment, sheet)


def _release(
    config: Path | None, flags: dict[str, Any], gates: Sequence[Gate], files: tuple[Path | None, ...],
    key: dict[str, Any] | None, quiet: bool,
) -> tuple[CheckRecord, Report]:  # fmt: skip
    from .check.run import assess
    from .check.run import check as run
    from .store import Store

    baseline, reference_case, case = files
    with ExitStack() as stack:
        previous = None if baseline is None else _previous(baseline, reference_case, stack)
        if case is not None and config is None and not any(flags[k] for k in ("suspect", "reference", "controls")):
            stored = stack.enter_context(Store(case, must_exist=True))
            progress = stack.enter_context(bars(quiet))
            return assess(stored, gates, previous=previous, population=flags["population"], progress=progress)
        settings = _config(config, flags)
        path = case or _default_case(settings)
        if not quiet:
            say(
                f"case {path}{' (continued)' if path.exists() else ''}: {settings.suspect} against {settings.reference}"
            )
        source = (
            stack.enter_context(Store(reference_case, must_exist=True)) if reference_case and not previous else None
        )
        store = stack.enter_context(Store(path))
        progress = stack.enter_context(bars(quiet))
        extra = None if key is None else _canary(key, settings)
        return run(settings, gates, store=store, previous=previous, source=source, progress=progress, extra=extra)


def _dry_run(
    data: Path | None,
    config: Path | None,
    flags: dict[str, Any],
    baseline: Path | None,
    source: Path | None,
    json: bool,
) -> int:
    from .check.reuse import taken_over
    from .check.run import comparable
    from .cli_output import dry_run_of
    from .store import Store

    if data is not None:
        return _dry_run_of_data(data, config, flags, json)
    settings = _config(config, flags)
    with ExitStack() as stack:
        previous = None if baseline is None else _previous(baseline, source, stack)
        if previous is not None:
            comparable(settings, previous)
        held = None if previous is None else previous.case
        if held is None and source is not None:
            held = stack.enter_context(Store(source, must_exist=True))
        return dry_run_of(settings, json, taken_over=() if held is None else taken_over(settings, held))


def _dry_run_of_data(data: Path, config: Path | None, flags: dict[str, Any], json: bool) -> int:
    from .answers import read_answers
    from .check.dataset import suite_of
    from .cli_output import dry_run_of

    settings = _data_config(data, config, flags)
    read = read_answers(data, skip_bad=settings.skip_bad)
    recorded = [name for name, spec in settings.specs().items() if spec.provider == "file"]
    return dry_run_of(settings, json, suite_of(read, settings.max_tokens), recorded)


def _previous(path: Path, given: Path | None, stack: ExitStack) -> Previous:
    from .check.baseline import open_case, read_baseline
    from .check.record import Baseline
    from .check.run import Previous, from_report

    found = read_baseline(path)
    if not isinstance(found, Baseline):
        return from_report(found, str(path))
    return Previous(str(path), found, stack.enter_context(open_case(found, path, given)))


def _canary(key: dict[str, Any], settings: AuditConfig) -> Callable[[Store], None]:
    """The canary test of the release, kept in its case before it is judged."""

    def run(store: Store) -> None:
        import asyncio

        from .exact.case import keep
        from .exact.planted import canary_inputs

        specs = {"suspect": settings.suspect}
        keep(store, "canary", asyncio.run(canary_inputs(key, specs, store)))

    return run


def _dataset(
    data: Path, config: Path | None, flags: dict[str, Any], gates: Sequence[Gate], case: Path | None,
    key: dict[str, Any] | None, quiet: bool,
) -> tuple[CheckRecord, Report]:  # fmt: skip
    from .check.dataset import check_dataset
    from .store import Store

    settings = _data_config(data, config, flags)
    with Store(case) as store, bars(quiet) as progress:
        return check_dataset(data, settings, gates, store=store, key=key, progress=progress)


def _config(config: Path | None, flags: dict[str, Any]) -> AuditConfig:
    """The table [audit] without its stopping rule: releases are compared on the whole plan."""
    from dataclasses import replace

    from .config import load_config

    return replace(load_config(config, **flags), until=None)


def _data_config(data: Path, config: Path | None, flags: dict[str, Any]) -> AuditConfig:
    if flags["suspect"]:
        raise UsageError("--dataset is what is checked: drop --suspect")
    return _config(config, flags | {"suspect": f"file/{data}"})


def _default_case(settings: AuditConfig) -> Path:
    """A name that the same command finds again; another checkpoint under the same name gets a case of its own."""
    from .backends import open_backend
    from .check.reuse import checkpoint
    from .serial import dump
    from .spec import parse_spec
    from .types import canonical, sha256

    files = checkpoint(open_backend(parse_spec(settings.suspect)))
    return Path(f"forensics-check-{sha256(dump(settings.fixed) + canonical(files))[:8]}.case")


def _allowed(found: CheckRecord) -> CheckRecord:
    from dataclasses import replace

    if found.outcome != "inconclusive":
        return found
    note = "Inconclusive, and ended in 0 because --inconclusive-ok asked for it."
    return replace(found, exit_code=0, notes=(*found.notes, note))


def _deliver(
    found: CheckRecord, report: Report, junit: Path | None, summary: Path | None, record: Path | None,
    output: list[Path] | None, json: bool, annotate: bool | None, quiet: bool,
) -> None:  # fmt: skip
    import reports.checked as view

    write(report, output or [], quiet)
    link = str(output[0]) if output else None
    if junit is not None:
        save(junit, view.junit(found, report=link))
    if summary is not None:
        _summary(summary, view.markdown(found, report))
    if record is not None:
        save(record, found.to_json())
    if annotate if annotate is not None else os.environ.get("GITHUB_ACTIONS") == "true":
        say(view.annotation(found))
    if json:
        sys.stdout.write(found.to_json())
        return
    for title, head, rows in view.tables(found):
        table(title, head, rows)
    for note in view.remarks(found):
        say(note)


def _summary(path: Path, text: str) -> None:
    step = os.environ.get("GITHUB_STEP_SUMMARY")
    if step and path.resolve() == Path(step).resolve():
        with path.open("a", encoding="utf-8") as file:  # other steps may have written there
            file.write(text)
    else:
        save(path, text)


@guarded
def lint(
    files: Annotated[list[Path], typer.Argument(help="forensics.toml, pyproject.toml, or a baseline.")],
) -> int:
    """Read configurations and baselines as check and audit would, and ask nothing. Exit 0, or 2 with what is wrong."""
    from .check.baseline import read_baseline
    from .check.config import load_check
    from .check.gates import parse_gates
    from .config import load_config

    for path in files:
        if path.suffix == ".json":
            read_baseline(path)
            continue
        settings = load_check(path)
        parse_gates(settings.gates)
        load_config(path).specs()
        if settings.canary is not None and settings.commitment is None and settings.sheet is None:
            raise UsageError(f"{path}: [check] canary needs commitment or sheet: what was published before the release")
        if any(g.startswith("drift") for g in settings.gates) and settings.baseline is None:
            raise UsageError(f"{path}: [check] a drift is measured from a baseline, and none is named")
    return 0
