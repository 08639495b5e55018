"""Canaries, probation and the way back: what the specification says of histories drawn by chance.

Written from the specification alone. A candidate gets the share that was decided for it.
"""

from itertools import pairwise

import pytest

from tests.support.decisions.histories import World, always, bursts, decisions, good
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY, BLOCK, acts, count, product

pytestmark = pytest.mark.slow

BASELINE = {"accuracy": count(500, 5000)}
START = 30
PROMOTED = ["StartRollout", "Advance", "Advance", "Promote"]
EASY = {**AVAILABILITY, "objective": "0.99"}


def changed(version="v2", block=START):
    return {"at": block * BLOCK, "modelChanged": {"version": version}}


def world(candidate, last=150, **fields):
    fields = {
        "product": product(EASY, ACCURACY),
        "accepted": BASELINE,
        "events": [changed()],
        **fields,
    }
    rates = {"v1": good(), "v2": candidate, "v3": good(), **fields.pop("rates", {})}
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
def test_an_equal_candidate_walks_all_steps(seed):
    lines = world(good(), seed=seed).play()
    assert kinds(lines) == PROMOTED
    assert weights(lines) == [5, 25, 50]
    assert ended(lines) == ("v2", None, 0)
    moved = [line["at"] for line in lines if line["decision"]["type"] != "Hold"]
    assert all(after - before >= 7 * BLOCK for before, after in pairwise(moved))


def test_the_steps_of_the_product_are_taken_as_written():
    lines = world(
        good(), product=product(EASY, ACCURACY, rollout={"steps": [1, 10, 40, 80]})
    ).play()
    assert weights(lines) == [1, 10, 40, 80]
    assert kinds(lines)[-1] == "Promote"


@pytest.mark.parametrize("seed", range(10))
def test_a_candidate_that_is_much_worse_is_never_promoted_however_few_its_labels(seed):
    labels = (10, 30, 100)[seed % 3]
    traffic = {"availability": 6000, "accuracy": labels}
    lines = world(good(0.22), traffic=traffic, seed=seed).play()
    assert "Promote" not in kinds(lines)
    assert lines[-1]["stable"] == "v1"
    if labels >= 100:
        assert kinds(lines)[-1] == "Rollback"


def test_a_broken_candidate_goes_back_with_the_first_block_that_counts():
    lines = world(good(availability=1.0)).play()
    assert kinds(lines) == ["StartRollout", "Rollback"]
    start, back = (line["at"] for line in lines if line["decision"]["type"] != "Hold")
    assert back - start == 3 * BLOCK
    assert ended(lines) == ("v1", None, 0)


def test_shocks_that_both_arms_share_do_not_send_back_an_equal_candidate():
    def shocked(index):
        return 0.03 if index % 9 < 3 else 0.001

    rate = {"availability": shocked, "accuracy": always(0.1)}
    easier = product({**AVAILABILITY, "objective": "0.97"}, ACCURACY)
    lines = world(
        rate, product=easier, rates={"v1": rate}, busy=lambda i: 0.4 + i % 7 / 5, last=54
    ).play()
    assert kinds(lines) == PROMOTED


@pytest.mark.parametrize("seed", [4, 13, 20])
def test_bursts_do_not_fail_the_probation_of_an_equal_version(seed):
    versions = {
        version: {"availability": bursts(0.005, 0.01, (version, seed)), "accuracy": always(0.1)}
        for version in ("v1", "v2")
    }
    lines = world(
        good(),
        rates=versions,
        traffic={"availability": 3000, "accuracy": 600},
        product=product({**AVAILABILITY, "objective": "0.98"}, ACCURACY),
        events=[changed(block=60)],
        last=200,
        seed=seed,
    ).play()
    assert lines[-1]["stable"] == "v2"
