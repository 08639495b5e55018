"""A stand-in's rows and faults by what the matchers of a query select, as Prometheus would."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.prometheus_stand_in import Lie
from benchmarks.virtual.selectors import all_match, names_backend, parse_matchers
from sluicegate.prometheus.targets import ProductKey
from sluicegate.slo.gateway import backend_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.prometheus_stand_in import PrometheusStandIn, Row
    from tests.support.prometheus.measured_world import World


@dataclass
class Selecting:
    """A stand-in's rows, of the products that the query's matchers select; `served` counts them."""

    world: World
    server: PrometheusStandIn = field(init=False)
    served: Counter[tuple[str, ProductKey]] = field(default_factory=Counter)

    def __call__(self, kind: str, indexes: range, step: int) -> Iterator[Row]:
        query = self.server.forms[-1]["query"]
        matchers = parse_matchers(query)
        for row in self.world(kind, indexes, step):
            labels = row["metric"]
            if kind == "gateway":
                if names_backend(query, labels["sluicegate_backend"]):
                    yield row
            elif all_match(matchers, labels):
                self.served[kind, ProductKey(labels["namespace"], labels["product"])] += 1
                yield row


@dataclass
class Poison:
    """Pods whose series no query may select: those that do are refused, or answered uselessly.

    `kinds` are the queries that it spoils, by product; `blocks` says when, in seconds.
    """

    kinds: dict[ProductKey, set[str]]
    lie: Lie = Lie.REJECTED_422
    blocks: range = range(2**40)

    def __call__(self, kind: str, form: dict[str, str]) -> Lie | None:
        matchers = parse_matchers(form["query"])
        first, last = (int(float(form[edge])) for edge in ("start", "end"))
        during = first < self.blocks.stop and last >= self.blocks.start
        spoiled = (
            kind in kinds
            and (
                names_backend(form["query"], backend_of(key.namespace, f"{key.product}-0123456789"))
                if kind == "gateway"
                else all_match(matchers, key._asdict())
            )
            for key, kinds in self.kinds.items()
        )
        return self.lie if during and any(spoiled) else None
