"""Sealed keys: what was drawn at random, committed to by its hash before anything was released."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EvidenceError, UsageError
from ..types import canonical, sha256

NONCE_BYTES = 32


def draw(nonce: str) -> np.random.Generator:
    """The generator that all secrets of a key are drawn from; ``nonce``: 64 hexadecimal digits nobody can guess."""
    return np.random.Generator(np.random.PCG64(int(nonce, 16)))


def commitment(key: dict[str, Any]) -> str:
    """SHA-256 of the key's canonical JSON. The nonce in it keeps a short list of secrets from being guessed."""
    return sha256(canonical(key))


def write(path: Path, key: dict[str, Any]) -> str:
    """Write a key for its owner's eyes only and return its commitment. Errors: `UsageError`, also if it exists."""
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(json.dumps(key, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except FileExistsError:
        raise UsageError(f"{path} exists already: a key is drawn once; name another file") from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    return commitment(key)


def read(path: Path, kind: str, committed: str | None, sheet: Path | None) -> dict[str, Any]:
    """A key that matches the hash published before the release, given as such or inside the planting sheet.

    Errors: `UsageError` for a file that is no key, or without anything to check it against; `EvidenceError` (exit 5)
    where the hashes differ.
    """
    key = read_json(path)
    if not isinstance(key, dict) or key.get("kind") != kind or not _whole(kind, key):
        raise UsageError(f"{path} is no {kind} key as this tool writes one")
    if sheet is not None:
        written = read_json(sheet)
        found = written.get("commitment") if isinstance(written, dict) else None
        if not isinstance(found, str) or (committed is not None and found != committed):
            raise EvidenceError(f"{sheet} does not carry the commitment")
        committed = found
    if committed is None:
        raise UsageError("give the hash that was published before the release: --commitment HASH or --sheet FILE")
    if not re.fullmatch(r"[0-9a-f]{64}", committed):
        raise UsageError(f"a commitment is 64 hexadecimal digits, not {committed[:80]!r}")
    if commitment(key) != committed:
        raise EvidenceError(
            f"{path} does not match the hash committed before the release: it was changed, or is another"
        )
    return key


def _whole(kind: str, key: dict[str, Any]) -> bool:
    """Whether every secret of a key is one of its candidates, and all is there that a test reads."""
    rows, texts, words = {
        "canary": (key.get("canaries"), "candidates", ("prompt", "answer")),
        "twins": (key.get("documents"), "versions", ("id", "prompt")),
    }[kind]
    if not isinstance(rows, list) or not rows:
        return False
    return all(
        isinstance(row, dict)
        and isinstance(row.get(texts), list)
        and len(row[texts]) > 1
        and all(isinstance(t, str) for t in (*row[texts], *(row.get(w) for w in words)))
        and type(row.get("secret")) is int
        and 0 <= row["secret"] < len(row[texts])
        for row in rows
    )


def read_json(path: Path) -> Any:
    """Any JSON file whose values can be hashed. Errors: `UsageError`."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        canonical(value)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON that can be hashed ({str(error)[:200]})") from error
    return value


def read_lines(path: Path, needs: str) -> list[dict[str, Any]]:
    """JSON Lines whose rows all have the text or list ``needs``. Errors: `UsageError` with file and line."""
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair can't be hashed
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}:{number}: not JSON that can be used ({str(error)[:200]})") from error
        if not isinstance(row, dict) or not row.get(needs):
            raise UsageError(f"{path}:{number}: no {needs!r}")
        rows.append(row)
    if not rows:
        raise UsageError(f"{path}: empty")
    return rows
