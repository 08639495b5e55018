"""A small service that calls another product several times a request, with each kind of client."""

import asyncio
import os
from typing import Any

import aiohttp
import bentoml
import httpx
import requests
from opentelemetry import trace

from sluicegate_service.product import ProductService
from sluicegate_service.upstreams import Upstream

URL = os.environ.get("MULTIPLIED_URL", "")
MULTIPLIED = Upstream("multiplied")
GOOD = int(os.environ.get("GOOD_ANSWER", "0"))
"""The only answer with which a request is good; with 0 each is."""


@bentoml.service(name="Consuming", workers=1)
class Consuming(ProductService):
    """Adds up what the other product answers."""

    indicators = ("summed",)

    def __init__(self) -> None:
        self._session = MULTIPLIED.watch(requests.Session())
        self._client = MULTIPLIED.watch(httpx.AsyncClient(base_url=URL, timeout=30))
        self._aiohttp: aiohttp.ClientSession | None = None
        self._bentoml: Any = None

    @bentoml.api(route="/in-turn")
    def in_turn(self, calls: int) -> dict[str, Any]:
        """Call from a thread, one after the other."""
        answers = []
        with trace.get_tracer("consuming").start_as_current_span("sum"):
            for _ in range(calls):
                answer = self._session.post(f"{URL}/multiply", json={"numbers": [1]}, timeout=30)
                answers.append(answer.json()["values"][0])
        self.count("summed", good=not GOOD or set(answers) == {GOOD})
        return {"values": answers, "token": self.token(sum(answers))}

    @bentoml.api(route="/parallel")
    async def parallel(self, calls: int) -> dict[str, Any]:
        """Call with all asynchronous clients at once."""
        if self._aiohttp is None:
            self._aiohttp = MULTIPLIED.watch(aiohttp.ClientSession())
        answers = await asyncio.gather(
            *(self._by_httpx() for _ in range(calls)), self._by_aiohttp(self._aiohttp)
        )
        return {"values": answers, "token": self.token(sum(answers))}

    @bentoml.api(route="/with-bentoml")
    def with_bentoml(self, calls: int) -> dict[str, Any]:
        """Call with BentoML's own client."""
        if self._bentoml is None:
            self._bentoml = MULTIPLIED.watch(bentoml.SyncHTTPClient(URL, server_ready_timeout=0))
        answers = [self._bentoml.multiply(numbers=[1])["values"][0] for _ in range(calls)]
        return {"values": answers, "token": self.token(sum(answers))}

    async def _by_httpx(self) -> int:
        answer = await self._client.post("/multiply", json={"numbers": [1]})
        value: int = answer.json()["values"][0]
        return value

    async def _by_aiohttp(self, session: aiohttp.ClientSession) -> int:
        async with session.post(f"{URL}/multiply", json={"numbers": [1]}) as answer:
            value: int = (await answer.json())["values"][0]
            return value

    def score(self, prediction: Any, truth: Any) -> bool:
        return bool(prediction == truth)
