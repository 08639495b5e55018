"""What attempts without a promotion leave, and what ends a pause."""

from __future__ import annotations

import pytest

from sluicegate.api.names import REQUEST_RETRAIN
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.status import LastHandled
from sluicegate.policy.model.terms import job_inputs
from sluicegate.policy.retraining import pauses
from tests.support.decisions.judged import judged_by, serving
from tests.support.decisions.scenarios import ACCURACY

TRAINING = {"command": ["train"], "output": "registry.example/search"}
NOW, DAY, HOUR = 1_767_225_600, 86_400, 3600
TERMS = judged_by(ACCURACY, retraining=TRAINING)


def trained(cause: str = "ModelDecay", **fields):
    """Return a product whose training began ten minutes ago."""
    why = Trigger(id="t", cause=cause, version="v1", trigger_time=NOW - 600)
    return serving(retraining=RetrainingStatus(trigger=why, **fields))


def after(status, reason, *, failed=True, terms=TERMS) -> RetrainingStatus:
    found = pauses.with_ended_attempt(
        terms, status, now=NOW, reason=reason, failed=failed
    ).retraining
    assert found is not None
    assert found.trigger is None
    return found


def test_each_further_failed_training_doubles_the_pause():
    left = after(trained(unsuccessful_attempts=1), Reason.JOB_FAILED)
    assert (left.unsuccessful_attempts, left.next_allowed_time) == (2, NOW + 2 * DAY)


def test_a_failed_challenger_does_not_pause_remedial_trainings_and_has_its_own_count():
    left = after(trained("Scheduled", unsuccessful_challengers=2), Reason.JOB_FAILED)
    assert (left.unsuccessful_challengers, left.unsuccessful_attempts) == (3, 0)
    assert left.next_allowed_time is None
    assert not left.suspended


def test_trainings_without_a_remedy_are_counted_separately_from_failures():
    left = after(trained(attempts_without_remedy=2), Reason.NOT_SHOWN_BETTER, failed=False)
    assert (left.attempts_without_remedy, left.unsuccessful_attempts) == (3, 0)


@pytest.mark.parametrize(("given", "hours"), [({}, 24), ({"cooldownSeconds": HOUR}, 4)])
def test_a_cooldown_of_the_spec_doubles_after_each_training_without_a_remedy(given, hours):
    """Where the pause follows from labels, their number grows instead."""
    terms = judged_by(ACCURACY, retraining=TRAINING | given)
    before = trained(attempts_without_remedy=2)
    left = after(before, Reason.NOT_SHOWN_BETTER, failed=False, terms=terms)
    assert left.next_allowed_time == NOW + hours * HOUR


@pytest.mark.parametrize(("before", "minutes"), [(0, 1), (1, 2), (4, 16), (9, 30)])
def test_a_lost_training_job_is_retried_soon_and_is_no_failure(before, minutes):
    left = pauses.with_lost_job(trained(lost_jobs=before), NOW).retraining
    assert (left.unsuccessful_attempts, left.next_allowed_time) == (0, None)
    assert (left.lost_jobs, left.retry_time) == (before + 1, NOW + 60 * minutes)


def test_a_training_request_is_pending_again_after_its_job_was_lost():
    handled = LastHandled().with_token(REQUEST_RETRAIN, "now")
    status = trained("Requested").replace(last_handled=handled)
    assert pauses.with_lost_job(status, NOW).last_handled.token(REQUEST_RETRAIN) == ""


def test_a_challenger_is_trained_again_after_its_job_was_lost():
    status = trained(
        "Scheduled", last_training_time=NOW - 600, previous_training_time=NOW - 3 * DAY
    )
    left = pauses.with_lost_job(status, NOW).retraining
    assert left.last_training_time == NOW - 3 * DAY, "its schedule counts from the one before"


PAUSED = {"unsuccessful_attempts": 3, "next_allowed_time": NOW + DAY, "lost_jobs": 1}
SPECS = {
    "the command": ({"retraining": TRAINING | {"command": ["corrected"]}}, True),
    "the pause": ({"retraining": TRAINING | {"cooldownSeconds": 10}}, True),
    "the resources": (
        {"retraining": TRAINING | {"resources": {"requests": {"memory": "2Gi"}}}}, True,
    ),
    "the image": ({"serving": {"runtimeImage": f"r.example/r@sha256:{'1' * 64}"}}, True),
    "nothing": ({}, False),
    "the schedule": ({"retraining": TRAINING | {"schedule": {"everyLabels": 500}}}, False),
    "the mode": ({"retraining": TRAINING | {"mode": "Manual"}}, False),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "ends"), SPECS.values(), ids=SPECS)
def test_a_changed_input_of_the_training_ends_the_pause(spec, ends):
    status = serving().with_retraining(inputs=TERMS.retraining.inputs, **PAUSED)
    terms = judged_by(ACCURACY, **{"retraining": TRAINING, **spec})
    found = pauses.with_corrected_pauses(terms, status, now=NOW, degraded=True).retraining
    assert (found.next_allowed_time is None) is ends
    assert (found.unsuccessful_attempts == 0) is ends
    assert found.suspended is not ends


def test_a_changed_objective_ends_the_pause_of_trainings():
    status = serving().with_retraining(inputs=TERMS.retraining.inputs, **PAUSED)
    terms = judged_by(ACCURACY | {"objective": "0.70"}, retraining=TRAINING)
    assert (
        pauses.with_corrected_pauses(
            terms, status, now=NOW, degraded=True
        ).retraining.next_allowed_time
        is None
    )


def test_an_invalid_spec_does_not_end_the_pause_of_trainings():
    """The nearest valid value of the runtime image is one that no person chose."""
    status = serving().with_retraining(inputs=TERMS.retraining.inputs, **PAUSED)
    terms = judged_by(ACCURACY, retraining=TRAINING, serving={"runtimeImage": "r.example/r:1"})
    found = pauses.with_corrected_pauses(
        terms, status, now=NOW, degraded=True, withheld="spec.serving: …"
    )
    assert found == status


@pytest.mark.parametrize(
    ("sentence", "slo", "spec", "same"),
    [
        ("an objective", {"objective": "0.70"}, {}, True),
        ("the runtime image of the spec", {}, {"serving": {"runtimeImage": "r.example/r:1"}}, True),
        ("the pause", {}, {"retraining": TRAINING | {"cooldownSeconds": 10}}, True),
        ("the gate", {}, {"retraining": TRAINING | {"gate": {"accuracy": {}}}}, True),
        ("the command", {}, {"retraining": TRAINING | {"command": ["fit"]}}, False),
        ("a pull secret", {}, {"serving": {"imagePullSecrets": [{"name": "pull"}]}}, False),
    ],
)
def test_a_waiting_job_is_replaced_only_if_a_field_that_the_job_reads_changes(
    sentence, slo, spec, same
):
    terms = judged_by(ACCURACY | slo, **{"retraining": TRAINING, **spec})
    before, now = (job_inputs(one.retraining.inputs) for one in (TERMS, terms))
    assert (before == now) is same, sentence
    assert terms.retraining.inputs != TERMS.retraining.inputs, "each ends a pause"


def test_a_field_that_neither_training_nor_verdict_reads_does_not_end_a_pause():
    for field in ({"canaryEvidence": "Required"}, {"seasonality": "Weekly"}):
        terms = judged_by(ACCURACY | field, retraining=TRAINING)
        assert terms.retraining.inputs == TERMS.retraining.inputs


def test_a_pause_recorded_by_a_clock_one_day_ahead_is_cut_to_the_longest_pause():
    ahead = serving().with_retraining(next_allowed_time=NOW + 2 * DAY)
    left = pauses.with_corrected_pauses(TERMS, ahead, now=NOW, degraded=True).retraining
    assert left.next_allowed_time == NOW + DAY
    assert pauses.with_corrected_pauses(
        TERMS, ahead.replace(retraining=left), now=NOW, degraded=True
    ) == (ahead.replace(retraining=left))


def test_a_spec_correction_during_a_training_cancels_the_pause_after_it():
    running = trained(inputs="what it began with", unsuccessful_attempts=1)
    assert pauses.with_corrected_pauses(TERMS, running, now=NOW, degraded=True) == running
    failed = pauses.with_ended_attempt(
        TERMS, running, now=NOW, reason=Reason.JOB_FAILED, failed=True
    )
    assert (
        pauses.with_corrected_pauses(
            TERMS, failed, now=NOW, degraded=True
        ).retraining.next_allowed_time
        is None
    )


def test_a_status_of_an_older_operator_keeps_its_pause():
    status = serving(retraining=RetrainingStatus(**PAUSED))
    assert pauses.with_corrected_pauses(TERMS, status, now=NOW, degraded=True) == status


@pytest.mark.parametrize(("degraded", "left"), [(True, 3), (False, 0)])
def test_trainings_without_a_remedy_are_counted_per_degradation(degraded, left):
    status = serving(retraining=RetrainingStatus(attempts_without_remedy=3))
    found = (
        pauses.with_corrected_pauses(TERMS, status, now=NOW, degraded=degraded).retraining
        or RetrainingStatus()
    )
    assert found.attempts_without_remedy == left
