"""The table of feature families. A new family is one file here and one line below."""

import difflib
from functools import cache
from importlib import import_module

from fingerprints.features.base import Family

__all__ = ["DEFAULT", "FAMILIES", "FEATURE_SET", "PLAIN", "Family", "load_family"]

FAMILIES = {
    "function-words": "fingerprints.features.function_words:FAMILY",
    "punctuation": "fingerprints.features.punctuation:FAMILY",
    "structure": "fingerprints.features.structure:FAMILY",
    "layout": "fingerprints.features.layout:FAMILY",
    "openers": "fingerprints.features.openers:FAMILY",
    "phrases": "fingerprints.features.phrases:FAMILY",
    "pos-templates": "fingerprints.features.pos_templates:FAMILY",
}

# What is measured unless told otherwise. Shipped populations are calibrated on these families, so they stay as they
# are, and a result never depends on which extras happen to be installed.
DEFAULT = ("function-words", "punctuation", "structure", "layout", "openers")

# Every family that needs no extra: what a fingerprint holds unless told otherwise.
PLAIN = (*DEFAULT, "phrases")

# Raised whenever the same text gives other numbers: fingerprints of different versions are never compared.
FEATURE_SET = "1"


@cache
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
