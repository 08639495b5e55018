"""Values of the cars of a search, requested from the pricing product.

The ranking also works without them, by the other features. So a pricing service that is slow, down
or wrong reduces the accuracy, but doesn't prevent an answer.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import numpy as np

from sluicegate_service.upstreams import Upstream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TIMEOUT_SECONDS: Final = 1.0
PRICING: Final = Upstream("pricing", namespace="pricing")
"""The product of `dependsOn`, by whose versions the outcomes are counted while its canary runs."""
MONITOR: Final = "estimates"
"""Monitor whose column `price` has the estimates: a training needs those of the time of the request."""
_SENT: Final = ("brand", "model", "body", "fuel", "country", "age", "mileage", "power")

log = logging.getLogger("search_ranking.estimates")


@dataclass(slots=True)
class PriceEstimates:
    """Client of one pricing service; `url` None means that there is none, `host` is sent as Host."""

    url: str | None
    host: str | None = None
    timeout_seconds: float = TIMEOUT_SECONDS
    _session: aiohttp.ClientSession | None = field(default=None, init=False)

    async def of(self, cars: Sequence[dict[str, Any]]) -> NDArray[np.float64] | None:
        """Return estimates in euro, one for each car; None without a valid answer."""
        if self.url is None:
            return None
        body = {"cars": [{key: car[key] for key in _SENT} for car in cars], "tokens": False}
        try:
            prices = await self._ask(body)
        except (TimeoutError, aiohttp.ClientError, ValueError, KeyError, TypeError) as error:
            log.warning("no estimates from %s: %s: %s", self.url, type(error).__name__, error)
            return None
        if len(prices) != len(cars) or not (np.isfinite(prices) & (prices > 0)).all():
            log.warning(
                "no usable estimates from %s: %d for %d cars", self.url, len(prices), len(cars)
            )
            return None
        return prices

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, body: dict[str, Any]) -> NDArray[np.float64]:
        async with (
            asyncio.timeout(self.timeout_seconds),
            self._client().post(f"{self.url}/price", json=body) as response,
        ):
            response.raise_for_status()
            answer = await response.json()
        return np.asarray([price["price"] for price in answer["prices"]], dtype=np.float64)

    def _client(self) -> aiohttp.ClientSession:
        # Created at the first request: a session belongs to the event loop of its creation.
        if self._session is None:
            headers = {"Host": self.host} if self.host else {}
            self._session = PRICING.watch(aiohttp.ClientSession(headers=headers))
        return self._session
