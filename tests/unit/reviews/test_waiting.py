"""A review that waits for signatures, or can't be read: what is said of it, where and how often."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from sluicegate.api.base import rfc3339
from sluicegate.api.names import ConditionType
from sluicegate.api.review import ReviewState
from sluicegate.conditions import Finding, find_condition, is_true
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.report.status import report
from sluicegate.reviews.events import export_overview
from sluicegate.reviews.journal import LATE_DAYS
from sluicegate.reviews.schedule import Overview, Waiting, _FollowedReview
from sluicegate.reviews.seal import digest_of
from sluicegate.reviews.signing import signing_sentence, signing_state_of
from tests.support.decisions.ledger_world import KEY, counted, world
from tests.support.decisions.recorded_days import DAY, NAMESPACE
from tests.support.decisions.reviewed import sealed_month
from tests.support.decisions.rollout_world import serving_world

SEALED_AFTER = (11 + LATE_DAYS + 1) * DAY
"""September's eleven days are over, and what comes late has come."""
SEPTEMBER, OCTOBER = "pricing-2026-09", "pricing-2026-10"


def finding(it, kind=ConditionType.REVIEW_DUE):
    """One condition of the product's reviews; None without it."""
    return next(
        (condition for condition in it.reviews.conditions(it.product()) if condition.type == kind),
        None,
    )


def said(it, kind=ConditionType.REVIEW_DUE):
    """The reason of a condition of the product's reviews, or nothing."""
    found = finding(it, kind)
    return found and found.reason


@pytest.mark.slow
async def test_a_seal_emits_one_event_and_the_product_has_a_condition_until_the_review_is_signed():
    async with world() as it:
        await it.pass_time(10 * DAY, step=6 * 3600)
        assert (said(it), it.told) == (None, [])
        await it.pass_time(SEALED_AFTER - 10 * DAY, step=6 * 3600)
        assert it.told == [(SEPTEMBER, "ToReview")]
        assert said(it) == "ToReview"
        assert it.woken == [KEY]
        export_overview(it.reviews.overview, max_exported=1)
        labels = {"namespace": NAMESPACE, "product": KEY.name}
        due = REGISTRY.get_sample_value("sluicegate_product_review_due_timestamp_seconds", labels)
        assert due == it.all()[SEPTEMBER].status.due_time
        waiting = REGISTRY.get_sample_value("sluicegate_reviews", {"state": "ToReview"})
        assert waiting == 1
        await it.pass_time(8 * DAY, step=12 * 3600)
        assert it.told[1:] == [(SEPTEMBER, "Overdue")]
        assert said(it) == "Overdue"
        it.sign(SEPTEMBER, "DataProductManager", verdict="Object", note="not by these")
        await it.pass_time(3600)
        assert said(it) is None
        signed = it.all()[SEPTEMBER]
        assert (str(signed.status.state), signed.status.reviewed_by) == ("Reviewed", ("acb",))
        assert digest_of(signed) == signed.status.digest
        stored = it.server.objects[DATA_PRODUCT_REVIEWS.path(NAMESPACE, SEPTEMBER)]
        assert stored["metadata"]["labels"]["sluicegate.dev/review"] == "closed"
        assert it.told[2:] == [(SEPTEMBER, "Reviewed")]
        assert it.woken == [KEY] * 3


def test_the_condition_of_several_due_reviews_names_the_first_and_the_number_of_the_others():
    overview = Overview()
    for review, due in (("w48", 30), ("w46", 10), ("w47", 20)):
        due_finding = Finding(ConditionType.REVIEW_DUE, "True", "ToReview", f"{review} waits")
        overview.add(
            _FollowedReview(
                "1", KEY, "uid", ReviewState.TO_REVIEW, Waiting("uid", due, due_finding)
            )
        )
    waiting = overview.waiting[KEY]
    assert waiting.due == 10
    assert waiting.product_finding.message == "w46 waits; 2 more wait for signatures"


@pytest.mark.slow
async def test_a_restart_keeps_review_conditions_until_the_reviews_are_read():
    async with world() as it:
        await it.pass_time(SEALED_AFTER, step=12 * 3600)
        it.conditions = [
            {"type": "ReviewDue", "status": "True", "reason": "ToReview", "message": "as it was",
             "observedGeneration": 1, "lastTransitionTime": rfc3339(int(it.now))}
        ]  # fmt: skip
        it.start()
        assert finding(it).message == "as it was"
        await it.pass_time(600, step=300)
        assert "sluicegate review sign pricing/pricing-2026-09" in finding(it).message
        it.uid = "another"
        assert said(it) is None, "the review is of a product that is gone"


def agree(it, review, *actions):
    """Write the actions of a review."""
    body = it.server.objects[DATA_PRODUCT_REVIEWS.path(NAMESPACE, review)]
    written = {**body, "spec": {**body["spec"], "actions": [*actions]}}
    it.server.keep(DATA_PRODUCT_REVIEWS, written)


@pytest.mark.slow
async def test_a_late_action_is_a_condition_of_its_product_until_it_is_done_or_agreed_again():
    late = ConditionType.ACTIONS_LATE
    async with world() as it:
        await it.pass_time(SEALED_AFTER, step=12 * 3600)
        it.sign(SEPTEMBER, "DataProductManager")
        action = {"title": "refresh the card", "owner": "acb", "dueDate": "2026-10-05"}
        other = {"title": "ask the label job", "owner": "kim", "dueDate": "2026-10-06"}
        agree(it, SEPTEMBER, action, other)
        await it.pass_time(DAY, step=6 * 3600)
        assert said(it, late) is None, "both are due on a later day"
        await it.pass_time(3 * DAY, step=6 * 3600)
        assert said(it, late) == "ActionsLate"
        assert finding(it, late).message.startswith(
            "late: refresh the card (acb, due 2026-10-05, agreed in pricing-2026-09);"
            " ask the label job (kim, due 2026-10-06, agreed in pricing-2026-09). Set done"
        )
        agree(it, SEPTEMBER, action | {"done": True}, other)
        await it.pass_time(600, step=300)
        assert "refresh" not in finding(it, late).message
        agree(it, OCTOBER, other | {"dueDate": "2026-12-31"})
        await it.pass_time(DAY, step=6 * 3600)
        assert said(it, late) is None
        assert it.woken.count(KEY) >= 3


@pytest.mark.slow
async def test_a_restart_keeps_late_actions_until_the_reviews_are_read():
    async with world() as it:
        await it.pass_time(DAY, step=12 * 3600)
        it.conditions = [
            {"type": "ActionsLate", "status": "True", "reason": "ActionsLate", "message": "as it was",
             "observedGeneration": 1, "lastTransitionTime": rfc3339(int(it.now))}
        ]  # fmt: skip
        it.start()
        assert finding(it, ConditionType.ACTIONS_LATE).message == "as it was"
        await it.pass_time(600, step=300)
        assert finding(it, ConditionType.ACTIONS_LATE) is None


@pytest.mark.slow
async def test_an_unreadable_review_is_reported_once_and_unchanged_until_it_is_fixed():
    async with world() as it:
        await it.pass_time(3 * DAY, step=8 * 3600)
        path = DATA_PRODUCT_REVIEWS.path(NAMESPACE, SEPTEMBER)
        good = it.server.objects[path]
        broken = {**good, "status": {**good["status"], "days": "none"}}
        it.server.keep(DATA_PRODUCT_REVIEWS, broken)
        before = len(it.server.writes)
        await it.pass_time(2 * DAY, step=8 * 3600)
        assert len(it.server.writes) == before, "what isn't understood is left alone"
        assert len(it.wrong) == 1
        assert "pricing/pricing-2026-09 can't be read: status.days" in it.wrong[0]
        assert "delete it" in it.wrong[0]
        it.server.keep(DATA_PRODUCT_REVIEWS, good)
        await it.pass_time(DAY, step=8 * 3600)
        assert counted(it.all())["2026-09-24"]["availability"][1] > 0


@pytest.mark.slow
async def test_a_broken_review_of_one_product_delays_no_other_product():
    async with world() as it:
        await it.pass_time(DAY, step=8 * 3600)
        body = it.server.objects[DATA_PRODUCT_REVIEWS.path(NAMESPACE, SEPTEMBER)]
        stranger = {
            **body,
            "status": {"days": 7},
            "metadata": {**body["metadata"], "name": "x-2026-09"},
        }
        it.server.keep(DATA_PRODUCT_REVIEWS, stranger)
        await it.pass_time(SEALED_AFTER, step=12 * 3600)
        found = it.all(readable=True)
        assert found[SEPTEMBER].status.seal_time is not None


def test_a_waiting_review_names_missing_signatures_and_roles_without_a_member_with_the_way_out():
    review = sealed_month(11, wrong=0.1)
    told = signing_sentence(review, signing_state_of(review, review.status.seal_time))
    assert told.endswith(
        "waits for a signature as DataProductManager: sign by `sluicegate review sign"
        " pricing/pricing-2026-11`, or in its spec.signOffs"
    )
    desired = review.status.model_copy(update={"signed_by": ("Auditor",)})
    review = review.model_copy(update={"status": desired})
    told = signing_sentence(review, signing_state_of(review, review.status.seal_time))
    assert "no member of the team is Auditor: add one to spec.team" in told


def test_the_review_condition_does_not_change_the_ready_condition():
    observation = serving_world(2).observation()
    step = make_plan(observation)
    before = report(observation, step).conditions
    assert find_condition(before, ConditionType.REVIEW_DUE) is None
    due = Finding(ConditionType.REVIEW_DUE, "True", "Overdue", "waits")
    after = report(replace(observation, reviews=(due,)), step).conditions
    assert {one.type for one in after} - {one.type for one in before} == {"ReviewDue"}
    assert is_true(after, ConditionType.READY)
