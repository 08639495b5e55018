"""One fetch for all products with the same block length: due blocks, queries, readings.

The queries of a fetch depend on the length and the kinds of indicators, not on the number of
products; only the past of products that are new, or begin a canary, is read for some products at a
time. Queries read whole namespaces, or name the products if these are few. If Prometheus doesn't
answer, the blocks are UNAVAILABLE, and are requested again next time. If it refuses a query, or its
answer is unusable, only the products that the query fails for have UNAVAILABLE blocks; they are
left out, and retried after a growing pause (see `batch`).
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Final, TypeAlias

from sluicegate.prometheus.block_assembly import (
    Answers,
    assemble_blocks,
    assemble_facts,
    assemble_gateway,
    assemble_means,
    assemble_scraped,
)
from sluicegate.prometheus.consumer_blocks import assemble_consumers
from sluicegate.prometheus.quarantine import Quarantine
from sluicegate.prometheus.query_batch import Batch, Part, ask_own_parts, has_own, needs_of
from sluicegate.prometheus.query_scopes import (
    chunk_by_hash,
    named_scope,
    named_scopes,
    split_scopes,
)
from sluicegate.prometheus.source import Source
from sluicegate.prometheus.targets import Past, ProductKey, Readings, Target
from sluicegate.prometheus.timing import Timing
from sluicegate.prometheus.unlabelled_pods import assign_unlabelled
from sluicegate.slo.blocks import SINGLE_BLOCKS
from sluicegate.slo.gateway import GatewayMetric
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import SUPPLEMENTARY_QUERIES, QueryKind, render_queries
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS

LONGEST_QUERY: Final = 10_000
"""Most blocks of one query; Prometheus refuses more than 11,000 points."""
LONGEST_CANARY: Final = 5 * LONGEST_QUERY
"""Most blocks of a canary that are read again after a start: the longest rollout at blocks of a minute."""
NAMED_PRODUCTS_SHARE: Final = 0.5
"""Share of all products below which the queries of a block length name them.

Otherwise a few products with short blocks would have the rows of thousands with long ones read as
often.

Otherwise a few products with short blocks would have the rows of thousands with long ones read as
often."""
MAX_FAILURES: Final = 3
"""Chunks of products that may fail before a backfill is interrupted until the next fetch."""
REREAD_BLOCKS: Final = 1
"""Number of blocks before the newest that are read again: samples may arrive late."""

Scopes: TypeAlias = "Callable[[Sequence[Target]], Sequence[Scope]]"
"""Function from products to the scopes by which they are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """Settings of reading the products' blocks.

    Parameters
    ----------
    namespaces
        Namespaces the operator watches; empty for all.
    products_per_query
        Number of products above which the queries are split.
    products_per_backfill
        Products whose past, or whose canary so far, is read by one set of queries: it takes MiBs
        while it is parsed.
    fetch_seconds
        Timeout of all queries of one block length; later answers are UNAVAILABLE.
    gateway
        A gateway's request counters; with them a share of traffic is the share that the gateway sent,
        not the one that the pods counted, and a request that it could send to no pod has failed.
    jitter_seconds
        Longest random delay before the queries, so that operators don't send theirs at the same time.
    """

    timing: Timing = field(default_factory=Timing)
    namespaces: tuple[str, ...] = ()
    products_per_query: int = 5_000
    products_per_backfill: int = 10
    fetch_seconds: float = 60.0
    gateway: GatewayMetric | None = None
    jitter_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class _FetchRequest:
    """Products, blocks and queries of one fetch."""

    length: "Length"
    group: tuple[Target, ...]
    indexes: range
    scopes: Scopes
    quarantine: Quarantine


@dataclass(frozen=True, slots=True)
class Length:
    """A set of queries: blocks of one length, of all products or of products in a canary."""

    block_seconds: int
    canary: bool


class BlockReader:
    """Reader of blocks as they complete. Its state is the block up to which it has read."""

    def __init__(self, prometheus: Source, settings: EvaluationSettings) -> None:
        self._prometheus = prometheus
        self._settings = settings
        self._read: dict[Length, int] = {}
        self._all_targets: tuple[Target, ...] = ()
        self._products = 0
        """How many there are, whatever their length."""
        self._canaries: dict[Length, frozenset[ProductKey]] = {}
        """Products that need canary blocks of this length."""
        self._begun: dict[Length, set[ProductKey]] = {}
        """Those of them whose blocks were read from their beginning."""
        self._quarantines: dict[Length, Quarantine] = {}
        self._failed: set[ProductKey] = set()
        """Of chunks that failed when they were last read: they come after the others."""

    def forget(self) -> None:
        """Start again, after the caller has dropped all readings."""
        self._read.clear()
        self._begun.clear()
        self._quarantines.clear()

    def regroup(self, targets: Sequence[Target]) -> Mapping[Length, Sequence[Target]]:
        """Return the sets of queries that these targets need, each with its products.

        Readings of other sets are dropped; a set that is needed again is read from its start.
        """
        targets_by_length = group_by_length(targets, self._settings.timing)
        consumers_before = {target.key: target.consumers for target in self._all_targets}
        changed_consumers = {
            target.key
            for target in targets
            if consumers_before.get(target.key, target.consumers) != target.consumers
        }
        self._all_targets = tuple(targets)
        self._read = {
            length_key: last_read
            for length_key, last_read in self._read.items()
            if length_key in targets_by_length
        }
        self._products = sum(
            len(group) for length_key, group in targets_by_length.items() if not length_key.canary
        )
        self._canaries = {
            length: frozenset(target.key for target in group)
            for length, group in targets_by_length.items()
            if length.canary
        }
        self._begun = {
            length: (begun_products & self._canaries[length]) - changed_consumers
            for length, begun_products in self._begun.items()
            if length in targets_by_length
        }
        self._quarantines = {
            length: quarantine
            for length, quarantine in self._quarantines.items()
            if length in targets_by_length
        }
        for length, quarantine in self._quarantines.items():
            quarantine.prune(targets_by_length[length], targets)
        self._failed &= {target.key for group in targets_by_length.values() for target in group}
        return targets_by_length

    async def fetch_blocks(
        self, length: Length, group: Sequence[Target], now: float
    ) -> AsyncIterator[Readings]:
        """Yield the blocks of one set of queries that completed since the last call.

        Products that begin a canary are read from its beginning, in answers of their own. Each
        takes MiBs, so the caller packs one before the next is read. Calls for different lengths may
        overlap, those for one may not.

        Parameters
        ----------
        group
            The products that need this set.
        now
            Seconds since 1970.
        """
        newest_block = self._settings.timing.newest_complete(now, length.block_seconds)
        if self._read.get(length, newest_block) > newest_block:
            # The clock was set back: the blocks that were read were in the future, and empty.
            self._read.pop(length)
            self._begun.pop(length, None)
        begun_products = (
            self._begun.get(length, set()) if length.canary else {target.key for target in group}
        )
        continuing_targets = tuple(target for target in group if target.key in begun_products)
        new_targets = tuple(target for target in group if target.key not in begun_products)
        if continuing_targets and (
            readings := await self._go_on(length, continuing_targets, newest_block)
        ):
            yield readings
        async for readings in self._begin(length, new_targets, newest_block):
            yield readings

    async def backfill(self, targets: Sequence[Target], now: float) -> AsyncIterator[Past]:
        """Yield the past of these products, for some of them at a time.

        After a chunk that fails the next one is read. The rest waits for the next time if the query
        for the targets fails, three chunks fail, or products' own queries take too long.
        Single blocks come first in each answer: sums of twelve replace them.
        """
        timing, failures = self._settings.timing, 0
        event_loop = asyncio.get_running_loop()
        deadline = event_loop.time() + self._settings.fetch_seconds
        for chunk in self._chunks(targets):
            for length, group in group_by_length(chunk, timing).items():
                if length.canary:
                    continue
                newest_block = timing.newest_complete(now, length.block_seconds)
                past_readings = await self._past(length, tuple(group), newest_block)
                keys = {target.key for target in group}
                if past_readings.singles.complete and past_readings.hours.complete:
                    self._failed -= keys
                    yield past_readings
                    if event_loop.time() > deadline and any(map(has_own, group)):
                        return
                    continue
                self._failed |= keys
                failures += 1
                has_no_targets = (
                    QueryKind.TARGETS in past_readings.singles.failed | past_readings.hours.failed
                )
                if has_no_targets or failures == MAX_FAILURES:
                    return

    def _chunks(self, targets: Sequence[Target]) -> list[tuple[Target, ...]]:
        """Split products into chunks; those with queries of their own, and those that failed, come last."""
        chunks = [
            chunk
            for with_own_queries in (False, True)
            for chunk in chunk_by_hash(
                [target for target in targets if has_own(target) is with_own_queries],
                self._settings.products_per_backfill,
            )
        ]
        return sorted(
            chunks,
            key=lambda chunk: any(chunk_target.key in self._failed for chunk_target in chunk),
        )

    async def _past(self, length: Length, group: tuple[Target, ...], newest_block: int) -> Past:
        single_blocks = range(max(newest_block - SINGLE_BLOCKS + 1, 1), newest_block + 1)
        last_hour = newest_block // BLOCKS_PER_HOUR
        hours = range(max(last_hour - HOURS + 1, 1), last_hour + 1)
        hour = Length(length.block_seconds * BLOCKS_PER_HOUR, canary=False)
        quarantine = self._quarantine(length)
        return Past(
            group,
            singles=await self._ask(
                _FetchRequest(length, group, single_blocks, _name_scopes, quarantine)
            ),
            hours=await self._ask(
                _FetchRequest(hour, group, hours, _name_scopes, quarantine.of_the_past())
            ),
        )

    def _quarantine(self, length: Length) -> Quarantine:
        return self._quarantines.setdefault(length, Quarantine(length.block_seconds))

    async def _go_on(
        self, length: Length, group: tuple[Target, ...], newest_block: int
    ) -> Readings | None:
        """Return the blocks that completed since the last fetch; None without one."""
        last_read = self._read.get(length, newest_block - 1)
        if newest_block <= last_read:
            return None
        max_blocks = LONGEST_QUERY if length.canary else SINGLE_BLOCKS
        await asyncio.sleep(random.random() * self._settings.jitter_seconds)
        block_indexes = range(
            max(last_read + 1 - REREAD_BLOCKS, newest_block - max_blocks + 1, 1), newest_block + 1
        )
        request = _FetchRequest(
            length, group, block_indexes, self._scopes(length, group), self._quarantine(length)
        )
        readings = await self._ask(
            request, retried_targets=group, is_urgent=self._is_apart(length, group)
        )
        # Missed blocks are read together with products that begin a canary now.
        self._begun.get(length, set()).difference_update(readings.released)
        if readings.complete:
            self._read[length] = readings.last
        else:
            # These blocks are requested again next time, but none before them.
            self._read.setdefault(length, readings.first)
        return readings

    async def _begin(
        self, length: Length, group: tuple[Target, ...], newest_block: int
    ) -> AsyncIterator[Readings]:
        """Yield all canary blocks of products that have a candidate now, for some products at a time.

        It ends early if the query for the targets fails, or Prometheus is too slow; the other
        products begin next time.
        """
        event_loop = asyncio.get_running_loop()
        deadline = event_loop.time() + self._settings.fetch_seconds
        for chunk in self._chunks(group):
            begin_block = min(target.canary_from or 0 for target in chunk) // length.block_seconds
            first_block = min(max(begin_block, newest_block - LONGEST_CANARY + 1, 1), newest_block)
            scopes, keys = self._scopes(length, chunk), {target.key for target in chunk}
            all_readings: list[Readings] = []
            for last_block in range(newest_block, first_block - 1, -LONGEST_QUERY):
                block_indexes = range(
                    max(last_block - LONGEST_QUERY + 1, first_block), last_block + 1
                )
                request = _FetchRequest(
                    length, chunk, block_indexes, scopes, self._quarantine(length)
                )
                readings = await self._ask(request, is_urgent=True)
                all_readings.append(readings)
                if not readings.complete:
                    break
            (self._failed.difference_update if readings.complete else self._failed.update)(keys)
            if readings.complete:
                # A target that was removed during the read is read again if it is added again.
                keys_in_canary = self._canaries.get(length, frozenset()) & keys
                self._begun.setdefault(length, set()).update(keys_in_canary)
                self._read.setdefault(length, newest_block)
            for canary_readings in reversed(
                all_readings
            ):  # the facts are those of the newest block
                yield canary_readings
            if QueryKind.TARGETS in readings.failed or event_loop.time() > deadline:
                return

    def _scopes(self, length: Length, group: tuple[Target, ...]) -> Scopes:
        """Return the scopes of a query of this length for these products, or for some of them."""
        limit = self._settings.products_per_query
        if self._is_apart(length, group):
            return partial(named_scopes, limit=limit)
        if len(group) > limit:
            return partial(split_scopes, limit=limit)
        return lambda _: (Scope(namespaces=self._settings.namespaces),)

    def _is_apart(self, length: Length, group: tuple[Target, ...]) -> bool:
        """Return whether these products are queried by name, separately from other products."""
        return length.canary or len(group) < self._products * NAMED_PRODUCTS_SHARE

    async def _ask(
        self,
        request: _FetchRequest,
        *,
        retried_targets: tuple[Target, ...] = (),
        is_urgent: bool = False,
    ) -> Readings:
        seconds = request.length.block_seconds
        batch = Batch(
            self._prometheus,
            request.indexes,
            seconds,
            urgent=is_urgent,
            quarantine=request.quarantine,
            namespaces=self._settings.namespaces,
            all_targets=self._all_targets,
            gateway=self._settings.gateway,
            canary=request.length.canary,
        )
        own_queries = await ask_own_parts(request.group, request.indexes, seconds)
        try:
            async with asyncio.timeout(self._settings.fetch_seconds):
                await batch.ask_all([*self._parts(request), *own_queries], retried_targets)
        except TimeoutError:
            batch.give_up(self._settings.fetch_seconds)
        query_answers = Answers(
            request.indexes,
            seconds,
            self._settings.timing.scrape_seconds,
            tables=batch.tables,
            failed=frozenset(batch.failures),
            spoiled=batch.spoiled,
        )
        canary = request.length.canary
        return await asyncio.to_thread(
            _assemble_readings, query_answers, request.group, canary=canary, batch=batch
        )

    def _parts(self, request: _FetchRequest) -> Iterator[Part]:
        """Yield the queries of one fetch, without the places in quarantine."""
        length, group, scopes = request.length, request.group, request.scopes
        seconds, query_needs, canary = length.block_seconds, needs_of(group), length.canary
        ordinary_scopes, limit = tuple(scopes(group)), self._settings.products_per_query
        by_scopes: dict[tuple[Scope, ...], set[QueryKind]] = defaultdict(set)
        for kind in QueryKind:
            chosen_scopes = ordinary_scopes
            if request.quarantine.concerns(kind):
                needing_targets = [target for target in group if needs_of([target]).asks(kind)]
                chosen_scopes = tuple(
                    request.quarantine.scopes(kind, needing_targets, scopes, limit)
                )
            by_scopes[chosen_scopes].add(kind)
        skipped_kind = QueryKind.SENT if canary else QueryKind.GATEWAY
        gateway = self._settings.gateway
        render = partial(render_queries, canary=canary, gateway=gateway)
        for chosen_scopes, kinds in by_scopes.items():
            for scope in chosen_scopes:
                for query in render(scope, seconds, query_needs):
                    if query.kind in kinds and query.kind is not skipped_kind:
                        yield Part(query, scope, group, request.indexes)


def _name_scopes(group: Sequence[Target]) -> Sequence[Scope]:
    return (named_scope(group),)


def group_by_length(targets: Iterable[Target], timing: Timing) -> dict[Length, list[Target]]:
    """Group products by the sets of queries that they need."""
    groups: dict[Length, list[Target]] = defaultdict(list)
    for target in targets:
        groups[Length(target.block_seconds, canary=False)].append(target)
        canary_block = timing.canary_block(target.block_seconds)
        if target.canary_from is not None:
            groups[Length(canary_block, canary=True)].append(target)
    return dict(groups)


def _assemble_readings(
    query_answers: Answers, group: Sequence[Target], *, canary: bool, batch: Batch
) -> Readings:
    query_answers = replace(query_answers, tables=assign_unlabelled(query_answers.tables, group))
    return Readings(
        block_seconds=query_answers.block_seconds,
        canary=canary,
        first=query_answers.indexes[0],
        last=query_answers.indexes[-1],
        blocks=dict(
            chain(assemble_blocks(query_answers, group), assemble_consumers(query_answers, group))
        ),
        means=dict(assemble_means(query_answers, group)),
        facts=dict(assemble_facts(query_answers, group)),
        scraped=dict(assemble_scraped(query_answers, group)) if canary else {},
        gateway=assemble_gateway(query_answers),
        failed=query_answers.failed,
        complete=query_answers.failed <= SUPPLEMENTARY_QUERIES,
        problem=batch.problem,
        unreadable={key: reasons for key, reasons in batch.reasons.items() if reasons},
        released=frozenset(batch.released),
    )
