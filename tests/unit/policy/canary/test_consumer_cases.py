"""SLOs of consumers in a canary: which of their outcomes are evidence, and what waits for them."""

from __future__ import annotations

from math import log

import pytest

from sluicegate.api.product import DataProduct
from sluicegate.api.product_info import ConsumerEvidence
from sluicegate.api.slos import CanaryEvidence
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, CandidatePhase, Release, Version, VersionSource
from sluicegate.cli.trials.explain_consumers import consumer_lines, consumers_as_object
from sluicegate.policy.canary.case import CanaryCase
from sluicegate.policy.canary.consumer_cases import with_consumers
from sluicegate.policy.canary.evidence_gathering import assess
from sluicegate.policy.canary.objections import unmeasured_consumer
from sluicegate.policy.canary.rollout_defaults import derive_rollout
from sluicegate.policy.canary.verdict import decide
from sluicegate.policy.model.canary_block import CanaryBlock, ConsumerBlock
from sluicegate.policy.model.consumers import ConsumerReading, consumer_terms, planned_evidence
from sluicegate.policy.model.observed import Facts, Observed
from sluicegate.policy.rollout.candidates import with_share
from sluicegate.slo.blocks import BlockValue, Quality
from sluicegate.slo.label_ages import AGES, labels_by_age
from sluicegate.stats.counts import NOTHING, Count
from tests.support.decisions.canary_products import canary_terms
from tests.support.decisions.judged import series
from tests.support.virtual.stories import product

CASE = "catalog/search/accuracy"
UPSTREAM = ("default", "simulated")
START, BLOCK = 3600, 60
ACCURACY = {"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.02"}


def consumer(evidence="Required", *, slos=(ACCURACY,), **spec):
    asks = {"namespace": UPSTREAM[0], "name": UPSTREAM[1], "evidence": evidence}
    body = product("search", slos=[*slos], dependsOn=[asks], retraining=None, **spec)
    return DataProduct.parse(body)


def heard(evidence="Required", **spec):
    return consumer_terms(consumer(evidence, **spec), UPSTREAM)


def block(number, requests, *, lost=0):
    """Return a minute of the consumer; `requests` is (all, mixed, unmarked)."""
    counts = {"stable": Count(20, 100), "candidate": Count(20, 100)}
    ages = labels_by_age(
        *((counts[arm], *(NOTHING,) * (len(AGES) - 1)) for arm in ("candidate", "stable"))
    )
    values = {arm: {CASE: BlockValue(Quality.COUNTED, one)} for arm, one in counts.items()}
    end = START + number * BLOCK
    theirs = CanaryBlock(end, Quality.COUNTED, values["stable"], values["candidate"], ages=ages)
    own = {"availability": BlockValue(Quality.COUNTED, Count(lost, 100))}
    return CanaryBlock(end, Quality.COUNTED, own, own), ConsumerBlock(theirs, *requests)


def judged(*requests, steps=(50,), lost=0, readings=None, evidence="Required", **rollout):
    """Return the assessment after blocks in which the consumer's requests met these versions."""
    terms = canary_terms(("availability", "0.9", "0.05"), steps=list(steps), **rollout)
    blocks = [block(number, one, lost=lost) for number, one in enumerate(requests, start=1)]
    first = Candidate.of(
        Release("v2"), VersionSource.SPEC, phase=CandidatePhase.STARTING, start_time=START
    )
    candidate = with_share(first, steps[0], START)
    stable = Version.of(Release("v1"), VersionSource.SPEC, promotion_time=0)
    status = DataProductStatus(stable=stable, candidate=candidate)
    reading = ConsumerReading(
        "catalog/search", heard(evidence), blocks=tuple(one for _, one in blocks)
    )
    observed = Observed(
        1,
        canary_blocks=tuple(one for one, _ in blocks),
        canary_block_seconds=BLOCK,
        consumer_readings=(reading,) if readings is None else readings,
    )
    found = assess(terms, status, candidate, observed)
    found = with_consumers(terms, status, candidate, observed, assessment=found)
    return CanaryCase(terms, status, candidate, found, facts=Facts(), now=START + 3600)


def of_consumer(case):
    (found,) = [slo for slo in case.assessment.slos if slo.terms.name == CASE]
    return found


CLEAR = (100, 1, 1)


def test_outcomes_of_a_consumer_count_if_at_most_one_percent_of_requests_met_both_versions():
    assert of_consumer(judged(*[CLEAR] * 12)).evidence.candidate.total == 900
    assert of_consumer(judged(*[(100, 2, 0)] * 12)).evidence.candidate.total == 0


def test_requests_that_met_both_versions_in_the_newest_blocks_discard_the_evidence_at_once():
    case = judged(*[CLEAR] * 30, *[(100, 60, 0)] * 2)
    assert of_consumer(case).evidence.candidate.total == 2700
    (gap,) = case.assessment.gaps
    assert "of the requests of catalog/search to default/simulated at this share" in gap.text


def test_unversioned_requests_of_a_consumer_are_no_gap_if_the_upstream_lost_as_many():
    assert not judged(*[(100, 0, 5)] * 12, lost=5).assessment.gaps
    (gap,) = judged(*[(100, 0, 5)] * 12).assessment.gaps
    assert "5.0 % got no answer that names its version" in gap.text


def test_a_consumer_without_a_counted_request_is_a_gap():
    (gap,) = judged(*[(0, 0, 0)] * 12).assessment.gaps
    assert "no request of catalog/search to default/simulated was counted" in gap.text


def test_only_the_last_step_waits_for_evidence_of_a_consumer():
    assert of_consumer(judged(*[CLEAR] * 12, steps=(5, 50))).required is False
    assert of_consumer(judged(*[CLEAR] * 12)).required is True


@pytest.mark.parametrize(("seconds", "required"), [(600, False), (86_400, True)])
def test_evidence_if_available_is_required_only_if_an_equal_candidate_can_pass_in_time(
    seconds, required
):
    case = judged(*[CLEAR] * 12, evidence="IfAvailable", maxDurationSeconds=seconds)
    assert of_consumer(case).required is required


def test_the_error_rate_of_a_rollback_is_split_over_the_slos_of_a_consumer():
    case = judged(*[CLEAR] * 12)
    assert {slo.roll_back_at for slo in case.assessment.slos} == {log(2 / 0.05)}


def test_a_consumer_that_cannot_be_read_holds_at_the_last_step_with_its_reason():
    unread = (ConsumerReading("catalog/search", problem="there is no such DataProduct"),)
    case = judged(*[CLEAR] * 12, readings=unread)
    assert unmeasured_consumer(case).text == "there is no such DataProduct"
    hold = decide(case)
    assert hold.reason == "ConsumerNotMeasured"
    assert "v2 stays at 50 %: there is no such DataProduct; otherwise all traffic" in hold.message
    early = decide(judged(*[CLEAR] * 12, readings=unread, steps=(5, 50)))
    assert early.reason != "ConsumerNotMeasured"


def test_slos_of_outcomes_and_events_count_with_their_largest_drop():
    clicks = {
        "name": "clicks",
        "indicator": {"events": {}},
        "maxDrop": "0.1",
        "maxRegression": "0.3",
    }
    ignored = {**ACCURACY, "name": "quiet", "onDegraded": "Ignore"}
    available = {"name": "availability", "indicator": {"availability": {}}, "objective": "0.9"}
    found = heard("IfAvailable", slos=(ACCURACY, clicks, ignored, available))
    assert [(one.terms.name, one.terms.margin, one.series) for one in found.cases] == [
        (CASE, 0.02, "@outcomes"),
        ("catalog/search/clicks", 0.1, "@events:clicks"),
    ]
    assert {one.terms.canary_evidence for one in found.cases} == {CanaryEvidence.IF_AVAILABLE}
    assert found.cases[0].terms.title == "search / accuracy"


@pytest.mark.parametrize(
    ("evidence", "upstream"), [("Ignore", UPSTREAM), ("Required", ("default", "other"))]
)
def test_a_consumer_gives_evidence_only_if_its_spec_enables_it_and_names_the_upstream(
    evidence, upstream
):
    assert consumer_terms(consumer(evidence), upstream) is None
    assert ConsumerEvidence(evidence)


def test_the_derived_duration_follows_the_labels_of_a_consumer():
    terms = canary_terms(("availability", "0.9", "0.05"))
    hours = series(*[(20, 100)] * 24)
    reading = ConsumerReading(
        "catalog/search", heard(), block=24, series={"v7": {"accuracy": hours}}
    )
    alone, with_it = (
        derive_rollout(terms, Observed(24, consumer_readings=readings))
        for readings in ((), (reading,))
    )
    assert "labels of search / accuracy a day come" in with_it.message
    assert with_it.max_duration_seconds > alone.max_duration_seconds


def test_a_plan_names_the_slos_that_count_in_the_canary_of_an_upstream():
    (text,) = planned_evidence(consumer())
    assert text == (
        "accuracy (not worse by 2 points) of this product count in canaries of default/simulated"
        " (Required), if its rollout.consumers names this product"
    )


def test_explain_has_a_line_for_each_slo_of_a_consumer_and_for_each_gap():
    found = judged(*[CLEAR] * 12).assessment
    (line,) = consumer_lines(found)
    assert line.startswith(
        "  candidate in catalog/search/accuracy: 80.0 % (n=900) against stable's 80.0 %"
    )
    (row,) = consumers_as_object(found)["consumers"]
    assert (row["slo"], row["candidate"]) == (CASE, {"bad": 180, "total": 900})
    *_, gap = consumer_lines(judged(*[(100, 60, 0)] * 12).assessment)
    assert gap.startswith("  no evidence: of the requests of catalog/search to default/simulated")
    assert not list(consumer_lines(None))
    assert consumers_as_object(None) == {}
