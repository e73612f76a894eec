"""``forensics suite``: a private suite drawn by a salt, whose hash is published before anything is asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .console import guarded, say
from .errors import EvidenceError, UsageError


@guarded
def suite(
    salt: Annotated[
        Path, typer.Option("--salt-file", help="The salt: made here if there is none. Keep it until the audit is over.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The suite to write, or with --check to compare.")],
    templates: Annotated[
        Path | None, typer.Option("--templates", help="Your own templates instead of the shipped ones.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Does this salt give this suite? Exit 5 if not.")] = False,
) -> int:
    """Draw prompts that no suspect has seen; print the suite's SHA-256, to be published before the audit."""
    from .cli_output import save
    from .probes import load_suite
    from .probes.salted import draw, read_salt
    from .types import sha256

    if check and not salt.is_file():
        raise UsageError(f"no such salt: {salt}")
    if not check and output.exists():
        raise UsageError(f"{output} exists already: name another file, or pass --check to compare it")
    made = draw(read_salt(salt), templates)
    if check:
        try:
            same = output.read_bytes() == made
        except OSError as error:
            raise UsageError(f"{output}: {error.strerror}") from error
        if not same:
            raise EvidenceError(f"{output} is not the suite that {salt} gives with these templates")
        say(f"{output} is the suite that {salt} gives")
    else:
        save(output, made.decode())
        found = load_suite(str(output))
        say(f"wrote {output}: {len(found.items)} items, to be asked with --suite {output}")
        say(f"publish the hash before the audit; keep {salt} and {output} to yourself until it is over")
    sys.stdout.write(f"{sha256(made)}\n")
    return 0
