"""The token of the operator in other hands, on a real API server with the chart's defaults.

Its ClusterRole is the chart's; what the role admits, the policy refuses, and the operator's own
products live on with both.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cluster.kinds import install_crds, install_gateway_api
from sluicegate.api import names
from tests.support.apiserver.people import Answer, Person, chart
from tests.support.failures.replicas import Replica, apply, product, read, ready_in_turn
from tests.support.node.live_product import get
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cluster.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).resolve().parents[2]
RELEASE = "identity-sluicegate"
SYSTEM = "sluicegate-system"
OPERATOR = f"system:serviceaccount:{SYSTEM}:{RELEASE}"
GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}", "system:authenticated")
OPEN, VICTIM = "identity-open", "identity-argocd"
"""A namespace that the platform opened for products, and one of another system."""
GRANTS = ("ClusterRole", "Role", "ServiceAccount", "ValidatingAdmissionPolicy")
PATCH = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Service": "/api/v1/namespaces/{}/services",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
}
AUTOSCALER: dict[str, Any] = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "search-ranking", "ownerReferences": [{}]},
    "spec": {
        "maxReplicas": 3,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "search-ranking-c9425c8bad"},
    },
}  # fmt: skip
FOREIGN: list[dict[str, Any]] = [
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "argocd-server"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "argocd-server"}},
            "template": {
                "metadata": {"labels": {"app": "argocd-server"}},
                "spec": {"containers": [{"name": "server", "image": "argocd"}]},
            },
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "argocd-server"},
        "spec": {"selector": {"app": "argocd-server"}, "ports": [{"port": 443}]},
    },
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "argocd-server"},
        "spec": {"parentRefs": [{"name": "web", "namespace": "gateway"}]},
    },
]
"""What the other system runs."""


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """Yield the chart's grants and policies with their defaults, an open namespace and a victim's."""
    install_crds(control_plane)
    install_gateway_api(control_plane)
    for name in (OPEN, VICTIM):
        control_plane.kubectl("create", "namespace", name)
    control_plane.kubectl("label", "namespace", OPEN, "sluicegate.dev/products=true")
    if not get_namespace(control_plane, SYSTEM):
        control_plane.kubectl("create", "namespace", SYSTEM)
    apply(control_plane, *(one for one in chart(RELEASE) if one["kind"].startswith(GRANTS)))
    for namespace in (OPEN, VICTIM):
        for one in FOREIGN:
            apply(control_plane, in_namespace(one, namespace))
        control_plane.kubectl("create", "serviceaccount", "application-controller", "-n", namespace)
    apply(control_plane, example())
    eventually(
        lambda: "controlled before" in write(control_plane, stray(OPEN)).refusal,
        what="the policy to be in force",
    )
    yield control_plane
    for one in chart(RELEASE):
        if one["kind"].startswith("ValidatingAdmissionPolicyBinding"):
            control_plane.kubectl(
                "delete", one["kind"], one["metadata"]["name"], "--ignore-not-found"
            )


def get_namespace(plane: ControlPlane, name: str) -> str:
    return plane.kubectl("get", "namespace", name, "--ignore-not-found", "-o", "name").strip()


def in_namespace(body: dict[str, Any], namespace: str) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], "namespace": namespace}}


def example() -> dict[str, Any]:
    """Return a product of the open namespace, by which a thief makes what the operator would make."""
    return product(OPEN, "search-ranking")


def owner(plane: ControlPlane) -> dict[str, Any]:
    """Return the reference to it, as the operator writes it."""
    path = f"/apis/{names.API_VERSION}/namespaces/{OPEN}/{names.PLURAL}/search-ranking"
    uid = get(plane.kubeconfig, path)["metadata"]["uid"]
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": "search-ranking",
            "uid": uid, "controller": True}  # fmt: skip


def thief(plane: ControlPlane) -> Person:
    """Return a sender with the name and the groups of the operator."""
    return Person(plane, OPERATOR, *GROUPS)


def written(plane: ControlPlane, kind: str, namespace: str = OPEN) -> dict[str, Any]:
    """Return an object of a kind as the operator writes it, for the product."""
    golden = ROOT / "tests" / "golden" / "manifests" / "search-ranking.yaml"
    documents = [*yaml.safe_load_all(golden.read_text(encoding="utf-8")), copy.deepcopy(AUTOSCALER)]
    body = next(document for document in documents if document["kind"] == kind)
    body["metadata"] |= {"namespace": namespace, "ownerReferences": [owner(plane)]}
    return dict(body)


def write(plane: ControlPlane, body: dict[str, Any]) -> Answer:
    """Create an object with the operator's token; as a dry run, which admission sees all the same."""
    path = PATHS[body["kind"]].format(body["metadata"]["namespace"])
    return thief(plane).send("POST", path, body, dryRun="All")


def change(plane: ControlPlane, kind: str, namespace: str, name: str, body: Any) -> Answer:
    """Merge a change into an object with the operator's token."""
    path = f"{PATHS[kind].format(namespace)}/{name}"
    return thief(plane).send("PATCH", path, body, kind=PATCH, dryRun="All")


def delete(plane: ControlPlane, kind: str, namespace: str, name: str) -> Answer:
    """Delete an object with the operator's token."""
    return thief(plane).send("DELETE", f"{PATHS[kind].format(namespace)}/{name}", dryRun="All")


def stray(namespace: str) -> dict[str, Any]:
    return in_namespace(FOREIGN[1], namespace) | {"metadata": {"namespace": namespace, "name": "x"}}


def pod_with(**fields: Any) -> Callable[[ControlPlane], Answer]:
    """Return a Deployment of the product whose pod has these fields."""
    return lambda plane: write(plane, changed(plane, "Deployment", lambda pod: pod.update(fields)))


def server_with(**fields: Any) -> Callable[[ControlPlane], Answer]:
    """Return a Deployment of the product whose container has these fields."""
    return lambda plane: write(
        plane, changed(plane, "Deployment", lambda pod: pod["containers"][0].update(fields))
    )


def secured_with(**fields: Any) -> Callable[[ControlPlane], Answer]:
    """Return a Deployment of the product whose container has these fields in its security context."""

    def secure(pod: dict[str, Any]) -> None:
        pod["containers"][0]["securityContext"].update(fields)

    return lambda plane: write(plane, changed(plane, "Deployment", secure))


def volume_of(**source: Any) -> Callable[[ControlPlane], Answer]:
    """Return a Deployment of the product with a volume from this source."""
    return lambda plane: write(
        plane,
        changed(plane, "Deployment", lambda pod: pod["volumes"].append({"name": "x", **source})),
    )


def ephemeral(**claim: Any) -> Callable[[ControlPlane], Answer]:
    """Return a Deployment of the product with a volume from a claim that is made for its pod."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        **claim,
    }
    return volume_of(ephemeral={"volumeClaimTemplate": {"spec": spec}})


def changed(
    plane: ControlPlane, kind: str, edit: Callable[[dict[str, Any]], object]
) -> dict[str, Any]:
    body = written(plane, kind)
    edit(body["spec"]["template"]["spec"])
    return body


def job_as(account: str, **fields: Any) -> Callable[[ControlPlane], Answer]:
    """Return a training of the product that runs as an account of its namespace."""
    pod = {"serviceAccountName": account, "automountServiceAccountToken": True, **fields}
    return lambda plane: write(plane, changed(plane, "Job", lambda one: one.update(pod)))


def with_owners(
    kind: str, namespace: str, *others: dict[str, Any]
) -> Callable[[ControlPlane], Answer]:
    """Return an object of a kind with further owners beside the product."""

    def send(plane: ControlPlane) -> Answer:
        body = written(plane, kind, namespace)
        body["metadata"]["ownerReferences"] += others
        return write(plane, body)

    return send


def taken_over(kind: str, namespace: str) -> Callable[[ControlPlane], Answer]:
    """Return another system's object, which gets the product as its owner and a change in one request."""
    return lambda plane: change(
        plane, kind, namespace, "argocd-server",
        {"metadata": {"ownerReferences": [owner(plane)], "labels": {"app": "theirs"}}},
    )  # fmt: skip


def disowned(plane: ControlPlane) -> Answer:
    """Return an object of the product that gets another owner, by which the garbage collector deletes it."""
    living = written(plane, "Service")
    living["metadata"]["name"] = "search-ranking"
    apply(plane, living)
    owners = [{**owner(plane), "uid": "9a3a3a3a-0000-4000-8000-000000000000"}]
    return change(
        plane, "Service", OPEN, "search-ranking", {"metadata": {"ownerReferences": owners}}
    )


def other(kind: str, edit: Callable[[dict[str, Any]], object]) -> Callable[[ControlPlane], Answer]:
    """Return an object of the product with a changed spec."""

    def send(plane: ControlPlane) -> Answer:
        body = written(plane, kind)
        edit(body)
        return write(plane, body)

    return send


ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "application-controller",
           "uid": "9a3a3a3a-0000-4000-8000-000000000001"}  # fmt: skip
ESCALATIONS: dict[str, tuple[Callable[[ControlPlane], Answer], str]] = {
    "a Job as another system's account, in its namespace": (
        with_owners("Job", VICTIM, ACCOUNT), "one owner"),
    "a Job in another system's namespace": (with_owners("Job", VICTIM), "kubectl label namespace"),
    "a Job as an account that the platform does not allow": (
        job_as("application-controller"), "allowed-training-accounts"),
    "a Job as an account by the deprecated field": (
        job_as("application-controller", serviceAccount="application-controller"),
        "allowed-training-accounts"),
    "a Deployment as an account": (
        pod_with(serviceAccountName="application-controller"), "does not allow the service account"),
    "a second owner that lives": (with_owners("Deployment", OPEN, ACCOUNT), "one owner"),
    "another system's Deployment": (taken_over("Deployment", VICTIM), "controlled before"),
    "another system's Service": (taken_over("Service", VICTIM), "controlled before"),
    "another system's route": (taken_over("HTTPRoute", VICTIM), "controlled before"),
    "a Deployment of its own namespace that it does not own": (
        taken_over("Deployment", OPEN), "controlled before"),
    "the deletion of another's Deployment": (
        lambda plane: delete(plane, "Deployment", VICTIM, "argocd-server"), "controlled before"),
    "the deletion of another's Service": (
        lambda plane: delete(plane, "Service", OPEN, "argocd-server"), "controlled before"),
    "the deletion of the API server's Service": (
        lambda plane: delete(plane, "Service", "default", "kubernetes"), "controlled before"),
    "the collection of the API server's Service as garbage": (
        lambda plane: change(plane, "Service", "default", "kubernetes",
                             {"metadata": {"ownerReferences": [owner(plane)]}}), "controlled before"),
    "a dangling owner for an object of its own": (disowned, "changes no owners"),
    "a system namespace": (with_owners("Deployment", "kube-system"), "system namespaces"),
    "its own namespace": (with_owners("Deployment", SYSTEM), "system namespaces"),
    "the token of the default account": (job_as("default"), "no token"),
    "a token of a server": (pod_with(automountServiceAccountToken=True), "no token"),
    "a pod that is root": (
        pod_with(securityContext={"runAsNonRoot": False}), "no root"),
    "privileges while a pod begins": (
        lambda plane: write(plane, changed(
            plane, "Deployment", lambda pod: pod["initContainers"][0].pop("securityContext"))),
        "no privileges"),
    "a node by its name": (pod_with(nodeName="node-0"), "no nodeName"),
    "the host's network": (pod_with(hostNetwork=True), "no host namespaces"),
    "the host's processes": (pod_with(hostPID=True), "no host namespaces"),
    "a port of the host": (
        server_with(ports=[{"containerPort": 80, "hostPort": 80}]), "no ports of the host"),
    "a user that is root": (secured_with(runAsNonRoot=False, runAsUser=0), "no root"),
    "a capability": (secured_with(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}), "no capabilities"),
    "no seccomp profile": (secured_with(seccompProfile={"type": "Unconfined"}), "no privileges"),
    "a seccomp profile of the node": (
        secured_with(seccompProfile={"type": "Localhost", "localhostProfile": "audit.json"}),
        "no profiles of their own"),
    "privileges": (secured_with(privileged=True, allowPrivilegeEscalation=True), "no privileges"),
    "the host's files": (volume_of(hostPath={"path": "/"}), "kinds emptyDir"),
    "a token in a volume": (
        volume_of(projected={"sources": [{"serviceAccountToken": {"path": "t"}}]}), "kinds emptyDir"),
    "a disk by iSCSI": (
        volume_of(iscsi={"targetPortal": "a", "iqn": "iqn.2001-04.com.example:a", "lun": 1}), "kinds emptyDir"),
    "a disk by Fibre Channel": (volume_of(fc={"wwids": ["a"]}), "kinds emptyDir"),
    "a disk by a driver of the node": (volume_of(flexVolume={"driver": "a/b"}), "kinds emptyDir"),
    "a disk of a cloud": (volume_of(awsElasticBlockStore={"volumeID": "a"}), "kinds emptyDir"),
    "a share of a cloud": (
        volume_of(azureFile={"secretName": "a", "shareName": "b"}), "kinds emptyDir"),
    "a volume of another namespace by an ephemeral claim": (
        ephemeral(volumeName="ledgers"), "name no volume"),
    "the content of another namespace's claim": (
        ephemeral(dataSourceRef={"kind": "PersistentVolumeClaim", "name": "a", "namespace": VICTIM}),
        "no source of another"),
    "an object with another's name": (
        other("Deployment", lambda one: one["metadata"].update(name="argocd-repo")), "have the name"),
    "a pod that another Service selects": (
        other("Deployment", lambda one: (
            one["spec"]["selector"].update(matchLabels={"app": "x"}),
            one["spec"]["template"]["metadata"].update(labels={"app": "x"}))), "have the label"),
    "a pod that the Service of a Helm release selects": (
        other("Deployment", lambda one: one["spec"]["template"]["metadata"]["labels"].update(
            {"app.kubernetes.io/name": "payments", "app.kubernetes.io/instance": "payments"})),
        "app.kubernetes.io/name with bento"),
    "a Service in front of another's pods": (
        other("Service", lambda one: one["spec"].update(selector={"app": "argocd-server"})),
        "select pods of their DataProduct"),
    "an address outside of the cluster": (
        other("Service", lambda one: one["spec"].update(externalIPs=["192.0.2.1"])),
        "no address outside"),
    "a port of the nodes": (
        other("Service", lambda one: one["spec"].update(type="NodePort")), "no address outside"),
    "a route to another's Service": (
        other("HTTPRoute", lambda one: one["spec"].update(
            rules=[{"backendRefs": [{"name": "argocd-server", "port": 443}]}])), "send requests to"),
    "a route to a Service whose name begins alike": (
        other("HTTPRoute", lambda one: one["spec"].update(
            rules=[{"backendRefs": [{"name": "search-ranking-admin", "port": 443}]}])), "send requests to"),
    "a route to another namespace": (
        other("HTTPRoute", lambda one: one["spec"]["rules"][0]["backendRefs"][0].update(
            namespace=VICTIM)), "send requests to"),
    "a copy of all requests": (
        other("HTTPRoute", lambda one: one["spec"]["rules"][0].update(filters=[
            {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "x", "port": 80}}}])),
        "send requests to"),
    "a budget for another's pods": (
        other("PodDisruptionBudget", lambda one: one["spec"].update(
            selector={"matchLabels": {"app": "argocd-server"}})), "PodDisruptionBudgets select"),
    "the number of another's pods": (
        other("HorizontalPodAutoscaler", lambda one: one["spec"]["scaleTargetRef"].update(
            name="argocd-server")), "autoscalers scale"),
    "the number of pods of a Deployment whose name begins alike": (
        other("HorizontalPodAutoscaler", lambda one: one["spec"]["scaleTargetRef"].update(
            name="search-ranking-admin")), "autoscalers scale"),
}  # fmt: skip


@pytest.mark.parametrize(("attempt", "said"), ESCALATIONS.values(), ids=ESCALATIONS)
def test_the_token_of_the_operator_grants_only_the_rights_that_products_need(plane, attempt, said):
    answer = attempt(plane)
    assert said in answer.refusal, answer


@pytest.mark.parametrize("kind", PATHS)
def test_the_operator_writes_changes_and_deletes_the_objects_of_a_product(plane, kind):
    body = written(plane, kind)
    if body["kind"] == "Job":
        body["spec"]["template"]["spec"].pop("serviceAccountName")
        body["spec"]["template"]["spec"]["automountServiceAccountToken"] = False
    path = f"{PATHS[kind].format(OPEN)}/{body['metadata']['name']}"
    query = {"fieldManager": "sluicegate", "force": "true"}
    for labels in ({}, {"again": "true"}):
        body["metadata"].setdefault("labels", {}).update(labels)
        answer = thief(plane).send("PATCH", path, body, kind=APPLY, **query)
        assert answer.allowed, answer.refusal
    assert thief(plane).send("DELETE", path).allowed


def test_a_namespace_limits_the_accounts_secrets_and_claims_of_its_products(plane):
    def annotate(**allowed: str) -> None:
        values = {
            f"sluicegate.dev/allowed-{key.replace('_', '-')}": value
            for key, value in allowed.items()
        }
        body = json.dumps({"metadata": {"annotations": values}})
        plane.kubectl("patch", "namespace", OPEN, "--type=merge", "-p", body)

    job = written(plane, "Job")
    account = job["spec"]["template"]["spec"]["serviceAccountName"]
    assert "allowed-training-accounts" in write(plane, job).refusal
    annotate(training_accounts=f"other, {account}")
    eventually(lambda: write(plane, job).allowed, what="the account to be allowed")
    annotate(secrets="nothing")
    eventually(lambda: "allowed-secrets" in write(plane, job).refusal, what="the Secrets' limit")
    annotate(secrets="*", claims="models")
    claim = volume_of(persistentVolumeClaim={"claimName": "ledgers"})
    eventually(lambda: "allowed-claims" in claim(plane).refusal, what="the claims' limit")
    copy_of_claim = ephemeral(dataSource={"kind": "PersistentVolumeClaim", "name": "ledgers"})
    assert "allowed-claims" in copy_of_claim(plane).refusal
    assert ephemeral()(plane).allowed
    assert volume_of(persistentVolumeClaim={"claimName": "models"})(plane).allowed


READS_KEY: dict[str, Any] = {
    "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}}]
}
READS_ALL: dict[str, Any] = {"envFrom": [{"secretRef": {"name": "other"}}]}
WAYS_TO_A_SECRET: dict[str, Callable[[dict[str, Any]], object]] = {
    "volume": lambda pod: pod["volumes"].append({"name": "x", "secret": {"secretName": "other"}}),
    "pull": lambda pod: pod["imagePullSecrets"].append({"name": "other"}),
    "variable": lambda pod: pod["containers"][0].update(READS_KEY),
    "variables": lambda pod: pod["containers"][0].update(READS_ALL),
    "variable of an init container": lambda pod: add_init_container(pod, READS_KEY),
    "variables of an init container": lambda pod: add_init_container(pod, READS_ALL),
}
"""Each way by which a pod reads the Secret named `other`."""


def add_init_container(pod: dict[str, Any], fields: dict[str, Any]) -> None:
    container = copy.deepcopy(pod["containers"][0]) | {"name": "x"}
    container.pop("lifecycle", None)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        container.pop(probe, None)
    pod["initContainers"] = [*pod.get("initContainers", ()), container | fields]


@pytest.mark.parametrize("way", WAYS_TO_A_SECRET)
def test_the_secrets_of_a_namespace_are_bounded_by_each_way_into_a_pod(plane, way):
    body = changed(plane, "Deployment", WAYS_TO_A_SECRET[way])
    allowed = {"sluicegate.dev/allowed-secrets": "registry, search-ranking-feedback, feature-store"}
    patch = ("patch", "namespace", OPEN, "--type=merge", "-p")
    plane.kubectl(*patch, json.dumps({"metadata": {"annotations": allowed}}))
    eventually(lambda: "allowed-secrets" in write(plane, body).refusal, what="the Secrets' limit")
    assert write(plane, written(plane, "Deployment")).allowed, "its own Secrets"
    allowed["sluicegate.dev/allowed-secrets"] = "*"
    plane.kubectl(*patch, json.dumps({"metadata": {"annotations": allowed}}))
    eventually(lambda: write(plane, body).allowed, what="the Secret to be allowed")


def test_a_route_of_previews_leads_to_the_service_of_candidates(plane):
    route = written(plane, "HTTPRoute")
    (rule,) = route["spec"]["rules"]
    rule["backendRefs"] = [rule["backendRefs"][0] | {"name": "search-ranking-candidate"}]
    assert write(plane, route).allowed
    rule["backendRefs"] = [rule["backendRefs"][0] | {"name": "search-ranking-other"}]
    assert "Services of their DataProduct" in write(plane, route).refusal


def test_a_product_serves_under_the_admission_policy_and_names_a_missing_namespace_label(
    plane, tmp_path
):
    closed = "identity-closed"
    plane.kubectl("create", "namespace", closed)
    settings = {
        "KUBECONFIG": str(plane.kubeconfig_for(OPERATOR, GROUPS)),
        "SLUICEGATE_NAMESPACE": SYSTEM,
        "SLUICEGATE_WATCH_NAMESPACES": f"{OPEN},{closed}",
        "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": f"registry.example/runtime@sha256:{'d' * 64}",
    }
    with ready_in_turn([Replica(plane, "identity", tmp_path, extra=settings)]):
        for namespace in (OPEN, closed):
            apply(plane, product(namespace, "cars"))
        eventually(
            lambda: condition(plane, OPEN, "Ready")["status"] == "True", seconds=60, what="ready"
        )
        stalled = eventually(lambda: refused(plane, closed), seconds=60, what="the refusal")
        assert f"kubectl label namespace {closed} sluicegate.dev/products=true" in stalled
        plane.kubectl("label", "namespace", closed, "sluicegate.dev/products=true")
        eventually(
            lambda: condition(plane, closed, "Ready")["status"] == "True", seconds=90,
            what="the product of the namespace that is open now",
        )  # fmt: skip
        changed = product(OPEN, "cars")
        changed["spec"]["serving"] = {"podLabels": {"team": "cars"}}
        apply(plane, changed)
        eventually(lambda: labelled(plane), seconds=60, what="the change in its Deployment")


def condition(plane: ControlPlane, namespace: str, kind: str) -> dict[str, str]:
    (one,) = (
        each
        for each in read(plane, "dataproducts", "-n", namespace)
        if each["metadata"]["name"] == "cars"
    )
    conditions = one.get("status", {}).get("conditions", ())
    return next(
        (each for each in conditions if each["type"] == kind), {"status": "", "message": ""}
    )


def refused(plane: ControlPlane, namespace: str) -> str:
    stalled = condition(plane, namespace, "Stalled")
    return stalled["message"] if stalled.get("reason") == "ApplyRefused" else ""


def deployments(plane: ControlPlane) -> list[dict[str, Any]]:
    return read(plane, "deployments", "-n", OPEN, "-l", "sluicegate.dev/product=cars")


def labelled(plane: ControlPlane) -> bool:
    return any(
        deployment["spec"]["template"]["metadata"]["labels"].get("team") == "cars"
        for deployment in deployments(plane)
    )
