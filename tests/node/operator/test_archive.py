"""The chart's CronJob on a node: its pod copies sealed reviews to a claim, before any is dropped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cluster.builds import program
from cluster.cache import cache_folder
from cluster.images import build, describe
from sluicegate.api import names
from sluicegate.reviews.archive_file import file_name, is_archived
from sluicegate.reviews.store import parse_review
from tests.support.apiserver.people import chart
from tests.support.decisions.reviewed import document_of, sealed_month

if TYPE_CHECKING:
    from cluster.local import LocalNode

CLAIM = "reviews"


@pytest.fixture
def image(local_node: LocalNode) -> str:
    """Return the operator's image, which the node has, as values of the chart."""
    built = build(describe("operator"), cache=cache_folder(), program=program)
    local_node.load_image(built.archive)
    repository, _, digest = built.pinned_reference.partition("@")
    return f"image.repository={repository},image.digest={digest},image.pullPolicy=Never"


def volume(name: str, folder: str, node: str) -> list[dict[str, object]]:
    """Return a claim of a folder of the node, as a cluster's storage would have it: root's, group by fsGroup."""
    size = {"storage": "1Mi"}
    where = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
         "spec": common | {
             "capacity": size, "local": {"path": folder},
             "claimRef": {"namespace": name, "name": CLAIM},
             "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [where]}]}}}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim",
         "metadata": {"name": CLAIM, "namespace": name},
         "spec": common | {"resources": {"requests": size}, "volumeName": name}},
    ]  # fmt: skip


@pytest.mark.usefixtures("where")  # the definitions come with the add-ons
def test_the_cron_job_copies_a_sealed_review_to_its_claim_once(
    local_node, namespace, image, tmp_path
):
    node = local_node.run_kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    objects = chart(
        namespace, image, "archive.enabled=true", f"archive.claimName={CLAIM}",
        f"watchNamespaces={{{namespace}}}", namespace=namespace,
    )  # fmt: skip
    job = f"{namespace}-sluicegate-archive"
    desired = [obj for obj in objects if obj["metadata"]["name"] == job]
    assert {one["kind"] for one in desired} >= {"CronJob", "ServiceAccount", "Role", "RoleBinding"}
    made = sealed_month(11, wrong=0.1, namespace=namespace)
    body = document_of(made)
    body["metadata"] = {"name": made.metadata.name, "namespace": namespace,
                        "labels": {names.LABEL_REVIEW: "sealed"}}  # fmt: skip
    items = [*volume(namespace, str(tmp_path), node), *desired, body]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    local_node.run_kubectl("apply", "--server-side", "-f", "-", stdin=listed)
    review = ("-n", namespace, "dprev", made.metadata.name)
    change = json.dumps({"status": body["status"]})
    local_node.run_kubectl("patch", *review, "--subresource=status", "--type=merge", "-p", change)

    def run(name: str) -> str:
        here = ("-n", namespace)
        local_node.run_kubectl("create", "job", name, f"--from=cronjob/{job}", *here)
        local_node.run_kubectl(
            "wait", f"job/{name}", "--for=condition=Complete", "--timeout=120s", *here
        )
        return local_node.run_kubectl("logs", f"job/{name}", *here)

    try:
        assert "1 reviews written to /archive, 0 were there, 0 refused" in run("first")
        stored = parse_review(json.loads(local_node.run_kubectl("get", *review, "-o", "json")))
        assert stored is not None
        assert is_archived(stored)
        file = json.loads((tmp_path / file_name(stored)).read_text())
        assert file["status"]["digest"] == made.status.digest
        assert "0 reviews written to /archive, 1 were there, 0 refused" in run("again")
    finally:
        local_node.run_kubectl("delete", "persistentvolume", namespace, "--wait=false")
