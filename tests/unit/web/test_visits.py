"""What changed since the reader's last visit of the portfolio."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from sluicegate.api.base import rfc3339
from sluicegate.web.identity import HeaderLogin, Proxy
from sluicegate.web.store import Store
from sluicegate.web.visits import REFRESH_HEADER
from tests.support.apiserver.access_reviews import AccessReviews
from tests.support.portfolio.products import condition, document, version
from tests.support.portfolio.served import NOW, served
from tests.unit.web.test_signing import sent

SINCE = "What changed since your last visit"


class Wall:
    """The clock of the page, and its products, which change between visits."""

    def __init__(self, tmp_path):
        self.now = NOW
        self.store = Store(lambda: self.now)
        self.observe("a", "Healthy", NOW - 7200)
        self.observe("b", "Healthy", NOW - 7200)
        self.store.products.mark_current()
        file = tmp_path / "secret"
        file.write_text("between us")
        login = HeaderLogin(Proxy((ip_network("127.0.0.0/8"),), file))
        server = AccessReviews({"team": {""}})
        self.page = served(self.store, login, server, lambda: self.now)

    def observe(self, name, state, time, promoted=NOW - 7200):
        since = condition("Degraded", "True" if state == "Degraded" else "False", "ObjectiveMissed")
        since["lastTransitionTime"] = rfc3339(int(time))
        stable = version("v9", promotionTime=rfc3339(int(promoted)))
        status = {"state": state, "conditions": [since], "stable": stable}
        self.store.products.observe(document(name, status=status))

    async def changes(self, client, seconds=0.0, **headers):
        """The text of the section after some seconds; empty without it."""
        self.now += seconds
        self.store.products.mark_current()
        text = await (await client.get("/", headers=sent() | headers)).text()
        section = text.partition('<h2 id="changes">')[2]
        return section[: section.index("<h2")] if section else ""


@pytest.fixture
def wall(tmp_path):
    return Wall(tmp_path)


async def test_a_later_visit_lists_the_changes_since_the_previous_visit(wall):
    async with wall.page as client:
        assert await wall.changes(client) == "", "the first visit has none before it"
        wall.observe("b", "Degraded", NOW + 600)
        assert await wall.changes(client, 900) == "", "it is the same visit"
        wall.observe("a", "Healthy", NOW - 7200, promoted=NOW + 3600)
        later = await wall.changes(client, 7200)
        assert SINCE in later
        assert "2026-11-28 11:15" in later
        assert "V9 became stable" in later
        assert later.count("<li>") == 1, "the other one changed during the visit before"
        assert later == await wall.changes(client, 60), "a reload is the same visit"
        assert "No product has another state" in await wall.changes(client, 7200)


async def test_a_page_that_loads_itself_again_continues_no_visit(wall):
    async with wall.page as client:
        await wall.changes(client)
        for _ in range(4):
            await wall.changes(client, 1200, **{REFRESH_HEADER: "1"})
        wall.observe("b", "Degraded", NOW + 600)
        later = await wall.changes(client)
        assert "Degraded" in later
        assert later.count("<li>") == 1


@pytest.mark.parametrize("value", ["", "x", "a.b.c", "{owner}.9999999999.9999999999", "{owner}..²"])
async def test_an_invalid_cookie_counts_as_a_first_visit(wall, value):
    async with wall.page as client:
        answer = await client.get("/", headers=sent())
        ((name, cookie),) = answer.cookies.items()
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        owner = cookie.value.partition(".")[0]
        client.session.cookie_jar.update_cookies({name: value.format(owner=owner)}, answer.url)
        assert await wall.changes(client, 7200) == ""


async def test_another_user_of_the_browser_has_no_earlier_visit(wall):
    async with wall.page as client:
        await wall.changes(client)
        other = {"X-Forwarded-User": "kim", "X-Forwarded-Groups": "team"}
        assert await wall.changes(client, 7200, **other) == ""


async def test_an_anonymous_reader_gets_no_cookie_of_a_visit():
    store = Store(lambda: NOW)
    store.products.observe(document("a"))
    store.products.mark_current()
    async with served(store) as client:
        answer = await client.get("/")
    assert (answer.status, len(answer.cookies)) == (200, 0)
