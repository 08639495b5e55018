"""What a replay gives to decisions: by the rules of the operator, from what a file can say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.errors import InvalidInput
from sluicegate.policy.model.decision import Alert, Retrain
from sluicegate.simulation.replay import Replay, replay
from sluicegate.simulation.replay_scenario import parse_scenario
from sluicegate.slo.blocks import Quality
from sluicegate.stats.counts import Count
from tests.support.decisions.scenarios import count, product, scenario

if TYPE_CHECKING:
    from sluicegate.policy.model.observed import Observed

LIMITED = {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}


def given(blocks: list[dict[str, Any]], **fields: Any) -> Observed:
    """The inputs after these blocks."""
    document = scenario(lambda _: None, 0, accepted=None, **fields) | {"blocks": blocks}
    read = parse_scenario(document)
    running, now = Replay(read), 0
    for block in read.blocks:
        now = running.take_in(block)
    return running.observed(now)


def block(at: int, accuracy: Any = None, **fields: Any) -> dict[str, Any]:
    said = count(1, 10) if accuracy is None else accuracy
    return {"at": at, "counts": {"v1": {"availability": count(0, 100), "accuracy": said}}, **fields}


def accuracy(observed: Observed) -> tuple[Quality, Count]:
    """The newest block of accuracy."""
    series = observed.counts("v1", "accuracy")
    assert series is not None
    newest = series.block(observed.block)
    return newest.quality, newest.count


def test_a_replay_block_is_complete_once_its_last_part_was_read():
    parts = [block(at) for at in range(60, 301, 60)]
    before = given(parts[:4])
    series = before.counts("v1", "accuracy")
    assert before.block == 0
    assert series is not None
    assert not series.had_events
    assert accuracy(given(parts)) == (Quality.COUNTED, Count(5, 50))


@pytest.mark.parametrize(
    ("lost", "quality", "bad"), [(1, Quality.COUNTED, 4), (2, Quality.LOW_COVERAGE, 0)]
)
def test_a_replay_block_counts_if_at_most_a_fifth_of_it_is_missing(lost, quality, bad):
    ends = range(60, 301, 60)
    parts = [block(at, "LowCoverage" if at <= 60 * lost else None) for at in ends]
    assert accuracy(given(parts)) == (quality, Count(bad, 10 * bad))


def test_an_slo_whose_counts_are_unavailable_has_a_problem_of_its_own():
    observed = given([block(300), block(600, "Unavailable")])
    assert observed.problem is None
    assert observed.problems == {"accuracy": Reason.PROMETHEUS_UNAVAILABLE}


@pytest.mark.parametrize("reason", ["PrometheusUnavailable", "PrometheusStale", "Backfilling"])
def test_an_unreadable_replay_block_gives_no_facts(reason):
    assert given([block(300), {"at": 600, "unavailable": reason}]).problem == reason
    assert given([{"at": 300, "unavailable": reason}]).problem == reason


@pytest.mark.parametrize(
    ("serving", "stated", "lacks"),
    [
        ({}, {}, (False, False)),
        (LIMITED, {}, (None, None)),
        (LIMITED, {"cpuThrottled": True, "memoryPressure": False}, (True, False)),
        ({}, {"cpuThrottled": True}, (True, False)),
    ],
)
def test_containers_with_limits_but_without_usage_are_unknown_in_a_replay(serving, stated, lacks):
    facts = given([block(300)], product=product(serving=serving), facts=[{"at": 0, **stated}]).facts
    assert (facts.cpu_throttled, facts.memory_pressure) == lacks


def test_an_upstream_in_a_replay_is_degraded_from_the_time_of_the_file():
    facts = [{"at": 100, "upstreamDegraded": ["prices"]}, {"at": 400, "upstreamDegraded": []}]
    during = given([block(300)], facts=facts).facts
    assert (during.upstream_degraded, during.upstream_since) == (("prices",), 100)
    after = given([block(300), block(600)], facts=facts).facts
    assert (after.upstream_degraded, after.upstream_since) == ((), None)


def test_client_errors_are_counted_while_versions_are_compared():
    with_errors = block(300)
    with_errors["counts"]["v1"]["clientErrors"] = count(1, 100)
    assert given([with_errors]).series["v1"].keys() == {"availability", "accuracy"}


MARKETS = {
    "markets": ["FR", "AT"],
    "serving": {"runtimeImage": "r:1", "market": {"from": "Header"}, "feedback": {"secretRef": {"name": "f"}}},
}  # fmt: skip


def counted(at: int, **bad: int) -> dict[str, Any]:
    """A block of 100 labels in each of these markets."""
    counts = {f"accuracy@{market}": count(number, 100) for market, number in bad.items()}
    every = {"availability": count(0, 1000), "accuracy": count(sum(bad.values()), 100 * len(bad))}
    return {"at": at, "counts": {"v1": every | counts}}


def test_a_replay_reads_counts_by_market_as_the_operator_does():
    spec = product(**MARKETS)
    observed = given([counted(300, FR=5), counted(600, FR=6, AT=40)], product=spec)
    markets = observed.markets["accuracy"]
    assert {name: series.block(2).count for name, series in markets.items()} == {
        "FR": Count(6, 100), "AT": Count(40, 100),
    }  # fmt: skip
    assert markets["AT"].block(1).quality is Quality.NO_SERIES


def test_a_market_that_a_product_doesnt_count_is_refused_in_a_file():
    with pytest.raises(InvalidInput) as found:
        given([counted(300, DE=5)], product=product(**MARKETS))
    assert "counts.v1.accuracy@DE" in str(found.value)


def test_a_replay_retrains_for_a_market_that_falls_alone():
    accuracy = {"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.88",
                "markets": {"onMissed": "Retrain"}}  # fmt: skip
    spec = product(
        **MARKETS, slos=[accuracy], retraining={"command": ["t"], "output": "r.example/x"}
    )
    blocks = [_shares(300 * n, austria=2 if n < 60 else 12) for n in range(1, 120)]
    document = scenario(lambda _: None, 0, accepted=None, product=spec) | {"blocks": blocks}
    read = parse_scenario(document)
    decisions = [step.evaluation.decision for step in replay(read)]
    (training,) = [decision for decision in decisions if isinstance(decision, Retrain)]
    assert (training.slo, training.market) == ("accuracy", "AT")


def _shares(at: int, austria: int) -> dict[str, Any]:
    """A block of 400 labels in France, of which 24 are wrong, and 20 in Austria."""
    counts = {"accuracy@FR": count(24, 400), "accuracy@AT": count(austria, 20)}
    return {"at": at, "counts": {"v1": {"accuracy": count(24 + austria, 420)} | counts}}


def test_a_market_that_its_training_did_not_remedy_is_not_retrained_again():
    """It is better on the whole, so it is promoted; what it was trained for, it doesn't remedy."""
    accuracy = {"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.80",
                "maxDrop": "0.05", "markets": {"onMissed": "Retrain"}}  # fmt: skip
    spec = product(
        **MARKETS,
        slos=[accuracy],
        rollout={"steps": [50]},
        retraining={"command": ["t"], "output": "r.example/x", "cooldownSeconds": 0},
    )
    result = {"version": "v2", "evaluation": {"accuracy": count(200, 4000)},
              "stableEvaluation": {"accuracy": count(800, 4000)}}  # fmt: skip
    blocks = [_shares_of_both(300 * n, austria=2 if n < 60 else 12) for n in range(1, 320)]
    document = scenario(lambda _: None, 0, accepted=None, product=spec) | {"blocks": blocks}
    document["events"] = [{"at": 300 * 150, "retrained": result}]
    steps = [step.evaluation for step in replay(parse_scenario(document))]
    decisions = [step.decision for step in steps]
    (training,) = [decision for decision in decisions if isinstance(decision, Retrain)]
    assert (training.slo, training.market) == ("accuracy", "AT")
    assert steps[-1].status.stable.version == "v2"
    alerts = [decision for decision in decisions if isinstance(decision, Alert)]
    assert len(alerts) == 1
    assert "v2 was trained for AT and misses accuracy there from its beginning" in alerts[0].message


def _with_two_bad_markets(at: int, *versions: str) -> dict[str, Any]:
    """A block of each version: Austria and Belgium are bad from 5 h on, and France better by v2."""
    bad = 2 if at < 300 * 60 else 12
    counts = {
        name: {
            "accuracy": count((24 if name == "v1" else 8) + 2 * bad, 440),
            "accuracy@FR": count(24 if name == "v1" else 8, 400),
            "accuracy@AT": count(bad, 20),
            "accuracy@BE": count(bad, 20),
        }
        for name in versions
    }
    return {"at": at, "counts": counts}


def test_two_markets_that_no_training_remedies_are_each_retrained_for_once():
    accuracy = {"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.80",
                "maxDrop": "0.05", "markets": {"onMissed": "Retrain"}}  # fmt: skip
    spec = product(
        **MARKETS | {"markets": ["FR", "AT", "BE"]},
        slos=[accuracy],
        rollout={"steps": [50]},
        retraining={"command": ["t"], "output": "r.example/x", "cooldownSeconds": 0},
    )
    every = ("v1", "v2", "v3", "v4")
    blocks = [_with_two_bad_markets(300 * n, *every) for n in range(1, 900)]
    document = scenario(lambda _: None, 0, accepted=None, product=spec) | {"blocks": blocks}
    result = {"evaluation": {"accuracy": count(200, 4000)},
              "stableEvaluation": {"accuracy": count(800, 4000)}}  # fmt: skip
    document["events"] = [
        {"at": 300 * at, "retrained": {"version": name, **result}}
        for name, at in (("v2", 150), ("v3", 400), ("v4", 650))
    ]
    steps = [step.evaluation for step in replay(parse_scenario(document))]
    decisions = [step.decision for step in steps]
    trained = [
        decision.market for decision in decisions if isinstance(decision, Retrain) and decision.slo
    ]
    assert sorted(trained) == ["AT", "BE"]
    alerts = [decision.message for decision in decisions if isinstance(decision, Alert)]
    assert any("v3 was trained for" in text for text in alerts)
    assert any("a version before v3 was trained for" in text for text in alerts)


def _shares_of_both(at: int, austria: int) -> dict[str, Any]:
    """A block of 400 labels in France for each version, v2 with half of the wrong ones, and 20 in Austria."""
    body = _shares(at, austria)
    counts = {"accuracy@FR": count(8, 400), "accuracy@AT": count(austria, 20)}
    body["counts"]["v2"] = {"accuracy": count(8 + austria, 420)} | counts
    return body


def test_a_replay_keeps_the_diagnosis_that_the_next_evaluation_reads():
    document = scenario(
        lambda index: {"v1": {"accuracy": count(10 if index < 60 else 50, 100)}}, 90
    )
    last = list(replay(parse_scenario(document)))[-1]
    cause = last.evaluation.diagnosis
    assert cause is not None
    assert last.status.diagnosis is not None
    assert (last.status.diagnosis.cause, last.status.diagnosis.message) == (
        cause.cause,
        cause.message,
    )
