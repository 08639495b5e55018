"""Challengers: trained although nothing is wrong, and served only if shown to be better."""

from itertools import pairwise

import pytest

from sluicegate.policy.model.decision import Retrain
from sluicegate.simulation.replay import Replay, replay
from sluicegate.simulation.replay_scenario import Retrained, parse_scenario
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs
from tests.support.decisions.decays import EASY
from tests.support.decisions.scenarios import (
    ACCURACY,
    BLOCK,
    acts,
    count,
    product,
    run,
    scenario,
    steady,
)

RETRAINING = {"command": ["python", "-m", "train"], "output": "registry.example/search"}
DROP_ONLY = {name: value for name, value in ACCURACY.items() if name != "objective"}


def challenged(every=2_000, **schedule):
    asked = {**RETRAINING, "schedule": schedule or {"everyLabels": every}}
    return product(EASY, ACCURACY, rollout={"steps": [50]}, retraining=asked)


def rows(right, stable, candidate, wrong):
    """Return a hold-out by who was right."""
    names = ("bothRight", "onlyStableWrong", "onlyCandidateWrong", "bothWrong")
    pairs = dict(zip(names, (right, stable, candidate, wrong), strict=True))
    total = right + stable + candidate + wrong
    return {
        "evaluation": {"accuracy": count(candidate + wrong, total)},
        "stableEvaluation": {"accuracy": count(stable + wrong, total)},
        "pairs": {"accuracy": pairs},
    }


BETTER, EQUAL, WORSE = rows(420, 40, 10, 30), rows(420, 26, 24, 30), rows(420, 10, 40, 30)


def trained(block, result, version="v2"):
    return {"at": block * BLOCK, "retrained": {"version": version, **result}}


def both(index):
    counts = {"v1": steady(0.1, 200)}
    return counts if index <= 14 else {**counts, "v2": steady(0.04, 200)}


def decisions(lines):
    return [line["decision"] for line in lines]


def test_a_challenger_that_is_proved_better_is_promoted():
    lines = run(scenario(both, 60, product=challenged(), events=[trained(14, BETTER)]))
    assert acts(lines)[:3] == [
        ("Retrain", "Scheduled"),
        ("StartRollout", "GatePassed"),
        ("Promote", "CanaryNotWorse"),
    ]
    assert decisions(lines)[9]["message"].startswith("2,000 labels have come")
    assert {line["stable"] for line in lines[40:]} == {"v2"}


def test_a_promoted_challenger_has_the_cause_scheduled():
    told = scenario(both, 60, product=challenged(), events=[trained(14, BETTER)])
    *_, last = replay(parse_scenario(told))
    assert (last.status.stable.version, last.status.stable.cause) == ("v2", "Scheduled")
    assert [past_version.cause for past_version in last.status.history] == [""], (
        "v1 was never trained"
    )


@pytest.mark.parametrize("result", [EQUAL, WORSE, {"evaluation": BETTER["evaluation"]}])
def test_a_challenger_not_proved_better_is_dropped_and_delays_no_later_challenger(result):
    stable = {"v1": steady(0.1, 200)}
    lines = run(scenario(lambda _: stable, 29, product=challenged(), events=[trained(14, result)]))
    dropped = [decision for decision in decisions(lines) if decision["reason"] == "NotShownBetter"]
    assert len(dropped) == 1
    assert dropped[0]["type"] == "Hold"
    assert lines[-1]["stable"] == "v1"
    turns = [line["at"] // BLOCK for line in lines if line["decision"]["reason"] == "Scheduled"]
    assert turns == [10, 20], "the next has its turn as if it hadn't been"


def test_a_challenger_without_pairs_is_not_proved_better_by_counts_alone():
    """Without pairs nothing is known of the rows, so the difference of two counts is no proof."""
    counts = {name: BETTER[name] for name in ("evaluation", "stableEvaluation")}
    lines = run(scenario(both, 16, product=challenged(), events=[trained(14, counts)]))
    assert decisions(lines)[13]["reason"] == "NotShownBetter"


def test_every_seconds_schedules_a_challenger_in_each_period():
    asked = challenged(everySeconds=6 * BLOCK)
    lines = run(scenario(both, 8, product=asked))
    assert [line["at"] for line in lines if line["decision"]["reason"] == "Scheduled"] == [
        6 * BLOCK
    ]


def test_a_challenger_is_trained_after_half_the_period_if_answers_are_worse():
    def script(index):
        return {"v1": steady(0.13, 200)}

    worse = run(scenario(script, 12, product=challenged(), accepted={"accuracy": count(50, 500)}))
    fine = run(scenario(script, 12, product=challenged(), accepted={"accuracy": count(65, 500)}))
    turns = [
        next(line["at"] // BLOCK for line in lines if line["decision"]["reason"] == "Scheduled")
        for lines in (worse, fine)
    ]
    assert turns == [5, 10]


@pytest.mark.parametrize(
    "other", [{"mode": "Manual"}, {"mode": "Disabled"}], ids=["manual", "disabled"]
)
def test_no_challenger_is_trained_where_the_operator_may_not_train(other):
    asked = challenged()
    asked["spec"]["retraining"] |= other
    assert acts(run(scenario(both, 40, product=asked))) == []


def test_a_failed_challenger_does_not_suspend_retraining():
    failing = [
        {"at": block * BLOCK, "retrainingFailed": {"message": "x"}} for block in (11, 21, 31, 41)
    ]
    lines = run(scenario(both, 52, product=challenged(), events=failing))
    turns = [line for line in lines if line["decision"]["reason"] == "Scheduled"]
    assert len(turns) == 5


# ---- defaults: a user who gives maxDrop and a training command ----------------------------------
def _halves(one, other, index):
    """Return fifty labels in five minutes; those of v2 come once it is there."""
    if index <= 140:
        return {"v1": {"accuracy": count(round(50 * one), 50)}}
    return {
        "v1": {"accuracy": count(round(25 * one), 25)},
        "v2": {"accuracy": count(round(25 * other), 25)},
    }


def decaying(index):
    return _halves(0.12 if index < 60 else 0.2, 0.12, index)


def defaults(**spec):
    return product(DROP_ONLY, retraining=RETRAINING, **spec)


def judged(script, last, event, **spec):
    """Return the decisions on a product with defaults that was accepted at 12 % wrong."""
    accepted = {"accuracy": count(60, 500)}
    history = scenario(script, last, product=defaults(**spec), accepted=accepted, events=[event])
    return run(history)


MUCH_BETTER = rows(440, 45, 5, 10)


def test_a_product_with_only_max_drop_and_a_training_command_is_retrained():
    """Fifty labels in five minutes, a hold-out of 500 rows: too few for fixed steps and margins."""
    lines = judged(decaying, 180, trained(140, MUCH_BETTER))
    assert acts(lines) == [
        ("Retrain", "ModelDecay"),
        ("StartRollout", "GatePassed"),
        ("Promote", "CanaryNotWorse"),
    ]
    start = next(decision for decision in decisions(lines) if decision["type"] == "StartRollout")
    assert "gets 50 % of the traffic" in start["message"], "5 % of it would take hours"
    assert "up to 3 points is allowed" in start["message"]


REMEDY = rows(395, 45, 15, 45)
"""As good on the hold-out as it is in production, 88 %, where stable has fallen to 82 %."""


def followed(index):
    """Return fifty labels in a block, half of them v3's once it is trained."""
    if index <= 200:
        return decaying(index)
    half = {"accuracy": count(3, 25)}
    return {"v2": half, "v3": half}


def after_a_remedy(last, *events, **retraining):
    """Return the decisions other than Hold and Advance after v2 replaced v1 for a decay."""
    asked = product(DROP_ONLY, retraining=RETRAINING | retraining)
    accepted = {"accuracy": count(60, 500)}
    trainings = [trained(140, REMEDY), *events]
    lines = run(scenario(followed, last, product=asked, accepted=accepted, events=trainings))
    return [line for line in lines if line["decision"]["type"] not in {"Hold", "Advance"}]


def reasons_after_a_remedy(*events, **retraining):
    return [line["decision"]["reason"] for line in after_a_remedy(*events, **retraining)]


def test_a_remedy_is_followed_by_a_challenger_after_twice_the_time_of_its_training():
    first, *_, follow_up = after_a_remedy(200)
    assert (follow_up["at"] - first["at"]) // BLOCK == 2 * (140 - 98)
    assert follow_up["decision"]["reason"] == "FollowUp"
    assert follow_up["decision"]["message"] == (
        "v2 was trained soon after a change; 3,700 labels have come since that training began, so a"
        " challenger is trained on them"
    )


def test_a_follow_up_training_that_is_proved_better_is_followed_by_another_training():
    reasons = reasons_after_a_remedy(330, trained(200, BETTER, "v3"))
    assert reasons[3:] == ["FollowUp", "GatePassed", "CanaryNotWorse", "FollowUp"]


def test_a_follow_up_training_that_is_not_proved_better_is_the_last():
    assert reasons_after_a_remedy(330, trained(200, EQUAL, "v3"))[3:] == ["FollowUp"]


def test_a_version_restored_by_a_rollback_has_no_second_follow_up_training():
    """Its follow-up v3 fails after its promotion; another one would be trained from the same code."""

    def script(index):
        counts = followed(index)
        failing = 0.5 if index > 260 else 0.0
        available = {"v2": count(0, 500), "v3": count(round(500 * failing), 500)}
        return {
            name: {**one, "availability": available.get(name, count(0, 500))}
            for name, one in counts.items()
        }

    asked = product(EASY, DROP_ONLY, retraining=RETRAINING)
    accepted = {"accuracy": count(60, 500)}
    events = [trained(140, REMEDY), trained(200, BETTER, "v3")]
    lines = run(scenario(script, 500, product=asked, accepted=accepted, events=events))
    assert lines[-1]["stable"] == "v2"
    assert "Rollback" in [kind for kind, _ in acts(lines)]
    follow_ups = [line["stable"] for line in lines if line["decision"]["reason"] == "FollowUp"]
    assert follow_ups.count("v2") == 1


@pytest.mark.parametrize(
    ("other", "ends"),
    [
        ({"mode": "Manual"}, []),
        ({"cooldownSeconds": 50 * BLOCK}, ["FollowUp"]),
        ({"cooldownSeconds": 86_400}, []),
    ],
    ids=["a person decides on each training", "the given cooldown is over", "it lasts"],
)
def test_a_follow_up_training_waits_for_the_cooldown_of_the_spec_without_an_approval(other, ends):
    assert reasons_after_a_remedy(260, **other)[3:] == ends


def test_a_training_only_as_good_as_the_degraded_version_is_no_remedy():
    """As stable it would make the level that it was trained against the accepted one."""
    none = rows(400, 24, 26, 50)
    lines = judged(decaying, 150, trained(140, none))
    told = [decision for decision in decisions(lines) if decision["reason"] == "NotShownBetter"]
    assert [one["type"] for one in told] == ["Alert"]
    assert "isn't shown to be a remedy" in told[0]["message"]
    assert lines[-1]["stable"] == "v1"


def test_the_rollout_steps_of_the_spec_apply_to_challengers():
    lines = judged(decaying, 150, trained(140, MUCH_BETTER), rollout={"steps": [5, 25, 50]})
    start = next(decision for decision in decisions(lines) if decision["type"] == "StartRollout")
    assert "gets 5 % of the traffic" in start["message"]


@pytest.mark.parametrize(
    ("ended", "labels"),
    [
        ({"retrained": {"version": "v2", **rows(400, 24, 26, 50)}}, (800, 900)),
        ({"retrained": {"version": "v2", **rows(380, 20, 60, 40)}}, (1_600, 1_700)),
        ({"retrainingFailed": {"message": "out of memory"}}, None),
    ],
    ids=["no remedy", "worse", "failed"],
)
def test_the_cooldown_ends_once_there_are_enough_labels_to_detect_a_drop(ended, labels):
    """About 800 labels show three points of 12 %: twice as many after a worse one, a day after a failure."""
    lines = judged(decaying, 152, {"at": 102 * BLOCK, **ended})
    turns = [line["at"] // BLOCK for line in lines if line["decision"]["type"] == "Retrain"]
    assert len(turns) == (1 if labels is None else 2)
    if labels is not None:
        least, most = labels
        assert least <= 50 * (turns[1] - 102) <= most


def test_a_degradation_without_a_remedy_is_retrained_at_growing_intervals():
    """Each pause is as long as the degradation has lasted, once that is longer than a drop takes to show."""
    history = parse_scenario(
        scenario(
            lambda index: {"v1": {"accuracy": count(6 if index < 60 else 10, 50)}},
            330,
            product=defaults(),
            accepted={"accuracy": count(60, 500)},
        )
    )
    world, turns = Replay(history), []
    for block in history.blocks:
        if isinstance(world.advance(block).evaluation.decision, Retrain):
            turns.append(block.at // BLOCK)
            counts = {"accuracy": Count(76, 500)}, {"accuracy": Count(74, 500)}
            equal = Retrained(f"v{len(turns) + 1}", *counts, {"accuracy": Pairs(400, 24, 26, 50)})
            world.expect([(block.at + BLOCK, equal)])
    pauses = [later - earlier for earlier, later in pairwise(turns)]
    assert 16 <= pauses[0] <= 18, "about 800 labels tell three points of 12 %"
    assert len(pauses) >= 4
    assert all(later >= 1.9 * earlier for earlier, later in pairwise(pauses[1:]))


# ---- probation of a version that was shown to be better ------------------------------------------
def moving(index):
    """Return the world moves once more after v2 took over: both would be worse in it."""
    return _halves(0.12 if index < 60 else 0.2, 0.12 if index < 180 else 0.3, index)


def test_a_version_proved_better_is_not_rolled_back_for_old_counts_of_stable():
    lines = judged(moving, 260, trained(140, MUCH_BETTER))
    assert [act for act in acts(lines) if act[0] == "Rollback"] == []
    assert acts(lines).count(("Retrain", "ModelDecay")) == 2, "it is trained for that world"


def test_a_retrained_version_that_does_worse_on_probation_is_rolled_back():
    counts = {name: MUCH_BETTER[name] for name in ("evaluation", "stableEvaluation")}
    lines = judged(moving, 260, trained(140, counts))
    assert ("Rollback", "ProbationFailed") in acts(lines)
