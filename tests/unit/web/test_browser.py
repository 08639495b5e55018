"""The page in a real browser: everybody can read it, with and without JavaScript, and nothing is from elsewhere."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from playwright.async_api import async_playwright

from sluicegate.web.identity import LocalLogin
from tests.support.apiserver.access_reviews import AccessReviews
from tests.support.decisions.reviewed import document_of, sealed_month
from tests.support.portfolio.poisoned import poisoned, signed
from tests.support.portfolio.products import degraded, document, waiting_for_approval
from tests.support.portfolio.served import served, store_of
from tests.support.processes.browser import axe, browser

pytestmark = [pytest.mark.heavy, pytest.mark.slow, pytest.mark.timeout(300)]
PATHS = (
    "/", "/markets", "/markets/AT", "/journeys", "/journeys/buy", "/graph", "/reviews", "/me", "/products/base/core", "/products/logistics/eta",
    "/products/pricing/pricing", "/reviews/pricing/pricing-2026-11",
    *(f"/products/logistics/eta/act/{verb}" for verb in ("promote", "abort", "suspend")),
)  # fmt: skip
POISON = "</title><script>x()</script>\"'><img src=x onerror=x()><svg onload=x()>"
FLAGS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
REVIEWS = "/apis/sluicegate.dev/v1alpha1/namespaces/pricing/dataproductreviews"
SIDEWAYS = """
[...document.querySelectorAll(".wide")]
  .filter(one => one.scrollWidth > one.clientWidth).map(one => one.ariaLabel)
"""
REPORTS = """
window.reports = [];
window.ran = 0;
window.x = () => { ran += 1; };
document.addEventListener("securitypolicyviolation", one => reports.push(one.violatedDirective));
"""


def products(more):
    calls = {"dependsOn": [{"namespace": "base", "name": "core"}],
             "journeys": [{"name": "buy", "step": 1}]}  # fmt: skip
    called = {
        "journeys": [{"name": "buy", "step": 2}],
        "slos": [{"name": "availability", "indicator": {"availability": {}}, "objective": "0.999"}],
    }
    reviewed = document(status=degraded())
    reviewed["metadata"]["uid"] = "u-1"
    return [
        reviewed,
        document("core", "base", status=degraded(), spec=called),
        document("eta", "logistics", spec=calls, status=waiting_for_approval()),
        *(document(f"ranker-{number}", "catalog") for number in range(more)),
    ]


@asynccontextmanager
async def browsing(more=2, poison="", store=None, **options):
    """A tab of the browser on the page, which asks nothing of others and sees each request answered.

    `store` has other objects than those of `products`. `poison` is the text that all products and a review have wherever they have one.
    """
    path = browser()
    reviews = [document_of(sealed_month(number, wrong=0.1)) for number in (10, 11)]
    shown = products(more)
    if poison:
        shown, reviews = [poisoned(poison), document("other")], [signed(poison)]
    server, login = AccessReviews({}), LocalLogin("acb")
    server.reviews = {f"{REVIEWS}/{review['metadata']['name']}": review for review in reviews}
    store = store or store_of(shown, reviews)
    async with (
        served(store, login, server, signing=True, acting=True) as page,
        async_playwright() as driver,
    ):
        login.hosts = frozenset({f"127.0.0.1:{page.port}"})
        chromium = await driver.chromium.launch(executable_path=path, args=FLAGS)
        context = await chromium.new_context(base_url=str(page.make_url("/")), **options)
        await context.add_init_script(REPORTS)
        tab = await context.new_page()
        asked: list[str] = []
        failed: list[str] = []
        tab.on("request", lambda one: asked.append(one.url))
        tab.on(
            "requestfailed",
            # A request is aborted when its page is left: a stream, or an icon that isn't there yet.
            lambda one: None if one.failure == "net::ERR_ABORTED" else failed.append(one.url),
        )
        await context.request.get(f"/?token={login.token}")
        yield tab
        await chromium.close()
        assert asked
        assert [one for one in asked if not one.startswith(str(page.make_url("/")))] == []
        assert failed == []


async def test_the_product_page_updates_a_changed_weight_without_a_reload():
    def rolling(weight, version):
        body = document("eta", "logistics", status=waiting_for_approval())
        body["status"]["candidate"] |= {"phase": "Stepping", "weight": weight}
        body["metadata"]["resourceVersion"] = version
        return body

    store = store_of(products(2))
    async with browsing(store=store) as tab:
        store.products.observe(rolling(5, "1"))
        await tab.goto("/products/logistics/eta")
        await tab.get_by_text("5 % of the traffic", exact=False).first.wait_for()
        await tab.wait_for_function("shown === '1'")
        store.products.observe(rolling(25, "2"))
        await tab.get_by_text("25 % of the traffic", exact=False).first.wait_for(timeout=30_000)
        assert await tab.evaluate("reports") == []


async def test_a_page_that_becomes_visible_again_has_the_ages_of_then():
    async with browsing() as tab:
        await tab.goto("/products/pricing/pricing")
        await tab.evaluate("document.querySelector('main time').textContent = 'long ago'")
        await tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        # sooner than the timer of a minute
        await tab.wait_for_function(
            "!document.querySelector('main').textContent.includes('long ago')", timeout=20_000
        )


async def test_reason_markets_and_changes_are_readable_on_a_phone():
    async with browsing(viewport={"width": 390, "height": 900}) as tab:
        await tab.goto("/products/pricing/pricing")
        levels = tab.get_by_role("group", name="Service levels")
        shown = await levels.inner_text()
        assert "Explanation" in shown
        assert "accuracy is at" in shown or "84.2 %" in shown
        await tab.goto("/")
        shown = await tab.get_by_role("group", name="Products").inner_text()
        assert "Since acceptance" in shown
        assert "Least error budget" in shown


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
async def test_each_page_is_accessible_and_no_wider_than_the_window(width, scheme):
    async with browsing(viewport={"width": width, "height": 900}, color_scheme=scheme) as tab:
        for path in PATHS:
            answer = await tab.goto(path)
            assert answer.status == 200
            await tab.evaluate(axe())
            found = await tab.evaluate("axe.run()")
            told = [
                (violation["id"], [node["html"] for node in violation["nodes"]])
                for violation in found["violations"]
            ]
            assert told == [], path
            assert "color-contrast" in [one["id"] for one in found["passes"]], (
                "axe has looked at it"
            )
            wide = await tab.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, path
            assert await tab.evaluate("reports") == [], path
            if path.startswith(("/products/", "/reviews/")):
                assert await tab.evaluate(SIDEWAYS) == [], f"{path}: to be read by scrolling"


@pytest.mark.parametrize("width", [1440, 390])
async def test_the_refusal_of_an_action_is_accessible_and_keeps_the_entered_text(width):
    """A form without a reason is refused by the server, as this browser doesn't check it."""
    async with browsing(viewport={"width": width, "height": 900}) as tab:
        await tab.goto("/products/logistics/eta/act/promote")
        await tab.evaluate("document.querySelector('main form').noValidate = true")
        async with tab.expect_navigation():
            await tab.locator("main form button[type=submit]").click()
        await tab.evaluate(axe())
        found = await tab.evaluate("axe.run()")
        assert [violation["id"] for violation in found["violations"]] == []
        assert await tab.get_by_role("alert").count() == 1
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width


async def test_no_product_text_is_executed_in_a_browser():
    async with browsing(poison=POISON) as tab:
        for path in (
            "/", "/markets", "/markets/FR", "/journeys", "/journeys/buy", "/graph", "/reviews",
            "/products/pricing/bad", "/reviews/pricing/pricing-2026-11",
        ):  # fmt: skip
            answer = await tab.goto(path)
            assert answer.status == 200, path
            assert "x()" in await answer.text() or path in {"/journeys", "/graph"}, path
            assert await tab.evaluate("[ran, reports]") == [0, []], path


async def test_filters_parts_links_and_signing_work_without_javascript():
    """A click alone ends when the next page has begun to come, not when all of it is there."""
    async with browsing(250, java_script_enabled=False) as tab:
        await tab.goto("/")
        assert await tab.locator("#products + form + div tbody tr").count() == 200
        async with tab.expect_navigation():
            await tab.get_by_role("link", name="Next").click()
        assert await tab.locator("#products + form + div tbody tr").count() == 53
        await tab.goto("/")
        await tab.locator("select[name=state]").select_option("Degraded")
        await tab.get_by_label("Find").fill("core")
        async with tab.expect_navigation():
            await tab.get_by_role("button", name="Filter").click()
        assert await tab.locator("#products + form + div tbody tr").count() == 1
        async with tab.expect_navigation():
            await tab.get_by_role("row").get_by_role("link", name="core").click()
        assert await tab.get_by_role("heading", name="core").is_visible()
        await tab.goto("/reviews/pricing/pricing-2026-11")
        await tab.get_by_label("Verdict").select_option("Object")
        await tab.get_by_label("Note").fill("the label job was late")
        async with tab.expect_navigation():
            await tab.get_by_role("button", name="Sign as acb").click()
        assert tab.url.endswith("/reviews/pricing/pricing-2026-11")
        assert await tab.get_by_text("You signed as DataProductManager: Object.").is_visible()


async def test_a_filter_applies_at_once_and_a_command_can_be_copied():
    async with browsing(permissions=["clipboard-read", "clipboard-write"]) as tab:
        await tab.goto("/")
        async with tab.expect_navigation():
            await tab.get_by_label("Team").select_option("pricing")
        assert "team=pricing" in tab.url
        await tab.goto("/products/logistics/eta")
        await tab.get_by_role("button", name="Copy").first.click()
        await tab.get_by_role("button", name="Copied").wait_for()
        copied = await tab.evaluate("navigator.clipboard.readText()")
        assert copied.startswith("kubectl sluicegate")
        assert await tab.evaluate("reports") == []
