"""Our rule over many canaries at once: the same steps, at the same blocks, as policy decides them."""

from typing import Final, Protocol

import numpy as np

from sluicegate.api.slos import CanaryEvidence
from sluicegate.policy.evidence import rollback_bound
from sluicegate.policy.planning import LEAST_BLOCKS, WARM_UP_BLOCKS
from sluicegate.simulation import kernel
from sluicegate.simulation.scenario import Scenario, Summary, Verdict, summarise
from sluicegate.simulation.traffic import Arms, Floats, Ints, Traffic

LEAST_REQUESTS: Final = 50
"""Canary requests that a step takes at least."""


class Judge(Protocol):
    """Looks at each block, moves the share, and comes to a verdict."""

    share: Floats
    """The candidate's share of the traffic, by run."""

    def observe(self, arms: Arms, live: Ints) -> Ints:
        """Verdicts of the runs that are left, after one more block of theirs."""


class Sequential:
    """Block-wise e-processes with steps, dwell and warm-up."""

    def __init__(self, scenario: Scenario, past_bad: Floats, past: Floats) -> None:
        runs = past.shape[2]
        self._steps = np.array(scenario.steps) / 100
        self._margin = np.array([s.margin for s in scenario.streams])[:, None]
        self._bound = rollback_bound(len(scenario.streams))
        self._past_bad, self._past = past_bad.sum(axis=0), past.sum(axis=0)
        self._correlation = kernel.burst_correlation(past_bad, past)
        self.required = self._who_must_speak(scenario)
        self.promote, self.roll_back = np.zeros_like(self._past), np.zeros_like(self._past)
        self.step, self._age = np.zeros(runs, np.int64), np.zeros(runs, np.int64)
        self._requests = np.zeros(runs)
        self.share = self._steps[self.step]

    def _who_must_speak(self, scenario: Scenario) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        blocks = kernel.expected_blocks(
            scenario.steps,
            self._past / scenario.past_blocks,
            ratio=kernel.expected_ratio(self._past_bad, self._past, self._margin),
            margin=self._margin,
            correlation=self._correlation,
        )
        required = blocks <= scenario.blocks
        for row, stream in enumerate(scenario.streams):
            if stream.evidence is not CanaryEvidence.IF_AVAILABLE:
                required[row] = stream.evidence is CanaryEvidence.REQUIRED
        # Where nobody could speak for a candidate, silence mustn't promote it.
        return required | ~required.any(axis=0)

    def observe(self, arms: Arms, live: Ints) -> Ints:
        """Gather evidence of one block, then roll back, promote or advance."""
        self._age[live] += 1
        warm = self._age[live] > WARM_UP_BLOCKS
        ratio = kernel.expected_ratio(self._past_bad[:, live], self._past[:, live], self._margin)
        promote, back = kernel.block_factors(
            arms, ratio, self._margin, self._correlation[:, live]
        )
        self.promote[:, live] += np.where(warm, promote, 0.0)
        self.roll_back[:, live] += np.where(warm, back, 0.0)
        self._requests[live] += np.where(warm, arms.canary.max(axis=0), 0.0)
        self._past_bad[:, live] += arms.stable_bad
        self._past[:, live] += arms.stable
        return self._decide(live)

    def _decide(self, live: Ints) -> Ints:
        back = (self.roll_back[:, live] >= self._bound).any(axis=0)
        needed = (self.step[live] + 1) / len(self._steps) * kernel.LOG_BOUND
        speaks = (self.promote[:, live] >= needed) | ~self.required[:, live]
        dwelt = self._age[live] - WARM_UP_BLOCKS >= LEAST_BLOCKS
        passed = speaks.all(axis=0) & dwelt & (self._requests[live] >= LEAST_REQUESTS) & ~back
        last = self.step[live] == len(self._steps) - 1
        self._advance(live[passed & ~last])
        return np.where(
            back, Verdict.ROLLED_BACK, np.where(passed & last, Verdict.PROMOTED, Verdict.RUNNING)
        ).astype(np.int64)

    def _advance(self, runs: Ints) -> None:
        self.step[runs] += 1
        self._age[runs] = 0
        self._requests[runs] = 0.0
        self.share[runs] = self._steps[self.step[runs]]


def play(judge: Judge, traffic: Traffic, scenario: Scenario) -> Summary:
    """Show the judge block after block of all runs, until each has a verdict or its time is up."""
    verdicts = np.zeros(traffic.runs, np.int64)
    minutes = np.full(traffic.runs, scenario.blocks * scenario.minutes_per_block)
    for time in range(scenario.blocks):
        live = np.flatnonzero(verdicts == Verdict.RUNNING)
        if live.size == 0:
            break
        verdicts[live] = judge.observe(traffic.block(judge.share, live), live)
        ended = live[verdicts[live] != Verdict.RUNNING]
        minutes[ended] = (time + 1) * scenario.minutes_per_block
    verdicts[verdicts == Verdict.RUNNING] = Verdict.INCONCLUSIVE
    return summarise([Verdict(v) for v in verdicts], minutes.tolist())


def simulate(scenario: Scenario, runs: int, seed: int) -> Summary:
    """Our rule over so many canaries."""
    traffic = Traffic(scenario, runs, seed)
    return play(Sequential(scenario, *traffic.past()), traffic, scenario)
