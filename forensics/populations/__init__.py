"""Labelled reference populations: scores and lineage labels, numbers only; one JSON file each, its card inside."""
