"""Reads an object again when a write lost against another: its watch may be late, or have broken."""

import contextlib
from collections.abc import AsyncIterator

from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import Conflict, NotFound
from sluicegate.kube.resources import Key, Resource
from sluicegate.runtime.cache import Caches


@contextlib.asynccontextmanager
async def reread_after_conflict(
    api: KubeApi, caches: Caches, resource: Resource, key: Key
) -> AsyncIterator[None]:
    """Read an object again after a Conflict, update its cache, and raise the Conflict."""
    try:
        yield
    except Conflict:
        with contextlib.suppress(NotFound):  # gone: only the watch says since when
            caches.written(resource, await api.get(resource, key))
        raise
