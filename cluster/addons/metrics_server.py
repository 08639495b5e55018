"""What an autoscaler reads: the kubelet's numbers of each pod, as an API of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.addons.addon import Addon, Manifest
from cluster.addons.manifests import Server, namespace, reader, rule, server_objects

if TYPE_CHECKING:
    from cluster.addons.addresses import Addresses
    from cluster.addons.options import Options

NAME = "metrics-server"
NAMESPACE = "metrics"
GROUP, VERSION = "metrics.k8s.io", "v1beta1"
RBAC = "rbac.authorization.k8s.io"


def metrics_server(_where: Addresses, _options: Options, image: str) -> Addon:
    """Return the add-on; it is ready after its first measurement."""
    server = Server(
        name=NAME,
        namespace=NAMESPACE,
        image=image,
        user=65534,
        arguments=(
            "--secure-port=10250",
            "--cert-dir=/tmp",
            # The kubelet signs its own certificate; the token is refused by anyone else.
            "--kubelet-insecure-tls",
            "--kubelet-preferred-address-types=InternalIP",
            # The least that it takes; the kubelet measures its pods about as often.
            "--metric-resolution=10s",
            "--kubelet-request-timeout=5s",
        ),
        ports={"https": 10250},
        node_port=None,
        ready_path="/readyz",
        ready_port="https",
        ready_scheme="HTTPS",
        memory="64Mi",
        service_account=NAME,
    )
    return Addon(
        name=NAME,
        namespace=NAMESPACE,
        objects=(
            namespace(NAMESPACE),
            *reader(NAME, NAMESPACE, _rules()),
            *_delegation(),
            *server_objects(server),
            _api_service(),
        ),
        conditions=(f"apiservice/{VERSION}.{GROUP}", "--for=condition=Available"),
    )


def _rules() -> list[Manifest]:
    return [
        rule("", ("nodes", "pods"), ("get", "list", "watch")),
        rule("", ("nodes/metrics",), ("get",)),
    ]


def _delegation() -> tuple[Manifest, ...]:
    """Return the permissions to review tokens and access, by which it authenticates its clients."""
    subjects = [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}]
    delegator = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "system:auth-delegator"}
    authorities = "extension-apiserver-authentication-reader"
    return (
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"{NAME}:auth-delegator"},
            "roleRef": delegator,
            "subjects": subjects,
        },
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": f"{NAME}-auth-reader", "namespace": "kube-system"},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": authorities},
            "subjects": subjects,
        },
    )


def _api_service() -> Manifest:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{VERSION}.{GROUP}"},
        "spec": {
            "service": {"name": NAME, "namespace": NAMESPACE, "port": 10250},
            "group": GROUP,
            "version": VERSION,
            # Its certificate is made when it starts.
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }
