"""Cost of the messenger: `python -m benchmarks.notify --products 5000`.

The messenger runs as a process of its own, on a real API server with this many products. Reported are
the time until it has read all of them; a degradation of one product, from the write of its status
to the message; and one of all of them at once, until the last product is in a message: number of
messages, requests to the API server, memory, and the size of its ConfigMap.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from aiohttp import web

from benchmarks.by_products import print_by_products
from benchmarks.contender import Product, Program
from benchmarks.figures import Metrics
from benchmarks.harness import namespace, namespaces, products
from benchmarks.kube import Client
from benchmarks.process import Process
from benchmarks.sluicegate_contender import data_product
from cluster.controlplane import ControlPlane, Options
from cluster.kinds import install_crds
from cluster.ports import free_ports
from sluicegate.notify.program import LEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.contender import Body

NAMESPACE: Final = "sluicegate-system"
STATUS: Final = Path(__file__).with_name("served_status.json")
GROUP_SECONDS: Final = 30
"""The default: degradations within it become one message."""
MAX_SECONDS: Final = 600.0
SETTLE_SECONDS: Final = 2.0
"""Seconds without another request after which a wave has ended."""


class Receiver:
    """Receiver of CloudEvents; `told` are the products in messages, `messages` the number of messages."""

    def __init__(self) -> None:
        self.told: set[str] = set()
        self.messages = 0
        self.bytes = 0

    async def start(self, stack: AsyncExitStack) -> str:
        """Listen; return the address."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/"

    async def _take(self, request: web.Request) -> web.Response:
        text = await request.text()
        body = json.loads(text)
        self.messages += 1
        self.bytes += len(text)
        for item in body["data"].get("products") or [body["data"]]:
            self.told.add(f"{item['namespace']}/{item['product']}")
        return web.Response(status=202)


async def measure(count: int) -> dict[str, Any]:
    """Return the figures at one number of products."""
    every = products(count)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluicegate-bench-")))
        plane = stack.enter_context(
            ControlPlane(Options(controller_manager=False, scheduler=False))
        )
        install_crds(plane)
        client = await stack.enter_async_context(Client(plane.kubeconfig))
        for name in (NAMESPACE, *namespaces()):
            await client.apply(namespace(name))
        await client.apply_all(data_product(product, "v1") for product in every)
        await write_statuses(client, every, degraded=False)
        receiver = Receiver()
        config = folder / "notify.yaml"
        sink = {"kind": "CloudEvents", "url": await receiver.start(stack)}
        config.write_text(yaml.safe_dump(
            {"groupSeconds": GROUP_SECONDS, "sinks": {"bus": sink}, "routes": [{"to": ["bus"]}]}
        ))  # fmt: skip
        (port,) = stack.enter_context(free_ports(1))
        program = Program(
            (sys.executable, "-m", "sluicegate", "notify", "--config", str(config)),
            {
                "KUBECONFIG": str(plane.kubeconfig_for("messenger", ("system:masters",))),
                "SLUICEGATE_NAMESPACE": NAMESPACE,
                "SLUICEGATE_METRICS_PORT": str(port),
            },
        )
        process = stack.enter_context(Process(program, folder / "notify.log"))

        async def remembered() -> Body:
            config_map: Body = await client.send(
                "GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps/{LEASE}"
            )
            return config_map

        async def all_seen() -> bool:
            path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
            listed, _ = await client.list(path)
            data = next(
                (item.get("data") or {} for item in listed if item["metadata"]["name"] == LEASE), {}
            )
            return bool(sum(name.startswith("p.") for name in data) >= count)

        first = await until(process, all_seen)
        requests_at_start = await requests(port)
        first_wave = await wave(client, process, receiver, every[:1])
        before, sent, size = await requests(port), receiver.messages, receiver.bytes
        later = await wave(client, process, receiver, every[1:])
        await asyncio.sleep(SETTLE_SECONDS)
        return {
            "products": count,
            "all seen, s": round(first, 1),
            "requests until then": requests_at_start,
            "time of collecting, s": GROUP_SECONDS,
            "one degraded, s from its write to the message": round(first_wave, 1),
            "all others degraded, s from the last write to the last message": round(later, 1),
            "messages of that": receiver.messages - sent,
            "size of them, kB": round((receiver.bytes - size) / 1000),
            "requests of that": await requests(port) - before,
            "resident memory, MiB": round(process.memory_mib()),
            "ConfigMap, kB": round(len(json.dumps((await remembered())["data"])) / 1000),
        }


async def wave(
    client: Client, process: Process, receiver: Receiver, chosen: list[Product]
) -> float:
    """Degrade these products; return the seconds from the last write until each was in a message."""
    paths = {f"{product.namespace}/{product.name}" for product in chosen}
    await write_statuses(client, chosen, degraded=True)

    async def told() -> bool:
        return paths <= receiver.told

    return await until(process, told)


async def write_statuses(client: Client, chosen: Iterable[Product], *, degraded: bool) -> None:
    """Write the status of each, like an operator."""
    status = json.loads(STATUS.read_text(encoding="utf-8"))
    kept = [
        one for one in status["conditions"] if one["type"] not in {"Degraded", "MetricsAvailable"}
    ]
    condition = {
        "type": "Degraded", "status": "True" if degraded else "False",
        "reason": "ModelDecay" if degraded else "NotDegraded",
        "message": "accuracy is at 84.2 % (n=1,200) against 88.0 %" if degraded else "",
        "observedGeneration": 1, "lastTransitionTime": "2026-11-28T09:00:00Z",
    }  # fmt: skip
    measured = {
        **condition,
        "type": "MetricsAvailable",
        "status": "True",
        "reason": "Measured",
        "message": "",
    }
    body = {"status": {**status, "conditions": [*kept, condition, measured]}}
    at_once = asyncio.Semaphore(16)

    async def write(product: Product) -> None:
        path = f"/apis/sluicegate.dev/v1alpha1/namespaces/{product.namespace}/dataproducts/{product.name}/status"
        async with at_once:
            await client.send("PATCH", path, body, "application/merge-patch+json")

    await asyncio.gather(*map(write, chosen))


async def until(process: Process, holds: Callable[[], Any]) -> float:
    """Wait until a condition holds; return the seconds."""
    began = time.monotonic()
    while not await holds():
        process.require()
        if time.monotonic() - began > MAX_SECONDS:
            raise TimeoutError(process.log.read_text(errors="replace")[-2000:])
        await asyncio.sleep(0.2)
    return time.monotonic() - began


async def requests(port: int) -> int:
    """Return the messenger's requests to the API server, by its own metrics."""

    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    values = Metrics.parse(await asyncio.to_thread(read)).values
    return round(
        sum(v for key, v in values.items() if key.startswith("rest_client_requests_total{"))
    )


if __name__ == "__main__":
    print_by_products("notify", __doc__, measure)
