"""Traces of a service's requests, sent by OTLP over HTTP, if OpenTelemetry's variables name a receiver.

BentoML opens a span for each request, within the trace of its caller. Here that span, those that the
service opens itself, and the calls to other products become one trace, and get a receiver. All
settings are OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER,
OTEL_RESOURCE_ATTRIBUTES, …). Without a receiver nothing is imported. A service whose own `tracing`
names an exporter keeps it. Nothing here keeps a service from answering.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

from sluicegate_service.environment import NAMESPACE, PRODUCT, VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PACKAGE: Final = "opentelemetry-exporter-otlp-proto-http"
PATHS: Final = ("livez", "readyz", "healthz", "metrics")
"""Paths of probes and scrapes, whose requests have no spans."""
FLUSH_SECONDS: Final = 1.0
"""Longest time to send the remaining spans at the end: a receiver may be absent."""
_OFF: Final = "none"
_HTTP: Final = ("", "http/protobuf")
log = logging.getLogger("sluicegate.traces")


class Traces:
    """The receiver of spans of this process; without one it does nothing."""

    def __init__(self) -> None:
        self._provider: Any = None

    def open(self, service: Any, variables: Mapping[str, str]) -> None:
        """Send the spans of a service to the receiver that the variables name, if any.

        It is called before the service's application is made. What hinders it is logged: a wrong
        protocol, a runtime image without the exporter, and a variable that OpenTelemetry refuses.
        """
        if not is_wanted(variables) or (service.config.get("tracing") or {}).get("exporter_type"):
            return
        protocol = variables.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or variables.get(
            "OTEL_EXPORTER_OTLP_PROTOCOL", ""
        )
        if protocol not in _HTTP:
            log.warning(
                "no traces: OTEL_EXPORTER_OTLP_PROTOCOL is %s; set http/protobuf, and the port of"
                " OTLP over HTTP, which is 4318 by default",
                protocol,
            )
            return
        logging.getLogger("opentelemetry.util.re").addFilter(_without_header)
        try:
            excluded = _excluded_urls(service, variables)
            provider = _provider_of(variables)
            _hand_to_bentoml(provider, excluded)
        except ImportError as error:
            log.warning(
                "no traces: %s isn't installed; add %s to the runtime image", error.name, PACKAGE
            )
        except Exception as error:  # noqa: BLE001 - a variable that OpenTelemetry can't read, of any of its types
            log.warning("no traces: a variable OTEL_* in serving.env is refused: %s", error)
        else:
            self._provider = provider

    def headers(self) -> dict[str, str]:
        """Return the headers by which a call belongs to the trace of the current request."""
        carrier: dict[str, str] = {}
        if self._provider is not None:
            from opentelemetry import propagate  # noqa: PLC0415 - only with a receiver

            propagate.inject(carrier)
        return carrier

    def close(self) -> None:
        """Send the remaining spans, for `FLUSH_SECONDS` at most."""
        if self._provider is None:
            return
        thread = threading.Thread(target=self._provider.shutdown, name="last traces", daemon=True)
        thread.start()
        thread.join(FLUSH_SECONDS)


traces: Final = Traces()
"""That of this process."""


def is_wanted(variables: Mapping[str, str]) -> bool:
    """Return whether the variables name a receiver, and don't switch traces off."""
    is_off = (
        variables.get("OTEL_SDK_DISABLED", "").lower() == "true"
        or variables.get("OTEL_TRACES_EXPORTER", "").lower() == _OFF
    )
    return not is_off and any(variables.get(name) for name in ENDPOINTS)


def _without_header(record: logging.LogRecord) -> bool:
    """Remove a malformed header, which may be a token, from the message about it, and keep the message."""
    if record.args:
        record.args = ("the value isn't shown; write a blank as %20",)
    return True


def _provider_of(variables: Mapping[str, str]) -> Any:
    """Return the provider of the service's code, if it has set one, else one for the receiver."""
    from opentelemetry import trace  # noqa: PLC0415 - only with a receiver
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - the same

    if isinstance(own := trace.get_tracer_provider(), TracerProvider):
        return own
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - the same
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    pod = Resource(
        {
            "service.name": variables.get(PRODUCT, "local"),
            "service.namespace": variables.get(NAMESPACE, "local"),
            "service.version": variables.get(VERSION, "local"),
            "service.instance.id": socket.gethostname(),
        }
    )
    provider = TracerProvider(
        resource=Resource.create().merge(pod).merge(OTELResourceDetector().detect()),
        shutdown_on_exit=False,  # it would wait for an absent receiver
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


def _excluded_urls(service: Any, variables: Mapping[str, str]) -> Any:
    """Return the patterns of URLs whose requests have no spans: probes, scrapes and those that are configured."""
    from opentelemetry.util.http import ExcludeList  # noqa: PLC0415 - only with a receiver

    prefix = re.escape((service.path_prefix or "").rstrip("/"))
    probes = rf"^\w+://[^/]+{prefix}/({'|'.join(PATHS)})$"
    excluded = (service.config.get("tracing") or {}).get("excluded_urls") or []
    listed = excluded.split(",") if isinstance(excluded, str) else list(excluded)
    configured = variables.get("OTEL_PYTHON_EXCLUDED_URLS", "")
    listed += [part.strip() for part in configured.split(",") if part.strip()]
    return ExcludeList([probes, *listed])


def _hand_to_bentoml(provider: Any, excluded: Any) -> None:
    """Let BentoML open the spans of requests with this provider, except for those of excluded URLs."""
    from bentoml._internal.configuration.containers import BentoMLContainer  # noqa: PLC0415

    BentoMLContainer.tracing_excluded_urls.set(excluded)
    BentoMLContainer.tracer_provider.set(provider)
