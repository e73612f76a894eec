"""``forensics validate``: how good a population's likelihood ratios are."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .cli_output import FORMAT_OF, Json, Output, check_outputs, save, table
from .console import guarded, say


@guarded
def validate(
    population: Annotated[str, typer.Option("--population", help="A shipped population's name.")],
    output: Output = None,
    json: Json = False,
) -> int:
    """How good a population's likelihood ratios are on lineages that its calibration did not see."""
    import reports

    from .verdict.calibrate import load_population
    from .verdict.validate import validate as run

    check_outputs(output)
    found = run(load_population(population))
    if json:
        sys.stdout.write(found.to_json())
    else:
        for t in reports.validation_tables(found):
            table(f"{t.title} (population {found.population})", [c.label for c in t.columns], t.rows)
    for path in output or ():
        save(path, reports.render_validation(found, FORMAT_OF[path.suffix]))
        say(f"wrote {path.resolve()}")
    return 0
