"""Sequential test of late labels: both arms' odds among labels of the same ages.

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

from sluicegate.stats.cached_fold import Derived, Rule, fold_cached
from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.stats.dispersion import independent_share
from sluicegate.stats.intervals import quantile, wilson_lower, wilson_upper
from sluicegate.stats.sequential_test import MIN_RATIO, Factor, SequentialEvidence

MIN_LABELS: Final = 20
"""Labels that a table has at least: neighbouring blocks with fewer are one table. A table of N labels
has 1 − 1/N of the information that they have in a larger one."""
REMEMBERED_LABELS: Final = 3_000
"""Labels after which an earlier one counts 1/e in the estimate of p: it follows a stable version that
changes, at any rate of labels."""
Z_RATIO: Final = quantile(0.95)
"""Of the interval of p in which the smallest odds ratio is that which promotions are tested against."""
_MIN_CROSSED_PAIRS: Final = 0.25
"""Added to both products of the odds ratio, so that it is finite."""
_NEGLIGIBLE_TERM: Final = 1e-17
"""Share of the largest term of a sum below which its neighbours aren't added."""


class LabelledBlock(NamedTuple):
    """Labels of one block: those compared in one table, and all labels of the stable version.

    Attributes
    ----------
    within : greatest age of the compared labels, in seconds; 0 if the block is no evidence.
    candidate, stable : the labels of each arm up to that age.
    every : labels of both arms, of any age.
    """

    joint_labels: int
    candidate: Count
    stable: Count
    all_labels: Count


def odds_ratio(ratio: float, shift: float) -> float:
    """Return the ratio of the odds of `ratio + shift` and of `ratio`; both within (0, 1)."""
    shifted_ratio = ratio + shift
    return shifted_ratio / (1 - shifted_ratio) / (ratio / (1 - ratio))


@lru_cache(maxsize=2**16)
def log_mean(candidate_total: int, stable_total: int, bad_events: int, log_ratio: float) -> float:
    """Compute ln E ψ^x, x being the candidate's share of `bad` labels that are spread by chance.

    It is the normaliser of the noncentral distribution with ψ = exp(`log_ratio`), relative to that
    of the central one.
    """
    lowest_count, highest_count = (
        max(0, bad_events - stable_total),
        min(candidate_total, bad_events),
    )
    if lowest_count == highest_count:
        return lowest_count * log_ratio
    mode = _most_likely_count(candidate_total, stable_total, bad_events, exp(log_ratio))
    log_term = _log_binomial(candidate_total, mode) + _log_binomial(stable_total, bad_events - mode)
    log_term += mode * log_ratio - _log_binomial(candidate_total + stable_total, bad_events)
    total = size = 1.0
    ratio = exp(log_ratio)
    for x in range(mode, highest_count):
        size *= (
            (candidate_total - x)
            * (bad_events - x)
            * ratio
            / ((x + 1) * (stable_total - bad_events + x + 1))
        )
        total += size
        if size < _NEGLIGIBLE_TERM:
            break
    size = 1.0
    for x in range(mode, lowest_count, -1):
        size *= (
            x
            * (stable_total - bad_events + x)
            / ((candidate_total - x + 1) * (bad_events - x + 1) * ratio)
        )
        total += size
        if size < _NEGLIGIBLE_TERM:
            break
    return log_term + log(total)


def _most_likely_count(
    candidate_total: int, stable_total: int, bad_events: int, ratio: float
) -> int:
    """Return the candidate's most probable number of bad labels in a table with given totals and odds ratio.

    It solves x (n₂ − m + x) = (n₁ − x + 1)(m − x + 1) ψ.
    """
    square_coefficient = 1 - ratio
    linear_coefficient = stable_total - bad_events + ratio * (candidate_total + bad_events + 2)
    constant_coefficient = -ratio * (candidate_total + 1) * (bad_events + 1)
    # The stable form of the root, as `square` is near zero where the odds are.
    mode_root = (
        -2
        * constant_coefficient
        / (
            linear_coefficient
            + sqrt(
                max(
                    linear_coefficient * linear_coefficient
                    - 4 * square_coefficient * constant_coefficient,
                    0.0,
                )
            )
        )
    )
    return min(max(int(mode_root), 0, bad_events - stable_total), candidate_total, bad_events)


def _log_binomial(n: int, successes: int) -> float:
    return lgamma(n + 1) - lgamma(successes + 1) - lgamma(n - successes + 1)


def table_factor(
    candidate: Count, stable: Count, earlier_counts: tuple[float, float], margin: float
) -> Factor:
    """Compute the log likelihood factors of one 2×2 table of labels, as if labels were independent.

    Parameters
    ----------
    candidate, stable : the table's labels by arm.
    earlier_counts : labels before it, from which p is estimated. For promoting, ψ is the smallest that a p
        within its interval gives, so that it never exceeds that of a candidate worse by the margin.
    margin : δ.
    """
    n, stable_total, bad_events = (
        candidate.total,
        stable.total,
        candidate.bad + stable.bad,
    )
    if n == 0 or stable_total == 0 or bad_events in (0, n + stable_total):
        return Factor(0.0, 0.0, 0.0)

    def log_mean_at(log_ratio: float) -> float:
        return candidate.bad * log_ratio - log_mean(n, stable_total, bad_events, log_ratio)

    min_log_ratio, estimated_log_ratio, better_log_ratio = log_ratios(earlier_counts, margin)
    return Factor(
        -log_mean_at(min_log_ratio),
        log_mean_at(estimated_log_ratio),
        log_mean_at(better_log_ratio),
    )


@lru_cache(maxsize=2**12)
def log_ratios(earlier_counts: tuple[float, float], margin: float) -> tuple[float, float, float]:
    """Return ln ψ that promotions, rollbacks and "better" are tested with.

    Parameters
    ----------
    earlier_counts : (bad, all) labels that p is estimated from; they may be fractions. margin : δ.
    """
    bad_events, total = earlier_counts
    max_margin = 1 - margin - MIN_RATIO
    ratio = min(max((bad_events + 0.5) / (total + 1), MIN_RATIO), max_margin)
    lowest_ratio = min(max(wilson_lower(bad_events, total, Z_RATIO), MIN_RATIO), max_margin)
    highest_ratio = min(max(wilson_upper(bad_events, total, Z_RATIO), MIN_RATIO), max_margin)
    # The odds ratio is smallest where p and p + δ lie symmetrically about a half.
    nearest_ratio = min(max((1 - margin) / 2, lowest_ratio), highest_ratio)
    better_shift = max(-margin, -ratio / 2)
    return (
        log(odds_ratio(nearest_ratio, margin)),
        log(odds_ratio(ratio, margin)),
        log(odds_ratio(ratio, better_shift)),
    )


def labels_growth(weight: float, compared_labels: float, ratio: float, margin: float) -> float:
    """Compute the mean ln E that one label adds if the candidate equals stable.

    Parameters
    ----------
    weight : the candidate's share, within (0, 1). compared : share of wrong ones among the compared
        labels. ratio : p, of all labels. margin : δ.
    """
    clipped_ratio = min(max(ratio, MIN_RATIO), 1 - margin - MIN_RATIO)
    log_odds_distance = log(odds_ratio(clipped_ratio, margin))
    return (
        weight
        * (1 - weight)
        * compared_labels
        * (1 - compared_labels)
        * log_odds_distance
        * log_odds_distance
        / 2
    )


class OddsRatio(NamedTuple):
    """Estimate of ψ over all tables, by Mantel and Haenszel: not distorted by their different ages.

    `information` is the inverse of the variance of ln ψ.
    Source: N. Mantel and W. Haenszel, J. Natl. Cancer Inst. 22 (1959) 719–748.
    """

    estimate: float
    fisher_information: float


class _LabelSums(NamedTuple):
    """Sums over the blocks so far: ln E, compared labels, earlier labels, and the unfinished 2×2 table of labels.

    `earlier_labels` are weighted by their age. `open_earlier` are those before the open table, of which
    `squared_totals` are the sums of its blocks' squared totals. `crossed_pairs` are the sums of the two products
    whose ratio is the estimated odds ratio. `blocks` is the number of compared blocks, and `newest_labels`
    the greatest age of the newest one's labels.
    """

    promote_evidence: float = 0.0
    roll_back: float = 0.0
    better_evidence: float = 0.0
    candidate: Count = NOTHING
    stable: Count = NOTHING
    earlier_labels: tuple[float, float] = (0.0, 0.0)
    compared_labels: int = 0
    open_candidate: Count = NOTHING
    open_stable: Count = NOTHING
    squared_totals: tuple[int, int] = (0, 0)
    open_earlier: tuple[float, float] = (0.0, 0.0)
    crossed_pairs: tuple[float, float] = (0.0, 0.0)
    fisher_information: float = 0.0
    blocks: int = 0
    newest_labels: int = 0


def label_evidence(
    blocks: Iterable[LabelledBlock] | Derived[LabelledBlock],
    earlier_counts: Count,
    *,
    margin: float,
    correlation: float = 0.0,
) -> tuple[SequentialEvidence, OddsRatio | None, int]:
    """Combine the evidence of blocks, oldest first; labels of the open table don't count yet.

    The odds ratio is None without a table that has any information. The last value is the greatest age
    of the newest compared labels; 0 without any.

    Parameters
    ----------
    past : labels before them. margin : δ.
    correlation : ρ, the correlation of two labels of one block and arm (`dispersion`).
    """
    weight = min(1.0, REMEMBERED_LABELS / earlier_counts.total) if earlier_counts.total else 0.0
    label_sums = _LabelSums(
        earlier_labels=(earlier_counts.bad * weight, earlier_counts.total * weight)
    )
    labelled = blocks if isinstance(blocks, Derived) else tuple(blocks)
    label_sums = fold_cached(_add_blocks, label_sums, labelled, (margin, correlation))
    evidence = SequentialEvidence(
        label_sums.promote_evidence,
        label_sums.roll_back,
        label_sums.candidate,
        label_sums.stable,
        label_sums.better_evidence,
        label_sums.blocks,
    )
    newest_labels = label_sums.newest_labels
    if not label_sums.fisher_information:
        return evidence, None, newest_labels
    candidate_product, stable_product = label_sums.crossed_pairs
    estimate = (candidate_product + _MIN_CROSSED_PAIRS) / (stable_product + _MIN_CROSSED_PAIRS)
    return evidence, OddsRatio(estimate, label_sums.fisher_information), newest_labels


def _add_blocks(label_sums: _LabelSums, blocks: Sequence[LabelledBlock], rule: Rule) -> _LabelSums:
    margin, correlation = rule
    for block in blocks:
        if block.joint_labels != label_sums.compared_labels:
            label_sums = _close_table(label_sums, margin, correlation)._replace(
                compared_labels=block.joint_labels
            )
        if block.joint_labels:
            label_sums = _with_labels(label_sums, block.candidate, block.stable)
        label_sums = label_sums._replace(
            earlier_labels=_discount_earlier(
                label_sums.earlier_labels, block.all_labels, correlation
            )
        )
        if label_sums.open_candidate.total + label_sums.open_stable.total >= MIN_LABELS:
            label_sums = _close_table(label_sums, margin, correlation)
    return label_sums


def _with_labels(label_sums: _LabelSums, candidate: Count, stable: Count) -> _LabelSums:
    """Add a block's labels to the unfinished table; `open_earlier` are stable's labels before that table began."""
    is_open_table_empty = not (label_sums.open_candidate.total or label_sums.open_stable.total)
    candidate_square, stable_square = label_sums.squared_totals
    return label_sums._replace(
        open_candidate=summed((label_sums.open_candidate, candidate)),
        open_stable=summed((label_sums.open_stable, stable)),
        squared_totals=(candidate_square + candidate.total**2, stable_square + stable.total**2),
        open_earlier=label_sums.earlier_labels if is_open_table_empty else label_sums.open_earlier,
        blocks=label_sums.blocks + 1,
        newest_labels=label_sums.compared_labels,
    )


def _close_table(label_sums: _LabelSums, margin: float, correlation: float) -> _LabelSums:
    """Add the factors of the finished table to ln E; correlated labels count as fewer, independent ones."""
    candidate, stable = label_sums.open_candidate, label_sums.open_stable
    if candidate.total and stable.total:
        independent_fraction = 1 / _dispersion(
            candidate.total, stable.total, label_sums.squared_totals, correlation
        )
        factor = table_factor(candidate, stable, label_sums.open_earlier, margin)
        label_sums = label_sums._replace(
            promote_evidence=label_sums.promote_evidence
            + independent_fraction * factor.promote_factor,
            roll_back=label_sums.roll_back + independent_fraction * factor.roll_back,
            better_evidence=label_sums.better_evidence
            + independent_fraction * factor.better_factor,
            crossed_pairs=_crossed_pairs(label_sums.crossed_pairs, candidate, stable),
            fisher_information=label_sums.fisher_information
            + independent_fraction * _fisher_information(candidate, stable),
        )
    return label_sums._replace(
        candidate=summed((label_sums.candidate, candidate)),
        stable=summed((label_sums.stable, stable)),
        open_candidate=NOTHING,
        open_stable=NOTHING,
        squared_totals=(0, 0),
    )


def _crossed_pairs(
    earlier_pairs: tuple[float, float], candidate: Count, stable: Count
) -> tuple[float, float]:
    """Add two products of a table's cells, divided by its total: bad of one version times good of the other."""
    candidate_product, stable_product = earlier_pairs
    total = candidate.total + stable.total
    candidate_product += candidate.bad * (stable.total - stable.bad) / total
    stable_product += stable.bad * (candidate.total - candidate.bad) / total
    return candidate_product, stable_product


def _fisher_information(candidate: Count, stable: Count) -> float:
    """Compute the variance of the candidate's wrong labels in a table of equal versions."""
    total, bad_events = candidate.total + stable.total, candidate.bad + stable.bad
    if total <= 1:
        return 0.0
    return (
        bad_events
        * (total - bad_events)
        * candidate.total
        * stable.total
        / (total * total * (total - 1))
    )


def _dispersion(
    candidate_total: int, stable_total: int, squared_totals: tuple[int, int], correlation: float
) -> float:
    """Compute the factor by which bursts increase the variance of the log odds ratio of a table.

    It is that of each arm's sum of blocks, 1 + (Σn²/Σn − 1)ρ, weighted by the inverse of its labels.
    """
    candidate_term, stable_term = (
        1 + max(square_coefficient / total - 1, 0.0) * correlation
        for square_coefficient, total in zip(
            squared_totals, (candidate_total, stable_total), strict=True
        )
    )
    return (candidate_term * stable_total + stable_term * candidate_total) / (
        candidate_total + stable_total
    )


def _discount_earlier(
    earlier_counts: tuple[float, float], count: Count, correlation: float
) -> tuple[float, float]:
    """Add a block's labels divided by their dispersion, and discount earlier labels by the same number."""
    independent_fraction = independent_share(count.total, correlation)
    weight = exp(-count.total * independent_fraction / REMEMBERED_LABELS)
    return earlier_counts[0] * weight + count.bad * independent_fraction, earlier_counts[
        1
    ] * weight + count.total * independent_fraction
