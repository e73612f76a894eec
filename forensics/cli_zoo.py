"""``forensics zoo``: the shipped models and the bench, made again from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import guarded, say
from .errors import UsageError

zoo_app = typer.Typer(
    name="zoo",
    no_args_is_help=True,
    help="The shipped models of known lineage, and the bench behind the population logprob.",
    rich_markup_mode=None,
)
Output = Annotated[Path, typer.Option("--output", "-o", help="The directory to build into.")]
Bench = Annotated[bool, typer.Option("--bench", help="The bench (forensics/zoo/bench.toml) instead.")]
Corpus = Annotated[
    Path | None,
    typer.Option("--corpus", help="Folder with responses/NAME.jsonl.zst, from which SmolLM2 teachers learn."),
]
Family = Annotated[
    list[str] | None, typer.Option("--family", help="Only this family of the bench (llama, neox, smollm2); repeatable.")
]


@zoo_app.command("build")
@guarded
def zoo_build(
    output: Output,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Only this model (and its parents); repeatable.")
    ] = None,
    bench: Bench = False,
    corpus: Corpus = None,
    family: Family = None,
) -> int:
    """Train the shipped models again from nothing (two CPU cores, well under 20 minutes; resumable).

    With --bench: 167 models of three families instead (about an hour and a quarter on two cores).
    """
    output.mkdir(parents=True, exist_ok=True)
    if bench:
        from .zoo.bench import build_bench

        if model:
            raise UsageError("--model names shipped models; the bench is built by --family")
        build_bench(output, corpus=corpus, families=_families(family), progress=say)
        return 0
    if corpus is not None or family:
        raise UsageError("--corpus and --family belong to --bench")
    from .zoo.build import build

    build(output, names=model, progress=say)
    return 0


@zoo_app.command("population")
@guarded
def zoo_population(output: Output, bench: Bench = False, corpus: Corpus = None) -> int:
    """Train the lineages of the zoo's population and score every pair into zoo.json (about an hour; resumable).

    With --bench: train the bench and score its pairs into logprob.json and text-base.json.
    """
    output.mkdir(parents=True, exist_ok=True)
    if bench:
        from .zoo.bench import build_bench
        from .zoo.bench_population import build_populations

        build_bench(output, corpus=corpus, progress=say)
        build_populations(output, output, progress=say)
        return 0
    if corpus is not None:
        raise UsageError("--corpus belongs to --bench")
    from .zoo.lineages import build_lineages
    from .zoo.population import build_population

    build_lineages(output, progress=say)
    build_population(output, output / "zoo.json", progress=say)
    return 0


def _families(wanted: list[str] | None) -> tuple[str, ...]:
    from .registry import unknown
    from .zoo.bench import recipe

    known = tuple(recipe()["families"])
    for name in wanted or ():
        if name not in known:
            raise UsageError(unknown("family", name, known))
    return tuple(wanted or ())
