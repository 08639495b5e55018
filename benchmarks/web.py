"""Cost of a view of the portfolio page: `python -m benchmarks.web --products 500 5000`.

The page runs as a process of its own, with an API server that this process simulates: it lists the
products once, keeps the watch open, and counts each request. Five readers then request the first
page and pages of products, one request after another each. Reported are the time to the first byte,
the compressed size of the page, the page's resident memory, and the requests to the API server
during the views. Each product of fifty has three months of ledgers.

Before these views one reader opens the pages of up to fifty products twice, and the first page as often: reported is
the processor time of the page's process for each view, which depends less on what else the machine does.

With Chromium on PATH it then opens both pages and the list of reviews in windows of 1440 and 390 pixels, without a cache, and reports the
time until they are interactive: parsed, with their script run.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from playwright.async_api import async_playwright

from benchmarks.by_products import print_by_products

READERS: Final = 5
VIEWS: Final = 60
"""Views of each reader, after the same number for warm-up."""
NAMESPACES: Final = 50
REVIEWED: Final = 100
"""One product of so many of 5,000 has ledgers; each of fifty of up to 50."""
WIDTHS: Final = (1440, 390)
LOADS: Final = 9
"""Loads of each page in each width."""
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INTERACTIVE: Final = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
MARKETS: Final = ("AT", "BE", "DE", "ES", "FR", "IT")
STATUS: Final = Path(__file__).with_name("served_status.json")


def product(number: int) -> dict[str, Any]:
    """Return a product with the status of a serving one; some are degraded."""
    digest = f"registry.example/bento@sha256:{number:064x}"
    status = json.loads(STATUS.read_text(encoding="utf-8"))
    status["state"] = "Degraded" if number % 50 == 0 else "Healthy"
    for slo in status["slos"]:
        slo |= {
            "state": "Met", "reason": "WithinObjective", "ratio": f"0.9{number % 90 + 10}",
            "total": 90_000 + number, "budgetRemaining": "0.42",
            "markets": [{"market": one, "state": "Met", "ratio": "0.97", "total": 900 + number}
                        for one in MARKETS[:3]],
        }  # fmt: skip
    depends = [{"namespace": namespace_of(number // 2), "name": f"product-{number // 2}"}]
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "DataProduct",
        "metadata": {
            "name": f"product-{number}", "namespace": namespace_of(number),
            "uid": f"{number:08x}-0000-4000-8000-000000000000", "resourceVersion": str(number + 1),
        },
        "spec": {
            "owner": f"group:default/team-{number % 20}", "domain": "market",
            "displayName": f"Product {number} of the marketplace", "markets": list(MARKETS),
            "description": {"purpose": f"Estimates number {number} for buyers and dealers."},
            "dependsOn": depends if number else [],
            "model": {"bento": {"image": digest, "version": "v1", "service": "Bench"}},
        },
        "status": status,
    }  # fmt: skip


def review(number: int, month: int) -> dict[str, Any]:
    """Return the sealed ledger of one of the last three months of a product."""
    slos = [
        {"name": one["name"], "indicator": "outcomes", "objective": "0.95"}
        for one in json.loads(STATUS.read_text(encoding="utf-8"))["slos"]
    ]
    days = [
        {
            "date": f"2026-{month:02}-{day:02}", "final": True, "coverage": "1",
            "slos": [_day_of_slo(slo["name"], number, 31 * month + day) for slo in slos],
            "responses": {"0.05": 400 + (number * 7 + day) % 90, "0.25": 900, "+Inf": 1000},
        }
        for day in range(1, 29)
    ]  # fmt: skip
    name = f"product-{number}"
    return {
        "apiVersion": "sluicegate.dev/v1alpha1", "kind": "DataProductReview",
        "metadata": {"name": f"{name}-2026-{month:02}", "namespace": namespace_of(number),
                     "uid": f"{number:08x}-0000-4000-8000-{month:012x}", "resourceVersion": "1"},
        "spec": {
            "productRef": {"name": name, "uid": f"{number:08x}-0000-4000-8000-000000000000"},
            "period": {"startTime": f"2026-{month:02}-01T00:00:00Z",
                       "endTime": f"2026-{month:02}-29T00:00:00Z"},
        },
        "status": {"timeZone": "UTC", "signedBy": ["DataProductManager"], "slos": slos, "days": days,
                   "state": "ToReview", "sealTime": f"2026-{month + 1:02}-02T00:00:00Z",
                   "dueTime": f"2026-{month + 1:02}-09T00:00:00Z"},
    }  # fmt: skip


def _day_of_slo(name: str, number: int, day: int) -> dict[str, Any]:
    """Return the counts of an SLO on a day, which differ by product, SLO, market and day."""
    markets = {
        market: [(number * 11 + day * place + len(name)) % 19, 160]
        for place, market in enumerate(MARKETS, 1)
    }
    counts = list(markets.values())
    return {"name": name, "bad": sum(bad for bad, _ in counts), "total": sum(total for _, total in counts),
            "markets": markets}  # fmt: skip


def namespace_of(number: int) -> str:
    """Return one of fifty namespaces."""
    return f"team-{number % NAMESPACES}"


class ApiServer:
    """A simulated API server: lists, watches without events, reviews that allow all."""

    def __init__(self, count: int) -> None:
        self.requests: Counter[str] = Counter()
        self._body = json.dumps(
            {"metadata": {"resourceVersion": "100000"}, "items": [product(n) for n in range(count)]}
        )
        step = 1 if count <= NAMESPACES else REVIEWED
        ledgers = [review(one, month) for one in range(0, count, step) for month in (9, 10, 11)]
        self._reviews = json.dumps({"metadata": {"resourceVersion": "100000"}, "items": ledgers})
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen; return the port."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests[request.path.rpartition("/")[2]] += 1
        if request.method == "POST":
            return web.json_response({"status": {"allowed": True}}, status=201)
        if request.query.get("watch"):
            stream = web.StreamResponse()
            await stream.prepare(request)
            await asyncio.sleep(3600)
            return stream
        empty = '{"metadata": {"resourceVersion": "100000"}, "items": []}'
        bodies = {"dataproducts": self._body, "dataproductreviews": self._reviews}
        text = bodies.get(request.path.rpartition("/")[2], empty)
        return web.Response(text=text, content_type="application/json")


async def measure(count: int) -> dict[str, Any]:
    """Return the figures at one number of products."""
    server = ApiServer(count)
    kubeconfig = Path(tempfile.mkdtemp()) / "kubeconfig"
    kubeconfig.write_text(_kubeconfig(await server.start()), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sluicegate", "web", "--auth", "Anonymous", "--user", "wall",
        "--address", "127.0.0.1", "--port", "0",
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "KUBECONFIG": str(kubeconfig)},
    )  # fmt: skip
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    try:
        async with aiohttp.ClientSession(url) as client:
            started = time.monotonic()
            while (await client.get("/readyz")).status != 200:  # noqa: ASYNC110, PLR2004 - it has no event for us
                await asyncio.sleep(0.1)
            ready = time.monotonic() - started
            costs = await _costs(client, count, process.pid)
            await asyncio.gather(*(_views(client, count) for _ in range(READERS)))
            before = server.requests.total()
            times = await asyncio.gather(*(_views(client, count) for _ in range(READERS)))
            every = {kind: [one for found in times for one in found[kind]] for kind in times[0]}
            return {
                "products": count,
                "ready, s": round(ready, 1),
                "requests to the API server": server.requests.total() - before,
                "resident memory, MiB": _resident(process.pid),
                **costs,
                "first page, kB compressed": round(await _size(client) / 1000, 1),
                **{
                    f"{kind}, ms": {
                        "median": _ms(statistics.median(found)),
                        "p95": _ms(_p95(found)),
                    }
                    for kind, found in every.items()
                },
                **await _interactive(url),
            }
    finally:
        process.terminate()
        await process.wait()
        await server.stop()


async def _costs(client: aiohttp.ClientSession, count: int, pid: int) -> dict[str, float]:
    """Return the processor time of a view: of the pages of products for the first time and again, and of the first page."""
    numbers = range(min(count, NAMESPACES))
    products = [f"/products/{namespace_of(number)}/product-{number}" for number in numbers]
    views = {"product, first view": products, "product, again": products, "portfolio": ["/"] * len(products)}  # fmt: skip
    costs = {}
    for kind, paths in views.items():
        before = _processor_seconds(pid)
        for path in paths:
            async with client.get(path) as answer:
                assert answer.status == 200, answer.status  # noqa: PLR2004 - an HTTP status
                await answer.read()
        costs[f"{kind}, ms of processor time"] = _ms(
            (_processor_seconds(pid) - before) / len(paths)
        )
    return costs


async def _views(client: aiohttp.ClientSession, count: int) -> dict[str, list[float]]:
    """Return times to the first byte of one reader's views: three of the table, one of a product, in turns."""
    times: dict[str, list[float]] = {"portfolio": [], "product": []}
    for number in range(VIEWS):
        kind = "product" if number % 4 == 3 else "portfolio"  # noqa: PLR2004 - the fourth
        index = number * 37 % count
        path = f"/products/{namespace_of(index)}/product-{index}"
        sent = time.perf_counter()
        async with client.get(path if kind == "product" else f"/?page={number % 3 + 1}") as answer:
            times[kind].append(time.perf_counter() - sent)
            assert answer.status == 200, answer.status  # noqa: PLR2004 - an HTTP status
            await answer.read()
    return times


async def _interactive(url: str) -> dict[str, Any]:
    """Return times until the pages are interactive, by width; nothing without a browser."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        return {}
    pages = {
        "portfolio": "/",
        "product": f"/products/{namespace_of(0)}/product-0",
        "reviews": "/reviews",
    }
    times: dict[str, list[float]] = {}
    async with async_playwright() as driver:
        chromium = await driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for width in WIDTHS:
            for name, address in pages.items():
                for _ in range(LOADS):
                    # A new context has no cache.
                    context = await chromium.new_context(viewport={"width": width, "height": 900})
                    tab = await context.new_page()
                    await tab.goto(url.rstrip("/") + address)
                    measured = times.setdefault(f"{name} at {width} px", [])
                    measured.append(await tab.evaluate(INTERACTIVE) / 1000)
                    await context.close()
        await chromium.close()
    return {
        f"{name} interactive, ms": {"median": _ms(statistics.median(found)), "max": _ms(max(found))}
        for name, found in times.items()
    }


def _processor_seconds(pid: int) -> float:
    """Return the processor time of a process, by Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    """Return resident memory in MiB, by Linux."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(one for one in text.splitlines() if one.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024)


async def _size(client: aiohttp.ClientSession) -> int:
    async with client.get("/", headers={"Accept-Encoding": "gzip"}) as answer:
        return int(answer.headers["Content-Length"])


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


def _kubeconfig(port: int) -> str:
    return json.dumps(
        {
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "bench", "user": {}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        }
    )  # fmt: skip


if __name__ == "__main__":
    print_by_products("web", __doc__, measure)
