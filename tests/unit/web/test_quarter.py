"""A quarter of 47 products: each number of the pages by an independent count, and what a reader finds without a command."""

from __future__ import annotations

import html
import re
from math import sqrt
from typing import Any

import pytest

from tests.support.portfolio.quarter import FALLEN, HARMED, HYPOTHESIS, INITIAL, ME, quarter
from tests.support.portfolio.served import served, store_of

PRODUCTS, LEDGERS = quarter()
KEYS = [(product["metadata"]["namespace"], product["metadata"]["name"]) for product in PRODUCTS]
Z = 1.959963984540054
"""Standard deviations of a 95 % interval."""


@pytest.fixture(scope="module")
def store():
    return store_of(PRODUCTS, LEDGERS)


@pytest.fixture
async def page(store):
    async with served(store) as client:
        yield client


async def document_at(page, path: str) -> Any:
    answer = await page.get(path)
    assert answer.status == 200, path
    return await answer.json()


def ledgers_of(name: str) -> list[dict[str, Any]]:
    return [ledger for ledger in LEDGERS if ledger["spec"]["productRef"]["name"] == name]


def days_of(name: str) -> list[dict[str, Any]]:
    return [day for ledger in ledgers_of(name) for day in ledger["status"]["days"]]


def level(day: dict[str, Any], slo: str) -> dict[str, Any]:
    return next(one for one in day["slos"] if one["name"] == slo)


# ---- the independent count: no code of the project -------------------------------------------
def wilson(bad: float, total: float) -> tuple[float, float]:
    share, square = bad / total, Z * Z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = (
        Z / (1 + square / total) * sqrt(share * (1 - share) / total + square / (4 * total * total))
    )
    return middle - half, middle + half


def gain(pairs: list[int], dispersion: float) -> tuple[float, float, float]:
    """The good share of a candidate minus that of stable, with Newcombe's interval."""
    bad, total, stable_bad, stable_total = pairs
    share, stable = 1 - bad / total, 1 - stable_bad / stable_total
    low, high = wilson((total - bad) / dispersion, total / dispersion)
    stable_low, stable_high = wilson(
        (stable_total - stable_bad) / dispersion, stable_total / dispersion
    )
    difference = share - stable
    return (
        difference,
        difference - sqrt((share - low) ** 2 + (stable_high - stable) ** 2),
        difference + sqrt((high - share) ** 2 + (stable - stable_low) ** 2),
    )


def quantile(responses: dict[str, int], share: float) -> float | None:
    """Linear within the bound in which the share of all requests is reached; None above the last bound."""
    bounds = sorted((float(bound), count) for bound, count in responses.items() if bound != "+Inf")
    rank, below, before = share * responses["+Inf"], 0.0, 0
    for bound, count in bounds:
        if count >= rank:
            return below + (bound - below) * (rank - before) / (count - before)
        below, before = bound, count
    return None


def arms(slo: dict[str, Any]) -> list[int]:
    return [slo[arm][count] for arm in ("candidate", "stable") for count in ("bad", "total")]


# ---- recounts ---------------------------------------------------------------------------------
async def test_each_line_of_each_product_has_the_events_of_its_days(page):
    for namespace, name in KEYS:
        told = await document_at(page, f"/products/{namespace}/{name}.json")
        _check_lines(told, days_of(name))


def _check_lines(told: dict[str, Any], days: list[dict[str, Any]]) -> None:
    lines = {line["name"]: line for line in told["evolution"]}
    assert set(lines) == {"availability", "latency", "accuracy", "response times"}
    for slo in ("availability", "latency", "accuracy"):
        points = [point for point in lines[slo]["points"] if not point["present"]]
        counts = [(day["date"], level(day, slo)["bad"], level(day, slo)["total"]) for day in days]
        assert [(point["firstDay"], point["events"]) for point in points] == [
            (date, total) for date, _, total in counts
        ]
        assert [point["values"][slo] for point in points] == pytest.approx(
            [100 * (1 - bad / total) for _, bad, total in counts], abs=1e-9
        )
    times = lines["response times"]["points"]
    for share, name in ((0.5, "p50"), (0.95, "p95")):
        seconds = [quantile(day["responses"], share) for day in days]
        assert [point["values"][name] for point in times] == pytest.approx(
            [None if second is None else 1000 * second for second in seconds]
        )
    for line in (line for table in told["byMarket"] for line in table["evolution"]):
        market = line["name"].rpartition(" ")[2]
        pairs = [level(day, "accuracy")["markets"].get(market, [0, 0]) for day in days]
        points = [point for point in line["points"] if not point["present"]]
        assert [point["events"] for point in points] == [total for _, total in pairs]
        assert [point["values"][market] for point in points] == pytest.approx(
            [100 * (1 - bad / total) if total else None for bad, total in pairs], abs=1e-9
        )


async def test_each_lift_of_each_version_and_market_is_that_of_its_events(page):
    lifts = 0
    for namespace, name in KEYS:
        told = await document_at(page, f"/products/{namespace}/{name}.json")
        by_version = {
            (iteration["version"], iteration["endTime"]): iteration
            for iteration in told["iterations"]
            if "endTime" in iteration
        }
        for candidate in (
            candidate
            for ledger in ledgers_of(name)
            for candidate in ledger["status"].get("candidates", [])
        ):
            entry = by_version[candidate["version"], candidate["endTime"]]
            slos = {slo["name"]: slo for slo in candidate["slos"]}
            for lift in entry["lifts"]:
                slo = slos.pop(lift["slo"])
                dispersion = float(slo.get("dispersion", 1))
                pairs = {"": arms(slo)} | slo.get("markets", {})
                told_lifts = {"": lift} | lift.get("markets", {})
                assert set(told_lifts) == set(pairs)
                for market, one in told_lifts.items():
                    assert [one["gain"], *one["interval"]] == pytest.approx(
                        gain(pairs[market], dispersion), abs=1e-9
                    )
                    lifts += 1
            assert not slos, "each SLO has a lift"
    assert lifts > 250


async def test_each_total_of_each_review_is_the_sum_of_its_days_and_its_distances_are_those_of_the_sums(
    page,
):
    for namespace, name in KEYS:
        before = None
        for ledger in ledgers_of(name):
            (told,) = await document_at(
                page, f"/reviews/{namespace}/{ledger['metadata']['name']}.json"
            )
            days = ledger["status"]["days"]
            for slo in told["slos"]:
                counts = [level(day, slo["name"]) for day in days]
                bad, total = (sum(count[part] for count in counts) for part in ("bad", "total"))
                assert (slo["bad"], slo["total"]) == (bad, total)
                if before is not None:
                    then = [level(day, slo["name"]) for day in before]
                    share = sum(one["bad"] for one in then) / sum(one["total"] for one in then)
                    assert slo["changes"]["before"]["estimate"] == pytest.approx(
                        bad / total - share
                    )
                for market, of_market in slo["markets"].items():
                    pairs = [count["markets"][market] for count in counts]
                    assert [of_market["bad"], of_market["total"]] == [
                        sum(column) for column in zip(*pairs, strict=True)
                    ]
            accuracy = next(slo for slo in told["slos"] if slo["name"] == "accuracy")
            first = INITIAL["bad"] / INITIAL["total"]
            assert accuracy["changes"]["original"]["estimate"] == pytest.approx(
                accuracy["bad"] / accuracy["total"] - first
            )
            before = days


async def test_the_totals_of_the_portfolio_are_those_of_its_products(page):
    told = await document_at(page, "/portfolio.json")
    assert (told["total"], sum(told["states"].values())) == (47, 47)
    assert told["states"]["Degraded"] == 1
    for one in told["products"]:
        (initial,) = (part for part in one["initial"] if part["slo"] == "accuracy")
        (slo,) = (
            part for product in PRODUCTS if product["metadata"]["name"] == one["name"]
            for part in product["status"]["slos"] if part["name"] == "accuracy"
        )  # fmt: skip
        drop = slo["bad"] / slo["total"] - INITIAL["bad"] / INITIAL["total"]
        assert initial["drop"] == pytest.approx(drop)


# ---- what a reader finds on the page alone ----------------------------------------------------
def plain(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


class Reader:
    """A person who reads the texts of pages, and follows their links."""

    def __init__(self, page):
        self._page = page

    async def source(self, path: str) -> str:
        answer = await self._page.get(path)
        assert answer.status == 200, path
        return await answer.text()

    async def rows(self, path: str, table: str) -> list[str]:
        """The rows of a table by its name, in words."""
        source = await self.source(path)
        body = source[source.index(f'aria-label="{table}"') :].partition("</table>")[0]
        return [plain(row) for row in body.split("<tr>")[2:]]

    async def section(self, path: str, begin: str, end: str = "<h2") -> str:
        """A part of a page in words, from its heading to the next one."""
        source = await self.source(path)
        return plain(source[source.index(begin) + len(begin) :].partition(end)[0])


@pytest.fixture
def reader(page) -> Reader:
    return Reader(page)


def key_of(name: str) -> tuple[str, str]:
    return next(key for key in KEYS if key[1] == name)


def page_of(name: str) -> str:
    return "/products/{}/{}".format(*key_of(name))


async def test_a_reader_finds_which_product_lost_most_against_its_initial_performance(reader):
    drops = {
        product["metadata"]["name"]: slo["bad"] / slo["total"]
        for product in PRODUCTS for slo in product["status"]["slos"] if slo["name"] == "accuracy"
    }  # fmt: skip
    source = await reader.source("/")
    (link,) = re.findall(r'href="([^"#]*sort=initial[^"#]*)', source)
    rows = await reader.rows(html.unescape(link), "Products")
    assert f"/{max(drops, key=lambda name: drops[name])} " in rows[0]


async def test_a_reader_finds_the_change_of_a_version_in_austria(reader):
    text = await reader.section(
        f"/reviews/{key_of(HARMED)[0]}/{HARMED}-2026-11", "What new versions brought</h2>"
    )
    (ledger,) = (
        ledger for ledger in ledgers_of(HARMED) if ledger["metadata"]["name"].endswith("11")
    )
    candidate = ledger["status"]["candidates"][0]
    assert candidate["version"] == "v7"
    pairs = candidate["slos"][1]["markets"]["AT"]
    fell, low, high = (abs(100 * one) for one in gain(pairs, 1.3))
    words = re.search(r"v7 .*?accuracy in AT fell by ([\d.]+) points \[([\d.]+), ([\d.]+)\]", text)
    assert words is not None, text
    assert [float(group) for group in words.groups()] == pytest.approx(
        [fell, *sorted((low, high))], abs=0.051
    )


async def test_the_sentence_of_a_period_names_a_market_that_fell_with_a_version(page, reader):
    words = "With v7 accuracy in AT fell by 9.2 points [5.7, 12.8]; with v8 accuracy in AT fell by 11.7 points [8.1, 15.6]. "
    namespace, name = key_of(HARMED)
    for path, begin in (
        (f"/reviews/{namespace}/{name}-2026-11", "<article"),
        (f"/reviews?q=/{name}&period=2026-11-01", "<tbody>"),
        ("/", '<h2 id="movers">'),
    ):
        text = await reader.section(path, begin)
        assert words in text, path
        assert "no change is proved" not in text.partition(words)[0][-80:]
    rows = await reader.rows(f"/reviews?q=/{name}&period=2026-11-01", "Reviews")
    assert "accuracy in AT fell by 11.7 points [8.1, 15.6] with v8" in rows[0]
    movers = (await document_at(page, "/portfolio.json"))["movers"]
    (mover,) = (mover for mover in movers if mover["name"] == name)
    assert mover["interval"] == pytest.approx([-0.156, -0.081], abs=0.0006)
    assert (mover["market"], mover["version"]) == ("AT", "v8")
    assert {mover["name"] for mover in movers if "market" in mover} == {HARMED}


async def test_a_reader_finds_the_tasks_that_wait_for_that_person(reader):
    text = await reader.section("/", '<h2 id="mine">Needs you</h2>')
    assert text.startswith("Degraded without a remedy")
    assert f"{key_of(FALLEN)[0]} " in text
    assert text.count(" for ") == 1, "one need of one product"


async def test_a_reader_finds_the_largest_change_since_the_last_review(reader):
    text = await reader.section("/", '<h2 id="movers">What changed since the last review</h2>')
    november, october = (ledgers_of(FALLEN)[place]["status"]["days"] for place in (-1, -2))
    shares = [
        sum(level(day, "accuracy")["bad"] for day in days) / sum(level(day, "accuracy")["total"] for day in days)
        for days in (november, october)
    ]  # fmt: skip
    points = re.search(r"accuracy worse by ([\d.]+) points", text)
    assert points is not None
    assert float(points[1]) == pytest.approx(100 * (shares[0] - shares[1]), abs=0.051)


async def test_a_reader_finds_the_worst_market_of_a_product(reader):
    rows = await reader.rows(page_of(FALLEN), "accuracy by market")
    assert re.match(r"AT ■ Missed 71\.0 % n=310 ", rows[0])


async def test_a_reader_finds_the_actions_that_are_late_and_whose_they_are(reader):
    text = await reader.section("/", '<h2 id="late">Actions of reviews that are late</h2>')
    assert re.search(r"due 2026-10-20 mvr ask the label job", text)
    assert "drop the old feature" not in text


async def test_a_reader_finds_whether_an_objective_was_missed_and_by_how_much(reader):
    rows = await reader.rows(f"/reviews?q=/{FALLEN}&period=2026-11-01", "Reviews")
    days = ledgers_of(FALLEN)[-1]["status"]["days"]
    bad, total = (sum(level(day, "accuracy")[part] for day in days) for part in ("bad", "total"))
    assert f"Accuracy missed its objective ({100 * (1 - bad / total):.1f} % of 88.0 %)" in rows[0]


async def test_a_reader_finds_whose_signature_is_missing_and_until_when(reader):
    rows = await reader.rows(f"/reviews?q=/{FALLEN}&period=2026-11-01", "Reviews")
    assert "2026-12-11" in rows[0] or "2026-12-10" in rows[0]
    assert rows[0].endswith("DataProductManager –")


async def test_a_reader_finds_whether_a_goal_is_met(reader):
    rows = await reader.rows(f"/reviews?q=/{FALLEN}&period=2026-11-01", "Reviews")
    assert re.search(
        r"prices-in-tolerance: goal 90 %: not met yet \(\d\d\.\d %, n=[\d,]+\)", rows[0]
    )


async def test_a_reader_finds_the_sum_of_changes_of_all_versions_of_a_period(reader):
    name = next(
        key[1] for key in KEYS
        if key[1] != HARMED and sum(candidate["outcome"] == "Promoted" for candidate in ledgers_of(key[1])[-1]["status"].get("candidates", [])) == 2
    )  # fmt: skip
    text = await reader.section(
        f"/reviews/{key_of(name)[0]}/{name}-2026-11", "What new versions brought</h2>"
    )
    candidates = ledgers_of(name)[-1]["status"]["candidates"]
    gains = [gain(arms(candidate["slos"][1]), 1.3)[0] for candidate in candidates]
    words = re.search(
        r"Together: .*accuracy rose by ([\d.]+) points \[[\d., ]+\] \(2 versions\)", text
    )
    assert words is not None, text
    assert float(words[1]) == pytest.approx(100 * sum(gains), abs=0.051)


async def test_a_reader_finds_the_tried_versions_and_their_authors(reader):
    table = await reader.source(f"{page_of(HARMED)}/iterations.csv")
    assert table.splitlines()[0].startswith("endTime,version,hypothesis,author")
    assert f",v7,{HYPOTHESIS},jlb," in table
    assert ME not in table
