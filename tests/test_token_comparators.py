"""The comparators of token distributions, against values worked out by hand, and on input that is not fit for them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forensics import AuditConfig, Store, collect
from forensics.comparators import COMPARATORS
from forensics.comparators.cross_likelihood import CrossLikelihood
from forensics.comparators.divergence_tokens import DivergenceTokens, queries_until, wealth
from forensics.comparators.error_overlap import ErrorOverlap, capa, excess, same, wrong_answer
from forensics.comparators.memorisation import Memorisation, hardest
from forensics.comparators.next_token_divergence import NextTokenDivergence, measured
from forensics.comparators.provenance import provenance, sentences
from forensics.comparators.residual_correlation import _context, correlations, spearman
from forensics.comparators.scored import agree, common_starts, leading, spans
from forensics.plan import gather, stored_plan
from forensics.types import Completion, Message, Request, Sample, Score, TokenLogprob, Unit

CONTROLS = ("toy/ann", "toy/bob", "toy/cid")
Word = tuple[str, float] | tuple[str, float, dict[str, float]]


def scored(*words: Word) -> Completion:
    """A scored answer from (token, logprob) or (token, logprob, {alternative: logprob})."""
    tokens = []
    for word in words:
        top = tuple((k.encode(), v) for k, v in word[2].items()) if len(word) > 2 else ()  # type: ignore[misc]
        tokens.append(TokenLogprob(word[0].encode(), word[1], top, -9.0))
    return Completion("d", "".join(w[0] for w in words), "stop", tuple(tokens))


def listed(**p: float) -> Completion:
    """One next-token list from probabilities; the whole vocabulary."""
    return Completion(
        "d", None, tokens=(TokenLogprob(b"x", -1.0, tuple((k.encode(), math.log(v)) for k, v in p.items())),)
    )


# What is asked for


def test_scoring_asks_for_five_alternatives_and_the_reference_reads_itself(case: Path) -> None:
    with Store(case, must_exist=True) as store:
        plan = stored_plan(store)
        found = plan.scorings(store)
        sample = gather(plan, store)
    controls = [c.rpartition("/")[2] for c in CONTROLS]
    assert set(found) == {"suspect", "reference", "base", *controls}
    assert set(found["reference"]) == {"reference"}
    assert set(found["ann"]) == set(found["base"]) == {"reference", *controls}
    wanted = [r for authors in found.values() for rs in authors.values() for r in rs if r is not None]
    k, items = len(controls), 40
    assert len(wanted) == items * ((k + 1) * (k + 2) + 1)
    assert {r.top_logprobs for r in wanted} == {5}
    tokens = [t for column in sample.likelihoods.values() for c in column if c for t in c.tokens]
    assert {len(t.top) for t in tokens} == {5}
    assert all(t.floor == t.top[-1][1] for t in tokens)
    # The base lists next tokens and writes texts: their change is what attribution reads.
    families = {u.family for u, c in zip(sample.units, sample.base or (), strict=True) if c is not None}
    assert families == {"first-token", "writing"}


def test_the_base_itself_inherited_nothing() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(5, 8))
    assert np.array_equal(_context(np.vstack([values[-1], values]), 5), np.zeros(4))
    assert np.abs(_context(np.vstack([values[0] + 1.0, values]), 5)).min() > 0


def test_accepted_answers_are_carried_but_never_part_of_what_is_asked() -> None:
    one = Request("facts", "a", (Message("user", "When?"),))
    assert replace(one, answer=("1848",)).digest == one.digest


# Bytes


def test_tokens_of_two_tokenizers_meet_where_both_begin_one() -> None:
    one = scored(("the", -1.0), (" riv", -2.0), ("er", -4.0), (".", -8.0))
    other = scored(("th", -0.5), ("e ", -0.5), ("river", -3.0), (".", -1.0))
    joint = common_starts([one, other])
    assert joint is not None
    assert joint[0].tolist() == [0, 9]
    assert joint[1].tolist() == [[0, 3], [0, 3]]
    found = spans([one, other])
    assert found is not None
    assert found[0].tolist() == [[-7.0, -8.0], [-4.0, -1.0]]
    assert found[1].tolist() == [9.0, 1.0]
    assert found[2].tolist() == [[3.0, 1.0], [3.0, 1.0]]
    assert common_starts([one, scored((" the river.", -1.0))]) is None


def test_what_a_model_would_have_said() -> None:
    def of(top: dict[str, float]) -> tuple[bytes, float] | None:
        return leading(scored(("x", -1.0, top)), 0)

    assert of({" a": -0.5, " b": -1.25}) == (b" a", 0.75)
    assert of({" b": -1.25, " a": -0.5}) == (b" a", 0.75)
    assert of({" a": -0.5}) == (b" a", 8.5)  # alone in its list: the next is at the floor at most
    assert of({"</s>": -0.1, " a": -3.0}) is None
    assert of({"<|im_end|>": -0.1, " a": -3.0}) is None
    assert of({" a": float("nan")}) is None
    assert of({}) is None
    assert agree(b" ri", b" river")
    assert not agree(b" river", b" road")


# divergence-tokens


def party(said: str, margin: float = 1.0) -> Completion:
    """Twenty-odd bytes in four tokens; at the second one the party would rather say ``said``."""
    plain = {" so": -0.1, " on": -3.0}
    head, middle, *rest = "once upon|there was|a small|river".split("|")
    return scored(
        (head, -1.0, plain), (middle, -1.0, {said: -0.5, " x": -0.5 - margin}), *((w, -1.0, plain) for w in rest)
    )


def divergent(suspect: str, count: int = 40, **said: str) -> Sample:
    """Everybody's answer is one text; ``said`` is what each party would have said at its second token."""
    units = tuple(Unit(f"i{i}", "writing", 0, Request("writing", f"i{i}")) for i in range(count))
    says = {"reference": " red", "a": " one", "b": " two", "c": " six", "base": " the", "suspect": suspect} | said
    columns = {n: (replace(party(s), tokens=()),) * count for n, s in says.items()}
    authors = ("reference", "a", "b", "c")
    likelihoods = {(s, x): (party(says[s]),) * count for s in says for x in authors}
    controls = {n: columns[n] for n in ("a", "b", "c")}
    return Sample(units, columns["suspect"], columns["reference"], controls, columns["base"], None, likelihoods)


def run(sample: Sample, comparator: DivergenceTokens | None = None) -> Score:
    return (comparator or DivergenceTokens()).compare(sample, np.random.default_rng(0))


def test_a_hit_is_what_only_the_reference_would_say() -> None:
    found = run(divergent(" red"))
    assert found.closeness == (("reference", 1.0), ("a", 0.0), ("b", 0.0), ("c", 0.0))
    assert dict(found.ablations)["positions of the reference"] == 40
    assert run(divergent(" re")).value == 1.0  # another tokenizer: the beginning of it
    assert run(divergent(" blue")).value == 0.0
    assert run(divergent(" one")).value == pytest.approx(-1 / 3)
    assert set(run(divergent(" red")).null) == {0.0}


def test_what_others_would_say_too_is_no_position() -> None:
    for shared in ({"base": " red"}, {"b": " red"}, {"base": " r"}):
        found = run(divergent(" red", **shared))
        assert found.status == "insufficient"
        assert "divergence positions" in (found.reason or "")
    assert run(divergent(" red"), DivergenceTokens(margin=1.5)).status == "insufficient"


def test_wealth_by_hand() -> None:
    # pi0 = .5: p = 1.5/2, bet (.75 - .5)/.25 = 1, hit: 1.5; p = 2.5/3, bet 4/3, miss: 1/3 of it
    assert 10 ** wealth([True, False], 0.5) == pytest.approx([1.5, 0.5])
    assert wealth([], 0.3).tolist() == []
    path = 10 ** wealth([True] * 8, 0.5)
    assert queries_until([True] * 8, 0.5, path[4]) == 5
    assert queries_until([False] * 500, 0.3) is None
    with pytest.raises(ValueError, match="between 0 and 1"):
        wealth([True], 0.0)


@pytest.mark.parametrize("dependent", [False, True])
def test_under_the_null_the_wealth_seldom_gets_far(dependent: bool) -> None:
    """Ville: P(sup W >= 20) <= 1/20, also where the answers differ in a rate that is pi0 at most."""
    rng = np.random.default_rng(3)
    reached = 0
    for _ in range(2000):
        rate = np.repeat(rng.choice([0.3, 0.2], 30), 10) if dependent else 0.3
        reached += queries_until(rng.random(300) < rate, 0.3, 20.0) is not None
    assert reached / 2000 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 2000)
    assert reached > 0  # the bets are bets: a wealth that never moves would pass too


def test_runs_within_an_answer_break_a_rate_that_only_holds_on_average() -> None:
    """What the docstring warns of: after one hit the rest follows, so E[h | past] exceeds pi0, though E[h] is pi0."""
    rng = np.random.default_rng(3)
    answers = [rng.random(30) < 0.3 for _ in range(500)]
    assert sum(queries_until(np.repeat(h, 10), 0.3, 20.0) is not None for h in answers) / 500 > 0.05
    # One bet an answer, on its share of hits, holds.
    assert sum(queries_until(h, 0.3, 20.0) is not None for h in answers) / 500 <= 0.05


def test_one_bet_an_answer_counts_all_its_queries() -> None:
    found = dict(run(divergent(" red")).ablations)
    # pi0 = .3, all hits: the first bet pays 1 + (.65 - .3)/.3 = 2.17, and every later one more
    single = queries_until([True] * 40, 0.3)
    assert found["queries until the wealth is 100"] == single
    assert found["queries until then, one bet an answer"] == single
    assert queries_until([0.65, 1.0], 0.3, 1.5) == 1  # shares are bets too: 1 + 1.667 * .35


# residual-correlation and next-token-divergence


def test_rank_correlation_is_scipys() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (5, 9)).astype(float), rng.normal(size=(5, 9))
    assert spearman(a, b) == pytest.approx([spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)])
    assert np.isnan(spearman(np.ones((1, 5)), b[:1, :5]))[0]


def test_residuals_by_hand() -> None:
    names = "abcde"
    rng = np.random.default_rng(0)
    p = {n: rng.dirichlet(np.ones(5)) for n in ("s", "r", "k", "l", "base")}
    columns = {n: (listed(**dict(zip(names, v, strict=True))),) for n, v in p.items()}
    log = {n: np.log(v) for n, v in p.items()}
    found, shared = correlations([columns[n] for n in ("s", "r", "k", "l")], columns["base"])
    mine = log["s"] - log["base"]
    of = [spearman(mine[None], (log["r"] - log[c])[None])[0] for c in ("k", "l")]
    assert found[0, 0] == pytest.approx(np.mean(of))
    assert found[0, 1] == pytest.approx(spearman(mine[None], (log["k"] - log["l"])[None])[0])
    assert shared[0, 0] == pytest.approx(1.0)
    bare, _ = correlations([columns[n] for n in ("s", "r", "k", "l")], None)
    level = [spearman((log["s"] - log[c])[None], (log["r"] - log[c])[None])[0] for c in ("k", "l")]
    assert bare[0, 0] == pytest.approx(np.mean(level))


def test_reference_and_controls_are_measured_alike() -> None:
    """Unrelated parties: R has a control more in its panel, and must not look nearer or farther for it."""
    rng = np.random.default_rng(0)

    def column() -> tuple[Completion, ...]:
        rows = rng.dirichlet(np.ones(12), 400)
        return tuple(listed(**{chr(97 + i): float(v) for i, v in enumerate(row)}) for row in rows)

    found, _ = correlations([column() for _ in range(5)], None)
    means = found.mean(axis=0)
    assert means[0] == pytest.approx(means[1:].mean(), abs=0.06)
    assert means.min() > 0.2  # what the shared panel alone correlates: why it has to be alike


def test_censoring_reads_so_many_tokens() -> None:
    p, q = listed(a=0.5, b=0.3, c=0.15, d=0.05), listed(b=0.1, a=0.6, d=0.05, c=0.25)

    def top(c: Completion, *kept: int) -> tuple[Completion]:
        token = c.tokens[0]
        some = tuple(token.top[i] for i in kept)
        return (replace(c, tokens=(replace(token, top=some, floor=some[-1][1]),)),)

    cut = measured([top(p, 0, 1), top(q, 1, 3)], None)[0]
    assert measured([(p,), (q,)], 2)[0] == pytest.approx(cut)
    assert 0 > cut[0, 0] > measured([(p,), (q,)], None)[0][0, 0]  # nearer, because cells are joined
    assert measured([(p,), (q,)], 9)[0] == pytest.approx(measured([(p,), (q,)], None)[0])


def test_only_a_whole_vocabulary_says_that_a_token_is_impossible() -> None:
    def js(*cells: tuple[float, float]) -> float:
        return sum(0.5 * x * math.log2(2 * x / (x + y)) for pair in cells for x, y in (pair, pair[::-1]) if x > 0)

    whole, part = listed(a=0.5, b=0.5), listed(a=0.6, c=0.3)
    part = replace(part, tokens=(replace(part.tokens[0], floor=math.log(0.1)),))
    # c is impossible to the first; b may be among what the second does not list
    expected = -js((0.5, 0.6), (0.0, 0.3), (0.5, 0.1))
    assert measured([(whole,), (part,)], None)[0][0, 0] == pytest.approx(expected)
    assert measured([(part,), (whole,)], None)[0][0, 0] == pytest.approx(expected)


def test_blocks_of_contexts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [tuple(listed(a=x, b=1 - x) for x in np.linspace(lo, 0.9, 7)) for lo in (0.1, 0.3)]
    whole = measured(columns, None)[0]
    monkeypatch.setattr("forensics.comparators.first_tokens.ENTRIES", 5)
    assert measured(columns, None)[0] == pytest.approx(whole)


# cross-likelihood and memorisation


def test_the_simple_form_is_the_additive_fit() -> None:
    """Without a base: own - panel mean has the contrast of the scorer x author residual, fitted by least squares."""
    rng = np.random.default_rng(0)
    controls, authors = ["a", "b", "c"], ["reference", "a", "b", "c"]
    cells = {(k, j): rng.normal() for k in controls for j in authors if j != k}
    design = [[float(k == c) for c in controls] + [float(j == x) for x in authors] for k, j in cells]
    effect = np.linalg.lstsq(np.array(design), np.array(list(cells.values())), rcond=None)[0][len(controls) :]
    panel = [np.mean([v for (_, j), v in cells.items() if j == x]) for x in authors]
    assert panel[0] - np.mean(panel[1:]) == pytest.approx(effect[0] - np.mean(effect[1:]))


def test_hardest_spans_by_hand() -> None:
    # the base finds spans 1 and 3 least likely a token; two of five at share .4
    logprob = np.array([[-1.0, -2.0, -1.0, -3.0, -1.0], [-1.0, -6.0, -2.0, -9.0, -4.0]])
    tokens = np.array([[1.0] * 5, [1.0, 1.0, 1.0, 2.0, 1.0]])
    assert hardest(logprob, np.full(5, 4.0), tokens, share=0.4) == pytest.approx((4.0 + 6.0) / 8.0)
    # one span of two tokens is no harder than its tokens are
    tokens[1, 3] = 9.0
    assert hardest(logprob, np.full(5, 4.0), tokens, share=0.4) == pytest.approx((4.0 + 3.0) / 8.0)
    # a panel stands in by its mean
    panel = np.stack([logprob[0], logprob[1] - 1.0, logprob[1] + 1.0])
    counts = np.stack([tokens[0], tokens[1], tokens[1]])
    assert hardest(panel, np.full(5, 4.0), counts, share=0.4) == pytest.approx((4.0 + 3.0) / 8.0)


def test_hesitation_of_the_suspects_own_answers() -> None:
    sample = divergent(" red")

    def sure(p: float) -> tuple[Completion, ...]:
        said = Completion("d", "word word", "stop", (TokenLogprob(b"word", math.log(p)), TokenLogprob(b" word", 0.0)))
        return (said,) * 40

    made = replace(sample, suspect=sure(0.8), controls={n: sure(0.4) for n in sample.controls})
    # controls: (.6 + 0)/2, the suspect: (.2 + 0)/2
    assert Memorisation()._deviation(made) == pytest.approx(0.2)
    assert Memorisation()._deviation(sample) is None


def test_sentences_and_where_they_come_from() -> None:
    text = "It rained. We left!  Nobody saw 3.5 of us.\nEnd"
    assert sentences(text) == ["It rained. ", "We left!  ", "Nobody saw 3.5 of us.\n", "End"]
    parts = ["A.", " B.", " C.", " D."]

    def rated(*rates: float) -> Completion:
        return scored(*((p, r * len(q)) for p, q, r in zip(parts, sentences("".join(parts)), rates, strict=True)))

    # a token belongs where it begins: " B." begins in the first sentence's last byte
    found = provenance("A. B. C. D.", rated(-1, -1, -1, -1), rated(-1, -1, -1, -1), rated(-1, -1, -1, -1))
    assert "".join(s.text for s in found) == "A. B. C. D."
    assert {s.label for s in found} == {"shared"}
    words = ("A. ", "B. ", "C. ", "D.")
    base, teacher, student = ((-2, -2, -1, -1), (-1, -1, -1, -1), (-1.2, -1.8, -0.5, -1))
    made = [scored(*((w, r * len(w)) for w, r in zip(words, rates, strict=True))) for rates in (student, base, teacher)]
    labels = [s.label for s in provenance("".join(words), *made)]
    assert labels == ["teacher-originated", "not learnt", "boosted", "shared"]


# error-overlap


def asked(prompt: str, *answer: str) -> Unit:
    return Unit("i", "facts", 0, Request("facts", "i", (Message("user", prompt),), answer=answer))


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ("317", None),
        ("There are 317 sonnets.", None),
        ("It has 3,170 of them", {"3170"}),
        ("317.5", {"317.5"}),
        ("2.317", {"2.317"}),
        ("Of the 366 poems, 227 are sonnets", {"227"}),
        ("I do not know.", set()),
        ("１１１", {"111"}),
    ],
)
def test_wrong_numbers(answer: str, key: set[str] | None) -> None:
    unit = asked("How many of the 366 poems are sonnets?", "317")
    assert wrong_answer(answer, unit) == (None if key is None else frozenset(key))


def test_wrong_names_and_long_answers() -> None:
    unit = asked("Which city is the capital of Kalmykia?", "Elista")
    assert wrong_answer("ELISTA, of course", unit) is None
    assert wrong_answer("The capital of Kalmykia is Grozny.", unit) == {"grozny"}
    assert same(frozenset({"grozny"}), frozenset({"grozny", "chechnya"}))
    assert not same(frozenset(), frozenset())
    # of a long answer the end counts, and there the last number
    unit = asked("How heavy is it? Show the steps.", "21")
    long = "First 21 and then " + "so " * 60 + "we get 14 and hence 17"
    assert wrong_answer(long, unit) == {"17"}


def keys(*words: str) -> list[list[frozenset[str] | None]]:
    return [[None if w == "+" else frozenset({w})] for w in words]


def test_excess_by_hand() -> None:
    # controls a, b: both wrong on items 1-4, equal on one: q = 1/4
    said = [keys("x", "y", "z", "+"), keys("x", "q", "+", "v"), keys("a", "b", "c", "d"), keys("a", "f", "g", "h")]
    assert excess(said)[:, 0].tolist() == [0.75, -0.25, 0.0, 0.0]
    # draws: two of S meet two of R, three pairs of them both wrong
    many = [[[frozenset("x"), None]], [[frozenset("x"), frozenset("y")]], [[None, None]], [[None, None]]]
    assert excess(many)[0, 0] == pytest.approx(1 / 4)


def test_pairs_that_err_more_are_not_nearer_for_it() -> None:
    """R errs as often as S, the controls seldom; all pick among five wrong answers alike: no excess."""
    rng = np.random.default_rng(0)

    def answers(wrong: float) -> list[list[frozenset[str] | None]]:
        return [[frozenset({str(rng.integers(5))}) if rng.random() < wrong else None] for _ in range(4000)]

    said = [answers(0.9), answers(0.9), answers(0.5), answers(0.5), answers(0.5)]
    c = excess(said).mean(axis=0)
    assert c[0] - c[1:].mean() == pytest.approx(0.0, abs=0.02)
    plain = np.mean([a[0] is not None and a == b for a, b in zip(said[0], said[1], strict=True)])
    less = np.mean([a[0] is not None and a == b for a, b in zip(said[0], said[2], strict=True)])
    assert plain - less > 0.05  # what not matching on accuracy would have called a finding


def test_capa_by_hand() -> None:
    units = [asked("Where?", "rome"), asked("Where?", "rome")]
    one = (listed(Rome=0.5, Oslo=0.5), listed(Ro=0.5, Bern=0.5))
    # agreement .5 at both; right mass .5, one wrong option: by chance .25 + .25 * 1
    assert capa([one, one], units) == pytest.approx([0.0], abs=1e-9)
    two = (listed(Rome=0.5, Oslo=0.25, Bern=0.25),) * 2
    assert capa([two, two], units) == pytest.approx([0.0], abs=1e-9)  # .25 + .125, and by chance .25 + .25 / 2
    sure = (listed(Oslo=0.999, Rome=0.001), listed(Rome=0.999, Bern=0.001))
    a = 0.5
    observed = 0.999**2 + 0.001**2
    assert capa([sure, sure], units) == pytest.approx([(observed - (a * a + a * a)) / (1 - 2 * a * a)])
    assert np.isnan(capa([(None, None), one], units)).all()


def test_a_suite_without_answers_is_unsupported_and_a_suspect_without_errors_insufficient() -> None:
    found = ErrorOverlap().compare(divergent(" red"), np.random.default_rng(0))
    assert (found.status, found.reason) == ("unsupported", "no item of this suite has a known answer")
    units = tuple(replace(asked(f"What {i}?", "yes"), item=str(i)) for i in range(40))
    right = (Completion("d", "yes", "stop"),) * 40
    sample = Sample(units, right, right, {"a": right, "b": right})
    found = ErrorOverlap().compare(sample, np.random.default_rng(0))
    assert found.status == "insufficient"
    assert "wrong on 0 items" in (found.reason or "")


# Input that is not fit


LIKELY = [CrossLikelihood(), DivergenceTokens(), Memorisation()]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    path = tmp_path_factory.mktemp("tokens") / "suite.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"Tell me about {i}.", "max_tokens": 8}) for i in range(120)))
    config = AuditConfig("toy/sam?parent=ref&share=0.7", "toy/ref", CONTROLS, base="toy/base", suite=str(path))
    with Store(None) as store:
        collect(config, store=store)
        return gather(stored_plan(store), store)


def spoilt(
    sample: Sample, scorers: Sequence[str], change: Callable[[Completion], Completion | None], every: int = 1
) -> Sample:
    """The sample with every n-th scoring by these parties changed."""
    likelihoods = {
        (s, a): tuple(change(c) if c and s in scorers and i % every == 0 else c for i, c in enumerate(column))
        for (s, a), column in sample.likelihoods.items()
    }
    return replace(sample, likelihoods=likelihoods)


def measure(comparator: object, sample: Sample) -> Score:
    families = comparator.families  # type: ignore[attr-defined]
    found: Score = comparator.compare(sample.rows(lambda u: u.family in families), np.random.default_rng(0))  # type: ignore[attr-defined]
    return found


def nan(c: Completion) -> Completion:
    return replace(c, tokens=tuple(replace(t, logprob=math.nan, top=((b"x", math.nan),)) for t in c.tokens))


def overflow(c: Completion) -> Completion:
    return Completion(c.request_digest, None, "error", error="prompt and target of 99 tokens exceeds the context of 64")


@pytest.mark.parametrize("comparator", LIKELY, ids=lambda c: c.name)
@pytest.mark.parametrize("change", [nan, overflow], ids=["nan", "overflow"])
def test_scorings_that_failed_are_left_out(comparator: object, change: Callable[..., Completion], toy: Sample) -> None:
    whole = measure(comparator, toy)
    assert whole.status == "ok"
    some = measure(comparator, spoilt(toy, ["suspect", "base"], change, every=12))
    assert some.status == "ok"
    assert some.n < whole.n
    assert some.value == pytest.approx(whole.value, abs=0.1)
    none = measure(comparator, spoilt(toy, ["suspect"], change))
    assert none.value is None
    assert none.reason


@pytest.mark.parametrize("comparator", LIKELY, ids=lambda c: c.name)
def test_a_reference_that_refuses_half_the_items(comparator: object, toy: Sample) -> None:
    refusing = tuple(
        replace(c, text=None, finish="filter", tokens=()) if c and i // 2 % 2 else c
        for i, c in enumerate(toy.reference)
    )
    whole, found = measure(comparator, toy), measure(comparator, replace(toy, reference=refusing))
    if found.status == "ok":
        assert found.n <= 0.6 * whole.n
        assert found.value is not None
        assert found.value > 0
    else:
        assert "30" in (found.reason or "")


@pytest.mark.parametrize("comparator", LIKELY, ids=lambda c: c.name)
def test_one_token_answers_are_not_enough(comparator: object, toy: Sample) -> None:
    def short(c: Completion | None) -> Completion | None:
        return (
            None if c is None else replace(c, text=(c.text or "").split()[0] if c.text else c.text, tokens=c.tokens[:1])
        )

    made = replace(
        toy,
        reference=tuple(map(short, toy.reference)),
        controls={n: tuple(map(short, c)) for n, c in toy.controls.items()},
        likelihoods={k: tuple(map(short, c)) for k, c in toy.likelihoods.items()},
    )
    found = measure(comparator, made)
    assert found.value is None or comparator.name == "divergence-tokens"  # type: ignore[attr-defined]
    assert found.value is None or np.isfinite(found.value)


def test_disjoint_vocabularies_abstain(toy: Sample) -> None:
    def foreign(c: Completion | None) -> Completion | None:
        return None if c is None else replace(
            c, tokens=tuple(replace(t, top=tuple((b"\xff" + k, v) for k, v in t.top)) for t in c.tokens)
        )  # fmt: skip

    for party in ("suspect", "reference", "ann"):
        columns = {"suspect": toy.suspect, "reference": toy.reference, **toy.controls}
        columns[party] = tuple(map(foreign, columns[party]))
        made = replace(toy, suspect=columns.pop("suspect"), reference=columns.pop("reference"), controls=columns)
        for name in ("next-token-divergence", "residual-correlation"):
            found = measure(COMPARATORS.load(name)(), made)
            assert found.status == "unsupported"
            assert "vocabularies" in (found.reason or "")


def test_a_scorer_without_alternatives_is_named(toy: Sample) -> None:
    def bare(c: Completion) -> Completion:
        return replace(c, tokens=tuple(replace(t, top=(), floor=None) for t in c.tokens))

    found = measure(DivergenceTokens(), spoilt(toy, ["bob"], bare))
    assert (found.status, found.reason) == ("unsupported", "bob lists no alternatives beside the tokens it scores")
    without = {k: v for k, v in toy.likelihoods.items() if k[0] != "reference"}
    found = measure(DivergenceTokens(), replace(toy, likelihoods=without))
    assert found.status == "unsupported"
    assert "reference can't score" in (found.reason or "")
    for comparator in (CrossLikelihood(), Memorisation(), NextTokenDivergence()):
        assert measure(comparator, replace(toy, likelihoods=without)).status == "ok"
