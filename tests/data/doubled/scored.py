"""The same service with code of its own for the score; its answers stay as they are."""

from collections import deque
from statistics import fmean
from typing import Any

import bentoml
from prometheus_client import Gauge

from sluicegate_service.product import ProductService

ERROR = Gauge("doubled_error", "Mean error of the last labels", multiprocess_mode="mostrecent")


@bentoml.service(name="Scored", workers=1)
class Scored(ProductService):
    """Answers with twice each number."""

    def __init__(self) -> None:
        self.errors: deque[float] = deque(maxlen=500)

    @bentoml.api(route="/double")
    async def double(self, numbers: list[int]) -> list[int]:
        doubles = [2 * number for number in numbers]
        await self.tokens(doubles, header=True)
        return doubles

    @bentoml.api(route="/one")
    def one(self, number: int) -> int:
        self.token(2 * number, header=True)
        return 2 * number

    def score(self, prediction: Any, truth: Any) -> bool:
        self.errors.append(abs(prediction - truth))
        ERROR.set(fmean(self.errors))
        return bool(prediction == truth)
