"""Objects that every add-on has, built the same way for all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cluster.addons.addon import LABELS, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One program behind a Deployment and a node port.

    `ports` are the container's by name; `node_port` leads to the first of them, None to none. `files` go
    into a ConfigMap at `files_path`; `data_path` is an emptyDir that lives as long as the pod.
    """

    name: str
    namespace: str
    image: str
    user: int
    arguments: tuple[str, ...]
    ports: Mapping[str, int]
    node_port: int | None
    ready_path: str
    ready_port: str
    ready_scheme: str = "HTTP"
    memory: str
    cpu: str = "20m"
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    files_path: str = ""
    data_path: str = ""
    service_account: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """What its Service selects its pods by, and Prometheus too."""
        return {"app.kubernetes.io/name": self.name}


def namespace(name: str) -> Manifest:
    """Return a namespace that holds its pods to the restricted profile."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }


def server_objects(server: Server) -> tuple[Manifest, ...]:
    """Return Deployment, Service and ConfigMap of a server."""
    objects = [_deployment(server), _service(server)]
    if server.files:
        objects.insert(0, _config_map(server))
    return tuple(objects)


def reader(name: str, namespace: str, rules: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """Return a service account with a cluster role of its own."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    rbac = "rbac.authorization.k8s.io/v1"
    return (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(name, namespace)},
        {"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": name}, "rules": [*rules]},
        {
            "apiVersion": rbac,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": role,
            "subjects": [subject],
        },
    )


def rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Manifest:
    """Return one rule of a role."""
    return {"apiGroups": [group], "resources": [*resources], "verbs": [*verbs]}


def _metadata(name: str, namespace: str) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "labels": LABELS}


def _config_map(server: Server) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(server.name, server.namespace),
        "data": dict(server.files),
    }


def _service(server: Server) -> Manifest:
    first = next(iter(server.ports))
    ports = [
        {"name": name, "port": port, "targetPort": name}
        | ({"nodePort": server.node_port} if server.node_port and name == first else {})
        for name, port in server.ports.items()
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(server.name, server.namespace),
        "spec": {
            "type": "NodePort" if server.node_port else "ClusterIP",
            "selector": server.labels,
            "ports": ports,
        },
    }


def _deployment(server: Server) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(server.name, server.namespace),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": server.labels},
            # Two of them would share neither data nor the node's port.
            "strategy": {"type": "Recreate"},
            "template": {
                "metadata": {"labels": server.labels, "annotations": _files_hash(server)},
                "spec": _pod(server),
            },
        },
    }


def _files_hash(server: Server) -> dict[str, str]:
    """Return a hash of the files: as an annotation of the pods it restarts them when a file changes."""
    text = json.dumps(dict(server.files), sort_keys=True)
    return {"sluicegate.dev/files": hashlib.sha256(text.encode()).hexdigest()[:16]}


def _pod(server: Server) -> Manifest:
    spec: dict[str, Any] = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": server.user,
            "runAsGroup": server.user,
            "fsGroup": server.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "automountServiceAccountToken": bool(server.service_account),
        "terminationGracePeriodSeconds": 10,
        "containers": [_container(server)],
        "volumes": _volumes(server),
    }
    if server.service_account:
        spec["serviceAccountName"] = server.service_account
    return spec


def _container(server: Server) -> Manifest:
    mounts = [{"name": "scratch", "mountPath": "/tmp"}]  # noqa: S108 - an emptyDir of its own
    if server.files:
        mounts.append({"name": "files", "mountPath": server.files_path})
    if server.data_path:
        mounts.append({"name": "data", "mountPath": server.data_path})
    return {
        "name": server.name,
        "image": server.image,
        "imagePullPolicy": "Never",
        "args": list(server.arguments),
        "env": [{"name": name, "value": value} for name, value in server.environment.items()],
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in server.ports.items()
        ],
        "readinessProbe": {
            "httpGet": {
                "path": server.ready_path,
                "port": server.ready_port,
                "scheme": server.ready_scheme,
            },
            "periodSeconds": 1,
        },
        "resources": {"requests": {"cpu": server.cpu, "memory": server.memory}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def _volumes(server: Server) -> list[Manifest]:
    volumes: list[Manifest] = [{"name": "scratch", "emptyDir": {}}]
    if server.files:
        volumes.append({"name": "files", "configMap": {"name": server.name}})
    if server.data_path:
        volumes.append({"name": "data", "emptyDir": {}})
    return volumes
