"""Canaries, probation and the way back: what the specification says of histories drawn by chance.

Written from the specification alone. A candidate gets the share that was decided for it.
"""

from itertools import pairwise

import pytest

from tests.support.decisions.histories import World, always, bursts, decisions, from_block, good
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


def test_what_was_rolled_back_is_not_tried_again_by_itself():
    lines = world(good(0.4), last=300, events=[changed(), changed(block=200)]).play()
    assert kinds(lines).count("StartRollout") == 1


def test_a_new_model_supersedes_the_candidate_and_is_tried_instead():
    lines = world(good(), last=200, events=[changed(), changed("v3", 36)]).play()
    assert "v2 is superseded" in decisions(lines, "StartRollout")[1]["decision"]["message"]
    assert kinds(lines)[-4:] == PROMOTED
    assert ended(lines) == ("v3", None, 0)
    seen = [line["candidate"] for line in lines]
    assert "v2" not in seen[seen.index("v3") :]


def test_a_model_that_goes_back_to_stable_ends_the_canary_for_good():
    lines = world(good(), events=[changed(), changed("v1", 36)]).play()
    assert kinds(lines).count("StartRollout") == 1
    assert {line["candidate"] for line in lines[36:]} == {None}
    assert {line["weight"] for line in lines[36:]} == {0}
    assert lines[-1]["stable"] == "v1"
    assert {line["state"] for line in lines[3:]} == {"Healthy"}


def test_a_person_decides_about_the_last_step_where_the_product_says_so():
    wish = product(EASY, ACCURACY, rollout={"approval": "Manual"})
    lines = world(good(), product=wish).play()
    assert "Promote" not in kinds(lines)
    assert lines[-1]["candidate"] == "v2"
    assert lines[-1]["weight"] > 0


def silent(first, last=10_000):
    def trouble(index, block):
        kept = dict(block["counts"])
        if first <= index < last:
            kept.pop("v2", None)
        return {**block, "counts": kept}

    return trouble


@pytest.mark.parametrize("first", [0, 42])
def test_a_candidate_that_is_silent_while_stable_serves_goes_back(first):
    lines = world(good(), problem=silent(first)).play()
    assert acts(lines)[-1] == ("Rollback", "CanaryNoData")
    back = decisions(lines, "Rollback")[0]["at"] // BLOCK
    assert back == pytest.approx(max(first, START + 1) + 10, abs=3)


def away(first, last, block=None):
    def trouble(index, counted):
        if first <= index < last:
            return (
                block(counted)
                if block
                else {
                    "at": counted["at"],
                    "unavailable": "PrometheusUnavailable",
                }
            )
        return counted

    return trouble


def test_a_short_outage_of_prometheus_holds_a_canary_and_no_more():
    lines = world(good(), problem=away(36, 40)).play()
    assert {line["decision"]["type"] for line in lines[35:39]} <= {"Hold", "Alert"}
    assert len({line["weight"] for line in lines[34:39]}) == 1
    assert {line["state"] for line in lines[35:39]} == {"Unknown"}
    assert [kind for kind in kinds(lines) if kind != "Alert"] == PROMOTED


def test_half_an_hour_without_prometheus_ends_a_canary_without_blame():
    lines = world(good(), problem=away(36, 60)).play()
    told = [kind for kind in kinds(lines) if kind != "Alert"]
    assert told[:3] == ["StartRollout", "Inconclusive", "StartRollout"], "tried again afterwards"
    ended = decisions(lines, "Inconclusive")[0]["at"]
    assert ended - 35 * BLOCK == pytest.approx(1800, abs=BLOCK)
    away_too = [line for line in lines if ended < line["at"] < 60 * BLOCK]
    assert away_too
    assert {(line["weight"], line["stable"]) for line in away_too} == {(0, "v1")}
    assert (told[-1], lines[-1]["stable"]) == ("Promote", "v2")


def without_labels(block):
    counts = {version: {"accuracy": slos["accuracy"]} for version, slos in block["counts"].items()}
    return {**block, "counts": counts}


def with_every(change):
    def replaced(block):
        return {
            **block,
            "counts": {
                version: {slo: change(**one) for slo, one in slos.items()}
                for version, slos in block["counts"].items()
            },
        }

    return replaced


@pytest.mark.parametrize(
    "trouble",
    [
        lambda block: {"at": block["at"]},
        lambda block: {**block, "counts": {}},
        lambda block: {**block, "coverage": "0.5"},
        lambda block: {**block, "coverage": "0"},
        lambda block: {**block, "unavailable": "PrometheusStale"},
        with_every(lambda bad, total: count(total * 2 + bad + 1, total)),
        with_every(lambda bad, total: count(0, 0)),
        with_every(lambda bad, total: count(0, 0) if total else count(bad, 0)),
        without_labels,
    ],
)
def test_a_canary_that_nobody_can_see_never_advances(trouble):
    lines = world(good(), problem=away(START + 1, 400, trouble), last=100).play()
    assert not {"Advance", "Promote", "Retrain"} & set(kinds(lines))
    assert lines[-1]["stable"] == "v1"


def test_a_candidate_with_too_little_traffic_ends_after_its_time():
    traffic = {"availability": 40, "accuracy": 4}
    four_hours = product(EASY, ACCURACY, rollout={"maxDurationSeconds": 14_400})
    lines = world(good(), product=four_hours, traffic=traffic, last=120).play()
    start = decisions(lines, "StartRollout")[0]["at"]
    over = decisions(lines, "Inconclusive")[0]["at"]
    assert over - start == pytest.approx(14_400, abs=BLOCK)
    assert kinds(lines)[-1] == "Inconclusive"
    assert (lines[-1]["stable"], lines[-1]["weight"]) == ("v1", 0)


def test_a_night_holds_a_canary_and_the_morning_goes_on():
    lines = world(good(), busy=lambda index: float(not 38 <= index < 60)).play()
    night = lines[38:59]
    assert {line["decision"]["type"] for line in night} == {"Hold"}
    assert len({line["weight"] for line in night}) == 1
    assert kinds(lines) == PROMOTED


def test_shocks_that_both_arms_share_do_not_send_back_an_equal_candidate():
    def shocked(index):
        return 0.03 if index % 9 < 3 else 0.001

    rate = {"availability": shocked, "accuracy": always(0.1)}
    easier = product({**AVAILABILITY, "objective": "0.97"}, ACCURACY)
    lines = world(
        rate, product=easier, rates={"v1": rate}, busy=lambda i: 0.4 + i % 7 / 5, last=54
    ).play()
    assert kinds(lines) == PROMOTED


def test_a_chain_of_slightly_worse_versions_does_not_walk_away():
    worse = {number: 0.1 + 0.01 * (number - 1) for number in range(1, 8)}
    rates = {f"v{number}": good(rate) for number, rate in worse.items()}
    events = [changed(f"v{number}", 30 + 60 * (number - 2)) for number in range(2, 8)]
    loose = product(EASY, {**ACCURACY, "objective": "0.50"})
    lines = world(good(), rates=rates, events=events, last=380, product=loose).play()
    promoted = len(decisions(lines, "Promote"))
    assert 1 <= promoted < 6
    assert worse[int(lines[-1]["stable"][1:])] < 0.1 + 0.03


@pytest.mark.parametrize("wish", ["Auto", "Retrain", "Alert", "Rollback"])
def test_what_fails_right_after_its_promotion_goes_back_whatever_the_wish(wish):
    rates = {"availability": always(0.0002), "accuracy": from_block(75, 0.1, 0.4)}
    lines = world(rates, last=200, product=product(EASY, {**ACCURACY, "onDegraded": wish})).play()
    assert kinds(lines) == [*PROMOTED, "Rollback"]
    assert ended(lines) == ("v1", None, 0)


def test_ill_pods_of_a_candidate_send_it_back():
    lines = world(good(), facts=[{"at": 36 * BLOCK, "podsUnhealthy": True}]).play()
    assert not {"Advance", "Promote", "Retrain"} & set(kinds(lines[35:]))


def test_a_suspension_keeps_stable_where_it_is():
    lines = world(good(), product=product(EASY, ACCURACY, suspend=True)).play()
    assert {line["weight"] for line in lines} == {0}
    assert {line["stable"] for line in lines} == {"v1"}


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
