"""Tampering of every kind is noticed and named; what is taken out on purpose leaves a case that still verifies."""

from __future__ import annotations

import copy
import json
import random
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from forensics import AuditConfig, EvidenceError, Report, Store, UsageError, collect, judge
from forensics.attest import attest, read, sign
from forensics.casefile import check_seal, seal
from forensics.plan import stored_plan
from forensics.redact import redact
from forensics.serial import load
from forensics.store import GENESIS, Entry, link
from forensics.types import Completion, sha256
from forensics.verify import Check, Sources, compare, verify

ONE_BYTE, STRUCTURAL = 1000, 100


def checks(**sources: Path) -> dict[str, Check]:
    return {check.name: check for check in verify(Sources(**sources))}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    from cryptography.hazmat.primitives import serialization as s

    folder = tmp_path_factory.mktemp("keys")
    private = ed25519.Ed25519PrivateKey.generate()
    (folder / "key.pem").write_bytes(private.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    public = private.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    (folder / "key.pub").write_bytes(public)
    return folder / "key.pem", folder / "key.pub"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Path:
    """A folder with a small case, its report and its signed manifest."""
    folder = tmp_path_factory.mktemp("small")
    suite = folder / "six.jsonl"
    suite.write_text("".join(f'{{"id": "i{i}", "prompt": "Say thing {i}.", "max_tokens": 12}}\n' for i in range(6)))
    config = AuditConfig("toy/sam?parent=ref", "toy/ref", ("toy/ann", "toy/bob"), base="toy/base", suite=str(suite))
    with Store(folder / "a.case") as store:
        collect(config, store=store)
        report = judge(store)
    (folder / "report.json").write_text(report.to_json())
    (folder / "manifest.json").write_bytes(attest(folder / "a.case", report, {}, keys[0]))
    return folder


@pytest.fixture
def mine(small: Path, tmp_path: Path) -> Path:
    """A copy to tamper with."""
    return Path(shutil.copytree(small, tmp_path / "copy"))


def everything(folder: Path, keys: tuple[Path, Path]) -> dict[str, Path]:
    return {"case": folder / "a.case", "report": folder / "report.json", "manifest": folder / "manifest.json",
            "key": keys[1]}  # fmt: skip


def test_what_was_not_touched_verifies(small: Path, keys: tuple[Path, Path]) -> None:
    found = checks(**everything(small, keys))
    assert {c.state for c in found.values()} == {"ok"}
    assert {"seal", "chain", "protocol", "answers", "numbers", "signature", "statement"} <= set(found)
    assert "every number" in found["numbers"].detail


def test_verifying_changes_nothing(small: Path) -> None:
    before = {p.name: p.read_bytes() for p in small.iterdir()}
    checks(case=small / "a.case", report=small / "report.json")
    assert {p.name: p.read_bytes() for p in small.iterdir()} == before


@pytest.mark.parametrize("name", ["a.case", "report.json", "manifest.json"])
def test_a_thousand_changes_of_one_byte_are_noticed(name: str, mine: Path, keys: tuple[Path, Path]) -> None:
    rng, path = random.Random(name), mine / name
    original = path.read_bytes()
    sources = {"a.case": {"case": path}, "report.json": {"report": path},
               "manifest.json": {"manifest": path, "key": keys[1]}}[name]  # fmt: skip
    unnoticed = []
    for _ in range(ONE_BYTE):
        at = rng.randrange(len(original))
        changed = bytes([original[at] ^ rng.randrange(1, 256)])
        with path.open("r+b") as file:
            file.seek(at)
            file.write(changed)
        try:
            checks(**sources)
            unnoticed.append((at, original[at : at + 1], changed))
        except EvidenceError:
            pass
        with path.open("r+b") as file:
            file.seek(at)
            file.write(original[at : at + 1])
    assert unnoticed == []
    assert checks(**sources)


@pytest.mark.parametrize("length", [-1, 1])
def test_a_longer_or_shorter_case_is_noticed(mine: Path, length: int) -> None:
    path = mine / "a.case"
    path.write_bytes(path.read_bytes()[:length] if length < 0 else path.read_bytes() + b"\0")
    with pytest.raises(EvidenceError):
        checks(case=path)


def opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    for name in ("entry_no_update", "entry_no_delete", "body_no_update", "body_no_delete"):
        db.execute(f"DROP TRIGGER {name}")
    db.execute("DROP INDEX answered")
    db.execute("DELETE FROM seal")
    db.execute("PRAGMA synchronous = OFF")
    return db


def rows(db: sqlite3.Connection) -> list[Entry]:
    return [Entry(*row) for row in db.execute("SELECT * FROM entry ORDER BY seq")]


def written(db: sqlite3.Connection, entries: list[Entry], *, chained: bool) -> None:
    """Put entries back; ``chained``: as somebody would who knows how the chain is made."""
    db.execute("BEGIN")
    db.execute("DELETE FROM entry")
    head = GENESIS
    for number, entry in enumerate(entries, start=1):
        row = replace(entry, seq=number) if chained else entry
        row = replace(row, hash=link(head, row)) if chained else row
        head = row.hash
        db.execute("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)", tuple(asdict(row).values()))
    db.execute("COMMIT")


def dropped(entries: list[Entry], rng: random.Random) -> list[Entry]:
    gone = rng.randrange(len(entries))
    return entries[:gone] + entries[gone + 1 :]


def swapped(entries: list[Entry], rng: random.Random) -> list[Entry]:
    i, j = rng.sample(range(len(entries)), 2)
    out = list(entries)
    out[i], out[j] = replace(entries[j], seq=entries[i].seq), replace(entries[i], seq=entries[j].seq)
    return out


def doubled(entries: list[Entry], rng: random.Random) -> list[Entry]:
    return [*entries, replace(rng.choice(entries), seq=len(entries) + 1)]


def exchanged(entries: list[Entry], rng: random.Random) -> list[Entry]:
    """Two answers of one party change places, everything else stays."""
    party = rng.choice(sorted({e.party for e in entries if e.kind == "answer"}))
    i, j = rng.sample([k for k, e in enumerate(entries) if e.party == party and e.kind == "answer"], 2)
    out = list(entries)
    out[i] = replace(entries[i], raw=entries[j].raw, parsed=entries[j].parsed)
    out[j] = replace(entries[j], raw=entries[i].raw, parsed=entries[i].parsed)
    return out


CHANGES = (dropped, swapped, doubled, exchanged)


@pytest.mark.parametrize("chained", [False, True], ids=["chain as it was", "chain made anew"])
@pytest.mark.parametrize("change", CHANGES)
def test_rows_that_were_dropped_swapped_or_doubled_are_noticed(
    change: Callable[[list[Entry], random.Random], list[Entry]], chained: bool, mine: Path
) -> None:
    """The seal is made anew each time, as somebody would who knows how."""
    rng, path = random.Random(f"{change.__name__}{chained}"), mine / "a.case"
    original = path.read_bytes()
    for _ in range(STRUCTURAL // 8):
        path.write_bytes(original)
        db = opened(path)
        written(db, change(rows(db), rng), chained=chained)
        seal(db, path)
        check_seal(path)
        with pytest.raises(EvidenceError):
            checks(case=path, report=mine / "report.json")


def test_an_answer_written_anew_is_noticed_by_its_own_raw_bytes(mine: Path) -> None:
    """Body, salt, chain and seal all made anew; the answer no longer comes from the bytes beside it."""
    path = mine / "a.case"
    with Store(path, must_exist=True) as store:
        entry = next(store.entries("answer"))
        done = load(Completion, store.body(entry.parsed))
    db = opened(path)
    forged = replace(done, text="I was trained on ref.", raw_digest=sha256(b"{}"))
    from forensics.serial import dump

    data, salt = dump(forged), bytes(32)
    digest = sha256(salt + data)
    db.execute("INSERT INTO body VALUES (?, ?, ?)", (digest, salt, zlib.compress(data)))
    if entry.raw != entry.parsed:
        db.execute("DELETE FROM body WHERE digest = ?", (entry.parsed,))
    written(db, [replace(e, parsed=digest) if e.parsed == entry.parsed else e for e in rows(db)], chained=True)
    seal(db, path)
    with pytest.raises(EvidenceError, match="not read from the bytes"):
        checks(case=path)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from leaves(inner, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def edited(record: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """One number changed in its last digit or its sign, or one row of a list dropped, doubled or moved to its end."""
    out = copy.deepcopy(record)
    paths = [p for p in leaves(record) if p[0] != "digest" and p[:2] not in MACHINE]
    numbers = [p for p in paths if type(at(record, p)) in (int, float)]
    members = [p for p in paths if isinstance(at(record, p[:-1]), list)]
    while out == record:
        how = rng.choice(["number", "drop", "double", "move"])
        path = rng.choice(numbers if how == "number" else members)
        value, parent = at(out, path), at(out, path[:-1])
        if how == "number":
            parent[path[-1]] = rng.choice([value * (1 + 1e-5) if value else 1e-6, -value or 1.0, round(value + 1, 3)])
            continue
        if how != "double":
            parent.pop(path[-1])
        if how != "drop":
            parent.append(copy.deepcopy(value))
    return out


MACHINE = {("manifest", "versions"), ("manifest", "code")}


@pytest.fixture(scope="module")
def judged(case: Path) -> Report:
    with Store(case, must_exist=True) as store:
        return judge(store)


def test_a_hundred_edits_of_the_report_are_noticed_though_its_digest_is_made_anew(judged: Report) -> None:
    rng = random.Random(5)
    record = json.loads(judged.to_json())
    compare(judged, judged)
    for _ in range(STRUCTURAL):
        text = json.dumps(edited(record, rng))
        try:
            forged = Report.from_json(text).hashed()
        except ValueError:
            continue  # no record at all any more: read_report says so
        with pytest.raises(EvidenceError, match=r"the report says|missing in the report"):
            compare(forged, judged)


def test_the_first_difference_is_named(case: Path, judged: Report, tmp_path: Path) -> None:
    e = judged.evidence[0]
    forged = replace(judged, evidence=(replace(e, n=e.n + 1), *judged.evidence[1:])).hashed()
    (tmp_path / "report.json").write_text(forged.to_json())
    with pytest.raises(EvidenceError, match=rf"evidence\[0\].n: the report says {e.n + 1}, the case gives {e.n}"):
        checks(case=case, report=tmp_path / "report.json")


def test_other_versions_are_a_remark_and_no_licence(judged: Report) -> None:
    """Numbers made by other versions may differ in the last digit, and in nothing more."""
    elsewhere = replace(judged, manifest={**judged.manifest, "versions": {"numpy": "1.0"}})
    assert "other versions" in compare(elsewhere, judged)
    e = judged.evidence[0]
    assert e.value is not None
    near = replace(elsewhere, evidence=(replace(e, value=e.value * (1 + 1e-6)), *judged.evidence[1:]))
    assert compare(near, judged)
    far = replace(elsewhere, evidence=(replace(e, value=e.value * 1.001), *judged.evidence[1:]))
    with pytest.raises(EvidenceError, match="other versions"):
        compare(far, judged)


def test_a_manifest_is_checked_against_the_case_alone_too(mine: Path, keys: tuple[Path, Path]) -> None:
    """Another machine has other versions; what the case itself decides must still be the same."""
    made = read(mine / "manifest.json").statement
    for change, wrong in (({"code": {}, "packages": {"python": "2"}}, None), ({"plan": "0" * 64}, "plan")):
        forged = copy.deepcopy(made)
        forged["predicate"] |= change
        from forensics.types import canonical

        (mine / "manifest.json").write_bytes(canonical(forged))
        if wrong is None:
            assert checks(case=mine / "a.case", manifest=mine / "manifest.json")["statement"].state == "ok"
        else:
            with pytest.raises(EvidenceError, match=wrong):
                checks(case=mine / "a.case", manifest=mine / "manifest.json")


def test_exact_results_are_made_again_from_their_inputs() -> None:
    from forensics import zoo
    from forensics.exact.case import keep
    from forensics.exact.weights import match_weights
    from forensics.serial import dump
    from forensics.verify import exact_results

    store = Store(None)
    result = keep(store, "reference", match_weights(zoo.path("student"), zoo.path("teacher")))
    assert result.p is not None
    assert [c.state for c in exact_results(store)] == ["ok"]
    store.note("exact", "reference", dump(replace(result, finding="said in other words")))
    assert [c.state for c in exact_results(store)] == ["ok", "ok"]
    store.note("exact", "other", dump(replace(result, against="other")))
    (*_, last) = exact_results(store)
    assert last.state == "open"
    assert "can't be recomputed" in last.detail
    store.note("exact", "reference", dump(replace(result, p=result.p / 2)))
    with pytest.raises(EvidenceError, match="its inputs give p ="):
        list(exact_results(store))


def test_a_servers_bytes_are_read_again() -> None:
    """A forged answer that names the right request and the right bytes does not come out of those bytes."""
    from forensics.backends.openai_parse import parse
    from forensics.plan import Party, Plan, save_plan
    from forensics.types import Capabilities, Message, ModelSpec, Reply, Request
    from forensics.verify import answers

    spec, request = ModelSpec("api", "acme/rival"), Request("writing", "i0", (Message("user", "Say it."),))
    raw = b'{"choices": [{"message": {"content": "I will."}, "finish_reason": "stop"}], "model": "rival"}'
    done = parse(raw, request, "2031-01-01T00:00:00+00:00")
    assert done.text == "I will."
    config = AuditConfig("api/acme/rival", "toy/ref")
    for text, fine in (("I will.", True), ("I was told to.", False)):
        store = Store(None)
        save_plan(store, Plan(config, "s", "0" * 64, (Party("suspect", spec, Capabilities()),), (request,)))
        store.answer(spec, [(request, Reply(replace(done, text=text), raw))])
        if fine:
            assert answers(store) == 1
        else:
            with pytest.raises(EvidenceError, match="the server's bytes give another answer"):
                answers(store)


def test_a_report_alone_is_not_said_to_be_right(small: Path) -> None:
    assert checks(report=small / "report.json")["numbers"].state == "open"


def test_a_report_of_another_case_is_noticed(mine: Path, judged: Report) -> None:
    (mine / "report.json").write_text(judged.to_json())
    with pytest.raises(EvidenceError, match="chain_head"):
        checks(case=mine / "a.case", report=mine / "report.json")


def test_a_killed_run_leaves_no_seal_and_continuing_mends_it(mine: Path, tmp_path: Path) -> None:
    path, killed = mine / "a.case", tmp_path / "killed.case"
    store = Store(path)
    for ending in ("", "-wal", "-shm"):
        if path.with_name(path.name + ending).exists():
            shutil.copy(path.with_name(path.name + ending), killed.with_name(killed.name + ending))
    store.close()
    check_seal(path)
    with pytest.raises(EvidenceError, match=r"not sealed|did not end"):
        check_seal(killed)
    Store(killed).close()
    check_seal(killed)


def test_a_probe_set_that_was_exchanged_is_noticed(mine: Path) -> None:
    path = mine / "a.case"
    with Store(path, must_exist=True) as store:
        plan = stored_plan(store)
    from forensics.serial import dump

    data, salt = dump(replace(plan, suite_digest="0" * 64)), bytes(32)
    digest = sha256(salt + data)
    db = opened(path)
    db.execute("INSERT INTO body VALUES (?, ?, ?)", (digest, salt, zlib.compress(data)))
    (old,) = [e for e in rows(db) if e.kind == "plan"]
    db.execute("DELETE FROM body WHERE digest = ?", (old.raw,))
    changed = [replace(e, raw=digest, parsed=digest) if e.kind == "plan" else e for e in rows(db)]
    written(db, changed, chained=True)
    seal(db, path)
    with pytest.raises(EvidenceError, match="not the one that the protocol announced"):
        checks(case=path)


# -- the manifest


def test_the_manifest_lists_every_body_in_order_and_is_the_same_twice(small: Path, keys: tuple[Path, Path]) -> None:
    report = Report.from_json((small / "report.json").read_text())
    bare = attest(small / "a.case", report, {}, None)
    assert bare == attest(small / "a.case", report, {}, None)
    made = json.loads(bare)
    assert made["_type"] == "https://in-toto.io/Statement/v1"
    with Store(small / "a.case", must_exist=True) as store:
        assert [b["commitment"] for b in made["predicate"]["bodies"]] == [e.raw for e in store.entries()]
    digests = {s["name"]: s["digest"]["sha256"] for s in made["subject"]}
    assert digests == {name: sha256((small / name).read_bytes()) for name in ("a.case", "report.json")}
    assert read(small / "manifest.json", keys[1]).statement == made


def test_the_signature_is_what_dsse_says(small: Path, keys: tuple[Path, Path]) -> None:
    """Checked with nothing of ours: the envelope's fields and the pre-authentication encoding, spelled out."""
    from base64 import b64decode

    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    envelope = json.loads((small / "manifest.json").read_text())
    payload = b64decode(envelope["payload"])
    kind = b"application/vnd.in-toto+json"
    assert envelope["payloadType"].encode() == kind
    told = b"DSSEv1 " + str(len(kind)).encode() + b" " + kind + b" " + str(len(payload)).encode() + b" " + payload
    load_pem_public_key(keys[1].read_bytes()).verify(b64decode(envelope["signatures"][0]["sig"]), told)  # type: ignore


def test_a_manifest_about_other_contents_is_noticed_whoever_signed_it(mine: Path, keys: tuple[Path, Path]) -> None:
    made = read(mine / "manifest.json").statement
    for change in ("chain", "bodies", "plan", "promptSet", "configuration", "judged"):
        forged = copy.deepcopy(made)
        forged["predicate"][change] = forged["predicate"][change][:-1] if change == "bodies" else {"head": "0"}
        from forensics.types import canonical

        (mine / "manifest.json").write_bytes(sign(canonical(forged), keys[0]))
        with pytest.raises(EvidenceError, match=change):
            checks(**everything(mine, keys))


def test_another_key_is_noticed(mine: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "other.pub").write_bytes(public.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(EvidenceError, match="not by the key"):
        read(mine / "manifest.json", tmp_path / "other.pub")
    assert checks(manifest=mine / "manifest.json")["signature"].state == "open"
    for bad in (keys[1], mine / "report.json", mine / "none"):
        with pytest.raises(UsageError):
            sign(b"{}", bad)
    with pytest.raises(UsageError, match="public key"):
        read(mine / "manifest.json", mine / "report.json")


# -- redaction


def contents(path: Path) -> bytes:
    """Everything that a reader of the file could unpack, and the file itself."""
    with closing(sqlite3.connect(path)) as db:
        packed = [zlib.decompress(row[0]) for row in db.execute("SELECT data FROM body WHERE data IS NOT NULL")]
        salts = [row[0] or b"" for row in db.execute("SELECT salt FROM body")]
        meta = json.dumps(db.execute("SELECT * FROM meta").fetchall()).encode()
    return path.read_bytes() + b"".join(packed) + b"".join(salts) + meta


def test_a_redacted_case_verifies_and_holds_no_trace(small: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    with Store(small / "a.case", must_exist=True) as store:
        plan = stored_plan(store)
        found = [store.get(p.spec, plan.requests[0]) for p in plan.parties if p.name != "base"]
        texts = [c.text for c in found if c is not None and c.text]
    assert texts
    redact(small / "a.case", tmp_path / "b.case", texts=True, prompts=True)
    whole, left = contents(small / "a.case"), contents(tmp_path / "b.case")
    for text in [*texts, "Say thing 0."]:
        assert text.encode() in whole
        assert text.encode() not in left
        assert sha256(text.encode()).encode() not in left
    assert b'"key"' in whole
    assert b'"key"' not in left
    found_checks = checks(case=tmp_path / "b.case", report=small / "report.json", manifest=small / "manifest.json",
                          key=keys[1])  # fmt: skip
    assert {c.state for c in found_checks.values()} == {"ok"}
    assert "redacted" in found_checks["numbers"].detail
    assert checks(case=tmp_path / "b.case", report=small / "report.json")["numbers"].state == "open"
    with pytest.raises(UsageError, match="redacted"):
        Store(tmp_path / "b.case")


def test_short_answers_can_not_be_guessed_from_their_commitments(small: Path, tmp_path: Path) -> None:
    """The salt goes with the body: knowing the answer is not enough to see that it was given."""
    redact(small / "a.case", tmp_path / "b.case", parties=["suspect"])
    with Store(small / "a.case", must_exist=True) as store:
        spec = next(p.spec for p in stored_plan(store).parties if p.name == "suspect")
        mine = {e.parsed: store.body(e.parsed) for e in store.entries("answer") if e.party == str(spec)}
    with closing(sqlite3.connect(tmp_path / "b.case")) as db:
        salts = [row[0] for row in db.execute("SELECT salt FROM body WHERE salt IS NOT NULL")]
        gone = {row[0] for row in db.execute("SELECT digest FROM body WHERE data IS NULL AND salt IS NULL")}
    assert mine.keys() <= gone
    for digest, data in mine.items():
        assert digest not in {sha256(data), *(sha256(salt + data) for salt in salts)}


def test_redacting_one_item_or_party_leaves_the_rest(small: Path, tmp_path: Path) -> None:
    redact(small / "a.case", tmp_path / "item.case", items=["i2"])
    redact(small / "a.case", tmp_path / "party.case", parties=["ann"])
    with Store(small / "a.case", must_exist=True) as store:
        plan = stored_plan(store)
    for name, gone in (("item.case", {"i2"}), ("party.case", {"ann"})):
        with Store(tmp_path / name, must_exist=True) as store:
            for party in plan.parties:
                for request in plan.requests:
                    if party.name == "base" or request.sampling.max_tokens == 1:
                        continue
                    left = store.get(party.spec, request) is not None
                    assert left == (not {request.item, party.name} & gone), (party.name, request.item)
            report = judge(store)
        assert any("redacted" in line for line in report.limitations)
        assert checks(case=tmp_path / name)["chain"].state == "ok"


def test_redaction_is_refused_where_it_would_do_nothing_or_harm(small: Path, tmp_path: Path) -> None:
    for options, why in (({}, "name what"), ({"items": ["nope"]}, "nothing of that|no item"),
                         ({"parties": ["nope"]}, "no party")):  # fmt: skip
        with pytest.raises(UsageError, match=why):
            redact(small / "a.case", tmp_path / "b.case", **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="exists"):
        redact(small / "a.case", small / "report.json", texts=True)


def test_a_key_left_behind_by_a_redaction_is_noticed(small: Path, tmp_path: Path) -> None:
    redact(small / "a.case", tmp_path / "b.case", texts=True)
    db = opened(tmp_path / "b.case")
    db.execute("INSERT INTO meta VALUES ('key', ?)", ("00" * 32,))
    seal(db, tmp_path / "b.case")
    with pytest.raises(EvidenceError, match="not what it was hashed with"):
        checks(case=tmp_path / "b.case")
