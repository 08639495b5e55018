"""Simulated blocks of counts of many canaries at once, with NumPy.

Arrays are (SLOs, runs). The events of a run depend on its share, so a block can be drawn only after
the decision on the one before.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sluicegate.simulation.scenario import Scenario

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
SECONDS_PER_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class SimulatedArms:
    """One canary block: bad events and events of both arms, by SLO and run."""

    canary_bad: Floats
    canary: Floats
    stable_bad: Floats
    stable: Floats


class SimulatedTraffic:
    """Generator of the blocks of all simulated runs, in time order."""

    def __init__(self, scenario: Scenario, runs: int, seed: int) -> None:
        self._scenario = scenario
        self._rng = np.random.default_rng(seed)
        self._phase = self._rng.uniform(0.0, 2 * np.pi, runs)
        self._per_block = np.array([stream.per_block for stream in scenario.streams])[:, None]
        self._stable_bad = np.array([stream.stable_bad for stream in scenario.streams])[:, None]
        self._worse = np.array(
            [stream.candidate_bad - stream.stable_bad for stream in scenario.streams]
        )[:, None]
        self._delays = np.array([stream.delay for stream in scenario.streams], dtype=np.int64)
        self._shares: list[Floats] = []
        self.runs = runs

    def past(self) -> tuple[Floats, Floats]:
        """Return stable's (bad, total) before the canary, as (blocks, SLOs, runs)."""
        return self.span(-self._scenario.past_blocks, 0)

    def span(
        self, first_block: int, end_block: int, *, candidate: bool = False
    ) -> tuple[Floats, Floats]:
        """Return (bad, total) by block, SLO and run, of one arm with all of the traffic."""
        times = np.arange(first_block, end_block)[:, None, None]
        arm_counts = self._draw(times, np.array(float(candidate)), np.arange(self.runs))
        return (
            (arm_counts.canary_bad, arm_counts.canary)
            if candidate
            else (arm_counts.stable_bad, arm_counts.stable)
        )

    def block(self, traffic_share: Floats, running_runs: Ints) -> SimulatedArms:
        """Draw the next block of the remaining runs, at these shares of all runs."""
        self._shares.append(traffic_share.copy())
        time = len(self._shares) - 1
        return self._draw(time, self._delayed(time, running_runs), running_runs)

    def _delayed(self, time: int, running_runs: Ints) -> Floats:
        """Return the share at the time of the request, for each SLO's events."""
        zero_share = np.zeros(len(running_runs))
        return np.array(
            [
                self._shares[time - label_delay][running_runs]
                if time >= label_delay
                else zero_share
                for label_delay in self._delays
            ]
        )

    def _draw(self, time: int | Ints, traffic_share: Floats, running_runs: Ints) -> SimulatedArms:
        event_seconds = (time - self._delays[:, None]) * self._scenario.block_seconds
        angle = 2 * np.pi * event_seconds / SECONDS_PER_DAY + self._phase[running_runs]
        daily_factor = 1 + self._scenario.daily_swing * np.sin(angle)
        events = self._per_block * np.maximum(daily_factor, 0.0)
        stable_bad = np.clip(self._stable_bad * daily_factor, 0.0, 1.0)
        canary = self._rng.poisson(events * traffic_share)
        stable = self._rng.poisson(events * (1 - traffic_share))
        return SimulatedArms(
            self._bad(canary, np.clip(stable_bad + self._worse, 0.0, 1.0)),
            canary.astype(np.float64),
            self._bad(stable, stable_bad),
            stable.astype(np.float64),
        )

    def _bad(self, events: Ints, ratio: Floats) -> Floats:
        burst_correlation = self._scenario.burst_correlation
        if burst_correlation > 0:
            is_certain = (ratio <= 0) | (ratio >= 1)
            bounded_ratio = np.where(is_certain, 0.5, ratio)
            scale = 1 / burst_correlation - 1
            drawn_ratio = self._rng.beta(bounded_ratio * scale, (1 - bounded_ratio) * scale)
            ratio = np.where(is_certain, ratio, drawn_ratio)
        return self._rng.binomial(events, ratio).astype(np.float64)
