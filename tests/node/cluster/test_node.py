"""The node is a real one: pods, Services, names, logs, limits, and no way out."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.node.served_bento import MODEST, ready_at
from tests.support.processes.connections import connected_service
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from cluster.backend import Backend

SERVICE = Path(__file__).parents[2] / "data" / "small_service.py"
# Documentation addresses (RFC 5737) would do for "no route"; a public resolver also proves that
# the machine's own network isn't lent.
OUTSIDE = ("192.0.2.1", "1.1.1.1")


def container(image: str, *command: str, **more: object) -> dict[str, Any]:
    return {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "command": list(command),
        **more,
    }


def serving(image: str) -> list[dict[str, Any]]:
    """Return two pods of a BentoML service and a Service before them."""
    labels = {"app": "small"}
    server = container(
        image,
        *("python", "-m", "bentoml", "serve", "small_service:Small"),
        *("--working-dir", "/service", "--port", "3000"),
        volumeMounts=[{"name": "service", "mountPath": "/service"}],
        readinessProbe=ready_at(3000),
        resources=MODEST,
    )
    pod = {"containers": [server], "volumes": [{"name": "service", "configMap": {"name": "small"}}]}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "small"},
            "data": {SERVICE.name: SERVICE.read_text()},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "small"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "small"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 3000}]},
        },
    ]


def create(cluster: Backend, namespace: str, *objects: dict[str, Any]) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    cluster.run_kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(listed))


def read(cluster: Backend, namespace: str, kind: str, name: str) -> dict[str, Any]:
    return json.loads(cluster.run_kubectl("get", kind, name, "-n", namespace, "-o", "json"))


def container_status(cluster: Backend, namespace: str, pod: str) -> dict[str, Any]:
    statuses = read(cluster, namespace, "pod", pod)["status"].get("containerStatuses") or [{}]
    return statuses[0]


def pod(name: str, main: dict[str, Any], **more: object) -> dict[str, Any]:
    spec = {"containers": [main], **more}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def ask(url: str, number: int) -> int:
    body = json.dumps({"number": number}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="module")
def served(cluster: Backend, shared_namespace: str, runtime_image: str) -> str:
    """Return the namespace in which two pods of the small service are Ready, and its Service leads there."""
    create(cluster, shared_namespace, *serving(runtime_image))
    here = ("-n", shared_namespace)
    cluster.run_kubectl("rollout", "status", "deployment/small", *here, "--timeout=110s")
    connected_service(cluster, shared_namespace, "small", port=80)
    return shared_namespace


def test_two_bentoml_pods_become_ready(cluster, served):
    status = read(cluster, served, "deployment", "small")["status"]

    assert status["readyReplicas"] == 2


def test_a_service_answers_the_host_by_its_address(local_node, served):
    address = connected_service(local_node, served, "small", port=80)

    assert ask(f"http://{address}/double", 21) == 42


def test_pods_find_a_service_by_name(cluster, served):
    program = (
        "import urllib.request, json;"
        f"url = 'http://small.{served}.svc.cluster.local/double';"
        "data = json.dumps({'number': 4}).encode();"
        "headers = {'Content-Type': 'application/json'};"
        "request = urllib.request.Request(url, data=data, headers=headers);"
        "print(urllib.request.urlopen(request, timeout=10).read().decode())"
    )

    said = cluster.run_kubectl(
        "exec", "deployment/small", "-n", served, "--", "python", "-c", program
    )

    assert said.strip() == "8"


def test_logs_are_read_through_the_api_server(cluster, served):
    def said() -> bool:
        return "Small" in cluster.run_kubectl("logs", "deployment/small", "-n", served)

    eventually(said, what="the service's name in its log")


def test_a_port_is_forwarded_through_the_api_server(cluster, served):
    command = [cluster.kubectl, f"--kubeconfig={cluster.kubeconfig}", "-n", served]
    forward = [*command, "port-forward", "service/small", ":80"]
    with subprocess.Popen(forward, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline()
            port = re.search(r"127\.0\.0\.1:(\d+)", said)[1]
            assert ask(f"http://127.0.0.1:{port}/double", 5) == 10
        finally:
            process.terminate()


def test_a_jobs_termination_message_is_read_back(cluster, namespace, runtime_image):
    command = ("sh", "-c", """echo '{"version": "v2"}' > /dev/termination-log""")
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "train"},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [container(runtime_image, *command)],
                }
            },
        },
    }
    create(cluster, namespace, job)
    wait = ("wait", "--for=condition=complete", "job/train", "--timeout=110s")
    cluster.run_kubectl(*wait, "-n", namespace)

    question = ("get", "pods", "-l", "job-name=train", "-n", namespace, "-o", "json")
    pods = json.loads(cluster.run_kubectl(*question))["items"]
    terminated = pods[0]["status"]["containerStatuses"][0]["state"]["terminated"]

    assert json.loads(terminated["message"]) == {"version": "v2"}


def test_a_pod_over_its_memory_limit_is_killed_and_restarted(cluster, namespace, runtime_image):
    eat = "import time; blob = b'x' * (256 * 2**20); time.sleep(600)"
    limits = {"limits": {"memory": "64Mi"}}
    create(
        cluster,
        namespace,
        pod("greedy", container(runtime_image, "python", "-c", eat, resources=limits)),
    )

    def restarted() -> dict[str, Any] | None:
        status = container_status(cluster, namespace, "greedy")
        return status if status.get("restartCount", 0) >= 1 else None

    status = eventually(restarted, seconds=60)
    ended = status["lastState"].get("terminated") or status["state"]["terminated"]
    assert ended["reason"] == "OOMKilled"


def test_a_missing_image_is_reported(cluster, namespace):
    create(cluster, namespace, pod("lost", container("sluicegate.local/nowhere:1", "true")))

    def reason() -> bool:
        waiting = container_status(cluster, namespace, "lost").get("state", {}).get("waiting", {})
        return waiting.get("reason") == "ErrImageNeverPull"

    eventually(reason)


@pytest.mark.parametrize("address", OUTSIDE)
def test_a_pod_reaches_no_network_outside(local_node, served, address):
    program = (
        "import socket\n"
        "try:\n"
        f"    socket.create_connection(('{address}', 53), timeout=3)\n"
        "except OSError as error:\n"
        "    print(type(error).__name__, error)\n"
        "else:\n"
        "    print('connected')\n"
    )

    said = local_node.run_kubectl(
        "exec", "deployment/small", "-n", served, "--", "python", "-c", program
    )

    assert "unreachable" in said or "No route" in said


@pytest.mark.parametrize("address", OUTSIDE)
def test_the_node_has_no_route_to_outside_networks(local_node, address):
    asked = subprocess.run(
        [*local_node.network.prefix, "ip", "route", "get", address],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "unreachable" in asked.stderr


def test_external_dns_names_are_not_resolved(local_node, served):
    program = "import socket; socket.getaddrinfo('example.org', 80)"
    command = ("sh", "-c", f'python -c "{program}" 2>&1 | tail -n 1')

    said = local_node.run_kubectl("exec", "deployment/small", "-n", served, "--", *command)

    assert "gaierror" in said


def test_etcd_is_not_reachable_from_outside_the_node(local_node):
    with contextlib.closing(socket.socket()) as connection:
        connection.settimeout(5)
        with pytest.raises(ConnectionRefusedError):
            connection.connect((local_node.node_address, 2379))
