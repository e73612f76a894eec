"""What asking costs, from the user's own file: prices change, so none are shipped.

    currency = "USD"
    [models."openai/gpt-4o-mini"]      # the model's spec without options; * stands for anything
    input = 0.15                       # for a million tokens
    output = 0.60

Models on this machine, and recorded answers, cost nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from .errors import UsageError
from .types import ModelSpec, Request, Usage

CHARACTERS = 4  # of one token, where nobody counts them
MILLION = 1_000_000
TEMPLATE = 24  # tokens around one turn of a conversation


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens that are sent, and of a million that come back."""

    input: float
    output: float

    def of(self, asked: int, said: int) -> float:
        """Of so many tokens."""
        return (self.input * asked + self.output * said) / MILLION


FREE = Price(0.0, 0.0)


@dataclass(frozen=True)
class Prices:
    """A price file."""

    currency: str = ""
    table: Mapping[str, Price] = field(default_factory=dict)
    path: str = ""

    def of(self, spec: ModelSpec) -> Price | None:
        """The price of one model; None if it is asked over HTTP and the file does not name it."""
        name = f"{spec.provider}/{spec.name}"
        if not spec.live:
            return FREE
        return self.table.get(name) or next((p for k, p in self.table.items() if fnmatchcase(name, k)), None)


def load_prices(path: str | Path) -> Prices:
    """A price file. Errors: `UsageError` that names the file and what is wrong."""
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"no such price file: {path}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} can't be read as TOML: {error}") from error
    models, currency = data.get("models"), data.get("currency", "")
    if set(data) - {"models", "currency"} or not isinstance(models, dict) or not isinstance(currency, str):
        raise UsageError(f'{path}: a price file has currency = "…" and tables [models."provider/name"]')
    table = {}
    for name, row in models.items():
        good = isinstance(row, dict) and set(row) == {"input", "output"}
        numbers = [v for v in row.values() if isinstance(v, int | float) and not isinstance(v, bool)] if good else []
        if len(numbers) != 2 or not all(0 <= v < 1e9 for v in numbers):
            raise UsageError(f"{path}: {name} needs input and output, the prices of a million tokens")
        table[name] = Price(float(row["input"]), float(row["output"]))
    return Prices(currency, table, str(path))


UNSAID = Usage()


def tokens_of(request: Request, usage: Usage = UNSAID, text: str | None = None) -> tuple[int, int]:
    """Tokens sent and tokens that came back: as reported, or about four characters each."""
    asked, said = usage.prompt_tokens, usage.completion_tokens
    length = len(request.prompt or "") + sum(len(m.content) for m in request.messages) + len(request.target or "")
    return (length // CHARACTERS if asked is None else asked), (len(text or "") // CHARACTERS if said is None else said)


def most_tokens(request: Request) -> int:
    """No request is cut into more tokens: one a byte, and what a template writes around each turn."""
    texts = [request.prompt or "", request.target or "", *(m.content for m in request.messages)]
    return sum(len(t.encode()) for t in texts) + TEMPLATE * (1 + len(request.messages))
