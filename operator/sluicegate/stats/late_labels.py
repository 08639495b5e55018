"""Sequential test of labels that come late: both arms' odds among labels of the same ages.

A wrong answer may become known at once, by a complaint, and a right one after weeks, by a sale.
Then a young candidate's first labels are another mixture than those of a long-lived stable version,
and shares of wrong answers don't compare. Of the predictions of one arm, labels of an age up to U
arrive at a rate proportional to p F₁(U) for wrong and (1 − p) F₀(U) for right answers. So the odds
of "wrong" among them are p/(1 − p) · F₁(U)/F₀(U), and in the ratio ψ of both arms' odds the delays
cancel, whatever F₁ and F₀ are, as in case-control studies. It holds as soon as both arms have made
predictions at unchanged shares for U seconds.

Given how many labels each arm has in a table, and how many of all are wrong, the candidate's wrong
labels have Fisher's noncentral hypergeometric distribution with ψ alone. The ratio of two of its
likelihoods is an e-value, and the product over tables is one after each of them.

Source: R. A. Fisher, "The logic of inductive inference", J. R. Statist. Soc. 98 (1935) 39–54;
N. Breslow and N. Day, Statistical Methods in Cancer Research I (1980), §7.3. docs/adr/0022 has the
simulations; tests/unit/stats/test_late_labels.py enumerates the means exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence  # noqa: TC003 - one import style
from functools import lru_cache
from math import exp, lgamma, log, sqrt
from typing import Final, NamedTuple

from sluicegate.stats.cached_fold import Rule, fold_cached
from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.stats.dispersion import independent_share
from sluicegate.stats.intervals import quantile, wilson_lower, wilson_upper
from sluicegate.stats.sequential_test import LEAST_RATIO, Factor, SequentialEvidence

LEAST_LABELS: Final = 20
"""Labels that a table has at least: neighbouring blocks with fewer are one table. A table of N labels
has 1 − 1/N of the information that they have in a larger one."""
REMEMBERED_LABELS: Final = 3_000
"""Labels after which an earlier one counts 1/e in the estimate of p: it follows a stable version that
changes, at any rate of labels."""
Z_RATIO: Final = quantile(0.95)
"""Of the interval of p in which the smallest odds ratio is that which promotions are tested against."""
_LEAST_CROSSED: Final = 0.25
"""Added to both products of the odds ratio, so that it is finite."""
_NEGLIGIBLE: Final = 1e-17
"""Share of the largest term of a sum below which its neighbours aren't added."""


class LabelledBlock(NamedTuple):
    """Labels of one block.

    Attributes
    ----------
    within : greatest age of the compared labels, in seconds; 0 if the block is no evidence.
    candidate, stable : the labels of each arm up to that age.
    every : labels of both arms, of any age.
    """

    within: int
    candidate: Count
    stable: Count
    every: Count


def odds_ratio(ratio: float, shift: float) -> float:
    """Return the ratio of the odds of `ratio + shift` and of `ratio`; both within (0, 1)."""
    shifted = ratio + shift
    return shifted / (1 - shifted) / (ratio / (1 - ratio))


@lru_cache(maxsize=2**16)
def log_mean(candidate_total: int, stable_total: int, bad: int, log_ratio: float) -> float:
    """Compute ln E ψ^x, x being the candidate's share of `bad` labels that are spread by chance.

    It is the normaliser of the noncentral distribution with ψ = exp(`log_ratio`), relative to that
    of the central one.
    """
    low, high = max(0, bad - stable_total), min(candidate_total, bad)
    if low == high:
        return low * log_ratio
    mode = _mode(candidate_total, stable_total, bad, exp(log_ratio))
    term = _log_binomial(candidate_total, mode) + _log_binomial(stable_total, bad - mode)
    term += mode * log_ratio - _log_binomial(candidate_total + stable_total, bad)
    total = size = 1.0
    ratio = exp(log_ratio)
    for x in range(mode, high):
        size *= (candidate_total - x) * (bad - x) * ratio / ((x + 1) * (stable_total - bad + x + 1))
        total += size
        if size < _NEGLIGIBLE:
            break
    size = 1.0
    for x in range(mode, low, -1):
        size *= x * (stable_total - bad + x) / ((candidate_total - x + 1) * (bad - x + 1) * ratio)
        total += size
        if size < _NEGLIGIBLE:
            break
    return term + log(total)


def _mode(candidate_total: int, stable_total: int, bad: int, ratio: float) -> int:
    """Return the x with the largest probability: the last whose ratio to its neighbour below is ≥ 1.

    It solves x (n₂ − m + x) = (n₁ − x + 1)(m − x + 1) ψ.
    """
    square = 1 - ratio
    linear = stable_total - bad + ratio * (candidate_total + bad + 2)
    constant = -ratio * (candidate_total + 1) * (bad + 1)
    # The stable form of the root, as `square` is near zero where the odds are.
    root = -2 * constant / (linear + sqrt(max(linear * linear - 4 * square * constant, 0.0)))
    return min(max(int(root), 0, bad - stable_total), candidate_total, bad)


def _log_binomial(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def table_factor(
    candidate: Count, stable: Count, earlier_counts: tuple[float, float], margin: float
) -> Factor:
    """Compute the logarithms of one table's factors, for independent labels.

    Parameters
    ----------
    candidate, stable : the table's labels by arm.
    earlier_counts : labels before it, from which p is estimated. For promoting, ψ is the smallest that a p
        within its interval gives, so that it never exceeds that of a candidate worse by the margin.
    margin : δ.
    """
    n, m, bad = candidate.total, stable.total, candidate.bad + stable.bad
    if n == 0 or m == 0 or bad in (0, n + m):
        return Factor(0.0, 0.0, 0.0)

    def ln(log_ratio: float) -> float:
        return candidate.bad * log_ratio - log_mean(n, m, bad, log_ratio)

    least, estimated, better = log_ratios(earlier_counts, margin)
    return Factor(-ln(least), ln(estimated), ln(better))


@lru_cache(maxsize=2**12)
def log_ratios(earlier_counts: tuple[float, float], margin: float) -> tuple[float, float, float]:
    """Return ln ψ that promotions, rollbacks and "better" are tested with.

    Parameters
    ----------
    earlier_counts : (bad, all) labels that p is estimated from; they may be fractions. margin : δ.
    """
    bad, total = earlier_counts
    most_margin = 1 - margin - LEAST_RATIO
    ratio = min(max((bad + 0.5) / (total + 1), LEAST_RATIO), most_margin)
    low = min(max(wilson_lower(bad, total, Z_RATIO), LEAST_RATIO), most_margin)
    high = min(max(wilson_upper(bad, total, Z_RATIO), LEAST_RATIO), most_margin)
    # The odds ratio is smallest where p and p + δ lie symmetrically about a half.
    nearest = min(max((1 - margin) / 2, low), high)
    better = max(-margin, -ratio / 2)
    return (
        log(odds_ratio(nearest, margin)),
        log(odds_ratio(ratio, margin)),
        log(odds_ratio(ratio, better)),
    )


def labels_growth(weight: float, compared_labels: float, ratio: float, margin: float) -> float:
    """Compute the mean ln E that one label of either arm adds if the candidate equals stable.

    Parameters
    ----------
    weight : the candidate's share, within (0, 1). compared : share of wrong ones among the compared
        labels. ratio : p, of all labels. margin : δ.
    """
    p = min(max(ratio, LEAST_RATIO), 1 - margin - LEAST_RATIO)
    distance = log(odds_ratio(p, margin))
    return weight * (1 - weight) * compared_labels * (1 - compared_labels) * distance * distance / 2


class OddsRatio(NamedTuple):
    """Estimate of ψ over all tables, by Mantel and Haenszel: not distorted by their different ages.

    `information` is the inverse of the variance of ln ψ.
    Source: N. Mantel and W. Haenszel, J. Natl. Cancer Inst. 22 (1959) 719–748.
    """

    estimate: float
    information: float


class _LabelSums(NamedTuple):
    """Sums of the blocks so far: ln E, compared labels, earlier labels, and the open table.

    `earlier` labels are weighted by their age. `open_earlier` are those before the open table, of which
    `squares` are the sums of its blocks' squared totals. `crossed` are the sums of the two products
    whose ratio is the estimated odds ratio.
    """

    promote: float = 0.0
    roll_back: float = 0.0
    better: float = 0.0
    candidate: Count = NOTHING
    stable: Count = NOTHING
    earlier: tuple[float, float] = (0.0, 0.0)
    within: int = 0
    open_candidate: Count = NOTHING
    open_stable: Count = NOTHING
    squares: tuple[int, int] = (0, 0)
    open_earlier: tuple[float, float] = (0.0, 0.0)
    crossed: tuple[float, float] = (0.0, 0.0)
    information: float = 0.0


def gather_labels(
    blocks: Iterable[LabelledBlock], past: Count, *, margin: float, correlation: float = 0.0
) -> tuple[SequentialEvidence, OddsRatio | None]:
    """Combine the evidence of blocks, oldest first; labels of the open table don't count yet.

    The odds ratio is None without a table that has any information.

    Parameters
    ----------
    past : labels before them. margin : δ.
    correlation : ρ, the correlation of two labels of one block and arm (`dispersion`).
    """
    weight = min(1.0, REMEMBERED_LABELS / past.total) if past.total else 0.0
    sums = _LabelSums(earlier=(past.bad * weight, past.total * weight))
    sums = fold_cached(_added, sums, tuple(blocks), (margin, correlation))
    evidence = SequentialEvidence(
        sums.promote, sums.roll_back, sums.candidate, sums.stable, sums.better
    )
    if not sums.information:
        return evidence, None
    candidate_product, stable_product = sums.crossed
    estimate = (candidate_product + _LEAST_CROSSED) / (stable_product + _LEAST_CROSSED)
    return evidence, OddsRatio(estimate, sums.information)


def _added(sums: _LabelSums, blocks: Sequence[LabelledBlock], rule: Rule) -> _LabelSums:
    margin, correlation = rule
    for block in blocks:
        if block.within != sums.within:
            sums = _closed(sums, margin, correlation)._replace(within=block.within)
        if block.within:
            sums = _with_labels(sums, block.candidate, block.stable)
        sums = sums._replace(earlier=_remembered(sums.earlier, block.every, correlation))
        if sums.open_candidate.total + sums.open_stable.total >= LEAST_LABELS:
            sums = _closed(sums, margin, correlation)
    return sums


def _with_labels(sums: _LabelSums, candidate: Count, stable: Count) -> _LabelSums:
    """Add a block's labels to the open table; `open_earlier` are the labels of stable before the first block of it."""
    empty = not (sums.open_candidate.total or sums.open_stable.total)
    candidate_square, stable_square = sums.squares
    return sums._replace(
        open_candidate=summed((sums.open_candidate, candidate)),
        open_stable=summed((sums.open_stable, stable)),
        squares=(candidate_square + candidate.total**2, stable_square + stable.total**2),
        open_earlier=sums.earlier if empty else sums.open_earlier,
    )


def _closed(sums: _LabelSums, margin: float, correlation: float) -> _LabelSums:
    """Add the factors of the open table; bursts reduce them to those of fewer, independent labels."""
    candidate, stable = sums.open_candidate, sums.open_stable
    if candidate.total and stable.total:
        share = 1 / _dispersion(candidate.total, stable.total, sums.squares, correlation)
        factor = table_factor(candidate, stable, sums.open_earlier, margin)
        sums = sums._replace(
            promote=sums.promote + share * factor.promote,
            roll_back=sums.roll_back + share * factor.roll_back,
            better=sums.better + share * factor.better,
            crossed=_crossed(sums.crossed, candidate, stable),
            information=sums.information + share * _information(candidate, stable),
        )
    return sums._replace(
        candidate=summed((sums.candidate, candidate)),
        stable=summed((sums.stable, stable)),
        open_candidate=NOTHING,
        open_stable=NOTHING,
        squares=(0, 0),
    )


def _crossed(sums: tuple[float, float], candidate: Count, stable: Count) -> tuple[float, float]:
    """Add the two products of a table, over its total: wrong of one version by right of the other."""
    candidate_product, stable_product = sums
    total = candidate.total + stable.total
    candidate_product += candidate.bad * (stable.total - stable.bad) / total
    stable_product += stable.bad * (candidate.total - candidate.bad) / total
    return candidate_product, stable_product


def _information(candidate: Count, stable: Count) -> float:
    """Compute the variance of the candidate's wrong labels in a table of equal versions."""
    total, bad = candidate.total + stable.total, candidate.bad + stable.bad
    if total <= 1:
        return 0.0
    return bad * (total - bad) * candidate.total * stable.total / (total * total * (total - 1))


def _dispersion(
    candidate_total: int, stable_total: int, squares: tuple[int, int], correlation: float
) -> float:
    """Compute the factor by which bursts increase the variance of the log odds ratio of a table.

    It is that of each arm's sum of blocks, 1 + (Σn²/Σn − 1)ρ, weighted by the inverse of its labels.
    """
    of_ours, of_theirs = (
        1 + max(square / total - 1, 0.0) * correlation
        for square, total in zip(squares, (candidate_total, stable_total), strict=True)
    )
    return (of_ours * stable_total + of_theirs * candidate_total) / (candidate_total + stable_total)


def _remembered(
    earlier_counts: tuple[float, float], count: Count, correlation: float
) -> tuple[float, float]:
    """Add a block's labels, divided by their dispersion; earlier labels are discounted by the same number."""
    share = independent_share(count.total, correlation)
    weight = exp(-count.total * share / REMEMBERED_LABELS)
    return earlier_counts[0] * weight + count.bad * share, earlier_counts[
        1
    ] * weight + count.total * share
