"""Metrics, traces and log lines of real operators and real products."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.failures.replicas import apply, product, quiet_control_plane, replicas
from tests.support.processes.line_reader import whole_lines
from tests.support.processes.trace_receiver import TraceReceiver
from tests.support.prometheus.exposed_series import exposed_labels
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.failures.replicas import Replica

PLATFORM = ("python_", "process_")
SAMPLE = re.compile(r"^([a-zA-Z_:]+)(?:\{(.*)\})? (\S+)$")
STAGES = {"observe", "decide", "apply"}


@pytest.fixture(scope="module")
def control_plane():
    """Yield a control plane of this module, without other writers."""
    with quiet_control_plane() as started:
        yield started


def samples(replica: Replica) -> list[tuple[str, dict[str, str]]]:
    """Name and labels of each sample that isn't the interpreter's or the process'."""
    _, text = replica.get("/metrics")
    found = [SAMPLE.match(line) for line in text.splitlines() if not line.startswith("#")]
    assert all(found)
    return [
        (one[1], dict(re.findall(r'([a-z_]+)="([^"]*)"', one[2] or "")))
        for one in found
        if one and not one[1].startswith(PLATFORM)
    ]


def test_the_leader_exports_metrics_of_existing_products_and_sends_traces(
    control_plane, namespace, tmp_path
):
    with TraceReceiver() as receiver:
        extra = {
            "SLUICEGATE_NAMESPACE": namespace,
            "SLUICEGATE_WATCH_NAMESPACES": namespace,
            "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": f"registry.example/runtime@sha256:{'d' * 64}",
            "SLUICEGATE_PRODUCT_METRICS": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        with replicas(
            control_plane,
            tmp_path,
            "first",
            "second",
            extra=extra,
        ) as both:
            eventually(lambda: sum(one.leads() for one in both) == 1, what="one leads")
            leader, standby = sorted(both, key=lambda one: not one.leads())
            apply(control_plane, product(namespace, "search"), product(namespace, "pricing"))
            total = 'sluicegate_products{priority="Medium",state="Unknown"}'
            known = 'sluicegate_products{state="Unknown",priority="Medium"}'
            eventually(
                lambda: max(leader.metric(total), leader.metric(known)) == 2,
                what="both are counted",
            )
            assert leader.metric("sluicegate_product_metrics_left_out") == 1
            named = f'sluicegate_product_state{{namespace="{namespace}",product="pricing"}}'
            assert named in leader.get("/metrics")[1]
            assert "sluicegate_product_state{" not in standby.get("/metrics")[1]

            for name, labels in samples(leader):
                assert exposed_labels()[name] == labels.keys(), name
            by_name = {name for name, labels in samples(leader) if "search" in labels.values()}
            assert not by_name, "the setting leaves it out"

            control_plane.kubectl("delete", "dataproduct", "pricing", "-n", namespace)
            eventually(lambda: named not in leader.get("/metrics")[1], what="its series are gone")

            (root, *_) = eventually(
                lambda: [
                    one
                    for one in receiver.named("reconcile")
                    if {child.name for child in receiver.children(one)} >= STAGES
                ],
                what="a whole reconcile has arrived",
            )
            (writing, *_) = [child for child in receiver.children(root) if child.name == "apply"]
            requests = receiver.children(writing)
            assert requests
            assert all("http.request.method" in request.attributes for request in requests)
            lines = [json.loads(line) for line in whole_lines(leader.log)]
            traced = {line["trace_id"] for line in lines if "trace_id" in line}
            assert traced <= {span.trace for span in receiver.spans}
            for line in lines:
                assert {"ts", "level", "logger", "message"} <= line.keys()
                assert ("product" in line) == ("reconcile_id" in line) == ("namespace" in line)
