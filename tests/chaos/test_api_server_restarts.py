"""The control plane's own programs stop and restart while the operator works."""

from __future__ import annotations

import pytest

from tests.support.failures.replicas import stop_api_server
from tests.support.waiting import eventually


def stop_etcd(plane) -> None:
    plane.stop("etcd")


@pytest.mark.parametrize(
    ("program", "stop"),
    [("etcd", stop_etcd), ("kube-apiserver", stop_api_server)],
    ids=["etcd", "kube-apiserver"],
)
def test_a_restart_of_a_killed_control_plane_program_replaces_no_object(
    control_plane, operator, promises, program, stop
):
    operator.serve("cars", "vans")
    before = {name: one["metadata"]["uid"] for name, one in operator.children().items()}
    operator.apply(operator.routed("cars", serving={"replicas": 2}))  # under way when it breaks
    stop(control_plane)
    eventually(lambda: not operator.replica.leads(), what="the leader stops in time")
    assert operator.alive()
    control_plane.start(program)
    operator.recovers(what=f"{program} was killed", cars=2, vans=1)
    after = {name: one["metadata"]["uid"] for name, one in operator.children().items()}
    assert before.items() <= after.items()
    promises.check_without_data()
