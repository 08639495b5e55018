"""What becomes of a training's result, and whether another one may begin, by what it depends on."""

from __future__ import annotations

from functools import partial
from itertools import product as every

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.versions import Release
from sluicegate.policy.model.observed import TrainingFailed, TrainingSucceeded
from sluicegate.policy.retraining import challenger, preconditions
from sluicegate.policy.training_results import training_ended
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs
from tests.support.decisions.changes import changes, plain
from tests.support.decisions.combinations import by_line, by_outcome
from tests.support.decisions.judged import (
    BLOCK,
    START,
    V1,
    V2,
    candidate,
    judged_by,
    observed,
    parked,
    series,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

pytestmark = pytest.mark.slow

TRAINING = {"command": ["train"], "output": "registry.example/search"}
MADE = Release("v9", "registry.example/search@sha256:v9")
GATED = {**TRAINING, "gate": {"accuracy": {"maxRegression": "0.02"}}}
SPECS = {"as it is": TRAINING, "gated": GATED}
NOW = START + 3600
EVALUATIONS = {
    "nothing": ({}, {}),
    "better": ({"accuracy": Count(200, 5000)}, {"accuracy": Count(500, 5000)}),
    "equal": ({"accuracy": Count(500, 5000)}, {"accuracy": Count(500, 5000)}),
    "equal in few": ({"accuracy": Count(10, 100)}, {"accuracy": Count(10, 100)}),
    "worse": ({"accuracy": Count(800, 5000)}, {"accuracy": Count(500, 5000)}),
    "a little worse": ({"accuracy": Count(551, 5000)}, {"accuracy": Count(500, 5000)}),
    "worse in another": (
        {"accuracy": Count(200, 5000), "availability": Count(90, 100)},
        {"accuracy": Count(500, 5000), "availability": Count(0, 100)},
    ),
}
PAIRS = {
    "no rows": {},
    "better rows": {"accuracy": Pairs(4300, 400, 100, 200)},
    "equal rows": {"accuracy": Pairs(4400, 200, 200, 200)},
    "worse rows": {"accuracy": Pairs(4300, 100, 400, 200)},
}
CAUSES = {"a remedy": Reason.MODEL_DECAY, "a challenger": Reason.SCHEDULED}


COOLDOWNS = {
    None: judged_by(ACCURACY, retraining=TRAINING),
    7200: judged_by(ACCURACY, retraining=TRAINING | {"cooldownSeconds": 7200}),
}


def trigger(cause: Reason) -> Trigger:
    slo = "accuracy" if cause is Reason.MODEL_DECAY else ""
    return Trigger(id="t", cause=cause, slo=slo, version="v1", trigger_time=NOW - 1000)


def result(evaluation="better", rows="no rows", *, parent=V1, release=MADE, of="t"):
    ours, theirs = EVALUATIONS[evaluation]
    return TrainingSucceeded(of, parent, release, ours, theirs, PAIRS[rows], START - 86_400)


def told(terms, status, arrived) -> list[str]:
    found = training_ended(terms, status, observed(block=100, training=arrived), NOW)
    if found is None:
        return ["nothing"]
    made, taken = found.decision, found.takes_up_training
    line = f"{made.type} {made.reason}, {taken}: {made.message} {plain(made.numbers)}"
    return [line, *changes(status, found.status)]


def test_a_result_is_judged_by_its_hold_out(golden):
    outcomes = {}
    for spec, cause, rows, evaluation in every(SPECS, CAUSES, PAIRS, EVALUATIONS):
        terms = judged_by(
            AVAILABILITY, ACCURACY, retraining=SPECS[spec], rollout={"steps": [5, 50]}
        )
        running = RetrainingStatus(
            trigger=trigger(CAUSES[cause]), attempt=1, unsuccessful_attempts=1
        )
        arrived = result(evaluation, rows)
        found = told(terms, serving(retraining=running), arrived)
        outcomes[spec, cause, rows, evaluation] = found
    golden("trainings/results.txt", by_line(outcomes))


def test_a_result_that_comes_when_something_else_has_happened(golden):
    terms = judged_by(ACCURACY, retraining=TRAINING)
    running = RetrainingStatus(
        trigger=trigger(Reason.MODEL_DECAY), attempt=1, unsuccessful_attempts=2
    )
    statuses = {
        "it runs": serving(retraining=running),
        "none runs": serving(retraining=RetrainingStatus(unsuccessful_attempts=2)),
        "v2 is tried": serving(retraining=running, candidate=candidate(5)),
        "v2 is parked": serving(retraining=running, candidate=parked(candidate(5))),
        "no version serves": serving(retraining=running, stable=None),
    }
    results = {
        "nothing": None,
        "failed": TrainingFailed("t", Reason.JOB_FAILED, "out of memory"),
        "another failed": TrainingFailed("u", Reason.JOB_FAILED, "out of memory"),
        "made": result(),
        "of another": result(of="u"),
        "of a person": result(of=""),
        "of another parent": result(parent=V2),
        "its name is taken": result(release=Release("v1", "registry.example/search@sha256:v9")),
    }
    others = {
        "it runs, without spec": judged_by(ACCURACY, retraining=None),
        "it runs, deprecated": judged_by(ACCURACY, retraining=TRAINING, lifecycle="Deprecated"),
    }
    outcomes = {
        (name, said): told(terms, statuses[name], results[said])
        for name, said in every(statuses, results)
    } | {(name, "nothing"): told(others[name], statuses["it runs"], None) for name in others}
    golden("trainings/arrivals.txt", by_line(outcomes))


def told_since(seconds: int, moment: int) -> float:
    return (NOW - moment) / seconds


def test_when_the_labels_of_a_cooldown_suffice(golden):
    """It began 6,400 s ago, and events to detect a drop come in each `seconds` once."""
    outcomes = {}
    for given, failures, last, reason, seconds, degraded in every(
        COOLDOWNS,
        (0, 1, 2),
        (None, 3200, 3201),
        (Reason.JOB_FAILED, Reason.NOT_SHOWN_BETTER),
        (1600, 3200, 6400, 6401),
        (None, 12_800, 12_801),
    ):
        trained = RetrainingStatus(
            unsuccessful_attempts=failures, last_duration_seconds=last, last_reason=str(reason)
        )
        pause = preconditions.cooldown(COOLDOWNS[given], trained)
        asked = preconditions.RetrainingRequest(
            COOLDOWNS[given],
            serving(
                stable=stable(since=START - 200_000),
                retraining=trained.replace(next_allowed_time=NOW - 6400 + pause),
            ),
            observed().portfolio,
            NOW,
            has_told=partial(told_since, seconds),
            degraded_since=None if degraded is None else NOW - degraded,
        )
        words = (given, failures, last, reason, seconds, degraded)
        outcomes[tuple(map(str, words))] = (
            "may begin" if preconditions.obstacle(asked) is None else "waits"
        )
    inputs = ("cooldown", "failures", "the last took", "it ended by", "seconds", "degraded for")
    golden("trainings/cooldowns.txt", by_outcome(outcomes, *inputs))


def test_how_long_a_cooldown_lasts(golden):
    outcomes = {}
    for given, failures, last in every(COOLDOWNS, range(5), (None, 600, 3601, 43_201, 400_000)):
        trained = RetrainingStatus(unsuccessful_attempts=failures, last_duration_seconds=last)
        pause = preconditions.cooldown(COOLDOWNS[given], trained)
        for left in (0, 1):
            asked = preconditions.RetrainingRequest(
                COOLDOWNS[given],
                serving(
                    stable=stable(since=START - 200_000),
                    retraining=trained.replace(next_allowed_time=NOW + left),
                ),
                observed().portfolio,
                NOW,
            )
            found = preconditions.obstacle(asked)
            words = (given, failures, last, left)
            outcomes[tuple(map(str, words))] = f"{pause} {found and found.message}"
    inputs = ("cooldown", "failures", "the last took", "seconds left")
    golden("trainings/pauses.txt", by_outcome(outcomes, *inputs))


def test_when_a_challenger_is_due(golden):
    schedules = {
        "none": {},
        "a day": {"schedule": {"everySeconds": 86_400}},
        "1,000 labels": {"schedule": {"everyLabels": 1000}},
        "both": {"schedule": {"everySeconds": 86_400, "everyLabels": 1000}},
    }
    counts = series(*[(0, 10)] * 288, first=START // BLOCK - 287)
    seen = observed(
        block=START // BLOCK, series={"v1": {"accuracy": counts, "availability": counts}}
    )
    outcomes = {}
    for schedule, since, suspected in every(
        schedules,
        (0, 43_199, 43_200, 86_399, 86_400, 15_000, 15_001, 30_000, 30_001),
        (False, True),
    ):
        terms = judged_by(AVAILABILITY, ACCURACY, retraining=TRAINING | schedules[schedule])
        for before in ("never trained", "trained then"):
            trained = RetrainingStatus(
                last_training_time=START - since if before == "trained then" else None,
                unsuccessful_attempts=1,
            )
            status = serving(stable=stable(since=START - since), retraining=trained)
            found = challenger.due(terms, status, seen, suspected=suspected, now=START)
            told = found and [
                found.reason,
                found.message,
                found.trigger,
                found.attempt,
                found.parent,
            ]
            words = (schedule, str(since), "suspected" if suspected else "fine", before)
            outcomes[words] = str(told and plain(told))
    golden("trainings/challengers.txt", by_outcome(outcomes))
