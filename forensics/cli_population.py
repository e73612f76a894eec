"""``forensics calibrate`` and ``forensics validate``: build a population, and judge one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .cli_output import FORMAT_OF, Json, Output, check_outputs, save, table
from .console import guarded, say
from .errors import UsageError

Manifest = Annotated[
    Path | None,
    typer.Option(
        "--manifest",
        help="CSV with name, file, role, documented_teachers, cluster: recorded answers of models of known lineage.",
    ),
]
Items = Annotated[
    str, typer.Option("--items", help="LOW or LOW-HIGH: how many items the cases have that it speaks for.")
]
Seed = Annotated[int, typer.Option("--seed", help="Draws pairs and controls.")]


@guarded
def calibrate(
    manifest: Manifest = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where it goes: NAME.json.")] = None,
    items: Items = "200",
    card: Annotated[str, typer.Option("--card", help="What these models are, in a sentence or two.")] = "",
    seed: Seed = 0,
) -> int:
    """Build a population from recorded answers of models whose lineage is documented: numbers only, no text."""
    from .labelled import build, read_corpus
    from .serial import lines

    if manifest is None or output is None or output.suffix != ".json":
        raise UsageError("calibrate needs --manifest models.csv and -o NAME.json")
    span = _span(items)
    check_outputs((output,))
    save(output, lines(build(read_corpus(manifest), output.stem, card, items=span, seed=seed, progress=say)))
    say(f"wrote {output.resolve()}")
    return 0


@guarded
def validate(
    population: Annotated[
        str | None, typer.Option("--population", help="A shipped population's name, or a file that calibrate wrote.")
    ] = None,
    manifest: Manifest = None,
    items: Items = "200",
    seed: Seed = 0,
    output: Output = None,
    json: Json = False,
) -> int:
    """How good a population's likelihood ratios are on lineages that its calibration did not see."""
    import reports

    from .verdict.calibrate import load_population
    from .verdict.validate import validate as run

    check_outputs(output)
    if (population is None) == (manifest is None):
        raise UsageError("validate needs either --population NAME or --manifest models.csv")
    if manifest is not None:
        from .labelled import build, read_corpus

        chosen = build(read_corpus(manifest), manifest.stem, "", items=_span(items), seed=seed, progress=say)
    else:
        chosen = load_population(str(population))
    found = run(chosen)
    if json:
        sys.stdout.write(found.to_json())
    else:
        for t in reports.validation_tables(found):
            table(f"{t.title} (population {found.population})", [c.label for c in t.columns], t.rows)
    for path in output or ():
        save(path, reports.render_validation(found, FORMAT_OF[path.suffix]))
        say(f"wrote {path.resolve()}")
    return 0


def _span(text: str) -> tuple[int, int | None]:
    low, _, high = text.partition("-")
    try:
        span = (int(low), int(high) if high else None)
    except ValueError:
        span = (0, None)
    if span[0] < 30 or (span[1] is not None and span[1] < span[0]):
        raise UsageError(f"--items {text}: a number of at least 30, or two, as in 90-199")
    return span
