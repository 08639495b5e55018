"""Who signs a review, on a real API server; and what the definition of a review refuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from cluster.kinds import install_crds
from sluicegate.__main__ import main
from sluicegate.api import names
from sluicegate.reviews.archive_file import is_archived
from sluicegate.reviews.store import parse_review
from tests.support.apiserver.people import MERGE, Person, bind, chart, install_policies, path_of
from tests.support.decisions.reviewed import document_of, sealed_month
from tests.support.failures.replicas import apply
from tests.support.waiting import eventually

NAMESPACE, RELEASE = "reviewed", "rev-sluicegate"
MANAGER, ENGINEER, SCIENTIST, APPROVER = "acb", "kpl", "cde", "approver"
TEAM = [
    {"username": MANAGER, "role": "DataProductManager"},
    {"username": ENGINEER, "role": "EngineeringManager"},
    {"username": SCIENTIST, "role": "DataScientist"},
]
SEALED, AT = "2025-12-04T00:00:00Z", "2025-12-06T09:00:00Z"
"""`AT` stands for the time of these tests, which only the API server's clock may say."""


def document(name, **spec):
    ref = {"name": "pricing", "uid": "u"}
    period = {"startTime": "2025-11-01T00:00:00Z", "endTime": "2025-12-01T00:00:00Z"}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.REVIEW_KIND,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"productRef": ref, "period": period} | spec,
    }


def signature(user, role, **more):
    return {"username": user, "role": role, "verdict": "Agree", "note": "", "signTime": AT} | more


OURS = signature(MANAGER, "DataProductManager")


@pytest.fixture(scope="module")
def reviews(control_plane):
    """Return four reviews, one in each state, and the roles of the chart."""
    plane = control_plane
    install_crds(plane)
    plane.kubectl("create", "namespace", NAMESPACE)
    install_policies(plane, RELEASE, "roles.enforce=Deny", f"watchNamespaces={{{NAMESPACE}}}")
    for user, role in (
        (MANAGER, "product-manager"), (ENGINEER, "product-manager"), (SCIENTIST, "data-scientist"),
        (APPROVER, "approver"), ("outsider", "product-manager"),
    ):  # fmt: skip
        bind(plane, f"{RELEASE}-{role}", user, NAMESPACE)
    admin = Person(plane, "")
    for state in ("NotStarted", "ToReview", "Overdue", "Reviewed"):
        name = state.lower()
        eventually(lambda: admin.create(document("probe")).allowed, what="the definition")
        made = admin.create(document(name), dry=False)
        assert made.allowed, made.refusal
        roles = ["DataProductManager", *(["DataScientist"] if state != "Reviewed" else [])]
        status = {"state": state, "team": TEAM, "signedBy": roles}
        path = f"{path_of(NAMESPACE, name, plural=names.REVIEW_PLURAL)}/status"
        if state != "NotStarted":
            status["sealTime"] = SEALED
        told = admin.send("PATCH", path, {"status": status}, kind=MERGE)
        assert told.allowed, told.refusal
    eventually(
        lambda: sign(plane, "outsider", "toreview", OURS).refusal, what="the policy to be in force"
    )
    return plane


@cache
def now():
    """Return the time of the first signature of these tests."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sign(plane, user, review, *signatures, dry=True):
    path = path_of(NAMESPACE, review, plural=names.REVIEW_PLURAL)
    query = {"dryRun": "All"} if dry else {}
    signed = [one | {"signTime": now()} if one["signTime"] == AT else one for one in signatures]
    body = {"spec": {"signOffs": signed}}
    return Person(plane, user).send("PATCH", path, body, kind=MERGE, **query)


MATRIX = {
    "in one's own name and role": (MANAGER, "toreview", [OURS], ""),
    "late, but before anybody has": (MANAGER, "overdue", [OURS], ""),
    "another role": (ENGINEER, "toreview", [signature(ENGINEER, "EngineeringManager")], ""),
    "an objection": (
        SCIENTIST, "toreview", [signature(SCIENTIST, "DataScientist", verdict="Object")], ""),
    "for a role that one holds the verb for": (
        APPROVER, "toreview", [signature(APPROVER, "DataProductManager")], ""),
    "another's name": (ENGINEER, "toreview", [OURS], "a signature must be your own"),
    "a role that one hasn't": (
        SCIENTIST, "toreview", [signature(SCIENTIST, "DataProductManager")],
        "gives cde no such role: it has acb as DataProductManager"),
    "a product that isn't one's own": (
        "outsider", "toreview", [signature("outsider", "DataProductManager")],
        "gives outsider no such role"),
    "before the seal": (MANAGER, "notstarted", [OURS], "the period is not over"),
    "at a time before the seal": (
        MANAGER, "toreview", [signature(MANAGER, "DataProductManager", signTime="2025-12-03T23:59:59Z")],
        f"signTime must not be before the seal ({SEALED})"),
    "after each role has": (MANAGER, "reviewed", [OURS], "each role has signed"),
}  # fmt: skip


@pytest.mark.parametrize(("user", "review", "signatures", "says"), MATRIX.values(), ids=MATRIX)
def test_a_signature_is_accepted_by_user_review_and_role(reviews, user, review, signatures, says):
    answer = sign(reviews, user, review, *signatures)
    assert answer.allowed == (not says), answer.refusal
    assert says in answer.refusal


def test_a_user_may_change_only_the_own_signature_of_a_review(reviews):
    done = sign(reviews, MANAGER, "overdue", OURS, dry=False)
    assert done.allowed, done.refusal
    theirs = signature(ENGINEER, "EngineeringManager")
    assert sign(reviews, ENGINEER, "overdue", OURS, theirs).allowed
    edited = OURS | {"note": "I never said that"}
    assert "a signature must be your own" in sign(reviews, ENGINEER, "overdue", edited).refusal
    assert "do not change those of others" in sign(reviews, ENGINEER, "overdue").refusal
    assert sign(reviews, MANAGER, "overdue", OURS | {"verdict": "Object"}).allowed
    assert sign(reviews, MANAGER, "overdue").allowed


def test_a_review_is_a_record_from_the_last_signature_on_before_the_operator_has_read_it(reviews):
    admin, path = Person(reviews, ""), path_of(NAMESPACE, "signed", plural=names.REVIEW_PLURAL)
    assert admin.create(document("signed"), dry=False).allowed
    status = {"state": "ToReview", "team": TEAM, "sealTime": SEALED}
    assert admin.send("PATCH", f"{path}/status", {"status": status}, kind=MERGE).allowed
    objection = OURS | {"verdict": "Object"}
    assert sign(reviews, MANAGER, "signed", objection, dry=False).allowed
    assert "each role has signed" in sign(reviews, MANAGER, "signed").refusal
    assert "each role has signed" in sign(reviews, MANAGER, "signed", OURS).refusal
    theirs = signature(ENGINEER, "EngineeringManager")
    assert "each role has signed" in sign(reviews, ENGINEER, "signed", objection, theirs).refusal
    notes = {"spec": {"notes": "another one"}}
    answer = Person(reviews, SCIENTIST).send("PATCH", path, notes, kind=MERGE, dryRun="All")
    assert "the review is a record" in answer.refusal


def test_the_sign_command_signs_as_the_authenticated_user(reviews, monkeypatch, capsys):
    arguments = ["review", "sign", f"{NAMESPACE}/toreview", "--verdict", "Object", "--note", "no"]
    for user, role in ((ENGINEER, "EngineeringManager"), (MANAGER, "DataProductManager")):
        monkeypatch.setenv("KUBECONFIG", str(reviews.kubeconfig_for(user)))
        assert main(arguments) == 0, capsys.readouterr().err
        assert f"is signed by {user} as {role}: Object" in capsys.readouterr().out
    assert main([*arguments, "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == names.REVIEW_KIND
    assert {sign_off["username"] for sign_off in told["spec"]["signOffs"]} == {ENGINEER, MANAGER}
    path = path_of(NAMESPACE, "toreview", plural=names.REVIEW_PLURAL)
    stored = Person(reviews, "").send("GET", path).body["spec"]["signOffs"]
    assert {one["username"] for one in stored} == {ENGINEER, MANAGER}
    monkeypatch.setenv("KUBECONFIG", str(reviews.kubeconfig_for("outsider")))
    assert main(["review", "sign", f"{NAMESPACE}/pricing-2031-01"]) == 2
    assert f"`kubectl get dprev -n {NAMESPACE}` lists those there are" in capsys.readouterr().err
    assert main([*arguments, "--role", "DataProductManager"]) == 1
    assert "gives outsider no such role" in capsys.readouterr().err


def test_a_manager_of_one_namespace_gets_its_reports_once_the_command_names_the_namespace(
    reviews, monkeypatch, capsys
):
    monkeypatch.setenv("KUBECONFIG", str(reviews.kubeconfig_for(MANAGER)))
    for command in (["report", "--all"], ["report", "--wheel"], ["review", "calendar"]):
        assert main(command) == 2
        assert "name each namespace that you may read by --namespace" in capsys.readouterr().err
    report = ["report", "--all", "--period", "november", "-o", "name"]
    assert main([*report, "--namespace", NAMESPACE]) == 2
    assert 'there is no period "november" of any product' in capsys.readouterr().err
    sealed = [*report[:2], "-o", "name", "--namespace", NAMESPACE]
    assert main(sealed) == 0
    assert capsys.readouterr().out.startswith(f"{names.REVIEW_SINGULAR}.{names.GROUP}/")
    assert main(["review", "calendar", "--namespace", NAMESPACE]) == 0
    assert "BEGIN:VCALENDAR" in capsys.readouterr().out


def test_a_user_with_patch_rights_edits_the_notes_of_a_review_but_not_its_ledger(reviews):
    person = Person(reviews, SCIENTIST)
    path = path_of(NAMESPACE, "toreview", plural=names.REVIEW_PLURAL)
    notes = {"spec": {"notes": "a dip on the 3rd: the label job was late"}}
    assert person.send("PATCH", path, notes, kind=MERGE, dryRun="All").allowed
    forged = {"status": {"days": []}}
    assert "forbidden" in person.send("PATCH", f"{path}/status", forged, kind=MERGE).refusal


RECORD = {
    "decisions": {"decisions": ["keep it"]},
    "notes": {"notes": "all was well"},
    "attendees": {"attendees": ["x"]},
    "actions": {"actions": [{"title": "b", "owner": "acb", "dueDate": "2026-02-01"}]},
    "no actions": {"actions": []},
    "the owner of an action": {"actions": [{"title": "a", "owner": "x", "dueDate": "2026-02-01"}]},
}
ACTION = {"title": "a", "owner": "acb", "dueDate": "2026-02-01"}


@pytest.fixture(scope="module")
def closed(reviews):
    """Return a review that is closed and has an action."""
    admin, path = Person(reviews, ""), path_of(NAMESPACE, "closed", plural=names.REVIEW_PLURAL)
    spec = {"actions": [ACTION], "decisions": ["retrain it"], "attendees": [MANAGER]}
    assert admin.create(document("closed", **spec), dry=False).allowed
    status = {"state": "Reviewed", "team": TEAM, "sealTime": SEALED}
    assert admin.send("PATCH", f"{path}/status", {"status": status}, kind=MERGE).allowed
    return path


@pytest.mark.parametrize("change", RECORD.values(), ids=RECORD)
def test_a_closed_review_cannot_be_changed_by_any_user(reviews, closed, change):
    for user in (MANAGER, SCIENTIST, ""):
        answer = Person(reviews, user).send(
            "PATCH", closed, {"spec": change}, kind=MERGE, dryRun="All"
        )
        assert "the review is a record" in answer.refusal


def test_an_action_item_of_a_closed_review_can_be_marked_as_done(reviews, closed):
    done = {"spec": {"actions": [ACTION | {"done": True}]}}
    assert Person(reviews, SCIENTIST).send("PATCH", closed, done, kind=MERGE, dryRun="All").allowed


@pytest.mark.parametrize("hours", [-24, -1, 1, 24 * 365 * 64])
def test_a_signature_has_the_time_at_which_it_is_written(reviews, hours):
    at = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = sign(
        reviews, MANAGER, "overdue", signature(MANAGER, "DataProductManager", signTime=at)
    )
    assert "signTime must be the current time" in answer.refusal


def test_a_signature_without_managed_fields_is_refused(reviews):
    path = path_of(NAMESPACE, "overdue", plural=names.REVIEW_PLURAL)
    change = {
        "metadata": {"managedFields": [{}]},
        "spec": {"signOffs": [OURS | {"signTime": SEALED}]},
    }
    answer = Person(reviews, MANAGER).send("PATCH", path, change, kind=MERGE, dryRun="All")
    assert "signTime must be the current time" in answer.refusal


def test_only_the_operator_creates_reviews_and_writes_their_status(reviews):
    reviews.kubectl(
        "create", "role", "owner", "-n", NAMESPACE, "--verb=get,create,update,patch,delete",
        "--resource=dataproductreviews.sluicegate.dev,dataproductreviews.sluicegate.dev/status",
    )  # fmt: skip
    operator = f"system:serviceaccount:sluicegate-system:{RELEASE}"
    for user in ("owner", operator):
        binding = ("create", "rolebinding", f"owner-{user.rpartition(':')[2]}", "--role=owner")
        reviews.kubectl(*binding, "-n", NAMESPACE, f"--user={user}")
    path = path_of(NAMESPACE, "toreview", plural=names.REVIEW_PLURAL)

    def attempts(user):
        person = Person(reviews, user)
        status = {"status": {"state": "Reviewed"}}
        return (
            person.create(document("forged")),
            person.send("PATCH", f"{path}/status", status, kind=MERGE, dryRun="All"),
        )

    eventually(lambda: all(attempt.allowed for attempt in attempts(operator)), what="its rights")
    eventually(
        lambda: all(
            "only the operator writes ledgers" in attempt.refusal for attempt in attempts("owner")
        ),
        what="the refusals of the policy",
    )


COLLECTED = {
    "an owner that does not exist": {"ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "9a3a3a3a-0000-4000-8000-000000000000"}]},
    "a finalizer": {"finalizers": ["example.com/x"]},
    "a label of Argo CD": {"labels": {"app.kubernetes.io/instance": "theirs"}},
    "an annotation of Argo CD": {"annotations": {"argocd.argoproj.io/tracking-id": "theirs"}},
}  # fmt: skip


@pytest.mark.parametrize("metadata", COLLECTED.values(), ids=COLLECTED)
def test_a_user_without_delete_rights_cannot_delete_a_review_through_a_tool(reviews, metadata):
    path = path_of(NAMESPACE, "reviewed", plural=names.REVIEW_PLURAL)
    change = {"metadata": metadata}

    def attempt(user):
        return Person(reviews, user).send("PATCH", path, change, kind=MERGE, dryRun="All")

    for user in (MANAGER, SCIENTIST):
        assert "reserved for those who may delete it" in attempt(user).refusal
    assert attempt("").allowed


def test_a_user_may_not_change_the_labels_by_which_the_operator_finds_a_review(reviews):
    path = path_of(NAMESPACE, "overdue", plural=names.REVIEW_PLURAL)
    operator = f"system:serviceaccount:sluicegate-system:{RELEASE}"
    bind(reviews, f"{RELEASE}-product-manager", operator, NAMESPACE)

    def labelled(user, **labels):
        change = {"metadata": {"labels": labels}}
        return Person(reviews, user).send("PATCH", path, change, kind=MERGE, dryRun="All")

    eventually(
        lambda: labelled(operator, **{names.LABEL_REVIEW: "closed"}).allowed, what="its right"
    )
    for label in (names.LABEL_REVIEW, names.LABEL_PRODUCT):
        assert "for the operator alone" in labelled(MANAGER, **{label: "closed"}).refusal
    assert labelled(MANAGER, **{"cost-center": "search"}).allowed


def test_only_the_archive_and_holders_of_its_verb_mark_a_review_as_archived(
    reviews, tmp_path, monkeypatch, capsys
):
    objects = chart(RELEASE, "archive.enabled=true", "archive.claimName=reviews",
                    f"watchNamespaces={{{NAMESPACE}}}")  # fmt: skip
    rights = [obj for obj in objects if obj["metadata"]["name"] == f"{RELEASE}-archive"
              and obj["kind"] in {"Role", "RoleBinding"}]  # fmt: skip
    apply(reviews, *rights)
    made = sealed_month(11, wrong=0.1, namespace=NAMESPACE)
    body, admin = document_of(made), Person(reviews, "")
    body["metadata"] = {"name": made.metadata.name, "namespace": NAMESPACE,
                        "labels": {names.LABEL_REVIEW: "sealed"}}  # fmt: skip
    assert admin.create(body, dry=False).allowed
    path = path_of(NAMESPACE, made.metadata.name, plural=names.REVIEW_PLURAL)
    told = admin.send("PATCH", f"{path}/status", {"status": body["status"]}, kind=MERGE)
    assert told.allowed, told.refusal

    forged = {"metadata": {"annotations": {names.ANNOTATION_ARCHIVED: "sha256:0"}}}
    answer = Person(reviews, MANAGER).send("PATCH", path, forged, kind=MERGE, dryRun="All")
    assert "holders of the verb archive" in answer.refusal
    assert admin.send("PATCH", path, forged, kind=MERGE, dryRun="All").allowed
    monkeypatch.setenv("KUBECONFIG", str(reviews.kubeconfig_for(MANAGER)))
    assert main(["archive", "--to", str(tmp_path), "--namespace", NAMESPACE]) == 1
    assert "holders of the verb archive" in capsys.readouterr().err

    account = f"system:serviceaccount:sluicegate-system:{RELEASE}-archive"
    monkeypatch.setenv("KUBECONFIG", str(reviews.kubeconfig_for(account)))
    command = ["archive", "--to", str(tmp_path), "--namespace", NAMESPACE]
    eventually(lambda: main(command) == 0, what="its rights to be in force")
    assert "1 reviews written" in capsys.readouterr().out
    assert main(command) == 0
    assert "0 reviews written" in capsys.readouterr().out
    (file,) = tmp_path.rglob("*.json")
    assert json.loads(file.read_text())["status"]["digest"] == made.status.digest
    stored = parse_review(admin.send("GET", path).body)
    assert is_archived(stored), "what the API server keeps is what the file has"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"period": {"startTime": "2026-10-01T00:00:00Z", "endTime": "2026-12-01T00:00:00Z"}},
         "productRef and period stay as they are"),
        ({"productRef": {"name": "other", "uid": "u"}}, "productRef and period stay as they are"),
        ({"productRef": {"name": "../catalog/pricing", "uid": "u"}}, "spec.productRef.name"),
        ({"productRef": {"name": "pricing", "uid": "../x"}}, "spec.productRef.uid"),
        ({"signOffs": [OURS | {"verdict": "Maybe"}]}, "Unsupported value"),
        ({"signOffs": [OURS | {"note": "x" * 501}]}, "Too long"),
        ({"actions": [{"title": "x", "owner": "acb", "dueDate": "2026-02-31"}]}, "spec.actions[0].dueDate"),
    ],
)  # fmt: skip
def test_an_invalid_review_is_refused_with_the_name_of_the_field(reviews, change, says):
    path = path_of(NAMESPACE, "toreview", plural=names.REVIEW_PLURAL)
    answer = Person(reviews, "").send("PATCH", path, {"spec": change}, kind=MERGE, dryRun="All")
    assert says in answer.refusal


def test_a_review_period_that_ends_before_it_begins_is_refused(reviews):
    period = {"startTime": "2026-12-01T00:00:00Z", "endTime": "2026-11-01T00:00:00Z"}
    answer = Person(reviews, "").create(document("backwards", period=period))
    assert "spec.period.startTime must be before spec.period.endTime" in answer.refusal
