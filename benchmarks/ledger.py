"""Cost of the ledgers of thousands of products: `python -m benchmarks.ledger --products 5000`.

A real etcd and API server hold a review of a nearly ended month for each product. The operator
starts, and a day passes on a simulated clock, with each of its rounds; then all reviews wait for
signatures. A Prometheus with given answers runs in a process of its own. The figures are this
process' processor time and memory, which are the operator's, its writes by hour, and the bytes in
etcd: other load on the machine doesn't change them. Each phase is reported at its end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
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
    days_from,
    month_so_far,
    queried_products,
    rows_of,
    subject,
)
from benchmarks.prometheus_stand_in import PrometheusStandIn
from cluster.controlplane import ControlPlane, Options
from cluster.kinds import install_crds
from sluicegate.cli.inputs.cluster_access import transport
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import Conflict, Transient
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, Key
from sluicegate.reviews.journal import DAY_SECONDS, LATE_DAYS
from sluicegate.reviews.ledger_writer import seal_review
from sluicegate.reviews.periods import period_at
from sluicegate.reviews.schedule import READS_PER_SECOND, ROUND_SECONDS, SIGNED_SECONDS, Reviews
from sluicegate.reviews.store import ReviewStore, review_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from benchmarks.prometheus_stand_in import Row
    from sluicegate.reviews.day_reader import DayReader
    from sluicegate.reviews.subject import ReviewSubject

T = TypeVar("T")

AT_ONCE: Final = 4
MONTHS: Final = 12
RESTART_HOURS: Final = 2
"""Hours before the measured day at which the operator starts, and reads each open review."""
ANSWERS: Final = "answers"


class Counting:
    """A gate that admits each write, and counts it by the hour of the simulated clock."""

    def __init__(self) -> None:
        """Start without writes."""
        self.now = 0.0
        self.hours: Counter[int] = Counter()

    async def admit(self) -> None:
        """Count a write."""
        self.hours[int(self.now // 3600)] += 1


# ---- Prometheus, in a process of its own -------------------------------------------------------
async def answer() -> None:
    """Print the address of the stand-in, and answer until standard input ends."""
    server = PrometheusStandIn(lambda *_: ())

    def rows(kind: str, indexes: range, step: int) -> Iterator[Row]:
        return rows_of(kind, indexes, step, queried_products(server.forms[-1]["query"]))

    server.rows = rows
    async with server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def prometheus() -> Iterator[str]:
    """Run the stand-in for the duration of the block; yield its URL."""
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
    """Fill the ledgers, start, simulate a day, and wait for signatures; return the cost of each phase."""
    gate, began = Counting(), TODAY.timestamp()
    subjects = [subject(number) for number in range(count)]
    figures: dict[str, Any] = {}

    def report(name: str, figures_of_phase: object) -> None:
        figures[name] = figures_of_phase
        sys.stderr.write(f"{name}: {json.dumps(figures_of_phase)}\n")

    report("products", count)
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(transport())
        store = ReviewStore(KubeApi(opened, gate, field_manager="sluicegate"))
        await fill(store, subjects, began - DAY_SECONDS)
        report("memoryMiBBefore", max_memory())
        reader = await stack.enter_async_context(days_from(url))
        reviews = watching(store, gate)
        gate.now = began - RESTART_HOURS * 3600  # all ended days are in the ledgers
        for subject_ in subjects:
            reviews.update_subject(subject_.key, subject_)
        report("restart", await passed(reviews, reader, gate, hours=RESTART_HOURS))
        report("day", await passed(reviews, reader, gate, hours=24))
        report("memoryMiB", max_memory())
        size = stored_bytes(plane, subjects[0])
        report("bytesOfAReview", size)
        report("etcdMiBAYear", MONTHS * count * size / 2**20)
        report("waiting", await wait_for_signatures(store, reader, gate, subjects))
    report("etcdMiB", etcd_bytes(plane) / 2**20)
    return figures


def watching(store: ReviewStore, gate: Counting) -> Reviews:
    """Return the operator's review loop, as after a start."""
    return Reviews(
        store,
        wall_clock=lambda: gate.now,
        product_exists=lambda *_: True,
        emit_state=lambda *_: None,
        emit_misconfigured=lambda _, text: sys.exit(text),
        requeue=lambda _: None,
    )


async def fill(store: ReviewStore, subjects: list[ReviewSubject], now: float) -> None:
    """Create each product's review, with the month so far in it."""
    period = period_at(subjects[0].cycle, MONTH.timestamp())
    assert period is not None

    async def one(subject: ReviewSubject) -> None:
        review = await store.open(subject, review_key(subject.key, period), period)
        assert review is not None
        await store.record(review, month_so_far(subject, period, now))

    await some_at_once(one, subjects)


async def some_at_once(act: Callable[[T], Awaitable[None]], items: Iterable[T]) -> None:
    """Apply an action to all, a few at a time; repeat it without an answer, as on a busy machine."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> None:
        async with slots:
            while True:
                try:
                    await act(item)
                except (Conflict, Transient):  # a write without an answer may have been made
                    await asyncio.sleep(1.0)
                else:
                    return

    async with asyncio.TaskGroup() as group:
        for subject in items:
            group.create_task(one(subject))


async def passed(
    reviews: Reviews, reader: DayReader, gate: Counting, *, hours: int
) -> dict[str, Any]:
    """Simulate hours in rounds of the operator; return their cost."""
    gate.hours.clear()
    begin, wall, cpu = gate.now, time.monotonic(), time.process_time()
    while gate.now < begin + hours * 3600:
        await reviews.run_once(reader)
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


async def wait_for_signatures(
    store: ReviewStore, reader: DayReader, gate: Counting, subjects: list[ReviewSubject]
) -> dict[str, Any]:
    """Seal all reviews, and return the cost of waiting for their signatures."""
    gate.now += LATE_DAYS * DAY_SECONDS
    period = period_at(subjects[0].cycle, MONTH.timestamp())
    assert period is not None

    async def one(subject: ReviewSubject) -> None:
        review = await store.read(review_key(subject.key, period))
        assert review is not None
        await seal_review(store, review, gate.now, seal_reason="PeriodOver")

    await some_at_once(one, subjects)
    reviews, every = watching(store, gate), max(SIGNED_SECONDS, len(subjects) / READS_PER_SECOND)
    reviews.begin()

    async def look() -> dict[str, Any]:
        gate.hours.clear()
        cpu, begin = time.process_time(), gate.now
        await reviews.run_once(reader)
        spent, gate.now = time.process_time() - cpu, begin + every
        writes = sum(gate.hours.values())
        return {"cpuSeconds": spent, "shareOfACore": spent / every, "writes": writes}

    return {
        "everySeconds": every,
        "start": await look(),
        "later": await look(),
        "reviews": len(reviews.overview.waiting),
    }


def max_memory() -> float:
    """Return the peak memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stored_bytes(plane: ControlPlane, subject: ReviewSubject) -> int:
    """Return the bytes of a product's review in etcd, with managed fields."""
    period = period_at(subject.cycle, MONTH.timestamp())
    assert period is not None
    path = DATA_PRODUCT_REVIEWS.path(*review_key(Key(*subject.key), period))
    return len(plane.kubectl("get", "--raw", path))


def etcd_bytes(plane: ControlPlane) -> int:
    """Return the bytes of etcd's database on the disk."""
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
