"""Reads pods only while their state may matter, and at most as often as it can change.

Pods aren't watched: at 5,000 products they would be most of all objects. Their readiness is in the
Deployment, too, so while all are ready they are read again only when that changes,
and pods that have just changed are read a moment later: most have no new state before. Of two
hundred canaries that began at once they were listed 536 times in 40 s, on a control plane whose
CPU was all that these starts waited for.

Pods that serve well are read in two cases, at most once for each change of a Deployment. The pods of
a product without counted labels report whether the Secret of the feedback can be used; at most one product's
pods are read for that a second. And pods of stable that weren't ready for a moment, or restart
repeatedly according to status, report whether a container has ended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from sluicegate.api import names
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import CandidatePhase
from sluicegate.conditions import find_condition
from sluicegate.kube.client import KubeApi
from sluicegate.kube.resources import PODS, Key
from sluicegate.reconcile.live.children import (
    DeploymentRecord,
    JobRecord,
    has_just_changed,
    is_starting,
)
from sluicegate.reconcile.live.pods import UNREADY_SECONDS, PodState, pod_state, pods_of_revision
from sluicegate.reconcile.live.product import ProductRecord

BELIEVED_SECONDS: Final = 60
"""How long pods that are all ready count as they were read, should no Deployment change."""

ReadKey = tuple[object, ...]
"""The state at the last read: a read at the same state brings nothing new."""


@dataclass(slots=True)
class PodReads:
    """The last read pods of products; `log_tails` is the setting `show_log_tails`."""

    api: KubeApi
    log_tails: bool = True
    _last_reads: dict[Key, tuple[ReadKey, tuple[PodState, ...]]] = field(default_factory=dict)
    _rested_at: int = -1
    """When pods that serve well were read last, in seconds."""
    _recently_unready: set[Key] = field(default_factory=set)
    """Products some of whose pods weren't ready, without a rollout."""

    async def pods_of(
        self,
        record: ProductRecord,
        status: DataProductStatus,
        live: Mapping[str, DeploymentRecord],
        jobs: Sequence[JobRecord],
        *,
        now: int,
        unlabelled: bool = False,
    ) -> tuple[PodState, ...]:
        """Return the product's pods if a decision may need their state.

        Parameters
        ----------
        live : Deployments by revision. jobs : those whose results are waited for. now : in seconds.
        unlabelled : no label of the product is counted, though its spec says how they come.
        """
        has_unready = any(
            deployment.ready < deployment.replicas or deployment.rolling
            for deployment in live.values()
        )
        is_degrading = any(slo.streak is not None for slo in status.engine.slos.values())
        reports_restarting = any(job.finished for job in jobs)
        is_degrading = is_degrading or any(
            not (job.finished or job.ready or job.suspended) for job in jobs
        )
        pods_start = _reports_restarting(status)
        if not (has_unready or is_degrading or reports_restarting or status.candidate is not None):
            if pods_start or record.key in self._recently_unready:
                return await self._recovered_pods(record.key, live)
            return (
                await self._without_labels(record.key, live, now)
                if unlabelled
                else self._drop(record.key)
            )
        if has_unready and status.stable is not None and status.candidate is None:
            self._recently_unready.add(record.key)
        period = UNREADY_SECONDS if has_unready else BELIEVED_SECONDS
        read_key = _read_key(live, jobs, (now + read_offset(record.key)) // period)
        cached_key, pods = self._last_reads.get(record.key, ((), ()))
        first = unlabelled and status.stable is None and not has_unready and not pods
        reports_restarting = (
            reports_restarting
            or _awaits_api_gate(status, live, pods)
            or (first and self._may_rest(now))
        )
        deployment = is_starting(live.values(), now)
        if status.candidate is not None and not is_degrading:
            deployment = has_just_changed(
                live.values(), now
            )  # ready or not: it is reconciled again
        if cached_key != read_key and (
            reports_restarting or not deployment or (pods_start and not pods)
        ):
            pods = await self._read(record.key)
            self._last_reads[record.key] = (read_key, pods)
        return pods

    def forget(self, key: Key) -> None:
        """Drop the cached pods of a deleted product."""
        self._recently_unready.discard(key)
        self._drop(key)

    def _drop(self, key: Key) -> tuple[PodState, ...]:
        self._last_reads.pop(key, None)
        return ()

    async def _recovered_pods(
        self, key: Key, live: Mapping[str, DeploymentRecord]
    ) -> tuple[PodState, ...]:
        """Return the cached pods of a recovered product, for the same Deployment."""
        cached_key, pods = self._last_reads.get(key, ((), ()))
        read_key = _read_key(live, (), 0)
        if cached_key[:1] != read_key[:1] or key in self._recently_unready:
            pods = await self._read(key)
            self._last_reads[key] = (read_key, pods)
            self._recently_unready.discard(key)
        return pods

    async def _without_labels(
        self, key: Key, live: Mapping[str, DeploymentRecord], now: int
    ) -> tuple[PodState, ...]:
        """Return the cached pods of a product without labels, for the same Deployment."""
        cached_key, pods = self._last_reads.get(key, ((), ()))
        read_key = _read_key(live, (), 0)
        if live and cached_key[:1] != read_key[:1] and self._may_rest(now):
            pods = await self._read(key)
            self._last_reads[key] = (read_key, pods)
        return pods

    def _may_rest(self, now: int) -> bool:
        """Return whether the pods of an idle product may be read: thousands may become idle at once."""
        if now == self._rested_at:
            return False
        self._rested_at = now
        return True

    async def _read(self, key: Key) -> tuple[PodState, ...]:
        selector = f"{names.LABEL_PRODUCT}={key.name}"
        pages = self.api.pages(PODS, namespace=key.namespace, labels=selector)
        return tuple(
            [
                pod_state(body, log_tails=self.log_tails)
                async for page in pages
                for body in page.items
            ]
        )


def _reports_restarting(status: DataProductStatus) -> bool:
    """Return whether status reports that stable's containers keep restarting."""
    ready = find_condition(status.conditions, ConditionType.READY)
    return ready is not None and ready.reason == ConditionReason.PODS_RESTARTING


def _awaits_api_gate(
    status: DataProductStatus, live: Mapping[str, DeploymentRecord], pods: tuple[PodState, ...]
) -> bool:
    """Return whether a candidate is about to get its first share and its API hasn't been read."""
    candidate = status.candidate
    if candidate is None or status.stable is None or candidate.phase is not CandidatePhase.STARTING:
        return False
    deployment = live.get(candidate.revision)
    has_ready_pod = any(pod.ready for pod in pods_of_revision(pods, candidate.revision))
    return deployment is not None and deployment.ready > 0 and not has_ready_pod


def read_offset(key: Key) -> int:
    """Return the seconds by which a product's minutes are ahead of the clock's, to spread the load.

    Else all that have a canary would read their pods in the same second, minute after minute.
    """
    return crc32(str(key).encode())


def _read_key(
    live: Mapping[str, DeploymentRecord], jobs: Sequence[JobRecord], period: int
) -> ReadKey:
    versions = tuple(sorted((deployment.uid, deployment.version) for deployment in live.values()))
    return versions, tuple((job.uid, job.version) for job in jobs), period
