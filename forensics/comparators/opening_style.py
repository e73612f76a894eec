"""``opening-style``: `style-delta` on how answers begin, at equal length for everybody."""

from __future__ import annotations

from dataclasses import dataclass

from .style_delta import StyleDelta


@dataclass(frozen=True, slots=True)
class OpeningStyle(StyleDelta):
    """Cosine delta over the fingerprint features of the first ``words`` words; formula and unit as in `StyleDelta`.

    Over whole answers, length and topic drive the features (measured on public models: whole answers tell students from
    others with AUC .71 and .58 for two teachers, their first 40 words with .78 and .71). What is left is how an answer
    is opened and laid out, which a system prompt can change: the ablations say how much is courtesy and markdown.
    Null hypothesis: the candidate is not S's teacher.
    """

    name: str = "opening-style"
    words: int | None = 40
