"""Signing and acting from the page on a real API server: its audit and policies see the person only."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest

from cluster.kinds import install_crds
from sluicegate.api import names
from sluicegate.kube import requests
from sluicegate.kube.errors import Forbidden
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, DATA_PRODUCTS, Key, Resource
from sluicegate.web.identity import HeaderLogin, Proxy
from tests.support.apiserver.audit import audited
from tests.support.apiserver.people import MERGE, Person, bind, install_policies, path_of
from tests.support.apiserver.served_page import (
    account_of,
    cluster_as,
    install_account,
    served_page,
)
from tests.support.portfolio.products import document, version, waiting_for_approval
from tests.support.waiting import eventually

NAMESPACE, OTHER, REVIEW = "signed-here", "signed-elsewhere", "pricing-2024-11"
KEY = Key(NAMESPACE, REVIEW)
SECRETS = Resource("", "v1", "secrets", "Secret")
SIGNS, READS, TOKENS, ACTS = (f"{one}-sluicegate" for one in ("signs", "reads", "tokens", "acts"))
PRODUCT = Key(NAMESPACE, "pricing")
MANAGER, ENGINEER = "web-manager", "web-engineer"
ROLES = {MANAGER: "DataProductManager", ENGINEER: "EngineeringManager"}
SECRET = "between the proxy and the page"
GROUPS = {f"web-group-{number}" for number in range(300)}
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def plane(control_plane):
    """Return a sealed review, its team, the chart's policies, and the page's account with and without signing."""
    plane = control_plane
    install_crds(plane)
    for namespace in (NAMESPACE, OTHER):
        plane.kubectl("create", "namespace", namespace)
    install_policies(plane, SIGNS, "roles.enforce=Deny", f"watchNamespaces={{{NAMESPACE}}}")
    for release, *ours in (
        (SIGNS, "signing=true"),
        (READS,),
        (TOKENS, "signing=true", "auth=Token"),
        (ACTS, "acting=true"),
    ):
        install_account(
            plane, release, "web.proxy.cidrs={10.0.0.0/8}", "web.proxy.secretName=s",
            f"watchNamespaces={{{NAMESPACE}}}", *(f"web.{one}" for one in ours),
        )  # fmt: skip
    plane.kubectl(
        "create", "role", "reader", "-n", NAMESPACE, "--verb=get,list",
        "--resource=dataproducts.sluicegate.dev,dataproductreviews.sluicegate.dev",
    )  # fmt: skip
    plane.kubectl(
        "create", "rolebinding", "reader", "-n", NAMESPACE, "--role=reader", "--user=web-reader"
    )
    for user in (MANAGER, "web-outsider", ENGINEER):
        bind(plane, f"{SIGNS}-product-manager", user, NAMESPACE)
    for role in ("approver", "data-scientist", "platform-engineer"):
        bind(plane, f"{SIGNS}-{role}", f"web-{role}", NAMESPACE)
    admin = Person(plane, "")
    body = {
        "apiVersion": names.API_VERSION, "kind": names.REVIEW_KIND,
        "metadata": {"name": REVIEW, "namespace": NAMESPACE},
        "spec": {"productRef": {"name": "pricing", "uid": "u"},
                 "period": {"startTime": "2024-11-01T00:00:00Z", "endTime": "2024-12-01T00:00:00Z"}},
    }  # fmt: skip
    eventually(lambda: admin.create(body).allowed, what="the definition")
    assert admin.create(body, dry=False).allowed
    team = [{"username": user, "role": role} for user, role in ROLES.items()]
    status = {"state": "ToReview", "sealTime": "2024-12-04T00:00:00Z", "team": team,
              "signedBy": sorted(ROLES.values()), "timeZone": "UTC"}  # fmt: skip
    path = f"{path_of(*KEY, plural=names.REVIEW_PLURAL)}/status"
    told = admin.send("PATCH", path, {"status": status}, kind=MERGE)
    assert told.allowed, told.refusal
    product = pricing(team)
    stored = admin.create(product, dry=False)
    assert stored.allowed, stored.refusal
    told = admin.send(
        "PATCH", f"{path_of(*PRODUCT)}/status", {"status": product["status"]}, kind=MERGE
    )
    assert told.allowed, told.refusal
    forged = {"spec": {"signOffs": [signature(MANAGER)]}}
    eventually(  # the last who got a role is refused by the policy
        lambda: "must be your own" in Person(plane, ENGINEER).send(
            "PATCH", path_of(*KEY, plural=names.REVIEW_PLURAL), forged, kind=MERGE, dryRun="All"
        ).refusal,
        what="the roles and the policy to be in force",
    )  # fmt: skip
    return plane


def pricing(team):
    """Return a product whose candidate waits for an approval."""
    old = version("v13", revision="1111111111", outcome="Replaced", reason="CanaryNotWorse",
                  promotionTime="2026-10-01T00:00:00Z", endTime="2026-11-01T00:00:00Z")  # fmt: skip
    retraining = {"command": ["train"], "output": "registry.example/models"}
    return document(
        *reversed(PRODUCT), spec={"team": {"members": team}, "retraining": retraining},
        status=waiting_for_approval() | {"history": [old]},
    ) | {"metadata": {"name": PRODUCT.name, "namespace": NAMESPACE}}  # fmt: skip


def signature(user):
    return {"username": user, "role": ROLES.get(user, MANAGER), "verdict": "Agree",
            "signTime": "2024-12-06T09:00:00Z"}  # fmt: skip


@pytest.fixture
def page(plane, monkeypatch, tmp_path):
    file = tmp_path / "secret"
    file.write_text(SECRET)
    proxy = HeaderLogin(Proxy((ip_network("127.0.0.0/8"),), file))

    def of(release):
        return served_page(
            plane, monkeypatch, account_of(release), lambda _: proxy,
            namespaces=(NAMESPACE,), signing=True, acting=True,
        )  # fmt: skip

    return of


async def sign(client, user, **more):
    """Return a browser's form data, and the page of the response."""
    headers = {"X-Forwarded-User": user, "X-Forwarded-Groups": ",".join(GROUPS),
               "X-Sluicegate-Secret": SECRET}  # fmt: skip
    path = f"/reviews/{NAMESPACE}/{REVIEW}"
    text = await (await client.get(path, headers=headers)).text()
    (token,) = re.findall(r'name="token" value="([0-9a-f]+)"', text)
    answer = await client.post(path, data={"token": token} | more, headers=headers | SAME)
    return answer.status, await answer.text()


async def test_a_signature_on_the_page_is_audited_with_the_user_and_the_page_account(plane, page):
    async with page(SIGNS) as client:
        status, text = await sign(client, MANAGER, verdict="Agree", note="signed on the page")
    assert (status, "You signed as DataProductManager: Agree." in text) == (200, True)
    stored = Person(plane, "").send("GET", path_of(*KEY, plural=names.REVIEW_PLURAL)).body
    [signed] = stored["spec"]["signOffs"]
    assert (signed["username"], signed["note"]) == (MANAGER, "signed on the page")
    assert "sluicegate-web" in {
        managed_field["manager"] for managed_field in stored["metadata"]["managedFields"]
    }
    [entry] = [
        write
        for write in audited(plane.audit_log, MANAGER)
        if write.get("impersonatedUser", {}).get("username") == MANAGER
        and write["user"]["username"] == account_of(SIGNS)
    ]
    assert set(entry["impersonatedUser"]["groups"]) == GROUPS | {"system:authenticated"}
    assert entry["verb"] == "patch"
    assert entry["authenticationMetadata"]["impersonationConstraint"] == "impersonate:user-info"


async def test_a_signature_is_refused_by_the_policy_or_by_the_roles(page):
    async with page(SIGNS) as client:
        role = {"role": "DataProductManager", "verdict": "Agree"}
        status, text = await sign(client, "web-outsider", **role)
        assert status == 403
        assert "The policy refuses the signature: the team gives web-outsider no such role" in text
        status, text = await sign(client, "web-reader", **role)
        assert status == 403
        assert f"web-reader may not change reviews in {NAMESPACE}: ask for one of" in text


async def test_signing_on_the_page_is_forbidden_without_web_signing_of_the_chart(page):
    async with page(READS) as client:
        status, text = await sign(client, ENGINEER, verdict="Agree")
    assert status == 403
    assert "web.signing of the chart allows it" in text


async def test_the_account_of_the_page_may_impersonate_users_only_to_patch_reviews(
    plane, monkeypatch
):
    def patch(resource, key, change):
        return requests.patch_request(resource, key, change, field_manager="test")

    sign_offs = {"spec": {"signOffs": [signature(MANAGER)]}}
    notes = {"spec": {"notes": "a dip on the 3rd"}}
    status = {"metadata": {"name": REVIEW, "namespace": NAMESPACE}, "status": {}}
    root = {"user": "web-root", "groups": ["system:masters"]}
    refused = [
        (patch(DATA_PRODUCT_REVIEWS, KEY, sign_offs), {"user": ENGINEER}, "must be your own"),
        (requests.get_request(DATA_PRODUCT_REVIEWS, KEY), root, "impersonate"),
        (requests.delete_request(DATA_PRODUCT_REVIEWS, KEY), root, "impersonate"),
        (requests.apply_request(DATA_PRODUCT_REVIEWS, status, field_manager="test", subresource="status"), root,
         "impersonate"),
        (requests.get_request(SECRETS, Key(NAMESPACE, "any")), root, "impersonate"),
        (patch(DATA_PRODUCTS, Key(NAMESPACE, "pricing"), {}), root, "impersonate"),
        (patch(DATA_PRODUCT_REVIEWS, Key(OTHER, REVIEW), notes), root, "impersonate"),
        (
            patch(DATA_PRODUCT_REVIEWS, KEY, notes),
            {"user": "system:serviceaccount:sluicegate-system:sluicegate"},
            "impersonate",
        ),
    ]  # fmt: skip
    async with cluster_as(plane, monkeypatch, account_of(SIGNS)) as (_, transport):
        await transport.send(
            requests.as_user(patch(DATA_PRODUCT_REVIEWS, KEY, notes), user=MANAGER)
        )
        for request, user, words in refused:
            with pytest.raises(Forbidden, match=words):
                await transport.send(requests.as_user(request, **user))
        with pytest.raises(Forbidden, match="cannot patch"):
            await transport.send(patch(DATA_PRODUCT_REVIEWS, KEY, notes))


async def test_only_the_account_for_token_logins_may_impersonate_uid_and_extra(plane, monkeypatch):
    notes = requests.patch_request(
        DATA_PRODUCT_REVIEWS, KEY, {"spec": {"notes": "x"}}, field_manager="test"
    )
    request = requests.as_user(
        notes, MANAGER, groups=("a",), uid="u-1", extra_attributes={"example.com/scope": ("b", "c")}
    )
    async with cluster_as(plane, monkeypatch, account_of(TOKENS)) as (_, transport):
        await transport.send(request)
    [entry] = [
        write
        for write in audited(plane.audit_log, account_of(TOKENS))
        if write.get("impersonatedUser", {}).get("username") == MANAGER
    ]
    assert entry["impersonatedUser"]["uid"] == "u-1"
    assert entry["impersonatedUser"]["extra"] == {"example.com/scope": ["b", "c"]}
    async with cluster_as(plane, monkeypatch, account_of(SIGNS)) as (_, transport):
        with pytest.raises(Forbidden, match="impersonate"):
            await transport.send(request)


def headers_of(user):
    return {"X-Forwarded-User": user, "X-Forwarded-Groups": "team", "X-Sluicegate-Secret": SECRET}


async def act(client, user, verb, **more):
    """Return a browser's form data of a request, and the page of the response.

    Without a form, its page alone.
    """
    headers, path = headers_of(user), f"/products/{NAMESPACE}/pricing/act/{verb}"
    answer = await client.get(path, headers=headers)
    text = await answer.text()
    fields = dict(re.findall(r'type="hidden" name="(token|version)" value="([^"]*)"', text))
    if "token" not in fields:
        return None, text
    fields |= {"reason": f"{verb} on the page", "confirmed": "yes"} | more
    answer = await client.post(path, data=fields, headers=headers | SAME)
    return answer.status, await answer.text()


VERBS = {
    "promote": {"sluicegate.dev/promote": "v15/t"},
    "abort": {"sluicegate.dev/abort": "v15/t"},
    "rollback": {"sluicegate.dev/rollback-to": "v13/t"},
    "retrain": {"sluicegate.dev/retrain-requested-at": "t"},
    "suspend": None,
}
"""Requests by verb, as annotations; a suspension changes the spec."""
MAY = {
    MANAGER: {"promote", "abort", "rollback", "retrain"},
    ENGINEER: {"promote", "abort", "rollback", "retrain"},
    "web-approver": {"promote", "abort", "rollback", "retrain"},
    "web-data-scientist": {"abort", "retrain"},
    "web-platform-engineer": {"abort", "rollback", "suspend"},
    "web-outsider": set(),
    "web-reader": set(),
}


@pytest.mark.parametrize("user", MAY)
async def test_the_page_offers_each_user_only_the_permitted_actions(plane, page, monkeypatch, user):
    async with page(ACTS) as client:
        results = {verb: await act(client, user, verb) for verb in VERBS}
        for verb, (status, text) in results.items():
            assert (status is None) == (verb not in MAY[user]), (verb, status, text[-1500:])
            assert status in {None, 200}, (verb, text[-1500:])
        if "suspend" in MAY[user]:
            assert (await act(client, user, "resume"))[0] == 200
    async with cluster_as(plane, monkeypatch, account_of(ACTS)) as (_, transport):
        for verb in VERBS.keys() - MAY[user]:
            annotations = VERBS[verb]
            change = (
                {"spec": {"suspend": True}}
                if annotations is None
                else {"metadata": {"annotations": annotations}}
            )
            request = requests.patch_request(DATA_PRODUCTS, PRODUCT, change, field_manager="test")
            with pytest.raises(Forbidden):
                await transport.send(requests.as_user(request, user=user))


async def test_a_request_on_the_page_names_the_user_in_its_value_reason_and_audit_log(plane, page):
    async with page(ACTS) as client:
        status, text = await act(client, MANAGER, "promote", reason="prices in Austria are right")
    assert (status, "the operator has not handled it yet" in text) == (200, True)
    stored = Person(plane, "").send("GET", path_of(*PRODUCT)).body
    annotations = stored["metadata"]["annotations"]
    value = annotations["sluicegate.dev/promote"]
    assert value.startswith("v15/")
    assert (
        annotations["sluicegate.dev/request-note"]
        == f"{value}\n{MANAGER}\nprices in Austria are right"
    )
    assert "sluicegate-web" in {
        managed_field["manager"] for managed_field in stored["metadata"]["managedFields"]
    }
    entries = [
        write
        for write in audited(plane.audit_log, MANAGER)
        if write.get("impersonatedUser", {}).get("username") == MANAGER
        and write["user"]["username"] == account_of(ACTS)
    ]
    assert entries
    assert {entry["verb"] for entry in entries} == {"patch"}
    assert {entry["objectRef"]["resource"] for entry in entries} == {"dataproducts"}


async def test_a_request_note_in_the_name_of_another_user_is_refused(plane):
    def change(note):
        annotations = {"sluicegate.dev/abort": "v15/x", "sluicegate.dev/request-note": note}
        return {"metadata": {"annotations": annotations}}

    manager = Person(plane, MANAGER)
    assert manager.patch(PRODUCT, change(f"v15/x\n{MANAGER}\nmine")).allowed
    for note in (
        f"v15/x\n{ENGINEER}\nnot mine", f"v15/x\n{ENGINEER}\n{MANAGER}\nnot mine", "a text", MANAGER,
    ):  # fmt: skip
        assert "the user name of the sender" in manager.patch(PRODUCT, change(note)).refusal, note


async def test_acting_on_the_page_is_forbidden_without_web_acting_of_the_chart(page):
    async with page(SIGNS) as client:
        status, text = await act(client, MANAGER, "abort")
    assert status == 403
    assert "web.acting of the chart allows it" in text


async def test_a_form_submitted_twice_is_refused_for_a_real_product(page):
    headers, path = headers_of(MANAGER), f"/products/{NAMESPACE}/pricing/act/retrain"
    async with page(ACTS) as client:
        text = await (await client.get(path, headers=headers)).text()
        (token,) = re.findall(r'name="token" value="([0-9a-f]+)"', text)
        fields = {"token": token, "version": "", "reason": "once"}
        answers = [await client.post(path, data=fields, headers=headers | SAME) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 409]
        forged = await client.post(
            path, data=fields, headers=headers | {"Sec-Fetch-Site": "cross-site"}
        )
        assert forged.status == 403


async def test_the_acting_account_of_the_page_may_impersonate_users_only_to_patch_products(
    plane, monkeypatch
):
    root = {"user": "web-root", "groups": ["system:masters"]}
    labels = requests.patch_request(
        DATA_PRODUCTS, PRODUCT, {"metadata": {"labels": {"a": "b"}}}, field_manager="test"
    )
    status = {"metadata": {"name": PRODUCT.name, "namespace": NAMESPACE}, "status": {}}
    refused = [
        requests.get_request(DATA_PRODUCTS, PRODUCT),
        requests.delete_request(DATA_PRODUCTS, PRODUCT),
        requests.apply_request(DATA_PRODUCTS, status, field_manager="test", subresource="status"),
        requests.patch_request(
            DATA_PRODUCT_REVIEWS, KEY, {"spec": {"notes": "x"}}, field_manager="test"
        ),
        requests.patch_request(DATA_PRODUCTS, Key(OTHER, PRODUCT.name), {}, field_manager="test"),
        requests.get_request(SECRETS, Key(NAMESPACE, "any")),
    ]
    async with cluster_as(plane, monkeypatch, account_of(ACTS)) as (_, transport):
        await transport.send(requests.as_user(labels, user=MANAGER))
        for request in refused:
            with pytest.raises(Forbidden, match="impersonate"):
                await transport.send(requests.as_user(request, **root))
        with pytest.raises(Forbidden, match="cannot patch"):
            await transport.send(labels)
