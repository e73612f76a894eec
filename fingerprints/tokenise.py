"""Words, marks, sentences and paragraphs of any text, in time linear in its length.

Every repetition in the patterns is possessive (`++`, `*+`): what was consumed is never given back, so no input, however
hostile, can make the matcher back-track. The texts are a suspect's output and have to be treated as such.
"""

import re
from collections.abc import Iterable, Iterator

import regex

from fingerprints import markdown

_CJK = r"\p{Han}\p{Hiragana}\p{Katakana}"
_START = rf"[[\p{{L}}\p{{N}}]--[{_CJK}]]"
_PART = rf"[[\p{{L}}\p{{N}}\p{{M}}]--[{_CJK}]]"
_JOINED = rf"{_PART}*+(?:['’‐‑-]{_START}{_PART}*+)*+"
_WORD = rf"[{_CJK}]\p{{M}}*+|\p{{Nd}}++(?:[.,:]\p{{Nd}}++)*+{_JOINED}|{_START}{_JOINED}"
_PICTURE = r"(?:\p{Emoji_Presentation}|\p{Extended_Pictographic}\uFE0F)"
_TONE = r"\p{Emoji_Modifier}?+"
_JOINED_PICTURE = rf"\u200D\p{{Extended_Pictographic}}\uFE0F?+{_TONE}"
EMOJI = rf"\p{{Regional_Indicator}}{{2}}+|{_PICTURE}{_TONE}(?:{_JOINED_PICTURE})*+"
_MARK = rf"\.{{2,}}+|-{{2,}}+|{EMOJI}|[^\s\p{{L}}\p{{N}}\p{{M}}\p{{C}}]"

_words = regex.compile(_WORD, regex.VERSION1)
_pairs = regex.compile(rf"({_WORD})|({_MARK})", regex.VERSION1)
# What the pattern above comes to in ASCII, where most sentences are: half the time. Nothing follows a repetition that
# could fail, so it never gives back what it took either.
_ASCII_JOINED = "[A-Za-z0-9]*(?:['-][A-Za-z0-9]+)*"
_ASCII_WORD = rf"[0-9]+(?:[.,:][0-9]+)*{_ASCII_JOINED}|[A-Za-z]{_ASCII_JOINED}"
_ascii_words = re.compile(_ASCII_WORD)
_ascii_pairs = re.compile(rf"({_ASCII_WORD})|(\.{{2,}}|-{{2,}}|[!-/:-@\[-`{{-~])")
_ansi = regex.compile(r"(?:\x1B\[|\x9B)[0-?]*+[ -/]*+[@-~]")
_newline = regex.compile(r"\r\n?|[\v\f\x1C-\x1E\x85\u2028\u2029]")
_format = regex.compile(r"\p{Cf}++")
_control = regex.compile(r"[\p{Cc}--[\n\t]]", regex.VERSION1)
_cjk_end = regex.compile(r"[。！？]++[」』”’）]*+")

_end = regex.compile(r"[.!?…。！？][\"'”’»)\]*_]*+ ")
_LIST = "mr. mrs. ms. dr. prof. st. jr. sr. vs. e.g. i.e. cf. fig. eq. approx. al. inc. ltd. dept."
_ABBREVIATIONS = frozenset(_LIST.split())


def clean(text: str) -> str:
    r"""Text as its reader sees it, lest invisible characters split words: terminal escapes and format characters
    (zero-width, bidi, soft hyphen) removed, every kind of line end made `\n`, other control characters made a space.
    """
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text  # most texts: nothing below would find anything
    lines = _newline.sub("\n", _ansi.sub("", text))
    cleaned: str = _control.sub(" ", _format.sub("", lines))
    return cleaned


def words(text: str) -> list[str]:
    """Words in order, case kept. Apostrophes and hyphens inside a word belong to it (`don't`, `well-known`), a number
    is a word (`3.14`, `1st`), and every Han, Hiragana or Katakana character is one. Other scripts without spaces
    (Thai) yield one word a run.
    """
    result: list[str] = _words.findall(clean(text))
    return result


def word_spans(cleaned: str) -> Iterator[tuple[int, int]]:
    """Start and end of each word in a text that `clean` has been through."""
    return (found.span() for found in (_ascii_words if cleaned.isascii() else _words).finditer(cleaned))


def tokens(text: str) -> list[str]:
    """Words and marks in order. Dots or hyphens in a row are one mark; any other punctuation or symbol is its own."""
    return [word or mark for word, mark in pairs(clean(text))]


def pairs(cleaned: str) -> list[tuple[str, str]]:
    """Tokens of a text that `clean` has been through: `(word, "")` or `("", mark)`."""
    result: list[tuple[str, str]] = (_ascii_pairs if cleaned.isascii() else _pairs).findall(cleaned)
    return result


def paragraphs(text: str) -> list[str]:
    """Blocks between blank lines without fenced code and line marks; list items and rows stay on lines of their own."""
    return ["\n".join(units) for units in blocks(markdown.lines(clean(text)))]


def prose(text: str) -> str:
    """The text without fenced code, rules, and heading, list and quote marks: what prose features should look at."""
    return "\n\n".join(paragraphs(text))


def sentences(text: str) -> list[str]:
    """Sentences of the prose, white space folded. Headings, list items and table rows end at their line's end; other
    line breaks may be hard wraps and end nothing.
    """
    return list(each_sentence(text))


def each_sentence(text: str) -> Iterator[str]:
    """`sentences` one at a time, for who needs the first few only."""
    read = blocks(markdown.lines(clean(text)))
    return (sentence for units in read for unit in units for sentence in split(unit))


def blocks(lines: Iterable[markdown.Line]) -> list[list[str]]:
    """Paragraphs as lists of units: a heading, a list item with its continuations, a row, or a run of text lines."""
    found: list[list[list[str]]] = [[]]
    joins = False  # whether a plain text line would continue the unit before it
    for line in lines:
        if line.kind == "text" and joins:
            found[-1][-1].append(line.body)
        elif line.kind in ("text", "bullet", "numbered", "quote", "heading"):
            found[-1].append([line.body])
            joins = line.kind != "heading"
        elif line.kind == "table":
            joins = False
            if not markdown.is_table_rule(line):
                found[-1].append([line.body.replace("|", " ")])
        else:
            joins = False
            if found[-1]:
                found.append([])
    return [[" ".join(unit) for unit in block] for block in found if block]


def split(unit: str) -> Iterator[str]:
    """Sentences of one unit of `blocks`, white space folded."""
    spaced = unit if unit.isascii() else _cjk_end.sub(r"\g<0> ", unit)
    folded = " ".join(spaced.split())
    start = 0
    for found in _end.finditer(folded):
        mark, following = found.start(), found.end()
        chunk = max(start, folded.rfind(" ", start, mark) + 1)
        if _ends(folded[chunk : mark + 1], folded[following]):
            yield folded[start : following - 1]
            start = following
    if folded:
        yield folded[start:]


def _ends(chunk: str, following: str) -> bool:
    """Whether a chunk that has an end mark last, closing quotes and brackets taken off, ends a sentence."""
    if chunk[-1] not in ".…":
        return True
    initial = len(chunk) == 2 and chunk[0].isupper() and chunk[0] != "I"
    return not (following.islower() or initial or chunk.lower().lstrip("(\"'“‘") in _ABBREVIATIONS)
