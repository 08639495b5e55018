"""What is known to be in sync isn't built again: whenever it would differ, it isn't known."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from sluicegate.api.names import REQUEST_ABORT, REQUEST_ROLLBACK
from sluicegate.api.versions import Candidate
from sluicegate.kube.resources import DEPLOYMENTS, HTTP_ROUTES, Key
from sluicegate.reconcile.apply.in_sync import InSyncCache
from sluicegate.reconcile.build import build_children
from sluicegate.reconcile.live.children import watched
from sluicegate.reconcile.live.product import product_record
from sluicegate.reconcile.report.traffic_status import with_first_split
from sluicegate.runtime.cache import Caches
from sluicegate.settings import ServiceKind
from tests.support.decisions.rollout_world import GATEWAY, RUNTIME, World, document

if TYPE_CHECKING:
    from sluicegate.reconcile.decide.planner import Plan
    from sluicegate.reconcile.observe.observation import Observation

AUTOSCALED = {
    "runtimeImage": RUNTIME,
    "resources": {"requests": {"cpu": "100m"}},
    "autoscaling": {"minReplicas": 2, "maxReplicas": 6},
}


@dataclass
class Numbers:
    """The same number for the same content, as the API server's versions are."""

    known: dict[str, int] = field(default_factory=dict)

    def of(self, content: object) -> int:
        return self.known.setdefault(repr(content), len(self.known) + 1)


@dataclass
class Watched(World):
    """Keeps each look: what it was built from, by its basis, and what came of it."""

    looks: list[tuple[bytes, tuple]] = field(default_factory=list)
    numbers: Numbers = field(default_factory=Numbers)
    _last: Observation | None = None

    def observation(self) -> Observation:
        self._last = super().observation()
        return self._last

    def step(self) -> Plan:
        step = super().step()
        assert self._last
        self.looks.append(self.look(with_first_split(self._last, step), step))
        return step

    def look(self, observation: Observation, step: Plan) -> tuple[bytes, tuple]:
        """Return the basis of a look, and the children that are built in it."""
        product = observation.product
        body = product.to_dict()
        body["metadata"]["resourceVersion"] = str(self.numbers.of(body))
        caches = Caches(watched())
        caches.products.observe(body)
        for one in observation.live.values():
            caches[DEPLOYMENTS]._store(replace(one, version=self.numbers.of(one)), None)
        if observation.route is not None:
            route = observation.route
            caches[HTTP_ROUTES]._store(replace(route, version=self.numbers.of(route)), None)
        basis = InSyncCache(caches).inputs_digest(product_record(body), observation, step)
        children = build_children(
            product, step.allocation, observation.live, service_kind=ServiceKind.HEADLESS
        )
        return basis, tuple((child.resource, child.key, child.fingerprint) for child in children)


KINDS = {
    "route": {"route": GATEWAY},
    "no route": {"route": None},
    "autoscaled": {"route": GATEWAY, "serving": AUTOSCALED},
}


@cache
def _first(kind: str) -> Watched:
    world = Watched(spec=document(**KINDS[kind]))
    world.until(lambda one: one.serving == "v1").run(5)
    return world


@cache
def _promoted(kind: str) -> Watched:
    world = first(kind)
    world.push("b", "v2").until(lambda one: one.serving == "v2").run(5)
    return world


def first(kind: str) -> Watched:
    return deepcopy(_first(kind))


def promoted(kind: str) -> Watched:
    return deepcopy(_promoted(kind))


def worse(kind: str) -> Watched:
    world = first(kind)
    world.bad["v2"] = 0.4
    world.push("b", "v2").run(60)
    return world


def aborted(kind: str) -> Watched:
    world = first(kind)
    world.push("b", "v2").until(lambda one: one.current.candidate is not None)
    world.run(12).requests[REQUEST_ABORT] = "1"
    world.run(20)
    return world


def taken_back(kind: str) -> Watched:
    world = promoted(kind)
    world.requests[REQUEST_ROLLBACK] = "1"
    world.run(30)
    return world


def back_to_the_first(kind: str) -> Watched:
    world = promoted(kind)
    world.push("a", "v1").until(lambda one: one.serving == "v1").run(5)
    return world


def scaled(kind: str) -> Watched:
    world = first(kind)
    serving = world.spec["spec"]["serving"]
    serving.get("autoscaling", serving).update(
        {"minReplicas": 3} if "autoscaling" in serving else {"replicas": 6}
    )
    world.spec["metadata"]["generation"] += 1
    world.run(5)
    return world


def suspended(kind: str) -> Watched:
    world = first(kind)
    world.push("b", "v2").run(12)
    world.spec["spec"]["suspend"] = True
    world.run(10)
    return world


TALES = (first, promoted, worse, aborted, taken_back, back_to_the_first, scaled, suspended)


@pytest.mark.slow
@pytest.mark.parametrize("tale", TALES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_reconciles_with_the_same_in_sync_basis_build_the_same_children(kind, tale):
    world = tale(kind)
    built: dict[bytes, set] = {}
    for basis, children in world.looks:
        built.setdefault(basis, set()).add(children)
    built.pop(b"", None)
    assert len(built) > 1
    assert {len(children) for children in built.values()} == {1}


@pytest.mark.parametrize("kind", KINDS)
def test_each_reconcile_of_an_idle_product_has_the_same_in_sync_basis(kind):
    world = promoted(kind)
    began = len(world.looks)
    world.run(5)
    at_rest = [basis for basis, _ in world.looks[began:]]
    assert all(at_rest)
    assert all(one == other for one, other in pairwise(at_rest))


def test_a_suspended_product_is_never_in_sync():
    world = suspended("route")
    began = len(world.looks)
    world.run(3)
    assert {basis for basis, _ in world.looks[began:]} == {b""}


def test_a_product_with_a_shadowed_route_is_never_in_sync():
    world = promoted("route")
    observation, step = world.observation(), world.history[-1]
    assert world.look(observation, step)[0]
    assert world.look(replace(observation, shadowed=True), step)[0] == b""


def test_the_in_sync_basis_exists_only_for_versions_in_status():
    world = promoted("route")
    observation, step = world.observation(), world.history[-1]
    (placed, *others), known = step.allocation.placements, world.look(observation, step)[0]

    def placing(**fields: str) -> bytes:
        version = type(placed.version).model_validate(dict(placed.version) | fields)
        placements = (replace(placed, version=version), *others)
        allocation = replace(step.allocation, placements=placements)
        return world.look(observation, replace(step, allocation=allocation))[0]

    assert placing() == known
    assert placing(revision="0000000000") == b""


def test_candidate_fields_that_change_each_block_keep_the_in_sync_basis():
    world = first("route")
    world.push("b", "v2").until(lambda one: one.current.candidate is not None).run(3)
    observation, step = world.observation(), world.history[-1]
    placements = tuple(
        replace(placement, version=placement.version.replace(expected_seconds=7))
        if isinstance(placement.version, Candidate)
        else placement
        for placement in step.allocation.placements
    )
    assert placements != step.allocation.placements
    later = replace(step, allocation=replace(step.allocation, placements=placements))
    known, _ = world.look(observation, step)
    assert known
    assert world.look(observation, later)[0] == known


@pytest.mark.parametrize("kind", ["changed", "gone"])
def test_a_modified_child_changes_the_in_sync_basis(kind):
    world = promoted("route")
    observation = world.observation()
    step = world.history[-1]
    known, _ = world.look(observation, step)
    (revision, deployment), *others = observation.live.items()
    touched = {} if kind == "gone" else {revision: replace(deployment, fingerprint="by hand")}
    other, _ = world.look(replace(observation, live={**dict(others), **touched}), step)
    assert known
    assert known != other


def test_the_in_sync_cache_keeps_a_basis_until_it_is_dropped():
    in_sync, key = InSyncCache(Caches(watched())), Key("catalog", "search")
    in_sync.record(key, b"")
    assert not in_sync.is_in_sync(key, b"")
    in_sync.record(key, b"basis")
    assert in_sync.is_in_sync(key, b"basis")
    assert not in_sync.is_in_sync(key, b"other")
    in_sync.forget(key)
    assert not in_sync.is_in_sync(key, b"basis")
