"""The cluster's name and all that is derived from it.

Two checkouts on one machine must not meet: each has its own name, and from the name come the
network namespace, the link's names, the cgroup, the folders and the address ranges.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from cluster.cache import CACHE_VARIABLE, cache_folder, locked, write_atomically
from cluster.errors import ClusterError

CLUSTER_VARIABLE = "SLUICEGATE_CLUSTER"
CHECKOUT = Path(__file__).resolve().parent.parent
RUN_FOLDER = Path("/run/sluicegate")
# A claim is a file named by its block that holds the owner.
CLAIMS = RUN_FOLDER / "addresses"
# The second byte of 10.0.0.0/8; 100 clusters side by side.
FIRST_BLOCK, BLOCKS = 100, 100
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,28}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Identity:
    """A cluster's name and its paths; nothing here changes the machine."""

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ClusterError(
                f"{CLUSTER_VARIABLE} is {self.name!r}: a cluster's name has at most 30 lower-case "
                "letters, digits and dashes, and starts with a letter"
            )

    @property
    def digest(self) -> str:
        """8 hex digits, for names that must be short: a network link's has 15 characters."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:8]

    @property
    def namespace(self) -> str:
        """The network namespace."""
        return f"sluicegate-{self.name}"

    @property
    def host_link(self) -> str:
        """The host's end of the link to the node."""
        return f"sg{self.digest}h"

    @property
    def cgroup(self) -> str:
        """The cgroup above all pods, so that its end ends no other process."""
        return f"sluicegate-{self.name}"

    @property
    def state(self) -> Path:
        """What the cluster keeps on disk: etcd's data, images, certificates, logs."""
        return cache_folder() / "clusters" / self.name

    @property
    def run(self) -> Path:
        """Sockets, which need short paths, and mounts; empty after a restart of the machine."""
        return RUN_FOLDER / self.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"


def default_name(checkout: Path = CHECKOUT) -> str:
    """Return a name that two checkouts don't share: the folder's name and a hash of its path."""
    words = re.sub(r"[^a-z0-9]+", "-", checkout.name.lower()).strip("-")[:15].strip("-")
    prefix = words if words[:1].isalpha() else "cluster"
    return f"{prefix}-{hashlib.sha256(str(checkout).encode()).hexdigest()[:6]}"


def current_identity() -> Identity:
    """Return the cluster that commands act on: `SLUICEGATE_CLUSTER`, else derived from the checkout."""
    return Identity(os.environ.get(CLUSTER_VARIABLE) or default_name())


@dataclass(frozen=True, slots=True)
class Addresses:
    """The ranges of one cluster, all inside 10.`block`.0.0/16."""

    block: int

    @property
    def network(self) -> IPv4Network:
        """Everything: what the host routes to the node."""
        return IPv4Network(f"10.{self.block}.0.0/16")

    @property
    def pods(self) -> IPv4Network:
        """Pods of the one node."""
        return IPv4Network(f"10.{self.block}.0.0/17")

    @property
    def services(self) -> IPv4Network:
        """Virtual addresses of Services."""
        return IPv4Network(f"10.{self.block}.128.0/18")

    @property
    def link(self) -> IPv4Network:
        """The host and the node."""
        return IPv4Network(f"10.{self.block}.192.0/30")

    @property
    def host(self) -> IPv4Address:
        """The host as the node sees it."""
        return self.link[1]

    @property
    def node(self) -> IPv4Address:
        """The node: API server, DNS, and what runs beside them."""
        return self.link[2]

    @property
    def api_service(self) -> IPv4Address:
        """The Service `kubernetes`: always the first of the range."""
        return self.services[1]


def candidate_blocks(name: str) -> list[int]:
    """Return the blocks to try, the preferred one first: the same name gets the same addresses."""
    start = int(hashlib.sha256(name.encode()).hexdigest(), 16) % BLOCKS
    return [FIRST_BLOCK + (start + offset) % BLOCKS for offset in range(BLOCKS)]


def claim_addresses(identity: Identity, in_use: set[int]) -> Addresses:
    """Return the cluster's address block, claimed until `release_addresses`.

    `in_use` are blocks that this machine already routes elsewhere.

    Raises
    ------
    ClusterError
        A cluster of this name runs from another cache folder, or no block is free.
    """
    refuse_foreign(identity)
    with locked("addresses"):
        claims = _claims()
        for block, owner in claims.items():
            if owner == (identity.name, identity.state):
                return Addresses(block)
        free = [b for b in candidate_blocks(identity.name) if b not in claims and b not in in_use]
        if not free:
            raise ClusterError(
                f"all {BLOCKS} address ranges are taken (see {CLAIMS}): "
                "stop a cluster with `python -m cluster down`"
            )
        write_atomically(CLAIMS / str(free[0]), f"{identity.name} {identity.state}")
    return Addresses(free[0])


def refuse_foreign(identity: Identity) -> None:
    """Raise `ClusterError` if a cluster of this name runs from another cache folder.

    Its namespace and cgroup have the same names: to start or stop ours would end it.
    """
    for name, state in _claims().values():
        if name == identity.name and state != identity.state:
            raise ClusterError(
                f"a cluster {name} runs already, with its files in {state}: use that with "
                f"{CACHE_VARIABLE}={state.parent.parent}, or choose another name with "
                f"{CLUSTER_VARIABLE}"
            )


def claimed_addresses(identity: Identity) -> Addresses | None:
    """Return the block that is claimed for this cluster, if any."""
    own = (identity.name, identity.state)
    return next((Addresses(block) for block, owner in _claims().items() if owner == own), None)


def release_addresses(identity: Identity) -> None:
    """Release the cluster's address block."""
    addresses = claimed_addresses(identity)
    if addresses:
        (CLAIMS / str(addresses.block)).unlink(missing_ok=True)


def _claims() -> dict[int, tuple[str, Path]]:
    """Return the claimed blocks with their owners' names and state folders.

    A claim without a state folder has no owner that could release it.
    """
    claims = {}
    for path in CLAIMS.glob("[0-9]*"):
        name, _, state = path.read_text().partition(" ")
        if Path(state).exists():
            claims[int(path.name)] = (name, Path(state))
    return claims
