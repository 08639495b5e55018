"""The same service with code of its own for the score; its answers stay as they are."""

from typing import Any

import bentoml

from sluicegate_service.product import ProductService


@bentoml.service(name="Scored", workers=1)
class Scored(ProductService):
    """Answers with twice each number."""

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
        return bool(prediction == truth)
