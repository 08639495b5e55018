"""What a training Job waits for before its container runs."""

from __future__ import annotations

from sluicegate.api import names
from sluicegate.api.names import ConditionReason
from sluicegate.reconcile.live.children import job_record
from sluicegate.reconcile.live.pods import pod_state
from sluicegate.reconcile.observe.job_wait import wait_of
from tests.support.decisions.kubelet_words import pod, waiting


def test_a_training_with_a_running_sidecar_is_pending_while_its_image_can_not_be_pulled():
    meta = {"name": "search-train-0a1b2c3d-1", "namespace": "catalog", "uid": "1"}
    labels = {names.LABEL_PRODUCT: "search"}
    job = job_record({"metadata": {**meta, "resourceVersion": "1", "labels": labels}, "spec": {}})
    owner = {"controller": True, "kind": "Job", "uid": "1"}
    init = {"initContainerStatuses": [{"name": "cache", "state": {"running": {}}, "ready": True}]}
    body = pod(
        waiting("ImagePullBackOff", "connection refused"), status=init, ownerReferences=[owner]
    )
    spec = {"initContainers": [{"name": "cache", "restartPolicy": "Always"}]}
    wait = wait_of(job, [pod_state(body | {"spec": spec})], now=600)
    assert wait.reason is ConditionReason.JOB_PENDING
    assert "connection refused" in wait.message
