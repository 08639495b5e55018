"""Layouts of graphs, each computed by a process of its own with limits.

A reader decides which graph the page draws, and tenants decide what is in it. So neither the time
nor the memory of a layout is the page's.
"""

import asyncio
import json
import sys
import time
from typing import Final
from weakref import WeakValueDictionary

from sluicegate.web.layered_layout import CPU_SECONDS, MEMORY_MIB, Edges, Layout
from sluicegate.web.ttl_cache import TtlCache

MAX_PRODUCTS: Final = 600
MAX_CALLS: Final = 1500
"""Most products and calls of a picture; the table, JSON and CSV have all."""
TIMEOUT_SECONDS: Final = 10.0
"""Time that a reader waits for a layout."""
_PROCESSES: Final = 2
_CACHE_SIZE: Final = 32
_CACHE_SECONDS: Final = 300.0


class NotDrawnError(Exception):
    """There is no picture of a graph; the text is a sentence for the reader."""


class LayoutProcesses:
    """Computes layouts in processes, at most two at a time and one per reader."""

    def __init__(self) -> None:
        self._free_processes = asyncio.Semaphore(_PROCESSES)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._cache: TtlCache[tuple[Edges, int], Layout | NotDrawnError] = TtlCache(
            _CACHE_SIZE, _CACHE_SECONDS, time.monotonic
        )

    async def layout(self, reader: str, edges: Edges, products: int) -> Layout:
        """Return the layout of a graph.

        Parameters
        ----------
        reader : the user who reads the page.
        edges, products : calls between products that are numbered from 0.

        Raises
        ------
        NotDrawnError
            The graph is too large or takes too long, or other pictures are computed.
        """
        if products > MAX_PRODUCTS or len(edges) > MAX_CALLS:
            raise NotDrawnError(
                f"The picture has at most {MAX_PRODUCTS:,} products and {MAX_CALLS:,} calls, and this"
                f" graph has {products:,} and {len(edges):,}: open the graph of one product from its"
                " page."
            )
        outcome = self._cache.peek((edges, products))
        if outcome is None:
            reader_lock = self._turns.setdefault(reader, asyncio.Lock())
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS), reader_lock:
                    outcome = await self._cache.get(
                        (edges, products), lambda: self._compute_layout(edges, products)
                    )
            except TimeoutError:
                raise NotDrawnError(
                    f"No picture within {TIMEOUT_SECONDS:.0f} s: the page computes others now. Load it"
                    " again in a minute."
                ) from None
        if isinstance(outcome, NotDrawnError):
            raise outcome
        return outcome

    async def _compute_layout(self, edges: Edges, products: int) -> Layout | NotDrawnError:
        async with self._free_processes:
            output = await _run_program(json.dumps({"edges": edges, "products": products}).encode())
        if output:
            return Layout.parse(output)
        return NotDrawnError(
            f"The layout of {products:,} products and {len(edges):,} calls takes more than"
            f" {CPU_SECONDS} s of processor time or {MEMORY_MIB} MiB, so there is no picture."
        )


async def _run_program(graph: bytes) -> bytes:
    """Return the answer of the program; empty when one of its limits ended it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sluicegate.web.layered_layout",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate(graph)
    return b"" if process.returncode else output
