"""How often each common English function word is used."""

from collections import Counter

import numpy as np

from fingerprints.features.base import Family, Vector, undefined
from fingerprints.reading import Reading

_LIST = """
a about above after again against all also although an and another any are as at be because been before being
between both but by can could did do does down during each either even every few for from further had has have he
her here his how however i if in into is it its just many may me might more most much must my no nor not now of on
one only or other our out over own same she should since so some such than that the their them then there these
they this those through thus to too under until up upon us very was we were what when where whether which while
who whom whose why will with within without would yet you your
"""
NAMES = tuple(_LIST.split())


def function_words(reading: Reading) -> Vector:
    """Occurrences of each function word / words of prose, case ignored; unit 1, range [0, 1]; NaN without a word.

    Fenced code is left out. Contractions (`don't`) count as words but not as either of their parts.
    Reference: Mosteller and Wallace, Inference and Disputed Authorship: The Federalist, 1964; Burrows, Literary and
    Linguistic Computing 17(3), 2002.
    """
    total = len(reading.lowered)
    if total == 0:
        return undefined(len(NAMES))
    counts = Counter(reading.lowered)
    return np.array([counts.get(name, 0) for name in NAMES], dtype=np.float64) / total


FAMILY = Family(NAMES, (1.0,) * len(NAMES), function_words)
