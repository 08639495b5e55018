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
that of the quicker ones until the others have come. So the change of the traffic is a variable of each model,
and a change by itself has to last longer than labels take, unless it is larger than the
traffic's changes explain.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log
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
"""Of the largest model: constant, two slopes and the moment of the step. The slope of the traffic takes next to
nothing of what hours scatter, of which there may be six."""
_SINGULAR_DETERMINANT: Final = 1e-9
_TRAFFIC_SLOPE: Final = 0.5
"""Expected size of the slope of the traffic, as a part of the variance p(1 − p) of one event. It is all of it
where labels of one outcome come at once and those of the other an hour later."""
_SCALE_BLOCKS: Final = (1, 4, 12)
"""Lengths of time that are added up for a dispersion, in blocks."""
_MIN_GROUPS: Final = 6
_LABEL_BLOCKS: Final = 12
"""Blocks whose mean is the traffic before a bin."""
_LEAST_EVENTS: Final = 0.5
"""Events of an hour without any, for the change of the traffic after it."""
_REWEIGHTINGS: Final = 2
"""A ratio near a half scatters more than a small one, so the weights are those of the fitted ratios. The first fit
may be below 0 without the version, where a bin would weigh next to all; the second one is not."""
_MAX_DESCENT_ROUNDS: Final = 500
"""Of the coordinate descent."""
_MIN_EXPLAINED: Final = 1e-3
"""Weighted squares that a round of the descent has to explain for another one to follow."""


class Bin(NamedTuple):
    """Events between two moments, in seconds.

    `traffic` is the natural logarithm of its events a second over those of the hour before it.
    """

    start: float
    end: float
    events: Count
    traffic: float = 0.0


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
    spread : natural logarithm of the greatest ratio of the events a second of two bins, from the longest delay of
        labels before the step on; infinite where a bin has none.
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
    spread: float

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
    measured_bins = _with_traffic(bins, block_seconds)
    if not measured_bins:
        return None
    labelled = labels_seconds(block_seconds, lag_seconds)
    delays = list(_candidate_delays(block_seconds, lag_seconds))
    present_shares = [delay.share(measured_bins[-1], changes) for delay in delays]
    rollout = _Rollout(changes, delays, present_shares, block_seconds, labelled)
    response = _response(measured_bins, rollout)
    if response is None:
        return None
    return replace(response, spread=_spread(bins, response.decision_time - 3 * labelled))


def _spread(bins: Sequence[Bin], since: float) -> float:
    rates = [each.events.total / (each.end - each.start) for each in bins if each.end > since]
    lowest = min(rates)
    return log(max(rates) / lowest) if lowest else inf


class _Rollout(NamedTuple):
    """Changes of the share, the delays that are tried with the share in the newest bin by each, and the length of a block."""

    changes: Sequence[ShareChange]
    delays: Sequence["_Delay"]
    present_shares: Sequence[float]
    block_seconds: float
    labelled: float


def _response(bins: list[Bin], rollout: _Rollout) -> ShareResponse | None:
    changes, block_seconds, labelled = rollout.changes, rollout.block_seconds, rollout.labelled
    number_before = sum(interval.end <= changes[0].time for interval in bins)
    if min(number_before, len(bins) - number_before) < MIN_BINS:
        return None
    bins = [*_since_improvement(bins[:number_before], block_seconds), *bins[number_before:]]
    sample = _Sample.of(bins)
    shares = [[delay.share(interval, changes) for interval in bins] for delay in rollout.delays]
    single_versions = [_model_of_share(sample, share_values) for share_values in shares]
    best_single_version = max(single_versions, key=_explained_variance)
    parts = _delay_parts(sample, shares)
    mixed_versions = _model_of_share(sample, _mixed(parts, shares))
    share_model = max(best_single_version, mixed_versions, key=_explained_variance)
    single_delay = single_versions.index(best_single_version)
    for _ in range(_REWEIGHTINGS):
        sample = _Sample.of(bins, share_model.expected_ratios(sample))
        best_single_version, mixed_versions = (
            _model_of_share(sample, version.shares)
            for version in (best_single_version, mixed_versions)
        )
        share_model = max(best_single_version, mixed_versions, key=_explained_variance)
    present_share = (
        rollout.present_shares[single_delay]
        if share_model is best_single_version
        else sum(map(mul, parts, rollout.present_shares))
    )
    share_series = (shares[0], best_single_version.shares, mixed_versions.shares)
    best_step_model = max(
        (_model_of_share_and_step(sample, share_values) for share_values in share_series),
        key=_explained_variance,
    )
    largest_model = max(share_model, best_step_model, key=_explained_variance)
    noise = _dispersion(sample, largest_model, _lengths(bins, block_seconds))
    begin = bins[best_step_model.begin].start
    later = [i for i, interval in enumerate(bins) if interval.start >= begin + labelled]
    lasting_step, lasting = _lasting_step(sample, best_step_model, later)
    own = 0.0
    if best_step_model.step:
        likelihoods = (
            _log_likelihood(bins, sample, model) for model in (best_step_model, share_model)
        )
        own = max(next(likelihoods) - next(likelihoods), 0.0) / noise
    has_ended = len(later) >= MIN_BINS and lasting_step < best_step_model.step / 2
    if has_ended and own >= log(len(bins)) + IMPROVED:
        kept = [*bins[: best_step_model.begin], *(bins[i] for i in later)]
        return _response(kept, rollout)
    return ShareResponse(
        without=min(max(sample.mean - share_model.slope * share_model.mean_share, 0.0), 1.0),
        at_full=min(max(sample.mean + share_model.slope * (1 - share_model.mean_share), 0.0), 1.0),
        present_share=present_share,
        follows=share_model.explained / (2 * noise),
        own=own,
        own_rise=best_step_model.step,
        lasting=lasting / (2 * noise),
        lasting_rise=lasting_step,
        decision_time=begin + 2 * labelled,
        moments=len(bins),
        spread=inf,
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


def _since_improvement(bins: list[Bin], block_seconds: float) -> list[Bin]:
    """Return the bins after the improvement with the strongest evidence; all bins without one."""
    sample = _Sample.of(bins)
    reversed_sample = replace(sample, ratios=[-ratio for ratio in sample.ratios])
    improved = _model_of_share_and_step(reversed_sample, [0.0] * len(bins))
    noise = 1.0
    if improved.explained:
        noise = _dispersion(reversed_sample, improved, _lengths(bins, block_seconds))
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

    The slope of the traffic is a variable of each model, with a normal distribution around 0 before the data:
    where the traffic hardly changes, it explains next to nothing.

    Attributes
    ----------
    traffic : natural logarithm of the events of a bin over those of the hour before it, around its mean.
    traffic_variance : weighted sum of its squares, and the weight of the slope's distribution before the data.
    """

    weights: list[float]
    ratios: list[float]
    mean: float
    traffic: list[float]
    traffic_variance: float

    @classmethod
    def of(cls, bins: Sequence[Bin], expected_ratios: Sequence[float] = ()) -> "_Sample":
        """Weigh the bins by the variance of their ratios; without expected ratios, of the one of all events."""
        counts = [interval.events for interval in bins]
        bad_events, events = summed(counts)
        ratio = (bad_events + 0.5) / (events + 1)
        least = 0.5 / (events + 1)
        bounded_ratios = [min(max(each, least), 1 - least) for each in expected_ratios]
        weights = [
            count.total / (each * (1 - each))
            for count, each in zip(counts, bounded_ratios or [ratio] * len(counts), strict=True)
        ]
        total_weight = sum(weights)
        mean_traffic = (
            sum(weight * each.traffic for weight, each in zip(weights, bins, strict=True))
            / total_weight
        )
        traffic = [each.traffic - mean_traffic for each in bins]
        slope = _TRAFFIC_SLOPE * ratio * (1 - ratio)
        variance = sum(map(mul, weights, map(mul, traffic, traffic))) + slope**-2
        sample = cls(weights, [], 0.0, traffic, variance)
        mean_ratio, ratios = sample.centred([count.bad / count.total for count in counts])
        return replace(sample, ratios=ratios, mean=mean_ratio)

    def centred(self, values: Sequence[float]) -> tuple[float, list[float]]:
        """Return the weighted mean of values, and the values around it."""
        mean_value = sum(map(mul, self.weights, values)) / sum(self.weights)
        return mean_value, [x - mean_value for x in values]

    def traffic_slope(self, centred_values: Sequence[float]) -> float:
        """Return the slope of values along the traffic."""
        along = float(sum(map(mul, map(mul, self.weights, self.traffic), centred_values)))
        return along / self.traffic_variance

    def without_traffic(self, centred_values: Sequence[float]) -> list[float]:
        """Return values without what the traffic explains of them."""
        slope = self.traffic_slope(centred_values)
        return [x - slope * change for x, change in zip(centred_values, self.traffic, strict=True)]

    def product(self, left_values: Sequence[float], right_values: Sequence[float]) -> float:
        """Return the weighted sum of products of centred values, without what the traffic explains."""
        weighted = map(mul, self.weights, left_values)
        return float(sum(map(mul, weighted, self.without_traffic(right_values))))


def _lengths(bins: Sequence[Bin], block_seconds: float) -> list[float]:
    """Return the lengths of bins, in blocks."""
    return [(interval.end - interval.start) / block_seconds for interval in bins]


def _with_traffic(bins: Sequence[Bin], block_seconds: float) -> list[Bin]:
    """Return the bins that have events, with the change of the traffic over the hour before each.

    Time for which there is no bin is left out: another cause disturbed it. The change is 0 for the first bin.
    """
    changed_bins = []
    for index, interval in enumerate(bins):
        first = index
        while first and interval.start - bins[first].start < _LABEL_BLOCKS * block_seconds:
            first -= 1
        past_events = max(sum(each.events.total for each in bins[first:index]), _LEAST_EVENTS)
        change = 0.0
        if first < index and interval.events.total:
            past_seconds = sum(each.end - each.start for each in bins[first:index])
            rate = interval.events.total / (interval.end - interval.start)
            change = log(rate / (past_events / past_seconds))
        if interval.events.total:
            changed_bins.append(interval._replace(traffic=change))
    return changed_bins


class _Model(NamedTuple):
    """A fitted model: the part of `total` that it explains, its slopes, and the first bin of its step."""

    explained: float
    slope: float = 0.0
    step: float = 0.0
    begin: int = 0
    mean_share: float = 0.0
    shares: Sequence[float] = ()

    def expected_ratios(self, sample: _Sample) -> list[float]:
        """Return the bad ratio of each bin by its share."""
        return [sample.mean + self.slope * (share - self.mean_share) for share in self.shares]

    def residuals(self, sample: _Sample) -> list[float]:
        """Return the ratios minus the model's values, around their weighted mean."""
        unexplained_ratios = [
            ratio - self.slope * effective_share - self.step * (bin_index >= self.begin)
            for bin_index, (ratio, effective_share) in enumerate(
                zip(sample.ratios, self.shares, strict=True)
            )
        ]
        return sample.without_traffic(sample.centred(unexplained_ratios)[1])


def _log_likelihood(bins: Sequence[Bin], sample: _Sample, model: _Model) -> float:
    """Return the binomial log likelihood of the ratios that a model fits, without its constant."""
    likelihood = 0.0
    for interval, residual in zip(bins, model.residuals(sample), strict=True):
        bad, total = interval.events
        least = 0.5 / (total + 1)
        ratio = min(max(bad / total - residual, least), 1 - least)
        likelihood += bad * log(ratio) + (total - bad) * log(1 - ratio)
    return likelihood


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
    share_part, ratio_part = map(sample.without_traffic, (centred_values, sample.ratios))
    # Sums over the bins from the step on: a step is 1 there and 0 before.
    weight = with_ratio = with_share = with_traffic = 0.0
    reversed_bins = zip(sample.weights, ratio_part, share_part, sample.traffic, strict=True)
    for bins_after, (bin_weight, y, x, change) in enumerate(reversed(list(reversed_bins)), start=1):
        weight, with_ratio, with_share, with_traffic = (
            weight + bin_weight,
            with_ratio + bin_weight * y,
            with_share + bin_weight * x,
            with_traffic + bin_weight * change,
        )
        if not MIN_BINS <= bins_after <= len(centred_values) - MIN_BINS:
            continue
        step_variance = weight * (1 - weight / total_weight)
        step_variance -= with_traffic * with_traffic / sample.traffic_variance
        model = _solve_normal_equations(
            share_variance, step_variance, with_share, covariance, with_ratio
        )
        if model.explained > best_model.explained:
            step_begin = len(centred_values) - bins_after
            best_model = model._replace(begin=step_begin, mean_share=mean_share, shares=shares)
    return best_model


def _delay_parts(sample: _Sample, shares: Sequence[Sequence[float]]) -> list[float]:
    """Return the parts of the delays in the mixture that explains most, by coordinate descent.

    The descent works on the products of all pairs of shares and goes on until a round explains nothing more:
    the shares of two delays are almost the same, so it takes many rounds, and a mixture that is left before
    its end leaves a rest that looks like a change by itself where labels are many.
    """
    centred_shares = [sample.centred(effective_share)[1] for effective_share in shares]
    products = [[0.0] * len(shares) for _ in shares]
    for row, left_values in enumerate(centred_shares):
        weighted = list(map(mul, sample.weights, sample.without_traffic(left_values)))
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
        return [1.0, *[0.0] * (len(shares) - 1)]
    return [slope / total for slope in slopes]


def _mixed(parts: Sequence[float], shares: Sequence[Sequence[float]]) -> list[float]:
    """Return the share at a mixture of the delays."""
    return [sum(map(mul, parts, row)) for row in zip(*shares, strict=True)]


def _dispersion(sample: _Sample, model: _Model, lengths: Sequence[float]) -> float:
    """Return the dispersion of a model's residuals, at least 1: the largest over several scales of time.

    A change lasts hours. Bins that scatter together for hours add up to more than single bins say. Where
    earlier bins are hours and later ones are blocks, blocks alone say too little of the scatter of hours: each
    scale has the sums of its own length or a longer one.

    Parameters
    ----------
    lengths : of the bins, in blocks.
    """
    unexplained_ratios = model.residuals(sample)
    largest_dispersion = 1.0
    for scale in _SCALE_BLOCKS:
        groups = list(_groups(lengths, scale))
        if len(groups) < _MIN_GROUPS:
            break
        squared_sums = 0.0
        for group in groups:
            weights = sample.weights[group]
            total = sum(map(mul, weights, unexplained_ratios[group]))
            squared_sums += total * total / sum(weights)
        largest_dispersion = max(
            largest_dispersion, squared_sums / max(len(groups) - _PARAMETERS, 1)
        )
    return largest_dispersion


def _groups(lengths: Sequence[float], scale: float) -> Iterator[slice]:
    """Yield slices of adjacent bins that are at least as long as a scale together; an incomplete one is left out."""
    first, length = 0, 0.0
    for index, bin_length in enumerate(lengths):
        length += bin_length
        if length >= scale:
            yield slice(first, index + 1)
            first, length = index + 1, 0.0


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
    share_variance, step_variance, covariance : weighted squares and products of both regressors.
    share_covariance, step_covariance : their products with the ratios.
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
