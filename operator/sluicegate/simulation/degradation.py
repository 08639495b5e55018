"""Simulated rates of false degradations, and delays of true ones.

It runs the engine's two tests over many simulated products at once: burn rates of the objective,
and the CUSUM bank over hours against a baseline of their own; a product is degraded after three bad
evaluations. Daily blocks, weekdays and probation are left out: they are for daily patterns and for
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
from sluicegate.slo.burn_rate import LEAST_BAD, Level, Threshold
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
MOST_BASELINE_BLOCKS: Final = 2_016
SECONDS_PER_YEAR: Final = 31_557_600


@dataclass(frozen=True, slots=True)
class Degradation:
    """Results of one SLO's tests on this traffic.

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


def degradation(terms: Terms, scenario: Scenario, seed: int) -> list[Degradation]:
    """Run each SLO's tests over a hundred products and thirty days, first healthy and then worse."""
    by_name = {slo.name: slo for slo in terms.slos}
    return [
        _degradation_of(by_name[stream.name], stream, _analysis(terms, scenario, stream), seed)
        for stream in scenario.streams
    ]


def _analysis(terms: Terms, scenario: Scenario, stream: Stream) -> Scenario:
    """Return the traffic of one SLO in the blocks of the analysis."""
    longer = terms.block_seconds / scenario.block_seconds
    return replace(
        scenario,
        streams=(replace(stream, per_block=stream.per_block * longer, delay=0),),
        block_seconds=terms.block_seconds,
        blocks=WATCHED_BLOCKS,
    )


def _degradation_of(slo: SloTerms, stream: Stream, scenario: Scenario, seed: int) -> Degradation:
    traffic = SimulatedTraffic(scenario, PRODUCTS, seed)
    bad, total = (counts[:, 0] for counts in traffic.span(0, LONGEST_WINDOW + WATCHED_BLOCKS))
    degrades = stream.candidate_bad > stream.stable_bad
    phi = _phi(bad[:LONGEST_WINDOW], total[:LONGEST_WINDOW])
    minutes = scenario.block_seconds / 60
    well = _first_alarm(slo, bad, total, phi)
    exposure = np.where(well < 0, WATCHED_BLOCKS, well + 1).sum() * scenario.block_seconds
    alarms = int((well >= 0).sum())
    first_alarms = _first_alarm(slo, *_turning_bad(traffic, bad, total), phi) if degrades else None
    delays = None if first_alarms is None else (first_alarms[first_alarms >= 0] + 1) * minutes
    return Degradation(
        stream.name,
        alarms / (exposure / SECONDS_PER_YEAR),
        alarms,
        None if first_alarms is None else float((first_alarms >= 0).mean()),
        None if delays is None or not delays.size else float(np.median(delays)),
        None if delays is None or not delays.size else float(np.quantile(delays, 0.9)),
    )


def _turning_bad(traffic: SimulatedTraffic, bad: Floats, total: Floats) -> tuple[Floats, Floats]:
    """Return the same products with the candidate's ratio after the longest window."""
    later_counts = traffic.span(LONGEST_WINDOW, len(bad), candidate=True)
    return (
        np.concatenate([bad[:LONGEST_WINDOW], later_counts[0][:, 0]]),
        np.concatenate([total[:LONGEST_WINDOW], later_counts[1][:, 0]]),
    )


def _phi(bad: Floats, total: Floats) -> Floats:
    ratio = bad.sum(axis=0) / np.maximum(total.sum(axis=0), 1)
    variance = np.maximum(total * ratio * (1 - ratio), 1e-12)
    has_events = total > 0
    residuals = np.where(has_events, (bad - total * ratio) ** 2 / variance, 0.0).sum(axis=0)
    pearson: Floats = np.clip(residuals / np.maximum(has_events.sum(axis=0) - 1, 1), 1.0, 10.0)
    return np.where((ratio > 0) & (ratio < 1), pearson, 1.0)


def _first_alarm(slo: SloTerms, bad: Floats, total: Floats, phi: Floats) -> Ints:
    """Return the block, counted after the longest window, in which each product degrades; −1 if never."""
    sums = (_sums(bad), _sums(total))
    tripped = _drifted(slo, bad, total, phi)
    for row in slo.thresholds:
        if row.row.level is Level.MISSED:
            tripped |= _burns(row, sums, phi)
    confirmed = tripped[CONFIRMING_EVALUATIONS - 1 :].copy()
    for blocks_back in range(1, CONFIRMING_EVALUATIONS):
        confirmed &= tripped[CONFIRMING_EVALUATIONS - 1 - blocks_back : -blocks_back]
    first = confirmed.argmax(axis=0) + CONFIRMING_EVALUATIONS - 1
    return np.where(confirmed.any(axis=0), first, -1)


def _sums(values: Floats) -> Floats:
    return np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(axis=0)])


def _window(sums: Floats, blocks: int) -> Floats:
    return sums[LONGEST_WINDOW + 1 :] - sums[LONGEST_WINDOW + 1 - blocks : len(sums) - blocks]


def _burns(threshold: Threshold, sums: tuple[Floats, Floats], phi: Floats) -> Bools:
    row = threshold.row
    long_bad, long = (_window(s, row.long) for s in sums)
    short_bad, short = (_window(s, row.short) for s in sums)
    lower = vectorized_test.wilson_lower(long_bad / phi, long / phi, threshold.z)
    trips: Bools = (lower > threshold.ratio) & (long_bad >= LEAST_BAD)
    trips &= (short_bad > threshold.ratio * short) & (long / phi >= threshold.least_events)
    return trips


def _drifted(slo: SloTerms, bad: Floats, total: Floats, phi: Floats) -> Bools:
    """Return, block by block, whether each product's largest CUSUM is at its bound."""
    hours = (len(bad) - LONGEST_WINDOW) // BLOCKS_PER_HOUR
    shape = (hours, BLOCKS_PER_HOUR, bad.shape[1])
    hourly_bad = bad[LONGEST_WINDOW:].reshape(shape).sum(axis=1)
    hourly = total[LONGEST_WINDOW:].reshape(shape).sum(axis=1)
    tripped = np.zeros((hours, bad.shape[1]), bool)
    for product in range(bad.shape[1]):
        bank = _bank(slo, bad[:LONGEST_WINDOW, product], total[:LONGEST_WINDOW, product])
        if bank is not None:
            tripped[:, product] = _exceeds(
                bank, hourly_bad[:, product], hourly[:, product], float(phi[product])
            )
    by_block = np.repeat(tripped, BLOCKS_PER_HOUR, axis=0)
    at_bound = np.zeros_like(by_block)  # an hour is evaluated once it is complete
    at_bound[BLOCKS_PER_HOUR - 1 :] = by_block[: len(by_block) - BLOCKS_PER_HOUR + 1]
    return at_bound


def _bank(slo: SloTerms, bad: Floats, total: Floats) -> cusum.Bank | None:
    """Return the bank of a production baseline: a day, and longer until it supports the drop."""
    ratio = bad.sum() / max(total.sum(), 1)
    needed = BASELINE_FACTOR * ratio * (1 - ratio) / slo.drop**2 if slo.drop else 0.0
    enough = int(np.searchsorted(total.cumsum(), needed)) + 1
    blocks = min(max(BASELINE_BLOCKS, ceil(enough)), MOST_BASELINE_BLOCKS)
    count = Count(int(bad[-blocks:].sum()), int(total[-blocks:].sum()))
    if count.total == 0 or count.total < needed:
        return None
    p0 = (count.bad + 0.5) / (count.total + 1)
    upper = wilson_upper(count.bad, count.total, BASELINE_Z)
    return cusum.bank(p0, upper, slo.drop, cusum.HOURLY_BLOCKS)


def _exceeds(bank: cusum.Bank, bad: Floats, total: Floats, phi: float) -> Bools:
    exceeds = np.zeros(len(bad), bool)
    for alternative in bank.alternatives:
        gains = (bad * alternative.per_bad + (total - bad) * alternative.per_good) / phi
        walk = np.concatenate([[0.0], gains.cumsum()])
        statistic = (walk - np.minimum.accumulate(walk))[1:]
        exceeds |= statistic >= bank.bound
    return exceeds
