"""A version is its bento's digest in a runtime: whatever it is called, and wherever it lies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.names import DecisionReason
from sluicegate.api.versions import CandidatePhase
from sluicegate.kube.resources import Key
from sluicegate.measurement.canary_blocks import arm_of
from sluicegate.measurement.store import target_of
from sluicegate.policy.model.observed import Portfolio
from sluicegate.policy.retraining.training_slots import Budget
from sluicegate.prometheus.timing import Timing
from sluicegate.reconcile.build import build_children
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot
from sluicegate.reconcile.report.fleet_update import snapshot_of
from sluicegate.reconcile.traffic.allocation import Allocation, Placement, allocation_of
from sluicegate.settings import ServiceKind
from tests.support.decisions.rollout_world import GATEWAY, World, document, image, serving_world
from tests.support.decisions.rollouts import ROUTES

MAX_RENEWALS = 5

TIMING = Timing(scrape_seconds=15)
MOVED = image("a").replace("registry.example", "mirror.example")


def serving(**spec) -> World:
    return serving_world(4, **spec)


def named(world: World, **bento: str) -> World:
    world.spec["spec"]["model"]["bento"].update(bento)
    world.spec["metadata"]["generation"] += 1
    return world


@ROUTES
@pytest.mark.parametrize(
    "bento",
    [{"version": "v1.1"}, {"image": MOVED}, {"image": MOVED, "version": "v1.1"}],
    ids=["renamed", "moved", "both"],
)
def test_a_new_name_for_the_serving_bento_starts_no_rollout(route, bento):
    """It was a candidate with stable's own Deployment, which two manifests fought for."""
    world = named(serving(route=route), **bento).run(4)
    assert world.current.candidate is None
    assert world.condition("Stalled") is None
    assert world.condition("Ready") == ("True", "Serving")
    assert world.serving == "v1", "its measurements bear the name that it was accepted with"
    assert world.current.stable.image == bento.get("image", image("a"))
    assert len(world.pods) == 1
    writes = world.writes
    world.run(3)
    assert world.writes == writes


def test_a_candidate_whose_bento_moves_to_another_url_continues_its_rollout():
    world = (
        serving()
        .push("b", "v2")
        .until(
            lambda world: (
                world.current.candidate is not None and world.current.candidate.weight == 5
            )
        )
    )
    moved = image("b").replace("registry.example", "mirror.example")
    named(world, image=moved, version="v2.1").run()
    assert world.current.candidate.image == moved
    assert world.current.candidate.phase is CandidatePhase.STEPPING
    world.until(lambda world: world.serving == "v2")
    assert world.current.spec_model.outcome == "Promoted"


def test_another_bento_under_an_existing_version_name_is_refused():
    world = named(serving(), image=image("b"))
    assert world.stalled() == "VersionReused"


def test_a_corrected_entry_service_updates_the_version_in_place():
    world = named(serving(), service="Ranking").run(2)
    assert world.current.candidate is None
    assert world.current.stable.service == "Ranking"


def test_a_candidate_equal_to_stable_is_removed_from_status():
    world = serving()
    stable = dict(world.status["stable"])
    for field in ("promotionTime", "baseline", "evaluation"):
        stable.pop(field, None)
    world.status["candidate"] = stable | {
        "version": "v1.1", "phase": "Starting", "startTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    world.run(2)
    assert world.current.candidate is None
    assert world.condition("Ready") == ("True", "Serving")


def test_an_allocation_places_each_revision_once_and_child_names_are_unique():
    world = serving()
    product, stable = world.product, world.current.stable
    twin = stable.model_copy(update={"version": "v1.1"})
    candidate = world.push("b", "v2").until(lambda w: w.current.candidate is not None).current
    status = candidate.model_copy(
        update={
            "stable": stable,
            "candidate": candidate.candidate.model_copy(update={"revision": stable.revision}),
        }
    )
    allocation = allocation_of(product, status, stable_pods=4)
    assert [placement.version.revision for placement in allocation.placements] == [stable.revision]
    doubled = replace(allocation, placements=(*allocation.placements, Placement(twin, 1)))
    assert isinstance(doubled, Allocation)
    with pytest.raises(RuntimeError, match="two children have one name"):
        build_children(product, doubled, {}, service_kind=ServiceKind.CLUSTER_IP)


def test_a_formerly_stable_bento_is_rolled_out_again_under_another_name():
    world = serving().push("b", "v2").until(lambda world: world.serving == "v2")
    world.push("a", "v1.1").until(lambda world: world.serving == "v1.1").run(2)
    assert [past_version.version for past_version in world.current.history] == ["v2"]
    assert len(world.pods) == 2


# ---- another runtime --------------------------------------------------------------------------
OTHER = f"registry.example/runtime@sha256:{'e' * 64}"


def in_another_runtime(route) -> World:
    """Return v1 in v1's place: one name, two revisions."""
    world = serving_world(30, route=route)
    world.spec["spec"]["serving"]["runtimeImage"] = OTHER
    world.spec["metadata"]["generation"] += 1
    return world.until(lambda world: world.current.candidate is not None)


@ROUTES
@pytest.mark.parametrize("version", ["v1", "v1.1"])
def test_an_archive_at_another_url_starts_no_rollout(route, version):
    """It is what its checksum says, wherever it lies and whatever it is called."""
    at = {"url": "https://models.example/search.bento", "sha256": "a" * 64, "service": "Search"}
    world = serving(route=route, model={"bento": {**at, "version": "v1"}})
    moved = "https://archive.example/search-1.bento"
    world = named(world, url=moved, version=version).run(4)
    assert world.current.candidate is None
    assert world.condition("Stalled") is None
    assert world.serving == "v1"
    assert world.current.stable.image == f"{moved}#sha256:{'a' * 64}"
    assert len(world.pods) == 1
    named(world, sha256="b" * 64, version="v2").run()
    assert world.current.candidate is not None


@ROUTES
def test_a_new_runtime_image_is_rolled_out_by_a_canary(route):
    """Both were one series: it was compared with itself, and never drained."""
    world = in_another_runtime(route)
    before = world.current.stable.revision
    assert world.current.candidate.revision != before
    world.until(lambda world: world.current.candidate is None)
    assert world.current.stable.revision != before
    assert world.current.stable.runtime_image == OTHER
    assert world.current.probation is not None
    assert world.current.history[0].revision == before


@ROUTES
def test_a_worse_runtime_image_is_rolled_back(route):
    world = in_another_runtime(route)
    before = world.current.stable.revision
    world.bad[world.current.candidate.revision] = 0.4
    world.until(lambda world: world.current.candidate is None)
    assert world.current.stable.revision == before
    assert world.current.history[0].reason == "CanaryWorse"


def test_two_runtimes_of_one_bento_are_two_series():
    world = in_another_runtime(GATEWAY)
    target = target_of(world.product, TIMING)
    assert len(set(target.versions)) == 2
    stable, candidate = world.current.stable, world.current.candidate
    arms = [arm_of(world.product, one) for one in (stable, candidate)]
    assert [arm.version for arm in arms] == list(target.versions)


def test_a_changed_default_runtime_image_starts_at_most_the_allowed_number_of_rollouts():
    """A new default image was tried in every product that names none, at once."""
    world = World(spec=document(), portfolio=Portfolio(renewing=MAX_RENEWALS))
    world.spec["spec"]["serving"].pop("runtimeImage")
    world.until(lambda world: world.serving == "v1").run(4)
    world.default_runtime = OTHER
    world.run(3)
    assert world.current.candidate is None
    assert world.history[-1].evaluation.decision.reason == DecisionReason.WAITING_FOR_RENEWALS
    world.portfolio = Portfolio(renewing=MAX_RENEWALS - 1)
    world.run()
    assert world.current.candidate is not None
    assert snapshot_of(world.observation(), world.history[-1]).renews


def test_a_runtime_image_named_in_the_spec_does_not_wait_for_other_renewals():
    world = serving_world(4)
    world.portfolio = Portfolio(renewing=MAX_RENEWALS)
    world.spec["spec"]["serving"]["runtimeImage"] = OTHER
    world.run()
    assert world.current.candidate is not None


def test_the_count_of_runtime_rollouts_excludes_the_product_itself():
    fleet = FleetRegistry(Budget(total=2, per_namespace=1))
    one, other = Key("catalog", "one"), Key("catalog", "other")
    fleet.record(one, ProductSnapshot(renews=True))
    fleet.record(other, ProductSnapshot(renews=True))
    assert fleet.portfolio(one, 0).renewing == 1
    fleet.forget(other)
    assert fleet.portfolio(Key("catalog", "third"), 0).renewing == 1
    fleet.record(one, ProductSnapshot())
    assert fleet.portfolio(other, 0).renewing == 0


def test_a_new_runtime_image_rolls_out_no_replaced_model():
    """A retrained version serves; spec.model is what it was trained from, long ago."""
    world = serving_world(4)
    world.push("b", "v0")
    world.status["specModel"] |= {"image": image("b"), "version": "v0", "outcome": "Promoted"}
    world.run(2)
    assert world.current.candidate is None
    world.spec["spec"]["serving"]["runtimeImage"] = OTHER
    world.until(lambda world: world.current.stable.runtime_image == OTHER)
    assert world.serving == "v1"
    world.run(4)
    assert world.current.candidate is None
    assert world.current.spec_model.outcome == "Promoted"
