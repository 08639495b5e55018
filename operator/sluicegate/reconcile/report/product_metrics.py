"""Metrics of products: totals of all of them, and some by name.

Totals have no label that grows with the number of products. Series by name do, so they are
bounded: as many as a setting allows, by turns of the namespaces, the most pressing product of each
first. Its owner sets the priority, so the products of one namespace displace no others. Only the
leader exports them, computed at each scrape, so they end with their product.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import Gauge

from sluicegate.api.engine import ProductState
from sluicegate.api.product_info import Priority
from sluicegate.api.versions import CandidatePhase
from sluicegate.kube.resources import Key
from sluicegate.reconcile.report.product_sample import ProductFigures, RemedyState, RetrainingState

STATES: Final = (
    ProductState.UNKNOWN,
    ProductState.HEALTHY,
    ProductState.DEGRADING,
    ProductState.DEGRADED,
)
"""Their positions are the values of `sluicegate_product_state`."""

PRODUCTS = Gauge("sluicegate_products", "Products by state and priority.", ["state", "priority"])
READY = Gauge("sluicegate_products_ready", "Products whose Ready condition is True.")
STALLED = Gauge(
    "sluicegate_products_stalled", "Products that need a change by a person, by reason.", ["reason"]
)
CANDIDATES = Gauge("sluicegate_candidates", "Candidates by phase.", ["phase"])
OVERDUE = Gauge(
    "sluicegate_candidate_overdue_seconds",
    "Seconds by which the most overdue candidate has passed the deadline of its phase.",
)
RETRAININGS = Gauge("sluicegate_retrainings", "Products by state of their retraining.", ["state"])
DEGRADED = Gauge(
    "sluicegate_degraded_longest_seconds",
    "Seconds for which the longest degraded product has been degraded, by remedy.",
    ["remedy"],
)
UNEXPORTED = Gauge(
    "sluicegate_product_metrics_left_out",
    "Products without metrics by name, because of SLUICEGATE_PRODUCT_METRICS.",
)

_BY_PRODUCT: Final = ("namespace", "product")
STATE = Gauge(
    "sluicegate_product_state",
    "State of the product: 0 Unknown, 1 Healthy, 2 Degrading, 3 Degraded.",
    _BY_PRODUCT,
)
BUDGET = Gauge(
    "sluicegate_product_error_budget_remaining",
    "Share of an SLO's error budget that is left, of fourteen days (4,032 blocks) at most;"
    " negative when overspent.",
    (*_BY_PRODUCT, "slo"),
)
RATIO = Gauge(
    "sluicegate_product_slo_ratio",
    "Share of good events of an SLO in the window of the last evaluation.",
    (*_BY_PRODUCT, "slo"),
)
OBJECTIVE = Gauge(
    "sluicegate_product_slo_objective",
    "Objective of an SLO: the least share of good events.",
    (*_BY_PRODUCT, "slo"),
)
MARKET_MISSED = Gauge(
    "sluicegate_product_market_missed",
    "1 for each market that misses the SLO, where anything follows from it.",
    (*_BY_PRODUCT, "slo", "market"),
)
INFO = Gauge(
    "sluicegate_product_info",
    "1, with the owner, the priority and the stable version of the product.",
    (*_BY_PRODUCT, "owner", "priority", "version"),
)
NEEDS_ACTION = Gauge(
    "sluicegate_product_stalled",
    "1 for a product that needs a change by a person, by reason.",
    (*_BY_PRODUCT, "reason"),
)
VERSIONS = Gauge(
    "sluicegate_product_versions", "Versions with pods: stable, candidate.", _BY_PRODUCT
)
WEIGHT = Gauge(
    "sluicegate_product_canary_weight", "Share of the traffic of the candidate, in percent.",
    _BY_PRODUCT,
)  # fmt: skip
PROMOTED = Gauge(
    "sluicegate_product_promoted_timestamp_seconds",
    "Unix time at which the stable version was promoted.",
    _BY_PRODUCT,
)
_TOTALS: Final = (PRODUCTS, STALLED, CANDIDATES, RETRAININGS, DEGRADED)
_PRODUCT_METRICS: Final = (
    STATE, BUDGET, RATIO, OBJECTIVE, MARKET_MISSED, INFO, NEEDS_ACTION, VERSIONS, WEIGHT, PROMOTED,
)  # fmt: skip


class ProductMetrics:
    """The figures of all products of this operator. Not thread-safe: for the event loop only."""

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._figures: dict[Key, ProductFigures] = {}
        self._leading = False

    def record(self, key: Key, figures: ProductFigures) -> None:
        """Record the figures of a product."""
        self._figures[key] = figures

    def forget(self, key: Key) -> None:
        """Remove the metric series of a deleted product."""
        self._figures.pop(key, None)

    async def publish(self) -> None:
        """Export the metrics of products in a loop, while this replica is the leader."""
        self._leading = True
        try:
            await asyncio.Event().wait()
        finally:
            self._leading = False
            self._figures.clear()

    def export(self, now: float) -> None:
        """Compute the gauges; `now` in seconds since 1970."""
        for gauge in (*_TOTALS, *_PRODUCT_METRICS):
            gauge.clear()
        figures = self._figures if self._leading else {}
        exported = in_turns_by_namespace(figures, self._limit)
        UNEXPORTED.set(len(figures) - len(exported))
        READY.set(sum(product_figures.ready for product_figures in figures.values()))
        OVERDUE.set(
            max((product_figures.overdue(now) for product_figures in figures.values()), default=0.0)
        )
        if self._leading:
            _export_totals(figures.values(), now)
        _export_products({key: figures[key] for key in exported})


def in_turns_by_namespace(figures: Mapping[Key, ProductFigures], limit: int) -> list[Key]:
    """Return at most `limit` products in turns: the highest-ranked one of each namespace, then the second ones."""
    namespaces: dict[str, list[tuple[int, Key]]] = {}
    for key, product_figures in figures.items():
        namespaces.setdefault(key.namespace, []).append((product_figures.rank, key))
    ranked = (
        (namespace_turn, rank, key)
        for entries in namespaces.values()
        for namespace_turn, (rank, key) in enumerate(heapq.nsmallest(limit, entries))
    )
    return [key for _, _, key in heapq.nsmallest(limit, ranked)]


def _export_totals(figures: Iterable[ProductFigures], now: float) -> None:
    """Set the totals, zeros included: an absent series would be ambiguous."""
    figures = tuple(figures)
    states = Counter(
        (product_figures.state, product_figures.priority) for product_figures in figures
    )
    for state in STATES:
        for priority in Priority:
            PRODUCTS.labels(state, priority).set(states[state, priority])
    phases = Counter(product_figures.phase for product_figures in figures)
    for phase in CandidatePhase:
        CANDIDATES.labels(phase).set(phases[phase])
    trainings = Counter(product_figures.retraining for product_figures in figures)
    for training in RetrainingState:
        RETRAININGS.labels(training).set(trainings[training])
    for reason, count in Counter(
        product_figures.stalled for product_figures in figures if product_figures.stalled
    ).items():
        STALLED.labels(reason).set(count)
    for remedy in RemedyState:
        since = (
            product_figures.degraded_since
            for product_figures in figures
            if product_figures.remedy is remedy
        )
        longest_seconds = max((now - time for time in since if time is not None), default=0.0)
        DEGRADED.labels(remedy).set(max(longest_seconds, 0.0))


def _export_products(figures: Mapping[Key, ProductFigures]) -> None:
    for key, product_figures in figures.items():
        labels = (key.namespace, key.name)
        STATE.labels(*labels).set(STATES.index(product_figures.state))
        VERSIONS.labels(*labels).set(product_figures.versions)
        WEIGHT.labels(*labels).set(product_figures.weight)
        if product_figures.promotion_time is not None:
            PROMOTED.labels(*labels).set(product_figures.promotion_time)
        INFO.labels(
            *labels, product_figures.owner, product_figures.priority, product_figures.stable_version
        ).set(1)
        if product_figures.stalled:
            NEEDS_ACTION.labels(*labels, product_figures.stalled).set(1)
        for slo in product_figures.slos:
            for gauge, number in (
                (BUDGET, slo.budget),
                (RATIO, slo.ratio),
                (OBJECTIVE, slo.objective),
            ):
                if number is not None:
                    gauge.labels(*labels, slo.name).set(number)
            for market in slo.missed:
                MARKET_MISSED.labels(*labels, slo.name, market).set(1)
