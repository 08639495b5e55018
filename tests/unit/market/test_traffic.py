"""The traffic's sender, against a loopback server that answers as a product may."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from used_car_market import Market
from used_car_market.exchanges import Sellers
from used_car_market.traffic import MAX_TRUTHS, Pace, Target, Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

PACE = Pace(rate=2000.0, concurrency=4, truth_delay=0.0, timeout=5.0)


class Product:
    """Prices each car at 10,000 euro; `status` may be changed, `labels` are the received outcomes."""

    def __init__(self) -> None:
        self.status: Callable[[int], int] = lambda _number: 200
        self.requests = 0
        self.hosts: set[str] = set()
        self.labels: list[dict] = []
        self.largest = 0

    async def price(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.hosts.add(request.host)
        cars = (await request.json())["cars"]
        said = [{"price": 10_000.0, "token": f"{self.requests}.{car}"} for car in range(len(cars))]
        status = self.status(self.requests)
        return web.json_response({"version": "v1", "prices": said}, status=status)

    async def feedback(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != "Bearer secret":
            return web.json_response({}, status=401)
        labels = (await request.json())["labels"]
        self.labels += labels
        self.largest = max(self.largest, len(labels))
        return web.json_response({"counted": len(labels) - 1, "refused": [{"reason": "Repeated"}]})


@asynccontextmanager
async def serving(product: Product):
    application = web.Application()
    application.router.add_post("/pricing/price", product.price)
    application.router.add_post("/pricing/feedback", product.feedback)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/pricing"
    finally:
        await runner.cleanup()


@pytest.fixture
def product():
    return Product()


async def sent(product, *, requests, bearer="secret", **changes):
    async with serving(product) as url:
        target = Target(url, host="market.example", bearer=bearer)
        pace = replace(PACE, limit=requests, **changes)
        async with Traffic(target, Sellers(), Market(), pace) as traffic:
            await traffic.all_sent()
        return traffic.tally


async def test_each_request_is_sent_once_and_each_prediction_gets_its_label(product):
    tally = await sent(product, requests=60)
    assert (tally.sent, tally.failed, product.requests) == (60, 0, 60)
    assert product.hosts == {"market.example"}
    assert len(product.labels) == len({label["token"] for label in product.labels}) == 240
    assert product.largest <= MAX_TRUTHS
    version = tally.versions["v1"]
    assert (version.answers, version.correct + version.wrong) == (60, 240)


async def test_pending_labels_are_sent_at_the_end_of_the_traffic(product):
    arrived, let_in = asyncio.Event(), asyncio.Event()
    take = product.feedback

    async def slow(request: web.Request) -> web.Response:
        arrived.set()
        await let_in.wait()
        return await take(request)

    product.feedback = slow
    async with serving(product) as url:
        traffic = Traffic(Target(url, bearer="secret"), Sellers(), Market(), replace(PACE, limit=5))
        await traffic.__aenter__()
        await arrived.wait()
        ending = asyncio.create_task(traffic.__aexit__(None, None, None))
        await asyncio.sleep(0)  # it has begun to end
        let_in.set()
        await ending
    assert len(product.labels) == traffic.tally.truths == 20
    assert set(traffic.tally.refused) == {"Repeated"}


async def test_refused_feedback_is_counted_by_its_reason(product):
    tally = await sent(product, requests=10)
    assert tally.refused["Repeated"] >= 1
    assert tally.truths == 40


async def test_feedback_refused_for_a_wrong_bearer_token_is_counted(product):
    tally = await sent(product, requests=10, bearer="guess")
    assert tally.refused == {"401": 40}


async def test_without_a_bearer_token_no_label_is_sent(product):
    tally = await sent(product, requests=10, bearer=None)
    assert (tally.truths, product.labels) == (0, [])


async def test_failed_requests_of_the_traffic_are_counted_by_error(product):
    product.status = lambda number: 503 if number % 5 == 0 else 200
    tally = await sent(product, requests=50)
    assert (tally.failed, tally.failures) == (10, {"503": 10})
    assert tally.versions["v1"].answers == 40


async def test_an_unreachable_product_is_counted_as_failed_and_does_not_end_the_traffic():
    target = Target("http://127.0.0.1:9/pricing")
    async with Traffic(target, Sellers(), Market(), replace(PACE, limit=5)) as traffic:
        await traffic.all_sent()
    assert traffic.tally.failed == 5
    assert set(traffic.tally.failures) == {"ClientConnectorError"}


async def test_the_next_requests_use_a_changed_market(product):
    async with serving(product) as url:
        pace = replace(PACE, limit=40)
        async with Traffic(Target(url), Sellers(), Market(), pace) as traffic:
            traffic.market = Market().with_shock("DieselPricesFall").later(35)
            await traffic.all_sent()
    assert traffic.tally.sent == 40


async def test_a_response_of_another_service_ends_the_traffic_with_the_reason(product):
    async def nonsense(_request: web.Request) -> web.Response:
        return web.json_response({"hello": "world"})

    product.price = nonsense
    with pytest.raises(KeyError, match="prices"):
        await sent(product, requests=1)
