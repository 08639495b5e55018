"""Kinds of steps that last: absences, gateways that go, what Prometheus loses, trainings that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.prometheus_stand_in import Lie
from sluicegate.api import names
from tests.support.lives.products import BLOCK
from tests.support.lives.steps import kind, with_choice

if TYPE_CHECKING:
    from tests.support.lives.life import Living

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400


OF_ALL: Final = frozenset(
    {
        "absence", "no_prometheus", "wrong_clock", "lose_samples", "short_retention", "long_quota",
        "days",
    }
)  # fmt: skip
"""Kinds of steps that happen to all products."""


@kind(
    3,
    lambda dice, _: (dice.choice((10, 5 * MINUTE, HOUR, 5 * HOUR, DAY + HOUR, 4 * DAY)),),
    wide=True,
)
def absence(life: Living, seconds: int) -> None:
    """Let no replica of the operator run for a while."""
    life.leave(seconds)


@kind(2, lambda dice, _: (dice.choice((HOUR, 5 * HOUR, DAY)),), wide=True)
def no_prometheus(life: Living, seconds: int) -> None:
    """Let Prometheus be away for hours."""
    life.distort_metrics(Lie.REFUSED, seconds)


@kind(
    1,
    lambda dice, _: (dice.choice((-DAY, -5 * HOUR, 5 * HOUR, DAY)), dice.choice((300, HOUR))),
    wide=True,
)
def wrong_clock(life: Living, skew: int, seconds: int) -> None:
    """Let the wall clocks of all replicas be wrong by hours for a while."""
    life.skew(skew)
    life.later(seconds, lambda: life.skew(-skew))


@kind(1, lambda *_: (), wide=True)
def clocks_ahead(life: Living) -> None:
    """Let the wall clocks of all replicas be ahead by hours from now on."""
    life.skew(3 * HOUR)


@kind(
    2,
    lambda dice, _: (dice.choice(("web", "internal")), dice.choice((MINUTE, HOUR, 6 * HOUR))),
    wide=True,
)
def gateway_goes(life: Living, name: str, seconds: int) -> None:
    """Delete a Gateway, and create it again after a while."""
    life.world.cluster.remove_gateway(name)
    life.later(seconds, lambda: life.world.cluster.add_gateway(name))


@kind(
    2,
    lambda dice, _: (dice.choice(("web", "internal")), dice.choice((MINUTE, HOUR, 6 * HOUR))),
    wide=True,
)
def gateway_objects(life: Living, name: str, seconds: int) -> None:
    """Let one Gateway of two accept no route for a while."""
    life.world.cluster.refuse_routes_of(name)
    life.later(seconds, life.world.cluster.refuse_routes_of)


@kind(2, lambda dice, _: (dice.choice((45, 600, 2 * HOUR)), dice.choice((0, 600, DAY))), wide=True)
def lose_samples(life: Living, seconds: int, age: int) -> None:
    """Let Prometheus have no sample of a span of time that ended so many seconds ago."""
    end = life.world.loop.wall() - age
    life.world.prometheus.lost.append((end - seconds, end))


@kind(1, lambda dice, _: (dice.choice((HOUR, 6 * HOUR, 2 * DAY)),), wide=True)
def short_retention(life: Living, seconds: int) -> None:
    """Let Prometheus keep samples for hours only, from now on."""
    life.world.prometheus.retention = float(seconds)


@kind(2, with_choice(600, 3 * HOUR), wide=True)
def poison(life: Living, product: int, seconds: int) -> None:
    """Let the series of a product spoil each query that selects them, for a while."""
    life.poison(product, seconds)


@kind(1, lambda dice, _: (dice.choice((1, 2, 4)), dice.choice((4 * HOUR, DAY))), wide=True)
def long_quota(life: Living, pods: int, seconds: int) -> None:
    """Let each namespace have few pods for hours."""
    for namespace in life.namespaces():
        life.world.cluster.workloads.quota[namespace] = pods
    life.later(seconds, life.lift_quota)


@kind(
    2, lambda dice, products: (dice.randrange(products), dice.choice((1, 90, 700, 5000))), wide=True
)
def restore_with_requests(life: Living, product: int, seconds: int) -> None:
    """Delete a product, and apply its manifest again after a while, with requests in its annotations."""
    asked = {names.REQUEST_RETRAIN: "in-git", names.REQUEST_ABORT: "in-git"}
    life.recreate(product, seconds=seconds, annotations=asked)


@kind(2, with_choice("latency", "accuracy", "availability", "clicks"), wide=True)
def rename_slo(life: Living, product: int, name: str) -> None:
    """Give an SLO another name, and nothing else."""
    slos: list[dict[str, Any]] = life.spec(product).get("slos") or []
    renamed = [slo | {"name": f"{name}-b"} if slo["name"] == name else slo for slo in slos]
    evaluation = {name: None, f"{name}-b": None}
    life.edit(product, slos=renamed, model={"evaluation": evaluation})


@kind(2, with_choice("fails", "elsewhere", "reused", "worse", "slow", "pairs", "good"), wide=True)
def trainings(life: Living, product: int, how: str) -> None:
    """Let trainings go otherwise from now on."""
    life.trainings[life.keys[product]] = how


@kind(1, lambda dice, _: (dice.choice((DAY, 2 * DAY)),), wide=True)
def days(life: Living, seconds: int) -> None:
    """Let nothing happen for days."""
    life.rests = seconds - seconds % BLOCK
