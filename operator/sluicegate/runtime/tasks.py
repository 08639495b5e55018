"""Background work that is restarted after any failure, and its waits."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from sluicegate.runtime.interfaces import Work

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0


async def restart_on_failure(name: str, work: Work) -> None:
    """Run `work` again each time it fails, so that a bug in one loop doesn't end the others."""
    while True:
        try:
            return await work()
        except Exception:
            logger.exception("a bug, please report it; %s continues in %.0f s", name, PAUSE_SECONDS)
            await asyncio.sleep(PAUSE_SECONDS)


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait until an event is set, for at most this many seconds; return whether it is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def end_tasks(tasks: Iterable[asyncio.Future[None]]) -> None:
    """Cancel tasks and wait until they have ended."""
    pending_tasks = list(tasks)
    for task in pending_tasks:
        task.cancel()
    if pending_tasks:
        await asyncio.wait(pending_tasks)
