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
    """Generator of the blocks of all runs, one after the other."""

    def __init__(self, scenario: Scenario, runs: int, seed: int) -> None:
        self._scenario = scenario
        self._rng = np.random.default_rng(seed)
        self._phase = self._rng.uniform(0.0, 2 * np.pi, runs)
        self._per_block = np.array([s.per_block for s in scenario.streams])[:, None]
        self._stable_bad = np.array([s.stable_bad for s in scenario.streams])[:, None]
        self._worse = np.array([s.candidate_bad - s.stable_bad for s in scenario.streams])[:, None]
        self._delays = np.array([s.delay for s in scenario.streams], dtype=np.int64)
        self._shares: list[Floats] = []
        self.runs = runs

    def past(self) -> tuple[Floats, Floats]:
        """Return stable's (bad, total) before the canary, as (blocks, SLOs, runs)."""
        return self.span(-self._scenario.past_blocks, 0)

    def span(self, first: int, end: int, *, candidate: bool = False) -> tuple[Floats, Floats]:
        """Return (bad, total) by block, SLO and run, of one arm with all of the traffic."""
        times = np.arange(first, end)[:, None, None]
        arms = self._draw(times, np.array(float(candidate)), np.arange(self.runs))
        return (arms.canary_bad, arms.canary) if candidate else (arms.stable_bad, arms.stable)

    def block(self, share: Floats, live: Ints) -> SimulatedArms:
        """Draw the next block of the remaining runs, at these shares of all runs."""
        self._shares.append(share.copy())
        time = len(self._shares) - 1
        return self._draw(time, self._delayed(time, live), live)

    def _delayed(self, time: int, live: Ints) -> Floats:
        """Return the share at the time of the request, for each SLO's events."""
        no_share = np.zeros(len(live))
        return np.array(
            [self._shares[time - d][live] if time >= d else no_share for d in self._delays]
        )

    def _draw(self, time: int | Ints, share: Floats, live: Ints) -> SimulatedArms:
        moments = (time - self._delays[:, None]) * self._scenario.block_seconds
        angle = 2 * np.pi * moments / SECONDS_PER_DAY + self._phase[live]
        swing = 1 + self._scenario.daily_swing * np.sin(angle)
        events = self._per_block * np.maximum(swing, 0.0)
        stable_bad = np.clip(self._stable_bad * swing, 0.0, 1.0)
        canary = self._rng.poisson(events * share)
        stable = self._rng.poisson(events * (1 - share))
        return SimulatedArms(
            self._bad(canary, np.clip(stable_bad + self._worse, 0.0, 1.0)),
            canary.astype(np.float64),
            self._bad(stable, stable_bad),
            stable.astype(np.float64),
        )

    def _bad(self, events: Ints, ratio: Floats) -> Floats:
        rho = self._scenario.burst_correlation
        if rho > 0:
            is_certain = (ratio <= 0) | (ratio >= 1)
            bounded_ratio = np.where(is_certain, 0.5, ratio)
            scale = 1 / rho - 1
            drawn_ratio = self._rng.beta(bounded_ratio * scale, (1 - bounded_ratio) * scale)
            ratio = np.where(is_certain, ratio, drawn_ratio)
        return self._rng.binomial(events, ratio).astype(np.float64)
