"""What stands in the way of a retraining, and which of several is reported."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.policy.model.observed import Portfolio
from sluicegate.policy.retraining.pauses import cooldown
from sluicegate.policy.retraining.preconditions import RetrainingRequest, obstacle, trigger_of
from tests.support.decisions.judged import BLOCK, candidate, judged_by, parked, serving
from tests.support.decisions.scenarios import ACCURACY

TRAINING = {"command": ["train"], "output": "registry.example/search"}
NOW = 14 * BLOCK
"""Stable is accepted at 0, so that it is just old enough."""
WHY = Trigger(id="t", cause="ModelDecay", slo="accuracy", version="v1", trigger_time=NOW - 600)


def asked(retraining=TRAINING, now=NOW, slot=True, **fields) -> RetrainingRequest:
    """Return a request of a product that may be retrained, but for what is given."""
    spec = {name: fields.pop(name) for name in ("lifecycle",) if name in fields}
    trained = RetrainingStatus(
        **{name: fields.pop(name) for name in RetrainingStatus.model_fields if name in fields}
    )
    status = serving(retraining=trained, **fields)
    terms = judged_by(ACCURACY, retraining=retraining, **spec)
    return RetrainingRequest(terms, status, Portfolio(slot=slot), now)


@pytest.mark.parametrize(
    ("fields", "reason", "says", "needs_person"),
    [
        ({"lifecycle": "Deprecated"}, Reason.LIFECYCLE_ENDED, "is Deprecated", True),
        ({"retraining": None}, Reason.RETRAINING_DISABLED, "is missing", True),
        (
            {"retraining": {**TRAINING, "mode": "Disabled"}},
            Reason.RETRAINING_DISABLED,
            "is Disabled",
            True,
        ),
        ({"trigger": WHY, "attempt": 2}, Reason.ALREADY_RETRAINING, "2 has run for 10 min", False),
        ({"candidate": candidate(5)}, Reason.CANARY_IN_PROGRESS, "v2 is being tried at 5 %", False),
        ({"unsuccessful_attempts": 3}, Reason.RETRAIN_SUSPENDED, "3 attempts in a row", True),
        (
            {"retraining": {**TRAINING, "mode": "Manual"}},
            Reason.MANUAL_MODE,
            "retrain-requested-at",
            True,
        ),
        ({"stable": None}, Reason.NO_STABLE, "no version", False),
        ({"now": NOW - 1}, Reason.VERSION_TOO_YOUNG, "13 blocks old, 14 are needed", False),
        ({"next_allowed_time": NOW + 1}, Reason.COOLING_DOWN, "another 1 s", False),
        ({"retry_time": NOW + 60}, Reason.INFRASTRUCTURE, "created in 1 min", False),
        ({"slot": False}, Reason.NO_SLOT, "other products", False),
    ],
)
def test_an_obstacle_to_a_training_has_a_reason_and_states_if_a_person_is_needed(
    fields, reason, says, needs_person
):
    found = obstacle(asked(**fields))
    assert found is not None
    assert (found.reason, found.needs_person) == (reason, needs_person)
    assert says in found.message


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"candidate": parked(candidate(5))},
        {"unsuccessful_attempts": 2},
        {"next_allowed_time": NOW},
    ],
)
def test_a_training_starts_at_the_last_value_within_each_precondition(fields):
    assert obstacle(asked(**fields)) is None


@pytest.mark.parametrize(
    ("failures", "last", "days"),
    [(0, 0, 1), (1, 0, 1), (2, 0, 2), (3, 0, 4), (4, 0, 7), (1, 86_400, 2)],
)
def test_the_cooldown_between_trainings_doubles_up_to_one_week(failures, last, days):
    trained = RetrainingStatus(unsuccessful_attempts=failures, last_duration_seconds=last)
    assert cooldown(asked().terms, trained) == days * 86_400


DAY, HOUR = 86_400, 12 * BLOCK


@pytest.mark.parametrize(
    ("fields", "told", "over"),
    [
        ({}, lambda _since: 1.0, True),
        ({}, lambda _since: 0.99, False),
        ({"retraining": {**TRAINING, "cooldownSeconds": DAY}}, lambda _since: 9.0, False),
        ({"passed": HOUR - 1}, lambda _since: 9.0, False),
        ({"last_duration_seconds": HOUR}, lambda _since: 9.0, False),
        ({"unsuccessful_attempts": 1, "last_reason": "TimedOut"}, lambda _since: 9.0, False),
        ({"unsuccessful_attempts": 1, "last_reason": "WorseOnHoldOut"}, lambda _since: 2.0, True),
        ({"unsuccessful_attempts": 1, "last_reason": "WorseOnHoldOut"}, lambda _since: 1.9, False),
        ({"unsuccessful_attempts": 1, "last_reason": "HoldOutTooSmall"}, lambda _since: 2.0, True),
        ({"unsuccessful_attempts": 1, "last_reason": "NotShownBetter"}, lambda _since: 2.0, True),
    ],
    ids=[
        "enough events", "too few events", "a given cooldown", "within an hour",
        "within twice the last training", "another failure", "worse on the hold-out",
        "worse on the hold-out and too few events", "too small a hold-out after a failure",
        "not shown better after a failure",
    ],
)  # fmt: skip
def test_a_default_cooldown_ends_early_after_enough_events(fields, told, over):
    request = asked(**{name: value for name, value in fields.items() if name != "passed"})
    ends = NOW + cooldown(request.terms, request.retraining_status)
    status = request.status.with_retraining(next_allowed_time=ends)
    found = obstacle(
        replace(
            request, status=status, now=NOW + fields.get("passed", HOUR), label_share_since=told
        )
    )
    assert (found is None) is over


@pytest.mark.parametrize(
    ("bad_for", "over"), [(HOUR, True), (2 * HOUR, False)], ids=["as many", "twice as many"]
)
def test_a_degradation_without_a_remedy_is_retrained_after_the_same_number_of_new_events(
    bad_for, over
):
    """Events come evenly, a detectable drop's worth an hour, and one hour of the cooldown is over."""
    request = asked()
    now = NOW + HOUR
    status = request.status.with_retraining(next_allowed_time=NOW + DAY)
    again = replace(
        request,
        status=status,
        now=now,
        label_share_since=lambda since: (now - since) / HOUR,
        degraded_since=NOW - bad_for,
    )
    assert (obstacle(again) is None) is over


def test_a_training_trigger_has_a_deterministic_name_per_version_slo_and_block():
    terms = asked().terms
    assert trigger_of(terms, "v1", "accuracy", 7) == trigger_of(terms, "v1", "accuracy", 7)
    assert len({trigger_of(terms, "v1", "accuracy", block) for block in range(50)}) == 50
