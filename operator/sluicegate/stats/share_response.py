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
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import Final, NamedTuple

from sluicegate.stats.counts import Count, summed

FIXED_DELAYS: Final = tuple(range(1, 13))
"""Delays that all labels may have, in blocks. A longer one that isn't known would explain any change."""
MEAN_DELAYS: Final = (1, 2, 4, 8, 16, 24)
"""Means of the exponential distributions that are tried, in blocks."""
LEAST_BINS: Final = 3
"""Bins before and after the version's first traffic without which nothing is said."""
IMPROVED: Final = log(100)
"""Natural logarithm of the likelihood ratio from which on an improvement is shown, beside the logarithm
of the moments that are tried for it."""
_PARAMETERS: Final = 4
"""Of the largest model: constant, two slopes and the moment of the step."""
_SINGULAR: Final = 1e-9
_SCALES: Final = (1, 4, 12)
"""Bins that are added up for a dispersion."""
_LEAST_GROUPS: Final = 6
_ROUNDS: Final = 12
"""Of the coordinate descent."""


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
    moments : moments that were tried for the step, which a bound on `own` has to account for.
    """

    without: float
    at_full: float
    present_share: float
    follows: float
    own: float
    own_rise: float
    moments: int

    @property
    def rise(self) -> float:
        """Return the part of the present bad ratio that the version explains."""
        return (self.at_full - self.without) * self.present_share


def response_to(
    bins: Sequence[Bin], changes: Sequence[ShareChange], *, block_seconds: float, lag_seconds: float
) -> ShareResponse | None:
    """Fit the models; None if too few bins with events are before or after the first share.

    Parameters
    ----------
    bins : of the ratio, oldest first. changes : of the version's share, oldest first.
    lag_seconds : delay of the labels as far as it is known; 0 if it isn't.
    """
    bins = [interval for interval in bins if interval.events.total]
    before = sum(interval.end <= changes[0].time for interval in bins)
    if min(before, len(bins) - before) < LEAST_BINS:
        return None
    bins = [*_since_improvement(bins[:before]), *bins[before:]]
    sample = _Sample.of([interval.events for interval in bins])
    shares = [
        [delay.share(interval, changes) for interval in bins]
        for delay in _delays(block_seconds, lag_seconds)
    ]
    single = max((_of_share(sample, share) for share in shares), key=_explained)
    mixed = _of_share(sample, _mixed(sample, shares))
    follows = max(single, mixed, key=_explained)
    share_series = (shares[0], single.shares, mixed.shares)
    best_of_both = max((_of_both(sample, each) for each in share_series), key=_explained)
    noise = _dispersion(sample, max(follows, best_of_both, key=_explained))
    return ShareResponse(
        without=min(max(sample.mean - follows.slope * follows.mean_share, 0.0), 1.0),
        at_full=min(max(sample.mean + follows.slope * (1 - follows.mean_share), 0.0), 1.0),
        present_share=follows.shares[-1],
        follows=follows.explained / (2 * noise),
        own=max(best_of_both.explained - follows.explained, 0.0) / (2 * noise),
        own_rise=best_of_both.step,
        moments=len(bins),
    )


def _since_improvement(bins: list[Bin]) -> list[Bin]:
    """Return the bins after the improvement that explains most; all of them if none is shown."""
    sample = _Sample.of([interval.events for interval in bins])
    reversed_sample = replace(sample, ratios=[-ratio for ratio in sample.ratios])
    improved = _of_both(reversed_sample, [0.0] * len(bins))
    noise = _dispersion(reversed_sample, improved) if improved.explained else 1.0
    shown = improved.explained / (2 * noise) >= log(len(bins)) + IMPROVED
    return bins[improved.begin :] if shown else bins


# ---- delays ---------------------------------------------------------------------------------
class _Delay(NamedTuple):
    """A delay of labels in seconds, the same for all or with an exponential distribution."""

    seconds: float
    exponential: bool

    def share(self, interval: Bin, changes: Sequence[ShareChange]) -> float:
        """Return the mean traffic share at the time of the predictions whose labels arrived in an interval."""
        before = covered = 0.0
        for time, share in changes:
            covered += (share - before) * self._covered(interval.start - time, interval.end - time)
            before = share
        return covered / (interval.end - interval.start)

    def _covered(self, start: float, end: float) -> float:
        """Integrate the part of the labels whose predictions were made after a change, by the seconds since it."""
        if not self.exponential:
            return max(end - self.seconds, 0.0) - max(start - self.seconds, 0.0)
        start, end = max(start, 0.0), max(end, 0.0)
        late = exp(-end / self.seconds) - exp(-start / self.seconds)
        return end - start + self.seconds * late


def _delays(block_seconds: float, lag_seconds: float) -> Iterator[_Delay]:
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
        bad, events = summed(counts)
        ratio = (bad + 0.5) / (events + 1)
        weights = [count.total / (ratio * (1 - ratio)) for count in counts]
        mean = bad / events
        ratios = [count.bad / count.total - mean for count in counts]
        total = sum(w * y * y for w, y in zip(weights, ratios, strict=True))
        return cls(weights, ratios, mean, total)

    def centred(self, values: Sequence[float]) -> tuple[float, list[float]]:
        """Return the weighted mean of values, and the values around it."""
        mean = sum(w * x for w, x in zip(self.weights, values, strict=True)) / sum(self.weights)
        return mean, [x - mean for x in values]

    def product(self, left: Sequence[float], right: Sequence[float]) -> float:
        """Return the weighted sum of products."""
        return sum(w * x * y for w, x, y in zip(self.weights, left, right, strict=True))


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
        unexplained = [
            ratio - self.slope * share - self.step * (place >= self.begin)
            for place, (ratio, share) in enumerate(zip(sample.ratios, self.shares, strict=True))
        ]
        return sample.centred(unexplained)[1]


def _explained(model: _Model) -> float:
    return model.explained


def _of_share(sample: _Sample, shares: Sequence[float]) -> _Model:
    mean, centred = sample.centred(shares)
    spread, covariance = sample.product(centred, centred), sample.product(centred, sample.ratios)
    slope = max(covariance / spread, 0.0) if spread > _SINGULAR else 0.0
    return _Model(slope * covariance, slope, mean_share=mean, shares=shares)


def _of_both(sample: _Sample, shares: Sequence[float]) -> _Model:
    """Fit the share and one step to something worse, at the moment that explains most."""
    mean, centred = sample.centred(shares)
    spread, covariance = sample.product(centred, centred), sample.product(centred, sample.ratios)
    total_weight = sum(sample.weights)
    best = _Model(0.0)
    # Sums over the bins from the step on: a step is 1 there and 0 before.
    weight = with_ratio = with_share = 0.0
    bins = zip(sample.weights, sample.ratios, centred, strict=True)
    for after, (w, y, x) in enumerate(reversed(list(bins)), start=1):
        weight, with_ratio, with_share = weight + w, with_ratio + w * y, with_share + w * x
        if not LEAST_BINS <= after <= len(centred) - LEAST_BINS:
            continue
        own_weight = weight * (1 - weight / total_weight)
        model = _solved(spread, own_weight, with_share, covariance, with_ratio)
        if model.explained > best.explained:
            step_begin = len(centred) - after
            best = model._replace(begin=step_begin, mean_share=mean, shares=shares)
    return best


def _mixed(sample: _Sample, shares: Sequence[Sequence[float]]) -> list[float]:
    """Return the share at the mixture of the delays that explains most, by coordinate descent."""
    centred = [sample.centred(share)[1] for share in shares]
    squares = [sample.product(each, each) for each in centred]
    slopes, unexplained = [0.0] * len(shares), list(sample.ratios)
    for _ in range(_ROUNDS):
        for place, (centred_share, square) in enumerate(zip(centred, squares, strict=True)):
            if square <= _SINGULAR:
                continue
            change = max(sample.product(centred_share, unexplained) / square, -slopes[place])
            if change:
                slopes[place] += change
                unexplained = [
                    y - change * x for y, x in zip(unexplained, centred_share, strict=True)
                ]
    total = sum(slopes)
    if not total:
        return list(shares[0])
    parts = [slope / total for slope in slopes]
    return [
        sum(part * x for part, x in zip(parts, row, strict=True))
        for row in zip(*shares, strict=True)
    ]


def _dispersion(sample: _Sample, model: _Model) -> float:
    """Return the dispersion of a model's residuals, at least 1: the largest over several scales.

    A change lasts hours. Bins that scatter together for hours add up to more than single bins say.
    """
    unexplained = model.residuals(sample)
    largest = 1.0
    for size in _SCALES:
        groups = len(unexplained) // size
        if groups < _LEAST_GROUPS:
            break
        squares = 0.0
        for group in range(groups):
            part = slice(group * size, (group + 1) * size)
            weights = sample.weights[part]
            total = sum(w * y for w, y in zip(weights, unexplained[part], strict=True))
            squares += total * total / sum(weights)
        largest = max(largest, squares / max(groups - _PARAMETERS, 1))
    return largest


def _solved(  # noqa: PLR0917 - the two normal equations
    share: float, step: float, cross: float, of_share: float, of_step: float
) -> _Model:
    """Solve the normal equations of both slopes, neither of which may be an improvement.

    Parameters
    ----------
    share, step, cross : weighted squares and products of both regressors.
    of_share, of_step : their products with the ratios.
    """
    determinant = share * step - cross * cross
    if determinant > _SINGULAR * share * step:
        slope = (of_share * step - of_step * cross) / determinant
        rise = (of_step * share - of_share * cross) / determinant
        if rise <= 0:
            return _Model(0.0)
        if slope >= 0:
            return _Model(slope * of_share + rise * of_step, slope, rise)
    rise = max(of_step / step, 0.0)
    return _Model(rise * of_step, 0.0, rise)
