"""Traces arrive at a real receiver, cost nothing where there is none, and never hold anything up."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys

import pytest

from sluicegate.errors import InvalidInput
from sluicegate.kube import errors
from sluicegate.kube.connections import Connections
from sluicegate.kube.resources import CONFIG_MAPS, Key
from sluicegate.kube.transport import Transport
from sluicegate.runtime.clock import boot_seconds
from sluicegate.runtime.interfaces import Done
from sluicegate.runtime.logs import JsonFormatter
from sluicegate.runtime.tracing import open_tracing
from sluicegate.runtime.workers import Workers
from sluicegate.runtime.workqueue import WorkQueue
from sluicegate.settings import parse_settings
from sluicegate.spans import TRACE, no_spans
from tests.support.processes.running import free_port
from tests.support.processes.trace_receiver import TraceReceiver

PRODUCT = Key("shop", "search")


@pytest.fixture
def receiver():
    with TraceReceiver() as started:
        yield started


class Stages:
    """A reconciler with two stages, one of which may fail."""

    def __init__(self, spans, *, error: Exception | None = None) -> None:
        self.spans = spans
        self.error = error
        self.line = {}
        self.written = asyncio.Event()

    async def reconcile(self, _: Key) -> Done:
        with self.spans("observe"):
            await asyncio.sleep(0)
        with self.spans("apply") as span:
            span.set("sluicegate.written", 2)
            record = logging.LogRecord("x", logging.INFO, "f", 1, "written", (), None)
            self.line = json.loads(JsonFormatter().format(record))
            self.written.set()
            if self.error is not None:
                raise self.error
        return Done()


async def reconciled(tracing, **more) -> Stages:
    """Run one reconcile in a real worker, and return its sent spans."""
    queue = WorkQueue(boot_seconds, jitter=lambda: 1.0)
    stages = Stages(tracing.spans, **more)
    queue.add(PRODUCT)
    workers = Workers(queue, stages, count=1, trace_spans=tracing.spans)
    running = asyncio.ensure_future(workers.run())
    await stages.written.wait()
    queue.shut_down()
    await running
    await tracing.close()
    return stages


async def test_a_reconcile_is_a_trace_with_a_span_per_stage_and_its_id_in_the_logs(receiver):
    stages = await reconciled(open_tracing(receiver.url, instance_name="operator-0"))
    (root,) = receiver.named("reconcile")
    assert root.parent == ""
    assert root.attributes["k8s.namespace.name"] == "shop"
    assert root.attributes["sluicegate.product"] == "search"
    assert root.attributes["sluicegate.result"] == "success"
    assert root.resource["service.name"] == "sluicegate"
    assert root.resource["service.instance.id"] == "operator-0"
    assert [child.name for child in receiver.children(root)] == ["observe", "apply"]
    assert receiver.named("apply")[0].attributes == {"sluicegate.written": 2}
    assert stages.line["trace_id"] == root.trace
    assert stages.line["reconcile_id"] == root.attributes["sluicegate.reconcile_id"]
    assert receiver.paths == {"/v1/traces"}


async def test_the_span_of_a_failed_stage_has_an_error_status(receiver):
    await reconciled(
        open_tracing(receiver.url, instance_name="o"), error=errors.Conflict("it has changed")
    )
    (failed,) = receiver.named("apply")
    assert failed.failed
    assert not receiver.named("observe")[0].failed
    assert receiver.named("reconcile")[0].attributes["sluicegate.result"] == "error"


async def test_two_concurrent_reconciles_are_two_traces(receiver):
    tracing = open_tracing(receiver.url, instance_name="o")
    both = asyncio.Barrier(3)

    class Meeting:
        async def reconcile(self, _: Key) -> Done:
            with tracing.spans("observe"):
                await both.wait()
            return Done()

    queue = WorkQueue(boot_seconds, jitter=lambda: 1.0)
    workers = Workers(queue, Meeting(), count=2, trace_spans=tracing.spans)
    queue.add(PRODUCT)
    queue.add(Key("shop", "pricing"))
    running = asyncio.ensure_future(workers.run())
    await both.wait()
    queue.shut_down()
    await running
    await tracing.close()
    roots = receiver.named("reconcile")
    assert len({root.trace for root in roots}) == 2
    assert [len(receiver.children(root)) for root in roots] == [1, 1]


async def test_each_request_to_the_api_server_is_a_span_even_without_an_answer(receiver):
    tracing = open_tracing(receiver.url, instance_name="o")

    async def login():
        from kubernetes.aio.client import Configuration

        configuration = Configuration()
        configuration.host = f"http://127.0.0.1:{free_port()}"
        return configuration

    from sluicegate.kube import requests

    transport = Transport(Connections(login), tracing.spans)
    try:
        with pytest.raises(errors.Transient):
            await transport.send(requests.get_request(CONFIG_MAPS, PRODUCT))
    finally:
        await transport.close()
    await tracing.close()
    (span,) = receiver.named("get")
    assert span.attributes["http.request.method"] == "GET"
    assert span.attributes["url.path"] == CONFIG_MAPS.path("shop", "search")
    assert span.failed


@pytest.mark.slow
def test_an_unreachable_trace_receiver_does_not_delay_a_reconcile():
    # In a process of its own, which ends as the operator does: OpenTelemetry's thread goes on
    # trying for half a minute, and what it draws at random disturbs other tests.
    code = (
        "import asyncio, os\n"
        "from sluicegate.runtime.tracing import open_tracing\n"
        f"tracing = open_tracing('http://127.0.0.1:{free_port()}', instance_name='o')\n"
        "with tracing.spans('reconcile'):\n"
        "    pass\n"
        "asyncio.run(tracing.close())\n"
        "os._exit(0)\n"
    )
    patient = {**os.environ, "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, env=patient)


async def test_the_sampling_of_traces_follows_the_opentelemetry_variable(receiver, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    stages = await reconciled(open_tracing(receiver.url, instance_name="o"))
    assert receiver.spans == []
    assert "trace_id" not in stages.line


async def test_the_service_name_of_traces_follows_the_opentelemetry_variable(receiver, monkeypatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=ours,deployment.environment=test")
    await reconciled(open_tracing(receiver.url, instance_name="o"))
    resource = receiver.named("reconcile")[0].resource
    assert (resource["service.name"], resource["deployment.environment"]) == ("ours", "test")


# ---- off ------------------------------------------------------------------------------------


async def test_without_a_tracing_endpoint_there_are_no_spans_and_no_trace_ids():
    tracing = open_tracing("", instance_name="o")
    assert tracing.spans is no_spans
    assert tracing.spans("a") is tracing.spans("b")
    with tracing.spans("reconcile") as span:
        span.set("x", 1)
        assert TRACE.get() == ""
    await tracing.close()


@pytest.mark.slow
def test_without_a_tracing_endpoint_opentelemetry_is_not_imported():
    program = (
        "import sys, sluicegate.cli.operations.run\n"
        "from sluicegate.runtime.tracing import open_tracing\n"
        "open_tracing('', instance_name='o')\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_tracing_endpoint_without_opentelemetry_installed_fails_with_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(InvalidInput) as error:
        open_tracing("http://collector:4318", instance_name="o")
    (problem,) = error.value.problems
    assert problem.path == "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert "http://collector:4318" in problem.message
    assert "install sluicegate[tracing]" in problem.message


# ---- the setting ----------------------------------------------------------------------------


def test_the_tracing_endpoint_comes_from_the_standard_opentelemetry_variable():
    settings = parse_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"})
    assert settings.traces_endpoint == "http://collector:4318"
    assert parse_settings({}).traces_endpoint == ""


def test_unrelated_opentelemetry_variables_are_accepted():
    assert parse_settings({"OTEL_TRACES_SAMPLER": "always_off"}) == parse_settings({})
