"""What is reported of called products, and which of them explain what is judged."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from sluicegate.api.api_changes import ApiChanges
from sluicegate.api.base import rfc3339
from sluicegate.api.engine import ProductState
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DependencyState, DependencyStatus
from sluicegate.api.versions import Share, VersionSource
from sluicegate.kube.resources import Key
from sluicegate.manifests.plan import spec_version
from sluicegate.policy import Budget
from sluicegate.policy.model.observed import UpstreamRelease
from sluicegate.policy.model.terms import terms_of
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot, releases_of
from sluicegate.reconcile.live.product import product_record
from sluicegate.reconcile.report.status import report
from sluicegate.views.needs import NeedKind, needs_of_status
from tests.support.decisions.judged import START, candidate, parked, serving, stable
from tests.support.decisions.rollout_world import BLOCK, RUNTIME, World, document

SEARCH, PRICING = Key("catalog", "search"), Key("catalog", "pricing")
AFTERMATH = 12 * BLOCK
"""An upstream's fault is in what is judged for twelve blocks after it has ended."""


@pytest.fixture(scope="module")
def world() -> World:
    """Return a product that calls another one, and serves."""
    spec = document(dependsOn=[{"name": "pricing"}])
    return World(spec=spec).until(lambda one: one.serving == "v1").run(2)


async def observed(reconciler, world):
    """Return the observation of the product, beside the upstream in its present state."""
    body = {**world.spec, "status": world.status}
    body["metadata"] = {**body["metadata"], "resourceVersion": "7"}
    product = DataProduct.parse(body)
    return await reconciler.reader.observer.observe(
        product_record(body),
        product,
        terms=terms_of(product),
        desired=spec_version(product, RUNTIME),
        now=world.now,
    )


@pytest.mark.parametrize(
    ("state", "ago", "explains"),
    [
        (ProductState.DEGRADED, 0, True),
        (ProductState.DEGRADED, 10 * AFTERMATH, True),  # its blocks are long
        (ProductState.HEALTHY, 5 * BLOCK, True),
        (ProductState.HEALTHY, AFTERMATH, True),
        (ProductState.HEALTHY, AFTERMATH + 1, False),
        (ProductState.HEALTHY, None, False),
        (ProductState.UNKNOWN, None, False),
    ],
)
async def test_a_degraded_upstream_explains_a_degradation_until_twelve_blocks_after_its_recovery(
    reconciler, world, state, ago, explains
):
    found = None if ago is None else world.now - ago
    reconciler.reporter.fleet.record(PRICING, ProductSnapshot(state=state, degraded_at=found))
    observation = await observed(reconciler, world)
    assert observation.observed.facts.upstream_degraded == (("pricing",) if explains else ())


@pytest.mark.parametrize(
    ("snapshot", "observed_names"),
    [
        (ProductSnapshot(state=ProductState.DEGRADING), ("pricing",)),
        (ProductSnapshot(state=ProductState.UNKNOWN, bad_since=BLOCK), ("pricing",)),
        (ProductSnapshot(state=ProductState.UNKNOWN), ()),
        (ProductSnapshot(state=ProductState.DEGRADED), ()),
        (ProductSnapshot(state=ProductState.DEGRADING, depends_on=(SEARCH,)), ()),
    ],
    ids=["degrading", "after a restart", "unknown", "degraded", "in a cycle"],
)
async def test_an_upstream_whose_state_is_not_confirmed_is_observed(
    reconciler, world, snapshot, observed_names
):
    reconciler.reporter.fleet.record(PRICING, snapshot)
    observation = await observed(reconciler, world)
    assert observation.observed.facts.upstream_degrading == observed_names


@pytest.mark.parametrize(
    "over", [(), (Key("catalog", "stock"),)], ids=["each other", "over others"]
)
async def test_products_in_a_dependency_cycle_do_not_explain_each_others_degradation(
    reconciler, world, over
):
    """Both would wait indefinitely for the other one to recover."""
    degraded = ProductSnapshot(state=ProductState.DEGRADED)
    chain = (PRICING, *over, SEARCH)
    for one, called in pairwise(chain):
        reconciler.reporter.fleet.record(one, replace(degraded, depends_on=(called,)))
    observation = await observed(reconciler, world)
    assert observation.dependencies[0].in_cycle
    assert observation.dependencies[0].state is DependencyState.DEGRADED
    assert observation.observed.facts.upstream_degraded == ()


def test_status_shows_the_current_states_of_upstream_products(world):
    for state in (DependencyState.DEGRADED, DependencyState.HEALTHY):
        one = DependencyStatus(namespace="catalog", name="pricing", state=state)
        observation = replace(world.observation(), dependencies=(one,))
        assert report(observation, make_plan(observation)).dependencies == (one,)


@pytest.mark.parametrize(
    ("states", "condition"),
    [
        ((), ("Unknown", "NoDependencies")),
        ((DependencyState.HEALTHY,), ("True", "AllHealthy")),
        ((DependencyState.HEALTHY, DependencyState.NOT_FOUND), ("Unknown", "DependencyUnknown")),
        ((DependencyState.UNKNOWN, DependencyState.DEGRADED), ("False", "DependencyDegraded")),
        ((DependencyState.NOT_FOUND, DependencyState.DEGRADED), ("False", "DependencyDegraded")),
    ],
)
def test_one_condition_summarises_the_states_of_upstream_products(world, states, condition):
    called = tuple(
        DependencyStatus(namespace="catalog", name="pricing", state=state) for state in states
    )
    observation = replace(world.observation(), dependencies=called)
    status = report(observation, make_plan(observation))
    (found,) = [
        condition for condition in status.conditions if condition.type == "DependenciesHealthy"
    ]
    assert (found.status, found.reason) == condition
    absent = DependencyState.NOT_FOUND in states
    needs = needs_of_status(status, SEARCH)
    assert [need.kind for need in needs] == [NeedKind.DEPENDENCY] * absent
    assert all("correct the name, or create it" in need.message for need in needs)
    assert status.summary.reason == ("DependencyUnknown" if absent else "")


async def test_a_dependency_that_is_not_evaluated_is_reported_with_the_ways_out(reconciler, world):
    observation = await observed(reconciler, world)
    status = report(observation, make_plan(observation))
    (found,) = [
        condition for condition in status.conditions if condition.type == "DependenciesHealthy"
    ]
    assert found.message == (
        "spec.dependsOn: this operator evaluates no DataProduct catalog/pricing: correct the name, or create"
        " it; one that exists is invalid, or its namespace isn't watched"
    )


def test_healthy_products_in_a_dependency_cycle_are_named(world):
    one = DependencyStatus(
        namespace="catalog", name="pricing", state=DependencyState.HEALTHY, in_cycle=True
    )
    observation = replace(world.observation(), dependencies=(one,))
    status = report(observation, make_plan(observation))
    (found,) = [
        condition for condition in status.conditions if condition.type == "DependenciesHealthy"
    ]
    assert (found.status, found.reason) == ("True", "AllHealthy")
    assert found.message.startswith("catalog/pricing depends on this product too, so its state is")


def release(version: str, begin: int) -> UpstreamRelease:
    return UpstreamRelease("catalog/pricing", version, ((begin, 100),))


async def test_releases_of_upstream_products_are_observed(reconciler, world):
    found = (release("v2", 1000), release("v3", 2000))
    reconciler.reporter.fleet.record(PRICING, ProductSnapshot(releases=found))
    observation = await observed(reconciler, world)
    assert observation.observed.facts.upstream_releases == found


async def test_an_upstream_shows_when_its_release_degrades_a_dependent(reconciler, world):
    calls = ProductSnapshot(depends_on=(SEARCH,))
    fleet, now = reconciler.reporter.fleet, world.now
    for suspect, shown in (("catalog/search", True), (None, True), ("", False)):
        fleet.update(PRICING, replace(calls, suspect=suspect), now)
        observation = await observed(reconciler, world)
        conditions = report(observation, make_plan(observation)).conditions
        messages = [each.message for each in conditions if each.type == "DegradesDependents"]
        assert bool(messages) is shown, suspect
        assert all("catalog/pricing is degraded" in message for message in messages)


def test_an_upstream_is_reconciled_when_a_degradation_by_its_release_begins_or_ends():
    woken: list[Key] = []
    fleet = FleetRegistry(Budget(1, 1), woken.append)
    calls = ProductSnapshot(depends_on=(PRICING,))
    for suspect in ("", "catalog/pricing", "catalog/pricing", ""):
        fleet.update(SEARCH, replace(calls, suspect=suspect), 0)
    assert woken == [PRICING, PRICING]


def test_a_candidate_without_traffic_is_no_release():
    status = serving(candidate=candidate(5, 25))
    assert releases_of(PRICING, status, START) == (
        UpstreamRelease("catalog/pricing", "v2", ((START, 5), (START + 3600, 25))),
    )
    assert releases_of(PRICING, serving(candidate=parked(candidate(5, 25))), START) == ()


def test_a_release_has_its_training_and_the_changes_of_its_api_as_its_origin():
    trained = candidate(5).replace(
        source=VersionSource.RETRAINING, cause="ModelDecay", cause_slo="accuracy", cause_market="AT",
        data_end_time=START, api_changes=ApiChanges(broken=("POST /price lacks currency",), added=("GET /fees",)),
    )  # fmt: skip
    (release,) = releases_of(PRICING, serving(candidate=trained), START)
    assert release.origin == (
        f"v2 was trained on data up to {rfc3339(START)} for ModelDecay of accuracy in AT; its API"
        " differs from that of the version before it: POST /price lacks currency; adds GET /fees"
    )


def test_a_promoted_version_is_a_release_from_its_first_traffic_on():
    shares = tuple(Share(weight=weight, start_time=time) for time, weight in ((10, 5), (20, 50)))
    version = stable(since=30).replace(restored=True, shares=shares)
    (release,) = releases_of(PRICING, serving(stable=version), START)
    assert release.shares == ((10, 5), (20, 50), (30, 100))
    assert releases_of(PRICING, serving(), START) == ()  # a first version
