"""Causes that no training remedies, on the whole operator: each is named with its numbers, and holds trainings by name."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.prometheus_stand_in import Lie
from benchmarks.virtual.trainings import Training, trigger_of
from benchmarks.virtual.workloads import Quality, stamp
from sluicegate.api import names
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import DATA_PRODUCTS, EVENTS
from sluicegate.views.needs import needs_of
from sluicegate_service.feature_differences import compare
from sluicegate_service.training import MIN_SCORED_ROWS
from sluicegate_service.warehouse import LoggedRequest
from tests.support.decisions.rollout_world import image
from tests.support.virtual.stories import (
    BAD,
    BLOCK,
    HOUR,
    OUTPUT,
    RARELY,
    for_days,
    product,
    pushed,
    served,
    serving,
    slo,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.virtual.operator import World
    from sluicegate.kube.resources import Key

BROKEN = Quality(wrong=0.85)
"""Kilometres are served for miles."""
ROWS = 4000


class Trainer:
    """A training on the rows of the last hours, which scores stable as wrong as `wrong` says."""

    def __init__(
        self, world: World, key: Key, wrong: Callable[[float], float], hours: float = 1.0
    ) -> None:
        self.world, self.wrong, self.hours = world, wrong, hours
        self.causes: list[str] = []
        self.begun: list[float] = []
        self.changes = 0
        world.cluster.trainers[key] = self.train

    def train(self, job: dict[str, Any]) -> Training:
        """Report a version; `changes` rows are right with it that stable gets wrong."""
        now = self.world.loop.time()
        self.causes.append(trigger_of(job)["cause"])
        self.begun.append(now)
        bad = round(ROWS * self.wrong(now))
        pairs = {
            "bothRight": ROWS - bad, "onlyStableWrong": self.changes, "onlyCandidateWrong": 0,
            "bothWrong": bad - self.changes,
        }  # fmt: skip
        report = {
            "image": image("cdef"[len(self.begun) - 1]),
            "version": f"t{len(self.begun)}",
            "evaluation": {"accuracy": {"bad": bad - self.changes, "total": ROWS}},
            "stableEvaluation": {"accuracy": {"bad": bad, "total": ROWS}},
            "pairs": {"accuracy": pairs},
            "holdOutStartTime": stamp(self.world.loop.wall() - self.hours * HOUR),
        }
        return Training(seconds=600, report=report)


def needs(world: World, key: Key) -> list[str]:
    """Return what the product needs of a person."""
    return [str(one.kind) for one in needs_of(DataProduct.parse(world.product(key)))]


def active(world: World, key: Key) -> tuple[str, str]:
    """Return reason and message of RetrainingActive."""
    found = world.condition(key, "RetrainingActive")
    return found.get("reason", ""), found.get("message", "")


@pytest.mark.slow
@for_days
async def test_a_serving_skew_is_diagnosed_after_one_training(
    world,
):
    key = await served(world, product(), **RARELY)
    trainer = Trainer(world, key, lambda _: 0.1)
    await world.run(26 * HOUR)
    world.cluster.set_quality(image("a"), BROKEN)
    await world.until(lambda: active(world, key)[0] == "ServingSkew", seconds=6 * HOUR)
    assert trainer.causes == ["ModelDecay"]
    status = world.status(key)
    assert status["diagnosis"]["cause"] == "ServingSkew"
    says = status["diagnosis"]["message"]
    assert "the training scores v1 at 90.0 % (n=4,000) on rows since 20" in says
    assert "live it is" in says
    assert "what is served differs from what is trained on" in says
    assert status["retraining"]["lastResult"]["reason"] == "ServingSkew"
    assert not status.get("candidate")
    assert status["summary"]["reason"] == "ServingSkew"
    assert world.condition(key, "Degraded")["reason"] == "ServingSkew"
    assert needs(world, key) == ["TrainingBlocked"]
    reason, held = active(world, key)
    assert "no training for accuracy follows since 20" in held
    assert "another spec.model, spec.retraining, runtime image or SLO" in held
    await world.run(3 * 24 * HOUR)
    assert (trainer.causes, active(world, key)) == (["ModelDecay"], (reason, held))
    assert len([one for one in world.server.all(EVENTS) if one["reason"] == "ServingSkew"]) == 1
    # The features are corrected: the product recovers without a training.
    world.cluster.set_quality(image("a"), Quality())
    await world.until(lambda: world.status(key)["state"] == "Healthy", seconds=24 * HOUR)
    assert trainer.causes == ["ModelDecay"]
    assert needs(world, key) == []
    assert active(world, key)[0] == "Idle"


class UndatedTrainer(Trainer):
    """A training that reports no begin of its hold-out."""

    def train(self, job: dict[str, Any]) -> Training:
        """Report a version."""
        training = super().train(job)
        assert training.report is not None
        del training.report["holdOutStartTime"]
        return training


@pytest.mark.slow
@for_days
async def test_a_skew_on_rows_of_unknown_age_is_in_the_diagnosis_with_the_field_that_decides_it(
    world,
):
    key = await served(world, product(), **RARELY)
    UndatedTrainer(world, key, lambda _: 0.1)
    await world.run(26 * HOUR)
    world.cluster.set_quality(image("a"), BROKEN)
    await world.until(
        lambda: "lastResult" in (world.status(key).get("retraining") or {}), seconds=6 * HOUR
    )
    await world.run(2 * BLOCK)
    diagnosis = world.status(key)["diagnosis"]
    assert diagnosis["cause"] == "ModelDecay"
    says = diagnosis["message"]
    assert "no cause outside the model was found; but the training scores v1 at 90.0 %" in says
    assert "let the training report holdOutStartTime" in says


class ScoringTrainer(Trainer):
    """A training that scores stable on `rows` rows an hour since the change, and ends there if that is as accepted.

    `differences` is what it reports of features.
    """

    def __init__(
        self, world: World, key: Key, wrong: Callable[[float], float], rows_an_hour: float
    ) -> None:
        super().__init__(world, key, wrong)
        self.rows_an_hour = rows_an_hour
        self.differences: dict[str, Any] | None = None
        self.scored: list[float] = []

    def train(self, job: dict[str, Any]) -> Training:
        """Report a score, or train."""
        trigger, now = trigger_of(job), self.world.loop.time()
        if (share := trigger.get("acceptedShare")) is None:
            return super().train(job)
        since = trigger.get("changeTime") or trigger["firstBadBlockTime"]
        seconds = self.world.loop.wall() - datetime.fromisoformat(since).timestamp()
        total = round(self.rows_an_hour * seconds / HOUR)
        if total < MIN_SCORED_ROWS or self.wrong(now) > float(share):
            return super().train(job)
        self.scored.append(now)
        report = {
            "stableEvaluation": {
                "accuracy": {"bad": round(self.wrong(now) * total), "total": total}
            },
            "holdOutStartTime": since,
            "dataEndTime": stamp(self.world.loop.wall()),
        }
        if self.differences is not None:
            report["featureDifferences"] = self.differences
        return Training(seconds=60, report=report)


@pytest.mark.slow
@for_days
async def test_a_serving_skew_is_found_by_a_score_before_anything_is_trained(world):
    key = await served(world, product(), **RARELY)
    trainer = ScoringTrainer(world, key, lambda _: 0.1, 4000)
    # As the library compares rows in kilometres with requests in miles.
    rows = [{"mileage": 100 * number} for number in range(1000)]
    miles = [LoggedRequest("/price", {"mileage": 62 * number}) for number in range(1000)]
    trainer.differences = asdict(compare(rows, miles))
    await world.run(26 * HOUR)
    world.cluster.set_quality(image("a"), BROKEN)
    await world.until(lambda: active(world, key)[0] == "ServingSkew", seconds=6 * HOUR)
    status = world.status(key)
    assert (trainer.causes, len(trainer.scored)) == ([], 1)
    assert status["diagnosis"]["cause"] == "ServingSkew"
    named = "most in mileage (median 49,950 in the training's rows, 30,970 in the requests)"
    assert named in status["diagnosis"]["message"]
    assert named in active(world, key)[1]
    (need,) = needs_of(DataProduct.parse(world.product(key)))
    assert named in need.message
    last = status["retraining"]["lastResult"]
    assert (last["outcome"], last["reason"]) == ("NotTrained", "ScoredAsAccepted")
    assert last["message"].startswith("v1 isn't retrained: its training ended before the fit: ")
    assert "what is served differs from what is trained on" in last["message"]
    counted = (
        "unsuccessfulAttempts",
        "attemptsWithoutRemedy",
        "nextAllowedTime",
        "lastTrainingTime",
    )
    assert not any(status["retraining"].get(name) for name in counted)
    assert needs(world, key) == ["TrainingBlocked"]
    await world.run(4 * HOUR)
    assert (trainer.causes, len(trainer.scored)) == ([], 1)
    reasons = [one["reason"] for one in world.server.all(EVENTS)]
    assert (reasons.count("ScoredAsAccepted"), reasons.count("ServingSkew")) == (1, 1)
    world.annotate(key, **{names.REQUEST_RETRAIN: "now"})  # a person's training fits
    await world.until(lambda: trainer.causes == ["Requested"], seconds=HOUR)


@pytest.mark.slow
@for_days
async def test_an_undecided_score_is_repeated_with_twice_the_rows_and_the_wait_has_its_time(world):
    key = await served(world, product(), **RARELY)
    trainer = ScoringTrainer(world, key, lambda _: 0.1, 20)
    await world.run(26 * HOUR)
    world.cluster.set_quality(image("a"), Quality(wrong=0.3))
    await world.until(lambda: active(world, key)[0] == "ScoreUndecided", seconds=6 * HOUR)
    assert (
        "since the change are too few for a conclusion. The next Job scores it again at 20"
        in active(world, key)[1]
    )
    assert needs(world, key) == []
    await world.until(lambda: len(trainer.scored) == 3, seconds=12 * HOUR)
    first, second, third = trainer.scored
    assert third - second > 1.5 * (second - first)
    assert trainer.causes == []


@pytest.mark.slow
@for_days
async def test_an_equal_model_that_is_worse_since_its_release_has_a_code_fault_and_is_not_retrained(
    world,
):
    """The version before failed most requests, so it is no remedy; v2 reads the same rows otherwise."""
    body = product()
    body["spec"]["slos"].append(
        {"name": "availability", "indicator": {"availability": {}}, "objective": "0.99", "onDegraded": "Alert"}
    )  # fmt: skip
    key = await served(world, body, **RARELY)
    trainer = Trainer(world, key, lambda _: 0.1, hours=0.5)
    await world.run(26 * HOUR)
    world.cluster.set_quality(image("a"), Quality(failed=0.7))
    await world.until(lambda: world.status(key)["state"] == "Degraded", seconds=6 * HOUR)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: serving(world, key) == "v2", seconds=48 * HOUR)
    world.cluster.set_quality(image("b"), Quality(wrong=0.5))
    await world.until(lambda: active(world, key)[0] == "CodeNotData", seconds=6 * HOUR)
    assert trainer.causes == ["ModelDecay"]
    diagnosis = world.status(key)["diagnosis"]
    assert diagnosis["cause"] == "CodeNotData"
    assert "the training scores v2 at 90.0 % (n=4,000) on rows since 20" in diagnosis["message"]
    assert diagnosis["message"].endswith("since the release of v2: its code, not the data")
    assert world.condition(key, "Degraded")["reason"] == "CodeNotData"
    assert "its code, not the data" in active(world, key)[1]
    assert needs(world, key) == ["TrainingBlocked"]
    await world.run(2 * 24 * HOUR)
    assert trainer.causes == ["ModelDecay"]
    assert not world.status(key).get("candidate")
    world.cluster.set_quality(image("a"), Quality())
    world.annotate(key, **{names.REQUEST_ROLLBACK: "v1/now"})
    await world.until(lambda: serving(world, key) == "v1", seconds=2 * HOUR)
    await world.until(lambda: world.status(key)["state"] == "Healthy", seconds=24 * HOUR)
    assert trainer.causes == ["ModelDecay"]


@pytest.mark.slow
@for_days
async def test_a_corrected_training_ends_the_hold_of_a_skew_and_a_better_version_is_promoted(world):
    key = await served(world, product(), **RARELY)
    trainer = Trainer(world, key, lambda _: 0.1)
    await world.run(26 * HOUR)
    world.cluster.set_quality(image("a"), BROKEN)
    await world.until(lambda: active(world, key)[0] == "ServingSkew", seconds=6 * HOUR)
    trainer.changes = 300  # it now learns from what is served
    world.edit(key, retraining={"command": ["corrected"]})
    await world.until(lambda: world.status(key).get("candidate") is not None, seconds=2 * HOUR)
    assert trainer.causes == ["ModelDecay", "ModelDecay"]


@pytest.mark.slow
@for_days
async def test_a_training_on_request_that_changes_no_row_gets_no_canary(world):
    key = await served(world, product(), **RARELY)
    trainer = Trainer(world, key, lambda _: 0.1)
    world.annotate(key, **{names.REQUEST_RETRAIN: "now"})
    await world.until(
        lambda: "lastResult" in (world.status(key).get("retraining") or {}), seconds=HOUR
    )
    last = world.status(key)["retraining"]["lastResult"]
    assert (last["outcome"], last["reason"]) == ("Rejected", "NotShownBetter")
    assert (
        "it can't help, as it is right and wrong in the same rows of the hold-out as stable, in all 4,000"
        in last["message"]
    )
    assert trainer.causes == ["Requested"]
    assert not world.status(key).get("candidate")


@pytest.mark.slow
@for_days
async def test_a_drift_confirmed_by_training_rows_is_retrained_and_remedied(world):
    key = await served(world, product(), **RARELY)
    await world.run(26 * HOUR)
    changed = world.loop.time()
    world.cluster.set_quality(image("a"), BAD)
    # Rows of six hours: most of the first ones are older than the drift.
    trainer = Trainer(
        world, key, lambda now: 0.1 + 0.3 * min((now - changed) / (6 * HOUR), 1), hours=6.0
    )
    trainer.changes = 200
    await world.until(lambda: serving(world, key).startswith("t"), seconds=24 * HOUR)
    assert set(trainer.causes) == {"ModelDecay"}
    await world.until(lambda: world.status(key)["state"] == "Healthy", seconds=24 * HOUR)


@pytest.mark.slow
@for_days
async def test_pods_that_an_autoscaler_adds_hide_no_drift(world):
    """Each of them starts for some minutes, while those that were there answer as before."""
    scaling = {"minReplicas": 2, "maxReplicas": 5}
    resources = {"requests": {"cpu": "100m"}}
    body = product(serving={"autoscaling": scaling, "resources": resources})
    key = await served(world, body, **RARELY)
    trainer = Trainer(world, key, lambda _: 0.4)
    trainer.changes = 200
    await world.run(26 * HOUR)
    world.cluster.set_quality(image("a"), replace(BAD, start=1000.0))
    begin, pods = world.loop.time(), 3
    while not trainer.begun and world.loop.time() < begin + 12 * HOUR:
        pods = pods + 1 if pods < 5 else 2
        world.cluster.load[key] = pods
        await world.run(2 * BLOCK)
        cause = world.status(key).get("diagnosis", {}).get("cause")
        assert cause in {None, "ModelDecay"}
    assert trainer.causes == ["ModelDecay"]


INPUTS = [
    {"name": "prices", "freshnessSeconds": 7200, "promql": "time() - max(newest_row_seconds)"},
    {"name": "offers", "contract": "contracts/offers.yaml", "promql": "max(rules_broken)"},
]


@pytest.mark.slow
@for_days
async def test_a_late_feed_is_the_cause_and_prevents_trainings_until_it_is_fresh(world):
    key = await served(world, product(inputs=INPUTS), **RARELY)
    trainer = Trainer(world, key, lambda _: 0.4)
    world.prometheus.inputs |= {"prices": 600.0, "offers": 0.0}
    await world.run(26 * HOUR)
    world.prometheus.inputs["prices"] = 30 * HOUR
    world.cluster.set_quality(image("a"), BAD)
    await world.until(lambda: world.status(key)["state"] == "Degraded", seconds=6 * HOUR)
    diagnosis = world.status(key)["diagnosis"]
    assert diagnosis["cause"] == "InputStale"
    assert diagnosis["message"] == "the newest data of prices are 30 h old, up to 2 h is fresh"
    await world.run(12 * HOUR)
    assert trainer.causes == []
    reason, message = active(world, key)
    assert reason == "InputStale"
    assert diagnosis["message"] in message
    assert (
        "That ends with data that are fresh, or with sluicegate.dev/retrain-requested-at" in message
    )
    assert needs(world, key) == ["DegradedWithoutRemedy"]
    writes: list[Any] = []
    world.server.on_change.append(
        lambda resource, _, after: writes.append(after) if resource == DATA_PRODUCTS else None
    )
    for _ in range(36):  # its age grows in each block
        world.prometheus.inputs["prices"] += BLOCK
        await world.run(BLOCK)
    assert len(writes) <= 3  # numbers are refreshed each hour
    del world.prometheus.inputs["prices"]  # the exporter of a dead feed ends, too
    await world.run(6 * HOUR)
    assert trainer.causes == []
    assert active(world, key)[0] == "InputStale"
    assert "its promql has no value, and it was bad before" in active(world, key)[1]
    world.prometheus.inputs["prices"] = 600.0
    world.cluster.set_quality(image("a"), Quality())
    await world.until(lambda: world.status(key)["state"] == "Healthy", seconds=6 * HOUR)
    assert trainer.causes == []


@pytest.mark.slow
@for_days
async def test_a_feed_that_breaks_its_contract_is_the_cause_and_a_feed_without_a_value_is_not(
    world,
):
    key = await served(world, product(inputs=INPUTS), **RARELY)
    trainer = Trainer(world, key, lambda _: 0.4)
    world.prometheus.inputs["offers"] = 3.0
    await world.run(26 * HOUR)
    world.cluster.set_quality(image("a"), BAD)
    await world.until(lambda: world.status(key)["state"] == "Degraded", seconds=6 * HOUR)
    diagnosis = world.status(key)["diagnosis"]
    assert diagnosis["cause"] == "InputChanged"
    assert diagnosis["message"] == "offers breaks 3 rules of contracts/offers.yaml"
    (stale,) = (one for one in diagnosis["evidence"] if one["check"] == "InputStale")
    assert stale["verdict"] == "Unknown"
    assert active(world, key)[0] == "InputChanged"
    assert trainer.causes == []
    measured = world.condition(key, "MetricsAvailable")
    assert (measured["status"], measured["reason"]) == ("True", "InputUnknown")
    assert "the promql of prices in spec.inputs has no value" in measured["message"]
    world.prometheus.inputs["offers"] = 0.0
    await world.until(lambda: trainer.causes == ["ModelDecay"], seconds=6 * HOUR)


@pytest.mark.slow
@for_days
async def test_a_product_that_stays_bad_after_a_late_feed_is_at_risk_until_one_hour_is_judged(
    world,
):
    """Blocks of the late feed are left out, and what follows them is never called met."""
    key = await served(world, product(inputs=INPUTS), **RARELY)
    trainer = Trainer(world, key, lambda _: 0.4)
    world.prometheus.inputs |= {"prices": 30 * HOUR, "offers": 2.0}
    await world.run(26 * HOUR)
    world.cluster.set_quality(image("a"), BAD)
    await world.until(lambda: world.status(key)["state"] == "Degraded", seconds=6 * HOUR)
    assert world.status(key)["diagnosis"]["message"] == (
        "the newest data of prices are 30 h old, up to 2 h is fresh;"
        " offers breaks 2 rules of contracts/offers.yaml"
    )
    world.prometheus.inputs |= {"prices": 600.0, "offers": 0.0}
    states: list[str] = []
    while trainer.causes == [] and len(states) < 4 * HOUR / BLOCK:
        await world.run(BLOCK)
        states.append(world.status(key)["state"])
    assert trainer.causes == ["ModelDecay"]
    assert "Healthy" not in states
    assert "Degrading" in states


@pytest.mark.slow
@for_days
async def test_a_feed_that_is_late_every_other_hour_leaves_no_evidence_for_a_training(world):
    key = await served(world, product(inputs=INPUTS), **RARELY)
    trainer = Trainer(world, key, lambda _: 0.4)
    world.prometheus.inputs |= {"prices": 600.0, "offers": 0.0}
    await world.run(26 * HOUR)
    world.cluster.set_quality(image("a"), BAD)
    for _ in range(12):
        world.prometheus.inputs["prices"] = 30 * HOUR
        await world.run(HOUR)
        world.prometheus.inputs["prices"] = 600.0
        await world.run(HOUR)
        assert world.status(key)["state"] != "Healthy"
    assert trainer.causes == []


@pytest.mark.slow
@for_days
async def test_an_edited_margin_does_not_end_a_degradation(world):
    manual = {"command": ["train"], "output": OUTPUT, "mode": "Manual"}
    body = product(retraining=manual)
    (slo,) = body["spec"]["slos"]
    key = await served(world, body, **RARELY)
    await world.run(26 * HOUR)
    world.cluster.set_quality(image("a"), BAD)
    await world.until(lambda: world.status(key)["state"] == "Degraded", seconds=6 * HOUR)
    diagnosis = world.status(key)["diagnosis"]
    for margins in ({"maxRegression": "0.04"}, {"maxRegression": "0.04", "maxDrop": "0.06"}):
        world.edit(key, slos=[{**slo, **margins}])
        for _ in range(6):
            await world.run(BLOCK)
            assert world.status(key)["state"] == "Degraded"
    assert world.status(key)["diagnosis"]["diagnosisTime"] == diagnosis["diagnosisTime"]


@pytest.mark.slow
@for_days
async def test_a_degraded_product_that_cannot_be_measured_still_needs_a_person(world):
    (slo,) = product()["spec"]["slos"]
    key = await served(world, product(slos=[{**slo, "onDegraded": "Alert"}]), **RARELY)
    await world.run(26 * HOUR)
    world.cluster.set_quality(image("a"), BAD)
    await world.until(lambda: world.status(key)["state"] == "Degraded", seconds=6 * HOUR)
    assert needs(world, key) == ["DegradedWithoutRemedy"]
    world.prometheus.lies[""] = Lie.REFUSED
    await world.run(HOUR)
    assert world.status(key)["state"] == "Unknown"
    met = world.condition(key, "SLOMet")
    assert (met["status"], met["reason"]) == ("False", "ObjectiveMissed")
    assert met["message"].startswith("accuracy was missed when it was last measured; ")
    assert needs(world, key) == ["DegradedWithoutRemedy"]
    del world.prometheus.lies[""]
    world.cluster.set_quality(image("a"), Quality())
    await world.until(
        lambda: world.condition(key, "SLOMet").get("reason") == "Recovering", seconds=6 * HOUR
    )
    message = world.condition(key, "SLOMet")["message"]
    assert (
        "it has recovered an hour, and twelve blocks, after as much evidence as found the fall"
        in message
    )


@pytest.mark.slow
@for_days
async def test_a_past_incident_is_excluded_within_hours_and_delays_no_later_detection(
    world,
):
    body = product()
    body["spec"]["slos"][0]["onDegraded"] = "Alert"
    key = await served(world, body, **RARELY)
    await world.run(26 * HOUR)
    for _ in range(2):
        world.cluster.set_quality(image("a"), BAD)
        await world.until(lambda: world.status(key)["state"] == "Degraded", seconds=2.5 * HOUR)
        world.cluster.set_quality(image("a"), Quality())
        # An hour that is whole, as much evidence as the fall had, and the hour of calm.
        await world.until(lambda: world.status(key)["state"] == "Healthy", seconds=4 * HOUR)
        assert slo(world, key) == ("Met", "WithinObjective")
        await world.run(4 * HOUR)
