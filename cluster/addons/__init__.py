"""What a cluster has beside Kubernetes: a registry, a gateway and Prometheus, as pods.

They are the same on any backend: pods reach them by their Services, and this machine by a port
each, which the backend knows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cluster.addons.addon import Addon, AddonError, ensure, installed
from cluster.addons.addresses import Addresses, addresses
from cluster.addons.gateway import gateway
from cluster.addons.metrics_server import metrics_server
from cluster.addons.options import Options
from cluster.addons.prometheus import prometheus
from cluster.addons.registry import registry
from cluster.cache import locked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cluster.backend import Backend

__all__ = [
    "AddonError",
    "Addresses",
    "Options",
    "add_metrics_server",
    "addresses",
    "describe",
    "up",
]


def up(backend: Backend, options: Options | None = None) -> bool:
    """Install what isn't there as it should be; False if nothing had to be done.

    All start at once, and each is waited for until it answers from the host. Two that ask for the
    same cluster's take turns.

    Raises
    ------
    AddonError
        One didn't become ready; the message has its events.
    """
    chosen = options or Options.from_environment()
    reached = addresses(backend)
    makers = {"registry": registry, "traefik": gateway, "prometheus": prometheus}
    with locked(f"addons-{backend.identity.name}"), ThreadPoolExecutor(len(makers)) as pool:
        states = installed(backend)
        images = pool.map(backend.provide_image, makers)
        addons: list[Addon] = [
            make(reached, chosen, image)
            for make, image in zip(makers.values(), images, strict=True)
        ]
        changed = list(pool.map(lambda addon: ensure(backend, addon, states), addons))
    return any(changed)


def add_metrics_server(backend: Backend) -> bool:
    """Install the metrics server, which autoscalers read; return False if it was installed.

    It isn't among what `up` installs: it takes minutes to build once, and most have no use for it.

    Raises
    ------
    AddonError
        It didn't become ready; the message has its events.
    """
    with locked(f"addons-{backend.identity.name}"):
        image = backend.provide_image("metrics-server")
        addon = metrics_server(addresses(backend), Options.from_environment(), image)
        return ensure(backend, addon, installed(backend))


def describe(backend: Backend) -> Iterable[str]:
    """Yield a line with the address of each add-on."""
    reached = addresses(backend)
    yield f"registry    {reached.registry}   (sluicegate pack --plain-http BENTO {reached.registry}/NAME)"
    yield f"            {reached.registry_in_pods} in pods, which push trained versions there"
    yield f"gateway     {reached.gateway}   (parentRefs: name: web, namespace: gateway)"
    yield f"prometheus  {reached.prometheus}   (in pods: {reached.prometheus_in_pods})"
