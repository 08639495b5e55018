"""Answers of a party to a candidate, by the plugin over real HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sluicegate.kube.resources import DATA_PRODUCTS
from sluicegate.views.approval_notes import ApprovalNote, consumer_annotation, role_annotation
from tests.support.apiserver.api_stand_in import ApiStandIn
from tests.support.apiserver.command_line import CommandLine
from tests.support.waiting import eventually

MANAGER, RISK = "DataProductManager", "RiskOfficer"
ROLLOUT = "aaaaaaaaaa-1767225600"
WHEN = "2026-01-01T09:00:00Z"
TRIAL: dict[str, Any] = {
    "version": "v2", "revision": "aaaaaaaaaa", "phase": "AwaitingApproval", "weight": 50, "source": "Spec",
    "image": "r.example/a@sha256:" + "c" * 64, "runtimeImage": "r", "startTime": WHEN,
}  # fmt: skip
GIVEN = {
    "party": RISK, "verdict": "Agree", "user": "rob", "reason": "low risk", "answerTime": WHEN,
    "evidence": "at 50 % of the traffic: accuracy: 3.4 of 3.0 in favour, 40 events",
}  # fmt: skip
APPROVALS: dict[str, Any] = {
    "id": ROLLOUT, "waitingFor": [MANAGER, "search/ranking"], "answers": [GIVEN],
    "waitStartTime": WHEN, "silenceTime": "2026-01-04T09:00:00Z", "silenceCountsAs": "Agreement",
}  # fmt: skip


@pytest.fixture
async def run(tmp_path):
    async with ApiStandIn() as server:
        yield CommandLine(server, tmp_path)


def waiting(run, **more: Any):
    run.keep(candidate=TRIAL | {"approvals": APPROVALS | more})


def answers(run):
    sent = [one for one in run.server.sent if one.method == "PATCH"]
    return [(one.path, one.body["metadata"]["annotations"]) for one in sent]


async def read_by_the_operator(run, **answer: Any):
    """The operator reads the answer that comes."""
    await asyncio.to_thread(eventually, lambda: answers(run), every=0.01)
    given = {"answerTime": WHEN, "evidence": "…", "user": "someone", **answer}
    waiting(run, answers=[GIVEN, given], waitingFor=["search/ranking"])


async def test_approve_shows_existing_agreements_and_writes_in_the_name_of_the_user(run):
    waiting(run)
    ran, _ = await asyncio.gather(
        run("approve", "pricing", "--for", MANAGER, "--reason", "three markets agree", "--yes"),
        read_by_the_operator(run, party=MANAGER, verdict="Agree", user="acb"),
    )
    assert ran.code == 0, ran
    assert f"agree to v2 as {MANAGER}, as acb" in ran.err
    assert f"Agree of rob as {RISK} at {WHEN}: low risk (at 50 % of the traffic" in ran.err
    note = ApprovalNote("Agree", "v2", ROLLOUT, "acb", "three markets agree")
    ((path, annotations),) = answers(run)
    assert path == DATA_PRODUCTS.path("catalog", "pricing")
    assert annotations == {role_annotation(MANAGER): note.annotation}
    assert "the answer is recorded; waits for search/ranking" in ran.out


async def test_approve_for_a_consumer_writes_the_object_of_the_consumer(run):
    waiting(run)
    run.server.keep(
        DATA_PRODUCTS, {"metadata": {"namespace": "search", "name": "ranking"}, "spec": {}}
    )
    ran = await run("approve", "pricing", "--for", "search/ranking", "--yes", "--no-wait")
    assert ran.code == 0, ran
    ((path, annotations),) = answers(run)
    assert path == DATA_PRODUCTS.path("search", "ranking")
    assert list(annotations) == [consumer_annotation("catalog", "pricing")]


async def test_approve_accepts_a_consumer_that_status_does_not_list_by_its_full_name(run):
    waiting(run, moreWaiting=1)
    run.server.keep(
        DATA_PRODUCTS, {"metadata": {"namespace": "trade", "name": "trade-in"}, "spec": {}}
    )
    ran = await run("approve", "pricing", "--for", "trade/trade-in", "--yes", "--no-wait")
    assert ran.code == 0, ran
    ((path, _),) = answers(run)
    assert path == DATA_PRODUCTS.path("trade", "trade-in")


async def test_a_second_agreement_of_a_person_is_a_failure_with_the_reason(run):
    waiting(run)
    problem = "acb has answered as RiskOfficer already"
    ran, _ = await asyncio.gather(
        run("approve", "pricing", "--for", MANAGER, "--yes"),
        read_by_the_operator(run, party=MANAGER, verdict="Agree", user="acb", problem=problem),
    )
    assert (ran.code, problem in ran.out) == (1, True), ran


REFUSED = [
    (
        ["approve", "pricing", "--for", "Auditor", "--yes"],
        2,
        "Auditor doesn't have to agree: name one of",
    ),
    (["approve", "pricing", "--for", "ranking", "--yes"], 2, "ranking doesn't have to agree"),
    (["approve", "pricing", "v9", "--for", MANAGER, "--yes"], 1, "v9 is not the candidate"),
    (
        ["refuse", "pricing", "--for", MANAGER, "--yes"],
        2,
        "is missing: write why the candidate is refused",
    ),
    (["promote", "pricing", "--yes"], 2, "`kubectl sluicegate approve catalog/pricing`"),
]


@pytest.mark.parametrize(("words", "code", "said"), REFUSED)
async def test_approve_without_a_required_approval_writes_nothing(run, words, code, said):
    waiting(run)
    ran = await run(*words)
    assert (ran.code, answers(run)) == (code, []), ran
    assert said in ran.err


async def test_a_product_without_approvals_is_approved_by_promote(run):
    run.keep(candidate=TRIAL)
    ran = await run("approve", "pricing", "--for", MANAGER, "--yes")
    assert (ran.code, answers(run)) == (2, [])
    assert "`kubectl sluicegate promote` approves its candidate" in ran.err


async def test_status_and_tree_show_given_and_missing_approvals(run):
    waiting(run)
    shown = (await run("status", "pricing")).out
    assert f"Agree of rob as {RISK}" in shown
    assert (
        f"waits for {MANAGER}, search/ranking since {WHEN}; from 2026-01-04T09:00:00Z on silence counts as agreement and promotes it"
        in shown
    )
    found = (await run("status", "pricing", "-o", "json")).document
    assert found["approvals"]["waitingFor"] == [MANAGER, "search/ranking"]
    tree = (await run("tree", "pricing")).out
    assert f"Approval/{RISK}" in tree
    assert "no answer yet" in tree
