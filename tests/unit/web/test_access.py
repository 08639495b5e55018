"""Who reads, and what this reader sees: forged, expired and too many requests see nothing."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest

from sluicegate.web.identity import HeaderLogin, LocalLogin, Proxy, TokenLogin
from tests.support.apiserver.access_reviews import AccessReviews
from tests.support.manual_clock import ManualClock
from tests.support.portfolio.products import degraded, document, waiting_for_approval
from tests.support.portfolio.served import served, store_of

JOURNEY = [{"name": "buy", "step": 1}]
CALLS = {"dependsOn": [{"namespace": "secret", "name": "core"}], "journeys": JOURNEY}
TEXT = "UpstreamDegraded: the upstream secret/core is degraded"
STORE = [
    document("core", "secret", status=degraded(), spec={"displayName": "The Core", "owner": "hidden-team", "journeys": JOURNEY}),
    document("eta", "open", spec=CALLS, status=waiting_for_approval() | {
        "dependencies": [{"namespace": "secret", "name": "core", "state": "Degraded"}],
        "decision": {"type": "Hold", "reason": "UpstreamDegraded", "message": TEXT,
                     "decisionTime": "2026-11-28T09:00:00Z"}}),
]  # fmt: skip
PATHS = (
    "/", "/portfolio.json", "/portfolio.csv", "/markets", "/markets.json", "/markets.csv", "/markets/FR",
    "/markets/FR.json", "/markets/FR.csv", "/journeys", "/journeys.json", "/journeys.csv",
    "/journeys/buy", "/journeys/buy.json", "/journeys/buy.csv", "/graph",
    "/graph.json", "/graph.csv", "/reviews", "/products/open/eta", "/products/open/eta.json",
    "/products/open/eta.csv", "/me", "/me.json",
)  # fmt: skip
OPEN = AccessReviews({"ann": {"open"}, "team": {"open"}, "boss": {""}})


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret"
    file.write_text("between us\n")
    return file


def behind(secret, peers="127.0.0.0/8", **more):
    return HeaderLogin(Proxy((ip_network(peers),), secret, **more))


def sent(user="ann", groups="", secret="between us"):
    return {"X-Forwarded-User": user, "X-Forwarded-Groups": groups, "X-Sluicegate-Secret": secret}


@pytest.mark.parametrize(
    "headers", [sent(), sent("carl", ",".join([f"g{n}" for n in range(300)] + ["team"]))]
)
async def test_no_page_shows_data_of_an_unreadable_namespace(secret, headers):
    async with served(store_of(STORE), behind(secret), OPEN) as page:
        for path in PATHS:
            answer = await page.get(path, headers=headers)
            text = await answer.text()
            assert answer.status == 200
            assert "secret" not in text, path
            assert "core" not in text.lower(), path
            assert "hidden-team" not in text
        text = await (await page.get("/", headers=headers)).text()
        assert "1 product: 1 healthy" in text
        assert "a product you can't see" in await (await page.get("/graph", headers=headers)).text()
        for path in (
            "/products/secret/core",
            "/products/secret/core.json",
            "/products/secret/none",
        ):
            answer = await page.get(path, headers=headers)
            assert (answer.status, "can't see" in await answer.text()) == (404, True)


async def test_a_user_who_may_list_all_products_sees_all(secret):
    async with served(store_of(STORE), behind(secret), OPEN) as page:
        text = await (await page.get("/", headers=sent("boss"))).text()
        assert "2 products" in text
        assert "The Core" in text


@pytest.mark.parametrize(
    ("read", "user", "told"),
    [
        ((), "boss", "all"),
        (("open",), "boss", ["open"]),
        ((), "ann", ["open"]),
        (("secret",), "ann", []),
    ],
)
async def test_me_json_lists_the_readable_namespaces_of_the_user(secret, read, user, told):
    async with served(store_of(STORE, read=read), behind(secret), OPEN) as page:
        found = await (await page.get("/me.json", headers=sent(user))).json()
    assert (found["products"], found["reviews"]) == (told, told)


async def test_a_user_who_may_list_no_product_sees_none(secret):
    async with served(store_of(STORE), behind(secret), OPEN) as page:
        assert "You can see no product." in await (await page.get("/", headers=sent("eve"))).text()


@pytest.mark.parametrize(
    "headers",
    [
        {}, sent(secret=""), sent(secret="guessed"), sent(user=""), sent(user="system:admin"),
        {"X-Forwarded-User": "boss"}, {"X-Forwarded-For": "10.0.0.1", "X-Forwarded-User": "boss"},
        [*sent("ann").items(), ("X-Forwarded-User", "boss")],
    ],
)  # fmt: skip
async def test_identity_headers_without_the_proxy_secret_are_ignored(secret, headers):
    async with served(store_of(STORE), behind(secret), OPEN) as page:
        answers = {path: (await page.get(path, headers=headers)).status for path in PATHS}
    assert answers == dict.fromkeys(PATHS, 401)


async def test_a_peer_outside_the_proxy_addresses_is_refused(secret):
    async with served(store_of(STORE), behind(secret, "10.0.0.0/8"), OPEN) as page:
        assert (await page.get("/", headers=sent() | {"X-Forwarded-For": "10.0.0.1"})).status == 401


async def test_an_empty_proxy_secret_authenticates_no_request(secret):
    secret.write_text("\n")
    async with served(store_of(STORE), behind(secret), OPEN) as page:
        assert (await page.get("/", headers=sent(secret=""))).status == 401


async def test_user_prefixes_are_those_of_the_api_server_and_system_groups_are_dropped(secret):
    login = behind(secret, user_prefix="oidc:", group_prefix="oidc:")
    async with served(store_of(STORE), login, AccessReviews({"oidc:team": {""}})) as page:
        me = await (await page.get("/me.json", headers=sent("ann", "team, system:masters"))).json()
    assert me["user"] == "oidc:ann"
    assert me["groups"] == ["oidc:system:masters", "oidc:team", "system:authenticated"]
    assert me["products"] == "all"
    async with served(store_of(STORE), behind(secret), OPEN) as page:
        me = await (await page.get("/me.json", headers=sent("ann", "system:masters"))).json()
    assert me["groups"] == ["system:authenticated"]


async def test_access_reviews_are_cached_for_one_minute_per_reader(secret):
    clock, server = ManualClock(), AccessReviews({"ann": {"open"}})
    async with served(store_of(STORE), behind(secret), server, clock) as page:
        for _ in range(5):
            for path in PATHS:
                await page.get(path, headers=sent())
        asked = server.counts.total()
        assert asked == 6  # products and reviews: all namespaces, then each of the two
        server.may["ann"] = set()
        clock.now += 61
        assert "You can see no product." in await (await page.get("/", headers=sent())).text()
        assert server.counts.total() == 2 * asked


async def test_without_an_access_review_no_product_is_shown(secret):
    server = AccessReviews({"ann": {""}})
    server.away = True
    async with served(store_of(STORE), behind(secret), server) as page:
        answer = await page.get("/", headers=sent())
        assert answer.status == 503
        assert "The Core" not in await answer.text()


# ---- tokens ------------------------------------------------------------------------------
GOOD = {
    "authenticated": True, "audiences": ["sluicegate-web"],
    "user": {"username": "ann", "groups": ["team"], "uid": "u", "extra": {"scopes": ["a"]}},
}  # fmt: skip


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


async def test_token_reviews_of_valid_and_invalid_tokens_are_cached_for_one_minute():
    tokens = {"good": GOOD, "other": GOOD | {"audiences": ["https://kubernetes.default.svc"]}}
    clock, server = ManualClock(), AccessReviews({"team": {"open"}}, tokens)
    login = TokenLogin(server.transport(), "sluicegate-web", clock)
    async with served(store_of(STORE), login, server, clock) as page:
        for _ in range(3):
            assert (await page.get("/me.json", headers=bearer("good"))).status == 200
            assert (await page.get("/", headers=bearer("expired"))).status == 401
            assert (await page.get("/", headers=bearer("other"))).status == 401
        assert server.counts["TokenReview"] == 3
        assert (await page.get("/", headers=bearer("x" * 20_000))).status == 401
        assert (await page.get("/")).status == 401
        assert server.counts["TokenReview"] == 3
        server.tokens["good"] = {"authenticated": False}
        clock.now += 61
        assert (await page.get("/me.json", headers=bearer("good"))).status == 401


async def test_token_reviews_are_rate_limited_per_sender():
    clock, server = ManualClock(), AccessReviews({"team": {"open"}}, {"good": GOOD})
    login = TokenLogin(server.transport(), "sluicegate-web", clock)
    async with served(store_of(STORE), login, server, clock) as page:
        assert (await page.get("/", headers=bearer("good"))).status == 200
        answers = [(await page.get("/", headers=bearer(f"t{n}"))) for n in range(30)]
        assert {answer.status for answer in answers} == {401, 429}
        assert server.counts["TokenReview"] <= 10
        assert answers[-1].headers["Retry-After"]
        assert (await page.get("/", headers=bearer("good"))).status == 200


# ---- on this machine ---------------------------------------------------------------------
async def test_the_login_token_in_the_url_is_valid_for_one_browser():
    login = LocalLogin("me")
    async with served(store_of(STORE), login, AccessReviews({})) as page:
        login.hosts = frozenset({f"127.0.0.1:{page.port}"})
        assert (await page.get("/")).status == 401
        assert (await page.get("/?token=guessed")).status == 401
        token = login.token
        answer = await page.get(f"/?token={token}")
        assert (answer.status, answer.url.query_string) == (200, "")
        [cookie] = [one for one in page.session.cookie_jar if "visit" not in one.key]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Strict"
        assert "The Core" in await (await page.get("/")).text()
        page.session.cookie_jar.clear()
        assert (await page.get(f"/?token={token}")).status == 401


async def test_a_request_with_a_foreign_host_header_is_refused():
    login = LocalLogin("me")
    async with served(store_of(STORE), login, AccessReviews({})) as page:
        login.hosts = frozenset({f"127.0.0.1:{page.port}"})
        answer = await page.get(
            f"/?token={login.token}", headers={"Host": f"evil.example:{page.port}"}
        )
        assert answer.status == 403
        assert login.token


async def status_of(page, path: str, headers: dict[str, str]) -> int:
    """The status of an answer to headers as they are: the client refuses bytes that are no UTF-8."""
    reader, writer = await asyncio.open_connection(page.host, page.port)
    lines = [f"GET {path} HTTP/1.1", f"Host: {page.host}:{page.port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode(errors="surrogateescape"))
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


BAD = b"ann\xff\xfe".decode(errors="surrogateescape")


@pytest.mark.parametrize("name", ["X-Forwarded-User", "X-Forwarded-Groups", "X-Sluicegate-Secret"])
async def test_an_identity_header_with_invalid_utf_8_is_refused(secret, name):
    async with served(store_of(STORE), behind(secret), OPEN) as page:
        assert await status_of(page, "/", sent(groups="team")) == 200
        assert await status_of(page, "/", sent(groups="team") | {name: BAD}) == 401


async def test_a_token_or_cookie_with_invalid_utf_8_is_refused():
    tokens = TokenLogin(OPEN.transport(), "sluicegate-web", ManualClock())
    async with served(store_of(STORE), tokens, OPEN) as page:
        assert await status_of(page, "/", {"Authorization": f"Bearer {BAD}"}) == 401
    local = LocalLogin("ann")
    async with served(store_of(STORE), local, OPEN) as page:
        host = f"{page.host}:{page.port}"
        local.hosts = frozenset({host})
        assert await status_of(page, "/", {"Cookie": f"{LocalLogin.cookie(host)}={BAD}"}) == 401
        assert await status_of(page, "/?token=%ff%fe", {}) == 401


@pytest.mark.parametrize(
    ("separator", "groups"), [(",", ["x", "team"]), ("", ["x,team"]), ("|", ["x,team"])]
)
async def test_groups_are_split_like_those_of_the_proxy(secret, separator, groups):
    """With commas, the group `x,team` of an identity provider is the group `team`, too."""
    async with served(store_of(STORE), behind(secret, separator=separator), OPEN) as page:
        answer = await (await page.get("/me.json", headers=sent(groups="x,team"))).json()
        assert set(answer["groups"]) == {*groups, "system:authenticated"}
