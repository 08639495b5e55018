"""Connections of the operator's network: what `helm test` checks in a pod with the operator's settings."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Final

from sluicegate.cli.inputs.cluster_access import kube_api
from sluicegate.cli.operations.doctor_prometheus import NoAnswer, PrometheusReader
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import KubeError
from sluicegate.kube.resources import DATA_PRODUCTS, GATEWAYS, Key, Resource
from sluicegate.settings import Settings
from sluicegate.wiring import endpoint_of
from sluicegate_service.findings import Finding

CONNECT_SECONDS: Final = 5.0
"""Time for a connection to a Gateway's address."""

Body = dict[str, Any]


async def reach_findings(settings: Settings) -> AsyncIterator[Finding]:
    """Yield a finding for each of API server, Prometheus and Gateways; a note where it answers."""
    try:
        async with kube_api() as api:
            products = await _all(api, DATA_PRODUCTS, settings.watch_namespaces)
            yield Finding.note("API server", f"answers: {len(products)} products can be listed")
            gateways = await _all(api, GATEWAYS, settings.watch_namespaces)
    except KubeError as error:
        yield Finding.error("API server", f"does not answer this account as needed: {error}")
    else:
        async for finding in _gateways(gateways, _routed(products)):
            yield finding
    yield await asyncio.to_thread(_prometheus, settings)


async def _all(api: KubeApi, resource: Resource, namespaces: Iterable[str]) -> list[Body]:
    """Return the objects of the namespaces, or of all where none is given; none if it isn't served."""
    if not await api.served(resource):
        return []
    return [
        item
        for namespace in tuple(namespaces) or ("",)
        async for page in api.pages(resource, namespace=namespace)
        for item in page.items
    ]


def _routed(products: Iterable[Body]) -> set[Key]:
    """Return the Gateways that products' routes name."""
    return {
        Key(parent.get("namespace") or product["metadata"]["namespace"], parent["name"])
        for product in products
        for parent in (product["spec"].get("route") or {}).get("parentRefs", ())
    }


def _prometheus(settings: Settings) -> Finding:
    if not settings.prometheus_url:
        return Finding.warning(
            "Prometheus", "has no address: set settings.prometheusUrl of the chart"
        )
    with PrometheusReader(endpoint_of(settings)) as reader:
        try:
            reader.rows("vector(1)")
        except NoAnswer as error:
            return Finding.error(f"Prometheus {reader.url}", f"does not answer: {error}")
        return Finding.note(f"Prometheus {reader.url}", "answers")


async def _gateways(gateways: list[Body], routed: set[Key]) -> AsyncIterator[Finding]:
    existing = {Key(body["metadata"]["namespace"], body["metadata"]["name"]) for body in gateways}
    for key in sorted(routed - existing):
        yield Finding.warning(
            f"Gateway {key}", "is named by a product's route, and this account can't find it"
        )
    if not gateways and not routed:
        yield Finding.warning(
            "Gateway", "there is none: make one for spec.route.parentRefs to name"
        )
    for body in gateways:
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        yield await _gateway(key, body, is_routed=key in routed)


async def _gateway(key: Key, body: Body, *, is_routed: bool) -> Finding:
    """Return whether a Gateway is programmed and accepts connections; an error where products need it."""
    where = f"Gateway {key}"
    conditions = {one["type"]: one for one in body.get("status", {}).get("conditions", ())}
    programmed = conditions.get("Programmed", {})
    if programmed.get("status") != "True":
        reason = programmed.get("message") or "no controller has reported on it"
        report = Finding.error if is_routed else Finding.warning
        return report(where, f"isn't programmed ({reason}): its routes serve no requests")
    failures = []
    for host, port in _sockets(body):
        try:
            await asyncio.wait_for(_connect(host, port), CONNECT_SECONDS)
        except TimeoutError:
            failures.append(f"{host}:{port} (no answer in {CONNECT_SECONDS:g} s)")
        except OSError as error:
            failures.append(f"{host}:{port} ({error})")
        else:
            return Finding.note(where, f"is programmed, and accepts connections at {host}:{port}")
    if failures:
        return Finding.warning(
            where,
            f"is programmed, and does not accept connections from here: {', '.join(failures)};"
            " clients outside the cluster may still reach it",
        )
    return Finding.note(where, "is programmed; its status has no address to connect to")


def _sockets(body: Body) -> Iterator[tuple[str, int]]:
    """Yield host and port of each address and listener."""
    for address in body.get("status", {}).get("addresses", ()):
        for port in sorted({listener["port"] for listener in body["spec"].get("listeners", ())}):
            yield address["value"], port


async def _connect(host: str, port: int) -> None:
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
