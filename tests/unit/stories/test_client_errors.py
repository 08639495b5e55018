"""A version that breaks its API is rolled back, whatever SLOs there are; 4xx of both say nothing."""

from __future__ import annotations

from math import log
from typing import Any

import pytest

from sluicegate.simulation.replay import replay
from sluicegate.simulation.replay_output import as_object
from sluicegate.simulation.replay_scenario import parse_scenario
from tests.support.decisions.decays import EASY
from tests.support.decisions.histories import through_json
from tests.support.decisions.scenarios import (
    ACCURACY,
    BLOCK,
    LATENCY,
    acts,
    count,
    first,
    product,
    run,
    scenario,
)

PUSHED = 40
"""The block after which spec.model names v2."""
SLOS = {"availability": EASY, "latency": LATENCY, "accuracy": ACCURACY}


def pushed(
    script, last: int = 200, *slos: dict[str, Any], duration: dict[str, int] | None = None
) -> dict[str, Any]:
    """Return the scenario of a push of v2; `script` gives requests and 4xx of (stable, candidate) by block."""

    def counts(index: int) -> dict[str, dict[str, dict[str, int]]]:
        stable, candidate = script(index)
        said = {"v1": arm(*stable)}
        if index > PUSHED:
            said["v2"] = arm(*candidate)
        return said

    events = [{"at": PUSHED * BLOCK, "modelChanged": {"version": "v2"}}]
    chosen = slos or (EASY,)
    document = scenario(
        counts,
        last,
        product=product(*chosen, rollout={"steps": [25, 50], **(duration or {})}),
        accepted=None,
        events=events,
    )
    return only(document, *(slo["name"] for slo in chosen))


def arm(requests: int, refused: int, unknown: int = 0) -> dict[str, dict[str, int]]:
    """Return a version's counts: no failures; refused requests are neither slow nor labelled."""
    served = requests - refused - unknown
    return {
        "availability": count(0, requests - unknown),
        "latency": count(0, served),
        "accuracy": count(served // 20, served // 2),
        "clientErrors": count(refused + unknown, requests),
    }


def only(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the same with counts of these SLOs, and of client errors."""
    for block in document["blocks"]:
        block["counts"] = {
            version: {slo: one for slo, one in slos.items() if slo in {*names, "clientErrors"}}
            for version, slos in block["counts"].items()
        }
    return document


@pytest.mark.parametrize("slo", SLOS)
@pytest.mark.parametrize(
    "broken", [(300, 300), (300, 0, 300)], ids=["a field is renamed", "a route is renamed"]
)
def test_a_candidate_that_refuses_every_request_is_rolled_back_at_once(slo: str, broken):
    """It was promoted as 100 % available, or stayed beside stable for hours."""
    lines = run(pushed(lambda _: ((900, 0), broken), 60, SLOS[slo]))
    assert acts(lines)[:2] == [("StartRollout", "ModelChanged"), ("Rollback", "CanaryWorse")]
    back = first(lines, "Rollback")
    assert back["at"] <= (PUSHED + 4) * BLOCK
    message = back["decision"]["message"]
    assert "v2 is worse in client errors (4xx): 100 % (n=" in message
    assert "against stable's 0 % (n=" in message


@pytest.mark.parametrize("worse", [0.03, 0.1])
@pytest.mark.parametrize("before", [0.0, 0.2])
def test_a_candidate_that_refuses_some_more_requests_is_rolled_back(before: float, worse: float):
    def script(_: int):
        return (1800, round(1800 * before)), (600, round(600 * (before + worse)))

    assert acts(run(pushed(script)))[-1] == ("Rollback", "CanaryWorse")


@pytest.mark.parametrize("worse", [0.03, 0.1])
def test_without_an_availability_slo_the_client_error_margin_is_that_of_wrong_answers(worse):
    """Half of what is answered is labelled and right as often as stable's, so accuracy favours it."""

    def script(_: int):
        return (900, 0), (300, round(300 * worse))

    lines = run(pushed(script, 120, {**ACCURACY, "maxDrop": "0.06"}))
    assert acts(lines)[-1] == ("Rollback", "CanaryWorse")
    assert "client errors (4xx)" in first(lines, "Rollback")["decision"]["message"]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.4])
def test_client_errors_of_both_versions_do_not_prevent_a_promotion(share: float):
    """Clients that err, and scanners that ask for what isn't there."""

    def script(_: int):
        return (1800, 0, round(1800 * share)), (600, 0, round(600 * share))

    promoted = first(run(pushed(script)), "Promote")
    assert promoted["decision"]["reason"] == "CanaryNotWorse"
    assert "in availability" in promoted["decision"]["message"]


def test_a_burst_of_client_errors_of_both_versions_rolls_no_version_back():
    def script(index: int):
        share = 0.5 if index % 7 == 0 else 0.01
        return (1800, round(1800 * share)), (600, round(600 * share))

    assert ("Rollback", "CanaryWorse") not in acts(run(pushed(script)))


@pytest.mark.parametrize(
    ("refused", "requests", "decision"),
    [
        # As good as stable but for chance: too few requests for an answer, and a few too many 4xx.
        (lambda index: 2 if index % 8 == 0 else 1, 20, ("Promote", "CanaryNotWorse")),
        # Enough for an answer on average, but this one takes longer.
        (lambda index: 10 + index % 2, 200, ("Promote", "CanaryNotWorse")),
        # Surely worse, by too little or with too few requests to be rolled back.
        (lambda _: 2, 20, ("Inconclusive", "MaxDuration")),
    ],
)
def test_an_equal_version_is_held_for_its_4xx_no_longer_than_its_time(refused, requests, decision):
    def script(index: int):
        return (requests, requests // 20), (requests, refused(index))

    lines = run(pushed(script, PUSHED + 52, duration={"maxDurationSeconds": 4 * 3600}))
    assert acts(lines)[-1] == decision
    assert lines[-1]["at"] > first(lines, decision[0])["at"] > (PUSHED + 42) * BLOCK


def test_client_errors_alone_promote_no_candidate():
    """Where no SLO has events enough there is no evidence in favour of a candidate, however few of its 4xx."""
    lines = run(only(pushed(lambda _: ((1800, 0), (600, 0)), 200, ACCURACY)))
    assert "Promote" not in {line["decision"]["type"] for line in lines}


@pytest.mark.parametrize(("counted", "needed"), [(True, log(2 / 0.05)), (False, log(1 / 0.05))])
def test_client_errors_share_the_five_percent_error_rate_of_wrong_rollbacks(
    counted: bool, needed: float
):
    """Without their counts all is decided as if there were none."""
    document = pushed(lambda _: ((1800, 20), (600, 6)), 60)
    if not counted:
        for block in document["blocks"]:
            for counts in block["counts"].values():
                del counts["clientErrors"]
    steps = list(replay(parse_scenario(document)))
    judged = [step.evaluation.assessment for step in steps if step.evaluation.assessment]
    names = {slo.terms.name for one in judged for slo in one.slos}
    assert names == {"availability", *(["client errors (4xx)"] if counted else [])}
    assert {slo.roll_back_at for one in judged for slo in one.slos} == {needed}


def test_a_version_whose_client_errors_rise_after_its_promotion_is_rolled_back():
    """It was Healthy and 100 % available, as no SLO counts what is refused."""
    broke = 80

    def script(index: int):
        return (1800, 4), (1800, 1700) if index > broke else (600, 1)

    lines = run(pushed(script, 110))
    promoted, back = first(lines, "Promote"), first(lines, "Rollback")
    assert promoted["at"] < broke * BLOCK < back["at"] <= (broke + 30) * BLOCK
    assert back["decision"]["reason"] == "ProbationFailed"
    assert "Client errors (4xx) rose from 0." in back["decision"]["message"]
    assert back["stable"] == "v1"
    shown = {line["state"] for line in lines if broke * BLOCK < line["at"] < back["at"]}
    assert "Degrading" in shown
    assert "client errors (4xx)" not in lines[-1]["slos"]


def test_a_version_with_as_many_client_errors_as_the_previous_one_stays():
    lines = run(pushed(lambda _: ((1800, 90), (600, 30)), 240))
    assert [one[0] for one in acts(lines)] == ["StartRollout", "Advance", "Promote"]


def test_the_status_has_room_for_client_errors_beside_as_many_slos_as_a_product_may_have():
    """The promotion of a version was never remembered: its probation had one baseline too many."""
    most = tuple(
        {"name": f"funnel-{number}", "indicator": {"events": {}}, "objective": "0.90"}
        for number in range(16)
    )

    def script(index: int) -> dict[str, dict[str, dict[str, int]]]:
        one = {str(slo["name"]): count(40, 900) for slo in most}
        refused = 880 if index > 60 else 3
        stable, candidate = count(3, 900), count(refused, 900)
        return {"v1": {**one, "clientErrors": stable}, "v2": {**one, "clientErrors": candidate}}

    events = [{"at": PUSHED * BLOCK, "modelChanged": {"version": "v2"}}]
    spec = product(*most, rollout={"steps": [50]})
    document = scenario(script, 130, product=spec, accepted=None, events=events)
    lines = [as_object(step) for step in replay(parse_scenario(document), through_json)]
    assert acts(lines)[1:] == [("Promote", "CanaryNotWorse"), ("Rollback", "ProbationFailed")]
