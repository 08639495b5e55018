"""The operator's rule for many canaries at once: the same steps at the same blocks as policy."""

from typing import Final, Protocol

import numpy as np

from sluicegate.api.slos import CanaryEvidence
from sluicegate.policy.canary.label_pace import SLOW_SECONDS
from sluicegate.simulation import vectorized_test
from sluicegate.simulation.scenario import Scenario, SimulatedVerdict, SimulationSummary, summarise
from sluicegate.simulation.traffic import Bools, Floats, Ints, SimulatedArms, SimulatedTraffic
from sluicegate.stats.canary_duration import LEAST_BLOCKS, WARM_UP_BLOCKS
from sluicegate.stats.sequential_test import rollback_bound

LEAST_REQUESTS: Final = 50
"""Least canary requests of a step."""


class Judge(Protocol):
    """A rule that evaluates each block, changes the share, and reaches a verdict."""

    share: Floats
    """The candidate's share of the traffic, by run."""

    def observe(self, arms: SimulatedArms, live: Ints) -> Ints:
        """Return the verdicts of the remaining runs, after one more block of theirs."""


def verdicts(promoted: Bools, rolled_back: Bools) -> Ints:
    """Return verdicts of runs; a run with both is rolled back, one with neither continues."""
    verdict = np.where(promoted, SimulatedVerdict.PROMOTED, SimulatedVerdict.RUNNING)
    return np.where(rolled_back, SimulatedVerdict.ROLLED_BACK, verdict).astype(np.int64)


class Sequential:
    """Block-wise e-processes with steps, dwell and warm-up."""

    def __init__(self, scenario: Scenario, past_bad: Floats, past: Floats) -> None:
        shape = past.shape[1:]
        self._scenario = scenario
        self._steps = np.array(scenario.steps) / 100
        self._margin = np.array([s.margin for s in scenario.streams])[:, None]
        self._allowed = np.array([s.allowed_bad for s in scenario.streams])[:, None]
        self._lag = np.array([s.lag for s in scenario.streams])[:, None]
        self._answers = np.array([s.answers for s in scenario.streams])[:, None]
        self._bound = rollback_bound(len(scenario.streams))
        blocks = np.arange(len(past))[:, None, None]
        late = blocks >= vectorized_test.level_shift(past_bad, past)
        self._past_bad = np.where(late, past_bad, 0.0).sum(axis=0)
        self._past = np.where(late, past, 0.0).sum(axis=0)
        self._before = past.sum(axis=0) / np.maximum((past > 0).any(axis=1).sum(axis=0), 1)
        self._correlation = vectorized_test.burst_correlation(past_bad, past, late)
        self._seen = {name: np.zeros(shape) for name in ("bad", "canary", "both", "blocks")}
        self._known_bad, self._known = self._past_bad.copy(), self._past.copy()
        self.promote, self.roll_back = np.zeros(shape), np.zeros(shape)
        self.better = np.zeros(shape)
        self.step, self._age = np.zeros(shape[1], np.int64), np.zeros(shape[1], np.int64)
        self._requests = np.zeros(shape[1])
        self._time = 0
        self.share = self._steps[self.step]

    def observe(self, arms: SimulatedArms, live: Ints) -> Ints:
        """Add the evidence of one block, then roll back, promote or advance."""
        self._time += 1
        self._age[live] += 1
        is_warm = self._age[live] > WARM_UP_BLOCKS
        counts = is_warm & (self._time > self._lag)
        ratio = vectorized_test.expected_ratio(
            self._past_bad[:, live], self._past[:, live], self._margin
        )
        promote, roll_back, better = vectorized_test.block_factors(
            arms, ratio, self._margin, self._correlation[:, live]
        )
        self.promote[:, live] += np.where(counts, promote, 0.0)
        self.better[:, live] += np.where(counts, better, 0.0)
        self.roll_back[:, live] += np.where(counts, roll_back, 0.0)
        self._remember(arms, live, counts)
        self._requests[live] += np.where(is_warm, arms.canary.max(axis=0), 0.0)
        self._past_bad[:, live] += arms.stable_bad
        self._past[:, live] += arms.stable
        return self._decide(live, arms.canary.max(axis=0) > 0)

    def _remember(self, arms: SimulatedArms, live: Ints, counts: Bools) -> None:
        both_totals = arms.canary + arms.stable
        new_sums = {
            "bad": arms.canary_bad,
            "canary": arms.canary,
            "both": both_totals,
            "blocks": np.ones_like(both_totals),
        }
        for name, sums in self._seen.items():
            sums[:, live] += np.where(counts, new_sums[name], 0.0)
        self._known_bad[:, live] += np.where(counts, arms.stable_bad, 0.0)
        self._known[:, live] += np.where(counts, arms.stable, 0.0)

    def _decide(self, live: Ints, is_served: Bools) -> Ints:
        rolled_back: Bools = np.logical_or.reduce(self.roll_back[:, live] >= self._bound, axis=0)
        dwelt = self._age[live] - WARM_UP_BLOCKS >= LEAST_BLOCKS
        ready = dwelt & (self._requests[live] >= LEAST_REQUESTS) & is_served & ~rolled_back
        needed = (self.step[live] + 1) / len(self._steps) * vectorized_test.LOG_BOUND
        speaks = self.promote[:, live] >= needed
        any_speaks: Bools = np.logical_or.reduce(speaks, axis=0)
        ready = np.logical_and(ready, any_speaks)
        ready[ready] = self._all_spoke(live[ready], speaks[:, ready])
        last = self.step[live] == len(self._steps) - 1
        has_passed = ready & last
        good = self._meets_objectives(live[has_passed], speaks[:, has_passed])
        has_passed[has_passed] = good & ~self._leans_against(live[has_passed])
        self._advance(live[ready & ~last])
        return verdicts(has_passed, rolled_back)

    def _all_spoke(self, runs: Ints, speaks: Bools) -> Bools:
        """Return whether all required SLOs favour the candidate, as policy.canary counts it."""
        required = self.required(runs)
        spoke: Bools = np.logical_and.reduce(speaks | ~required, axis=0)
        needed = (self.step[runs] + 1) / len(self._steps) * self._bound
        better = speaks & (self.better[:, runs] >= needed)
        spoke &= (
            np.logical_or.reduce(required, axis=0)
            | np.logical_and.reduce(speaks, axis=0)
            | np.logical_or.reduce(better, axis=0)
        )
        return spoke

    def required(self, runs: Ints) -> Bools:
        """Return which SLOs have enough traffic for a verdict, as policy.canary plans it."""
        rate = self._seen["both"][:, runs] / np.maximum(self._seen["blocks"][:, runs], 1)
        blocks = vectorized_test.expected_blocks(
            self._scenario.steps,
            np.maximum(self._before[:, runs], rate),
            ratio=vectorized_test.expected_ratio(
                self._known_bad[:, runs], self._known[:, runs], self._margin
            ),
            margin=self._margin,
            correlation=self._correlation[:, runs],
        )
        blocks = blocks + self._lag
        required: Bools = np.less_equal(blocks, self._scenario.blocks)
        for row, stream in enumerate(self._scenario.streams):
            if stream.evidence is not CanaryEvidence.IF_AVAILABLE:
                required[row] = stream.evidence is CanaryEvidence.REQUIRED
            elif stream.labels and self._scenario.waits:
                required[row] = True
        slow = self._answers & (blocks * self._scenario.block_seconds > SLOW_SECONDS)
        quick: Bools = np.logical_or.reduce(required & ~slow, axis=0)
        early = self.step[runs] < len(self._steps) - 1
        required &= ~(slow & quick & early)
        return required

    def _leans_against(self, runs: Ints) -> Bools:
        """Return whether an SLO that isn't required favours stable, as policy.canary decides it."""
        is_optional = [[s.evidence is CanaryEvidence.IF_AVAILABLE] for s in self._scenario.streams]
        worse = np.array(is_optional) & ~self.required(runs) & (self.roll_back[:, runs] > 0)
        leans: Bools = np.logical_or.reduce(worse, axis=0)
        return leans

    def _meets_objectives(self, runs: Ints, speaks: Bools) -> Bools:
        """Return whether no SLO certainly misses its objective, as policy.canary.objections checks.

        An SLO in which the candidate is shown to be better than stable may miss it.
        """
        sums = {name: values[:, runs] for name, values in self._seen.items()}
        mean = sums["canary"] / np.maximum(sums["blocks"], 1)
        share = vectorized_test.independent_share(mean, self._correlation[:, runs])
        lower = vectorized_test.wilson_lower(sums["bad"] * share, sums["canary"] * share)
        better = speaks & (self.better[:, runs] >= self._bound)
        met: Bools = np.logical_and.reduce((lower <= self._allowed) | better, axis=0)
        return met

    def _advance(self, runs: Ints) -> None:
        self.step[runs] += 1
        self._age[runs] = 0
        self._requests[runs] = 0.0
        self.share[runs] = self._steps[self.step[runs]]


def play(judge: Judge, traffic: SimulatedTraffic, scenario: Scenario) -> SimulationSummary:
    """Give the judge block after block of all runs, until each has a verdict or its time has ended."""
    verdicts = np.zeros(traffic.runs, np.int64)
    minutes = np.full(traffic.runs, scenario.blocks * scenario.minutes_per_block)
    for time in range(scenario.blocks):
        live = np.flatnonzero(verdicts == SimulatedVerdict.RUNNING)
        if live.size == 0:
            break
        verdicts[live] = judge.observe(traffic.block(judge.share, live), live)
        ended_runs = live[verdicts[live] != SimulatedVerdict.RUNNING]
        minutes[ended_runs] = (time + 1) * scenario.minutes_per_block
    verdicts[verdicts == SimulatedVerdict.RUNNING] = SimulatedVerdict.INCONCLUSIVE
    return summarise([SimulatedVerdict(int(v)) for v in verdicts], minutes.tolist())


def simulate(scenario: Scenario, runs: int, seed: int) -> SimulationSummary:
    """Run the operator's rule over this number of canaries."""
    traffic = SimulatedTraffic(scenario, runs, seed)
    return play(Sequential(scenario, *traffic.past()), traffic, scenario)
