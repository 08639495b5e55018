"""One namespace can't make Prometheus evaluate a set of queries for each of its products."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.prometheus.block_reader import group_by_length
from sluicegate.reconcile.fleet.block_lengths import BlockLengths
from sluicegate.runtime.interfaces import InvalidSpec
from tests.support.apiserver.observed_cluster import Cluster
from tests.support.decisions.rollout_world import serving_world

MANY = 40
MAX_LENGTHS = 6
"""Promised (docs/adr/0002-api-names.md), so written as a number here."""


def key(number: int, namespace: str = "catalog") -> Key:
    return Key(namespace, f"product-{number:02}")


def created(number: int) -> str:
    return f"2026-01-01T00:{number:02}:00Z"


def refused(lengths: BlockLengths, *keys: Key) -> list[Key]:
    return [one for one in keys if list(lengths.problems(one))]


def of_many(order: range) -> BlockLengths:
    """Return each product has a length of its own; they are seen in this order."""
    lengths = BlockLengths()
    for number in order:
        lengths.record(key(number), 60 + number, created(number))
    return lengths


@pytest.mark.parametrize("order", [range(MANY), range(MANY - 1, -1, -1)], ids=["older", "younger"])
def test_the_oldest_products_keep_their_block_lengths_in_any_order_of_observation(order):
    lengths = of_many(order)
    every = [key(number) for number in range(MANY)]
    assert refused(lengths, *every) == every[MAX_LENGTHS:]
    (problem,) = lengths.problems(key(MANY - 1))
    assert problem.path == "spec.analysis.blockSeconds"
    assert problem.message.startswith(f"is {59 + MANY}, but older products of the namespace use 6")
    assert problem.message.endswith("set it to one of 60, 61, 62, 63, 64, 65")


def test_a_product_may_use_an_existing_block_length_and_limits_are_per_namespace():
    lengths = of_many(range(MANY))
    lengths.record(key(MANY), 60, created(MANY % 60))
    lengths.record(key(0, "shop"), 7, created(59))
    assert refused(lengths, key(MANY), key(0, "shop")) == []


def test_refused_products_are_requeued_when_a_block_length_is_free():
    lengths = of_many(range(MAX_LENGTHS + 2))
    late, later = key(MAX_LENGTHS), key(MAX_LENGTHS + 1)
    assert refused(lengths, late, later) == [late, later]
    assert lengths.requeued_products("catalog") == ()
    lengths.forget(key(0))
    assert lengths.requeued_products("catalog") == (late,)
    lengths.record(key(1), 62, created(1))
    assert set(lengths.requeued_products("catalog")) == {late, later}
    assert refused(lengths, late, later) == []
    assert lengths.requeued_products("catalog") == ()


async def test_a_namespace_has_at_most_six_block_lengths_and_newer_products_are_refused(server):
    world = serving_world(0, route=None)
    cluster = Cluster(server)
    every = [key(number) for number in range(MAX_LENGTHS + 3)]
    for number, one in enumerate(every):
        cluster.add(world, one, created=created(number), route=None, routed=False)
        body = cluster.live(DATA_PRODUCTS, one)
        body["spec"]["analysis"] = {"blockSeconds": 60 + number}
        cluster.observe(DATA_PRODUCTS, body)
    for one in every:
        with contextlib.suppress(InvalidSpec):
            await cluster.reconcile(one)
    targets = tuple(cluster.reconciler.reporter.measurements.targets.values())
    timing = SimpleNamespace(canary_block=lambda _: 15)
    assert len(group_by_length(targets, timing)) == MAX_LENGTHS
    status = cluster.live(DATA_PRODUCTS, every[-1])["status"]
    assert status["problems"][0].startswith("spec.analysis.blockSeconds: is 68, but older products")
    gone = server.objects.pop(DATA_PRODUCTS.path(*every[0]))
    cluster.reconciler.reader.observer.caches.products.forget(gone)
    await cluster.reconcile(every[0])
    assert cluster.reconciler.effects.queue.poll() == every[MAX_LENGTHS]
