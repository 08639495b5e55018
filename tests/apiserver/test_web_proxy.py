"""The portfolio page behind a real authenticating proxy: who logs in is who the API server is asked about."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_network

import aiohttp
import pytest
from playwright.async_api import async_playwright

from cluster.builds import program
from cluster.kinds import install_crds
from sluicegate.api import names
from sluicegate.web.identity import HeaderLogin, Proxy
from tests.support.apiserver.audit import audited
from tests.support.apiserver.login_proxy import login_proxy
from tests.support.apiserver.people import MERGE, Person, bind, install_policies, path_of
from tests.support.apiserver.served_page import account_of, install_account, served_page
from tests.support.portfolio.products import document
from tests.support.processes.browser import browser
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
RELEASE = "proxied-sluicegate"
HERE, THERE, REVIEW = "proxied-here", "proxied-there", "alpha-2024-11"
PRODUCTS = {HERE: "alpha", THERE: "bravo"}
OF_ONE, OF_A_GROUP, NOBODY = "anna@example.com", "ben@example.com", "carl@example.com"
PEOPLE = {OF_ONE: ["readers"], OF_A_GROUP: ["team-there", "readers"], NOBODY: []}
SECRET = "between the proxy and the page"
PATHS = (
    "/",
    "/portfolio.json",
    "/portfolio.csv",
    "/markets",
    "/graph.json",
    "/reviews.csv",
    "/me.json",
)
FORGED = {
    "X-Forwarded-User": "root", "X-Forwarded-Groups": "system:masters,oidc:team-there",
    "X-Forwarded-Email": "root", "X_Forwarded_User": "root", "X-Sluicegate-Secret": SECRET,
    "Impersonate-User": "root",
}  # fmt: skip


def _taken(admin, body):
    return admin.create(body, dry=False).allowed


@pytest.fixture(scope="module")
def plane(control_plane):
    """Return a product in each of two namespaces, a sealed review of one, the page's account, people with roles."""
    for needed in ("oauth2-proxy", "mockoidc"):
        program(needed)
    plane, admin = control_plane, Person(control_plane, "")
    install_crds(plane)
    for namespace in PRODUCTS:
        plane.kubectl("create", "namespace", namespace)
    install_policies(plane, RELEASE, "roles.enforce=Deny", f"watchNamespaces={{{HERE}}}")
    install_account(
        plane,
        RELEASE,
        "web.proxy.cidrs={127.0.0.0/8}",
        "web.proxy.secretName=s",
        "web.signing=true",
    )
    bind(plane, f"{RELEASE}-product-manager", f"oidc:{OF_ONE}", HERE)
    plane.kubectl(
        "create", "rolebinding", "group", "-n", THERE, "--group=oidc:team-there",
        f"--clusterrole={RELEASE}-product-manager",
    )  # fmt: skip
    for namespace, name in PRODUCTS.items():
        body = document(name, namespace)
        del body["status"]
        body["metadata"] = {"name": name, "namespace": namespace}
        eventually(partial(_taken, admin, body), what="the definition")
    review = {
        "apiVersion": names.API_VERSION, "kind": names.REVIEW_KIND,
        "metadata": {"name": REVIEW, "namespace": HERE},
        "spec": {"productRef": {"name": "alpha", "uid": "u"},
                 "period": {"startTime": "2024-11-01T00:00:00Z", "endTime": "2024-12-01T00:00:00Z"}},
    }  # fmt: skip
    assert admin.create(review, dry=False).allowed
    status = {
        "state": "ToReview", "sealTime": "2024-12-04T00:00:00Z", "timeZone": "UTC",
        "signedBy": ["DataProductManager"],
        "team": [{"username": f"oidc:{OF_ONE}", "role": "DataProductManager"}],
    }  # fmt: skip
    path = path_of(HERE, REVIEW, plural=names.REVIEW_PLURAL)
    assert admin.send("PATCH", f"{path}/status", {"status": status}, kind=MERGE).allowed
    return plane


@pytest.fixture
def proxied(plane, monkeypatch, tmp_path):
    """Return the page's own address, and that of the proxy in front of it."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    proxy = Proxy((ip_network("127.0.0.0/8"),), secret, user_prefix="oidc:", group_prefix="oidc:")

    @asynccontextmanager
    async def of(*mails):
        people = [(mail, PEOPLE[mail]) for mail in mails]
        async with served_page(
            plane, monkeypatch, account_of(RELEASE), lambda _: HeaderLogin(proxy), signing=True
        ) as client:
            page = str((await client.get("/readyz")).url.origin())
            with login_proxy(page, secret, people, tmp_path) as address:
                yield page, address

    return of


def browsing():
    """Return a person's browser, as far as cookies and redirects go."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def test_a_user_behind_the_proxy_sees_only_readable_namespaces_whatever_headers_are_sent(
    proxied,
):
    expected = {OF_ONE: {HERE}, OF_A_GROUP: {THERE}, NOBODY: set()}
    async with proxied(*expected) as (_, proxy):
        for mail, namespaces in expected.items():
            hidden = [
                word for product in set(PRODUCTS) - namespaces for word in (product, PRODUCTS[product])
            ]  # fmt: skip
            async with browsing() as person:
                assert (await person.get(f"{proxy}/")).url.path == "/", "logged in, and back"
                for headers in ({}, FORGED):
                    me = await (await person.get(f"{proxy}/me.json", headers=headers)).json()
                    assert me["user"] == f"oidc:{mail}"
                    groups = {f"oidc:{group}" for group in PEOPLE[mail]}
                    assert set(me["groups"]) == groups | {"system:authenticated"}
                    assert set(me["products"]) == namespaces
                    for path in PATHS:
                        answer = await person.get(f"{proxy}{path}", headers=headers)
                        assert answer.status == 200, path
                        text = await answer.text()
                        assert not [word for word in hidden if word in text], path


async def test_requests_without_a_login_are_refused_by_the_proxy_and_by_the_page(
    proxied,
):
    async with proxied(OF_ONE) as (page, proxy), browsing() as stranger:
        for path in PATHS:
            answer = await stranger.get(f"{proxy}{path}", headers=FORGED, allow_redirects=False)
            assert answer.status in {302, 401, 403}, path
            assert "alpha" not in await answer.text()
            past = {name: value for name, value in FORGED.items() if name != "X-Sluicegate-Secret"}
            assert (await stranger.get(f"{page}{path}", headers=past)).status == 401


async def test_a_review_is_signed_in_a_browser_as_the_person_who_logged_in(plane, proxied):
    async with proxied(OF_ONE) as (_, proxy), async_playwright() as driver:
        chromium = await driver.chromium.launch(
            executable_path=browser(), args=["--no-sandbox"]
        )  # fmt: skip
        tab = await chromium.new_page()
        await tab.goto(f"{proxy}/reviews/{HERE}/{REVIEW}")
        await tab.get_by_label("Note").fill("signed behind the proxy")
        await tab.get_by_role("button", name=f"Sign as oidc:{OF_ONE}").click()
        await tab.get_by_text("You signed as DataProductManager: Agree.").wait_for()
        await chromium.close()
    stored = Person(plane, "").send("GET", path_of(HERE, REVIEW, plural=names.REVIEW_PLURAL)).body
    [signature] = stored["spec"]["signOffs"]
    assert (signature["username"], signature["note"]) == (
        f"oidc:{OF_ONE}",
        "signed behind the proxy",
    )
    [entry] = [
        write
        for write in audited(plane.audit_log, f"oidc:{OF_ONE}")
        if write.get("impersonatedUser", {}).get("username") == f"oidc:{OF_ONE}"
    ]
    assert (entry["verb"], entry["user"]["username"]) == ("patch", account_of(RELEASE))
    assert set(entry["impersonatedUser"]["groups"]) == {"oidc:readers", "system:authenticated"}
    assert entry["authenticationMetadata"]["impersonationConstraint"] == "impersonate:user-info"
