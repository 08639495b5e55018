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


def test_an_empty_protocol_of_traces_counts_as_absent(caplog):
    protocols = {
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }  # fmt: skip
    Traces().open(service(), RECEIVER | protocols)
    assert "OTEL_EXPORTER_OTLP_PROTOCOL is grpc" in caplog.text


def test_a_malformed_header_is_logged_without_its_value(caplog, monkeypatch):
    variables = RECEIVER | {
        "OTEL_EXPORTER_OTLP_HEADERS": "Bearer s3cr3t",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "5000",  # so that the process keeps no provider
    }
    for variable in variables.items():
        monkeypatch.setenv(*variable)
    Traces().open(service(), variables)
    assert "Header format invalid!" in caplog.text
    assert "write a blank as %20" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_a_runtime_image_without_the_exporter_is_logged_with_the_package(caplog, monkeypatch):
    module = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, module, None)
    traces = Traces()
    traces.open(service(), RECEIVER)
    assert "add opentelemetry-exporter-otlp-proto-http to the runtime image" in caplog.text
    traces.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5000"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
        ("OTEL_PYTHON_EXCLUDED_URLS", "*/internal"),
    ],
)
def test_a_variable_that_opentelemetry_refuses_is_logged_and_the_service_answers(
    name, value, caplog, monkeypatch
):
    variables = RECEIVER | {name: value}
    for variable in variables.items():
        monkeypatch.setenv(*variable)
    traces = Traces()
    traces.open(service(), variables)
    assert "no traces: a variable OTEL_* in serving.env is refused: " in caplog.text
    assert traces.headers() == {}
    traces.close()
