"""Comparators by name. To add one: a file beside this one and a line in the table."""

from ..registry import Registry
from .base import Comparator

COMPARATORS = Registry(
    "comparator",
    {
        "answer-overlap": "forensics.comparators.answer_overlap:AnswerOverlap",
        "over-represented": "forensics.comparators.over_represented:OverRepresented",
        "attribution": "forensics.comparators.attribution:Attribution",
        "opening-style": "forensics.comparators.opening_style:OpeningStyle",
        "style-delta": "forensics.comparators.style_delta:StyleDelta",
        "relative-mmd": "forensics.comparators.relative_mmd:RelativeMmd",
        "choice-panel": "forensics.comparators.choice_panel:ChoicePanel",
        "error-overlap": "forensics.comparators.error_overlap:ErrorOverlap",
        "next-token-divergence": "forensics.comparators.next_token_divergence:NextTokenDivergence",
        "residual-correlation": "forensics.comparators.residual_correlation:ResidualCorrelation",
        "cross-likelihood": "forensics.comparators.cross_likelihood:CrossLikelihood",
        "runner-up": "forensics.comparators.runner_up:RunnerUp",
        "memorisation": "forensics.comparators.memorisation:Memorisation",
        "divergence-tokens": "forensics.comparators.divergence_tokens:DivergenceTokens",
    },
)

__all__ = ["COMPARATORS", "Comparator"]
