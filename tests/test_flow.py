"""Left half and right half: resuming, budgets, outages, and the same bytes twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from forensics import AuditConfig, BackendError, BudgetExceeded, Report, Store, UsageError, audit, collect, judge, plan
from forensics.audit import text_conditions
from forensics.collect import Budget, _Session, estimate
from forensics.config import load_config, make_config
from forensics.plan import gather, stored_plan
from forensics.probes import FIRST_TOKEN
from forensics.serial import dump
from forensics.spec import parse_spec
from forensics.types import Completion, Lazy, Reply, Request, silent


def test_judging_a_case_twice_gives_the_same_bytes(case: Path) -> None:
    with Store(case, must_exist=True) as store:
        first, second = judge(store), judge(store)
    assert first.to_json() == second.to_json()
    assert Report.from_json(first.to_json()) == first
    assert first.verdict.decision == "cannot-tell"
    assert first.verdict.llr is None
    assert first.exit_code == 3
    assert [e.comparator for e in first.evidence if e.status == "ok"]
    assert all(e.llr is None for e in first.evidence)


def test_answers_that_stay_in_the_case_file_give_the_same_bytes(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(case, must_exist=True) as store:
        held = judge(store)
        monkeypatch.setattr(plan, "HELD", 0)
        assert isinstance(gather(stored_plan(store), store).suspect, Lazy)
        assert judge(store).to_json() == held.to_json()


def test_a_stopped_run_resumes_and_asks_nothing_twice(config: AuditConfig) -> None:
    store = Store(None)
    with pytest.raises(BudgetExceeded, match="60 requests"):
        collect(replace(config, max_requests=60), store=store)
    kept = {(e.party, e.request): e.hash for e in store.entries("answer")}
    assert 0 < len(kept) <= 60
    collect(config, store=store)
    everything = list(store.entries("answer"))
    assert len({(e.party, e.request) for e in everything}) == len(everything)
    assert all(kept[e.party, e.request] == e.hash for e in everything if (e.party, e.request) in kept)
    entries = len(store)
    collect(config, store=store)
    assert len(store) == entries
    store.check()


def test_the_plan_is_stored_before_the_first_answer(config: AuditConfig) -> None:
    store = Store(None)
    collect(config, store=store)
    kinds = [e.kind for e in store.entries()]
    assert kinds.index("plan") < kinds.index("answer")
    assert kinds[0] == "protocol"
    assert set(kinds[1 : kinds.index("plan")]) == {"handshake"}


def test_a_case_takes_no_second_plan(config: AuditConfig) -> None:
    store = Store(None)
    collect(config, store=store)
    with pytest.raises(UsageError, match="another audit"):
        collect(replace(config, seed=1), store=store)


def test_single_failures_are_counted_and_an_outage_is_an_error(config: AuditConfig) -> None:
    report = audit(replace(config, suspect="toy/sam?fail=4&parent=ref&share=0.7"))
    assert any(e.status == "ok" and e.n < 40 for e in report.evidence)
    with pytest.raises(BackendError, match="answered none"):
        audit(replace(config, suspect="toy/sam?fail=1"))


def test_empty_answers_are_reported_not_scored(config: AuditConfig) -> None:
    report = audit(replace(config, suspect="toy/sam?empty=1"))
    suspect = next(p for p in report.parties if p.role == "suspect")
    assert suspect.unusable == suspect.answers
    assert all(e.status != "ok" for e in report.evidence if e.comparator in ("answer-overlap", "style-delta"))
    assert any("empty" in line for line in report.limitations)


def test_without_controls_nothing_is_said(config: AuditConfig) -> None:
    report = audit(replace(config, controls=()))
    assert report.exit_code == 3
    assert {e.status for e in report.evidence} <= {"insufficient", "unsupported"}


def test_without_a_base_the_controls_stand_in(config: AuditConfig) -> None:
    store = Store(None)
    report = audit(replace(config, base=None), store=store)
    found = next(e for e in report.evidence if e.comparator == "cross-likelihood")
    assert found.status == "ok"
    sample = gather(stored_plan(store), store)
    assert ("ann", "reference") in sample.likelihoods
    assert ("ann", "ann") in sample.likelihoods, "what it would have said itself, for divergence-tokens"


def test_a_student_is_nearer_than_a_stranger(config: AuditConfig) -> None:
    student = audit(config)
    stranger = audit(replace(config, suspect="toy/zoe"))

    def value(report: Report, name: str) -> float:
        found = next(e for e in report.evidence if e.comparator == name)
        assert found.value is not None
        return found.value

    for name in ("answer-overlap", "next-token-divergence", "cross-likelihood"):
        assert value(student, name) > value(stranger, name)


def test_dry_run_counts_what_is_asked(config: AuditConfig) -> None:
    store = Store(None)
    found = estimate(config)
    collect(config, store=store)
    promised = sum(p["requests"] + p["scorings"] for p in found["parties"].values())
    assert sum(1 for _ in store.entries("answer")) == promised


def test_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "forensics.toml"
    path.write_text('[audit]\nsuspect = "toy/a"\nreference = "toy/b"\nseed = 3\n')
    assert load_config(path).seed == 3
    monkeypatch.setenv("FORENSICS_SEED", "4")
    assert load_config(path).seed == 4
    assert load_config(path, seed=5).seed == 5
    path.write_text('[audit]\nsuspct = "toy/a"\n')
    with pytest.raises(UsageError, match="did you mean 'suspect'"):
        load_config(path)
    with pytest.raises(UsageError, match="reference is not given"):
        make_config({"suspect": "toy/a"})


def test_a_suite_is_checked_line_by_line(tmp_path: Path, config: AuditConfig) -> None:
    path = tmp_path / "bad.jsonl"
    for text, message in [
        ('{"prompt": "a"}\n{"prompt"', "bad.jsonl:2: not JSON"),
        ('{"prompt": " "}', "bad.jsonl:1: an item needs"),
        ('{"prompt": "a", "family": "wrting"}', "unknown family"),
        ('{"id": "x", "prompt": "a"}\n{"id": "x", "prompt": "b"}', "occurs twice"),
        ('{"prompt": "a", "max": 3}', "unknown key 'max'"),
        ("", "no items"),
    ]:
        path.write_text(text)
        with pytest.raises(UsageError, match=message):
            audit(replace(config, suite=str(path)))


def test_the_record_is_plain_json(case: Path) -> None:
    with Store(case, must_exist=True) as store:
        record = json.loads(judge(store).to_json())
    promised = {"schema_version", "case", "parties", "capabilities", "verdict", "evidence", "exact", "baselines",
                "self_checks", "limitations", "exhibits", "manifest"}  # fmt: skip
    assert promised <= set(record)
    assert {"decision", "llr", "bounds", "interval", "wording", "population", "reasons", "power"} <= set(
        record["verdict"]
    )
    assert {"text_blind", "length_only"} <= set(record["baselines"])


@pytest.mark.parametrize(
    "roles",
    [
        {"suspect": "toy/a", "reference": "toy/a"},
        {"suspect": "toy/a", "reference": "toy/b", "controls": ("toy/b",)},
        {"suspect": "toy/a", "reference": "toy/b", "base": "toy/a"},
        {"suspect": "toy/a", "reference": "toy/b", "base": "toy/b"},
        {"suspect": "toy/a", "reference": "toy/b", "controls": ("toy/c", "toy/c")},
    ],
)
def test_one_model_in_two_places_is_refused(roles: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="named twice"):
        make_config(roles).specs()


def test_one_file_under_two_names_is_one_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.jsonl").write_text('{"prompt": "p", "response": "r"}\n')
    (tmp_path / "s.jsonl").write_text('{"prompt": "p", "response": "s"}\n')
    with pytest.raises(UsageError, match="named twice"):
        AuditConfig("s.jsonl", "r.jsonl", ("./r.jsonl",)).specs()


def test_specs_survive_being_printed() -> None:
    spec = parse_spec("api/x/y?base_url=http://127.0.0.1:9/v1&order=a%26b%3Dc,d%20e")
    assert parse_spec(str(spec)) == spec
    assert "http://127.0.0.1:9/v1" in str(spec)


def test_a_file_that_changed_is_not_judged_by_its_old_answers(tmp_path: Path) -> None:
    from forensics import compare

    for name in ("s", "r"):
        lines = (f'{{"prompt": "p{i}", "response": "{name} {i}"}}\n' for i in range(3))
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    config = AuditConfig(str(tmp_path / "s.jsonl"), str(tmp_path / "r.jsonl"))
    store = Store(None)
    first = compare(config, store=store)
    assert compare(config, store=store).to_json() == first.to_json()
    with (tmp_path / "s.jsonl").open("a") as file:
        file.write('{"prompt": "p9", "response": "new"}\n')
    with pytest.raises(UsageError, match="another"):
        compare(config, store=store)


def test_what_was_asked_when_the_budget_ran_out_is_stored() -> None:
    """Eight requests under way when the ninth is refused: all eight are kept."""
    asked = []

    class Slow:
        spec, batch, concurrency = parse_spec("toy/slow"), 1, 8

        async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
            asked.extend(requests)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            done = Completion(requests[0].digest, "yes", "stop")
            return [Reply(done, dump(done))]

    store = Store(None)
    requests = [Request("writing", str(i), prompt=str(i)) for i in range(40)]
    session = _Session(store, Budget(requests=20), silent)
    with pytest.raises(BudgetExceeded):
        asyncio.run(session.ask({"suspect": Slow()}, {"suspect": requests}, "answers"))  # type: ignore[dict-item]
    assert len(asked) == len(store) == 20


def test_missing_answers_are_counted_and_too_many_conclude_nothing(config: AuditConfig) -> None:
    report = audit(replace(config, suspect="toy/sam?fail=2"))
    (suspect,) = (p for p in report.parties if p.role == "suspect")
    assert suspect.missing > 0.2 * (suspect.missing + suspect.answers)
    assert any("missing" in reason for reason in report.verdict.reasons)
    assert any("have no answer" in line for line in report.limitations)


def test_next_token_queries_are_no_items_of_their_own(case: Path) -> None:
    """Else a case of 100 items would meet a population's condition of 200."""
    with Store(case, must_exist=True) as store:
        sample = gather(stored_plan(store), store)
    assert sum(unit.family == FIRST_TOKEN for unit in sample.units) == 40
    assert text_conditions(sample)["items"] == 40
