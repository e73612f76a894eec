"""Manifest, verify, redact and compare as users run them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from test_cli import TOYS, one_line, run

SMALL = 8


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed audit: a.case, report.json, a.case.intoto.json, key.pem, key.pub."""
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    folder = tmp_path_factory.mktemp("audited")
    key = Ed25519PrivateKey.generate()
    locked = s.BestAvailableEncryption(b"a password")
    for name, how in (("key.pem", s.NoEncryption()), ("locked.pem", locked)):
        (folder / name).write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, how))
    public = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    (folder / "key.pub").write_bytes(public)
    lines = [f'{{"id": "i{i}", "prompt": "Say thing {i}.", "max_tokens": 12}}\n' for i in range(SMALL)]
    (folder / "s.jsonl").write_text("".join(lines))
    found = run("audit", *TOYS, "--suite", "s.jsonl", "--case", "a.case", "-o", "report.json", "-o", "report.html",
                "--sign", "key.pem", cwd=folder)  # fmt: skip
    assert found.returncode == 3, found.stderr
    return folder


def verify(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return run("verify", *args, cwd=folder)


def test_everything_verifies(audited: Path) -> None:
    found = verify(audited, "a.case", "--report", "report.json", "--manifest", "a.case.intoto.json", "--key", "key.pub")
    assert found.returncode == 0, found.stderr
    assert "✓ numbers: the case gives every number of the report" in found.stdout
    assert "○" not in found.stdout
    turned = verify(audited, "report.json", "--case", "a.case", "--json")
    assert turned.returncode == 0
    assert {row["state"] for row in json.loads(turned.stdout)} == {"ok"}
    statement = run("report", "a.case", "--manifest", "bare.json", "-o", "again.json", cwd=audited)
    assert statement.returncode == 3, statement.stderr
    assert (audited / "again.json").read_bytes() == (audited / "report.json").read_bytes()
    assert json.loads((audited / "bare.json").read_text())["predicateType"].startswith("urn:distillation-forensics")


def test_what_can_not_be_recomputed_is_code_3(audited: Path) -> None:
    found = verify(audited, "report.json")
    assert found.returncode == 3
    assert "○ numbers: not recomputed" in found.stdout


def test_a_difference_is_one_line_and_code_5(audited: Path, tmp_path: Path) -> None:
    data = (audited / "a.case").read_bytes()
    (tmp_path / "b.case").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    found = verify(audited, str(tmp_path / "b.case"))
    assert found.returncode == 5
    assert found.stdout == ""
    assert "not those that were sealed" in found.stderr
    assert len(found.stderr.splitlines()) == 1
    text = (audited / "report.json").read_text()
    (tmp_path / "r.json").write_text(text.replace('"seed": 0', '"seed": 1'))
    assert "digest" in one_line(verify(audited, str(tmp_path / "r.json"), "--case", "a.case"), 5)


def test_a_redacted_copy_verifies(audited: Path, tmp_path: Path) -> None:
    copy = str(tmp_path / "b.case")
    made = run("redact", "a.case", "-o", copy, "--texts", "--prompts", cwd=audited)
    assert made.returncode == 0, made.stderr
    assert verify(audited, copy).returncode == 0
    assert verify(audited, copy, "--report", "report.json").returncode == 3
    signed = ("--manifest", "a.case.intoto.json", "--key", "key.pub")
    found = verify(audited, copy, "--report", "report.json", *signed)
    assert found.returncode == 0, found.stderr
    assert "vouched for by the signature" in found.stdout
    assert "verified, not judged" in one_line(run("report", copy, cwd=audited), 2)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("verify", "none.case"), "no such case or report"),
        (("verify", "a.case", "--key", "key.pub"), "--manifest"),
        (("verify", "a.case", "--manifest", "none.json"), "cannot read the manifest"),
        (("verify", "report.json", "--report", "report.json"), "not a case"),
        (("verify", "a.case", "--case", "a.case"), "one case at a time"),
        (("redact", "a.case", "-o", "b.case"), "--texts"),
        (("redact", "report.json", "-o", "b.case", "--texts"), "not a case"),
        (("redact", "a.case", "-o", "report.json", "--texts"), "exists already"),
        (("redact", "a.case", "-o", "b.case", "--party", "nobody"), "its parties are suspect, reference, ann, bob"),
        (("report", "a.case", "--sign", "key.pub"), "no private key"),
        (("report", "a.case", "--sign", "locked.pem"), "FORENSICS_KEY_PASSWORD"),
        (("report", "report.json", "--sign", "key.pem"), "name one with --case"),
        (("report", "a.case", "--compare"), "takes two"),
        (("report", "a.case", "report.json"), "at a time"),
        (("compare", "--suspect", "s.jsonl", "--reference", "s.jsonl", "--sign", "key.pem"), "--case"),
    ],
)
def test_bad_input_is_one_line_and_code_2(audited: Path, args: tuple[str, ...], words: str) -> None:
    assert words in one_line(run(*args, cwd=audited), 2)


def test_a_key_with_a_password(audited: Path) -> None:
    found = run("report", "a.case", "--sign", "locked.pem", "--manifest", "locked.json", "-f", "md", cwd=audited,
                FORENSICS_KEY_PASSWORD="a password")  # fmt: skip
    assert found.returncode == 3, found.stderr
    assert verify(audited, "a.case", "--manifest", "locked.json", "--key", "key.pub").returncode == 0


def test_two_audits_side_by_side(audited: Path, tmp_path: Path) -> None:
    other = run("audit", *TOYS, "--suite", "s.jsonl", "--case", str(tmp_path / "b.case"), "--seed", "7", "-o",
                str(tmp_path / "b.json"), cwd=audited)  # fmt: skip
    assert other.returncode == 3, other.stderr
    found = run("report", "--compare", "report.json", str(tmp_path / "b.json"), "-o", str(tmp_path / "c.html"), "-o",
                str(tmp_path / "c.md"), "-o", str(tmp_path / "c.json"), cwd=audited)  # fmt: skip
    assert found.returncode == 3, found.stderr
    for name in ("c.html", "c.md"):
        text = (tmp_path / name).read_text()
        assert "answer-overlap" in text
        assert "seed" in text
    assert set(json.loads((tmp_path / "c.json").read_text())) == {"first", "second"}
