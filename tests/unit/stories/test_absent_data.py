"""Bad or absent data: each row of the design's table, for degradation and for a canary.

The principle behind them: no data never triggers a retraining and never promotes.
"""

import pytest

from tests.support.decisions.blind_blocks import (
    SCRIPTS,
    few_scrapes,
    no_series,
    nothing,
    stale,
    too_many_bad,
    unavailable,
    until,
)
from tests.support.decisions.decays import TRAINED, decaying, one_step, trained
from tests.support.decisions.scenarios import (
    BLOCK,
    acts,
    at,
    count,
    run,
    scenario,
    steady,
    types,
)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_missing_data_never_starts_a_retraining(script):
    lines = run(scenario(script, 400, product=one_step()))
    assert set(types(lines)) <= {"Alert"}


def later(script, block=TRAINED + 4):
    """Return the same fault, a few blocks into a canary."""
    return until(block, script)


FAULTS = {
    "Prometheus away": unavailable,
    "Prometheus stale": stale,
    "no series": no_series,
    "night": nothing,
    "bad above total": too_many_bad,
    "low coverage": few_scrapes,
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_missing_data_never_promotes_a_candidate(fault):
    lines = run(scenario(later(fault), 400, product=one_step(), events=[trained()]))
    assert types(lines)[:2] == ["Retrain", "StartRollout"]
    assert "Promote" not in types(lines)
    assert lines[-1]["stable"] == "v1"


@pytest.mark.slow
def test_a_candidate_with_labels_but_without_counted_requests_is_not_promoted():
    def labels_alone(_index):
        return {version: {"accuracy": count(10, 100)} for version in ("v1", "v2")}

    script = later(labels_alone, TRAINED)
    assert types(run(scenario(script, 250, product=one_step(), events=[trained()]))) == [
        "Retrain",
        "StartRollout",
    ]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (unavailable, "PrometheusUnavailable"),
        (stale, "PrometheusStale"),
        (no_series, "NoData"),
        (too_many_bad, "InvalidData"),
        (few_scrapes, "LowCoverage"),
    ],
)
def test_a_newest_block_without_data_makes_all_slos_unknown_at_once(fault, reason):
    line = at(run(scenario(until(90, fault), 95)), 90 * BLOCK)
    assert line["state"] == "Unknown"
    assert {slo["reason"] for slo in line["slos"].values()} == {reason}


def test_an_empty_slo_is_unknown_only_after_an_hour_or_two():
    lines = run(scenario(until(60, nothing), 100))
    slos = {line["at"] // BLOCK: line["slos"] for line in lines}
    assert slos[70]["availability"]["state"] == "Met"
    assert (
        slos[71]["availability"] | {"state": "Unknown", "reason": "NoTraffic"}
        == slos[71]["availability"]
    )
    assert slos[82]["accuracy"]["state"] == "Met"
    assert slos[83]["accuracy"]["reason"] == "NoTraffic"
    assert lines[-1]["state"] == "Unknown"


def test_a_night_without_traffic_starts_no_action():
    assert types(run(scenario(until(60, nothing), 200))) == []


def test_missing_labels_leave_only_their_own_slo_unknown():
    def script(index):
        counts = steady()
        if index > 60:
            del counts["accuracy"]
        return {"v1": counts}

    line = run(scenario(script, 120))[-1]
    assert line["state"] == "Healthy"
    assert line["slos"]["accuracy"]["state"] == "Unknown"
    assert line["slos"]["accuracy"]["reason"] == "NoData"


def test_hourly_labels_are_not_reported_as_missing_data():
    def script(index):
        counts = steady(0.1 if index < 150 else 0.4, 1200)
        if index % 12:
            del counts["accuracy"]
        return {"v1": counts}

    lines = run(scenario(script, 260))
    assert {line["slos"]["accuracy"]["state"] for line in lines[30:140]} == {"Met"}
    assert types(lines) == ["Retrain"]


def test_an_outage_of_prometheus_raises_one_alert_after_a_delay():
    lines = run(scenario(until(60, unavailable), 100))
    assert acts(lines) == [("Alert", "PrometheusUnavailable")]
    alert = next(line for line in lines if line["decision"]["type"] == "Alert")
    assert alert["at"] == 61 * BLOCK


def test_a_short_outage_of_prometheus_raises_no_alert():
    def script(index):
        return unavailable(index) if index == 60 else decaying(0.1)(index)

    assert types(run(scenario(script, 90))) == []


def test_an_unknown_block_neither_confirms_nor_resets_a_degradation():
    def script(index):
        return unavailable(index) if index in {109, 110} else decaying()(index)

    lines = run(scenario(script, 130))
    assert at(lines, 108 * BLOCK)["state"] == "Degrading"
    assert at(lines, 109 * BLOCK)["state"] == "Unknown"
    assert (
        next(line["at"] for line in lines if line["decision"]["type"] == "Retrain") == 112 * BLOCK
    )


def test_a_block_with_low_coverage_is_neither_good_nor_bad():
    def script(index):
        if index == 70:
            return {"counts": {"v1": steady(0.9, 10_000)}, "coverage": "0.5"}
        return {"v1": steady()}

    lines = run(scenario(script, 120))
    assert at(lines, 71 * BLOCK)["slos"]["accuracy"]["state"] == "Met"
    assert at(lines, 71 * BLOCK)["slos"]["accuracy"]["total"] == 2300


def test_a_confirmed_degradation_starts_nothing_while_its_slo_is_unknown():
    facts = [{"at": 27_000, "upstreamDegraded": ["a"]}, {"at": 45_300, "upstreamDegraded": []}]

    def script(index):
        return unavailable(index) if 150 <= index <= 180 else decaying()(index)

    lines = run(scenario(script, 200, facts=facts))
    retrain = next(line for line in lines if line["decision"]["type"] == "Retrain")
    assert retrain["at"] == 188 * BLOCK  # by what was measured after both had ended


def test_blocks_missing_in_a_scenario_file_are_skipped():
    def script(index):
        return None if 40 <= index <= 60 else {"v1": steady()}

    lines = run(scenario(script, 90))
    assert {line["state"] for line in lines[3:]} == {"Healthy"}


def test_ten_invalid_canary_blocks_hold_the_candidate():
    lines = run(scenario(later(too_many_bad), TRAINED + 20, product=one_step(), events=[trained()]))
    assert lines[-1]["decision"]["reason"] == "InvalidData"
    assert lines[-1]["weight"] == 50


@pytest.mark.parametrize("events", [0, 1, 10**9])
def test_counts_of_any_size_are_evaluated_without_an_error(events):
    def script(_index):
        return {"v1": {"availability": count(0, events), "accuracy": count(0, events)}}

    lines = run(scenario(script, 60))
    assert types(lines) == []
    assert lines[-1]["state"] in ({"Unknown"} if events == 0 else {"Healthy", "Unknown"})


def test_a_product_without_any_data_is_unknown():
    lines = run(scenario(no_series, 60, accepted=None))
    assert {line["state"] for line in lines} == {"Unknown"}
    assert types(lines) == []
