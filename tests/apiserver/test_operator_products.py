"""The operator's own process against a real API server, with pods played by kwok.

Controllers, scheduler and garbage collection are real; a gateway's acceptance is written by the
test. One operator serves the namespaces of all tests.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cluster.controlplane import ControlPlane, Options
from cluster.errors import ClusterError
from cluster.kinds import install_crds, install_gateway_api
from sluicegate.api.names import LABEL_PRODUCT
from sluicegate.kube.resources import DATA_PRODUCTS
from tests.support.apiserver.accepting_gateway import accepting
from tests.support.failures.replicas import ROOT, apply, product, read, replicas
from tests.support.node.live_product import get
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(300)

RUNTIME = f"registry.example/runtime@sha256:{'d' * 64}"
KINDS = "deployments,services,httproutes,jobs,poddisruptionbudgets,horizontalpodautoscalers"
OURS = ("-l", "app.kubernetes.io/managed-by=sluicegate")


USER = "products-operator"
NAMESPACES = [f"served-{number}" for number in range(8)]
_served = itertools.cycle(NAMESPACES)  # another module has a control plane of its own


@pytest.fixture(scope="module")
def control_plane():
    """One of its own: its definition is changed under the operator's feet."""
    with ControlPlane(Options(audit=True, fake_nodes=2)) as started:
        install_crds(started)
        install_gateway_api(started)
        for name in NAMESPACES:
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


def children(plane: ControlPlane, namespace: str) -> dict[str, dict[str, Any]]:
    found = read(plane, KINDS, "-n", namespace, *OURS)
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in found}


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


def table(plane: ControlPlane, namespace: str) -> dict[str, dict[str, str]]:
    """What `kubectl get dataproducts` shows, as the API server writes it: columns by product."""
    header, *lines = plane.kubectl("get", "dataproducts", "-n", namespace).splitlines()
    starts = [found.start() for found in re.finditer(r"\S+", header)]
    ends = [*starts[1:], None]
    rows = [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in lines]
    return {row[0].rpartition("/")[2]: dict(zip(header.split(), row, strict=True)) for row in rows}


def test_a_child_that_lost_its_label_gets_it_back(control_plane, namespace, operator):
    """No watch tells of it any more, so it was created again and again, which is a conflict."""
    apply(control_plane, routed(namespace, "cars"))
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready")
    before = children(control_plane, namespace)
    for name in before:
        control_plane.kubectl("label", name, "-n", namespace, f"{LABEL_PRODUCT}-")

    def uids() -> dict[str, str]:
        labelled = read(control_plane, KINDS, "-n", namespace, "-l", f"{LABEL_PRODUCT}=cars")
        return {
            f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["uid"] for one in labelled
        }

    expected = {name: one["metadata"]["uid"] for name, one in before.items()}
    assert {name.partition("/")[0] for name in expected} >= {"Deployment", "Service", "HTTPRoute"}
    eventually(lambda: uids() == expected, seconds=60, what="the labels of all children")
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready again")


def test_the_table_names_which_product_needs_a_person_and_why(control_plane, namespace, operator):
    suspended = product(namespace, "suspended")
    suspended["spec"]["suspend"] = True
    for body in (product(namespace, "serves"), suspended):
        apply(control_plane, body)
    eventually(is_ready(control_plane, namespace, "serves"), seconds=60, what="it serves")
    shown = eventually(
        lambda: (
            found
            if (found := table(control_plane, namespace))["suspended"]["REASON"] == "Suspended"
            else {}
        ),
        what="the reason",
    )
    assert shown["serves"]["REASON"] == ""
    assert (
        shown["serves"]["MODEL"]
        == live(control_plane, namespace, "serves")["status"]["stable"]["version"]
    )


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


POLICY: dict[str, Any] = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["apps"],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["deployments"],
                }
            ]
        },
        "validations": [
            {
                "expression": "!has(object.spec.template.metadata.labels.big)",
                "message": "nobody may be big here",
            }
        ],
    },
}


def forbid(plane: ControlPlane, namespace: str) -> None:
    """Let a policy of the cluster refuse Deployments with big pods in a namespace."""
    binding = {
        "apiVersion": POLICY["apiVersion"],
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": namespace},
        "spec": {
            "policyName": namespace,
            "validationActions": ["Deny"],
            "matchResources": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
            },
        },
    }
    apply(plane, POLICY | {"metadata": {"name": namespace}}, binding)


def in_force(plane: ControlPlane, namespace: str) -> bool:
    """Whether the policy refuses what it should."""
    labels = {"app": "try", "big": "yes"}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "try", "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "try"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "a", "image": "a"}]},
            },
        },
    }
    try:
        apply(plane, body)
    except ClusterError as error:
        return "nobody may be big" in str(error)
    plane.kubectl("delete", "deployment", "try", "-n", namespace)
    return False


def test_a_policy_that_refuses_a_change_is_told_and_ends(control_plane, namespace, operator):
    apply(control_plane, product(namespace, "cars"))
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready")
    forbid(control_plane, namespace)
    eventually(lambda: in_force(control_plane, namespace), seconds=60, what="the policy in force")
    changed = product(namespace, "cars")
    changed["spec"].setdefault("serving", {})["podLabels"] = {"big": "yes"}
    apply(control_plane, changed)
    message = eventually(
        says(control_plane, namespace, "cars", kind="Stalled", reason="ApplyRefused"), what="told"
    )
    assert "nobody may be big here" in message
    assert condition(control_plane, namespace, "cars", "Ready")["status"] == "False"
    apply(control_plane, product(namespace, "cars"))
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready again")
