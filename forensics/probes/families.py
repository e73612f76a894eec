"""The probe families: what each is evidence for. What each costs stands in its items (``forensics list probes``)."""

from .base import Probe

WRITING = Probe("writing", "style, wording and structure that a student takes over from its teacher", scored=True)
CHOICE = Probe("choice", "free one-word choices: preferences that nothing but training data explains")
CONTINUATION = Probe("continuation", "next-token preferences on raw text, free of chat templates", raw=True)
FACTS = Probe("facts", "idiosyncratic errors: two models that share a rare mistake may share a source")
REASONING = Probe("reasoning", "habits of working out, weak evidence because good answers converge", scored=True)
LAYOUT = Probe("layout", "markdown and layout habits; a system prompt moves them easily", scored=True)
REFUSAL = Probe(
    "refusal", "where and how a model declines: vendors tune it on purpose, so it weighs nothing", lane="context"
)
IDENTITY = Probe(
    "identity", "what a model says of itself: also explained by web text, so it weighs nothing", lane="context"
)
MULTILINGUAL = Probe("multilingual", "style and wording outside English", scored=True)
