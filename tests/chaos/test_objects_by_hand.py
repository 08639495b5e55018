"""Children deleted without their pods, and near the limit of their size; a full disk.

tests/unit/virtual/test_virtual_stories has what is edited by hand.
"""

from __future__ import annotations

import json
import signal

import pytest

from tests.support.apiserver.invariants import Promises
from tests.support.failures.proxied_operator import RECOVERY_SECONDS, RUNTIME
from tests.support.failures.replicas import START_SECONDS, Replica, apply, product, read
from tests.support.failures.tiny_disk import fill, fits, tiny_disk
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(180)

MEBIBYTE = 2**20


def test_a_recreated_deployment_adopts_the_pods_of_a_deleted_one(operator):
    operator.serve("cars", serving={"replicas": 2})
    (name,) = (child for child in operator.children() if child.startswith("Deployment/"))
    uid = operator.children()[name]["metadata"]["uid"]
    pods = names_of_pods(operator)
    operator.plane.kubectl("delete", name, "-n", operator.namespace, "--cascade=orphan")
    eventually(
        lambda: operator.children().get(name, {"metadata": {"uid": uid}})["metadata"]["uid"] != uid,
        seconds=RECOVERY_SECONDS,
        what="the Deployment is there again",
    )
    operator.recovers(what="its Deployment was deleted", cars=2)
    assert names_of_pods(operator) == pods
    assert operator.alive()


def names_of_pods(operator) -> set[str]:
    found = read(operator.plane, "pods", "-n", operator.namespace)
    return {one["metadata"]["name"] for one in found if "deletionTimestamp" not in one["metadata"]}


def test_a_child_of_one_mebibyte_is_kept_in_sync(operator, promises):
    operator.serve("cars")
    (name,) = (child for child in operator.children() if child.startswith("Deployment/"))
    containers = operator.children()[name]["spec"]["template"]["spec"]["containers"]
    grown = [{"name": containers[0]["name"], "env": [{"name": "BIG", "value": "x" * MEBIBYTE}]}]
    change = {"spec": {"replicas": 2, "template": {"spec": {"containers": grown}}}}
    body = json.dumps(change)
    where = promises.plane.folder / "change.json"
    where.write_text(body)
    operator.plane.kubectl(
        *("patch", name, "-n", operator.namespace, "--type=strategic", f"--patch-file={where}")
    )
    # What a user added beside ours stays; what is ours is as it was.
    eventually(
        lambda: is_rolled_out(operator.children()[name], replicas=1),
        seconds=RECOVERY_SECONDS,
        what="the child that grew to a mebibyte has as many pods as it should",
    )
    operator.recovers(what="a child grew to a mebibyte", cars=1)


def is_rolled_out(deployment: dict, *, replicas: int) -> bool:
    """Return whether so many pods are asked for, and all of them are there, ready and of the newest form."""
    status = deployment.get("status") or {}
    desired = deployment["spec"]["replicas"], deployment["metadata"]["generation"]
    there = status.get("readyReplicas") == status.get("updatedReplicas") == status.get("replicas")
    return desired == (replicas, status.get("observedGeneration")) and there


@pytest.fixture
def on_a_tiny_disk(control_plane, namespace, tmp_path):
    """Yield a function that starts operators whose log and temporary files lie on a disk of one MiB."""
    started: list[Replica] = []
    with tiny_disk(tmp_path / "disk") as disk:

        def start() -> Replica:
            settings = {
                "TMPDIR": str(disk),
                "HOME": str(disk),
                "SLUICEGATE_NAMESPACE": namespace,
                "SLUICEGATE_WATCH_NAMESPACES": namespace,
                "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": RUNTIME,
            }
            one = Replica(control_plane, namespace, disk, extra=settings)
            started.append(one)
            eventually(one.is_ready, seconds=START_SECONDS, what="ready")
            return one

        yield start, disk
        for one in started:
            one.end()


def test_an_operator_with_a_full_disk_continues_and_shuts_down_cleanly(
    control_plane, namespace, on_a_tiny_disk
):
    start, disk = on_a_tiny_disk
    operator = start()
    eventually(operator.leads, what="a leader")
    fill(disk)
    serve(control_plane, namespace, "cars")
    with (disk / "another").open("ab", buffering=0) as another:
        assert not fits(another, 1), "the disk is still full"
    assert operator.get("/healthz")[0] == 200
    lines = operator.log.read_text()
    for path in disk.iterdir():
        if path != operator.log:
            path.unlink()
    serve(control_plane, namespace, "vans", seconds=RECOVERY_SECONDS)
    eventually(
        lambda: "vans" in operator.log.read_text()[len(lines) :],
        what="its log goes on in the space",
    )
    Promises(control_plane, namespace, operator).check_without_data()
    operator.signal(signal.SIGTERM)
    assert operator.wait() == 0


def serve(plane, namespace: str, name: str, *, seconds: float = 60) -> None:
    """Apply a product and wait until it serves."""
    apply(plane, product(namespace, name))

    def ready() -> bool:
        (found,) = (
            one
            for one in read(plane, "dataproducts", "-n", namespace)
            if one["metadata"]["name"] == name
        )
        conditions = (found.get("status") or {}).get("conditions") or ()
        return any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in conditions
        )

    eventually(ready, seconds=seconds, what=f"{name} serves")
