"""Access to the API server of the kubeconfig, as its user, for a few objects."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sluicegate.cli.inputs.access_options import selection
from sluicegate.kube.client import KubeApi
from sluicegate.kube.connections import Connections
from sluicegate.kube.credentials import login_of
from sluicegate.kube.kubeconfig import check_kubeconfig
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.kube.transport import Transport
from sluicegate.runtime.write_fence import OpenGate


@asynccontextmanager
async def transport() -> AsyncIterator[Transport]:
    """Yield a transport to the API server; its connections are closed at the end.

    Raises
    ------
    InvalidInput
        A file of the kubeconfig or its context is missing or wrong.
    """
    check_kubeconfig(selection(), os.environ)
    opened_transport = Transport(Connections(login_of(selection())))
    try:
        yield opened_transport
    finally:
        await opened_transport.close()


@asynccontextmanager
async def kube_api(field_manager: str = "") -> AsyncIterator[KubeApi]:
    """Yield a client of the API server; `field_manager` is that of its writes."""
    async with transport() as opened_transport:
        yield KubeApi(opened_transport, OpenGate(), field_manager=field_manager)


async def product_of(key: Key) -> dict[str, Any]:
    """Read a product from the API server. Raises KubeError."""
    async with kube_api() as api:
        return await api.get(DATA_PRODUCTS, key)
