"""``openai/<model>`` and ``api/<profile>/<name>``: any server that speaks OpenAI's HTTP dialect.

Options beside those of `live`: ``max_tokens_field``; ``api/`` also takes ``server`` (which kind it is, if the profile's
name does not say: see `profiles`) and OpenRouter's ``order``, ``only`` and ``quantizations`` (comma separated), which
forbid every fallback.
"""

from __future__ import annotations

import httpx2

from ..errors import UsageError
from ..types import ModelSpec
from .dialect import ROUTING
from .live import COMMON, LiveBackend
from .profiles import profile_of


class OpenAIBackend(LiveBackend):
    """A model of OpenAI, or of whatever OPENAI_BASE_URL points to."""

    options = (*COMMON, "max_tokens_field")
    default_url = "https://api.openai.com/v1"


class ApiBackend(LiveBackend):
    """Any OpenAI-compatible server, under a profile that names its two environment variables."""

    options = (*COMMON, *ROUTING, "max_tokens_field", "server")

    def __init__(self, spec: ModelSpec, *, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.default_url = profile_of(spec).url
        super().__init__(spec, transport=transport)

    def _names(self) -> tuple[str, str]:
        profile, _, model = self.spec.name.partition("/")
        plain = profile.replace("-", "").replace("_", "")
        if not model or not plain.isascii() or not plain.isalnum():
            raise UsageError(
                f"{self.spec}: write api/<profile>/<model>, e.g. api/vllm/qwen?base_url=http://localhost:8000/v1"
            )
        return profile.upper().replace("-", "_"), model
