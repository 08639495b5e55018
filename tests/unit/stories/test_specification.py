"""What the specification says of histories drawn by chance: of decays, and of candidates.

Written from the specification alone. Counts are binomial draws, and follow what was decided: a
candidate gets the share that was decided for it.
"""

from itertools import pairwise

import pytest

from tests.support.decisions.decays import EASY, changed
from tests.support.decisions.histories import (
    World,
    always,
    bursts,
    decisions,
    fails_each,
    from_block,
    good,
    reasons,
)
from tests.support.decisions.scenarios import (
    ACCURACY,
    AVAILABILITY,
    BLOCK,
    LATENCY,
    acts,
    count,
    product,
)

pytestmark = pytest.mark.slow

DAY = 288
BASELINE = {"accuracy": count(500, 5000)}
PASSED = {
    "version": "v2",
    "evaluation": {"accuracy": count(500, 5000)},
    "stableEvaluation": {"accuracy": count(1500, 5000)},
}
FAST_LATENCY = {"availability": always(0.0002), "latency": always(0.003), "accuracy": always(0.1)}


def decay(to=0.3, since=60, **rates):
    return {
        "availability": always(0.0002),
        "accuracy": from_block(since, 0.1, to),
        **rates,
    }


def world(rates=None, last=150, **fields):
    fields = {"product": product(), "accepted": BASELINE, **fields}
    return World(rates={"v1": rates or decay(), "v2": good()}, last=last, **fields)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("drop", "days", "labels"),
    [(0.06, 3, 17), (0.06, 9, 2), (0.03, 7, 17), (0.12, 1, 17)],
)
def test_a_lasting_drop_is_detected_and_retrained_once(seed, drop, days, labels):
    traffic = {"availability": 6000, "accuracy": labels}
    lines = world(decay(0.1 + drop, DAY), (1 + days) * DAY, traffic=traffic, seed=seed).play()
    assert acts(lines[:DAY]) == []
    assert acts(lines) == [("Retrain", "ModelDecay")]
    assert decisions(lines, "Retrain")[0]["state"] == "Degraded"


@pytest.mark.parametrize("seed", [1, 2])
def test_a_product_unchanged_since_acceptance_starts_no_action_for_ten_days(seed):
    traffic = {"availability": 6000, "accuracy": 17}
    lines = world(good(), 10 * DAY, traffic=traffic, seed=seed).play()
    assert acts(lines) == []
    assert {line["state"] for line in lines[2:]} == {"Healthy"}


def test_an_error_exactly_at_the_objective_does_not_flap():
    slo = {**ACCURACY, "objective": "0.90", "maxDrop": None}
    slo = {name: value for name, value in slo.items() if value is not None}
    lines = world(
        good(),
        15 * DAY,
        product=product(AVAILABILITY, {**slo, "onDegraded": "Alert"}),
        traffic={"availability": 600, "accuracy": 2},
        accepted=None,
    ).play()
    entries = sum(
        before["state"] != "Degraded" == after["state"] for before, after in pairwise(lines)
    )
    assert entries <= 3


def test_slowness_within_the_objective_is_measured_from_acceptance():
    rates = {**FAST_LATENCY, "latency": from_block(60, 0.003, 0.03)}
    slow = {**LATENCY, "objective": "0.95", "maxDrop": "0.01"}
    lines = world(
        rates,
        product=product(AVAILABILITY, slow, ACCURACY),
        accepted={**BASELINE, "latency": count(60, 20_000)},
    ).play()
    assert acts(lines) == [("Retrain", "ModelTooSlow")]


def test_failing_requests_do_not_prevent_the_retraining_of_a_decay():
    rates = decay(availability=from_block(60, 0.0002, 0.05))
    lines = world(rates, 300).play()
    assert len(decisions(lines, "Retrain")) == 1


def test_a_promotion_resets_the_count_of_failed_trainings():
    def react(lines):
        return fails_each()(lines)[:2] + [
            {"at": line["at"] + BLOCK, "retrained": PASSED}
            for line in decisions(lines, "Retrain")[2:3]
        ]

    quick = {"command": ["train"], "output": "registry.example/search", "cooldownSeconds": 3600}
    lines = world(last=2 * DAY, product=product(retraining=quick), react=react).play()
    assert len(decisions(lines, "Promote")) == 1
    assert "RetrainSuspended" not in reasons(lines)
    assert lines[-1]["stable"] == "v2"


# ---- candidates -------------------------------------------------------------------------------
START = 30
PROMOTED = ["StartRollout", "Advance", "Advance", "Promote"]


def pushed(candidate, last=150, **fields):
    fields = {
        "product": product(EASY, ACCURACY),
        "accepted": BASELINE,
        "events": [changed(START, "v2")],
        **fields,
    }
    rates = {"v1": good(), "v2": candidate, **fields.pop("rates", {})}
    return World(rates=rates, last=last, **fields)


def kinds(lines):
    return [kind for kind, _ in acts(lines)]


def weights(lines):
    return [
        line["weight"] for line in decisions(lines, "StartRollout") + decisions(lines, "Advance")
    ]


def ended(lines):
    return lines[-1]["stable"], lines[-1]["candidate"], lines[-1]["weight"]


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_an_equal_candidate_passes_all_steps(seed):
    lines = pushed(good(), seed=seed).play()
    assert kinds(lines) == PROMOTED
    assert weights(lines) == [5, 25, 50]
    assert ended(lines) == ("v2", None, 0)
    moved = [line["at"] for line in lines if line["decision"]["type"] != "Hold"]
    assert all(after - before >= 7 * BLOCK for before, after in pairwise(moved))


def test_the_rollout_steps_of_the_spec_are_taken():
    lines = pushed(
        good(), product=product(EASY, ACCURACY, rollout={"steps": [1, 10, 40, 80]})
    ).play()
    assert weights(lines) == [1, 10, 40, 80]
    assert kinds(lines)[-1] == "Promote"


@pytest.mark.parametrize("seed", range(10))
def test_a_candidate_that_is_much_worse_is_never_promoted_however_few_its_labels(seed):
    labels = (10, 30, 100)[seed % 3]
    traffic = {"availability": 6000, "accuracy": labels}
    lines = pushed(good(0.22), traffic=traffic, seed=seed).play()
    assert "Promote" not in kinds(lines)
    assert lines[-1]["stable"] == "v1"
    if labels >= 100:
        assert kinds(lines)[-1] == "Rollback"


def test_a_broken_candidate_is_rolled_back_after_the_first_counted_block():
    lines = pushed(good(availability=1.0)).play()
    assert kinds(lines) == ["StartRollout", "Rollback"]
    start, back = (line["at"] for line in lines if line["decision"]["type"] != "Hold")
    assert back - start == 3 * BLOCK
    assert ended(lines) == ("v1", None, 0)


def test_shocks_shared_by_both_versions_do_not_roll_back_an_equal_candidate():
    def shocked(index):
        return 0.03 if index % 9 < 3 else 0.001

    rate = {"availability": shocked, "accuracy": always(0.1)}
    easier = product({**AVAILABILITY, "objective": "0.97"}, ACCURACY)
    lines = pushed(
        rate, product=easier, rates={"v1": rate}, busy=lambda i: 0.4 + i % 7 / 5, last=54
    ).play()
    assert kinds(lines) == PROMOTED


@pytest.mark.parametrize("seed", [4, 13, 20])
def test_bursts_do_not_fail_the_probation_of_an_equal_version(seed):
    versions = {
        version: {"availability": bursts(0.005, 0.01, (version, seed)), "accuracy": always(0.1)}
        for version in ("v1", "v2")
    }
    lines = pushed(
        good(),
        rates=versions,
        traffic={"availability": 3000, "accuracy": 600},
        product=product({**AVAILABILITY, "objective": "0.98"}, ACCURACY),
        events=[changed(60, "v2")],
        last=200,
        seed=seed,
    ).play()
    assert lines[-1]["stable"] == "v2"
