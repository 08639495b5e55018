"""Signing by the command, and the calendar of reviews."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest
from dateutil.rrule import rrulestr
from icalendar import Calendar

from sluicegate.api.product import DataProduct
from sluicegate.api.review import Cycle, ReviewCycle, ReviewState
from sluicegate.errors import InvalidInput
from sluicegate.reporting.agenda import calendar
from sluicegate.reviews.journal import LATE_DAYS
from sluicegate.reviews.periods import period_of
from sluicegate.reviews.signing import Signature, role_of, roles_in, signed, signing_state_of
from sluicegate.reviews.store import parse_review
from tests.support.decisions.reviewed import document_of, month, sealed_month
from tests.support.samples.product_examples import changed

SEALED = sealed_month(11, wrong=0.1)
THEIRS = {
    "username": "kpl", "role": "EngineeringManager", "verdict": "Agree", "note": "",
    "signTime": "2026-12-05T09:00:00Z",
}  # fmt: skip


def test_a_member_signs_in_the_only_role_and_others_get_an_error_with_the_team():
    assert role_of(SEALED, "acb", None) == "DataProductManager"
    assert role_of(SEALED, "approver", "DataProductManager") == "DataProductManager"
    with pytest.raises(
        InvalidInput, match=r"approver isn't in the team \(acb as DataProductManager"
    ):
        role_of(SEALED, "approver", None)
    with pytest.raises(
        InvalidInput,
        match=r"neither spec.team nor signedBy has the role Auditor: name DataProductManager",
    ):
        role_of(SEALED, "acb", "Auditor")


def test_a_signer_with_several_roles_or_of_an_empty_team_has_to_name_one():
    team = (*SEALED.status.team, SEALED.status.team[0].model_copy(update={"role": "Auditor"}))
    review = SEALED.model_copy(update={"status": SEALED.status.replace(team=team)})
    with pytest.raises(
        InvalidInput, match=r"acb has several roles in the team \(.*Auditor\): name"
    ):
        role_of(review, "acb", None)
    alone = SEALED.model_copy(update={"status": SEALED.status.replace(team=())})
    with pytest.raises(InvalidInput, match=r"acb isn't in the team \(no members\): with the verb"):
        role_of(alone, "acb", None)


def test_a_review_without_required_roles_is_not_closed_unsigned():
    review = SEALED.model_copy(update={"status": SEALED.status.replace(signed_by=())})
    where = signing_state_of(review, 0)
    assert (where.state, where.missing) == (ReviewState.TO_REVIEW, ("DataProductManager",))
    assert role_of(review, "acb", "DataProductManager") == "DataProductManager"


def test_a_review_cycle_needs_a_role_that_signs():
    with pytest.raises(ValueError, match="signedBy"):
        ReviewCycle.model_validate({"startDate": "2026-01-01", "signedBy": []}, by_alias=True)


def test_a_user_outside_the_team_may_choose_a_role():
    assert roles_in(SEALED, "acb") == ("DataProductManager",)
    assert "DataProductManager" in roles_in(SEALED, "approver")


def test_an_unsealed_or_already_signed_review_cannot_be_signed():
    with pytest.raises(InvalidInput, match="isn't sealed yet: its period ends on 2026-12-01"):
        role_of(parse_review(month(11, wrong=0.1)), "acb", None)
    done = {"state": "Reviewed", "reviewed_by": ("acb",)}
    with pytest.raises(
        InvalidInput, match=r"was signed by acb, so it is a record: add notes to the next review"
    ):
        role_of(
            SEALED.model_copy(update={"status": SEALED.status.model_copy(update=done)}), "acb", None
        )


def test_a_new_signature_replaces_only_the_own_one():
    ours = THEIRS | {"username": "acb", "role": "DataProductManager"}
    before = parse_review(document_of(SEALED, signOffs=[THEIRS, ours]))
    change = signed(
        before, Signature("acb", "DataProductManager", "Object"), sign_time=1_796_461_200
    )
    again = change["spec"]["signOffs"]
    assert again[-1]["signTime"] == "2026-12-05T09:00:00Z"
    assert [(one["username"], one["verdict"]) for one in again] == [
        ("kpl", "Agree"),
        ("acb", "Object"),
    ]


@pytest.mark.parametrize("every", ["Week", "FourWeeks", "Month", "Quarter"])
@pytest.mark.parametrize("first", ["2026-01-15", "2025-03-01"], ids=["later", "long ago"])
def test_the_review_calendar_recurs_on_the_due_days_from_the_creation_on(every, first):
    review = {"every": every, "startDate": first, "timeZone": "Europe/Paris", "graceDays": 5}
    created = "2026-01-10T08:30:00Z"  # as the API server has it
    product = DataProduct.parse(
        changed({"spec.review": review, "metadata.creationTimestamp": created})
    )
    (event,) = Calendar.from_ical(calendar([product])).walk("VEVENT")
    assert event["dtstamp"].dt == datetime.fromisoformat(created)
    assert "catalog/search-ranking" in event["description"]
    start = datetime.combine(event["dtstart"].dt, time())
    rule = rrulestr(event["rrule"].to_ical().decode(), dtstart=start)
    told = [one.date() for one in rule[:12]]
    cycle = ReviewCycle(every=Cycle(every), start_date=first)
    period, days = period_of(cycle, max(date.fromisoformat(first), date(2026, 1, 10))), []
    for _ in range(12):
        days.append(period.after + timedelta(days=LATE_DAYS + 5))
        period = period_of(cycle, period.after)
    assert told == days


def test_a_product_without_a_review_is_not_in_the_calendar():
    document = changed({})
    del document["spec"]["review"]
    assert "VEVENT" not in calendar([DataProduct.parse(document)])
