"""The definition of our kind changes under the operator's feet."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from cluster.errors import ClusterError
from cluster.kinds import install_crds
from sluicegate.kube.resources import DATA_PRODUCTS
from tests.support.apiserver.invariants import Promises
from tests.support.apiserver.unvalidated_products import lax_definition, malformed
from tests.support.failures.proxied_operator import RECOVERY_SECONDS
from tests.support.failures.replicas import product, read, succeeds
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(300)

MALFORMED = 200
CRD = "dataproducts.sluicegate.dev"


def install_lax(plane) -> None:
    """Let anything be stored, and wait until the API server does so."""
    body = lax_definition()
    plane.kubectl(
        *("apply", "--server-side", "--force-conflicts", "-f", "-"), stdin=json.dumps(body)
    )
    anything = {**product("default", "anything"), "spec": {"owner": 5}}

    def stored() -> None:
        plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(anything))

    eventually(succeeds(stored, ClusterError), what="the lax definition is in force")


def store(plane, objects: list[dict]) -> None:
    """Create objects as fast as the API server takes them: kubectl takes its time."""
    authority = plane._settings.authority
    pair = authority.client("sluicegate-admin", ("system:masters",))
    with requests.Session() as session, ThreadPoolExecutor(8) as pool:
        session.cert = (str(pair.certificate), str(pair.key))
        session.verify = str(authority.certificate)
        session.trust_env = False  # a bundle of the environment would take precedence

        def create(body: dict) -> None:
            url = plane.url + DATA_PRODUCTS.path(body["metadata"]["namespace"])
            answer = session.post(url, json=body, timeout=30)
            assert answer.status_code == 201, answer.text

        list(pool.map(create, objects))


def test_many_malformed_products_get_their_problems_in_status_and_valid_products_serve(
    control_plane, namespace, start
):
    install_lax(control_plane)
    try:
        objects = malformed(namespace, MALFORMED)
        store(control_plane, objects)
    finally:
        install_crds(control_plane)
    with start() as operator:
        began = time.monotonic()
        operator.serve("cars")

        def untold() -> set[str]:
            found = read(control_plane, "dataproducts", "-n", namespace)
            silent = {one["metadata"]["name"] for one in found if not is_told(one)}
            return silent - {"cars"} - noted(control_plane, namespace)

        eventually(lambda: not untold(), seconds=180, every=2, what="all are told")
        print(f"{MALFORMED} were told {time.monotonic() - began:.0f} s after the start")
        operator.apply(operator.routed("vans"))
        operator.recovers(what="all were told, with a new product among them", cars=1, vans=1)
        children = operator.children()
        assert {child.partition("/")[2].partition("-")[0] for child in children} == {"cars", "vans"}
        found = read(control_plane, "dataproducts", "-n", namespace)
        specs = {one["metadata"]["name"]: one["metadata"]["generation"] for one in found}
        assert set(specs.values()) == {1}, "nobody's spec was touched"
        eventually(operator.has_reconciled_all, seconds=RECOVERY_SECONDS, what="nothing more to do")
        Promises(control_plane, namespace, operator.replica).check_without_data()


def noted(plane, namespace: str) -> set[str]:
    """Return products of which an event says so: to one whose types are wrong nothing can be applied."""
    found = read(plane, "events.events.k8s.io", "-n", namespace)
    return {one["regarding"]["name"] for one in found if one["reason"] == "InvalidSpec"}


def is_told(body: dict) -> bool:
    """Return whether status says that the spec is invalid."""
    found = (body.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Stalled" and one["reason"] == "InvalidSpec" for one in found)


def test_an_operator_that_starts_without_the_crd_waits_for_it_and_survives_its_deletion(
    control_plane, start
):
    control_plane.kubectl("delete", "crd", CRD, "--timeout=120s")
    with start() as operator:
        eventually(operator.replica.leads, what="it leads all the same")
        for what in ("came", "was put back"):
            install_crds(control_plane)
            operator.apply(operator.routed("cars"))
            operator.recovers(what=f"the definition {what}", cars=1)
            control_plane.kubectl("delete", "crd", CRD, "--timeout=120s")
            eventually(lambda: not operator.children(), seconds=90, what="children are collected")
            assert operator.alive()
    install_crds(control_plane)
