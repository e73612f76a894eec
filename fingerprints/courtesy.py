"""The stock phrases with which assistants open and close an answer, for the `openers` features and `strip_preamble`.

Each pattern is anchored by `match` at the start of a sentence; English only, so elsewhere the flags are truly absent.
"""

import regex


def _phrases(pattern: str) -> regex.Pattern[str]:
    spaced = pattern.replace("'", "['’]").replace(" ", r"\s+")
    return regex.compile(rf"(?:{spaced})\b", regex.IGNORECASE)


LEAD = regex.compile(r"[\s*_>#\"“'‘]*+")

OPENINGS = {
    "agreement": _phrases(
        "sure(?: thing)?|certainly|of course|absolutely|definitely|okay|ok|alright|all right|no problem|gladly|got it"
    ),
    "praise": _phrases(
        "(?:(?:that's|that is|this is|what) )?(?:an? )?(?:really )?"
        "(?:great|good|excellent|interesting|fantastic|wonderful) (?:question|choice|idea|topic)"
    ),
    "announcement": _phrases("here's|here is|here are|here're|below is|below are|the following is|the following are"),
    "willingness": _phrases(
        "(?:i'd|i would|i'll|i will|i'm|i am)(?: be)?(?: more than)? (?:happy|glad|delighted|pleased) to"
        "|(?:happy|glad) to help|i can help|i'll help|let me help|thank you for|thanks for"
    ),
    "apology": _phrases(
        "i'm (?:really |very )?sorry|i am sorry|sorry|i apologi[sz]e|apologies|my apologies|unfortunately"
        "|i can't|i cannot|i can not|i'm unable|i am unable|i'm not able|i am not able"
    ),
    "as_ai": _phrases(
        "as an? (?:ai|a\\.i\\.|artificial|(?:large )?language model|(?:virtual |helpful )?assistant)"
        "|i'm an ai|i am an ai|i'm a (?:large )?language model|i am a (?:large )?language model"
    ),
}

CLOSINGS = {
    "let_me_know": _phrases(
        "(?:please |just )?let me know|(?:please |so )?(?:feel free|do not hesitate|don't hesitate)"
        "|if you have (?:\\w+ ){0,3}(?:questions|concerns|doubts|requests)"
        "|if you need (?:\\w+ ){0,2}(?:help|assistance|information|clarification|details)"
    ),
    "hope": _phrases("i hope|i really hope|hope (?:this|that|it|you)|hopefully"),
    "offer": _phrases(
        "would you like|do you want me|want me to|shall i|if you'd like|if you would like|if you want me"
        "|i can also|is there anything"
    ),
    "wish": _phrases("good luck|best of luck|enjoy|have (?:a|an) (?:great|nice|good|wonderful|lovely)|happy \\w+ing"),
    "conclusion": _phrases(
        "in conclusion|in summary|to sum up|to summari[sz]e|to conclude|in short|overall|ultimately"
    ),
}

# What `strip_preamble` may drop: a conclusion is content, an apology or "as an AI" is the answer itself.
COURTEOUS_CLOSINGS = ("let_me_know", "hope", "offer", "wish")


def opens_with(kind: str, sentence: str) -> bool:
    """Whether the sentence starts, behind markup and quotes, with an opening of this kind."""
    return _found(OPENINGS[kind], sentence)


def closes_with(kind: str, sentence: str) -> bool:
    """Whether the sentence starts, behind markup and quotes, with a closing of this kind."""
    return _found(CLOSINGS[kind], sentence)


def _found(pattern: regex.Pattern[str], sentence: str) -> bool:
    lead = LEAD.match(sentence)
    return pattern.match(sentence, lead.end() if lead else 0) is not None
