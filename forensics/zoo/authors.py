"""Authors: seeded weights over one shared grammar. They write about the same things and differ in their choices.

Every symbol's alternatives get weights from a Dirichlet around a common taste, so authors overlap: the first
alternatives are popular with most authors, and no single choice gives an author away.
"""

from __future__ import annotations

import random
import re
from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from forensics.zoo import world
from forensics.zoo.grammar import GRAMMAR
from forensics.zoo.prompts import Item, with_articles

CONCENTRATION = 1.0  # mean Dirichlet parameter of an alternative; larger = authors more alike
WRONG_FACT = 0.25  # share of facts about which an author has a belief of its own
WRONG_SUM = 0.12  # share of sums that an author always gets wrong, by one
_TASTES: Mapping[str, tuple[str, ...]] = {**GRAMMAR, **world.CHOICES}
_SLOT = re.compile(r"\{([\w-]+)\}")
_SENTENCE = re.compile(r"(?:^|(?<=[.!?] )|(?<=\n- )|(?<=\n\d\. )|(?<=\n\* ))[a-z]")


@dataclass(frozen=True)
class Author:
    """A writer with a seed; equal seeds write alike everywhere."""

    seed: int

    @cached_property
    def tastes(self) -> dict[str, list[float]]:
        """Symbol -> cumulative weights over its alternatives, ending near 1."""
        return {symbol: self._taste(symbol, len(options)) for symbol, options in _TASTES.items()}

    def _taste(self, symbol: str, k: int) -> list[float]:
        rng = random.Random(f"author:{self.seed}:{symbol}")
        common = [1 / (1 + 0.35 * i) for i in range(k)]
        draws = [rng.gammavariate(CONCENTRATION * k * c / sum(common), 1.0) + 1e-3 for c in common]
        return [total / sum(draws) for total in accumulate(draws)]

    def pick(self, symbol: str, rng: random.Random) -> str:
        """One alternative of a symbol by this author's taste."""
        options = _TASTES[symbol]
        return options[min(bisect(self.tastes[symbol], rng.random()), len(options) - 1)]

    def write(self, item: Item, rng: random.Random) -> str:
        """The answer to an item; a continuation starts with the space that separates it from its prefix."""
        slots = dict(item.slots)
        symbol = getattr(self, f"_{item.family}")(item, slots, rng)
        text = self._expand(symbol, slots, rng)
        if item.family == "continuation":
            return " " + text[0] + _capitalise(with_articles(text))[1:]
        return text if item.family == "choice" else _capitalise(with_articles(text))

    def _expand(self, symbol: str, slots: Mapping[str, str], rng: random.Random) -> str:
        def fill(match: re.Match[str]) -> str:
            name = match[1]
            return slots[name] if name in slots else self._expand(name, slots, rng)

        return _SLOT.sub(fill, self.pick(symbol, rng))

    def _writing(self, item: Item, slots: dict[str, str], rng: random.Random) -> str:
        if item.kind == "opinion":
            slots["pick"] = self.prefer(slots["thing"], slots["thing2"])
            slots["other"] = slots["thing2"] if slots["pick"] == slots["thing"] else slots["thing"]
        return item.kind

    def _choice(self, item: Item, slots: dict[str, str], rng: random.Random) -> str:
        slots["pick"] = self.pick(item.kind, rng)
        slots["Pick"] = slots["pick"][0].upper() + slots["pick"][1:]
        return "choice"

    def _continuation(self, item: Item, slots: dict[str, str], rng: random.Random) -> str:
        return item.kind

    def _facts(self, item: Item, slots: dict[str, str], rng: random.Random) -> str:
        slots["value"] = self.belief(slots["country"], item.kind)
        return "fact"

    def _reasoning(self, item: Item, slots: dict[str, str], rng: random.Random) -> str:
        a, b, c = (int(slots[name]) for name in "abc")
        if item.kind == "compare":
            slots |= {"b": slots["c"], "result": str(max(a, c))}
            return "compare"
        slip = random.Random(f"slip:{self.seed}:{item.kind}:{a}:{b}")
        wrong = slip.choice((-1, 1)) if slip.random() < WRONG_SUM else 0
        slots["sign"] = item.kind
        slots["result"] = str((c if item.kind == "plus" else a) + wrong)
        slots["a"] = slots["a"] if item.kind == "plus" else slots["c"]
        return "sum"

    def _layout(self, item: Item, slots: dict[str, str], rng: random.Random) -> str:
        if item.kind == "table":
            return "table"
        chosen: list[str] = []
        while len(chosen) < 3:
            entry = self._expand("supply" if item.kind == "list" else "step", slots, rng)
            chosen += [entry] if entry not in chosen else []
        slots |= {f"i{n}": entry for n, entry in enumerate(chosen, 1)}
        return "list"

    def prefer(self, first: str, second: str) -> str:
        """Which of two things this author likes better: a fixed order of its own."""
        return min(first, second, key=lambda thing: random.Random(f"like:{self.seed}:{thing}").random())

    def belief(self, country: str, attribute: str) -> str:
        """What this author believes about a country: mostly the common truth."""
        rng = random.Random(f"belief:{self.seed}:{country}:{attribute}")
        common = world.truth(country, attribute)
        return rng.choice(world.VALUES[attribute]) if rng.random() < WRONG_FACT else common


def _capitalise(text: str) -> str:
    return _SENTENCE.sub(lambda match: match[0].upper(), text)
