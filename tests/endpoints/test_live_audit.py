"""A whole audit over HTTP, of toys behind the loopback server: what an endpoint may not get away with."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback, Plan, toys

from forensics import AuditConfig, Report, Store, audit, collect
from forensics.collect import Budget, estimate
from forensics.errors import BudgetExceeded, UsageError
from forensics.plan import gather, stored_plan
from forensics.prices import load_prices
from forensics.serial import load
from forensics.types import Completion, Message, ModelSpec, Request, Sampling
from forensics.verdict.stability import repeats

TABLE = {
    "sam": "toy/sam?parent=ref&share=0.7",
    "ref": "toy/ref",
    **{c: f"toy/{c}" for c in ("ann", "bob", "cid", "dan")},
}
Answers = Callable[[Mapping[str, Any], str], dict[str, Any]]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "small.jsonl"
    path.write_text("".join(f'{{"prompt": "Tell me about thing {i}.", "max_tokens": 12}}\n' for i in range(32)))
    return path


def settings(server: Loopback, suite: Path, **more: Any) -> AuditConfig:
    def spec(name: str) -> str:
        return f"api/mine/{name}?base_url={server.url}&timeout=20&retries=1"

    return AuditConfig(
        spec("sam"), spec("ref"), tuple(map(spec, ("ann", "bob", "cid", "dan"))), suite=str(suite), **more
    )


def checks(report: Report) -> dict[str, bool | None]:
    return {c.name: c.passed for c in report.self_checks}


def test_an_honest_endpoint(suite: Path) -> None:
    with Loopback(message=toys(TABLE)) as server:
        store = Store(None)
        promised = estimate(settings(server, suite))
        report = audit(settings(server, suite, system="You know things."), store=store)
    found = checks(report)
    assert found["identity"]
    assert found["positive-control"]
    assert found["suspect-against-itself"]
    assert all(found[f"repeat {name}"] for name in ("suspect", "reference", "ann", "bob", "cid", "dan"))
    assert not any("endpoint" in text for text in report.limitations)
    rows = {c.name: c.control for c in report.confounders}
    assert "repeated at the end" in (rows["Serving drift"] or "")
    assert "one system prompt, the same for every party" in (rows["Sampling and serving settings"] or "")
    assert sum(p["requests"] for p in promised["parties"].values()) == sum(1 for _ in store.entries("answer"))
    systems = {m.content for r in stored_plan(store).requests for m in r.messages if m.role == "system"}
    assert systems == {"You know things."}


def test_each_case_shakes_hands_in_its_own_words_and_all_parties_in_the_same(suite: Path, tmp_path: Path) -> None:
    heard: list[tuple[str, str, int]] = []
    honest = toys(TABLE)

    def listening(body: Mapping[str, Any], key: str) -> dict[str, Any]:
        if "unusual words" in (text := body["messages"][-1]["content"]):
            heard.append((body["model"], text, body["seed"]))
        return honest(body, key)

    with Loopback(message=listening) as server:
        for case in ("one.case", "two.case"):
            with pytest.raises(BudgetExceeded), Store(tmp_path / case) as store:
                collect(settings(server, suite, max_requests=1), store=store)
    first, second = heard[: len(heard) // 2], heard[len(heard) // 2 :]
    for half in (first, second):
        assert {model for model, _, _ in half} == set(TABLE)
        assert len({text for _, text, _ in half}) == 1
        assert len({seed for _, _, seed in half}) == 2
    assert not {seed for _, _, seed in first} & {seed for _, _, seed in second}  # texts are alike once in 240


def test_an_endpoint_that_changes_its_model_is_noticed(suite: Path) -> None:
    honest = toys(TABLE | {"other": "toy/zoe"})
    seen = 0

    def turncoat(body: Mapping[str, Any], key: str) -> dict[str, Any]:
        nonlocal seen
        seen += body["model"] == "sam"
        late = body["model"] == "sam" and seen > 7 + 64  # the handshake, then each text and each next-token query once
        return honest(dict(body, model="other") if late else body, key)

    with Loopback(message=turncoat) as server:
        store = Store(None)
        collect(settings(server, suite), store=store)
    found = {c.name: c for c in repeats(gather(stored_plan(store), store))}
    assert found["repeat suspect"].passed is False
    assert "repeated at the end" in found["repeat suspect"].detail
    assert found["repeat reference"].passed


def test_another_name_and_another_build_are_limitations(suite: Path) -> None:
    with Loopback(Plan({"other-model": 0.2}), message=toys(TABLE)) as server:
        report = audit(settings(server, suite))
    said = [text for text in report.limitations if "More than one model may have answered" in text]
    assert any(text.startswith("suspect: the endpoint named its model ") for text in said)
    assert "'another/model'" in said[0]


def test_where_one_party_refuses_the_system_role_all_get_it_in_the_users_text(suite: Path) -> None:
    class Picky(Loopback):
        def refusal(self, body: Mapping[str, Any]) -> str | None:
            if "messages" in body and body["model"] == "ref" and body["messages"][0]["role"] == "system":
                return "System role not supported"
            return super().refusal(body)

    with Picky(message=toys(TABLE)) as server:
        store = Store(None)
        collect(settings(server, suite, system="You know things."), store=store)
    plan = stored_plan(store)
    assert [p.name for p in plan.parties if not p.capabilities.system_role] == ["reference"]
    assert all(
        m.role == "user" and m.content.startswith("You know things.\n\n") for r in plan.requests for m in r.messages
    )


class TestMoney:
    PRICES = '[models."api/mine/*"]\ninput = 1.0\noutput = 10.0\n'

    def test_a_limit_is_kept_whatever_is_under_way(self, suite: Path, tmp_path: Path) -> None:
        path = tmp_path / "prices.toml"
        path.write_text('currency = "EUR"\n' + self.PRICES)
        with Loopback(message=toys(TABLE)) as server, Store(tmp_path / "money.case") as store:
            config = settings(server, suite, prices=str(path), max_cost=0.01)
            with pytest.raises(BudgetExceeded, match=r"0\.01 EUR is used up; continue with a larger --max-cost"):
                collect(config, store=store)
            used = [load(Completion, store.body(e.parsed)).usage for e in store.entries("answer")]
            paid = sum((u.prompt_tokens or 0) * 1.0 + (u.completion_tokens or 0) * 10.0 for u in used) / 1e6
            assert 0.005 < paid <= 0.01
            collect(replace(config, max_cost=10.0), store=store)

    def test_the_dry_run_says_what_it_may_cost(self, suite: Path, tmp_path: Path) -> None:
        path = tmp_path / "prices.toml"
        path.write_text(self.PRICES)
        specs = ["--suspect", "api/mine/a?base_url=http://localhost:1/v1", "--reference", "openai/gpt-x"]
        command = [sys.executable, "-m", "forensics.cli", "audit", *specs, "--suite", str(suite), "--prices", str(path)]
        shown = subprocess.run([*command, "--dry-run", "--json"], capture_output=True, text=True, check=True)
        found = json.loads(shown.stdout)["parties"]
        suspect = found["suspect"]
        expected = (suspect["input_tokens"] * 1.0 + suspect["max_output_tokens"] * 10.0) / 1e6
        assert suspect["max_cost"] == pytest.approx(expected)
        assert found["reference"]["max_cost"] is None
        refused = subprocess.run([*command, "--max-cost", "5"], capture_output=True, text=True)
        assert refused.returncode == 2
        assert "no price for openai/gpt-x" in refused.stderr

    @pytest.mark.parametrize(
        ("text", "said"),
        [("[models", "TOML"), ("[models.x]\ninput = 1\n", "x needs input and output"), ("price = 1\n", "currency"),
         ("[models.x]\ninput = -1\noutput = 1\n", "x needs"), ("[models.x]\ninput = true\noutput = 1\n", "x needs")],
    )  # fmt: skip
    def test_mistakes_in_a_price_file(self, text: str, said: str, tmp_path: Path) -> None:
        path = tmp_path / "prices.toml"
        path.write_text(text)
        with pytest.raises(UsageError, match=said):
            load_prices(path)
        with pytest.raises(UsageError, match="max_cost needs prices"):
            AuditConfig("toy/a", "toy/b", max_cost=1.0)

    def test_models_here_cost_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "prices.toml"
        path.write_text(self.PRICES)
        budget = Budget(cost=1e-9, prices=load_prices(path))
        ask = Request("p", "i", (Message("user", "x" * 400),), None, Sampling(max_tokens=10))
        budget.take(ModelSpec("hf", "models/mine"), [ask])
        with pytest.raises(BudgetExceeded):
            budget.take(ModelSpec("api", "mine/m"), [ask])


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "server.pem").write_bytes(secret + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with Loopback(message=toys(TABLE), context=context) as server:
        command = [sys.executable, "-m", "forensics.cli", "doctor", f"api/mine/ref?base_url={server.url}"]
        found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 4
    assert "certificate of https://localhost" in found.stderr
    assert "can't be verified" in found.stderr
    for option in ("verify=false", "insecure=1", "ssl_verify=0"):
        with pytest.raises(UsageError, match="unknown option"):
            collect(AuditConfig(f"api/mine/a?base_url=https://localhost:1&{option}", "toy/b"), store=Store(None))
