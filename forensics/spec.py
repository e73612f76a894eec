"""``provider/name?option=value`` -> `ModelSpec` and back (``str(spec)``)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl

from .errors import UsageError
from .types import ModelSpec

SECRET_WORDS = {"key", "apikey", "token", "secret", "password", "authorization", "bearer"}


def parse_spec(text: str) -> ModelSpec:
    """Parse a model spec; a bare path to an existing file means ``file/``, and may have options.

    Errors: `UsageError` for an empty spec, an unknown provider, or an option that looks like a secret (keys come from
    the environment only, because specs are stored and printed).
    """
    from .backends import BACKENDS

    text = text.strip()
    if "\0" in text:
        raise UsageError(f"{text[:80]!r} is no model spec: no path and no name holds a NUL character")
    if text.partition("/")[0] not in BACKENDS.names() and os.path.isfile(os.path.expanduser(text)):
        return _file(text)  # a question mark may be part of a file's name
    head, mark, query = text.partition("?")
    provider, slash, name = head.partition("/")
    if head.startswith(("/", "./", "../", "~")) or (provider not in BACKENDS.names() and os.path.isfile(head)):
        provider, slash, name = "file", "/", _file(head if mark else text).name
    if not slash or not name:
        raise UsageError(
            f"{head!r} is no model spec and no file: write provider/name, e.g. hf/models/mine or zoo/student"
        )
    BACKENDS.load(provider)
    options = tuple(sorted(parse_qsl(query, keep_blank_values=True)))
    for key, value in options:
        if SECRET_WORDS & set(re.split(r"[\W_]+", key.lower())):
            raise UsageError(
                f"option {key!r} of {provider}/{name} looks like a secret: set it in the environment instead"
            )
        if key == "base_url" and re.search(r"[@?#]", value):  # specs are printed and stored before they are opened
            raise UsageError(
                f"base_url of {provider}/{name} must hold no user, password, query or fragment: keys come from the "
                "environment"
            )
    return ModelSpec(provider, name, options)


def _file(text: str) -> ModelSpec:
    path = Path(os.path.expanduser(text))  # pathlib's own calls raise where there is no such user, or no such long name
    if os.path.isdir(path):
        raise UsageError(f"{text} is a directory: write hf/{text} for a model directory, or name a file of answers")
    if not os.path.isfile(path):
        raise UsageError(f"no such file of answers: {text}")
    return ModelSpec("file", str(path))
