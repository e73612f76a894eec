"""Files of recorded answers: several formats, told apart by what is in them and not by their names.

`read_answers` streams a file (plain, ``.gz``, ``.zst``, or an Inspect log's zip) and keeps nothing but the answers;
`each_answer` keeps not even those.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from .answer_formats import FORMATS, UNNUMBERED, Answer, Bad, json_object
from .errors import UsageError

CHUNK = 1 << 16
_BROKEN = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
_BROKEN_ZIP = (*_BROKEN, ValueError, RuntimeError, LookupError, OverflowError, struct.error)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes after unpacking, so that a small file can't fill the memory: in all, of a line, of one JSON document.

    ``values``: how many values one line or document may hold, because each takes some sixty bytes however short it is.
    """

    total: int = 4 << 30
    line: int = 64 << 20
    document: int = 256 << 20
    values: int = 16 << 20


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """A file that was read. ``digest``: of the bytes as stored; ``skipped``: what was left out, one line each."""

    path: str
    format: str
    digest: str
    answers: tuple[Answer, ...]
    skipped: tuple[str, ...]


def read_answers(path: str | Path, *, skip_bad: bool = False, limits: Limits | None = None) -> AnswerFile:
    """Read one file of answers. Errors: `UsageError` with file and line; ``skip_bad`` counts bad records instead."""
    reader = _Reader(str(path), skip_bad, limits or Limits())
    with _opened(reader) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        answers = reader.read(file)
    return AnswerFile(str(path), reader.format or "", digest, answers, tuple(reader.skipped))


def each_answer(path: str | Path, *, skip_bad: bool = False, limits: Limits | None = None) -> Iterator[Answer]:
    """The answers of `read_answers` one at a time; a draw that the file does not count has the sample `UNNUMBERED`.

    Held are at most an id, a draw and a hash of every answer, and nothing of a file without ids and counted draws.
    Errors: as `read_answers`, when the reading gets there.
    """
    reader = _Reader(str(path), skip_bad, limits or Limits())
    with _opened(reader) as file:
        yield from (answer for _, answer in reader.checked(file))


@contextmanager
def _opened(reader: _Reader) -> Iterator[BufferedReader]:
    """The reader's file; what goes wrong with it, or an empty one, is a `UsageError`."""
    target = Path(os.path.expanduser(reader.path))
    try:
        if not os.path.isfile(target):
            why = " (not a plain file)" if target.exists() else ""
            raise UsageError(f"no such file of answers: {reader.path}{why}")
        with target.open("rb") as file:
            yield file
    except _BROKEN as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise UsageError(f"{reader.path}: can't be read to its end ({show(why)})") from error
    if not reader.kept:
        first = f"; the first of {len(reader.skipped)} bad records is {reader.skipped[0]}" if reader.skipped else ""
        raise UsageError(f"{reader.path}: no answers in this file{first}")


class _Reader:
    """One reading: the format once it is known, and what had to be skipped."""

    def __init__(self, path: str, skip_bad: bool, limits: Limits) -> None:
        self.path, self.skip_bad, self.limits = path, skip_bad, limits
        self.format: str | None = None
        self.skipped: list[str] = []
        self.kept = 0
        self.taken: dict[tuple[str, int], tuple[int, int]] = {}  # item and draw -> hash of the text, line
        self._entries = False  # positions are entries of a document, not lines

    def read(self, file: IO[bytes]) -> tuple[Answer, ...]:
        """All answers, in order."""
        return tuple(a for _, a in _count(list(self.checked(file)), self.taken))

    def checked(self, file: IO[bytes]) -> Iterator[tuple[str, Answer]]:
        """Item and answer, in order; two answers to one draw, two prompts to one id: bad."""
        first: dict[str, tuple[str, int]] = {}
        for answer in self._found(file):
            asked = answer.key
            key = asked if answer.id is None else answer.id
            # Where the prompt is the item there is nothing to compare and nothing to hold.
            other = first.setdefault(key, (asked, answer.line)) if answer.id is not None else (asked, answer.line)
            twin = self.taken.get((key, answer.sample))
            what = f"id {show(key)}" if answer.id is not None else "the prompt"
            if other[0] and asked and other[0] != asked:
                self._bad(answer.line, f"{what} has another prompt than at {self._where(other[1])}")
            elif twin is None:
                if answer.sample != UNNUMBERED:
                    self.taken[key, answer.sample] = (hash(answer.text), answer.line)
                self.kept += 1
                yield key, answer
            elif (self.format, twin[0]) != ("lm-eval", hash(answer.text)):  # logs an answer once for every filter
                self._bad(answer.line, f"sample {answer.sample} of {what} is also at {self._where(twin[1])}")

    def _found(self, file: IO[bytes]) -> Iterator[Answer]:
        magic = file.read(4)
        file.seek(0)
        for line, value in self._zip(file) if magic[:2] == b"PK" else self._records(file, magic):
            try:
                if isinstance(value, Bad):
                    raise value
                answers = self._answers(json_object(value, "the record"), line)
            except Bad as why:
                self._bad(why.line or line, str(why))
            else:
                yield from answers

    def _where(self, line: int) -> str:
        return f"{self.path}: entry {line}" if self._entries else f"{self.path}:{line}"

    def _bad(self, line: int, why: str) -> None:
        if not self.skip_bad:
            raise UsageError(f"{self._where(line)}: {why}; fix it or pass --skip-bad")
        self.skipped.append(f"{self._where(line)}: {why}")

    def _answers(self, row: dict[str, Any], line: int) -> list[Answer]:
        form = self.format or next((name for name, (keys, _) in FORMATS.items() if keys <= row.keys()), None)
        if form is None:
            raise Bad(f"no known form of answer: expected prompt and response, found {show(list(row))}")
        keys, parse = FORMATS[form]
        if missing := sorted(keys - row.keys()):
            raise Bad(f"no {missing[0]!r}, which the other records of this {form} file have")
        answers = parse(row, line)
        if any(a.id is None and not a.conversation for a in answers):
            raise Bad("neither prompt nor messages nor id: it can't be paired")
        self.format = form
        return answers

    def _records(self, file: IO[bytes], magic: bytes) -> Iterator[tuple[int, Any]]:
        pieces = _counted(_unpacked(file, magic), self.limits.total, self.path)
        lines, first = _lines(pieces, self.limits.line), True
        for number, line in lines:
            if not line.strip():
                continue
            if len(line) > self.limits.line:
                yield number, Bad(f"longer than {self.limits.line:,} bytes")
                continue
            if first and (line.lstrip()[:1] == b"[" or line.strip() == b"{"):
                rest = _counted((b"\n" + more for _, more in lines), self.limits.document, self.path)
                line = b"".join([line, *rest])
            value = _load(line, number, self.limits.values)
            if first and isinstance(value, dict) and "eval" in value and "samples" in value:
                value = value["samples"] or []
            if first and isinstance(value, list):
                self._entries = True
                yield from enumerate(value, start=1)
            else:
                yield number, value
            first = False

    def _zip(self, file: IO[bytes]) -> Iterator[tuple[int, Any]]:
        self._entries = True
        try:
            archive = zipfile.ZipFile(file)
        except _BROKEN_ZIP as error:
            raise UsageError(f"{self.path}: a zip file that can't be opened ({show(str(error))})") from error
        names = dict.fromkeys(n for n in archive.namelist() if n.startswith("samples/") and n.endswith(".json"))
        if not names:
            raise UsageError(f"{self.path}: a zip file without samples/*.json is no Inspect log")
        total = 0
        for number, name in enumerate(names, start=1):
            try:
                with archive.open(name) as member:
                    data = member.read(self.limits.document + 1)
            except NotImplementedError:
                how = f"compression method {archive.getinfo(name).compress_type}, not readable here"
                raise UsageError(f"{self.path}: the zip uses {how}; convert the log to JSON") from None
            except _BROKEN_ZIP as error:
                yield number, Bad(f"damaged ({show(str(error))})")
                continue
            total += len(data)
            if len(data) > self.limits.document or total > self.limits.total:
                raise UsageError(f"{self.path}: unpacks to more bytes than the limit of {self.limits.total:,}")
            yield number, _load(data, number, self.limits.values)


def _count(kept: Iterable[tuple[str, Answer]], taken: Iterable[tuple[str, int]]) -> Iterator[tuple[str, Answer]]:
    """Each unnumbered answer as the first draw of its item that is still free: known when all are read."""
    used, following = set(taken), Counter[str]()
    for key, answer in kept:
        if answer.sample == UNNUMBERED:
            while (key, following[key]) in used:
                following[key] += 1
            answer = replace(answer, sample=following[key])
            following[key] += 1
        yield key, answer


def _unpacked(file: IO[bytes], magic: bytes) -> Iterator[bytes]:
    """The bytes of the file in small pieces, decompressed if its first bytes say that it is."""
    if magic == b"\x28\xb5\x2f\xfd":
        import zstandard

        # Frame by frame, because the stream reader takes a file that was cut off for one that ended.
        data, frame = b"", zstandard.ZstdDecompressor().decompressobj()
        try:
            while data or (data := file.read(1 << 11)):  # 2 KiB unpack to 64 MiB at most
                if frame.eof:
                    frame = zstandard.ZstdDecompressor().decompressobj()
                piece = frame.decompress(data)
                data = frame.unused_data
                yield from (piece[i : i + CHUNK] for i in range(0, len(piece), CHUNK))
        except zstandard.ZstdError as error:
            raise OSError(f"damaged zstd data: {error}") from error
        if not frame.eof:
            raise EOFError("zstd data that was cut off")
        return
    if magic[:2] == b"\x1f\x8b":
        import gzip

        file = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]
    while piece := file.read(CHUNK):
        yield piece


def _counted(pieces: Iterable[bytes], limit: int, path: str) -> Iterator[bytes]:
    seen = 0
    for piece in pieces:
        seen += len(piece)
        if seen > limit:
            raise UsageError(f"{path}: more than {limit:,} bytes unpacked or in one JSON document; split it")
        yield piece


def _lines(pieces: Iterable[bytes], limit: int) -> Iterator[tuple[int, bytes]]:
    """Numbered lines without their ends; a longer one is cut after ``limit + 1`` bytes."""
    held, size, number = [], 0, 1
    for piece in itertools.chain(pieces, [b"\n"]):
        *ends, rest = piece.split(b"\n")
        for end in ends:
            held.append(end[: max(0, limit + 1 - size)])
            yield number, b"".join(held).removeprefix(b"\xef\xbb\xbf" if number == 1 else b"")
            held, size, number = [], 0, number + 1
        held.append(rest[: max(0, limit + 1 - size)])
        size += len(rest)


def _load(data: bytes, line: int, most: int) -> Any:
    """The JSON value, or the `Bad` that says what is wrong with it."""
    if len(data) > most and sum(map(data.count, (b",", b"[", b"{"))) > most:
        return Bad(f"more than {most:,} values in one line or document", line)
    try:
        text = data.decode("utf-8")
        value = json.loads(text)
        if b"\\ud" in data or b"\\uD" in data:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair can be neither hashed nor shown
    except UnicodeDecodeError as error:
        return Bad(f"not UTF-8 (byte {data[error.start]:#04x})", line + data.count(b"\n", 0, error.start))
    except UnicodeEncodeError:
        return Bad("a \\u escape that is half a character", line)
    except json.JSONDecodeError as error:
        return Bad(f"not JSON ({error.msg}, column {error.colno})", line + error.lineno - 1)
    except (ValueError, RecursionError):
        return Bad("JSON with a number too long or nested too deeply", line)
    return value


def show(value: object) -> str:
    """One short and safe line: control characters escaped, cut to 60."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
