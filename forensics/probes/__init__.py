"""Probe families by name; suites are data (`load_suite`)."""

from ..registry import Registry
from .base import FIRST_TOKEN, Item, Probe, Suite, load_suite, shipped_suites

_FAMILIES = ["writing", "choice", "continuation", "facts", "reasoning", "layout", "refusal", "identity", "multilingual"]
PROBES = Registry("probe", {name: f"forensics.probes.families:{name.upper()}" for name in _FAMILIES})

__all__ = ["FIRST_TOKEN", "PROBES", "Item", "Probe", "Suite", "load_suite", "shipped_suites"]
