"""Prometheus 3, reading products, the gateway, the operator and the kubelet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cluster.addons.addon import Addon, Manifest
from cluster.addons.addresses import PROMETHEUS_PORT, Addresses
from cluster.addons.manifests import Server, namespace, reader, rule, server_objects
from cluster.addons.scraping import configuration

if TYPE_CHECKING:
    from cluster.addons.options import Options

NAMESPACE = "monitoring"
DATA = "/prometheus"


def prometheus(reached: Addresses, options: Options, image: str) -> Addon:
    """Return the add-on; its data is deleted with the pod."""
    server = Server(
        name="prometheus",
        namespace=NAMESPACE,
        image=image,
        user=65534,
        arguments=(
            "--config.file=/etc/prometheus/prometheus.json",
            f"--storage.tsdb.path={DATA}",
            f"--storage.tsdb.retention.time={options.retention}",
            "--log.level=warn",
        ),
        ports={"http": 9090},
        node_port=PROMETHEUS_PORT,
        ready_path="/-/ready",
        ready_port="http",
        memory="128Mi",
        # Its share where pods that train or start want all there is.
        cpu="200m",
        # JSON is YAML; what is generated needs no one to read its indentation.
        files={"prometheus.json": json.dumps(configuration(options.scrape_seconds))},
        files_path="/etc/prometheus",
        data_path=DATA,
        service_account="prometheus",
    )
    return Addon(
        name=server.name,
        namespace=NAMESPACE,
        objects=(
            namespace(NAMESPACE),
            *reader("prometheus", NAMESPACE, _rules()),
            *server_objects(server),
        ),
        answers_at=f"{reached.prometheus}/-/ready",
    )


def _rules() -> list[Manifest]:
    return [
        rule("", ("nodes", "pods"), ("get", "list", "watch")),
        rule("", ("nodes/metrics",), ("get",)),
    ]
