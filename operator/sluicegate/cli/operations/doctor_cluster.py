"""Requirements of the operator on the API server and the nodes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sluicegate.api import names
from sluicegate.api.names import ConditionType, DecisionReason
from sluicegate.cli.inputs.cluster_access import transport
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import Forbidden, KubeError, NotFound
from sluicegate.kube.requests import ApiRequest
from sluicegate.kube.resources import (
    DATA_PRODUCTS,
    GATEWAYS,
    HTTP_ROUTES,
    LEASES,
    NAMESPACES,
    PODS,
    Key,
    Resource,
    key_of,
)
from sluicegate.kube.transport import Transport
from sluicegate.runtime.write_fence import OpenGate
from sluicegate.views.operator_lease import AbandonedLease, abandoned, leases_of
from sluicegate_service.findings import Finding

MIN_KUBERNETES: Final = (1, 33)
"""First version whose kubelet mounts image volumes without an alpha gate."""
RUNTIMES: Final = {"containerd": (2, 1), "cri-o": (1, 33)}
"""First versions of container runtimes that mount image volumes."""
NODES: Final = Resource("", "v1", "nodes", "Node")
POLICY_BINDINGS: Final = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
)  # fmt: skip
POLICIES: Final = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy"
)
NO_GATEWAY: Final = Finding.warning(
    "Gateway", "there is none: make one for spec.route.parentRefs to name"
)
POD_METRICS: Final = Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics")
IMAGE_VOLUME: Final = {
    "metadata": {"name": "sluicegate-doctor"},
    "spec": {
        "containers": [
            {
                "name": "one",
                "image": "registry.example/none",
                "volumeMounts": [{"name": "bento", "mountPath": "/bento"}],
            }
        ],
        "volumes": [{"name": "bento", "image": {"reference": "registry.example/none:1"}}],
    },
}
"""A pod like those of the operator; only for a dry run, no image is pulled."""

Body = dict[str, Any]


async def cluster_findings(namespace: str) -> list[Finding]:
    """Return findings about the cluster of the kubeconfig."""
    async with transport() as opened:
        try:
            api = KubeApi(opened, OpenGate(), field_manager="sluicegate-doctor")
            return await _findings(_Cluster(opened, api), namespace)
        except KubeError as error:
            return [Finding.error("API server", f"can't be reached: {error}")]


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Reads of the cluster, and one dry run."""

    transport: Transport
    api: KubeApi

    async def all(self, resource: Resource) -> list[Body]:
        objects: list[Body] = []
        async for page in self.api.pages(resource):
            objects += page.items
        return objects

    async def tries_pod(self, namespace: str) -> Body:
        request = ApiRequest(
            "create",
            "POST",
            PODS.path(namespace),
            query=(("dryRun", "All"),),
            body={"apiVersion": "v1", "kind": "Pod", **IMAGE_VOLUME},
        )
        return await self.transport.send(request)


async def _findings(cluster: _Cluster, namespace: str) -> list[Finding]:
    findings = list(_version(await cluster.transport.send(ApiRequest("get", "GET", "/version"))))
    if not await cluster.api.served(DATA_PRODUCTS):
        findings.append(
            Finding.error(
                "CRD dataproducts.sluicegate.dev",
                "does not exist: install the chart, or apply crds/ before it",
            )
        )
    else:
        findings += await _operators(cluster)
        findings += _unmeasured(await cluster.all(DATA_PRODUCTS))
        findings += await _policies(cluster)
        findings += await _closed_namespaces(cluster)
    findings += await _gateways(cluster)
    findings += await _image_volumes(cluster, namespace)
    findings += _nodes(await cluster.all(NODES))
    if not await cluster.api.served(POD_METRICS):
        findings.append(
            Finding.note(
                "metrics-server",
                "does not exist, so serving.autoscaling can't work: install it, or set replicas",
            )
        )
    return findings


async def _operators(cluster: _Cluster) -> list[Finding]:
    """Return findings about products whose operator's Lease has no current holder."""
    findings = []
    for key in leases_of(await cluster.all(DATA_PRODUCTS)):
        try:
            lease = abandoned(key, await cluster.api.get(LEASES, Key(*key)), datetime.now(UTC))
        except NotFound:
            lost = AbandonedLease(key, None)
            findings.append(
                Finding.warning(lost.operator, "its Lease is gone: is the chart installed?")
            )
            continue
        except Forbidden:
            continue  # the user may not read the operator's namespace
        if lease is not None:
            findings.append(Finding.warning(lease.operator, f"{lease.problem}: check its pods"))
    return findings


def _unmeasured(products: list[Body]) -> Iterator[Finding]:
    """Yield each of the operator's reports about an unreachable Prometheus once."""
    names_by_message: dict[str, list[str]] = {}
    for body in products:
        meta = body["metadata"]
        for condition in body.get("status", {}).get("conditions", ()):
            if condition["type"] == ConditionType.METRICS_AVAILABLE and (
                condition.get("reason") == DecisionReason.PROMETHEUS_UNAVAILABLE
            ):
                words = condition.get("message", "").partition(": ")[2]
                products_of = names_by_message.setdefault(words, [])
                products_of.append(f"{meta['namespace']}/{meta['name']}")
    for words, keys in names_by_message.items():
        also = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        yield Finding.error("Prometheus, as the operator reaches it", f"{words} ({keys[0]}{also})")


async def _policies(cluster: _Cluster) -> list[Finding]:
    """Return findings about the policies for approvals."""
    try:
        bindings = await cluster.all(POLICY_BINDINGS)
    except Forbidden:
        return []
    specs = [
        binding["spec"] for binding in bindings if binding["spec"]["policyName"].endswith("-roles")
    ]
    if not specs:
        text = (
            "no policy limits who approves: set roles.enforce of the chart to Audit, later to Deny"
        )
        return [Finding.note("roles", text)]
    return [
        Finding.note(
            "roles", f"{spec['policyName']} only warns: set roles.enforce of the chart to Deny"
        )
        for spec in specs
        if "Deny" not in spec.get("validationActions", ())
    ]


async def _closed_namespaces(cluster: _Cluster) -> list[Finding]:
    """Return findings about products in namespaces that the operator's policy doesn't open."""
    try:
        policies = await cluster.all(POLICIES)
        spaces = await cluster.all(NAMESPACES)
    except Forbidden:
        return []
    rules = [
        validation["expression"]
        for policy in policies
        for validation in policy["spec"].get("validations", ())
        if names.LABEL_PRODUCTS in validation["expression"]
    ]
    if not rules:
        return []
    labels = {space["metadata"]["name"]: space["metadata"].get("labels", {}) for space in spaces}
    used = {product["metadata"]["namespace"] for product in await cluster.all(DATA_PRODUCTS)}
    return [
        Finding.error(
            f"namespace {name}",
            "has products and isn't open for them, so the policy of the operator's account refuses"
            f" their pods: run kubectl label namespace {name} {names.LABEL_PRODUCTS}=true",
        )
        for name in sorted(used)
        if labels.get(name, {}).get(names.LABEL_PRODUCTS) != "true"
        and not any(f"'{name}'" in rule for rule in rules)  # it is in watchNamespaces
    ]


def _version(version: Body) -> Iterator[Finding]:
    major, minor = (
        int(re.sub(r"\D", "", str(version.get(key))) or 0) for key in ("major", "minor")
    )
    if (major, minor) < MIN_KUBERNETES:
        least = ".".join(map(str, MIN_KUBERNETES))
        yield Finding.error("Kubernetes", f"is {major}.{minor}, and {least} is needed: upgrade it")


async def _gateways(cluster: _Cluster) -> list[Finding]:
    if not (await cluster.api.served(HTTP_ROUTES) and await cluster.api.served(GATEWAYS)):
        return [
            Finding.error(
                "Gateway API",
                "v1 isn't served: install its standard channel (gateway-api's standard-install.yaml)"
                " and a Gateway controller; without spec.route products serve inside the cluster"
                " only, and canaries are split by pods",
            )
        ]
    gateways = await cluster.all(GATEWAYS)
    if not gateways:
        return [NO_GATEWAY]
    return [finding for gateway in gateways for finding in _gateway(gateway)]


def programming_problem(gateway: Body) -> str:
    """Return why a Gateway isn't programmed and the consequence; empty if it is."""
    status = gateway.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    programmed = conditions.get("Programmed", {})
    if programmed.get("status") == "True":
        return ""
    reason = programmed.get("message") or "no controller has reported on it"
    return f"isn't programmed ({reason}): its routes serve no requests"


def _gateway(body: Body) -> Iterator[Finding]:
    meta = body["metadata"]
    name = f"Gateway {key_of(body)}"
    if problem := programming_problem(body):
        yield Finding.warning(name, problem)
    for listener in body["spec"].get("listeners", ()):
        allowed = listener.get("allowedRoutes", {}).get("namespaces", {}).get("from", "Same")
        if allowed == "Same":
            yield Finding.note(
                f"{name}, listener {listener['name']}",
                f"accepts routes of the namespace {meta['namespace']} only: set"
                " allowedRoutes.namespaces.from to All or Selector for products of others",
            )


async def _image_volumes(cluster: _Cluster, namespace: str) -> list[Finding]:
    location = "image volumes"
    try:
        tried_pod = await cluster.tries_pod(namespace)
    except NotFound:
        return [
            Finding.error(
                location, f"the namespace {namespace} does not exist: choose one with --namespace"
            )
        ]
    except KubeError as error:
        if "image" in str(error) and "volume" in str(error).lower():
            return [_no_image_volumes()]
        return [Finding.warning(location, f"can't be tested in the namespace {namespace}: {error}")]
    volumes = tried_pod["spec"].get("volumes", ())
    image_kept = any("image" in volume for volume in volumes if volume["name"] == "bento")
    return [] if image_kept else [_no_image_volumes()]


def _no_image_volumes() -> Finding:
    return Finding.error(
        "image volumes",
        "are not accepted by the API server: turn on the feature gate ImageVolume on it and on the"
        " kubelets, or give bentos as archives (spec.model.bento.url)",
    )


def _nodes(nodes: list[Body]) -> Iterator[Finding]:
    for body in nodes:
        node_info = body.get("status", {}).get("nodeInfo", {})
        name, _, version = str(node_info.get("containerRuntimeVersion", "")).partition("://")
        least = RUNTIMES.get(name)
        numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
        if least and numbers and numbers < least:
            min_version = ".".join(map(str, least))
            yield Finding.error(
                f"node {body['metadata']['name']}",
                f"has {name} {version}, which mounts no image volumes: {min_version} or later does;"
                " upgrade it, or give bentos as archives (spec.model.bento.url)",
            )
