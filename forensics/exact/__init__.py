"""Tests whose p-value is exact because something was randomised, by name. A lane of their own."""

from ..registry import Registry

EXACT = Registry("exact", {"weights": "forensics.exact.weights:compare_weights"})

__all__ = ["EXACT"]
