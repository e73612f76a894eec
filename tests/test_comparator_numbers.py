"""Each statistic against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from forensics.comparators.base import bootstrap, by_item, contrasts, relative, trimmed_means
from forensics.comparators.cross_likelihood import _rate
from forensics.comparators.next_token_divergence import NextTokenDivergence, js_bits
from forensics.comparators.style_delta import burrows, impostors
from forensics.types import Completion, Request, Sample, TokenLogprob, Unit


def dist(floor: float | None = None, **p: float) -> TokenLogprob:
    top = tuple((k.encode(), math.log(v)) for k, v in p.items())
    return TokenLogprob(top[0][0], top[0][1], top, floor)


def test_js_of_equal_and_of_disjoint_distributions() -> None:
    assert js_bits(dist(a=0.5, b=0.5), dist(a=0.5, b=0.5))[0] == pytest.approx(0.0, abs=1e-12)
    assert js_bits(dist(a=1.0), dist(b=1.0)) == (pytest.approx(1.0), 0.0)


def test_js_by_hand() -> None:
    # p = (3/4, 1/4), q = (1/4, 3/4): JS = 1 - H(1/4) with mixture (1/2, 1/2)
    entropy = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert js_bits(dist(a=0.75, b=0.25), dist(a=0.25, b=0.75))[0] == pytest.approx(1.0 - entropy)


def test_censoring_never_raises_the_divergence() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        p, q = rng.dirichlet(np.ones(8)), rng.dirichlet(np.ones(8))
        names = [chr(97 + i) for i in range(8)]
        full = js_bits(dist(**dict(zip(names, p, strict=True))), dist(**dict(zip(names, q, strict=True))))[0]

        def top(x: np.ndarray, k: int = 3) -> TokenLogprob:
            order = np.argsort(-x)[:k]
            return dist(floor=math.log(x[order[-1]]), **{chr(97 + int(i)): float(x[i]) for i in order})

        assert js_bits(top(p), top(q))[0] <= full + 1e-12


def test_contrasts_by_hand() -> None:
    c = np.array([[5.0, 1.0, 3.0]])
    # reference against mean(1, 3); control 1 against control 2; control 2 against control 1
    assert contrasts(c).tolist() == [[3.0, -2.0, 2.0]]


def test_draws_of_an_item_are_one_observation() -> None:
    units = [Unit(i, "choice", s, Request("choice", i)) for i in ("a", "b") for s in (0, 1)]
    values = np.array([[1.0], [3.0], [5.0], [np.nan]])
    means, items = by_item(units, values)
    assert items == ["a", "b"]
    assert means.tolist() == [[2.0], [5.0]]


def test_rate_is_per_byte_and_refuses_partial_scorings() -> None:
    text = "é" * 20  # 40 bytes
    answer = Completion("d", text, "stop")
    scored = Completion("d", text, "stop", tuple(TokenLogprob("é".encode(), -0.5) for _ in range(20)))
    assert _rate(scored, answer, 20) == pytest.approx(-10.0 / 40)
    partial = Completion("d", text, "stop", scored.tokens[:19])
    assert math.isnan(_rate(partial, answer, 20))
    assert math.isnan(_rate(scored, answer, 41))


@pytest.mark.parametrize("trim", [0.0, 0.05])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(trim: float) -> None:
    """Coverage of the 95 % interval over 300 simulated cases of 90 heavy-tailed items: within 92 % and 98.5 %."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        items = rng.standard_t(3, (90, 1)) + rng.standard_t(3, (90, 4)) + np.array([0.5, 0, 0, 0])
        score = relative("x", items, ["reference", "a", "b", "c"], rng, trim=trim)
        assert score.interval is not None
        hits += score.interval[0] <= 0.5 <= score.interval[1]
    assert 0.92 <= hits / 300 <= 0.985


def test_trimmed_means_by_hand() -> None:
    values = np.array([[5.0, 1.0], [1.0, 1.0], [2.0, 1.0], [100.0, 1.0]])
    even = np.full((1, 4), 0.25)
    assert trimmed_means(values, even, 0.25)[0].tolist() == pytest.approx([3.5, 1.0])
    # a fifth of the mass off either end: .05 of the 1 and of the 100 remain
    assert trimmed_means(values, even, 0.2)[0, 0] == pytest.approx((0.05 * 1 + 0.25 * 7 + 0.05 * 100) / 0.6)
    assert trimmed_means(values, even, 0.0)[0].tolist() == pytest.approx([27.0, 1.0])


def test_blocks_of_resamples_draw_the_same_numbers() -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))

    def means(**options: int) -> np.ndarray:
        return bootstrap(lambda weights: weights @ values, 50, np.random.default_rng(1), resamples=40, **options)

    whole = means()
    assert whole.shape == (40, 3)
    assert means(block=7 * 50) == pytest.approx(whole, abs=1e-15)
    once = np.random.default_rng(1).multinomial(50, np.full(50, 1 / 50), size=40) / 50
    assert whole == pytest.approx(once @ values, abs=1e-15)


def test_one_foreign_tokenizer_is_enough_to_abstain() -> None:
    """It would push the value either way: towards R if a control's, away from it if R's own."""
    same, foreign = dist(a=0.6, b=0.4), dist(x=0.6, y=0.4)

    def column(token: TokenLogprob) -> tuple[Completion, ...]:
        return tuple(Completion("d", "a", "stop", (token,)) for _ in range(40))

    units = tuple(Unit(f"i{i}", "first-token", 0, Request("first-token", f"i{i}")) for i in range(40))
    rng = np.random.default_rng(0)
    for names in (["reference"], ["a"]):
        columns = {n: column(foreign if n in names else same) for n in ("reference", "a", "b", "c")}
        reference = columns.pop("reference")
        found = NextTokenDivergence().compare(Sample(units, column(same), reference, columns), rng)
        assert found.status == "unsupported"
        assert names[0] in (found.reason or "")


def test_burrows_delta_by_hand() -> None:
    means = np.array([[1.0, 0.0], [1.0, 1.0], [3.0, 0.0], [0.0, 4.0]])  # S, R, two controls
    # d(S, .) = .5, 1, 2.5; between the controls 3.5; of R to them 1.5 and 2.
    near = np.array([-0.5 + 1.75, -1.0 + 3.5, -2.5 + 3.5])
    assert burrows(means) == pytest.approx(near[0] - near[1:].mean())


def test_the_impostors_share_is_one_for_the_reference_and_chance_for_a_model_like_any_other() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(size=(6, 40))
    assert impostors(means[[1, 1, 2, 3, 4, 5]], rng) == 1.0
    assert impostors(means[[2, 1, 2, 3, 4, 5]], rng) < 0.6  # a control is S: R wins only where it is not drawn
    shares = [impostors(rng.normal(size=(6, 40)), rng) for _ in range(60)]
    assert np.mean(shares) == pytest.approx(1 / 3, abs=0.08)
