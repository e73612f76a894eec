"""Other tools beside ours on the same pairs: ``python benchmarks/rivals.py MANIFEST [--students 6] [-o FILE]``.

MANIFEST is a population's manifest (`models.csv`) with its files of answers. For one student of each of several
lineages, with its documented teacher and with teachers that it did not have, at 20, 100 and 250 answers:

- knowlyr-modelaudit 0.4.1: what its audit does with two lists of answers (cosine of its feature vector >= .85 and
  similarity of its behaviour signature >= .80: "likely derived"); also over all labelled pairs of the manifest;
- model-equality-testing 0.0.2: permutation p of "the same distribution", which is another question than ours;
- ours: the log10 likelihood ratio of ``forensics.compare`` (none where no population speaks for the case) and the
  values of its comparators.

Prints a table; ``-o`` writes the numbers. No text of the answers is printed. The rivals are no dependencies:

    pip install --no-deps knowlyr-modelaudit==0.4.1 model-equality-testing==0.0.2 && pip install click tqdm torch
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from relative_mmd import rival as equality_rival
from rich.console import Console
from rich.table import Table

from forensics import AuditConfig, compare
from forensics.labelled import Corpus, Job, jobs, read_corpus

SIZES = (20, 100, 250)
INSTALL = "pip install --no-deps knowlyr-modelaudit==0.4.1 model-equality-testing==0.0.2, and click, tqdm, torch"


def texts_of(corpus: Corpus, name: str) -> list[str]:
    """A model's answers; an unusable one is left out."""
    return [str(c.text) for c in corpus.columns[name] if c is not None and c.usable]


class Knowlyr:
    """knowlyr-modelaudit's verdict, each model's features computed once."""

    def __init__(self, corpus: Corpus) -> None:
        from modelaudit.methods import dli, llmmap

        self._dli, self._llmmap = dli, llmmap

        @cache
        def features(name: str) -> tuple[Any, Any]:
            texts = texts_of(corpus, name)
            vector = llmmap._compute_fingerprint_vector([llmmap._extract_response_features(t) for t in texts])
            return vector, dli._extract_behavior_signature(texts)

        self._features = features

    def derived(self, suspect: str, candidate: str) -> bool:
        """Whether both of its methods vote "derived"; one vote of two is inconclusive."""
        (a, s), (b, t) = self._features(suspect), self._features(candidate)
        cosine, similarity = self._llmmap._cosine_similarity(a, b), self._dli._compute_behavior_similarity(s, t)
        return bool(cosine >= 0.85 and similarity >= 0.80)


def chosen(corpus: Corpus, students: int, wrong: int) -> list[Job]:
    """One student of each of several lineages, with its documented teacher and some wrong ones."""
    out: list[Job] = []
    seen: set[str] = set()
    work = jobs(corpus.models)
    for job in work:
        if job.label == 1 and job.lineage not in seen and len(seen) < students:
            seen.add(job.lineage)
            out.append(job)
            out.extend([j for j in work if j.suspect == job.suspect and j.label == 0][:wrong])
    return out


def ours(corpus: Corpus, job: Job, folder: Path) -> dict[str, Any]:
    """llr and values of ``forensics.compare``; llr None with the reason where it is withheld."""

    def spec(name: str) -> str:
        path = folder / f"{len(corpus.units)}-{name}.jsonl"
        if not path.exists():
            rows = zip(corpus.units, corpus.columns[name], strict=True)
            path.write_text("".join(
                json.dumps({"prompt": u.request.messages[-1].content, "response": c.text if c else None}) + "\n"
                for u, c in rows
            ))  # fmt: skip
        return f"file/{path}"

    config = AuditConfig(spec(job.suspect), spec(job.candidate), tuple(spec(c) for c in job.controls))
    report = compare(config)
    return {
        "llr": report.verdict.llr,
        "decision": report.verdict.decision,
        "why": None if report.verdict.llr is not None else list(report.verdict.reasons),
        "values": {e.comparator: e.value for e in report.evidence if e.value is not None},
    }


def measure(corpus: Corpus, work: Sequence[Job], permutations: int, say: Any) -> list[dict[str, Any]]:
    """One row for each pair."""
    knowlyr, rows = Knowlyr(corpus), []
    with tempfile.TemporaryDirectory() as folder:
        for job in work:
            a, b = texts_of(corpus, job.suspect), texts_of(corpus, job.candidate)
            p = equality_rival(a, b, 200, permutations)[0] if permutations else None
            rows.append({
                "answers": len(corpus.units), "suspect": job.suspect, "candidate": job.candidate, "taught": job.label,
                "knowlyr_derived": knowlyr.derived(job.suspect, job.candidate), "equality_p": p,
                **ours(corpus, job, Path(folder)),
            })  # fmt: skip
            say(f"{len(corpus.units)} answers: {len(rows)} of {len(work)} pairs")
    return rows


def summary(rows: Sequence[dict[str, Any]], overall: dict[int, dict[int, tuple[int, int]]]) -> Table:
    """A line for each size and truth."""
    table = Table("answers", "teacher", "pairs", "knowlyr: derived", "… all labelled pairs", "equality p < .05",
                  "our llr (median, highest)", "above LR 10")  # fmt: skip
    for size in sorted({r["answers"] for r in rows}):
        for truth in (1, 0):
            part = [r for r in rows if (r["answers"], r["taught"]) == (size, truth)]
            llrs = sorted(r["llr"] for r in part if r["llr"] is not None)
            tested = [r["equality_p"] for r in part if r["equality_p"] is not None]
            told = f"{llrs[len(llrs) // 2]:+.2f}, {llrs[-1]:+.2f} (n {len(llrs)})" if llrs else "withheld"
            hits, pairs = overall[size][truth]
            table.add_row(
                str(size), "documented" if truth else "wrong", str(len(part)),
                f"{sum(r['knowlyr_derived'] for r in part)}", f"{hits} of {pairs}",
                f"{sum(p < 0.05 for p in tested)} of {len(tested)}", told, f"{sum(v >= 1.0 for v in llrs)}",
            )  # fmt: skip
    return table


def values(rows: Sequence[dict[str, Any]]) -> Table:
    """Mean value of each of our comparators for documented and for wrong teachers."""
    sizes = sorted({r["answers"] for r in rows})
    table = Table("our comparator", *(f"{w} {s}" for s in sizes for w in ("documented", "wrong")))
    for name in sorted({n for r in rows for n in r["values"]}):
        cells = []
        for size in sizes:
            for truth in (1, 0):
                part = [r["values"][name] for r in rows
                        if (r["answers"], r["taught"]) == (size, truth) and name in r["values"]]  # fmt: skip
                cells.append(f"{sum(part) / len(part):+.4f} ({len(part)})" if part else "-")
        table.add_row(name, *cells)
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest")
    parser.add_argument("--students", type=int, default=6, help="lineages, one student each")
    parser.add_argument("--wrong", type=int, default=2, help="wrong teachers for each")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--permutations", type=int, default=20, help="of the equality test; 0 leaves it out")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    console, talk = Console(), Console(stderr=True)
    corpus = read_corpus(args.manifest)
    labelled = [j for j in jobs(corpus.models) if j.label is not None]
    work, rows, overall = chosen(corpus, args.students, args.wrong), [], {}
    for size in args.sizes:
        part = corpus.first(size)
        try:
            knowlyr = Knowlyr(part)
            rows += measure(part, work, args.permutations, talk.print)
        except ImportError as error:
            raise SystemExit(f"{error}: {INSTALL}") from error
        called = {t: [knowlyr.derived(j.suspect, j.candidate) for j in labelled if j.label == t] for t in (0, 1)}
        overall[len(part.units)] = {t: (sum(found), len(found)) for t, found in called.items()}
    console.print(summary(rows, overall), values(rows))
    reasons = sorted({why for r in rows for why in r["why"] or ()})
    for why in reasons:
        console.print(f"withheld: {why}", highlight=False)
    if args.output:
        args.output.write_text(json.dumps({"pairs": rows, "knowlyr_overall": overall}, indent=1))


if __name__ == "__main__":
    main()
