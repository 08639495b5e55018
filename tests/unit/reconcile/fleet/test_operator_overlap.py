"""Two operators over one product: the one that watches less serves it, and both say so."""

from __future__ import annotations

import contextlib
import copy
import time

import pytest

from sluicegate.api.status import OperatorScope, WrittenBy
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.reconcile.fleet.operator_overlap import OVERLAPS, OperatorOverlaps
from sluicegate.runtime.clock import Clocks
from sluicegate.runtime.interfaces import Done, InvalidSpec, RequeueAfter
from sluicegate.settings import Settings
from tests.support.apiserver.built_controller import build_controller, reconciler_of
from tests.support.apiserver.observed_cluster import Cluster, EventNote
from tests.support.decisions.rollout_world import serving_world

AWAY_SECONDS = 600

SEARCH = Key("catalog", "search")
PLATFORM = WrittenBy(namespace="platform", lease="a", scope=OperatorScope.CLUSTER)
TEAM = WrittenBy(namespace="team", lease="b", scope=OperatorScope.NAMESPACES)
TWIN = WrittenBy(namespace="platform", lease="b", scope=OperatorScope.CLUSTER)


@pytest.mark.parametrize(
    ("me", "other", "leaves"),
    [
        (PLATFORM, TEAM, True),
        (TEAM, PLATFORM, False),
        (PLATFORM, TWIN, False),
        (TWIN, PLATFORM, True),
    ],
)
def test_two_overlapping_operators_both_emit_an_event_and_one_stops_writing(me, other, leaves):
    overlaps = OperatorOverlaps(me)
    overlaps.wrote(SEARCH)
    found = overlaps.check(SEARCH, other, now=0.0)
    assert (found.requeue_after > 0) is leaves
    assert "SLUICEGATE_EXCLUDED_NAMESPACES=catalog" in found.message
    overlaps.export(1.0)
    assert OVERLAPS._value.get() == 1


def test_an_operator_that_follows_another_is_no_overlap():
    overlaps = OperatorOverlaps(PLATFORM)
    assert overlaps.check(SEARCH, TEAM, now=0.0).requeue_after == 0
    assert overlaps.check(SEARCH, TEAM, now=0.0).message == ""


def test_a_yielding_operator_retries_and_takes_over_from_an_absent_one():
    overlaps = OperatorOverlaps(PLATFORM)
    overlaps.wrote(SEARCH)
    assert overlaps.check(SEARCH, TEAM, now=0.0).requeue_after == AWAY_SECONDS
    assert overlaps.check(SEARCH, TEAM, now=AWAY_SECONDS - 1).requeue_after == 1
    assert overlaps.check(SEARCH, TEAM, now=AWAY_SECONDS + 1).requeue_after == 0
    overlaps.wrote(SEARCH)
    assert overlaps.check(SEARCH, PLATFORM, now=AWAY_SECONDS + 2).requeue_after == 0


def test_the_identity_of_an_operator_does_not_depend_on_its_version():
    overlaps = OperatorOverlaps(PLATFORM.model_copy(update={"version": "1.2.0"}))
    overlaps.wrote(SEARCH)
    assert overlaps.check(SEARCH, PLATFORM, now=0.0).requeue_after == 0
    assert overlaps.check(SEARCH, TEAM, now=0.0).requeue_after == AWAY_SECONDS


def operator(server, told, **settings) -> Cluster:
    """Return an operator with settings of its own on the same objects."""
    found = Cluster(server)
    clocks = Clocks(wall=lambda: time.time() + found.later)
    settings = {"scrape_interval_seconds": 15, **settings}
    found.controller = build_controller(server.api, Settings(**settings), clocks)
    found.reconciler = reconciler_of(found.controller)
    object.__setattr__(found.reconciler.reporter.writer, "recorder", EventNote(told))
    return found


async def test_two_operators_with_different_settings_do_not_overwrite_each_other_endlessly(server):
    """Status was written 12 times a second, in turns, without an event."""
    world = serving_world(2, route=None)
    told: list[tuple[str, str, str]] = []
    # Blocks of 60 s are too short for scrapes of 30 s, by the settings of one.
    wide = operator(server, told, scrape_interval_seconds=30)
    narrow = operator(server, told, namespace="team", watch_namespaces=("catalog",))
    wide.add(world, SEARCH, created="2026-01-01T00:00:00Z", route=None, routed=False)

    async def both() -> int:
        server.sent.clear()
        for one in (wide, narrow):
            for cache in one.reconciler.reader.observer.caches:
                for path, body in server.objects.items():
                    if path.split("/")[-2] == cache.watched.resource.plural:
                        cache.observe(body)
            with contextlib.suppress(InvalidSpec):  # blockSeconds, for the one
                await one.reconciler.reconcile(SEARCH)
        return sum(write.path.endswith("/status") for write in server.writes)

    writes = [await both() for _ in range(6)]
    assert writes[-3:] == [0, 0, 0], writes
    for one in (wide, narrow):  # the one that skips it tries again, which the other sees
        one.later += AWAY_SECONDS + 1
    writes = [await both() for _ in range(6)]
    assert writes[-3:] == [0, 0, 0], writes
    body = server.objects[DATA_PRODUCTS.path(*SEARCH)]
    assert body["status"]["writtenBy"]["namespace"] == "team"
    assert ("search", "Warning", "OperatorOverlap") in told
    (said,) = [
        condition
        for condition in body["status"]["conditions"]
        if condition["type"] == "OperatorOverlap"
    ]
    assert (said["status"], said["reason"]) == ("True", "OperatorOverlap")
    assert "team/sluicegate-operator reconciles the product" in said["message"]
    assert "SLUICEGATE_EXCLUDED_NAMESPACES=catalog" in said["message"]
    assert body["status"]["summary"]["reason"] == "OperatorOverlap"


def test_the_overlap_condition_ends_half_an_hour_after_the_last_write_of_the_other_operator():
    overlaps = OperatorOverlaps(TEAM)
    overlaps.wrote(SEARCH)
    assert overlaps.message(SEARCH, now=0.0) == ""
    message = overlaps.check(SEARCH, PLATFORM, now=0.0).message
    assert "ends 30 min after platform/a has written" in message
    assert overlaps.message(SEARCH, now=1800.0) == message
    assert overlaps.message(SEARCH, now=1801.0) == ""


async def test_products_of_an_excluded_namespace_are_not_written(server):
    world = serving_world(2, route=None)
    cluster = operator(server, [], excluded_namespaces=("catalog",))
    cluster.add(world, SEARCH, created="2026-01-01T00:00:00Z", route=None, routed=False)
    server.sent.clear()
    assert await cluster.reconciler.reconcile(SEARCH) == Done()
    assert not server.writes


@pytest.mark.parametrize(
    ("writer", "word", "left"),
    [
        ("99.0.0", "Soaring", True),
        ("99.0.0", None, False),
        ("0.0.1", "Soaring", False),
        ("", "Soaring", False),
    ],
    ids=["newer", "newer and understood", "older", "unknown"],
)
async def test_a_status_that_a_newer_operator_wrote_in_an_unknown_form_is_unchanged_and_reported(
    server, writer, word, left
):
    """Its candidate counted as lost, and stable was rebuilt from the Deployments."""
    world = serving_world(2, route=None)
    told: list[tuple[str, str, str]] = []
    cluster = operator(server, told)
    cluster.add(world, SEARCH, created="2026-01-01T00:00:00Z", route=None, routed=False)
    body = server.objects[DATA_PRODUCTS.path(*SEARCH)]
    body["status"]["writtenBy"] = PLATFORM.to_dict() | {"version": writer}
    if word is not None:
        body["status"]["state"] = word
    body["metadata"]["resourceVersion"] = str(int(body["metadata"]["resourceVersion"]) + 1)
    cluster.reconciler.reader.observer.caches.products.observe(body)
    before = copy.deepcopy(body)
    server.sent.clear()
    first = await cluster.reconciler.reconcile(SEARCH)
    again = await cluster.reconciler.reconcile(SEARCH)
    assert (server.objects[DATA_PRODUCTS.path(*SEARCH)] == before and not server.writes) is left
    assert (first == again == RequeueAfter(AWAY_SECONDS)) is left
    assert told.count(("search", "Warning", "NewerStatus")) == left
