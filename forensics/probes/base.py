"""Probe families, suites of items, and the plan of requests that they make.

An *item* is one line of a suite file. Its family says how it is asked, what it is evidence for and in which lane.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from ..errors import UsageError
from ..types import Capabilities, Message, Request, Sampling, sha256

FIRST_TOKEN = "first-token"
CUTS = (0.25, 0.5, 0.75, 1.0)
MOST_SAMPLES = 999  # draws of an item; from 1000 on they are the reference's second draws
MOST_TOKENS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Probe:
    """One family. ``lane`` "context" means that its answers are shown and weigh nothing."""

    family: str
    evidence: str
    lane: Literal["passive", "context"] = "passive"
    raw: bool = False  # raw text to be continued, not a conversation
    scored: bool = False  # the answers of reference and controls are scored (`Plan.scorers` says by whom)

    def plan(self, item: Item, *, top_k: int, sampling: Sampling) -> tuple[Request, ...]:
        """Everything to ask for one item: its draws and, where log-probs are to be had, next-token queries."""
        wanted = Sampling(sampling.temperature, sampling.top_p, item.max_tokens or sampling.max_tokens)
        messages, prompt = ((), item.prompt) if self.raw else (item.messages, None)
        out = []
        for draw in range(item.samples):
            seeded = Sampling(
                wanted.temperature, wanted.top_p, wanted.max_tokens, seed_of(sampling.seed, item.id, draw)
            )
            out.append(Request(self.family, item.id, messages, prompt, seeded, draw, answer=item.answer))
        if top_k and self.lane == "passive":
            one = Sampling(1.0, 1.0, 1, sampling.seed)
            if self.raw:
                for number, text in enumerate(cuts(item.prompt or "")):
                    out.append(Request(FIRST_TOKEN, f"{item.id}@{number}", (), text, one, top_logprobs=top_k))
            else:
                chat = Request(FIRST_TOKEN, f"{item.id}@0", messages, None, one, top_logprobs=top_k, answer=item.answer)
                out.append(chat)
        return tuple(out)


def cuts(text: str) -> tuple[str, ...]:
    """Prefixes of a raw text, cut at word ends: each is a context for one next-token query."""
    words = text.split(" ")
    ends = sorted({max(1, round(len(words) * share)) for share in CUTS})
    return tuple(" ".join(words[:end]) for end in ends)


def seed_of(base: int | None, item: str, draw: int) -> int | None:
    """A seed per item and draw, the same for every party: 31 bits, because servers take no more."""
    return None if base is None else int(sha256(f"{base}/{item}/{draw}".encode())[:8], 16) >> 1


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a suite."""

    id: str
    family: str
    messages: tuple[Message, ...]
    prompt: str | None
    max_tokens: int | None = None
    samples: int = 1
    answer: tuple[str, ...] = ()
    lang: str = "en"


@dataclass(frozen=True, slots=True)
class Suite:
    """Items with the SHA-256 of the bytes that they were read from."""

    name: str
    digest: str
    items: tuple[Item, ...]

    def plan(self, caps: Capabilities, *, sampling: Sampling, most: int = 20) -> tuple[Request, ...]:
        """Requests for every item, against what the weaker party offers.

        ``most``: next tokens listed a context, -1 for whole vocabularies (a case grows by some 20 bytes a token).
        """
        from . import PROBES

        listed = [k for k in (caps.top_k, most) if k >= 0]
        top_k = min(listed) if listed else -1
        out: list[Request] = []
        for item in self.items:
            probe: Probe = PROBES.load(item.family)
            if not (probe.raw and caps.recorded):
                out.extend(probe.plan(item, top_k=top_k, sampling=sampling))
        return tuple(out)


def load_suite(name: str) -> Suite:
    """A shipped suite by name, or a user's JSON Lines file. Errors: `UsageError` with file and line number."""
    shipped = resources.files("forensics.probes") / "data" / f"{name}.jsonl"
    if "/" not in name and shipped.is_file():
        data = shipped.read_bytes()
    elif Path(name).is_file():
        data = Path(name).read_bytes()
    else:
        raise UsageError(f"no suite {name!r}: name a shipped one ({', '.join(shipped_suites())}) or a .jsonl file")
    items, seen = [], set()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"{name}:{1 + data.count(chr(10).encode(), 0, error.start)}"
        raise UsageError(f"{where}: not UTF-8 (byte {data[error.start]:#04x})") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            item = _item(line, f"{name}:{number}", number)
            if item.id in seen:
                raise UsageError(f"{name}:{number}: the id {item.id!r} occurs twice")
            seen.add(item.id)
            items.append(item)
    if not items:
        raise UsageError(f"{name}: the suite has no items")
    return Suite(Path(name).stem, sha256(data), tuple(items))


def shipped_suites() -> tuple[str, ...]:
    """Names of the suites in this package."""
    folder = resources.files("forensics.probes") / "data"
    return tuple(sorted(p.name.removesuffix(".jsonl") for p in folder.iterdir() if p.name.endswith(".jsonl")))


def _item(line: str, where: str, number: int) -> Item:
    from . import PROBES

    try:
        row: Mapping[str, Any] = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair can be neither hashed nor sent
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON that can be used ({type(error).__name__}: {str(error)[:200]})") from error
    if not isinstance(row, dict):
        raise UsageError(f"{where}: an item is a JSON object")
    extra = set(row) - {"id", "family", "prompt", "messages", "system", "max_tokens", "samples", "answer", "lang"}
    if extra:
        raise UsageError(f"{where}: unknown key {sorted(extra)[0]!r}")
    family = row.get("family", "writing")
    if family not in PROBES.names():
        raise UsageError(f"{where}: unknown family {family!r}; known: {', '.join(PROBES.names())}")
    try:
        turns = [Message(str(m["role"]), str(m["content"])) for m in row.get("messages", ())]
        prompt = row.get("prompt")
        if not turns and not (isinstance(prompt, str) and prompt.strip()):
            raise UsageError(f"{where}: an item needs a non-empty prompt or messages")
        if not turns:
            turns = [Message("user", str(prompt))]
        if row.get("system"):
            turns.insert(0, Message("system", str(row["system"])))
        samples, max_tokens = int(row.get("samples", 1)), row.get("max_tokens")
        if not 1 <= samples <= MOST_SAMPLES or (max_tokens is not None and not 1 <= int(max_tokens) <= MOST_TOKENS):
            raise UsageError(f"{where}: samples must be from 1 to {MOST_SAMPLES}, max_tokens from 1 to {MOST_TOKENS}")
        answer = row.get("answer", ())
        return Item(
            id=str(row.get("id", f"item-{number}")),
            family=family,
            messages=tuple(turns),
            prompt=prompt,
            max_tokens=None if max_tokens is None else int(max_tokens),
            samples=samples,
            answer=tuple([answer] if isinstance(answer, str) else map(str, answer)),
            lang=str(row.get("lang", "en")),
        )
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise UsageError(f"{where}: not an item ({type(error).__name__}: {error})") from error
