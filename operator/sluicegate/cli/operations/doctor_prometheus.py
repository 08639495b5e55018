"""Requirements of the operator on Prometheus: labels, scrape interval, retention, container metrics."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

import requests

from sluicegate.prometheus.access import (
    address_without_user,
    headers_of,
    proxies_of,
    reason_of,
    refusal_of,
)
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.errors import PrometheusError
from sluicegate.prometheus.retention import DAY, RETENTION_METRIC, needed_retention
from sluicegate.settings import GatewayMetrics, Settings
from sluicegate_service.findings import Finding

REQUESTS: Final = "bentoml_service_request_total"
"""The counter of each product's pods."""
LABELS: Final = ("namespace", "product", "version", "revision", "pod")
"""Labels of the targets, by which the operator finds products."""
UNITS: Final = {"y": 365 * DAY, "w": 7 * DAY, "d": DAY, "h": 3600, "m": 60, "s": 1, "ms": 0.001}


class NoAnswer(Exception):  # noqa: N818 - says what is the case
    """Prometheus didn't answer; the message has its answer or error."""


class PrometheusReader:
    """Reader of Prometheus' HTTP API."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.url = address_without_user(endpoint.url)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.proxies.update(proxies_of(endpoint))
        if endpoint.ca_file:
            self._session.verify = str(endpoint.ca_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def rows(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """Return labels and value of each row of an instant query. Raises NoAnswer."""
        result = self._data("query", query=query).get("result", [])
        return [(row["metric"], float(row["value"][1])) for row in result]

    def retention(self) -> str:
        """Return Prometheus' retention, such as `15d or 10GiB`; empty if it is unknown."""
        try:
            return str(self._data("status/runtimeinfo").get("storageRetention", ""))
        except NoAnswer:
            return ""  # Thanos and Mimir have no such page

    def scrape_seconds(self) -> float:
        """Return the longest interval of a product's target; 0 if it is unknown."""
        try:
            targets = self._data("targets", state="active").get("activeTargets", ())
        except NoAnswer:
            return 0.0  # as above
        intervals = [
            target["scrapeInterval"]
            for target in targets
            if target.get("labels", {}).get("product")
        ]
        return max(map(_seconds, intervals), default=0.0)

    def _data(self, path: str, **parameters: str) -> dict[str, Any]:
        endpoint = self._endpoint
        try:
            answer = self._session.get(
                f"{endpoint.url.rstrip('/')}/api/v1/{path}",
                params=parameters,
                headers=headers_of(endpoint),
                timeout=(endpoint.connect_seconds, endpoint.timeout_seconds),
                allow_redirects=False,
            )
        except PrometheusError as error:
            raise NoAnswer(str(error)) from error
        except (requests.RequestException, OSError) as error:
            raise NoAnswer(reason_of(error, endpoint)) from error
        if needed := refusal_of(answer.status_code, answer.content, endpoint):
            raise NoAnswer(f"HTTP {answer.status_code}: {needed}")
        try:
            body = answer.json()
        except ValueError as error:
            raise NoAnswer(
                f"HTTP {answer.status_code}, and not JSON: {answer.text[:100]!r}"
            ) from error
        if body.get("status") != "success":
            raise NoAnswer(f"{answer.status_code} {body.get('error', '')}")
        data: dict[str, Any] = body["data"]
        return data


def prometheus_findings(reader: PrometheusReader, settings: Settings) -> Iterator[Finding]:
    """Yield findings about Prometheus: its targets, retention and metrics."""
    try:
        reader.rows("vector(1)")
    except NoAnswer as error:
        yield Finding.error(
            reader.url,
            f"does not answer: {error}; from outside the cluster, use `kubectl -n monitoring port-forward"
            " svc/prometheus 9090` and --prometheus http://127.0.0.1:9090",
        )
        return
    try:
        yield from _products(reader, settings)
        yield from _retention(reader)
        yield from _containers(reader)
        if settings.gateway_metrics is GatewayMetrics.TRAEFIK:
            yield from _traefik(reader)
    except NoAnswer as error:
        yield Finding.error(reader.url, f"stopped answering: {error}")


def _products(reader: PrometheusReader, settings: Settings) -> Iterator[Finding]:
    location = "products' pods"
    if not reader.rows(f"count({REQUESTS})"):
        yield Finding.note(
            location,
            "no target with a request is scraped: run this again once a product serves",
        )
        return
    for label in LABELS:
        if lacking := reader.rows(f'count({REQUESTS}{{{label}=""}})'):
            yield Finding.error(
                location,
                f"{lacking[0][1]:g} series have no label {label}: the scrape job must add it"
                f" (relabelling: docs/install.md, podMonitor.enabled in the chart)",
            )
    if reader.rows(f'count({REQUESTS}{{exported_endpoint!=""}})'):
        yield Finding.error(
            location,
            "the target has a label endpoint, so BentoML's own became exported_endpoint: drop it"
            " (relabelling: {action: labeldrop, regex: endpoint})",
        )
    yield from _interval(reader, settings)


def _interval(reader: PrometheusReader, settings: Settings) -> Iterator[Finding]:
    slowest, assumed = reader.scrape_seconds(), settings.scrape_interval_seconds
    if slowest > assumed:
        yield Finding.error(
            "scrape interval",
            f"of products' pods is {slowest:g} s, and the operator assumes {assumed:g} s: set"
            f" settings.scrapeIntervalSeconds to {slowest:g}, or scrape them more often",
        )


def _retention(reader: PrometheusReader) -> Iterator[Finding]:
    rows = reader.rows(f"min({RETENTION_METRIC} > 0)")
    seconds = rows[0][1] if rows else _seconds(reader.retention())
    if not seconds:
        yield Finding.note("retention", f"is unknown; {needed_retention() // DAY} days are needed")
    elif seconds < needed_retention():
        yield Finding.warning(
            "retention",
            f"is {seconds / DAY:.1f} days, so evidence is lost when the operator restarts: set"
            f" --storage.tsdb.retention.time to {needed_retention() // DAY}d or more",
        )


def _seconds(text: str) -> float:
    """Parse `15d or 10GiB` and `2w3d` as seconds; 0 for a limit by size alone."""
    time = text.partition(" or ")[0]
    if not re.fullmatch(r"(\d+(ms|[ywdhms]))+", time):
        return 0.0
    return sum(int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)(ms|[ywdhms])", time))


def _containers(reader: PrometheusReader) -> Iterator[Finding]:
    location = "cAdvisor"
    if not reader.rows('count(container_memory_working_set_bytes{container!=""})'):
        yield Finding.warning(
            location,
            "is not scraped: memory and CPU throttling are unknown, so the cause of slow pods is not"
            " found, and their model is not rolled back; scrape the kubelets' /metrics/cadvisor",
        )
        return
    lacking = 'count(container_memory_working_set_bytes{container!="",pod=""})'
    if reader.rows(lacking):
        yield Finding.error(location, "its series have no label pod: keep the kubelet's labels")


def _traefik(reader: PrometheusReader) -> Iterator[Finding]:
    if reader.rows('count(traefik_service_requests_total{service!=""})'):
        return
    is_scraped = reader.rows('count({__name__=~"traefik_config_.+"})')
    is_counted = reader.rows("count(traefik_service_requests_total)")
    has_requests = reader.rows(
        'count(traefik_entrypoint_requests_total{entrypoint!~"metrics|traefik"} > 0)'
    )
    if is_scraped and not is_counted and not has_requests:
        yield Finding.note(
            "Traefik",
            "is scraped, and has had no request yet: run this again once a product has a route",
        )
    else:
        yield Finding.error(
            "Traefik",
            "no traefik_service_requests_total with a label service is scraped, and"
            " settings.gatewayMetrics is Traefik: scrape its pods with metrics.prometheus.addServicesLabels,"
            " or set it to None",
        )
