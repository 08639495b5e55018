"""The network namespace of the node, and its one link to the host.

The namespace has a route to the host and nothing else: no default route, so whatever runs inside
can't reach a network outside, and no outside network can reach in.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.commands import run, succeeds
from cluster.errors import ClusterError

if TYPE_CHECKING:
    from cluster.identity import Addresses, Identity

NAMESPACES = Path("/run/netns")
NODE_DEVICE = "eth0"


@dataclass(frozen=True, slots=True)
class Network:
    """The namespace of one cluster."""

    identity: Identity
    addresses: Addresses

    @property
    def prefix(self) -> tuple[str, ...]:
        """Goes before a command to run it inside.

        Not `ip netns exec`: that mounts a new /sys, in which the kubelet finds no cgroups.
        """
        return ("nsenter", f"--net={NAMESPACES / self.identity.namespace}", "--")

    def ensure(self) -> None:
        """Make what is missing of the namespace, the link and the routes."""
        if self.is_complete():
            return
        self.remove()
        name, addresses = self.identity, self.addresses
        run("ip", "netns", "add", name.namespace)
        run(
            *("ip", "link", "add", name.host_link, "type", "veth"),
            *("peer", "name", NODE_DEVICE, "netns", name.namespace),
        )
        run(
            "ip",
            "address",
            "add",
            f"{addresses.host}/{addresses.link.prefixlen}",
            "dev",
            name.host_link,
        )
        run("ip", "link", "set", name.host_link, "up")
        self._inside("ip", "link", "set", "lo", "up")
        self._inside(
            "ip",
            "address",
            "add",
            f"{addresses.node}/{addresses.link.prefixlen}",
            "dev",
            NODE_DEVICE,
        )
        self._inside("ip", "link", "set", NODE_DEVICE, "up")
        self._inside("sysctl", "-qw", "net.ipv4.ip_forward=1")
        run(
            "ip",
            "route",
            "add",
            str(addresses.network),
            "via",
            str(addresses.node),
            "dev",
            name.host_link,
        )

    def is_complete(self) -> bool:
        """Return whether an earlier start created the host's route, its last step."""
        return succeeds(*self.prefix, "ip", "address", "show", NODE_DEVICE) and bool(
            run("ip", "route", "show", str(self.addresses.network)).strip()
        )

    def remove(self) -> None:
        """Delete the namespace; the link and the host's routes go with it."""
        remove_namespace(self.identity)

    def _inside(self, *command: str) -> None:
        run(*self.prefix, *command)


def remove_namespace(identity: Identity) -> None:
    """Delete what there is of a cluster's namespace and link."""
    # A namespace lives on while a process is in it; the link has to go by itself then.
    with suppress(ClusterError):
        run("ip", "link", "delete", identity.host_link)
    with suppress(ClusterError):
        run("ip", "netns", "delete", identity.namespace)


def namespace_exists(identity: Identity) -> bool:
    """Return whether the network namespace exists, complete or not."""
    return (NAMESPACES / identity.namespace).exists()


def blocks_in_use() -> set[int]:
    """Return the second bytes of the networks 10.x that this machine routes."""
    routes = json.loads(run("ip", "-json", "route", "show", "table", "all", "type", "unicast"))
    return overlapping_blocks([route["dst"] for route in routes])


def overlapping_blocks(destinations: list[str]) -> set[int]:
    """Return the blocks 10.x.0.0/16 that overlap with any of the routed networks."""
    blocks: set[int] = set()
    for destination in destinations:
        if destination == "default" or ":" in destination:
            continue
        network = IPv4Network(destination, strict=False)
        blocks |= {b for b in range(256) if network.overlaps(IPv4Network(f"10.{b}.0.0/16"))}
    return blocks
