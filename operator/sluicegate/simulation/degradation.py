"""Simulated rates of false degradations, and delays of true ones.

It runs the engine's two tests over many simulated products at once: burn rates of the objective,
and the CUSUM bank over hours against a baseline of their own; a product is degraded after three bad
evaluations. Labels with a constant delay are the same counts so much later, so each detection is, too.
Daily blocks, weekdays and probation are left out: they are for daily patterns and for
new versions.
"""

from dataclasses import dataclass, replace
from math import ceil
from typing import Final

import numpy as np

from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.slo_health.confirmation import CONFIRMING_EVALUATIONS
from sluicegate.simulation import vectorized_test
from sluicegate.simulation.scenario import Scenario, Stream
from sluicegate.simulation.traffic import Bools, Floats, Ints, SimulatedTraffic
from sluicegate.slo.burn_rate import MIN_BAD_EVENTS, Level, Threshold
from sluicegate.stats import cusum
from sluicegate.stats.calendar import BLOCKS_PER_HOUR
from sluicegate.stats.counts import Count
from sluicegate.stats.intervals import quantile, wilson_upper

PRODUCTS: Final = 100
LONGEST_WINDOW: Final = 2_016
WATCHED_BLOCKS: Final = 8_640
"""Simulated blocks: thirty days of 5 minutes."""
BASELINE_Z: Final = quantile(0.975)
BASELINE_BLOCKS: Final = 288
BASELINE_FACTOR: Final = 35
"""n0 ≥ 35 p0 (1 − p0)/d² puts the upper bound within a third of d."""
MAX_BASELINE_BLOCKS: Final = 2_016
SECONDS_PER_YEAR: Final = 31_557_600


@dataclass(frozen=True, slots=True)
class Degradation:
    """Time to detection and false alarms of one SLO on the assumed traffic.

    Attributes
    ----------
    false_alarms : per year, at stable's ratio. alarms : number of alarms.
    detected : share of the products that become degraded within the simulated time, at the
        candidate's ratio; None if that isn't worse. median_minutes, p90_minutes : delay.
    """

    slo: str
    false_alarms: float
    alarms: int
    detected: float | None
    median_minutes: float | None
    p90_minutes: float | None

    def to_json(self) -> dict[str, object]:
        """Return the JSON document of the command."""
        return {
            "falseAlarmsPerYear": round(self.false_alarms, 4),
            "alarms": self.alarms,
            "detected": self.detected,
            "medianMinutes": self.median_minutes,
            "p90Minutes": self.p90_minutes,
        }


def degradation(product_terms: Terms, scenario: Scenario, seed: int) -> list[Degradation]:
    """Run each SLO's tests over a hundred products and thirty days, first healthy and then worse."""
    by_name = {slo.name: slo for slo in product_terms.slos}
    return [
        _degradation_of(
            by_name[stream.name],
            stream,
            _analysis(product_terms, scenario, stream),
            seed,
            delay_minutes=stream.delay * scenario.block_seconds / 60,
        )
        for stream in scenario.streams
    ]


def _analysis(product_terms: Terms, scenario: Scenario, stream: Stream) -> Scenario:
    """Return the traffic of one SLO, counted in the analysis's blocks."""
    length_factor = product_terms.block_seconds / scenario.block_seconds
    return replace(
        scenario,
        streams=(replace(stream, per_block=stream.per_block * length_factor, delay=0),),
        block_seconds=product_terms.block_seconds,
        blocks=WATCHED_BLOCKS,
    )


def _degradation_of(
    slo: SloTerms, stream: Stream, scenario: Scenario, seed: int, *, delay_minutes: float
) -> Degradation:
    traffic = SimulatedTraffic(scenario, PRODUCTS, seed)
    bad_events, total = (
        counts[:, 0] for counts in traffic.span(0, LONGEST_WINDOW + WATCHED_BLOCKS)
    )
    is_degraded_candidate = stream.candidate_bad > stream.stable_bad
    phi = _dispersion(bad_events[:LONGEST_WINDOW], total[:LONGEST_WINDOW])
    minutes = scenario.block_seconds / 60
    first_false_alarms = _first_alarm(slo, bad_events, total, phi)
    exposure_seconds = (
        np.where(first_false_alarms < 0, WATCHED_BLOCKS, first_false_alarms + 1).sum()
        * scenario.block_seconds
    )
    alarms = int((first_false_alarms >= 0).sum())
    first_alarms = (
        _first_alarm(slo, *_counts_of_degrading(traffic, bad_events, total), phi)
        if is_degraded_candidate
        else None
    )
    alarm_delays = None
    if first_alarms is not None:
        alarm_delays = (first_alarms[first_alarms >= 0] + 1) * minutes + delay_minutes
    return Degradation(
        stream.name,
        alarms / (exposure_seconds / SECONDS_PER_YEAR),
        alarms,
        None if first_alarms is None else float((first_alarms >= 0).mean()),
        None if alarm_delays is None or not alarm_delays.size else float(np.median(alarm_delays)),
        None
        if alarm_delays is None or not alarm_delays.size
        else float(np.quantile(alarm_delays, 0.9)),
    )


def _counts_of_degrading(
    traffic: SimulatedTraffic, bad_events: Floats, total: Floats
) -> tuple[Floats, Floats]:
    """Return the counts of the same products with the candidate's ratio after the longest window."""
    later_counts = traffic.span(LONGEST_WINDOW, len(bad_events), candidate=True)
    return (
        np.concatenate([bad_events[:LONGEST_WINDOW], later_counts[0][:, 0]]),
        np.concatenate([total[:LONGEST_WINDOW], later_counts[1][:, 0]]),
    )


def _dispersion(bad_events: Floats, total: Floats) -> Floats:
    ratio = bad_events.sum(axis=0) / np.maximum(total.sum(axis=0), 1)
    variance = np.maximum(total * ratio * (1 - ratio), 1e-12)
    has_events = total > 0
    residuals = np.where(has_events, (bad_events - total * ratio) ** 2 / variance, 0.0).sum(axis=0)
    pearson_dispersion: Floats = np.clip(
        residuals / np.maximum(has_events.sum(axis=0) - 1, 1), 1.0, 10.0
    )
    return np.where((ratio > 0) & (ratio < 1), pearson_dispersion, 1.0)


def _first_alarm(slo: SloTerms, bad_events: Floats, total: Floats, phi: Floats) -> Ints:
    """Return the block, counted after the longest window, in which each product degrades; −1 if never."""
    cumulative_sums = (_cumulative_sums(bad_events), _cumulative_sums(total))
    tripped_blocks = _cusum_trips(slo, bad_events, total, phi)
    for row in slo.thresholds:
        if row.row.level is Level.MISSED:
            tripped_blocks |= _burn_rate_trips(row, cumulative_sums, phi)
    confirmed_blocks = tripped_blocks[CONFIRMING_EVALUATIONS - 1 :].copy()
    for blocks_back in range(1, CONFIRMING_EVALUATIONS):
        confirmed_blocks &= tripped_blocks[CONFIRMING_EVALUATIONS - 1 - blocks_back : -blocks_back]
    first_alarm_block = confirmed_blocks.argmax(axis=0) + CONFIRMING_EVALUATIONS - 1
    return np.where(confirmed_blocks.any(axis=0), first_alarm_block, -1)


def _cumulative_sums(values: Floats) -> Floats:
    return np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(axis=0)])


def _window_sum(cumulative_sums: Floats, blocks: int) -> Floats:
    return (
        cumulative_sums[LONGEST_WINDOW + 1 :]
        - cumulative_sums[LONGEST_WINDOW + 1 - blocks : len(cumulative_sums) - blocks]
    )


def _burn_rate_trips(
    threshold: Threshold, cumulative_sums: tuple[Floats, Floats], phi: Floats
) -> Bools:
    row = threshold.row
    long_bad, long_events = (
        _window_sum(cumulative_sum, row.long) for cumulative_sum in cumulative_sums
    )
    short_bad, short_events = (
        _window_sum(cumulative_sum, row.short) for cumulative_sum in cumulative_sums
    )
    lower_bound = vectorized_test.wilson_lower(long_bad / phi, long_events / phi, threshold.z)
    trips_by_block: Bools = (lower_bound > threshold.ratio) & (long_bad >= MIN_BAD_EVENTS)
    trips_by_block &= (short_bad > threshold.ratio * short_events) & (
        long_events / phi >= threshold.min_events
    )
    return trips_by_block


def _cusum_trips(slo: SloTerms, bad_events: Floats, total: Floats, phi: Floats) -> Bools:
    """Return, by block and product, whether the largest CUSUM statistic reaches its bound."""
    hours = (len(bad_events) - LONGEST_WINDOW) // BLOCKS_PER_HOUR
    shape = (hours, BLOCKS_PER_HOUR, bad_events.shape[1])
    hourly_bad = bad_events[LONGEST_WINDOW:].reshape(shape).sum(axis=1)
    hourly_events = total[LONGEST_WINDOW:].reshape(shape).sum(axis=1)
    tripped_blocks = np.zeros((hours, bad_events.shape[1]), bool)
    for product in range(bad_events.shape[1]):
        cusum_bank = _baseline_bank(
            slo, bad_events[:LONGEST_WINDOW, product], total[:LONGEST_WINDOW, product]
        )
        if cusum_bank is not None:
            tripped_blocks[:, product] = _blocks_over_bound(
                cusum_bank, hourly_bad[:, product], hourly_events[:, product], float(phi[product])
            )
    by_block = np.repeat(tripped_blocks, BLOCKS_PER_HOUR, axis=0)
    hours_at_bound = np.zeros_like(by_block)  # an hour is evaluated once it is complete
    hours_at_bound[BLOCKS_PER_HOUR - 1 :] = by_block[: len(by_block) - BLOCKS_PER_HOUR + 1]
    return hours_at_bound


def _baseline_bank(slo: SloTerms, bad_events: Floats, total: Floats) -> cusum.Bank | None:
    """Return the CUSUM bank of a production baseline of one day, or longer until it supports the drop."""
    ratio = bad_events.sum() / max(total.sum(), 1)
    needed_events = BASELINE_FACTOR * ratio * (1 - ratio) / slo.drop**2 if slo.drop else 0.0
    baseline_blocks = int(np.searchsorted(total.cumsum(), needed_events)) + 1
    blocks = min(max(BASELINE_BLOCKS, ceil(baseline_blocks)), MAX_BASELINE_BLOCKS)
    count = Count(int(bad_events[-blocks:].sum()), int(total[-blocks:].sum()))
    if count.total == 0 or count.total < needed_events:
        return None
    baseline_ratio = (count.bad + 0.5) / (count.total + 1)
    upper_ratio = wilson_upper(count.bad, count.total, BASELINE_Z)
    return cusum.cusum_bank(baseline_ratio, upper_ratio, slo.drop, cusum.HOURLY_BLOCKS)


def _blocks_over_bound(
    cusum_bank: cusum.Bank, bad_events: Floats, total: Floats, phi: float
) -> Bools:
    over_bound = np.zeros(len(bad_events), bool)
    for alternative in cusum_bank.alternatives:
        gains = (
            bad_events * alternative.per_bad + (total - bad_events) * alternative.per_good
        ) / phi
        cusum_walk = np.concatenate([[0.0], gains.cumsum()])
        statistic = (cusum_walk - np.minimum.accumulate(cusum_walk))[1:]
        over_bound |= statistic >= cusum_bank.alarm_bound
    return over_bound
