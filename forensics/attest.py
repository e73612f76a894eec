"""What a case and its report are made of, as an in-toto Statement; signed, in a DSSE envelope (Ed25519).

The statement is canonical JSON (RFC 8785), so the same case and the same report give the same bytes. Sources:
in-toto Attestation Framework v1, DSSE v1 (secure-systems-lab), RFC 8785, RFC 8032.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .casefile import check_seal
from .errors import EvidenceError, UsageError
from .record import Report
from .serial import adapter
from .store import Store
from .types import canonical, sha256

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:distillation-forensics:custody:1"
PAYLOAD = "application/vnd.in-toto+json"
PASSWORD = "FORENSICS_KEY_PASSWORD"
REPORT = "report.json"
EXACT_INTEGERS = 2**53


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement with the key that signed it: the raw public key in hexadecimal, None if nobody did."""

    statement: dict[str, Any]
    key: str | None


def statement(case: Path, store: Store, report: Report, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The in-toto Statement about a sealed case, its report and the files written from it.

    ``predicate.bodies`` lists the commitments to every raw body in the order of collection. Nothing in the statement
    but the case file's own hash changes when the case is redacted.
    """
    m = report.manifest
    subjects = {case.name: sha256(case.read_bytes()), REPORT: sha256(report.to_json().encode())}
    subjects |= {name: sha256(data) for name, data in files.items()}
    predicate = {
        "tool": {"name": "distillation-forensics", "version": m["versions"].get("distillation-forensics")},
        "packages": m["versions"],
        "code": m["code"],
        "question": {"case": report.case.id, "Hp": report.case.Hp, "Hd": report.case.Hd},
        "configuration": _configuration(store),
        "judged": m["judged"],
        "protocol": m["protocol"],
        "plan": m["plan"],
        "promptSet": {"name": m["suite"], "sha256": m["suite_digest"]},
        "population": m["population"],
        "chain": {"head": store.head, "entries": len(store)},
        "bodies": [{"seq": e.seq, "kind": e.kind, "party": e.party, "commitment": e.raw} for e in store.entries()],
    }
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in subjects.items()],
        "predicateType": PREDICATE,
        "predicate": predicate,
    }


def _configuration(store: Store) -> dict[str, Any] | None:
    from .protocol import stored_protocol

    fixed = stored_protocol(store)
    if fixed is None:
        return None
    found: dict[str, Any] = adapter(type(fixed.config)).dump_python(fixed.config, mode="json")
    return {k: str(v) if isinstance(v, int) and abs(v) >= EXACT_INTEGERS else v for k, v in found.items()}


def attest(case: Path, report: Report, outputs: Mapping[Path, bytes], key: Path | None) -> bytes:
    """The bytes of a manifest: the bare statement, or with a key the signed envelope.

    Errors: `UsageError` for a key that can't be used, `EvidenceError` for a case that is not sealed.
    """
    check_seal(case)
    with Store(case, must_exist=True) as store:
        made = canonical(statement(case, store, report, {p.name: data for p, data in outputs.items()}))
    return made if key is None else sign(made, key)


def sign(payload: bytes, key: Path) -> bytes:
    """A DSSE envelope around a statement. Errors: `UsageError`."""
    private = load_private(key)
    public = private.public_key().public_bytes_raw().hex()
    signature = {"keyid": public, "sig": base64.b64encode(private.sign(encoded(PAYLOAD, payload))).decode()}
    return canonical({
        "payloadType": PAYLOAD, "payload": base64.b64encode(payload).decode(), "signatures": [signature],
    })  # fmt: skip


def encoded(kind: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: ``DSSEv1 len(type) type len(payload) payload``."""
    return b"DSSEv1 %d %b %d %b" % (len(kind.encode()), kind.encode(), len(payload), payload)


def read(manifest: Path, key: Path | None = None) -> Signed:
    """A manifest whose bytes and signature are right. ``key``: the public key that must have signed it.

    Errors: `UsageError` (no such file, no such key), `EvidenceError` (changed, not signed by this key).
    """
    try:
        data = manifest.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the manifest {manifest}: {error.strerror}") from error
    outer = _plain(data, manifest)
    if "payload" not in outer:
        if key is not None:
            raise EvidenceError(f"{manifest} is not signed")
        return Signed(_checked(outer, manifest), None)
    payload, signer = _opened(outer, manifest)
    if key is not None and signer != _public(key):
        raise EvidenceError(f"{manifest} is signed by {signer}, not by the key in {key}")
    return Signed(_checked(_plain(payload, manifest), manifest), signer)


def _opened(outer: Mapping[str, Any], manifest: Path) -> tuple[bytes, str]:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        (signature,) = outer["signatures"]
        if set(outer) != {"payloadType", "payload", "signatures"} or set(signature) != {"keyid", "sig"}:
            raise ValueError("unknown keys")
        if bytes.fromhex(signature["keyid"]).hex() != signature["keyid"]:
            raise ValueError("not a key in hexadecimal")
        payload = _bytes(outer["payload"])
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature["keyid"]))
        key.verify(_bytes(signature["sig"]), encoded(outer["payloadType"], payload))
    except InvalidSignature as error:
        raise EvidenceError(f"{manifest}: the signature does not belong to this statement and key") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EvidenceError(f"{manifest} is not an envelope with one signature: {error}") from error
    return payload, str(signature["keyid"])


def _bytes(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical base64")
    return data


def _plain(data: bytes, manifest: Path) -> dict[str, Any]:
    """JSON that is canonical to the byte, so that nothing can hide in how it is written."""
    try:
        value = json.loads(data)
        same = isinstance(value, dict) and canonical(value) == data
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{manifest} is not JSON: {error}") from error
    if not same:
        raise EvidenceError(f"{manifest} was changed: it is not canonical JSON")
    return dict(value)


def _checked(value: dict[str, Any], manifest: Path) -> dict[str, Any]:
    if value.get("_type") != STATEMENT or value.get("predicateType") != PREDICATE:
        raise EvidenceError(f"{manifest} is no statement about a case of this tool")
    return value


def load_private(path: Path) -> Any:
    """An Ed25519 private key in PEM. Errors: `UsageError`."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    password = os.environ.get(PASSWORD)
    try:
        key = load_pem_private_key(path.read_bytes(), password.encode() if password else None)
    except OSError as error:
        raise UsageError(f"cannot read the key {path}: {error.strerror}") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} is no private key in PEM that can be opened (password in {PASSWORD})") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is not an Ed25519 key: openssl genpkey -algorithm ed25519 makes one")
    return key


def _public(path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the key {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no public key in PEM: openssl pkey -pubout writes one") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path} is not an Ed25519 public key")
    return key.public_bytes_raw().hex()


def needs_cryptography() -> None:
    """Errors: `UsageError` with the command that installs what is missing."""
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise UsageError("signatures need the extra sign: pip install 'distillation-forensics[sign]'") from error
