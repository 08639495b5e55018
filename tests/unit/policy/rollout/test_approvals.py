"""Who must agree to a candidate, who has, and what silence means: each row is a sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sluicegate.api.names import REQUEST_PROMOTE
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.versions import CandidatePhase
from sluicegate.policy.model.observed import (
    DegradedConsumer,
    Facts,
    ManualRequest,
    PartyAnswer,
)
from sluicegate.policy.rollout import request_decisions
from sluicegate.policy.rollout.approvals import (
    approval_state,
    objection,
    rollout_id,
    with_approvals,
    withdrawal,
)
from sluicegate.views.approval_notes import ApprovalNote
from sluicegate.views.needs import needs_of_status
from tests.support.decisions.judged import START, V3, candidate, judged_by, observed, serving
from tests.support.decisions.scenarios import ACCURACY

MANAGER, ENGINEER = "DataProductManager", "EngineeringManager"
RANKING, TRADE = "search/ranking", "trade/trade-in"
TEAM = {"members": [{"username": "acb", "role": MANAGER}, {"username": "jlb", "role": ENGINEER}]}
NOW = START + 7200
PASSED = candidate(50, phase=CandidatePhase.AWAITING_APPROVAL)


def terms(**approvals: Any):
    return judged_by(ACCURACY, team=TEAM, rollout={"steps": [50], "approvals": approvals})


def answer(
    party: str, user: str, verdict: str = "Agree", *, rollout: str = "", version: str = "v2",
    reason: str = "words",
) -> PartyAnswer:  # fmt: skip
    note = ApprovalNote(verdict, version, rollout or rollout_id(PASSED), user, reason)
    return PartyAnswer(party, note)


def read(*answers: PartyAnswer, consumers: tuple[str, ...] = (RANKING, TRADE)):
    return observed(answers=answers, consumers=consumers)


def state(approvals: dict[str, Any], *answers: PartyAnswer, **more: Any):
    found = approval_state(
        terms(**approvals), serving(candidate=PASSED), read(*answers, **more), NOW
    )
    assert found is not None
    return found


BOTH = {"roles": [MANAGER, ENGINEER]}
ROWS = {
    "each role has to agree": (BOTH, [answer(MANAGER, "acb")], (ENGINEER,)),
    "all roles have agreed": (BOTH, [answer(MANAGER, "acb"), answer(ENGINEER, "jlb")], ()),
    "a person agrees for one role only": (
        BOTH, [answer(MANAGER, "acb"), answer(ENGINEER, "acb")], (ENGINEER,),
    ),
    "a person agrees for a role or for a consumer": (
        {"roles": [MANAGER], "consumers": ["All"]},
        [answer(MANAGER, "acb"), answer(RANKING, "acb"), answer(TRADE, "x")], (RANKING,),
    ),
    "a role that the spec doesn't name agrees to nothing": (
        {"roles": [MANAGER]}, [answer(ENGINEER, "jlb")], (MANAGER,),
    ),
    "an answer to another version counts for none, whichever rollout it names": (
        {"roles": [MANAGER]}, [answer(MANAGER, "acb", version="v3")], (MANAGER,),
    ),
    "an answer to another rollout counts for none": (
        {"roles": [MANAGER]}, [answer(MANAGER, "acb", rollout="another-1")], (MANAGER,),
    ),
    "one of any consumers suffices": ({"consumers": ["Any"]}, [answer(TRADE, "x")], ()),
    "any consumer may still agree after another one has refused": (
        {"consumers": ["Any"]}, [answer(TRADE, "x", "Refuse")], (RANKING,),
    ),
    "each of all consumers has to agree": (
        {"consumers": ["All"]}, [answer(TRADE, "x")], (RANKING,),
    ),
    "only consumers that are named have to agree": (
        {"consumers": [RANKING]}, [answer(RANKING, "x")], (),
    ),
    "a name without a namespace is of the own one": (
        {"consumers": ["other"]}, [], ("catalog/other",),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("approvals", "answers", "missing"), ROWS.values(), ids=ROWS)
def test_the_missing_approval_parties_follow_from_the_spec_and_the_answers(
    approvals, answers, missing
):
    found = state(approvals, *answers)
    assert (found.waiting, found.agreed) == (missing, not missing)
    assert not found.refusals


def test_the_decision_of_a_promotion_has_the_reasons_of_those_who_agreed():
    found = state(
        BOTH, answer(MANAGER, "acb", reason="for Spain"), answer(ENGINEER, "jlb", reason="")
    )
    assert found.agreement == f"agreed: acb ({MANAGER}), jlb ({ENGINEER}); acb: for Spain"
    long = state({"roles": [MANAGER]}, answer(MANAGER, "acb", reason="x" * 300))
    assert long.agreement == f"agreed: acb ({MANAGER}); acb: {'x' * 200}…"


def test_a_product_without_consumers_waits_for_no_consumer_approval():
    assert state({"consumers": ["All"]}, consumers=()).agreed
    assert state({"roles": [MANAGER], "consumers": ["Any"]}, consumers=()).waiting == (MANAGER,)


def test_a_removed_answer_is_reported_once_and_an_edited_one_is_not():
    judged, agreed = terms(**BOTH), answer(MANAGER, "acb")
    known = with_approvals(judged, serving(candidate=PASSED), read(agreed), NOW)
    assert withdrawal(judged, known, read(agreed), NOW) is None
    edited = read(answer(MANAGER, "acb", reason="other words"))
    assert withdrawal(judged, known, edited, NOW) is None
    made = withdrawal(judged, known, read(), NOW)
    assert made is not None
    assert made.reason is Reason.ANSWER_REMOVED
    assert f"Agree of acb ({MANAGER}), read at 1970-02-04T19:20:00Z" in made.message
    after = with_approvals(judged, known, read(), NOW + 60)
    assert withdrawal(judged, after, read(), NOW + 60) is None


REFUSED = {
    "a role refuses": (BOTH, [answer(MANAGER, "acb", "Refuse")]),
    "a person who has agreed for a role refuses for a consumer": (
        {"roles": [MANAGER], "consumers": ["All"]},
        [answer(MANAGER, "acb"), answer(RANKING, "acb", "Refuse")],
    ),
    "each of any consumers refuses": (
        {"consumers": ["Any"]}, [answer(RANKING, "x", "Refuse"), answer(TRADE, "y", "Refuse")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("approvals", "answers"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("suspend", [False, True])
def test_a_refusal_rolls_the_candidate_back_also_while_the_product_is_suspended(
    approvals, answers, suspend
):
    judged = judged_by(
        ACCURACY, team=TEAM, suspend=suspend, rollout={"steps": [50], "approvals": approvals}
    )
    made = objection(judged, serving(candidate=candidate(50)), read(*answers), NOW)
    assert made is not None
    assert made.reason is Reason.APPROVAL_REFUSED
    assert ": words" in made.message


@pytest.mark.parametrize(
    ("meaning", "seconds", "suspend", "reason", "agreed"),
    [
        ("Agreement", 3599, False, None, False),
        ("Agreement", 3600, False, None, True),
        ("Refusal", 3599, False, None, False),
        ("Refusal", 3600, False, Reason.APPROVAL_MISSING, False),
        ("Refusal", 3600, True, None, False),
    ],
)
def test_silence_counts_as_an_answer_after_its_time_but_never_during_a_suspension(
    meaning, seconds, suspend, reason, agreed
):
    silence = {"afterSeconds": 3600, "countsAs": meaning}
    judged = judged_by(
        ACCURACY, team=TEAM, suspend=suspend,
        rollout={"steps": [50], "approvals": BOTH | {"silence": silence}},
    )  # fmt: skip
    status = with_approvals(judged, serving(candidate=PASSED), read(answer(MANAGER, "acb")), NOW)
    shown = status.candidate.approvals
    assert (shown.wait_start_time, shown.silence_time) == (NOW, NOW + 3600)
    found = approval_state(judged, status, read(answer(MANAGER, "acb")), NOW + seconds)
    assert (found.agreed, found.requested) == (agreed, False)
    made = objection(judged, status, read(answer(MANAGER, "acb")), NOW + seconds)
    assert (made.reason if made else None) is reason


def test_status_keeps_the_time_and_evidence_of_an_answer_over_a_restart():
    judged, given = terms(**BOTH), read(answer(MANAGER, "acb"))
    early = with_approvals(judged, serving(candidate=candidate(5)), given, NOW)
    later = early.with_candidate(weight=50, phase=CandidatePhase.AWAITING_APPROVAL)
    after = with_approvals(judged, later, given, NOW + 600)
    (kept,) = after.candidate.approvals.answers
    assert kept.answer_time == NOW
    assert kept.evidence.startswith("at 5 % of the traffic")
    assert after.candidate.approvals.waiting_for == (ENGINEER,)
    assert with_approvals(judged, after, given, NOW + 9000) == after
    withdrawn = with_approvals(judged, after, read(), NOW + 9000)
    assert withdrawn.candidate.approvals.answers == ()


def test_an_answer_keeps_which_consumers_the_candidate_degrades_at_its_time():
    degraded = DegradedConsumer(RANKING, "pricing/pricing", "v2", "accuracy fell")
    of_another = DegradedConsumer(TRADE, "pricing/pricing", "v1", "accuracy fell")
    facts = Facts(degraded_consumers=(degraded, of_another))
    given = replace(read(answer(MANAGER, "acb")), facts=facts)
    found = approval_state(terms(**BOTH), serving(candidate=PASSED), given, NOW)
    assert found is not None
    (kept,) = found.answers
    assert kept.evidence.startswith("its release degrades search/ranking; at 50 % of the traffic")
    assert f"{ENGINEER}; its release degrades search/ranking; agreed: acb" in found.wait


def test_the_first_of_two_answers_of_one_person_counts():
    judged = terms(**BOTH)
    first = with_approvals(judged, serving(candidate=PASSED), read(answer(ENGINEER, "acb")), NOW)
    both = read(answer(MANAGER, "acb"), answer(ENGINEER, "acb"))
    after = with_approvals(judged, first, both, NOW + 60)
    assert after.candidate.approvals.waiting_for == (MANAGER,)
    problems = {one.party: one.problem for one in after.candidate.approvals.answers}
    assert problems[ENGINEER] == ""
    assert "acb has answered as EngineeringManager already" in problems[MANAGER]


def test_editing_the_reason_of_an_answer_keeps_its_party():
    judged = terms(**BOTH)
    first = answer(MANAGER, "acb")
    before = with_approvals(judged, serving(candidate=PASSED), read(first), NOW)
    second = answer(ENGINEER, "acb")
    status = with_approvals(judged, before, read(first, second), NOW + 60)
    edited = answer(MANAGER, "acb", reason="other words")
    for later in (120, 180):
        status = with_approvals(judged, status, read(edited, second), NOW + later)
        approvals = status.candidate.approvals
        assert approvals.waiting_for == (ENGINEER,)
        problems = {one.party: bool(one.problem) for one in approvals.answers}
        assert problems == {MANAGER: False, ENGINEER: True}
    status = with_approvals(judged, status, read(second), NOW + 240)
    assert status.candidate.approvals.waiting_for == (MANAGER,)


CONSUMERS = tuple(f"catalog/c{number:03}" for number in range(100))


def test_approvals_of_all_consumers_are_required_and_status_counts_unlisted_consumers():
    judged, status = terms(consumers=["All"]), serving(candidate=PASSED)
    shown = with_approvals(judged, status, read(consumers=CONSUMERS), NOW).candidate.approvals
    assert (shown.waiting_for, shown.more_waiting) == (CONSUMERS[:64], 36)
    agreed = [answer(consumer, f"u-{consumer}") for consumer in CONSUMERS]
    most = state({"consumers": ["All"]}, *agreed[:-1], consumers=CONSUMERS)
    assert (most.waiting, most.agreed) == (CONSUMERS[-1:], False)
    assert state({"consumers": ["All"]}, *agreed, consumers=CONSUMERS).agreed
    status = with_approvals(judged, status, read(*agreed, consumers=CONSUMERS), NOW)
    shown = status.candidate.approvals
    assert (len(shown.answers), shown.more_answers, shown.more_waiting) == (64, 36, 0)
    later = with_approvals(judged, status, read(*agreed, consumers=CONSUMERS), NOW + 60)
    assert later == status


@pytest.mark.parametrize("consumers", ["All", "Any"])
def test_an_answer_of_a_consumer_that_status_does_not_list_counts(consumers):
    given = {
        "All": [answer(CONSUMERS[-1], "zed", "Refuse")],
        "Any": [answer(CONSUMERS[-1], "zed")],
    }[consumers]
    judged, seen = terms(consumers=[consumers]), read(*given, consumers=CONSUMERS)
    made = objection(judged, serving(candidate=PASSED), seen, NOW)
    assert bool(made) is (consumers == "All")
    found = state({"consumers": [consumers]}, *given, consumers=CONSUMERS)
    assert found.agreed is (consumers == "Any")


@pytest.mark.parametrize("consumers", ["All", "Any"])
def test_an_approval_message_names_the_first_parties_and_counts_the_others(consumers):
    wait = state({"consumers": [consumers]}, consumers=CONSUMERS[:47]).wait
    assert CONSUMERS[7] in wait
    assert wait.endswith(" and 39 more")
    assert len(wait) < 1024


@pytest.mark.parametrize(("meaning", "held"), [("Agreement", "promotion"), ("Refusal", "rollback")])
def test_status_names_the_parties_whose_silence_does_not_count_during_a_suspension(meaning, held):
    silence = {"afterSeconds": 3600, "countsAs": meaning}
    rollout = {"steps": [50], "approvals": BOTH | {"silence": silence}}
    judged = judged_by(ACCURACY, team=TEAM, suspend=True, rollout=rollout)
    status = with_approvals(judged, serving(candidate=PASSED), read(), NOW)
    assert status.candidate.approvals.held_silence is None
    status = with_approvals(judged, status, read(), NOW + 3600)
    shown = status.candidate.approvals
    assert (shown.waiting_for, shown.held_silence) == ((MANAGER, ENGINEER), meaning)
    first, second = needs_of_status(status, ("catalog", "pricing"))
    assert f"silence counts as {meaning.lower()} of {MANAGER}, {ENGINEER} since" in first.message
    assert f"spec.suspend holds the {held}: unset spec.suspend" in first.message
    assert second.command.endswith(f"approve catalog/pricing v2 --for {ENGINEER}")
    found = approval_state(judged, status, read(), NOW + 3600)
    assert f"spec.suspend holds the {held}" in found.wait
    answers = read(answer(MANAGER, "acb"), answer(ENGINEER, "jlb"))
    assert approval_state(judged, status, answers, NOW + 3600).requested
    unset = judged_by(ACCURACY, team=TEAM, rollout=rollout)
    assert approval_state(unset, status, read(), NOW + 3600).agreed is (meaning == "Agreement")


def test_a_missing_consumer_of_the_spec_is_named_in_the_wait_and_in_the_need():
    judged = terms(consumers=[RANKING, "ghost/none"])
    seen = replace(read(), absent_consumers=("ghost/none",))
    status = with_approvals(judged, serving(candidate=PASSED), seen, NOW)
    text = "there is no DataProduct ghost/none: correct spec.rollout.approvals.consumers"
    assert status.candidate.approvals.absent == ("ghost/none",)
    assert text in approval_state(judged, status, seen, NOW).wait
    present, absent = needs_of_status(status, ("catalog", "pricing"))
    assert text not in present.message
    assert text in absent.message
    assert (bool(present.command), absent.command) == (True, "")


def test_consumers_beyond_the_size_limit_of_status_share_one_need():
    judged = terms(consumers=["All"])
    status = with_approvals(judged, serving(candidate=PASSED), read(consumers=CONSUMERS), NOW)
    needs = needs_of_status(status, ("catalog", "pricing"))
    assert len(needs) == 65
    assert "waits for the agreement of 36 more" in needs[-1].message


def test_approvals_of_a_replaced_candidate_do_not_count_for_the_new_candidate():
    judged, given = terms(**BOTH), read(answer(MANAGER, "acb"))
    other = candidate(50, release=V3)
    found = approval_state(judged, serving(candidate=other), given, NOW)
    assert (found.answers, found.waiting) == ((), (MANAGER, ENGINEER))


def test_status_has_no_approvals_field_if_the_spec_requires_none():
    judged = judged_by(ACCURACY, rollout={"steps": [50], "approval": "Manual"})
    status = serving(candidate=PASSED)
    assert with_approvals(judged, status, read(answer(MANAGER, "acb")), NOW) is status
    assert approval_state(judged, status, read(), NOW) is None


@pytest.mark.parametrize(
    ("tried", "refused"),
    [(candidate(50), True), (candidate(), False)],
    ids=["with a share", "before"],
)
def test_a_promote_request_replaces_no_approval_party_but_accepts_a_changed_api(tried, refused):
    request = ManualRequest(REQUEST_PROMOTE, "v2/token")
    seen = observed(requests=(request,))
    found = request_decisions.request_decisions(terms(**BOTH), serving(candidate=tried), seen, NOW)
    assert bool(found) is refused
    if refused:
        assert "spec.rollout.approvals has the parties" in found[0].decision.message
