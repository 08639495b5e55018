"""A Prometheus in memory: it knows the operator's questions, and answers from what was counted.

It stands where the client's HTTP session would send: everything of the operator's own client,
from the form that it sends to the reading of rows, is real.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import requests
from requests.adapters import BaseAdapter
from typing_extensions import override

from benchmarks.prometheus_stand_in import Lie, Row, envelope, recognise, row
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.session import QuerySession
from tests.support.virtual.event_loop import virtual_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sluicegate.prometheus.endpoint import Endpoint
    from sluicegate.spans import Spans
    from tests.support.virtual.traffic import Counted, Traffic, Version

SCRAPE: Final = 15.0
"""Seconds between two scrapes."""
URL: Final = "http://prometheus.virtual:9090"
_STATUS: Final = {
    Lie.ERROR_500: 500, Lie.ERROR_503: 503, Lie.BUSY_429: 429,
    Lie.FORBIDDEN_403: 403, Lie.REJECTED_422: 422,
}  # fmt: skip

Values = "Iterator[tuple[dict[str, str], dict[int, float]]]"


@dataclass
class PrometheusServer:
    """The server.

    Attributes
    ----------
    lies : what becomes of a query, by the name of its kind, or "" for each.
    lost : spans of time, in seconds since 1970, of which it has no sample.
    epoch : the clock's zero, in seconds since 1970: `traffic` is told the loop's time.
    """

    traffic: Traffic
    epoch: float
    lies: dict[str, Lie] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    lost: list[tuple[float, float]] = field(default_factory=list)
    seconds: float = 0.02

    def connect(self, endpoint: Endpoint, spans: Spans) -> Prometheus:
        """The operator's own client, which asks this server."""
        loop = virtual_loop()
        return Prometheus(
            endpoint,
            spans,
            open_session=self._open_session,
            clock=loop.thread_time,
            sleep=loop.spend,
        )

    def _open_session(self, endpoint: Endpoint) -> QuerySession:
        return _Session(endpoint, _Adapter(self))

    def answer(self, form: dict[str, str], patience: float) -> tuple[int, bytes]:
        """Status and body of the answer to a range query; ConnectionError without one."""
        kind = recognise(form["query"])
        self.asked[kind] += 1
        loop = virtual_loop()
        loop.spend(self.seconds)
        lie = self.lies.get(kind) or self.lies.get("")
        if lie is Lie.REFUSED:
            raise requests.ConnectionError("nobody listens")
        if lie is Lie.HANGS:
            loop.spend(patience)
            raise requests.ReadTimeout("no answer")
        if lie in _STATUS:
            return _STATUS[lie], json.dumps({"status": "error", "error": str(lie)}).encode()
        if lie is Lie.NOT_JSON:
            return 200, b"<html>"
        step = int(float(form["step"]))
        indexes = range(int(float(form["start"])) // step, int(float(form["end"])) // step + 1)
        body = envelope(self.rows(kind, indexes, step))
        if lie is Lie.PARTIAL:
            body["warnings"] = ["a store gateway didn't answer"]
        return 200, json.dumps(body).encode()

    def rows(self, kind: str, indexes: range, step: int) -> Iterator[Row]:
        """The rows of an answer."""
        read = _READ.get(kind)
        if read is None:
            return
        now = self.epoch + virtual_loop().thread_time()
        blocks = [
            (index, index * step - step - self.epoch, index * step - self.epoch)
            for index in indexes
            if index * step <= now  # it has no sample of what is still to come
            and not any(
                begin < index * step and index * step - step < end for begin, end in self.lost
            )
        ]
        for version, counted in self.traffic.versions.items():
            there = [one for one in blocks if counted.there.at(one[2]) > counted.there.at(one[1])]
            if there:
                for labels, values in read(version, counted, there):
                    if values:
                        yield row(values, step, **labels)


class _Session(QuerySession):
    """The operator's own session; only what it sends through isn't a socket."""

    def __init__(self, endpoint: Endpoint, adapter: BaseAdapter) -> None:
        super().__init__(endpoint)
        self._adapter = adapter

    @override
    def get_adapter(self, url: str | bytes) -> BaseAdapter:
        return self._adapter


class _Adapter(BaseAdapter):
    def __init__(self, server: PrometheusServer) -> None:
        super().__init__()
        self._server = server

    @override
    def send(self, request: Any, *_: Any, **options: Any) -> requests.Response:
        form = {name: values[0] for name, values in parse_qs(request.body).items()}
        timeout = options["timeout"]
        status, body = self._server.answer(
            form, timeout[1] if isinstance(timeout, tuple) else timeout
        )
        response = requests.Response()
        response.status_code, response.url, response.request = status, request.url, request
        response.raw = BytesIO(body)
        return response

    @override
    def close(self) -> None:
        """Nothing is open."""


Block = tuple[int, float, float]
Read = "Callable[[Version, Counted, list[Block]], Values]"


def _labels(version: Version) -> dict[str, str]:
    return version._asdict()


def _by_prediction(version: Version) -> dict[str, str]:
    return {
        "namespace": version.namespace,
        "product": version.product,
        "prediction_version": version.version,
        "prediction_revision": version.revision,
    }


def _counts(counted: Counted, name: str, blocks: list[Block]) -> dict[int, float]:
    """The counts of an event; none before it happened for the first time."""
    curve = counted.events.get(name)
    if curve is None:
        return {}
    return {index: curve.count(begin, end) for index, begin, end in blocks if curve.at(end) >= 1}


def _requests(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    labels = {**_labels(version), "runner_name": counted.service}
    yield labels, _counts(counted, "requests", blocks)


def _bad(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    labels = {**_labels(version), "runner_name": counted.service}
    for name, code in (("failed", "500"), ("refused", "422")):
        yield {**labels, "http_response_code": code}, _counts(counted, name, blocks)


def _latency(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    """Slow requests are slower than every bound but the last."""
    labels = {**_labels(version), "runner_name": counted.service}
    answered, slow = (_counts(counted, name, blocks) for name in ("answered", "slow"))
    yield {**labels, "le": "+Inf"}, answered
    fast = {index: max(value - slow.get(index, 0), 0) for index, value in answered.items()}
    for bound in (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0):
        yield {**labels, "le": str(bound)}, fast


def _labelled(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    for outcome in ("correct", "wrong"):
        labels = {**_by_prediction(version), "outcome": outcome}
        yield labels, _counts(counted, outcome, blocks)


def _targets(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    facts: dict[str, dict[int, float]] = {"up": {}, "scrapes": {}, "longest": {}, "age": {}}
    for index, begin, end in blocks:
        pods = (counted.pods.at(end) - counted.pods.at(begin)) / SCRAPE
        facts["up"][index] = facts["scrapes"][index] = round(pods)
        there = counted.there.at(end) - counted.there.at(begin)
        facts["longest"][index] = round(there / SCRAPE)
        gone = counted.there.at(end) == counted.there.at(end - 1)
        facts["age"][index] = (end - begin) - there if gone else 1
    for fact, values in facts.items():
        yield {**_labels(version), "sluicegate_fact": fact}, values


def _throttled(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    if counted.throttled is not None:
        yield _labels(version), {index: counted.throttled for index, _, _ in blocks}


def _memory(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    if counted.memory is not None:
        yield _labels(version), {index: counted.memory for index, _, _ in blocks}


_READ: dict[str, Any] = {
    "requests": _requests,
    "requests_bad": _bad,
    "latency": _latency,
    "labelled": _labelled,
    "targets": _targets,
    "cpu_throttled": _throttled,
    "memory": _memory,
}
