"""How long a server asks us to wait, in every form that one was seen to use.

In order: ``retry-after-ms``; ``retry-after`` in seconds or as an HTTP date; the reset time of a limit that is used up
(``x-ratelimit-reset-*`` as a duration, seconds or an epoch; ``anthropic-ratelimit-*-reset`` in RFC 3339); and
``retryDelay`` in the body of a Google error.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
EPOCH = 1e9  # a number of seconds above this is a moment and no duration; a thousand times as much, in milliseconds
RESET = re.compile(r"x-ratelimit-reset(?:-(.+))?|anthropic-ratelimit-(.+)-reset")


def retry_after(headers: Mapping[str, str], now: datetime, status: int = 429, raw: bytes = b"") -> float | None:
    """Seconds to wait, above 0; None where the server does not say. Limits count after a 429 alone: elsewhere they say
    how things stand and not that we should wait."""
    for name, read in (("retry-after-ms", _milliseconds), ("retry-after", _moment)):
        wait = read(headers.get(name, ""), now)
        if wait is not None:
            return wait
    return _reset(headers, now) or _google(raw, now) if status == 429 else None


def _sane(seconds: float) -> float | None:
    return seconds if 0 < seconds < math.inf else None


def _milliseconds(text: str, _: datetime) -> float | None:
    try:
        return _sane(float(text) / 1000)
    except ValueError:
        return None


def _moment(text: str, now: datetime) -> float | None:
    """Seconds as a number, a duration, an epoch, an HTTP date or RFC 3339."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        if number > EPOCH:
            number = number / (1000 if number > EPOCH * 100 else 1) - now.timestamp()
        return _sane(number)
    if DURATION.fullmatch(text):
        return _sane(sum(float(n) * UNITS[u] for n, u in PART.findall(text)))
    readers: tuple[Callable[[str], datetime], ...] = (parsedate_to_datetime, datetime.fromisoformat)
    for read in readers:
        try:
            moment = read(text)
            return _sane((moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
        except (ValueError, OverflowError):
            continue
    return None


def _reset(headers: Mapping[str, str], now: datetime) -> float | None:
    """The latest reset among the limits that are used up, or whose rest the server does not say."""
    waits = []
    for name, text in headers.items():
        found = RESET.fullmatch(name.lower())
        if found:
            rest = headers.get(
                f"anthropic-ratelimit-{found[2]}-remaining"
                if found[2]
                else "x-ratelimit-remaining" + (f"-{found[1]}" if found[1] else "")
            )
            wait = _moment(text, now)
            if wait is not None and (rest is None or rest.strip() in ("0", "0.0")):
                waits.append(wait)
    return max(waits, default=None)


def _google(raw: bytes, now: datetime) -> float | None:
    if b"retryDelay" not in raw or len(raw) > 1 << 20:  # no refusal is that long
        return None
    try:
        body = json.loads(raw)
        body = body[0] if isinstance(body, list) else body  # some of its endpoints wrap the error in a list
        details = body["error"]["details"]
        delays = [d["retryDelay"] for d in details if isinstance(d, dict) and "retryDelay" in d]
        return _moment(str(delays[0]), now)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
