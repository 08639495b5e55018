"""Requests by the name that their caller sends: bounded by the names that the operator lists."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from sluicegate_service import call_layers
from sluicegate_service.callers import CallerCounts, consumer_requests

LISTED = frozenset({"shop/ranking", "shop/financing"})


def request(*callers: bytes, path: str = "/price"):
    headers = [(b"sluicegate-consumer", caller) for caller in callers]
    return {"type": "http", "path": path, "headers": headers}


class Counted:
    """A service whose answers are counted by caller."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.status = 200
        self.app = CallerCounts(
            self._answer,
            LISTED,
            counted=frozenset({"/price"}),
            counter=consumer_requests(self.registry),
        )

    async def _answer(self, _scope, _receive, send):
        if not self.status:
            raise RuntimeError("a bug of the service")
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        for more in (True, False):
            await send({"type": "http.response.body", "body": b"x", "more_body": more})

    async def ask(self, *callers: bytes, status: int = 200, path: str = "/price"):
        async def nowhere(_message):
            pass

        self.status = status
        await self.app(request(*callers, path=path), None, nowhere)

    def counts(self) -> dict[tuple[str, str], float]:
        """Return all series, by caller and outcome."""
        return {
            (sample.labels["consumer"], sample.labels["outcome"]): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "sluicegate_consumer_requests_total"
        }

    def nonzero(self) -> dict[tuple[str, str], float]:
        return {key: value for key, value in self.counts().items() if value}


async def test_requests_and_failures_count_for_the_name_that_the_caller_sends():
    counted = Counted()
    for status in (200, 422, 503):
        await counted.ask(b"shop/ranking", status=status)
    with pytest.raises(RuntimeError):
        await counted.ask(b"shop/financing", status=0)
    assert counted.nonzero() == {
        ("shop/ranking", "good"): 2,
        ("shop/ranking", "bad"): 1,
        ("shop/financing", "bad"): 1,
    }


async def test_a_caller_with_an_unlisted_name_is_counted_as_other():
    counted = Counted()
    before = counted.counts()
    await counted.ask()
    await counted.ask(b"shop/unlisted")
    await counted.ask(b"other")
    await counted.ask("shop/ränking".encode())
    await counted.ask(b"shop/ranking", b"shop/financing")
    assert counted.nonzero() == {("other", "good"): 5}
    assert counted.counts().keys() == before.keys()
    assert len(before) == 2 * (len(LISTED) + 1)


async def test_labels_and_unknown_paths_have_no_caller():
    counted = Counted()
    await counted.ask(b"shop/ranking", path="/feedback")
    for status in (404, 405):
        await counted.ask(b"shop/ranking", status=status)
    assert counted.nonzero() == {}


def test_a_product_without_declared_consumers_has_no_series_by_caller(monkeypatch):
    monkeypatch.delenv("SLUICEGATE_CONSUMERS", raising=False)
    application = object()
    assert call_layers.with_callers(application, frozenset({"/price"})) is application
