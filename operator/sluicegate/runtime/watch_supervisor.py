"""Supervisor of the watches: it restarts Kopf for the kinds that are served.

Kopf ends when one of its watches fails permanently (a 404, as the kind's definition was deleted)
and doesn't notice a kind that is installed later. So it is restarted, for the kinds that are
served, each time it ends and each time a missing kind is installed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable

from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import KubeError
from sluicegate.kube.resources import Resource

logger = logging.getLogger(__name__)

REQUEUE_SECONDS = 10.0
"""Seconds between two checks for a missing kind: less than the 30 s in which it must be watched again."""

PAUSE_SECONDS = 5.0


class Supervisor:
    """Supervisor that runs `watch` over the kinds that are served.

    `on_missing` is called with the kinds that aren't served: their objects don't exist any more.
    """

    def __init__(
        self,
        api: KubeApi,
        resources: Iterable[Resource],
        watch: Callable[[Collection[Resource]], Awaitable[None]],
        *,
        on_missing: Callable[[Resource], None],
        jitter: Callable[[], float],
    ) -> None:
        self._api = api
        self._resources = tuple(resources)
        self._watch = watch
        self._on_missing = on_missing
        self._jitter = jitter

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            served_resources = await self._served(self._resources)
            missing_resources = [
                watched_resource
                for watched_resource in self._resources
                if watched_resource not in served_resources
            ]
            for resource in missing_resources:
                logger.warning("%s is not served; waiting for it", resource.qualified)
                self._on_missing(resource)
            await self._watch_until_change(served_resources, missing_resources)
            await asyncio.sleep(PAUSE_SECONDS * self._jitter())

    async def _watch_until_change(
        self, served_resources: Collection[Resource], missing_resources: Collection[Resource]
    ) -> None:
        watch_task = asyncio.ensure_future(self._watch(served_resources))
        appearance_task = asyncio.ensure_future(self._appearance(missing_resources))
        try:
            await asyncio.wait({watch_task, appearance_task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await stop_task(appearance_task)
            error = await stop_task(watch_task)
        if error is not None:
            logger.warning("the watches ended and restart: %r", error)

    async def _appearance(self, missing_resources: Collection[Resource]) -> None:
        if not missing_resources:
            await asyncio.Event().wait()
        while not await self._served(missing_resources):  # noqa: ASYNC110  # the API server sends no event
            await asyncio.sleep(REQUEUE_SECONDS * (0.5 + self._jitter() / 2))
        logger.info("a kind that was missing is served")

    async def _served(self, resources: Collection[Resource]) -> list[Resource]:
        while True:
            try:
                return [resource for resource in resources if await self._api.served(resource)]
            except KubeError as error:
                logger.warning("the served kinds are unknown: %s", error)
                await asyncio.sleep(REQUEUE_SECONDS * (0.5 + self._jitter() / 2))


async def stop_task(task: asyncio.Future[None]) -> BaseException | None:
    """Cancel a task, wait for its end, and return its error, if any."""
    task.cancel()
    await asyncio.wait({task})
    return None if task.cancelled() else task.exception()
