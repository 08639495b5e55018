"""What is known to be in step isn't built again: whenever it would be another, it isn't known."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from sluicegate.api.names import REQUEST_ABORT, REQUEST_ROLLBACK
from sluicegate.kube.resources import DEPLOYMENTS, HTTP_ROUTES, Key
from sluicegate.reconcile.apply.in_sync import InStep
from sluicegate.reconcile.build import build_children
from sluicegate.reconcile.live.children import watched
from sluicegate.reconcile.live.product import product_record
from sluicegate.reconcile.report.traffic_status import with_first_split
from sluicegate.runtime.cache import Caches
from sluicegate.settings import ServiceKind
from tests.support.rollout_world import GATEWAY, RUNTIME, World, document

if TYPE_CHECKING:
    from sluicegate.reconcile.decide.planner import Step
    from sluicegate.reconcile.observe.observation import Situation

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
    _last: Situation | None = None

    def situation(self) -> Situation:
        self._last = super().situation()
        return self._last

    def step(self) -> Step:
        step = super().step()
        assert self._last
        self.looks.append(self.look(with_first_split(self._last, step), step))
        return step

    def look(self, situation: Situation, step: Step) -> tuple[bytes, tuple]:
        """The basis of a look, and the children that are built in it."""
        product = situation.product
        body = product.to_dict()
        body["metadata"]["resourceVersion"] = str(self.numbers.of(body))
        caches = Caches(watched())
        caches.products.observe(body)
        for one in situation.live.values():
            caches[DEPLOYMENTS]._store(replace(one, version=self.numbers.of(one)), None)
        if situation.route is not None:
            route = situation.route
            caches[HTTP_ROUTES]._store(replace(route, version=self.numbers.of(route)), None)
        basis = InStep(caches).basis(product_record(body), product.status, situation, step)
        children = build_children(
            product, step.layout, situation.live, service_kind=ServiceKind.HEADLESS
        )
        return basis, tuple((one.resource, one.key, one.fingerprint) for one in children)


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


@pytest.mark.parametrize("tale", TALES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_looks_of_one_basis_build_the_same_children(kind, tale):
    world = tale(kind)
    built: dict[bytes, set] = {}
    for basis, children in world.looks:
        built.setdefault(basis, set()).add(children)
    built.pop(b"", None)
    assert len(built) > 1
    assert {len(children) for children in built.values()} == {1}


@pytest.mark.parametrize("kind", KINDS)
def test_at_rest_one_look_has_the_basis_of_the_one_before(kind):
    world = promoted(kind)
    began = len(world.looks)
    world.run(5)
    at_rest = [basis for basis, _ in world.looks[began:]]
    assert all(at_rest)
    assert all(one == other for one, other in pairwise(at_rest))


def test_a_suspended_product_is_never_taken_for_one_in_step():
    world = suspended("route")
    began = len(world.looks)
    world.run(3)
    assert {basis for basis, _ in world.looks[began:]} == {b""}


@pytest.mark.parametrize("kind", ["changed", "gone"])
def test_a_child_that_was_touched_is_another_basis(kind):
    world = promoted("route")
    situation = world.situation()
    step = world.history[-1]
    known, _ = world.look(situation, step)
    (revision, deployment), *others = situation.live.items()
    touched = {} if kind == "gone" else {revision: replace(deployment, fingerprint="by hand")}
    other, _ = world.look(replace(situation, live={**dict(others), **touched}), step)
    assert known
    assert known != other


def test_what_was_in_step_is_known_until_it_is_forgotten():
    in_step, key = InStep(Caches(watched())), Key("catalog", "search")
    assert not in_step.holds(key, b"")
    in_step.record(key, b"basis")
    assert in_step.holds(key, b"basis")
    assert not in_step.holds(key, b"other")
    in_step.forget(key)
    assert not in_step.holds(key, b"basis")
