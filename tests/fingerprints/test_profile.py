"""A fingerprint as JSON: stable bytes, rounded numbers, and no bytes whatever that do more than raise a ValueError."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerprints import FAMILIES, FEATURE_SET, PLAIN, Fingerprint, Profile, feature_names, prompt_set

TEXTS = ["The cat sat. It purred, for example!", "", "# Head\n\n- A dog\n- A bone, too", "I hope so?"]


def made(families: tuple[str, ...] = PLAIN) -> Profile:
    return Profile("cat-1", Fingerprint.from_texts(TEXTS, families), len(TEXTS), prompt_set(["b", "a"]))


STORED = made().to_json()


def test_a_profile_survives_and_its_bytes_are_stable() -> None:
    again = Profile.from_json(STORED)
    assert again.to_json() == STORED == made().to_json()
    assert again.digest == made().digest
    assert (again.name, again.answers, again.prompts, again.families) == ("cat-1", 4, prompt_set("ab"), PLAIN)
    np.testing.assert_allclose(again.fingerprint.mean, made().fingerprint.mean, rtol=5e-4)
    np.testing.assert_array_equal(again.fingerprint.n, made().fingerprint.n)


def test_numbers_keep_four_digits_and_nothing_is_null() -> None:
    values = np.array([[1 / 3, np.nan], [1 / 7, np.nan]])
    width = len(feature_names(["structure"]))
    wide = np.hstack([values, np.full((2, width - 2), np.nan)])
    profile = Profile("x", Fingerprint.from_matrix(wide, feature_names(["structure"])), 2, "")
    stored = json.loads(profile.to_json())["families"]["structure"]
    # Mean 5/21 = .238095..., sd (1/3 - 1/7) / sqrt 2 = .134687...
    assert stored["mean"][:2] == [0.2381, None]
    assert stored["spread"][:2] == [0.1347, None]
    assert stored["n"] == [2] + [0] * (width - 1)


def test_a_count_that_all_share_is_written_once() -> None:
    stored = json.loads(STORED)["families"]
    assert stored["function-words"]["n"] == 3
    assert isinstance(stored["structure"]["n"], list)


def test_only_takes_families_in_the_order_asked_for() -> None:
    profile = made()
    part = profile.only(["openers", "layout"])
    assert part.names == feature_names(["openers", "layout"])
    assert part == Fingerprint.from_texts(TEXTS, ["openers", "layout"])
    with pytest.raises(ValueError, match="not measured on the family 'pos-templates'"):
        profile.only(["pos-templates"])


def test_prompt_sets() -> None:
    assert prompt_set(["a", "b"]) == prompt_set(["b", "a", "b"]) != prompt_set(["a"])
    assert prompt_set([]) == prompt_set(["a", ""]) == ""


def change(**changes: Any) -> bytes:
    return json.dumps({**json.loads(STORED), **changes}).encode()


def change_family(**changes: Any) -> bytes:
    families = json.loads(STORED)["families"]
    return change(families={**families, "layout": {**families["layout"], **changes}})


ZEROS = [0.0] * 14


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Invalid JSON"),
        (b"[]", "no fingerprint"),
        (b"\xff\xfe", "Invalid JSON"),
        (b'{"a":' * 3000, "Invalid JSON"),
        (b" " * (1 << 20) + b"{}", "larger than"),
        (change(format="x"), "format"),
        (change(extra=1), "extra"),
        (change(feature_set="0"), "made with feature set '0'"),
        (change(name="x" * 201), "200 characters"),
        (change(name=3), "name"),
        (change(answers=-1), "number of answers"),
        (change(answers=1), "counts more answers"),
        (change(answers=1e400), "answers"),
        (change(prompts="../x"), "SHA-256"),
        (change(families={}), "without a family"),
        (change(families={"x": {"mean": [], "spread": [], "n": 0}}), "unknown family 'x'"),
        (change_family(mean=[]), "14 features"),
        (change_family(n=[3]), "14 features"),
        (change_family(n=0), "without answers"),
        (change_family(n=-1), "less than none"),
        (change_family(n=1.5), "families"),
        (change_family(mean=[-0.1, *ZEROS[1:]]), "can't have"),
        (change_family(mean=[1.1, *ZEROS[1:]]), "can't have"),
        (change_family(mean=["0.1", *ZEROS[1:]]), "families"),
        (change_family(mean=[float("nan"), *ZEROS[1:]]), "number"),
        (change_family(spread=[float("inf"), *ZEROS[1:]]), "can't have|finite"),
    ],
)  # fmt: skip
def test_what_is_no_fingerprint_is_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Profile.from_json(data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^no fingerprint: "):
        Profile.from_json(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(["format", "feature_set", "name", "answers", "prompts", "families"]), json_values)
def test_any_value_in_any_place_is_read_or_refused(key: str, value: Any) -> None:
    try:
        read = Profile.from_json(change(**{key: value}))
    except ValueError:
        return
    assert Profile.from_json(read.to_json()).to_json() == read.to_json()


@settings(deadline=None)  # the first one loads the tagger
@given(st.lists(st.text(), max_size=6))
def test_any_answers_give_a_profile_that_survives(texts: list[str]) -> None:
    profile = Profile("any", Fingerprint.from_texts(texts, tuple(FAMILIES)), len(texts), "")
    assert Profile.from_json(profile.to_json()).to_json() == profile.to_json()


def test_the_feature_set_has_a_version() -> None:
    # Fingerprints of different versions are never compared. If this hash changes, raise FEATURE_SET, build the shipped
    # library again, and see whether the shipped populations still hold.
    import hashlib

    text = (
        "Sure! Here's **one** — it's well-known, isn't it? However, in addition to that:\n\n# Head\n- a *first* item;"
        " `x`\n  - nested (twice)\n1. Two, three... and four!\n\n| a | b |\n|---|---|\n"
        "> quoted “words” 🙂\n\n```\ncode\n```\n"
        + "The end of the day was the best of all, for example. " * 8 + "\n\nLet me know if you need help!"
    )  # fmt: skip
    found = Fingerprint.from_texts([text, "The cat sat. It purred!"], PLAIN)
    digest = hashlib.sha256(Profile("fixed", found, 2, "").to_json()).hexdigest()
    assert (FEATURE_SET, digest[:16]) == ("1", "ac782e39bec2e7af")
