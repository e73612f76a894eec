"""An audit with a stopping rule: what is asked, what is said, how it goes on, and that it can be checked."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from loopback import Loopback, Plan, toys
from worlds import SEEN, population, written

import reports
from forensics import AuditConfig, BudgetExceeded, Report, Store, UsageError, audit, collect, judge
from forensics.errors import EvidenceError
from forensics.looks import Stop, stop_at, stops_of
from forensics.verify import Sources, verify

RULE = "llr>=1|llr<=-1"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("people"), population(SEEN, None, 40))


@pytest.fixture
def ruled(config: AuditConfig, people: str) -> AuditConfig:
    return replace(config, population=people, comparators=tuple(SEEN), until=RULE)


@pytest.fixture(scope="module")
def stopped(suite_file: Path, people: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A student's case that stopped at its first look."""
    path = tmp_path_factory.mktemp("stopped") / "student.case"
    made = AuditConfig("toy/sam?parent=ref&share=0.7", "toy/ref", ("toy/ann", "toy/bob", "toy/cid"), base="toy/base",
                       suite=str(suite_file), population=people, comparators=tuple(SEEN), until=RULE)  # fmt: skip
    with Store(path) as store:
        return path, audit(made, store=store)


def asked(store: Store) -> int:
    return sum(1 for _ in store.entries("answer"))


def test_a_student_is_found_by_next_tokens_alone(stopped: tuple[Path, Report]) -> None:
    path, report = stopped
    s = report.stopping
    assert s is not None
    assert (s.look, s.looks_planned, s.why, s.whole) == (1, 4, "llr>=1", False)
    assert report.verdict.decision == "copied-outputs"
    assert report.verdict.llr == s.looks[0].llr
    with Store(path, must_exist=True) as store:
        assert asked(store) == s.requests == 6 * 40 < s.requests_planned
    assert all(p.missing == 0 for p in report.parties), "what was not asked is not missing"
    unasked = {e.comparator: e.reason for e in report.evidence if e.status != "ok"}
    assert set(unasked) == {"cross-likelihood", "answer-overlap"}
    assert all("stopped before" in (reason or "") for reason in unasked.values())


@pytest.mark.parametrize("format", ["md", "html", "terminal", "json"])
def test_every_view_says_where_it_stopped(stopped: tuple[Path, Report], format: str) -> None:
    import re

    text = re.sub(r"\x1b\[[0-9;]*m", "", reports.render(stopped[1], format))
    plain = " ".join(text.replace("\\", "").replace("&gt;", ">").replace("&lt;", "<").replace("│", " ").split())
    if format == "json":
        assert json.loads(text)["stopping"]["rule"] == RULE
    else:
        assert "Stopped at look 1 of 4, after 240 of" in plain
        assert "by the rule llr>=1|llr<=-1, fixed beforehand: llr>=1" in plain
    assert "planned requests were not made, by the stopping rule" in plain


def test_it_is_verified(stopped: tuple[Path, Report]) -> None:
    path, report = stopped
    found = {c.name: c for c in verify(Sources(case=path))}
    assert found["stopping"].state == "ok"
    with Store(path, must_exist=True) as store:
        assert judge(store).to_json() == report.to_json()


def test_a_case_that_went_past_its_rule_is_found_out(ruled: AuditConfig, tmp_path: Path) -> None:
    class Stubborn:
        """Asks on although the rule was met."""

        def __init__(self, store: Store) -> None:
            from forensics.sequential import Until

            self.honest, self.store = Until(ruled, store), store

        def begin(self, plan):  # type: ignore[no-untyped-def]
            return self.honest.begin(plan)

        def enough(self, plan, number):  # type: ignore[no-untyped-def]
            if number == 2:
                stop_at(self.store, 2, "llr>=1")
            return number == 2

    path = tmp_path / "stubborn.case"
    with Store(path) as store:
        collect(ruled, store=store, stopping=Stubborn(store))
    with pytest.raises(EvidenceError, match="look 1 met llr>=1"):
        list(verify(Sources(case=path)))


def test_without_the_rule_it_goes_on_to_the_whole_plan(ruled: AuditConfig) -> None:
    store, whole = Store(None), Store(None)
    first = audit(ruled, store=store)
    again = audit(ruled, store=store)
    assert first.to_json() == again.to_json(), "the same command again asks nothing and says the same"
    later = audit(replace(ruled, until=None), store=store)
    plain = audit(replace(ruled, until=None), store=whole)
    assert asked(store) == asked(whole)
    assert later.verdict == plain.verdict
    assert later.stopping is not None
    assert (later.stopping.whole, later.stopping.earlier) == (True, (1,))
    assert plain.stopping is None
    entries = len(store)
    back = audit(ruled, store=store)
    assert (back.verdict, len(store)) == (later.verdict, entries), "nobody chooses between two verdicts afterwards"


def test_the_rule_is_fixed_beforehand(ruled: AuditConfig, config: AuditConfig) -> None:
    store = Store(None)
    with pytest.raises(BudgetExceeded):
        collect(replace(ruled, max_requests=16), store=store)
    with pytest.raises(UsageError, match=r"begun by the rule llr>=1\|llr<=-1: a rule that is chosen"):
        audit(replace(ruled, until="llr>=0.5"), store=store)
    bare = Store(None)
    with pytest.raises(BudgetExceeded):
        collect(replace(ruled, until=None, max_requests=16), store=bare)
    with pytest.raises(UsageError, match="begun without a rule"):
        audit(ruled, store=bare)


def test_a_stranger_ends_with_the_llr_of_the_whole_plan(ruled: AuditConfig) -> None:
    """Nothing that is left could change it, so it is not asked."""
    stranger = replace(ruled, suspect="toy/zoe", until="llr>=1")
    short, whole = audit(stranger), audit(replace(stranger, until=None))
    assert short.stopping is not None
    assert short.stopping.look == 3
    assert "nothing that is left" in short.stopping.why
    assert (short.verdict.llr, short.verdict.bounds) == (whole.verdict.llr, whole.verdict.bounds)
    assert all(v.met == "" for v in short.stopping.looks)


def test_clearing_waits_for_the_texts_that_power_is_stated_by(ruled: AuditConfig) -> None:
    report = audit(replace(ruled, suspect="toy/zoe"))
    assert report.stopping is not None
    assert (report.verdict.decision, report.stopping.why) == ("independent", "llr<=-1")
    assert report.verdict.power
    looks = report.stopping.looks
    assert looks[0].llr is not None
    assert looks[0].llr <= -1, "met by the number already"
    assert [v.name for v in looks][-1] == "texts"
    assert [v.met for v in looks] == [""] * (len(looks) - 1) + ["llr<=-1"]


def test_a_budget_ends_in_a_judgement_only_by_the_rule(ruled: AuditConfig) -> None:
    stranger = replace(ruled, suspect="toy/zoe", until=f"{RULE}|budget", max_requests=100)
    store = Store(None)
    with pytest.raises(BudgetExceeded):
        audit(stranger, store=store)  # not even one look is complete
    report = audit(replace(stranger, max_requests=300), store=store)
    assert report.stopping is not None
    assert report.stopping.look == 1
    assert report.stopping.why.startswith("budget: the budget of 300 requests is used up")
    assert report.stopping.requests == 240, "the half look behind it is not judged"
    more = audit(replace(stranger, max_requests=5000), store=store)
    assert more.stopping is not None
    assert more.stopping.look > 1
    assert more.stopping.earlier == (1,)
    with pytest.raises(BudgetExceeded):
        audit(replace(stranger, until=RULE, max_requests=300), store=Store(None))


@pytest.mark.parametrize(
    ("rule", "why"),
    [("llr>=2", r"supports -1\.\d\d to \+1\.\d\d; ask for llr>=1\.\d+ at most"), ("llr<=-3", "can't be reached")],
)
def test_a_threshold_beyond_the_population_is_refused_before_anything_is_asked(
    ruled: AuditConfig, rule: str, why: str
) -> None:
    store = Store(None)
    with pytest.raises(UsageError, match=why):
        audit(replace(ruled, until=rule), store=store)
    assert len(store) == 0


def test_a_rule_needs_a_population(ruled: AuditConfig) -> None:
    for name in ("auto", "none"):
        with pytest.raises(UsageError, match="--until needs a population"):
            audit(replace(ruled, population=name))


def test_steps_do_not_go_back() -> None:
    store = Store(None)
    stop_at(store, 1, "llr>=1")
    stop_at(store, 1, "llr>=1")
    assert stops_of(store) == [Stop(1, "llr>=1")]


def run(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "forensics.cli", *args], cwd=cwd, capture_output=True, text=True, timeout=300
    )


def test_on_the_command_line(ruled: AuditConfig, people: str, tmp_path: Path) -> None:
    parties = ["-S", ruled.suspect, "-R", ruled.reference, *(f"-C{c}" for c in ruled.controls), "-B", "toy/base"]
    args = ["audit", *parties, "--suite", ruled.suite, "--population", people]
    shown = run(*args, "--until", RULE, "--dry-run", "--json", cwd=tmp_path)
    looks = json.loads(shown.stdout)["until"]["looks"]
    assert looks[0]["look"] == "next tokens"
    assert looks[0]["llr_under_Hp"] > 0 > looks[0]["llr_under_Hd"]
    for rule in ("llr>2", "foo>=1", "llr>=-1", "llr>=9"):
        bad = run(*args, "--until", rule, cwd=tmp_path)
        assert (bad.returncode, bad.stderr.count("\n")) == (2, 1), bad.stderr
    assert not list(tmp_path.glob("*.case"))


TABLE = {"sam": "toy/sam?parent=ref&share=0.7", **{c: f"toy/{c}" for c in ("ref", "ann", "bob", "cid", "dan")}}


def test_killed_in_a_look_it_goes_on_and_stops_where_it_would_have(
    suite_file: Path, people: str, tmp_path: Path
) -> None:
    case = tmp_path / "killed.case"
    with Loopback(Plan(latency=0.005), toys(TABLE)) as server:
        sam, ref, *controls = (f"api/mine/{n}?base_url={server.url}" for n in TABLE)
        args = ["audit", "-S", sam, "-R", ref, *(f"-C{c}" for c in controls), "--suite", str(suite_file),
                "--population", people, "--until", "llr>=1", "--case", str(case), "--json", "--quiet"]  # fmt: skip
        moment = server.after(150)  # of 240 in the first look, after the handshakes
        with subprocess.Popen(
            [sys.executable, "-m", "forensics.cli", *args],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as first:
            assert moment.wait(120)
            first.kill()
        with Store(case, must_exist=True) as store:
            kept = {(e.party, e.request): e.hash for e in store.entries("answer")}
        assert 0 < len(kept) < 240
        done = run(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["verdict"]["decision"], found["stopping"]["look"]) == ("copied-outputs", 1)
    with Store(case, must_exist=True) as store:
        store.check()
        everything = {(e.party, e.request): e.hash for e in store.entries("answer")}
        assert asked(store) == len(everything) == 6 * (40 + 24)
    assert kept.items() <= everything.items()


def test_through_a_server(suite_file: Path, people: str) -> None:
    """Log-probs, no prompt scoring: next tokens, then texts. What stops it is asked again at the end."""
    with Loopback(message=toys(TABLE)) as server:
        sam, ref, *controls = (f"api/mine/{n}?base_url={server.url}&timeout=20&retries=1" for n in TABLE)
        live = AuditConfig(sam, ref, tuple(controls), suite=str(suite_file), population=people,
                           comparators=tuple(SEEN), until="llr>=1")  # fmt: skip
        store = Store(None)
        report = audit(live, store=store)
    assert report.stopping is not None
    assert (report.stopping.look, report.stopping.looks[0].name) == (1, "next tokens")
    assert report.verdict.decision == "copied-outputs"
    found = {c.name: c.passed for c in report.self_checks}
    assert found["repeat suspect"]
    assert asked(store) == report.stopping.requests == 6 * (40 + 24)
    assert "suspect-against-itself" not in found, "its texts were not asked"
