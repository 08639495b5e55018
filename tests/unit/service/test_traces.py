"""Which variables name a receiver of traces, and that nothing about traces keeps a service from answering."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from sluicegate_service.traces import Traces, is_wanted

RECEIVER = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        (RECEIVER, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        (RECEIVER | {"OTEL_SDK_DISABLED": "true"}, False),
        (RECEIVER | {"OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_variables_of_opentelemetry_switch_traces_on_and_off(variables, wanted):
    assert is_wanted(variables) is wanted


def service(**tracing: object) -> SimpleNamespace:
    return SimpleNamespace(config={"tracing": tracing}, path_prefix=None)


def test_a_service_with_an_exporter_of_its_own_keeps_it():
    traces = Traces()
    traces.open(service(exporter_type="zipkin"), RECEIVER)
    assert traces.headers() == {}


def test_a_protocol_without_an_exporter_is_logged_with_the_way_out(caplog):
    traces = Traces()
    traces.open(service(), RECEIVER | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert "OTEL_EXPORTER_OTLP_PROTOCOL is grpc; set http/protobuf" in caplog.text
    assert traces.headers() == {}


def test_a_runtime_image_without_the_exporter_is_logged_with_the_package(caplog, monkeypatch):
    module = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, module, None)
    traces = Traces()
    traces.open(service(), RECEIVER)
    assert "add opentelemetry-exporter-otlp-proto-http to the runtime image" in caplog.text
    traces.close()
