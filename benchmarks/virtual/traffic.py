"""Counters of a product's pods: curves that grow with time, by product and version.

A count is the growth of its curve, in whole events, so sums over any blocks agree. Curves are
straight lines, or random (variation.py).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.virtual.variation import (
    SUMS,
    Delayed,
    Drawn,
    Sum,
    Variation,
    parts_of,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Curve:
    """A curve that grows at a variable rate; before its first change it is at zero."""

    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def set_rate(self, now: float, rate: float) -> None:
        """Set the growth a second from now on."""
        if self.rates and self.rates[-1] == rate:
            return
        value = self.at(now)
        self.times.append(now)
        self.values.append(value)
        self.rates.append(rate)

    def add(self, now: float, events: float) -> None:
        """Add a number of events at once."""
        value, rate = self.at(now) + events, self.rate(now)
        self.times.append(now)
        self.values.append(value)
        self.rates.append(rate)

    def at(self, time: float) -> float:
        """Return the value at a time."""
        place = bisect_right(self.times, time) - 1
        if place < 0:
            return 0.0
        return self.values[place] + self.rates[place] * (time - self.times[place])

    def rate(self, time: float) -> float:
        """Return the growth in a second, from a time on."""
        place = bisect_right(self.times, time) - 1
        return 0.0 if place < 0 else self.rates[place]

    def total(self, time: float) -> int:
        """Return whole events until a time."""
        return whole(self.at(time))

    def count(self, begin: float, end: float) -> int:
        """Return whole events in (begin, end]."""
        return self.total(end) - self.total(begin)


def by_delay(counter: Curve | Drawn | Sum | None) -> list[tuple[float, Curve | Drawn]]:
    """Return the parts of a counter with the seconds until their events are counted."""
    if isinstance(counter, Sum):
        return [one for part in counter.parts for one in by_delay(part)]
    if counter is None:
        return []
    return [(counter.delay if isinstance(counter, Drawn) else 0.0, counter)]


class Version(NamedTuple):
    """A version, by its pods' labels."""

    namespace: str
    product: str
    version: str
    revision: str


@dataclass(slots=True)
class Counted:
    """All counters of one version.

    Attributes
    ----------
    pods : seconds for which pods existed, added up. there : seconds for which any existed.
    events : by name; `requests` are all answered requests.
    variation : random variation, and the name of its draws; None for straight lines.
    desk : the pods that receive the labels of its predictions; None for its own.
    """

    service: str
    pods: Curve = field(default_factory=Curve)
    there: Curve = field(default_factory=Curve)
    events: dict[str, Curve | Drawn | Sum] = field(default_factory=dict)
    throttled: float | None = 0.01
    waited: float | None = None
    secretless: bool = False
    memory: float | None = 0.4
    gauge: float = 0.0
    variation: tuple[Variation, str] | None = None
    desk: Counted | None = None

    def set_rates(self, now: float, pods: int, rates: Mapping[str, float]) -> None:
        """Set its pods, and its answers a second, from now on."""
        self.pods.set_rate(now, pods)
        self.there.set_rate(now, float(pods > 0))
        if self.variation is not None:
            self._vary(now, rates, *self.variation)
            return
        for name in {*self.events, *rates}:
            curve = self.events.setdefault(name, Curve())
            assert isinstance(curve, Curve)
            curve.set_rate(now, rates.get(name, 0.0))

    def _vary(
        self, now: float, rates: Mapping[str, float], variation: Variation, version: str
    ) -> None:
        """Count random events; sums count what their parts do."""
        parts = parts_of(rates)
        for name in parts.keys() - self.events.keys():
            self.events[name] = drawn = variation.counter(version, name)
            for whole_name, summands in SUMS.items():
                if summands(name):
                    total = self.events.setdefault(whole_name, Sum())
                    assert isinstance(total, Sum)
                    total.parts.append(drawn)
        for name, curve in self.events.items():
            if isinstance(curve, Drawn | Delayed):
                curve.set_rate(now, *parts.get(name, (0.0, 0.0)))

    def add(self, now: float, events: Mapping[str, float]) -> None:
        """Count events at once, in addition to those of the rates."""
        for name, number in events.items():
            curve = self.events.setdefault(name, Curve())
            assert isinstance(curve, Curve)
            curve.add(now, number)


@dataclass
class Traffic:
    """All versions that ever had pods."""

    versions: dict[Version, Counted] = field(default_factory=dict)
