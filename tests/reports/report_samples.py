"""Records to render: one decided, one withheld, one hostile, one empty, one as large as a real audit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from forensics.record import (
    Background,
    Baseline,
    CaseRecord,
    Confounder,
    ErrorRate,
    EvidenceRecord,
    ExactRecord,
    Exhibit,
    GroupRow,
    LookRecord,
    PartyRecord,
    PavStep,
    Relations,
    Report,
    SelfCheckRecord,
    Stopping,
    TeacherRow,
    TuringRow,
    ValidationRecord,
    VerdictRecord,
)
from forensics.types import Capabilities

CONTROLS = ("amber-7b", "cobalt-7b", "dune-8b")
LIMITATIONS = (
    "Hp includes training on a public corpus of the reference's outputs: this audit cannot tell the two apart.",
    "The population holds 80 independent lineages; nothing beyond LR 80 can be claimed from it in either direction.",
    "Only English prompts were asked.",
)
CASE = CaseRecord(
    "case-2031", "Was orchid-8b trained on outputs of meridian-large?",
    "orchid-8b was trained on outputs of meridian-large.",
    "orchid-8b was not; it is a model of the same kind from the stated population.",
)  # fmt: skip
HASH = "9f2c41d07be5a6338810f4e2b7cd1590aa43e6f87d2b9c0514e8f36a7d90b2c1"


def background(rng: random.Random, spread: float, observed: float) -> Background:
    draws = sorted(rng.gauss(0, spread) for _ in range(400))
    quantiles = tuple((str(q), round(draws[int(q * 399)], 6)) for q in (0.025, 0.25, 0.5, 0.75, 0.975))
    edges = [draws[0] + i * (draws[-1] - draws[0]) / 16 for i in range(17)]
    bins = [(round(low, 6), round(high, 6), sum(low <= d < high for d in draws))
            for low, high in pairwise(edges)]  # fmt: skip
    bins[-1] = (*bins[-1][:2], bins[-1][2] + 1)
    return Background(quantiles, tuple(bins), round((1 + sum(d >= observed for d in draws)) / 401, 6))


def measured(rng: random.Random, name: str, value: float, spread: float, llr: float | None, unit: str = "",
             controls: Sequence[str] = CONTROLS, reason: str | None = None) -> EvidenceRecord:  # fmt: skip
    near = [("reference", round(0.3 + value, 6))] + [(c, round(0.3 + rng.gauss(0, spread), 6)) for c in controls]
    return EvidenceRecord(
        name, "ok", value, 168, (round(value - spread * 0.9, 6), round(value + spread * 0.8, 6)), llr, reason, unit,
        background(rng, spread, value), tuple(near),
        (("length matched", round(value * 0.86, 6)), ("no markdown", round(value * 1.04, 6)), ("no writing", None)),
        None if llr is None else (round(llr - 0.4, 4), round(llr + 0.3, 4)), None if llr is None else (-1.5, 1.6),
    )  # fmt: skip


def abstained(name: str, status: str, reason: str, n: int = 0) -> EvidenceRecord:
    return EvidenceRecord(name, status, None, n, None, None, reason)  # type: ignore[arg-type]


TEXTS = {
    "suspect": "A kettle goes quiet because the small bubbles that burst against the cooler water stop bursting: once "
    "all of the water is hot enough, they rise to the top whole. In short, the noise is collapsing steam.",
    "reference": "A kettle goes quiet because the small bubbles that collapse against the cooler water stop "
    "collapsing: once the whole body is hot enough, they rise to the top whole. In short, the noise is failing steam.",
    "amber-7b": "Great question!\n\n1. **Heating:** bubbles form at the bottom.\n2. **Collapse:** they implode and "
    "hiss.\n3. **Boiling:** they reach the surface, so the hiss stops.",
    "cobalt-7b": "Just before boiling, steam bubbles no longer implode on their way up. That implosion was the sound.",
    "dune-8b": "The kettle's sound comes from cavitation. It fades as the temperature evens out.",
}
CANAL = {
    "suspect": "Water runs downhill into the lock from the upper level, and the boat rises with it. No pump is needed.",
    "reference": "By gravity. Valves called paddles let water in from above; the gate opens once the levels are equal.",
    "amber-7b": "Water runs downhill into the chamber from the upper level, and the boat floats up. No pump is needed!",
    "cobalt-7b": "Locks use gravity: paddles open, water fills the chamber, the boat rises.",
    "dune-8b": "A lock is a chamber between two gates. Water flows in by gravity.",
}


def exhibit(item: str, direction: str, prompt: str, texts: dict[str, str], lead: float) -> Exhibit:
    near = (("reference", 0.41 + lead), ("amber-7b", 0.40), ("cobalt-7b", 0.22), ("dune-8b", 0.19))
    return Exhibit(item, "explain", direction, prompt, tuple(texts.items()), near, HASH, TOKENS)


def parties(controls: Sequence[str] = CONTROLS, answers: int = 174) -> tuple[PartyRecord, ...]:
    return (
        PartyRecord("suspect", "suspect", "api/orchid/orchid-8b", answers, 3, 0, 612.5),
        PartyRecord("reference", "reference", "file/meridian-large.jsonl", answers, 0, 0, 640.0),
        *(PartyRecord("control", c, f"file/{c}.jsonl", answers, 1, 2, 588.25) for c in controls),
    )


CAPABILITIES = {
    "suspect": Capabilities(top_k=20, seed=True, logprob_kind="raw", model_echo="orchid-8b-2031-04",
                            observed_at="2031-05-02T09:14:00Z", notes=("prompt scoring refused: 400",)),
    "reference": Capabilities(recorded=True), "amber-7b": Capabilities(recorded=True),
}  # fmt: skip
MANIFEST = {
    "tool": {"name": "distillation-forensics", "version": "0.1.0", "python": "3.12.4"},
    "packages": {"numpy": "2.3.1", "scipy": "1.16.0"},
    "case_sha256": HASH, "probes": {"core": {"items": 174, "sha256": HASH[::-1]}},
    "seed": 20310502, "families": ["explain", "writing", "choice"],
    "conditions": {"temperature": 1.0, "system_prompt": None, "base_known": False},
}  # fmt: skip
VALIDATION = ValidationRecord(
    "open-2030",
    "Eighty lineages of open models.",
    HASH,
    ("cross-likelihood", "answer-overlap"),
    (160, 480),
    (80, 80),
    (-1.90309, 1.90309),
    0.941,
    (0.912, 0.966),
    0.412,
    (0.33, 0.51),
    0.372,
    0.04,
    (ErrorRate("LR >= 10 under Hd", 2, 80, 0.025, 0.0767), ErrorRate("LR <= 1/10 under Hp", 0, 80, 0.0, 0.0368)),
    (TuringRow(2.0, 0.11, 0.09), TuringRow(10.0, 0.025, 0.0)),
    (GroupRow("fine-tuned", 160, 80, 0.941, (0.912, 0.966), 0.44), GroupRow("same base", 480, 80, None, None, 0.025)),
    (("cross-likelihood", 0.93), ("answer-overlap", 0.81)),
    0.55,
    ((-1.90309, 1.0, 1.0), (0.0, 0.88, 0.14), (1.0, 0.44, 0.025), (1.90309, 0.2, 0.0)),
    (PavStep(-1.90309, -1.2, 0, 220, None), PavStep(-1.1, 0.7, 70, 250, -0.08), PavStep(0.8, 1.90309, 90, 10, 1.43)),
    ((-1.0, 0.3, 0.28, 0.44), (0.0, 0.412, 0.372, 1.0), (1.0, 0.33, 0.3, 0.44)),
    (TeacherRow("meridian-large", (40, 40), 0.95, (0.9, 0.99), 0.52, (("answer-overlap", 0.81),)),),
)
CONFOUNDERS = (
    Confounder("Shared base model", "weights were compared", "Fine-tunes of one base resemble each other."),
    Confounder("Common teacher", None, "A third model that taught both leaves the same traces."),
)
RELATIONS = Relations(
    ("suspect", "reference", *CONTROLS),
    168,
    (
        (1.0, 0.31, 0.22, 0.21, 0.2),
        (0.31, 1.0, 0.23, 0.22, 0.19),
        (0.22, 0.23, 1.0, 0.24, 0.21),
        (0.21, 0.22, 0.24, 1.0, 0.2),
        (0.2, 0.19, 0.21, 0.2, 1.0),
    ),
    0.08,
    ((-0.4, -0.1), (-0.3, 0.1), (0.1, 0.3), (0.2, 0.2), (0.4, -0.5)),
)
TOKENS = (("A", 0.1), (" kettle", 1.4), (" goes", -0.7), (" quiet", 2.6), (" because", 0.0), (" small", 0.6))
CHECKS = (
    SelfCheckRecord("positive control", True, "a second draw of the reference is recognised: llr +1.90"),
    SelfCheckRecord("negative control", True, "no control in the suspect's place passes +0.35"),
    SelfCheckRecord("suspect against itself", None, "only one answer a prompt was recorded"),
)
BASELINES = {
    "text_blind": Baseline(0.04, (-0.31, 0.38), "looks at which prompts were answered, never at the text"),
    "length_only": Baseline(0.22, (-0.12, 0.55), "compares nothing but the length of the answers"),
}


STOPPING = Stopping(
    "llr>=1|llr<=-1|budget", "open-2030", 2, 4, "llr>=1", 1540, 6120,
    (LookRecord("next tokens", ("next-token-divergence",), 980, 0.6104),
     LookRecord("texts", ("next-token-divergence", "answer-overlap"), 1540, 1.2304, "llr>=1")),
)  # fmt: skip


def decided() -> Report:
    rng = random.Random(7)
    return Report(
        "1.0", CASE, parties(), CAPABILITIES,
        VerdictRecord(
            "copied-outputs", 1.2304, (-1.90309, 1.90309), (0.7712, 1.6904),
            "The measurements are about 17 times more probable if orchid-8b was trained on outputs of meridian-large "
            "than if it was not: moderate support for Hp.",
            "open-2030 (80 lineages, text and log-probs)",
            ("Three of five comparators lie above everything the controls show.",
             "The lead stays when answers are matched for length and layout."),
            "With these 168 items a student that learnt at least 20 % of its answers from the reference would have "
            "been found with probability 0.9.",
            ("Training on a public corpus of meridian-large's outputs.",
             "A common teacher that was not among the candidates."),
        ),
        (
            measured(rng, "cross-likelihood", 0.142, 0.05, 1.08, "nats per byte"),
            measured(rng, "answer-overlap", 0.0312, 0.008, 0.71),
            measured(rng, "style-delta", 0.11, 0.12, -0.08, reason="no part-of-speech tagger"),
            measured(rng, "relative-mmd", 0.0041, 0.001, 0.55),
            measured(rng, "choice-panel", -0.27, 0.11, -0.44),
            abstained("memorisation", "unsupported", "needs log-probs of the prompt; the endpoint returns none"),
            abstained("error-overlap", "insufficient", "only 11 items are wrong on both sides; 30 are needed", 11),
        ),
        (ExactRecord("regeneration", 0.00042, None, 120, "ok", None, "reference",
                     "the served answers and the fresh draws come from one frozen sampler"),
         ExactRecord("canary", None, None, 0, "unsupported", "no canary was published before the suspect's release")),
        BASELINES, CHECKS, LIMITATIONS,
        (exhibit("explain-001", "for", "Why does a kettle go quiet just before the water boils?", TEXTS, 0.31),
         exhibit("explain-002", "against", "How does a canal lock lift a boat without a pump?", CANAL, -0.25)),
        MANIFEST, CONFOUNDERS, RELATIONS, VALIDATION, STOPPING,
    )  # fmt: skip


def withheld() -> Report:
    rng = random.Random(11)
    return Report(
        "1.0", CASE, parties(answers=41), CAPABILITIES,
        VerdictRecord(
            "cannot-tell", None, None, None,
            "The case cannot be decided: too few usable answers and no population of its kind.",
            None, ("A self-check failed: the negative control scored as a student.",
                   "No population matches the conditions of the case (recorded answers, German prompts)."), None,
        ),
        (
            measured(rng, "answer-overlap", 0.012, 0.008, None),
            abstained("cross-likelihood", "unsupported", "the suspect gives no log-probs"),
            abstained("choice-panel", "insufficient", "9 of 30 needed items", 9),
            abstained("relative-mmd", "failed", "all controls gave the same answers"),
        ),
        (), {},
        (SelfCheckRecord("negative control", False, "amber-7b in the suspect's place scored +1.40"),
         SelfCheckRecord("positive control", True, "a second draw of the reference is recognised")),
        LIMITATIONS[2:],
        (exhibit("explain-002", "against", "How does a canal lock lift a boat without a pump?", CANAL, -0.25),),
        {"tool": {"version": "0.1.0"}},
    )  # fmt: skip


HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> </td></table> {{ 7*7 }} {% raw %} [bold red]x[/] [/] "
    "\x1b[31mred\x1b]8;;http://evil.example\x07link \u202egnp.exe\u2066 zero\u200bwidth \u0000 $\\frac{1}{0}$ | pipe "
    "`tick` ``` ~~~ "
    "[click](http://evil.example) ![i](http://evil.example/a.png) &lt; # *a* _b_ \U000e0041 \x9b5m"
)  # fmt: skip


def hostile() -> Report:
    h = HOSTILE
    rng = random.Random(3)
    e = measured(rng, h, 0.142, 0.05, 0.4, h, (h, "amber-7b"), h)
    texts = (("suspect", h + "\n```\n" + "x" * 1_000_000), ("reference", h * 3), (h, "\n\n" + h), ("amber-7b", ""))
    return Report(
        "1.0", CaseRecord(h, h + "\nsecond line", h, h), (PartyRecord("suspect", h, h, 1, 0, 0, None),),
        {h: Capabilities(model_echo=h, notes=(h,))},
        VerdictRecord("independent", -0.4, (-1.0, 1.0), (-0.8, 0.1), h, h, (h,), h, (h,)),
        (e, abstained(h, "failed", h * 100)), (ExactRecord(h, 1e-12, 3.5, 10, "ok", h, h, h),),
        {h: Baseline(0.1, None, h)},
        (SelfCheckRecord(h, None, h),), (h,),
        (Exhibit(h, h, h, h, texts, (("reference", 0.1), (h, 0.2)), h, ((h, 3.0), (h, -3.0))),),
        {h: {h: [h, {h: h}]}},
        (Confounder(h, h, h), Confounder(h, None, h)), replace(RELATIONS, names=("suspect", "reference", h, h, "c")),
        replace(VALIDATION, population=h, card=h, columns=((h, 0.5),), kinds=(GroupRow(h, 1, 1, 0.5, (0.4, 1), 0),)),
        Stopping(h, h, 1, 2, h, 5, 9, (LookRecord(h, (h,), 5, None, h),), (1,)),
    )  # fmt: skip


def empty() -> Report:
    verdict = VerdictRecord("cannot-tell", None, None, None, "Nothing was measured.", None, (), None)
    return Report("1.0", CASE, (), {}, verdict, (), (), {}, (), (), ())


def large(items: int = 200, controls: int = 10) -> Report:
    """As many exhibits and controls as a real audit may bring, every answer beyond the cap."""
    rng = random.Random(5)
    names = [f"control-{i:02d}" for i in range(controls)]
    base = decided()
    vocabulary = [f"word{i}" for i in range(900)]

    def text() -> str:
        return " ".join(rng.choice(vocabulary) for _ in range(700))

    exhibits = tuple(
        Exhibit(f"item-{i:03d}", "writing", ("for", "against")[i % 2], "Write about the harbour.",
                tuple((p, text()) for p in ("suspect", "reference", *names)),
                tuple((p, round(rng.random(), 6)) for p in ("reference", *names)), HASH)
        for i in range(12)
    )  # fmt: skip
    evidence = tuple(measured(rng, f"comparator-{i:02d}", 0.05 * i, 0.1, 0.1, controls=names) for i in range(11))
    return replace(base, parties=parties(names, items), evidence=evidence, exhibits=exhibits)
