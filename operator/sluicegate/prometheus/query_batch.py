"""The queries of one fetch: asked together, each answered or failed on its own.

A query is about many products, and Prometheus refuses or answers it as a whole. One that is
refused, or has an unusable answer, is split and asked again until only the products remain that
it fails for; nothing is split where Prometheus doesn't answer at all. If each product alone is
answered, other pods cause the failure, and are searched for in the same way.
With S namespaces and at most P products in one of them, each search costs at most
2 ⌈log₂ S⌉ + 2 ⌈log₂ P⌉ + 4 queries of the kind, in the fetch in which one begins to fail, and none
while nothing fails.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
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
    Needs,
    Query,
    QueryKind,
    render_queries,
    render_ratio,
    render_targets,
)

MOST_SPLITS: Final = 128
"""Queries of one kind that a fetch may spend on a search; the next one goes on with it."""
TIMES_HALVED: Final = 3
"""How often the blocks of one product are halved: few of them may cause the failure."""
ALONE_SECONDS: Final = 15.0
"""For all products' own queries of a fetch: what serves all waits for them no longer."""
NOBODY: Final = "-"
"""No label of a pod can be this."""


@dataclass(frozen=True, slots=True)
class Part:
    """A query, and what it reads: `targets` within `scope`, in the blocks `indexes`.

    `needs` are those of others, where the targets are asked about because they spoil their query.
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
    """The queries of one fetch while they are under way.

    Attributes
    ----------
    tables
        What was answered, by kind.
    failures
        Why a kind as a whole wasn't.
    spoiled
        Blocks of products that a kind has no answer for.
    reasons
        Why a product's newest block isn't known, by kind.
    released
        Products that are answered again: what was missed can be read.
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
        everybody: tuple[Target, ...] = (),
        gateway: GatewayMetric | None = None,
    ) -> None:
        """`everybody` are the products of all lengths: a query about pods may read theirs, too."""
        self._prometheus = prometheus
        self._indexes = indexes
        self._newest = indexes[-1]
        self._step = step
        self._urgent = urgent
        self._quarantine = quarantine
        self._namespaces = namespaces
        self._everybody = everybody
        self._gateway = gateway
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
        """What failed, in words; empty when all was answered."""
        return "; ".join(f"{kind}: {why}" for kind, why in sorted(self.failures.items()))

    async def ask_all(self, parts: Sequence[Part], tried: Sequence[Target]) -> None:
        """Ask about the targets first: when that fails the rest needn't be asked.

        What is in quarantine is left out of the parts; for the products `tried` it is tried again.
        """
        own = QueryKind.PROMQL
        held = self._quarantine.held(own)
        self._alone = [part for part in parts if part.query.kind is own and part.owner not in held]
        parts = [part for part in parts if part.query.kind is not own]
        self._open = Counter(part.query.kind for part in parts)
        for kind in QueryKind:
            for key, why in self._quarantine.held(kind).items():
                self._spoil(kind, key, self._indexes, why)
        first = [part for part in parts if part.query.kind is QueryKind.TARGETS]
        rest = [part for part in parts if part.query.kind is not QueryKind.TARGETS]
        due = self._quarantine.due(self._newest) if tried else []
        try:
            await asyncio.gather(*map(self._answer, first))
            if QueryKind.TARGETS not in self.failures:
                tries = [self._try(place, tried) for place in due]
                await asyncio.gather(*map(self._answer, rest), *tries)
                await self._ask_alone(tried)
        finally:
            self._remember()

    async def _ask_alone(self, tried: Sequence[Target]) -> None:
        """Ask products' own queries: last, and those in quarantine after those that aren't."""
        random.shuffle(self._alone)  # where time isn't enough, not the same always come last
        tries = self._quarantine.due(self._newest, own=True) if tried else []
        try:
            async with asyncio.timeout(ALONE_SECONDS):
                await asyncio.gather(*map(self._answer_alone, tuple(self._alone)))
                await asyncio.gather(*(self._try(place, tried) for place in tries))
        except TimeoutError:
            self._give_up_alone(ALONE_SECONDS, "the products' own queries")

    def give_up(self, seconds: float) -> None:
        """What isn't answered by now has failed."""
        for kind in +self._open:
            self.failures.setdefault(kind, f"no answer within {seconds:g} s in all")
        self._give_up_alone(seconds, "all queries")
        if self._answers is not None:
            self._answers.cancel()

    def _give_up_alone(self, seconds: float, what: str) -> None:
        for part in self._alone:
            why = f"no answer within the {seconds:g} s of {what}"
            self._spoil(part.query.kind, part.owner, part.indexes, why)

    def _remember(self) -> None:
        """Put into quarantine what was found, unless the search for it found everybody."""
        for kind, spent in self._splits.items():
            if spent >= MOST_SPLITS and kind not in self._answered:
                self._quarantine.believe_refused(kind, self._newest)
                for reasons in self.reasons.values():
                    reasons.pop(kind, None)
        for place, entry in self._found.items():
            if self._quarantine.may_split(place.kind, self._newest):
                self._quarantine.note(place, entry)

    async def _answer(self, part: Part) -> None:
        await self._ask(part)
        self._open[part.query.kind] -= 1

    async def _answer_alone(self, part: Part) -> None:
        """Ask a product's own query: whatever it fails with is that product's alone."""
        try:
            await self._take(part)
        except PrometheusError as error:
            kind, key = part.query.kind, part.owner
            self._spoil(kind, key, part.indexes, str(error))
            self._note(Place(kind, *key), str(error), part)
        self._alone.remove(part)

    async def _ask(self, part: Part) -> bool:
        """Ask, and for less where that fails; whether the part as a whole was answered."""
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
        """Ask for a part and take its answer in."""
        kind, step = part.query.kind, self._step
        alone = kind is QueryKind.PROMQL
        skipped: dict[ProductKey, str] = {}
        table = await self._prometheus.query_range(
            part.query.text,
            start=part.indexes[0] * step,
            end=part.indexes[-1] * step,
            step=step,
            reader=partial(TableReader, kind, step=step, skipped=skipped),
            urgent=self._urgent,
            own_of=part.owner.namespace if alone else "",
        )
        self._answered.add(kind)
        merged = self.tables[kind]
        for labels, values in table.items():
            merged[labels] = {**merged[labels], **values} if labels in merged else values
        for key, why in skipped.items():
            self._spoil(kind, key, part.indexes, why)

    def _spoil(self, kind: QueryKind, key: ProductKey, indexes: range, why: str) -> None:
        self.spoiled[kind, key].update(indexes)
        if indexes[-1] == self._newest:
            self.reasons[key].setdefault(kind, why)

    # ---- what a query fails for --------------------------------------------------------------
    async def _search(self, part: Part, error: QueryRejected | MalformedAnswer) -> None:
        kind, why = part.query.kind, str(error)
        oversized = isinstance(error, MalformedAnswer) and error.oversized
        pieces = self._pieces(part)
        splits = self._quarantine.may_split(kind, part.indexes[-1])
        if not splits or not await self._answers_at_all():
            self._fail(part, why)
        elif not pieces:
            self._blame(part, why)
        elif not self._may_spend(kind, len(pieces)):
            self._fail(part, why)
        else:
            answered = await asyncio.gather(*map(self._ask, pieces))
            if all(answered) and pieces[0].indexes == part.indexes:
                await self._search_beside(part, pieces, "" if oversized else why)

    def _fail(self, part: Part, why: str) -> None:
        """A kind isn't answered; what is asked for others' sake was answered for theirs."""
        if part.needs is None:
            self.failures.setdefault(part.query.kind, why)

    def _may_spend(self, kind: QueryKind, queries: int) -> bool:
        """Whether a search may go on; then these queries are its."""
        spent = self._splits[kind] + queries
        self._splits[kind] = min(spent, MOST_SPLITS)
        return spent <= MOST_SPLITS

    async def _answers_at_all(self) -> bool:
        """Whether Prometheus answers a query about no product; asked once per fetch."""
        if self._answers is None:
            self._answers = asyncio.create_task(self._ask_about_nobody())
        return await self._answers

    async def _ask_about_nobody(self) -> bool:
        kind, end = QueryKind.TARGETS, self._newest * self._step
        nobody = Scope(namespaces=self._namespaces, products=(NOBODY,))
        query = Query(kind, render_targets(nobody, self._step))
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
        """What to ask instead; nothing where one product in few blocks is all that is left."""
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
        queries = render_queries(scope, self._step, needs, gateway=self._gateway)
        return [query for query in queries if query.kind is kind]

    def _blame(self, part: Part, why: str) -> None:
        """A part that can't be split fails: its one product is to be left out from now on."""
        kind = part.query.kind
        guilty = covered_by(part.scope, _asking(part))
        if not guilty:
            self._fail(part, why)
        for key in (target.key for target in guilty):
            self._spoil(kind, key, part.indexes, why)
            self._note(Place(kind, *key), why, part)

    async def _search_beside(self, part: Part, pieces: Sequence[Part], why: str) -> None:
        """All products of a part are answered alone: other pods that it reads cause the failure.

        Without a `why` there may be no cause but the size of the whole answer.
        """
        if part.needs is None:
            part = replace(part, needs=_needs(part.query, _asking(part)))
            read = {one.key for each in pieces for one in covered_by(each.scope, self._everybody)}
            beside = [one for one in self._everybody if one.key not in read]
            halves = halve(part.scope, beside)
            searched = [piece for half in halves for piece in self._render(part, *half)]
            if not self._may_spend(part.query.kind, len(searched)):
                return
            if not all(await asyncio.gather(*map(self._ask, searched))):
                return
        if why:
            await self._blame_nobody(part, pieces, why)

    async def _blame_nobody(self, part: Part, pieces: Sequence[Part], why: str) -> None:
        """What fails is of pods that belong to no product."""
        if part.scope.products:
            await self._search_by_chance(part, why)
            return
        asked = {namespace for piece in pieces for namespace in piece.scope.namespaces}
        alone = next(iter(asked)) if len(asked) == 1 and pieces[0].scope.products else ANYWHERE
        if alone or not part.scope.namespaces or not asked.issuperset(part.scope.namespaces):
            self._note(Place(part.query.kind, alone, OTHERS), why, part)

    async def _search_by_chance(self, part: Part, why: str) -> None:
        """Two names in two namespaces match four ways: find the namespace where pods bear another's."""
        namespaces, failed = part.scope.namespaces, False
        while len(namespaces) > 1 or not failed:
            half = namespaces[: (len(namespaces) + 1) // 2]
            asked = list(self._render(part, replace(part.scope, namespaces=half), ()))
            if not self._may_spend(part.query.kind, len(asked)):
                return
            try:
                for one in asked:
                    await self._take(one)
            except (QueryRejected, MalformedAnswer):
                namespaces, failed = half, True
            except PrometheusError:
                return
            else:
                namespaces, failed = namespaces[len(half) :], False
                if not namespaces:
                    return  # it is over
        self._note(Place(part.query.kind, namespaces[0], OTHERS), why, part)

    def _note(self, place: Place, why: str, part: Part) -> None:
        if part.indexes[-1] == self._newest:
            entry = Entry(why, self._newest + 1, beside=part.needs is not None)
            self._found.setdefault(place, entry)

    async def _try(self, place: Place, tried: Sequence[Target]) -> None:
        """Ask again for the newest block of what is left out."""
        scope = scope_of(place, self._namespaces)
        covered = covered_by(scope, tried)
        newest = self._indexes[-1:]
        needs = needs_of(covered)
        own = bool(covered) and place.product != OTHERS and needs.asks(place.kind)
        alone = place.kind is QueryKind.PROMQL
        asked = self._queries(place.kind, scope, needs if own else needs_of(tried))
        parts = [Part(query, scope, covered, newest) for query in asked]
        try:
            for part in _own_parts(covered, newest, self._step) if alone else parts:
                await self._take(part)
        except (QueryRejected, MalformedAnswer):
            self._quarantine.failed_again(place, self._newest)
        except PrometheusError:
            if alone:
                self._quarantine.failed_again(place, self._newest)
        else:
            self._quarantine.release(place)
            key = ProductKey(place.namespace, place.product)
            self.reasons[key].pop(place.kind, None)
            if own:
                self.spoiled[place.kind, key].discard(self._newest)
                self.released.add(key)


def _needs(query: Query, targets: Iterable[Target]) -> Needs:
    """What these products need of what a query asks for."""
    needs = needs_of(targets)
    return needs.only(query.names) if query.names else needs


def _asking(part: Part) -> list[Target]:
    """The products that a part is asked about; others may have such series, too."""
    kind = part.query.kind
    if part.needs is not None:
        return list(part.targets)
    return [target for target in part.targets if _needs(part.query, [target]).asks(kind)]


def has_own(target: Target) -> bool:
    """Whether a product brings queries of its own."""
    return any(slo.promql for slo in target.slos.values())


async def own_parts(targets: Iterable[Target], indexes: range, step: int) -> list[Part]:
    """The queries that single products bring: one for each indicator of PromQL.

    One that can't be bound is asked by nobody; the product is InvalidSpec. Expressions are parsed
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


def needs_of(targets: Iterable[Target]) -> Needs:
    """What these products ask for together."""
    asked = tuple(targets)
    indicators = (slo for target in asked for slo in target.slos.values())
    return Needs.of(
        indicators,
        markets=any(target.markets for target in asked),
        paired=any(target.paired for target in asked),
    )
