"""The portfolio page on a real API server: each reader sees what the API server lets this one list."""

from __future__ import annotations

import json
import time
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from cluster.kinds import install_crds
from sluicegate.web.identity import HeaderLogin, Proxy, TokenLogin
from tests.support.apiserver.people import may
from tests.support.apiserver.served_page import account_of, install_account, served_page, until
from tests.support.apiserver.service_account import expiring_in
from tests.support.failures.replicas import apply
from tests.support.portfolio.products import degraded, document, waiting_for_approval

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

ONE, TWO, THREE = "web-one", "web-two", "web-three"
RELEASE = "page-sluicegate"
ACCOUNT = account_of(RELEASE)
SECRET = "between the proxy and the page"
PRODUCTS = {ONE: "alpha", TWO: "bravo", THREE: "charlie"}
MANY = ",".join([f"group-{number}" for number in range(299)] + ["team"])
READERS = {
    "admin": ("", set(PRODUCTS)),
    "of-two": ("", {ONE, TWO}),
    "of-one": ("", {ONE}),
    "of-many-groups": (MANY, {ONE}),
    "nobody": ("", set()),
}
PATHS = (
    "/", "/?sort=name", "/portfolio.json", "/portfolio.csv", "/markets", "/markets.json", "/markets.csv",
    "/markets/FR", "/markets/FR.json", "/markets/FR.csv", "/journeys", "/journeys.json", "/journeys.csv",
    "/graph", "/graph.json", "/graph.csv", "/reviews", "/reviews.json", "/reviews.csv", "/me", "/me.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """Return a product in each of three namespaces, of which the first depends on the third.

    Readers; the account.
    """
    install_crds(control_plane)
    assert len(install_account(control_plane, RELEASE, "web.auth=Token")) == 6
    items = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": product}}
        for product in PRODUCTS
    ]
    apply(control_plane, *items)
    status = {
        ONE: waiting_for_approval() | {
            "dependencies": [{"namespace": THREE, "name": "charlie", "state": "Degraded"}],
            "decision": {"type": "Alert", "reason": "UpstreamDegraded",
                         "message": f"the upstream {THREE}/charlie is degraded",
                         "decisionTime": "2026-11-28T09:00:00Z"},
        },
        TWO: {}, THREE: degraded(),
    }  # fmt: skip
    for namespace, name in PRODUCTS.items():
        calls = {"dependsOn": [{"namespace": THREE, "name": "charlie"}]} if namespace == ONE else {}
        body = document(
            name,
            namespace,
            spec=calls | {"domain": f"domain-{name}", "journeys": [{"name": "buy", "step": 1}]},
            status=status[namespace],
        )
        body["metadata"] = {"name": name, "namespace": namespace}
        apply(control_plane, {name: part for name, part in body.items() if name != "status"})
        control_plane.kubectl(
            "patch", "dataproduct", name, "-n", namespace, "--subresource=status", "--type=merge",
            "-p", json.dumps({"status": body["status"]}),
        )  # fmt: skip
    control_plane.kubectl(
        "create", "clusterrole", "web-reader", "--verb=get,list",
        "--resource=dataproducts.sluicegate.dev,dataproductreviews.sluicegate.dev",
    )  # fmt: skip
    control_plane.kubectl(
        "create", "clusterrolebinding", "web-admin", "--clusterrole=web-reader", "--user=admin"
    )
    for namespace, whom in (
        (ONE, "--user=of-two"),
        (TWO, "--user=of-two"),
        (ONE, "--user=of-one"),
        (ONE, "--group=team"),
    ):
        name = f"web-{whom.partition('=')[2]}"
        control_plane.kubectl(
            "create", "rolebinding", name, "-n", namespace, "--clusterrole=web-reader", whom
        )
    return control_plane


def page(plane: ControlPlane, monkeypatch, login_of):
    """Return the page as the chart's account, and a client of it."""
    return served_page(plane, monkeypatch, ACCOUNT, login_of)


@pytest.fixture
def proxy(tmp_path):
    file = tmp_path / "secret"
    file.write_text(SECRET)
    return lambda _: HeaderLogin(Proxy((ip_network("127.0.0.0/8"),), file))


@pytest.mark.parametrize("user", READERS)
async def test_a_reader_sees_only_products_of_readable_namespaces(plane, monkeypatch, proxy, user):
    groups, namespaces = READERS[user]
    headers = {
        "X-Forwarded-User": user, "X-Forwarded-Groups": groups, "X-Sluicegate-Secret": SECRET,
    }  # fmt: skip
    hidden = [
        word for product in set(PRODUCTS) - namespaces for word in (product, PRODUCTS[product])
    ]
    own = [f"/products/{namespace}/{PRODUCTS[namespace]}" for namespace in namespaces]
    paths = (*PATHS, *(f"{one}{more}" for one in own for more in ("", ".json", ".csv")))
    async with page(plane, monkeypatch, proxy) as client:
        told = await (await client.get("/portfolio.json", headers=headers)).json()
        seen = [product["namespace"] for product in told["products"]]
        if user == "admin":  # other tests leave products in namespaces of theirs
            seen = [one for one in seen if one in PRODUCTS]
        else:
            assert told["total"] == len(namespaces)
        assert sorted(seen) == sorted(namespaces)
        for path in paths:
            answer = await client.get(path, headers=headers)
            text = await answer.text()
            known = bool(namespaces) or not path.startswith("/markets/")
            assert answer.status == (200 if known else 404), (path, text)
            assert not [word for word in hidden if word in text], path
        for one in set(PRODUCTS) - namespaces:
            answer = await client.get(f"/products/{one}/{PRODUCTS[one]}", headers=headers)
            assert answer.status == 404
        journey = await (await client.get("/journeys.json", headers=headers)).json()
        steps = [step["namespace"] for one in journey for step in one["steps"]]
        assert sorted(steps) == sorted(namespaces)
        if user == "of-one":
            graph = await (await client.get("/graph", headers=headers)).text()
            assert "a product you can't see" in graph


async def test_the_page_validates_a_token_by_a_token_review(plane, monkeypatch):
    plane.kubectl("create", "serviceaccount", "reader", "-n", ONE)
    plane.kubectl(
        "create",
        "rolebinding",
        "web-account",
        "-n",
        ONE,
        "--clusterrole=web-reader",
        f"--serviceaccount={ONE}:reader",
    )
    plane.kubectl("create", "secret", "generic", "bound", "-n", ONE)
    issue = ("create", "token", "reader", "-n", ONE, "--duration=10m")
    good, other, ended = (
        plane.kubectl(*issue, *more).strip()
        for more in (
            ("--audience=sluicegate-web",),
            (),
            (
                "--audience=sluicegate-web",
                "--bound-object-kind=Secret",
                "--bound-object-name=bound",
            ),
        )
    )
    plane.kubectl("delete", "secret", "bound", "-n", ONE)

    def by_token(transport):
        return TokenLogin(transport, "sluicegate-web", time.monotonic)

    later, expired = expiring_in(plane, good, 300), expiring_in(plane, good, -300)
    judged = {
        "good": (good, 200), "expires later": (later, 200), "expired": (expired, 401),
        "of another audience": (other, 401), "of a secret that is gone": (ended, 401),
        "guessed": ("guessed", 401),
    }  # fmt: skip
    async with page(plane, monkeypatch, by_token) as client:
        for name, (token, status) in judged.items():
            answer = await client.get("/me.json", headers={"Authorization": f"Bearer {token}"})
            assert answer.status == status, name
        told = await (
            await client.get("/me.json", headers={"Authorization": f"Bearer {good}"})
        ).json()
        assert told["products"] == [ONE]
        assert told["user"] == f"system:serviceaccount:{ONE}:reader"


async def test_the_page_shows_changes_of_products(plane, monkeypatch, proxy):
    headers = {"X-Forwarded-User": "admin", "X-Sluicegate-Secret": SECRET}
    async with page(plane, monkeypatch, proxy) as client:

        async def there() -> bool:
            told = await (await client.get("/portfolio.json", headers=headers)).json()
            return "delta" in {product["name"] for product in told["products"]}

        async def gone() -> bool:
            return not await there()

        assert await gone()
        body = document("delta", TWO)
        del body["status"]
        apply(plane, body | {"metadata": {"name": "delta", "namespace": TWO}})
        await until(there)
        plane.kubectl("delete", "dataproduct", "delta", "-n", TWO)
        await until(gone)


def test_the_service_account_of_the_page_may_only_read_products(plane):
    def granted(verb: str, what: str) -> bool:
        resource, _, group = what.partition(".")
        return may(plane, ACCOUNT, verb, group, resource)

    assert granted("watch", "dataproducts.sluicegate.dev")
    assert granted("create", "subjectaccessreviews.authorization.k8s.io")
    for verb, what in (
        ("patch", "dataproducts.sluicegate.dev"), ("patch", "dataproductreviews.sluicegate.dev"),
        ("list", "secrets"), ("list", "pods"), ("impersonate", "users"),
    ):  # fmt: skip
        assert not granted(verb, what)
