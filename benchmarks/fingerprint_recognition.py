"""What nearness finds on models of known lineage: ``python benchmarks/fingerprint_recognition.py models.csv``.

Needs the recorded answers of many models to the same prompts, with a manifest of their lineage. Ten times the prompts
are split in two halves; the library is made of one half, and each model is looked up by answers to the other. Printed,
for a whole half and for 30 answers:

itself    models that find themselves first
cluster   models whose nearest *other* model is of their lineage cluster, where that has another member
taught    models documented to be taught by --maker, whose nearest teacher of another maker is one of --maker's
untaught  the same of models that are not so documented: what "nearest, therefore taught" would accuse wrongly
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fingerprints import FAMILIES, PLAIN, Fingerprint, feature_names, matrix
from fingerprints.features.base import Vector
from fingerprints.nearest import Scale, deltas
from forensics.answers import read_answers

SHARES = ("itself", "cluster", "taught", "untaught")
TEACHERS = ["gpt-3.5-turbo", "gpt-4", "gpt-4-turbo", "text-davinci-003"]
Rows = list[dict[str, str]]
Indices = npt.NDArray[np.int64]


def measured(rows: Rows, folder: Path, families: list[str]) -> list[Vector]:
    """Features `(n_prompts, F)` of every model, over the prompts that the first one was asked."""
    files = [{a.key: a.text or "" for a in read_answers(folder / row["file"]).answers} for row in rows]
    return [matrix((answers.get(key, "") for key in sorted(files[0])), families) for answers in files]


def look_up(values: list[Vector], names: tuple[str, ...], own: Indices, rest: Indices) -> Vector:
    """Distances: models by their answers `own`, to models by their answers `rest`."""
    library = [Fingerprint.from_matrix(v[rest], names) for v in values]
    scale = Scale.of(library)
    asked = [Fingerprint.from_matrix(v[own], names).mean for v in values]
    return deltas(scale.place(asked), scale.place([found.mean for found in library]))


def shares(distance: Vector, rows: Rows, maker: str, teachers: set[str]) -> list[float]:
    """The four shares of the module's docstring."""
    cluster = np.array([row["cluster"] or row["name"] for row in rows])
    makers = np.array([row["vendor"] for row in rows])
    own = np.eye(len(rows), dtype=bool)
    other = np.where(own, np.inf, distance).argmin(axis=1)
    paired = np.array([(cluster == c).sum() > 1 for c in cluster])
    taught = np.array([bool(teachers & set(row["documented_teachers"].split(";"))) for row in rows])
    teacher = np.array([row["role"] == "teacher" for row in rows])
    candidate = teacher[None, :] & (makers[:, None] != makers[None, :])
    accused = makers[np.where(candidate, distance, np.inf).argmin(axis=1)] == maker
    innocent = ~taught & (makers != maker)
    return [
        float(np.mean(distance.argmin(axis=1) == np.arange(len(rows)))),
        float(np.mean((cluster[other] == cluster)[paired])),
        float(np.mean(accused[taught])),
        float(np.mean(accused[innocent])),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--families", nargs="+", default=list(PLAIN), choices=list(FAMILIES))
    parser.add_argument("--maker", default="OpenAI")
    parser.add_argument("--teachers", nargs="+", default=TEACHERS, help="the maker's models as the manifest names them")
    parser.add_argument("--splits", type=int, default=10)
    args = parser.parse_args()
    with args.manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    values = measured(rows, args.manifest.parent / "responses", args.families)
    names, rng, half = feature_names(args.families), np.random.default_rng(0), len(values[0]) // 2
    found: dict[int, list[list[float]]] = {half: [], 30: []}
    for _ in range(args.splits):
        order = rng.permutation(len(values[0]))
        for size, lines in found.items():
            lines.append(
                shares(look_up(values, names, order[:size], order[half:]), rows, args.maker, set(args.teachers))
            )
    print(f"{len(rows)} models, {len(names)} features, {args.splits} splits")
    for size, lines in found.items():
        means = (f"{name} {value:.3f}" for name, value in zip(SHARES, np.mean(lines, axis=0).tolist(), strict=True))
        print(f"{size:4} answers: {', '.join(means)}")


if __name__ == "__main__":
    main()
