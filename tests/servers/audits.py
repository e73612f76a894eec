"""One small audit at temperature 0, whatever way its suspect is reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forensics import AuditConfig, Store, audit
from forensics.plan import gather, stored_plan
from forensics.record import Report
from forensics.types import Completion, Sample

TOPICS = """
rivers bridges bread winter trains gardens clocks islands weather music maps lamps horses paper wells roads stars
boats wool salt glass birds forests letters kitchens markets towers shoes rain stones ladders bells
""".split()
BEGUN = (
    "The river runs past the",
    "Once upon a time there was a",
    "In winter the old mill is",
    "She opened the door and",
)
CONTROLS = ("zoo/control-a", "zoo/control-b", "zoo/control-c")


@dataclass(frozen=True)
class Audited:
    """What an audit left: its report and its sample."""

    report: Report
    sample: Sample

    @property
    def texts(self) -> dict[str, str | None]:
        """Item -> what the suspect said; next-token queries apart."""
        pairs = zip(self.sample.units, self.sample.suspect, strict=True)
        return {u.item: None if c is None else c.text for u, c in pairs if u.family != "first-token"}

    @property
    def next_tokens(self) -> dict[str, Completion]:
        """Context -> the suspect's completion that carries its next-token distribution."""
        pairs = zip(self.sample.units, self.sample.suspect, strict=True)
        return {u.item: c for u, c in pairs if u.family == "first-token" and c is not None}

    @property
    def values(self) -> dict[str, float]:
        """Comparator -> value, of those that could be measured."""
        return {e.comparator: e.value for e in self.report.evidence if e.value is not None}


def audited(suspect: str, folder: Path) -> Audited:
    """Ask and judge. The others of the case are zoo models in this process."""
    suite = folder / "short.jsonl"
    lines = [f'{{"id": "{t}", "prompt": "Write one sentence about {t}.", "max_tokens": 12}}\n' for t in TOPICS]
    lines += [
        f'{{"id": "begun-{i}", "family": "continuation", "prompt": "{text}", "max_tokens": 12}}\n'
        for i, text in enumerate(BEGUN)
    ]
    suite.write_text("".join(lines))
    config = AuditConfig(suspect, "zoo/teacher", CONTROLS, suite=str(suite), temperature=0.0)
    with Store(folder / "audit.case") as store:
        report = audit(config, store=store)
        return Audited(report, gather(stored_plan(store), store))


def common_tops(one: Audited, two: Audited) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Per context that both answered: log-probs (nats) of the next tokens that both list."""
    for item in one.next_tokens.keys() & two.next_tokens.keys():
        a, b = (dict(x.next_tokens[item].tokens[0].top) for x in (one, two))
        yield item, [(a[t], b[t]) for t in a.keys() & b.keys()]
