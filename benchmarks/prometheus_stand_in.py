"""A stand-in for Prometheus with given answers, over real HTTP, and with faults on request.

It doesn't evaluate PromQL: it recognises the operator's queries and answers from a table of counts,
so a benchmark can use it for five thousand products, and a test can simulate any fault of a real
server.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from time import time
from typing import Any, Self

from aiohttp import web

Row = dict[str, Any]
RowSource = Callable[[str, range, int], Iterable[Row]]
"""(kind of query, block indexes, step in seconds) → rows of a matrix."""
Instant = Callable[[str], float | None]
"""An instant query → the one value of its answer; None: no series."""
Fault = Callable[[str, dict[str, str]], "Lie | None"]
"""(kind of query, its form) → what becomes of this one query; None: nothing."""


class Lie(StrEnum):
    """A kind of missing or wrong answer."""

    REFUSED = "refused"
    ERROR_500 = "error 500"
    ERROR_503 = "error 503"
    BUSY_429 = "busy 429"
    FORBIDDEN_403 = "forbidden 403"
    REJECTED_422 = "rejected 422"
    HANGS = "hangs"
    TRICKLES = "trickles"
    CUT_OFF = "cut off"
    PARTIAL = "partial"
    NOT_JSON = "not JSON"
    VECTOR = "vector"
    MALFORMED_ROW = "malformed row"
    REDIRECT = "redirect"
    ENDLESS = "endless"


NEVER_WHOLE = {Lie.HANGS, Lie.TRICKLES}


def patience(*lies: Lie | None) -> float:
    """Return the seconds that a test should wait for an answer: few only if there will be none."""
    return 0.5 if NEVER_WHOLE.intersection(lies) else 20.0


_MARKS = (
    ("callers", "sluicegate_consumer_requests_total"),
    ("upstreams", "sluicegate_upstream_outcomes_total"),
    ("promql", '"sluicegate_fact", "good"'),
    ("inputs", '"sluicegate_fact", "input"'),
    ("sent", "traefik_router_requests_total"),
    ("gateway", "sluicegate_backend"),
    ("cpu", "container_cpu_cfs_throttled_periods_total"),
    ("memory", "container_memory_working_set_bytes"),
    ("markets", "sluicegate_market_events_total"),
    ("histogram", "sum by (namespace, product, endpoint, le)"),
    ("latency", "bentoml_service_request_duration_seconds_bucket"),
    ("requests_bad", '=~"[45].."'),
    ("requests", "bentoml_service_request_total"),
    ("labelled_by_age", 'age!=""'),
    ("labelled", "sluicegate_predictions_labelled_total"),
    ("paired", "sluicegate_predictions_paired_total"),
    ("events", "sluicegate_indicator_events_total"),
    ("gauges", "avg_over_time"),
    ("counters", "sluicegate_counter"),
    ("targets", "sluicegate_fact"),
    ("retention", "prometheus_tsdb_retention_limit_seconds"),
)


@lru_cache(maxsize=4096)
def recognise(query: str) -> str:
    """Return the kind of a query."""
    return next((kind for kind, mark in _MARKS if mark in query), "unknown")


def row(values: dict[int, float], step: int, **labels: str) -> Row:
    """Return a row of a matrix from values by block index."""
    return {
        "metric": labels,
        "values": [[index * step, format_value(value)] for index, value in values.items()],
    }


def format_value(value: float) -> str:
    """Format a value like Prometheus."""
    text = repr(float(value))
    return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}.get(text, text.removesuffix(".0"))


@dataclass(frozen=True, slots=True)
class Held:
    """Answers that are held back, and whether one is awaited."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class PrometheusStandIn:
    """The server; `rows` are its data, `lies` the faults by kind of query.

    A lie with the key "" applies to every query, and `fault` decides for each. `queries` counts the
    queries by kind. The operator sends range queries only; `instant` answers other programs'
    instant queries. A range whose step, in seconds, is held is answered only once that is released.
    """

    rows: RowSource
    lies: dict[str, Lie] = field(default_factory=dict)
    queries: Counter[str] = field(default_factory=Counter)
    forms: list[dict[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    url: str = ""
    instant: Instant = lambda _: None
    fault: Fault = lambda _, __: None
    held: dict[int, Held] = field(default_factory=dict)
    warning: str = "a store gateway didn't answer"
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        # Go's limit of a form.
        app = web.Application(client_max_size=10 * 2**20)
        app.router.add_post("/api/v1/query_range", self._answer)
        app.router.add_get("/api/v1/query", self._answer_now)
        app.router.add_post("/api/v1/query", self._answer_now)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        form = {key: str(value) for key, value in (await request.post()).items()}
        kind = recognise(form["query"])
        self.queries[kind] += 1
        self.forms.append(form)
        self.tokens.append(request.headers.get("Authorization", ""))
        step = int(float(form["step"]))
        if step in self.held:
            self.held[step].arrived.set()
            await self.held[step].released.wait()
        float(form["timeout"])  # what Prometheus reads as seconds
        indexes = range(int(float(form["start"])) // step, int(float(form["end"])) // step + 1)
        body = envelope(self.rows(kind, indexes, step))
        lie = self.lies.get(kind) or self.lies.get("") or self.fault(kind, form)
        if lie is None:
            return web.Response(text=json.dumps(body), content_type="application/json")
        if lie is Lie.PARTIAL:
            return web.json_response({**body, "warnings": [self.warning]})
        return await _lie(lie, request, body)

    async def _answer_now(self, request: web.Request) -> web.Response:
        query = str({**request.query, **await request.post()}["query"])
        self.queries["instant"] += 1
        value = self.instant(query)
        point = [] if value is None else [{"metric": {}, "value": [time(), format_value(value)]}]
        data = {"resultType": "vector", "result": point}
        return web.json_response({"status": "success", "data": data})


def envelope(rows: Iterable[Row]) -> dict[str, Any]:
    """Return a complete, successful answer."""
    return {"status": "success", "data": {"resultType": "matrix", "result": list(rows)}}


_STATUS = {
    Lie.ERROR_500: 500,
    Lie.ERROR_503: 503,
    Lie.BUSY_429: 429,
    Lie.FORBIDDEN_403: 403,
    Lie.REJECTED_422: 422,
}


async def _lie(lie: Lie, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    if lie in _STATUS:
        return web.json_response({"status": "error", "error": str(lie)}, status=_STATUS[lie])
    if lie is Lie.REDIRECT:
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:9/elsewhere"})
    if lie is Lie.REFUSED:
        assert request.transport
        request.transport.abort()
        return web.Response()
    if lie is Lie.HANGS:
        await asyncio.Event().wait()
    if lie in {Lie.TRICKLES, Lie.CUT_OFF, Lie.ENDLESS}:
        return await _stream(lie, request, json.dumps(body).encode())
    return web.Response(text=_falsify(lie, body), content_type="application/json")


def _falsify(lie: Lie, body: dict[str, Any]) -> str:
    data = body["data"]
    match lie:
        case Lie.NOT_JSON:
            return "<html>Bad gateway</html>"
        case Lie.VECTOR:
            data["resultType"] = "vector"
        case Lie.MALFORMED_ROW:
            data["result"] = [{"metric": {}}]
        case _:
            raise ValueError(f"a body can't tell the lie {lie}")
    return json.dumps(body)


async def _stream(lie: Lie, request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    if lie is Lie.CUT_OFF:
        response.content_length = len(body)
    await response.prepare(request)
    if lie is Lie.CUT_OFF:
        await response.write(body[: len(body) // 2])
        assert request.transport
        request.transport.abort()
        return response
    for piece in _pieces(lie, body):
        await response.write(piece)
        if lie is Lie.TRICKLES:
            await asyncio.sleep(0.05)
    return response


def _pieces(lie: Lie, body: bytes) -> Iterator[bytes]:
    while lie is Lie.ENDLESS:
        yield b" " * 2**20
    yield from (body[at : at + 1] for at in range(len(body)))
