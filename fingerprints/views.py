"""Views of a text, each `str -> str` and pure: ablations that take one source of similarity away, and safe display."""

from itertools import islice

import regex

from fingerprints import tokenise
from fingerprints.courtesy import COURTEOUS_CLOSINGS, LEAD, OPENINGS, closes_with, opens_with
from fingerprints.markdown import Line, is_table_rule, lines

# regex, not re: the possessive quantifiers of the standard library miscount before Python 3.11.5.
_code_span = regex.compile(r"(`[^`\n]++`)")
_image_or_link = regex.compile(r"!?\[([^\[\]\n]*+)\]\([^()\n]*+\)")
_marks_inside = regex.compile(r"[\[*_~]")  # without one of these neither links nor emphasis
_italic = r"(?<![\w*])\*(?![\s*])([^*\n]++)(?<!\s)\*(?![\w*])"
# Italics before bold and again after, so that **a *b* c** and ***d*** lose both; the flanks keep 2*3*4 and snake_case.
_emphasis = tuple(
    regex.compile(pattern)
    for pattern in (
        _italic,
        r"\*\*([^*\n]++)\*\*",
        _italic,
        r"(?<!\w)__([^_\n]++)__(?!\w)",
        r"(?<!\w)_([^_\n]++)_(?!\w)",
        r"~~([^~\n]++)~~",
    )
)


def strip_markdown(text: str) -> str:
    """The same words without markdown: no heading, list, quote, table, rule, fence, emphasis or link marks.

    Line breaks and the contents of code stay. Takes layout away as a source of similarity, not line structure.
    """
    kept = (line for line in lines(text) if line.kind not in ("rule", "fence") and not is_table_rule(line))
    return "\n".join(_plain(line) for line in kept)


def _plain(line: Line) -> str:
    if line.kind in ("code", "blank"):
        return line.body
    body = line.body
    if line.kind == "table":
        body = " ".join(cell.strip() for cell in body.strip("|").split("|"))
    # Odd pieces are code spans, whose stars and underscores are content.
    pieces = _code_span.split(body)
    return "".join(piece.strip("`") if i % 2 else _without_emphasis(piece) for i, piece in enumerate(pieces))


def _without_emphasis(piece: str) -> str:
    if not _marks_inside.search(piece):
        return piece
    piece = _image_or_link.sub(r"\1", piece)
    for pattern in _emphasis:
        piece = pattern.sub(r"\1", piece)
    return piece


def first_words(text: str, n: int = 40) -> str:
    """The cleaned text (`tokenise.clean`) up to the end of its n-th word; all of it if it has fewer.

    Equal lengths for all: what is left cannot be length.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    cleaned = tokenise.clean(text)
    ends = (end for _, end in tokenise.word_spans(cleaned))
    return cleaned[: next(islice(ends, n - 1, None), len(cleaned))]


_MAX_COURTESY = 300  # characters; a longer "Here is ..." line is the answer itself
_interjection = regex.compile(
    # White space must follow, else "Sure-fire ways" and "OK.txt" would lose their first half.
    rf"(?:{OPENINGS['agreement'].pattern}|{OPENINGS['praise'].pattern})"
    r"(?:\s*+(?:[!.,:]++[*_]*+(?!\S)|[—–])|\s++-++(?!\S))\s*+",
    regex.IGNORECASE,
)
_first_sentence = regex.compile(r"[^.!?\n]{0,300}+[.!](?:\s++|$)")
_leading_rule = regex.compile(r"\s*+(?:[-*_]{3,}+[ \t]*+(?:\n\s*+|$))?")
_trailing_rule = regex.compile(r"\n[ \t]*+[-*_]{3,}+$")
_sentence_gap = regex.compile(r"(?<=[.!?])[ \t]+")


def strip_preamble(text: str) -> str:
    """The answer without its courtesies.

    From the start: interjections (`Sure!`, `Great question.`), sentences of willingness (`I'd be happy to help.`), and
    a line that only announces (`Here is the list:`; it ends with a colon, or stands alone before more text). From the
    end: sentences of the last two lines such as `Let me know ...` or `I hope this helps!`. Apologies, refusals and
    conclusions are content and stay. A text that is nothing but courtesy becomes empty.
    """
    return _strip_closing(_strip_opening(text))


def _strip_opening(text: str) -> str:
    rest = text
    for _ in range(4):  # "Certainly! Great question. I'd be happy to help. Here is ...:" is the longest seen
        shorter = _without_first_courtesy(rest)
        if shorter is None:
            break
        rest = shorter
    return rest


def _without_first_courtesy(text: str) -> str | None:
    lead = LEAD.match(text)
    start = lead.end() if lead else 0
    if interjection := _interjection.match(text, start):
        return text[interjection.end() :]
    end = text.find("\n", start)
    line = text[start : len(text) if end < 0 else end].rstrip("*_ \t\r")
    tail = text[start + len(line) :].lstrip("*_ \t\r") if end >= 0 else ""
    alone = line.endswith(":") or tail.replace("\r", "").startswith("\n\n")
    if alone and opens_with("announcement", line) and len(line) <= _MAX_COURTESY and tail.strip():
        rule = _leading_rule.match(tail)
        return tail[rule.end() if rule else 0 :]
    if opens_with("willingness", line) and (sentence := _first_sentence.match(text, start)):
        return text[sentence.end() :]
    return None


def _strip_closing(text: str) -> str:
    rest = text
    for _ in range(2):
        body = rest.rstrip()
        start = body.rfind("\n") + 1
        line = body[start:]
        gaps = [0, *(gap.end() for gap in _sentence_gap.finditer(line)), len(line)]
        keep = len(gaps) - 1
        while keep > 0 and _is_courteous_closing(line[gaps[keep - 1] : gaps[keep]]):
            keep -= 1
        if keep == len(gaps) - 1:
            break
        rest = _trailing_rule.sub("", (body[:start] + line[: gaps[keep]]).rstrip()).rstrip()
        if keep:
            break
    return rest


def _is_courteous_closing(sentence: str) -> bool:
    return any(closes_with(kind, sentence) for kind in COURTEOUS_CLOSINGS)


# What a reader cannot see: control, format (zero-width, bidi, tags), surrogate, private and unassigned code points,
# line separators, default-ignorables such as Hangul fillers and variation selectors, the blank braille cell; and the
# label brackets themselves, so that no text can fake a label. Left alone: newline, tab, and the selectors and joiners
# that are part of an emoji.
_unseen = regex.compile(
    r"[[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800⟦⟧]--[\n\t\u200D\uFE0F]]"
    r"|(?<!\p{Extended_Pictographic})\uFE0F"
    r"|(?<![\p{Extended_Pictographic}\p{Emoji_Modifier}\uFE0F])\u200D|\u200D(?!\p{Extended_Pictographic})",
    regex.VERSION1,
)


def visible(text: str) -> str:
    """The text with everything invisible or able to steer a terminal or a bidi renderer spelled out, as in `⟦U+200B⟧`.

    Injective: two different texts never look the same for a hidden character. Not HTML-escaped; that is the renderer's.
    """
    labelled: str = _unseen.sub(lambda found: f"⟦U+{ord(found.group()):04X}⟧", text)
    return labelled
