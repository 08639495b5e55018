"""A Prometheus in memory: it recognises the operator's queries, and answers from counts.

It replaces the HTTP session: everything in the operator's own client, from the form to the reading
of rows, is real.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cache, partial
from io import BytesIO
from math import floor
from typing import TYPE_CHECKING, Any, Final

import requests
from typing_extensions import override

from benchmarks.prometheus_stand_in import Lie, Row, envelope, recognise, row
from benchmarks.virtual import own_metrics
from benchmarks.virtual.blocks import EXACT, Block
from benchmarks.virtual.callings import SEPARATOR
from benchmarks.virtual.event_loop import virtual_loop
from benchmarks.virtual.selectors import Matcher, all_match, parse_matchers
from benchmarks.virtual.traffic import by_delay
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.http_session import QuerySession
from sluicegate.slo import metric_names as names
from sluicegate.slo.label_ages import AGES
from sluicegate.slo.queries import Fact
from sluicegate_service.outcomes import age_class

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.prometheus_stand_in import Fault
    from benchmarks.virtual.traffic import Counted, Traffic, Version
    from sluicegate.prometheus.endpoint import Endpoint
    from sluicegate.spans import Spans

SCRAPE: Final = 15.0
"""Seconds between two scrapes."""
LOOK_BACK: Final = 300.0
"""Seconds without a sample after which a series has ended."""
CPUS_USED: Final = 0.05
"""CPUs of a version's busiest pod."""
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
    lies : fault of a query, by the name of its kind, or "" for each.
    poison : products whose series make queries that select them fail; None without any.
    lost : times, in seconds since 1970, without samples.
    retention : seconds for which it keeps samples; None for no limit.
    inputs : values of products' inputs, by name; none of an input that isn't there.
    phase : seconds from the last scrape of a block to the block's end.
    epoch : the clock's zero, in seconds since 1970: `traffic` uses the loop's time.
    """

    traffic: Traffic
    epoch: float
    lies: dict[str, Lie] = field(default_factory=dict)
    queries: Counter[str] = field(default_factory=Counter)
    lost: list[tuple[float, float]] = field(default_factory=list)
    inputs: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.02
    phase: float = 0.0
    retention: float | None = None
    poison: Fault | None = None

    def connect(self, endpoint: Endpoint, spans: Spans) -> Prometheus:
        """Return the operator's own client, with a session to this server."""
        loop = virtual_loop()
        return Prometheus(
            endpoint,
            spans,
            open_session=self._open_session,
            clock=loop.thread_time,
            sleep_seconds=loop.spend,
        )

    def _open_session(self, endpoint: Endpoint) -> QuerySession:
        return _Session(endpoint, self)

    def answer(self, form: Mapping[str, Any], patience: float) -> tuple[int, bytes]:
        """Return status and body of the answer to a range query; ConnectionError without one."""
        kind = recognise(form["query"])
        self.queries[kind] += 1
        loop = virtual_loop()
        loop.spend(self.seconds)
        lie = self.lies.get(kind) or self.lies.get("")
        if lie is None and self.poison is not None:
            lie = self.poison(kind, dict(form))
        if lie is Lie.REFUSED:
            raise requests.ConnectionError("connection refused")
        if lie is Lie.HANGS:
            loop.spend(patience)
            raise requests.ReadTimeout("no answer")
        if lie in _STATUS:
            return _STATUS[lie], json.dumps({"status": "error", "error": str(lie)}).encode()
        if lie is Lie.NOT_JSON:
            return 200, b"<html>"
        step = int(float(form["step"]))
        # It has no samples of the future.
        end = min(float(form["end"]), self.epoch + loop.thread_time())
        indexes = range(int(float(form["start"])) // step, int(end) // step + 1)
        body = envelope(self.rows(form["query"], indexes, step))
        if lie is Lie.PARTIAL:
            body["warnings"] = ["a store gateway didn't answer"]
        return 200, json.dumps(body).encode()

    def rows(self, query: str, indexes: range, step: int) -> Iterator[Row]:
        """Yield the rows of an answer; none to a query for a metric that no pod exposes here."""
        if recognise(query) == "inputs":
            yield from self._inputs(query, indexes, step)
            return
        read = _READ.get(recognise(query))
        if own := _OWN.get(recognise(query)):
            read = partial(own, query)
        if read is None:
            return
        matchers = _matchers(query)
        for version, counted in self.traffic.versions.items():
            of_series = (one for one in matchers if one.label not in ("le", "__name__"))
            if not all_match(of_series, version._asdict()):
                continue
            pods = counted
            if counted.desk is not None and read in _AT_THE_DESK:
                pods = counted.desk
            blocks = [one for index in indexes if (one := self._block(pods, index, step))]
            if blocks:
                for labels, values in read(version, counted, blocks):
                    if values and ("le" not in labels or all_match(matchers, labels)):
                        yield row(values, step, **labels)

    def _inputs(self, query: str, indexes: range, step: int) -> Iterator[Row]:
        """Yield the value of an input; nothing of one that isn't there."""
        labels = own_metrics.input_of(query)
        if (value := self.inputs.get(labels[names.COUNTER])) is not None:
            yield row(dict.fromkeys(indexes, value), step, **labels)

    def _block(self, counted: Counted, index: int, step: int) -> Block | None:
        """Return the scrapes of a version in a block; None without any."""
        begin, end = (index - 1) * step - self.epoch, index * step - self.epoch
        existing, pods = counted.there, counted.pods
        always = (
            existing.rate(end) and existing.at(end) - existing.at(begin - step) > 2 * step - EXACT
        )
        if always and not step % SCRAPE and not self._away(begin - step, end):
            first, last = begin - self.phase, end - self.phase
            between = (pods.at(last) - pods.at(first)) / SCRAPE
            tried = round(between - pods.rate(first) + pods.rate(last))
            return Block(index, step // int(SCRAPE), tried, first, last, self.phase)
        if existing.at(end) == existing.at(begin) and not existing.rate(end):
            return None
        before, scrapes = (
            [
                one
                for one in self._scrapes(edge, edge + step)
                if existing.rate(one) and not self._away(one, one)
            ]
            for edge in (begin - step, begin)
        )
        if not scrapes:
            return None
        age = end - scrapes[-1]
        is_missed = any(
            not self._away(scrape, scrape) for scrape in self._scrapes(scrapes[-1], end)
        )
        return Block(
            index,
            len(scrapes),
            round(sum(map(pods.rate, scrapes))),
            before[-1] if before else None,
            scrapes[-1],
            None if is_missed or age >= LOOK_BACK else age,
            tuple(scrapes),
        )

    def _away(self, begin: float, end: float) -> bool:
        """Return whether samples were lost between two times of the loop."""
        if self.retention is not None and begin < virtual_loop().thread_time() - self.retention:
            return True
        return any(
            first <= end + self.epoch and begin + self.epoch < last for first, last in self.lost
        )

    def _scrapes(self, begin: float, end: float) -> list[float]:
        """Return the loop's times of the scrapes after `begin` and until `end`."""
        late = self.epoch + self.phase
        first, last = (floor((edge + late + EXACT) / SCRAPE) + 1 for edge in (begin, end))
        return [number * SCRAPE - late for number in range(first, last)]


@cache
def _matchers(query: str) -> frozenset[Matcher]:
    return parse_matchers(query)


class _Answer(requests.Response):
    """The parts of a response that the operator's session reads; others would take time to make."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status_code, self.raw = status, BytesIO(body)
        self._content = False  # type: ignore[assignment]  # as an unread one has it
        self._content_consumed = False


class _Wire(requests.Session):
    """A session that passes a form to the server directly: `requests` isn't tested here."""

    server: PrometheusServer

    @override
    def request(self, *_: Any, **options: Any) -> requests.Response:
        return _Answer(*self.server.answer(options["data"], options["timeout"][1]))


class _Session(QuerySession, _Wire):
    """The operator's own session without a socket."""

    def __init__(self, endpoint: Endpoint, server: PrometheusServer) -> None:
        super().__init__(endpoint)
        self.server = server


Read = "Callable[[Version, Counted, list[Block]], Values]"


def _labels(version: Version) -> dict[str, str]:
    return version._asdict()


def _counts(counted: Counted, name: str, blocks: list[Block]) -> dict[int, float]:
    """Return the counts of an event."""
    curve = counted.events.get(name)
    if curve is None:
        return {}
    counts = ((one.index, one.count(curve)) for one in blocks)
    return {index: count for index, count in counts if count is not None}


def _requests(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    labels = {**_labels(version), "runner_name": counted.service}
    yield labels, _counts(counted, "requests", blocks)


def _bad(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    labels = {**_labels(version), "runner_name": counted.service}
    for name, code in (("failed", "500"), ("refused", "422")):
        yield {**labels, "http_response_code": code}, _counts(counted, name, blocks)


def _latency(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    """Return latency counts: slow requests are slower than every bound but the last."""
    labels = {**_labels(version), "runner_name": counted.service}
    answered, slow = (_counts(counted, name, blocks) for name in ("answered", "slow"))
    yield {**labels, "le": "+Inf"}, answered
    fast = {index: max(value - slow.get(index, 0), 0) for index, value in answered.items()}
    for bound in (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0):
        yield {**labels, "le": str(bound)}, fast


def _labelled(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    for outcome in ("correct", "wrong"):
        labels = {**own_metrics.by_prediction(version), "outcome": outcome}
        yield labels, _counts(counted, outcome, blocks)


def _labelled_by_age(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    """Return labels by the class of their predictions' age; without variation they come at once."""
    for outcome in ("correct", "wrong"):
        for age, counts in _by_age(counted.events.get(outcome), blocks):
            yield {**own_metrics.by_prediction(version), "outcome": outcome, "age": age}, counts


def _upstreams(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    """Return outcomes by the version of the upstream, and all of them; requests by what they met."""
    owner = {"namespace": version.namespace, "product": version.product}
    for name, curve in counted.events.items():
        outcome, _, rest = name.partition(SEPARATOR)
        upstream, _, rest = rest.partition(SEPARATOR)
        if outcome == "met":
            labels = owner | {"upstream": upstream, "result": rest}
            yield labels, _counts(counted, name, blocks)
        elif outcome in ("correct", "wrong"):
            upstream_labels = {
                "upstream": upstream,
                "upstream_revision": rest.rpartition(SEPARATOR)[2],
            }
            labels = owner | (upstream_labels if upstream else {})
            event = {"indicator": own_metrics.INDICATOR, "outcome": _EVENT[outcome]}
            yield labels | event, _counts(counted, name, blocks)
            for age, counts in _by_age(curve, blocks):
                yield labels | {"outcome": outcome, "age": age}, counts


def _by_age(curve: Any, blocks: list[Block]) -> Iterator[tuple[str, dict[int, float]]]:
    """Yield the labels of each class of their predictions' age."""
    for age in AGES:
        counts: dict[int, float] = {}
        for delay, part in by_delay(curve):
            for block in blocks if age_class(delay) == age else ():
                if (count := block.count(part)) is not None:
                    counts[block.index] = counts.get(block.index, 0) + count
        yield age, counts


_EVENT: Final = {"correct": "good", "wrong": "bad"}


def _paired(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    """Return outcomes of two versions for one request."""
    for name in counted.events:
        outcomes, _, shadow = name.partition(">")
        if shadow:
            outcome, _, shadow_outcome = outcomes.partition("/")
            shadow_version, _, revision = shadow.partition("/")
            labels = {
                **own_metrics.by_prediction(version),
                "outcome": outcome,
                "shadow_outcome": shadow_outcome,
            }
            labels |= {"shadow_version": shadow_version, "shadow_revision": revision}
            yield labels, _counts(counted, name, blocks)


def _markets(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    """Return outcomes by market; only these are counted by market here."""
    for name in counted.events:
        outcome, _, market = name.partition("@")
        if market:
            labels = {
                **own_metrics.by_prediction(version),
                "indicator": "outcomes",
                "outcome": outcome,
            }
            yield {**labels, "market": market}, _counts(counted, name, blocks)


def _targets(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    facts: dict[str, dict[int, float]] = {
        "up": {one.index: one.pods for one in blocks},
        "scrapes": {one.index: one.pods for one in blocks},
        "longest": {one.index: one.scrapes for one in blocks},
        "age": {one.index: one.age for one in blocks if one.age is not None},
    }
    if counted.secretless:
        facts["secretless"] = {one.index: one.pods for one in blocks}
    for fact, values in facts.items():
        yield {**_labels(version), "sluicegate_fact": fact}, values


def _cpu(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    """Return CPU shares: the share of a growth needs two samples."""
    grown = [one.index for one in blocks if one.scrapes > 1]
    if counted.throttled is not None:
        yield _labels(version), dict.fromkeys(grown, counted.throttled)
    if counted.waited is not None:
        for fact, value in ((Fact.WAITED, counted.waited), (Fact.USED, CPUS_USED)):
            yield {**_labels(version), "sluicegate_fact": fact}, dict.fromkeys(grown, value)


def _memory(version: Version, counted: Counted, blocks: list[Block]) -> Any:
    """Return memory shares, for the limit of a container at the block's end."""
    if counted.memory is not None:
        shares = {one.index: counted.memory for one in blocks if one.age is not None}
        yield _labels(version), shares


_READ: dict[str, Any] = {
    "requests": _requests,
    "requests_bad": _bad,
    "latency": _latency,
    "labelled": _labelled,
    "labelled_by_age": _labelled_by_age,
    "paired": _paired,
    "upstreams": _upstreams,
    "markets": _markets,
    "targets": _targets,
    "cpu": _cpu,
    "memory": _memory,
}
_AT_THE_DESK: Final = frozenset({_labelled, _labelled_by_age, _markets, _upstreams})
"""What the pods count that receive labels, whichever version made the predictions."""
_OWN: dict[str, Any] = {
    "events": own_metrics.events,
    "counters": own_metrics.counters,
    "gauges": own_metrics.gauges,
    "promql": own_metrics.expressions,
}
