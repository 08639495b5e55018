"""The API server that the kubeconfig names, as a command asks it: as that user, for a few objects."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sluicegate.kube.client import KubeApi
from sluicegate.kube.connections import Connections
from sluicegate.kube.credentials import login
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.kube.transport import Transport
from sluicegate.runtime.write_fence import OpenGate


@asynccontextmanager
async def transport() -> AsyncIterator[Transport]:
    """Requests to it; its connections are closed in the end."""
    opened = Transport(Connections(login))
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def kube_api(field_manager: str = "") -> AsyncIterator[KubeApi]:
    """Its objects; `field_manager` is the name that writes have, if there are any."""
    async with transport() as opened:
        yield KubeApi(opened, OpenGate(), field_manager=field_manager)


async def product_of(key: Key) -> dict[str, Any]:
    """The product as the API server has it. Raises KubeError."""
    async with kube_api() as api:
        return await api.get(DATA_PRODUCTS, key)
