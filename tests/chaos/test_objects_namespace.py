"""A namespace goes in the middle of a rollout: others are untouched, and it can come back."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.apiserver.invariants import Promises
from tests.support.failures.proxied_operator import RECOVERY_SECONDS, RUNTIME
from tests.support.failures.replicas import apply, product, read, replicas
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(300)


def serves(plane, namespace: str, *, deployments: int) -> bool:
    """Whether so many Deployments of a namespace have all their pods."""
    found = [one["status"] for one in read(plane, "deployments", "-n", namespace)]
    return sum(one.get("readyReplicas") == one.get("replicas") == 1 for one in found) == deployments


def test_a_namespace_is_deleted_in_the_middle_of_a_rollout(control_plane, make_namespace, tmp_path):
    own, gone = make_namespace(), "gone-in-mid-rollout"
    control_plane.kubectl("create", "namespace", gone)
    settings = {
        "SLUICEGATE_NAMESPACE": own,
        "SLUICEGATE_WATCH_NAMESPACES": f"{own},{gone}",
        "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": RUNTIME,
    }
    with replicas(control_plane, tmp_path, "namespaces", extra=settings) as (operator,):
        apply(control_plane, product(own, "neighbour"), product(gone, "cars"))
        for namespace in (own, gone):
            eventually(
                partial(serves, control_plane, namespace, deployments=1),
                seconds=60,
                what=f"the product of {namespace} serves",
            )
        (before,) = read(control_plane, "deployments", "-n", own)
        apply(control_plane, product(gone, "cars", version="v2"), product(own, "another"))
        control_plane.kubectl("delete", "namespace", gone, "--timeout=110s")
        assert operator.leads()
        assert operator.get("/healthz")[0] == 200
        after = next(
            one["metadata"]
            for one in read(control_plane, "deployments", "-n", own)
            if one["metadata"]["name"] == before["metadata"]["name"]
        )
        assert [after[part] for part in ("uid", "generation")] == [
            before["metadata"][part] for part in ("uid", "generation")
        ]
        eventually(
            lambda: serves(control_plane, own, deployments=2),
            seconds=RECOVERY_SECONDS,
            what="what came to the neighbour's namespace meanwhile",
        )
        Promises(control_plane, own, operator).check_without_data()
        control_plane.kubectl("create", "namespace", gone)
        apply(control_plane, product(gone, "cars"))
        eventually(
            lambda: serves(control_plane, gone, deployments=1),
            seconds=RECOVERY_SECONDS,
            what="the product whose namespace came back",
        )
    control_plane.kubectl("delete", "namespace", gone, "--wait=false")
