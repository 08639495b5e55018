"""One batch of labels a day: a canary that ends before it comes says nothing of the answers."""

import pytest

from tests.support.decisions.decays import EASY
from tests.support.decisions.scenarios import ACCURACY, acts, count, first, product, run, scenario

HOUR, DAY = 3600, 24
PUSHED = 8 * DAY + 2
"""Hours until v2 is pushed, two hours after a batch."""


def daily(candidate: float, labels: int = 6_000):
    """Return blocks of an hour.

    Both versions have half of the labels of a day, v1 a tenth of them bad.
    """

    def version(index: int, bad: float):
        batch = labels if index % DAY == 0 else 0
        return {"availability": count(0, 6_000), "accuracy": count(round(bad * batch), batch)}

    def script(index: int):
        both = {"v1": version(index, 0.1)}
        return both | ({"v2": version(index, candidate)} if index > PUSHED else {})

    return script


def played(candidate: float, days: int = 10, **rollout: object):
    pushed = [{"at": PUSHED * HOUR, "modelChanged": {"version": "v2"}}]
    slow = product(EASY, ACCURACY, analysis={"blockSeconds": HOUR}, rollout=rollout or None)
    last = PUSHED + days * DAY
    return run(scenario(daily(candidate), last, seconds=HOUR, product=slow, events=pushed))


def test_a_canary_waits_for_the_label_batches_that_it_needs():
    lines = played(0.1)
    promoted = first(lines, "Promote")
    assert promoted["at"] >= (PUSHED // DAY + 1) * DAY * HOUR
    assert "in accuracy" in promoted["decision"]["message"]
    assert acts(lines)[-1][0] == "Promote"


def test_request_slos_raise_the_share_while_labels_are_awaited():
    lines = played(0.1)
    waiting = [line for line in lines if line["at"] == (PUSHED // DAY + 1) * DAY * HOUR - HOUR]
    assert [line["weight"] for line in waiting] == [50]


def test_a_worse_candidate_is_not_promoted_before_its_labels_arrive():
    lines = played(0.13)
    assert "Promote" not in [kind for kind, _ in acts(lines)]


@pytest.mark.parametrize("candidate", [0.1, 0.13])
def test_a_promotion_after_a_short_max_duration_names_the_slos_without_evidence(candidate):
    promoted = first(played(candidate, days=1, maxDurationSeconds=4 * HOUR), "Promote")
    assert (
        "without enough evidence in accuracy (n=0), IfAvailable" in promoted["decision"]["message"]
    )
