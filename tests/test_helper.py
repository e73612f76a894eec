"""The second process changes no number, and neither its death nor a stranger's files change what is found."""

from __future__ import annotations

import os
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
    script = "from forensics.helper import Helper\nwith Helper() as h: h.send(sum, (1, 2)); print(h.receive())"
    code = f"import sys; sys.path[:] = {sys.path!r}; import os; os.chdir({str(tmp_path)!r}); {script}"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "3\n", done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_it_ends_with_a_killed_parent() -> None:
    script = "from forensics.helper import Helper; h = Helper(); print(h._process.pid, flush=True); input()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        child = int(run.stdout.readline())
        run.kill()
        run.wait()
    for _ in range(200):
        try:
            with open(f"/proc/{child}/stat", encoding="ascii") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except OSError:
            return
        time.sleep(0.05)
    os.kill(child, 9)
    pytest.fail("left behind")
