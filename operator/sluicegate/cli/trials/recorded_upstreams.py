"""Releases of the products that a recorded product calls, as facts of the file.

Prometheus has no shares of another product's canary, so they are those in its status: of the stable
version, of the candidate, and of the versions that ended in the last week.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import Key
from sluicegate.policy.model.consumers import upstream_names
from sluicegate.policy.model.observed import UpstreamRelease
from sluicegate.reconcile.fleet.snapshot import releases_of


def release_facts(
    product: DataProduct, bodies: Iterable[Mapping[str, Any]], *, begin: int, now: int
) -> Iterator[dict[str, Any]]:
    """Yield the releases of upstreams after each change of a share, with the shares up to then.

    Parameters
    ----------
    bodies : documents of products with their status; those that the product doesn't call are left out.
    begin : time from which the file has blocks, and now; in seconds.
    """
    named, releases = upstream_names(product), list[UpstreamRelease]()
    for body in bodies:
        upstream = DataProduct.parse(body)
        key = Key(*upstream.metadata.key)
        if "/".join(key) in named:
            releases += releases_of(key, upstream.status, now)
    times = {time for release in releases for time, _ in release.shares}
    for moment in sorted({max(time, begin) for time in times}):
        present = [release for release in releases if release.begin <= moment]
        yield {"at": moment, "upstreamReleases": [_document(one, moment) for one in present]}


def _document(release: UpstreamRelease, moment: int) -> dict[str, Any]:
    shares = [{"at": time, "weight": share} for time, share in release.shares if time <= moment]
    document = {"product": release.product, "version": release.version, "shares": shares}
    return document | ({"origin": release.origin} if release.origin else {})
