"""A toy lab: one reference, controls, clean releases that only their own house shapes, and one that copies."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_lab import CONTROLS, RUNS, clean

from forensics import AuditConfig, Store
from forensics.check.baseline import new_baseline, release_of
from forensics.check.reuse import collect_release


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with suite, configuration, the cases of five clean runs, and a baseline of them."""
    home = tmp_path_factory.mktemp("lab")
    items = "".join(f'{{"prompt": "Tell me about thing {i}.", "max_tokens": 24}}\n' for i in range(40))
    (home / "small.jsonl").write_text(items)
    (home / "forensics.toml").write_text(
        f'[audit]\nsuspect = "{clean(1)}"\nreference = "toy/ref"\ncontrols = {list(CONTROLS)}\nsuite = "small.jsonl"\n'
        '[check]\ngates = ["drift.cross-likelihood>=0"]\nbaseline = "baseline.json"\n'
    )
    cases: list[Store] = []
    for number in range(1, RUNS + 1):
        config = AuditConfig(clean(number), "toy/ref", CONTROLS, suite=str(home / "small.jsonl"))
        with Store(home / f"run{number}.case") as store:
            collect_release(config, store, cases[0] if cases else None)
        cases.append(Store(home / f"run{number}.case", must_exist=True))
    release, conditions, people = release_of(cases)
    made = new_baseline(release, conditions, home / "run1.case", home / "baseline.json", population=people,
                        alpha=0.05, planned=4)  # fmt: skip
    (home / "baseline.json").write_text(made.to_json())
    for case in cases:
        case.close()
    return home
