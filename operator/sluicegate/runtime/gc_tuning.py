"""When cyclic garbage is looked for: what lives long isn't searched every few seconds.

Python's collector goes through all objects each time their number has grown by a quarter, and
while thousands of products appear that is every second or two: at 500 products a pass took 0.1 to
0.25 s, a fifth of all CPU time, stopped the event loop as long, and found some 200 objects. Almost
all that the operator keeps, it keeps in trees, which need no collector. So the young generations
are collected as usual, and all objects the more seldom the longer it takes.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Final

THRESHOLDS: Final = (10_000, 10, 1_000_000)
"""New objects, collections of the youngest, and of the middle generation before the next older is
collected too; the last is never reached."""

SHARE: Final = 0.002
"""Of the time that passes through all objects may take: they stop the event loop."""

LEAST_SECONDS: Final = 10.0
"""With few products a pass takes 15 ms; every two seconds it was most of what an idle operator did."""


async def collect_seldom(least_seconds: float = LEAST_SECONDS) -> None:
    """Go through all objects now and then, for ever, and never in between.

    What exists at the start, modules and settings mostly, stays for good and isn't reconciled.
    """
    gc.set_threshold(*THRESHOLDS)
    gc.collect()
    gc.freeze()
    taken = 0.0
    while True:
        await asyncio.sleep(max(taken / SHARE, least_seconds))
        begun = time.monotonic()
        gc.collect()
        taken = time.monotonic() - begun
