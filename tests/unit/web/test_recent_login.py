"""What moves traffic needs a recent login where the installation requires one."""

from __future__ import annotations

import base64
import json
from ipaddress import ip_network

import pytest

from sluicegate.web.identity import HeaderLogin, PageReader, Proxy
from sluicegate.web.impersonation import RecentLogin
from sluicegate.web.login_time import login_time_of
from tests.support.portfolio.served import NOW, served, store_of
from tests.unit.web.test_acting import filled, form_of, post, pricing, server
from tests.unit.web.test_signing import sent

__all__ = ["server"]
QUARTER_HOUR = RecentLogin(900, "/oauth2/start?prompt=login")


def token(**claims):
    parts = (
        base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in ({}, claims)
    )
    return b".".join((*parts, b"c2ln")).decode()


@pytest.fixture
def page(tmp_path, server):
    file = tmp_path / "secret"
    file.write_text("between us")
    proxy = Proxy((ip_network("127.0.0.0/8"),), file, login_time="X-Id-Token")
    return served(
        store_of([pricing()]), HeaderLogin(proxy), server, acting=True, recent_login=QUARTER_HOUR
    )


def logged_in(seconds_ago):
    return sent() | {"X-Id-Token": token(auth_time=int(NOW) - seconds_ago)}


async def test_an_old_login_moves_no_traffic_and_keeps_the_reason_with_the_way_to_log_in(
    page, server
):
    async with page as client:
        headers = logged_in(901)
        fields = await form_of(client, "rollback", headers, "?version=v12")
        status, text = await post(
            client, filled(fields), "rollback", headers | {"Sec-Fetch-Site": "same-origin"}
        )
        assert status == 403
        assert "You logged in at 2026-11-28T10:44:59Z" in text
        assert "what moves traffic needs a login of the last 15 minutes" in text
        assert "Austria &lt;b&gt;are right" in text
        address = "/oauth2/start?prompt=login&amp;rd=%2Fproducts%2Fpricing%2Fpricing%2Fact%2Frollback%3Fversion%3Dv12"
        assert f'<a href="{address}">Log in again</a>' in text
    assert server.patches == []


@pytest.mark.parametrize(
    "headers",
    [
        sent(), sent() | {"X-Id-Token": token(sub="acb")}, sent() | {"X-Id-Token": "yesterday"},
        logged_in(-3600), [*logged_in(0).items(), ("X-Id-Token", token(auth_time=NOW))],
    ],
    ids=["no time", "a token without it", "no token", "in an hour", "two times"],
)  # fmt: skip
async def test_a_login_without_a_credible_time_moves_no_traffic(page, server, headers):
    async with page as client:
        answer = await client.get("/products/pricing/pricing/act/promote", headers=headers)
        fields = await form_of(client, headers=headers)
        headers = [*(headers.items() if isinstance(headers, dict) else headers)]
        status, _ = await post(
            client, filled(fields), headers=[*headers, ("Sec-Fetch-Site", "same-origin")]
        )
        assert "Log in again" in await answer.text()
    assert (status, server.patches) == (403, [])


async def test_a_recent_login_moves_traffic_and_any_login_requests_a_training(page, server):
    async with page as client:
        for verb, headers in (("promote", logged_in(899)), ("retrain", sent())):
            fields = await form_of(client, verb, headers)
            status, _ = await post(
                client, filled(fields), verb, headers | {"Sec-Fetch-Site": "same-origin"}
            )
            assert status == 200
    assert len(server.patches) == 2


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1795863600", 1795863600), ("2026-11-28T11:00:00Z", 1795863600),
        ("2026-11-28T12:00:00+01:00", 1795863600), (token(auth_time=1795863600), 1795863600),
        (token(auth_time="now"), None), (token(auth_time=True), None), ("a.b.c", None), ("..", None),
        ("nan", None), ("", None), ("a.W10.c", None),
    ],
)  # fmt: skip
def test_the_time_of_a_login_is_a_number_a_date_or_the_claim_of_a_token(text, time):
    assert login_time_of(text) == time


def test_the_owner_of_a_kubeconfig_needs_no_recent_login():
    assert QUARTER_HOUR.objection(PageReader("ada", own=True, session=b"x"), NOW) == ""
    assert RecentLogin().objection(PageReader("ada", session=b"x"), NOW) == ""
