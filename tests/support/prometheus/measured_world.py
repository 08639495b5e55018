"""A world of products with known counts, as rows that a Prometheus would answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.prometheus_stand_in import Row, row


@dataclass
class ProductBlocks:
    """What one version shows in each block; what is None has no series.

    `change` may alter any value: (kind, block index, value) → value, or None for "absent".
    """

    namespace: str = "catalog"
    product: str = "search-ranking"
    version: str = "v1"
    service: str = "SearchRanking"
    requests: float | None = 100
    bad: float | None = None
    refused: dict[str, float] = field(default_factory=dict)
    fast: float | None = 98
    correct: float | None = 45
    wrong: float | None = 5
    good_events: float | None = None
    bad_events: float | None = None
    gauge: float | None = None
    gauge_age: float = 1
    counters: dict[tuple[str, int], float] = field(default_factory=dict)
    labels_by_age: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Right and wrong predictions by the upper bound of their age when the label came."""
    ratios: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """Good and all events by the name of an SLO that PromQL measures."""
    targets: int = 2
    duplicates: int = 0
    age: float = 1
    coverage: float = 1.0
    attempted: float = 1.0
    throttled: float | None = 0.01
    memory: float | None = 0.4
    only: Callable[[int], bool] = lambda _: True


@dataclass
class World:
    """All versions; callable as the stand-in's source of rows."""

    versions: list[ProductBlocks]
    gateway: dict[str, float] = field(default_factory=dict)
    sent: dict[tuple[str, str], float] = field(default_factory=dict)
    """What a gateway says of a product's route, by what it calls the route and by the fact."""
    scrape_seconds: float = 30

    def __call__(self, kind: str, indexes: range, step: int) -> Iterator[Row]:
        if kind == "gateway":
            for backend, sent in self.gateway.items():
                yield row(dict.fromkeys(indexes, sent), step, sluicegate_backend=backend)
            return
        if kind == "sent":
            for (backend, fact), sent in self.sent.items():
                labels = {"sluicegate_backend": backend, "sluicegate_fact": fact}
                yield row(dict.fromkeys(indexes, sent), step, **labels)
            return
        if kind == "unknown":  # how long samples are kept: this Prometheus isn't scraped
            return
        for version in self.versions:
            for labels, value in _ROWS[kind](step / self.scrape_seconds, version):
                values = {index: value for index in indexes if version.only(index)}
                if value is not None and values:
                    yield row(values, step, **labels)


Answer = Iterator[tuple[dict[str, str], float | None]]


def _by_version(version: ProductBlocks) -> dict[str, str]:
    return {
        "namespace": version.namespace,
        "product": version.product,
        "version": version.version,
    }


def _by_prediction(version: ProductBlocks) -> dict[str, str]:
    return {
        "namespace": version.namespace,
        "product": version.product,
        "prediction_version": version.version,
    }


def _requests(_: float, version: ProductBlocks) -> Answer:
    yield {**_by_version(version), "runner_name": version.service}, version.requests


def _bad(_: float, version: ProductBlocks) -> Answer:
    labels = {**_by_version(version), "runner_name": version.service}
    yield {**labels, "http_response_code": "500"}, version.bad
    for code, value in version.refused.items():
        yield {**labels, "http_response_code": code}, value


def _latency(_: float, version: ProductBlocks) -> Answer:
    labels = {**_by_version(version), "runner_name": version.service}
    yield {**labels, "le": "0.25"}, version.fast
    if version.fast is not None and version.requests is not None:
        yield {**labels, "le": "+Inf"}, version.requests - (version.bad or 0)


def _labelled(_: float, version: ProductBlocks) -> Answer:
    yield {**_by_prediction(version), "outcome": "correct"}, version.correct
    yield {**_by_prediction(version), "outcome": "wrong"}, version.wrong


def _labelled_by_age(_: float, version: ProductBlocks) -> Answer:
    for age, (correct, wrong) in version.labels_by_age.items():
        yield {**_by_prediction(version), "outcome": "correct", "age": age}, correct
        yield {**_by_prediction(version), "outcome": "wrong", "age": age}, wrong


def _events(_: float, version: ProductBlocks) -> Answer:
    labels = {**_by_prediction(version), "indicator": "conversion"}
    yield {**labels, "outcome": "good"}, version.good_events
    yield {**labels, "outcome": "bad"}, version.bad_events


def _counters(_: float, version: ProductBlocks) -> Answer:
    for (name, lag), value in version.counters.items():
        labels = {"sluicegate_counter": name, "sluicegate_lag": str(lag)}
        yield {**_by_version(version), **labels}, value


def _gauges(_: float, version: ProductBlocks) -> Answer:
    labels = {**_by_version(version), "sluicegate_counter": "basket_value"}
    yield {**labels, "sluicegate_fact": "mean"}, version.gauge
    if version.gauge is not None:
        yield {**labels, "sluicegate_fact": "age"}, version.gauge_age


def _ratios(_: float, version: ProductBlocks) -> Answer:
    for slo, counts in version.ratios.items():
        for fact, value in zip(("good", "total"), counts, strict=True):
            labels = {"sluicegate_counter": slo, "sluicegate_fact": fact}
            yield {**_by_version(version), **labels}, value


def _targets(scrapes: float, version: ProductBlocks) -> Answer:
    if not version.targets:
        return
    tried = scrapes * version.attempted
    facts = {
        "up": version.targets * tried * version.coverage,
        "scrapes": version.targets * tried,
        "longest": tried,
        "age": version.age,
    }
    if version.duplicates:
        facts["duplicates"] = version.duplicates
    for fact, value in facts.items():
        yield {**_by_version(version), "sluicegate_fact": fact}, value


def _throttled(_: float, version: ProductBlocks) -> Answer:
    yield _by_version(version), version.throttled


def _memory(_: float, version: ProductBlocks) -> Answer:
    yield _by_version(version), version.memory


_ROWS = {
    "requests": _requests,
    "requests_bad": _bad,
    "latency": _latency,
    "labelled": _labelled,
    "labelled_by_age": _labelled_by_age,
    "events": _events,
    "counters": _counters,
    "gauges": _gauges,
    "promql": _ratios,
    "targets": _targets,
    "cpu": _throttled,
    "memory": _memory,
}
