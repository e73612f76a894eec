"""``relative-mmd``: are S's answers distributed more like R's than like the controls', prompt by prompt?

Besides the comparator: `mmd2_unbiased`, and `equality_test`, a permutation test of two sets of answers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..types import Sample, Score
from .answer_overlap import TEXT_FAMILIES, log_lengths, regressed, views
from .base import RESAMPLES, Array, by_item, point, relative
from .texts import Texts, complete_texts, item_blocks

Kernel = Callable[[Sequence[str], Sequence[str]], Array]
CODEPOINTS = 0x110000
PERMUTED = 2048  # permutations at a time


@dataclass(frozen=True, slots=True)
class RelativeMmd:
    """Relative maximum mean discrepancy, after 2410.20247, with typicality subtracted.

    Kernel: k(x, y) = positions t < ``length`` with x_t = y_t, over sqrt(|x| |y|), |x| <= ``length`` characters read;
    zero between answers to different prompts. So k(x, x) = 1, and missing positions agree with nothing. With m draws a
    prompt x_ab = mean k over the m^2 pairs of draws of a and b, w_a = mean k over pairs of different draws of a:

        MMD²_i(a, b) = w_a + w_b - 2 x_ab                              unbiased; w needs two draws
        c_ij = ½ mean_{k != j} [ MMD²_i(j, k) - MMD²_i(S, j) ]         k over controls; the first term is typicality
             = x_Sj - mean_{k != j} x_jk + ½ (mean_{k != j} w_k - w_S)

    The value is c_iR - mean_j c_ij, averaged over prompts, and in it the w cancel exactly. They are therefore left out,
    and one draw a prompt estimates the same quantity without bias; the MMD² itself does not exist then. Ablations give
    it, as mean_j MMD²(S, C_j) - MMD²(S, R) without typicality, where at least 30 prompts have two draws or more, and
    the contrast with the *nearest* control in place of their mean: on recorded answers of public models (9 lineages of
    gpt-4's students, 16 of others; ten controls) the nearest told them apart with AUC .56, the mean with .73.

    What length explains is taken out as in ``answer-overlap``. ``length``: after the first hundred characters answers
    have drifted apart and agree at a place by chance. Unit: kernel, -1 … 1. Null hypothesis: the candidate is not S's
    teacher.
    """

    name: str = "relative-mmd"
    unit: str = "kernel"
    families: frozenset[str] = TEXT_FAMILIES
    length: int = 100
    ablate: bool = True
    resamples: int = RESAMPLES

    def compare(self, sample: Sample, rng: np.random.Generator) -> Score:
        """See the class; needs texts only."""
        texts = complete_texts(self.name, sample)
        if isinstance(texts, Score):
            return texts
        raw, mmd = self.closeness(texts)
        adjusted = self._adjusted(texts, raw)
        ablations = {
            "not length-adjusted": point(raw),
            "typicality not subtracted": point(mmd),
            "against the nearest control": nearest(adjusted),
        }
        for label, view in views().items() if self.ablate else ():
            ablations[label] = point(self._adjusted(texts, self.closeness(texts, view)[0], view))
        return relative(self.name, adjusted, texts.names, rng, resamples=self.resamples, ablations=ablations)

    def _adjusted(self, texts: Texts, closeness: Array, view: Callable[[str], str] = str) -> Array:
        return regressed(closeness, by_item(texts.units, log_lengths(texts.columns, view))[0])

    def closeness(self, texts: Texts, view: Callable[[str], str] = str) -> tuple[Array, Array]:
        """``(n_items, 1 + K)`` twice: c without its w, and -MMD²_i(S, j), NaN for items with one draw."""
        blocks = []
        for rows, item in item_blocks(texts.units):
            draws = np.bincount(item)
            means = [mean_embedding(column, item, len(draws), self.length) for column in texts.view(view, rows)]
            blocks.append(_closeness(means, draws))
        near, mmd = zip(*blocks, strict=True)
        return np.concatenate(near), np.concatenate(mmd)


def nearest(closeness: Array) -> float:
    """The reference's mean closeness minus that of the control which is nearest to S."""
    means = closeness.mean(axis=0)
    return float(means[0] - means[1:].max())


def mean_embedding(texts: Iterable[str], rows: NDArray[np.intp], n_rows: int, length: int) -> Any:
    """Sparse mean of the kernel's feature map over the texts of each row ``(n_rows, length * code points)``."""
    from scipy.sparse import coo_matrix

    # NumPy pads short strings with U+0000, which therefore counts as no character.
    codes = np.array([t[:length] for t in texts], dtype=f"U{length}").view(np.uint32).reshape(-1, length)
    text, place = np.nonzero(codes)
    norm = np.sqrt(np.maximum((codes != 0).sum(axis=1), 1)) * np.bincount(rows, minlength=n_rows)[rows]
    column = place * CODEPOINTS + codes[text, place]
    shape = (n_rows, length * CODEPOINTS)
    return coo_matrix((1.0 / norm[text], (rows[text], column)), shape=shape).tocsr()


def _inner(a: Any, b: Any) -> Array:
    return np.asarray(a.multiply(b).sum(axis=1), dtype=np.float64).ravel()


def _closeness(means: list[Any], draws: NDArray[np.intp]) -> tuple[Array, Array]:
    """From the mean embeddings of S, R and the controls: see `RelativeMmd.closeness`."""
    suspect, *others = means
    k = len(others) - 1
    total = sum(others[2:], start=others[1])
    within = [_within(_inner(m, m), draws) for m in means]
    near, mmd = [], []
    for j, mine in enumerate(others):
        own = _inner(mine, mine) if j else 0.0
        cross = _inner(suspect, mine)
        near.append(cross - (_inner(mine, total) - own) / (k - (j > 0)))
        mmd.append(2.0 * cross - within[0] - within[1 + j])
    return np.stack(near, axis=1), np.stack(mmd, axis=1)


def _within(squared: Array, draws: NDArray[np.intp]) -> Array:
    """Mean kernel over pairs of different draws, from the squared norm of the mean embedding and k(x, x) = 1."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(draws > 1, (draws * squared - 1.0) / (draws - 1.0), np.nan)


def hamming(x: Sequence[str], y: Sequence[str], length: int = 1000) -> Array:
    """The kernel of `RelativeMmd` as a matrix ``(len(x), len(y))``."""
    from scipy.sparse import csr_matrix

    both = mean_embedding([*x, *y], np.arange(len(x) + len(y)), len(x) + len(y), length)
    # Transposed, every column takes memory: only those that occur are kept.
    used, column = np.unique(both.indices, return_inverse=True)
    features = csr_matrix((both.data, column, both.indptr), shape=(both.shape[0], len(used)))
    return np.asarray((features[: len(x)] @ features[len(x) :].T).toarray(), dtype=np.float64)


def mmd2_unbiased(x: Sequence[Any], y: Sequence[Any], kernel: Callable[[Any, Any], Array] = hamming) -> float:
    """MMD²_u = mean_{a != b} k(x_a, x_b) + mean_{a != b} k(y_a, y_b) - 2 mean k(x_a, y_b)      (Gretton et al. 2012).

    ``kernel`` takes two collections and returns a matrix. Errors: `UsageError` with fewer than two of either.
    """
    if min(len(x), len(y)) < 2:
        raise UsageError(f"an unbiased MMD needs two answers a side: {len(x)} and {len(y)} were given")
    xx, yy, n, m = kernel(x, x), kernel(y, y), len(x), len(y)
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within - 2.0 * kernel(x, y).mean())


def equality_test(
    a: Sequence[str],
    b: Sequence[str],
    rng: np.random.Generator,
    *,
    prompts: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
    permutations: int = 999,
    kernel: Kernel = hamming,
) -> tuple[float, float]:
    """Permutation p-value and MMD²_u of two sets of answers, after 2410.20247.

    Null hypothesis: given the prompt, the answers of both sides are exchangeable (the same model, the same settings).
    p = (1 + #{permuted >= observed}) / (permutations + 1), never 0. ``prompts``: which prompt each answer of ``a`` and
    of ``b`` belongs to (one prompt if None): the kernel is zero across prompts, and labels are permuted within a prompt
    only. The kernel is computed once; the sums of every permutation are one matrix product. Errors: `UsageError` if no
    prompt has two answers of either side, which leaves nothing to compare.
    """
    group = _groups(prompts or ([0] * len(a), [0] * len(b)))
    texts, label = [*a, *b], np.repeat([1.0, 0.0], [len(a), len(b)])
    if len(group) != len(texts):
        raise UsageError(f"{len(texts)} answers, but {len(group)} prompts")
    k = kernel(texts, texts) * (group[:, None] == group)
    np.fill_diagonal(k, 0.0)
    n, m = np.bincount(group, weights=label), np.bincount(group, weights=1.0 - label)
    pairs = (float((n * (n - 1)).sum()), float((m * (m - 1)).sum()), float((n * m).sum()))
    if min(pairs) == 0:
        raise UsageError("an equality test needs a prompt with two answers of each side")
    observed = float(_statistics(label[None, :], k, pairs)[0])
    beyond = 0
    for start in range(0, permutations, PERMUTED):
        labels = np.tile(label, (min(PERMUTED, permutations - start), 1))
        for g in range(int(group.max()) + 1):
            members = np.flatnonzero(group == g)
            labels[:, members] = rng.permuted(labels[:, members], axis=1)
        # The same labelling may differ in its last digits from one product to the next.
        beyond += int((_statistics(labels, k, pairs) >= observed - 1e-12).sum())
    return (1 + beyond) / (permutations + 1), observed


def _groups(prompts: tuple[Sequence[Hashable], Sequence[Hashable]]) -> NDArray[np.intp]:
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(p, len(known)) for side in prompts for p in side], dtype=np.intp)


def _statistics(labels: Array, k: Array, pairs: tuple[float, float, float]) -> Array:
    """MMD²_u ``(B,)`` of labellings ``(B, n)`` (1: first side), for a kernel with zero diagonal."""
    inside = labels @ k
    first, touching = (inside * labels).sum(axis=1), inside.sum(axis=1)
    second = k.sum() - 2.0 * touching + first
    return np.asarray(first / pairs[0] + second / pairs[1] - 2.0 * (touching - first) / pairs[2])
