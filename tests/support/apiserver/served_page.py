"""The portfolio page over a real API server, as an account of the chart."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

from sluicegate.kube.client import KubeApi
from sluicegate.kube.connections import Connections
from sluicegate.kube.credentials import login
from sluicegate.kube.transport import Transport
from sluicegate.runtime.write_fence import OpenGate
from sluicegate.web.installation import ClusterSource, Writes
from sluicegate.web.server import serve_page
from tests.support.apiserver.people import chart
from tests.support.failures.replicas import apply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import pytest

    from cluster.controlplane import ControlPlane
    from sluicegate.web.identity import ReaderLogin


@asynccontextmanager
async def cluster_as(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, user: str
) -> AsyncIterator[tuple[Connections, Transport]]:
    """Yield requests to the API server as this user."""
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig_for(user)))
    connections = Connections(login)
    transport = Transport(connections)
    try:
        yield connections, transport
    finally:
        await transport.close()


def account_of(release: str) -> str:
    """Return the user name of the page's service account."""
    return f"system:serviceaccount:sluicegate-system:{release}-web"


def install_account(plane: ControlPlane, release: str, *values: str) -> list[dict[str, Any]]:
    """Apply the chart's permissions of the page's account, which has a certificate here."""
    items = [
        one
        for one in chart(release, "web.enabled=true", *values)
        if one["metadata"]["name"].startswith(f"{release}-web") and "Role" in one["kind"]
    ]
    for item in items:
        if "subjects" in item:
            group = {"apiGroup": "rbac.authorization.k8s.io"}
            item["subjects"] = [{"kind": "User", "name": account_of(release)} | group]
    namespaces = {
        item["metadata"]["namespace"] for item in items if "namespace" in item["metadata"]
    }
    apply(
        plane,
        *(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            for name in namespaces
        ),
    )
    apply(plane, *items)
    return items


@asynccontextmanager
async def served_page(
    plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    account: str,
    login_of: Callable[[Transport], ReaderLogin],
    *,
    namespaces: tuple[str, ...] = (),
    signing: bool = False,
    acting: bool = False,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client of the page, after its first lists."""
    async with cluster_as(plane, monkeypatch, account) as (connections, transport):
        api = KubeApi(transport, OpenGate(), field_manager="test")
        source = ClusterSource(api, connections, transport, namespaces)
        async with (
            serve_page(
                source,
                login_of(transport),
                host="127.0.0.1",
                port=0,
                writes=Writes(signing=signing, acting=acting),
            ) as port,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
        ):

            async def ready() -> bool:
                return (await client.get("/readyz")).status == 200

            await until(ready)
            yield client


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once it holds; the test's own timeout is for what never does."""
    while not await holds():  # noqa: ASYNC110 - it is over HTTP
        await asyncio.sleep(0.05)
