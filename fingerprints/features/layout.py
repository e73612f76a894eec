"""How an answer is laid out in markdown, whatever it says."""

from collections import Counter

import numpy as np
import regex

from fingerprints.features.base import Family, Vector
from fingerprints.markdown import Kind
from fingerprints.reading import Reading
from fingerprints.tokenise import EMOJI

_SHARES: tuple[Kind, ...] = ("heading", "bullet", "numbered", "quote", "table", "rule")
NAMES = (
    *(f"{kind}_lines" for kind in _SHARES),
    "code_lines",
    "nested_lines",
    "bold_lead_lines",
    "blocks_per_line",
    "lines_per_word",
    "bold_per_100_words",
    "inline_code_per_100_words",
    "emoji_per_word",
)
_UPPER = (1.0,) * 11 + (100.0, 100.0, 1.0)

_bold = regex.compile(r"\*\*[^*\n]++\*\*|__[^_\n]++__")
_inline_code = regex.compile(r"`[^`\n]++`")
_emoji = regex.compile(EMOJI)


def layout(reading: Reading) -> Vector:
    """Shares of lines by role, and rates of inline marks.

    `*_lines`: lines of that role / lines that are not blank; a line in or at a code fence counts as code only, `nested`
    are indented list lines, `bold_lead` lines whose text starts with a bold span. `blocks_per_line`: runs of lines
    between blank lines / lines, 1 where each stands alone. `lines_per_word`: lines outside code / words of prose, cut
    at 1. Bold spans and inline code: spans per 100 words of prose, cut at 100. Emoji: pictures per word of prose (a
    joined sequence is one), cut at 1.
    Unit 1, ranges [0, 1] and [0, 100]. NaN: shares without a line, rates without a word.
    Reference: markdown features of chat models in Sun et al., arXiv 2502.12150.
    """
    n_words = len(reading.words)
    found = reading.lines
    filled = [line for line in found if line.kind != "blank"]
    n_lines = len(filled)
    counts = Counter(line.kind for line in filled)
    n_code = counts["code"] + counts["fence"]
    blocks = sum(line.kind != "blank" and (i == 0 or found[i - 1].kind == "blank") for i, line in enumerate(found))
    outside = [line.body for line in filled if line.kind not in ("code", "fence")]
    body = "\n".join(outside)
    # Cleaning takes the joiners out of emoji, so emoji are counted in the text as it came.
    n_emoji = len(_emoji.findall(reading.text))
    by_line = [counts[kind] for kind in _SHARES]
    by_line += [n_code, sum(line.nested for line in filled), sum(_bold.match(s) is not None for s in outside), blocks]
    by_word = [n_lines - n_code, 100 * len(_bold.findall(body)), 100 * len(_inline_code.findall(body)), n_emoji]
    rates = np.concatenate([_per(by_line, n_lines), _per(by_word, n_words)])
    bounded: Vector = np.minimum(rates, _UPPER)
    return bounded


def _per(counts: list[int], total: int) -> Vector:
    rates: Vector = np.array(counts, dtype=np.float64) / (total or np.nan)
    return rates


FAMILY = Family(NAMES, _UPPER, layout)
