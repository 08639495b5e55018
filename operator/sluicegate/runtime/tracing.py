"""Export of spans by OTLP over HTTP, if an endpoint is set; otherwise nothing is imported.

All other settings of traces are OpenTelemetry's own variables (OTEL_TRACES_SAMPLER,
OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES, …).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING

from sluicegate.errors import invalid
from sluicegate.runtime.tasks import set_within
from sluicegate.spans import TRACE, Span, Spans, Value, no_spans

if TYPE_CHECKING:  # an optional dependency
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as Recorded

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
FLUSH_SECONDS = 1.0
"""Longest time to send remaining spans when the operator stops: the release of the lease waits for it."""


class Tracing:
    """Destination of spans, for the lifetime of the process."""

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._provider = tracer_provider

    @property
    def spans(self) -> Spans:
        """Return the function that opens spans."""
        return no_spans if self._provider is None else SpanRecorder(self._provider)

    async def close(self) -> None:
        """Send the remaining spans, for `FLUSH_SECONDS` at most: an absent receiver must not delay the end."""
        if self._provider is None:
            return
        event_loop, all_sent = asyncio.get_running_loop(), asyncio.Event()
        shutdown_provider = self._provider.shutdown

        def send_spans() -> None:
            shutdown_provider()
            with contextlib.suppress(
                RuntimeError
            ):  # the wait was cancelled, and the loop is closed
                event_loop.call_soon_threadsafe(all_sent.set)

        threading.Thread(target=send_spans, name="last traces", daemon=True).start()
        await set_within(all_sent, FLUSH_SECONDS)


class SpanRecorder:
    """Function that opens spans of OpenTelemetry."""

    def __init__(self, tracer_provider: TracerProvider) -> None:
        self._tracer = tracer_provider.get_tracer("sluicegate")

    @contextlib.contextmanager
    def __call__(
        self, name: str, attributes: Mapping[str, Value] | None = None, /
    ) -> Iterator[Span]:
        """Open a span; if its trace is recorded, its id is added to log lines."""
        with self._tracer.start_as_current_span(name, attributes=attributes) as trace_span:
            trace_id = (
                f"{trace_span.get_span_context().trace_id:032x}"
                if trace_span.is_recording()
                else ""
            )
            token = TRACE.set(trace_id)
            try:
                yield Open(trace_span)
            finally:
                TRACE.reset(token)


class Open:
    """An open span."""

    __slots__ = ("_span",)

    def __init__(self, trace_span: Recorded) -> None:
        self._span = trace_span

    def set(self, name: str, value: Value) -> None:
        """Set an attribute."""
        self._span.set_attribute(name, value)


def open_tracing(endpoint: str, *, instance_name: str) -> Tracing:
    """Return the destination of spans: this endpoint's /v1/traces, or none if it is empty.

    Raises
    ------
    InvalidInput
        An endpoint is set, but OpenTelemetry isn't installed.
    """
    if not endpoint:
        return Tracing()
    try:
        tracer_provider = _tracer_provider(endpoint, instance_name)
    except ImportError as error:
        text = (
            f'is "{endpoint}", and {error.name} isn\'t installed: install sluicegate[tracing],'
            " or remove the variable"
        )
        raise invalid(ENDPOINT, text) from error
    return Tracing(tracer_provider)


def _tracer_provider(endpoint: str, instance_name: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  # optional
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    own_resource = Resource(
        {
            "service.name": "sluicegate",
            "service.version": version("sluicegate"),
            "service.instance.id": instance_name,
        }
    )
    tracer_provider = TracerProvider(
        resource=own_resource.merge(OTELResourceDetector().detect()),
        shutdown_on_exit=False,  # it would wait for an absent receiver
    )
    span_exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
    tracer_provider.add_span_processor(BatchSpanProcessor(span_exporter))
    return tracer_provider
