"""The measurements of all products, and the block up to which they are read."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from sluicegate.api.consumers import OTHER_CONSUMERS
from sluicegate.api.markets import OTHER_MARKET
from sluicegate.api.product import DataProduct
from sluicegate.api.slos import Indicator
from sluicegate.api.versions import FULL_WEIGHT, VersionBase
from sluicegate.kube.resources import Key
from sluicegate.manifests.route import leads_feedback_to_stable
from sluicegate.measurement.unreadable_products import export_unreadable
from sluicegate.policy.model.consumers import consumer_names
from sluicegate.policy.model.inputs import (
    begin_of_canary_blocks,
    in_canary,
    is_compared,
    other_versions,
)
from sluicegate.prometheus.block_cache import BlockCache
from sluicegate.prometheus.block_reader import BlockReader, Length
from sluicegate.prometheus.canary_cache import CanaryBlocks
from sluicegate.prometheus.targets import ProductKey, Readings, Target, VersionKey, identity
from sluicegate.prometheus.timing import Timing
from sluicegate.runtime.interfaces import QueuePriority
from sluicegate.runtime.metrics import BACKFILLING_PRODUCTS, EVALUATION_TIME
from sluicegate.slo.queries import QueryKind
from sluicegate.stats.canary_duration import warmed_up

logger = logging.getLogger(__name__)

CLOCK_TOLERANCE: Final = 1.0
"""Seconds by which a clock may be corrected."""


class BlockLateness:
    """Lateness of the measurements: that of the oldest expected block that isn't complete.

    It stores the newest complete block of each length. Only for the event loop's thread.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._complete: dict[int, int] = {}

    def expect(self, block_lengths: Iterable[int], now: float) -> None:
        """Track when blocks of these lengths are due, from the newest block on."""
        newest_by_length = {
            length: self._timing.newest_complete(now, length) for length in block_lengths
        }
        self._complete = {
            length: min(self._complete.get(length, last_block - 1), last_block)
            for length, last_block in newest_by_length.items()
        }

    def record(self, readings: Readings) -> None:
        """Record readings; an incomplete block doesn't count."""
        if readings.complete:
            self._complete[readings.block_seconds] = readings.last

    def lateness(self, now: float) -> float:
        """Return the seconds by which the next complete block of a length is overdue; 0 if none is."""
        due_times = [
            self._timing.complete_at(last_block + 1, length)
            for length, last_block in self._complete.items()
        ]
        return max(now - min(due_times, default=now), 0.0)


class Measurements:
    """Measurements of all products. Only for the event loop's thread."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.blocks = BlockCache()
        self.canaries = CanaryBlocks()
        self.targets: dict[Key, Target] = {}
        self.news = asyncio.Event()
        """Set when a product wants to know something for the first time, or in other blocks."""
        self._warming_up: set[Key] = set()
        self._newest: dict[int, int] = {}
        self._problems: dict[int, str] = {}
        self._failed: dict[int, frozenset[QueryKind]] = {}
        self._unreadable: dict[Length, dict[Key, Mapping[QueryKind, str]]] = {}
        self._reported: dict[Key, frozenset[QueryKind]] = {}
        self.block_lateness = BlockLateness(timing)
        self.groups: Mapping[Length, Sequence[Target]] = {}
        """The products by the sets of queries that they need."""
        self._regroups = True
        self._read_at = 0.0
        self._incomplete: set[Length] = set()

    def newest(self, block_seconds: int) -> int:
        """Return the index of the newest block of this length that was queried; 0 before the first."""
        return self._newest.get(block_seconds, 0)

    def problem(self, block_seconds: int) -> str:
        """Return why counts of the newest block of this length couldn't be read; empty if they could."""
        return self._problems.get(block_seconds, "")

    def failed(self, block_seconds: int) -> frozenset[QueryKind]:
        """Return the kinds of queries without an answer for the newest block of this length."""
        return self._failed.get(block_seconds, frozenset())

    def unreadable(self, key: Key, block_seconds: int) -> Mapping[QueryKind, str]:
        """Return why the newest block of this product alone couldn't be read, by kind of query."""
        return self._unreadable.get(Length(block_seconds, canary=False), {}).get(key, {})

    def unreported(self, key: Key) -> str:
        """Return the unreadable series of a product, in words; empty if none, or if reported before."""
        reasons = {
            kind: reason
            for unreadable_by_key in self._unreadable.values()
            for kind, reason in unreadable_by_key.get(key, {}).items()
        }
        previous_kinds = self._reported.pop(key, frozenset())
        if not reasons:
            return ""
        self._reported[key] = frozenset(reasons)
        if previous_kinds >= reasons.keys():
            return ""
        return "; ".join(f"{kind}: {reason}" for kind, reason in sorted(reasons.items()))

    def is_filled(self, key: Key) -> bool:
        """Return whether the product's past was read."""
        target = self.targets.get(key)
        return target is not None and not self.blocks.pending([target])

    def awaits_answer(self, length: Length) -> bool:
        """Return whether a query for blocks of this length has no answer yet."""
        if length in self._incomplete:
            return True
        return not length.canary and bool(self.blocks.pending(self.groups.get(length, ())))

    def urgency(self, key: Key) -> QueuePriority:
        """Return the priority of a product when one of its blocks completes.

        A canary has a higher priority than idle products: else each of its steps would wait for
        them.
        """
        target = self.targets.get(key)
        is_in_canary = target is not None and target.canary_from is not None
        return QueuePriority.NORMAL if is_in_canary else QueuePriority.BACKGROUND

    def follow(self, product: DataProduct, now: float, *, warms_up: bool = False) -> None:
        """Set the measurements of a product by its spec and status; `now` is in seconds.

        With `warms_up`, its blocks are ignored until the warm-up of its stable version has ended.
        """
        target = with_earlier(target_of(product, self.timing), product, now)
        self.set_target(Key(*product.metadata.key), target, warms_up=warms_up)

    def set_target(self, key: Key, target: Target | None, *, warms_up: bool = False) -> None:
        """Set the measurements of a product; None removes them.

        With `warms_up`, its blocks are ignored until the warm-up of its stable version has ended.
        """
        (self._warming_up.add if warms_up else self._warming_up.discard)(key)
        if target is None:
            self._reported.pop(key, None)
        previous_target = self.targets.pop(key, None) if target is None else self.targets.get(key)
        if target != previous_target:
            self._regroups = True
        if target is not None:
            self.targets[key] = target
            if previous_target is None or _lengths_of_target(target) != _lengths_of_target(
                previous_target
            ):
                self.news.set()

    def is_set_back(self, now: float) -> bool:
        """Return whether the clock was set back, so that blocks of the future were read."""
        return now < self._read_at - CLOCK_TOLERANCE

    def prepare(self, evaluation: BlockReader, now: float) -> None:
        """Compute the needed sets of queries, and drop removed targets.

        If the clock was set back, all readings are dropped; no query may be in flight then.
        """
        if self.is_set_back(now):
            logger.warning(
                "the clock was set back by %.0f s: reading all blocks again", self._read_at - now
            )
            self.blocks.clear()
            self.canaries.clear()
            self._newest.clear()
            evaluation.forget()
        self._read_at = now
        if self._regroups:
            self._regroup(evaluation)
        self.block_lateness.expect(self._block_lengths(), now)

    async def read(self, evaluation: BlockReader, now: float) -> list[Key]:
        """Read the complete blocks of all lengths once; return the products to be reconciled."""
        self.prepare(evaluation, now)
        read_tasks = [self.read_length(evaluation, length, now) for length in self.groups]
        moved_keys = await asyncio.gather(*read_tasks)
        return list(dict.fromkeys(key for keys in moved_keys for key in keys))

    async def read_length(self, evaluation: BlockReader, length: Length, now: float) -> list[Key]:
        """Read the complete blocks of one length; return the products to be reconciled.

        Products that only warm up aren't returned, unless the reading fails.
        Other lengths may be read meanwhile.
        """
        group = self.groups[length]
        filled_keys = await self._fill(evaluation, () if length.canary else group, now)
        start_time, is_fetched, is_complete = time.monotonic(), False, True
        async for readings in evaluation.fetch_blocks(length, group, now):
            is_fetched, is_complete = True, is_complete and readings.complete
            await self._record(readings)
        if is_fetched:
            EVALUATION_TIME.observe(time.monotonic() - start_time)
        (self._incomplete.discard if is_complete else self._incomplete.add)(length)
        # Drop readings of targets that were removed meanwhile.
        self._regroups |= self.groups.get(length) is not group
        if not filled_keys and not is_fetched:
            return []
        keys = [Key(*requested_target.key) for requested_target in group]
        return [
            key
            for key in keys
            if (target := self.targets.get(key))
            and (target.key in filled_keys or (is_fetched and self._concerns(length, target)))
            and not self._only_warms_up(key, target, now)
        ]

    async def _record(self, readings: Readings) -> None:
        self._record_unreadable(readings)
        if readings.canary:
            self.canaries.record(readings.only(self._in_canary(readings.block_seconds)))
            await asyncio.sleep(0)  # an hour of some products takes tens of milliseconds
            return
        await self.blocks.record(readings)
        self.block_lateness.record(readings)
        self.blocks.record_unfilled(readings.released)
        self._newest[readings.block_seconds] = readings.last
        self._note_problem(readings)
        self._failed[readings.block_seconds] = readings.failed

    def _note_problem(self, readings: Readings) -> None:
        """Record why counts couldn't be read; log its start and its end."""
        length, previous_problem = (
            readings.block_seconds,
            self._problems.get(readings.block_seconds, ""),
        )
        new_problem = "" if readings.complete else readings.problem
        self._problems[length] = new_problem
        if new_problem and new_problem != previous_problem:
            logger.warning(
                "blocks of %d s can't be read, and products that need them are not judged: %s",
                length,
                new_problem,
            )
        elif previous_problem and not new_problem:
            logger.warning("blocks of %d s are read again", length)

    def _record_unreadable(self, readings: Readings) -> None:
        unreadable = self._unreadable.setdefault(
            Length(readings.block_seconds, readings.canary), {}
        )
        for version in readings.facts:
            unreadable.pop(Key(version.namespace, version.product), None)
        reasons = {Key(*key): reason for key, reason in readings.unreadable.items()}
        if other_keys := unreadable.keys() - reasons.keys():
            # Products that only make the query of others fail have no facts in this length.
            group = self.groups.get(Length(readings.block_seconds, readings.canary), ())
            for key in other_keys - {Key(*target.key) for target in group}:
                del unreadable[key]
        unreadable.update(reasons)
        self._count_unreadable()

    def _count_unreadable(self) -> None:
        export_unreadable({key for reasons in self._unreadable.values() for key in reasons})

    def _regroup(self, evaluation: BlockReader) -> None:
        """Regroup the targets; readings are dropped exactly when the evaluation drops theirs."""
        self._regroups = False
        targets = tuple(self.targets.values())
        self.groups = evaluation.regroup(targets)
        self.blocks.prune(targets)
        self.canaries.prune(targets)
        self._incomplete &= self.groups.keys()
        block_lengths = self._block_lengths()
        for by_length in (self._newest, self._problems, self._failed):
            for length in by_length.keys() - block_lengths:
                del by_length[length]
        self._unreadable = {
            length: {key: reason for key, reason in reasons.items() if key in self.targets}
            for length, reasons in self._unreadable.items()
            if length in self.groups
        }
        self._count_unreadable()

    def _block_lengths(self) -> set[int]:
        return {length.block_seconds for length in self.groups if not length.canary}

    async def _fill(
        self, evaluation: BlockReader, targets: Iterable[Target], now: float
    ) -> set[ProductKey]:
        """Read the past of new products; return the products whose past is complete.

        A version that was just accepted has no past, so it isn't queried: thousands may be created
        at once.
        """
        waiting_targets = self.blocks.pending(targets)
        young_targets = [target for target in waiting_targets if self._is_young(target, now)]
        self.blocks.record_filled(young_targets)
        filled_keys = {target.key for target in young_targets}
        pending_targets = [target for target in waiting_targets if target.key not in filled_keys]
        if pending_targets:
            async for past_readings in evaluation.backfill(pending_targets, now):
                await self.blocks.record_past(past_readings)
                current_targets = [
                    target for target in past_readings.targets if self._is_still_requested(target)
                ]
                self.blocks.record_filled(current_targets)
                filled_keys |= {target.key for target in current_targets}
        BACKFILLING_PRODUCTS.set(len(self.blocks.pending(self.targets.values())))
        return filled_keys

    def _is_still_requested(self, requested_target: Target) -> bool:
        """Return whether a product's past is still needed: not if it was deleted or has another block length."""
        target = self.targets.get(Key(*requested_target.key))
        return target is not None and target.block_seconds == requested_target.block_seconds

    def _in_canary(self, block_seconds: int) -> frozenset[ProductKey]:
        """Return the products that need canary blocks of this length now."""
        group = self.groups.get(Length(block_seconds, canary=True), ())
        return frozenset(target.key for target in group)

    def _is_young(self, target: Target, now: float) -> bool:
        """Return whether the stable version has no block of evidence yet."""
        newest_block = self.timing.newest_complete(now, target.block_seconds)
        return newest_block * target.block_seconds <= target.evidence_from

    def _only_warms_up(self, key: Key, target: Target, now: float) -> bool:
        """Return whether a product needs no reconcile: it waits for its first block, without a failure."""
        idle_length = Length(target.block_seconds, canary=False)
        if key not in self._warming_up or idle_length in self._incomplete:
            return False
        if self.unreadable(key, target.block_seconds):
            return False
        if not self._is_young(target, now):
            return False
        facts = [
            self.blocks.facts(VersionKey(*target.key, version), target.block_seconds)
            for version in target.versions
        ]
        return not any(target_fact is not None and target_fact.stale for target_fact in facts)

    def _concerns(self, length: Length, target: Target) -> bool:
        """Return whether a complete block of a length requeues a product."""
        canary = self.timing.canary_block(target.block_seconds)
        is_in_canary = target.canary_from is not None
        if length.canary:
            return is_in_canary and length.block_seconds == canary
        # If a canary's blocks complete at the same time, one reconcile reads both.
        has_same_length = is_in_canary and canary == target.block_seconds
        return length.block_seconds == target.block_seconds and not has_same_length


def _lengths_of_target(target: Target) -> tuple[int, bool]:
    """Return the values that decide which sets of queries a product needs."""
    return target.block_seconds, target.canary_from is not None


def series_of(version: VersionBase) -> str:
    """Return the name of a version in series."""
    return identity(version.version, version.revision)


def _renamed_series(
    stable: VersionBase, candidate: VersionBase | None
) -> tuple[tuple[str, str], ...]:
    if candidate is None or candidate.service == stable.service:
        return ()
    return ((series_of(candidate), candidate.service),)


@lru_cache(maxsize=4096)
def _shared_indicators(slos: tuple[tuple[str, Indicator], ...]) -> Mapping[str, Indicator]:
    """Return indicators by SLO; equal ones of thousands of products share one object."""
    return dict(slos)


def with_earlier(target: Target | None, product: DataProduct, now: float) -> Target | None:
    """Add the versions that ended in the last week to a target: rates are those of all versions.

    Parameters
    ----------
    now : in seconds.
    """
    if target is None:
        return None
    names = (series_of(earlier_version) for earlier_version in other_versions(product.status, now))
    return replace(target, versions=tuple(dict.fromkeys((*target.versions, *names))))


def target_of(product: DataProduct, timing: Timing) -> Target | None:
    """Return the measurements that a product needs; None before it has a version that serves."""
    status = product.status
    if status.stable is None:
        return None
    candidate = status.candidate
    versions = [series_of(status.stable), *([series_of(candidate)] if candidate else [])]
    canary_from = None
    if candidate is not None and in_canary(status):
        canary_block = timing.canary_block(product.spec.analysis.block_seconds)
        canary_from = begin_of_canary_blocks(candidate, canary_block)
    meta, seconds = product.metadata, product.spec.analysis.block_seconds
    named_consumers = consumer_names(product)
    return Target(
        key=ProductKey(meta.namespace, meta.name),
        versions=tuple(dict.fromkeys(versions)),
        slos=_shared_indicators(tuple((slo.name, slo.indicator) for slo in product.spec.slos)),
        block_seconds=seconds,
        service=status.stable.service,
        renamed=_renamed_series(status.stable, candidate),
        canary_from=canary_from,
        evidence_from=warmed_up(status.stable.promotion_time, seconds) * seconds,
        client_errors=is_compared(status),
        counts_pods=product.spec.serving.autoscaling is not None,
        markets=(*product.spec.markets, OTHER_MARKET) if product.spec.serving.market else (),
        paired=canary_from is not None and product.spec.rollout.mirror is not None,
        consumers=()
        if canary_from is None
        else tuple(ProductKey(*consumer_name.split("/", 1)) for consumer_name in named_consumers),
        inputs=tuple(
            (consumer_name.name, consumer_name.promql) for consumer_name in product.spec.inputs
        ),
        callers=(*named_consumers, OTHER_CONSUMERS) if named_consumers else (),
        unaccepted=_unaccepted(product),
    )


def _unaccepted(product: DataProduct) -> tuple[str, ...]:
    """Return the versions that were never accepted, where the route leads labels to other pods.

    A candidate with all requests receives the labels, too.
    """
    status = product.status
    accepted_revisions = {
        version.revision
        for version in (status.stable, *status.history)
        if version is not None and version.promotion_time is not None
    }
    candidate = status.candidate
    versions: list[VersionBase] = [*status.history]
    if candidate is not None and candidate.weight < FULL_WEIGHT:
        versions.append(candidate)
    names = (
        series_of(version) for version in versions if version.revision not in accepted_revisions
    )
    unaccepted = tuple(dict.fromkeys(names))
    return unaccepted if unaccepted and leads_feedback_to_stable(product) else ()
