"""A small service whose predictions are signed: numbers times the factor of its version."""

import os
from typing import Any

import bentoml

from sluicegate_service.product import ProductService

VERSION = os.environ.get("SLUICEGATE_VERSION", "")
FACTOR = int(os.environ.get(f"FACTOR_OF_{VERSION}") or os.environ.get("FACTOR", "1"))


@bentoml.service(name="Multiplied", workers=1)
class Multiplied(ProductService):
    """Multiplies; a candidate has another factor."""

    indicators = ("asked",)

    @bentoml.api(route="/multiply")
    async def multiply(self, numbers: list[int]) -> dict[str, Any]:
        self.count("asked", good=True)
        values = [FACTOR * number for number in numbers]
        return {"values": values, "tokens": await self.tokens(values)}

    def score(self, prediction: Any, truth: Any) -> bool:
        return bool(prediction == truth)
