"""Who may answer for whom, on a real API server: the chart's policy decides by stored teams and verbs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cluster.kinds import install_crds
from sluicegate.views.approval_notes import ApprovalNote, consumer_annotation, role_annotation
from tests.support.apiserver.people import Person, bind, install_policies
from tests.support.samples.product_examples import changed
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

NAMESPACE = "approvals"
RELEASE = "approvals-sluicegate"
GITOPS = "system:serviceaccount:flux-system:kustomize-controller"
PRICING, RANKING = (NAMESPACE, "pricing"), (NAMESPACE, "search-ranking")
MANAGER, ENGINEER, RISK = "DataProductManager", "EngineeringManager", "RiskOfficer"
ROLLOUT = "0123456789-1767225600"
ANSWERS = {
    "as manager": (PRICING, role_annotation(MANAGER)),
    "as engineer": (PRICING, role_annotation(ENGINEER)),
    "as risk officer": (PRICING, role_annotation(RISK)),
    "for ranking": (RANKING, consumer_annotation(*PRICING)),
}
# Who, with which role of the chart, and for whom the API server lets them answer.
TABLE: dict[str, tuple[str, set[str]]] = {
    "manager": ("product-manager", {"as manager"}),
    "engineering-manager": ("platform-engineer", {"as engineer"}),
    "risk-officer": ("product-manager", {"as risk officer"}),
    "manager-of-ranking": ("product-manager", {"for ranking"}),
    "scientist-of-ranking": ("data-scientist", set()),
    "scientist": ("data-scientist", set()),
    "editor": ("platform-engineer", set()),
    "approver": ("approver", {*ANSWERS}),
    GITOPS: ("platform-engineer", set()),
    "no role": ("", set()),
}


def answer(user: str, verdict: str = "Agree", rollout: str = ROLLOUT) -> str:
    return ApprovalNote(verdict, "v2", rollout, user, "the evidence is enough").annotation


def change(annotation: str, value: str | None) -> dict[str, Any]:
    return {"metadata": {"annotations": {annotation: value}}}


def product(name: str, *members: tuple[str, str], **more: Any) -> dict[str, Any]:
    team = [{"username": user, "role": role} for user, role in members]
    return changed(
        {
            "metadata.namespace": NAMESPACE, "metadata.name": name, "spec.team.members": team,
            "spec.dependsOn": [],
        } | more
    )  # fmt: skip


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """Return pricing, whose roles have to agree, and ranking, which depends on it.

    The chart's policy denies.
    """
    plane = control_plane
    install_crds(plane)
    plane.kubectl("create", "namespace", NAMESPACE)
    checked = install_policies(
        plane, RELEASE, "roles.enforce=Deny", f"roles.gitOpsAccounts={{{GITOPS}}}",
        f"watchNamespaces={{{NAMESPACE}}}",
    )  # fmt: skip
    warned = [
        one for one in checked if one["status"].get("typeChecking", {}).get("expressionWarnings")
    ]
    assert not warned, json.dumps(warned, indent=1)
    for user, (role, _) in TABLE.items():
        if role:
            bind(plane, f"{RELEASE}-{role}", user, NAMESPACE)
    approvals = {"roles": [MANAGER, ENGINEER, RISK], "consumers": ["All"]}
    admin = Person(plane, "")
    for document in (
        product("pricing", ("manager", MANAGER), ("engineering-manager", ENGINEER), ("risk-officer", RISK),
                ("scientist", "DataScientist"), **{"spec.rollout.approvals": approvals}),
        product("search-ranking", ("manager-of-ranking", MANAGER), ("scientist-of-ranking", "DataScientist"),
                **{"spec.dependsOn": [{"name": "pricing"}]}),
    ):  # fmt: skip
        made = admin.create(document, dry=False)
        assert made.allowed, made.refusal
    target, annotation = ANSWERS["as manager"]
    eventually(
        lambda: (
            not Person(plane, "editor").patch(target, change(annotation, answer("editor"))).allowed
        ),
        what="the policy to be in force",
    )
    return plane


def test_a_person_may_answer_only_for_the_parties_of_the_rights_table(plane):
    allowed = {
        user: {
            what
            for what, (target, annotation) in ANSWERS.items()
            if Person(plane, user).patch(target, change(annotation, answer(user))).allowed
        }
        for user in TABLE
    }
    assert allowed == {user: rights for user, (_, rights) in TABLE.items()}


@pytest.mark.parametrize("user", ["manager", "approver", GITOPS, ""])
def test_a_user_cannot_answer_in_the_name_of_another_user(plane, user):
    target, annotation = ANSWERS["as manager"]
    refusal = Person(plane, user).patch(target, change(annotation, answer("x"))).refusal
    assert "answer in your own name only" in refusal


@pytest.mark.parametrize("value", ["yes", "Agree\nmanager\n", "Agree/v2\nmanager\nwords"])
def test_an_approval_annotation_without_a_rollout_is_refused(plane, value):
    target, annotation = ANSWERS["as manager"]
    refusal = Person(plane, "manager").patch(target, change(annotation, value)).refusal
    assert "Agree or Refuse with version and rollout" in refusal


def test_a_person_cannot_agree_for_two_roles_of_a_rollout(plane):
    approver, (target, own) = Person(plane, "approver"), ANSWERS["as manager"]
    _, other = ANSWERS["as engineer"]
    both = {"metadata": {"annotations": {own: answer("approver"), other: answer("approver")}}}
    assert "has answered for another role already" in approver.patch(target, both).refusal
    assert approver.patch(target, change(own, answer("approver")), dry=False).allowed
    second = approver.patch(target, change(other, answer("approver")))
    assert "has answered for another role already" in second.refusal
    assert approver.patch(target, change(other, answer("approver", rollout="abc-1"))).allowed
    assert Person(plane, "engineering-manager").patch(
        target, change(other, answer("engineering-manager"))
    ).allowed  # fmt: skip


def test_an_existing_answer_does_not_block_other_writes_and_a_member_may_replace_it(plane):
    target, annotation = ANSWERS["as risk officer"]
    officer = Person(plane, "risk-officer")
    assert officer.patch(target, change(annotation, answer("risk-officer")), dry=False).allowed
    label = {"metadata": {"labels": {"cost-center": "pricing"}}}
    assert Person(plane, "scientist").patch(target, label).allowed
    assert officer.patch(target, change(annotation, answer("risk-officer", "Refuse"))).allowed
    assert officer.patch(target, change(annotation, None)).allowed


def test_a_gitops_sync_keeps_an_answer_and_finds_no_difference(
    plane,
):
    document = json.dumps(
        product("in-git", ("manager", MANAGER), ("engineering-manager", ENGINEER))
    )
    words = ("apply", "--server-side", "--field-manager=flux", "-o", "json", "-f", "-")
    plane.kubectl(*words, stdin=document)
    annotation, person = role_annotation(MANAGER), Person(plane, "manager")
    given = person.patch((NAMESPACE, "in-git"), change(annotation, answer("manager")), dry=False)
    assert given.allowed, given.refusal
    before = json.loads(plane.kubectl("get", "dprod", "-n", NAMESPACE, "in-git", "-o", "json"))
    after = json.loads(plane.kubectl(*words, stdin=document))
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert after["metadata"]["annotations"][annotation] == answer("manager")


def test_a_request_that_adds_its_user_to_the_team_cannot_also_answer(plane):
    target, annotation = ANSWERS["as manager"]
    roles = {MANAGER: "editor", ENGINEER: "engineering-manager", RISK: "risk-officer"}
    team = [{"username": name, "role": role} for role, name in roles.items()]
    members = {"spec": {"team": {"members": team}}}
    attack = members | change(annotation, answer("editor"))
    assert (
        "reserved for members of spec.team" in Person(plane, "editor").patch(target, attack).refusal
    )
