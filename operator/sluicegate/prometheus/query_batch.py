"""The queries of one fetch, sent together; each is answered or fails on its own.

A query is about many products, and Prometheus refuses or answers it as a whole. If it is refused,
or its answer is unusable, it is split and sent again until only the products remain that it fails
for; nothing is split if Prometheus doesn't answer at all. If the query succeeds for each product
alone, other pods cause the failure, and are searched in the same way. With S namespaces and at most
P products in one of them, each search needs at most 2 ⌈log₂ S⌉ + 2 ⌈log₂ P⌉ + 4 queries of the
kind, in the fetch in which one begins to fail, and none while nothing fails.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from sluicegate.api.promql_text import UnboundPromql
from sluicegate.prometheus.errors import MalformedAnswer, PrometheusError, QueryRejected
from sluicegate.prometheus.quarantine import (
    ANY_NAMESPACE,
    UNOWNED_PLACES,
    Entry,
    Place,
    Quarantine,
    covered_by,
    halve_scope,
    scope_of,
)
from sluicegate.prometheus.query_scopes import named_scope
from sluicegate.prometheus.result_table import Table, TableReader
from sluicegate.prometheus.source import Source
from sluicegate.prometheus.targets import ProductKey, Target, VersionKey
from sluicegate.slo.gateway import GatewayMetric
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import (
    OWN_QUERIES,
    Needs,
    Query,
    QueryKind,
    render_input,
    render_queries,
    render_ratio,
    render_targets,
)

MAX_SPLITS: Final = 128
"""Most queries of one kind that a fetch may spend on a search; the next fetch continues it."""
TIMES_HALVED: Final = 3
"""Number of times that the blocks of one product are halved: few of them may cause the failure."""
ALONE_SECONDS: Final = 15.0
"""Timeout of all products' own queries of a fetch, so that they don't delay the queries for all."""
NO_PRODUCT_NAME: Final = "-"
"""Value that no label of a pod can have."""


@dataclass(frozen=True, slots=True)
class Part:
    """A query with its scope, products (`targets`) and blocks (`indexes`).

    `needs` are those of other products, if the targets are read only because they make their query
    fail.
    """

    query: Query
    scope: Scope
    targets: tuple[Target, ...]
    indexes: range
    halved: int = 0
    needs: Needs | None = None

    @property
    def owner(self) -> ProductKey:
        """Return the product whose spec defines this query; None for the operator's queries."""
        return self.targets[0].key


class Batch:
    """The queries of one fetch, sent together.

    Attributes
    ----------
    tables
        Answers by kind.
    failures
        Reasons why a kind as a whole has no answer.
    spoiled
        Blocks of products that a kind has no answer for.
    reasons
        Reasons why a product's newest block is missing, by kind.
    released
        Products whose query succeeds again, so that their missing blocks can be read.
    """

    def __init__(
        self,
        prometheus: Source,
        indexes: range,
        step: int,
        *,
        urgent: bool,
        quarantine: Quarantine,
        namespaces: tuple[str, ...] = (),
        all_targets: tuple[Target, ...] = (),
        gateway: GatewayMetric | None = None,
        canary: bool = False,
    ) -> None:
        """Store the settings.

        `canary`: its queries are those of canary blocks. `all_targets` are the products of all lengths, as a query about pods may read theirs, too.
        """
        self._prometheus = prometheus
        self._indexes = indexes
        self._newest = indexes[-1]
        self._step = step
        self._urgent = urgent
        self._quarantine = quarantine
        self._namespaces = namespaces
        self._all_targets = all_targets
        self._unaccepted = frozenset(
            VersionKey(*target.key, version)
            for target in all_targets
            for version in target.unaccepted
        )
        self._gateway = gateway
        self._canary = canary
        self._open: Counter[QueryKind] = Counter()
        self._splits: Counter[QueryKind] = Counter()
        self._answered: set[QueryKind] = set()
        self._found: dict[Place, Entry] = {}
        self._answers: asyncio.Task[bool] | None = None
        self._alone: list[Part] = []
        self.tables: dict[QueryKind, Table] = defaultdict(dict)
        self.failures: dict[QueryKind, str] = {}
        self.spoiled: defaultdict[tuple[QueryKind, ProductKey], set[int]] = defaultdict(set)
        self.reasons: defaultdict[ProductKey, dict[QueryKind, str]] = defaultdict(dict)
        self.released: set[ProductKey] = set()

    @property
    def problem(self) -> str:
        """Return the failures in words; empty if every query was answered."""
        return "; ".join(f"{kind}: {reason}" for kind, reason in sorted(self.failures.items()))

    async def ask_all(self, query_parts: Sequence[Part], retried_targets: Sequence[Target]) -> None:
        """Query the targets first, then the rest: if the first fails, the rest isn't sent.

        The parts don't contain places in quarantine; those of the products `tried` are retried.
        """
        quarantined_by_kind = {kind: self._quarantine.held(kind) for kind in OWN_QUERIES}
        own_queries = [
            query_part for query_part in query_parts if query_part.query.kind in OWN_QUERIES
        ]
        self._alone = [
            query_part
            for query_part in own_queries
            if query_part.owner not in quarantined_by_kind[query_part.query.kind]
        ]
        query_parts = [
            query_part for query_part in query_parts if query_part.query.kind not in OWN_QUERIES
        ]
        self._open = Counter(query_part.query.kind for query_part in query_parts)
        for kind in QueryKind:
            for key, reason in self._quarantine.held(kind).items():
                self._spoil(kind, key, self._indexes, reason)
        target_parts = [
            query_part for query_part in query_parts if query_part.query.kind is QueryKind.TARGETS
        ]
        other_parts = [
            query_part
            for query_part in query_parts
            if query_part.query.kind is not QueryKind.TARGETS
        ]
        due_places = self._quarantine.due(self._newest) if retried_targets else []
        try:
            await asyncio.gather(*map(self._answer, target_parts))
            if QueryKind.TARGETS not in self.failures:
                retry_tasks = [
                    self._try(quarantine_place, retried_targets) for quarantine_place in due_places
                ]
                await asyncio.gather(*map(self._answer, other_parts), *retry_tasks)
                await self._ask_alone(retried_targets)
        finally:
            self._remember()

    async def _ask_alone(self, retried_targets: Sequence[Target]) -> None:
        """Send products' own queries one by one: after all others, quarantined ones last."""
        random.shuffle(self._alone)  # so that a timeout doesn't always affect the same products
        retry_tasks = (
            self._quarantine.due(self._newest, only_own_queries=True) if retried_targets else []
        )
        try:
            async with asyncio.timeout(ALONE_SECONDS):
                await asyncio.gather(*map(self._answer_alone, tuple(self._alone)))
                await asyncio.gather(
                    *(
                        self._try(quarantine_place, retried_targets)
                        for quarantine_place in retry_tasks
                    )
                )
        except TimeoutError:
            self._give_up_alone(ALONE_SECONDS, "the products' own queries")

    def give_up(self, seconds: float) -> None:
        """Mark each query without an answer as failed."""
        for kind in +self._open:
            self.failures.setdefault(kind, f"no answer within {seconds:g} s in all")
        self._give_up_alone(seconds, "all queries")
        if self._answers is not None:
            self._answers.cancel()

    def _give_up_alone(self, seconds: float, subject: str) -> None:
        for query_part in self._alone:
            reason = f"no answer within the {seconds:g} s of {subject}"
            self._spoil(query_part.query.kind, query_part.owner, query_part.indexes, reason)

    def _remember(self) -> None:
        """Quarantine the products that made a query fail, unless these are all products."""
        for kind, split_queries in self._splits.items():
            if split_queries >= MAX_SPLITS and kind not in self._answered:
                self._quarantine.pause_search(kind, self._newest)
                for reasons in self.reasons.values():
                    reasons.pop(kind, None)
        for quarantine_place, entry in self._found.items():
            if self._quarantine.may_split(quarantine_place.kind, self._newest):
                self._quarantine.note(quarantine_place, entry)

    async def _answer(self, query_part: Part) -> None:
        await self._ask(query_part)
        self._open[query_part.query.kind] -= 1

    async def _answer_alone(self, query_part: Part) -> None:
        """Send a product's own query; a failure concerns that product alone."""
        try:
            await self._take(query_part)
        except PrometheusError as error:
            kind, key = query_part.query.kind, query_part.owner
            self._spoil(kind, key, query_part.indexes, str(error))
            self._note(Place(kind, *key), str(error), query_part)
        self._alone.remove(query_part)

    async def _ask(self, query_part: Part) -> bool:
        """Send a query, and smaller ones if it fails; return whether the whole query succeeded."""
        try:
            await self._take(query_part)
        except (QueryRejected, MalformedAnswer) as error:
            await self._search(query_part, error)
            return False
        except PrometheusError as error:
            self._fail(query_part, str(error))
            return False
        return True

    async def _take(self, query_part: Part) -> None:
        """Send a query and read its answer."""
        kind, step = query_part.query.kind, self._step
        is_own_query = kind in OWN_QUERIES
        skipped_rows: dict[ProductKey, str] = {}
        table = await self._prometheus.query_range(
            query_part.query.text,
            start=query_part.indexes[0] * step,
            end=query_part.indexes[-1] * step,
            step=step,
            reader=partial(
                TableReader,
                kind,
                step=step,
                skipped_products=skipped_rows,
                unaccepted=self._unaccepted,
            ),
            urgent=self._urgent,
            own_of=query_part.owner.namespace if is_own_query else "",
        )
        self._answered.add(kind)
        merged_table = self.tables[kind]
        for labels, values in table.items():
            merged_table[labels] = (
                {**merged_table[labels], **values} if labels in merged_table else values
            )
        for key, reason in skipped_rows.items():
            self._spoil(kind, key, query_part.indexes, reason)

    def _spoil(self, kind: QueryKind, key: ProductKey, block_indexes: range, reason: str) -> None:
        self.spoiled[kind, key].update(block_indexes)
        if block_indexes[-1] == self._newest:
            self.reasons[key].setdefault(kind, reason)

    # ---- what a query fails for --------------------------------------------------------------
    async def _search(self, query_part: Part, error: QueryRejected | MalformedAnswer) -> None:
        kind, reason = query_part.query.kind, str(error)
        is_oversized = isinstance(error, MalformedAnswer) and error.oversized
        query_pieces = self._pieces(query_part)
        may_split = self._quarantine.may_split(kind, query_part.indexes[-1])
        if not may_split or not await self._answers_at_all():
            self._fail(query_part, reason)
        elif not query_pieces:
            self._quarantine_product(query_part, reason)
        elif not self._may_spend(kind, len(query_pieces)):
            self._fail(query_part, reason)
        else:
            answered_pieces = await asyncio.gather(*map(self._ask, query_pieces))
            if all(answered_pieces) and query_pieces[0].indexes == query_part.indexes:
                await self._search_beside(query_part, query_pieces, "" if is_oversized else reason)

    def _fail(self, query_part: Part, reason: str) -> None:
        """Record a failed query kind; products with a successful query of their own keep their result."""
        if query_part.needs is None:
            self.failures.setdefault(query_part.query.kind, reason)

    def _may_spend(self, kind: QueryKind, queries: int) -> bool:
        """Reserve queries for a search; return whether the limit allows it."""
        split_queries = self._splits[kind] + queries
        self._splits[kind] = min(split_queries, MAX_SPLITS)
        return split_queries <= MAX_SPLITS

    async def _answers_at_all(self) -> bool:
        """Return whether Prometheus answers a query about no product; sent once for each fetch."""
        if self._answers is None:
            self._answers = asyncio.create_task(self._ask_about_no_product())
        return await self._answers

    async def _ask_about_no_product(self) -> bool:
        kind, end_time = QueryKind.TARGETS, self._newest * self._step
        empty_scope = Scope(namespaces=self._namespaces, products=(NO_PRODUCT_NAME,))
        query = Query(kind, render_targets(empty_scope, self._step))
        try:
            await self._prometheus.query_range(
                query.text,
                start=end_time,
                end=end_time,
                step=self._step,
                reader=partial(TableReader, kind, step=self._step),
                urgent=self._urgent,
            )
        except PrometheusError:
            return False
        return True

    def _pieces(self, query_part: Part) -> list[Part]:
        """Return smaller queries with the same result; empty for one product in few blocks."""
        scope_halves = halve_scope(query_part.scope, _asking_targets(query_part))
        if scope_halves:
            return [
                query_piece
                for scope_half in scope_halves
                for query_piece in self._render(query_part, *scope_half)
            ]
        first_index, last_index = query_part.indexes[0], query_part.indexes[-1]
        if first_index == last_index or query_part.halved >= TIMES_HALVED:
            return []
        middle_block = first_index + len(query_part.indexes) // 2
        return [
            replace(query_part, indexes=part_indexes, halved=query_part.halved + 1)
            for part_indexes in (
                range(first_index, middle_block),
                range(middle_block, last_index + 1),
            )
        ]

    def _render(
        self, query_part: Part, scope: Scope, targets: tuple[Target, ...]
    ) -> Iterator[Part]:
        query_needs = (
            _needs_of_query(query_part.query, targets)
            if query_part.needs is None
            else query_part.needs
        )
        for query in self._queries(query_part.query.kind, scope, query_needs):
            yield replace(query_part, query=query, scope=scope, targets=targets)

    def _queries(self, kind: QueryKind, scope: Scope, query_needs: Needs) -> list[Query]:
        queries = render_queries(
            scope, self._step, query_needs, canary=self._canary, gateway=self._gateway
        )
        return [query for query in queries if query.kind is kind]

    def _quarantine_product(self, query_part: Part, reason: str) -> None:
        """Put the only product of a part that can't be split into quarantine."""
        kind = query_part.query.kind
        suspected_products = covered_by(query_part.scope, _asking_targets(query_part))
        if not suspected_products:
            self._fail(query_part, reason)
        for key in (target.key for target in suspected_products):
            self._spoil(kind, key, query_part.indexes, reason)
            self._note(Place(kind, *key), reason, query_part)

    async def _search_beside(
        self, query_part: Part, query_pieces: Sequence[Part], reason: str
    ) -> None:
        """Find other pods that cause a failure, as each product's query succeeds alone.

        Without a `reason` the size of the whole answer may be the only cause.
        """
        if query_part.needs is None:
            query_part = replace(
                query_part, needs=_needs_of_query(query_part.query, _asking_targets(query_part))
            )
            read_keys = {
                covered_target.key
                for query_piece in query_pieces
                for covered_target in covered_by(query_piece.scope, self._all_targets)
            }
            other_targets = [target for target in self._all_targets if target.key not in read_keys]
            other_halves = halve_scope(query_part.scope, other_targets)
            searched_pieces = [
                query_piece
                for scope_half in other_halves
                for query_piece in self._render(query_part, *scope_half)
            ]
            if not self._may_spend(query_part.query.kind, len(searched_pieces)):
                return
            if not all(await asyncio.gather(*map(self._ask, searched_pieces))):
                return
        if reason:
            await self._quarantine_others(query_part, query_pieces, reason)

    async def _quarantine_others(
        self, query_part: Part, query_pieces: Sequence[Part], reason: str
    ) -> None:
        """Put the pods that belong to no product into quarantine."""
        if query_part.scope.products:
            await self._search_by_chance(query_part, reason)
            return
        namespaces = {
            namespace for query_piece in query_pieces for namespace in query_piece.scope.namespaces
        }
        alone_answered = (
            next(iter(namespaces))
            if len(namespaces) == 1 and query_pieces[0].scope.products
            else ANY_NAMESPACE
        )
        if (
            alone_answered
            or not query_part.scope.namespaces
            or not namespaces.issuperset(query_part.scope.namespaces)
        ):
            self._note(
                Place(query_part.query.kind, alone_answered, UNOWNED_PLACES), reason, query_part
            )

    async def _search_by_chance(self, query_part: Part, reason: str) -> None:
        """Find the namespace with pods whose name equals another namespace's product.

        Two names in two namespaces match four pairs.
        """
        namespaces, has_failed = query_part.scope.namespaces, False
        while len(namespaces) > 1 or not has_failed:
            scope_half = namespaces[: (len(namespaces) + 1) // 2]
            query_pieces = list(
                self._render(query_part, replace(query_part.scope, namespaces=scope_half), ())
            )
            if not self._may_spend(query_part.query.kind, len(query_pieces)):
                return
            try:
                for query_piece in query_pieces:
                    await self._take(query_piece)
            except (QueryRejected, MalformedAnswer):
                namespaces, has_failed = scope_half, True
            except PrometheusError:
                return
            else:
                namespaces, has_failed = namespaces[len(scope_half) :], False
                if not namespaces:
                    return  # the cause is found
        self._note(Place(query_part.query.kind, namespaces[0], UNOWNED_PLACES), reason, query_part)

    def _note(self, quarantine_place: Place, reason: str, query_part: Part) -> None:
        if query_part.indexes[-1] == self._newest:
            entry = Entry(reason, self._newest + 1, beside=query_part.needs is not None)
            self._found.setdefault(quarantine_place, entry)

    async def _try(self, quarantine_place: Place, retried_targets: Sequence[Target]) -> None:
        """Query the newest block of a place in quarantine again."""
        scope = scope_of(quarantine_place, self._namespaces)
        covered_targets = covered_by(scope, retried_targets)
        newest_index = self._indexes[-1:]
        query_needs = needs_of(covered_targets)
        is_own_query = (
            bool(covered_targets)
            and quarantine_place.product != UNOWNED_PLACES
            and query_needs.asks(quarantine_place.kind)
        )
        own_kind = quarantine_place.kind in OWN_QUERIES
        queries = self._queries(
            quarantine_place.kind, scope, query_needs if is_own_query else needs_of(retried_targets)
        )
        query_parts = [Part(query, scope, covered_targets, newest_index) for query in queries]
        try:
            for query_part in (
                _own_query_parts(covered_targets, newest_index, self._step)
                if own_kind
                else query_parts
            ):
                if query_part.query.kind is quarantine_place.kind:
                    await self._take(query_part)
        except (QueryRejected, MalformedAnswer):
            self._quarantine.failed_again(quarantine_place, self._newest)
        except PrometheusError:
            if own_kind:
                self._quarantine.failed_again(quarantine_place, self._newest)
        else:
            self._quarantine.release(quarantine_place)
            key = ProductKey(quarantine_place.namespace, quarantine_place.product)
            self.reasons[key].pop(quarantine_place.kind, None)
            if is_own_query:
                self.spoiled[quarantine_place.kind, key].discard(self._newest)
                self.released.add(key)


def _needs_of_query(query: Query, targets: Iterable[Target]) -> Needs:
    """Return the needs of these products, as far as a query reads them."""
    query_needs = needs_of(targets)
    return query_needs.only(query.names) if query.names else query_needs


def _asking_targets(query_part: Part) -> list[Target]:
    """Return the products that a query is for, as other products may also have matching series."""
    kind = query_part.query.kind
    if query_part.needs is not None:
        return list(query_part.targets)
    return [
        target
        for target in query_part.targets
        if _needs_of_query(query_part.query, [target]).asks(kind)
    ]


def has_own(target: Target) -> bool:
    """Return whether a product has queries of its own, such as PromQL of its spec."""
    return bool(target.inputs) or any(slo.promql for slo in target.slos.values())


async def ask_own_parts(targets: Iterable[Target], block_indexes: range, step: int) -> list[Part]:
    """Return the queries that single products need: one for each indicator of PromQL, and each input.

    An expression that can't be bound isn't sent; the product is InvalidSpec. Expressions are parsed
    in a thread: thousands may take seconds.
    """
    owners = list(filter(has_own, targets))
    if not owners:
        return []
    return await asyncio.to_thread(lambda: list(_own_query_parts(owners, block_indexes, step)))


def _own_query_parts(targets: Iterable[Target], block_indexes: range, step: int) -> Iterator[Part]:
    for target in targets:
        for slo, indicator in target.slos.items():
            if indicator.promql:
                try:
                    text = render_ratio(target.key, slo, indicator.promql, step)
                except UnboundPromql:
                    continue
                query = Query(QueryKind.PROMQL, text)
                yield Part(query, named_scope([target]), (target,), block_indexes)
        for name, expression in target.inputs:
            with suppress(UnboundPromql):
                text = render_input(target.key, name, expression, step)
                query = Query(QueryKind.INPUTS, text)
                yield Part(query, named_scope([target]), (target,), block_indexes[-1:])


def needs_of(targets: Iterable[Target]) -> Needs:
    """Combine the needs of these products."""
    all_targets = tuple(targets)
    indicators = (slo for target in all_targets for slo in target.slos.values())
    return Needs.of(
        indicators,
        markets=any(target.markets for target in all_targets),
        paired=any(target.paired for target in all_targets),
        upstreams=any(target.consumers for target in all_targets),
    )
