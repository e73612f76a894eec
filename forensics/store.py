"""The case file: SQLite, content-addressed, append-only, hash-chained, sealed.

``entry`` is the chain, one row for every thing that was received or decided, in order:
``hash = sha256(previous hash + canonical(row))``. It names what was asked and what came back by commitments, and
``body`` keeps the bytes under them: ``digest = sha256(salt + data)``, ``salt = HMAC-SHA256(key, data)``. Whoever takes
a body out (`pack`) takes its salt and the key with it: the chain still holds, and nobody can guess a short answer from
its hash. Nothing is ever updated or deleted; triggers refuse it. One answer is acknowledged by one transaction, so a
killed run has an answer whole or not at all, and asks nothing twice.
"""

from __future__ import annotations

import hmac
import secrets
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, TypeVar

from .casefile import SCHEMA, locked, seal, tables_of, uri_of
from .errors import EvidenceError, UsageError
from .serial import dump, load
from .types import Completion, ModelSpec, Reply, Request, plain, sha256

T = TypeVar("T")
FORMAT = "2"
LARGEST = 1 << 28  # bytes of one body, unpacked: a case from elsewhere may hold bombs
GENESIS = "0" * 64
UNKEYED = bytes(32)  # of cases that are thrown away: nobody redacts them, and the same answers give the same bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the chain. ``kind``: protocol, handshake, plan, answer, failure, file, exact or note. ``request``
    (empty where nothing was asked), ``raw`` and ``parsed`` are digests of bodies."""

    seq: int
    kind: str
    party: str
    request: str
    raw: str
    parsed: str
    received_at: str
    hash: str


class Store:
    """A case file, or a case that nobody keeps (``path=None``)."""

    def __init__(self, path: str | Path | None = None, *, must_exist: bool = False, key: bytes | None = None) -> None:
        """``must_exist`` opens a stored case to be read: nothing is written to it, nor beside it. ``key``: the secret
        behind the salts of a new case, drawn at random for a case on disk.

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
                self._lock = locked(self.path)
        self._head, self._count = GENESIS, 0
        self._known: dict[tuple[str, str], Entry] = {}  # of a redacted case: its key is gone
        self._key: bytes | None = None
        self._seals = False
        # Local backends answer from a worker thread, but only the event loop's thread ever writes.
        self._db = sqlite3.connect(uri_of(self.path, must_exist), uri=True, isolation_level=None)
        try:
            self._open(must_exist, key)
            self._index()
        except (EvidenceError, UsageError):
            self.close()
            raise
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            self.close()
            raise EvidenceError(f"{path} is not a readable case file: {error}") from error

    def _index(self) -> None:
        """The end of the chain, and which requests are answered."""
        last = self._db.execute("SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
        if last:
            self._count, self._head = last
        if self._key is not None:
            return  # commitments can be made again, so a request is found in the file: see `_find`
        for entry in self.entries("answer"):
            if not self.redacted(entry.request):
                self._known[entry.party, self.body(entry.request).decode()] = entry

    def _find(self, spec: ModelSpec, request: Request) -> Entry | None:
        """The stored answer's row. Nothing is kept in memory, however large the case."""
        if self._key is None:
            return self._known.get((str(spec), request.digest))
        digest, _, _ = self._body(request.digest.encode())
        query = "SELECT * FROM entry WHERE kind = 'answer' AND party = ? AND request = ?"
        row = self._db.execute(query, (str(spec), digest)).fetchone()
        return None if row is None else Entry(*row)

    def _open(self, only_read: bool, key: bytes | None) -> None:
        self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
        tables = tables_of(self._db, self.path)
        if not tables and not only_read:
            key = key or (UNKEYED if self.path is None else secrets.token_bytes(32))
            made = f"INSERT INTO meta VALUES ('format', '{FORMAT}'), ('key', '{key.hex()}');"
            self._db.executescript(f"BEGIN;{SCHEMA}{made}COMMIT;")
        elif not {"meta", "body", "entry"} <= tables:
            raise EvidenceError(f"{self.path} is an SQLite file but not a case of this tool")
        (found,) = self._db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone() or ("none",)
        if found != FORMAT:
            raise EvidenceError(f"{self.path} has case format {found}; this version reads format {FORMAT}")
        (secret,) = self._db.execute("SELECT value FROM meta WHERE key = 'key'").fetchone() or (None,)
        self._key = None if secret is None else bytes.fromhex(secret)
        if self._key is None and not only_read:
            raise UsageError(f"{self.path} is redacted: it can be read and verified, not continued")
        if not only_read:
            self._db.execute("DELETE FROM seal")  # a run that is killed leaves a case without one
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._seals = self.path is not None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._seals and self.path is not None:
            self._seals = False
            seal(self._db, self.path)
        self._db.close()
        # Only after the database: closing any handle of the file drops the locks that SQLite holds on it.
        if self._lock is not None:
            self._lock.close()

    # -- writing

    def answer(self, spec: ModelSpec, pairs: Sequence[tuple[Request, Reply]]) -> list[Completion]:
        """Keep answers, one transaction for all of them. A request that failed is a ``failure`` and is asked again."""
        party = str(spec)
        with self._transaction():
            for request, reply in pairs:
                done = reply.completion
                kind = "failure" if done.finish == "error" else "answer"
                self._append(kind, party, request.digest, reply.raw, dump(done), done.received_at or "")
        return [reply.completion for _, reply in pairs]

    def take_over(self, other: Store, spec: ModelSpec, requests: Iterable[Request]) -> None:
        """Keep what another case holds of a model's answers, byte by byte; what is answered here is left as it is.

        Errors: `EvidenceError` if a body of the other case is not what its chain says.
        """
        with self._transaction():
            for request in requests:
                entry = other._find(spec, request)
                if (
                    entry is None
                    or other.redacted(entry.raw)
                    or other.redacted(entry.parsed)
                    or self.has(spec, request)
                ):
                    continue
                (raw, first), (parsed, second) = other._unpacked(entry.raw), other._unpacked(entry.parsed)
                packed = {raw: first, parsed: second}  # packing them again would be most of the work
                self._append("answer", str(spec), request.digest, raw, parsed, entry.received_at, packed)

    def note(self, kind: str, party: str, data: bytes, *, received_at: str = "") -> Entry:
        """Append something that is no answer: the configuration, a handshake, a remark."""
        with self._transaction():
            return self._append(kind, party, "", data, data, received_at)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing. Only here is anything written, and by one run at a time, so the head is known."""
        before = self._count, self._head
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._count, self._head = before
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _append(
        self, kind: str, party: str, request: str, raw: bytes, parsed: bytes, received_at: str,
        packed: Mapping[bytes, bytes] = MappingProxyType({}),
    ) -> Entry:  # fmt: skip
        """One more link of the chain; a second answer to the same request is left out. ``packed``: bodies that are
        compressed already."""
        asked, first, second = (self._body(data) for data in (request.encode(), raw, parsed))
        row = Entry(self._count + 1, kind, party, asked[0] if request else "", first[0], second[0], received_at, "")
        row = replace(row, hash=link(self._head, row))
        once = "ON CONFLICT (party, request) WHERE kind = 'answer' DO NOTHING"
        done = self._db.execute(f"INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?) {once}", _values(row))
        if done.rowcount:
            bodies = (asked, first, second) if request else (first, second)
            kept = ((digest, salt, packed.get(data) or zlib.compress(data, 6)) for digest, salt, data in bodies)
            self._db.executemany("INSERT OR IGNORE INTO body VALUES (?, ?, ?)", kept)
            self._count, self._head = row.seq, row.hash
        return row

    def _body(self, data: bytes) -> tuple[str, bytes, bytes]:
        """Commitment, salt and what is committed to."""
        assert self._key is not None
        salt = hmac.digest(self._key, data, "sha256")
        return sha256(salt + data), salt, data

    def secret(self, name: str) -> bytes:
        """Bytes that only this case's key gives, the same each time that the case is continued."""
        assert self._key is not None
        return hmac.digest(self._key, f"secret {name}".encode(), "sha256")

    # -- reading

    def has(self, spec: ModelSpec, request: Request) -> bool:
        """Whether this model has answered this request."""
        return self._find(spec, request) is not None

    def get(self, spec: ModelSpec, request: Request) -> Completion | None:
        """The stored answer, or None."""
        entry = self._find(spec, request)
        return None if entry is None or self.redacted(entry.parsed) else self.read(Completion, entry.parsed)

    def raw(self, spec: ModelSpec, request: Request) -> bytes | None:
        """The very bytes that a stored answer came in, or None."""
        entry = self._find(spec, request)
        return None if entry is None or self.redacted(entry.raw) else self.body(entry.raw)

    def redacted(self, digest: str) -> bool:
        """Whether a body was taken out and only its commitment is left."""
        row = self._db.execute("SELECT data IS NULL FROM body WHERE digest = ?", (digest,)).fetchone()
        return bool(row and row[0])

    @property
    def redactions(self) -> int:
        """How many bodies were taken out."""
        (count,) = self._db.execute("SELECT count(*) FROM body WHERE data IS NULL").fetchone()
        return int(count)

    def body(self, digest: str) -> bytes:
        """Bytes by their digest. Errors: `EvidenceError` when they are missing, redacted or do not hash to it."""
        return self._unpacked(digest)[0]

    def _unpacked(self, digest: str) -> tuple[bytes, bytes]:
        row = self._db.execute("SELECT salt, data FROM body WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            raise EvidenceError(f"{self.path or 'case'}: body {digest[:12]} is missing")
        salt, packed = row
        if packed is None:
            raise EvidenceError(f"{self.path or 'case'}: body {digest[:12]} is redacted")
        try:
            unpack = zlib.decompressobj()
            data = unpack.decompress(packed, LARGEST)
            if not unpack.eof:
                raise zlib.error(f"cut off, or more than {LARGEST:,} bytes")
        except zlib.error as error:
            raise EvidenceError(
                f"{self.path or 'case'}: body {digest[:12]} can't be unpacked: it was changed ({error})"
            ) from error
        if sha256(salt + data) != digest:
            raise EvidenceError(f"{self.path or 'case'}: body {digest[:12]} was changed")
        return data, packed

    def read(self, cls: type[T], digest: str) -> T:
        """A body as what it stands for. Errors: `EvidenceError` when it is something else."""
        try:
            return load(cls, self.body(digest))
        except ValueError as error:
            what = f"is no {cls.__name__.lower()} that this version can read"
            raise EvidenceError(f"{self.path or 'case'}: body {digest[:12]} {what}") from error

    def entries(self, kind: str | None = None) -> Iterator[Entry]:
        """The chain in order, all of it or one kind."""
        query = "SELECT * FROM entry WHERE (:kind IS NULL OR kind = :kind) AND seq > :seq ORDER BY seq LIMIT 500"
        seq = -(1 << 63)
        # Page by page, so that a loop that breaks off leaves no query open behind it.
        while page := self._db.execute(query, {"kind": kind, "seq": seq}).fetchall():
            for row in page:
                yield Entry(*row)
            seq = page[-1][0]

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

    @property
    def size(self) -> int:
        """Bytes of the case, packed as they are."""
        (pages,), (bytes_a_page,) = (
            self._db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
        )
        return int(pages * bytes_a_page)

    def check(self) -> None:
        """Recompute the whole chain. Errors: `EvidenceError` that names the first entry that differs."""
        name, head = self.path or "case", GENESIS
        used: set[str] = set()
        try:
            for number, entry in enumerate(self.entries(), start=1):
                if entry.seq != number or link(head, entry) != entry.hash:
                    raise EvidenceError(f"{name}: entry {entry.seq} ({entry.kind}) breaks the hash chain")
                for digest in {entry.raw, entry.parsed, entry.request} - {""} - used:
                    if not self.redacted(digest):
                        self.body(digest)
                    used.add(digest)
                head = entry.hash
            self._check_rest(used)
        except (sqlite3.DatabaseError, TypeError, ValueError) as error:
            raise EvidenceError(f"{name}: the case file is damaged: {error}") from error

    def _check_rest(self, used: set[str]) -> None:
        """Bodies that no entry names, and what a redaction must not leave behind."""
        name = self.path or "case"
        for digest, salt, packed in self._db.execute("SELECT digest, salt, data FROM body"):
            if digest not in used:
                raise EvidenceError(f"{name}: body {str(digest)[:12]} belongs to no entry")
            if packed is None and (salt is not None or self._key is not None):
                raise EvidenceError(f"{name}: body {digest[:12]} was taken out, but not what it was hashed with")

    def pack(self, path: Path, without: Collection[str]) -> None:
        """Write the case anew without some bodies, their salts and the key, so that no trace of them is left.

        Errors: `UsageError` if the file exists.
        """
        if path.exists():
            raise UsageError(f"{path} exists already: name another file")
        with closing(sqlite3.connect(path, isolation_level=None)) as new:
            made = f"INSERT INTO meta VALUES ('format', '{FORMAT}');"
            new.executescript(f"BEGIN;{SCHEMA}{made}")
            new.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                            (_values(e) for e in self.entries()))  # fmt: skip
            for digest, salt, data in self._db.execute("SELECT digest, salt, data FROM body ORDER BY digest"):
                row = (digest, None, None) if digest in without else (digest, salt, data)
                new.execute("INSERT INTO body VALUES (?, ?, ?)", row)
            new.execute("COMMIT")
            seal(new, path)


def _values(entry: Entry) -> tuple[object, ...]:
    return tuple(getattr(entry, name) for name in Entry.__slots__)


def link(previous: str, entry: Entry) -> str:
    """``sha256(previous hash + canonical JSON of the row without its hash)``."""
    row = {name: getattr(entry, name) for name in Entry.__slots__ if name != "hash"}
    return sha256(previous.encode() + plain(row))
