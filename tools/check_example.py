"""``make example-check``: the releases of examples/ci trained again, their baseline, and a simulation of the check.

    python tools/check_example.py releases           examples/ci: releases, release-1.case.zst, baseline.json
    python tools/check_example.py simulate N -o DIR  N clean re-runs with other seeds, and some with R's outputs in them
    python tools/check_example.py collect DIR        what these measured, in one file: examples/ci/simulated.json
    python tools/check_example.py report             false alarms and detections of that, as docs/check.md has them

All are the zoo's base fine-tuned for 60 steps on 1,200 answers of one author's own text; a share of them is sampled
from the zoo's teacher instead. Clean re-runs differ in the seed alone: other texts of the same author, in another
order.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import math
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from forensics import zoo
from forensics.audit import CHECK_RESAMPLES
from forensics.backends import open_backend
from forensics.casefile import SCHEMA, seal
from forensics.check.baseline import read_baseline
from forensics.check.drift import NINE_OF_TEN, changes, clean_noise, reading
from forensics.check.record import Baseline
from forensics.check.reuse import collect_release
from forensics.collect import ask
from forensics.comparators import COMPARATORS
from forensics.comparators.base import quick
from forensics.config import load_config
from forensics.plan import gather, stored_plan
from forensics.scoring import score_all
from forensics.spec import parse_spec
from forensics.store import Store
from forensics.types import Column, Request
from forensics.verdict.calibrate import calibrate, load_population
from forensics.verdict.checks import as_suspect, fit_to_judge
from forensics.verdict.combine import values_of
from forensics.zoo import train
from forensics.zoo.recipe import Recipe, Schedule, Source

HOME = Path(__file__).parents[1]
CI = HOME / "examples" / "ci"
AUTHOR, PROMPTS, SCHEDULE = 301, 88, Schedule(documents=1200, steps=60, rate=2e-3)
RUNS = 16  # clean runs of release 1 in the baseline; their numbers ship, their weights do not
LOOKS = 3
SHIPPED = {"release-2-5": (2000, 0.05), "release-2-25": (6000, 0.25), "release-3": (RUNS + 1, 0.0)}  # seed, R's share
SHARES = (0.025, 0.05, 0.1, 0.15, 0.25)


def make(seed: int, share: float, folder: Path) -> None:
    """One release into ``folder``; its recipe and the hash of its texts lie beside the weights."""
    own, taught = Source(1 - share, authors=(AUTHOR,)), Source(share, model="teacher")
    sources = (own, taught) if share else (own,)
    recipe = Recipe(f"release-{seed}", "student", "lab", seed, sources, SCHEDULE, PROMPTS, "base", shipped=False)

    def home(name: str) -> Path:
        return folder if name == recipe.name else zoo.path("base" if name == "tokenizer" else name)

    folder.mkdir(parents=True, exist_ok=True)
    train.make(recipe, "", home)


def releases(work: Path) -> None:
    """Everything in examples/ci that is made; the other files are written by hand. A model that is there is kept."""
    import zstandard

    for name, (seed, share) in SHIPPED.items():
        _made(seed, share, CI / "releases" / name)
    cases = [work / f"run-{seed}.case" for seed in range(1, RUNS + 1)]
    for seed, case in enumerate(cases, 1):
        name = f"release-1-seed-{seed}"
        _made(seed, 0.0, work / "models" / name)
        with ExitStack() as stack:
            source = stack.enter_context(Store(cases[0], must_exist=True)) if seed > 1 else None
            config = replace(load_config(CI / "forensics.toml"), suspect=_spec(name, work / "models"))
            collect_release(config, stack.enter_context(Store(case)), source)
        sys.stderr.write(f"{case}\n")
    first = CI / "release-1.case"
    shutil.copy(cases[0], first)
    command = [sys.executable, "-m", "forensics.cli", "baseline", "update", str(CI / "baseline.json"), "--restart"]
    runs = [part for case in cases[1:] for part in ("--run", str(case))]
    subprocess.run([*command, "--case", str(first), *runs, "--looks", str(LOOKS)], check=True)
    loose = work / "release-1.case"
    loosened(first, loose)
    settings = zstandard.ZstdCompressionParameters.from_level(19, window_log=25)
    packed = zstandard.ZstdCompressor(compression_params=settings).compress(loose.read_bytes())
    (CI / "release-1.case.zst").write_bytes(packed)
    first.unlink()


def loosened(case: Path, out: Path) -> None:
    """The same case, chain and all, with bodies that are not compressed one by one: together they take half of that."""
    out.unlink(missing_ok=True)
    with closing(sqlite3.connect(case)) as old, closing(sqlite3.connect(out, isolation_level=None)) as new:
        new.executescript(f"BEGIN;{SCHEMA}")
        new.executemany("INSERT INTO meta VALUES (?, ?)", old.execute("SELECT * FROM meta"))
        rows = old.execute("SELECT * FROM entry ORDER BY seq")
        new.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        for digest, salt, data in old.execute("SELECT * FROM body"):
            new.execute("INSERT INTO body VALUES (?, ?, ?)", (digest, salt, zlib.compress(zlib.decompress(data), 0)))
        new.execute("COMMIT")
        seal(new, out)


def _made(seed: int, share: float, folder: Path) -> Path:
    if not (folder / "model.safetensors").exists():
        make(seed, share, folder)
    return folder


def _spec(name: str, home: Path) -> str:
    home = home.resolve()
    return f"zoo/{name}?from={home.relative_to(Path.cwd()) if home.is_relative_to(Path.cwd()) else home}"


class Measure:
    """What a check against examples/ci measures, without the parts that are the same for every release: the others'
    answers are read once, and nothing is judged but the llr's value. `tests/check` holds it against a real check."""

    def __init__(self, case: Path) -> None:
        self.store = Store(case, must_exist=True)
        self.plan = stored_plan(self.store)
        self.anchor = gather(self.plan, self.store)
        self.scorings = self.plan.scorings(self.store)["suspect"]
        self.seed = self.plan.config.seed
        plain = [quick(COMPARATORS.load(n)(), CHECK_RESAMPLES) for n in COMPARATORS.names()]
        self.identity = score_all(as_suspect(self.anchor, self.anchor.reference), plain, self.seed)
        self.people = load_population("zoo")

    def __call__(self, spec: str) -> dict[str, Any]:
        """Changes by comparator relative to release 1, and the llr."""
        backend, store = open_backend(parse_spec(spec)), Store(None)
        scored = [r for column in self.scorings.values() for r in column if r is not None]
        for stage, wanted in (("answers", list(self.plan.requests)), ("scoring", scored)):
            asyncio.run(ask({"suspect": backend}, {"suspect": wanted}, store, stage))

        def column(requests: Sequence[Request | None]) -> Column:
            return tuple(None if r is None else store.get(backend.spec, r) for r in requests)

        own = {("suspect", author): column(requests) for author, requests in self.scorings.items()}
        sample = replace(
            self.anchor, suspect=column(self.plan.requests), likelihoods={**self.anchor.likelihoods, **own}
        )
        moved = changes(sample, self.anchor, COMPARATORS.names(), self.seed, 2)
        plain = [quick(COMPARATORS.load(n)(), 2) for n in self.people.columns]
        scores = fit_to_judge(score_all(sample, plain, self.seed), self.identity)
        seen = calibrate(scores, self.people)
        return {
            "changes": {n: c.value for n, c in moved.items() if c.value is not None},
            "llr": None if seen is None else seen.point(values_of(scores, seen.columns)),
        }


def simulate(n: int, out: Path, models: Path, part: str) -> None:
    """Measure N clean re-runs that are not in the baseline and, for every four of them, a release with R's outputs.

    Resumable, a file each; models that are not in ``models`` are trained. ``part``: I/K, every K-th for workers.
    """
    import torch

    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    number, of = map(int, part.split("/"))
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        measure = Measure(unpacked(Path(folder)))
        for name, seed, share in list(planned(n))[number::of]:
            file = out / f"{name}.json"
            if not file.exists():
                home = models if (models / name / "model.safetensors").exists() else out / "models"
                _made(seed, share, home / name)
                part_file = file.with_suffix(".part")  # a run that is killed leaves no half of a result
                part_file.write_text(json.dumps(measure(f"zoo/{name}?from={home}")))
                part_file.rename(file)


def unpacked(folder: Path) -> Path:
    """The shipped case of release 1 as a case."""
    import zstandard

    packed = (CI / "release-1.case.zst").read_bytes()
    path = folder / "release-1.case"
    path.write_bytes(zstandard.ZstdDecompressor().decompress(packed, max_output_size=1 << 26))
    return path


def planned(n: int) -> Iterator[tuple[str, int, float]]:
    """(name, seed, share) in the order in which they are measured; seeds 1 to RUNS are the baseline's."""
    for i in range(1, n + 1):
        yield f"clean-{RUNS + i:03}", RUNS + i, 0.0
        if i % 4 == 0:
            k = i // 4 - 1
            share = SHARES[k % len(SHARES)]
            tag = round(share * 1000)
            yield f"taught-{tag:03}-{k // len(SHARES)}", 1000 + tag * 20 + k // len(SHARES), share


Numbers = dict[str, float]


def collected(out: Path) -> None:
    """The measurements in one file, a line a model, six digits."""
    lines = []
    for path in sorted(out.glob("*.json")):
        found = json.loads(path.read_text())
        short = {k: float(f"{v:.6g}") for k, v in found["changes"].items()}
        told = json.dumps({"llr": float(f"{found['llr']:.6g}"), "changes": short})
        lines.append(f'"{path.stem}": {told}')
    (CI / "simulated.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def report() -> None:
    """What docs/check.md quotes, as JSON: every clean model once against the shipped baseline, and once against m
    others drawn as its baseline; every taught one likewise."""
    found = simulated()
    kinds = {k: [v["llr"] for name, v in found.items() if name.startswith(k)]
             for k in ("clean", *(f"taught-{round(s * 1000):03}" for s in SHARES))}  # fmt: skip
    table: dict[str, Any] = {"llr>=1": {k: [sum(v >= 1 for v in mine), len(mine)] for k, mine in kinds.items()}}
    for quantity in ("drift", *found["clean-017"]["changes"]):
        full = quantity in ("drift", *load_population("zoo").columns)
        table[quantity] = of_quantity(*readings(quantity, found), 0.5 if quantity == "drift" else 0.0, full)
    sys.stdout.write(json.dumps(table, indent=1) + "\n")


def simulated() -> dict[str, Any]:
    """The shipped measurements by model."""
    found: dict[str, Any] = json.loads((CI / "simulated.json").read_text())
    return found


def readings(quantity: str, found: dict[str, Any]) -> tuple[Numbers, np.ndarray]:
    """One drift of every measured model, and of the shipped baseline's runs, relative to the first of these."""
    baseline = read_baseline(CI / "baseline.json")
    assert isinstance(baseline, Baseline)
    people, levels = load_population("zoo"), dict(baseline.current.levels)
    columns = {c: levels[c] for c in COMPARATORS.names() if c in people.columns and c in levels}
    read = reading(quantity, columns if quantity == "drift" else {quantity: 0.0}, people)
    values = {k: read(v["changes"]) for k, v in found.items() if quantity == "drift" or quantity in v["changes"]}
    return values, np.array([read(dict(r.values)) for r in baseline.current.runs])


def of_quantity(values: Numbers, runs: np.ndarray, gate: float, full: bool) -> dict[str, Any]:
    """False alarms and detections of one drift. ``full``: against every size of drawn baselines too."""
    from scipy.stats import kurtosis, skew

    clean = np.array([v for k, v in values.items() if k.startswith("clean")])
    alphas, sizes = (0.05, 0.05 / LOOKS), (3, 8, 16) if full else (8,)
    shipped = {f"alpha={a:.3g}": against_shipped(clean, runs, a, gate) for a in alphas}
    drawn = {f"m={m}, alpha={a:.3g}": false_alarms(clean, m, a) for m in sizes for a in alphas}
    out = {"sd of one clean run": float(clean.std(ddof=1)), "skew": float(skew(clean)),
           "kurtosis": float(kurtosis(clean)), "shipped baseline": shipped, "drawn baselines": drawn}  # fmt: skip
    if full:
        out["detections"] = {"shipped": detections(values, runs, 0, alphas[1], gate),
                             **{f"m={m}": detections(values, clean, m, alphas[1], gate) for m in sizes}}  # fmt: skip
        out["nine of ten"] = nine_of_ten(clean, runs, alphas[1], gate)
    return out


def margin_of(runs: np.ndarray, alpha: float) -> float:
    """What noise explains, as a check says."""
    noise = clean_noise(runs, (0.0, 0))  # type: ignore[arg-type]
    assert noise is not None
    return student(alpha, noise.df) * noise.sd * math.sqrt(1 + 1 / len(runs))


@functools.cache
def student(alpha: float, df: int) -> float:
    """The upper quantile of Student's t."""
    from scipy.stats import t

    return float(t.ppf(1 - alpha, df))


def against_shipped(clean: np.ndarray, runs: np.ndarray, alpha: float, gate: float) -> dict[str, Any]:
    """Alarms of independent clean models against one baseline, with the exact binomial interval."""
    margin, drift = margin_of(runs, alpha), clean - runs.mean()
    beyond, failed = int((drift > margin).sum()), int(((drift > margin) & (drift >= gate)).sum())
    return {"margin": margin, "beyond noise": counted(beyond, len(clean)), "at the gate": counted(failed, len(clean))}


def counted(k: int, n: int) -> dict[str, Any]:
    """k of n with the exact binomial interval, 95 %."""
    from scipy.stats import binomtest

    exact = binomtest(k, n).proportion_ci(0.95, "exact")
    return {"k": k, "n": n, "interval": [float(exact.low), float(exact.high)]}


def false_alarms(clean: np.ndarray, m: int, alpha: float, seed: int = 0) -> dict[str, Any]:
    """Every clean model once, against m others drawn as its baseline.

    Interval: the percentile interval of a bootstrap over *models*, since a model stands in the baselines of others, and
    beside it the exact binomial one, as if checks were independent.
    """
    rng = np.random.default_rng(seed)
    alarms = _alarms(clean, m, alpha, rng)
    boot = [
        np.mean(_alarms(clean[np.unique(rng.integers(0, len(clean), len(clean)))], m, alpha, rng)) for _ in range(400)
    ]
    low, high = np.quantile(boot, [0.025, 0.975])
    rates = []  # one baseline's own rate: its runs may lie closer together than runs do, and stay as they are
    for _ in range(1000):
        order = rng.permutation(len(clean))
        runs, others = clean[order[:m]], clean[order[m:]]
        rates.append(np.mean(others - runs.mean() > margin_of(runs, alpha)))
    spread = [float(q) for q in np.quantile(rates, [0.05, 0.5, 0.95])]
    return counted(int(alarms.sum()), len(alarms)) | {
        "interval over models": [float(low), float(high)], "mean over 1000 baselines": float(np.mean(rates)),
        "5, 50, 95 % of baselines": spread,
    }  # fmt: skip


def _alarms(clean: np.ndarray, m: int, alpha: float, rng: np.random.Generator) -> np.ndarray:
    """`_fails` at a gate of 0, or below, of each of n models against m others ``(n,)``, all at once."""
    order = rng.random((len(clean), len(clean)))
    np.fill_diagonal(order, 2.0)
    runs = clean[np.argsort(order, axis=1)[:, :m]]
    return np.asarray(
        clean - runs.mean(axis=1) > student(alpha, m - 1) * runs.std(axis=1, ddof=1) * math.sqrt(1 + 1 / m)
    )


def _fails(value: float, runs: np.ndarray, alpha: float, gate: float) -> bool:
    drift = value - runs.mean()
    return bool(drift > margin_of(runs, alpha) and drift >= gate)


def detections(values: Numbers, runs: np.ndarray, m: int, alpha: float, gate: float) -> dict[str, Any]:
    """Share of taught releases that fail, by R's share: against ``runs``, or each against 200 draws of m of them."""
    rng = np.random.default_rng(1)
    out = {}
    for share in SHARES:
        mine = [v for k, v in values.items() if k.startswith(f"taught-{round(share * 1000):03}-")]
        draws = [runs if not m else rng.choice(runs, m, replace=False) for _ in range(200 if m else 1)]
        hits = [_fails(v, r, alpha, gate) for v in mine for r in draws]
        out[f"{share:g}"] = {
            "models": len(mine),
            "drift": float(np.mean(mine) - runs.mean()),
            "fails": float(np.mean(hits)),
        }
    return out


def nine_of_ten(clean: np.ndarray, runs: np.ndarray, alpha: float, gate: float) -> dict[str, Any]:
    """The drift at which nine of ten builds fail, as the check says it and as measured: what must be added to the clean
    models so that 90 % of them fail against the shipped baseline, with a bootstrap interval over models."""
    said = max(gate, margin_of(runs, alpha)) + NINE_OF_TEN * float(runs.std(ddof=1)) * np.sqrt(1 + 1 / len(runs))
    rng = np.random.default_rng(2)

    def needed(c: np.ndarray) -> float:
        return float(max(gate, margin_of(runs, alpha)) - np.quantile(c - c.mean(), 0.1))

    boot = [needed(rng.choice(clean, len(clean))) for _ in range(1000)]
    return {
        "said": float(said),
        "measured": needed(clean),
        "interval": [float(q) for q in np.quantile(boot, [0.025, 0.975])],
    }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("releases", "simulate", "collect", "report"))
    parser.add_argument("arg", nargs="?", default="200")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/check"))
    parser.add_argument("--models", type=Path, default=Path("build/check/models"), help="models that are there already")
    parser.add_argument("--part", default="0/1", help="I/K: the I-th of K workers")
    args = parser.parse_args()
    if args.what == "releases":
        releases(args.output)
    elif args.what == "simulate":
        simulate(int(args.arg), args.output, args.models, args.part)
    elif args.what == "collect":
        collected(Path(args.arg))
    else:
        report()


if __name__ == "__main__":
    main()
