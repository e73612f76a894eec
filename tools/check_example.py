"""``make example-check``: the releases of examples/ci trained again, their baseline, and a simulation of the check.

    python tools/check_example.py releases           examples/ci: releases, release-1.case.zst, baseline.json
    python tools/check_example.py simulate N -o DIR  N clean re-runs with other seeds, and some with R's outputs in them
    python tools/check_example.py report DIR         false alarms and detections of these, as docs/check.md has them

All are the zoo's base fine-tuned for 60 steps on 1,200 answers of one author's own text; a share of them is sampled
from the zoo's teacher instead. Clean re-runs differ in the seed alone: other texts of the same author, in another
order.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from forensics import zoo
from forensics.check.baseline import read_baseline
from forensics.check.drift import changes, clean_noise, reading
from forensics.check.record import Baseline
from forensics.comparators import COMPARATORS
from forensics.plan import gather, stored_plan
from forensics.store import Store
from forensics.verdict.calibrate import load_population
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


def check(name: str, case: Path, releases: Path, source: Path | None, *more: str) -> int:
    """``forensics check`` on one release, from the repository's root, without a baseline."""
    spec = f"zoo/{name}?from={releases.relative_to(HOME) if releases.is_relative_to(HOME) else releases}"
    parties = ["-R", "zoo/teacher", "-B", "zoo/base", *(f"-Czoo/control-{c}" for c in "abc"), "--suite", "zoo"]
    args = ["check", *parties, "-S", spec, "--gate", "llr>=1", "--case", str(case)]
    args += ["--reference-case", str(source)] if source else []
    done = subprocess.run([sys.executable, "-m", "forensics.cli", *args, "-q", *more], cwd=HOME, check=False)
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"checking {name} ended in {done.returncode}")
    return done.returncode


def releases(work: Path) -> None:
    """Everything in examples/ci that is made; the other files are written by hand."""
    import zstandard

    for name, (seed, share) in SHIPPED.items():
        make(seed, share, CI / "releases" / name)
    cases = [work / f"run-{seed}.case" for seed in range(1, RUNS + 1)]
    for seed, case in enumerate(cases, 1):
        make(seed, 0.0, work / "models" / f"release-1-seed-{seed}")
        check(f"release-1-seed-{seed}", case, work / "models", cases[0] if seed > 1 else None)
    first = CI / "release-1.case"
    shutil.copy(cases[0], first)
    runs = [part for case in cases[1:] for part in ("--run", str(case))]
    args = [
        "baseline",
        "update",
        str(CI / "baseline.json"),
        "--case",
        str(first),
        *runs,
        "--looks",
        str(LOOKS),
        "--restart",
    ]
    subprocess.run([sys.executable, "-m", "forensics.cli", *args], check=True)
    (CI / "release-1.case.zst").write_bytes(zstandard.ZstdCompressor(level=19).compress(first.read_bytes()))
    first.unlink()


def simulate(n: int, out: Path) -> None:
    """N clean re-runs and, for every four of them, one release with R's outputs; resumable. A case each."""
    out.mkdir(parents=True, exist_ok=True)
    source = None
    for name, seed, share in planned(n):
        case = out / f"{name}.case"
        if not case.exists():
            make(seed, share, out / "models" / name)
            check(name, case, out / "models", source)
            shutil.rmtree(out / "models" / name)
        source = source or case


def planned(n: int) -> Iterator[tuple[str, int, float]]:
    """(name, seed, share) in the order in which they are made."""
    for i in range(1, n + 1):
        yield f"clean-{i:03}", i, 0.0
        if i % 4 == 0:
            k = i // 4 - 1
            share = SHARES[k % len(SHARES)]
            tag = round(share * 1000)
            yield f"taught-{tag:03}-{k // len(SHARES)}", 1000 + tag * 20 + k // len(SHARES), share


def measured(out: Path) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The first clean run's levels, and every run's changes relative to it by comparator."""
    first = out / "clean-001.case"
    with Store(first, must_exist=True) as store:
        plan = stored_plan(store)
        anchor = gather(plan, store)
    baseline = read_baseline(CI / "baseline.json")
    assert isinstance(baseline, Baseline)
    levels = dict(baseline.current.levels)
    names = [n for n in COMPARATORS.names() if n in levels]
    found = {}
    for path in sorted(out.glob("*.case")):
        with Store(path, must_exist=True) as store:
            moved = changes(gather(stored_plan(store), store), anchor, names, plan.config.seed)
        found[path.stem] = {k: c.value for k, c in moved.items() if c.value is not None}
    return levels, found


def false_alarms(values: dict[str, float], m: int, alpha: float, draws: int = 200, seed: int = 0) -> dict[str, Any]:
    """Checks of ``draws`` clean runs, each against m others drawn as its baseline; every run is used equally often.

    The interval is the percentile interval of a bootstrap over *models* (a model stands in several checks, so
    checks are not independent); beside it the exact binomial one, as if they were.
    """
    from scipy.stats import binomtest

    clean = np.array([v for k, v in values.items() if k.startswith("clean")])
    rng = np.random.default_rng(seed)
    alarms = np.array(_alarms(clean, m, alpha, draws, rng))
    boot = []
    for _ in range(400):
        kept = np.unique(rng.integers(0, len(clean), len(clean)))
        if len(kept) > m + 1:
            boot.append(np.mean(_alarms(clean[kept], m, alpha, draws, rng)))
    exact = binomtest(int(alarms.sum()), draws).proportion_ci(0.95, "exact")
    low, high = np.quantile(boot, [0.025, 0.975])
    return {"models": len(clean), "checks": draws, "alarms": int(alarms.sum()), "rate": float(alarms.mean()),
            "interval_models": [float(low), float(high)], "interval_binomial": [exact.low, exact.high]}  # fmt: skip


def _alarms(clean: np.ndarray, m: int, alpha: float, draws: int, rng: np.random.Generator) -> list[bool]:
    order = np.concatenate([rng.permutation(len(clean)) for _ in range(draws // len(clean) + 1)])[:draws]
    return [_alarm(clean[i], rng.choice(np.delete(clean, i), m, replace=False), alpha) for i in order]


def _alarm(value: float, runs: np.ndarray, alpha: float, gate: float = 0.0) -> bool:
    from scipy.stats import t

    noise = clean_noise(runs, (0.0, 0))
    assert noise is not None
    margin = float(t.ppf(1 - alpha, noise.df)) * noise.sd * np.sqrt(1 + 1 / len(runs))
    drift = value - runs.mean()
    return bool(drift > margin and drift >= gate)


def detections(values: dict[str, float], m: int, alpha: float, gate: float, draws: int = 200) -> dict[str, Any]:
    """Share of releases that fail, by R's share; each release against ``draws`` baselines of m clean runs."""
    clean = np.array([v for k, v in values.items() if k.startswith("clean")])
    rng = np.random.default_rng(1)
    out = {}
    for share in SHARES:
        mine = [v for k, v in values.items() if k.startswith(f"taught-{round(share * 1000):03}-")]
        if mine:
            hits = [_alarm(v, rng.choice(clean, m, replace=False), alpha, gate) for v in mine for _ in range(draws)]
            moved = float(np.mean(mine) - clean.mean())
            out[f"{share:g}"] = {"models": len(mine), "drift": moved, "fails": float(np.mean(hits))}
    return out


def report(out: Path) -> None:
    """What docs/check.md quotes, as JSON."""
    levels, found = measured(out)
    people = load_population("zoo")
    columns = {c: levels[c] for c in COMPARATORS.names() if c in people.columns and c in levels}
    table = {}
    for quantity in ("drift", "cross-likelihood", "next-token-divergence", "attribution"):
        read = reading(quantity, columns if quantity == "drift" else {quantity: 0.0}, people)
        values = {name: read(d) for name, d in found.items()}
        clean = np.array([v for k, v in values.items() if k.startswith("clean")])
        gate = 0.5 if quantity == "drift" else 0.0
        table[quantity] = {
            "sd of one clean run": float(clean.std(ddof=1)),
            "false alarms": {
                f"m={m}, alpha={a:g}": false_alarms(values, m, a) for m in (3, 8, 16) for a in (0.05, 0.0167)
            },
            "detections": {f"m={m}, alpha=0.0167": detections(values, m, 0.0167, gate) for m in (3, 8, 16)},
        }  # fmt: skip
    sys.stdout.write(json.dumps(table, indent=1) + "\n")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("releases", "simulate", "report"))
    parser.add_argument("arg", nargs="?", default="200")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/check"))
    args = parser.parse_args()
    if args.what == "releases":
        releases(args.output)
    elif args.what == "simulate":
        simulate(int(args.arg), args.output)
    else:
        report(Path(args.arg))


if __name__ == "__main__":
    main()
