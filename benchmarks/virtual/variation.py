"""Variation of a product's traffic and answers: seasons, bursts, gaps, noise, delays of labels.

Counts are random. An event's counter is a Poisson process: its value at a time depends only on the
seed, its name and its expected count by then, so reads in any order agree, a counter never falls,
and blocks add up. Nothing is drawn twice, and nothing depends on earlier reads.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from math import exp, floor, pi, sin, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HOUR: Final = 3600.0
DAY: Final = 86_400.0
CELL: Final = 4096
"""Expected events of a cell; each cell is drawn separately and then halved."""
EXACT_BITS: Final = 512
"""Events up to which a half is drawn exactly, by a coin each."""
FINEST: Final = 2.0**-8
"""Expected events below which an event isn't located any further."""
MAX_KEPT: Final = 20_000
"""Cached results of a counter, so that the same time isn't computed for each query."""
NORMAL: Final = NormalDist()


def uniform(seed: str, number: int) -> float:
    """Draw from (0, 1), depending only on name and number."""
    digest = blake2b(f"{seed}/{number}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) + 0.5) / 2.0**64


def normal(seed: str, number: int) -> float:
    """Draw from the standard normal distribution, by name and number."""
    return NORMAL.inv_cdf(uniform(seed, number))


class Arrivals:
    """A Poisson process of rate 1 with random access: the number of events until `expected`."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._cells = [0]
        """Events before each cell."""

    def until(self, expected: float) -> int:
        """Return the events in (0, expected]."""
        if expected <= 0:
            return 0
        cell, rest = divmod(expected, CELL)
        while len(self._cells) <= int(cell) + 1:
            number = len(self._cells) - 1
            self._cells.append(self._cells[-1] + self._cell(number))
        before = self._cells[int(cell)]
        return before + self._within(int(cell), self._cells[int(cell) + 1] - before, rest)

    def _cell(self, number: int) -> int:
        digest = blake2b(b"%b:%d" % (self._seed, number), digest_size=8).digest()
        z = NORMAL.inv_cdf((int.from_bytes(digest) + 0.5) / 2.0**64)
        return max(round(CELL + z * sqrt(CELL)), 0)

    def _within(self, cell: int, events: int, rest: float) -> int:
        """Return how many of the events of a cell are in its first part, by halves."""
        before, width, path = 0, float(CELL), 1
        while events and rest > 0 and width > FINEST:
            width /= 2
            left_half = self._half(cell, path, events)
            if rest < width:
                events, path = left_half, 2 * path
            else:
                before, events, path, rest = (
                    before + left_half,
                    events - left_half,
                    2 * path + 1,
                    rest - width,
                )
        return before + (events if rest >= width else 0)

    def _half(self, cell: int, path: int, events: int) -> int:
        """Return how many of these events are in the left half, each with probability ½."""
        name = b"%b:%d:%d" % (self._seed, cell, path)
        if events <= EXACT_BITS:
            coins = int.from_bytes(blake2b(name, digest_size=64).digest())
            return (coins & ((1 << events) - 1)).bit_count()
        digest = blake2b(name, digest_size=8).digest()
        z = NORMAL.inv_cdf((int.from_bytes(digest) + 0.5) / 2.0**64)
        return min(max(round(events / 2 + z * sqrt(events) / 2), 0), events)


class Profile:
    """A value that is constant in each cell of time, and its integral from time 0."""

    def __init__(self, seconds: float, value: Callable[[int], float]) -> None:
        self.seconds = seconds
        self.value = value
        self._sums = [0.0]

    def integral(self, time: float) -> float:
        """Return the integral from 0 to a time of the loop; 0 before."""
        if time <= 0:
            return 0.0
        cell, rest = divmod(time, self.seconds)
        cell = int(cell)
        while len(self._sums) <= cell + 1:
            number = len(self._sums) - 1
            self._sums.append(self._sums[-1] + self.value(number) * self.seconds)
        sum_before = self._sums[cell]
        return sum_before + (self._sums[cell + 1] - sum_before) * rest / self.seconds


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise on several scales.

    Attributes
    ----------
    scales : (seconds, standard deviation) of each; a value is drawn for each span of so many
        seconds.
    """

    scales: tuple[tuple[float, float], ...] = ()

    def at(self, seed: str, time: float) -> float:
        """Return the sum of all scales at a time."""
        return sum(
            sigma * normal(f"{seed}/{seconds:.0f}", int(time // seconds))
            for seconds, sigma in self.scales
            if sigma
        )


@dataclass(frozen=True, slots=True)
class Volume:
    """Number of requests, as a factor of the product's rate.

    Attributes
    ----------
    swing : of the day, from 0 to 1: at noon more, at night fewer. weekend : factor on Saturdays
    and Sundays. noise : of the factor's logarithm. silent : times without a request, in seconds of
    the loop. bursts : (begin, end, factor).
    """

    swing: float = 0.0
    weekend: float = 1.0
    noise: Noise = Noise()
    silent: tuple[tuple[float, float], ...] = ()
    bursts: tuple[tuple[float, float, float], ...] = ()

    def factor(self, seed: str, time: float) -> float:
        """Return the factor at a time of the loop, which begins on a Thursday at midnight."""
        if any(begin <= time < end for begin, end in self.silent):
            return 0.0
        factor = 1.0 - self.swing * sin(2 * pi * (time % DAY / DAY + 0.25))
        if int(time // DAY) % 7 in (2, 3):
            factor *= self.weekend
        for begin, end, burst_factor in self.bursts:
            factor *= burst_factor if begin <= time < end else 1.0
        return factor * exp(self.noise.at(f"{seed}/volume", time))


@dataclass(frozen=True, slots=True)
class Scatter:
    """Noise of a share around its true value: that of the data, not of the model.

    Attributes
    ----------
    shared : noise that all versions of a product have at the same time, in shares.
    own : noise that each version has for itself. swing : of the day, in shares.
    most : bound of the sum, in shares.
    """

    shared: Noise = Noise()
    own: Noise = Noise()
    swing: float = 0.0
    most: float = 0.0

    def at(self, seed: str, version: str, time: float) -> float:
        """Return the distance of a version's share from its true value at a time."""
        value = self.shared.at(seed, time) + self.own.at(f"{seed}/{version}", time)
        value += self.swing * sin(2 * pi * time / DAY)
        return min(max(value, -self.most), self.most)


Delays = tuple[tuple[float, float], ...]
"""(share of the labels, seconds after the prediction) of each part of the labels."""


@dataclass
class Variation:
    """Variation of the traffic of one product.

    Attributes
    ----------
    seed : all draws follow from it. cell : seconds in which nothing varies.
    labelled : share of the predictions that get a label. delays : of labels.
    delays_of_wrong : of labels of wrong predictions, if they differ from those of right ones.
    """

    seed: str
    cell: float = 300.0
    volume: Volume = Volume()
    wrong: Scatter = Scatter()
    failed: Scatter = Scatter()
    labelled: float = 0.5
    delays: Delays = ((1.0, 0.0),)
    delays_of_wrong: Delays | None = None
    _scattered: dict[tuple[str, str], Profile] = field(default_factory=dict)
    _factors: dict[int, float] = field(default_factory=dict)

    @cached_property
    def visits(self) -> Profile:
        """Requests by time, as a factor."""
        return Profile(self.cell, self._factor)

    def _factor(self, cell: int) -> float:
        if cell not in self._factors:
            self._factors[cell] = self.volume.factor(self.seed, (cell + 0.5) * self.cell)
        return self._factors[cell]

    def scattered(self, kind: str, version: str) -> Profile:
        """Return requests by time, multiplied by the distance of a share from its true value."""
        scatter = self.wrong if kind == "wrong" else self.failed
        cache_key = (kind, version if scatter.own.scales else "")
        if cache_key not in self._scattered:
            name = f"{self.seed}/{kind}"
            self._scattered[cache_key] = Profile(
                self.cell,
                lambda cell: (
                    self._factor(cell) * scatter.at(name, version, (cell + 0.5) * self.cell)
                ),
            )
        return self._scattered[cache_key]

    def counter(self, version: str, name: str) -> Drawn | Delayed:
        """Return the counter of an event of a version."""
        kind = "wrong" if is_outcome(name) else "failed"
        delays = self.delays if is_outcome(name) else ((1.0, 0.0),)
        if name.startswith(("wrong", "bad@")) and self.delays_of_wrong is not None:
            delays = self.delays_of_wrong
        scatter, seed = self.scattered(kind, version), f"{self.seed}/{version}/{name}"
        if len(delays) == 1:
            return Drawn(Arrivals(seed), self.visits, scatter, *delays[0])
        parts = [
            Drawn(Arrivals(f"{seed}/{place}"), self.visits, scatter, *one)
            for place, one in enumerate(delays)
        ]
        return Delayed(parts)


def is_outcome(name: str) -> bool:
    """Return whether an event is about labels, which arrive later."""
    return name in ("correct", "wrong") or "@" in name or name.startswith(("correct^", "wrong^"))


@dataclass(slots=True)
class Drawn:
    """A random counter: its expected count grows with the requests, and with their scatter.

    Attributes
    ----------
    share : of its events that it counts. delay : seconds until one is counted.
    plain, scattered : events a second, for each unit of the two profiles.
    """

    arrivals: Arrivals
    visits: Profile
    scatter: Profile
    share: float = 1.0
    delay: float = 0.0
    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    scattered: list[float] = field(default_factory=list)
    _kept: dict[float, int] = field(default_factory=dict)

    def set_rate(self, now: float, rate: float, scattered: float = 0.0) -> None:
        """Set the events a second from now on."""
        if self.plain and (self.plain[-1], self.scattered[-1]) == (rate, scattered):
            return
        value = self._expected(now)
        self.times.append(now)
        self.values.append(value)
        self.plain.append(rate)
        self.scattered.append(scattered)

    def at(self, time: float) -> float:
        """Return expected events until a time."""
        return self.share * self._expected(time - self.delay)

    def _expected(self, time: float) -> float:
        place = bisect_right(self.times, time) - 1
        if place < 0:
            return 0.0
        since, rate, scattered = self.times[place], self.plain[place], self.scattered[place]
        value = self.values[place]
        if rate:
            value += rate * (self.visits.integral(time) - self.visits.integral(since))
        if scattered:
            value += scattered * (self.scatter.integral(time) - self.scatter.integral(since))
        return value

    def total(self, time: float) -> int:
        """Return events until a time."""
        if time not in self._kept:
            if len(self._kept) > MAX_KEPT:
                self._kept.clear()
            self._kept[time] = self.arrivals.until(self.at(time))
        return self._kept[time]

    def count(self, begin: float, end: float) -> int:
        """Return events in (begin, end]."""
        return self.total(end) - self.total(begin)


@dataclass(slots=True)
class Sum:
    """A counter that is the sum of others."""

    parts: list[Drawn | Delayed] = field(default_factory=list)

    def at(self, time: float) -> float:
        """Return expected events until a time."""
        return sum(one.at(time) for one in self.parts)

    def total(self, time: float) -> int:
        """Return events until a time."""
        return sum(one.total(time) for one in self.parts)

    def count(self, begin: float, end: float) -> int:
        """Return events in (begin, end]."""
        return self.total(end) - self.total(begin)


@dataclass(slots=True)
class Delayed(Sum):
    """A random counter whose events are counted after several delays, each by a part."""

    def set_rate(self, now: float, rate: float, scattered: float = 0.0) -> None:
        """Set the events a second from now on."""
        for part in self.parts:
            part.set_rate(now, rate, scattered)


def parts_of(rates: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Return the random events by name: their rate, and their part of the scatter.

    `requests` and `answered` are sums of others, and so are outcomes by market.
    """
    requests, slow = rates.get("requests", 0.0), rates.get("slow", 0.0)
    parts = {
        "fast": (rates.get("answered", 0.0) - slow, -requests),
        "slow": (slow, 0.0),
        "failed": (rates.get("failed", 0.0), requests),
        "refused": (rates.get("refused", 0.0), 0.0),
    }
    by_market = any("@" in name for name in rates)
    for name, rate in rates.items():
        if ">" in name or "^" in name:
            parts[name] = (rate, 0.0)
        elif "@" in name:
            outcome, _, market = name.partition("@")
            labelled = rates[f"good@{market}"] + rates[f"bad@{market}"]
            parts[name] = (rate, labelled if outcome == "bad" else -labelled)
        elif name in ("correct", "wrong") and not by_market:
            labelled = rates.get("correct", 0.0) + rates.get("wrong", 0.0)
            parts[name] = (rate, labelled if name == "wrong" else -labelled)
    return parts


SUMS: Final[dict[str, Callable[[str], bool]]] = {
    "answered": lambda name: name in ("fast", "slow"),
    "requests": lambda name: name in ("fast", "slow", "failed", "refused"),
    "correct": lambda name: name.startswith("good@"),
    "wrong": lambda name: name.startswith("bad@"),
}
"""Events that are the sum of others, with a test for their parts."""


def whole(value: float) -> int:
    """Return whole events of a straight line, despite rounding errors of a millionth."""
    return floor(value + 1e-6)
