"""A namespace goes in the middle of a canary: others are untouched, and it can come back."""

from __future__ import annotations

import pytest

from tests.support.judged_products import BUSY, CARS_OWE, STEPS, judged, weight
from tests.support.kept_promises import Promises
from tests.support.proxied_operator import RECOVERY_SECONDS
from tests.support.replicas import apply, product, read
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(300)


def serves(plane, namespace: str, *, deployments: int) -> bool:
    """Whether so many Deployments of a namespace have all their pods."""
    found = [one["status"] for one in read(plane, "deployments", "-n", namespace)]
    return sum(one.get("readyReplicas") == one.get("replicas") == 1 for one in found) == deployments


def test_a_namespace_is_deleted_in_the_middle_of_a_canary(control_plane, make_namespace, tmp_path):
    own, gone = make_namespace(), "gone-in-mid-canary"
    where = {"SLUICEGATE_NAMESPACE": own, "SLUICEGATE_WATCH_NAMESPACES": f"{own},{gone}"}
    with judged(control_plane, gone, tmp_path, **where) as scene:
        apply(control_plane, product(own, "neighbour"))
        eventually(lambda: serves(control_plane, own, deployments=1), what="the neighbour serves")
        scene.serve("cars", slos=CARS_OWE, shown=BUSY)
        scene.begin_canaries("cars", slos=CARS_OWE)
        assert weight(scene.product("cars").status) == STEPS[0]
        (before,) = read(control_plane, "deployments", "-n", own)
        apply(control_plane, product(own, "another"))
        control_plane.kubectl("delete", "namespace", gone, "--timeout=60s")
        assert scene.replica.process.poll() is None
        assert scene.replica.leads()
        assert scene.replica.get("/healthz")[0] == 200
        after = next(
            one
            for one in read(control_plane, "deployments", "-n", own)
            if one["metadata"]["name"] == before["metadata"]["name"]
        )
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["metadata"]["generation"] == before["metadata"]["generation"]
        eventually(
            lambda: serves(control_plane, own, deployments=2),
            seconds=RECOVERY_SECONDS,
            what="what came to the neighbour's namespace meanwhile",
        )
        Promises(control_plane, own, scene.replica).check_without_data()
        control_plane.kubectl("create", "namespace", gone)
        apply(control_plane, scene.body("cars", slos=CARS_OWE))
        scene.product("cars").until_ready(seconds=RECOVERY_SECONDS)
        assert scene.product("cars").status["stable"]["version"] == "v1"
