"""Is the process alive, and is it ready? Answered from facts, not from "the server answers".

An API server that is away is no reason to restart the operator: a watch counts as dead only
while the API server answers other requests. A loop that doesn't turn at all answers no probe,
which says the same.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sluicegate.runtime.metrics import LOOP_LAG
from sluicegate.runtime.watch_liveness import Watches

BEAT_SECONDS = 0.5
BEATS = 10
REACHABLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds beyond which the process doesn't count as alive.

    `lag` is how late the event loop's timers may fire, ten times in a row; `watch_age` how long
    a watch may receive no event or bookmark, above the 300 s after which each is renewed.
    """

    lag: float = 2.0
    watch_age: float = 600.0


@dataclass(frozen=True, slots=True)
class HealthVerdict:
    """`problems` are sentences; without any, all is well."""

    problems: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Say whether there is no problem."""
        return not self.problems


class Pulse:
    """Measures how late the event loop's timers fire, one each `beat` seconds."""

    def __init__(self, beat: float = BEAT_SECONDS) -> None:
        self._beat = beat
        self._lags: deque[float] = deque(maxlen=BEATS)

    @property
    def sustained_lag(self) -> float:
        """Return the least lag of the last beats: a single pause doesn't show."""
        return min(self._lags) if len(self._lags) == BEATS else 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._beat
            await asyncio.sleep(self._beat)
            lag = max(0.0, loop.time() - due)
            self._lags.append(lag)
            LOOP_LAG.observe(lag)


class Health:
    """Judges the process.

    `api_silence` returns the seconds since the API server's last answer.
    """

    def __init__(
        self,
        pulse: Pulse,
        watches: Watches,
        limits: Limits,
        *,
        api_silence: Callable[[], float],
        primed: asyncio.Event,
    ) -> None:
        self._pulse = pulse
        self._watches = watches
        self._limits = limits
        self._api_silence = api_silence
        self._primed = primed
        self.stopping = False

    def alive(self) -> HealthVerdict:
        """Return the problems that only a restart resolves."""
        problems = []
        lag, limits = self._pulse.sustained_lag, self._limits
        if lag > limits.lag:
            problems.append(
                f"the event loop is late by {lag:.2f} s or more {BEATS} times in a row"
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
        """Return why this replica couldn't act at once if it led."""
        problems = []
        if self.stopping:
            problems.append("stopping")
        if not self._primed.is_set():
            problems.append("the caches are not primed yet")
        return HealthVerdict(tuple(problems))
