"""Whom a query leaves out, when that is tried again, and by which scopes the others are asked about."""

from __future__ import annotations

import pytest

from sluicegate.prometheus.quarantine import (
    Entry,
    Place,
    Quarantine,
    cause_hint,
    covered_by,
    halve_scope,
    scope_of,
)
from sluicegate.prometheus.query_scopes import chunk_by_hash, named_scope, split_scopes
from sluicegate.prometheus.targets import ProductKey, Target
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import QueryKind

REQUESTS, OWN = QueryKind.REQUESTS, QueryKind.PROMQL
SEARCH, RANKING, OTHER_NAMESPACE = ProductKey("a", "1"), ProductKey("a", "2"), ProductKey("b", "1")


def target(key: ProductKey) -> Target:
    return Target(key=key, versions=("v1",), slos={})


T = {key: target(key) for key in (SEARCH, RANKING, OTHER_NAMESPACE)}
PLACE = Place(REQUESTS, *SEARCH)


@pytest.mark.parametrize(
    ("seconds", "pauses"), [(60, [2, 4, 8, 10, 10]), (300, [2, 2]), (900, [1, 1])]
)
def test_a_quarantine_doubles_its_pause_up_to_ten_minutes(seconds, pauses):
    kept, index = Quarantine(seconds), 5
    kept.note(PLACE, Entry("why", 5))
    kept.note(PLACE, Entry("another", 1))
    assert kept.due(4) == []
    for pause in pauses:
        assert kept.due(index) == [PLACE]
        kept.failed_again(PLACE, index)
        assert kept.due(index + pause - 1) == []
        index += pause
    assert kept.held(REQUESTS) == {SEARCH: "why"}
    kept.release(PLACE)
    assert not kept.concerns(REQUESTS)
    kept.failed_again(PLACE, index)
    assert kept.due(index + 99) == []


def test_the_start_and_the_end_of_a_quarantine_are_logged_once_each(caplog):
    caplog.set_level("INFO")
    kept = Quarantine(60)
    for place, whose in (
        (PLACE, "DataProduct a/1"),
        (Place(REQUESTS, "a", ""), "pods of no DataProduct that needs it, in namespace a"),
        (
            Place(REQUESTS, "", ""),
            "pods of no DataProduct that needs it, in a namespace without one",
        ),
    ):
        for _ in range(2):
            kept.note(place, Entry("why", 5))
        kept.release(place)
        said = "only, which is left out of it and retried with growing pauses"
        assert [record.getMessage() for record in caplog.records] == [
            f"the requests query fails for {whose} {said}: {cause_hint(REQUESTS)}: why",
            f"the requests query for {whose} succeeds again",
        ]
        caplog.clear()
        kept.release(place)
        assert not caplog.records


def test_at_most_sixteen_quarantine_retries_run_at_once_oldest_first_and_custom_queries_apart():
    kept = Quarantine(60)
    for number in range(20):
        kept.note(Place(REQUESTS, "a", f"{number:02}"), Entry("", 100 - number))
        kept.note(Place(OWN, "a", f"{number:02}"), Entry("", 100 - number))
    assert [place.product for place in kept.due(100)] == [f"{n:02}" for n in range(19, 3, -1)]
    assert {place.kind for place in kept.due(100)} == {REQUESTS}
    assert [place.kind for place in kept.due(100, only_own_queries=True)] == [OWN] * 20


def test_a_query_kind_refused_for_all_products_is_not_searched_again_for_ten_minutes():
    kept = Quarantine(60)
    assert kept.may_split(REQUESTS, 7)
    kept.pause_search(REQUESTS, 7)
    assert [kept.may_split(REQUESTS, index) for index in (7, 16, 17)] == [False, False, True]
    assert kept.may_split(OWN, 7)


def test_a_backfill_excludes_quarantined_products_and_retries_none():
    kept = Quarantine(60)
    kept.note(PLACE, Entry("why", 1))
    past = kept.of_the_past()
    assert past.held(REQUESTS) == {SEARCH: "why"}
    assert past.due(10**9) == []
    past.release(PLACE)
    assert kept.concerns(REQUESTS)


def test_quarantine_entries_are_dropped_with_their_products_or_namespaces():
    kept = Quarantine(60)
    places = {
        "product": Place(REQUESTS, *SEARCH), "gone": Place(REQUESTS, "a", "9"),
        "others": Place(REQUESTS, "a", ""), "elsewhere": Place(REQUESTS, "c", ""),
        "anywhere": Place(REQUESTS, "", ""), "beside": Place(REQUESTS, *OTHER_NAMESPACE),
    }  # fmt: skip
    for name, place in places.items():
        kept.note(place, Entry("", 1, beside=name == "beside"))
    kept.prune([T[SEARCH]], T.values())
    assert set(kept.due(1)) == {places[one] for one in ("product", "others", "anywhere", "beside")}
    kept.prune([T[SEARCH]], [T[SEARCH]])
    assert set(kept.due(1)) == {places[one] for one in ("product", "others", "anywhere")}
    assert kept.held(REQUESTS) == {SEARCH: ""}
    assert not kept.held(OWN)


def ordinary(targets):
    return [Scope()] if targets else []


def test_a_namespace_with_a_quarantined_product_is_queried_by_the_names_of_the_others():
    kept, group = Quarantine(60), list(T.values())
    assert list(kept.scopes(REQUESTS, group, ordinary, 9)) == [Scope(("a", "b"))]
    kept.note(PLACE, Entry("", 1))
    assert list(kept.scopes(REQUESTS, group, ordinary, 9)) == [Scope(("b",)), Scope(("a",), ("2",))]
    assert list(kept.scopes(OWN, group, ordinary, 9)) == [Scope(("a", "b"))]
    assert list(kept.scopes(REQUESTS, [T[SEARCH]], ordinary, 9)) == []
    named = lambda targets: [named_scope(targets)]  # noqa: E731
    assert list(kept.scopes(REQUESTS, group, named, 9)) == [
        Scope(("b",), ("1",)), Scope(("a",), ("2",)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "scope"),
    [
        (Place(REQUESTS, "", ""), Scope(("x", "y"))),
        (Place(REQUESTS, "a", ""), Scope(("a",))),
        (Place(REQUESTS, "a", "1"), Scope(("a",), ("1",))),
    ],
)
def test_a_quarantine_retry_queries_only_its_own_scope(place, scope):
    assert scope_of(place, ("x", "y")) == scope


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (Scope(), [SEARCH, RANKING, OTHER_NAMESPACE]), (Scope(("a",)), [SEARCH, RANKING]), (Scope((), ("1",)), [SEARCH, OTHER_NAMESPACE]),
        (Scope(("b",), ("1", "2")), [OTHER_NAMESPACE]), (Scope(("b",), ("2",)), []),
    ],
)  # fmt: skip
def test_a_query_scope_matches_the_products_that_it_names(scope, covered):
    assert [one.key for one in covered_by(scope, T.values())] == covered


@pytest.mark.parametrize(
    ("scope", "halves"),
    [
        (Scope(), [Scope(("a",)), Scope(("b",))]),
        (Scope(("a", "b"), ("1", "2")), [Scope(("a",), ("1", "2")), Scope(("b",), ("1",))]),
        (Scope(("a",)), [Scope(("a",), ("1", "2"))]),
        (Scope(("a",), ("1", "2")), [Scope(("a",), ("1",)), Scope(("a",), ("2",))]),
        (Scope(("b",), ("1",)), []),
        (Scope(("b",)), [Scope(("b",), ("1",))]),
        (Scope(("c",)), []),
    ],
)
def test_a_search_halves_namespaces_then_names_products_then_halves_the_names(scope, halves):
    found = halve_scope(scope, list(T.values()))
    assert [half for half, _ in found] == halves
    read = [one.key for _, targets in found for one in targets]
    assert sorted(read) == ([one.key for one in covered_by(scope, T.values())] if halves else [])


def test_three_namespaces_are_halved_into_one_and_two():
    three = [target(ProductKey(name, "1")) for name in "cab"]
    assert [half for half, _ in halve_scope(Scope(), three)] == [Scope(("a",)), Scope(("b", "c"))]
    of_one = [target(ProductKey("a", name)) for name in "312"]
    halves = halve_scope(named_scope(of_one), of_one)
    assert [half.products for half, _ in halves] == [("1",), ("2", "3")]


def test_query_scopes_are_filled_up_to_the_limit():
    many = [target(ProductKey(f"n{number}", str(one))) for number in range(4) for one in range(3)]
    assert split_scopes(many, 6) == (Scope(("n0", "n1")), Scope(("n2", "n3")))
    assert split_scopes(many, 5) == tuple(Scope((f"n{number}",)) for number in range(4))
    assert split_scopes(many, 3) == split_scopes(many, 5)
    assert split_scopes(many[:3], 2) == (Scope(("n0",), ("0", "1")), Scope(("n0",), ("2",)))
    assert split_scopes([], 2) == ()


def test_backfill_chunks_are_nearly_equal_and_keep_their_products():
    many = [target(ProductKey("a", str(number))) for number in range(101)]
    chunks = list(chunk_by_hash(many, 10))
    assert len(chunks) == 11
    assert sorted(one.key for chunk in chunks for one in chunk) == sorted(one.key for one in many)
    chunk = {one.key: number for number, chunk in enumerate(chunks) for one in chunk}
    fewer = list(chunk_by_hash(many[5:], 9))  # as many chunks
    assert all(chunk[one.key] == number for number, of in enumerate(fewer) for one in of)
    assert list(chunk_by_hash([], 10)) == []


@pytest.mark.parametrize(
    ("kind", "where"),
    [(QueryKind.SENT, "gateway"), (QueryKind.GATEWAY, "gateway"), (REQUESTS, "/metrics")],
)
def test_a_failure_of_a_query_names_the_metric_to_check(kind, where):
    assert where in cause_hint(kind)
