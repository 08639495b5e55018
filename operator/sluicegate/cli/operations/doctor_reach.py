"""Connections of the operator's network: what `helm test` checks in a pod with the operator's settings."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from typing import Any, Final

from sluicegate.cli.inputs.cluster_access import kube_api
from sluicegate.cli.operations.doctor_cluster import NO_GATEWAY, programming_problem
from sluicegate.cli.operations.doctor_prometheus import NoAnswer, PrometheusReader
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import KubeError
from sluicegate.kube.resources import DATA_PRODUCTS, GATEWAYS, Key, Resource, key_of
from sluicegate.settings import Settings
from sluicegate.wiring import endpoint_of
from sluicegate_service.findings import Finding

CONNECT_SECONDS: Final = 5.0
"""Time for a connection to a Gateway's address."""

Body = dict[str, Any]


async def reach_findings(settings: Settings, prometheus_url: str = "") -> AsyncIterator[Finding]:
    """Yield a finding for each of API server, Prometheus and Gateways; a note where it answers.

    Parameters
    ----------
    prometheus_url : its address as seen from here; empty for that of the settings.
    """
    try:
        async with kube_api() as api:
            if not await api.served(DATA_PRODUCTS):
                yield Finding.error(
                    "CRD dataproducts.sluicegate.dev", "does not exist: install the chart"
                )
                return
            watched = settings.watch_namespaces
            products = [
                product
                for product in await _all(api, DATA_PRODUCTS, watched)
                if product["metadata"]["namespace"] not in settings.excluded_namespaces
            ]
            yield Finding.note("API server", f"answers: {len(products)} products can be listed")
            has_gateways = await api.served(GATEWAYS)
            gateways = await _all(api, GATEWAYS, watched) if has_gateways else []
    except KubeError as error:
        yield Finding.error("API server", f"does not answer this account as needed: {error}")
    else:
        if has_gateways:
            async for finding in _gateways(gateways, _routed(products), watched):
                yield finding
        else:
            yield Finding.warning(
                "Gateway API", "is not installed: products serve inside the cluster only"
            )
    yield await asyncio.to_thread(_prometheus, settings, prometheus_url)


async def _all(api: KubeApi, resource: Resource, namespaces: Iterable[str]) -> list[Body]:
    """Return the objects of the namespaces, or of all where none is given."""
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


def _prometheus(settings: Settings, url: str) -> Finding:
    if not (url or settings.prometheus_url):
        return Finding.warning(
            "Prometheus", "has no address: set settings.prometheusUrl of the chart, or --prometheus"
        )
    with PrometheusReader(endpoint_of(settings, url)) as reader:
        try:
            reader.rows("vector(1)")
        except NoAnswer as error:
            return Finding.error(f"Prometheus {reader.url}", f"does not answer: {error}")
        return Finding.note(f"Prometheus {reader.url}", "answers")


async def _gateways(
    gateways: list[Body], routed: set[Key], watched: Collection[str]
) -> AsyncIterator[Finding]:
    """Yield a finding for each Gateway, and for those of routes that this account can't read."""
    existing = {key_of(body) for body in gateways}
    for key in sorted(routed - existing):
        reason = (
            "does not exist, and a product's route names it"
            if not watched or key.namespace in watched
            else "is named by a product's route and was not checked: the account reads only Gateways of"
            " watchNamespaces"
        )
        yield Finding.warning(f"Gateway {key}", reason)
    if not gateways and not routed:
        yield NO_GATEWAY
    for body in gateways:
        yield await _gateway(body, is_routed=key_of(body) in routed)


async def _gateway(body: Body, *, is_routed: bool) -> Finding:
    """Return whether a Gateway is programmed and accepts connections; an error where products need it."""
    subject = f"Gateway {key_of(body)}"
    if problem := programming_problem(body):
        return (Finding.error if is_routed else Finding.warning)(subject, problem)
    sockets = list(_sockets(body))
    results = await asyncio.gather(*(_failure(*socket) for socket in sockets))
    if failures := [failure for failure in results if failure]:
        return Finding.warning(
            subject,
            f"is programmed, and does not accept connections from here: {', '.join(failures)}; clients"
            " outside may still reach it, and a NetworkPolicy may keep this pod from it",
        )
    if not sockets:
        return Finding.note(subject, "is programmed; its status has no address to connect to")
    places = ", ".join(_written(*socket) for socket in sockets)
    return Finding.note(subject, f"is programmed, and accepts connections at {places}")


def _sockets(body: Body) -> Iterator[tuple[str, int]]:
    """Yield host and port of each address and each listener that takes TCP connections."""
    listeners = body["spec"].get("listeners") or ()
    ports = {listener["port"] for listener in listeners if listener.get("protocol") != "UDP"}
    for address in (body.get("status") or {}).get("addresses") or ():
        for port in sorted(ports):
            yield address["value"], port


async def _failure(host: str, port: int) -> str:
    """Connect, and return the place with the error; empty where the connection was accepted."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"{_written(host, port)} (no answer in {CONNECT_SECONDS:g} s)"
    except (OSError, ValueError) as error:  # a hostname may be none
        return f"{_written(host, port)} ({error})"
    writer.close()
    return ""


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
