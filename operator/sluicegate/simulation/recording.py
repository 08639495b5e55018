"""A recorded history as a scenario to replay: its versions, and the file.

Times in it are seconds since 1970, so that hours and days are those of the clock.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from sluicegate.api.base import rfc3339
from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import PastVersion, Version, VersionBase, VersionSource
from sluicegate.simulation.replay_scenario import CLIENT_ERRORS_FIELD
from sluicegate.simulation.scenario_fields import PAIR_FIELDS, QUALITY_BY_NAME
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.counts import Count

OPEN_END: Final = 2**40
"""End of a stint that has not ended."""
_WORDS: Final = {quality: word for word, quality in QUALITY_BY_NAME.items()}
_UNCHANGED_QUALITIES: Final = frozenset({Quality.NO_SERIES, Quality.MISSING})


@dataclass(frozen=True, slots=True)
class Stint:
    """A time span, in seconds, in which a version was stable, with the version's baselines."""

    version: VersionBase
    begin: int
    end: int
    baselines: Mapping[str, Baseline] = field(default_factory=dict)


def version_stints(status: DataProductStatus) -> list[Stint]:
    """Return the stable versions in status with their time spans, oldest first."""
    result = [
        Stint(
            past_version, past_version.promotion_time, past_version.end_time, past_version.baseline
        )
        for past_version in status.accepted_versions
        if past_version.promotion_time is not None
    ]
    if status.stable is not None:
        stable = status.stable
        result.append(Stint(stable, stable.promotion_time, OPEN_END, stable.baseline))
    return sorted(result, key=lambda stint: stint.begin)


def names_of(series: Iterable[str]) -> dict[str, str]:
    """Return the name of each version in the scenario file, by its name in series, `v1/4d2a…`.

    It is the version alone, unless two revisions have the same.
    """
    distinct_names = set(series)
    name_counts = Counter(key.partition("/")[0] for key in distinct_names)
    return {
        key: name if name_counts[name := key.partition("/")[0]] == 1 else key
        for key in distinct_names
    }


@dataclass(slots=True)
class ConsumerOutcomes:
    """Outcomes and requests of a consumer in one block.

    Attributes
    ----------
    usual : all outcomes, by SLO. versions : by version of the product and SLO.
    mixed, unmarked : requests that called the product; bad are those that met both versions, and those
        without a mark. None where no version is compared.
    """

    usual: dict[str, Block] = field(default_factory=dict)
    versions: dict[str, dict[str, Block]] = field(default_factory=dict)
    mixed: Block | None = None
    unmarked: Block | None = None

    def document(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return the entry of the file; values that were not read, and series that don't exist, are left out."""
        versions = {
            names.get(version, version): counts
            for version, blocks in self.versions.items()
            if (counts := _counts_of(blocks))
        }
        usual_counts, requests = _counts_of(self.usual), self._requests()
        document_fields = {"usual": usual_counts, "versions": versions, "requests": requests}
        return {name: field_value for name, field_value in document_fields.items() if field_value}

    def _requests(self) -> object:
        if self.mixed is None or self.mixed.quality in _UNCHANGED_QUALITIES:
            return None
        if word := _WORDS.get(self.mixed.quality):
            return word
        mixed_requests, total = self.mixed.count
        unmarked_requests = 0 if self.unmarked is None else self.unmarked.count.bad
        return {"total": total, "mixed": mixed_requests, "unmarked": unmarked_requests}


@dataclass(slots=True)
class Recording:
    """Content of a recorded scenario file.

    Attributes
    ----------
    product : the DataProduct without its status.
    version, promotion_time : stable version at the begin, and its promotion in seconds.
    accepted : hold-out counts of that version, by SLO.
    read_seconds : time from the end of a block until the operator evaluates it.
    blocks : by the second of their end, then by version and SLO.
    events, facts : those of the file. names : of the versions in the file. notes : a sentence on each
        item that is missing in the file.
    """

    product: Mapping[str, Any]
    version: str
    promotion_time: int
    accepted: Mapping[str, Count]
    baselines: Mapping[str, Baseline]
    read_seconds: int = 0
    blocks: dict[int, dict[str, dict[str, Block]]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    names: Mapping[str, str] = field(default_factory=dict)
    consumers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Documents of consumers without their status, by `namespace/name`."""
    outcomes: dict[int, dict[str, ConsumerOutcomes]] = field(default_factory=dict)
    """Those of consumers, by the second of their end, then by consumer."""

    def drop(self, block_end: int) -> None:
        """Remove the block that ends at a time and is replaced by shorter blocks."""
        self.blocks.pop(block_end, None)
        self.outcomes.pop(block_end, None)

    def outcomes_of(self, consumer: str, block_end: int) -> ConsumerOutcomes:
        """Return the modifiable outcomes of a consumer in one block."""
        return self.outcomes.setdefault(block_end, {}).setdefault(consumer, ConsumerOutcomes())

    def put(self, version: str, slo: str, blocks: Sequence[Block], step: int) -> None:
        """Add the blocks of a series; they replace earlier blocks."""
        for block in blocks:
            by_slo = self.blocks.setdefault(block.index * step, {}).setdefault(version, {})
            if block.quality not in _UNCHANGED_QUALITIES:
                by_slo[slo] = block

    def eventful(self, version: str) -> list[int]:
        """Return the ends of the blocks with events of a version, in order."""
        return [
            block_end
            for block_end, block_values in sorted(self.blocks.items())
            if any(
                block_value.count.total for block_value in block_values.get(version, {}).values()
            )
        ]

    def text(self, stable_at: Sequence[tuple[int, str]], unavailable_reason: str) -> Iterator[str]:
        """Yield the lines of the file.

        Parameters
        ----------
        stable_at : stable versions with their ends, in order.
        unavailable : the reason of blocks that couldn't be read.
        """
        block_ends = sorted(self.blocks)
        yield f"# Blocks from {rfc3339(block_ends[0])} to {rfc3339(block_ends[-1])}; seconds count from 1970."
        yield from (f"# {note}" for note in self.notes)
        yield yaml.safe_dump({"product": self.product}, sort_keys=False, width=100).rstrip()
        if self.consumers:
            consumers = list(self.consumers.values())
            yield yaml.safe_dump({"consumers": consumers}, sort_keys=False, width=100).rstrip()
        yield f"version: {json.dumps(self.names[self.version])}"
        yield f"promotionTime: {self.promotion_time}"
        yield f"readSeconds: {self.read_seconds}"
        if self.accepted:
            yield f"accepted: {json.dumps(_counts(self.accepted))}"
        if self.baselines:
            yield "baselines:"
            for name, baseline in self.baselines.items():
                baseline_document = baseline.model_dump(
                    mode="json", by_alias=True, exclude_defaults=True
                )
                yield f"  {json.dumps(name)}: {json.dumps(baseline_document)}"
        if self.facts:
            yield "facts:"
            yield from (f"- {json.dumps(fact)}" for fact in self.facts)
        if self.events:
            yield "events:"
            yield from (f"- {json.dumps(event)}" for event in self.events)
        yield "blocks:"
        stable_changes = list(stable_at)
        for block_end in block_ends:
            while len(stable_changes) > 1 and stable_changes[0][0] < block_end:
                stable_changes.pop(0)
            yield f"- {json.dumps(self._entry(block_end, stable_changes[0][1], unavailable_reason))}"

    def _entry(self, block_end: int, stable: str, unavailable_reason: str) -> dict[str, Any]:
        """Return one block of the file; a value common to all SLOs of the stable version is written once."""
        block_values = self.blocks[block_end]
        quality_set = {block_value.quality for block_value in block_values.get(stable, {}).values()}
        if quality_set == {Quality.UNAVAILABLE}:
            return {"at": block_end, "unavailable": unavailable_reason}
        entry: dict[str, Any] = {"at": block_end}
        if quality_set == {Quality.LOW_COVERAGE}:
            entry["coverage"] = "0"
        counts = {
            self.names[version]: slo_values
            for version, slos in block_values.items()
            if (slo_values := {_name(slo): _block_value(block) for slo, block in slos.items()})
        }
        if counts:
            entry["counts"] = counts
        outcomes = {
            consumer: document
            for consumer, block_value in self.outcomes.get(block_end, {}).items()
            if (document := block_value.document(self.names))
        }
        return {**entry, "consumers": outcomes} if outcomes else entry


def _name(slo: str) -> str:
    return CLIENT_ERRORS_FIELD if slo == CLIENT_ERRORS else slo


def _counts_of(blocks: Mapping[str, Block]) -> dict[str, object]:
    return {
        name: _block_value(block)
        for name, block in blocks.items()
        if block.quality not in _UNCHANGED_QUALITIES
    }


def _block_value(block: Block) -> object:
    return _WORDS.get(block.quality) or block.count._asdict()


def arrival_event(
    name: str, version: VersionBase | None, arrival_time: int, status: DataProductStatus
) -> tuple[dict[str, Any], str]:
    """Return the event with which a version appeared, and a text about its unknown fields (empty if all are known).

    Parameters
    ----------
    version : that of status; None if it isn't in status any more.
    """
    version_document: dict[str, Any] = {"version": name}
    if version is None:
        return {
            "at": arrival_time,
            "modelChanged": version_document,
        }, f"{name} is no longer in status: it comes as a change of spec.model."
    if evaluation := _evaluation(version):
        version_document["evaluation"] = _counts(evaluation)
    if version.source is VersionSource.SPEC:
        return {"at": arrival_time, "modelChanged": version_document}, ""
    hold_out = _hold_out_document(version, status)
    if hold_out is None:
        return {"at": arrival_time, "modelChanged": version_document}, (
            f"{name} came from a training whose hold-out counts are no longer in status: it comes"
            " as a change of spec.model."
        )
    return {"at": arrival_time, "retrained": {"version": name, **hold_out}}, ""


def promotion_event(name: str, promotion_time: int) -> dict[str, Any]:
    """Return the event of a version that became stable at `at`, in seconds."""
    return {"at": promotion_time, "promoted": {"version": name}}


def _evaluation(version: VersionBase) -> Mapping[str, Count]:
    """Return the hold-out counts of a version, by SLO.

    A status of an earlier release has those of a past version in its baselines alone.
    """
    if version.evaluation or not isinstance(version, Version | PastVersion):
        return version.evaluation
    return {
        name: baseline.count
        for name, baseline in version.baseline.items()
        if baseline.source is BaselineSource.EVALUATION
    }


def _hold_out_document(version: VersionBase, status: DataProductStatus) -> dict[str, Any] | None:
    """Return the result of a version's training; None if status no longer has it.

    A status of an earlier release has the counts of both versions for the last training alone.
    """
    counts = (version.evaluation, version.stable_evaluation, version.pairs)
    last_result = status.retraining.last_result if status.retraining else None
    if (
        not version.stable_evaluation
        and last_result is not None
        and last_result.version == version.version
    ):
        counts = (last_result.evaluation, last_result.stable_evaluation, last_result.pairs)
    evaluation, stable, pairs = counts

    if not stable:
        return None
    document: dict[str, Any] = {
        "evaluation": _counts(evaluation or _evaluation(version)),
        "stableEvaluation": _counts(stable),
    }
    if pairs:
        document["pairs"] = {
            slo: dict(zip(PAIR_FIELDS, rows, strict=True)) for slo, rows in pairs.items()
        }
    return document


def _counts(counts: Mapping[str, Count]) -> dict[str, dict[str, int]]:
    return {slo: count._asdict() for slo, count in counts.items()}
