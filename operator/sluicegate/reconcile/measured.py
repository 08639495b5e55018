"""What was measured of one product, in the shapes that decisions and verification want."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sluicegate.api.canary import CandidatePhase
from sluicegate.api.names import DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import Key
from sluicegate.manifests.names import version_name
from sluicegate.policy.observed import CanaryBlock
from sluicegate.prometheus.readings import REQUESTS, Facts, SeriesKey, VersionKey
from sluicegate.reconcile.gateways import GatewayState
from sluicegate.reconcile.layout import layout_of
from sluicegate.reconcile.measure import Measurements
from sluicegate.reconcile.records import RouteRecord
from sluicegate.reconcile.verification import (
    Requests,
    Split,
    count_requests,
    verify_acceptance,
    verify_share,
)
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.slo.gateway import backend_of

GATEWAY_LAG: Final = 3
"""Seconds by which a gateway's data plane may follow its status."""
_BLIND: Final = frozenset({Quality.UNAVAILABLE, Quality.LOW_COVERAGE, Quality.MISSING})


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of one product."""

    measurements: Measurements
    product: DataProduct

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
        if self.measurements.problem(self.block_seconds):
            return DecisionReason.PROMETHEUS_UNAVAILABLE
        stable = self.product.status.stable
        facts = None if stable is None else self.facts(stable.version)
        if facts is not None and facts.stale:
            return DecisionReason.PROMETHEUS_STALE
        if not self.measurements.is_filled(Key(*self.product.metadata.key)):
            return DecisionReason.BACKFILLING
        return None

    def facts(self, version: str) -> Facts | None:
        """What else is known of a version."""
        key = VersionKey(*self.product.metadata.key, version)
        return self.measurements.blocks.facts(key, self.block_seconds)

    def series(self) -> dict[str, dict[str, Series]]:
        """Blocks of the stable version, by version and SLO."""
        stable = self.product.status.stable
        if stable is None:
            return {}
        blocks = self.measurements.blocks
        return {
            stable.version: {
                name: blocks.series(self._key(stable.version, name), self.block_seconds)
                for name in self._counted()
            }
        }

    def gauges(self) -> dict[str, dict[str, dict[int, float]]]:
        """Block means of the stable version's gauges, by version, SLO and index."""
        stable = self.product.status.stable
        if stable is None:
            return {}
        blocks = self.measurements.blocks
        means = {
            slo.name: blocks.means(self._key(stable.version, slo.name), self.block_seconds)
            for slo in self.product.spec.slos
            if slo.indicator.gauge is not None
        }
        return {
            stable.version: {
                name: {one.index: one.value for one in ones if one.quality is Quality.COUNTED}
                for name, ones in means.items()
            }
        }

    def canary_blocks(self) -> tuple[CanaryBlock, ...]:
        """Blocks of both arms, from an hour before the rollout on; none without a candidate."""
        candidate, stable = self.product.status.candidate, self.product.status.stable
        if candidate is None or stable is None:
            return ()
        canaries, seconds = self.measurements.canaries, self.canary_seconds
        # A day of blocks is looked at each minute: what holds for all of them is found once.
        scraped = canaries.scraped(VersionKey(*self.product.metadata.key, candidate.version))
        stables, candidates = self._arm(stable.version), self._arm(candidate.version)
        gauges = self._gauges()
        backends = self._backend(candidate.revision), self._backend(stable.revision)
        begins = int(candidate.since.timestamp()) // seconds
        return tuple(
            CanaryBlock(
                end=index * seconds,
                quality=_quality(block),
                stable=_at(stables, index),
                candidate=_at(candidates, index),
                canary_up=index in scraped,
                gauges=dict(self._means(gauges, candidate.version, stable.version, index)),
                sent=self._pair(backends, index),
            )
            if index > begins
            else CanaryBlock(index * seconds, _quality(block), _at(stables, index))
            for index, block in sorted(canaries.blocks(self._requests_key(stable.version)).items())
        )

    def requests(self) -> Requests:
        """Requests of both versions in the canary blocks that began after the last change."""
        status = self.product.status
        candidate, stable = status.candidate, status.stable
        if candidate is None or stable is None or not candidate.shares:
            return Requests()
        return count_requests(self._since(stable.version), self._since(candidate.version))

    def sent(self) -> Requests | None:
        """What the gateway sent to both versions in these blocks; None while it says nothing."""
        candidate, stable = self.product.status.candidate, self.product.status.stable
        if candidate is None or stable is None or not candidate.shares:
            return None
        indexes = [block.index for block in self._since(stable.version)]
        theirs, ours = self._backend(stable.revision), self._backend(candidate.revision)
        counted = count_requests(
            (self._sent(theirs, index) for index in indexes),
            (self._sent(ours, index) for index in indexes),
        )
        return counted if counted.stable or counted.candidate else None

    def split(
        self,
        route: RouteRecord | None,
        requests: Requests,
        gateways: Mapping[Key, GatewayState],
        now: int,
    ) -> Split | None:
        """How far the split in force is verified; None without a route or a stable version."""
        spec, status = self.product.spec, self.product.status
        if spec.route is None or status.stable is None:
            return None
        layout = layout_of(self.product, status, stable_pods=spec.serving.base_replicas)
        name = self.product.metadata.name
        weights = {version_name(name, revision): weight for revision, weight in layout.weights}
        accepted = verify_acceptance(route, weights, spec.route.parent_refs, gateways)
        candidate = status.candidate
        if candidate is None or not candidate.shares:
            return Split(accepted[0], accepted[1], enough=True)
        back = candidate.phase in (CandidatePhase.ROLLING_BACK, CandidatePhase.PARKED)
        seconds = now - candidate.shares[-1].since.timestamp()
        sent = self.sent()
        return verify_share(
            accepted,
            0 if back else candidate.weight,
            requests if sent is None else sent,
            seconds=seconds,
            gateway=sent is not None,
        )

    def _means(
        self, gauges: Sequence[str], candidate: str, stable: str, index: int
    ) -> Iterator[tuple[str, tuple[float, float]]]:
        """Means of candidate and stable in one canary block, by SLO, where both have one."""
        canaries = self.measurements.canaries
        for name in gauges:
            ours = canaries.mean(self._key(candidate, name), index)
            theirs = canaries.mean(self._key(stable, name), index)
            if ours is not None and theirs is not None:
                yield name, (ours, theirs)

    def _gauges(self) -> list[str]:
        return [slo.name for slo in self.product.spec.slos if slo.indicator.gauge is not None]

    def _counted(self) -> list[str]:
        return [slo.name for slo in self.product.spec.slos if slo.indicator.gauge is None]

    def _key(self, version: str, slo: str) -> SeriesKey:
        return SeriesKey(*self.product.metadata.key, version, slo)

    def _requests_key(self, version: str) -> SeriesKey:
        target = self.measurements.targets.get(Key(*self.product.metadata.key))
        return self._key(version, target.requests if target else REQUESTS)

    def _arm(self, version: str) -> dict[str, Mapping[int, Block]]:
        """Canary blocks of a version, by SLO and index."""
        canaries = self.measurements.canaries
        return {name: canaries.blocks(self._key(version, name)) for name in self._counted()}

    def _backend(self, revision: str) -> str:
        name, namespace = self.product.metadata.name, self.product.metadata.namespace
        return backend_of(namespace, version_name(name, revision))

    def _sent(self, backend: str, index: int) -> Block:
        return self.measurements.canaries.sent(backend, self.canary_seconds, index)

    def _pair(self, backends: tuple[str, str], index: int) -> tuple[int, int] | None:
        """What the gateway sent to candidate and stable in one canary block; None if unknown.

        One of them may have no series yet, as a counter begins with the first request.
        """
        if not self.measurements.canaries.heard_of_gateway:
            return None
        pair = self._sent(backends[0], index), self._sent(backends[1], index)
        known = {block.quality for block in pair} - {Quality.NO_SERIES} == {Quality.COUNTED}
        return (pair[0].count.total, pair[1].count.total) if known else None

    def _since(self, version: str) -> Iterator[Block]:
        """The blocks that began after the last change of the share and of the traffic."""
        candidate, traffic = self.product.status.candidate, self.product.status.traffic
        assert candidate is not None
        changed = candidate.shares[-1].since
        if traffic is not None:
            changed = max(changed, traffic.since)
        first = changed.timestamp() + GATEWAY_LAG
        seconds = self.canary_seconds
        blocks = self.measurements.canaries.blocks(self._requests_key(version))
        yield from (blocks[index] for index in sorted(blocks) if (index - 1) * seconds >= first)


def _at(arm: Mapping[str, Mapping[int, Block]], index: int) -> dict[str, Block]:
    """The block of each SLO; MISSING where it was never read."""
    return {
        name: blocks.get(index) or Block(index, Quality.MISSING) for name, blocks in arm.items()
    }


def _quality(block: Block) -> Quality:
    return block.quality if block.quality in _BLIND else Quality.COUNTED
