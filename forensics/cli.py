"""The command ``forensics``: commands, streams, exit codes. Only ``cli`` modules print or import reports."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import cli_attribute, cli_baseline, cli_check, cli_custody, cli_fingerprint, cli_population, cli_suite
from .cli_custody import Manifest, Sign, check_manifest, write_manifest
from .cli_exact import exact_app
from .cli_output import (
    Json,
    Output,
    check_outputs,
    dry_run_of,
    is_case,
    load_record,
    print_report,
    save,
    show,
    table,
    write,
)  # fmt: skip
from .cli_zoo import zoo_app
from .console import bars, guarded, say
from .errors import UsageError

if TYPE_CHECKING:
    from .config import AuditConfig
    from .record import Report

EPILOG = (
    "Exit codes: 0 completed, 1 at or above a gate, 2 usage, 3 completed but inconclusive, "
    "4 not completed (the case resumes), 5 evidence failed verification."
)
app = typer.Typer(
    name="forensics", no_args_is_help=True, add_completion=True, rich_markup_mode=None, epilog=EPILOG,
    pretty_exceptions_enable=False, help="How likely is it that a model was trained on another model's outputs?",
)  # fmt: skip
app.add_typer(zoo_app)
app.add_typer(exact_app)
app.add_typer(cli_fingerprint.app)
app.add_typer(cli_baseline.app)

Suspect = Annotated[
    str | None, typer.Option("--suspect", "-S", help="The suspect: provider/name, or a file of answers.")
]
Reference = Annotated[str | None, typer.Option("--reference", "-R", help="The alleged teacher.")]
Control = Annotated[
    list[str] | None, typer.Option("--control", "-C", help="An unrelated model; repeat it, three or more.")
]
Base = Annotated[str | None, typer.Option("--base", "-B", help="The suspect's base, or an earlier release of it.")]
SuiteOption = Annotated[str | None, typer.Option("--suite", help="A shipped suite's name or a .jsonl file of items.")]
Case = Annotated[Path | None, typer.Option("--case", help="The case file to write or to continue.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="forensics.toml, or a pyproject.toml.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of sampling and resampling (default 0).")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")]
MaxRequests = Annotated[
    int | None, typer.Option("--max-requests", help="Stop (exit 4, resumable) before more requests.")
]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", help="Stop (exit 4, resumable) after this many tokens.")]
MaxCost = Annotated[
    float | None, typer.Option("--max-cost", help="Stop (exit 4, resumable) before more money; needs --prices.")
]
PricesOption = Annotated[
    str | None, typer.Option("--prices", help="Your TOML file of prices: what each model costs a million tokens.")
]
System = Annotated[str | None, typer.Option("--system", help="A system prompt, the same for every party.")]
PopulationOption = Annotated[str | None, typer.Option("--population", help="auto, none, or a population's name.")]
Temperature = Annotated[float | None, typer.Option("--temperature", help="Sampling temperature (default 1).")]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", help="Stop early: 'llr>=1|llr<=-1|budget', fixed in the case before the first request."),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Count unreadable lines instead of stopping at the first.")]


@app.command()
@guarded
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The directory to write the reports into.")] = Path(
        "."
    ),
    quiet: Quiet = False,
) -> int:
    """Audit two shipped models of known lineage, a student and its sibling, and write report.html."""
    from .audit import audit as run
    from .config import AuditConfig

    if not output.is_dir():
        raise UsageError(f"no such directory: {output}")
    controls = tuple(f"zoo/control-{c}" for c in "abc")
    for name, file, truth in (
        ("student", "report.html", "trained on nothing but the teacher's sampled text"),
        ("sibling", "report-sibling.html", "same base, same prompts, trained on another teacher's text"),
    ):
        config = AuditConfig(f"zoo/{name}", "zoo/teacher", controls, base="zoo/base", suite="zoo")
        with bars(quiet) as progress:
            report = run(config, progress=progress)
        print_report(report)
        say(f"The truth about zoo/{name}: {truth}.")
        write(report, [output / file], quiet=False)
    return 0


@app.command()
@guarded
def audit(
    suspect: Suspect = None, reference: Reference = None, control: Control = None, base: Base = None,
    suite: SuiteOption = None, case: Case = None, config: ConfigFile = None, output: Output = None, json: Json = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked, and ask nothing.")] = False,
    seed: Seed = None, max_requests: MaxRequests = None, max_tokens: MaxTokens = None, max_cost: MaxCost = None,
    prices: PricesOption = None, system: System = None, population: PopulationOption = None,
    temperature: Temperature = None, until: UntilOption = None, sign: Sign = None, manifest: Manifest = None,
    quiet: Quiet = False,
) -> int:  # fmt: skip
    """Ask suspect, reference and controls the same things, and say how likely Hp is. Exit 0, 3, 4 or 5."""
    settings = _config(config, suspect=suspect, reference=reference, controls=control, base=base, suite=suite,
                       seed=seed, max_requests=max_requests, max_total_tokens=max_tokens, max_cost=max_cost,
                       prices=prices, system=system, population=population, temperature=temperature,
                       until=until)  # fmt: skip
    if dry_run:
        return dry_run_of(settings, json)
    from .audit import audit as run
    from .store import Store

    check_outputs(output)
    path = case or _default_case(settings)
    check_manifest(path, manifest, sign)
    if settings.until is not None:
        from .sequential import expect

        expect(settings)  # before there is a case file
    _announce(settings, path, quiet)
    with Store(path) as store, bars(quiet) as progress:
        report = run(settings, store=store, progress=progress)
    return _finish_case(path, report, output, json, quiet, manifest, sign)


@app.command()
@guarded
def collect(
    suspect: Suspect = None, reference: Reference = None, control: Control = None, base: Base = None,
    suite: SuiteOption = None, case: Case = None, config: ConfigFile = None, seed: Seed = None,
    max_requests: MaxRequests = None, max_tokens: MaxTokens = None, max_cost: MaxCost = None,
    prices: PricesOption = None, system: System = None, temperature: Temperature = None,
    quiet: Quiet = False,
) -> int:  # fmt: skip
    """Fill a case file and judge nothing; run it again to continue."""
    settings = _config(config, suspect=suspect, reference=reference, controls=control, base=base, suite=suite,
                       seed=seed, max_requests=max_requests, max_total_tokens=max_tokens, max_cost=max_cost,
                       prices=prices, system=system, temperature=temperature)  # fmt: skip
    from .collect import collect as run
    from .store import Store

    path = case or _default_case(settings)
    _announce(settings, path, quiet)
    with Store(path) as store, bars(quiet) as progress:
        run(settings, store=store, progress=progress)
        say(f"{path}: {len(store)} entries, chain {store.head[:12]}")
    return 0


@app.command()
@guarded
def compare(
    case: Case = None, suspect: Suspect = None, reference: Reference = None, control: Control = None, base: Base = None,
    config: ConfigFile = None, output: Output = None, json: Json = False, seed: Seed = None,
    population: PopulationOption = None, skip_bad: SkipBad = False, sign: Sign = None, manifest: Manifest = None,
    quiet: Quiet = False,
) -> int:  # fmt: skip
    """Judge a stored case, or files of recorded answers; offline. Exit 0, 3 or 5."""
    from .audit import compare as run
    from .audit import judge
    from .store import Store

    check_outputs(output)
    check_manifest(case, manifest, sign)
    if case is not None and suspect is None and config is None:
        if reference or control or base or seed is not None:
            raise UsageError(
                "a stored case already has its parties and its seed: give --case alone, or files without it"
            )
        with Store(case, must_exist=True) as store, bars(quiet) as progress:
            report = judge(store, progress=progress, population=population)
        return _finish_case(case, report, output, json, quiet, manifest, sign)
    settings = _config(config, suspect=suspect, reference=reference, controls=control, base=base, seed=seed,
                       population=population, skip_bad=skip_bad or None)  # fmt: skip
    with Store(case) as store, bars(quiet) as progress:
        report = run(settings, store=store, progress=progress)
    return _finish_case(case, report, output, json, quiet, manifest, sign)


@app.command()
@guarded
def report(
    sources: Annotated[list[Path], typer.Argument(help="A case file, or a report.json.", metavar="CASE|report.json")],
    format: Annotated[str | None, typer.Option("--format", "-f", help="html, md, json or terminal.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Two audits side by side, the earlier one first.")] = False,
    output: Output = None, sign: Sign = None, manifest: Manifest = None,
) -> int:  # fmt: skip
    """Write a stored report in another format. A case is judged again; a report.json is only rendered."""
    import reports

    formats = reports.COMPARISONS if compare else reports.FORMATS
    if len(sources) != (2 if compare else 1):
        raise UsageError("--compare takes two cases or reports" if compare else "one case or report at a time")
    if format is not None and format not in formats:
        from .registry import unknown

        raise UsageError(unknown("report format", format, formats))
    if format is None:
        check_outputs(output)
    check_manifest(None if compare or not is_case(sources[0]) else sources[0], manifest, sign)
    records = [load_record(source) for source in sources]
    show(records, format, output)
    if manifest is not None or sign is not None:
        write_manifest(sources[0], records[0], output, manifest, sign, quiet=False)
    return records[-1].exit_code


@app.command()
@guarded
def doctor(
    spec: Annotated[str, typer.Argument(help="The model to measure: provider/name.", metavar="SPEC")],
    case: Case = None, json: Json = False,
) -> int:  # fmt: skip
    """Measure what an endpoint really offers: a handful of tiny requests, kept as evidence with --case."""
    import asyncio
    from dataclasses import asdict

    from .backends import open_backend
    from .collect import handshake
    from .spec import parse_spec
    from .store import Store

    backend = open_backend(parse_spec(spec))

    async def measure(store: Store) -> dict[str, object]:
        try:
            return asdict(await handshake(backend, store))
        finally:
            await backend.close()

    with Store(case) as store:
        found = asyncio.run(measure(store))
    if json:
        from json import dumps

        sys.stdout.write(dumps(found, indent=2) + "\n")
        return 0
    rows = [(key.replace("_", " "), "; ".join(v) if isinstance(v, tuple) else str(v)) for key, v in found.items()]
    table(f"{spec} as measured", ("capability", "found"), rows)
    return 0


@app.command(name="list")
@guarded
def list_(
    kind: Annotated[
        str, typer.Argument(help="probes, comparators, backends, exact, fingerprints, populations, suites or zoo.")
    ],
) -> int:
    """What there is to choose from."""
    from . import listing
    from .registry import unknown

    if kind not in listing.KINDS:
        raise UsageError(unknown("kind", kind, listing.KINDS))
    title, head, rows = listing.KINDS[kind]()
    table(title, head, rows)
    return 0


@app.command()
@guarded
def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("forensics.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> int:
    """Write a commented forensics.toml."""
    from .listing import TEMPLATE

    if path.exists() and not force:
        raise UsageError(f"{path} exists already: name another file or pass --force")
    save(path, TEMPLATE)
    say(f"wrote {path}; next: forensics audit --config {path} --dry-run")
    return 0


def _config(path: Path | None, **flags: object) -> AuditConfig:
    from .config import load_config

    flags = {k: tuple(v) if isinstance(v, list) else v for k, v in flags.items()}
    return load_config(path, **flags)


def _default_case(config: AuditConfig) -> Path:
    """A name that the same command finds again, so that running it twice continues instead of starting over."""
    from .serial import dump
    from .types import sha256

    return Path(f"forensics-{sha256(dump(config.fixed))[:8]}.case")


def _announce(config: AuditConfig, case: Path, quiet: bool) -> None:
    if not quiet:
        parties = ", ".join(f"{name} {spec}" for name, spec in config.specs().items())
        say(f"case {case}{' (continued)' if case.exists() else ''}: {parties}")


def _finish_case(
    case: Path | None, record: Report, output: list[Path] | None, json: bool, quiet: bool, manifest: Path | None,
    key: Path | None,
) -> int:  # fmt: skip
    code = _finish(record, output, json, quiet)
    if case is not None:
        write_manifest(case, record, output, manifest, key, quiet)
    return code


def _finish(record: Report, output: list[Path] | None, json: bool, quiet: bool) -> int:
    if json:
        sys.stdout.write(record.to_json())
    else:
        print_report(record)
    write(record, output or [], quiet)
    return record.exit_code


OTHERS = (
    cli_check.check,
    cli_check.lint,
    cli_attribute.attribute,
    cli_population.calibrate,
    cli_population.validate,
    cli_custody.verify,
    cli_custody.redact,
    cli_suite.suite,
)
for command in OTHERS:
    app.command()(command)


def main() -> None:
    """Entry point of the command."""
    # Libraries' log lines are not ours to show; what matters of them reaches the user as an error or a report line.
    logging.getLogger().addHandler(logging.NullHandler())
    app()


if __name__ == "__main__":
    main()
