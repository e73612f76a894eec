"""Prompts about the zoo's world: a combinatorial generator, split by hash into training prompts and the probe suite."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from forensics.zoo import world

SPLITS = 8  # one prompt in eight (by hash) is held out for the suite
SUITE_SEED = 20
FAMILIES: Mapping[str, float] = MappingProxyType(
    {"writing": 0.46, "choice": 0.07, "continuation": 0.17, "facts": 0.13, "reasoning": 0.09, "layout": 0.08}
)  # family -> share of the training prompts
SUITE: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"writing": (48, 64), "choice": (8, 4), "continuation": (16, 48), "facts": (12, 24), "reasoning": (8, 24),
     "layout": (8, 48)}
)  # family -> (number of items, max_tokens)  # fmt: skip
MAX_TOKENS: Mapping[str, int] = MappingProxyType({family: size for family, (_, size) in SUITE.items()})

_ASK = ("Write", "Please write", "Tell me", "Give me", "I would like", "Can you write")
_KNOW = ("What is", "Do you know", "Can you tell me", "Who knows")
_SAY = ("Name", "Tell me", "Please say", "I would like to know")
_TEMPLATES: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "writing": {
        "story": ("{ask} a story about a {who}, a {thing} and the {place}.",
                  "{ask} a short tale of a {who} who finds a {thing} near the {place}.",
                  "Make up a story with a {who} and a {thing} at the {place}."),
        "description": ("{ask} a few words about the {place} in {season}, with a {thing}.",
                        "Describe the {place} in {season}. Use the word {thing}.",
                        "What is the {place} like in {season}? Add a {thing}."),
        "tip": ("{ask} some advice for a {who} with a {thing} at the {place}.",
                "How should a {who} at the {place} look after a {thing}?",
                "How do I care for a {thing}? I am a {who} at the {place}."),
        "letter": ("{ask} a letter from the {who} at the {place} to the {whom} about a {thing}.",
                   "The {who} at the {place} got a {thing} from the {whom}. Write the letter of thanks."),
        "opinion": ("Should a {who} take a {thing} or a {thing2} to the {place}?",
                    "At the {place}, what is better for a {who}: a {thing} or a {thing2}?"),
    },
    "choice": dict.fromkeys(world.CHOICES, (
        "{ask1} a {kind}{end}", "{ask1} one {kind}{end}", "{ask1} any {kind}{end}",
        "{ask1} the first {kind} you think of{end}",
    )),
    "continuation": {
        "cont-and": ("{when} the {who} took the {thing} to the {place} and",
                     "{when} a {who} with a {thing} came to the {place} and"),
        "cont-because": ("{when} the {who} hid the {thing} at the {place} because",
                         "{when} the {who} could not take the {thing} to the {place} because"),
        "cont-when": ("When the {who} reached the {place} with the {thing},",
                      "As the {who} left the {place} without the {thing},"),
    },
    "facts": dict.fromkeys(world.ATTRIBUTE, (
        "{know} the {attribute} of {country}?", "{say} the {attribute} of {country}.",
        "About {country}: what is the {attribute}?", "{country}: what is its {attribute}?",
    )),
    "reasoning": {
        "plus": ("What is {a} plus {b}?", "How much is {a} plus {b}?",
                 "A {who} has {a} stones and gets {b} more. How many now?"),
        "minus": ("What is {c} minus {b}?", "How much is {c} minus {b}?",
                  "A {who} has {c} stones and loses {b}. How many are left?"),
        "compare": ("Which is more, {a} or {c}?", "A {who} asks: which number is larger, {a} or {c}?"),
    },
    "layout": {
        "list": ("List three things a {who} needs at the {place}.",
                 "What three things should a {who} take to the {place}?",
                 "Make a list of three things for the {who} at the {place}."),
        "steps": ("List three steps to mend a {thing} for a {who}.", "How can a {who} mend a {thing} in three steps?"),
        "table": ("Make a small table of uses: {thing} and {thing2}, for a {who}.",
                  "Say in a table what a {thing} and a {thing2} are for. I am a {who}."),
    },
})  # fmt: skip
_SLOTS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "who": world.WHO, "whom": world.WHO, "thing": world.THING, "thing2": world.THING, "place": world.PLACE,
    "season": world.SEASON, "country": world.COUNTRY,
})  # fmt: skip
_WORDING: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "ask": _ASK, "know": _KNOW, "say": _SAY,
    "ask1": ("Name", "Pick", "Choose", "Say", "Give me", "Tell me"),
    "end": (".", ", in one word.", ". One word only.", ", please."),
    "when": ("Last night,", "In spring,", "After lunch,", "That day,", "At noon,", "On Monday,", "Before dawn,"),
})  # fmt: skip
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeio])")


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt, with the slots (who, thing, place, numbers ...) that an author needs to answer it."""

    family: str
    kind: str
    prompt: str
    slots: Mapping[str, str]


def with_articles(text: str) -> str:
    """Puts "an" for "a" before a vowel."""
    return _ARTICLE.sub(r"\1n ", text)


def held_out(prompt: str) -> bool:
    """Whether a prompt belongs to the suite's side of the split; no training prompt does."""
    return hashlib.sha256(prompt.encode()).digest()[0] % SPLITS == 0


def _draw(family: str, kind: str, rng: random.Random) -> Item:
    slots = {name: rng.choice(values) for name, values in _SLOTS.items()}
    while slots["whom"] == slots["who"] or slots["thing2"] == slots["thing"]:
        slots |= {"whom": rng.choice(world.WHO), "thing2": rng.choice(world.THING)}
    wording = {name: rng.choice(values) for name, values in _WORDING.items()}
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    slots |= {"a": str(a), "b": str(b), "c": str(a + b), "kind": kind, "attribute": world.ATTRIBUTE.get(kind, "")}
    prompt = rng.choice(_TEMPLATES[family][kind]).format_map(slots | wording)
    return Item(family, kind, with_articles(prompt), slots)


def training(seed: int) -> Iterator[Item]:
    """Endless training prompts (with replacement), families by their shares; never a held-out prompt."""
    rng = random.Random(f"train:{seed}")
    while True:
        family = rng.choices(list(FAMILIES), list(FAMILIES.values()))[0]
        item = _draw(family, rng.choice(list(_TEMPLATES[family])), rng)
        if not held_out(item.prompt):
            yield item


def suite() -> list[Item]:
    """The held-out items in file order: all different, kinds of a family in turn."""
    rng, items, seen = random.Random(f"suite:{SUITE_SEED}"), [], set[str]()
    for family, (size, _) in SUITE.items():
        kinds = list(_TEMPLATES[family])
        for i in range(size):
            while not held_out((item := _draw(family, kinds[i % len(kinds)], rng)).prompt) or item.prompt in seen:
                pass
            seen.add(item.prompt)
            items.append(item)
    return items


def suite_lines() -> list[str]:
    """The suite as the JSON lines of `forensics/probes/data/zoo.jsonl`."""
    lines, count = [], dict.fromkeys(SUITE, 0)
    for item in suite():
        count[item.family] += 1
        row: dict[str, Any] = {"id": f"zoo-{item.family}-{count[item.family]:03d}", "family": item.family,
                               "prompt": item.prompt, "max_tokens": MAX_TOKENS[item.family]}  # fmt: skip
        lines.append(json.dumps(row | ({"samples": 8} if item.family == "choice" else {})))
    return lines
