"""The measurements of one product, in the form that decisions and verification need."""

from dataclasses import dataclass
from typing import Final

from sluicegate.api.markets import OTHER_MARKET
from sluicegate.api.names import DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.api.slos import MARKET_INDICATORS
from sluicegate.api.versions import VersionBase
from sluicegate.kube.resources import Key
from sluicegate.measurement.canary_blocks import Arms, Requests, arm_of, count_requests
from sluicegate.measurement.store import Measurements, series_of
from sluicegate.policy.model.inputs import Measured, is_compared, read_measurements
from sluicegate.policy.model.observed import CanaryBlock
from sluicegate.prometheus.targets import (
    REQUESTS,
    ProductKey,
    SeriesKey,
    Target,
    TargetFacts,
    VersionKey,
)
from sluicegate.slo.blocks import Quality, Series
from sluicegate.slo.by_market import market_series
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.slo.indicators import INDICATORS
from sluicegate.slo.means import Means
from sluicegate.slo.queries import QueryKind

GATEWAY_LAG: Final = 3
"""Seconds by which a gateway's data plane may follow its status."""


@dataclass(frozen=True, slots=True)
class ProductBlocks:
    """The measurements of one product.

    Attributes
    ----------
    route_changed : time of the last write of its route, in seconds; 0 if unknown.
    """

    measurements: Measurements
    product: DataProduct
    route_changed: int = 0

    @property
    def block_seconds(self) -> int:
        """Return the length of a block."""
        return self.product.spec.analysis.block_seconds

    @property
    def canary_seconds(self) -> int:
        """Return the length of a canary block."""
        return self.measurements.timing.canary_block(self.block_seconds)

    @property
    def newest(self) -> int:
        """Index of the newest block that was queried."""
        return self.measurements.newest(self.block_seconds)

    def measured(self, now: float) -> Measured:
        """Return all measurements for a decision at `now`, in seconds."""
        return read_measurements(self.product.spec, self.product.status, self, now)

    def outage(self) -> DecisionReason | None:
        """Return why the newest block of the whole product is missing; None if it is present."""
        stable = self.product.status.stable
        facts = None if stable is None else self.facts(stable)
        if facts is not None and facts.stale:
            return DecisionReason.PROMETHEUS_STALE
        # At a start the past is read before the newest block.
        if not (self.newest and self.measurements.is_filled(Key(*self.product.metadata.key))):
            return DecisionReason.BACKFILLING
        return None

    def outage_words(self) -> str:
        """Return why counts of the newest block couldn't be read, with the address; empty if they could."""
        problem = self.measurements.problem(self.block_seconds)
        return problem.removeprefix(f"{QueryKind.TARGETS}: ")  # the query that is sent first

    def lost(self) -> dict[str, DecisionReason]:
        """Return why single SLOs have no newest block: queries that they need have no answer."""
        failed_kinds = self.measurements.failed(self.block_seconds)
        key = Key(*self.product.metadata.key)
        unreadable_kinds = self.measurements.unreadable(key, self.block_seconds).keys()
        if not failed_kinds and not unreadable_kinds:
            return {}
        reasons = {}
        for slo in self.product.spec.slos:
            required_kinds = INDICATORS[slo.indicator.kind].queries | {QueryKind.TARGETS}
            if required_kinds & failed_kinds:
                reasons[slo.name] = DecisionReason.PROMETHEUS_UNAVAILABLE
            elif required_kinds & unreadable_kinds:
                reasons[slo.name] = DecisionReason.UNREADABLE_SERIES
        return reasons

    def facts(self, version: VersionBase) -> TargetFacts | None:
        """Return the other facts of a version."""
        key = VersionKey(*self.product.metadata.key, series_of(version))
        return self.measurements.blocks.facts(key, self.block_seconds)

    def canary_facts(self, version: VersionBase) -> TargetFacts | None:
        """Return the other facts of a version by canary blocks, which complete earlier than blocks."""
        key = VersionKey(*self.product.metadata.key, series_of(version))
        return self.measurements.canaries.facts(key)

    def name(self, version: VersionBase) -> str:
        """Return the name of a version in its series."""
        return series_of(version)

    def series(self, version: VersionBase, name: str) -> Series:
        """Return the blocks of one series of a version."""
        return self.measurements.blocks.series(self._key(version, name), self.block_seconds)

    def means(self, version: VersionBase, slo: str) -> Means:
        """Return the block means of a gauge of a version."""
        return self.measurements.blocks.means(self._key(version, slo), self.block_seconds)

    def canary_blocks(self) -> tuple[CanaryBlock, ...]:
        """Return the blocks of both arms, from an hour before the rollout; none without a candidate."""
        arms = self.arms()
        return () if arms is None else arms.blocks()

    def is_silent(self) -> bool:
        """Return whether the stable version had requests, and none in its newest block."""
        stable = self.product.status.stable
        if stable is None:
            return False
        target = self.measurements.targets.get(Key(*self.product.metadata.key))
        series = self.series(stable, REQUESTS if target is None else target.requests)
        newest = series.block(series.newest)
        return newest.quality is Quality.COUNTED and not newest.count.total and series.had_events

    def requests(self) -> Requests:
        """Return the requests of both versions in the canary blocks that began after the last change."""
        arms, changed_at = self.arms(), self._changed()
        if arms is None or changed_at is None:
            return Requests()
        return arms.count_since(changed_at)

    def sent(self) -> Requests | None:
        """Return the requests that the gateway sent to both versions in these blocks.

        None without its counts.
        """
        arms, changed_at = self.arms(), self._changed()
        if arms is None or changed_at is None or not self.measurements.canaries.has_gateway_counts:
            return None
        block_indexes = arms.since(changed_at, arms.stable).indexes()
        requests = count_requests(
            (arms.sent(arms.stable, index) for index in block_indexes),
            (arms.sent(arms.candidate, index) for index in block_indexes),
        )
        return requests if requests.stable or requests.candidate else None

    def _gauges(self) -> list[str]:
        return [slo.name for slo in self.product.spec.slos if slo.indicator.gauge is not None]

    def _counted(self) -> list[str]:
        return [slo.name for slo in self.product.spec.slos if slo.indicator.gauge is None]

    def _by_market(self) -> list[str]:
        """Return the names of the series by market."""
        spec = self.product.spec
        return [
            market_series(slo.name, market)
            for slo in spec.slos
            if spec.serving.market is not None and slo.indicator.kind in MARKET_INDICATORS
            for market in (*spec.markets, OTHER_MARKET)
        ]

    def _comparison_series(self) -> tuple[str, ...]:
        """Return the names of the series that are counted beside the SLOs while versions are compared."""
        return (CLIENT_ERRORS,) if is_compared(self.product.status) else ()

    def _key(self, version: VersionBase, slo: str) -> SeriesKey:
        return SeriesKey(*self.product.metadata.key, series_of(version), slo)

    def arms(self) -> Arms | None:
        """Return both arms of the canary; None without a candidate, or before a version serves."""
        candidate, stable = self.product.status.candidate, self.product.status.stable
        if candidate is None or stable is None:
            return None
        target = self.measurements.targets.get(Key(*self.product.metadata.key))
        return Arms(
            canaries=self.measurements.canaries,
            product=ProductKey(*self.product.metadata.key),
            stable=arm_of(self.product, stable),
            candidate=arm_of(self.product, candidate),
            counted=(*self._counted(), *self._by_market(), *self._comparison_series()),
            gauges=tuple(self._gauges()),
            requests=_requests(target),
            seconds=self.canary_seconds,
            begins=candidate.start_time // self.canary_seconds,
        )

    def _changed(self) -> float | None:
        """Return the time from which the last change of share and traffic is effective; None without one."""
        candidate, traffic = self.product.status.candidate, self.product.status.traffic
        if candidate is None or not candidate.shares:
            return None
        change_time = candidate.shares[-1].start_time
        if traffic is not None:
            change_time = max(change_time, traffic.write_time)
        return max(change_time, self.route_changed) + GATEWAY_LAG


def _requests(target: Target | None) -> str:
    """Return the series of all requests: that of client errors includes those to unknown paths."""
    if target is None:
        return REQUESTS
    return CLIENT_ERRORS if target.client_errors else target.requests
