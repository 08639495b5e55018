"""The pages: what they show, in each form, and that no text of a product acts on them."""

from __future__ import annotations

import csv
import io
import re
from copy import deepcopy
from html.parser import HTMLParser

import pytest

from sluicegate.views.product import versions
from sluicegate.web.identity import AnonymousLogin
from tests.support.apiserver.access_reviews import AccessReviews
from tests.support.decisions.reviewed import document_of, sealed_month
from tests.support.portfolio.poisoned import INDICATORS, poisoned, signed
from tests.support.portfolio.products import (
    WHEN,
    degraded,
    document,
    version,
    waiting_for_approval,
)
from tests.support.portfolio.served import served, store_of

JOURNEY = "buy-a-car"
CORE_LINK = '<a href="/products/base/core">core</a>'
CORE = document("core", "base", status=degraded(),
                spec={"journeys": [{"name": JOURNEY, "step": 2}], "slos": INDICATORS})  # fmt: skip
CALLS = {
    "dependsOn": [{"namespace": "base", "name": "core"}], "journeys": [{"name": JOURNEY, "step": 1}],
}  # fmt: skip
WAITS = document("eta", "logistics", spec=CALLS, status=waiting_for_approval())
PRICING = document(status=degraded(), spec={"review": {"startDate": "2026-01-01"}})
PRICING["metadata"]["uid"] = "u-1"
REVIEWS = [document_of(sealed_month(10, wrong=0.08)), document_of(sealed_month(11, wrong=0.12))]
PATHS = (
    "/", "/?state=Degraded&sort=budget&desc=1&q=a", "/markets", "/markets/AT", "/journeys",
    "/journeys/buy-a-car", "/graph", "/reviews", "/me",
    "/graph?of=base/core", "/products/base/core", "/products/logistics/eta",
    "/products/pricing/pricing", "/reviews/pricing/pricing-2026-11",
)  # fmt: skip


@pytest.fixture
async def page():
    async with served(store_of([CORE, WAITS, PRICING], REVIEWS)) as client:
        yield client


async def text_of(page, path):
    answer = await page.get(path)
    text = await answer.text()
    assert answer.status == 200, text
    return text


async def test_each_page_begins_with_the_outage_of_the_api_server_until_the_next_answer():
    store = store_of([CORE, WAITS, PRICING], REVIEWS)
    async with served(store) as page:
        for path in PATHS:
            assert "can't be reached" not in await text_of(page, path)
        store.products.mark_unreachable()
        for path in PATHS:
            text = await text_of(page, path)
            assert "The API server can't be reached since 2026-11-28 11:00 UTC" in text
        store.products.mark_current()
        assert "can't be reached" not in await text_of(page, "/")


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_has_a_strict_content_security_policy(page, path):
    answer = await page.get(path)
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    text = await answer.text()
    assert not re.search(r'\sstyle=|<style|\son[a-z]+=|<script(?! src="/static/)', text)
    assert not re.search(r'(?:src|href)="(?!/|#|https://)', text)


async def test_the_first_page_has_a_summary_the_queue_and_the_table(page):
    text = await text_of(page, "/")
    assert "3 products: 1 healthy, 2 degraded." in text
    assert text.index("Waits for approval") < text.index("Degraded without a remedy")
    assert "worse by 3.9 points" in text
    assert "v15@50" in text
    assert (
        '<time datetime="2026-11-28T09:00:00Z" title="2026-11-28 09:00:00 UTC">2 h</time>' in text
    )


async def test_the_queue_starts_with_needs_of_the_reader():
    own = document("eta", "logistics", status=waiting_for_approval(),
                   spec={"team": {"members": [{"username": "everybody", "role": "DataProductManager"}]}})  # fmt: skip
    async with served(store_of([CORE, own], [])) as page:
        text = await text_of(page, "/")
    queue = text[text.index('<h2 id="mine">Needs you</h2>') :]
    mine, others = queue.split('<h2 id="queue">Needs others</h2>')
    assert "logistics/eta" in mine
    assert "base/core" not in mine
    assert "base/core" in others


async def test_the_product_page_shows_all_parts_of_its_status(page):
    text = await text_of(page, "/products/logistics/eta")
    assert "3.4 of 3.0: reached" in text
    assert "-2.1 of 4.1<" in text
    assert 'href="/products/base/core"' in text
    assert "kubectl sluicegate promote logistics/eta v15" in text
    core = await text_of(page, "/products/base/core")
    assert 'href="/products/logistics/eta"' in core
    assert core.index("1. Upstream degraded") < core.index("2. Recent release")
    assert "84.2 % (n=1,200)" in core


async def test_the_product_page_shows_upstreams_as_on_their_own_pages(page):
    """Its status is of its last evaluation, and hasn't heard of the degraded one yet."""
    assert not WAITS["status"].get("dependencies")
    text = await text_of(page, "/products/logistics/eta")
    found = re.search(r"<h3>Calls</h3>.*?</ul>", text, re.DOTALL)
    assert "Degraded" in found[0]
    assert f"In the blast radius</strong> of {CORE_LINK}" in text
    assert f"<li>{CORE_LINK}" in await text_of(page, "/graph")
    told = await (await page.get("/products/logistics/eta.json")).json()
    (called,) = told["product"]["dependsOn"]
    assert called == {"namespace": "base", "name": "core", "state": "Degraded"}
    assert "In the blast radius" not in await text_of(page, "/products/base/core")


async def test_the_market_page_lists_products_with_their_numbers_in_it(page):
    text = await text_of(page, "/markets/AT")
    assert "3 products: 2 miss a service level here, 0 meet all, 1 has no verdict." in text
    assert "2 of them miss one in this market alone." in text
    assert text.index("pricing/pricing") < text.index("logistics/eta")
    assert "71.0 %<small>n=310</small>" in text


async def test_the_journey_page_has_its_steps_in_order_and_the_weakest_step(page):
    text = await text_of(page, "/journeys/buy-a-car")
    assert (
        "Calculated from the shares of its steps: 99.990 % of the journeys get an answer at the"
        " only step that is measured" in text
    )
    assert "No journey is followed from step to step" in text
    assert "(calculated)" in await text_of(page, "/journeys")
    assert "The weakest link is core" in text
    assert text.index("logistics/eta") < text.index("base/core")
    assert f"affected by {CORE_LINK}" in text
    assert "All answers together" not in text, "core has no ledger"
    assert 'href="/journeys/buy-a-car"' in await text_of(page, "/products/base/core")


async def test_a_journey_whose_steps_have_ledgers_has_its_response_times():
    place = {"journeys": [{"name": "buy", "step": 1}], "review": {"startDate": "2026-01-01"}}
    product = document(spec=place)
    product["metadata"]["uid"] = "u-1"
    async with served(store_of([product], REVIEWS)) as page:
        text = await text_of(page, "/journeys/buy")
        told = await (await page.get("/journeys/buy.json")).json()
    assert re.search(r"All answers together take \d+ ms in half of the journeys", text)
    assert 0 < told["responseSeconds"]["p50"] < told["responseSeconds"]["p95"]


@pytest.mark.parametrize(
    ("kind", "reason", "state", "over"),
    [
        ("Alert", "CommonCause", "Healthy", True),
        ("Alert", "CommonCause", "Degraded", False),
        ("Retrain", "ModelDecay", "Healthy", True),
        ("Retrain", "Requested", "Healthy", False),
        ("Alert", "AwaitingApproval", "Healthy", False),
    ],
)
async def test_a_decision_about_a_degradation_is_over_on_the_page_once_the_product_is_healthy(
    kind, reason, state, over
):
    decision = {
        "type": kind, "reason": reason, "message": "3 of 4 products turned bad",
        "decisionTime": "2026-11-28T09:00:00Z",
    }  # fmt: skip
    shown = document("eta", "logistics", status={"state": state, "decision": decision})
    async with served(store_of([shown], [])) as page:
        text = await text_of(page, "/products/logistics/eta")
    assert "3 of 4 products turned bad" in text
    assert ("That is over: the product was healthy at the last refresh" in text) == over


async def test_the_page_of_a_product_draws_each_slo_over_all_kept_ledgers_with_its_table(page):
    text = await text_of(page, "/products/pricing/pricing")
    assert text.count('<svg class="chart"') == 4 + 4  # SLOs and response times, accuracy by market
    assert text.count("<summary>Numbers</summary>") == 4 + 4
    assert "over 2026-10-01 to 2026-11-30" in text
    assert "30 days, " in text
    told = await (await page.get("/products/pricing/pricing.json")).json()
    lines = {one["name"]: one for one in told["evolution"]}
    days = [day for month in REVIEWS for day in month["status"]["days"]]
    counts = [
        (day["date"], slo["bad"], slo["total"])
        for day in sorted(days, key=lambda day: day["date"])
        for slo in day["slos"] if slo["name"] == "accuracy"
    ]  # fmt: skip
    drawn = [
        (
            point["firstDay"],
            round(point["events"] * (1 - point["values"]["accuracy"] / 100)),
            point["events"],
        )
        for point in lines["accuracy"]["points"]
    ]
    assert drawn == counts, "to the event"


async def test_the_product_page_shows_each_market_with_interval_budget_and_chart():
    told = degraded()
    told["lastRefreshTime"] = WHEN
    told["slos"][1]["markets"] = [
        {"market": "AT", "state": "Missed", "ratio": "0.71", "interval": ["0.657", "0.758"],
         "total": 310, "limit": "0.88", "budgetRemaining": "-1.42",
         "missedStartTime": "2026-11-27T08:00:00Z"},
        {"market": "FR", "state": "Met", "ratio": "0.9", "total": 890, "limit": "0.88"},
    ]  # fmt: skip
    told["engine"] = {"slos": {"accuracy": {"missedMarkets": {"AT": "2026-11-27T08:00:00Z"}}}}
    shown = document(status=told, spec={"review": {"startDate": "2026-01-01"}})
    shown["metadata"]["uid"] = "u-1"
    async with served(store_of([shown], REVIEWS)) as page:
        text = await text_of(page, "/products/pricing/pricing")
        table = (await (await page.get("/products/pricing/pricing.json")).json())["byMarket"][0]
    row = re.search(r">AT</a></th>.*?</tr>", text, re.DOTALL)[0]
    assert "71.0 % [65.7 % to 75.8 %]<small>n=310</small>" in row
    assert text.count("s refreshed at 2026-11-28 09:00 UTC") == 2, "the numbers of both tables"
    assert "overspent by 142 %" in row
    assert "2026-11-27 08:00 UTC" in row
    assert "<details open><summary>accuracy over time</summary>" in text

    rows = {market["market"]: market for market in table["markets"]}
    assert next(iter(rows)) == "AT"
    days = [day for month in REVIEWS for day in month["status"]["days"]]
    counts = [day["slos"][2]["markets"] for day in days]
    bad, total = counts[-1]["IT"]
    italy = rows["IT"]  # status doesn't name it, so its numbers are those of the newest day
    assert (italy["day"], italy["events"]) == ("2026-11-30", total)
    assert italy["ratio"] == pytest.approx(1 - bad / total)
    recent = [count["IT"] for count in counts[-14:]]
    spent = sum(bad for bad, _ in recent) / (0.12 * sum(total for _, total in recent))
    assert italy["budgetLeft"] == pytest.approx(1 - spent)
    line = next(one for one in table["evolution"] if one["name"] == "accuracy in AT")
    drawn = [
        [round(point["events"] * (1 - point["values"]["AT"] / 100)), point["events"]]
        for point in line["points"]
    ]
    assert drawn == [count["AT"] for count in counts], "to the event"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"review": {"startDate": "2026-01-01"}}, "not known yet: numbers of this market begin"),
        ({}, "not known: without spec.review no days of this market are kept"),
    ],
    ids=["no day is read yet", "no review"],
)
async def test_a_met_market_without_a_number_has_the_reason_on_the_page(spec, reason):
    told = degraded()
    told["slos"][1]["markets"] = [
        {"market": market, "state": "Met", "ratio": "0.9", "total": 890, "limit": "0.88"}
        for market in ("AT", "BE", "ES")
    ]
    shown = document(status=told, spec=spec | {"markets": ["AT", "BE", "ES", "FR"]})
    async with served(store_of([shown])) as page:
        text = await text_of(page, "/products/pricing/pricing")
        (table,) = (await (await page.get("/products/pricing/pricing.json")).json())["byMarket"]
    assert {market["market"]: market["state"] for market in table["markets"]} == {
        "AT": "Met", "BE": "Met", "ES": "Met", "FR": "Met",
    }, "status lists the met ones last, so another is met, as /markets has it"  # fmt: skip
    assert text.count(reason) == 1
    assert "no events" not in text


async def test_the_product_page_lists_callers_and_conceals_unreadable_products():
    months = deepcopy(REVIEWS)
    for month in months:
        for day in month["status"]["days"]:
            day["callers"] = {"secret/plans": [1, 10], "logistics/eta": [0, 40], "other": [0, 50]}
    shown = document(spec={"review": {"startDate": "2026-01-01"}})
    shown["metadata"]["uid"] = "u-1"
    hidden = document("plans", "secret")
    server = AccessReviews({"acb": {"pricing", "logistics"}})
    store = store_of([shown, hidden, document("eta", "logistics")], months)
    async with served(store, AnonymousLogin("acb", ()), server) as page:
        texts = [
            await text_of(page, path)
            for path in ("/products/pricing/pricing", "/reviews/pricing/pricing-2026-11")
        ]
    for text in texts:
        assert "which is not authenticated" in text
        assert "logistics/eta" in text
        assert "secret/plans" not in text
    assert "In the ledgers of 2026-11-01 to 2026-11-30." in texts[0]
    assert '<td data-label="Requests">1,200</td><td data-label="Share">40.0 %</td>' in texts[0]
    assert '10.0 % <span class="nowrap">[' in texts[0]


async def test_the_page_of_a_product_begins_with_needs_and_links_to_actions_and_parts(page):
    text = await text_of(page, "/products/logistics/eta")
    head = text[: text.index('<h2 id="levels">')]
    assert "Waits for approval" in head
    assert "Nothing waits for a person" not in head
    for anchor in ("act", "rollout", "versions", "conditions"):
        assert f'href="#{anchor}"' in head
        assert f'id="{anchor}"' in text
    assert 'href="#diagnosis"' not in head
    healthy = document()
    async with served(store_of([healthy])) as client:
        assert "Nothing waits for a person." in await text_of(client, "/products/pricing/pricing")


async def test_the_page_of_a_product_without_a_stable_version_has_the_reason_of_its_first_one():
    waits = "no version is stable yet. the pod can't be scheduled"
    ready = {
        "type": "Ready",
        "status": "False",
        "reason": "Progressing",
        "message": waits,
        "lastTransitionTime": "2026-11-28T12:00:00Z",
    }
    starting = document(
        spec={
            "slos": [
                {"name": "availability", "indicator": {"availability": {}}, "objective": "0.9"}
            ]
        }
    )
    starting["status"] = {"conditions": [ready], "observedGeneration": 1}
    async with served(store_of([starting])) as client:
        text = await text_of(client, "/products/pricing/pricing")
    assert waits.replace("'", "&#39;") in text[: text.index('<h2 id="levels">')]
    assert "Nothing waits for a person." not in text
    assert "No service level is judged before a version is stable." in text


async def test_rollout_and_diagnosis_come_before_the_tables_by_market(page):
    status = degraded() | {"candidate": waiting_for_approval()["candidate"]}
    indicators = [{"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.88"}]
    async with served(store_of([document(status=status, spec={"slos": indicators})])) as client:
        text = await text_of(client, "/products/pricing/pricing")
    places = [
        text.index(f'<h2 id="{anchor}">')
        for anchor in ("levels", "rollout", "diagnosis", "by-market")
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"ratio": "0.796", "interval": ["0.687", "0.874"]}, "below what is required, not shown to last"),
        ({"budgetRemaining": "-0.6"}, "budget overspent, no miss shown now"),
        ({"budgetRemaining": "0.2"}, "no miss shown"),
    ],
)  # fmt: skip
async def test_a_market_without_a_verdict_is_called_the_same_on_each_page(numbers, text):
    italy = {"market": "IT", "state": "Unknown", "ratio": "0.9", "interval": ["0.8", "0.95"],
             "total": 49, "limit": "0.88"} | numbers  # fmt: skip
    slos = [{"name": "accuracy", "state": "Met", "reason": "WithinObjective", "markets": [italy]}]
    async with served(store_of([document(status={"slos": slos})])) as client:
        for path in ("/products/pricing/pricing", "/markets", "/markets/IT"):
            assert f"</span> {text}</span>" in await text_of(client, path)


async def test_a_market_without_a_verdict_has_its_share_and_shows_no_miss():
    indicators = [{"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.88"}]
    of_market = {
        "state": "Unknown",
        "ratio": "0.94",
        "interval": ["0.83", "0.98"],
        "total": 50,
        "limit": "0.88",
    }
    slos = [{"name": "accuracy", "state": "Met", "reason": "WithinObjective",
             "markets": [{"market": "AT"} | of_market]}]  # fmt: skip
    product = document(spec={"slos": indicators}, status={"slos": slos})
    async with served(store_of([product])) as client:
        text = await text_of(client, "/markets")
        of_austria = await text_of(client, "/markets/AT")
    assert "no miss shown</span><small>accuracy 94.0 %, n=50</small>" in text
    assert "Unknown" not in text[text.index("<tbody>") :]
    assert "no miss shown" in of_austria


async def test_a_version_that_was_rolled_back_for_a_consumer_has_its_name_and_numbers():
    message = "v15 is worse in search-ranking / accuracy: 74.4 % (n=900) against 94.2 % (n=900)"
    verdict = {"type": "Rollback", "reason": "CanaryWorse", "message": message}
    past = version("v15", outcome="RolledBack", reason="CanaryWorse", endTime=WHEN, verdict=verdict)
    product = document(status={"history": [past]})
    (row,) = [row for row in versions(product) if row["outcome"] == "RolledBack"]
    assert row["brought"] == message
    async with served(store_of([product])) as client:
        assert message in await text_of(client, "/products/pricing/pricing")


async def test_the_table_of_products_names_the_markets_that_miss_an_slo():
    indicators = [{"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.88"}]
    missed = {
        "state": "Missed",
        "ratio": "0.7",
        "interval": ["0.6", "0.8"],
        "total": 90,
        "limit": "0.88",
    }
    slos = [{"name": "accuracy", "state": "Unknown", "reason": "LabelsSettling",
             "markets": [{"market": "AT"} | missed]}]  # fmt: skip
    product = document(spec={"slos": indicators}, status={"slos": slos})
    async with served(store_of([product])) as client:
        text = await text_of(client, "/")
    assert '<small class="Missed">missed in AT</small>' in text


async def test_the_page_of_a_product_without_markets_has_no_market_section(page):
    assert "By market" not in await text_of(page, "/products/logistics/eta")


async def test_the_product_page_shows_response_times_beside_the_previous_week(page):
    text = await text_of(page, "/products/pricing/pricing")
    assert re.search(r"50 % of the responses within 6\d ms \(before: 6\d ms\)", text)
    told = await (await page.get("/products/pricing/pricing.json")).json()
    assert [response_time["quantile"] for response_time in told["responseTimes"]] == [
        0.5,
        0.95,
        0.99,
    ]
    assert "Response times" not in await text_of(page, "/products/base/core")


async def test_reviews_are_filtered_by_product_period_and_state(page):
    for query, names in (
        ("", ["pricing-2026-11", "pricing-2026-10"]),
        ("period=2026-10-01", ["pricing-2026-10"]),
        ("q=PRIC&state=ToReview&period=2026-11-01", ["pricing-2026-11"]),
        ("q=search", []),
    ):
        text = await text_of(page, f"/reviews?{query}")
        assert re.findall(r"<small>pricing/(pricing-[-0-9]+)</small>", text) == names
        told = await (await page.get(f"/reviews.json?{query}")).json()
        assert [one["name"] for one in told] == names
    assert '<option value="2026-10-01" selected>' in await text_of(
        page, "/reviews?period=2026-10-01"
    )


async def test_the_product_page_shows_reserved_resource_hours_and_the_table_sorts_by_them(page):
    text = await text_of(page, "/products/pricing/pricing")
    assert (
        "in 30 days of the ledgers: 1,440 pod hours: 720 core hours, 1,440 GiB hours of memory."
        in text
    )
    trained = "3 hours in 1 training: 12 core hours, 24 GiB hours of memory."
    assert f"Reserved by trainings in these days: {trained}" in text
    told = await (await page.get("/portfolio.json?sort=hours")).json()
    first, *others = told["products"]
    assert first["name"] == "pricing"
    assert first["resourceHours"] == {
        "days": 7,
        "pods": 336,
        "reserved": {"cpu": 168, "memory": 336},
        "trainings": {"number": 0, "hours": 0, "reserved": {}},
    }
    assert [one["resourceHours"] for one in others] == [None, None]
    rows = list(csv.DictReader(io.StringIO(await text_of(page, "/portfolio.csv?sort=hours"))))
    assert [row["cpuHours"] for row in rows] == ["168.0", "", ""]
    assert [row["trainingHours"] for row in rows] == ["0", "", ""]
    assert '<td class="later number">24</td>' in await text_of(page, "/?sort=hours")


async def test_the_review_page_shows_the_report_and_how_to_sign(page):
    text = await text_of(page, "/reviews/pricing/pricing-2026-11")
    assert "Response times, failures, and performance of the model" in text
    assert "sluicegate review sign pricing/pricing-2026-11" in text
    [told] = await (await page.get("/reviews/pricing/pricing-2026-11.json")).json()
    assert told["digestHolds"] is True


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("/portfolio", 3), ("/portfolio.csv?state=Degraded", 2), ("/markets", 3), ("/markets/AT", 3),
        ("/journeys", 2), ("/journeys/buy-a-car", 2), ("/graph", 1),
        ("/reviews", 2), ("/products/base/core", 2), ("/reviews/pricing/pricing-2026-11", 3),
    ],
)  # fmt: skip
async def test_each_page_is_available_as_csv_and_json(page, path, rows):
    plain, _, query = path.removesuffix(".csv").partition(".csv?")
    text = await text_of(page, f"{plain}.csv?{query}")
    assert len(list(csv.reader(io.StringIO(text)))) == rows + 1
    answer = await page.get(f"{plain}.json?{query}")
    assert answer.content_type == "application/json"
    assert await answer.json()


async def test_an_unchanged_page_returns_304(page):
    first = await page.get("/", headers={"Accept-Encoding": "gzip"})
    assert first.headers["Content-Encoding"] == "gzip"
    again = await page.get("/", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status == 304
    assert "Content-Security-Policy" in again.headers


@pytest.mark.parametrize(
    "path",
    [
        "/products/base/none",
        "/reviews/a/b",
        "/markets/XX",
        "/journeys/none",
        "/none",
        "/products/a/b/c",
    ],
)
async def test_a_missing_page_is_a_404_with_the_same_content_security_policy(page, path):
    answer = await page.get(path)
    assert answer.status == 404
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/products/base/none", "/none/at/all"])
async def test_a_browser_gets_an_html_page_with_a_link_home_for_a_missing_path(page, path):
    answer = await page.get(path, headers=BROWSER)
    text = await answer.text()
    assert (answer.status, answer.content_type) == (404, "text/html")
    assert "There is no such page, or you can&#39;t see it." in text
    assert '<a href="/markets">' in text


async def test_the_page_sends_only_reads_to_the_api_server(page):
    for path in ("/", "/products/base/core"):
        assert (await page.post(path)).status == 405


async def test_an_unreadable_object_is_shown_with_the_reason():
    broken = document("broken")
    del broken["spec"]["owner"]
    async with served(store_of([broken])) as page:
        assert "Stalled" in await text_of(page, "/")
        assert "owner" in await text_of(page, "/products/pricing/broken")
        assert (await page.get("/products/pricing/broken.json")).status == 200


# ---- texts that would act ----------------------------------------------------------------
CORPUS = (
    "<script>x()</script>", '"><img src=x onerror=x()>', "'><svg onload=x()>", "{{ 7*7 }}{% x %}",
    "</title><script>x()</script>", "javascript:x()", "</td></table><b>x", "&lt;script&gt;",
    "=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1+cmd", "\t=1",
)  # fmt: skip


class Elements(HTMLParser):
    """Tags of a page, with the attributes that could act."""

    def __init__(self):
        super().__init__()
        self.tags, self.acting = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.acting += [
            (tag, name, value)
            for name, value in attrs
            if name.startswith("on")
            or name in {"style", "srcdoc"}
            or (
                name in {"href", "src", "action"}
                and (value or "").strip().startswith("javascript:")
            )
        ]


PLACES = (
    "/", "/markets", "/markets/FR", "/journeys", "/journeys/buy", "/graph", "/reviews",
    "/reviews/pricing/pricing-2026-11",
    *(f"/products/pricing/bad-{number}" for number in range(len(CORPUS))),
)  # fmt: skip
TABLES = ("/portfolio.csv", "/reviews.csv", "/products/pricing/bad-8.csv")


async def elements_of(texts):
    """The elements of each page where the products have these texts, and its tables."""
    products = [poisoned(text, f"bad-{number}") for number, text in enumerate(texts)]
    found = {}
    async with served(store_of([*products, document("other")], [signed("".join(texts))])) as page:
        for path in PLACES:
            found[path] = Elements()
            found[path].feed(await text_of(page, path))
        tables = [await text_of(page, path) for path in TABLES]
    return found, tables


async def test_product_texts_are_escaped_on_each_page():
    found, tables = await elements_of(CORPUS)
    expected, _ = await elements_of([f"word{number}" for number in range(len(CORPUS))])
    for path in PLACES:
        assert found[path].acting == []
        assert found[path].tags == expected[path].tags, f"{path}: an element came of a text"
    cells = [one for text in tables for row in csv.reader(io.StringIO(text)) for one in row]
    assert any("calc" in cell for cell in cells)
    assert not [cell for cell in cells if re.match(r"\s*[=+@|%]|\s*-\D", cell)]


async def test_only_https_links_of_a_product_are_rendered_as_links():
    links = [
        {"type": "Runbook", "url": "http://wiki.example/a"},
        {"type": "Card", "url": "https://a.example/"},
    ]
    async with served(store_of([document(spec={"links": links})])) as page:
        text = await text_of(page, "/products/pricing/pricing")
    assert 'href="https://a.example/"' in text
    assert "http://wiki.example" not in text


async def test_the_product_page_shows_its_support_channels():
    support = [
        {"channel": "#pricing", "url": "https://chat.example/pricing", "scope": "incidents"},
        {"channel": "the market's desk"},
    ]
    async with served(store_of([document(spec={"support": support})])) as page:
        text = await text_of(page, "/products/pricing/pricing")
    link = '<a rel="noopener noreferrer" href="https://chat.example/pricing">#pricing</a>'
    assert f"<li>{link} (incidents)</li>" in text
    assert "<li>the market&#39;s desk</li>" in text
