"""``forensics exact …``: tests whose p-value holds for any suspect. A part of the command; see `cli`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import bars, guarded, printable, say
from .errors import UsageError

if TYPE_CHECKING:
    from .types import ExactResult

exact_app = typer.Typer(
    name="exact", no_args_is_help=True, rich_markup_mode=None, help="Tests whose p-value holds for any suspect."
)
canary_app = typer.Typer(
    name="canary", no_args_is_help=True, rich_markup_mode=None, help="Planted secrets: plant before, test after."
)
twins_app = typer.Typer(
    name="twins", no_args_is_help=True, rich_markup_mode=None, help="Keyed choice among paraphrases: release, test."
)
exact_app.add_typer(canary_app)
exact_app.add_typer(twins_app)

Suspect = Annotated[str, typer.Option("--suspect", "-S", help="The suspect: provider/name, or a file of answers.")]
Reference = Annotated[
    str | None, typer.Option("--reference", "-R", help="The alleged teacher; scores as a control variate.")
]
Base = Annotated[str | None, typer.Option("--base", "-B", help="The suspect's base; scores as a control variate.")]
Control = Annotated[
    list[str] | None, typer.Option("--control", "-C", help="Another scorer as control variate; repeatable.")
]
Case = Annotated[Path | None, typer.Option("--case", help="The case file to append to; the same command resumes.")]
Json = Annotated[bool, typer.Option("--json", help="Print the exact records and nothing else.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of sampling and permutations.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")]
Template = Annotated[
    str | None,
    typer.Option("--template", help="Raw prompt with {prompt} in it, for servers that score raw prompts only."),
]
Key = Annotated[Path, typer.Option("--key", help="The sealed key file.")]
Commitment = Annotated[str | None, typer.Option("--commitment", help="The hash published before the release.")]
Sheet = Annotated[Path | None, typer.Option("--sheet", help="The published sheet that carries the hash.")]
Nonce = Annotated[
    str | None, typer.Option("--nonce", help="64 hexadecimal digits instead of fresh randomness.", hidden=True)
]


Log = Annotated[Path, typer.Option("--log", help="Served answers: JSON Lines, chat logs, or OpenAI batch output.")]
Account = Annotated[list[str] | None, typer.Option("--account", help="A suspected account; repeatable (default: all).")]
Batch = Annotated[Path | None, typer.Option("--requests", help="Input file of the OpenAI batch.")]
Redraws = Annotated[Path | None, typer.Option("--redraws", help="Fresh draws in a file, instead of asking.")]
Draws = Annotated[int, typer.Option("--draws", min=1, max=64, help="Fresh draws a prompt.")]
Items = Annotated[int, typer.Option("--items", min=20, help="The first so many logged prompts.")]
Form = Annotated[str | None, typer.Option("--form", help="log-probs, answers or continuation.")]
Samples = Annotated[int, typer.Option("--samples", min=1, help="Answers of the suspect a prompt, where it is asked.")]
Limit = Annotated[int | None, typer.Option("--max-tokens", min=1, help="The limit the answers were served under.")]
Heat = Annotated[float | None, typer.Option("--temperature", min=0, help="The temperature they were served at.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Count unreadable lines instead of stopping.")]
Templates = Annotated[
    Path, typer.Option("--templates", help='JSON Lines: {"prompt", "answer" with {secret}, "candidates"?}.')
]
Written = Annotated[Path, typer.Option("--sheet", help="What is planted or released, with the hash; to write.")]
Prompts = Annotated[
    Path | None, typer.Option("--prompts", help="JSON Lines with prompt (a file/ suspect has its own).")
]


@exact_app.command()
@guarded
def regeneration(
    log: Log, suspect: Suspect, reference: Reference = None, base: Base = None, control: Control = None,
    account: Account = None, requests: Batch = None, redraws: Redraws = None, draws: Draws = 8, items: Items = 1000,
    form: Form = None, samples: Samples = 3, max_tokens: Limit = None, temperature: Heat = None,
    template: Template = None, case: Case = None, seed: Seed = 0, json: Json = False, quiet: Quiet = False,
    skip_bad: SkipBad = False,
) -> int:  # fmt: skip
    """Served answers against fresh draws of the same model: exact, however similar the suspect is. Exit 0, 3 or 4."""
    from .exact.gather import controls_of
    from .exact.redraw import Plan, inputs
    from .exact.served import read_log

    read = read_log(
        log,
        accounts=account or (),
        requests=requests,
        max_tokens=max_tokens,
        temperature=temperature,
        skip_bad=skip_bad,
    )
    specs = controls_of({"suspect": suspect, "reference": reference, "base": base}, control or [])
    plan = Plan(draws, items, form, samples, seed, template, redraws)
    if not quiet:
        for note in read.notes:
            say(note)
    return _run(lambda store, progress: inputs(read, specs, plan, store, progress), "regeneration", case, json, quiet)


@canary_app.command("plant")
@guarded
def canary_plant(
    templates: Templates, key: Key, sheet: Written,
    k: Annotated[int, typer.Option("--candidates", "-k", min=2, max=1024, help="Where a template has none.")] = 16,
    nonce: Nonce = None,
) -> int:  # fmt: skip
    """Draw a secret for every template; write the sealed key and the sheet, print the hash to publish."""
    from .exact import canary, sealed

    made = canary.plant(sealed.read_lines(templates, "prompt"), k, _nonce(nonce))
    return _sealed(made, key, sheet, canary.sheet)


@canary_app.command("test")
@guarded
def canary_test(
    key: Key, suspect: Suspect, commitment: Commitment = None, sheet: Sheet = None, base: Base = None,
    control: Control = None, template: Template = None,
    text: Annotated[bool, typer.Option("--text", help="By what it says, even if it can score.")] = False,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Answers a prompt, by text.")] = 3,
    case: Case = None, json: Json = False, quiet: Quiet = False,
) -> int:  # fmt: skip
    """Does the suspect know the planted secrets? Exit 0, 3, or 5 if the key is not the committed one."""
    from .exact import sealed
    from .exact.gather import controls_of
    from .exact.planted import canary_inputs

    opened = sealed.read(key, "canary", commitment, sheet)
    specs = controls_of({"suspect": suspect, "base": base}, control or [])
    return _run(
        lambda store, progress: canary_inputs(
            opened, specs, store, text=text, samples=samples, template=template, progress=progress
        ),
        "canary", case, json, quiet,
    )  # fmt: skip


@twins_app.command("release")
@guarded
def twins_release(
    documents: Annotated[Path, typer.Option("--documents", help='JSON Lines: {"versions": [...], "prompt"?, "id"?}.')],
    key: Key, sheet: Written, nonce: Nonce = None,
) -> int:  # fmt: skip
    """Choose the version of every document that goes out; write the sealed key and the release."""
    from .exact import sealed, twins

    made = twins.release(sealed.read_lines(documents, "versions"), _nonce(nonce))
    return _sealed(made, key, sheet, lambda k, h: {"commitment": h, "documents": twins.released(k)})


@twins_app.command("test")
@guarded
def twins_test(
    key: Key, suspect: Suspect, commitment: Commitment = None, sheet: Sheet = None, base: Base = None,
    control: Control = None, template: Template = None, case: Case = None, seed: Seed = 0, json: Json = False,
    quiet: Quiet = False,
) -> int:  # fmt: skip
    """Does the suspect prefer the released versions? Exit 0, 3, or 5 if the key is not the committed one."""
    from .exact import sealed
    from .exact.gather import controls_of
    from .exact.planted import twins_inputs

    opened = sealed.read(key, "twins", commitment, sheet)
    specs = controls_of({"suspect": suspect, "base": base}, control or [])
    return _run(
        lambda store, progress: twins_inputs(opened, specs, store, seed=seed, template=template, progress=progress),
        "twins", case, json, quiet,
    )  # fmt: skip


@exact_app.command()
@guarded
def watermark(
    key: Annotated[Path, typer.Option("--key", help="The watermark's configuration as transformers writes it (JSON).")],
    suspect: Suspect,
    reference: Annotated[str, typer.Option("--reference", "-R", help="hf/ or zoo/: its tokenizer made the marks.")],
    base: Base = None, control: Control = None, prompts: Prompts = None, samples: Samples = 4,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Length of an answer.")] = 128,
    dummies: Annotated[int, typer.Option("--dummies", min=100, help="Random other keys.")] = 1000,
    pairs: Annotated[int, typer.Option("--pairs", min=200, help="The most pairs to count.")] = 20_000,
    form: Annotated[str | None, typer.Option("--form", help="log-probs (local models, with a base) or text.")] = None,
    case: Case = None, seed: Seed = 0, json: Json = False, quiet: Quiet = False,
) -> int:  # fmt: skip
    """Radioactivity: did the suspect learn what is green under the reference's watermark key? Exit 0, 3 or 4."""
    from .exact.gather import controls_of
    from .exact.marked import Asking, watermark_inputs
    from .exact.sealed import read_json, read_lines

    config = read_json(key)
    if not isinstance(config, dict):
        raise UsageError(f"{key} is no watermark configuration")
    asked = [str(row["prompt"]) for row in read_lines(prompts, "prompt")] if prompts else []
    asking = Asking(asked, samples, max_tokens, pairs, dummies, seed, form)
    specs = controls_of({"suspect": suspect, "base": base}, control or [])
    folder = _folder(reference)
    return _run(
        lambda store, progress: watermark_inputs(config, specs, reference, folder, store, asking, progress),
        "watermark", case, json, quiet,
    )  # fmt: skip


@exact_app.command()
@guarded
def weights(
    suspect: Suspect, reference: Annotated[str, typer.Option("--reference", "-R", help="The other model.")],
    base: Annotated[str | None, typer.Option("--base", "-B", help="The suspect's base: does it share as much?")] = None,
    case: Case = None, json: Json = False, quiet: Quiet = False,
) -> int:  # fmt: skip
    """Do two hf/ (or zoo/) models descend from one initialisation? Copied weights, not copied outputs. Exit 0 or 3."""
    from .exact.weights import match_weights

    pairs = [("reference", suspect, reference)]
    if base is not None:
        pairs += [("base", suspect, base), ("reference-base", base, reference)]
    made = [(label, match_weights(_folder(one), _folder(other), against=label)) for label, one, other in pairs]
    return _keep(made, case, json, quiet)


def _folder(spec: str) -> Path:
    from .backends import open_backend
    from .spec import parse_spec

    found: Path | None = getattr(open_backend(parse_spec(spec)), "weights_dir", lambda: None)()
    if found is None or not found.is_dir():
        raise UsageError(f"{spec} is not a model directory: name it as hf/DIRECTORY or zoo/NAME")
    return found


def _nonce(given: str | None) -> str:
    import re
    import secrets

    from .exact.sealed import NONCE_BYTES

    if given is not None and not re.fullmatch(r"[0-9a-f]{64}", given):
        raise UsageError("a nonce is 64 hexadecimal digits")
    return given or secrets.token_hex(NONCE_BYTES)


def _sealed(made: Mapping[str, Any], key: Path, sheet: Path, shown: Any) -> int:
    """Key first: a release without its key could never be tested."""
    import json

    from .exact import sealed

    if sheet.exists():
        raise UsageError(f"{sheet} exists already: name another file")
    committed = sealed.write(key, dict(made))
    try:
        sheet.write_text(json.dumps(shown(made, committed), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {sheet}: {error.strerror}") from error
    sys.stdout.write(f"{committed}\n")
    say(f"wrote {key} (keep it sealed) and {sheet}; publish the hash above before the release")
    return 0


def _run(job: Any, label: str, case: Path | None, json: bool, quiet: bool) -> int:
    from .exact.gather import run
    from .store import Store

    with Store(case) as store, bars(quiet) as progress:
        made = run(job(store, progress))
    return _keep([(label, made)], case, json, quiet)


def _keep(made: Sequence[tuple[str, Mapping[str, Any]]], case: Path | None, json: bool, quiet: bool) -> int:
    from .exact.case import keep
    from .store import Store

    with Store(case) as store:
        results = [keep(store, label, inputs) for label, inputs in made]
    if case is None and not quiet:
        say("nothing was kept; with --case FILE it is, for a report and to be computed again")
    if json:
        from json import dumps

        from .assemble import exact_record
        from .record import ExactRecord
        from .serial import adapter

        records = [adapter(ExactRecord).dump_python(exact_record(r), mode="json") for r in results]
        sys.stdout.write(dumps(records, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(printable(line) for r in results for line in _lines(r)) + "\n")
    return 0 if all(r.status == "ok" for r in results) else 3


def _lines(r: ExactResult) -> list[str]:
    """One result in words."""
    numbers = (
        f"n = {r.n}" + (f", p = {r.p:.3g}" if r.p is not None else "") + (f", e = {r.e:.3g}" if r.e is not None else "")
    )
    rows = [("", r.finding or r.reason or ""), ("power", r.power), ("holds if", r.assumes), ("breaks if", r.breaks)]
    return [f"{r.test} ({r.status}): {numbers}", *(f"  {k + ': ' if k else ''}{text}" for k, text in rows if text)]
