"""Fixed sentences: what a decision, a status and a term mean. The same in every view."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_BEST = "Of the five possible answers this fits best:"

DECISIONS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "copied-outputs": ("Copied outputs", f"{_BEST} training on outputs of the reference (Hp)."),
    "copied-weights": ("Copied weights", f"{_BEST} descent from the reference's weights."),
    "shared-source": ("Shared source", f"{_BEST} a common base, a common teacher or the same public texts."),
    "independent": ("Independent", f"{_BEST} no training on the reference (Hd)."),
    "cannot-tell": ("Cannot tell", "Neither for nor against: this accuses nobody and clears nobody."),
})  # fmt: skip

# Which side of the scale a decision stands on: a colour and a mark, never the only sign of it.
SIDES: Mapping[str, str] = MappingProxyType({
    "copied-outputs": "hp", "copied-weights": "other", "shared-source": "other", "independent": "hd",
    "cannot-tell": "none",
})  # fmt: skip
MARKS: Mapping[str, str] = MappingProxyType({"hp": "▲", "hd": "▼", "other": "◆", "none": "○"})

STATUS: Mapping[str, str] = MappingProxyType({
    "ok": "measured", "insufficient": "abstained: too little data", "unsupported": "abstained: not offered",
    "failed": "abstained: failed",
})  # fmt: skip

WITHHELD = "Withheld: no likelihood ratio is given."
OTHER_GROUNDS = "The answer above rests on the reasons given with it, not on a ratio."
NOT_ONE = "That is not a ratio of 1, which would say that neither side is favoured: the question stays open."
AT_BOUND = "The value lies at the bound: the population supports nothing beyond it, whatever the data show."
NO_EXACT = (
    "No exact test was run. Such a test needs something that was drawn at random before the suspect could be trained: "
    "a canary, a logged answer of the reference, a watermark key, a weight initialisation."
)
NEAREST = (
    "Being nearest is not evidence by itself: some candidate is always nearest, and two good models agree without any "
    "training link. What counts is whether the reference is nearer than the controls make one expect."
)
BASELINES = (
    "What simple rules would have said. Where a baseline says as much as the comparators do, the comparators have "
    "added nothing."
)
HASHES = "Hashes show that the record is unchanged since it was made; they do not show that it was true when made."
NO_POWER = "No power is stated: what this audit could have detected is unknown, so finding nothing clears nobody."
CHANGE_CHECKS = "An audit whose checks of itself pass."
CHANGE_POPULATION = "A population of models of known lineage, made under these conditions: then a ratio can be given."
CHANGE_NOT_BY_PROMPTS = "Not other prompts of the same kind: the whole interval lies where the llr lies."
CHANGE_BOUNDS = "A larger population: the bound, not the data, keeps the number where it is."
CHANGE_DECISION = "A ratio of 10 or more in either direction, with an interval that stays on its side of 0."
CHANGE_EXACT = (
    "An exact test on something that was drawn at random (a canary, a logged answer, a watermark): it would hold "
    "however alike the models are."
)
NOT_CONTROLLED = "✗ not controlled"
NO_CONFOUNDERS = "The record lists no confounders."
NO_RELATIONS = "Too few items were answered by all parties to say where they lie relative to each other."
NO_MAP = "No map is drawn: on a plane the distances between these parties would be wrong by more than a tenth."
RELATIONS = (
    "How to read it: each number says how alike two parties answer the same prompts, 1 being word for word; darker is "
    "nearer. Look along the row of the suspect, then ask whether the reference is as near to other models too: such a "
    "reference is near to everybody. This picture carries no weight in the answer."
)
MAP = (
    "How to read it: parties that answer alike lie together; the axes have no meaning. The diamond is the suspect, the "
    "circles are the others."
)
JOINT = "all together (joint)"
NO_RATIOS = "No population speaks about this case, so no comparator has a likelihood ratio of its own."
FOREST = (
    "How to read it: one row a comparator; the circle is its own llr, the line its 95 % interval, the box what its "
    "population allows anybody to claim from it. Left of 0 speaks for Hd, right of 0 for Hp. The last row, a diamond, "
    "is the joint calibration of all: not a sum, because the comparators depend on one another."
)
TOKENS = (
    "The reference's answer, token by token. Shaded: tokens that the suspect finds likelier than its own base does "
    "(darker: more), dotted: less likely. A student of the reference gains on its wording; so does any model that was "
    "trained on such text."
)
SIDE_BY_SIDE = (
    "Two numbers can be compared only if they were made under the same conditions: what differs is listed before the "
    "evidence. A change between two audits of one suspect is not evidence of training by itself; versions, serving and "
    "sampling change too."
)
SAME_CONDITIONS = "Parties, suite, seed, population and versions are the same."
NOT_VALIDATED = (
    "No population speaks about this case, so nobody knows how often numbers like these mislead. That is why there is "
    "no likelihood ratio."
)
HELD_OUT = (
    "Every pair was judged by a calibration that saw none of its lineages. Shares and means weigh lineages, not pairs; "
    "intervals are 95 %, over lineages."
)
TIPPETT = (
    "How to read it: for each llr, how many pairs of either kind reach it. Good ratios keep the two lines apart, the "
    "solid one (Hp) high to the right of 0, the broken one (Hd) near the floor there."
)
PAV = (
    "How to read it: steps on the broken line mean that a stated llr is as large as the pairs that have it warrant. "
    "Steps farther from the middle than the line: the stated ratios are too modest; nearer: too bold."
)
CROSS_ENTROPY = (
    "How to read it: how much a reader with these prior odds still does not know. Lower is better; the solid line must "
    "stay below the broken one, or this reader would do better without the ratios."
)
NO_EXHIBITS = "None was picked."

GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "Suspect, reference, controls",
        "The model under question; the model whose outputs it is said to have been trained on; models known not "
        "to be a link between the two, measured in exactly the same way.",
    ),
    (
        "Hp and Hd",
        "The two hypotheses that are weighed: Hp says that the suspect was trained on outputs of the reference, "
        "Hd that it was not.",
    ),
    (
        "Likelihood ratio (LR), llr",
        "How many times more probable the measurements are under Hp than under Hd. llr is its log10: 0 favours "
        "neither, +1 is ten times for Hp, -1 ten times for Hd. It is not the probability that Hp is true.",
    ),
    (
        "Verbal scale",
        "LR 1-10 weak, 10-100 moderate, 100-1,000 moderately strong, 1,000-10,000 strong, up to a million very "
        "strong, above extremely strong support; the same words for both sides.",
    ),
    (
        "Bounds",
        "The largest llr in either direction that the reference population is big enough to support. No value is "
        "ever reported beyond them.",
    ),
    (
        "Interval",
        "Where a number would lie in 95 of 100 repetitions with other prompts of the same kind.",
    ),
    (
        "Population",
        "Model pairs of known lineage under known conditions. The llr is read from how these pairs score.",
    ),
    (
        "Comparator, value",
        "One statistic. A larger value means that the suspect is closer to the reference than the controls "
        "predict. Comparators depend on one another, so their llr are never added.",
    ),
    (
        "Background",
        "The same statistic with each control put in the reference's place, resampled over items: what these few "
        "models show where there is nothing to find. Range: its middle 95 %. It speaks for the controls named, not for "
        "all models.",
    ),
    (
        "At or above",
        "Share of the background that reaches the observed value, counted as (1 + hits) / (1 + n) and never below one "
        "in (1 + number of controls): three controls are three models, however often their items are resampled.",
    ),
    (
        "Abstained",
        "A comparator that could not measure, and why. It counts neither for nor against.",
    ),
    (
        "Ablation",
        "The same comparator with one thing taken away, to see what its value rests on.",
    ),
    (
        "Exact test, p, e",
        "A test that holds for any suspect because something was drawn at random. p: how often chance alone would "
        "reach such a result. e: evidence against chance; 20 or more is often asked for.",
    ),
    (
        "Self-check",
        "The audit run on an answer that is known. If one fails, the verdict is 'cannot tell'.",
    ),
    (
        "Power",
        "How large an effect this audit would probably have found.",
    ),
    (
        "⟦…⟧",
        "Put in by this report: a character that would not be seen or would change how the text is seen, or a "
        "note on what was left out.",
    ),
)
