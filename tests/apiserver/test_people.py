"""Who may do what with a product, on a real API server: the chart's roles and policies decide."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.kinds import install_crds
from sluicegate.api import names
from tests.support.apiserver.people import Person, bind, chart, install_policies
from tests.support.samples.product_examples import changed
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
TEAMS, SHARED = "people", "tenants"
RELEASE = "people-sluicegate"
GITOPS = "system:serviceaccount:flux-system:kustomize-controller"
OPERATOR = f"system:serviceaccount:sluicegate-system:{RELEASE}"
MINE, OTHERS = (TEAMS, "pricing"), (TEAMS, "search-ranking")

SPEC = {"displayName": "Another name"}
SETS = {
    "promote": {names.REQUEST_PROMOTE: "t1"},
    "rollback": {names.REQUEST_ROLLBACK: "v1/t1"},
    "abort": {names.REQUEST_ABORT: "t1"},
    "retrain": {names.REQUEST_RETRAIN: "t1"},
}
CHANGES = {verb: {"metadata": {"annotations": sets}} for verb, sets in SETS.items()} | {
    "describe": {"metadata": {"labels": {"cost-center": "search"}}},
    "edit spec": {"spec": SPEC},
    "edit team": {"spec": {"team": {"members": [{"username": "x", "role": "DataProductManager"}]}}},
    "edit spec and promote": {"spec": SPEC, "metadata": {"annotations": SETS["promote"]}},
}
# Who, with which role of the chart, and what of it the API server allows.
TABLE = {
    "manager": ("product-manager", {"promote", "rollback", "abort", "retrain", "describe"}),
    "engineering-manager": ("platform-engineer", {*CHANGES}),
    "manager-of-search": ("product-manager", {"describe"}),
    "editor": ("editor", {"describe"}),
    "editor-with-verb": ("platform-engineer", {"rollback", "abort", "describe", "edit spec", "edit team"}),
    "scientist": ("data-scientist", {"retrain", "abort", "describe"}),
    "listed-scientist": ("data-scientist", {"retrain", "abort", "describe"}),
    "approver": ("approver", {"promote", "rollback", "abort", "retrain", "describe"}),
    "nobody": ("", set()),
    GITOPS: ("editor", {*CHANGES}),
    "": ("", {*CHANGES}),  # the administrator
}  # fmt: skip


def product(name, *members):
    team = [{"username": user, "role": role} for user, role in members]
    return changed(
        {"metadata.namespace": TEAMS, "metadata.name": name, "spec.team.members": team,
         "spec.dependsOn": []}
    )  # fmt: skip


@pytest.fixture(scope="module")
def people(control_plane):
    """Return two products with their teams, everybody's roles, and the policies of a chart of its own."""
    plane = control_plane
    install_crds(plane)
    plane.kubectl("create", "namespace", TEAMS)
    plane.kubectl("create", "namespace", SHARED)
    checked = install_policies(
        plane, RELEASE, "roles.enforce=Deny", "tenants.enforce=Deny",
        f"roles.gitOpsAccounts={{{GITOPS}}}", f"watchNamespaces={{{TEAMS},{SHARED}}}",
        "tenants.allowed.podAnnotations={example.com/}",
    )  # fmt: skip
    # What a cluster may have of its own: a user who may write products, and holds no verb of ours.
    plane.kubectl(
        "create", "clusterrole", f"{RELEASE}-editor", "--verb=get,list,create,update,patch",
        "--resource=dataproducts.sluicegate.dev",
    )  # fmt: skip
    plane.kubectl(
        "annotate", "namespace", TEAMS, "sluicegate.dev/allowed-hostnames=*",
        "sluicegate.dev/allowed-gateways=*", "sluicegate.dev/allowed-priority-classes=serving",
    )  # fmt: skip
    plane.kubectl(
        "annotate", "namespace", SHARED,
        "sluicegate.dev/allowed-hostnames=shop.example, *.tenant.example",
        "sluicegate.dev/allowed-gateways=gateway/web",
    )  # fmt: skip
    for user, (role, _) in TABLE.items():
        if role:
            bind(plane, f"{RELEASE}-{role}", user, TEAMS)
    admin = Person(plane, "")
    eventually(
        lambda: admin.create(product("probe", ("m", "DataProductManager"))).allowed,
        what="the namespace's annotations to reach admission",
    )
    made = [
        product("pricing", ("manager", "DataProductManager"), ("listed-scientist", "DataScientist"),
                ("engineering-manager", "EngineeringManager")),
        product("search-ranking", ("manager-of-search", "DataProductManager")),
    ]  # fmt: skip
    for document in made:
        answer = admin.create(document, dry=False)
        assert answer.allowed, answer.refusal
    eventually(
        lambda: "edit-spec" in Person(plane, "editor").patch(MINE, CHANGES["edit spec"]).refusal,
        what="the policy to be in force",
    )
    return plane, checked


def test_each_role_has_the_rights_of_the_table_and_a_refusal_names_permitted_roles(people):
    plane, _ = people
    allowed, refusals = {}, {}
    for user in TABLE:
        person = Person(plane, user)
        answers = {what: person.patch(MINE, change) for what, change in CHANGES.items()}
        allowed[user] = {what for what, answer in answers.items() if answer.allowed}
        refusals[user] = {what: answer.refusal for what, answer in answers.items()}
    assert allowed == {user: rights for user, (_, rights) in TABLE.items()}
    said = refusals["scientist"]["promote"]
    assert (
        "sluicegate.dev/promote is reserved for its DataProductManager or EngineeringManager"
        in said
    )
    assert "(manager, engineering-manager)" in said
    assert "holders of the verb promote" in said
    assert "you are scientist" in said
    assert "holders of the verb edit-spec" in refusals["manager"]["edit spec"]


@pytest.mark.parametrize("verb", SETS)
@pytest.mark.parametrize("user", ["editor", "listed-scientist", "manager-of-search"])
def test_a_request_that_adds_its_user_to_the_team_and_acts_as_a_member_is_refused(
    people, user, verb
):
    plane, _ = people
    members = [{"username": user, "role": "DataProductManager"}]
    attack = {"spec": {"team": {"members": members}}, "metadata": {"annotations": SETS[verb]}}
    answer = Person(plane, user).patch(MINE, attack)
    held = verb in TABLE[user][1]
    assert (
        "spec.team decides who may approve" if held else f"holders of the verb {verb}"
    ) in answer.refusal


def test_a_user_with_edit_spec_rights_alone_cannot_join_the_team(people):
    """Who may write the spec, and holds no verb for the team, can't put himself on the list."""
    plane, _ = people
    bind(plane, f"{RELEASE}-editor", "climber", TEAMS)
    plane.kubectl(
        "create", "role", "spec-alone", "-n", TEAMS, "--verb=edit-spec",
        "--resource=dataproducts.sluicegate.dev",
    )  # fmt: skip
    plane.kubectl(
        "create", "rolebinding", "climber", "-n", TEAMS, "--role=spec-alone", "--user=climber"
    )
    climber = Person(plane, "climber")
    eventually(lambda: climber.patch(MINE, CHANGES["edit spec"]).allowed, what="his role")
    members = [{"username": "climber", "role": "DataProductManager"}]
    answer = climber.patch(MINE, {"spec": {"team": {"members": members}}})
    assert "edit-team" in answer.refusal
    assert not climber.patch(MINE, {"spec": {"team": None, "lifecycle": "Development"}}).allowed


def test_a_product_with_a_request_is_not_created_by_a_user_who_adds_himself_to_the_team(people):
    plane, _ = people
    document = product("fresh", ("editor", "DataProductManager"))
    assert Person(plane, "editor").create(document).allowed
    document["metadata"]["annotations"] = SETS["promote"]
    answer = Person(plane, "editor").create(document)
    assert "create the product without it" in answer.refusal
    assert Person(plane, GITOPS).create(document).allowed


def test_the_admission_policy_checks_a_team_of_the_largest_size(people):
    """The API server bounds what a policy may cost, by what each list may hold at most."""
    plane, _ = people
    members = [("manager-of-all", "DataProductManager")]
    members += [(f"{'x' * 240}-{number}", "DataScientist") for number in range(63)]
    answer = Person(plane, "").create(product("large", *members), dry=False)
    assert answer.allowed, answer.refusal
    large = (TEAMS, "large")
    bind(plane, f"{RELEASE}-product-manager", "manager-of-all", TEAMS)
    manager = Person(plane, "manager-of-all")
    eventually(lambda: manager.patch(large, CHANGES["promote"]).allowed, what="the role")
    assert "is reserved for its DataProductManager" in (
        Person(plane, "scientist").patch(large, CHANGES["promote"]).refusal
    )


def test_the_admission_policies_take_a_small_part_of_the_update_time(people):
    """By the API server's own clocks, so that a busy machine slows both of what is compared."""
    plane, _ = people
    manager = Person(plane, "manager")
    before = seconds_spent(plane)
    for _ in range(300):
        assert manager.patch(MINE, CHANGES["promote"]).allowed
    policies, whole = (now - then for now, then in zip(seconds_spent(plane), before, strict=True))
    assert 0 < policies < 0.2 * whole


def seconds_spent(plane):
    """Return the seconds in policies for an update, and in all changes of DataProducts, since the server's start."""
    desired = [
        ("apiserver_admission_controller_admission_duration_seconds_sum",
         {'name="ValidatingAdmissionPolicy"', 'operation="UPDATE"'}),
        ("apiserver_request_duration_seconds_sum", {f'resource="{names.PLURAL}"', 'verb="PATCH"'}),
    ]  # fmt: skip
    lines = plane.kubectl("get", "--raw", "/metrics").splitlines()
    return [
        sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith(name) and all(label in line for label in labels)
        )
        for name, labels in desired
    ]


def test_an_existing_request_may_be_removed_by_any_user_with_patch_rights(people):
    plane, _ = people
    editor, set_by = Person(plane, "editor"), Person(plane, "manager-of-search")
    answer = set_by.patch(OTHERS, CHANGES["promote"], dry=False)
    assert answer.allowed, answer.refusal
    assert editor.patch(OTHERS, CHANGES["describe"]).allowed
    assert editor.patch(
        OTHERS, {"metadata": {"annotations": {names.REQUEST_PROMOTE: None}}}
    ).allowed
    assert not editor.patch(
        OTHERS, {"metadata": {"annotations": {names.REQUEST_PROMOTE: "t2"}}}
    ).allowed


COLLECTED = {
    "an owner that does not exist": {"ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "9a3a3a3a-0000-4000-8000-000000000000"}]},
    "a finalizer": {"finalizers": ["example.com/x"]},
    "a label of Argo CD": {"labels": {"app.kubernetes.io/instance": "theirs"}},
    "a label of Flux": {"labels": {"kustomize.toolkit.fluxcd.io/name": "theirs"}},
    "an annotation of Helm": {"annotations": {"meta.helm.sh/release-name": "theirs"}},
}  # fmt: skip


@pytest.mark.parametrize("metadata", COLLECTED.values(), ids=COLLECTED)
def test_a_user_without_delete_rights_cannot_delete_a_product_through_a_tool(people, metadata):
    plane, _ = people
    change = {"metadata": metadata}
    for user in ("manager", "scientist", "editor", "approver"):
        assert (
            "reserved for those who may delete it"
            in Person(plane, user).patch(MINE, change).refusal
        )
    for user in ("engineering-manager", ""):
        answer = Person(plane, user).patch(MINE, change)
        assert answer.allowed, answer.refusal


def test_the_operator_writes_status_without_the_rights_of_people(people):
    plane, _ = people
    plane.kubectl(
        "create", "role", "status", "-n", TEAMS, "--verb=patch",
        "--resource=dataproducts.sluicegate.dev/status",
    )  # fmt: skip
    plane.kubectl(
        "create", "rolebinding", "status", "-n", TEAMS, "--role=status", f"--user={OPERATOR}"
    )
    path = f"/apis/{names.API_VERSION}/namespaces/{TEAMS}/{names.PLURAL}/pricing/status"
    send = Person(plane, OPERATOR).send
    status = {"status": {"observedGeneration": 1}}
    kind = "application/merge-patch+json"
    eventually(lambda: send("PATCH", path, status, kind=kind).allowed, what="its role")


def test_the_type_check_of_each_admission_policy_reports_no_warning(people):
    _, checked = people
    warnings = {
        one["metadata"]["name"]: one["status"].get("typeChecking", {}).get("expressionWarnings", [])
        for one in checked
    }
    assert len(warnings) == 5
    assert not any(warnings.values()), json.dumps(warnings, indent=1)


def test_by_default_an_unauthorised_request_is_admitted_with_a_warning():
    """So that a cluster sees in its audit log whom a policy would stop, before it stops anybody."""
    bindings = {
        one["metadata"]["name"]: one["spec"]["validationActions"]
        for one in chart("sluicegate")
        if one["kind"] == "ValidatingAdmissionPolicyBinding"
    }
    assert bindings == {
        "sluicegate-roles": ["Warn", "Audit"],
        "sluicegate-reviews": ["Warn", "Audit"],
        "sluicegate-ledgers": ["Warn", "Audit"],
        "sluicegate-operator": ["Deny", "Audit"],
    }
    off = chart("sluicegate", "roles.enforce=Off", "operatorPolicy.enforce=Off")
    assert not [one for one in off if one["kind"].startswith("Validating")]


# ---- tenants -------------------------------------------------------------------------------
def tenant(**changes):
    document = changed(
        {"metadata.namespace": SHARED, "metadata.name": "shop", "spec.dependsOn": []}
    )
    spec = document["spec"]
    del spec["serving"]["priorityClassName"]
    spec["route"] = {"parentRefs": [{"name": "web", "namespace": "gateway"}],
                     "hostnames": ["shop.example"], "path": "/search"}  # fmt: skip
    for path, value in changes.items():
        *parents, last = path.split("__")
        target = spec
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    if "podTemplate" in spec["retraining"]:
        del spec["retraining"]["command"]
    return document


TEMPLATE = {"spec": {"containers": [{"name": "train", "image": "x"}]}}
TENANTS = {
    "what it is allowed": ({}, ""),
    "a host below one of its own": ({"route__hostnames": ["a.tenant.example"]}, ""),
    "no route": ({"route": None}, ""),
    "an annotation that all may set": ({"serving__podAnnotations": {"example.com/scan": "1"}}, ""),
    "the host of another": ({"route__hostnames": ["search.example"]}, "allowed-hostnames"),
    "the domain itself": ({"route__hostnames": ["tenant.example"]}, "allowed-hostnames"),
    "a host that only ends alike": ({"route__hostnames": ["eviltenant.example"]}, "allowed-hostnames"),
    "all hosts": ({"route__hostnames": []}, "must name at least one host"),
    "another Gateway": ({"route__parentRefs": [{"name": "edge", "namespace": "gateway"}]},
                        "allowed-gateways"),
    "a Gateway of its own namespace": ({"route__parentRefs": [{"name": "web"}]}, "allowed-gateways"),
    "an identity": ({"serving__podAnnotations": {"iam.amazonaws.com/role": "admin"}},
                    "but not iam.amazonaws.com/role"),
    "a training's network": (
        {"retraining__podTemplate": TEMPLATE | {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": "x"}}}},
        "but not k8s.v1.cni.cncf.io/networks"),
    "a priority above all": ({"serving__priorityClassName": "system-cluster-critical"},
                             "there are none"),
    "a runtime class": (
        {"retraining__podTemplate": {"spec": TEMPLATE["spec"] | {"runtimeClassName": "runc"}}},
        "allowed-runtime-classes"),
    "a runtime class of servers": ({"serving__runtimeClassName": "runc"}, "allowed-runtime-classes"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "named"), TENANTS.values(), ids=TENANTS)
def test_a_product_may_not_exceed_the_limits_that_the_platform_sets_for_its_namespace(
    people, changes, named
):
    plane, _ = people
    document = tenant(**changes)
    document["spec"] = {key: value for key, value in document["spec"].items() if value is not None}
    answer = Person(plane, "").create(document)
    assert answer.allowed == (not named), answer.refusal
    assert named in answer.refusal
