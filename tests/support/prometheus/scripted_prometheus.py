"""What versions really did, from which moment on, and a Prometheus in a thread that serves it."""

from __future__ import annotations

import asyncio
import threading
import time
from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

from tests.support.prometheus.measured_world import ProductBlocks, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.prometheus_stand_in import PrometheusStandIn, Row

SCRAPE_SECONDS = 1
SETTLE_SECONDS = 1


@dataclass
class Truth:
    """The rows of a Prometheus that scrapes each second; a test changes them between queries.

    `early` lists the ends of blocks that were asked for before they were complete.
    """

    early: list[float] = field(default_factory=list)
    _shown: dict[tuple[str, str], list[tuple[float, ProductBlocks]]] = field(default_factory=dict)

    def show(self, measured: ProductBlocks, *, since: float = 0.0) -> None:
        """Set the rates of a version from a time on, in seconds since 1970."""
        self._shown.setdefault((measured.product, measured.version), []).append((since, measured))

    def at(self, moment: float) -> World:
        """Return the rates at a time."""
        started = [
            rows[bisect_right(rows, moment, key=lambda row: row[0]) - 1]
            for rows in self._shown.values()
            if rows[0][0] <= moment
        ]
        return World([measured for _, measured in started], scrape_seconds=SCRAPE_SECONDS)

    def __call__(self, kind: str, indexes: range, step: int) -> Iterator[Row]:
        if kind == "retention":
            return  # about this moment, not about a block; this Prometheus doesn't scrape itself
        newest = indexes[-1] * step
        if newest + SCRAPE_SECONDS + SETTLE_SECONDS > time.time():
            self.early.append(newest)
        for start, end in pairwise(self._borders(indexes, step)):
            yield from self.at(start * step)(kind, range(start, end), step)

    def _borders(self, indexes: range, step: int) -> list[int]:
        """Return the starts of blocks, the times of changes and the end of the past."""
        end = min(indexes.stop, int(time.time()) // step + 1)
        changes = {ceil(since / step) for rows in self._shown.values() for since, _ in rows}
        if end <= indexes.start:
            return []
        return sorted({indexes.start, end, *(c for c in changes if indexes.start < c < end)})


@contextmanager
def hosted(server: PrometheusStandIn) -> Iterator[PrometheusStandIn]:
    """Yield the server for the length of a block, in a thread with an event loop of its own."""
    listening, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with server:
            listening.set()
            await asyncio.to_thread(over.wait)

    # asyncio.run also ends the answers that hang.
    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="prometheus")
    thread.start()
    try:
        assert listening.wait(30), "the stand-in doesn't listen"
        yield server
    finally:
        over.set()
        thread.join()
