"""The Gateway API and a gateway that honours weights: Traefik, as pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from cluster import builds
from cluster.addons.addon import Addon, Manifest
from cluster.addons.addresses import GATEWAY_PORT, Addresses
from cluster.addons.manifests import Server, namespace, reader, rule, server_objects
from cluster.definitions import wait_until_established
from cluster.versions import versions

if TYPE_CHECKING:
    from cluster.addons.options import Options
    from cluster.backend import Backend

NAMESPACE = "gateway"
GATEWAY = "web"
CLASS = "traefik"
GROUP = "gateway.networking.k8s.io"
MODULE = "sigs.k8s.io/gateway-api"
WEB_PORT = 8000
CONTROL_PORT = 8080
WATCH = ("get", "list", "watch")
KINDS = (
    "backendtlspolicies",
    "gatewayclasses",
    "gateways",
    "grpcroutes",
    "httproutes",
    "referencegrants",
    "tcproutes",
    "tlsroutes",
)
ARGUMENTS = (
    "--providers.kubernetesgateway",
    f"--providers.kubernetesgateway.statusaddress.hostname=traefik.{NAMESPACE}.svc",
    # A weight that is written should be served soon: what is observed next depends on it.
    "--providers.providersthrottleduration=200ms",
    f"--entrypoints.web.address=:{WEB_PORT}",
    f"--entrypoints.control.address=:{CONTROL_PORT}",
    "--ping=true",
    "--ping.entrypoint=control",
    "--metrics.prometheus=true",
    "--metrics.prometheus.entrypoint=control",
    "--metrics.prometheus.addServicesLabels=true",
    "--metrics.prometheus.addRoutersLabels=true",
    "--global.checkNewVersion=false",
    "--global.sendAnonymousUsage=false",
    "--log.level=WARN",
)


def gateway(reached: Addresses, _options: Options, image: str) -> Addon:
    """Return the add-on: the Gateway `web` in the namespace `gateway`, open to routes of all."""
    server = Server(
        name="traefik",
        namespace=NAMESPACE,
        image=image,
        user=65532,
        arguments=ARGUMENTS,
        ports={"web": WEB_PORT, "metrics": CONTROL_PORT},
        node_port=GATEWAY_PORT,
        ready_path="/ping",
        ready_port="metrics",
        memory="96Mi",
        # Its share where pods that train or start want all there is.
        cpu="200m",
        service_account="traefik",
    )
    objects = (
        namespace(NAMESPACE),
        *reader("traefik", NAMESPACE, _rules()),
        *server_objects(server),
        _class(),
        _gateway(),
    )
    return Addon(
        name=server.name,
        namespace=NAMESPACE,
        objects=objects,
        answers_at=f"{reached.gateway}/",
        conditions=(f"gateway/{GATEWAY}", "--for=condition=Programmed"),
        prepare=_install_definitions,
        fingerprint=versions().modules[MODULE],
    )


def _rules() -> list[Manifest]:
    """Return the permissions of Traefik's provider.

    Without one of them it never starts to route.
    """
    return [
        rule("", ("configmaps", "namespaces", "nodes", "secrets", "services"), WATCH),
        rule("discovery.k8s.io", ("endpointslices",), WATCH),
        rule(GROUP, KINDS, WATCH),
        rule(GROUP, [f"{kind}/status" for kind in KINDS], ("update",)),
    ]


def _class() -> Manifest:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "GatewayClass",
        "metadata": {"name": CLASS},
        "spec": {"controllerName": "traefik.io/gateway-controller"},
    }


def _gateway() -> Manifest:
    listener = {
        "name": "http",
        "protocol": "HTTP",
        "port": WEB_PORT,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": NAMESPACE},
        "spec": {"gatewayClassName": CLASS, "listeners": [listener]},
    }


def _install_definitions(backend: Backend) -> None:
    """Install all CRDs of the standard channel, from the module that defines them."""
    folder = builds.module_folder(MODULE) / "config" / "crd" / "standard"
    texts = [path.read_text() for path in sorted(folder.glob("*.yaml"))]
    backend.apply("\n---\n".join(texts))
    documents = [document for text in texts for document in yaml.safe_load_all(text) if document]
    names = [
        f"crd/{document['metadata']['name']}"
        for document in documents
        if document["kind"] == "CustomResourceDefinition"
    ]
    wait_until_established(backend.run_kubectl, *names)
