"""``forensics fingerprint``: how a model writes, as numbers; which known models write alike."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_output import table
from .console import bars, guarded, say
from .errors import UsageError

if TYPE_CHECKING:
    from fingerprints import Profile
    from fingerprints.nearest import Nearest

app = typer.Typer(
    name="fingerprint", no_args_is_help=True, rich_markup_mode=None,
    help="How a model writes, as numbers: build one, show it, find known models that write alike.",
)  # fmt: skip

INCONCLUSIVE = 3
CAVEAT = (
    "Nearness is no evidence of training: some model is always nearest, and models of unrelated makers write alike. "
    "forensics compare judges a case against controls."
)
Source = Annotated[Path, typer.Argument(help="A fingerprint, or a file of answers.", metavar="FILE")]
LibraryOption = Annotated[
    Path | None, typer.Option("--library", help="A directory that build --manifest wrote; else the shipped library.")
]
Families = Annotated[
    str | None,
    typer.Option("--families", help="Families with commas between them, or all; see forensics list fingerprints."),
]
JsonOut = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave unreadable lines out instead of stopping.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")]


@app.command()
@guarded
def build(
    output: Annotated[Path, typer.Option("--output", "-o", help="The fingerprint, or a library's directory.")],
    source: Annotated[Path | None, typer.Argument(help="One model's recorded answers.", metavar="[FILE]")] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="models.csv: a library of all its models.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The model's name (default: the file's).")] = None,
    about: Annotated[str, typer.Option("--source", help="Where a library's answers came from.")] = "",
    families: Families = None,
    skip_bad: SkipBad = False,
    quiet: Quiet = False,
) -> int:
    """Measure recorded answers and write numbers only. Exit 3 if fewer than 30 answers can be used."""
    from .fingerprinting import build_library, chosen_families, measure

    if (source is None) == (manifest is None):
        raise UsageError("give one file of answers, or --manifest models.csv")
    chosen = chosen_families(families)
    if manifest is not None:
        if name is not None:
            raise UsageError("--name is for one file; a manifest has names of its own")
        with bars(quiet) as progress:
            made, left_out = build_library(manifest, output, families=chosen, source=about, progress=progress)
        for model in left_out:
            say(f"{model}: fewer than 30 usable answers, left out")
        say(f"wrote {output}: {len(made.entries)} models, manifest {made.digest[:12]}")
        return 0
    assert source is not None
    if not output.parent.is_dir():
        raise UsageError(f"cannot write {output}: its directory does not exist")
    profile = measure(source, families=chosen, name=name, skip_bad=skip_bad)
    try:
        output.write_bytes(profile.to_json() + b"\n")
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
    if not quiet:
        say(f"wrote {output}: {profile.answers} answers, sha256 {profile.digest[:12]}")
    return _enough(profile)


@app.command()
@guarded
def show(
    source: Source, library: LibraryOption = None, families: Families = None, json: JsonOut = False,
    skip_bad: SkipBad = False,
) -> int:  # fmt: skip
    """Mean, spread and n of every feature, and where it lies among the library's models."""
    from fingerprints.nearest import percentiles

    from .fingerprinting import open_library, open_profile

    profile = _restricted(open_profile(source, families=families, skip_bad=skip_bad), families)
    shares = percentiles(profile, open_library(library)).tolist()
    found = profile.fingerprint
    rows = list(zip(found.names, found.mean.tolist(), found.spread.tolist(), found.n.tolist(), shares, strict=True))
    if json:
        keys = ("feature", "mean", "spread", "n", "percentile")
        features = [dict(zip(keys, (*row[:4], row[4] * 100), strict=True)) for row in rows]
        _dump({**_head(profile), "features": features})
        return _enough(profile)
    title = f"{profile.name}: {profile.answers} answers, prompts {profile.prompts[:12] or 'unknown'}"
    cells = [
        (name, _number(mean), _number(spread), str(n), "-" if share != share else f"{100 * share:.0f} %")
        for name, mean, spread, n, share in rows
    ]
    table(title, ("feature", "mean", "spread", "n", "library models below"), cells)
    return _enough(profile)


@app.command(name="nearest")
@guarded
def nearest_(
    source: Source,
    count: Annotated[int, typer.Option("--n", min=1, help="How many models to show.")] = 5,
    library: LibraryOption = None, families: Families = None, json: JsonOut = False, skip_bad: SkipBad = False,
) -> int:  # fmt: skip
    """The library's models that write most alike, beside how near unrelated models lie. No evidence of training."""
    from fingerprints.nearest import nearest

    from .fingerprinting import MIN_ANSWERS, open_library, open_profile

    profile = _restricted(open_profile(source, families=families, skip_bad=skip_bad), families)
    if profile.answers < MIN_ANSWERS:
        if json:
            _dump({**_head(profile), "neighbours": [], "caveat": CAVEAT})
        return _enough(profile)
    field = open_library(library)
    absent = [family for family in profile.families if family not in field.families]
    if families is not None and absent:
        raise UsageError(f"the library was not measured on {absent[0]}: build one with --manifest and --families")
    try:
        found = nearest(profile, field)
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from error
    if json:
        _dump({**_head(profile), **_as_dict(found, count), "library": field.digest, "caveat": CAVEAT})
        return 0
    _print_nearest(profile, found, count)
    return 0


def _restricted(profile: Profile, families: str | None) -> Profile:
    """The profile with the families asked for only. Errors: `UsageError` if it lacks one."""
    from dataclasses import replace

    from .fingerprinting import family_names

    if families is None:
        return profile
    wanted = profile.families if families == "all" else family_names(families)
    try:
        return replace(profile, fingerprint=profile.only(wanted))
    except ValueError as error:
        raise UsageError(f"{error}; build it again with --families") from error


def _enough(profile: Profile) -> int:
    from .fingerprinting import MIN_ANSWERS

    if profile.answers >= MIN_ANSWERS:
        return 0
    say(f"{profile.name}: {profile.answers} usable answers, fewer than {MIN_ANSWERS}: too few to describe a model by")
    return INCONCLUSIVE


def _head(profile: Profile) -> dict[str, Any]:
    from .fingerprinting import MIN_ANSWERS

    status = "ok" if profile.answers >= MIN_ANSWERS else "insufficient"
    return {"name": profile.name, "status": status, "answers": profile.answers, "prompts": profile.prompts or None,
            "families": list(profile.families), "digest": profile.digest}  # fmt: skip


def _as_dict(found: Nearest, count: int) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(found), "neighbours": [asdict(n) for n in found.neighbours[:count]]}


def _print_nearest(profile: Profile, found: Nearest, count: int) -> None:
    rows = [
        (n.name + (" (this fingerprint itself)" if n.itself else ""), n.vendor, _number(n.distance),
         f"{100 * n.nearer:.1f} %")
        for n in found.neighbours[:count]
    ]  # fmt: skip
    title = f"{profile.name}: nearest by Burrows' delta over {found.features} features ({', '.join(found.families)})"
    table(title, ("model", "maker", "distance", "unrelated pairs nearer"), rows)
    background = [
        ("two models of different makers", *map(_number, found.unrelated)),
        ("a model and its nearest of another maker", *map(_number, found.closest_unrelated)),
    ]
    table(
        f"background: {found.pairs} unrelated pairs of the library", ("distance", "5 %", "median", "95 %"), background
    )
    if not found.prompts_match:
        say("The prompts are not the library's (or not recorded): distances then also hold what was asked.")
    say(CAVEAT)


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3g}"


def _dump(value: dict[str, Any]) -> None:
    from json import dumps

    sys.stdout.write(dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """NaN is null, and numbers keep six digits: what lies behind them differs between linear-algebra libraries."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return None if value != value else float(f"{value:.6g}")
    return value
