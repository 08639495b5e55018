"""The pricing service of a version that is wrong on live traffic; fault.txt says how."""

import asyncio
from pathlib import Path

import bentoml
from pricing.service import Car, Prices
from pricing.service import Pricing as Good

FAULT = (Path(__file__).parent / "fault.txt").read_text().strip()
Original = Good.inner


@bentoml.service(name="Pricing", traffic={"timeout": 10}, workers=1)
class Pricing(Original):
    """Answers every third request with 500, or all of them late, or with prices a third too high."""

    def __init__(self) -> None:
        super().__init__()
        self._requests = 0

    @bentoml.api(route="/price")
    async def price(self, cars: list[Car], tokens: bool = True) -> Prices:
        self._requests += 1
        if FAULT == "live-errors" and self._requests % 3 == 0:
            raise RuntimeError("a version that fails on live traffic")
        if FAULT == "live-slow":
            await asyncio.sleep(0.6)
        answer = await Original.price.func(self, cars, tokens)
        if FAULT == "live-wrong":
            for said in answer.prices:
                said.price *= 1.3
                said.token = self.token(said.price) if tokens else None
        return answer
