"""Every value that crosses a stage. Frozen, slotted, and importing nothing of ours.

Token arithmetic is in nats and called ``logprob``; ``llr`` is always log10 of a likelihood ratio.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, overload
from urllib.parse import quote

Role = Literal["suspect", "reference", "control", "base"]
Status = Literal["ok", "insufficient", "unsupported", "failed"]
Finish = Literal["stop", "length", "filter", "error", "unknown"]
LogprobKind = Literal["raw", "processed", "unknown"]
Decision = Literal["copied-outputs", "copied-weights", "shared-source", "independent", "cannot-tell"]


# Read by pydantic wherever these dataclasses meet JSON: bytes as base64, -inf as a string, unknown keys refused.
WIRE = {"ser_json_bytes": "base64", "val_json_bytes": "base64", "ser_json_inf_nan": "strings", "extra": "forbid"}


def canonical(value: Any) -> bytes:
    """Canonical JSON (RFC 8785) of plain values: the bytes that every hash of ours is taken over."""
    import rfc8785

    return rfc8785.dumps(value)


_plain = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def plain(value: Any) -> bytes:
    """The bytes of `canonical` at a tenth of its cost, for values without floats whose keys are ASCII."""
    return _plain(value).encode()


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


MAKERS = ("openai", "anthropic", "gemini")  # providers that serve nobody's models but their own
MANNERS = ("concurrency", "timeout", "retries")  # options of live models that change no answer
LIVE = (*MAKERS, "api")  # models behind HTTP, which may change while they are asked


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Which model, reached how: ``provider/name?option=value``. Never holds a key."""

    __pydantic_config__ = WIRE

    provider: str
    name: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Which model it is; how patiently a live one is asked is no part of that, and may change in mid-case."""
        return _written(self)

    @property
    def vendor(self) -> str | None:
        """Who made the model, as the option ``vendor`` says or a maker's own service tells; None if nothing does."""
        return self.option("vendor") or (self.provider if self.provider in MAKERS else None)

    @property
    def live(self) -> bool:
        """Whether somebody else serves it over HTTP."""
        return self.provider in LIVE

    def option(self, key: str, default: str | None = None) -> str | None:
        """The value of one option, or ``default``."""
        return dict(self.options).get(key, default)


@functools.lru_cache(maxsize=256)  # every answer is stored under it
def _written(spec: ModelSpec) -> str:
    kept = [(k, v) for k, v in spec.options if not (spec.live and k in MANNERS)]
    query = "&".join(f"{quote(k)}={quote(v, safe='/:,.@-_')}" for k, v in kept)
    return f"{spec.provider}/{spec.name}" + (f"?{query}" if query else "")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint was *measured* to offer; a field nobody could measure keeps its modest default."""

    __pydantic_config__ = WIRE

    text: bool = True
    top_k: int = 0  # top log-probs a token; 0: none, -1: the whole vocabulary
    prompt_scoring: bool = False
    full_logits: bool = False
    weights: bool = False
    seed: bool = False
    n: int = 1
    logprob_kind: LogprobKind = "unknown"
    recorded: bool = False  # answers only: nothing new can be asked
    system_role: bool = True  # False: the system's text has to stand at the head of the user's
    model_echo: str | None = None
    observed_at: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    __pydantic_config__ = WIRE

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sent explicitly with every request, because server defaults differ per model file."""

    __pydantic_config__ = WIRE

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 256
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to ask: a conversation (``messages``) or raw text (``prompt``).

    With ``target`` nothing is generated: the answer ``target`` is scored under the model instead.
    ``top_logprobs``: 0 none, k > 0 the k likeliest tokens a position, -1 the whole vocabulary.
    ``answer``: the item's accepted answers, if it has any; never sent, and no part of the digest.
    """

    __pydantic_config__ = WIRE

    probe: str
    item: str
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    sampling: Sampling = Sampling()
    sample: int = 0
    top_logprobs: int = 0
    target: str | None = None
    answer: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over everything that can change the answer; the store's key together with the model's spec."""
        return _digest(self)


@functools.lru_cache(maxsize=1024)  # each step of one request's way asks for it
def _digest(request: Request) -> str:
    # Requests that are equal share an entry, so their numbers are written alike: 1 as 1.0, -0.0 as 0.0.
    s = request.sampling
    body = {
        "messages": [[m.role, m.content] for m in request.messages],
        "prompt": request.prompt,
        "sampling": [repr(float(s.temperature) + 0.0), repr(float(s.top_p) + 0.0), s.max_tokens, s.seed],
        "sample": request.sample,
        "top": request.top_logprobs,
        "target": request.target,
    }
    return sha256(plain(body))


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token as bytes, its logprob (nats), the listed alternatives, and ``floor``: the largest logprob that an
    unlisted token can have (None: the list is the whole vocabulary)."""

    __pydantic_config__ = WIRE

    token: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()
    floor: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the endpoint reports them; None where it does not."""

    __pydantic_config__ = WIRE

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. ``text`` is None, never "", where the endpoint gave no text (filter, tool call, failure)."""

    __pydantic_config__ = WIRE

    request_digest: str
    text: str | None
    finish: Finish = "unknown"
    tokens: tuple[TokenLogprob, ...] = ()
    reasoning: str | None = None
    usage: Usage = Usage()
    model_echo: str | None = None
    fingerprint: str | None = None  # the server's own word for its build, e.g. system_fingerprint
    raw_digest: str | None = None
    received_at: str | None = None
    error: str | None = None

    @property
    def usable(self) -> bool:
        """Whether there is text that may be scored as an answer: blocked, failed and empty ones never are."""
        return self.text is not None and self.text.strip() != "" and self.finish not in ("filter", "error")

    @property
    def logprob(self) -> float:
        """Sum over the tokens, nats."""
        return sum(t.logprob for t in self.tokens)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a backend hands over: the parsed completion and the very bytes that it came in."""

    completion: Completion
    raw: bytes


@dataclass(frozen=True, slots=True)
class Unit:
    """One row of a sample: an item, its family, which draw of it, and what was asked."""

    item: str
    family: str
    sample: int
    request: Request


Column = Sequence[Completion | None]


@dataclass(frozen=True, slots=True)
class Lazy(Sequence[Completion | None]):
    """A column that nobody holds: ``read`` looks row ``rows[i]`` up, every time it is asked for."""

    read: Callable[[int], Completion | None]
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Completion | None: ...
    @overload
    def __getitem__(self, place: slice) -> Lazy: ...
    def __getitem__(self, place: int | slice) -> Completion | Lazy | None:
        found = self.rows[place]
        return Lazy(self.read, found) if isinstance(found, Sequence) else self.read(found)


@dataclass(frozen=True, slots=True)
class Sample:
    """All that a comparator sees: completions aligned with ``units``; None where a party has no answer.

    ``likelihoods[scorer, author]`` holds, aligned with ``units``, the author's answers scored under the scorer.
    Scorers are "suspect", "base", control names and (its own answers only) "reference"; authors "reference" and control
    names. ``redraw`` is a second draw of the reference, kept away from the scores and used as positive control.
    ``again[party]``: what a live endpoint answered when it was asked again at the end.
    """

    units: tuple[Unit, ...]
    suspect: Column
    reference: Column
    controls: Mapping[str, Column]
    base: Column | None = None
    redraw: Column | None = None
    likelihoods: Mapping[tuple[str, str], Column] = field(default_factory=dict)
    again: Mapping[str, Column] = field(default_factory=dict)

    def rows(self, keep: Callable[[Unit], bool]) -> Sample:
        """The same sample with only the units for which ``keep`` is true."""
        index = [i for i, unit in enumerate(self.units) if keep(unit)]

        def take(column: Column) -> Column:
            if isinstance(column, Lazy):
                return Lazy(column.read, [column.rows[i] for i in index])
            return tuple(column[i] for i in index)

        if len(index) == len(self.units):
            return self
        return Sample(
            units=tuple(self.units[i] for i in index),
            suspect=take(self.suspect),
            reference=take(self.reference),
            controls={k: take(v) for k, v in self.controls.items()},
            base=None if self.base is None else take(self.base),
            redraw=None if self.redraw is None else take(self.redraw),
            likelihoods={k: take(v) for k, v in self.likelihoods.items()},
            again={k: take(v) for k, v in self.again.items()},
        )

    @property
    def candidates(self) -> dict[str, Column]:
        """Reference first, then the controls: every author that S can be near to."""
        return {"reference": self.reference, **self.controls}


@dataclass(frozen=True, slots=True)
class Score:
    """One comparator's number with the null it is read against.

    ``value``: larger = S closer to R than the controls predict. ``null``: the same statistic with controls in R's
    place, resampled over items. ``interval``: 95 %, bootstrap over items. ``closeness``: S's closeness to every
    candidate on the comparator's own scale. ``replicates``: the bootstrap behind the interval.
    """

    comparator: str
    status: Status
    value: float | None = None
    n: int = 0
    interval: tuple[float, float] | None = None
    null: tuple[float, ...] = ()
    closeness: tuple[tuple[str, float], ...] = ()
    ablations: tuple[tuple[str, float | None], ...] = ()
    replicates: tuple[float, ...] = ()
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.status == "ok" and (self.value is None or self.interval is None):
            raise ValueError(f"{self.comparator}: an ok score needs a value and an interval")
        if self.status != "ok" and (self.value is not None or not self.reason):
            raise ValueError(f"{self.comparator}: a score that is not ok has a reason and no value")


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """A log10 likelihood ratio that cannot exist without its bounds and the population it was read from."""

    llr: float
    bounds: tuple[float, float]
    interval: tuple[float, float]
    population: str

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not (low <= self.llr <= high and low <= self.interval[0] <= self.interval[1] <= high):
            raise ValueError(f"llr {self.llr} and interval {self.interval} must lie within the bounds {self.bounds}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A score and, if a population allows one, its own likelihood ratio. These are dependent: never add them."""

    score: Score
    lr: LikelihoodRatio | None


@dataclass(frozen=True, slots=True)
class ExactResult:
    """One exact test: p (never 0) holds whatever S looks like, because ``assumes`` was randomised. ``finding``: the
    result in words that an investigator can say aloud; ``breaks``: what would make it wrong; ``power``: what it would
    have detected. ``randomness`` names what was drawn: e-values of one randomness are averaged, else multiplied.
    ``inputs``: SHA-256 of the stored inputs that `forensics.exact.recompute` makes this result from."""

    test: str
    status: Status
    p: float | None = None
    e: float | None = None
    n: int = 0
    against: str = "reference"
    assumes: str = ""
    finding: str = ""
    reason: str | None = None
    breaks: str = ""
    power: str = ""
    randomness: str = ""
    inputs: str = ""
    value: float | None = None  # what was measured, where that is no test and has no p


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The audit tried on an answer that is known: passed, failed, or not possible, and why."""

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one bounded statement."""

    decision: Decision
    lr: LikelihoodRatio | None
    wording: str
    reasons: tuple[str, ...]
    alternatives: tuple[str, ...] = ()
    power: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """What the engine tells while it works; only the CLI draws it."""

    stage: str
    party: str
    done: int
    total: int
    note: str = ""


Listener = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """The listener that does nothing."""
