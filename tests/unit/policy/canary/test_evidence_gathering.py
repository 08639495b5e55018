"""What blocks say of a candidate, which of them count, and what stands in the way of its last step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.engine import OriginalBaseline, SloRecord
from sluicegate.api.names import REQUEST_ABORT, REQUEST_PROMOTE
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.slos import CanaryEvidence
from sluicegate.api.status import SpecModel
from sluicegate.api.versions import PastVersion, VersionSource
from sluicegate.policy.canary.case import CanaryCase
from sluicegate.policy.canary.evidence_gathering import assess, blocks_before_rollout
from sluicegate.policy.canary.gauge_evidence import GaugeEvidence
from sluicegate.policy.canary.slo_evidence import Assessment, SloEvidence, without_slow
from sluicegate.policy.canary.verdict import decide
from sluicegate.policy.evaluate import evaluate
from sluicegate.policy.model.decision import (
    Alert,
    Hold,
    Inconclusive,
    Promote,
    Rollback,
    StartRollout,
)
from sluicegate.policy.model.observed import CanaryBlock, Facts, ManualRequest
from sluicegate.policy.rollout.decision_status import carry_out_at_once
from sluicegate.policy.slo_health.client_errors import client_errors
from sluicegate.slo.blocks import Quality, SilentBlocks
from sluicegate.stats.counts import Count
from sluicegate.stats.dispersion import StableScatter
from sluicegate.stats.gauge import Interval
from sluicegate.stats.intervals import Z95, newcombe_difference
from sluicegate.stats.sequential_test import SequentialEvidence
from tests.support.decisions.judged import (
    CANARY,
    START,
    V1,
    V2,
    V3,
    baseline,
    both_arms,
    candidate,
    judged_by,
    observed,
    readings,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

ONE_STEP = {"steps": [50], "maxDurationSeconds": 86_400}
EASY = {**AVAILABILITY, "objective": "0.9"}
CONVERSION = {
    "name": "conversion",
    "indicator": {
        "counters": {"good": "clicked_total", "total": "served_total", "lagSeconds": 1800}
    },
    "maxDrop": "0.05",
}
QUICK = {
    "name": "latency",
    "indicator": {"latency": {"thresholdMilliseconds": 250}},
    "objective": "0.95",
}
BASKET = {
    "name": "basket",
    "indicator": {"gauge": {"metric": "mean_basket_value"}},
    "maxDrop": "4",
}


# ---- which blocks count ---------------------------------------------------------------------
def counted(slo, number, **record):
    """Return events of the candidate that are evidence, of `number` blocks with ten each."""
    terms = judged_by(slo, rollout=ONE_STEP)
    name = slo["name"]
    blocks = both_arms({name: (1, 10)}, {name: (1, 10)}, number)
    found = assess(terms, serving(**record), candidate(50), observed(blocks))
    return found.slos[0].evidence.candidate.total


def test_two_blocks_after_a_change_of_weight_are_no_evidence():
    assert counted(ACCURACY, 12) == (12 - 2) * 10


def test_blocks_whose_good_events_are_still_to_come_are_no_evidence():
    lag = 1800 // CANARY
    assert counted(CONVERSION, lag) == 0
    assert counted(CONVERSION, lag + 7) == 7 * 10


def test_counts_from_before_an_edit_of_an_slo_are_no_evidence():
    edited = {"accuracy": SloRecord(since=START + 8 * CANARY)}
    assert counted(ACCURACY, 12, slos=edited) == (12 - 8) * 10


def test_blocks_without_a_scrape_of_the_canary_neither_count_as_silent_nor_reset_the_count():
    terms = judged_by(EASY, rollout=ONE_STEP)
    served = {"availability": (0, 100)}
    blocks = both_arms({}, served, 10)
    down = [replace(block, canary_up=False) for block in blocks[3:8]]
    found = assess(terms, serving(), candidate(50), observed([*blocks[:3], *down, *blocks[8:]]))
    assert found.silent.number == 10 - len(down)


def test_blocks_without_requests_of_stable_do_not_count_as_silent_blocks_of_the_candidate():
    terms = judged_by(EASY, rollout=ONE_STEP)
    blocks = both_arms({}, {"availability": (0, 100)}, 6)
    idle = [replace(block, stable=readings({"availability": (0, 0)})) for block in blocks[:4]]
    found = assess(terms, serving(), candidate(50), observed([*idle, *blocks[4:]]))
    assert found.silent.number == 2


def test_the_past_of_stable_covers_one_hour_or_thirty_blocks_before_the_canary():
    ends = [START + 60 * number for number in range(-62, 3)]
    read = [CanaryBlock(end, Quality.COUNTED) for end in ends]
    read[40] = CanaryBlock(ends[40], Quality.LOW_COVERAGE)
    found = [block.end for block in blocks_before_rollout(read, START, 60)]
    assert found == [one for one in ends if START - 3600 < one <= START and one != ends[40]]
    assert [block.end for block in blocks_before_rollout(read, START, 300)] == [
        one for one in ends if one <= START and one != ends[40]
    ]


def test_a_block_with_one_request_of_stable_counts_as_silent_for_the_candidate():
    terms = judged_by(EASY, rollout=ONE_STEP)
    blocks = both_arms({}, {"availability": (0, 1)}, 3)
    assert assess(terms, serving(), candidate(50), observed(blocks)).silent.number == 3


@pytest.mark.parametrize(("share", "expected"), [(50, 300), (5, 300 * 5 / 95)])
def test_silent_blocks_have_the_requests_that_the_share_would_have_given(share, expected):
    terms = judged_by(EASY, ACCURACY, rollout={"steps": [share]})
    served = {"availability": (0, 100), "accuracy": (100, 1000)}
    blocks = both_arms({}, served, 3)
    found = assess(terms, serving(), candidate(share), observed(blocks))
    assert found.silent == SilentBlocks(3, pytest.approx(expected))


@pytest.mark.parametrize(("labels", "required"), [(0, False), (1, True)])
def test_without_max_duration_a_label_slo_is_required_once_a_label_has_arrived(labels, required):
    terms = judged_by(EASY, ACCURACY, rollout={"steps": [50]})
    arm = {"availability": (0, 100), "accuracy": (0, labels)}
    found = assess(terms, serving(), candidate(50), observed(both_arms(arm, arm, 3)))
    assert {slo.terms.name: slo.required for slo in found.slos}["accuracy"] is required


@pytest.mark.parametrize(("longer", "required"), [(0.0, True), (-0.001, False)])
def test_an_slo_is_required_if_an_equal_candidate_can_pass_it_within_max_duration(longer, required):
    terms = judged_by(ACCURACY, rollout=ONE_STEP)
    blocks = both_arms({"accuracy": (10, 100)}, {"accuracy": (10, 100)}, 30)

    def judged(longest):
        given = replace(terms, max_duration_seconds=longest)
        return assess(given, serving(), candidate(50), observed(blocks)).slos[0]

    expected = judged(terms.max_duration_seconds).expected_seconds
    assert judged(expected + longer).required is required


def test_a_block_with_a_series_of_the_candidate_resets_the_count_of_silent_blocks():
    terms = judged_by(EASY, rollout=ONE_STEP)
    served = {"availability": (0, 100)}
    blocks = [*both_arms(served, served, 4), *both_arms({}, served, 3, begin=START + 4 * CANARY)]
    assert assess(terms, serving(), candidate(50), observed(blocks)).silent.number == 3


# ---- the last step --------------------------------------------------------------------------
TERMS = judged_by(EASY, ACCURACY, rollout=ONE_STEP)
SLO = TERMS.slos[1]


def speaking(ours: Count, theirs: Count, *, slo=SLO, blocks=100, correlation=0.0, **fields):
    """Return evidence of an SLO that is sure that the candidate isn't worse than stable."""
    known = {"required": True, "promote_at": 3.0, "roll_back_at": 3.0, "better_at": 5.0, **fields}
    evidence = SequentialEvidence(
        known.pop("promote", 9.0), known.pop("roll_back", -9.0), ours, theirs
    )
    return SloEvidence(
        slo,
        evidence,
        correlation=correlation,
        blocks=blocks,
        expected_seconds=3600.0,
        scatter=StableScatter(),
        **known,
    )


def passed(*slos, **fields) -> Assessment:
    """Return a candidate that has dwelt, was seen, and of which these SLOs speak."""
    known = {
        "dwell": 100,
        "requests": 10_000,
        "newest": Quality.COUNTED,
        "newest_requests": 100,
        "invalid": 0,
        "silent": SilentBlocks(0, 0.0),
        "contradicting_share": None,
        **fields,
    }
    return Assessment(slos, **known)


def last_step(assessment, *, status=None, facts=None, terms=TERMS, now=START + 7200, **fields):
    known = {"approved": False, **fields}
    one = candidate(*terms.steps)
    return decide(
        CanaryCase(
            terms,
            (status or serving()).replace(candidate=one),
            one,
            assessment,
            facts=facts or Facts(),
            now=now,
            **known,
        )
    )


EQUAL = speaking(Count(1000, 10_000), Count(1000, 10_000))


def test_a_candidate_with_evidence_in_every_slo_is_promoted():
    assert isinstance(last_step(passed(EQUAL)), Promote)


def accepted_first(ratio: float):
    """Return memory in which the first version was accepted with this share of bad events."""
    return serving(
        original_baseline=OriginalBaseline(
            version="v0", slos={"accuracy": baseline(SLO, round(ratio * 10_000), 10_000)}
        )
    )


@pytest.mark.parametrize(
    ("first", "theirs", "ours", "reason"),
    [
        (0.10, 0.20, 0.15, "CanaryNotWorse"),  # the world moved, and it beats stable
        (0.10, 0.15, 0.15, "WorseThanOriginal"),
        (0.10, 0.14, 0.15, "WorseThanOriginal"),
        (0.15, 0.14, 0.15, "CanaryNotWorse"),
    ],
)
def test_a_candidate_worse_than_the_first_acceptance_is_held_unless_it_is_better_than_stable(
    first, theirs, ours, reason
):
    counts = [Count(round(ratio * 10_000), 10_000) for ratio in (ours, theirs)]
    decision = last_step(passed(speaking(*counts)), status=accepted_first(first))
    assert decision.reason == reason


@pytest.mark.parametrize(("correlation", "kind"), [(0.0, Hold), (0.01, Promote)])
def test_bursts_of_bad_events_weaken_the_evidence_that_the_objective_is_missed(correlation, kind):
    """20.8 % bad of 20 % allowed: sure of independent events, not of half as many."""
    slo = speaking(Count(2080, 10_000), Count(2080, 10_000), correlation=correlation)
    decision = last_step(passed(slo))
    assert isinstance(decision, kind)
    assert (decision.reason is Reason.OBJECTIVE_NOT_MET) is (kind is Hold)


@pytest.mark.parametrize(
    ("fields", "facts", "reason"),
    [
        ({}, Facts(split_verified=False), Reason.TRAFFIC_NOT_VERIFIED),
        ({"newest_requests": 0}, Facts(route_objection="Gateway web …"), Reason.ROUTE_NOT_ACCEPTED),
        ({"newest": Quality.LOW_COVERAGE}, None, Reason.LOW_COVERAGE),
        ({"newest": Quality.UNAVAILABLE}, None, Reason.PROMETHEUS_UNAVAILABLE),
        ({"newest": Quality.MISSING}, None, Reason.COLLECTING_EVIDENCE),
        ({"newest_requests": 0}, None, Reason.NO_TRAFFIC),
        ({"invalid": 10}, None, Reason.INVALID_DATA),
        ({"contradicting_share": 0.9}, None, Reason.ROUTING_MISMATCH),
        ({"dwell": 4}, None, Reason.DWELLING),
        ({"requests": 49}, None, Reason.DWELLING),
    ],
)
def test_each_remaining_check_holds_a_candidate_with_evidence_in_every_slo(fields, facts, reason):
    decision = last_step(passed(EQUAL, **fields), facts=facts)
    assert (type(decision), decision.reason) == (Hold, reason)


@pytest.mark.parametrize(
    "fields",
    [
        {"invalid": 9},
        {"dwell": 5},
        {"requests": 50},
        {"silent": SilentBlocks(9, 1e6)},
        {"silent": SilentBlocks(1000, 19.9)},
        {"newest_requests": 1},
    ],
)
def test_the_last_step_promotes_at_the_largest_value_that_each_limit_allows(fields):
    assert isinstance(last_step(passed(EQUAL, **fields)), Promote)


def test_a_candidate_is_rolled_back_after_ten_blocks_without_its_expected_twenty_requests():
    decision = last_step(passed(EQUAL, silent=SilentBlocks(10, 20)))
    assert (type(decision), decision.reason) == (Rollback, Reason.CANARY_NO_DATA)


@pytest.mark.parametrize(
    ("worse", "kind", "reason"),
    [
        (["latency"], Inconclusive, Reason.NODE_BUSY),
        (["accuracy"], Rollback, Reason.CANARY_WORSE),
        (["latency", "accuracy"], Rollback, Reason.CANARY_WORSE),
    ],
    ids=["slow", "wrong", "both"],
)
def test_a_busy_node_explains_a_slow_candidate_but_not_a_failing_one(worse, kind, reason):
    terms = judged_by(QUICK, ACCURACY, rollout=ONE_STEP)
    found = [
        speaking(Count(90, 100), Count(10, 100), slo=slo, roll_back=9.0)
        for slo in terms.slos
        if slo.name in worse
    ]
    decision = last_step(passed(*found), terms=terms, facts=Facts(canary_node_busy=True))
    assert (type(decision), decision.reason) == (kind, reason)
    assert f"worse in {worse[-1]}" in decision.message


def test_a_candidate_without_any_possible_evidence_is_held():
    free = replace(EQUAL, required=False, evidence=replace(EQUAL.evidence, promote_evidence=0.0))
    assert last_step(passed(free)).reason is Reason.INSUFFICIENT_DATA


def test_an_optional_slo_with_worse_counts_holds_the_last_step():
    leaning = replace(EQUAL, required=False, evidence=replace(EQUAL.evidence, roll_back=1.0))
    availability = speaking(Count(0, 9000), Count(0, 9000), slo=TERMS.slos[0])
    decision = last_step(passed(availability, leaning))
    assert decision.reason is Reason.LOOKS_WORSE
    assert "point to a regression" in decision.message


@pytest.mark.parametrize(("promote", "said"), [(0.0, True), (9.0, False)])
def test_a_promotion_message_names_slos_without_enough_evidence(promote, said):
    availability = speaking(Count(0, 9000), Count(0, 9000), slo=TERMS.slos[0])
    labels = speaking(Count(2, 20), Count(2, 20), required=False, promote=promote)
    decision = last_step(passed(availability, labels))
    assert isinstance(decision, Promote)
    assert ("without enough evidence in accuracy (n=20), IfAvailable" in decision.message) is said


def test_a_promotion_message_names_slos_judged_after_the_promotion():
    availability = speaking(Count(0, 9000), Count(0, 9000), slo=TERMS.slos[0])
    later = replace(SLO, canary_evidence=CanaryEvidence.POST_PROMOTION)
    labels = speaking(Count(2, 20), Count(2, 20), slo=later, required=False, promote=0.0)
    decision = last_step(passed(availability, labels))
    assert "without enough evidence in accuracy (n=20), PostPromotion" in decision.message


def test_earlier_steps_do_not_wait_for_slow_labels_if_another_slo_has_evidence():
    availability = speaking(Count(0, 9000), Count(0, 9000), slo=TERMS.slos[0])
    slow = replace(EQUAL, expected_seconds=4 * 3600 + 1.0)
    assert [slo.required for slo in without_slow((availability, slow))] == [True, False]
    assert [slo.required for slo in without_slow((availability, EQUAL))] == [True, True]
    errors = replace(availability, terms=client_errors(TERMS))
    assert [slo.required for slo in without_slow((errors, slow))] == [True, True]
    alone = without_slow((slow,))
    assert [slo.required for slo in alone] == [True], "nothing else could favour the candidate"


def test_a_forced_promotion_is_held_while_the_observed_share_is_wrong():
    wants = {"approved": True, "forced": True}
    unseen = {"newest_requests": 0}
    assert last_step(passed(EQUAL, **unseen), **wants).reason is Reason.PROMOTE_REQUESTED
    held = last_step(passed(EQUAL, contradicting_share=0.9, **unseen), **wants)
    assert (type(held), held.reason) == (Hold, Reason.ROUTING_MISMATCH)


@pytest.mark.parametrize(
    ("promote", "better", "shown"), [(3.0, 5.0, True), (3.0, 4.9, False), (2.9, 5.0, False)]
)
def test_evidence_that_a_candidate_is_better_is_evidence_that_it_is_not_worse(
    promote, better, shown
):
    evidence = replace(EQUAL.evidence, promote_evidence=promote, better_evidence=better)
    assert replace(EQUAL, evidence=evidence).shows_better is shown


@pytest.mark.parametrize(
    ("late", "ours", "theirs", "waits"),
    [
        (False, (1, 100), (1, 100), True),
        (True, (1, 100), (1, 100), False),
        (True, (30, 100), (1, 100), True),
        (True, (1, 100), (0, 0), True),
        (True, (0, 0), (1, 100), True),
    ],
    ids=["in time", "late", "late and surely worse", "nothing of stable", "nothing of it"],
)
def test_a_candidate_waits_for_client_error_evidence_until_max_duration_unless_it_is_worse(
    late, ours, theirs, waits
):
    errors = speaking(
        Count(*ours), Count(*theirs), slo=client_errors(TERMS), is_late=late, promote=0
    )
    assert errors.blocks_promotion is waits
    leaning = replace(errors, required=False, evidence=replace(errors.evidence, roll_back=0.1))
    assert leaning.leans_against is waits


@pytest.mark.parametrize(("less", "reason"), [(0.0, Reason.CANARY_NOT_WORSE), (1e-9, Reason.WORSE_THAN_ORIGINAL)])  # fmt: skip
def test_a_candidate_worse_than_the_first_acceptance_by_exactly_the_margin_is_promoted(
    less, reason
):
    ours = Count(1500, 10_000)
    lower = newcombe_difference((1500.0, 10_000.0), Count(1000, 10_000), Z95).lower
    slo = speaking(ours, ours, slo=replace(SLO, margin=lower - less))
    assert last_step(passed(slo), status=accepted_first(0.1)).reason is reason


# ---- gauges ---------------------------------------------------------------------------------
GAUGE_TERMS = judged_by(BASKET, rollout=ONE_STEP)
GAUGE = GAUGE_TERMS.slos[0]


def weighed(lower: float, upper: float, *, required: bool = True) -> GaugeEvidence:
    return GaugeEvidence(GAUGE, 40, Interval(lower, upper), required)


@pytest.mark.parametrize(
    ("gauge", "reason"),
    [
        (weighed(-GAUGE.margin + 0.1, 3.0), Reason.CANARY_NOT_WORSE),
        (weighed(-GAUGE.margin - 0.1, 3.0), Reason.COLLECTING_EVIDENCE),
        (weighed(-9.0, -0.1), Reason.CANARY_WORSE),
        (weighed(0.1, 3.0, required=False), Reason.CANARY_NOT_WORSE),  # it shows to be better
        (weighed(-0.1, 3.0, required=False), Reason.INSUFFICIENT_DATA),
        (weighed(0.0, 3.0, required=False), Reason.INSUFFICIENT_DATA),  # it may be equal
        (GaugeEvidence(GAUGE, 19, None, required=True), Reason.COLLECTING_EVIDENCE),
    ],
)
def test_a_canary_of_a_product_with_a_gauge_alone_is_decided_by_the_gauge(gauge, reason):
    decision = last_step(passed(gauges=(gauge,)), terms=GAUGE_TERMS)
    assert decision.reason is reason


def test_an_optional_gauge_without_evidence_does_not_hold_the_last_step():
    unsure = weighed(-9.0, 3.0, required=False)
    assert isinstance(last_step(passed(EQUAL, gauges=(unsure,))), Promote)
    held = last_step(passed(EQUAL, gauges=(replace(unsure, required=True),)))
    assert held.reason is Reason.COLLECTING_EVIDENCE


def test_an_optional_slo_decides_a_promotion_only_if_no_slo_is_required():
    free = speaking(Count(1000, 10_000), Count(1000, 10_000), required=False)
    must, better = weighed(-0.1, 3.0), weighed(0.1, 3.0, required=False)
    assert passed(free).favouring_slos == (free,)
    assert passed(free, EQUAL).favouring_slos == (EQUAL,)
    assert passed(free, gauges=(must,)).favouring_slos == ()
    assert passed(gauges=(better,)).counted_gauges == (better,)
    assert passed(free, gauges=(better,)).counted_gauges == (better,)
    assert passed(EQUAL, gauges=(better,)).counted_gauges == ()
    assert passed(free, gauges=(better, must)).counted_gauges == (must,)


def test_a_promotion_keeps_the_history_and_clears_the_candidate():
    history = tuple(
        PastVersion.of(
            one,
            VersionSource.SPEC,
            outcome=Outcome.REPLACED,
            promotion_time=moment,
            end_time=moment,
        )
        for one, moment in ((V2, 20), (V3, 10))
    )
    status = serving(candidate=candidate(5), history=history)
    promoted = Promote(reason=Reason.CANARY_NOT_WORSE, message="", numbers={}, candidate=V2)
    after = carry_out_at_once(TERMS, status, promoted, START + 7200)
    assert after.stable is not None
    assert (after.stable.release, after.stable.promotion_time) == (V2, START + 7200)
    assert [past_version.release for past_version in after.history] == [V1, V3]


# ---- several things at once -----------------------------------------------------------------
MANUAL = judged_by(EASY, ACCURACY, rollout={**ONE_STEP, "approval": "Manual"})
WORSE = both_arms(
    {"availability": (0, 100), "accuracy": (90, 100)},
    {"availability": (0, 100), "accuracy": (10, 100)},
    60,
)
ALIKE = both_arms(
    {"availability": (0, 900), "accuracy": (90, 900)},
    {"availability": (0, 900), "accuracy": (90, 900)},
    60,
)
APPROVED = (ManualRequest(REQUEST_PROMOTE, "one"),)


def trying(**fields):
    """Return v2 of spec.model at half of the traffic, beside a v1 that has served for a day."""
    model = SpecModel.of(V2, Outcome.IN_PROGRESS, START)
    known = {
        "stable": stable(since=START - 86_400),
        "candidate": candidate(50),
        "spec_model": model,
    }
    return serving(**known, **fields)


def decided(blocks, *, terms=TERMS, seconds=3600, desired=V2, **fields):
    read = replace(observed(blocks, **fields), desired=desired)
    return evaluate(terms, trying(), read, START + seconds)


def test_a_new_model_does_not_hide_that_the_candidate_is_worse():
    found = decided(WORSE, desired=V3)
    assert isinstance(found.decision, Rollback)
    assert found.decision.reason is Reason.CANARY_WORSE
    assert (found.decision.leaving, found.decision.to) == (V2, V1)


def test_a_new_model_supersedes_a_candidate_that_is_as_good():
    found = decided(ALIKE, desired=V3)
    assert isinstance(found.decision, StartRollout)
    assert found.decision.candidate == V3


@pytest.mark.parametrize(
    ("blocks", "seconds", "facts", "kind", "handled"),
    [
        (ALIKE, 3600, Facts(), Promote, True),
        (WORSE, 3600, Facts(), Rollback, True),
        (ALIKE[:2], 86_400, Facts(), Inconclusive, True),
        (ALIKE, 3600, Facts(canary_lost="a node is gone"), Inconclusive, False),  # tried again
        (ALIKE[:3], 300, Facts(), Hold, False),
    ],
    ids=["promoted", "worse", "no verdict", "trouble of the cluster", "too early"],
)
def test_an_approval_is_valid_for_its_candidate_only(blocks, seconds, facts, kind, handled):
    found = decided(blocks, terms=MANUAL, seconds=seconds, requests=APPROVED, facts=facts)
    assert isinstance(found.decision, kind)
    known = found.status.last_handled
    assert (known is not None and known.promote == "one") is handled


@pytest.mark.parametrize("terms", [TERMS, MANUAL])
def test_an_abort_invalidates_an_earlier_approval(terms):
    """It would otherwise start the rollout again that the abort ended."""
    requests = (
        ManualRequest(REQUEST_PROMOTE, "v2/one", user="acb", reason="ship it"),
        ManualRequest(REQUEST_ABORT, "v2/two", user="eve", reason="prices are wrong"),
    )
    found = decided(ALIKE[:3], terms=terms, seconds=300, requests=requests)
    assert found.decision.reason is Reason.ABORT_REQUESTED
    assert found.decision.message.endswith("(eve: prices are wrong)")
    assert found.status.last_handled.promote == "v2/one"
    assert found.status.last_handled.abort == "v2/two"


@pytest.mark.parametrize(
    ("terms", "value", "kind"),
    [(TERMS, "v2/one", Promote), (TERMS, "one", Hold), (MANUAL, "v2/one", Hold)],
    ids=["named", "whichever is tried", "an approval"],
)
def test_a_promote_request_skips_the_evidence_only_if_it_names_the_version(terms, value, kind):
    requests = (ManualRequest(REQUEST_PROMOTE, value),)
    found = decided(ALIKE[:3], terms=terms, seconds=300, requests=requests)
    assert isinstance(found.decision, kind)


def test_a_candidate_that_waits_for_approval_raises_one_alert():
    first = decided(ALIKE, terms=MANUAL)
    assert isinstance(first.decision, Alert)
    assert first.decision.reason is Reason.AWAITING_APPROVAL


def test_an_slo_whose_indicator_is_edited_restarts_its_evidence():
    known = {"accuracy": SloRecord(terms_hash="another", degraded=True, since=5)}
    status = serving(stable=stable(since=START - 86_400), slos=known)
    after = evaluate(TERMS, status, observed(), START).status.engine.slo("accuracy")
    assert (after.since, after.steady_start_time, after.degraded) == (START, START, False)
    assert after.terms_hash == SLO.indicator_hash


def test_a_new_slo_counts_blocks_from_before_it_was_added():
    status = serving(stable=stable(since=START - 86_400), slos={"accuracy": SloRecord(since=5)})
    after = evaluate(TERMS, status, observed(), START).status.engine.slo("accuracy")
    assert (after.since, after.terms_hash) == (5, SLO.indicator_hash)
