"""A scenario from a product's measurements in the past, with the versions of that time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import VersionBase
from sluicegate.cli.trials.recorded_consumers import RecordedConsumer, recorded_consumers
from sluicegate.cli.trials.recorded_upstreams import release_facts
from sluicegate.errors import invalid
from sluicegate.measurement.store import series_of, target_of
from sluicegate.policy.model.consumers import consumer_names
from sluicegate.policy.model.observed import LOOK_BACK_SECONDS
from sluicegate.prometheus.past_blocks import Era, PastReader
from sluicegate.prometheus.targets import REQUESTS
from sluicegate.simulation.recording import (
    Recording,
    Stint,
    arrival_event,
    names_of,
    promotion_event,
    version_stints,
)
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.by_market import split_series
from sluicegate.slo.pod_seconds import POD_SECONDS

DAY: Final = 86_400
MAX_BLOCKS: Final = 25_000
"""Most blocks of a record: 17 days of one-minute blocks, some megabytes."""
LONGEST_CANARY: Final = 2 * DAY
"""Seconds from the first traffic of a rollout for which short blocks are recorded."""
_ASIDE: Final = frozenset({REQUESTS, POD_SECONDS})


async def record(
    product: DataProduct,
    body: Mapping[str, Any],
    reader: PastReader,
    *,
    days: float,
    now: float,
    others: Sequence[Mapping[str, Any]] = (),
) -> tuple[Recording, Iterator[str]]:
    """Return the measurements of a product in the last days, and the lines of the file.

    Parameters
    ----------
    body : the product's document, whose spec is copied into the file. now : in seconds.
    others : documents of the products whose outcomes count in its canaries, and of those that it calls, as
        far as they exist.

    Raises
    ------
    InvalidInput
        There is nothing to record. PrometheusError: Prometheus doesn't answer.
    """
    seconds = product.spec.analysis.block_seconds
    newest = reader.timing.newest_complete(now, seconds)
    past = version_stints(product.status)
    if not past:
        raise invalid("product", "no version of it is stable yet: record it once it serves")
    blocks = min(int(days * DAY / seconds), MAX_BLOCKS)
    first = max(newest - blocks, past[0].begin // seconds) + 1
    if first > newest:
        raise invalid("product", "no block of it is complete yet: record it later")
    past = [block for block in past if block.end >= first * seconds]
    versions = _versions_since(product.status, (first - 1) * seconds)
    recording = _begin(body, past[0], first * seconds)
    recording.read_seconds = round(reader.timing.complete_at(0, seconds))
    recorded = tuple(recorded_consumers(product, others))
    begin = first * seconds
    recording.facts = list(release_facts(product, others, begin=begin, now=round(now)))
    recording.consumers = {
        consumer.terms.name: _without_status(consumer.body) for consumer in recorded
    }
    making = RecordBuilder(product, reader, tuple(past), versions, recording, recorded)
    if blocks == MAX_BLOCKS:
        making.note(
            f"Only the last {MAX_BLOCKS * seconds / DAY:.1f} days are in it: a record has at most"
            f" {MAX_BLOCKS:,} blocks."
        )
    problems = await making.put(range(first, newest + 1), seconds)
    problems += await making.put_canaries(newest)
    making.put_arrivals()
    making.add_notes_on_gaps(problems)
    reason_name = "PrometheusUnavailable" if problems else "PrometheusStale"
    return recording, recording.text(
        [(block.end, series_of(block.version)) for block in past], reason_name
    )


def _begin(body: Mapping[str, Any], first: Stint, begin: int) -> Recording:
    """Return an empty record, without baselines that were measured after its start."""
    return Recording(
        product=_without_status(body),
        version=series_of(first.version),
        promotion_time=first.begin,
        accepted=first.version.evaluation,
        baselines={name: one for name, one in first.baselines.items() if one.end <= begin},
    )


def _without_status(body: Mapping[str, Any]) -> dict[str, Any]:
    meta = body["metadata"]
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        "spec": body["spec"],
    }


def _versions_since(status: DataProductStatus, begin: int) -> dict[str, VersionBase]:
    """Return all versions that ended after a time, or exist, by their name in series."""
    known_versions: Iterable[VersionBase] = (
        *(version for version in (status.stable, status.candidate) if version is not None),
        *(past_version for past_version in status.history if past_version.end_time > begin),
    )
    return {series_of(version): version for version in known_versions}


@dataclass(frozen=True, slots=True)
class RecordBuilder:
    """A record under construction, in which versions have their series names until it is complete."""

    product: DataProduct
    reader: PastReader
    past: tuple[Stint, ...]
    versions: Mapping[str, VersionBase]
    recording: Recording
    consumers: tuple[RecordedConsumer, ...] = ()

    @property
    def seconds(self) -> int:
        """Return the length of a block."""
        return self.product.spec.analysis.block_seconds

    def note(self, text: str) -> None:
        """Add a note about missing data."""
        self.recording.notes.append(text)

    async def put(self, indexes: range, step: int, *, canary: bool = False) -> list[str]:
        """Read these blocks into the record, canary blocks with ages; return the problems in words."""
        past = await self.reader.read(list(self._eras(canary=canary)), indexes, step, canary=canary)
        consumers = {consumer.terms.name: consumer for consumer in self.consumers}
        for (version, slo), blocks in past.blocks.items():
            namespace, _, own_name = slo.partition("/")
            if own_name:
                name, _, series = own_name.partition("/")
                consumer = consumers[f"{namespace}/{name}"]
                consumer.put(self.recording, (version, series), blocks, step)
            elif slo not in _ASIDE:
                self.recording.put(version, slo, _with_evidence(slo, blocks), step)
        problems = past.problems
        for consumer in () if canary else self.consumers:
            problems += await consumer.put_usual(self.recording, self.reader, indexes, step)
        return problems

    def _eras(self, *, canary: bool) -> Iterator[Era]:
        """Yield the versions to query in each era, the stable one first."""
        consumers = tuple(consumer.key for consumer in self.consumers)
        target = target_of(self.product, self.reader.timing)
        assert target is not None, "a product with a stint has a stable version"
        for stint in self.past:
            yield Era(
                replace(
                    target,
                    versions=tuple(dict.fromkeys((series_of(stint.version), *self.versions))),
                    service=stint.version.service,
                    renamed=tuple((name, one.service) for name, one in self.versions.items()),
                    client_errors=True,
                    counts_pods=False,
                    consumers=consumers if canary else (),
                ),
                stint.end,
            )

    async def put_canaries(self, newest: int) -> list[str]:
        """Replace longer blocks by canary blocks where two versions had traffic."""
        seconds, step = self.seconds, self.reader.timing.canary_block(self.seconds)
        windows, problems = list(self._rollouts(newest * seconds)), list[str]()
        if not windows:
            return problems
        if seconds % step:
            self.note(
                f"Rollouts are in blocks of {seconds} s: canary blocks of {step} s don't divide them."
            )
            return problems
        for begin, end in windows:
            low, high = begin // seconds * seconds, -(-end // seconds) * seconds
            for block_end in range(low + seconds, high + 1, seconds):
                self.recording.drop(block_end)
            problems += await self.put(range(low // step + 1, high // step + 1), step, canary=True)
        return problems

    def _rollouts(self, newest: int) -> Iterator[tuple[int, int]]:
        """Yield the interval of each rollout in the record."""
        recording = self.recording
        earliest, covered = min(recording.blocks) - self.seconds, 0
        names = {name for read in recording.blocks.values() for name in read}
        eventful = {name: event_ends for name in names if (event_ends := recording.eventful(name))}
        first_ends = [
            event_times[0] for name, event_times in eventful.items() if name != recording.version
        ]
        last_ends = [event_times[-1] for event_times in eventful.values()]
        for first_end in sorted(first_ends):
            rollout_end = min((end for end in last_ends if first_end <= end), default=first_end)
            end = min(rollout_end + LOOK_BACK_SECONDS, first_end + LONGEST_CANARY, newest)
            if end > covered:
                yield max(first_end - self.seconds - LOOK_BACK_SECONDS, earliest, covered), end
                covered = end

    def put_arrivals(self) -> None:
        """Add the events by which versions became known, and the promotions.

        A version becomes known before its first block with traffic.
        """
        recording, first = self.recording, self.recording.version
        with_traffic = {name for read in recording.blocks.values() for name in read}
        names = names_of({*with_traffic, first})
        for name in sorted(with_traffic - {first}):
            if event_ends := recording.eventful(name):
                before = max(
                    (block_end for block_end in recording.blocks if block_end < event_ends[0]),
                    default=event_ends[0],
                )
                version = self.versions.get(name)
                event, missing = arrival_event(names[name], version, before, self.product.status)
                recording.events.append(event)
                self.recording.notes += [missing] if missing else []
        recording.events += [
            promotion_event(names[series_of(past_version.version)], past_version.begin)
            for past_version in self.past[1:]
            if series_of(past_version.version) in names
        ]
        recording.events.sort(key=lambda event: event["at"])
        recording.names = names

    def add_notes_on_gaps(self, problems: list[str]) -> None:
        """Add notes about missing data."""
        recording, slos = self.recording, self.product.spec.slos
        gauges = [slo.name for slo in slos if slo.indicator.gauge]
        if gauges:
            self.note(f"Gauges have no counts and are left out: {', '.join(gauges)}.")
        for problem in problems:
            self.note(f"Prometheus didn't answer all of it: {problem}.")
        read = recording.blocks.values()
        counted = {slo for versions in read for counts in versions.values() for slo in counts}
        left_out = [
            consumer_name
            for consumer_name in consumer_names(self.product)
            if consumer_name not in recording.consumers
        ]
        if left_out:
            self.note(
                f"Outcomes of consumers aren't in it: {', '.join(left_out)}. A replay judges candidates"
                " without them."
            )
        silent = [slo.name for slo in slos if slo.name not in {*counted, *gauges}]
        if silent:
            self.note(f"No block has series of: {', '.join(silent)}.")
        ends = sorted(recording.blocks)
        first_read = next((at for at in ends if any(recording.blocks[at].values())), None)
        if first_read is not None and first_read > ends[0]:
            hours = (first_read - ends[0]) / 3600
            self.note(f"The first {hours:.1f} h have no series: Prometheus keeps less.")
        self.note(
            "States of upstream products, pods and containers, and requests of people aren't in it."
        )


def _with_evidence(slo: str, blocks: Sequence[Block]) -> Sequence[Block]:
    """Return the blocks of a series, of a market without those in which it had no event.

    Such blocks are no evidence, and a small market has many.
    """
    if not split_series(slo)[1]:
        return blocks
    return [b for b in blocks if b.count.total or b.quality is not Quality.COUNTED]
