"""Reads everything that one step needs, once: from caches, and pods where something is wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sluicegate.api import names
from sluicegate.api.canary import VersionBase
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus, DependencyState, DependencyStatus
from sluicegate.kube.resources import DEPLOYMENTS, HTTP_ROUTES, JOBS, Key
from sluicegate.manifests.names import job_name
from sluicegate.policy.observed import Facts, Observed, Request, TrainingResult
from sluicegate.policy.recall import memory_of, release_of
from sluicegate.policy.terms import Terms
from sluicegate.reconcile.blame import failing
from sluicegate.reconcile.gateways import Gateways
from sluicegate.reconcile.measure import Measurements
from sluicegate.reconcile.measured import Measured
from sluicegate.reconcile.pod_reads import PodReads
from sluicegate.reconcile.pods import PodState, of_job, of_revision
from sluicegate.reconcile.portfolio import Standings
from sluicegate.reconcile.product_record import ProductRecord
from sluicegate.reconcile.records import (
    ChildRecord,
    DeploymentRecord,
    JobRecord,
    RouteRecord,
)
from sluicegate.reconcile.situation import Situation
from sluicegate.reconcile.training import training_result
from sluicegate.reconcile.verification import Split
from sluicegate.runtime.caches import Caches
from sluicegate.slo.blocks import Count

THROTTLED: Final = 0.25
"""Share of CPU periods from which on a container is called throttled."""
AFTERMATH_BLOCKS: Final = 12
"""Blocks after an upstream's recovery in which it still explains what is bad: those that are
judged as the present."""
MEMORY_FULL: Final = 0.95
"""Share of the memory limit from which on memory explains slowness."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Reads the situation of one product at a time."""

    pods: PodReads
    caches: Caches
    measurements: Measurements
    standings: Standings
    gateways: Gateways
    share_states: bool

    async def observe(
        self,
        record: ProductRecord,
        product: DataProduct,
        *,
        terms: Terms,
        wanted: VersionBase,
        now: int,
    ) -> Situation:
        """The situation of a product whose spec is valid.

        Parameters
        ----------
        record : as it is cached. product : the same, parsed.
        terms : what it is judged by. wanted : what spec.model stands for. now : in seconds.
        """
        measured = Measured(self.measurements, product)
        live, route = self.live(record), self.route(record)
        job = self._job(record, product.status)
        pods = await self.pods.of(record, product.status, live, job, now=now)
        requests = measured.requests()
        gateways = await self.gateways.of(product, route)
        split = measured.split(route, requests, gateways, now)
        dependencies = tuple(self._dependencies(record.key, product))
        upstream = tuple(self._upstream(product, dependencies, now))
        return Situation(
            product=product,
            terms=terms,
            wanted=wanted,
            now=now,
            live=live,
            route=route,
            pods=pods,
            split=split,
            requests=requests,
            observed=Observed(
                block=measured.newest,
                problem=measured.problem(),
                series=measured.series(),
                gauges=measured.gauges(),
                canary_blocks=measured.canary_blocks(),
                canary_block_seconds=measured.canary_seconds,
                wanted=release_of(wanted),
                wanted_evaluation={
                    slo: Count(one.bad, one.total)
                    for slo, one in (product.spec.model.evaluation or {}).items()
                },
                training=_training(product, job, pods),
                facts=_facts(measured, _Seen(live, pods, upstream, split)),
                portfolio=self.standings.portfolio(
                    record.key,
                    now,
                    block_end=measured.newest * product.spec.analysis.block_seconds,
                    asked=bool(record.requests),
                ),
                requests=tuple(Request(name, value) for name, value in record.requests),
            ),
            dependencies=dependencies,
            gateways=gateways,
        )

    # ---- the cluster ------------------------------------------------------------------------
    def live(self, record: ProductRecord) -> dict[str, DeploymentRecord]:
        """The product's Deployments by revision."""
        found = (one for one in self.caches[DEPLOYMENTS].children(record.key))
        return {
            one.label(names.LABEL_REVISION): one
            for one in found
            if isinstance(one, DeploymentRecord) and one.owner == record.uid
        }

    def kinds(self, record: ProductRecord) -> set[str]:
        """Kinds of which the product has a child."""
        return {
            cache.watched.resource.kind
            for cache in self.caches
            if cache is not self.caches.products
            for one in cache.children(record.key)
            if isinstance(one, ChildRecord) and one.owner == record.uid
        }

    def route(self, record: ProductRecord) -> RouteRecord | None:
        """The product's own HTTPRoute."""
        route = self.caches[HTTP_ROUTES].get(record.key)
        return route if isinstance(route, RouteRecord) and route.owner == record.uid else None

    def _job(self, record: ProductRecord, status: DataProductStatus) -> JobRecord | None:
        one = status.retraining
        if one is None or one.trigger is None:
            return None
        name = job_name(record.key.name, one.trigger.id, one.number)
        job = self.caches[JOBS].get(Key(record.key.namespace, name))
        return job if isinstance(job, JobRecord) and job.owner == record.uid else None

    def _dependencies(self, key: Key, product: DataProduct) -> Iterator[DependencyStatus]:
        for one in product.spec.depends_on:
            other = Key(one.namespace or key.namespace, one.name)
            told = self._may_know(key, other)
            state = self.standings.dependency(other) if told else DependencyState.UNKNOWN
            yield DependencyStatus(
                namespace=other.namespace,
                name=other.name,
                state=state,
                in_cycle=self.standings.in_cycle(key, other),
            )

    def _upstream(
        self, product: DataProduct, dependencies: tuple[DependencyStatus, ...], now: int
    ) -> Iterator[str]:
        """Names of the products that are degraded, or that were in the blocks judged as present.

        What a product did on a broken upstream's answers says nothing of its model, and it is
        in those blocks for a while after the upstream has recovered.
        """
        since = now - AFTERMATH_BLOCKS * product.spec.analysis.block_seconds
        for one in dependencies:
            other = Key(one.namespace, one.name)
            told = self._may_know(Key(*product.metadata.key), other) and not one.in_cycle
            if told and self.standings.was_degraded(other, since):
                yield one.name

    def _may_know(self, key: Key, other: Key) -> bool:
        """Whether a product is told how another one does."""
        return self.share_states or other.namespace == key.namespace


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was read of the cluster."""

    live: Mapping[str, DeploymentRecord]
    pods: tuple[PodState, ...]
    upstream_degraded: tuple[str, ...]
    split: Split | None


def _facts(measured: Measured, seen: _Seen) -> Facts:
    """What the cluster and the neighbours say."""
    product = measured.product
    stable, candidate = product.status.stable, product.status.candidate
    if stable is None:
        return Facts()
    serving = seen.live.get(stable.revision)
    facts = measured.facts(stable.version)
    blame = None
    if candidate is not None and candidate.weight > 0:
        blame = failing(
            seen.live.get(candidate.revision),
            of_revision(seen.pods, candidate.revision),
            serving,
        )
    return Facts(
        upstream_degraded=seen.upstream_degraded,
        pods_unhealthy=serving is None
        or serving.ready < serving.replicas
        or any(pod.out_of_memory for pod in of_revision(seen.pods, stable.revision)),
        canary_unhealthy=blame is not None and blame.own,
        canary_lost=blame.text if blame is not None and not blame.own else "",
        cpu_throttled=_beyond(facts.cpu_throttled if facts else None, THROTTLED),
        memory_pressure=_beyond(facts.memory_used if facts else None, MEMORY_FULL),
        pods=(serving.ready if serving else 0) / product.spec.serving.base_replicas,
        split_verified=seen.split is None or seen.split.enough,
    )


def _training(
    product: DataProduct, job: JobRecord | None, pods: tuple[PodState, ...]
) -> TrainingResult | None:
    """The result of the training under way, once its Job has ended."""
    running = memory_of(product.status).retraining.under_way
    retraining = product.spec.retraining
    if job is None or not job.finished or running is None or retraining is None:
        return None
    return training_result(job, of_job(pods, job.key.name), running, output=retraining.output)


def _beyond(share: float | None, limit: float) -> bool | None:
    return None if share is None else share > limit
