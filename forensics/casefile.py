"""The case as a file: its tables, its seal, its address, and the lock that keeps a second run out.

``seal`` is the SHA-256 of the whole file with these 32 bytes taken as zeros, written when a case is closed: it covers
the bytes that SQLite itself never reads, and is missing after a crash until the case is opened and closed again.
"""

from __future__ import annotations

import hashlib
import mmap
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import IO

from .errors import EvidenceError, UsageError

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE seal (digest BLOB NOT NULL);
CREATE TABLE body (digest TEXT PRIMARY KEY, salt BLOB, data BLOB) WITHOUT ROWID;
CREATE TABLE entry (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, party TEXT NOT NULL, request TEXT NOT NULL,
  raw TEXT NOT NULL, parsed TEXT NOT NULL, received_at TEXT NOT NULL, hash TEXT NOT NULL);
CREATE UNIQUE INDEX answered ON entry (party, request) WHERE kind = 'answer';
CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER body_no_update BEFORE UPDATE ON body BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER body_no_delete BEFORE DELETE ON body BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""


def seal(db: sqlite3.Connection, path: Path) -> None:
    """Close a case: everything in one file, and its SHA-256 in it. Without effect while another program reads it."""
    mark = secrets.token_bytes(32)
    try:
        db.execute("PRAGMA journal_mode = DELETE")  # moves a pending log into the file
        db.execute("INSERT INTO seal VALUES (?)", (mark,))
    except sqlite3.OperationalError:
        return
    finally:
        db.close()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        at = data.find(mark)
        data[at : at + 32] = _without(data, at)


def check_seal(path: Path) -> None:
    """Whether a case's bytes are those that were sealed. Errors: `EvidenceError`."""
    for ending in ("-wal", "-journal"):
        if path.with_name(path.name + ending).exists():
            raise EvidenceError(
                f"{path}{ending} lies beside the case: a run did not end; the same command continues it"
            )
    try:
        with closing(sqlite3.connect(uri_of(path, True), uri=True)) as db:
            tables_of(db, path)
            found = [row[0] for row in db.execute("SELECT digest FROM seal LIMIT 2")]
    except (sqlite3.DatabaseError, UnicodeError) as error:  # SQLite's own complaint may quote bytes that are no text
        raise EvidenceError(f"{path} is not a readable case file: {error}") from error
    if len(found) != 1 or not isinstance(found[0], bytes) or len(found[0]) != 32:
        raise EvidenceError(
            f"{path} is not sealed: it was changed, or a run did not end (then the same command continues it)"
        )
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(found[0])
        if data.find(found[0], at + 1) >= 0 or _without(data, at) != found[0]:
            raise EvidenceError(f"{path}: the file's bytes are not those that were sealed")


def tables_of(db: sqlite3.Connection, path: Path | None) -> set[str]:
    """Names of the tables. A view, a generated column or a trigger that a case does not have could make a harmless
    query run for ever, or write. Errors: `EvidenceError`."""
    found = db.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    for kind, name, sql in found:
        if f"{sql};" not in SCHEMA:
            raise EvidenceError(f"{path} is an SQLite file but not a case of this tool (it has the {kind} {name!r})")
    return {name for kind, name, _ in found if kind == "table"}


def _without(data: mmap.mmap, at: int) -> bytes:
    """SHA-256 of a file with the 32 bytes of its seal taken as zeros."""
    found = hashlib.sha256()
    for start, end in ((0, at), (at + 32, len(data))):
        for here in range(start, end, 1 << 20):
            found.update(data[here : min(here + (1 << 20), end)])
        if start == 0:
            found.update(bytes(32))
    return found.digest()


def uri_of(path: Path | None, only_read: bool) -> str:
    """SQLite's address of the case; a case without a pending log is read as it lies, on read-only media too."""
    if path is None:
        return "file:"  # a private database, on disk only as far as it outgrows its cache, gone when it is closed
    plain = path.resolve().as_uri()
    if not only_read:
        return plain
    pending = path.with_name(path.name + "-wal")
    return plain + ("?mode=ro" if pending.is_file() and pending.stat().st_size else "?mode=ro&immutable=1")


def locked(path: Path) -> IO[bytes] | None:
    """A handle that keeps other runs from writing the same case; None where the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        handle = path.open("ab")
    except OSError as error:
        raise UsageError(f"cannot write the case {path}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise UsageError(f"{path} is in use by another run: wait for it, or name another case") from error
    return handle
