"""Objects that serve a packed bento like the operator's pods, for tests without the operator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sluicegate.api import names
from sluicegate.api.names import Component
from sluicegate.manifests.common import HTTP_PORT
from sluicegate.manifests.names import version_name
from sluicegate_service.environment import CONSUMERS, NAMESPACE, REVISION, VERSION
from sluicegate_service.environment import PRODUCT as PRODUCT_VARIABLE

if TYPE_CHECKING:
    from sluicegate.api.versions import Release

PRODUCT, CONSUMER = "churn", "catalog/ranking"
USER = 1_000_770_000
"""A user of a namespace's range, as OpenShift assigns one: with it goes group 0, and no image knows it."""
LAUNCHER = ("python", "-m", "sluicegate_service.launcher", "/bento")
RUNTIME_CHECK = ("python", "-m", "sluicegate_service.runtime_check", "/bento")
SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": 0,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
MODEST = {"requests": {"cpu": "50m", "memory": "160Mi"}}
"""Without a request a pod gets next to nothing of a node on which others work."""
MOUNTS = [
    {"name": "bento", "mountPath": "/bento", "readOnly": True},
    {"name": "home", "mountPath": "/var/lib/bentoml"},
    {"name": "tmp", "mountPath": "/tmp"},
]


def container(name: str, image: str, *command: str, **fields: Any) -> dict[str, Any]:
    """Return a container with the bento, scratch space and no rights."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "Never",
        "command": list(command),
        "env": [{"name": "BENTOML_HOME", "value": "/var/lib/bentoml"}],
        "securityContext": RESTRICTED,
        "volumeMounts": MOUNTS,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **fields,
    }


def pod_spec(
    bento: dict[str, Any], *containers: dict[str, Any], init: tuple[dict[str, Any], ...] = ()
) -> dict[str, Any]:
    """Return a pod whose volume `bento` has the source `bento`: an image or an emptyDir."""
    return {
        "securityContext": SECURITY,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "initContainers": list(init),
        "containers": list(containers),
        "volumes": [
            {"name": "bento", **bento},
            {"name": "home", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def image_volume(reference: str) -> dict[str, Any]:
    """Return the source of a volume that is a packed bento."""
    return {"image": {"reference": reference, "pullPolicy": "IfNotPresent"}}


def ready_at(port: int | str) -> dict[str, Any]:
    """Return the readiness probe of the operator's own pods."""
    http = {"path": "/readyz", "port": port}
    return {"httpGet": http, "timeoutSeconds": 3, "periodSeconds": 2, "failureThreshold": 5}


def server(runtime: str, *variables: dict[str, str]) -> dict[str, Any]:
    """Return the container that serves the bento."""
    main = container(
        "server",
        runtime,
        *LAUNCHER,
        ports=[
            {"name": "http", "containerPort": 3000},
            {"name": "metrics", "containerPort": 3001},
        ],
        readinessProbe=ready_at("metrics"),
        resources=MODEST,
    )
    return main | {"env": [*main["env"], *variables]}


def identity(namespace: str, release: Release) -> list[dict[str, str]]:
    """Return the variables by which the pods of a version mark their answers to a consumer."""
    values = {
        NAMESPACE: namespace,
        PRODUCT_VARIABLE: PRODUCT,
        VERSION: release.version,
        REVISION: release.revision,
        CONSUMERS: json.dumps([CONSUMER]),
    }
    return [{"name": name, "value": value} for name, value in values.items()]


def served_name(release: Release) -> str:
    """Return the name of the Deployment and the Service of a version of the product."""
    return version_name(PRODUCT, release.revision)


def version_objects(release: Release, namespace: str = "catalog") -> list[dict[str, Any]]:
    """Return a Deployment and a Service of one version of the product, with the operator's names and labels.

    The documented scrape jobs read no pod whose labels don't name the Deployment that it belongs to.
    """
    name, runtime = served_name(release), release.runtime_image
    selector = {
        names.LABEL_PRODUCT: PRODUCT,
        names.LABEL_COMPONENT: str(Component.SERVER),
        names.LABEL_REVISION: release.revision,
    }
    labels = selector | {names.LABEL_VERSION: release.version}
    check = container("runtime-check", runtime, *RUNTIME_CHECK)
    serving = server(runtime, *identity(namespace, release))
    template = {
        "metadata": {"labels": labels},
        "spec": pod_spec(image_volume(release.image), serving, init=(check,)),
    }
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": labels},
            "spec": {"replicas": 1, "selector": {"matchLabels": selector}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "labels": labels},
            "spec": {"selector": selector, "ports": [{"port": HTTP_PORT, "targetPort": "http"}]},
        },
    ]


def route(host: str, weights: dict[str, int]) -> dict[str, Any]:
    """Return an HTTPRoute from the cluster's gateway to Services, with a weight for each name."""
    backends = [
        {"name": name, "port": HTTP_PORT, "weight": weight} for name, weight in weights.items()
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": PRODUCT},
        "spec": {
            "parentRefs": [{"name": "web", "namespace": "gateway"}],
            "hostnames": [host],
            "rules": [{"backendRefs": backends}],
        },
    }
