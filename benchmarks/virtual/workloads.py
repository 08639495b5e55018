"""Deployments of the virtual cluster: pods that start, become ready, crash, and are deleted."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.admission import Refused
from sluicegate.api import names
from sluicegate.kube.resources import DEPLOYMENTS, PODS, Key
from sluicegate.reconcile.live.pods import TEMPLATE_HASH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.virtual.api_server import ApiServer

Body = dict[str, Any]

REACTION: Final = 0.2
"""Seconds until a controller handles a change."""


CRASHES: Final = "CrashLoopBackOff"
REGISTRY_AWAY: Final = "RegistryAway"
"""Problem of a pull that fails because of the registry, not of the image."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Behaviour of a version: shares of its requests, and its pods' start.

    Attributes
    ----------
    failed : answered 5xx. refused : answered 4xx. slow : slower than every bound.
    wrong : of the labelled predictions.
    waited : share of time in which its pods wait for a CPU of their node; None without that metric.
    secretless : whether its pods report that their feedback Secret lacks a key.
    by_market : the same in markets that are counted; with any, `wrong` is their mean, weighted by
        their traffic.
    market_shares : share of the requests of each of these markets; they are split evenly without any.
    start : seconds until a pod is ready. problem : reason why none becomes ready, e.g.
        CrashLoopBackOff, or REGISTRY_AWAY.
    labels : of its bento, as the runtime check leaves them behind.
    operations : of its API with the digest of each, as the check leaves them behind; none without a report.
    deprecated : those of them that are deprecated.
    """

    failed: float = 0.001
    refused: float = 0.0
    slow: float = 0.01
    wrong: float = 0.1
    waited: float | None = None
    secretless: bool = False
    start: float = 8.0
    problem: str = ""
    by_market: tuple[tuple[str, float], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    operations: tuple[tuple[str, str], ...] = ()
    deprecated: tuple[str, ...] = ()
    market_shares: tuple[float, ...] = ()

    @classmethod
    def of_markets(cls, shares: Mapping[str, float] | None = None, **wrong: float) -> Quality:
        """Return a version with these shares of wrong predictions by market.

        Parameters
        ----------
        shares : of the requests by market, which add up to 1; even ones if left out.
        """
        parts = [1 / len(wrong) if shares is None else shares[market] for market in wrong]
        mean = sum(part * ratio for part, ratio in zip(parts, wrong.values(), strict=True))
        fixed_shares = () if shares is None else tuple(parts)
        return cls(wrong=mean, by_market=tuple(wrong.items()), market_shares=fixed_shares)


@dataclass(eq=False, slots=True)
class Pod:
    """A pod that serves."""

    key: Key
    deployment: Key
    template: str
    labels: dict[str, str]
    ready: bool = False
    restarts: int = 0
    started_at: str = ""
    """Time at which its container became ready; empty before that, and after its end."""
    ended: Body = field(default_factory=dict)
    """Last termination of its container; empty before that."""

    def end(self, code: int, reason: str, message: str, *, at: str) -> None:
        """End the container at a time."""
        self.ready, self.restarts = False, self.restarts + 1
        self.ended = {
            "exitCode": code, "reason": reason, "message": message, "finishedAt": at,
            "startedAt": self.started_at or at,
        }  # fmt: skip
        self.started_at = ""


def stamp(now: float) -> str:
    """Format a time like the API server."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(eq=False)
class Workloads:
    """The Deployment controller and the kubelets.

    Attributes
    ----------
    quality : by the bento that a Deployment serves. quota : pods that a namespace may have.
    moved : called when pods became ready or not, with the namespace and the product.
    """

    server: ApiServer
    wall: Callable[[], float]
    quality: Callable[[Body], Quality]
    moved: Callable[[str, str], None]
    quota: dict[str, int] = field(default_factory=dict)
    pods: dict[Key, Pod] = field(default_factory=dict)
    _by_deployment: dict[Key, list[Pod]] = field(default_factory=dict)
    _due: set[Key] = field(default_factory=set)
    _templates: dict[Key, tuple[tuple[str, int], str]] = field(default_factory=dict)
    _serial: int = 0
    _progressed: dict[Key, tuple[str, str, str]] = field(default_factory=dict)
    """Time of a Deployment's last progress, and its state then."""
    _available: dict[Key, tuple[bool, str]] = field(default_factory=dict)
    """Whether all pods of a Deployment are ready, and since when."""

    def changed(self, before: Body | None, after: Body | None) -> None:
        """Handle a Deployment that was written or deleted."""
        body = after or before
        assert body is not None
        meta = body["metadata"]
        self.call(Key(meta["namespace"], meta["name"]))

    def call(self, key: Key, seconds: float = REACTION) -> None:
        """Handle a Deployment after a moment."""
        if key not in self._due:
            self._due.add(key)
            asyncio.get_running_loop().call_later(seconds, self._sync, key)

    def of(self, deployment: Key) -> list[Pod]:
        """Return the pods of a Deployment."""
        return self._by_deployment.get(deployment, [])

    def evict(self, pod: Pod) -> None:
        """Evict a pod."""
        self._remove(pod)
        self.call(pod.deployment)

    def _sync(self, key: Key) -> None:
        self._due.discard(key)
        body = self.server.find(DEPLOYMENTS, key)
        if body is None:
            for pod in list(self.of(key)):
                self._remove(pod)
            self._progressed.pop(key, None)
            self._available.pop(key, None)
            self._templates.pop(key, None)
            return
        template = self._template_of(key, body)
        replicas = body["spec"].get("replicas", 1)
        refused = self._scale(key, body, template, replicas)
        self._write_status(key, body, template, replicas, refused=refused)

    def _template_of(self, key: Key, body: Body) -> str:
        """Return the pod template as text; it is cached by the object's generation."""
        cache_key = (body["metadata"]["uid"], body["metadata"]["generation"])
        cached = self._templates.get(key)
        if cached is None or cached[0] != cache_key:
            cached = cache_key, json.dumps(body["spec"]["template"], sort_keys=True)
            self._templates[key] = cached
        return cached[1]

    def _scale(self, key: Key, body: Body, template: str, replicas: int) -> str:
        """Create and delete pods, by the Deployment's maxSurge and maxUnavailable during an update."""
        pods = self.of(key)
        new = [pod for pod in pods if pod.template == template]
        old = [pod for pod in pods if pod.template != template]
        refused = ""
        update = body["spec"].get("strategy", {}).get("rollingUpdate", {})
        least = replicas - update.get("maxUnavailable", 0)
        room = replicas + (update.get("maxSurge", 1) if old and replicas else 0)
        if old and len(new) < replicas <= len(pods) and not update.get("maxSurge", 1):
            self._replace_one(old, new, least)
        while len(new) < replicas and len(new) + len(old) < max(room, len(new) + 1 - len(old)):
            if refused := self._no_room(key.namespace):
                break
            new.append(self._make(key, body, template))
        ready = sum(pod.ready for pod in new)
        surplus = len(new) + len(old) - replicas
        by_need = sorted(old, key=lambda pod: pod.ready) + sorted(new, key=lambda pod: pod.ready)
        for pod in by_need:
            if surplus <= 0:
                break
            of_old = pod in old
            if of_old and pod.ready and replicas and sum(p.ready for p in old) + ready <= least:
                continue
            if not of_old and len(new) <= replicas:
                continue
            (old if of_old else new).remove(pod)
            self._remove(pod)
            surplus -= 1
        if len(new) < replicas and not refused and old:
            self.call(key, 1.0)
        return refused

    def _replace_one(self, old: list[Pod], new: list[Pod], least: int) -> None:
        """Delete an earlier pod whose successor has no room beside it, while `least` stay ready."""
        pod = min(old, key=lambda one: one.ready)
        if sum(one.ready for one in (*old, *new)) - pod.ready >= least or not pod.ready:
            old.remove(pod)
            self._remove(pod)

    def _no_room(self, namespace: str) -> str:
        most = self.quota.get(namespace)
        if most is None or sum(pod.key.namespace == namespace for pod in self.pods.values()) < most:
            return ""
        return f"pods is forbidden: exceeded quota: pods, limited: pods={most}"

    def _make(self, key: Key, body: Body, template: str) -> Pod:
        self._serial += 1
        labels = body["spec"]["template"]["metadata"]["labels"]
        pod = Pod(Key(key.namespace, f"{key.name}-{self._serial:05d}"), key, template, labels)
        owner = {
            "apiVersion": "apps/v1", "kind": "Deployment", "name": key.name,
            "uid": body["metadata"]["uid"], "controller": True,
        }  # fmt: skip
        meta = {
            "namespace": key.namespace, "name": pod.key.name,
            "labels": {**labels, TEMPLATE_HASH: template},
            "ownerReferences": [owner],
        }  # fmt: skip
        self.pods[pod.key] = pod
        self._by_deployment.setdefault(key, []).append(pod)
        try:
            self.server.create(
                PODS, {"metadata": meta, "spec": {}}, manager="kube-controller-manager"
            )
        except Refused:
            return pod  # its namespace is being deleted
        quality = self.quality(body)
        loop = asyncio.get_running_loop()
        loop.call_later(quality.start, self._start, pod)
        self.server.set_status(PODS, pod.key, _pending())
        return pod

    def _start(self, pod: Pod) -> None:
        """Make a pod ready, or let it fail."""
        body = self.server.find(DEPLOYMENTS, pod.deployment)
        if pod.key not in self.pods or body is None:
            return
        quality = self.quality(body)
        problem = quality.problem
        if not problem:
            pod.ready, pod.started_at = True, stamp(self.wall())
            status = _ready(pod) | _checked(quality)
            self.server.set_status(PODS, pod.key, status)
            self.moved(pod.key.namespace, pod.labels.get(names.LABEL_PRODUCT, ""))
            self.call(pod.deployment)
            return
        if problem == CRASHES:
            pod.end(1, "Error", "the model can't be loaded", at=stamp(self.wall()))
        self.server.set_status(PODS, pod.key, _broken(problem, pod))
        pause = min(10.0 * 2 ** min(pod.restarts, 5), 300.0)
        asyncio.get_running_loop().call_later(pause, self._start, pod)

    def fail(self, deployment: Key) -> None:
        """Crash the pods of a Deployment; they start again with its current quality."""
        for pod in self.of(deployment):
            pod.end(1, "Error", "the model can't be loaded", at=stamp(self.wall()))
            self._start_again(pod)
        self.call(deployment)

    def kill(self, deployment: Key) -> None:
        """Kill the pods of a Deployment at their memory limit; they start again."""
        for pod in self.of(deployment):
            pod.end(137, "OOMKilled", "", at=stamp(self.wall()))
            self._start_again(pod)
        self.call(deployment)

    def _start_again(self, pod: Pod) -> None:
        body = self.server.find(DEPLOYMENTS, pod.deployment)
        if body is not None:
            self.server.set_status(PODS, pod.key, _broken(CRASHES, pod))
            asyncio.get_running_loop().call_later(self.quality(body).start, self._start, pod)
        self.moved(pod.key.namespace, pod.labels.get(names.LABEL_PRODUCT, ""))

    def _remove(self, pod: Pod) -> None:
        self.pods.pop(pod.key, None)
        if pod in self.of(pod.deployment):
            self.of(pod.deployment).remove(pod)
        self.server.delete(PODS, pod.key)
        if pod.ready:
            self.moved(pod.key.namespace, pod.labels.get(names.LABEL_PRODUCT, ""))

    def _write_status(
        self, key: Key, body: Body, template: str, replicas: int, *, refused: str
    ) -> None:
        pods = self.of(key)
        ready, updated = sum(p.ready for p in pods), sum(p.template == template for p in pods)
        state = f"{len(pods)} {ready} {updated} {replicas}"
        now = self.wall()
        since, before, _ = self._progressed.get(key, (stamp(now), "", ""))
        if before != state:
            since = stamp(now)
        self._progressed[key] = (since, state, "")
        done = updated == replicas == len(pods) == ready
        deadline = body["spec"].get("progressDeadlineSeconds", 600)
        late = now - datetime.fromisoformat(since).timestamp() >= deadline and not done
        if not done and not late:
            remaining = datetime.fromisoformat(since).timestamp() + deadline - now
            self.call(key, remaining + 1.0)
            self._due.discard(key)  # an earlier one is always possible
        progressing = {
            "type": "Progressing", "status": str(not late), "lastUpdateTime": since,
            "lastTransitionTime": since,
            "reason": "ProgressDeadlineExceeded" if late
            else "NewReplicaSetAvailable" if done else "ReplicaSetUpdated",
        }  # fmt: skip
        available = ready >= replicas
        if self._available.get(key, (None, ""))[0] is not available:
            self._available[key] = available, stamp(now)
        conditions = [
            progressing,
            {
                "type": "Available",
                "status": str(available),
                "lastTransitionTime": self._available[key][1],
            },
        ]
        if refused:
            conditions.append(
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "reason": "FailedCreate",
                    "message": refused,
                    "lastTransitionTime": since,
                }
            )
            self.call(key, 10.0)
        status = {
            "observedGeneration": body["metadata"]["generation"], "conditions": conditions,
        }  # fmt: skip
        counts = {
            "replicas": len(pods), "readyReplicas": ready, "availableReplicas": ready,
            "updatedReplicas": updated,
        }  # fmt: skip
        status |= {name: number for name, number in counts.items() if number}
        self.server.set_status(DEPLOYMENTS, key, status)


def _condition(kind: str, *, true: bool) -> Body:
    return {"type": kind, "status": str(true)}


def _pending() -> Body:
    return {"phase": "Pending", "conditions": [_condition("PodScheduled", true=True)]}


def _ready(pod: Pod) -> Body:
    server: Body = {
        "name": "server", "ready": True, "restartCount": pod.restarts,
        "state": {"running": {"startedAt": pod.started_at}},
    }  # fmt: skip
    if pod.ended:
        server["lastState"] = {"terminated": pod.ended}
    return {
        "phase": "Running",
        "conditions": [_condition("PodScheduled", true=True), _condition("Ready", true=True)],
        "containerStatuses": [server],
    }


def _checked(quality: Quality) -> Body:
    """Return what the runtime check left behind of a bento with labels or operations."""
    report: Body = {}
    if quality.labels:
        report["labels"] = dict(quality.labels)
    if quality.operations:
        whole = ",".join(map("=".join, quality.operations))
        report["api"] = {
            "digest": whole, "count": len(quality.operations), "operations": dict(quality.operations),
            "deprecated": list(quality.deprecated),
        }  # fmt: skip
    if not report:
        return {}
    terminated = {"exitCode": 0, "reason": "Completed", "message": json.dumps(report)}
    check = {
        "name": "runtime-check",
        "ready": True,
        "restartCount": 0,
        "state": {"terminated": terminated},
    }
    return {"initContainerStatuses": [check]}


def _broken(problem: str, pod: Pod) -> Body:
    server: Body = {
        "name": "server", "ready": False, "restartCount": pod.restarts,
        "state": {"waiting": {"reason": problem, "message": "back-off"}},
    }  # fmt: skip
    if pod.ended:
        server["lastState"] = {"terminated": pod.ended}
    if problem == "ImagePullBackOff":
        server["state"]["waiting"]["message"] = "manifest unknown"
    if problem == REGISTRY_AWAY:
        message = "failed to pull image: failed to do request: dial tcp: i/o timeout"
        server["state"]["waiting"] = {"reason": "ImagePullBackOff", "message": message}
    return {
        "phase": "Pending",
        "conditions": [_condition("PodScheduled", true=True), _condition("Ready", true=False)],
        "containerStatuses": [server],
    }
