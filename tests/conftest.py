"""Fixtures that the whole suite shares: a toy audit that needs no network and no model."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics import AuditConfig, Store, collect

CONTROLS = ("toy/ann", "toy/bob", "toy/cid")
CORPUS = Path(__file__).parents[1].parent / "shared" / "corpora" / "alpaca_eval_dev"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Recorded answers of real models; used as test data where present, never part of the project."""
    if not CORPUS.is_dir():
        pytest.skip("the shared corpus of recorded answers is not present")
    return CORPUS / "responses"


@pytest.fixture(scope="session")
def suite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "small.jsonl"
    path.write_text("".join(f'{{"prompt": "Tell me about thing {i}.", "max_tokens": 24}}\n' for i in range(40)))
    return path


@pytest.fixture
def config(suite_file: Path) -> AuditConfig:
    return AuditConfig("toy/sam?parent=ref&share=0.7", "toy/ref", CONTROLS, base="toy/base", suite=str(suite_file))


@pytest.fixture(scope="session")
def case(suite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collected toy case on disk."""
    path = tmp_path_factory.mktemp("case") / "toy.case"
    made = AuditConfig("toy/sam?parent=ref&share=0.7", "toy/ref", CONTROLS, base="toy/base", suite=str(suite_file))
    with Store(path) as store:
        collect(made, store=store)
    return path
