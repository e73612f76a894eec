"""A suite that nobody has seen before: prompts drawn by a private salt from templates that anybody may read.

A template's ``{pool}`` becomes a word of that pool: the words are put in the order of HMAC-SHA256(salt, item and
word), so the draw is uniform for whoever does not know the salt, and anybody who is given it draws the same bytes
again. Items come in an order of their own, and carry ids of their own, because seeds that are sent follow from ids.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import UsageError

LEAST = 16  # bytes of a salt; fewer could be tried out
SLOT = re.compile(r"\{([a-z]+)\}")
TEMPLATES = "salted.templates"


def read_salt(path: Path) -> bytes:
    """The salt in a file; 32 random bytes in hexadecimal, for its owner's eyes, where there is none yet.

    Errors: `UsageError` if it is too short to be a secret.
    """
    try:
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
        salt = path.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if len(salt) < LEAST or len(set(salt)) < LEAST // 2:
        raise UsageError(f"{path} is no salt: it needs {LEAST} bytes that nobody can guess; let it be made here")
    return salt


def draw(salt: bytes, templates: Path | None = None) -> bytes:
    """A suite file (JSON Lines), the same for the same salt and templates. Errors: `UsageError` with file and line."""
    name = str(templates or TEMPLATES)
    source = templates or resources.files("forensics.probes") / "data" / TEMPLATES
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name}: can't be read as templates ({type(error).__name__})") from error
    pools, items = _parsed(text, name)
    order = sorted(items, key=lambda item: _rank(salt, "order", str(item["id"])))
    return "".join(json.dumps(_drawn(salt, item, pools), ensure_ascii=False) + "\n" for item in order).encode()


def combinations(templates: Path | None = None) -> float:
    """log10 of how many suites the templates can give, orders left out."""
    from math import log10

    source = templates or resources.files("forensics.probes") / "data" / TEMPLATES
    pools, items = _parsed(source.read_text(encoding="utf-8"), TEMPLATES)
    return sum(log10(len(pools[slot])) for item in items for slot in SLOT.findall(item["prompt"]))


def _parsed(text: str, name: str) -> tuple[dict[str, Sequence[str]], list[dict[str, Any]]]:
    pools: dict[str, Sequence[str]] = {}
    items: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{name}:{number}: not JSON that can be used ({str(error)[:200]})") from error
        if not isinstance(row, dict):
            raise UsageError(f"{name}:{number}: neither a pool nor an item")
        if "pool" in row:
            words = row.get("words")
            if not isinstance(words, list) or len({w for w in words if isinstance(w, str)}) < max(len(words), 2):
                raise UsageError(f"{name}:{number}: a pool has two or more different words")
            pools[str(row["pool"])] = words
        else:
            items.append(_checked({"id": f"item-{number}"} | row, pools, f"{name}:{number}"))
    if not any(SLOT.search(item["prompt"]) for item in items):
        raise UsageError(f"{name}: no item has a {{pool}} in its prompt: a salt would change nothing")
    return pools, items


def _checked(item: dict[str, Any], pools: Mapping[str, Sequence[str]], where: str) -> dict[str, Any]:
    if not isinstance(item.get("prompt"), str):
        raise UsageError(f"{where}: an item to be drawn has a prompt")
    slots = SLOT.findall(item["prompt"])
    for slot in slots:
        if slot not in pools:
            raise UsageError(f"{where}: no pool {slot!r} above it; known: {', '.join(pools) or 'none'}")
        if slots.count(slot) > len(pools[slot]):
            raise UsageError(f"{where}: the pool {slot!r} has fewer words than the prompt has places for it")
    return item


def _drawn(salt: bytes, item: Mapping[str, Any], pools: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    own = str(item["id"])
    words = {
        slot: iter(sorted(pools[slot], key=lambda word, slot=slot: _rank(salt, own, slot, word)))  # type: ignore[misc]
        for slot in SLOT.findall(item["prompt"])
    }
    prompt = SLOT.sub(lambda match: next(words[match[1]]), item["prompt"])
    prompt = prompt[:1].upper() + prompt[1:]
    return {**item, "id": f"{own}-{_rank(salt, 'id', own).hex()[:8]}", "prompt": prompt}


def _rank(salt: bytes, *parts: str) -> bytes:
    return hmac.digest(salt, json.dumps(parts).encode(), "sha256")


__all__ = ["combinations", "draw", "read_salt"]
