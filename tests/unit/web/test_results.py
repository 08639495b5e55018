"""What lists say of reviews and of products that moved: the same as the report, without reading whole ledgers."""

from __future__ import annotations

import re

import pytest

from sluicegate.reporting import words
from sluicegate.reporting.facts import facts_of
from sluicegate.reporting.summary import result_of, summary_of
from tests.support.apiserver.access_reviews import AccessReviews
from tests.support.decisions.reviewed import document_of, month, sealed_month
from tests.support.portfolio.products import degraded, document
from tests.support.portfolio.served import served, store_of

YEAR = [sealed_month(number, wrong=wrong) for number, wrong in ((8, 0.08), (9, 0.08), (10, 0.14), (11, 0.1))]  # fmt: skip
GOAL = {"name": "prices-in-tolerance", "slo": "accuracy", "target": "90", "unit": "%"}
SLOS = [{"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.88"}]


def reviewed(name="pricing", namespace="pricing", **spec):
    product = document(name, namespace, spec={"slos": SLOS} | spec, status=degraded())
    product["metadata"]["uid"] = "u-1"
    return product


def ledger(product, number, wrong, *, read=31):
    """A ledger of a product; an open one with some days if fewer are read."""
    made = (
        document_of(sealed_month(number, wrong=wrong)) if read > 30 else month(number, wrong=wrong)
    )
    made["metadata"]["name"] = f"{product}-2026-{number:02}"
    made["spec"]["productRef"] = {"name": product, "uid": "u-1"}
    made["status"]["days"] = made["status"]["days"][:read]
    return made


@pytest.mark.parametrize("place", range(4), ids=["the first", "no change", "worse", "better"])
def test_the_review_summary_equals_that_of_the_report(place):
    before = YEAR[place - 1] if place else None
    report = facts_of(YEAR[place], before)
    result = result_of(summary_of(YEAR[place]), before and summary_of(before))
    assert words.report_sentence(result) == words.report_sentence(report)
    assert words.move_text(result.move, read_days=result.read_days) == words.move_text(
        report.move, read_days=report.read_days
    )
    assert [slo.budget_left for slo in result.slos] == [slo.budget_left for slo in report.slos]


async def test_the_list_of_reviews_shows_results_and_not_only_links():
    reviews = [document_of(one) for one in YEAR]
    async with served(store_of([reviewed(businessGoals=[GOAL])], reviews)) as page:
        text = await (await page.get("/reviews")).text()
        told = await (await page.get("/reviews.json")).json()
        table = await (await page.get("/reviews.csv")).text()
    assert "Accuracy missed its objective (85.6 % of 88.0 %) and got worse by" in text
    assert re.search(
        r'class="words Worse" data-label="Largest proved change">accuracy worse by', text
    )
    assert "prices-in-tolerance: goal 90 %: not met yet (85.6 %, n=4,302)" in text
    october = next(one for one in told if one["name"] == "pricing-2026-10")
    assert october["sentence"].startswith("Accuracy missed its objective (85.6 % of 88.0 %)")
    assert october["change"].startswith("accuracy worse by")
    assert table.splitlines()[0].endswith("sentence,change,goals,missedMarkets,openActions")


async def test_the_change_of_a_period_is_not_known_before_a_day_of_it_is_read():
    november = ledger("pricing", 11, 0.1, read=0)
    async with served(store_of([reviewed()], [ledger("pricing", 10, 0.1), november])) as page:
        told = await (await page.get("/reviews.json")).json()
    changes = {one["name"]: one["change"] for one in told}
    assert changes["pricing-2026-11"] == "not known yet"
    assert "since the first acceptance" in changes["pricing-2026-10"]


async def test_the_portfolio_begins_with_the_largest_changes_since_the_last_review():
    products = [reviewed(name) for name in ("calm", "fell", "rose", "fell-more")]
    reviews = [
        ledger(name, number, wrong, read=read)
        for name, wrongs in {
            "calm": (0.1, 0.1), "fell": (0.1, 0.15), "rose": (0.2, 0.12), "fell-more": (0.1, 0.22),
        }.items()
        for number, wrong, read in zip((10, 11), wrongs, (31, 20), strict=True)
    ]  # fmt: skip
    async with served(store_of(products, reviews)) as page:
        text = await (await page.get("/")).text()
        told = await (await page.get("/portfolio.json")).json()
    assert [mover["name"] for mover in told["movers"]] == ["fell-more", "rose", "fell"]
    assert text.index("What changed since the last review") < text.index("Needs a person")
    assert "since 2026-11-01" in text
    assert text.count('class="small-line"') == 3 + 4, (
        "of each mover, and of each product of the table"
    )
    estimates = {mover["name"]: mover["estimate"] for mover in told["movers"]}
    assert estimates["fell-more"] == pytest.approx(-0.12, abs=0.03)
    assert estimates["rose"] == pytest.approx(0.08, abs=0.03)


async def test_a_product_without_an_earlier_ledger_moved_since_its_first_acceptance():
    async with served(store_of([reviewed()], [ledger("pricing", 11, 0.2, read=20)])) as page:
        text = await (await page.get("/")).text()
        told = await (await page.get("/portfolio.json")).json()
    assert "since the first acceptance" in text
    assert [mover["slo"] for mover in told["movers"]] == ["accuracy"]


async def test_reviews_and_the_portfolio_name_missed_markets_and_actions_that_are_late():
    september, october, november = (ledger("pricing", number, 0.1) for number in (9, 10, 11))
    missed = {"slo": "accuracy", "startTime": "2026-11-05T00:00:00Z"}
    november["status"]["missedMarkets"] = [missed | {"market": "AT"}, missed | {"market": "BE"}]

    def action(title, due, **given):
        return {"title": title, "owner": "acb", "dueDate": due} | given

    september["spec"]["actions"] = [
        action("ask the label job", "2026-10-20"),
        action("repeat", "2026-10-20"),
    ]
    october["spec"]["actions"] = [
        action("repeat", "2026-11-20", done=True),
        action("done late", "2026-11-01", done=True),
        action("due today", "2026-11-28"),
    ]
    async with served(store_of([reviewed()], [september, october, november])) as page:
        text = await (await page.get("/reviews")).text()
        told = {one["name"]: one for one in await (await page.get("/reviews.json")).json()}
        table = await (await page.get("/reviews.csv")).text()
        first = await (await page.get("/")).text()
        review = (await (await page.get("/reviews/pricing/pricing-2026-11.json")).json())[0]
    assert {open_action["title"]: open_action["state"] for open_action in review["openActions"]} == {
        "ask the label job": "late", "due today": "open",
    }, "as in the lists"  # fmt: skip
    assert '<span class="Missed">AT, BE</span><small>accuracy</small>' in text
    assert told["pricing-2026-11"]["missedMarkets"] == {"accuracy": ["AT", "BE"]}
    assert "accuracy: AT, BE" in table
    assert told["pricing-2026-09"]["openActions"] == [
        {"title": "ask the label job", "owner": "acb", "due": "2026-10-20", "late": True}
    ], "the repeated one has its state in October"
    assert [
        (open_action["title"], open_action["late"])
        for open_action in told["pricing-2026-10"]["openActions"]
    ] == [("due today", False)]
    assert '<span class="late">late</span>: ask the label job' in text
    assert "ask the label job (acb, due 2026-10-20, late)" in table
    queue = first[first.index('id="late"') : first.index('id="queue"')]
    assert "ask the label job" in queue
    assert "due today" not in queue
    assert "repeat" not in queue


async def test_unreadable_products_and_reviews_are_not_summarised():
    reviews = [ledger("pricing", 10, 0.1), ledger("pricing", 11, 0.2)]
    server = AccessReviews({"everybody": {"elsewhere"}})
    async with served(store_of([reviewed()], reviews), server=server) as page:
        told = await (await page.get("/portfolio.json")).json()
        assert (told["movers"], await (await page.get("/reviews.json")).json()) == ([], [])
