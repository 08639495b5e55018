"""What was measured of one product, in the shapes that decisions and verification want."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from sluicegate.api.names import DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.api.versions import VersionBase
from sluicegate.kube.resources import Key
from sluicegate.measurement.canary_blocks import Arms, Requests, arm_of, count_requests
from sluicegate.measurement.store import Measurements, series_of
from sluicegate.policy.model.observed import CanaryBlock
from sluicegate.prometheus.block_assembly import ASKED
from sluicegate.prometheus.targets import (
    REQUESTS,
    ProductKey,
    SeriesKey,
    Target,
    TargetFacts,
    VersionKey,
)
from sluicegate.slo.blocks import Series
from sluicegate.slo.by_market import indicator_label, market_series
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.slo.means import Means
from sluicegate.slo.pod_seconds import POD_SECONDS
from sluicegate.slo.queries import QueryKind

T = TypeVar("T")

GATEWAY_LAG: Final = 3
"""Seconds by which a gateway's data plane may follow its status."""


@dataclass(frozen=True, slots=True)
class ProductBlocks:
    """The measurements of one product.

    Attributes
    ----------
    route_changed : when its route was last written, in seconds; 0 where that isn't known.
    """

    measurements: Measurements
    product: DataProduct
    route_changed: int = 0

    @property
    def block_seconds(self) -> int:
        """Length of a block."""
        return self.product.spec.analysis.block_seconds

    @property
    def canary_seconds(self) -> int:
        """Length of a canary block."""
        return self.measurements.timing.canary_block(self.block_seconds)

    @property
    def newest(self) -> int:
        """Index of the newest block that was asked for."""
        return self.measurements.newest(self.block_seconds)

    def problem(self) -> DecisionReason | None:
        """Why nothing can be said of the newest block; None when something can."""
        if not self.product.spec.slos:
            return None
        lost = self.problems()
        if len(lost) == len(self.product.spec.slos):
            unavailable = DecisionReason.PROMETHEUS_UNAVAILABLE
            return unavailable if unavailable in lost.values() else next(iter(lost.values()))
        stable = self.product.status.stable
        facts = None if stable is None else self.facts(stable)
        if facts is not None and facts.stale:
            return DecisionReason.PROMETHEUS_STALE
        # At a start pasts are read before the newest block is.
        if not (self.newest and self.measurements.is_filled(Key(*self.product.metadata.key))):
            return DecisionReason.BACKFILLING
        return None

    def problems(self) -> dict[str, DecisionReason]:
        """Why single SLOs have no newest block: queries that they need aren't answered."""
        failed = self.measurements.failed(self.block_seconds)
        key = Key(*self.product.metadata.key)
        unreadable = self.measurements.unreadable(key, self.block_seconds).keys()
        if not failed and not unreadable:
            return {}
        found = {}
        for slo in self.product.spec.slos:
            asked = ASKED[slo.indicator.kind] | {QueryKind.TARGETS}
            if asked & failed:
                found[slo.name] = DecisionReason.PROMETHEUS_UNAVAILABLE
            elif asked & unreadable:
                found[slo.name] = DecisionReason.UNREADABLE_SERIES
        return found

    def facts(self, version: VersionBase) -> TargetFacts | None:
        """What else is known of a version."""
        key = VersionKey(*self.product.metadata.key, series_of(version))
        return self.measurements.blocks.facts(key, self.block_seconds)

    def canary_facts(self, version: VersionBase) -> TargetFacts | None:
        """The same by canary blocks: a candidate may be judged before a block is over."""
        key = VersionKey(*self.product.metadata.key, series_of(version))
        return self.measurements.canaries.facts(key)

    def series(self) -> dict[str, dict[str, Series]]:
        """Blocks by version and SLO: of the stable version by its name, of others by their identity."""
        names = (*self._counted(), *self._compared())
        return {
            **dict(self._of_others(*self._counted())),
            **self._of_stable(self.measurements.blocks.series, *names),
        }

    def pod_seconds(self) -> Series | None:
        """Seconds for which pods of the stable version answered, by block; None if uncounted."""
        target = self._target()
        if target is None or not target.counts_pods:
            return None
        found = self._of_stable(self.measurements.blocks.series, POD_SECONDS)
        return next((kept[POD_SECONDS] for kept in found.values()), None)

    def gauges(self) -> dict[str, dict[str, Means]]:
        """Block means of the stable version's gauges, by version and SLO."""
        return self._of_stable(self.measurements.blocks.means, *self._gauges())

    def markets(self) -> dict[str, dict[str, Series]]:
        """Blocks of the stable version, by SLO and market; of those with any event."""
        target, stable = self._target(), self.product.status.stable
        found: dict[str, dict[str, Series]] = {}
        if target is None or stable is None or not target.markets:
            return found
        for slo in self.product.spec.slos:
            if indicator_label(slo.name, slo.indicator):
                for market in target.markets:
                    key = self._key(stable, market_series(slo.name, market))
                    series = self.measurements.blocks.series(key, self.block_seconds)
                    if series.had_events:
                        found.setdefault(slo.name, {})[market] = series
        return found

    def canary_blocks(self) -> tuple[CanaryBlock, ...]:
        """Blocks of both arms, from an hour before the rollout on; none without a candidate."""
        arms = self._arms()
        return () if arms is None else arms.blocks()

    def requests(self) -> Requests:
        """Requests of both versions in the canary blocks that began after the last change."""
        arms, since = self._arms(), self._changed()
        if arms is None or since is None:
            return Requests()
        return count_requests(arms.since(since, arms.stable), arms.since(since, arms.candidate))

    def sent(self) -> Requests | None:
        """What the gateway sent to both versions in these blocks; None while it says nothing."""
        arms, since = self._arms(), self._changed()
        if arms is None or since is None or not self.measurements.canaries.heard_of_gateway:
            return None
        indexes = [block.index for block in arms.since(since, arms.stable)]
        counted = count_requests(
            (arms.sent(arms.stable, index) for index in indexes),
            (arms.sent(arms.candidate, index) for index in indexes),
        )
        return counted if counted.stable or counted.candidate else None

    def _of_stable(
        self, read: Callable[[SeriesKey, int], T], *names: str
    ) -> dict[str, dict[str, T]]:
        """What is kept of the stable version, by version and SLO; nothing before one serves."""
        stable = self.product.status.stable
        if stable is None:
            return {}
        found = {name: read(self._key(stable, name), self.block_seconds) for name in names}
        return {stable.version: found}

    def _of_others(self, *names: str) -> Iterator[tuple[str, dict[str, Series]]]:
        """What is kept of the candidate and of earlier versions; those without a request left out."""
        target, product = self._target(), ProductKey(*self.product.metadata.key)
        for version in () if target is None else target.versions[1:]:
            kept = {
                name: self.measurements.blocks.series(
                    SeriesKey(*product, version, name), self.block_seconds
                )
                for name in names
            }
            if any(one.had_events for one in kept.values()):
                yield version, kept

    def _gauges(self) -> list[str]:
        return [slo.name for slo in self.product.spec.slos if slo.indicator.gauge is not None]

    def _counted(self) -> list[str]:
        return [slo.name for slo in self.product.spec.slos if slo.indicator.gauge is None]

    def _compared(self) -> tuple[str, ...]:
        """What is counted beside the SLOs while versions are compared."""
        target = self._target()
        return (CLIENT_ERRORS,) if target is not None and target.client_errors else ()

    def _target(self) -> Target | None:
        return self.measurements.targets.get(Key(*self.product.metadata.key))

    def _key(self, version: VersionBase, slo: str) -> SeriesKey:
        return SeriesKey(*self.product.metadata.key, series_of(version), slo)

    def _arms(self) -> Arms | None:
        """Both arms of the canary; None without a candidate, or before a version serves."""
        candidate, stable = self.product.status.candidate, self.product.status.stable
        if candidate is None or stable is None:
            return None
        target = self.measurements.targets.get(Key(*self.product.metadata.key))
        return Arms(
            canaries=self.measurements.canaries,
            product=ProductKey(*self.product.metadata.key),
            stable=arm_of(self.product, stable),
            candidate=arm_of(self.product, candidate),
            counted=(*self._counted(), *self._compared()),
            gauges=tuple(self._gauges()),
            requests=_requests(target),
            seconds=self.canary_seconds,
            begins=candidate.start_time // self.canary_seconds,
        )

    def _changed(self) -> float | None:
        """When the last change of the share and of the traffic was in force; None without one."""
        candidate, traffic = self.product.status.candidate, self.product.status.traffic
        if candidate is None or not candidate.shares:
            return None
        changed = candidate.shares[-1].start_time
        if traffic is not None:
            changed = max(changed, traffic.write_time)
        return max(changed, self.route_changed) + GATEWAY_LAG


def _requests(target: Target | None) -> str:
    """The series of all requests: that of client errors includes those to unknown paths."""
    if target is None:
        return REQUESTS
    return CLIENT_ERRORS if target.client_errors else target.requests
