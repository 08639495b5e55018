"""A bounded piece of the market's traffic."""

from dataclasses import replace

from tests.support.samples.products import BEARER, ServedProduct
from used_car_market import Market
from used_car_market.exchanges import Visits
from used_car_market.tally import Tally
from used_car_market.traffic import Pace, Target, Traffic

FAST = Pace(rate=1000.0, concurrency=2, truth_delay=0.0, timeout=60.0)


async def send(product: ServedProduct, visits: Visits, market: Market, *, requests: int) -> Tally:
    """Send that many requests and all truths, as fast as two at a time go."""
    pace = replace(FAST, limit=requests)
    async with Traffic(Target(product.url, bearer=BEARER), visits, market, pace) as traffic:
        await traffic.all_sent()
    return traffic.tally
