"""Custody on the command line: ``verify``, ``redact``, and the options that write a manifest."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .cli_output import Json, is_case
from .console import bars, guarded, printable, say
from .errors import UsageError

if TYPE_CHECKING:
    from .record import Report

Sign = Annotated[
    Path | None, typer.Option("--sign", help="An Ed25519 private key (PEM): write a signed manifest beside the case.")
]
Manifest = Annotated[
    Path | None,
    typer.Option("--manifest", help="Write the manifest here (default: the case's name + .intoto.json)."),
]
Items = Annotated[list[str] | None, typer.Option("--item", help="Take out all answers to this item; repeatable.")]
Parties = Annotated[list[str] | None, typer.Option("--party", help="Take out all answers of this party; repeatable.")]
MARKS = {"ok": "✓", "open": "○"}


@guarded
def verify(
    sources: Annotated[list[Path], typer.Argument(help="Case files, or a report.json.", metavar="CASE|report.json...")],
    case: Annotated[Path | None, typer.Option("--case", help="The case that the report was made from.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="The report.json that the case must give.")] = None,
    manifest: Annotated[Path | None, typer.Option("--manifest", help="The manifest, signed or not.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="The public key (PEM) that must have signed it.")] = None,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")] = False,
) -> int:
    """Recompute every hash and every number. Exit 0, 3 if some could not be recomputed, 5 if anything differs."""
    if len(sources) == 1:
        return _verify(sources[0], case, report, manifest, key, json, quiet)
    if json or any(option is not None for option in (case, report, manifest, key)):
        raise UsageError(
            "several files at once are verified by themselves: no --case, --report, --manifest, --key or --json"
        )
    codes = []
    for source in sources:
        say(f"{source}:")
        codes.append(_verify(source, None, None, None, None, False, quiet))
    return max(codes)


def _verify(
    source: Path, case: Path | None, report: Path | None, manifest: Path | None, key: Path | None, json: bool,
    quiet: bool,
) -> int:  # fmt: skip
    from .attest import needs_cryptography
    from .verify import Sources
    from .verify import verify as run

    if is_case(source):
        if case is not None:
            raise UsageError("one case at a time: name it first, or with --case")
        case = source
    elif report is not None:
        raise UsageError(f"{source} is not a case; one report at a time")
    else:
        report = source
    if key is not None and manifest is None:
        raise UsageError("--key checks the signature of a manifest: name it with --manifest")
    if manifest is not None:
        needs_cryptography()
    rows = []
    with bars(quiet) as progress:
        for check in run(Sources(case, report, manifest, key), progress):
            rows.append(check)
            if not json:
                sys.stdout.write(printable(f"{MARKS[check.state]} {check.name}: {check.detail}") + "\n")
                sys.stdout.flush()
    if json:
        from dataclasses import asdict
        from json import dumps

        sys.stdout.write(dumps([asdict(row) for row in rows], indent=2) + "\n")
    left = any(row.state == "open" and row.name.startswith(("numbers", "exact")) for row in rows)
    return 3 if left else 0


@guarded
def redact(
    case: Annotated[Path, typer.Argument(help="The case to copy.", metavar="CASE")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The redacted copy to write.")],
    item: Annotated[
        list[str] | None, typer.Option("--item", help="Take out all answers to this item; repeatable.")
    ] = None,
    party: Annotated[
        list[str] | None, typer.Option("--party", help="Take out all answers of this party; repeatable.")
    ] = None,
    texts: Annotated[bool, typer.Option("--texts", help="Take out every answer.")] = False,
    prompts: Annotated[bool, typer.Option("--prompts", help="Take out the plan with its prompts too.")] = False,
) -> int:
    """Copy a case without some of its texts; every hash of the copy still verifies."""
    from .redact import redact as run

    if not is_case(case):
        raise UsageError(f"{case} is not a case")
    gone = run(case, output, items=item or (), parties=party or (), texts=texts, prompts=prompts)
    say(f"wrote {output}: {gone} bodies taken out, the chain is unchanged; reports made before quote some texts")
    return 0


def check_manifest(case: Path | None, manifest: Path | None, key: Path | None) -> None:
    """Before anything is asked: a manifest can be written. Errors: `UsageError`."""
    if manifest is None and key is None:
        return
    if case is None:
        raise UsageError("a manifest speaks about a case file: name one with --case")
    if key is not None:
        from .attest import load_private, needs_cryptography

        needs_cryptography()
        load_private(key)
    if manifest is not None and not manifest.parent.is_dir():
        raise UsageError(f"cannot write {manifest}: its directory does not exist")


def write_manifest(
    case: Path, record: Report, outputs: Sequence[Path] | None, manifest: Path | None, key: Path | None, quiet: bool
) -> None:
    """The manifest of a closed case, its report and the files written from it, if one is wanted."""
    if manifest is None and key is None:
        return
    from .attest import attest

    target = manifest or case.with_name(f"{case.name}.intoto.json")
    made = attest(case, record, {path: path.read_bytes() for path in outputs or ()}, key)
    try:
        target.write_bytes(made)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from error
    if not quiet:
        say(f"wrote {target.resolve()}{'' if key is None else ', signed'}")
