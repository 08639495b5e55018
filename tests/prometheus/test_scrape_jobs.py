"""The documented scrape jobs, on a real Prometheus that discovers hostile pods beside those of a product."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typing_extensions import override

from cluster.addons.scraping import configuration
from cluster.builds import program
from tests.support.pages.steps import blocks
from tests.support.processes.certificates import self_signed
from tests.support.processes.http_server import answering
from tests.support.prometheus.discovery import DiscoveredPod, discovery, node, service_of
from tests.support.prometheus.hostile_pages import SENT
from tests.support.prometheus.server import prometheus, rows
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "sluicegate"
RELEASE = {
    "app.kubernetes.io/name": "sluicegate",
    "app.kubernetes.io/instance": "sluicegate",
    "app.kubernetes.io/component": "operator",
}
VICTIM = {
    "sluicegate.dev/product": "victim",
    "sluicegate.dev/version": "v1",
    "sluicegate.dev/revision": "0123456789",
}
LABELS = 'namespace="catalog",product="victim",version="v1",revision="0123456789",pod="real"'
COUNTS = f"""
bentoml_service_request_total{{{LABELS}}} 1
sluicegate_predictions_labelled_total{{{LABELS},prediction_version="v1",outcome="wrong"}} 1
traefik_service_requests_total{{service="{SENT}"}} 1
container_memory_working_set_bytes{{{LABELS},container="server"}} 1
"""
STATES = f"""
sluicegate_product_state{{{LABELS}}} 1
controller_runtime_reconcile_errors_total{{controller="dataproduct"}} 1
"""
PAGE = COUNTS + STATES
"""All that a product is judged by, as if it were counted by the product's own pod."""
OWNER = ("ReplicaSet", "victim-0123456789-5d4f8c7b9")
HOSTILE: dict[str, tuple[str, dict[str, str], tuple[str, str] | None]] = {
    "a pod with the operator's label": ("mallory", RELEASE, None),
    "a pod with the gateway's label": ("mallory", {"app.kubernetes.io/name": "traefik"}, None),
    "a pod with the product's labels in another namespace": ("mallory", VICTIM, OWNER),
    "a pod with the product's labels and no controller": ("catalog", VICTIM, None),
    "a pod with the product's labels of another Deployment": (
        "catalog", VICTIM, ("ReplicaSet", "other-0123456789-5d4f8c7b9"),
    ),
    "a pod with the product's labels of a Job": ("catalog", VICTIM, ("Job", OWNER[1])),
    "a pod with the labels of another revision": (
        "catalog", VICTIM | {"sluicegate.dev/revision": "fedcba9876"}, OWNER,
    ),
}  # fmt: skip
TRUSTED = {
    "real": ("catalog", VICTIM, OWNER),
    "operator": ("sluicegate-system", RELEASE, ("ReplicaSet", "sluicegate-7c9d")),
    "messenger": (
        "sluicegate-system",
        {**RELEASE, "app.kubernetes.io/component": "notify"},
        ("ReplicaSet", "sluicegate-7c9d"),
    ),
    "traefik": ("gateway", {"app.kubernetes.io/name": "traefik"}, ("ReplicaSet", "traefik-7c9d")),
}


def documented() -> list[dict[str, Any]]:
    """Return the jobs of the install page."""
    page = ROOT / "docs" / "install.md"
    read = [yaml.safe_load(block.text) for block in blocks(page) if block.language == "yaml"]
    (jobs,) = (one for one in read if isinstance(one, list))
    return jobs


def charted() -> list[dict[str, Any]]:
    """Return the jobs that the Prometheus Operator makes of the chart's PodMonitor and ServiceMonitor."""
    arguments = ["template", "sluicegate", str(CHART), "--namespace=sluicegate-system",
                 "--set=podMonitor.enabled=true,serviceMonitor.enabled=true"]  # fmt: skip
    done = subprocess.run([program("helm"), *arguments], capture_output=True, check=True)
    objects = [document for document in yaml.safe_load_all(done.stdout) if document]
    (pods,) = (obj["spec"] for obj in objects if obj["kind"] == "PodMonitor")
    (services,) = (obj["spec"] for obj in objects if obj["kind"] == "ServiceMonitor")
    (of_pods,), (of_services,) = pods["podMetricsEndpoints"], services["endpoints"]
    where = [_copy("namespace", "namespace"), _copy("pod_name", "pod")]
    port = {"action": "keep", "regex": "metrics"}
    labels = services["selector"]["matchLabels"]
    exists = [
        _label("pod", match_expression["key"])
        for match_expression in pods["selector"]["matchExpressions"]
    ]
    return [
        {
            "job_name": "monitored pods",
            "honor_labels": of_pods["honorLabels"],
            "kubernetes_sd_configs": [{"role": "pod"}],
            "relabel_configs": [
                *({"action": "keep", "source_labels": [one], "regex": ".+"} for one in exists),
                port | {"source_labels": ["__meta_kubernetes_pod_container_port_name"]},
                *where,
                *map(_snake, of_pods["relabelings"]),
            ],
            "metric_relabel_configs": [*map(_snake, of_pods["metricRelabelings"])],
        },
        {
            "job_name": "monitored services",
            "honor_labels": of_services["honorLabels"],
            "kubernetes_sd_configs": [
                {"role": "endpoints", "namespaces": {"names": ["sluicegate-system"]}}
            ],
            "relabel_configs": [
                *({"action": "keep", "source_labels": [_label("service", key)], "regex": value}
                  for key, value in labels.items()),
                port | {"source_labels": ["__meta_kubernetes_endpoint_port_name"]},
                *where,
            ],
            "metric_relabel_configs": [*map(_snake, of_services["metricRelabelings"])],
        },
    ]  # fmt: skip


def _copy(source: str, target: str) -> dict[str, Any]:
    return {"source_labels": [f"__meta_kubernetes_{source}"], "target_label": target}


def _label(kind: str, key: str) -> str:
    sanitised = "".join(one if one.isalnum() else "_" for one in key)
    return f"__meta_kubernetes_{kind}_label_{sanitised}"


def _snake(rule: dict[str, Any]) -> dict[str, Any]:
    names = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    return {names.get(key, key): value for key, value in rule.items()}


WAYS = {
    "the install page": documented,
    "the chart's monitors": charted,
    "the local cluster": lambda: configuration(1)["scrape_configs"],
}


@contextmanager
def scraping(
    jobs: list[dict[str, Any]], objects: dict[str, list[dict[str, Any]]], folder: Path
) -> Iterator[str]:
    """Yield a Prometheus with these jobs, each second, that discovers these objects."""
    folder.mkdir(parents=True, exist_ok=True)
    program_path = program("prometheus")
    with discovery(objects) as server:
        fitted = json.loads(json.dumps(jobs))
        for job in fitted:
            for config in job["kubernetes_sd_configs"]:
                config["api_server"] = server
            job |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
        with prometheus(program_path, folder, {"scrape_configs": fitted}) as url:
            yield url


@pytest.fixture(scope="module", params=WAYS, ids=list(WAYS))
def answers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield a Prometheus with the jobs of a way, and these jobs, once the product's pod is read twice."""
    jobs = [one for one in WAYS[request.param]() if one["job_name"] != "kubelet"]
    with ExitStack() as stack:
        pods = []
        for name, (namespace, labels, controller) in {**TRUSTED, **HOSTILE}.items():
            address = stack.enter_context(answering(lambda _: PAGE))
            port = int(address.rpartition(":")[2])
            short = name if name in TRUSTED else f"hostile-{len(pods)}"
            pods.append(DiscoveredPod(namespace, short, port, labels, controller))
        objects: dict[str, list[dict[str, Any]]] = {"pods": [pod.manifest() for pod in pods]}
        services = [
            service_of(pod, RELEASE) for pod in pods if RELEASE.items() <= pod.labels.items()
        ]
        objects["services"] = [one for one, _ in services]
        objects["endpoints"] = [one for _, one in services]
        folder = tmp_path_factory.mktemp("scraping")
        url = stack.enter_context(scraping(jobs, objects, folder))
        expected = {job["job_name"] for job in jobs}
        eventually(
            lambda: {row["metric"]["job"] for row in rows(url, "count by (job) (count_over_time(up[1m]) > 1)")}
            == expected,
            seconds=20, what="two scrapes of each job",
        )  # fmt: skip
        yield url, jobs


def test_a_pod_cannot_export_counts_of_a_product_that_does_not_own_it(answers):
    url, _ = answers
    pods = {row["metric"]["pod"] for row in rows(url, "up")}
    hostile = {pod for pod in pods if pod.startswith("hostile")}
    # It is read as a product of its own namespace.
    assert len(hostile) == 1
    counted = rows(url, '{__name__=~"bentoml_.+|sluicegate_predictions.+",namespace="catalog"}')
    assert {one["metric"]["instance"] for one in counted} == {instance(url, "real")}
    (forged,) = {row["metric"]["namespace"] for row in rows(url, f'up{{pod="{hostile.pop()}"}}')}
    assert forged == "mallory"


def test_only_the_operator_can_export_its_product_metrics(answers):
    url, _ = answers
    said = rows(url, f"sluicegate_product_state{{{LABELS},job!~'products|monitored pods'}}")
    assert {one["metric"]["instance"] for one in said} <= {instance(url, "operator")}
    errors = rows(url, "controller_runtime_reconcile_errors_total{product=''}")
    assert {error["metric"]["instance"] for error in errors} == {instance(url, "operator")}


def test_only_the_gateway_can_export_request_counts_by_route(answers):
    url, jobs = answers
    sent = rows(url, 'traefik_service_requests_total{product=""}')
    scraped = (
        {instance(url, "traefik")} if any("gateway" in job["job_name"] for job in jobs) else set()
    )
    assert {one["metric"]["instance"] for one in sent} == scraped


def instance(url: str, pod: str) -> str:
    (row,) = rows(url, f'up{{pod="{pod}"}}')
    found: str = row["metric"]["instance"]
    return found


def test_the_kubelet_job_sends_its_token_only_to_nodes_with_a_cluster_certificate(tmp_path):
    (job,) = (one for one in documented() if one["job_name"] == "kubelet")
    certificate, key = self_signed("localhost")
    other, other_key = self_signed("localhost")
    (tmp_path / "ca.crt").write_text(certificate)
    (tmp_path / "token").write_text("a token of Prometheus")
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    job = json.loads(json.dumps(job).replace(folder, str(tmp_path)))
    received: dict[str, list[str]] = {"signed": [], "hostile": []}
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(kubelet(*pair, tmp_path / name, received[name]))
            for name, pair in {"signed": (certificate, key), "hostile": (other, other_key)}.items()
        }
        nodes = [node(name, "localhost", port) for name, port in ports.items()]
        url = stack.enter_context(scraping([job], {"nodes": nodes}, tmp_path / "p"))
        eventually(lambda: rows(url, 'up{node="signed"} == 1'), what="a scrape of the kubelet")
        eventually(lambda: rows(url, 'up{node="hostile"} == 0'), what="a scrape of the other")
        kept = {
            row["metric"]["__name__"]
            for row in rows(url, '{node="signed",__name__!~"up|scrape_.+"}')
        }
    assert received["signed"][0] == "Bearer a token of Prometheus"
    assert received["hostile"] == []
    assert kept == {"container_memory_working_set_bytes"}


@contextmanager
def kubelet(certificate: str, key: str, folder: Path, received: list[str]) -> Iterator[int]:
    """Yield the port of a kubelet with this certificate, which notes the credentials that it receives."""
    folder.mkdir()
    (folder / "crt").write_text(certificate)
    (folder / "key").write_text(key)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(PAGE.encode())

        @override
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "crt", folder / "key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
