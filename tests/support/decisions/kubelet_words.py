"""Pods and Jobs as the API server has them, in the words of the kubelet and of the Job controller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sluicegate.api import names
from sluicegate.reconcile.live.children import job_record

if TYPE_CHECKING:
    from sluicegate.reconcile.live.children import JobRecord

RUNNING = {"state": {"running": {}}}


def pod(
    container: dict[str, Any] | None = None, *, init: bool = False, **body: Any
) -> dict[str, Any]:
    """Return a pod with a container that isn't ready.

    Other fields of status, and of metadata, by keyword.
    """
    field = "initContainerStatuses" if init else "containerStatuses"
    main = {"name": "main", "ready": False, **(container or RUNNING)}
    status = {field: [main], **body.pop("status", {})}
    return {"metadata": {"name": "p", "labels": {}, **body}, "status": status}


def condition(kind: str, status: str, **fields: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, **fields}]}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def ended(code: int, restarts: int, reason: str = "Error") -> dict[str, Any]:
    last = {"terminated": {"exitCode": code, "reason": reason, "message": "no such column"}}
    return {**waiting("CrashLoopBackOff"), "lastState": last, "restartCount": restarts}


def job(condition: str = "Complete", reason: str = "", seconds: int = 0) -> JobRecord | None:
    """Return an ended training Job with this result and this deadline in seconds."""
    return job_record(
        {
            "metadata": {
                "name": "search-train-0a1b2c3d-1",
                "namespace": "catalog",
                "uid": "1",
                "resourceVersion": "1",
                "labels": {names.LABEL_PRODUCT: "search"},
            },
            "spec": {"activeDeadlineSeconds": seconds} if seconds else {},
            "status": {"conditions": [{"type": condition, "status": "True", "reason": reason}]},
        }
    )
