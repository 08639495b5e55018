"""Simulated measurements of N products: fake pods serve no metrics, so the harness generates them.

Counts follow the weights that the gateway accepted, and a product can be degraded. The stand-in
implements Prometheus' HTTP API and counts its queries.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from benchmarks.kube import Key

REQUESTS_PER_SECOND = 20_000.0
LABELS_PER_SECOND = 10_000.0
SEEN_PER_SECOND = 10_000.0
SLOW = 0.002
WRONG, WRONG_WHEN_DEGRADED = 0.10, 0.30
CLICKED = 0.03
SCRAPE_SECONDS = 1
SERVICE = "Bench"
_NAMED = re.compile(r'product=~?"([^"]+)"')
Row = dict[str, object]
Labels = dict[str, str]


@dataclass(slots=True)
class Traffic:
    """Shares of one product's traffic by version, over time; none before the first entry."""

    times: list[float] = field(default_factory=list)
    shares: list[dict[str, float]] = field(default_factory=list)
    degraded_at: float = float("inf")

    def split(self, at: float, shares: dict[str, float]) -> None:
        """Set these shares from `at` on."""
        if not self.shares or self.shares[-1] != shares:
            self.times.append(at)
            self.shares.append(shares)

    def at(self, moment: float) -> Mapping[str, float]:
        """Return the shares at a time."""
        place = bisect_right(self.times, moment)
        return self.shares[place - 1] if place else {}

    def versions(self) -> set[str]:
        """Return the versions that ever had traffic."""
        return {version for shares in self.shares for version in shares}


@dataclass
class Measurements:
    """The traffic of all products; `rows` has the interface of `benchmarks.prometheus_stand_in`.

    `serving` has those that were ready: before that there are no answers, even if there is a route.
    """

    serving: Container[Key]
    products: dict[Key, Traffic] = field(default_factory=dict)

    def split(self, key: Key, shares: dict[str, float]) -> None:
        """Set the shares of a product's traffic from now on."""
        self.products.setdefault(key, Traffic()).split(time.time(), shares)

    def degrade(self, keys: Iterable[Key]) -> float:
        """Make predictions of these products worse from now on; return the time."""
        now = time.time()
        for key in keys:
            self.products[key].degraded_at = now
        return now

    def rows(self, kind: str, indexes: range, step: int, *, query: str) -> Iterator[Row]:
        """Yield the answer to a query: rows of a matrix, of the products that `query` names."""
        make, named = _KINDS.get(kind), named_products(query)
        if make is None:
            return
        for (namespace, name), traffic in self.products.items():
            if (named and name not in named) or (namespace, name) not in self.serving:
                continue
            for version in traffic.versions():
                live_version = _Version(namespace, name, version, traffic)
                for labels, rate in make(live_version):
                    yield {"metric": labels, "values": live_version.values(indexes, step, rate)}


def named_products(query: str) -> frozenset[str]:
    """Return the products that a query's matchers name; none if it reads all."""
    match_ = _NAMED.search(query)
    return frozenset(match_[1].replace("\\\\", "").split("|")) if match_ else frozenset()


@dataclass(frozen=True, slots=True)
class Rate:
    """A value per second; `degraded` from the degradation on.

    `counted`: multiplied by a block's seconds; `split`: multiplied by the version's share.
    """

    well: float
    degraded: float
    counted: bool = True
    split: bool = True

    def of(self, step: int, share: float, *, degraded: bool) -> str:
        """Return the value of a block as a whole number, written as by Prometheus."""
        value = self.degraded if degraded else self.well
        return f"{value * (step if self.counted else 1) * (share if self.split else 1):.0f}"


@dataclass(frozen=True, slots=True)
class _Version:
    namespace: str
    name: str
    version: str
    traffic: Traffic

    @property
    def labels(self) -> Labels:
        return {"namespace": self.namespace, "product": self.name, "version": self.version}

    @property
    def predicted(self) -> Labels:
        return {
            "namespace": self.namespace, "product": self.name, "prediction_version": self.version
        }  # fmt: skip

    def values(self, indexes: range, step: int, rate: Rate) -> list[list[object]]:
        """Return time and text for each block in which the version had pods."""
        values: list[list[object]] = []
        for index in indexes:
            end = index * step
            # A block that began before the split counts for neither version.
            share = self.traffic.at(end - step).get(self.version)
            if share is None:
                continue
            degraded = end - step >= self.traffic.degraded_at
            values.append([end, rate.of(step, share, degraded=degraded)])
        return values


def _all(value: float) -> Rate:
    return Rate(value, value)


def _fixed(value: float) -> Rate:
    return Rate(value, value, counted=False, split=False)


def _requests(version: _Version) -> Iterator[tuple[Labels, Rate]]:
    yield {**version.labels, "runner_name": SERVICE}, _all(REQUESTS_PER_SECOND)


def _latency(version: _Version) -> Iterator[tuple[Labels, Rate]]:
    labels = {**version.labels, "runner_name": SERVICE}
    yield {**labels, "le": "0.25"}, _all(REQUESTS_PER_SECOND * (1 - SLOW))
    yield {**labels, "le": "+Inf"}, _all(REQUESTS_PER_SECOND)


def _labelled(version: _Version) -> Iterator[tuple[Labels, Rate]]:
    for outcome, well, degraded in (
        ("wrong", WRONG, WRONG_WHEN_DEGRADED),
        ("correct", 1 - WRONG, 1 - WRONG_WHEN_DEGRADED),
    ):
        rate = Rate(LABELS_PER_SECOND * well, LABELS_PER_SECOND * degraded)
        yield {**version.predicted, "outcome": outcome}, rate


def _counters(version: _Version) -> Iterator[tuple[Labels, Rate]]:
    rates = {"clicked_total": SEEN_PER_SECOND * CLICKED, "served_total": SEEN_PER_SECOND}
    for name, rate in rates.items():
        labels = {"sluicegate_counter": name, "sluicegate_lag": "0"}
        yield {**version.labels, "prediction_version": "", **labels}, _all(rate)


def _targets(version: _Version) -> Iterator[tuple[Labels, Rate]]:
    scrapes = 1 / SCRAPE_SECONDS
    for fact in ("up", "scrapes", "longest"):
        # Each version has one pod, whatever its share.
        yield {**version.labels, "sluicegate_fact": fact}, Rate(scrapes, scrapes, split=False)
    yield {**version.labels, "sluicegate_fact": "age"}, _fixed(SCRAPE_SECONDS)


def _share_of_limit(version: _Version) -> Iterator[tuple[Labels, Rate]]:
    yield version.labels, _fixed(0.0)


_KINDS = {
    "requests": _requests,
    "latency": _latency,
    "labelled": _labelled,
    "counters": _counters,
    "targets": _targets,
    "cpu": _share_of_limit,
    "memory": _share_of_limit,
}
