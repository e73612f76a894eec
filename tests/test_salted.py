"""Suites drawn by a private salt: the same for the same salt, another for another, and committed to beforehand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from forensics import AuditConfig, Store, collect
from forensics.errors import UsageError
from forensics.plan import stored_plan
from forensics.probes import load_suite
from forensics.probes.salted import combinations, draw, read_salt
from forensics.protocol import stored_protocol
from forensics.types import Sampling, sha256

ONE, TWO = b"0123456789abcdef0123456789abcdef", b"fedcba9876543210fedcba9876543210"


def rows(data: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in data.splitlines()]


def test_a_salt_gives_one_suite() -> None:
    assert draw(ONE) == draw(ONE)
    assert sha256(draw(ONE)) != sha256(draw(TWO))


def test_another_salt_shares_hardly_a_prompt_no_id_and_no_order() -> None:
    one, two = rows(draw(ONE)), rows(draw(TWO))
    assert len(one) == len(two) >= 50
    shared = {r["prompt"] for r in one} & {r["prompt"] for r in two}
    assert len(shared) <= 8  # a template with one place for one of 24 words is the same once in 24
    assert not {r["id"] for r in one} & {r["id"] for r in two}
    names = [[re.sub(r"-[0-9a-f]{8}$", "", str(r["id"])) for r in found] for found in (one, two)]
    assert sorted(names[0]) == sorted(names[1])
    assert sum(a == b for a, b in zip(*names, strict=True)) < 10


def test_no_place_is_left_open_and_no_word_stands_twice_in_a_prompt(tmp_path: Path) -> None:
    for row in rows(draw(ONE)):
        assert "{" not in str(row["prompt"])
    path = tmp_path / "t"
    path.write_text('{"pool": "w", "words": ["aa", "bb", "cc"]}\n{"prompt": "{w} {w} {w}"}\n')
    for salt in (ONE, TWO):
        assert sorted(str(rows(draw(salt, path))[0]["prompt"]).lower().split()) == ["aa", "bb", "cc"]


def test_words_are_drawn_evenly(tmp_path: Path) -> None:
    """Chi-square over 2,000 salts and 8 words; its 99.99 % quantile with 7 degrees of freedom is 29.9."""
    path = tmp_path / "t"
    words = [f"w{i}" for i in range(8)]
    path.write_text(json.dumps({"pool": "w", "words": words}) + '\n{"prompt": "say {w}"}\n')
    drawn = [str(rows(draw(b"salt-%032d" % i, path))[0]["prompt"]).split()[1] for i in range(2000)]
    counts = [drawn.count(w) for w in words]
    assert sum((c - 250) ** 2 / 250 for c in counts) < 40


def test_there_are_too_many_to_list() -> None:
    assert combinations() > 100  # log10


def test_seeds_that_are_sent_differ_too(tmp_path: Path) -> None:
    """Else a suspect would know the suite by its seeds."""
    from forensics.types import Capabilities

    seeds = []
    for number, salt in enumerate((ONE, TWO)):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(draw(salt))
        plan = load_suite(str(path)).plan(Capabilities(), sampling=Sampling(seed=0))
        seeds.append({r.sampling.seed for r in plan})
    assert not seeds[0] & seeds[1]


def test_the_hash_is_in_the_protocol_before_the_first_request(tmp_path: Path) -> None:
    path = tmp_path / "private.jsonl"
    path.write_bytes(draw(ONE))
    config = AuditConfig("toy/sam?parent=ref", "toy/ref", ("toy/ann", "toy/bob"), suite=str(path), max_tokens=4)
    with Store(None) as store:
        collect(config, store=store)
        first = next(iter(store.entries()))
        protocol = stored_protocol(store)
        assert first.kind == "protocol"
        assert protocol is not None
        assert protocol.suite_digest == sha256(draw(ONE)) == stored_plan(store).suite_digest


def test_a_salt_is_made_once_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "salt"
    made = read_salt(path)
    assert len(made) == 64
    assert path.stat().st_mode & 0o077 == 0
    assert read_salt(path) == made


@pytest.mark.parametrize("weak", [b"", b"hunter2", b"a" * 64, b"\n\n\n"])
def test_a_salt_that_can_be_guessed_is_refused(weak: bytes, tmp_path: Path) -> None:
    (tmp_path / "salt").write_bytes(weak)
    with pytest.raises(UsageError, match="nobody can guess"):
        read_salt(tmp_path / "salt")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a salt would change nothing"),
        ('{"prompt": "plain"}', "a salt would change nothing"),
        ('{"prompt": "{who}"}', ":1: no pool 'who' above it"),
        ('{"pool": "w", "words": ["a"]}', ":1: a pool has two or more"),
        ('{"pool": "w", "words": ["a", "b"]}\n{"prompt": "{w} {w} {w}"}', ":2: the pool 'w' has fewer words"),
        ('{"pool": "w", "words": ["a", "b"]}\n{"prompt": 5}', ":2: an item to be drawn has a prompt"),
        ("[" * 50_000, ":1: not JSON"),
        ("[]", ":1: neither a pool nor an item"),
        ('{"pool": "w", "words": ["a", "\\ud800"]}', ":1: not JSON"),
    ],
)
def test_templates_that_can_not_be_drawn_from(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "t").write_text(text)
    with pytest.raises(UsageError, match=re.escape(why)):
        draw(ONE, tmp_path / "t")
