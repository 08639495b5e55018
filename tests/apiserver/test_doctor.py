"""`sluicegate doctor` beside a real API server, without and with what the operator needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cluster.controlplane import ControlPlane, Options
from cluster.kinds import install_crds, install_gateway, install_gateway_api
from sluicegate.__main__ import main
from tests.support.apiserver.people import chart, install_policies
from tests.support.processes.http_server import answering
from tests.support.samples.product_examples import example

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VECTOR = '{"status": "success", "data": {"resultType": "vector", "result": []}}'
"""What Prometheus answers."""
OLD_NODE = """\
apiVersion: v1
kind: Node
metadata: {name: old}
status: {nodeInfo: {containerRuntimeVersion: containerd://1.7.24}}
"""
OLD_LEASE = """\
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: sluicegate, namespace: default}
spec: {holderIdentity: gone, leaseDurationSeconds: 15, renewTime: "2026-01-01T00:00:00.000000Z"}
"""


@pytest.fixture(scope="module")
def bare_plane() -> Iterator[ControlPlane]:
    """Yield a control plane of this module alone: no definitions, no nodes."""
    with ControlPlane(Options()) as started:
        yield started


def told(plane: ControlPlane, capsys, monkeypatch) -> tuple[int, list[str]]:
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig))
    code = main(["doctor"])
    return code, capsys.readouterr().out.splitlines()


def test_doctor_reports_missing_prerequisites_until_they_exist(
    bare_plane: ControlPlane, capsys, monkeypatch
):
    code, lines = told(bare_plane, capsys, monkeypatch)
    assert code == 1
    begins = [
        "error: CRD dataproducts.sluicegate.dev: does not exist: install the chart",
        "error: Gateway API: v1 isn't served: install its standard channel",
        "note: metrics-server: does not exist",
        "warning: Prometheus: was not checked",
    ]
    assert len(lines) == len(begins), lines
    assert all(map(str.startswith, lines, begins)), lines

    install_crds(bare_plane)
    install_gateway_api(bare_plane)
    _, lines = told(bare_plane, capsys, monkeypatch)
    (line,) = (line for line in lines if "gateway" in line.lower())
    assert line.startswith(
        "note: Gateway gateway/web, listener http: accepts routes of the namespace"
    )

    install_gateway(bare_plane, "idle", programmed=False)
    bare_plane.kubectl("apply", "--server-side", "-f", "-", stdin=OLD_NODE)
    bare_plane.kubectl("apply", "--server-side", "--subresource=status", "-f", "-", stdin=OLD_NODE)
    _, lines = told(bare_plane, capsys, monkeypatch)
    assert any("Gateway gateway/idle: isn't programmed" in line for line in lines), lines
    assert any("node old: has containerd 1.7.24, which mounts no" in line for line in lines), lines


def test_doctor_reports_an_expired_lease_and_roles_without_an_admission_policy(
    bare_plane: ControlPlane, capsys, monkeypatch
):
    _, lines = told(bare_plane, capsys, monkeypatch)
    assert "note: roles: no policy limits who approves: set roles.enforce of the chart" in "".join(lines)  # fmt: skip
    document = example()
    document["metadata"]["namespace"] = "default"
    bare_plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(document))
    by = {"namespace": "default", "lease": "sluicegate", "scope": "Cluster"}
    name = document["metadata"]["name"]
    bare_plane.kubectl(
        "patch", "dataproduct", name, "-n", "default", "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": {"writtenBy": by}}),
    )  # fmt: skip
    _, lines = told(bare_plane, capsys, monkeypatch)
    assert any("operator default/sluicegate: its Lease is gone" in line for line in lines), lines
    bare_plane.kubectl("apply", "--server-side", "-f", "-", stdin=OLD_LEASE)
    _, lines = told(bare_plane, capsys, monkeypatch)
    assert any("has not renewed its Lease since 2026-01-01 00:00:00 UTC" in line for line in lines)


def test_doctor_reports_the_prometheus_address_and_the_connection_error(
    bare_plane: ControlPlane, capsys, monkeypatch
):
    install_crds(bare_plane)
    document = example()
    document["metadata"]["namespace"] = "default"
    bare_plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(document))
    error = "Prometheus at http://prometheus:9090 can't be reached: Connection refused"
    condition = {
        "type": "MetricsAvailable", "status": "False", "reason": "PrometheusUnavailable",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "message": f"availability is unknown: no Prometheus answered for the newest block: {error}",
    }  # fmt: skip
    bare_plane.kubectl(
        "patch", "dataproduct", document["metadata"]["name"], "-n", "default", "--subresource=status",
        "--type=merge", "-p", json.dumps({"status": {"conditions": [condition]}}),
    )  # fmt: skip

    code, lines = told(bare_plane, capsys, monkeypatch)

    assert code == 1
    (line,) = (line for line in lines if line.startswith("error: Prometheus, as the operator"))
    assert error in line
    assert f"default/{document['metadata']['name']}" in line


def test_doctor_reports_a_namespace_that_the_network_policy_of_the_operator_blocks(
    bare_plane: ControlPlane, capsys, monkeypatch
):
    install_crds(bare_plane)
    document = example()
    document["metadata"]["namespace"] = "default"
    bare_plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(document))
    found = "error: namespace default: has products and isn't open for them"
    assert found not in "".join(told(bare_plane, capsys, monkeypatch)[1])
    install_policies(bare_plane, "sluicegate")
    assert found in "".join(told(bare_plane, capsys, monkeypatch)[1])
    install_policies(bare_plane, "sluicegate", "watchNamespaces={default}")
    assert found not in "".join(told(bare_plane, capsys, monkeypatch)[1])
    install_policies(bare_plane, "sluicegate")
    bare_plane.kubectl("label", "namespace", "default", "sluicegate.dev/products=true")
    assert found not in "".join(told(bare_plane, capsys, monkeypatch)[1])


def test_doctor_reports_an_api_server_that_refuses_all_reads(
    bare_plane: ControlPlane, capsys, monkeypatch
):
    monkeypatch.setenv("KUBECONFIG", str(bare_plane.kubeconfig_for("nobody")))

    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.startswith("error: API server: can't be reached: ")


@pytest.fixture
def operators_reach(
    bare_plane: ControlPlane, capsys, monkeypatch
) -> Callable[[str], tuple[int, str]]:
    """Return a function that runs the pod of `helm test`: the chart's command and variables, with the rights of its account."""
    install_crds(bare_plane)
    install_gateway_api(bare_plane)
    rights = [one for one in chart("reach-sluicegate") if one["kind"].startswith("ClusterRole")]
    listed = {"apiVersion": "v1", "kind": "List", "items": rights}
    bare_plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(listed))
    account = "system:serviceaccount:sluicegate-system:reach-sluicegate"
    monkeypatch.setenv("KUBECONFIG", str(bare_plane.kubeconfig_for(account)))

    def reach(prometheus_url: str) -> tuple[int, str]:
        objects = chart(
            "reach-sluicegate",
            f"settings.prometheusUrl={prometheus_url},networkPolicy.enabled=false",
        )
        (pod,) = (obj for obj in objects if obj["metadata"]["name"].endswith("-test-reach"))
        (container,) = pod["spec"]["containers"]
        for variable in container["env"]:
            monkeypatch.setenv(variable["name"], variable.get("value", "x"))
        code = main(container["args"])
        return code, capsys.readouterr().out

    return reach


def test_helm_test_passes_where_prometheus_and_the_gateway_accept_connections(
    bare_plane: ControlPlane, operators_reach
):
    with answering(lambda _: VECTOR) as prometheus, answering(lambda _: "") as gateway:
        host, _, port = gateway.partition(":")
        install_gateway(bare_plane, "reached")
        patch = ["patch", "gateway", "reached", "-n", "gateway", "--type=merge"]
        listeners = [{"name": "http", "port": int(port), "protocol": "HTTP"}]
        bare_plane.kubectl(*patch, "-p", json.dumps({"spec": {"listeners": listeners}}))
        addresses = [{"type": "IPAddress", "value": host}]
        status = json.dumps({"status": {"addresses": addresses}})
        bare_plane.kubectl(*patch, "--subresource=status", "-p", status)

        code, output = operators_reach(f"http://{prometheus}")

    assert code == 0, output
    assert f"note: Prometheus http://{prometheus}: answers" in output
    assert f"Gateway gateway/reached: is programmed, and accepts connections at {gateway}" in output


def test_helm_test_fails_with_the_error_of_a_prometheus_that_refuses_connections(operators_reach):
    code, output = operators_reach("http://127.0.0.1:1")

    assert code == 1
    assert "error: Prometheus http://127.0.0.1:1: does not answer: " in output
    assert "Connection refused" in output


def test_helm_test_fails_where_a_gateway_of_a_products_route_is_not_programmed(
    bare_plane: ControlPlane, operators_reach
):
    install_gateway(bare_plane, "routed", programmed=False)
    document = example()
    document["metadata"] |= {"namespace": "default", "name": "routed"}
    document["spec"]["route"] = {"parentRefs": [{"name": "routed", "namespace": "gateway"}]}
    bare_plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(document))

    with answering(lambda _: VECTOR) as prometheus:
        code, output = operators_reach(f"http://{prometheus}")

    assert code == 1
    assert "error: Gateway gateway/routed: isn't programmed (" in output
