"""The operator's lists and caches in a process of its own, so that its memory can be measured.

`python -m tests.support.processes.large_objects URL` lists all kinds of the API server at that URL as a start
does, takes in each product again as a watch brings it, then its deletion. It prints the products
that it holds and its memory in MiB, resident and at most, after each.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kubernetes.aio.client import Configuration

from sluicegate.kube.client import KubeApi
from sluicegate.kube.connections import Connections
from sluicegate.kube.resources import DATA_PRODUCTS
from sluicegate.kube.transport import Transport
from sluicegate.runtime.resync import Resync
from sluicegate.runtime.unreadable_namespaces import Refusals
from sluicegate.runtime.write_fence import OpenGate
from tests.support.apiserver.api_stand_in import AUTHORITY
from tests.support.apiserver.built_controller import build_controller, reconciler_of

if TYPE_CHECKING:
    from sluicegate.runtime.cache import Caches
    from sluicegate.runtime.interfaces import Record


def memory(caches: Caches) -> dict[str, float]:
    """Return the number of cached products, and the process's memory now and at its maximum, in MiB."""
    status = Path("/proc/self/status").read_text()
    figures = {"products": float(len(caches.products))}
    for name, field in (("resident", "VmRSS"), ("most", "VmHWM")):
        (kib,) = re.findall(rf"{field}:\s+(\d+) kB", status)
        figures[name] = int(kib) / 1024
    return figures


def _event(record: Record, version: int) -> str:
    meta = {
        "namespace": record.key.namespace,
        "name": record.key.name,
        "uid": record.uid,
        "resourceVersion": str(version),
    }
    spec = {"serving": {"affinity": {"junk": "x" * 1_300_000}}}
    return json.dumps({"metadata": meta, "spec": spec})


async def hold(url: str) -> list[dict[str, float]]:
    """Return the memory before the first list, after it, after an event of each object, and after their deletion."""

    async def login() -> Configuration:
        return Configuration(host=url, ssl_ca_cert=str(AUTHORITY))

    transport = Transport(Connections(login))
    api = KubeApi(transport, OpenGate(), field_manager="sluicegate")
    caches = reconciler_of(build_controller(api)).reader.observer.caches
    figures = [memory(caches)]
    resync = Resync(
        api,
        caches,
        lambda _: None,
        interval=600.0,
        jitter=lambda: 0.5,
        refusals=Refusals(lambda: 0.0),
    )
    await resync.prime()
    figures.append(memory(caches))
    # Each event is parsed by itself, and has the size of what was listed.
    cache = caches[DATA_PRODUCTS]
    records = [record for key in cache if (record := cache.get(key)) is not None]
    for age, take_in in enumerate((cache.observe, cache.forget), 1):
        for record in records:
            take_in(json.loads(_event(record, record.version + age * 10_000)))
        figures.append(memory(caches))
    await transport.close()
    return figures


if __name__ == "__main__":
    print(json.dumps(asyncio.run(hold(sys.argv[1]))))
