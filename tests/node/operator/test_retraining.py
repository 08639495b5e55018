"""Retrainings that don't help: stable keeps serving, and status has the reason in one word."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.support.prometheus.server import rows

pytestmark = [pytest.mark.story, pytest.mark.timeout(400)]


def retraining(status):
    return status.get("retraining") or {}


def test_a_retrained_version_that_is_worse_on_live_traffic_is_rolled_back_without_a_failed_request(
    world,
):
    training = world.retraining(env={"LEARNER_FAULT": "wrong"})
    world.product.apply(world.spec("v1", retraining=training))
    world.product.until_ready()
    with world.visitors() as visitors:
        world.product.annotate("retrain-requested-at", "first")
        world.product.until(
            lambda status: (status.get("candidate") or {}).get("weight"),
            seconds=180,
            what="a canary",
        )
        status = world.product.until(
            lambda status: status.get("history") and not status.get("candidate"),
            seconds=180,
            what="the canary to go back",
        )
        mark = visitors.tally.versions["v1"]
        world.product.until(lambda _: visitors.tally.versions["v1"] - mark > 100, what="answers")

    assert not visitors.tally.failures
    assert status["stable"]["version"] == "v1"
    (refused,) = status["history"]
    assert (refused["version"], refused["outcome"], refused["reason"]) == (
        *("v2", "RolledBack"),
        "CanaryWorse",
    )
    assert status["retraining"]["unsuccessfulAttempts"] == 1
    assert status["retraining"]["lastReason"] == "CanaryWorse"
    next_allowed = datetime.fromisoformat(status["retraining"]["nextAllowedTime"])
    assert (next_allowed - datetime.fromisoformat(refused["endTime"])).total_seconds() >= 600
    (route,) = world.product.listed("gateway.networking.k8s.io/v1/httproutes")
    backends = route["spec"]["rules"][0]["backendRefs"]
    weights = {backend["name"]: backend["weight"] for backend in backends if backend["weight"]}
    assert weights == {f"learner-{status['stable']['revision']}": 100}
    assert visitors.tally.versions["v2"] > 0
    # Labels of both versions reach stable's pods alone.
    pairs = "version, prediction_version"
    labels = f'sluicegate_predictions_labelled_total{{namespace="{world.product.namespace}"}}'
    counted = rows(world.where.prometheus, f"sum by ({pairs}) (max_over_time({labels}[5m])) > 0")
    reporters = {(row["metric"]["version"], row["metric"]["prediction_version"]) for row in counted}
    assert reporters == {("v1", "v1"), ("v1", "v2")}


@pytest.mark.parametrize(
    ("fault", "timeout", "reason", "said"),
    [
        ("training-crashes", 300, "JobFailed", "the training set does not fit"),
        pytest.param(
            *("training-hangs", 15, "TimedOut", "retraining.timeoutSeconds"),
            marks=pytest.mark.nightly,
        ),
    ],
    ids=["crashes", "hangs"],
)
def test_a_failed_training_reports_its_reason_and_does_not_affect_stable(
    world, fault, timeout, reason, said
):
    training = world.retraining(env={"LEARNER_FAULT": fault}, timeoutSeconds=timeout)
    world.product.apply(world.spec("v1", retraining=training))
    before = world.product.until_ready()

    world.product.annotate("retrain-requested-at", "first")
    with world.visitors(per_second=5) as visitors:
        status = world.product.until(
            lambda status: retraining(status).get("lastReason") and not status.get("candidate"),
            seconds=200,
            what="the attempt to end",
        )

    assert retraining(status)["lastReason"] == reason
    assert retraining(status)["unsuccessfulAttempts"] == 1
    assert "trigger" not in retraining(status)
    assert status["stable"] == before["stable"]
    assert set(visitors.tally.versions) == {"v1"}
    assert not visitors.tally.failures
    world.product.until_reported(said)
