"""Outcomes of this product by the version of an upstream that answered its calls.

They are counted while a canary of the upstream runs: while this process has met two versions of it
within an hour. Then all series of the upstream are removed, so they are no counters of
prometheus_client, which keeps each series of a process that writes its counters to files. The
metrics' port appends them to its page.

Outcomes have series of the youngest class of age, and of those in which a label has come. These begin
with a page that has them at 0, as a rate over the first block would lack the first labels otherwise.

Each upstream has two versions at most. A third replaces the one that was met longest ago, if that
isn't met any more: a candidate that follows another one.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from itertools import product
from threading import Lock
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily

from sluicegate_service.environment import (
    UPSTREAM_EVENTS_METRIC,
    UPSTREAM_OUTCOMES_METRIC,
    UPSTREAM_REQUESTS_METRIC,
    UPSTREAMS,
)
from sluicegate_service.outcomes import AGES, Event, Outcome, age_class
from sluicegate_service.version_marks import UpstreamVersion, products_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric

    from sluicegate_service.paths import Application, Message, Receive, Scope, Send

LASTING_SECONDS: Final = 3600.0
"""Seconds for which a version counts as served after it was met."""
REPLACED_SECONDS: Final = 60.0
"""Seconds after which a version that isn't met any more makes room for a third one."""
VERSIONS: Final = 2
_VERSION_LABELS: Final = ("upstream", "upstream_version", "upstream_revision")


class Met(StrEnum):
    """Versions of an upstream that one request met."""

    ONE = "one"
    MIXED = "mixed"
    """Two: the request counts for neither."""
    UNMARKED = "unmarked"
    """No answer had a mark."""


@dataclass(slots=True)
class _Counts:
    """What is counted of one version, by the values of the other labels."""

    last_met: float
    outcomes: dict[tuple[Outcome, str], int]
    events: dict[tuple[str, str], int]


@dataclass(slots=True, eq=False)
class UpstreamOutcomes:
    """The versions that were met, and the counts by version.

    Attributes
    ----------
    upstreams : the ones that are counted, each NAMESPACE/NAME.
    clock : returns Unix seconds, as tokens have them.
    """

    upstreams: frozenset[str]
    clock: Callable[[], float] = time.time
    _versions: dict[str, dict[UpstreamVersion, _Counts]] = field(default_factory=dict, init=False)
    _requests: dict[str, dict[Met, int]] = field(default_factory=dict, init=False)
    _shown_ages: dict[str, set[str]] = field(default_factory=dict, init=False)
    _indicators: set[str] = field(default_factory=set, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def know(self, indicators: Iterable[str]) -> None:
        """Let the series of these indicators of events begin at 0."""
        self._indicators.update(indicators)

    def meet(self, version: UpstreamVersion) -> None:
        """Note that a version has answered just now."""
        with self._lock:
            self._met(version, self.clock())

    def is_running(self, upstream: str) -> bool:
        """Return whether a canary of the upstream runs, as far as this process knows."""
        since = self.clock() - LASTING_SECONDS
        versions = tuple(self._versions.get(upstream, {}).values())
        return sum(counts.last_met >= since for counts in versions) >= VERSIONS

    def count_outcome(
        self, version: UpstreamVersion, outcome: Outcome, *, age: float, issued_at: float
    ) -> None:
        """Count a labelled prediction. `age`: seconds until its label; `issued_at`: Unix seconds."""
        with self._lock:
            if (counts := self._counted(version, issued_at)) is not None:
                counts.outcomes[outcome, age_class(age)] += 1

    def count_event(
        self,
        version: UpstreamVersion,
        indicator: str,
        event: Event,
        *,
        issued_at: float | None = None,
    ) -> None:
        """Count an event of an indicator; `issued_at` None for one of the current request."""
        with self._lock:
            at = self.clock() if issued_at is None else issued_at
            if (counts := self._counted(version, at)) is not None:
                counts.events[indicator, event.value] += 1

    def count_request(self, upstream: str, met: Met) -> None:
        """Count a request that called the upstream."""
        with self._lock:
            if self.is_running(upstream):
                requests = self._requests.setdefault(upstream, dict.fromkeys(Met, 0))
                requests[met] += 1

    def collect(self) -> Iterator[Metric]:
        """Return the series, as a collector of prometheus_client; none without a canary."""
        with self._lock:
            self._remove_ended()
            outcomes, events, requests = _families()
            for upstream, versions in self._versions.items():
                if not self.is_running(upstream):
                    continue
                earlier_ages, counted = self._ages(upstream)
                for version, counts in versions.items():
                    for outcome, age in product(Outcome, sorted(earlier_ages | counted)):
                        number = counts.outcomes[outcome, age] if age in earlier_ages else 0
                        outcomes.add_metric([*version, outcome.value, age], number)
                    for (indicator, event), number in counts.events.items():
                        events.add_metric([*version, indicator, event], number)
                self._shown_ages[upstream] = earlier_ages | counted
            for upstream, by_result in self._requests.items():
                for met, number in by_result.items():
                    requests.add_metric([upstream, met.value], number)
        return iter([family for family in (outcomes, events, requests) if family.samples])

    def _ages(self, upstream: str) -> tuple[set[str], set[str]]:
        """Return the classes of age that the last page had, and those in which labels have come."""
        counted = {
            age
            for counts in self._versions[upstream].values()
            for (_, age), number in counts.outcomes.items()
            if number
        }
        return self._shown_ages.get(upstream, {AGES[0]}), counted

    def _counted(self, version: UpstreamVersion, at: float) -> _Counts | None:
        """Return the counts of a version that was met at a time; None without a canary."""
        if at >= self.clock() - LASTING_SECONDS:
            self._met(version, at)
        if not self.is_running(version.upstream):
            return None
        return self._versions[version.upstream].get(version)

    def _met(self, version: UpstreamVersion, at: float) -> None:
        if version.upstream not in self.upstreams:
            return
        versions = self._versions.setdefault(version.upstream, {})
        counts = versions.get(version)
        if counts is not None:
            counts.last_met = max(counts.last_met, at)
            return
        if len(versions) >= VERSIONS:
            oldest = min(versions, key=lambda other: versions[other].last_met)
            if versions[oldest].last_met > at - REPLACED_SECONDS:
                return
            del versions[oldest]
        versions[version] = _Counts(at, *self._zeros())

    def _zeros(self) -> tuple[dict[tuple[Outcome, str], int], dict[tuple[str, str], int]]:
        events = {(name, event.value): 0 for name in self._indicators for event in Event}
        return defaultdict(int), defaultdict(int, events)

    def _remove_ended(self) -> None:
        """Remove versions that aren't met any more, and the counts of an upstream without a canary."""
        since = self.clock() - LASTING_SECONDS
        for upstream, versions in self._versions.items():
            for version in [each for each in versions if versions[each].last_met < since]:
                del versions[version]
            if not self.is_running(upstream):
                self._requests.pop(upstream, None)
                self._shown_ages.pop(upstream, None)
                for counts in versions.values():
                    counts.outcomes, counts.events = self._zeros()


def _families() -> tuple[CounterMetricFamily, CounterMetricFamily, CounterMetricFamily]:
    return (
        CounterMetricFamily(
            UPSTREAM_OUTCOMES_METRIC,
            "Predictions whose truth is known, by the version of an upstream.",
            labels=[*_VERSION_LABELS, "outcome", "age"],
        ),
        CounterMetricFamily(
            UPSTREAM_EVENTS_METRIC,
            "Good and bad events, by the version of an upstream.",
            labels=[*_VERSION_LABELS, "indicator", "outcome"],
        ),
        CounterMetricFamily(
            UPSTREAM_REQUESTS_METRIC,
            "Requests that called an upstream, by the versions that they met.",
            labels=["upstream", "result"],
        ),
    )


@cache
def upstream_outcomes() -> UpstreamOutcomes:
    """Return the counts of this process; ValueError has a mistake in the operator's variable."""
    return UpstreamOutcomes(products_in(os.environ, UPSTREAMS))


class UpstreamMetrics:
    """An ASGI application that appends the series to the page of metrics of another one."""

    def __init__(self, application: Application, path: str, outcomes: UpstreamOutcomes) -> None:
        self._application, self._path = application, path
        self._registry = CollectorRegistry()
        self._registry.register(outcomes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; a page of metrics waits until it is complete."""
        if scope["type"] != "http" or scope["path"] != self._path:
            await self._application(scope, receive, send)
            return
        start: Message = {}
        parts: list[bytes] = []

        async def appended(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            body = b"".join((*parts, generate_latest(self._registry)))
            headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
            headers.append((b"content-length", str(len(body)).encode()))
            await send({**start, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        await self._application(scope, receive, appended)
