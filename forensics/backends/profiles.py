"""Servers behind ``api/<profile>/``: where they listen, and what switches their own sampling defaults off.

Servers read defaults out of the model's files (generation_config.json, a Modelfile), so that two of them draw from two
distributions unless each default is overruled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import UsageError
from ..registry import unknown
from ..types import ModelSpec


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of server. ``pinned``: it is a router, and must be told which upstream answers."""

    url: str | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    pinned: bool = False


_ENGINE = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
PLAIN = Profile()
PROFILES: dict[str, Profile] = {
    "vllm": Profile("http://localhost:8000/v1", _ENGINE),
    "sglang": Profile("http://localhost:30000/v1", _ENGINE),
    "llamacpp": Profile("http://localhost:8080/v1", {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0}),
    "ollama": Profile(
        "http://localhost:11434/v1", {},
        "Ollama takes no top_k, min_p and repeat_penalty here: those of the model's own file hold",
    ),
    "litellm": Profile("http://localhost:4000/v1", {}, "a proxy: which model stands behind the name is its word"),
    "openrouter": Profile("https://openrouter.ai/api/v1", {}, "the upstream's own top_k and min_p hold", pinned=True),
}  # fmt: skip
ALIASES = {"llama-cpp": "llamacpp", "llama_cpp": "llamacpp"}


def profile_of(spec: ModelSpec) -> Profile:
    """The kind of server behind a spec: as the option ``server`` says, else as the profile is called, else a plain one.

    Errors: `UsageError` for an unknown ``server``, and for a router without a pinned upstream: each answer could come
    from another model.
    """
    if spec.provider != "api":
        return PLAIN
    asked = spec.option("server")
    name = (asked or spec.name.partition("/")[0]).lower()
    name = ALIASES.get(name, name)
    if asked and name not in PROFILES:
        raise UsageError(unknown("server", asked, PROFILES))
    found = PROFILES.get(name, PLAIN)
    if found.pinned and not (spec.option("order") or spec.option("only")):
        raise UsageError(
            f"{spec}: a router may answer with another model each time; pin the upstream, e.g. ?only=deepinfra"
        )
    return found
