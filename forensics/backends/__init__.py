"""Ways to reach a model, by provider name."""

from __future__ import annotations

from ..errors import BackendError
from ..registry import Registry
from ..types import ModelSpec
from .base import Backend

BACKENDS = Registry(
    "backend",
    {
        "hf": "forensics.backends.local:HfBackend",
        "gguf": "forensics.backends.local:GgufBackend",
        "zoo": "forensics.backends.local:ZooBackend",
        "openai": "forensics.backends.openai:OpenAIBackend",
        "api": "forensics.backends.openai:ApiBackend",
        "file": "forensics.backends.file:FileBackend",
        "replay": "forensics.backends.replay:ReplayBackend",
        "toy": "forensics.backends.toy:ToyBackend",
    },
)


def open_backend(spec: ModelSpec) -> Backend:
    """The backend for a spec. Errors: `UsageError`, or `BackendError` if an optional package is missing."""
    try:
        backend: Backend = BACKENDS.load(spec.provider)(spec)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("torch", "transformers", "gguf", "accelerate"):
            raise BackendError(
                f"{spec} needs the package {error.name!r}: pip install 'distillation-forensics[local]'"
            ) from error
        raise
    return backend
