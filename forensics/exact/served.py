"""A provider's own log -> the prompts and answers of suspected and of unsuspected accounts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..answer_formats import Answer, Bad, asked_sampling, messages_of
from ..answers import read_answers
from ..errors import UsageError
from ..types import Message, Sampling
from .sealed import read_lines


@dataclass(frozen=True, slots=True)
class Served:
    """One logged call: what was asked, what was served, under which limits. ``key``: a hash of the conversation."""

    key: str
    messages: tuple[Message, ...]
    text: str
    sampling: Sampling
    line: int


@dataclass(frozen=True, slots=True)
class Log:
    """The first call of every prompt, in the log's order. ``notes``: what was left out, in words and counts."""

    digest: str
    suspected: tuple[Served, ...]
    others: tuple[Served, ...]
    notes: tuple[str, ...]


def read_log(
    path: Path,
    *,
    accounts: Collection[str] = (),
    requests: Path | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    skip_bad: bool = False,
) -> Log:
    """The log with calls of ``accounts`` as the suspected ones (all, if none are named).

    Left out without reading the answers' content: repeated prompts (the first call stays), blocked and empty answers.
    Errors: `UsageError` for a log without prompts, an account that is not in it, or answers that were cut at a limit
    nobody knows (redraws could not be cut the same way).
    """
    file = read_answers(path, skip_bad=skip_bad)
    asked = _requests(requests) if requests else {}
    rows = [_completed(a, asked) for a in file.answers]
    known = {a.account for a in rows}
    if missing := sorted(set(accounts) - {k for k in known if k}):
        raise UsageError(f"{path}: no call of account {missing[0]!r}; the log has {len(known - {None})} accounts")
    usable = [a for a in rows if a.conversation and a.text and a.text.strip() and a.finish not in ("filter", "error")]
    if not usable:
        raise UsageError(f"{path}: no answer with its prompt; for batch output give the requests with --requests FILE")
    cut = [a for a in usable if a.finish == "length" and a.sampling is None]
    if cut and max_tokens is None:
        raise UsageError(
            f"{path}:{cut[0].line}: {len(cut)} answers were cut at a limit that the log does not say; give it with "
            "--max-tokens, so that redraws are cut the same way"
        )
    served = [_served(a, max_tokens, temperature) for a in usable]
    mine = [s for s, a in zip(served, usable, strict=True) if not accounts or a.account in accounts]
    theirs = [s for s, a in zip(served, usable, strict=True) if accounts and a.account not in accounts]
    suspected = _first_of_each(mine)
    others = _first_of_each(theirs, {s.key for s in suspected})
    notes = [f"{len(rows)} calls, {len(suspected)} different prompts of suspected and {len(others)} of other accounts"]
    if len(rows) - len(usable):
        notes.append(f"{len(rows) - len(usable)} calls without a usable answer or prompt left out")
    if len(mine) - len(suspected):
        notes.append(f"{len(mine) - len(suspected)} repeated prompts left out (the first call stays)")
    if not accounts or not others:
        notes.append("no other account: drift between serving and redrawing is only checked on the suspected ones")
    return Log(file.digest, tuple(suspected), tuple(others), (*notes, *file.skipped[:1]))


def _completed(answer: Answer, asked: dict[str, Answer]) -> Answer:
    """A batch answer with the prompt, the sampling and the account of its request."""
    request = asked.get(answer.id or "")
    if answer.conversation or request is None:
        return answer
    return replace(
        answer, messages=request.messages, sampling=answer.sampling or request.sampling,
        account=answer.account or request.account,
    )  # fmt: skip


def _requests(path: Path) -> dict[str, Answer]:
    """Input of an OpenAI batch by custom_id."""
    out = {}
    for number, row in enumerate(read_lines(path, "custom_id"), 1):
        body: dict[str, Any] = row["body"] if isinstance(row.get("body"), dict) else {}
        try:
            messages = messages_of(body.get("messages"))
            sampling = asked_sampling(body)
        except Bad as why:
            raise UsageError(f"{path}:{number}: {why}") from why
        user = body.get("user")
        ident = str(row["custom_id"])
        out[ident] = Answer(
            None, messages, None, ident, sampling=sampling, account=user if isinstance(user, str) else None
        )
    return out


def _served(answer: Answer, max_tokens: int | None, temperature: float | None) -> Served:
    sampling = answer.sampling or Sampling(max_tokens=1024)
    sampling = replace(
        sampling, seed=None, max_tokens=max_tokens or sampling.max_tokens,
        temperature=sampling.temperature if temperature is None else temperature,
    )  # fmt: skip
    return Served(answer.key, answer.conversation, (answer.text or "").strip(), sampling, answer.line)


def _first_of_each(calls: Iterable[Served], taken: Collection[str] = ()) -> list[Served]:
    found: dict[str, Served] = {}
    for call in calls:
        if call.key not in taken:
            found.setdefault(call.key, call)
    return list(found.values())


def read_redraws(path: Path, mine: Sequence[Served], held: Sequence[Served], m: int) -> dict[str, list[str]]:
    """Redraws by prompt from a file of answers, the first m of each prompt; held-back calls may have none.

    Errors: `UsageError` if no suspected call has m.
    """
    by_key: dict[str, list[str]] = {}
    for answer in read_answers(path).answers:
        by_key.setdefault(answer.key, []).append((answer.text or "").strip())
    if not any(len(by_key.get(call.key, ())) >= m for call in mine):
        most = max((len(by_key.get(call.key, ())) for call in mine), default=0)
        raise UsageError(f"{path}: no logged prompt has {m} redraws (the most is {most}); lower --draws or add redraws")
    return {call.key: by_key[call.key][:m] for call in (*mine, *held) if len(by_key.get(call.key, ())) >= m}


def digest_of(texts: Sequence[Sequence[str]]) -> str:
    """SHA-256 of all draws: names them in the case without holding them."""
    from ..types import sha256

    return sha256(json.dumps(texts, ensure_ascii=False).encode())
