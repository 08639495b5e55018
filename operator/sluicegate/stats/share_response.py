"""Tests whether a ratio follows the share of another product's version, or changes by itself.

Three models of the bad ratio in bins of time, fitted by weighted least squares:

- *share*: a constant and the share of the traffic that the version has, delayed as labels are;
- *own change*: a constant and one step at an unknown moment;
- *both*.

A version that is rolled out in steps leaves its steps in what it causes, and a change of other
origin does not have them. The likelihood ratios between the models say which is shown. Residuals of
the largest model give the dispersion, so bursts and trends from hour to hour count as noise.

Labels come later than predictions: the share is convolved with fixed and exponential delays of
several lengths, and the delay or the mixture of delays that fits best is used.

A ratio that has improved before the version came was bad by an incident. The bins of that incident are
no level without the version, so they are left out.

Labels of right and of wrong answers may come after unequal times. Where the traffic changes, the ratio is
that of the quicker ones until the others have come. So a change by itself has to last longer than labels take.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from operator import mul
from typing import Final, NamedTuple

from sluicegate.stats.counts import Count, summed

FIXED_DELAYS: Final = tuple(range(1, 13))
"""Delays that all labels may have, in blocks. A longer one that isn't known would explain any change."""
MEAN_DELAYS: Final = (1, 2, 4, 8, 16, 24)
"""Means of the exponential distributions that are tried, in blocks."""
MIN_BINS: Final = 3
"""Bins before and after the version's first traffic without which nothing is said."""
IMPROVED: Final = log(100)
"""Natural logarithm of the likelihood ratio from which on an improvement is shown, beside the logarithm
of the moments that are tried for it."""
_PARAMETERS: Final = 4
"""Of the largest model: constant, two slopes and the moment of the step."""
_SINGULAR_DETERMINANT: Final = 1e-9
_GROUP_SIZES: Final = (1, 4, 12)
"""Bins that are added up for a dispersion."""
_MIN_GROUPS: Final = 6
_MAX_DESCENT_ROUNDS: Final = 500
"""Of the coordinate descent."""
_MIN_EXPLAINED: Final = 1e-3
"""Weighted squares that a round of the descent has to explain for another one to follow."""


class Bin(NamedTuple):
    """Events between two moments, in seconds."""

    start: float
    end: float
    events: Count


class ShareChange(NamedTuple):
    """A share of the traffic from 0 to 1 and the moment from which it applies, in seconds."""

    time: float
    share: float


@dataclass(frozen=True, slots=True)
class ShareResponse:
    """How a bad ratio responds to a traffic share.

    Attributes
    ----------
    without, at_full : bad ratio without the version, and at all of the traffic, by the model *share*.
    present_share : of the version in the newest bin, as far as labels show it; from 0 to 1.
    follows : natural logarithm of the likelihood ratio of *share* against a constant; 0 if the ratio
        decreases with the share.
    own : the same of *both* against *share*: whether a change by itself is shown as well.
    own_rise : the step of *both*; 0 if it is an improvement.
    lasting, lasting_rise : both by the bins alone in which no label is from before the step.
    decision_time : moment from which on there are enough of them, in seconds.
    moments : moments that were tried for the step, which a bound on `own` has to account for.
    """

    without: float
    at_full: float
    present_share: float
    follows: float
    own: float
    own_rise: float
    lasting: float
    lasting_rise: float
    decision_time: float
    moments: int

    @property
    def rise(self) -> float:
        """Return the part of the present bad ratio that the version explains."""
        return (self.at_full - self.without) * self.present_share


def share_response(
    bins: Sequence[Bin], changes: Sequence[ShareChange], *, block_seconds: float, lag_seconds: float
) -> ShareResponse | None:
    """Fit the models; None if too few bins with events are before or after the first share.

    Parameters
    ----------
    bins : of the ratio, oldest first. changes : of the version's share, oldest first.
    lag_seconds : delay of the labels as far as it is known; 0 if it isn't.
    """
    bins = [interval for interval in bins if interval.events.total]
    number_before = sum(interval.end <= changes[0].time for interval in bins)
    if min(number_before, len(bins) - number_before) < MIN_BINS:
        return None
    bins = [*_since_improvement(bins[:number_before]), *bins[number_before:]]
    sample = _Sample.of([interval.events for interval in bins])
    shares = [
        [delay.share(interval, changes) for interval in bins]
        for delay in _candidate_delays(block_seconds, lag_seconds)
    ]
    best_single_version = max(
        (_model_of_share(sample, share_values) for share_values in shares), key=_explained_variance
    )
    mixed_versions = _model_of_share(sample, _mixed_shares(sample, shares))
    share_model = max(best_single_version, mixed_versions, key=_explained_variance)
    share_series = (shares[0], best_single_version.shares, mixed_versions.shares)
    best_step_model = max(
        (_model_of_share_and_step(sample, share_values) for share_values in share_series),
        key=_explained_variance,
    )
    noise = _dispersion(sample, max(share_model, best_step_model, key=_explained_variance))
    labelled = labels_seconds(block_seconds, lag_seconds)
    begin = bins[best_step_model.begin].start
    later = [i for i, interval in enumerate(bins) if interval.start >= begin + labelled]
    lasting_step, lasting = _lasting_step(sample, best_step_model, later)
    own = max(best_step_model.explained - share_model.explained, 0.0) / (2 * noise)
    has_ended = len(later) >= MIN_BINS and lasting_step < best_step_model.step / 2
    if has_ended and own >= log(len(bins)) + IMPROVED:
        kept = [*bins[: best_step_model.begin], *(bins[i] for i in later)]
        return share_response(kept, changes, block_seconds=block_seconds, lag_seconds=lag_seconds)
    return ShareResponse(
        without=min(max(sample.mean - share_model.slope * share_model.mean_share, 0.0), 1.0),
        at_full=min(max(sample.mean + share_model.slope * (1 - share_model.mean_share), 0.0), 1.0),
        present_share=share_model.shares[-1],
        follows=share_model.explained / (2 * noise),
        own=own,
        own_rise=best_step_model.step,
        lasting=lasting / (2 * noise),
        lasting_rise=lasting_step,
        decision_time=begin + 2 * labelled,
        moments=len(bins),
    )


def labels_seconds(block_seconds: float, lag_seconds: float) -> float:
    """Return the seconds within which the labels of a prediction arrive; `lag_seconds` is the known part."""
    return block_seconds * FIXED_DELAYS[-1] + lag_seconds


def _lasting_step(sample: "_Sample", model: "_Model", later: Sequence[int]) -> tuple[float, float]:
    """Return the step of a model by later bins alone, and the variance that it explains there.

    Both are 0 while these are too few, or not worse.
    """
    if not model.step or len(later) < MIN_BINS:
        return 0.0, 0.0
    unexplained = model._replace(step=0.0).residuals(sample)
    (before, mean_before), (weight, mean_later) = (
        (total, sum(sample.weights[i] * unexplained[i] for i in group) / total)
        for group in (range(model.begin), later)
        for total in (sum(sample.weights[i] for i in group),)
    )
    step = max(mean_later - mean_before, 0.0)
    return step, step * step * weight * before / (weight + before)


def _since_improvement(bins: list[Bin]) -> list[Bin]:
    """Return the bins after the improvement with the strongest evidence; all bins without one."""
    sample = _Sample.of([interval.events for interval in bins])
    reversed_sample = replace(sample, ratios=[-ratio for ratio in sample.ratios])
    improved = _model_of_share_and_step(reversed_sample, [0.0] * len(bins))
    noise = _dispersion(reversed_sample, improved) if improved.explained else 1.0
    has_improved = improved.explained / (2 * noise) >= log(len(bins)) + IMPROVED
    return bins[improved.begin :] if has_improved else bins


# ---- delays ---------------------------------------------------------------------------------
class _Delay(NamedTuple):
    """A delay of labels in seconds, the same for all or with an exponential distribution."""

    seconds: float
    exponential: bool

    def share(self, interval: Bin, changes: Sequence[ShareChange]) -> float:
        """Return the mean traffic share at the time of the predictions whose labels arrived in an interval."""
        share_before = covered_share = 0.0
        first_label = 0.0 if self.exponential else self.seconds
        for time, share in changes:
            if interval.end <= time + first_label:
                break  # Neither this change nor a later one has a label yet.
            covered_share += (share - share_before) * self._covered(
                interval.start - time, interval.end - time
            )
            share_before = share
        return covered_share / (interval.end - interval.start)

    def _covered(self, start: float, bin_end: float) -> float:
        """Integrate the share of labels whose predictions followed a change, over the seconds since it."""
        if not self.exponential:
            return max(bin_end - self.seconds, 0.0) - max(start - self.seconds, 0.0)
        start, bin_end = max(start, 0.0), max(bin_end, 0.0)
        tail_mass = exp(-bin_end / self.seconds) - exp(-start / self.seconds)
        return bin_end - start + self.seconds * tail_mass


def _candidate_delays(block_seconds: float, lag_seconds: float) -> Iterator[_Delay]:
    yield _Delay(0.0, exponential=False)
    yield _Delay(-block_seconds, exponential=False)  # blocks end where a sample is, clocks differ
    if lag_seconds:
        yield _Delay(lag_seconds, exponential=False)
        yield _Delay(lag_seconds, exponential=True)
    yield from (_Delay(block_seconds * blocks, exponential=False) for blocks in FIXED_DELAYS)
    yield from (_Delay(block_seconds * blocks, exponential=True) for blocks in MEAN_DELAYS)


# ---- models ---------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Sample:
    """Weights and bad ratios of the bins; the ratios around their mean.

    Attributes
    ----------
    total : weighted sum of squares.
    """

    weights: list[float]
    ratios: list[float]
    mean: float
    total: float

    @classmethod
    def of(cls, counts: Sequence[Count]) -> "_Sample":
        bad_events, events = summed(counts)
        ratio = (bad_events + 0.5) / (events + 1)
        weights = [count.total / (ratio * (1 - ratio)) for count in counts]
        mean_ratio = bad_events / events
        bad_ratios = [count.bad / count.total - mean_ratio for count in counts]
        total = sum(bin_weight * y * y for bin_weight, y in zip(weights, bad_ratios, strict=True))
        return cls(weights, bad_ratios, mean_ratio, total)

    def centred(self, values: Sequence[float]) -> tuple[float, list[float]]:
        """Return the weighted mean of values, and the values around it."""
        mean_value = sum(map(mul, self.weights, values)) / sum(self.weights)
        return mean_value, [x - mean_value for x in values]

    def product(self, left_values: Sequence[float], right_values: Sequence[float]) -> float:
        """Return the weighted sum of products."""
        return float(sum(map(mul, map(mul, self.weights, left_values), right_values)))


class _Model(NamedTuple):
    """A fitted model: the part of `total` that it explains, its slopes, and the first bin of its step."""

    explained: float
    slope: float = 0.0
    step: float = 0.0
    begin: int = 0
    mean_share: float = 0.0
    shares: Sequence[float] = ()

    def residuals(self, sample: _Sample) -> list[float]:
        """Return the ratios minus the model's values, around their weighted mean."""
        unexplained_ratios = [
            ratio - self.slope * effective_share - self.step * (bin_index >= self.begin)
            for bin_index, (ratio, effective_share) in enumerate(
                zip(sample.ratios, self.shares, strict=True)
            )
        ]
        return sample.centred(unexplained_ratios)[1]


def _explained_variance(model: _Model) -> float:
    return model.explained


def _model_of_share(sample: _Sample, shares: Sequence[float]) -> _Model:
    mean_share, centred_values = sample.centred(shares)
    share_variance, covariance = (
        sample.product(centred_values, centred_values),
        sample.product(centred_values, sample.ratios),
    )
    slope = max(covariance / share_variance, 0.0) if share_variance > _SINGULAR_DETERMINANT else 0.0
    return _Model(slope * covariance, slope, mean_share=mean_share, shares=shares)


def _model_of_share_and_step(sample: _Sample, shares: Sequence[float]) -> _Model:
    """Fit the traffic share and one step up of the bad ratio, at the bin that explains most variance."""
    mean_share, centred_values = sample.centred(shares)
    share_variance, covariance = (
        sample.product(centred_values, centred_values),
        sample.product(centred_values, sample.ratios),
    )
    total_weight = sum(sample.weights)
    best_model = _Model(0.0)
    # Sums over the bins from the step on: a step is 1 there and 0 before.
    weight = with_ratio = with_share = 0.0
    reversed_bins = zip(sample.weights, sample.ratios, centred_values, strict=True)
    for bins_after, (bin_weight, y, x) in enumerate(reversed(list(reversed_bins)), start=1):
        weight, with_ratio, with_share = (
            weight + bin_weight,
            with_ratio + bin_weight * y,
            with_share + bin_weight * x,
        )
        if not MIN_BINS <= bins_after <= len(centred_values) - MIN_BINS:
            continue
        step_variance = weight * (1 - weight / total_weight)
        model = _solve_normal_equations(
            share_variance, step_variance, with_share, covariance, with_ratio
        )
        if model.explained > best_model.explained:
            step_begin = len(centred_values) - bins_after
            best_model = model._replace(begin=step_begin, mean_share=mean_share, shares=shares)
    return best_model


def _mixed_shares(sample: _Sample, shares: Sequence[Sequence[float]]) -> list[float]:
    """Return the share at the mixture of the delays that explains most, by coordinate descent.

    The descent works on the products of all pairs of shares and goes on until a round explains nothing more:
    the shares of two delays are almost the same, so it takes many rounds, and a mixture that is left before
    its end leaves a rest that looks like a change by itself where labels are many.
    """
    centred_shares = [sample.centred(effective_share)[1] for effective_share in shares]
    products = [[0.0] * len(shares) for _ in shares]
    for row, left_values in enumerate(centred_shares):
        weighted = list(map(mul, sample.weights, left_values))
        for column in range(row + 1):
            products[row][column] = products[column][row] = sum(
                map(mul, weighted, centred_shares[column])
            )
    slopes = [0.0] * len(shares)
    gradients = [sample.product(values, sample.ratios) for values in centred_shares]
    for _ in range(_MAX_DESCENT_ROUNDS):
        explained = 0.0
        for index, row_products in enumerate(products):
            square = row_products[index]
            if square <= _SINGULAR_DETERMINANT:
                continue
            change = max(gradients[index] / square, -slopes[index])
            if change:
                slopes[index] += change
                gradients = [
                    gradient - change * product
                    for gradient, product in zip(gradients, row_products, strict=True)
                ]
                explained += change * change * square
        if explained < _MIN_EXPLAINED:
            break
    total = sum(slopes)
    if not total:
        return list(shares[0])
    share_parts = [slope / total for slope in slopes]
    return [
        sum(share_part * x for share_part, x in zip(share_parts, row, strict=True))
        for row in zip(*shares, strict=True)
    ]


def _dispersion(sample: _Sample, model: _Model) -> float:
    """Return the dispersion of a model's residuals, at least 1: the largest over several scales.

    A change lasts hours. Bins that scatter together for hours add up to more than single bins say.
    """
    unexplained_ratios = model.residuals(sample)
    largest_dispersion = 1.0
    for size in _GROUP_SIZES:
        groups = len(unexplained_ratios) // size
        if groups < _MIN_GROUPS:
            break
        squared_sums = 0.0
        for group in range(groups):
            group_slice = slice(group * size, (group + 1) * size)
            weights = sample.weights[group_slice]
            total = sum(
                bin_weight * y
                for bin_weight, y in zip(weights, unexplained_ratios[group_slice], strict=True)
            )
            squared_sums += total * total / sum(weights)
        largest_dispersion = max(largest_dispersion, squared_sums / max(groups - _PARAMETERS, 1))
    return largest_dispersion


def _solve_normal_equations(  # noqa: PLR0917 - the two normal equations
    share_variance: float,
    step_variance: float,
    covariance: float,
    share_covariance: float,
    step_covariance: float,
) -> _Model:
    """Solve the normal equations of both slopes, neither of which may be an improvement.

    Parameters
    ----------
    share, step, cross : weighted squares and products of both regressors.
    of_share, of_step : their products with the ratios.
    """
    determinant = share_variance * step_variance - covariance * covariance
    if determinant > _SINGULAR_DETERMINANT * share_variance * step_variance:
        slope = (share_covariance * step_variance - step_covariance * covariance) / determinant
        step_slope = (
            step_covariance * share_variance - share_covariance * covariance
        ) / determinant
        if step_slope <= 0:
            return _Model(0.0)
        if slope >= 0:
            return _Model(
                slope * share_covariance + step_slope * step_covariance, slope, step_slope
            )
    step_slope = max(step_covariance / step_variance, 0.0)
    return _Model(step_slope * step_covariance, 0.0, step_slope)
