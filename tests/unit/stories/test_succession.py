"""Which version replaces which, and what follows after a promotion."""

import pytest

from tests.support.decisions.decays import EASY, changed, decaying, one_step, trained, worse_later
from tests.support.decisions.scenarios import (
    ACCURACY,
    BLOCK,
    acts,
    at,
    count,
    run,
    scenario,
    steady,
    types,
)


# ---- what replaces what ---------------------------------------------------------------------
def test_a_new_model_supersedes_the_candidate():
    events = [trained(), changed(133, "v3")]
    lines = run(scenario(decaying(0.1), 134, product=one_step(), events=events))
    line = at(lines, 133 * BLOCK)
    assert line["decision"]["type"] == "StartRollout"
    assert "v2 is superseded" in line["decision"]["message"]
    assert line["candidate"] == "v3"


def test_a_spec_reverted_to_stable_supersedes_the_candidate():
    lines = run(
        scenario(decaying(), 60, product=one_step(), events=[changed(50, "v3"), changed(53, "v1")])
    )
    line = at(lines, 53 * BLOCK)
    assert (line["decision"]["type"], line["decision"]["reason"]) == ("Rollback", "Superseded")
    assert (line["stable"], line["candidate"]) == ("v1", None)
    assert types(lines) == ["StartRollout", "Rollback"]


def test_a_rejected_model_is_not_rolled_out_again():
    events = [changed(50, "v3"), changed(70, "v3")]
    lines = run(scenario(decaying(0.5, "v3", 50, 10**6), 120, product=one_step(), events=events))
    assert types(lines) == ["StartRollout", "Rollback"]


def test_a_rejected_model_is_rolled_out_again_after_another_one():
    def script(index):
        counts = {"v1": steady(0.1, 200)}
        for version, since in (("v3", 50), ("v4", 70)):
            if index > since:
                counts[version] = steady(0.6, 200, requests=600)
        return counts

    events = [changed(50, "v3"), changed(70, "v4"), changed(90, "v3")]
    lines = run(scenario(script, 95, product=one_step(), events=events))
    assert types(lines)[:4] == ["StartRollout", "Rollback"] * 2
    assert at(lines, 90 * BLOCK)["candidate"] == "v3"


def test_a_new_model_supersedes_the_training_and_its_late_result_is_discarded():
    events = [changed(115, "v3"), trained(120)]
    lines = run(scenario(decaying(0.1, "v3", 115), 121, product=one_step(), events=events))
    assert types(lines) == ["Retrain", "StartRollout"]
    assert "training under way is superseded" in at(lines, 115 * BLOCK)["decision"]["message"]
    assert {line["candidate"] for line in lines} == {None, "v3"}


def test_a_result_whose_parent_is_no_longer_stable_is_discarded():
    events = [changed(115, "v3"), trained(170)]
    lines = run(scenario(decaying(0.1, "v3", 115), 180, product=one_step(), events=events))
    assert types(lines) == ["Retrain", "StartRollout", "Promote"]
    assert at(lines, 170 * BLOCK)["decision"]["reason"] == "Superseded"
    assert lines[-1]["stable"] == "v3"


def test_a_result_that_takes_the_name_of_a_version_is_refused():
    lines = run(scenario(decaying(), 140, events=[trained(version="v1")]))
    assert acts(lines)[-1] == ("Alert", "VersionReused")


def test_a_version_that_fails_its_probation_is_rolled_back_and_not_retrained():
    script, events = worse_later(85)
    lines = run(scenario(script, 200, product=one_step(), events=events))
    assert acts(lines)[-1] == ("Rollback", "ProbationFailed")
    assert "Retrain" not in types(lines)
    assert lines[-1]["stable"] == "v1"


@pytest.mark.parametrize("wish", ["Alert", "Retrain", "Auto", "Rollback"])
def test_probation_outranks_on_degraded(wish):
    script, events = worse_later(85)
    spec = one_step(EASY, {**ACCURACY, "onDegraded": wish})
    lines = run(scenario(script, 200, product=spec, events=events))
    assert acts(lines)[2:] == [("Rollback", "ProbationFailed")]


def test_a_degraded_recent_release_is_rolled_back_instead_of_retrained():
    script, events = worse_later(200, evaluation=count(500, 5000))
    lines = run(scenario(script, 300, product=one_step(), events=events))
    assert acts(lines)[2:] == [("Rollback", "RecentRelease")]


def test_on_degraded_retrain_skips_the_check_for_a_recent_release():
    script, events = worse_later(200, evaluation=count(500, 5000))
    spec = one_step(EASY, {**ACCURACY, "onDegraded": "Retrain"})
    lines = run(scenario(script, 300, product=spec, events=events))
    assert acts(lines)[2:] == [("Retrain", "ModelDecay")]


def test_a_degraded_release_after_its_first_day_is_retrained():
    script, events = worse_later(600, evaluation=count(500, 5000))
    lines = run(scenario(script, 700, product=one_step(), events=events))
    assert acts(lines)[2:] == [("Retrain", "ModelDecay")]


def test_a_restored_version_is_no_recent_release():
    def script(index):
        counts = worse_later(85)[0](index)
        if index > 150:
            counts["v1"] = steady(0.4, 200)
        return counts

    lines = run(scenario(script, 300, product=one_step(), events=worse_later(85)[1]))
    assert acts(lines)[2:] == [("Rollback", "ProbationFailed"), ("Retrain", "ModelDecay")]


def test_a_degraded_upstream_on_probation_raises_one_alert_and_no_rollback():
    script, events = worse_later(85)
    facts = [{"at": 80 * BLOCK, "upstreamDegraded": ["pricing"]}]
    lines = run(scenario(script, 200, product=one_step(), events=events, facts=facts))
    assert acts(lines)[2:] == [("Alert", "UpstreamDegraded")]


def test_a_retrained_version_that_fails_its_probation_counts_as_a_failed_attempt():
    def script(index):
        counts = decaying(0.1)(index)
        if index > 150:
            counts["v2"] = steady(0.6, 200, requests=600)
        return counts

    lines = run(scenario(script, 260, product=one_step(), events=[trained()]))
    assert acts(lines)[-1] == ("Rollback", "ProbationFailed")
    assert "(1 attempt without a promotion)" in lines[-1]["decision"]["message"]
