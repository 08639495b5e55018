"""Outcomes of a consumer in the canary of its upstream, on the whole operator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from benchmarks.virtual.callings import Calling, calls_with
from benchmarks.virtual.cluster import Effect
from benchmarks.virtual.event_loop import run_in
from benchmarks.virtual.variation import Variation
from benchmarks.virtual.workloads import Quality
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.simulation.replay import replay
from sluicegate.simulation.replay_consumers import omitted_consumers_of
from sluicegate.views.needs import needs_of
from tests.support.decisions.rollout_world import image
from tests.support.virtual.replays import Watch, differences, recorded, replayed
from tests.support.virtual.stories import (
    BLOCK,
    HOUR,
    RARELY,
    on_virtual_time,
    opened,
    product,
    pushed,
    serving,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World

Body = dict[str, Any]

PRICING, RANKING = Key("catalog", "pricing"), Key("catalog", "search-ranking")
CASE: Final = "catalog/search-ranking/conversion"
SHARE: Final = 0.5
UNMEASURED: Final = "ConsumerNotMeasured"
LOST: Final = 0.04
"""Of ranking's conversion, by a candidate that is worse for it."""
AVAILABLE: Final = {
    "name": "availability",
    "objective": "0.9",
    "maxRegression": "0.03",
    "indicator": {"availability": {}},
}
CONVERSION: Final = {
    "name": "conversion",
    "maxDrop": "0.02",
    "indicator": {"outcomes": {}},
    "onDegraded": "Alert",
}
OFTEN: Final = Calling(PRICING, calls_with(0.6, SHARE), per_call=0.02)
"""Most of its requests would meet both versions if their calls were split by themselves."""
LISTENERS: Final = [{"name": "web", "namespace": "gateway"}]


def pricing(names: list[str], **rollout: Any) -> Body:
    """Return the upstream, which names consumers that may hold its candidate up."""
    consumers = {"names": names, "parentRefs": LISTENERS}
    spec = {"steps": [50], "consumers": consumers} | rollout
    return product(
        "pricing",
        model=pushed("c", "v1"),
        slos=[AVAILABLE],
        retraining=None,
        rollout={name: part for name, part in spec.items() if part is not None},
    )


def ranking(evidence: str = "Required") -> Body:
    """Return the consumer."""
    return product(
        "search-ranking",
        model=pushed("a", "v1"),
        slos=[CONVERSION],
        retraining=None,
        dependsOn=[{"name": "pricing", "evidence": evidence}],
    )


async def released(
    world: World, *, lost: float = 0.0, calling: Calling | None = None, **rollout: Any
) -> None:
    """Serve both products for two hours; then v2 of pricing begins its canary."""
    cluster = world.cluster
    for key in (PRICING, RANKING):
        cluster.variations[key] = Variation(f"consumers {key.name}", labelled=0.5)
        cluster.rates[key] = 4.0
    cluster.set_quality(image("a"), Quality(wrong=0.2))
    cluster.effects[RANKING] = (Effect(PRICING, image("d"), lost),)
    cluster.callings[RANKING] = calling or Calling(PRICING)
    world.apply(pricing([RANKING.name], **rollout))
    world.apply(ranking())
    world.start(**RARELY)
    await world.until(lambda: serving(world, RANKING) == "v1", seconds=120)
    await world.run(2 * HOUR)
    world.edit(PRICING, model=pushed("d", "v2"))


def outcome(world: World) -> Body:
    """Return how the rollout of v2 ended; empty before that."""
    model: Body = world.status(PRICING)["specModel"]
    return model if model["version"] == "v2" and model["outcome"] != "InProgress" else {}


async def ended(world: World, hours: float = 24) -> str:
    await world.until(lambda: bool(outcome(world)), seconds=hours * HOUR)
    return str(outcome(world)["outcome"])


@pytest.mark.slow
@on_virtual_time
async def test_a_rollback_of_a_candidate_worse_for_a_consumer_names_the_consumer(world):
    await released(world, lost=LOST, calling=OFTEN)
    assert await ended(world) == "RolledBack"
    message = world.status(PRICING)["decision"]["message"]
    assert "v2 is worse in search-ranking / conversion: " in message


@pytest.mark.slow
@on_virtual_time
async def test_a_candidate_that_is_equal_for_a_consumer_is_promoted(world):
    await released(world, calling=OFTEN)
    assert await ended(world) == "Promoted"
    text = world.status(PRICING)["decision"]["message"]
    assert "not worse by 2 points in search-ranking / conversion" in text


def held_by(world: World) -> tuple[str, str]:
    """Return the check that holds v2, and its message."""
    found = (world.status(PRICING).get("candidate") or {}).get("hold") or {}
    return found.get("check", ""), found.get("message", "")


async def held(world: World, check: str) -> str:
    """Return the message of a check, once it holds v2."""
    await world.until(lambda: held_by(world)[0] == check, seconds=2 * HOUR)
    return held_by(world)[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("calling", "says"),
    [
        (replace(OFTEN, draws=False), "met both versions"),
        (Calling(PRICING, marks=False), "got no answer that names its version"),
    ],
    ids=["mixed", "unmarked"],
)
@on_virtual_time
async def test_unversioned_consumer_requests_are_no_evidence_and_hold_until_max_duration(
    world, calling, says
):
    await released(world, lost=0.3, calling=calling, maxDurationSeconds=7200)
    message = await held(world, UNMEASURED)
    assert "of the requests of catalog/search-ranking to catalog/pricing" in message
    assert says in message
    assert "that ends once at most 1.0 % do" in message
    assert "otherwise all traffic returns to stable at" in message
    evidence = world.status(PRICING)["candidate"]["evidence"]
    (case,) = [one for one in evidence if one["slo"] == CASE]
    assert (case["promote"], case["rollBack"], case["candidateTotal"]) == ("0", "0", 0)
    assert await ended(world) == "Inconclusive"
    decided = world.status(PRICING)["history"][0]["verdict"]["message"]
    assert says in decided


@pytest.mark.slow
@on_virtual_time
async def test_a_promote_request_promotes_a_candidate_with_an_unmeasured_consumer(world):
    await released(world, calling=Calling(PRICING, marks=False))
    await held(world, UNMEASURED)
    world.annotate(PRICING, **{"sluicegate.dev/promote": "v2/now"})
    assert await ended(world) == "Promoted"


@pytest.mark.slow
@on_virtual_time
async def test_a_consumer_deleted_during_a_canary_holds_it_until_removed_from_the_spec(world):
    await released(world)
    await world.run(HOUR)
    world.server.delete(DATA_PRODUCTS, RANKING)
    message = await held(world, UNMEASURED)
    assert (
        "outcomes of catalog/search-ranking can't be read: there is no such DataProduct" in message
    )
    needed = needs_of(DataProduct.parse(world.product(PRICING)))
    assert [(str(need.kind), need.reason) for need in needed] == [("CandidateHeld", UNMEASURED)]
    world.edit(PRICING, rollout={"consumers": None})
    assert await ended(world, hours=1) == "Promoted"
    assert CASE not in str(world.status(PRICING)["stable"])


@pytest.mark.slow
@run_in(lambda: opened(share_dependency_states=False))
async def test_a_consumer_of_another_namespace_is_not_read_where_states_are_not_shared(world):
    world.apply(pricing(["market/search-ranking"]))
    world.start(**RARELY)
    await world.until(lambda: serving(world, PRICING) == "v1", seconds=120)
    await world.run(HOUR)
    world.edit(PRICING, model=pushed("d", "v2"))
    message = await held(world, UNMEASURED)
    assert (
        "outcomes of market/search-ranking can't be read: its namespace isn't the product's"
        in message
    )
    assert "SLUICEGATE_SHARE_DEPENDENCY_STATES" in message


@pytest.mark.slow
@on_virtual_time
async def test_an_edited_evidence_field_applies_from_the_next_evaluation(world):
    await released(world, calling=Calling(PRICING, marks=False))
    await held(world, UNMEASURED)
    world.edit(RANKING, dependsOn=[{"name": "pricing", "evidence": "Ignore"}])
    assert await ended(world, hours=0.5) == "Promoted"


@pytest.mark.slow
@on_virtual_time
async def test_a_consumer_added_during_a_canary_counts_from_the_begin_of_the_canary(world):
    await released(world, lost=0.3, approval="Manual", consumers=None)
    await held(world, "AwaitingApproval")
    await world.run(HOUR)
    assert not world.prometheus.queries["upstreams"]
    world.edit(PRICING, rollout={"consumers": {"names": [RANKING.name], "parentRefs": LISTENERS}})
    await world.until(lambda: bool(outcome(world)), seconds=600)
    assert outcome(world)["outcome"] == "RolledBack"
    assert "worse in search-ranking / conversion" in world.status(PRICING)["decision"]["message"]


@pytest.mark.slow
@on_virtual_time
async def test_products_without_consumers_cause_no_consumer_query(world):
    await released(world)
    assert not world.prometheus.queries["upstreams"]
    await world.run(HOUR)
    assert world.prometheus.queries["upstreams"]
    world.edit(PRICING, rollout={"consumers": None})
    assert await ended(world) == "Promoted"
    asked = world.prometheus.queries["upstreams"]
    world.edit(PRICING, model=pushed("e", "v3"))
    await world.run(HOUR)
    assert world.prometheus.queries["upstreams"] == asked


@pytest.mark.slow
@on_virtual_time
async def test_a_replay_of_a_record_judges_consumers_as_the_operator_did(world):
    watch = Watch(key=PRICING)
    world.on_plan.append(watch)
    await released(world, lost=LOST, calling=OFTEN)
    assert await ended(world) == "RolledBack"
    await world.run(600)
    scenario = await recorded(world, PRICING, consumers=(RANKING,))
    made = watch.decisions(BLOCK)
    assert [kind for _, kind, *_ in made] == ["StartRollout", "Rollback"]
    assert replayed(scenario)[-1] == made[-1]
    (rollback,) = [
        step for step in replay(scenario) if "worse in" in step.evaluation.decision.message
    ]
    assert rollback.evaluation.decision.message == world.status(PRICING)["decision"]["message"]
    found = differences(scenario, watch.judged)
    assert {name: found[name][:2] for name in found if name.startswith("consumers")} == {}
    assert omitted_consumers_of(scenario) == ()

    alone = await recorded(world, PRICING)
    assert omitted_consumers_of(alone) == (f"{RANKING.namespace}/{RANKING.name}",)
    assert "Rollback" not in [kind for _, kind, *_ in replayed(alone)]


def one_sided(world: World, key: Key) -> str:
    """Return the message of the condition that one side alone lets SLOs count; empty without it."""
    rows = world.status(key).get("conditions", ())
    return next((row["message"] for row in rows if row["type"] == "EvidenceOneSided"), "")


@on_virtual_time
async def test_a_side_that_counts_alone_is_named_on_its_object_until_the_other_agrees(world):
    world.apply(pricing([RANKING.name]))
    world.apply(ranking("Ignore"))
    world.start(**RARELY)
    await world.until(lambda: serving(world, RANKING) == "v1", seconds=120)
    await world.until(lambda: bool(one_sided(world, PRICING)), seconds=HOUR)
    assert "SLOs of catalog/search-ranking don't count" in one_sided(world, PRICING)
    assert not one_sided(world, RANKING)
    world.edit(RANKING, dependsOn=[{"name": "pricing", "evidence": "Required"}])
    await world.until(lambda: not one_sided(world, PRICING), seconds=HOUR)
    world.edit(PRICING, rollout={"consumers": None})
    await world.until(lambda: bool(one_sided(world, RANKING)), seconds=HOUR)
    assert "don't count in canaries of catalog/pricing" in one_sided(world, RANKING)
    assert not one_sided(world, PRICING)
    world.edit(RANKING, dependsOn=[{"name": "pricing"}])
    await world.until(lambda: not one_sided(world, RANKING), seconds=HOUR)


@on_virtual_time
async def test_an_absent_consumer_or_one_without_counting_slos_is_reported_also_without_a_canary(
    world,
):
    world.apply(pricing([RANKING.name]))
    world.start(**RARELY)
    await world.until(lambda: serving(world, PRICING) == "v1", seconds=120)
    await world.until(lambda: bool(one_sided(world, PRICING)), seconds=HOUR)
    assert "there is no such DataProduct" in one_sided(world, PRICING)
    body = ranking()
    body["spec"]["slos"] = [CONVERSION | {"onDegraded": "Ignore"}]
    world.apply(body)
    # Another message is another cause, so it is written in the next pass, not with the hourly refresh.
    await world.until(lambda: "has no SLO that counts" in one_sided(world, PRICING), seconds=1200)


@on_virtual_time
async def test_evidence_for_an_upstream_that_does_not_exist_is_named_on_the_consumer(world):
    world.apply(ranking("Required"))
    world.start(**RARELY)
    await world.until(lambda: bool(one_sided(world, RANKING)), seconds=HOUR)
    assert "canaries of catalog/pricing: there is no such DataProduct" in one_sided(world, RANKING)
