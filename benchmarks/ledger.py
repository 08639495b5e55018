"""What the ledgers of thousands of products cost: `python -m benchmarks.ledger --products 5000`.

A real etcd and API server hold a review of a month that is nearly over for each product. One day goes
by on a simulated clock, with each round of the operator's; a Prometheus that is told what to say
answers from a process of its own. What is reported is this process' processor time, which is the
operator's, its writes by hour, its queries, and what lies in etcd.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from benchmarks.ledger_products import (
    MONTH,
    NAMESPACES,
    TODAY,
    asked_for,
    days_from,
    month_so_far,
    rows_of,
    subject,
)
from benchmarks.prometheus_stand_in import PrometheusStandIn
from cluster.controlplane import ControlPlane, Options
from cluster.kinds import install_crds
from sluicegate.cli.cluster_access import transport
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import TimedOut
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, Key
from sluicegate.ledger.journal import DAY_SECONDS
from sluicegate.ledger.periods import period_at
from sluicegate.reviews.rounds import READS_PER_SECOND, ROUND_SECONDS, Reviews
from sluicegate.reviews.store import ReviewStore, review_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from benchmarks.prometheus_stand_in import Row
    from sluicegate.prometheus.day_reader import DayReader
    from sluicegate.reviews.subject import ReviewSubject

T = TypeVar("T")

AT_ONCE: Final = 4
RESTART_HOURS: Final = 2
"""Before the day that is measured the operator starts, and reads each open review."""
ANSWERS: Final = "answers"


class Counting:
    """A gate that lets each write through, and counts it by the hour of the simulated clock."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        self.now = 0.0
        self.hours: Counter[int] = Counter()

    async def admit(self) -> None:
        """Count a write."""
        self.hours[int(self.now // 3600)] += 1


# ---- Prometheus, in a process of its own -------------------------------------------------------
async def answer() -> None:
    """Say where the stand-in is, and answer until standard input ends."""
    server = PrometheusStandIn(lambda *_: ())

    def rows(kind: str, indexes: range, step: int) -> Iterator[Row]:
        return rows_of(kind, indexes, step, asked_for(server.forms[-1]["query"]))

    server.rows = rows
    async with server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def prometheus() -> Iterator[str]:
    """The stand-in's URL while the block lasts."""
    command = [sys.executable, "-m", "benchmarks.ledger", ANSWERS]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


# ---- the measurement ---------------------------------------------------------------------------
async def measure(plane: ControlPlane, url: str, count: int) -> dict[str, Any]:
    """Fill the ledgers, let a day go by, and say what it cost."""
    gate, began = Counting(), TODAY.timestamp()
    subjects = [subject(number) for number in range(count)]
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(transport())
        store = ReviewStore(KubeApi(opened, gate, field_manager="sluicegate"))
        await fill(store, subjects, began - DAY_SECONDS)
        size = await stored_bytes(store.api, subjects[0])
        reader = await stack.enter_async_context(days_from(url))
        reviews = Reviews(
            store,
            wall=lambda: gate.now,
            exists=lambda *_: True,
            tell=lambda *_: None,
            misconfigured=lambda _, text: sys.exit(text),
            wake=lambda _: None,
        )
        gate.now = began - RESTART_HOURS * 3600  # all that is over is in the ledgers
        for one in subjects:
            reviews.know(one.key, one)
        figures: dict[str, Any] = {"products": count}
        figures["restart"] = await passed(reviews, reader, gate, hours=RESTART_HOURS)
        figures["day"] = await passed(reviews, reader, gate, hours=24)
        figures["bytesOfAReview"] = {
            "before": size,
            "after": await stored_bytes(store.api, subjects[0]),
        }
        figures["signatures"] = await follow(reviews, reader, gate, subjects)
    figures["etcdMiB"] = etcd_bytes(plane) / 2**20
    return figures


async def fill(store: ReviewStore, subjects: list[ReviewSubject], now: float) -> None:
    """Create each product's review, with the month so far in it."""
    period = period_at(subjects[0].cycle, MONTH.timestamp())
    assert period is not None
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(it: ReviewSubject) -> None:
        async with slots:
            await patiently(lambda: store.open(it, review_key(it.key, period), period))
            review = await patiently(lambda: store.read(review_key(it.key, period)))
            assert review is not None
            await patiently(lambda: store.record(review, month_so_far(it, period, now)))

    async with asyncio.TaskGroup() as group:
        for it in subjects:
            group.create_task(one(it))


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call again while nobody answers in time: the machine has other work."""
    while True:
        try:
            return await call()
        except TimedOut:
            await asyncio.sleep(1.0)


async def passed(
    reviews: Reviews, reader: DayReader, gate: Counting, *, hours: int
) -> dict[str, Any]:
    """Let hours go by in rounds of the operator's; what they cost."""
    gate.hours.clear()
    begin, wall, cpu = gate.now, time.monotonic(), time.process_time()
    while gate.now < begin + hours * 3600:
        await reviews.round(reader)
        gate.now += ROUND_SECONDS
    spent = time.process_time() - cpu
    return {
        "hours": hours,
        "writes": sum(gate.hours.values()),
        "writesByHour": [gate.hours[int(begin // 3600) + hour] for hour in range(hours)],
        "cpuSeconds": spent,
        "shareOfACore": spent / (hours * 3600),
        "realSeconds": time.monotonic() - wall,
    }


async def follow(
    reviews: Reviews, reader: DayReader, gate: Counting, subjects: list[ReviewSubject]
) -> dict[str, Any]:
    """Seal all of them, and say what it costs to wait for their signatures."""
    gate.now += 5 * DAY_SECONDS
    reviews.begin()
    sealing = await passed(reviews, reader, gate, hours=2)
    gate.now += DAY_SECONDS
    figures: dict[str, Any] = {"sealing": sealing}
    every = max(60.0, len(subjects) / READS_PER_SECOND)
    figures["everySeconds"] = every
    for name in ("first", "again"):
        gate.now += every
        cpu = time.process_time()
        await reviews.round(reader)
        spent = time.process_time() - cpu
        figures[name] = {"cpuSeconds": spent, "shareOfACore": spent / every}
    figures["waiting"] = len(reviews.overview.waiting)
    return figures


async def stored_bytes(api: KubeApi, one: ReviewSubject) -> int:
    """Bytes of a product's review as etcd has it, but for the server's record of managers."""
    period = period_at(one.cycle, MONTH.timestamp())
    assert period is not None
    body = await api.get(DATA_PRODUCT_REVIEWS, review_key(Key(*one.key), period))
    return len(json.dumps(body, separators=(",", ":")))


def etcd_bytes(plane: ControlPlane) -> int:
    """Bytes of etcd's database on the disk."""
    return sum(path.stat().st_size for path in plane.folder.rglob("member/snap/db"))


def main() -> int:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument("--products", type=int, default=5000)
    parser.add_argument("act", nargs="?", choices=[ANSWERS], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.act:
        asyncio.run(answer())
        return 0
    options = Options(controller_manager=False, scheduler=False)
    with ControlPlane(options) as plane, prometheus() as url:
        install_crds(plane)
        for number in range(NAMESPACES):
            plane.kubectl("create", "namespace", f"team-{number}")
        os.environ["KUBECONFIG"] = str(plane.kubeconfig)
        figures = asyncio.run(measure(plane, url, args.products))
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
