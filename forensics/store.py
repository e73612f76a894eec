"""The case file: SQLite, content-addressed, append-only, hash-chained.

Three tables. ``body`` keeps bytes under their SHA-256. ``entry`` is the chain, one row for every thing that was
received or decided, in order: ``hash = sha256(previous hash + canonical(row))``. ``meta`` names the format.
Nothing is ever updated or deleted; triggers refuse it. One answer is acknowledged by one transaction, so a killed run
has an answer whole or not at all, and asks nothing twice.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO

from .errors import EvidenceError, UsageError
from .serial import dump, load
from .types import Completion, ModelSpec, Reply, Request, canonical, sha256

FORMAT = "1"
GENESIS = "0" * 64
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE body (digest TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE entry (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, party TEXT NOT NULL, request TEXT NOT NULL,
  raw TEXT NOT NULL, parsed TEXT NOT NULL, received_at TEXT NOT NULL, hash TEXT NOT NULL);
CREATE UNIQUE INDEX answered ON entry (party, request) WHERE kind = 'answer';
CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER body_no_update BEFORE UPDATE ON body BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER body_no_delete BEFORE DELETE ON body BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the chain. ``kind``: answer, failure, handshake, config or note."""

    seq: int
    kind: str
    party: str
    request: str
    raw: str
    parsed: str
    received_at: str
    hash: str


class Store:
    """A case file, or a case in memory (``path=None``)."""

    def __init__(self, path: str | Path | None = None, *, must_exist: bool = False) -> None:
        """``must_exist`` opens a stored case to be read: nothing is written to it, nor beside it.

        Errors: `UsageError` (no such case, no such directory, in use by another run), `EvidenceError` (not a case).
        """
        self.path = None if path is None else Path(path)
        self._lock: IO[bytes] | None = None
        if self.path is not None:
            if must_exist and not self.path.is_file():
                raise UsageError(f"no such case: {self.path}")
            if not self.path.parent.is_dir():
                raise UsageError(f"cannot write the case {self.path}: its directory does not exist")
            if not must_exist:
                self._lock = _locked(self.path)
        # Local backends answer from a worker thread, but only the event loop's thread ever writes.
        self._db = sqlite3.connect(_uri(self.path, must_exist), uri=True, isolation_level=None)
        try:
            self._open(must_exist)
        except EvidenceError:
            self.close()
            raise
        except sqlite3.DatabaseError as error:
            self.close()
            raise EvidenceError(f"{path} is not a readable case file: {error}") from error
        self._head, self._count = GENESIS, 0
        self._known: dict[tuple[str, str], str] = {}
        last = self._db.execute("SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
        if last:
            self._count, self._head = last
        for party, request, parsed in self._db.execute(
            "SELECT party, request, parsed FROM entry WHERE kind = 'answer'"
        ):
            self._known[party, request] = parsed

    def _open(self, only_read: bool) -> None:
        if not only_read:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
        tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables and not only_read:
            self._db.executescript("BEGIN;" + SCHEMA + f"INSERT INTO meta VALUES ('format', '{FORMAT}'); COMMIT;")
        elif not {"meta", "body", "entry"} <= tables:
            raise EvidenceError(f"{self.path} is an SQLite file but not a case of this tool")
        (found,) = self._db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone() or ("none",)
        if found != FORMAT:
            raise EvidenceError(f"{self.path} has case format {found}; this version reads format {FORMAT}")

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._db.close()
        # Only after the database: closing any handle of the file drops the locks that SQLite holds on it.
        if self._lock is not None:
            self._lock.close()

    # -- writing

    def answer(self, spec: ModelSpec, pairs: Sequence[tuple[Request, Reply]]) -> list[Completion]:
        """Keep answers, one transaction for all of them. A request that failed is a ``failure`` and is asked again."""
        kept = []
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for request, reply in pairs:
                kind = "failure" if reply.completion.finish == "error" else "answer"
                if kind == "answer" and self.has(spec, request):
                    continue
                received = reply.completion.received_at or ""
                kept.append(self._append(kind, str(spec), request.digest, reply.raw, dump(reply.completion), received))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        for entry in kept:
            self._count, self._head = entry.seq, entry.hash
            if entry.kind == "answer":
                self._known[entry.party, entry.request] = entry.parsed
        return [reply.completion for _, reply in pairs]

    def note(self, kind: str, party: str, data: bytes, *, received_at: str = "") -> Entry:
        """Append something that is no answer: the configuration, a handshake, a remark."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            entry = self._append(kind, party, "", data, data, received_at)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        self._count, self._head = entry.seq, entry.hash
        return entry

    def _append(self, kind: str, party: str, request: str, raw: bytes, parsed: bytes, received_at: str) -> Entry:
        # Inside one transaction the head is read back from the table, so that several appends chain to each other.
        last = self._db.execute("SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
        seq, head = (last[0] + 1, last[1]) if last else (1, GENESIS)
        row = Entry(seq, kind, party, request, self._put(raw), self._put(parsed), received_at, "")
        row = replace(row, hash=link(head, row))
        self._db.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)", tuple(asdict(row).values()))
        return row

    def _put(self, data: bytes) -> str:
        digest = sha256(data)
        self._db.execute("INSERT OR IGNORE INTO body VALUES (?, ?)", (digest, zlib.compress(data, 6)))
        return digest

    # -- reading

    def has(self, spec: ModelSpec, request: Request) -> bool:
        """Whether this model has answered this request."""
        return (str(spec), request.digest) in self._known

    def get(self, spec: ModelSpec, request: Request) -> Completion | None:
        """The stored answer, or None."""
        digest = self._known.get((str(spec), request.digest))
        return None if digest is None else load(Completion, self.body(digest))

    def body(self, digest: str) -> bytes:
        """Bytes by their SHA-256. Errors: `EvidenceError` when they are missing or do not hash to it."""
        row = self._db.execute("SELECT data FROM body WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            raise EvidenceError(f"{self.path or 'case'}: body {digest[:12]} is missing")
        try:
            data = zlib.decompress(row[0])
        except zlib.error as error:
            raise EvidenceError(
                f"{self.path or 'case'}: body {digest[:12]} can't be unpacked: it was changed"
            ) from error
        if sha256(data) != digest:
            raise EvidenceError(f"{self.path or 'case'}: body {digest[:12]} was changed")
        return data

    def entries(self, kind: str | None = None) -> Iterator[Entry]:
        """The chain in order, all of it or one kind."""
        query = "SELECT * FROM entry WHERE :kind IS NULL OR kind = :kind ORDER BY seq"
        with closing(self._db.execute(query, {"kind": kind})) as rows:
            for row in rows:
                yield Entry(*row)

    def last(self, kind: str, party: str | None = None) -> bytes | None:
        """The newest body of one kind (of one party), or None."""
        found = None
        for entry in self.entries(kind):
            if party is None or entry.party == party:
                found = entry
        return None if found is None else self.body(found.raw)

    @property
    def head(self) -> str:
        """The hash that the whole chain ends in."""
        return self._head

    def __len__(self) -> int:
        return self._count

    def check(self) -> None:
        """Recompute the whole chain. Errors: `EvidenceError` that names the first entry that differs."""
        head = GENESIS
        try:
            for number, entry in enumerate(self.entries(), start=1):
                if entry.seq != number or link(head, entry) != entry.hash:
                    raise EvidenceError(
                        f"{self.path or 'case'}: entry {entry.seq} ({entry.kind}) breaks the hash chain"
                    )
                for digest in {entry.raw, entry.parsed}:
                    self.body(digest)
                head = entry.hash
        except sqlite3.DatabaseError as error:
            raise EvidenceError(f"{self.path}: the case file is damaged: {error}") from error


def _uri(path: Path | None, only_read: bool) -> str:
    """SQLite's address of the case; a case without a pending log is read as it lies, on read-only media too."""
    if path is None:
        return "file::memory:"
    plain = path.resolve().as_uri()
    if not only_read:
        return plain
    pending = path.with_name(path.name + "-wal")
    return plain + ("?mode=ro" if pending.is_file() and pending.stat().st_size else "?mode=ro&immutable=1")


def _locked(path: Path) -> IO[bytes] | None:
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


def link(previous: str, entry: Entry) -> str:
    """``sha256(previous hash + canonical JSON of the row without its hash)``."""
    row = asdict(entry)
    del row["hash"]
    return sha256(previous.encode() + canonical(row))
