"""One market of a product falls, on the whole operator: it is Missed alone, and what follows is in the spec."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from benchmarks.virtual.trainings import Training
from benchmarks.virtual.variation import Scatter, Variation
from benchmarks.virtual.workloads import Quality
from sluicegate.kube.resources import EVENTS, JOBS
from sluicegate.views.product import versions
from tests.support.decisions.rollout_world import RUNTIME, image
from tests.support.lives.truth import KEY
from tests.support.virtual.markets import (
    EVEN_SHARES,
    FALLEN,
    GOOD,
    MARKETS,
    SHARES,
    counted_by_market,
    fallen,
)
from tests.support.virtual.stories import (
    HOUR,
    RARELY,
    TRAINED,
    for_days,
    product,
    pushed,
    served,
    serving,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World
    from sluicegate.kube.resources import Key

LABELS_AN_HOUR: Final = 100
"""Of each market."""


def markets_of(world: World, key: Key, state: str) -> set[str]:
    """Return the markets in a state, of the three worst."""
    (slo,) = world.status(key)["slos"]
    return {market["market"] for market in slo.get("markets", ()) if market["state"] == state}


def quality(**fallen: float) -> Quality:
    return Quality.of_markets(**(dict.fromkeys(MARKETS, GOOD) | fallen))


@pytest.mark.slow
@for_days
async def test_a_market_that_drops_by_thirty_points_is_missed_within_two_hours_and_met_after_it(
    world,
):
    body = product(
        markets=list(MARKETS),
        serving={
            "runtimeImage": RUNTIME,
            "feedback": {"secretRef": {"name": "feedback"}},
            "market": {"from": "Header", "name": "x-market"},
        },
        analysis={"blockSeconds": 300},
        retraining=None,
    )
    world.cluster.variations[KEY] = Variation("markets", wrong=Scatter(), labelled=0.5)
    world.cluster.rates[KEY] = len(MARKETS) * LABELS_AN_HOUR / HOUR / 0.5
    world.cluster.set_quality(image("a"), quality())
    key = await served(world, body, **RARELY)
    await world.run(12 * HOUR)
    assert not markets_of(world, key, "Missed")

    world.cluster.set_quality(image("a"), quality(AT=FALLEN))
    await world.until(lambda: markets_of(world, key, "Missed") == {"AT"}, seconds=2 * HOUR)

    world.cluster.set_quality(image("a"), quality())
    await world.until(lambda: not markets_of(world, key, "Missed"), seconds=12 * HOUR)


def trained(world: World, key: Key) -> bool:
    return "lastTrainingTime" in (world.status(key).get("retraining") or {})


@pytest.mark.slow
@for_days
async def test_a_drop_of_a_small_market_is_reported_within_hours_and_starts_no_training(
    world,
):
    key = await counted_by_market(world, None)
    assert world.condition(key, "MarketsMet")["status"] == "True"

    world.cluster.set_quality(image("a"), fallen())
    await world.until(
        lambda: world.condition(key, "MarketsMet")["status"] == "False", seconds=5 * HOUR
    )
    met = world.condition(key, "MarketsMet")
    assert met["reason"] == "MarketMissed"
    assert met["message"].startswith("accuracy is missed in AT since ")
    assert "is required" in met["message"]
    assert world.status(key)["summary"]["reason"] == "MarketMissed"
    assert ("MarketMissed", "Warning") in {
        (event["reason"], event["type"]) for event in world.server.all(EVENTS)
    }
    await world.run(24 * HOUR)
    assert not trained(world, key)

    world.cluster.set_quality(
        image("a"), Quality.of_markets(SHARES, **dict.fromkeys(MARKETS, GOOD))
    )
    await world.until(
        lambda: world.condition(key, "MarketsMet")["status"] == "True", seconds=24 * HOUR
    )
    assert "missedMarkets" not in world.status(key)["engine"]["slos"]["accuracy"]


@pytest.mark.slow
@for_days
async def test_a_drop_of_one_market_starts_a_training_for_it_if_the_spec_enables_it(
    world,
):
    world.cluster.trainings[KEY] = Training(seconds=1800, report=TRAINED)
    world.cluster.set_quality(
        image("c"), Quality.of_markets(SHARES, **dict.fromkeys(MARKETS, GOOD))
    )
    key = await counted_by_market(world, {"onMissed": "Retrain"})
    world.cluster.set_quality(image("a"), fallen())
    await world.until(lambda: trained(world, key), seconds=6 * HOUR)
    status = world.status(key)
    assert status["state"] == "Healthy"
    trigger = status["retraining"]["trigger"]
    assert (trigger["cause"], trigger["slo"], trigger["market"]) == ("ModelDecay", "accuracy", "AT")
    assert "Accuracy is missed in AT since" in status["decision"]["message"]
    assert (status["diagnosis"]["cause"], status["diagnosis"]["market"]) == ("ModelDecay", "AT")
    await world.until(lambda: list(world.server.all(JOBS)), seconds=60)
    (job,) = list(world.server.all(JOBS))
    variables = job["spec"]["template"]["spec"]["containers"][0]["env"]
    (written,) = (
        variable["value"] for variable in variables if variable["name"] == "SLUICEGATE_TRIGGER"
    )
    assert json.loads(written)["market"] == "AT"

    await world.until(lambda: serving(world, key) == "v2-trained", seconds=48 * HOUR)
    assert world.status(key)["stable"]["causeMarket"] == "AT"
    await world.run(12 * HOUR)
    assert world.condition(key, "MarketsMet")["status"] == "True"


@pytest.mark.slow
@for_days
async def test_an_ignored_market_is_shown_and_starts_no_action(world):
    key = await counted_by_market(world, {"onMissed": "Ignore"})
    world.cluster.set_quality(image("a"), fallen())
    await world.until(lambda: markets_of(world, key, "Missed") == {"AT"}, seconds=5 * HOUR)
    await world.run(6 * HOUR)
    assert world.condition(key, "MarketsMet") == {}
    assert not trained(world, key)
    assert world.status(key)["summary"].get("reason", "") == ""


@pytest.mark.slow
@for_days
async def test_six_healthy_markets_start_no_action(world):
    key = await counted_by_market(world, {"onMissed": "Retrain"})
    await world.run(72 * HOUR)
    assert world.condition(key, "MarketsMet")["status"] == "True"
    assert not trained(world, key)
    assert "MarketMissed" not in {event["reason"] for event in world.server.all(EVENTS)}


async def with_a_candidate_that_ruins_austria(world: World, markets: dict[str, Any] | None) -> Key:
    """Return a version that is better on the whole, as five markets of six are, in its rollout."""
    better = dict.fromkeys(MARKETS, 0.03) | {"AT": FALLEN}
    world.cluster.set_quality(image("d"), Quality.of_markets(EVEN_SHARES, **better))
    key = await counted_by_market(
        world,
        markets,
        shares=EVEN_SHARES,
        rollout={"steps": [25, 50], "maxDurationSeconds": 6 * 3600},
    )
    world.edit(key, model=pushed("d", "v2"))
    return key


@pytest.mark.slow
@for_days
async def test_the_verdict_of_an_overall_better_candidate_names_a_worse_market(
    world,
):
    key = await with_a_candidate_that_ruins_austria(world, None)
    await world.until(lambda: serving(world, key) == "v2", seconds=8 * HOUR)
    verdict = world.status(key)["stable"]["verdict"]
    assert "; but worse in AT in accuracy: " in verdict["message"]
    assert "against stable's" in verdict["message"]
    (arms,) = (slo for slo in verdict["slos"] if slo["name"] == "accuracy")
    events = {market: pairs[1] for market, pairs in arms["markets"].items()}
    assert set(events) == set(MARKETS)
    assert sum(events.values()) == pytest.approx(arms["candidate"]["total"], rel=0.1)
    body = {"metadata": {}, "status": world.status(key)}
    lifts = {lift["slo"]: lift for lift in versions(body)[0]["lifts"]}["accuracy"]["markets"]
    assert lifts["AT"]["interval"][1] < 0, lifts
    others = [lifts[market]["gain"] for market in MARKETS if market != "AT"]
    assert min(others) > lifts["AT"]["interval"][1], lifts


@pytest.mark.slow
@for_days
async def test_a_candidate_worse_in_a_market_is_held_until_a_promote_request_if_the_spec_enables_it(
    world,
):
    key = await with_a_candidate_that_ruins_austria(world, {"onCandidateWorse": "Hold"})

    def hold() -> dict[str, Any]:
        found: dict[str, Any] = (world.status(key).get("candidate") or {}).get("hold") or {}
        return found

    await world.until(lambda: hold().get("check") == "MarketWorse", seconds=4 * HOUR)
    assert "it is worse in AT in accuracy: " in hold()["message"]
    assert world.status(key)["summary"]["reason"] == "MarketWorse"
    await world.run(HOUR)
    assert serving(world, key) == "v1"
    world.annotate(key, **{"sluicegate.dev/promote": "v2/agreed"})
    await world.until(lambda: serving(world, key) == "v2", seconds=HOUR)
    assert "although a market is worse" in world.status(key)["stable"]["verdict"]["message"]
