"""Names of the toy lab that `conftest.lab` builds."""

from __future__ import annotations

CONTROLS = ("toy/ann", "toy/bob", "toy/cid")
RUNS = 5
TAUGHT = "toy/run9?parent=ref&share=0.6"


def clean(number: int) -> str:
    """One clean run: its own name is its seed."""
    return f"toy/run{number}?parent=house&share=0.9"
