"""Signing from the page on a real API server: its audit and policies see the person only."""

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
from tests.support.waiting import eventually

NAMESPACE, OTHER, REVIEW = "signed-here", "signed-elsewhere", "pricing-2024-11"
KEY = Key(NAMESPACE, REVIEW)
SECRETS = Resource("", "v1", "secrets", "Secret")
SIGNS, READS, TOKENS = "signs-sluicegate", "reads-sluicegate", "tokens-sluicegate"
MANAGER, ENGINEER = "web-manager", "web-engineer"
ROLES = {MANAGER: "DataProductManager", ENGINEER: "EngineeringManager"}
SECRET = "between the proxy and the page"
GROUPS = {f"web-group-{number}" for number in range(300)}
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def plane(control_plane):
    """A sealed review, its team, the chart's policies, and the page's account with and without signing."""
    plane = control_plane
    install_crds(plane)
    for namespace in (NAMESPACE, OTHER):
        plane.kubectl("create", "namespace", namespace)
    install_policies(plane, SIGNS, "roles.enforce=Deny", f"watchNamespaces={{{NAMESPACE}}}")
    for release, *ours in (
        (SIGNS, "signing=true"),
        (READS,),
        (TOKENS, "signing=true", "auth=Token"),
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
    forged = {"spec": {"signOffs": [signature(MANAGER)]}}
    eventually(  # the last who got a role is refused by the policy
        lambda: "must be your own" in Person(plane, ENGINEER).send(
            "PATCH", path_of(*KEY, plural=names.REVIEW_PLURAL), forged, kind=MERGE, dryRun="All"
        ).refusal,
        what="the roles and the policy to be in force",
    )  # fmt: skip
    return plane


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
            namespaces=(NAMESPACE,), signing=True,
        )  # fmt: skip

    return of


async def sign(client, user, **more):
    """What a browser sends of the form, and the page of the answer."""
    headers = {"X-Forwarded-User": user, "X-Forwarded-Groups": ",".join(GROUPS),
               "X-Sluicegate-Secret": SECRET}  # fmt: skip
    path = f"/reviews/{NAMESPACE}/{REVIEW}"
    text = await (await client.get(path, headers=headers)).text()
    (token,) = re.findall(r'name="token" value="([0-9a-f]+)"', text)
    answer = await client.post(path, data={"token": token} | more, headers=headers | SAME)
    return answer.status, await answer.text()


async def test_the_audit_log_and_the_object_have_the_person_and_the_page(plane, page):
    async with page(SIGNS) as client:
        status, text = await sign(client, MANAGER, verdict="Agree", note="signed on the page")
    assert (status, "You signed as DataProductManager: Agree." in text) == (200, True)
    stored = Person(plane, "").send("GET", path_of(*KEY, plural=names.REVIEW_PLURAL)).body
    [signed] = stored["spec"]["signOffs"]
    assert (signed["username"], signed["note"]) == (MANAGER, "signed on the page")
    assert "sluicegate-web" in {one["manager"] for one in stored["metadata"]["managedFields"]}
    [entry] = [
        one
        for one in audited(plane.audit_log, MANAGER)
        if one.get("impersonatedUser", {}).get("username") == MANAGER
        and one["user"]["username"] == account_of(SIGNS)
    ]
    assert set(entry["impersonatedUser"]["groups"]) == GROUPS | {"system:authenticated"}
    assert entry["verb"] == "patch"
    assert entry["authenticationMetadata"]["impersonationConstraint"] == "impersonate:user-info"


async def test_the_policy_and_the_roles_refuse_the_person(page):
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
        return requests.patch(resource, key, change, manager="test")

    sign_offs = {"spec": {"signOffs": [signature(MANAGER)]}}
    notes = {"spec": {"notes": "a dip on the 3rd"}}
    status = {"metadata": {"name": REVIEW, "namespace": NAMESPACE}, "status": {}}
    root = {"user": "web-root", "groups": ["system:masters"]}
    refused = [
        (patch(DATA_PRODUCT_REVIEWS, KEY, sign_offs), {"user": ENGINEER}, "must be your own"),
        (requests.get(DATA_PRODUCT_REVIEWS, KEY), root, "impersonate"),
        (requests.delete(DATA_PRODUCT_REVIEWS, KEY), root, "impersonate"),
        (requests.apply(DATA_PRODUCT_REVIEWS, status, manager="test", subresource="status"), root,
         "impersonate"),
        (requests.get(SECRETS, Key(NAMESPACE, "any")), root, "impersonate"),
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


async def test_uid_and_extra_of_a_token_are_passed_on_by_the_account_for_tokens_alone(
    plane, monkeypatch
):
    notes = requests.patch(DATA_PRODUCT_REVIEWS, KEY, {"spec": {"notes": "x"}}, manager="test")
    request = requests.as_user(
        notes, MANAGER, groups=("a",), uid="u-1", extra={"example.com/scope": ("b", "c")}
    )
    async with cluster_as(plane, monkeypatch, account_of(TOKENS)) as (_, transport):
        await transport.send(request)
    [entry] = [
        one
        for one in audited(plane.audit_log, account_of(TOKENS))
        if one.get("impersonatedUser", {}).get("username") == MANAGER
    ]
    assert entry["impersonatedUser"]["uid"] == "u-1"
    assert entry["impersonatedUser"]["extra"] == {"example.com/scope": ["b", "c"]}
    async with cluster_as(plane, monkeypatch, account_of(SIGNS)) as (_, transport):
        with pytest.raises(Forbidden, match="impersonate"):
            await transport.send(request)
