"""Ways to reach a model, by provider name."""

from __future__ import annotations

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
        "anthropic": "forensics.backends.anthropic:AnthropicBackend",
        "gemini": "forensics.backends.gemini:GeminiBackend",
        "api": "forensics.backends.openai:ApiBackend",
        "file": "forensics.backends.file:FileBackend",
        "replay": "forensics.backends.replay:ReplayBackend",
        "toy": "forensics.backends.toy:ToyBackend",
    },
)


def open_backend(spec: ModelSpec) -> Backend:
    """The backend for a spec. Errors: `UsageError`."""
    backend: Backend = BACKENDS.load(spec.provider)(spec)
    return backend
