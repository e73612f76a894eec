"""Small language models of known lineage that ship with the tool: for the demo, the tests and the calibration."""

from __future__ import annotations

from pathlib import Path

__all__ = ["card", "models", "path"]

_WEIGHTS = Path(__file__).parent / "weights"
_CARDS = {
    "base": "the base of all students: many authors, its own initialisation",
    "teacher": "the reference R: origin A further trained on one author's text",
    "teacher-2": "another teacher: origin B further trained on another author's text",
    "control-a": "a control: origin B further trained on a third author's text",
    "control-b": "a control: origin B further trained on a fourth author's text",
    "control-c": "a control: origin C further trained on a fifth author's text",
    "student": "base fine-tuned on text sampled from teacher",
    "student-25": "base fine-tuned on sampled text, 25 % from teacher and 75 % from teacher-2",
    "sibling": "base fine-tuned on text sampled from teacher-2: same base, same prompts, another teacher",
    "independent": "origin C further trained on a sixth author's own text; no model's output",
    "descendant": "teacher's own weights, lightly further trained on an unrelated author's text",
}


def models() -> tuple[str, ...]:
    """The names of the models that ship."""
    return tuple(_CARDS)


def card(name: str) -> str:
    """One line on what a model is."""
    if name not in _CARDS:
        raise KeyError(f"unknown zoo model {name!r}; known: {', '.join(_CARDS)}")
    return _CARDS[name]


def path(name: str) -> Path:
    """The folder of a model: config, bf16 weights, tokenizer, recipe."""
    card(name)
    return _WEIGHTS / name
