"""Worlds in which the truth is given: how the traffic and the labels of a product vary, and absences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from benchmarks.prometheus_stand_in import Lie
from benchmarks.virtual.variation import DAY, HOUR, Noise, Scatter, Variation, Volume

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from benchmarks.virtual.operator import World

LEASES: Final = {
    "lease_duration_seconds": 3600.0, "lease_renew_seconds": 2400.0, "lease_retry_seconds": 600.0,
}  # fmt: skip
"""Renewals are most of what happens in an idle day. No second replica waits for them here."""
SHORT_LEASES: Final = {
    "lease_duration_seconds": 120.0, "lease_renew_seconds": 100.0, "lease_retry_seconds": 60.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Absence:
    """A time in which something isn't there.

    Attributes
    ----------
    kind : "operator", "prometheus" (no answer) or "scrapes" (no samples).
    at : seconds since the life began. seconds : how long.
    """

    kind: str
    at: float
    seconds: float

    def __str__(self) -> str:
        """As a line that a person reads, and that builds it again."""
        return f"Absence({self.kind!r}, {self.at:.0f}, {self.seconds:.0f})"


@dataclass(frozen=True, slots=True)
class Sky:
    """How the traffic and the labels of a life vary; see `Variation`."""

    swing: float = 0.0
    weekend: float = 1.0
    traffic: tuple[tuple[float, float], ...] = ()
    silent: tuple[tuple[float, float], ...] = ()
    bursts: tuple[tuple[float, float, float], ...] = ()
    noise: tuple[tuple[float, float], ...] = ()
    own: tuple[tuple[float, float], ...] = ()
    daily: float = 0.0
    known: float = 0.5
    delays: tuple[tuple[float, float], ...] = ((1.0, 0.0),)
    delays_of_wrong: tuple[tuple[float, float], ...] | None = None

    def variation(self, seed: str, least_wrong: float) -> Variation:
        """The same for the virtual world; no share is further than 0.8 of the least from its truth."""
        most = 0.8 * least_wrong
        wrong = Scatter(Noise(self.noise), Noise(self.own), self.daily, most)
        volume = Volume(self.swing, self.weekend, Noise(self.traffic), self.silent, self.bursts)
        return Variation(
            seed,
            volume=volume,
            wrong=wrong,
            labelled=self.known,
            delays=self.delays,
            delays_of_wrong=self.delays_of_wrong,
        )

    @property
    def latest(self) -> float:
        """Seconds after which all labels of a prediction are there."""
        return max(seconds for _, seconds in (*self.delays, *(self.delays_of_wrong or ())))

    def simpler(self) -> Iterator[Sky]:
        """With each part as plain as it can be."""
        plain = Sky()
        for name in self.__slots__:
            if name != "known" and getattr(self, name) != getattr(plain, name):
                yield replace(self, **{name: getattr(plain, name)})


def draw_sky(dice: random.Random, days: float, *, noisy: bool, max_delay: float) -> Sky:
    """Any of a life of so many days; `noisy` lets shares of errors scatter more than by chance."""
    scale = dice.choice((0.0, 0.2, 0.5))
    sigma = dice.choice((0.0, 0.0, 0.004, 0.01)) if noisy else 0.0
    silent = [
        (begin, begin + dice.choice((600.0, HOUR, 8 * HOUR)))
        for begin in (dice.uniform(0, days * DAY) for _ in range(dice.choice((0, 0, 1, 2))))
    ]
    bursts = [
        (begin, begin + dice.choice((600.0, HOUR, 4 * HOUR)), dice.choice((3.0, 10.0)))
        for begin in (dice.uniform(0, days * DAY) for _ in range(dice.choice((0, 0, 1, 3))))
    ]
    late = [one for one in (0.0, 0.0, 900.0, HOUR, 6 * HOUR, DAY) if one <= max_delay]
    first, second = sorted((dice.choice(late), dice.choice(late)))
    own = sigma if dice.random() < 0.5 else 0.0
    unequal = dice.random() < 0.3
    return Sky(
        swing=dice.choice((0.0, 0.3, 0.8)),
        weekend=dice.choice((1.0, 1.0, 0.3)),
        traffic=((300.0, scale / 2), (HOUR, scale), (DAY, scale / 2)),
        silent=tuple(silent),
        bursts=tuple(bursts),
        noise=((300.0, sigma), (HOUR, sigma), (DAY, sigma / 2)) if sigma else (),
        own=((300.0, own),) if own else (),
        known=dice.choice((0.2, 0.5, 1.0)),
        delays=((0.5, first), (0.5, second)),
        delays_of_wrong=((1.0, dice.choice(late)),) if unequal else None,
    )


def draw_absences(dice: random.Random, until: float, longest: float) -> tuple[Absence, ...]:
    """None, or some, from seconds to days."""
    lengths = [one for one in (20.0, 120.0, 900.0, 2 * HOUR, 12 * HOUR, 2 * DAY) if one <= longest]
    found = [
        Absence(
            dice.choice(("operator", "operator", "prometheus", "scrapes")),
            round(dice.uniform(0, until)),
            dice.choice(lengths),
        )
        for _ in range(dice.choice((0, 0, 1, 1, 2, 3)))
    ]
    return tuple(sorted(found, key=lambda one: one.at))


class Absences:
    """Lets what is absent be absent; `away` says what is at the moment."""

    def __init__(self, world: World, leases: dict[str, float]) -> None:
        self.world = world
        self._leases = leases
        self._away: dict[str, int] = {"operator": 0, "prometheus": 0, "scrapes": 0}

    def plan(self, absences: tuple[Absence, ...]) -> None:
        """Schedule them all, from now on."""
        loop = self.world.loop
        for absence in absences:
            loop.call_later(absence.at, self._begin, absence)
            loop.call_later(absence.at + absence.seconds, self._end, absence)

    def is_away(self, kind: str) -> bool:
        """Whether something is absent now."""
        return self._away[kind] > 0

    def start(self) -> None:
        """Start a replica."""
        self.world.start(**self._leases)

    def _begin(self, one: Absence) -> None:
        self._away[one.kind] += 1
        if one.kind == "operator":
            for replica in self.world.replicas:
                if not replica.is_gone:
                    replica.operator.stop.set()  # a rollout of its Deployment that doesn't end
        elif one.kind == "prometheus":
            self.world.prometheus.lies[""] = Lie.REFUSED
        else:
            now = self.world.loop.wall()
            self.world.prometheus.lost.append((now, now + one.seconds))

    def _end(self, one: Absence) -> None:
        self._away[one.kind] -= 1
        if self._away[one.kind]:
            return
        if one.kind == "operator":
            self.start()
        elif one.kind == "prometheus":
            self.world.prometheus.lies.clear()
