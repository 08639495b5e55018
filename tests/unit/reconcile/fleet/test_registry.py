"""What products must know of each other: which train, which are degraded."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.engine import ProductState
from sluicegate.api.product_info import Priority
from sluicegate.api.status import DependencyState
from sluicegate.kube.resources import Key
from sluicegate.policy.diagnosis.checks import common_cause
from sluicegate.policy.model.observed import NO_OTHER_PRODUCTS
from sluicegate.policy.retraining.preconditions import running_trainings_text
from sluicegate.policy.retraining.training_slots import Budget
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

# Promised, so written as numbers here.
COMMON_BLOCKS = 3

NOW = 1_767_225_600


# ---- portfolio --------------------------------------------------------------------------------
def key(name: str, namespace: str = "catalog") -> Key:
    return Key(namespace, name)


def waiting(priority: Priority = Priority.MEDIUM, since: int = NOW) -> ProductSnapshot:
    return ProductSnapshot(priority=priority, waiting_since=since)


def test_a_training_slot_goes_to_the_highest_priority_and_then_to_the_longest_wait():
    fleet = FleetRegistry(Budget(1, 1))
    fleet.record(key("low"), waiting(Priority.LOW, NOW - 900))
    fleet.record(key("critical"), waiting(Priority.CRITICAL))
    fleet.record(key("older", "other"), waiting(Priority.CRITICAL, NOW - 60))
    slots = {one: fleet.portfolio(one, NOW).slot for one in map(key, ("low", "critical"))}
    assert slots == {key("low"): False, key("critical"): False}
    assert fleet.portfolio(key("older", "other"), NOW).slot


def test_a_namespace_has_its_own_limit_of_training_slots():
    fleet = FleetRegistry(Budget(5, 1))
    fleet.record(key("a"), ProductSnapshot(training=True))
    fleet.record(key("b"), waiting())
    fleet.record(key("c", "other"), waiting())
    assert not fleet.portfolio(key("b"), NOW).slot
    assert fleet.portfolio(key("c", "other"), NOW).slot


def test_a_training_slot_is_freed_only_by_the_product_that_held_it():
    fleet = FleetRegistry(Budget(1, 1))
    idle, training = ProductSnapshot(), ProductSnapshot(training=True)
    assert [fleet.record(key("a"), one) for one in (idle, idle, training, training, idle)] == [
        False, False, False, False, True,
    ]  # fmt: skip


def turning(priority: Priority, *, judged: int) -> ProductSnapshot:
    return ProductSnapshot(
        state=ProductState.DEGRADING, priority=priority, bad_since=NOW - 600, judged_until=judged
    )


BEFORE = turning(Priority.CRITICAL, judged=NOW - 300)


@pytest.mark.parametrize(
    ("other", "goes_first"),
    [
        (BEFORE, True),
        (replace(BEFORE, judged_until=NOW), False),
        (replace(BEFORE, block_seconds=600), False),
        (replace(BEFORE, priority=Priority.LOW), False),
        (replace(BEFORE, state=ProductState.DEGRADED), False),
        (replace(BEFORE, bad_since=None), False),
    ],
    ids=[
        "judged a moment later",
        "judged before",
        "its next block isn't over",
        "less urgent",
        "known for long",
        "only warned of",
    ],
)
def test_among_products_degraded_together_the_highest_priority_trains_first(other, goes_first):
    fleet = FleetRegistry(Budget(1, 1))
    fleet.record(key("medium"), turning(Priority.MEDIUM, judged=NOW - 300))
    fleet.record(key("other", "elsewhere"), other)
    assert fleet.portfolio(key("medium"), NOW + 30, block_end=NOW).slot is not goes_first
    fleet.forget(key("other", "elsewhere"))
    assert fleet.portfolio(key("medium"), NOW + 30, block_end=NOW).slot


def test_a_just_granted_training_slot_is_in_use():
    fleet = FleetRegistry(Budget(1, 1))
    fleet.record(key("a"), waiting())
    fleet.record(key("b", "other"), waiting(since=NOW + 1))
    assert fleet.portfolio(key("a"), NOW).slot
    fleet.record(key("a"), ProductSnapshot(training=True, bad_since=NOW))
    assert not fleet.portfolio(key("b", "other"), NOW).slot
    assert fleet.portfolio(key("a"), NOW).slot, "it has it already"


def test_a_released_training_slot_goes_to_the_next_product_in_the_queue():
    fleet = FleetRegistry(Budget(2, 1))
    fleet.record(key("a"), ProductSnapshot(training=True))
    fleet.record(key("b"), waiting(Priority.CRITICAL))
    fleet.record(key("c", "other"), waiting(Priority.LOW))
    fleet.record(key("d", "third"), waiting())
    assert fleet.next_in_line(NOW) == (key("d", "third"),)
    fleet.record(key("d", "third"), ProductSnapshot(training=True))
    assert fleet.next_in_line(NOW) == ()
    assert fleet.record(key("a"), ProductSnapshot())
    assert fleet.next_in_line(NOW) == (key("b"),)
    assert fleet.forget(key("d", "third"))
    assert set(fleet.next_in_line(NOW)) == {key("b"), key("c", "other")}


def test_the_training_slot_of_a_deleted_product_is_free():
    fleet = FleetRegistry(Budget(1, 1))
    fleet.record(key("a"), waiting())
    fleet.record(key("b", "other"), waiting(since=NOW + 1))
    assert not fleet.portfolio(key("b", "other"), NOW).slot
    assert fleet.forget(key("a"))
    assert fleet.next_in_line(NOW) == (key("b", "other"),)


COOLING_DOWN = ProductSnapshot(
    state=ProductState.DEGRADED, priority=Priority.CRITICAL, bad_since=NOW - 900, judged_until=NOW
)


def test_a_product_that_may_not_train_blocks_no_training_slot():
    fleet = FleetRegistry(Budget(1, 1))
    fleet.record(key("cooling-down"), COOLING_DOWN)
    fleet.record(key("waits", "other"), waiting(Priority.LOW))
    assert fleet.portfolio(key("cooling-down"), NOW, block_end=NOW).slot
    assert fleet.portfolio(key("waits", "other"), NOW, block_end=NOW).slot


def test_a_single_healthy_product_has_the_same_portfolio_as_in_a_replay():
    fleet = FleetRegistry(Budget())
    assert fleet.portfolio(key("search"), NOW) == NO_OTHER_PRODUCTS
    fleet.record(key("search"), ProductSnapshot(state=ProductState.HEALTHY))
    assert fleet.portfolio(key("search"), NOW) == NO_OTHER_PRODUCTS


def test_a_challenger_queues_behind_all_other_trainings():
    fleet = FleetRegistry(Budget(1, 1))
    due = replace(waiting(Priority.CRITICAL, NOW - 9 * 3600), challenger=True)
    fleet.record(key("challenged"), due)
    assert fleet.portfolio(key("challenged"), NOW).slot
    fleet.record(key("degraded", "other"), waiting(Priority.LOW))
    assert not fleet.portfolio(key("challenged"), NOW).slot
    assert fleet.portfolio(key("degraded", "other"), NOW).slot


def test_a_manual_training_request_precedes_the_challenger_of_the_same_product():
    fleet = FleetRegistry(Budget(1, 1))
    fleet.record(key("challenged"), replace(waiting(), challenger=True))
    fleet.record(key("other", "elsewhere"), replace(waiting(since=NOW - 60), challenger=True))
    assert not fleet.portfolio(key("challenged"), NOW).slot
    assert fleet.portfolio(key("challenged"), NOW, needs_slot=True).slot


def test_a_waiting_product_names_slot_holders_of_its_namespace_and_counts_the_others():
    fleet = FleetRegistry(Budget(2, 1))
    fleet.record(key("cars"), ProductSnapshot(training=True))
    fleet.record(key("secret", "other"), ProductSnapshot(training=True))
    found = fleet.portfolio(key("search"), NOW)
    assert (found.slot, found.training_products, found.slots_taken) == (False, ("cars",), 2)
    assert running_trainings_text(found) == "cars of this namespace and 1 of other namespaces train"


def test_a_training_slot_reserved_for_a_product_that_needs_none_is_free():
    fleet = FleetRegistry(Budget(1, 1))
    fleet.record(key("waits", "other"), waiting(Priority.LOW))
    fleet.record(key("turns"), BEFORE)
    assert not fleet.portfolio(key("waits", "other"), NOW, block_end=NOW).slot
    assert fleet.record(key("turns"), COOLING_DOWN)
    assert fleet.next_in_line(NOW) == (key("waits", "other"),)
    assert fleet.portfolio(key("waits", "other"), NOW, block_end=NOW).slot
    assert not fleet.record(key("waits", "other"), ProductSnapshot(training=True))


def test_products_degraded_within_three_blocks_count_as_degraded_together():
    fleet = FleetRegistry(Budget(1, 1))
    for number, age in enumerate((0, 600, 900, 901)):
        fleet.record(key(f"p{number}"), ProductSnapshot(bad_since=NOW - age))
    fleet.record(key("fine"), ProductSnapshot())
    portfolio = fleet.portfolio(key("p0"), NOW)
    assert (portfolio.products, portfolio.degraded_products) == (5, 3)


BLOCK = 300
LOOKS = st.lists(st.integers(1, 60), min_size=1, max_size=8, unique=True).map(sorted)


def judge(fleet: FleetRegistry, name: str, blocks: list[int], *, broke: int) -> None:
    """Judge a product by these blocks, as one that turns bad in the block `broke`."""
    found = None
    for block in blocks:
        end = NOW + block * BLOCK
        found = end if found is None and block >= broke else found
        fine = end if found is None else None
        fleet.record(key(name), ProductSnapshot(bad_since=found, fine_at=fine, judged_until=end))


@given(st.lists(LOOKS, min_size=1, max_size=8), st.integers(2, 60))
def test_products_with_one_cause_count_together_however_late_each_is_evaluated(looks, broke):
    fleet = FleetRegistry(Budget(1, 1))
    for number, blocks in enumerate(looks):
        judge(fleet, f"p{number}", [0, *blocks, 61], broke=broke)
    for number in range(len(looks)):
        assert fleet.portfolio(key(f"p{number}"), NOW).degraded_products == len(looks)


@pytest.mark.parametrize(
    ("looks", "broke", "together"),
    [
        ([9, 10], 10, 2),
        ([12, 13], 13, 2),
        ([13, 14], 14, 1),
        ([12, 20], 20, 2),
        ([13, 20], 20, 1),
    ],
    ids=[
        "judged in time, in the same block",
        "judged in time, three blocks later",
        "judged in time, four blocks later",
        "judged late, perhaps bad three blocks later",
        "judged late, fine for three blocks more",
    ],
)
def test_after_a_late_evaluation_the_last_healthy_block_dates_the_degradation(
    looks, broke, together
):
    fleet = FleetRegistry(Budget(1, 1))
    judge(fleet, "first", [9, 10], broke=10)
    judge(fleet, "second", looks, broke=broke)
    for name in ("first", "second"):
        assert fleet.portfolio(key(name), NOW).degraded_products == together


def test_a_degradation_may_have_begun_at_any_time_since_the_last_evaluated_block():
    fleet = FleetRegistry(Budget(1, 1))
    judge(fleet, "bad", [9, 10], broke=10)
    judge(fleet, "asks", [10], broke=99)
    now = NOW + 20 * BLOCK
    assert fleet.portfolio(key("asks"), now).degraded_products == 1
    judge(fleet, "asks", [19], broke=99)
    assert fleet.portfolio(key("asks"), now).degraded_products == 0


SPANS = st.tuples(st.integers(1, 30), st.integers(1, 30)).map(sorted)


PLACED = st.tuples(st.integers(0, 3), SPANS)


@given(st.lists(PLACED, min_size=1, max_size=9), st.integers(0, 3))
def test_products_degraded_together_are_the_most_that_one_moment_explains(placed, healthy):
    """Two that turned bad far apart aren't together by a third that may have at any time."""
    fleet = FleetRegistry(Budget(1, 1))
    for number in range(healthy):
        fleet.record(key(f"fine-{number}", "team-0"), ProductSnapshot())
    for number, (place, (first, last)) in enumerate(placed):
        snapshot = ProductSnapshot(bad_since=NOW + last * BLOCK, fine_at=NOW + (first - 1) * BLOCK)
        fleet.record(key(f"p{number}", f"team-{place}"), snapshot)
    home, (begin, end) = placed[0]
    sizes = Counter(f"team-{place}" for place, _ in placed) + Counter({"team-0": healthy})

    def explained(moment: int) -> tuple[int, float]:
        reach = COMMON_BLOCKS
        bad = Counter(
            f"team-{place}"
            for place, (first, last) in placed
            if first - reach <= moment <= last + reach
        )
        own = bad.pop(f"team-{home}", 0)
        share = sum(count / sizes[place] for place, count in bad.items())
        return min(own + len(bad), 3), own + share

    found = fleet.portfolio(key("p0", f"team-{home}"), NOW)
    parties, weight = max(explained(moment) for moment in range(begin, end + 1))
    assert min(found.degraded_products + found.degraded_namespaces, 3) == parties
    assert found.degraded_products + found.namespaces_share == pytest.approx(weight)
    assert found.products == sizes[f"team-{home}"]
    assert found.namespaces == len(sizes) - 1


def test_a_degradation_in_an_unknown_state_may_have_begun_at_any_earlier_time():
    fleet = FleetRegistry(Budget(1, 1))
    judge(fleet, "a", [9, 10], broke=10)
    judge(fleet, "b", [9], broke=99)
    for block in (10, 15, 20):
        unknown = ProductSnapshot(ProductState.UNKNOWN, judged_until=NOW + block * BLOCK)
        fleet.record(key("b"), unknown)
    fleet.record(
        key("b"), ProductSnapshot(bad_since=NOW + 20 * BLOCK, judged_until=NOW + 20 * BLOCK)
    )
    assert fleet.portfolio(key("a"), NOW).degraded_products == 2


def test_a_new_leader_term_takes_the_fleet_from_status_and_keeps_degradation_times():
    fleet = FleetRegistry(Budget(1, 1))
    fleet.record(key("gone"), ProductSnapshot(training=True))
    fleet.record(
        key("stays"), ProductSnapshot(ProductState.DEGRADED, training=True, degraded_at=NOW)
    )
    known = {key("stays"): ProductSnapshot(), key("new", "other"): waiting()}
    fleet.renew(known)
    portfolio = fleet.portfolio(key("new", "other"), NOW)
    assert (portfolio.products, portfolio.namespaces) == (1, 1)
    assert portfolio.slot
    assert fleet.was_degraded(key("stays"), NOW)
    assert fleet.dependency(key("stays")) is DependencyState.UNKNOWN
    assert fleet.dependency(key("gone")) is DependencyState.NOT_FOUND


def test_products_degraded_together_count_together_until_they_recover():
    fleet, since = FleetRegistry(Budget(1, 1)), NOW - 900
    for name in ("a", "b", "c"):
        fleet.record(key(name), ProductSnapshot(bad_since=since))
    for later in (NOW, NOW + 300, NOW + 86_400):
        assert fleet.portfolio(key("a"), later).degraded_products == 3
    for name in ("b", "c"):
        fleet.record(key(name), ProductSnapshot())
    assert fleet.portfolio(key("a"), NOW + 86_401).degraded_products == 1


def test_the_silent_share_of_an_indicator_kind_counts_only_products_that_use_it():
    fleet = FleetRegistry(Budget(1, 1))
    fleet.record(key("a"), ProductSnapshot(silent={"outcomes": True, "latency": False}))
    fleet.record(key("b"), ProductSnapshot(silent={"outcomes": False}))
    fleet.record(key("c"), ProductSnapshot(silent={"outcomes": True}))
    fleet.record(key("d"), ProductSnapshot(silent={"outcomes": False}))
    assert fleet.portfolio(key("a"), NOW).silent == {"outcomes": 0.5}


# ---- what one tenant declares counts once -----------------------------------------------------
def blamed(fleet: FleetRegistry, one: Key, kind: str = "outcomes") -> bool:
    return common_cause(fleet.portfolio(one, NOW), kind)


def bad(*products: Key, among: Iterable[Key]) -> FleetRegistry:
    fleet = FleetRegistry(Budget(2, 1))
    for one in among:
        fleet.record(one, ProductSnapshot(bad_since=NOW if one in products else None))
    return fleet


def of(namespace: str, count: int) -> list[Key]:
    return [key(f"p{number:02}", namespace) for number in range(count)]


@pytest.mark.parametrize("throw_away", [1, 6, 200])
@pytest.mark.parametrize("together", [True, False], ids=["one team", "a namespace each"])
def test_degraded_products_of_one_namespace_are_no_common_cause_for_another_namespace(
    throw_away, together
):
    theirs = of("tenant", throw_away)
    ours = of("catalog", 11) if together else [key("p", f"team-{n:02}") for n in range(11)]
    fleet = bad(ours[0], *theirs, among=[*ours, *theirs])
    assert not blamed(fleet, ours[0])
    assert blamed(fleet, theirs[0]) == (throw_away >= 3)


@pytest.mark.parametrize("namespaces", [1, 2, 3, 10, 50])
@pytest.mark.parametrize("each", [1, 2, 5, 12])
def test_a_degradation_of_all_namespaces_is_a_common_cause_in_each(namespaces, each):
    products = [one for n in range(namespaces) for one in of(f"team-{n}", each)]
    fleet = bad(*products, among=products)
    expected = namespaces * each >= 3
    # A small team beside one other: two of its own and the other namespace are three.
    expected = expected and each + (namespaces - 1) >= 3
    assert {blamed(fleet, product) for product in products} == {expected}


@pytest.mark.parametrize("spread", [1, 3, 10])
def test_two_fifths_of_117_degraded_products_are_a_common_cause_over_any_number_of_namespaces(
    spread,
):
    products = [key(f"p{n:03}", f"bench-{n % spread}") for n in range(117)]
    wave = products[70:]
    fleet = bad(*wave, among=products)
    assert len(wave) == 47
    assert all(blamed(fleet, one) for one in wave)


def test_one_fifth_of_the_products_degraded_is_no_common_cause():
    products = [key(f"p{n:03}", f"bench-{n % 10}") for n in range(70)]
    fleet = bad(*products[50:60], among=products)
    assert not any(blamed(fleet, product) for product in products[50:60])


def test_degraded_products_of_a_single_namespace_have_a_common_cause():
    ours, others = of("catalog", 10), [key("p", f"team-{n:02}") for n in range(40)]
    fleet = bad(*ours[:4], others[0], among=[*ours, *others])
    assert not blamed(fleet, ours[0]), "4 of 50, the namespaces included"
    alone = bad(*ours[:4], among=ours)
    assert blamed(alone, ours[0])


PLACES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), min_size=1, max_size=14)


@given(PLACES, st.integers(0, 13), st.integers(1, 300))
def test_another_namespace_counts_as_at_most_one_product_whatever_its_products_declare(
    places, asks, more
):
    """However many bad products another namespace adds, it is one of those that turned bad."""
    products = [key(f"p{n}", f"team-{place}") for n, (place, _) in enumerate(places)]
    moments = [moment for _, moment in places]
    one = products[asks % len(products)]
    found = []
    for declared in (0, 1, more):
        fleet = FleetRegistry(Budget(1, 1))
        for each, moment in zip(products, moments, strict=True):
            fleet.record(each, ProductSnapshot(bad_since=NOW + moment * BLOCK))
        for extra in of("tenant", declared):
            fleet.record(extra, ProductSnapshot(bad_since=NOW))
        found.append(fleet.portfolio(one, NOW))
    without, once, often = found
    assert (often.namespaces, often.degraded_products) == (once.namespaces, once.degraded_products)
    assert often.degraded_namespaces == once.degraded_namespaces <= without.degraded_namespaces + 1
    assert often.namespaces_share == pytest.approx(once.namespaces_share)
    assert often.namespaces_share <= often.degraded_namespaces + 1e-9


def test_missing_feedback_in_one_namespace_is_no_common_cause_in_another():
    ours, theirs = of("catalog", 11), of("tenant", 200)
    fleet = FleetRegistry(Budget(2, 1))
    for one in ours:
        fleet.record(one, ProductSnapshot(silent={"outcomes": False}))
    for one in theirs:
        fleet.record(one, ProductSnapshot(silent={"outcomes": True}))
    assert not blamed(fleet, ours[0])
    assert blamed(fleet, theirs[0])


@pytest.mark.parametrize(("spread", "silent", "common"), [(1, 5, True), (1, 4, False),
                                                          (16, 5, True), (16, 4, False),
                                                          (4, 8, True)])  # fmt: skip
def test_a_failed_label_pipeline_is_a_common_cause(spread, silent, common):
    fleet = FleetRegistry(Budget(2, 1))
    products = [key(f"p{n:02}", f"team-{n % spread}") for n in range(16)]
    for number, one in enumerate(products):
        fleet.record(one, ProductSnapshot(silent={"outcomes": number < silent}))
    assert blamed(fleet, products[-1]) is common
    assert not blamed(fleet, products[-1], "latency")


def test_the_time_of_the_last_degradation_is_kept_after_the_recovery():
    fleet = FleetRegistry(Budget(1, 1))
    fleet.record(key("a"), ProductSnapshot(ProductState.DEGRADED, degraded_at=NOW))
    assert fleet.was_degraded(key("a"), NOW + 1), "it is, until it is evaluated again"
    fleet.record(key("a"), ProductSnapshot(ProductState.UNKNOWN))
    fleet.record(key("a"), ProductSnapshot(ProductState.HEALTHY))
    assert fleet.was_degraded(key("a"), NOW)
    assert not fleet.was_degraded(key("a"), NOW + 1)
    assert not fleet.was_degraded(key("nobody"), 0)


def test_a_dependency_is_unhealthy_only_if_it_is_degraded_unknown_or_missing():
    fleet = FleetRegistry(Budget(1, 1))
    assert fleet.dependency(key("nobody")) is DependencyState.NOT_FOUND
    told = {}
    for state in ProductState:
        fleet.record(key("a"), ProductSnapshot(state=state))
        told[state] = fleet.dependency(key("a"))
    assert told == {
        ProductState.HEALTHY: DependencyState.HEALTHY,
        ProductState.DEGRADING: DependencyState.HEALTHY,
        ProductState.DEGRADED: DependencyState.DEGRADED,
        ProductState.UNKNOWN: DependencyState.UNKNOWN,
    }


def test_a_dependency_cycle_is_detected_over_any_number_of_products():
    fleet = FleetRegistry(Budget(1, 1))
    chain = [key(name) for name in "abcd"]
    for one, following in zip(chain, [*chain[1:], chain[0]], strict=True):
        fleet.record(one, ProductSnapshot(depends_on=(following,)))
    assert fleet.graph.in_cycle(chain[0], chain[1])
    fleet.record(chain[3], ProductSnapshot())
    assert not fleet.graph.in_cycle(chain[0], chain[1])
    assert fleet.graph.dependents(chain[1]) == (chain[0],)


PRODUCTS = st.sampled_from([key(name) for name in "abcd"])


@given(st.lists(st.tuples(PRODUCTS, st.none() | st.lists(PRODUCTS).map(tuple))))
def test_the_dependents_of_a_product_are_correct_after_any_sequence_of_changes(changes):
    fleet = FleetRegistry(Budget(1, 1))
    calls: dict[Key, tuple[Key, ...]] = {}
    for one, called in changes:
        if called is None:
            fleet.forget(one)
            calls.pop(one, None)
        else:
            fleet.record(one, ProductSnapshot(depends_on=called))
            calls[one] = called
        for each in map(key, "abcd"):
            assert set(fleet.graph.dependents(each)) == {
                caller for caller, theirs in calls.items() if each in theirs
            }


def test_the_dependents_of_a_product_are_found_without_a_search_of_all_products():
    class Unsearched(tuple):
        __slots__ = ()

        def __contains__(self, _: object) -> bool:
            raise AssertionError("each product is looked at")

    fleet = FleetRegistry(Budget(1, 1))
    fleet.record(key("a"), ProductSnapshot(depends_on=Unsearched([key("b")])))
    assert fleet.graph.dependents(key("b")) == (key("a"),)
