"""Samples made of texts, for the comparators that read nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forensics.types import Completion, Message, Request, Sample, Unit

Answers = Sequence[Sequence[str | None]]  # by item, then by draw


def text_sample(parties: Mapping[str, Answers], family: str = "writing") -> Sample:
    """Answers of "suspect", "reference" and controls, the same number of draws of an item for everyone."""
    shape = [len(item) for item in parties["suspect"]]
    units = [
        Unit(f"i{i}", family, draw, Request(family, f"i{i}", (Message("user", f"Question {i}?"),), sample=draw))
        for i, draws in enumerate(shape)
        for draw in range(draws)
    ]
    columns = {
        name: tuple(Completion("d", text, "stop" if text else "filter") for item in answers for text in item)
        for name, answers in parties.items()
    }
    suspect, reference = columns.pop("suspect"), columns.pop("reference")
    return Sample(tuple(units), suspect, reference, columns)
