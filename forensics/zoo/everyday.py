"""Everyday prompts for the bench's students of a real model: a combinatorial list, none of it in a suite."""

from __future__ import annotations

import random

TOPICS = (
    "a bicycle chain", "rainwater", "house plants", "sourdough bread", "a kitchen knife", "the school bus", "sleep",
    "public libraries", "a leaking tap", "beehives", "chess openings", "wool socks", "the night sky", "old photographs",
    "a vegetable garden", "train journeys", "soap", "noise at work", "pocket money", "cast iron pans", "swimming",
    "a broken phone screen", "the tides", "learning to juggle", "letters by hand", "stray cats", "honey",
    "cheap paint", "walking to work", "a power cut", "river ferries", "winter coats", "compost", "tea",
    "street markets",
    "a guitar with old strings", "small talk", "maps on paper", "recycling glass", "a job interview", "mountain huts",
    "first aid kits", "birds in cities", "saving water", "a shared flat", "board games", "spices", "morning fog",
)  # fmt: skip
ASKS = (
    "Explain {x} to a beginner.", "Give me three tips about {x}.", "Why do people care about {x}?",
    "Write a short note about {x}.", "What should I know about {x}?", "Tell me something surprising about {x}.",
    "Write a few lines of a poem about {x}.", "What are common mistakes with {x}?", "Describe {x} in plain words.",
    "How has {x} changed over the years?", "Start a short story that begins with {x}.",
    "Compare {x} with something else.",
    "What would a doctor say about {x}?", "List some good questions about {x}.", "Is {x} worth the trouble?",
    "Write an email to a friend about {x}.",
)  # fmt: skip


def prompts(n: int, seed: int = 0) -> list[str]:
    """``n`` different prompts in an order drawn by ``seed``; at most ``len(TOPICS) * len(ASKS)``."""
    every = [ask.format(x=topic) for topic in TOPICS for ask in ASKS]
    if n > len(every):
        raise ValueError(f"there are {len(every)} everyday prompts, not {n}")
    return random.Random(f"everyday:{seed}").sample(every, n)
