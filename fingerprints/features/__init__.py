"""The table of feature families. A new family is one file here and one line below."""

import difflib
from importlib import import_module

from fingerprints.features.base import Family

__all__ = ["FAMILIES", "Family", "load_family"]

FAMILIES = {
    "function-words": "fingerprints.features.function_words:FAMILY",
    "punctuation": "fingerprints.features.punctuation:FAMILY",
    "structure": "fingerprints.features.structure:FAMILY",
    "layout": "fingerprints.features.layout:FAMILY",
    "openers": "fingerprints.features.openers:FAMILY",
}


def load_family(name: str) -> Family:
    """The family registered under this name; ValueError with the nearest known name if there is none."""
    if name not in FAMILIES:
        near = difflib.get_close_matches(name, FAMILIES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(FAMILIES)}"
        raise ValueError(f"unknown feature family {name!r}; {hint}")
    module, _, attribute = FAMILIES[name].partition(":")
    family = getattr(import_module(module), attribute)
    if not isinstance(family, Family):
        raise TypeError(f"{FAMILIES[name]} is not a Family")
    return family
