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
    ANYWHERE,
    OTHERS,
    Entry,
    Place,
    Quarantine,
    covered_by,
    halve,
    scope_of,
)
from sluicegate.prometheus.query_scopes import named_scope
from sluicegate.prometheus.result_table import Table, TableReader
from sluicegate.prometheus.source import Source
from sluicegate.prometheus.targets import ProductKey, Target
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

MOST_SPLITS: Final = 128
"""Most queries of one kind that a fetch may spend on a search; the next fetch continues it."""
TIMES_HALVED: Final = 3
"""Number of times that the blocks of one product are halved: few of them may cause the failure."""
ALONE_SECONDS: Final = 15.0
"""Timeout of all products' own queries of a fetch, so that they don't delay the queries for all."""
NO_PRODUCT: Final = "-"
"""Value that no label of a pod can have."""


@dataclass(frozen=True, slots=True)
class Part:
    """A query and its subject: `targets` within `scope`, in the blocks `indexes`.

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
        """The product that brings this query, and is its only target."""
        return self.targets[0].key


class Batch:
    """The queries of one fetch while they are in flight.

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
        """The failures in words; empty if every query was answered."""
        return "; ".join(f"{kind}: {reason}" for kind, reason in sorted(self.failures.items()))

    async def ask_all(self, parts: Sequence[Part], tried: Sequence[Target]) -> None:
        """Query the targets first, then the rest: if the first fails, the rest isn't sent.

        The parts don't contain places in quarantine; those of the products `tried` are retried.
        """
        held_by_kind = {kind: self._quarantine.held(kind) for kind in OWN_QUERIES}
        own_queries = [part for part in parts if part.query.kind in OWN_QUERIES]
        self._alone = [
            part for part in own_queries if part.owner not in held_by_kind[part.query.kind]
        ]
        parts = [part for part in parts if part.query.kind not in OWN_QUERIES]
        self._open = Counter(part.query.kind for part in parts)
        for kind in QueryKind:
            for key, reason in self._quarantine.held(kind).items():
                self._spoil(kind, key, self._indexes, reason)
        first = [part for part in parts if part.query.kind is QueryKind.TARGETS]
        other_parts = [part for part in parts if part.query.kind is not QueryKind.TARGETS]
        due = self._quarantine.due(self._newest) if tried else []
        try:
            await asyncio.gather(*map(self._answer, first))
            if QueryKind.TARGETS not in self.failures:
                tries = [self._try(place, tried) for place in due]
                await asyncio.gather(*map(self._answer, other_parts), *tries)
                await self._ask_alone(tried)
        finally:
            self._remember()

    async def _ask_alone(self, tried: Sequence[Target]) -> None:
        """Send products' own queries: after all others, and those in quarantine last."""
        random.shuffle(self._alone)  # so that a timeout doesn't always affect the same products
        tries = self._quarantine.due(self._newest, own=True) if tried else []
        try:
            async with asyncio.timeout(ALONE_SECONDS):
                await asyncio.gather(*map(self._answer_alone, tuple(self._alone)))
                await asyncio.gather(*(self._try(place, tried) for place in tries))
        except TimeoutError:
            self._give_up_alone(ALONE_SECONDS, "the products' own queries")

    def give_up(self, seconds: float) -> None:
        """Mark each query without an answer as failed."""
        for kind in +self._open:
            self.failures.setdefault(kind, f"no answer within {seconds:g} s in all")
        self._give_up_alone(seconds, "all queries")
        if self._answers is not None:
            self._answers.cancel()

    def _give_up_alone(self, seconds: float, what: str) -> None:
        for part in self._alone:
            reason = f"no answer within the {seconds:g} s of {what}"
            self._spoil(part.query.kind, part.owner, part.indexes, reason)

    def _remember(self) -> None:
        """Put the products that were found into quarantine, unless these are all."""
        for kind, spent in self._splits.items():
            if spent >= MOST_SPLITS and kind not in self._answered:
                self._quarantine.pause_search(kind, self._newest)
                for reasons in self.reasons.values():
                    reasons.pop(kind, None)
        for place, entry in self._found.items():
            if self._quarantine.may_split(place.kind, self._newest):
                self._quarantine.note(place, entry)

    async def _answer(self, part: Part) -> None:
        await self._ask(part)
        self._open[part.query.kind] -= 1

    async def _answer_alone(self, part: Part) -> None:
        """Send a product's own query; a failure concerns that product alone."""
        try:
            await self._take(part)
        except PrometheusError as error:
            kind, key = part.query.kind, part.owner
            self._spoil(kind, key, part.indexes, str(error))
            self._note(Place(kind, *key), str(error), part)
        self._alone.remove(part)

    async def _ask(self, part: Part) -> bool:
        """Send a query, and smaller ones if it fails; return whether the part as a whole was answered."""
        try:
            await self._take(part)
        except (QueryRejected, MalformedAnswer) as error:
            await self._search(part, error)
            return False
        except PrometheusError as error:
            self._fail(part, str(error))
            return False
        return True

    async def _take(self, part: Part) -> None:
        """Send a query and read its answer."""
        kind, step = part.query.kind, self._step
        is_own_query = kind in OWN_QUERIES
        skipped: dict[ProductKey, str] = {}
        table = await self._prometheus.query_range(
            part.query.text,
            start=part.indexes[0] * step,
            end=part.indexes[-1] * step,
            step=step,
            reader=partial(TableReader, kind, step=step, skipped=skipped),
            urgent=self._urgent,
            own_of=part.owner.namespace if is_own_query else "",
        )
        self._answered.add(kind)
        merged = self.tables[kind]
        for labels, values in table.items():
            merged[labels] = {**merged[labels], **values} if labels in merged else values
        for key, reason in skipped.items():
            self._spoil(kind, key, part.indexes, reason)

    def _spoil(self, kind: QueryKind, key: ProductKey, indexes: range, reason: str) -> None:
        self.spoiled[kind, key].update(indexes)
        if indexes[-1] == self._newest:
            self.reasons[key].setdefault(kind, reason)

    # ---- what a query fails for --------------------------------------------------------------
    async def _search(self, part: Part, error: QueryRejected | MalformedAnswer) -> None:
        kind, reason = part.query.kind, str(error)
        oversized = isinstance(error, MalformedAnswer) and error.oversized
        pieces = self._pieces(part)
        splits = self._quarantine.may_split(kind, part.indexes[-1])
        if not splits or not await self._answers_at_all():
            self._fail(part, reason)
        elif not pieces:
            self._quarantine_product(part, reason)
        elif not self._may_spend(kind, len(pieces)):
            self._fail(part, reason)
        else:
            answered_pieces = await asyncio.gather(*map(self._ask, pieces))
            if all(answered_pieces) and pieces[0].indexes == part.indexes:
                await self._search_beside(part, pieces, "" if oversized else reason)

    def _fail(self, part: Part, reason: str) -> None:
        """Mark a kind as failed; for a query on behalf of other products their own answer remains."""
        if part.needs is None:
            self.failures.setdefault(part.query.kind, reason)

    def _may_spend(self, kind: QueryKind, queries: int) -> bool:
        """Reserve queries for a search; return whether the limit allows it."""
        spent = self._splits[kind] + queries
        self._splits[kind] = min(spent, MOST_SPLITS)
        return spent <= MOST_SPLITS

    async def _answers_at_all(self) -> bool:
        """Return whether Prometheus answers a query about no product; sent once for each fetch."""
        if self._answers is None:
            self._answers = asyncio.create_task(self._ask_about_no_product())
        return await self._answers

    async def _ask_about_no_product(self) -> bool:
        kind, end = QueryKind.TARGETS, self._newest * self._step
        no_product = Scope(namespaces=self._namespaces, products=(NO_PRODUCT,))
        query = Query(kind, render_targets(no_product, self._step))
        try:
            await self._prometheus.query_range(
                query.text,
                start=end,
                end=end,
                step=self._step,
                reader=partial(TableReader, kind, step=self._step),
                urgent=self._urgent,
            )
        except PrometheusError:
            return False
        return True

    def _pieces(self, part: Part) -> list[Part]:
        """Return the parts to query instead; none if it is one product in few blocks."""
        narrower = halve(part.scope, _asking(part))
        if narrower:
            return [piece for half in narrower for piece in self._render(part, *half)]
        first, last = part.indexes[0], part.indexes[-1]
        if first == last or part.halved >= TIMES_HALVED:
            return []
        middle = first + len(part.indexes) // 2
        return [
            replace(part, indexes=indexes, halved=part.halved + 1)
            for indexes in (range(first, middle), range(middle, last + 1))
        ]

    def _render(self, part: Part, scope: Scope, targets: tuple[Target, ...]) -> Iterator[Part]:
        needs = _needs(part.query, targets) if part.needs is None else part.needs
        for query in self._queries(part.query.kind, scope, needs):
            yield replace(part, query=query, scope=scope, targets=targets)

    def _queries(self, kind: QueryKind, scope: Scope, needs: Needs) -> list[Query]:
        queries = render_queries(
            scope, self._step, needs, canary=self._canary, gateway=self._gateway
        )
        return [query for query in queries if query.kind is kind]

    def _quarantine_product(self, part: Part, reason: str) -> None:
        """Put the only product of a part that can't be split into quarantine."""
        kind = part.query.kind
        guilty = covered_by(part.scope, _asking(part))
        if not guilty:
            self._fail(part, reason)
        for key in (target.key for target in guilty):
            self._spoil(kind, key, part.indexes, reason)
            self._note(Place(kind, *key), reason, part)

    async def _search_beside(self, part: Part, pieces: Sequence[Part], reason: str) -> None:
        """Search the other pods that cause a failure, as each product of a part succeeds alone.

        Without a `reason` the size of the whole answer may be the only cause.
        """
        if part.needs is None:
            part = replace(part, needs=_needs(part.query, _asking(part)))
            read = {one.key for each in pieces for one in covered_by(each.scope, self._all_targets)}
            other_targets = [target for target in self._all_targets if target.key not in read]
            halves = halve(part.scope, other_targets)
            searched = [piece for half in halves for piece in self._render(part, *half)]
            if not self._may_spend(part.query.kind, len(searched)):
                return
            if not all(await asyncio.gather(*map(self._ask, searched))):
                return
        if reason:
            await self._quarantine_others(part, pieces, reason)

    async def _quarantine_others(self, part: Part, pieces: Sequence[Part], reason: str) -> None:
        """Put the pods that belong to no product into quarantine."""
        if part.scope.products:
            await self._search_by_chance(part, reason)
            return
        namespaces = {namespace for piece in pieces for namespace in piece.scope.namespaces}
        alone_answered = (
            next(iter(namespaces))
            if len(namespaces) == 1 and pieces[0].scope.products
            else ANYWHERE
        )
        if (
            alone_answered
            or not part.scope.namespaces
            or not namespaces.issuperset(part.scope.namespaces)
        ):
            self._note(Place(part.query.kind, alone_answered, OTHERS), reason, part)

    async def _search_by_chance(self, part: Part, reason: str) -> None:
        """Find the namespace whose pods have the name of another namespace's product.

        Two names in two namespaces match four pairs.
        """
        namespaces, failed = part.scope.namespaces, False
        while len(namespaces) > 1 or not failed:
            half = namespaces[: (len(namespaces) + 1) // 2]
            pieces = list(self._render(part, replace(part.scope, namespaces=half), ()))
            if not self._may_spend(part.query.kind, len(pieces)):
                return
            try:
                for piece in pieces:
                    await self._take(piece)
            except (QueryRejected, MalformedAnswer):
                namespaces, failed = half, True
            except PrometheusError:
                return
            else:
                namespaces, failed = namespaces[len(half) :], False
                if not namespaces:
                    return  # the cause is found
        self._note(Place(part.query.kind, namespaces[0], OTHERS), reason, part)

    def _note(self, place: Place, reason: str, part: Part) -> None:
        if part.indexes[-1] == self._newest:
            entry = Entry(reason, self._newest + 1, beside=part.needs is not None)
            self._found.setdefault(place, entry)

    async def _try(self, place: Place, retried_targets: Sequence[Target]) -> None:
        """Query the newest block of a place in quarantine again."""
        scope = scope_of(place, self._namespaces)
        covered = covered_by(scope, retried_targets)
        newest = self._indexes[-1:]
        needs = needs_of(covered)
        is_own_query = bool(covered) and place.product != OTHERS and needs.asks(place.kind)
        own_kind = place.kind in OWN_QUERIES
        queries = self._queries(
            place.kind, scope, needs if is_own_query else needs_of(retried_targets)
        )
        parts = [Part(query, scope, covered, newest) for query in queries]
        try:
            for part in _own_parts(covered, newest, self._step) if own_kind else parts:
                if part.query.kind is place.kind:
                    await self._take(part)
        except (QueryRejected, MalformedAnswer):
            self._quarantine.failed_again(place, self._newest)
        except PrometheusError:
            if own_kind:
                self._quarantine.failed_again(place, self._newest)
        else:
            self._quarantine.release(place)
            key = ProductKey(place.namespace, place.product)
            self.reasons[key].pop(place.kind, None)
            if is_own_query:
                self.spoiled[place.kind, key].discard(self._newest)
                self.released.add(key)


def _needs(query: Query, targets: Iterable[Target]) -> Needs:
    """Return the needs of these products, as far as a query reads them."""
    needs = needs_of(targets)
    return needs.only(query.names) if query.names else needs


def _asking(part: Part) -> list[Target]:
    """Return the products that a part is about; other products may have such series, too."""
    kind = part.query.kind
    if part.needs is not None:
        return list(part.targets)
    return [target for target in part.targets if _needs(part.query, [target]).asks(kind)]


def has_own(target: Target) -> bool:
    """Return whether a product has queries of its own."""
    return bool(target.inputs) or any(slo.promql for slo in target.slos.values())


async def own_parts(targets: Iterable[Target], indexes: range, step: int) -> list[Part]:
    """Return the queries that single products need: one for each indicator of PromQL, and each input.

    An expression that can't be bound isn't sent; the product is InvalidSpec. Expressions are parsed
    in a thread: thousands may take seconds.
    """
    owners = list(filter(has_own, targets))
    if not owners:
        return []
    return await asyncio.to_thread(lambda: list(_own_parts(owners, indexes, step)))


def _own_parts(targets: Iterable[Target], indexes: range, step: int) -> Iterator[Part]:
    for target in targets:
        for slo, indicator in target.slos.items():
            if indicator.promql:
                try:
                    text = render_ratio(target.key, slo, indicator.promql, step)
                except UnboundPromql:
                    continue
                query = Query(QueryKind.PROMQL, text)
                yield Part(query, named_scope([target]), (target,), indexes)
        for name, expression in target.inputs:
            with suppress(UnboundPromql):
                text = render_input(target.key, name, expression, step)
                query = Query(QueryKind.INPUTS, text)
                yield Part(query, named_scope([target]), (target,), indexes[-1:])


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
