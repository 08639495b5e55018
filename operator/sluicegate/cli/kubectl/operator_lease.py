"""Whether the operators of some products still renew their Leases: without one, what is shown is old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sluicegate.cli.printing.terminal import print_progress
from sluicegate.kube.errors import Forbidden, KubeError, NotFound
from sluicegate.kube.resources import LEASES, Key
from sluicegate.views.operator_lease import AbandonedLease, abandoned, leases_of
from sluicegate.views.plain_text import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sluicegate.kube.direct_client import DirectClient
    from sluicegate.views.operator_lease import LeaseKey


def warn_of_abandoned_leases(client: DirectClient, products: Iterable[dict[str, Any]]) -> None:
    """Print a warning for each operator of the products that renews its Lease no more.

    A Lease that can't be read causes no warning: few may read the operator's namespace.
    """
    for key in leases_of(products):
        try:
            lease = _read(client, key)
        except KubeError:
            continue
        if lease is not None:
            text = f"the {lease.operator} {lease.problem}: what is shown is {'as of then' if lease.renewed else 'old'}; check its pods"
            print_progress(clean_text(f"Warning: {text}"))


def absence_of_operator(client: DirectClient, product: dict[str, Any]) -> str:
    """Return why the operator of a product may not answer, for a wait that timed out; empty if it leads."""
    for key in leases_of([product]):
        try:
            lease = _read(client, key)
        except Forbidden:
            name = "/".join(key)
            return (
                f"whether the operator runs isn't known: the verb get on the Lease {name} is needed"
            )
        except KubeError:
            return ""
        return f"the {lease.operator} {lease.problem}: check its pods" if lease else ""
    return "no operator has written its status yet: `sluicegate doctor` checks the installation"


def _read(client: DirectClient, key: LeaseKey) -> AbandonedLease | None:
    """Return the Lease if it is abandoned; a KubeError where it can't be read."""
    try:
        lease = client.get(LEASES, Key(*key))
    except NotFound:
        return AbandonedLease(key, None)
    return abandoned(key, lease, client.server_time)
