"""Candidates that several parties must agree to, by the whole operator on virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from sluicegate.api import names
from sluicegate.kube.resources import DATA_PRODUCTS, EVENTS
from sluicegate.views.approval_notes import ApprovalNote, consumer_annotation, role_annotation
from tests.support.virtual.stories import (
    HOUR,
    RARELY,
    on_virtual_time,
    product,
    pushed,
    serving,
    weight,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World
    from sluicegate.kube.requests import ApiRequest
    from sluicegate.kube.resources import Key

Body = dict[str, Any]
AVAILABLE: Final[Body] = {
    "name": "availability",
    "indicator": {"availability": {}},
    "objective": "0.9",
    "maxRegression": "0.05",
}
MANAGER, ENGINEER = "DataProductManager", "EngineeringManager"
TEAM: Final[Body] = {
    "members": [{"username": "acb", "role": MANAGER}, {"username": "jlb", "role": ENGINEER}]
}
CONSUMER: Final = "catalog/search"


async def waiting(world: World, **approvals: Any) -> tuple[Key, Key]:
    """Return pricing, whose v2 has passed and waits for its approvals, and search, which depends on it."""
    rollout = {"steps": [50], "maxDurationSeconds": 14_400, "approvals": approvals}
    pricing = world.apply(
        product(
            "pricing",
            model=pushed("a", "v1"),
            slos=[AVAILABLE],
            retraining=None,
            team=TEAM,
            rollout=rollout,
        )
    )
    search = world.apply(product("search", dependsOn=[{"name": "pricing"}]))
    world.start(**RARELY)
    await world.until(lambda: serving(world, pricing) == "v1", seconds=60)
    await world.until(lambda: serving(world, search) == "v1", seconds=60)
    await world.run(HOUR)
    world.edit(pricing, model=pushed("b", "v2"))
    await world.until(
        lambda: candidate(world, pricing).get("phase") == "AwaitingApproval", seconds=2 * HOUR
    )
    return pricing, search


def candidate(world: World, key: Key) -> Body:
    return world.status(key).get("candidate") or {}


def approvals(world: World, key: Key) -> Body:
    return candidate(world, key).get("approvals") or {}


def answer(world: World, key: Key, party: str, user: str, *, verdict: str = "Agree") -> None:
    """Answer as a person for a role of pricing, or for the consumer search."""
    note = ApprovalNote(verdict, "v2", approvals(world, key)["id"], user, "seen")
    if "/" in party:
        other = type(key)(*party.split("/"))
        world.annotate(other, **{consumer_annotation(*key): note.annotation})
    else:
        world.annotate(key, **{role_annotation(party): note.annotation})


def answered(world: World, key: Key) -> list[tuple[str, str, str]]:
    found = approvals(world, key).get("answers") or ()
    return [(one["party"], one["verdict"], one["user"]) for one in found]


@pytest.mark.slow
@on_virtual_time
async def test_a_candidate_waits_for_two_roles_and_a_consumer_and_is_promoted_when_all_agree(world):
    pricing, _ = await waiting(world, roles=[MANAGER, ENGINEER], consumers=["All"])
    assert approvals(world, pricing)["waitingFor"] == [MANAGER, ENGINEER, CONSUMER]
    condition = world.condition(pricing, "RolloutProgressing")
    assert condition["reason"] == "AwaitingApproval"
    await world.until(
        lambda: (
            f"waits for the agreement of {MANAGER}, {ENGINEER}, {CONSUMER}"
            in world.condition(pricing, "RolloutProgressing")["message"]
        ),
        seconds=900,
    )
    await world.run(6 * HOUR)

    answer(world, pricing, MANAGER, "acb")
    await world.until(
        lambda: approvals(world, pricing)["waitingFor"] == [ENGINEER, CONSUMER], seconds=60
    )
    (given,) = approvals(world, pricing)["answers"]
    assert given["evidence"].startswith("at 50 % of the traffic: availability: ")
    answer(world, pricing, ENGINEER, "jlb")
    await world.until(lambda: approvals(world, pricing)["waitingFor"] == [CONSUMER], seconds=60)
    world.annotate(pricing, **{role_annotation(ENGINEER): None})
    await world.until(
        lambda: approvals(world, pricing)["waitingFor"] == [ENGINEER, CONSUMER], seconds=60
    )
    removal = world.status(pricing)["decision"]
    assert (removal["type"], removal["reason"]) == ("Alert", "AnswerRemoved")
    assert f"Agree of jlb ({ENGINEER}), read at " in removal["message"]
    answer(world, pricing, ENGINEER, "jlb")
    await world.until(lambda: approvals(world, pricing)["waitingFor"] == [CONSUMER], seconds=60)
    for replica in world.replicas:
        replica.kill()
    await world.run(300)
    world.start(**RARELY)
    await world.run(900)
    events = [event for event in world.server.all(EVENTS) if event["reason"] == "AnswerRemoved"]
    assert len(events) == 1
    assert approvals(world, pricing)["waitingFor"] == [CONSUMER]
    assert weight(world, pricing) == 50

    answer(world, pricing, CONSUMER, "consumer-manager")
    await world.until(lambda: serving(world, pricing) == "v2", seconds=900)
    decision = world.status(pricing)["stable"]["verdict"]["message"]
    for person in (f"acb ({MANAGER})", f"jlb ({ENGINEER})", f"consumer-manager ({CONSUMER})"):
        assert person in decision


@on_virtual_time
async def test_an_answer_that_is_removed_beside_an_abort_is_reported_by_an_event_of_its_own(world):
    pricing, _ = await waiting(world, roles=[MANAGER, ENGINEER])
    answer(world, pricing, MANAGER, "acb")
    await world.until(lambda: approvals(world, pricing)["waitingFor"] == [ENGINEER], seconds=60)
    world.annotate(pricing, **{role_annotation(MANAGER): None, names.REQUEST_ABORT: "v2/ticket-7"})
    await world.until(
        lambda: world.status(pricing)["decision"]["reason"] == "AbortRequested", seconds=60
    )
    await world.run(60)
    (event,) = [event for event in world.server.all(EVENTS) if event["reason"] == "AnswerRemoved"]
    assert f"Agree of acb ({MANAGER}), read at " in event["note"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("meaning", "served", "reason"),
    [("Agreement", "v2", "CanaryNotWorse"), ("Refusal", "v1", "ApprovalMissing")],
)
@on_virtual_time
async def test_silence_counts_as_the_answer_of_the_spec_after_its_time(
    world, meaning, served, reason
):
    silence = {"afterSeconds": 7200, "countsAs": meaning}
    pricing, _ = await waiting(world, roles=[MANAGER], consumers=["Any"], silence=silence)
    answer(world, pricing, MANAGER, "acb")
    await world.until(lambda: approvals(world, pricing)["waitingFor"] == [CONSUMER], seconds=60)
    assert "silenceTime" in approvals(world, pricing)
    await world.run(HOUR)
    assert candidate(world, pricing)["phase"] == "AwaitingApproval"
    await world.until(lambda: not candidate(world, pricing), seconds=2 * HOUR)
    assert serving(world, pricing) == served
    assert world.status(pricing)["decision"]["reason"] == reason
    assert CONSUMER in world.status(pricing)["decision"]["message"]


@pytest.mark.slow
@on_virtual_time
async def test_an_agreement_of_a_person_for_one_role_counts_for_no_other_role(world):
    pricing, _ = await waiting(world, roles=[MANAGER, ENGINEER], consumers=[CONSUMER])
    answer(world, pricing, MANAGER, "acb")
    await world.until(lambda: len(answered(world, pricing)) == 1, seconds=60)
    answer(world, pricing, ENGINEER, "acb")
    answer(world, pricing, CONSUMER, "acb")
    await world.until(lambda: len(answered(world, pricing)) == 3, seconds=60)
    await world.run(900)
    assert approvals(world, pricing)["waitingFor"] == [ENGINEER, CONSUMER]
    problems = [one.get("problem", "") for one in approvals(world, pricing)["answers"]]
    assert problems[0] == ""
    assert "another person has to agree" in problems[1]
    assert "acb has answered as DataProductManager" in candidate(world, pricing)["hold"]["message"]
    answer(world, pricing, ENGINEER, "jlb")
    answer(world, pricing, CONSUMER, "cde")
    await world.until(lambda: serving(world, pricing) == "v2", seconds=900)


@pytest.mark.slow
@on_virtual_time
async def test_a_refusal_rolls_the_candidate_back_and_an_answer_counts_for_one_rollout_only(world):
    pricing, _ = await waiting(world, roles=[MANAGER, ENGINEER])
    answer(world, pricing, ENGINEER, "jlb")
    answer(world, pricing, MANAGER, "acb", verdict="Refuse")
    await world.until(lambda: not candidate(world, pricing), seconds=900)
    decision = world.status(pricing)["decision"]
    assert decision["reason"] == "ApprovalRefused"
    refusal = f"v2 is refused by acb ({MANAGER}): seen"
    assert refusal in decision["message"]
    await world.until(lambda: refusal in world.condition(pricing, "Stalled")["message"], seconds=60)
    world.annotate(pricing, **{"sluicegate.dev/promote": "v2/again"})
    await world.until(
        lambda: candidate(world, pricing).get("phase") == "AwaitingApproval", seconds=2 * HOUR
    )
    assert approvals(world, pricing)["waitingFor"] == [MANAGER, ENGINEER]
    world.annotate(pricing, **{"sluicegate.dev/promote": "v2/now"})
    await world.until(
        lambda: world.status(pricing)["lastHandled"]["promote"] == "v2/now", seconds=60
    )
    assert "approve catalog/pricing" in world.status(pricing)["decision"]["message"]
    assert candidate(world, pricing)["phase"] == "AwaitingApproval"


@pytest.mark.slow
@on_virtual_time
async def test_an_approval_causes_one_status_write_and_no_write_of_a_consumer(world):
    pricing, _ = await waiting(world, roles=[MANAGER, ENGINEER], consumers=["All"])
    await world.run(900)
    sent: list[str] = []

    def count(_: str, request: ApiRequest) -> None:
        if request.method != "GET" and "/leases" not in request.path:
            sent.append(request.path)

    world.network.faults["count"] = count
    answer(world, pricing, CONSUMER, "consumer-manager")
    answer(world, pricing, MANAGER, "acb")
    await world.run(60)
    written = [path.partition("/dataproducts/")[2] for path in sent]
    assert written in (["pricing/status"], ["pricing/status"] * 2)
    await world.run(30 * 60)
    assert len(sent) == len(written)


@pytest.mark.slow
@on_virtual_time
async def test_a_candidate_without_required_approvals_has_no_approvals_field(world):
    key = world.apply(product(model=pushed("a", "v1"), slos=[AVAILABLE], rollout={"steps": [50]}))
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    await world.run(HOUR)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 50, seconds=HOUR)
    assert "approvals" not in candidate(world, key)


@pytest.mark.slow
@on_virtual_time
async def test_during_a_suspension_silence_does_not_count_and_a_party_may_still_agree(world):
    silence = {"afterSeconds": 600, "countsAs": "Agreement"}
    pricing, _ = await waiting(world, roles=[MANAGER], silence=silence)
    world.edit(pricing, suspend=True)
    text = f"v2 keeps its 50 %; it waits for the agreement of {MANAGER}, whose answers act all the same"
    await world.until(
        lambda: text in world.condition(pricing, "RolloutProgressing")["message"], seconds=120
    )
    await world.until(lambda: approvals(world, pricing).get("heldSilence"), seconds=1200)
    assert approvals(world, pricing)["waitingFor"] == [MANAGER]
    text = f"spec.suspend is set: silence counts as agreement of {MANAGER} since "
    await world.until(
        lambda: text in world.condition(pricing, "RolloutProgressing")["message"], seconds=120
    )
    answer(world, pricing, MANAGER, "acb")
    await world.until(lambda: serving(world, pricing) == "v2", seconds=900)


@pytest.mark.slow
@on_virtual_time
async def test_a_refusal_during_a_suspension_rolls_the_candidate_back(world):
    pricing, _ = await waiting(world, roles=[MANAGER])
    world.edit(pricing, suspend=True)
    answer(world, pricing, MANAGER, "acb", verdict="Refuse")
    await world.until(lambda: not candidate(world, pricing), seconds=900)
    assert serving(world, pricing) == "v1"


@pytest.mark.slow
@on_virtual_time
async def test_a_consumer_deleted_during_the_wait_for_approval_is_named_in_status(world):
    pricing, search = await waiting(world, consumers=["search", "ghost/none"])
    assert approvals(world, pricing)["absent"] == ["ghost/none"]
    world.server.delete(DATA_PRODUCTS, search)
    await world.until(
        lambda: approvals(world, pricing)["absent"] == [CONSUMER, "ghost/none"], seconds=600
    )
    text = f"there is no DataProduct {CONSUMER}: correct spec.rollout.approvals.consumers"
    await world.until(
        lambda: text in world.condition(pricing, "RolloutProgressing")["message"], seconds=600
    )


@pytest.mark.slow
@on_virtual_time
async def test_a_refusal_of_a_consumer_that_status_does_not_list_counts(world):
    many = [
        world.apply(product(f"other-{number:02}", dependsOn=[{"name": "pricing"}]))
        for number in range(40)
    ]
    pricing, _ = await waiting(world, consumers=["All"])
    assert len(approvals(world, pricing)["waitingFor"]) == 41
    answer(world, pricing, str(many[-1]), "zed", verdict="Refuse")
    await world.until(lambda: not candidate(world, pricing), seconds=900)
    assert serving(world, pricing) == "v1"


@pytest.mark.slow
@on_virtual_time
async def test_editing_the_reason_of_an_answer_keeps_its_role(world):
    pricing, _ = await waiting(world, roles=[MANAGER, ENGINEER])
    for role in (MANAGER, ENGINEER):
        answer(world, pricing, role, "acb")
        await world.run(60)
    note = ApprovalNote("Agree", "v2", approvals(world, pricing)["id"], "acb", "other words")
    world.annotate(pricing, **{role_annotation(MANAGER): note.annotation})
    await world.run(120)
    assert approvals(world, pricing)["waitingFor"] == [ENGINEER]
    reasons = {one["party"]: one["reason"] for one in approvals(world, pricing)["answers"]}
    assert reasons[MANAGER] == "other words"
