"""What an installation of the page reads of the cluster, and what it lets readers write."""

import time
from dataclasses import dataclass
from typing import Final

from sluicegate.kube.client import KubeApi
from sluicegate.kube.follow import Follower, Lines
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, DATA_PRODUCTS
from sluicegate.kube.transport import Transport
from sluicegate.web.acting import Acting
from sluicegate.web.impersonation import RecentLogin
from sluicegate.web.signing import Signing
from sluicegate.web.store import Store


@dataclass(frozen=True, slots=True)
class Writes:
    """What an installation lets readers write; nothing by default."""

    signing: bool = False
    acting: bool = False
    login_seconds: int = 0
    """Greatest age of a login that moves traffic; 0 for any."""
    login_url: str = ""
    """Address at which readers log in again."""


@dataclass(frozen=True, slots=True)
class ClusterSource:
    """Connection to the API server, for objects, watches and reviews of readers."""

    api: KubeApi
    wire: Lines
    transport: Transport
    namespaces: tuple[str, ...] = ()
    """Namespaces that are read; all if empty."""

    def followers(self, store: Store) -> list[Follower]:
        """Return the loops that keep a store equal to the cluster."""
        return [
            Follower(self.api, self.wire, resource, sink, namespace=namespace)
            for namespace in self.namespaces or ("",)
            for resource, sink in (
                (DATA_PRODUCTS, store.products),
                (DATA_PRODUCT_REVIEWS, store.reviews),
            )
        ]


@dataclass(frozen=True, slots=True)
class Writers:
    """Senders of what readers write; None for what they may not."""

    signing: Signing | None = None
    acting: Acting | None = None


READ_ONLY: Final = Writes()
WITHOUT_WRITERS: Final = Writers()


def writers_of(transport: Transport, writes: Writes) -> Writers:
    """Return the senders; the account of `transport` must be allowed to impersonate readers for them."""
    login_limit = RecentLogin(writes.login_seconds, writes.login_url)
    return Writers(
        signing=Signing(transport, time.time) if writes.signing else None,
        acting=Acting(transport, time.time, time.monotonic, login_limit) if writes.acting else None,
    )
