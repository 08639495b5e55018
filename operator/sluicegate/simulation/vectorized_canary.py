"""The operator's rule for many canaries at once: the same steps at the same blocks as policy."""

from math import ceil
from typing import Final, Protocol

import numpy as np

from sluicegate.api.slos import CanaryEvidence
from sluicegate.policy.canary.label_pace import SLOW_SECONDS
from sluicegate.policy.canary.rollout_time import LONGEST_SECONDS
from sluicegate.policy.model.attended_time import MIN_SECONDS
from sluicegate.simulation import vectorized_test
from sluicegate.simulation.scenario import (
    Scenario,
    SimulatedVerdict,
    SimulationSummary,
    summarise_verdicts,
)
from sluicegate.simulation.traffic import Bools, Floats, Ints, SimulatedArms, SimulatedTraffic
from sluicegate.stats.canary_duration import MIN_BLOCKS, WARM_UP_BLOCKS
from sluicegate.stats.sequential_test import rollback_bound

MIN_REQUESTS: Final = 50
"""Least canary requests of a step."""


class Judge(Protocol):
    """A rule that evaluates each block, changes the share, and reaches a verdict."""

    share: Floats
    """The candidate's share of the traffic, by run."""

    def observe(self, arm_counts: SimulatedArms, running_runs: Ints) -> Ints:
        """Return the verdicts of the remaining runs after another block."""


def verdicts_of(promoted_runs: Bools, rolled_back: Bools) -> Ints:
    """Return the verdicts of runs: rolled back before promoted, otherwise still running."""
    verdict = np.where(promoted_runs, SimulatedVerdict.PROMOTED, SimulatedVerdict.RUNNING)
    return np.where(rolled_back, SimulatedVerdict.ROLLED_BACK, verdict).astype(np.int64)


class Sequential:
    """Block-wise e-processes with steps, dwell and warm-up."""

    def __init__(self, scenario: Scenario, past_bad: Floats, past_events: Floats) -> None:
        shape = past_events.shape[1:]
        self._scenario = scenario
        self._steps = np.array(scenario.steps) / 100
        self._margin = np.array([stream.margin for stream in scenario.streams])[:, None]
        self._allowed = np.array([stream.allowed_bad for stream in scenario.streams])[:, None]
        self._lag = np.array([stream.lag for stream in scenario.streams])[:, None]
        self._answers = np.array([stream.answers for stream in scenario.streams])[:, None]
        self._bound = rollback_bound(len(scenario.streams))
        blocks = np.arange(len(past_events))[:, None, None]
        blocks_after_shift = blocks >= vectorized_test.level_shift(past_bad, past_events)
        self._past_bad = np.where(blocks_after_shift, past_bad, 0.0).sum(axis=0)
        self._past = np.where(blocks_after_shift, past_events, 0.0).sum(axis=0)
        self._before = past_events.sum(axis=0) / np.maximum(
            (past_events > 0).any(axis=1).sum(axis=0), 1
        )
        self._correlation = vectorized_test.burst_correlation(
            past_bad, past_events, blocks_after_shift
        )
        self._seen = {name: np.zeros(shape) for name in ("bad", "canary", "both", "blocks")}
        self._known_bad, self._known = self._past_bad.copy(), self._past.copy()
        self.promote, self.roll_back = np.zeros(shape), np.zeros(shape)
        self.better = np.zeros(shape)
        self.step, self._age = np.zeros(shape[1], np.int64), np.zeros(shape[1], np.int64)
        self._requests = np.zeros(shape[1])
        self._time = 0
        self.share = self._steps[self.step]

    def observe(self, arm_counts: SimulatedArms, running_runs: Ints) -> Ints:
        """Add the evidence of one block, then roll back, promote or advance."""
        self._time += 1
        self._age[running_runs] += 1
        is_warm = self._age[running_runs] > WARM_UP_BLOCKS
        counts = is_warm & (self._time > self._lag)
        ratio = vectorized_test.expected_ratio(
            self._past_bad[:, running_runs], self._past[:, running_runs], self._margin
        )
        promote_factors, roll_back_factors, better_factors = vectorized_test.block_factors(
            arm_counts, ratio, self._margin, self._correlation[:, running_runs]
        )
        self.promote[:, running_runs] += np.where(counts, promote_factors, 0.0)
        self.better[:, running_runs] += np.where(counts, better_factors, 0.0)
        self.roll_back[:, running_runs] += np.where(counts, roll_back_factors, 0.0)
        self._remember(arm_counts, running_runs, counts)
        self._requests[running_runs] += np.where(is_warm, arm_counts.canary.max(axis=0), 0.0)
        self._past_bad[:, running_runs] += arm_counts.stable_bad
        self._past[:, running_runs] += arm_counts.stable
        return self._decide(running_runs, arm_counts.canary.max(axis=0) > 0)

    def _remember(self, arm_counts: SimulatedArms, running_runs: Ints, counts: Bools) -> None:
        both_totals = arm_counts.canary + arm_counts.stable
        updated_sums = {
            "bad": arm_counts.canary_bad,
            "canary": arm_counts.canary,
            "both": both_totals,
            "blocks": np.ones_like(both_totals),
        }
        for name, seen_sums in self._seen.items():
            seen_sums[:, running_runs] += np.where(counts, updated_sums[name], 0.0)
        self._known_bad[:, running_runs] += np.where(counts, arm_counts.stable_bad, 0.0)
        self._known[:, running_runs] += np.where(counts, arm_counts.stable, 0.0)

    def _decide(self, running_runs: Ints, is_served: Bools) -> Ints:
        rolled_back: Bools = np.logical_or.reduce(
            self.roll_back[:, running_runs] >= self._bound, axis=0
        )
        dwelt = self._age[running_runs] - WARM_UP_BLOCKS >= MIN_BLOCKS
        ready = dwelt & (self._requests[running_runs] >= MIN_REQUESTS) & is_served & ~rolled_back
        needed = (self.step[running_runs] + 1) / len(self._steps) * vectorized_test.LOG_BOUND
        speaks = self.promote[:, running_runs] >= needed
        any_speaks: Bools = np.logical_or.reduce(speaks, axis=0)
        ready = np.logical_and(ready, any_speaks)
        ready[ready] = self._all_spoke(running_runs[ready], speaks[:, ready])
        last_index = self.step[running_runs] == len(self._steps) - 1
        has_passed = ready & last_index
        good_events = self._meets_objectives(running_runs[has_passed], speaks[:, has_passed])
        has_passed[has_passed] = good_events & ~self._leans_against(running_runs[has_passed])
        self._advance(running_runs[ready & ~last_index])
        return verdicts_of(has_passed, rolled_back)

    def _all_spoke(self, runs: Ints, speaks: Bools) -> Bools:
        """Return which runs have favourable evidence in all required SLOs, as policy.canary counts it."""
        required = self.required(runs)
        spoke: Bools = np.logical_and.reduce(speaks | ~required, axis=0)
        needed = (self.step[runs] + 1) / len(self._steps) * self._bound
        better_factors = speaks & (self.better[:, runs] >= needed)
        spoke &= (
            np.logical_or.reduce(required, axis=0)
            | np.logical_and.reduce(speaks, axis=0)
            | np.logical_or.reduce(better_factors, axis=0)
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
        """Return which runs have an optional SLO that favours stable, as policy.canary decides it."""
        is_optional = [
            [stream.evidence is CanaryEvidence.IF_AVAILABLE] for stream in self._scenario.streams
        ]
        worse = np.array(is_optional) & ~self.required(runs) & (self.roll_back[:, runs] > 0)
        leans: Bools = np.logical_or.reduce(worse, axis=0)
        return leans

    def _meets_objectives(self, runs: Ints, speaks: Bools) -> Bools:
        """Return whether no SLO certainly misses its objective, as policy.canary.objections checks.

        An SLO in which the candidate is shown to be better than stable may miss it.
        """
        seen_sums = {name: values[:, runs] for name, values in self._seen.items()}
        mean = seen_sums["canary"] / np.maximum(seen_sums["blocks"], 1)
        traffic_share = vectorized_test.independent_share(mean, self._correlation[:, runs])
        lower = vectorized_test.wilson_lower(
            seen_sums["bad"] * traffic_share, seen_sums["canary"] * traffic_share
        )
        better_factors = speaks & (self.better[:, runs] >= self._bound)
        met: Bools = np.logical_and.reduce((lower <= self._allowed) | better_factors, axis=0)
        return met

    def _advance(self, runs: Ints) -> None:
        self.step[runs] += 1
        self._age[runs] = 0
        self._requests[runs] = 0.0
        self.share[runs] = self._steps[self.step[runs]]


class RolloutClock:
    """Blocks that rollouts have used of their duration, as policy.canary.rollout_time counts them.

    Attributes
    ----------
    longest : blocks after which a rollout ends, silent ones included.
    """

    def __init__(self, scenario: Scenario, runs: int) -> None:
        """Begin with the first share of all runs."""
        self._silent, self._used = np.zeros(runs, np.int64), np.zeros(runs, np.int64)
        self._least = ceil(MIN_SECONDS / scenario.block_seconds)
        self._scenario, self._time = scenario, 0
        self.longest = (
            LONGEST_SECONDS // scenario.block_seconds if scenario.waits else scenario.blocks
        )

    def observe(self, arm_counts: SimulatedArms, running_runs: Ints) -> Bools:
        """Count one more block; return which of the remaining runs have no time left."""
        self._time += 1
        used = self._used[running_runs] + 1
        if self._scenario.waits:
            is_silent = (arm_counts.canary + arm_counts.stable).sum(axis=0) == 0
            silent = np.where(is_silent, self._silent[running_runs] + 1, 0)
            used -= np.where(silent == self._least, self._least, 0)
            used -= silent > self._least
            self._silent[running_runs] = silent
        self._used[running_runs] = used
        is_over: Bools = used >= self._scenario.blocks
        return is_over | (self._time >= self.longest)


def play(judge: Judge, traffic: SimulatedTraffic, scenario: Scenario) -> SimulationSummary:
    """Simulate block after block of all runs, until each has a verdict or reaches the longest duration."""
    verdicts_of = np.zeros(traffic.runs, np.int64)
    clock = RolloutClock(scenario, traffic.runs)
    minutes = np.full(traffic.runs, clock.longest * scenario.minutes_per_block)
    has_traffic = any(stream.per_block for stream in scenario.streams)
    for time in range(clock.longest if has_traffic else 0):
        running_runs = np.flatnonzero(verdicts_of == SimulatedVerdict.RUNNING)
        if running_runs.size == 0:
            break
        arm_counts = traffic.block(judge.share, running_runs)
        verdicts = judge.observe(arm_counts, running_runs)
        is_over = clock.observe(arm_counts, running_runs)
        verdicts[is_over & (verdicts == SimulatedVerdict.RUNNING)] = SimulatedVerdict.INCONCLUSIVE
        verdicts_of[running_runs] = verdicts
        ended_runs = running_runs[verdicts_of[running_runs] != SimulatedVerdict.RUNNING]
        minutes[ended_runs] = (time + 1) * scenario.minutes_per_block
    verdicts_of[verdicts_of == SimulatedVerdict.RUNNING] = SimulatedVerdict.INCONCLUSIVE
    return summarise_verdicts([SimulatedVerdict(int(v)) for v in verdicts_of], minutes.tolist())


def simulate(scenario: Scenario, runs: int, seed: int) -> SimulationSummary:
    """Run the operator's rule over this number of canaries."""
    traffic = SimulatedTraffic(scenario, runs, seed)
    return play(Sequential(scenario, *traffic.past()), traffic, scenario)
