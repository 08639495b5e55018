"""What a standby wants to know: what its products want, as they come, change and go."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from sluicegate.kube.resources import Key
from sluicegate.measurement.store import Measurements
from sluicegate.prometheus.timing import Timing
from sluicegate.reconcile.live.children import watched
from sluicegate.reconcile.observe.standby import Standby
from sluicegate.runtime.cache import Caches
from tests.support.decisions.rollout_world import World

CARS, VANS = Key("catalog", "cars"), Key("catalog", "vans")


class Replica:
    """A product cache, what is measured, and whether this one leads."""

    def __init__(self) -> None:
        self.products = Caches(watched()).products
        self.measurements = Measurements(Timing())
        self.leads = False
        self.standby = Standby(self.products, self.measurements, lambda: self.leads, lambda: 0.0)
        self._world = World().run(20)
        self._versions = itertools.count(1)

    @property
    def desired(self) -> dict[Key, tuple[str, ...]]:
        """The versions that are measured, by product, without their revisions."""
        return {
            key: tuple(version.partition("/")[0] for version in target.versions)
            for key, target in self.measurements.targets.items()
        }

    def push(self, version: str) -> None:
        """Let a candidate be under way in what is stored from now on."""
        self._world.push("b", version)
        self._world.until(lambda world: world.current.candidate)

    def store(self, key: Key, **spec: Any) -> dict[str, Any]:
        """Let the watch report a product that serves; return the object."""
        body = self._world.spec | {"status": self._world.status}
        body["spec"] = body["spec"] | spec
        body["metadata"] = body["metadata"] | {
            "namespace": key.namespace,
            "name": key.name,
            "uid": f"uid-{key.name}",
            "resourceVersion": str(next(self._versions)),
        }
        self.products.observe(body)
        return body


@pytest.fixture
def replica():
    return Replica()


async def test_a_standby_replica_measures_the_versions_of_its_products(replica):
    replica.store(CARS)
    await replica.standby.update_targets()
    assert replica.desired == {CARS: ("v1",)}
    assert replica.measurements.news.is_set()
    replica.push("v2")
    replica.store(CARS)
    replica.store(VANS)
    await replica.standby.update_targets()
    assert replica.desired == {CARS: ("v1", "v2"), VANS: ("v1", "v2")}


async def test_a_record_that_has_not_changed_is_not_parsed_again(replica):
    replica.store(CARS)
    await replica.standby.update_targets()
    replica.measurements.set_target(CARS, None)
    await replica.standby.update_targets()
    assert not replica.desired
    replica.store(CARS)
    await replica.standby.update_targets()
    assert CARS in replica.desired


async def test_deleted_and_terminating_products_are_not_measured(replica):
    body, going = replica.store(CARS), replica.store(VANS)
    await replica.standby.update_targets()
    replica.products.forget(body)
    meta = going["metadata"] | {
        "resourceVersion": "99",
        "deletionTimestamp": "2026-01-01T00:00:00Z",
    }
    replica.products.observe(going | {"metadata": meta})
    await replica.standby.update_targets()
    assert not replica.desired


async def test_an_invalid_product_does_not_prevent_the_measurement_of_others(replica):
    replica.store(CARS, rollout={"steps": [25, 5]})
    replica.store(VANS)
    await replica.standby.update_targets()
    assert replica.desired == {VANS: ("v1",)}
    replica.store(VANS, rollout={"steps": [25, 5]})
    await replica.standby.update_targets()
    assert replica.desired == {VANS: ("v1",)}, "as on the leader, which refuses it"


async def test_a_leading_replica_replaces_standby_targets_and_a_standby_reads_all_again_after_leading(
    replica,
):
    replica.store(CARS)
    await replica.standby.update_targets()
    replica.leads = True
    replica.measurements.set_target(CARS, None)
    replica.store(VANS)
    await replica.standby.update_targets()
    assert not replica.desired
    replica.leads = False
    await replica.standby.update_targets()
    assert set(replica.desired) == {CARS, VANS}


async def test_a_standby_pass_stops_when_its_replica_starts_to_lead(replica):
    keys = [Key("catalog", f"product-{number}") for number in range(50)]
    for key in keys:
        replica.store(key)
    asked = itertools.count()
    standby = Standby(
        replica.products, replica.measurements, lambda: next(asked) >= 20, lambda: 0.0
    )
    await standby.update_targets()
    assert len(replica.desired) == 20
