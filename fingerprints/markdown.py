"""Lines of a chat answer and the markdown role of each: one reading shared by tokeniser, layout features and views.

Not a markdown parser. A line has one role, decided from that line and from whether a code fence is open, so the
reading is linear in the text and cannot be confused by nesting.
"""

from typing import Literal, NamedTuple

import regex

Kind = Literal["blank", "text", "heading", "bullet", "numbered", "quote", "table", "rule", "fence", "code"]


class Line(NamedTuple):
    """One line. `body` has lost its indentation and list, heading or quote marks (not so in code); `nested` marks an
    indented list line.
    """

    kind: Kind
    body: str
    nested: bool


_MARK = regex.compile(
    r"(?P<heading>#{1,6}(?!\S))|(?P<bullet>[-*+•‣◦▪●–](?!\S))|(?P<numbered>[0-9]{1,3}[.)](?!\S))|(?P<quote>>)"
)
_MARKS = regex.compile(r"(?:(?:#{1,6}(?!\S)|[-*+•‣◦▪●–](?!\S)|[0-9]{1,3}[.)](?!\S)|>)\s*+)++")
_KINDS: dict[str, Kind] = {"heading": "heading", "bullet": "bullet", "numbered": "numbered", "quote": "quote"}
_RULE_CHARS = frozenset("-*_=")
_TABLE_RULE_CHARS = frozenset("|:- \t")


def lines(text: str) -> list[Line]:
    r"""Split at `\n` and classify. An unclosed fence runs to the end, as in CommonMark: cut-off answers have them."""
    result = []
    fence = ""
    for raw in text.split("\n"):
        stripped = raw.strip()
        if fence:
            closes = stripped.startswith(fence) and not stripped.strip(fence[0])
            result.append(Line("fence" if closes else "code", raw, False))
            fence = "" if closes else fence
        elif opened := _opening_fence(stripped):
            fence = opened
            result.append(Line("fence", raw, False))
        else:
            result.append(_classify(stripped, nested=raw.startswith(("  ", "\t"))))
    return result


def _opening_fence(stripped: str) -> str:
    """The run of back-ticks or tildes if the line opens a fence, else nothing."""
    if not stripped.startswith(("```", "~~~")):
        return ""
    info = stripped.lstrip(stripped[0])
    # A back-tick after the run means code inside a line, such as ```x```, not a fence.
    return "" if stripped[0] == "`" and "`" in info else stripped[: len(stripped) - len(info)]


def _classify(stripped: str, *, nested: bool) -> Line:
    if not stripped:
        return Line("blank", "", False)
    if _is_rule(stripped):
        return Line("rule", stripped, False)
    if len(stripped) > 1 and stripped[0] == stripped[-1] == "|":
        return Line("table", stripped, False)
    found = _MARK.match(stripped)
    if found is None or found.lastgroup is None:
        return Line("text", stripped, False)
    marks = _MARKS.match(stripped)
    body = stripped[marks.end() :] if marks else stripped
    kind = _KINDS[found.lastgroup]
    return Line(kind, body, nested and kind in ("bullet", "numbered"))


def _is_rule(stripped: str) -> bool:
    mark = stripped[0]
    return mark in _RULE_CHARS and stripped.count(mark) >= 3 and set(stripped) <= {mark, " ", "\t"}


def is_table_rule(line: Line) -> bool:
    """Whether the line is the `|---|---|` that separates a table's head from its body."""
    return line.kind == "table" and "-" in line.body and set(line.body) <= _TABLE_RULE_CHARS
