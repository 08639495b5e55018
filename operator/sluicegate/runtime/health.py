"""Liveness and readiness of the process, computed from facts.

An API server that is down is no reason to restart the operator: a watch counts as dead only while
the API server answers other requests. If the event loop hangs, no probe is answered, which has the
same effect.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sluicegate.runtime.metrics import LOOP_LAG
from sluicegate.runtime.watch_liveness import Watches

BEAT_SECONDS = 0.5
MISSED_BEATS = 10
REACHABLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds beyond which the process counts as dead.

    `lag` is the delay of the event loop's timers, ten times in a row; `watch_age` the time without
    an event or bookmark on a watch, above the 300 s after which each is renewed.
    """

    lag: float = 2.0
    watch_age: float = 600.0


@dataclass(frozen=True, slots=True)
class HealthVerdict:
    """Result of a probe: `problems` are sentences; it passes without any."""

    problems: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Return whether there is no problem."""
        return not self.problems


class LagMonitor:
    """Monitor of the delay of the event loop's timers, with one timer each `beat` seconds."""

    def __init__(self, beat_seconds: float = BEAT_SECONDS) -> None:
        self._beat = beat_seconds
        self._lags: deque[float] = deque(maxlen=MISSED_BEATS)

    @property
    def sustained_lag(self) -> float:
        """Return the least delay of the last timers, so that a single pause doesn't count."""
        return min(self._lags) if len(self._lags) == MISSED_BEATS else 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        event_loop = asyncio.get_running_loop()
        while True:
            due_time = event_loop.time() + self._beat
            await asyncio.sleep(self._beat)
            lag = max(0.0, event_loop.time() - due_time)
            self._lags.append(lag)
            LOOP_LAG.observe(lag)


class Health:
    """Liveness and readiness checks of the process.

    `api_silence` is a function that returns the seconds since the API server's last answer.
    """

    def __init__(
        self,
        lag_monitor: LagMonitor,
        watches: Watches,
        limits: Limits,
        *,
        api_silence: Callable[[], float],
        is_primed: asyncio.Event,
    ) -> None:
        self._pulse = lag_monitor
        self._watches = watches
        self._limits = limits
        self._api_silence = api_silence
        self._primed = is_primed
        self.stopping = False

    def alive(self) -> HealthVerdict:
        """Return the problems that only a restart resolves."""
        problems = []
        lag, limits = self._pulse.sustained_lag, self._limits
        if lag > limits.lag:
            problems.append(
                f"the event loop is late by {lag:.2f} s or more {MISSED_BEATS} times in a row"
                f" (at most {limits.lag:g} s)"
            )
        if self._api_silence() < REACHABLE_SECONDS:
            problems += [
                f"the watch of {resource.qualified} has received no event or bookmark for {age:.0f} s"
                f" (at most {limits.watch_age:g} s)"
                for resource, age in self._watches.ages().items()
                if age > limits.watch_age
            ]
        return HealthVerdict(tuple(problems))

    def ready(self) -> HealthVerdict:
        """Return the problems because of which this replica couldn't lead at once."""
        problems = []
        if self.stopping:
            problems.append("stopping")
        if not self._primed.is_set():
            problems.append("the caches are not primed yet")
        return HealthVerdict(tuple(problems))
