"""Distances by hand, the background beside them, and what they find where the truth is known."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerprints import Entry, Fingerprint, Library, Profile, feature_names, prompt_set
from fingerprints.nearest import Scale, deltas, nearest, percentiles

NAMES = feature_names(["layout", "openers"])
N_LAYOUT = len(feature_names(["layout"]))


def profile(name: str, means: dict[str, float], *, spread: float = 0.0, n: int = 40, prompts: str = "") -> Profile:
    mean = np.array([means.get(feature, 0.5) for feature in NAMES])
    found = Fingerprint(NAMES, mean, np.full(len(NAMES), spread), np.full(len(NAMES), n))
    return Profile(name, found, n, prompts)


def library(*entries: Entry) -> Library:
    return Library(entries, "made up", "0" * 64)


A, B, C = "layout:heading_lines", "layout:bullet_lines", "openers:opens_i"
# A: .3 .5 .7, mean .5, sd .2; C: .2 .2 .8, mean .4, sd sqrt(.12); B never varies.
FIELD = library(
    Entry(profile("one", {A: 0.3, C: 0.2}), "x", "f"),
    Entry(profile("two", {A: 0.5, C: 0.2}), "y", "g"),
    Entry(profile("three", {A: 0.7, C: 0.8}), "z", "h"),
)


def test_distance_by_hand() -> None:
    found = nearest(profile("own", {A: 0.4, B: 0.9, C: 0.2}), FIELD)
    # Families weigh alike: half the |z| difference in A, and half that in C. B says nothing, it never varies.
    assert [(n.name, n.distance) for n in found.neighbours] == [
        ("one", pytest.approx(0.5 * 0.5)),
        ("two", pytest.approx(0.5 * 0.5)),
        ("three", pytest.approx(0.5 * 1.5 + 0.5 * 0.6 / math.sqrt(0.12))),
    ]
    assert found.features == 2
    assert found.families == ("layout", "openers")
    only = nearest(profile("own", {A: 0.4}), FIELD, ["layout"])
    assert [n.distance for n in only.neighbours] == pytest.approx([0.5, 0.5, 1.5])


def test_families_weigh_alike_however_many_features_they_have() -> None:
    steps = zip(FIELD.entries, (0.3, 0.5, 0.7), strict=True)
    field = library(*(Entry(profile(e.name, {A: m, B: m, C: m}), e.vendor, e.family) for e, m in steps))
    # layout: mean of |z| = .5 (A) and 0 (B); openers: |z| = 0 (C).
    found = nearest(profile("own", {A: 0.4, B: 0.5, C: 0.5}), field)
    assert found.neighbours[0].distance == pytest.approx(0.5 * (0.5 + 0) / 2)


def test_a_pair_as_far_as_this_one_is_not_nearer() -> None:
    assert [n.nearer for n in nearest(FIELD.entries[1].profile, FIELD).neighbours[:2]] == [0.0, 0.0]


def test_the_background_by_hand() -> None:
    found = nearest(profile("own", {A: 0.4, C: 0.2}), FIELD)
    c = 0.6 / math.sqrt(0.12)
    # Pairs: one-two .5, two-three .5 + c / 2, one-three 1 + c / 2. Closest: .5, .5, .5 + c / 2.
    assert found.pairs == 3
    assert found.unrelated[1] == pytest.approx(0.5 + c / 2)
    assert found.closest_unrelated[1] == pytest.approx(0.5)
    assert [n.nearer for n in found.neighbours] == pytest.approx([0.0, 0.0, 2 / 3])


def test_relatives_and_models_of_unknown_origin_are_no_background() -> None:
    entries = [Entry(e.profile, "x", f"f{i}") for i, e in enumerate(FIELD.entries)]
    same_maker = nearest(FIELD.entries[0].profile, library(*entries))
    assert (same_maker.pairs, [n.nearer for n in same_maker.neighbours]) == (0, [0, 0, 0])
    assert all(math.isnan(q) for q in same_maker.unrelated + same_maker.closest_unrelated)
    one, two, three = FIELD.entries
    unknown = library(one, two, Entry(three.profile, "", "h"))
    assert nearest(one.profile, unknown).pairs == 1


def test_chance_takes_weight_away() -> None:
    noisy = [profile(e.name, {A: m}, spread=0.6, n=36) for e, m in zip(FIELD.entries, (0.3, 0.5, 0.7), strict=True)]
    scale = Scale.of([p.fingerprint for p in noisy])
    # sd .2, noise of a mean .6 / 6 = .1: r = sqrt(1 - .01 / .04); one feature of one family varies.
    assert scale.weight[NAMES.index(A)] == pytest.approx(math.sqrt(0.75))
    assert scale.weight.sum() == pytest.approx(math.sqrt(0.75))
    hopeless = Scale.of([profile(str(m), {A: m}, spread=6.0, n=36).fingerprint for m in (0.3, 0.5, 0.7)])
    assert hopeless.weight.sum() == 0


def test_a_feature_without_an_answer_stands_at_the_mean() -> None:
    own = profile("own", {A: 0.3})
    mean = own.fingerprint.mean.copy()
    mean[NAMES.index(A)] = np.nan
    blank = Profile("own", Fingerprint(NAMES, mean, own.fingerprint.spread, own.fingerprint.n), 40, "")
    by_name = {n.name: n.distance for n in nearest(blank, FIELD, ["layout"]).neighbours}
    assert by_name == pytest.approx({"one": 1.0, "two": 0.0, "three": 1.0})


def test_z_is_cut_at_four() -> None:
    far = nearest(profile("own", {A: 500.0}), FIELD, ["layout"])
    assert far.neighbours[-1].distance == pytest.approx(5.0)


def test_itself_and_its_prompts_are_recognised() -> None:
    entries = [
        Entry(profile(e.name, {A: m}, prompts=prompt_set(["p"])), e.vendor, e.family)
        for e, m in zip(FIELD.entries, (0.3, 0.5, 0.7), strict=True)
    ]
    found = nearest(entries[1].profile, library(*entries))
    assert [n.itself for n in found.neighbours] == [True, False, False]
    assert found.prompts_match
    assert not nearest(profile("own", {A: 0.3}, prompts=prompt_set(["q"])), library(*entries)).prompts_match
    assert not nearest(profile("own", {A: 0.3}), FIELD).prompts_match  # unknown is not equal


def test_families_that_were_not_measured() -> None:
    with pytest.raises(ValueError, match="not measured on the family 'structure'"):
        nearest(FIELD.entries[0].profile, FIELD, ["structure"])


def test_percentiles_by_hand() -> None:
    found = percentiles(profile("own", {A: 0.5, B: 0.9, C: 0.1}), FIELD)
    by_name = dict(zip(NAMES, found, strict=True))
    assert by_name[A] == pytest.approx(0.5)  # one below, one equal, of three
    assert (by_name[B], by_name[C]) == (1.0, 0.0)


@given(st.lists(st.lists(st.floats(0, 1), min_size=len(NAMES), max_size=len(NAMES)), min_size=3, max_size=6))
def test_delta_is_a_distance(rows: list[list[float]]) -> None:
    models = [Fingerprint(NAMES, np.array(r), np.zeros(len(NAMES)), np.full(len(NAMES), 40)) for r in rows]
    placed = Scale.of(models).place([m.mean for m in models])
    found = deltas(placed, placed)
    assert (found >= 0).all()
    assert (np.diag(found) == 0).all()
    np.testing.assert_allclose(found, found.T)
    assert (found[:, None, :] <= found[:, :, None] + found[None, :, :] + 1e-9).all()


def test_a_writer_is_recognised_on_other_texts() -> None:
    # Twelve writers with habits of their own, each split in two: the other half is the nearest, which it is not by
    # chance (1 in 12).
    rng = np.random.default_rng(3)
    words = "the of and to in it is that for with as on but not this which you we they from".split()
    habits = rng.dirichlet(np.full(len(words), 3.0), 12)

    def half(i: int, part: int) -> Profile:
        texts = [" ".join(rng.choice(words, 60, p=habits[i])) + "." for _ in range(40)]
        return Profile(f"w{i}-{part}", Fingerprint.from_texts(texts, ["function-words"]), 40, "")

    field = library(*(Entry(half(i, 0), f"v{i}", f"f{i}") for i in range(12)))
    first = [nearest(half(i, 1), field).neighbours[0].name for i in range(12)]
    assert first == [f"w{i}-0" for i in range(12)]


def test_real_models_are_recognised_by_other_answers(corpus: Path) -> None:
    # Half of a model's answers against the shipped library (which holds them as well, hence only a sanity check).
    from fingerprints import PLAIN, load_library
    from forensics.answers import read_answers

    answers = read_answers(corpus / "vicuna-13b.jsonl.zst").answers
    own = Profile("?", Fingerprint.from_texts([a.text or "" for a in answers[::2]], PLAIN), 126, "")
    found = nearest(own, load_library())
    assert "vicuna" in found.neighbours[0].name
    assert found.pairs > 5000
    assert found.closest_unrelated[1] < found.unrelated[1]
