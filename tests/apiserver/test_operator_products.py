"""The operator's own process against a real API server, with pods played by kwok.

Controllers, scheduler and garbage collection are real; a gateway's acceptance is written by the
test. What the operator writes is counted in the API server's audit log. One operator serves the
namespaces of all tests but those that stop theirs.
"""

from __future__ import annotations

import itertools
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cluster.controlplane import ControlPlane, Options
from sluicegate.kube.resources import DATA_PRODUCTS
from tests.support.accepting_gateway import accepting, install_gateway, install_gateway_api
from tests.support.live_product import get
from tests.support.replicas import (
    ROOT,
    Write,
    apply,
    audited_writes,
    install_crds,
    product,
    read,
    replicas,
)
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(300)

RUNTIME = f"registry.example/runtime@sha256:{'d' * 64}"
KINDS = "deployments,services,httproutes,jobs,poddisruptionbudgets,horizontalpodautoscalers"
OURS = ("-l", "app.kubernetes.io/managed-by=sluicegate")
RECONCILED = 'controller_runtime_reconcile_total{controller="dataproduct",result="success"}'


USER = "products-operator"
NAMESPACES = [f"served-{number}" for number in range(16)]
APART = ("restarted", "lost")
"""Of operators that the tests stop."""
_served = itertools.cycle(NAMESPACES)  # another module has a control plane of its own


@pytest.fixture(scope="module")
def control_plane():
    """One of its own: its definition is changed under the operator's feet."""
    with ControlPlane(Options(audit=True, fake_nodes=2)) as started:
        install_crds(started)
        install_gateway_api(started)
        for name in (*NAMESPACES, *APART):
            started.kubectl("create", "namespace", name)
        with accepting(started):
            yield started


@pytest.fixture(scope="module")
def operator(control_plane, tmp_path_factory):
    """The operator of NAMESPACES."""
    folder = tmp_path_factory.mktemp("operator")
    settings = serving("default", *NAMESPACES)
    with replicas(control_plane, folder, USER, extra=settings) as (started,):
        yield started


@pytest.fixture
def namespace(operator) -> str:
    """An empty namespace that the operator serves."""
    return next(_served)


@pytest.fixture
def start(control_plane, tmp_path):
    """Starts operators that serve one namespace alone and have their Lease there."""

    def start(name: str, namespace: str):
        settings = serving(namespace, namespace)
        return replicas(control_plane, tmp_path, name, extra=settings)

    return start


def serving(own: str, *served: str) -> dict[str, str]:
    """Settings of an operator that has its Lease in its own namespace."""
    return {
        "SLUICEGATE_NAMESPACE": own,
        "SLUICEGATE_WATCH_NAMESPACES": ",".join(served),
        "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": RUNTIME,
    }


def routed(namespace: str, name: str, path: str = "/", gateway: str = "web") -> dict[str, Any]:
    body = product(namespace, name)
    body["spec"]["route"] = {
        "parentRefs": [{"name": gateway, "namespace": "gateway"}],
        "hostnames": [f"cars.{namespace}.example"],
        "path": path,
    }
    return body


def live(plane: ControlPlane, namespace: str, name: str) -> dict[str, Any]:
    return get(plane.kubeconfig, DATA_PRODUCTS.path(namespace, name))


def condition(plane: ControlPlane, namespace: str, name: str, kind: str) -> dict[str, Any]:
    found = live(plane, namespace, name).get("status", {}).get("conditions", [])
    return next((one for one in found if one["type"] == kind), {})


def is_ready(plane: ControlPlane, namespace: str, name: str) -> Callable[[], bool]:
    return lambda: condition(plane, namespace, name, "Ready").get("status") == "True"


def says(
    plane: ControlPlane, namespace: str, name: str, *, kind: str, reason: str
) -> Callable[[], str]:
    """The message of a condition, once it has this reason."""

    def message() -> str:
        found = condition(plane, namespace, name, kind)
        return str(found.get("message")) if found.get("reason") == reason else ""

    return message


def writes(plane: ControlPlane, namespace: str) -> list[Write]:
    """What the operator wrote in a namespace, but events."""
    written = audited_writes(plane, [USER])
    return [
        one
        for one in written
        if one.resource not in {"leases", "events"} and f"/{namespace}/" in f"/{one.target}"
    ]


def children(plane: ControlPlane, namespace: str) -> dict[str, dict[str, Any]]:
    found = read(plane, KINDS, "-n", namespace, *OURS)
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in found}


def settled(operator: Any) -> Callable[[], bool]:
    """Whether each product that changed has been looked at since."""
    return lambda: operator.metric('workqueue_depth{name="dataproduct"}') == 0


def owing(namespace: str, name: str) -> dict[str, Any]:
    """A product with a route and service levels."""
    body = routed(namespace, name)
    body["spec"]["slos"] = [
        {"name": "availability", "indicator": {"availability": {}}, "objective": "0.99"},
        {"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.8", "maxDrop": "0.05"},
    ]
    return body


@pytest.mark.parametrize("make", [product, routed, owing], ids=["no route", "route", "SLOs"])
def test_a_first_version_costs_few_writes(control_plane, namespace, operator, make):
    apply(control_plane, make(namespace, "cars"))
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready")
    eventually(settled(operator), what="nothing more to do")
    written = [f"{one.verb} {one.target}" for one in writes(control_plane, namespace)]
    print(f"writes of a first version: {len(written)}: {written}")
    assert len(written) <= 5, written


def test_a_product_is_never_written_but_its_status(control_plane, namespace, operator):
    body = routed(namespace, "cars")
    body["metadata"] |= {"labels": {"team": "cars"}, "annotations": {"example.com/note": "ours"}}
    apply(control_plane, body)
    before = live(control_plane, namespace, "cars")
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready")
    after = live(control_plane, namespace, "cars")
    assert json.dumps(before["spec"]) == json.dumps(after["spec"])
    for part in ("labels", "annotations", "generation", "finalizers"):
        assert before["metadata"].get(part) == after["metadata"].get(part)


def test_an_object_that_isnt_ours_is_never_applied_over(control_plane, namespace, operator):
    stranger = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "cars", "namespace": namespace},
        "spec": {"ports": [{"port": 99}]},
    }
    apply(control_plane, stranger)
    apply(control_plane, product(namespace, "cars"))
    message = eventually(
        says(control_plane, namespace, "cars", kind="Ready", reason="NameConflict"), what="told"
    )
    assert f"Service {namespace}/cars" in message
    (service,) = [
        one
        for one in read(control_plane, "services", "-n", namespace)
        if one["metadata"]["name"] == "cars"
    ]
    assert service["spec"]["ports"][0]["port"] == 99
    control_plane.kubectl("delete", "service", "cars", "-n", namespace)
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready")


def without_rules(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: without_rules(value)
            for key, value in node.items()
            if key != "x-kubernetes-validations"
        }
    return [without_rules(one) for one in node] if isinstance(node, list) else node


def test_an_object_stored_before_a_rule_existed_is_told_what_is_wrong_and_touched_by_nobody(
    control_plane, namespace, operator
):
    (path,) = (ROOT / "crds").glob("dataproducts*.yaml")
    older = json.dumps(without_rules(yaml.safe_load(path.read_text())))
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=older)
    body = product(namespace, "cars")
    body["spec"]["rollout"] = {"steps": [25, 5]}

    def stored() -> bool:
        try:
            apply(control_plane, body)
        except Exception:  # noqa: BLE001 - the server takes a moment to know the older rules
            return False
        return True

    eventually(stored, what="it is stored by the older rules")
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(path))
    message = eventually(
        says(control_plane, namespace, "cars", kind="Stalled", reason="InvalidSpec"), what="told"
    )
    assert "spec.rollout.steps" in message
    assert "increase" in message
    assert not children(control_plane, namespace)


def test_a_deleted_product_leaves_nothing_and_others_are_untouched(
    control_plane, namespace, operator
):
    apply(control_plane, routed(namespace, "cars"), routed(namespace, "vans", "/vans"))
    for name in ("cars", "vans"):
        eventually(is_ready(control_plane, namespace, name), seconds=60, what=name)
    neighbour = live(control_plane, namespace, "vans")["metadata"]["resourceVersion"]
    control_plane.kubectl("delete", "dataproduct", "cars", "-n", namespace)

    def gone() -> bool:
        return not [one for one in children(control_plane, namespace) if "/cars" in one]

    eventually(gone, seconds=60, what="its children are gone")
    assert live(control_plane, namespace, "vans")["metadata"]["resourceVersion"] == neighbour
    assert [one for one in children(control_plane, namespace) if "/vans" in one]


def test_a_product_that_is_created_again_at_once_serves(control_plane, namespace, operator):
    apply(control_plane, routed(namespace, "cars"))
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready")
    before = live(control_plane, namespace, "cars")["metadata"]["uid"]
    control_plane.kubectl("delete", "dataproduct", "cars", "-n", namespace)
    apply(control_plane, routed(namespace, "cars"))
    assert live(control_plane, namespace, "cars")["metadata"]["uid"] != before
    eventually(is_ready(control_plane, namespace, "cars"), seconds=90, what="it serves again")


def test_suspend_freezes_the_children(control_plane, namespace, operator):
    apply(control_plane, product(namespace, "cars"))
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready")
    body = product(namespace, "cars")
    body["spec"] |= {"suspend": True, "serving": {"replicas": 3}}
    apply(control_plane, body)
    generation = live(control_plane, namespace, "cars")["metadata"]["generation"]

    def seen() -> bool:
        status = live(control_plane, namespace, "cars")["status"]
        return status["observedGeneration"] == generation

    eventually(seen, what="the operator has seen it")
    found = children(control_plane, namespace)
    assert {one["spec"]["replicas"] for one in found.values() if one["kind"] == "Deployment"} == {1}
    body["spec"]["suspend"] = False
    apply(control_plane, body)

    def scaled() -> bool:
        found = children(control_plane, namespace).values()
        return {one["spec"]["replicas"] for one in found if one["kind"] == "Deployment"} == {3}

    eventually(scaled, what="the change is carried out")


def test_a_status_that_was_emptied_is_restored_from_the_deployments(
    control_plane, namespace, operator
):
    apply(control_plane, routed(namespace, "cars"))
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready")
    eventually(settled(operator), what="nothing more to do")
    before = live(control_plane, namespace, "cars")["status"]["stable"]
    deployments = {
        name: one["metadata"]["uid"] for name, one in children(control_plane, namespace).items()
    }
    control_plane.kubectl(
        "patch", "dataproduct", "cars", "-n", namespace, "--subresource=status",
        "--type=json", "-p", json.dumps([{"op": "remove", "path": "/status"}]),
    )  # fmt: skip

    def restored() -> dict[str, Any]:
        stable: dict[str, Any] = live(control_plane, namespace, "cars")["status"].get("stable", {})
        return stable

    after = eventually(restored, what="the status is back")
    for part in ("version", "image", "revision", "promotedAt"):
        assert after[part] == before[part]
    eventually(is_ready(control_plane, namespace, "cars"), what="Ready again")
    found = children(control_plane, namespace).items()
    assert {name: one["metadata"]["uid"] for name, one in found} == deployments


def test_a_product_isnt_ready_before_its_gateway_is_programmed(control_plane, namespace, operator):
    # A Gateway of its own: what was just read of another's is believed for some seconds.
    install_gateway(control_plane, "late", programmed=False)
    apply(control_plane, routed(namespace, "cars", gateway="late"))
    message = eventually(
        says(control_plane, namespace, "cars", kind="Ready", reason="RouteNotAccepted"),
        seconds=90,
        what="told",
    )
    assert message.startswith("Gateway gateway/late isn't programmed: Pending")
    install_gateway(control_plane, "late")
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready")


def test_a_restart_with_nothing_changed_writes_nothing(control_plane, start):
    namespace, names = "restarted", ("restarted-one", "restarted-two")
    apply(control_plane, *(routed(namespace, f"cars{i}", f"/{i}") for i in range(3)))
    with start(names[0], namespace) as (operator,):
        for number in range(3):
            eventually(is_ready(control_plane, namespace, f"cars{number}"), seconds=60)
        eventually(settled(operator), what="nothing more to do")
        operator.signal(signal.SIGTERM)
        assert operator.wait() == 0
    with start(names[1], namespace) as (operator,):
        eventually(lambda: operator.metric(RECONCILED) >= 3, what="all reconciled")
        eventually(settled(operator), what="nothing more to do")
    assert {one.resource for one in audited_writes(control_plane, [names[1]])} == {"leases"}


def test_what_neither_status_nor_a_deployment_tells_is_told_as_lost(control_plane, start):
    namespace = "lost"
    apply(control_plane, routed(namespace, "cars"))
    with start("lost-one", namespace) as (operator,):
        eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready")
        operator.signal(signal.SIGTERM)
        assert operator.wait() == 0
    control_plane.kubectl("delete", "deployments", "--all", "-n", namespace)
    control_plane.kubectl(
        "patch", "dataproduct", "cars", "-n", namespace, "--subresource=status",
        "--type=json", "-p", json.dumps([{"op": "remove", "path": "/status"}]),
    )  # fmt: skip
    with start("lost-two", namespace):
        eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="it serves again")

        def told() -> list[str]:
            events = read(control_plane, "events", "-n", namespace)
            return [one["message"] for one in events if one["reason"] == "StateLost"]

        (message,) = eventually(told, what="the loss is told")
    assert "no baseline is claimed" in message
    assert not live(control_plane, namespace, "cars")["status"]["stable"].get("baseline")
