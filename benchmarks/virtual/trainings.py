"""Training Jobs of the virtual cluster: a queue that admits some, a pod that runs, and its report."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.virtual.admission import Refused
from benchmarks.virtual.workloads import stamp
from sluicegate.api import names
from sluicegate.kube.resources import JOBS, PODS, Key

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.virtual.api_server import ApiServer

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Training:
    """Course of a training: after this many seconds it fails, or reports a new bento.

    `report` is its termination message; None for one that fails. `unscheduled` is the reason why
    its pod isn't scheduled; empty for one that runs. `queued` are the seconds until its queue
    admits it, if its Job names one. `out_of_memory` ends one that fails at its memory limit.
    """

    seconds: float = 120.0
    report: Body | None = None
    unscheduled: str = ""
    queued: float = 60.0
    out_of_memory: bool = False


@dataclass(eq=False)
class Trainings:
    """The Job controller, and the queue of Jobs; `plan` returns the course of a Job.

    Attributes
    ----------
    begun : Jobs that run, or are about to. queued : Jobs that the queue has. runs : how often a Job was
        suspended, by its uid: what a former run has planned ends with it.
    """

    server: ApiServer
    wall: Callable[[], float]
    plan: Callable[[Body], Training]
    begun: set[str] = field(default_factory=set)
    queued: set[str] = field(default_factory=set)
    runs: Counter[str] = field(default_factory=Counter)

    def changed(self, before: Body | None, after: Body | None) -> None:
        """Handle a Job that was written."""
        if after is None:
            return
        meta, loop = after["metadata"], asyncio.get_running_loop()
        key = Key(meta["namespace"], meta["name"])
        preempted = before is not None and not before["spec"].get("suspend")
        if preempted and after["spec"].get("suspend"):
            loop.call_soon(self._suspend, key, meta["uid"])
        elif meta["uid"] not in self.begun:
            self.begun.add(meta["uid"])
            loop.call_later(1.0, self._begin, key, meta["uid"])
        ttl = after["spec"].get("ttlSecondsAfterFinished")
        is_same_ttl = before is not None and before["spec"].get("ttlSecondsAfterFinished") == ttl
        if ttl is not None and not is_same_ttl:
            loop.call_later(ttl, self._expire, key, meta["uid"])

    def _live(self, key: Key, uid: str) -> Body | None:
        body = self.server.find(JOBS, key)
        return body if body is not None and body["metadata"]["uid"] == uid else None

    def _begin(self, key: Key, uid: str) -> None:
        body = self._live(key, uid)
        if body is None:
            return
        if body["spec"].get("suspend"):
            self._wait(key, body)
            return
        labels = body["spec"]["template"]["metadata"]["labels"] | {
            "batch.kubernetes.io/job-name": key.name
        }
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": key.name, "uid": uid}
        meta = {
            "namespace": key.namespace, "name": f"{key.name}-pod", "labels": labels,
            "ownerReferences": [owner | {"controller": True}],
        }  # fmt: skip
        try:
            self.server.create(PODS, {"metadata": meta, "spec": {}}, manager="job-controller")
        except Refused:
            return
        plan, limit = self.plan(body), body["spec"].get("activeDeadlineSeconds") or float("inf")
        status: Body = {"active": 1, "startTime": stamp(self.wall())}
        if plan.unscheduled:
            waits = {"type": "PodScheduled", "status": "False", "message": plan.unscheduled}
            pod = Key(key.namespace, f"{key.name}-pod")
            self.server.set_status(PODS, pod, {"conditions": [waits]})
            seconds = float("inf")
        else:
            self._container(key, {"running": {}})
            status["ready"], seconds = 1, plan.seconds
        self.server.set_status(JOBS, key, status)
        asyncio.get_running_loop().call_later(
            min(seconds, limit), self._end, key, uid, plan, seconds > limit, self.runs[uid]
        )

    def _wait(self, key: Key, body: Body) -> None:
        """Let a suspended Job wait until it is resumed, by its queue if it has one."""
        uid: str = body["metadata"]["uid"]
        self.begun.discard(uid)
        conditions = (body.get("status") or {}).get("conditions") or ()
        if not any(one["type"] == "Suspended" for one in conditions):
            paused = {"type": "Suspended", "status": "True"}
            paused["lastTransitionTime"] = stamp(self.wall())
            self.server.set_status(JOBS, key, {"conditions": [paused]})
        if uid not in self.queued and names.LABEL_QUEUE in body["metadata"]["labels"]:
            self.queued.add(uid)
            seconds = self.plan(body).queued
            asyncio.get_running_loop().call_later(seconds, self._admit, key, uid)

    def _admit(self, key: Key, uid: str) -> None:
        self.queued.discard(uid)
        if self._live(key, uid) is not None:
            self.server.write(JOBS, key, {"spec": {"suspend": False}}, manager="kueue")

    def _suspend(self, key: Key, uid: str) -> None:
        """End the pod of a Job that was suspended, as its queue does for one of a higher priority."""
        body = self._live(key, uid)
        if body is not None:
            self.runs[uid] += 1
            self.server.delete(PODS, Key(key.namespace, f"{key.name}-pod"))
            self._wait(key, body)

    def _end(self, key: Key, uid: str, plan: Training, late: bool, run: int) -> None:
        body = self._live(key, uid)
        if body is None or run != self.runs[uid]:
            return
        well = plan.report is not None and not late
        if plan.unscheduled:  # at its deadline a Job deletes its pods
            self.server.delete(PODS, Key(key.namespace, f"{key.name}-pod"))
        message = json.dumps(plan.report) if well else "no data"
        code = 0 if well else 1
        if not plan.unscheduled:
            ended: Body = {"exitCode": code, "message": message}
            if plan.out_of_memory:
                ended = {"exitCode": 137, "reason": "OOMKilled"}
            self._container(key, {"terminated": ended})
        reason = "Completed" if well else "DeadlineExceeded" if late else "BackoffLimitExceeded"
        now = stamp(self.wall())
        terminated = {
            "type": "Complete" if well else "Failed", "status": "True", "reason": reason,
            "message": "", "lastTransitionTime": now,
        }  # fmt: skip
        started = (body.get("status") or {}).get("startTime", now)
        self.server.set_status(JOBS, key, {"startTime": started, "conditions": [terminated]})

    def _container(self, key: Key, state: Body) -> None:
        pod = Key(key.namespace, f"{key.name}-pod")
        container_status = {"name": "trainer", "ready": False, "restartCount": 0, "state": state}
        self.server.set_status(PODS, pod, {"containerStatuses": [container_status]})

    def _expire(self, key: Key, uid: str) -> None:
        if self._live(key, uid) is not None:
            self.server.delete(JOBS, key)


def trigger_of(job: Body) -> Body:
    """Return the trigger of a Job."""
    trigger: Body = json.loads(job["metadata"]["annotations"][names.ANNOTATION_TRIGGER])
    return trigger
