"""Which queries a fetch asks one after the other: literally, with an answer that takes a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import product

import pytest

from benchmarks.virtual.event_loop import run_virtually, virtual_loop
from sluicegate.api.slos import Indicator
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings, Length
from sluicegate.prometheus.errors import MalformedAnswer, PrometheusUnavailable, QueryRejected
from sluicegate.prometheus.quarantine import Quarantine
from sluicegate.prometheus.query_batch import Batch, Part, ask_own_parts
from sluicegate.prometheus.targets import ProductKey, Target
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import Query, QueryKind, render_requests, render_targets

STEP, NEWEST = 300, 100
KIND = QueryKind.REQUESTS
A1, A2, B1, B2 = (ProductKey(*key) for key in ("a1", "a2", "b1", "b2"))
AVAILABILITY = {"slo": Indicator(availability={})}
OWN = {"good": "increase(good_total[$block])", "total": "increase(all_total[$block])"}
NO_PRODUCT = render_targets(Scope(products=("-",)), STEP)
Refuses = Callable[[Scope, int, int], bool]


def target(key: ProductKey, **changes) -> Target:
    return Target(**{"key": key, "versions": ("v1",), "slos": AVAILABILITY} | changes)


class Source:
    """Answers without rows, a second later; what it refuses, it refuses with an error."""

    def __init__(self, refuses: Refuses, error: Exception) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self._refuses, self._error = refuses, error
        namespaces = [tuple(one) for one in ("", "a", "b", "c", "ab", "bc", "abc")]
        names = [tuple(one) for one in ("", "1", "2", "3", "12", "23", "123")]
        scopes = [Scope(*both) for both in product(namespaces, names)]
        self._scopes = {render_requests(scope, STEP): scope for scope in scopes}

    async def query_range(self, text, *, start, end, step, reader, urgent=False, own_of=""):
        assert step == STEP
        first, last = start // STEP, end // STEP
        await asyncio.sleep(1)
        if text == NO_PRODUCT:
            self.asked.append(("no_product", first, last))
            return reader().result()
        scope = self._scopes[text]
        self.asked.append(("".join([*scope.namespaces, *scope.products]), first, last))
        if self._refuses(scope, first, last):
            raise self._error
        return reader().result()


def reads(key: ProductKey, scope: Scope) -> bool:
    return (not scope.namespaces or key[0] in scope.namespaces) and (
        not scope.products or key[1] in scope.products
    )


def searched(
    refuses: Refuses,
    *keys: ProductKey,
    scope: Scope = Scope(),  # noqa: B008 - it can't be changed
    blocks: int = 1,
    error: Exception = QueryRejected("no"),  # noqa: B008 - it isn't
) -> tuple[list[tuple[str, int, int]], Batch, Quarantine]:
    """Return the queries of a fetch of these products' requests, their batch and the quarantine."""
    source, kept = Source(refuses, error), Quarantine(STEP)
    indexes, targets = range(NEWEST - blocks + 1, NEWEST + 1), tuple(map(target, keys))

    async def story() -> Batch:
        batch = Batch(source, indexes, STEP, urgent=False, quarantine=kept, all_targets=targets)
        part = Part(Query(KIND, render_requests(scope, STEP)), scope, targets, indexes)
        await batch.ask_all([part], targets)
        return batch

    return source.asked, run_virtually(story()), kept


NAMED = Scope(("a",), ("1",))


@pytest.mark.parametrize(
    ("blocks", "bad", "asked", "spoiled"),
    [
        (8, 95, [(93, 100), (93, 96), (97, 100), (93, 94), (95, 96), (95, 95), (96, 96)], {95}),
        (5, 96, [(96, 100), (96, 97), (98, 100), (96, 96), (97, 97)], {96}),
        (5, 100, [(96, 100), (96, 97), (98, 100), (98, 98), (99, 100), (99, 99), (100, 100)], {100}),
        (
            16, 100,
            [(85, 100), (85, 92), (93, 100), (93, 96), (97, 100), (97, 98), (99, 100)], {99, 100},
        ),
        (1, 100, [(100, 100)], {100}),
    ],
)  # fmt: skip
def test_the_search_for_a_failing_query_halves_a_products_blocks_at_most_three_times(
    blocks, bad, asked, spoiled
):
    found, batch, kept = searched(
        lambda _, first, last: first <= bad <= last, A1, scope=NAMED, blocks=blocks
    )
    assert found[1] == ("no_product", 100, 100)
    assert [(first, last) for who, first, last in found if who == "a1"] == asked
    assert batch.spoiled == {(KIND, A1): spoiled}
    known = bad == NEWEST  # only of the newest block a reason is reported, and remembered
    assert dict(batch.reasons) == ({A1: {KIND: "no"}} if known else {})
    assert kept.held(KIND) == ({A1: "no"} if known else {})
    assert (len(kept.due(NEWEST)), len(kept.due(NEWEST + 1))) == (0, int(known))
    assert (batch.failures, batch.problem) == ({}, "")


def test_the_search_for_an_unreadable_product_splits_by_namespaces_and_then_by_names():
    found, batch, kept = searched(lambda scope, *_: reads(B2, scope), A1, A2, B1, B2)
    assert [who for who, *_ in found] == ["", "no_product", "a", "b", "b12", "b1", "b2"]
    assert batch.spoiled == {(KIND, B2): {NEWEST}}
    assert kept.held(KIND) == {B2: "no"}


@pytest.mark.parametrize(
    ("stray", "place"), [(ProductKey("a", "9"), "a"), (ProductKey("c", "9"), "")]
)
def test_unreadable_pods_without_a_product_are_excluded_by_their_namespace(stray, place):
    found, batch, kept = searched(lambda scope, *_: reads(stray, scope), A1, A2, B1, B2)
    asked = ["", "no_product", "a", "b"] + (["a12"] if place else [])
    assert [who for who, *_ in found] == asked
    (left,) = kept.due(NEWEST + 1)
    assert left == (KIND, place, "")
    assert (batch.spoiled, dict(batch.reasons), batch.failures) == ({}, {}, {})


@pytest.mark.parametrize(
    ("stray", "asked"),
    [
        ("a3", ["ab123", "a123"]), ("b1", ["ab123", "a123", "b123"]), ("c1", ["ab123", "c123"]),
        (None, ["ab123", "c123"]),
    ],
)  # fmt: skip
def test_the_search_isolates_pods_named_like_a_product_of_another_namespace(stray, asked):
    """Three names in three namespaces match nine ways; each product alone is answered."""
    keys, failures = [A1, B2, ProductKey("c", "3")], iter([True])
    scope = Scope(("a", "b", "c"), ("1", "2", "3"))
    read = (
        (lambda one: reads(ProductKey(*stray), one)) if stray else lambda _: next(failures, False)
    )
    found, batch, kept = searched(lambda one, *_: read(one), *keys, scope=scope)
    assert [who for who, *_ in found] == ["abc123", "no_product", "a1", "bc23", *asked]
    assert kept.due(NEWEST + 1) == ([(KIND, stray[0], "")] if stray else [])
    assert (batch.spoiled, dict(batch.reasons), batch.failures) == ({}, {}, {})


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (PrometheusUnavailable("away"), [""]),
        (MalformedAnswer("no JSON"), ["", "no_product", "a", "b"]),
    ],
)
def test_a_query_without_any_response_is_not_split(error, asked):
    found, batch, _ = searched(lambda scope, *_: scope == Scope(), A1, B1, error=error)
    assert [who for who, *_ in found] == asked
    told = f"requests: {error}" if len(asked) == 1 else ""
    assert (batch.problem, batch.spoiled) == (told, {})


def test_a_query_without_an_answer_in_time_is_unavailable_and_names_the_time():
    class Silent:
        async def query_range(self, *_, **__):
            await asyncio.Event().wait()

    own = {"own": Indicator(promql=OWN)}
    both = (target(A1, slos=AVAILABILITY), target(B1, slos=own))

    async def story(targets, seconds: float) -> tuple[Batch, float]:
        indexes = range(NEWEST, NEWEST + 1)
        batch = Batch(Silent(), indexes, STEP, urgent=False, quarantine=Quarantine(STEP))
        parts = [Part(Query(KIND, "x"), Scope(), targets[:1], indexes)] * (len(targets) > 1)
        parts += await ask_own_parts(targets, indexes, STEP)
        begun = virtual_loop().time()
        try:
            async with asyncio.timeout(seconds):
                await batch.ask_all(parts, ())
        except TimeoutError:
            batch.give_up(seconds)
        return batch, virtual_loop().time() - begun

    batch, took = run_virtually(story(both, 5.0))
    assert took == pytest.approx(5, abs=0.01)
    assert batch.problem == "requests: no answer within 5 s in all"
    why = "no answer within the 5 s of all queries"
    assert dict(batch.reasons) == {B1: {QueryKind.PROMQL: why}}
    batch, took = run_virtually(story(both[1:], 60.0))
    assert took == pytest.approx(15, abs=0.01)
    why = "no answer within the 15 s of the products' own queries"
    assert dict(batch.reasons) == {B1: {QueryKind.PROMQL: why}}
    assert (batch.problem, batch.spoiled) == ("", {(QueryKind.PROMQL, B1): {NEWEST}})


# ---- how long the first reading of many takes ----------------------------------------------
class Slow:
    """Answers without rows, after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def query_range(self, *_, reader, **__):
        await asyncio.sleep(self._seconds)
        return reader().result()


@pytest.mark.parametrize(("seconds", "chunks"), [(9, [4, 2]), (11, [3, 3]), (29, [2, 2, 2])])
def test_reads_of_starting_canaries_end_after_one_minute(seconds, chunks):
    """The targets first, then the rest: so a chunk takes as long as two answers."""
    all_targets = [target(ProductKey("a", str(number)), canary_from=28_000) for number in range(60)]
    length = Length(120, canary=True)

    async def story() -> list[int]:
        reader = BlockReader(Slow(seconds), EvaluationSettings(jitter_seconds=0))
        group, read = reader.regroup(all_targets)[length], []
        while sum(read) < 6:
            fetch = reader.fetch_blocks(length, group, 30_000.0 + len(read) * 1e-3)
            read.append(len([one async for one in fetch if one.first < one.last - 1]))
        return read

    assert run_virtually(story()) == chunks


@pytest.mark.parametrize(("own", "chunks"), [(False, 6), (True, 2)])
def test_a_backfill_with_custom_queries_ends_after_one_minute(own, chunks):
    slos = {"own": Indicator(promql=OWN)}
    all_targets = [
        target(ProductKey("a", str(number)), slos=slos if own else AVAILABILITY)
        for number in range(60)
    ]

    async def story() -> int:
        reader = BlockReader(Slow(7), EvaluationSettings(jitter_seconds=0))
        reader.regroup(all_targets)
        return len([past async for past in reader.backfill(all_targets, 30_000_000.0)])

    assert run_virtually(story()) == chunks
