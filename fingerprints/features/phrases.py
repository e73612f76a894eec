"""How often each of a fixed list of stock words and phrases is used: word n-grams of one to five words."""

from collections import Counter, defaultdict

import numpy as np

from fingerprints.features.base import Family, Vector, undefined
from fingerprints.reading import Reading

# Words that carry habit rather than subject: connectives, hedges, contractions, and the stock vocabulary of assistants.
_WORDS = """
therefore additionally furthermore moreover overall ultimately essentially typically generally often usually
especially specifically particularly significantly various several numerous important importantly crucial essential key
vital ensure ensuring provide provides providing include includes including help helps helping create creating allow
allows allowing consider considering potential unique comprehensive effective valuable significant common specific
different particular notable delve tapestry testament landscape realm journey vibrant intricate nuanced foster
leverage navigate showcase underscore highlight enhance robust seamless remember note please yes first second finally
next instead likely perhaps maybe really actually simply quite enough always never people things way lot etc
it's don't can't i'm you're that's there's isn't doesn't let's you'll i'll they're we're i've won't cannot
"""
_PHRASES = """
such as|for example|for instance|as well as|in addition|in addition to|in order to|due to|because of|based on
a variety of|a wide range of|a range of|a number of|one of the|some of the|most of the|part of the|as a result
on the other hand|in general|in particular|in fact|of course|it is important to|it's important to|important to note
keep in mind|make sure|be sure to|when it comes to|whether you're|not only|but also|more than|rather than|instead of
in the case of|the fact that|according to|known as|known for|used to|can be|may be|could be|would be|will be|should be
has been|have been|there are|there is|this is|it is|that is|these are|i am|i have|you can|you may|you might|you should
you want|if you|if you're|the following|here are|this can|which can|which is|that can|that are|who is|try to|want to
need to|able to|likely to|a lot of|kind of|sort of|at least|at the same time|over time|the most|the best|the same
the first|up to|so that|even if|along with|a few|as if|like a|by using|each other|both of|play a|role in
the importance of|step by step|at the end of the day
"""
NAMES = (*_WORDS.split(), *(phrase for line in _PHRASES.strip().split("\n") for phrase in line.split("|")))
_BY_FIRST: dict[str, list[tuple[str, ...]]] = defaultdict(list)
for _phrase in NAMES:
    _BY_FIRST[_phrase.partition(" ")[0]].append(tuple(_phrase.split()))


def phrases(reading: Reading) -> Vector:
    """Occurrences of each phrase inside a sentence / words of prose, case and form of apostrophe ignored; unit 1, range
    [0, 1]; NaN without a word.

    The list is fixed and holds no subject matter, so that a rate says as little as possible about what was asked and
    nothing from which an answer could be restored. Occurrences may overlap (`in addition to` is `in addition` too).
    Reference: excess words of language models, Kobak et al., arXiv 2406.07016; word n-grams in chat models' answers,
    Sun et al., arXiv 2502.12150.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    total = 0
    for sentence in reading.sentences:
        found = tuple(word.lower().replace("’", "'") for word, _ in sentence if word)
        total += len(found)
        for i, word in enumerate(found):
            for phrase in _BY_FIRST.get(word, ()):
                if found[i : i + len(phrase)] == phrase:
                    counts[phrase] += 1
    if total == 0:
        return undefined(len(NAMES))
    return np.array([counts[tuple(name.split())] for name in NAMES], dtype=np.float64) / total


FAMILY = Family(NAMES, (1.0,) * len(NAMES), phrases)
