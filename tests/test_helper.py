"""The second process changes no number, and neither its death nor a stranger's files change what is found."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from forensics import scoring
from forensics.comparators.opening_style import OpeningStyle
from forensics.comparators.over_represented import OverRepresented
from forensics.comparators.style_delta import StyleDelta
from forensics.helper import Helper
from forensics.scoring import helper_for, score_all
from forensics.types import Completion, Lazy, Message, Request, Sample, Unit

WORDS = "stone river, green? The house. A long walk; nobody said so! perhaps\n\n- one of them".split(" ")
CHOSEN = [StyleDelta(resamples=99), OverRepresented(resamples=99), OpeningStyle(resamples=99, ablate=False)]


@pytest.fixture(scope="module")
def sample() -> Sample:
    rng = np.random.default_rng(0)
    requests = [Request("p", f"i{n}", (Message("user", f"Question {n}?"),)) for n in range(60)]

    def column() -> tuple[Completion, ...]:
        return tuple(Completion("d", " ".join(rng.choice(WORDS, 30)), "stop") for _ in requests)

    units = tuple(Unit(r.item, "writing", 0, r) for r in requests)
    return Sample(units, column(), column(), {f"c{k}": column() for k in range(3)})


def test_a_helper_changes_no_number(sample: Sample) -> None:
    alone = score_all(sample, CHOSEN, 0)
    assert [s.status for s in alone] == ["ok"] * 3
    with Helper() as helper:
        assert score_all(sample, CHOSEN, 0, helper=helper) == alone
        assert score_all(sample, CHOSEN[:2], 0, helper=helper) == alone[:2]  # and is there for the next call
        assert score_all(sample, CHOSEN[1:2], 0, helper=helper) == alone[1:2]  # nothing for it to do


def test_its_death_loses_nothing(sample: Sample) -> None:
    alone = score_all(sample, CHOSEN, 0)
    with Helper() as helper:
        helper.send(time.sleep, 600)
        helper._process.kill()
        assert helper.receive() is None
        assert score_all(sample, CHOSEN, 0, helper=helper) == alone
    assert helper._process.returncode is not None


def test_an_error_is_met_here(sample: Sample) -> None:
    broken = replace(sample, suspect=sample.suspect[:3])
    with Helper() as helper, pytest.raises(IndexError):
        score_all(broken, CHOSEN, 0, helper=helper)


def test_prints_do_not_get_among_the_results() -> None:
    with Helper() as helper:
        helper.send(print, "x" * 100_000)
        assert helper.receive() is None
        helper.send(sum, (1, 2))
        assert helper.receive() == 3


def test_only_where_it_is_worth_it(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(asked: Sample) -> bool:
        with helper_for(asked) as helper:
            return helper is not None

    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    assert not started(sample)
    monkeypatch.setattr(scoring, "WORTH", 1000)
    assert started(sample)
    assert not started(replace(sample, reference=Lazy(lambda row: None, range(60))))
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    assert not started(sample)


def test_nothing_is_imported_from_the_working_directory(tmp_path) -> None:
    for name in ("forensics", "numpy", "pickle"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('evidence was run')")
    # As under `python -c` or in a console: the first place to look for modules is the directory one stands in.
    code = (
        f"import os, sys; sys.path[:] = {sys.path!r}; from forensics.helper import Helper; sys.path.insert(0, '')\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "with Helper() as helper: helper.send(sum, (1, 2)); print(helper.receive())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "3\n", done.stderr
