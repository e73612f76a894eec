"""Files of recorded answers: five formats, told apart by what is in them and not by their names.

`read_answers` streams a file (plain, ``.gz``, ``.zst``, or an Inspect log's zip) and keeps nothing but the answers.
`pair` lines the files of several parties up by item id, else by the exact prompt.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

from .errors import UsageError
from .types import Column, Completion, Finish, Message, Request, Sampling, TokenLogprob, Unit, sha256

FAMILY = "writing"
UNRECORDED = "unrecorded"  # the role of a message that stands for a prompt which no file holds
UNNUMBERED = -1
CHUNK = 1 << 16
_BROKEN = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
_BROKEN_ZIP = (*_BROKEN, ValueError, RuntimeError, LookupError, OverflowError, struct.error)
_WORDS: dict[Finish, str] = {
    "stop": "stop eos eos_token end_turn stop_sequence completed",
    "length": "length max_tokens model_length max_output_tokens incomplete",
    "filter": "filter content_filter refusal safety blocked recitation",
    "error": "error failed",
}
_FINISH = {word: finish for finish, words in _WORDS.items() for word in words.split()}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes after unpacking, so that a small file can't fill the memory: in all, of a line, of one JSON document."""

    total: int = 4 << 30
    line: int = 64 << 20
    document: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """One recorded answer. ``line`` counts lines, or entries where the file is one JSON document or a zip."""

    prompt: str | None
    messages: tuple[Message, ...]
    text: str | None
    id: str | None
    sample: int = 0
    system: str | None = None
    sampling: Sampling | None = None
    tokens: tuple[TokenLogprob, ...] = ()
    finish: Finish = "unknown"
    line: int = 0

    @property
    def conversation(self) -> tuple[Message, ...]:
        """What was asked, system message first; empty where the file does not say."""
        asked = self.messages or (() if self.prompt is None else (Message("user", self.prompt),))
        return (Message("system", self.system), *asked) if asked and self.system else asked

    @property
    def key(self) -> str:
        """What the answer is paired by where there are no ids: a hash of the conversation, "" without one."""
        return key_of(self.conversation)


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """A file that was read. ``digest``: of the bytes as stored; ``skipped``: what was left out, one line each."""

    path: str
    format: str
    digest: str
    answers: tuple[Answer, ...]
    skipped: tuple[str, ...]


class _Bad(Exception):  # noqa: N818 - never leaves this module
    """One record can't be read; ``line`` only where the parser knows better than the reader."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why)
        self.line = line


def read_answers(path: str | Path, *, skip_bad: bool = False, limits: Limits | None = None) -> AnswerFile:
    """Read one file of answers. Errors: `UsageError` with file and line; ``skip_bad`` counts bad records instead."""
    reader = _Reader(str(path), skip_bad, limits or Limits())
    target = Path(path).expanduser()
    try:
        if not target.is_file():
            raise UsageError(f"no such file of answers: {path}" + (" (not a plain file)" if target.exists() else ""))
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            answers = reader.read(file)
    except _BROKEN as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise UsageError(f"{path}: can't be read to its end ({_show(why)})") from error
    if not answers:
        first = f"; the first of {len(reader.skipped)} bad records is {reader.skipped[0]}" if reader.skipped else ""
        raise UsageError(f"{path}: no answers in this file{first}")
    return AnswerFile(str(path), reader.format or "", digest, answers, tuple(reader.skipped))


class _Reader:
    """One reading: the format once it is known, and what had to be skipped."""

    def __init__(self, path: str, skip_bad: bool, limits: Limits) -> None:
        self.path, self.skip_bad, self.limits = path, skip_bad, limits
        self.format: str | None = None
        self.skipped: list[str] = []
        self._entries = False  # positions are entries of a document, not lines

    def read(self, file: IO[bytes]) -> tuple[Answer, ...]:
        """All answers, in order."""
        found: list[Answer] = []
        magic = file.read(4)
        file.seek(0)
        for line, value in self._zip(file) if magic[:2] == b"PK" else self._records(file, magic):
            try:
                if isinstance(value, _Bad):
                    raise value
                found.extend(self._answers(_dict(value, "the record"), line))
            except _Bad as why:
                self._bad(why.line or line, str(why))
        return self._numbered(found)

    def _where(self, line: int) -> str:
        return f"{self.path}: entry {line}" if self._entries else f"{self.path}:{line}"

    def _bad(self, line: int, why: str) -> None:
        if not self.skip_bad:
            raise UsageError(f"{self._where(line)}: {why}; fix it or pass --skip-bad")
        self.skipped.append(f"{self._where(line)}: {why}")

    def _answers(self, row: dict[str, Any], line: int) -> list[Answer]:
        form = self.format or next((name for name, (keys, _) in _FORMATS.items() if keys <= row.keys()), None)
        if form is None:
            raise _Bad(f"no known form of answer: expected prompt and response, found {_show(list(row))}")
        keys, parse = _FORMATS[form]
        if missing := sorted(keys - row.keys()):
            raise _Bad(f"no {missing[0]!r}, which the other records of this {form} file have")
        answers = parse(row, line)
        if any(a.id is None and not a.conversation for a in answers):
            raise _Bad("neither prompt nor messages nor id: it can't be paired")
        self.format = form
        return answers

    def _records(self, file: IO[bytes], magic: bytes) -> Iterator[tuple[int, Any]]:
        pieces = _counted(_unpacked(file, magic), self.limits.total, self.path)
        lines, first = _lines(pieces, self.limits.line), True
        for number, line in lines:
            if not line.strip():
                continue
            if len(line) > self.limits.line:
                yield number, _Bad(f"longer than {self.limits.line:,} bytes")
                continue
            if first and (line.lstrip()[:1] == b"[" or line.strip() == b"{"):
                rest = _counted((b"\n" + more for _, more in lines), self.limits.document, self.path)
                line = b"".join([line, *rest])
            value = _load(line, number)
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
            raise UsageError(f"{self.path}: a zip file that can't be opened ({_show(str(error))})") from error
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
                yield number, _Bad(f"damaged ({_show(str(error))})")
                continue
            total += len(data)
            if len(data) > self.limits.document or total > self.limits.total:
                raise UsageError(f"{self.path}: unpacks to more bytes than the limit of {self.limits.total:,}")
            yield number, _load(data, number)

    def _numbered(self, found: list[Answer]) -> tuple[Answer, ...]:
        """Draws counted where the file does not count them; two answers to one draw, two prompts to one id: bad."""
        first: dict[str, Answer] = {}
        taken: dict[tuple[str, int], Answer] = {}
        kept: list[tuple[str, Answer]] = []
        for answer in found:
            key = answer.key if answer.id is None else answer.id
            other, twin = first.setdefault(key, answer), taken.get((key, answer.sample))
            what = f"id {_show(key)}" if answer.id is not None else "the prompt"
            if other.conversation and answer.conversation and other.conversation != answer.conversation:
                self._bad(answer.line, f"{what} has another prompt than at {self._where(other.line)}")
            elif twin is None:
                kept.append((key, answer))
                if answer.sample != UNNUMBERED:
                    taken[key, answer.sample] = answer
            elif (self.format, twin.text) != ("lm-eval", answer.text):  # it logs each answer once for every filter
                self._bad(answer.line, f"sample {answer.sample} of {what} is also at {self._where(twin.line)}")
        return tuple(a for _, a in _count(kept, taken))


def _count(kept: Iterable[tuple[str, Answer]], taken: Iterable[tuple[str, int]]) -> Iterator[tuple[str, Answer]]:
    """Each unnumbered answer as the first draw of its item that is still free."""
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


def _load(data: bytes, line: int) -> Any:
    """The JSON value, or the `_Bad` that says what is wrong with it."""
    try:
        text = data.decode("utf-8")
        value = json.loads(text)
        if b"\\ud" in data or b"\\uD" in data:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair can be neither hashed nor shown
    except UnicodeDecodeError as error:
        return _Bad(f"not UTF-8 (byte {data[error.start]:#04x})", line + data.count(b"\n", 0, error.start))
    except UnicodeEncodeError:
        return _Bad("a \\u escape that is half a character", line)
    except json.JSONDecodeError as error:
        return _Bad(f"not JSON ({error.msg}, column {error.colno})", line + error.lineno - 1)
    except (ValueError, RecursionError):
        return _Bad("JSON with a number too long or nested too deeply", line)
    return value


def _show(value: object) -> str:
    """One short and safe line: control characters escaped, cut to 60."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def key_of(conversation: tuple[Message, ...]) -> str:
    """SHA-256 over roles and contents; "" for no conversation."""
    turns = [[m.role, m.content] for m in conversation]
    return sha256(json.dumps(turns, ensure_ascii=False).encode()) if turns else ""


# -- the parts of a record


def _dict(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Bad(f"{name} is not a JSON object")
    return value


def _text(value: Any, name: str) -> str | None:
    """Text, the text parts of a list of parts, or None. A model's reasoning is no part of its answer."""
    if isinstance(value, list):
        parts = [p for p in value if not (isinstance(p, dict) and p.get("type") in ("reasoning", "thinking"))]
        texts: list[Any] = [p.get("text") if isinstance(p, dict) else p for p in parts]
        if not all(isinstance(t, str) for t in texts):
            raise _Bad(f"{name} has a part that is not text")
        return "".join(texts)
    if value is not None and not isinstance(value, str):
        raise _Bad(f"{name} is not text")
    return value


def _messages(value: Any) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise _Bad("messages are not a list of messages")
    turns = [(_text(_dict(m, "a message").get("role"), "a role"), _text(m.get("content"), "a message")) for m in value]
    return tuple(Message(role or "user", content or "") for role, content in turns)


def _number(value: Any, name: str, low: float, kind: type[Any] = int) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, kind)) or not low <= value < 1 << 53:
        raise _Bad(f"{name} is not {'a whole number' if kind is int else 'a number'} of at least {low:g}")
    return value


def _id(value: Any) -> str | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
        raise _Bad("the id is neither text nor a whole number")
    return None if value is None else str(value)


def _sampling(value: Any) -> Sampling | None:
    if value is None:
        return None
    given = {k: v for k, v in _dict(value, "sampling").items() if v is not None}
    plain, seed = Sampling(), given.get("seed")
    return Sampling(
        float(_number(given.get("temperature", plain.temperature), "temperature", 0, float)),
        float(_number(given.get("top_p", plain.top_p), "top_p", 0, float)),
        _number(given.get("max_tokens", plain.max_tokens), "max_tokens", 1),
        None if seed is None else _number(seed, "seed", -(1 << 53) + 1),
    )


def _tokens(value: Any) -> tuple[TokenLogprob, ...]:
    """OpenAI's ``{"content": [{"token", "bytes", "logprob", "top_logprobs"}]}``, or that list alone."""
    rows = value.get("content") if isinstance(value, dict) else value
    if rows is None and (value is None or "content" in value):
        return ()
    if not isinstance(rows, list):
        raise _Bad("logprobs are not in the shape of OpenAI's chat answers")
    out = []
    for row in rows:
        top = [_token(t) for t in _dict(row, "a token of logprobs").get("top_logprobs") or ()]
        top.sort(key=lambda pair: -pair[1])
        out.append(TokenLogprob(*_token(row), tuple(top), top[-1][1] if top else None))
    return tuple(out)


def _token(row: Any) -> tuple[bytes, float]:
    row = _dict(row, "a token of logprobs")
    text, given, logprob = row.get("token"), row.get("bytes"), row.get("logprob")
    if not isinstance(text, str) or isinstance(logprob, bool) or not isinstance(logprob, (int, float)):
        raise _Bad("a token of logprobs lacks token or logprob")
    if not -1e9 < logprob < 1e-3:
        raise _Bad(f"a log-probability of {logprob:g}")
    if given is not None and not (isinstance(given, list) and all(isinstance(b, int) and 0 <= b < 256 for b in given)):
        raise _Bad("the bytes of a token are not a list of bytes")
    return text.encode() if given is None else bytes(given), float(logprob)


def _finish(value: Any) -> Finish:
    return _FINISH.get(value.lower(), "unknown") if isinstance(value, str) else "unknown"


def _choice(value: Any, ident: str | None, sample: int, line: int, asked: tuple[Message, ...] = ()) -> Answer:
    """One choice of a chat or text completion, of Inspect or of OpenAI. A refusal is a blocked answer, not its text."""
    choice = _dict(value, "a choice")
    message = _dict(choice.get("message") or {}, "a message")
    text = _text(message.get("content", choice.get("text")), "the answer")
    finish = _finish(choice.get("finish_reason") or choice.get("stop_reason"))
    if message.get("refusal"):
        text, finish = None, "filter"
    return Answer(None, asked, text, ident, sample, tokens=_tokens(choice.get("logprobs")), finish=finish, line=line)


# -- the formats


def _own(row: dict[str, Any], line: int) -> list[Answer]:
    sample = row.get("sample")
    return [
        Answer(
            prompt=_text(row.get("prompt"), "prompt"),
            messages=() if row.get("messages") is None else _messages(row["messages"]),
            text=_text(row["response"], "response"),
            id=_id(row.get("id")),
            sample=UNNUMBERED if sample is None else _number(sample, "sample", 0),
            system=_text(row.get("system"), "system"),
            sampling=_sampling(row.get("sampling")),
            tokens=_tokens(row.get("logprobs")),
            finish=_finish(row.get("finish_reason")),
            line=line,
        )
    ]


def _alpaca(row: dict[str, Any], line: int) -> list[Answer]:
    asked = [_text(row["instruction"], "instruction"), _text(row.get("input"), "input")]
    prompt = "\n\n".join(part for part in asked if part)
    return [Answer(prompt, (), _text(row["output"], "output"), _id(row.get("id")), UNNUMBERED, line=line)]


def _lm_eval(row: dict[str, Any], line: int) -> list[Answer]:
    asked = row.get("arguments") or []
    if isinstance(asked, dict):
        asked = [list(a.values()) if isinstance(a, dict) else a for a in asked.values()]
    if not isinstance(asked, list) or (len(asked) > 1 and not isinstance(asked[0], str)):
        raise _Bad("arguments of more than one request: a log-likelihood task has no answers to compare")
    parts = asked[0] if asked and isinstance(asked[0], list) else asked
    prompt, options = [*parts, None, None][:2]
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]  # a chat, kept as its JSON in a tuple of one
    groups = row["resps"] if isinstance(row["resps"], list) else []
    texts = [t for group in groups for t in (group if isinstance(group, list) else [group])]
    if not texts or not all(isinstance(t, str) for t in texts) or isinstance(options, str):
        raise _Bad("resps hold no text: a log-likelihood task has no answers to compare")
    ident, prompt = _id(row.get("doc_id")), _text(prompt, "arg_0")
    sampling = _lm_sampling(options) if isinstance(options, dict) else None
    return [Answer(prompt, (), t, ident, n, sampling=sampling, line=line) for n, t in enumerate(texts)]


def _lm_sampling(options: dict[str, Any]) -> Sampling | None:
    given = {"max_tokens": options.get("max_gen_toks", options.get("max_tokens"))}
    given |= {"temperature": 0 if options.get("do_sample") is False else options.get("temperature")}
    return _sampling({**given, "top_p": options.get("top_p")})


def _inspect(row: dict[str, Any], line: int) -> list[Answer]:
    asked, turns = row["input"], row.get("messages")
    if isinstance(turns, list) and len(turns) > 1:
        # What a solver made of the input, if it asked once: with turns of the model's own it is not the same for all.
        given = [t for t in turns[:-1] if isinstance(t, dict) and t.get("role") in ("system", "user")]
        asked = given if len(given) == len(turns) - 1 else asked
    messages = (Message("user", asked),) if isinstance(asked, str) else _messages(asked)
    ident, epoch = _id(row.get("id")), _number(row["epoch"], "epoch", 1)
    output = _dict(row.get("output") or {}, "output")
    choices = output.get("choices") or []
    if row.get("error") or output.get("error"):
        return [Answer(None, messages, None, ident, epoch - 1, finish="error", line=line)]
    if not isinstance(choices, list) or not choices:
        text = _text(output.get("completion"), "completion") or None
        return [Answer(None, messages, text, ident, epoch - 1, line=line)]
    start = (epoch - 1) * len(choices)
    return [_choice(c, ident, start + n, line, messages) for n, c in enumerate(choices)]


def _batch(row: dict[str, Any], line: int) -> list[Answer]:
    ident = _id(row["custom_id"])
    response = _dict(row["response"] or {}, "response")
    body = _dict(response.get("body") or {}, "the body")
    if row.get("error") or body.get("error") or not body or response.get("status_code", 200) != 200:
        return [Answer(None, (), None, ident, 0, finish="error", line=line)]
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise _Bad("the body of the response has no choices: only chat and text completions are answers")
    return [_choice(c, ident, n, line) for n, c in enumerate(choices)]


_Parser = Callable[[dict[str, Any], int], list[Answer]]
_FORMATS: dict[str, tuple[set[str], _Parser]] = {
    "openai-batch": ({"custom_id", "response"}, _batch),
    "lm-eval": ({"resps"}, _lm_eval),
    "inspect": ({"epoch", "input"}, _inspect),
    "alpaca-eval": ({"instruction", "output"}, _alpaca),
    "jsonl": ({"response"}, _own),
}


# -- pairing

KeyKind = Literal["id", "prompt"]
Key = tuple[str, int]
Table = dict[Key, Answer]
Row = Sequence[Answer | None]


@dataclass(frozen=True, slots=True)
class Pairing:
    """Items that the parties needed have in common, in the order of the first one's file.

    ``columns``: each party's answers aligned with ``units``, None where it has none. ``unpaired``: how many answers of
    each party are in no unit. ``by``: what paired them. ``notes``: what a reader of the result must know.
    """

    by: KeyKind
    units: tuple[Unit, ...]
    columns: Mapping[str, Column]
    unpaired: Mapping[str, int]
    notes: tuple[str, ...] = ()


def item_keys(files: Iterable[AnswerFile]) -> KeyKind:
    """By item id if every answer of every file has one, else by the exact prompt."""
    return "id" if all(answer.id for file in files for answer in file.answers) else "prompt"


def keyed(file: AnswerFile, by: KeyKind) -> Table:
    """The answers of one file by (id or hash of the conversation, sample); those without such a key are left out."""
    out: Table = {}
    following = Counter[str]()
    for answer in file.answers:
        key, sample = answer.id if by == "id" else answer.key, answer.sample
        if not key:
            continue
        if (key, sample) in out:  # two ids that share one prompt are two draws of it
            while (key, following[key]) in out:
                following[key] += 1
            sample = following[key]
        out[key, sample] = answer
    return out


def completion(file: AnswerFile, answer: Answer, request_digest: str) -> Completion:
    """A recorded answer as the answer to a request. Nothing says when it was received, so that none differs by that."""
    error = f"recorded as failed ({file.path}:{answer.line})" if answer.finish == "error" else None
    return Completion(request_digest, answer.text, answer.finish, answer.tokens, error=error)


def pair(files: Mapping[str, AnswerFile], need: Sequence[str] = ("suspect", "reference")) -> Pairing:
    """Line the files up. Errors: `UsageError` when the parties in ``need`` have no item in common."""
    ordered = {name: files[name] for name in (*need, *(n for n in files if n not in need))}
    by, keys, notes = _choose(ordered, need)
    tables = {name: keyed(file, by) for name, file in ordered.items()}
    rows = [[table.get(key) for table in tables.values()] for key in keys]
    units, digests = _units(keys, rows, by)
    columns = {}
    for party, answers in zip(ordered.items(), zip(*rows, strict=True), strict=True):
        told = [a and completion(party[1], a, digest) for a, digest in zip(answers, digests, strict=True)]
        columns[party[0]] = tuple(told)
    notes += _remarks(rows, units)
    unpaired = {name: len(files[name].answers) - sum(c is not None for c in columns[name]) for name in files}
    return Pairing(by, units, {name: columns[name] for name in files}, unpaired, tuple(notes))


def _choose(files: Mapping[str, AnswerFile], need: Sequence[str]) -> tuple[KeyKind, list[Key], list[str]]:
    by = item_keys(files.values())
    other: KeyKind = "prompt" if by == "id" else "id"
    keys, agreeing = _common(files, need, by)
    if agreeing:
        return by, keys, []
    others, _ = _common(files, need, other)
    if others:
        names = {"id": "item ids", "prompt": "the exact prompts"}
        return other, others, [f"{names[by]} pair nothing, so the answers are paired by {names[other]}"]
    if keys:
        return by, keys, []
    counts = [f"{name} has {_items(files[name], by)}" for name in need]
    raise UsageError(
        f"no item is in all of {', '.join(need)}: {'; '.join(counts)}; answers are paired by id if all have one, "
        "else by the exact prompt"
    )


def _common(files: Mapping[str, AnswerFile], need: Sequence[str], by: KeyKind) -> tuple[list[Key], int]:
    """Keys that all needed parties have, and how many of them do not contradict each other about the prompt."""
    tables = [keyed(files[name], by) for name in need]
    keys = [key for key in tables[0] if all(key in table for table in tables[1:])]
    return keys, sum(len({t[key].key for t in tables} - {""}) <= 1 for key in keys)


def _items(file: AnswerFile, by: KeyKind) -> str:
    first = file.answers[0]
    asked = first.conversation[-1].content if first.conversation else ""
    shown = _show(first.id if by == "id" or not asked else asked)
    count = len({a.id if by == "id" else a.key for a in file.answers})
    return f"{count:,} items, the first is {shown}"


def _units(keys: Sequence[Key], rows: Sequence[Row], by: KeyKind) -> tuple[tuple[Unit, ...], list[str]]:
    """One request for all parties of an item, and its digest: what differs between parties can be no part of it."""
    units: list[Unit] = []
    digests: dict[str, None] = {}
    draws = Counter[tuple[str, Sampling]]()
    for (key, sample), row in zip(keys, rows, strict=True):
        answers = [a for a in row if a]
        item = key if by == "id" else key[:16]
        asked = next((a.conversation for a in answers if a.conversation), (Message(UNRECORDED, item),))
        settings = {a.sampling for a in answers}
        sampling = (settings.pop() if len(settings) == 1 else None) or Sampling()
        request = Request(FAMILY, item, asked, sampling=sampling, sample=sample)
        # A store knows a request by its digest, which has no id in it: two ids that ask the same are two draws.
        words = (key_of(asked), sampling)
        while (digest := request.digest) in digests:
            draws[words] += 1
            request = replace(request, sample=draws[words])
        digests[digest] = None
        units.append(Unit(item, FAMILY, request.sample, request))
    return tuple(units), list(digests)


def _remarks(rows: Sequence[Row], units: Sequence[Unit]) -> list[str]:
    counts = {
        "have different prompts on different sides": sum(len({a.key for a in r if a} - {""}) > 1 for r in rows),
        "were sampled with different settings": sum(len({a.sampling for a in r if a} - {None}) > 1 for r in rows),
        "have no recorded prompt": sum(u.request.messages[0].role == UNRECORDED for u in units),
    }
    return [f"{count:,} of {len(rows):,} paired answers {what}" for what, count in counts.items() if count]
