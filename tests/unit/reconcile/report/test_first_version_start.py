"""For how long status needn't speak of a first version that is on its way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.product import DataProduct
from sluicegate.conditions import Finding
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.observe.first_starts import FirstStarts
from sluicegate.reconcile.report.status_due import can_wait
from tests.support.decisions.rollout_world import World, broken_pod, document, serving_world


def named(number: int, **spec) -> DataProduct:
    body = document(**spec)
    body["metadata"]["name"] = f"search-{number}"
    return DataProduct.parse(body)


def starting(count: int) -> FirstStarts:
    """Return this many products whose first version starts."""
    starts, product = FirstStarts(), named(0)
    for number in range(count):
        meta = product.metadata.model_copy(update={"name": f"search-{number}"})
        starts.start_of(product.model_copy(update={"metadata": meta}), 1000)
    return starts


def is_deferred(starts: FirstStarts, world: World, *, after: float) -> bool:
    observation = world.observation()
    quiet = starts.quiet_seconds(observation.product)
    now = int((observation.first_start or 0) + after)
    observation = replace(observation, now=now, quiet_seconds=quiet)
    return can_wait(observation, make_plan(observation))


def test_the_start_of_a_first_version_is_counted_once_however_often_it_is_reconciled():
    starts = starting(1)
    assert starts.start_of(named(0), 1025) == 1000
    assert len(starts.start_times) == 1


def test_a_serving_suspended_or_deleted_product_is_not_counted_as_starting():
    serving = serving_world(0).product
    starts = starting(2)
    assert starts.start_of(serving, 1025) == 1025
    assert starts.start_of(named(0, suspend=True), 1025) == 1025
    starts.forget(next(iter(starts.start_times)))
    assert not starts.start_times


@pytest.mark.parametrize(
    ("others", "seconds"), [(1, 30), (300, 30), (1000, 100), (5000, 500), (9000, 600)]
)
def test_status_writes_of_starting_products_are_deferred_longer_the_more_products_start(
    others, seconds
):
    assert starting(others).quiet_seconds(named(0)) == pytest.approx(seconds)


def test_a_first_version_with_a_short_deadline_is_reported_before_the_deadline():
    impatient = named(0, serving=document()["spec"]["serving"] | {"progressDeadlineSeconds": 20})
    assert starting(1).quiet_seconds(impatient) == 20


def test_the_start_of_a_first_version_is_reported_after_thirty_seconds():
    world, starts = World(spec=document()), starting(1)
    assert is_deferred(starts, world, after=29)
    assert not is_deferred(starts, world, after=30)


def test_the_start_of_a_first_version_is_reported_later_while_a_thousand_products_start():
    world, starts = World(spec=document()), starting(1000)
    assert is_deferred(starts, world, after=99)
    assert not is_deferred(starts, world, after=100)


def test_a_broken_first_version_is_reported_at_once_however_many_start():
    world, starts = World(spec=document()), starting(1000)
    world.broken["v1"] = broken_pod()
    world.settle()
    assert not is_deferred(starts, world, after=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"conflict": "Service catalog/search exists and is not owned by this DataProduct"},
        {"stalled": Finding("Stalled", "True", "VersionReused", "v1 has another image")},
    ],
    ids=["a name is taken", "stalled"],
)
def test_an_obstacle_to_the_first_version_defers_no_status_write(wrong):
    world, starts = World(spec=document()), starting(1)
    quiet = starts.quiet_seconds(world.product)
    observation = replace(world.observation(), quiet_seconds=quiet, **wrong)
    assert not can_wait(observation, make_plan(observation))


REFUSED = 'pods "search-1" is forbidden: exceeded quota: compute'
UNSCHEDULED = "the pod can't be scheduled: 0/3 nodes are available: insufficient cpu"


@pytest.mark.parametrize(
    ("refusal", "pod", "deferred"),
    [
        (REFUSED, {}, False),
        ("", {"problem": UNSCHEDULED, "outside": True}, False),
        ("", {"problem": "it waits for the volume bento", "unmounted": True}, True),
        ("", {}, True),
    ],
    ids=["a quota", "full nodes", "a mount", "nothing"],
)
def test_refused_and_unscheduled_pods_of_a_first_version_are_reported_at_once(
    refusal, pod, deferred
):
    world, starts = World(spec=document()), starting(1000)
    world.broken["v1"] = replace(broken_pod(""), unrecoverable=False)
    world.settle()
    observation = world.observation()
    live = {key: replace(one, refusal=refusal) for key, one in observation.live.items()}
    pods = (replace(broken_pod(""), unrecoverable=False, **pod),)
    quiet = starts.quiet_seconds(world.product)
    observation = replace(observation, live=live, pods=pods, quiet_seconds=quiet)
    assert can_wait(observation, make_plan(observation)) is deferred


def test_a_serving_first_version_is_reported_at_once_however_many_start():
    world = serving_world(0)
    assert not is_deferred(starting(1000), world, after=1)
