"""What a manifest says about who taught whom, and what it can't say."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics.errors import UsageError
from forensics.manifest import Model, label, read_manifest, related

HEAD = "name,file,role,documented_teachers,cluster,vendor,family,preference_teachers,ambiguous_families,notes\n"
ROWS = """\
big-v1.2,big.jsonl,teacher,,big,Alpha,big,,,kept
big-v2,big2.jsonl,teacher,,big,Alpha,big,,,
other,other.jsonl,teacher,,other,Beta,other,,,
third,third.jsonl,teacher,,third,Gamma,third-x,,,
pupil,pupil.jsonl,student,big;unheard-of,pupil,Delta,pupil,third,,
vague,vague.jsonl,student,other,vague,Delta,vague,,big_third-x,
echo,echo.jsonl,variant,same:big-v2,echo,Alpha,echo,,,
child,child.jsonl,derived,self:other,child,Epsilon,child,,,
riddle,riddle.jsonl,unknown,,riddle,Zeta,riddle,,,
"""


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Model]:
    path = tmp_path / "models.csv"
    path.write_text(HEAD + ROWS)
    return {m.name: m for m in read_manifest(path)}


@pytest.mark.parametrize(
    ("suspect", "candidate", "wanted"),
    [
        ("pupil", "big-v1.2", 1),  # by cluster: whatever release
        ("pupil", "big-v2", 1),
        ("pupil", "other", 0),
        ("pupil", "third", None),  # in preference pairs only
        ("vague", "other", 1),
        ("vague", "big-v2", None),  # can't be ruled out
        ("vague", "third", None),
        ("vague", "pupil", None),  # one vendor
        ("other", "third", 0),
        ("big-v1.2", "big-v2", None),  # one lineage
        ("echo", "big-v2", None),
        ("child", "other", None),
        ("riddle", "big-v2", None),
    ],
)
def test_labels(models: dict[str, Model], suspect: str, candidate: str, wanted: int | None) -> None:
    assert label(models[suspect], models[candidate]) == wanted


def test_descent_is_not_teaching(models: dict[str, Model]) -> None:
    assert related(models["child"], models["other"]) == "weight descendant"
    assert related(models["echo"], models["big-v2"]) == "same model, prompted otherwise"
    assert related(models["pupil"], models["big-v2"]) is None
    assert models["child"].teachers == ()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("name,file\nx,y\n", "no column role, documented_teachers, cluster"),
        (HEAD + "a,a.jsonl,guest,,a,V,f,,,\n", "models.csv:2: role 'guest'"),
        (HEAD + "a,a.jsonl,teacher,,,V,f,,,\n", "models.csv:2: a model needs a name and a cluster"),
        (HEAD + "a,a.jsonl,teacher,,a,V,f,,,\n" * 2, "a is named twice"),
    ],
)
def test_bad_manifests_are_named_by_file_and_line(tmp_path: Path, text: str, wanted: str) -> None:
    path = tmp_path / "models.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=wanted) as caught:
        read_manifest(path)
    assert "\n" not in str(caught.value)


def test_a_missing_or_binary_manifest_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        read_manifest(tmp_path / "none.csv")
    (tmp_path / "bin.csv").write_bytes(b"\xff\xfe\x00\x01" * 9)
    with pytest.raises(UsageError, match="can't be read"):
        read_manifest(tmp_path / "bin.csv")
