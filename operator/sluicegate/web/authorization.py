"""Permissions of a reader, by SubjectAccessReviews with all groups."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sluicegate.api import names
from sluicegate.kube import requests
from sluicegate.kube.errors import KubeError
from sluicegate.kube.resources import SUBJECT_ACCESS_REVIEWS
from sluicegate.kube.transport import Transport
from sluicegate.web.identity import CACHE_SECONDS, UNAVAILABLE, AccessRefused, PageReader
from sluicegate.web.ttl_cache import TtlCache

MAX_READERS: Final = 200
MAX_CONCURRENT_REVIEWS: Final = 8
"""Most reviews in flight, for all readers."""


@dataclass(frozen=True, slots=True)
class VisibleNamespaces:
    """Namespaces whose products and reviews a reader may see; None means all."""

    products: frozenset[str] | None = frozenset()
    reviews: frozenset[str] | None = frozenset()

    def sees(self, namespace: str) -> bool:
        """Return whether the reader may see the products of a namespace."""
        return self.products is None or namespace in self.products

    def sees_reviews(self, namespace: str) -> bool:
        """Return whether the reader may see the reviews of a namespace."""
        return self.reviews is None or namespace in self.reviews


ALL_NAMESPACES: Final = VisibleNamespaces(None, None)


class Authorizer:
    """Authorization of readers: what they may list in all namespaces, or else in each that has products."""

    def __init__(
        self,
        transport: Transport,
        namespaces: Callable[[], tuple[str, ...]],
        clock: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._namespaces = namespaces
        self._known: TtlCache[PageReader, VisibleNamespaces] = TtlCache(
            MAX_READERS, CACHE_SECONDS, clock
        )
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_REVIEWS)

    async def visible_namespaces(self, reader: PageReader) -> VisibleNamespaces:
        """Return the namespaces that this reader may see, as of a minute ago at most.

        Raises
        ------
        AccessRefused
            The API server does not answer.
        """
        if reader.own:
            return ALL_NAMESPACES  # the page holds only what this user's kubeconfig may list
        try:
            return await self._known.get(reader, lambda: self._query_namespaces(reader))
        except KubeError as error:
            text = "the API server does not say what you may see: try again in a minute"
            raise AccessRefused(UNAVAILABLE, text) from error

    async def _query_namespaces(self, reader: PageReader) -> VisibleNamespaces:
        products, reviews = await asyncio.gather(
            self._visible_scope(reader, names.PLURAL),
            self._visible_scope(reader, names.REVIEW_PLURAL),
        )
        return VisibleNamespaces(products, reviews)

    async def _visible_scope(self, reader: PageReader, resource: str) -> frozenset[str] | None:
        if await self._is_allowed(reader, resource, ""):
            return None
        namespaces = self._namespaces()
        answers = await asyncio.gather(
            *(self._is_allowed(reader, resource, namespace) for namespace in namespaces)
        )
        return frozenset(
            namespace
            for namespace, is_visible in zip(namespaces, answers, strict=True)
            if is_visible
        )

    async def _is_allowed(self, reader: PageReader, resource: str, namespace: str) -> bool:
        namespace_field = {"namespace": namespace} if namespace else {}
        async with self._slots:
            return await is_allowed(
                self._transport, reader, {"resource": resource, "verb": "list", **namespace_field}
            )


async def is_allowed(
    transport: Transport, reader: PageReader, attributes: Mapping[str, str]
) -> bool:
    """Return whether a reader may do this to objects of this API, by a SubjectAccessReview with all groups."""
    spec = {
        "user": reader.user,
        "groups": list(reader.groups),
        "resourceAttributes": {"group": names.GROUP, "version": names.VERSION, **attributes},
        **({"uid": reader.uid} if reader.uid else {}),
        **({"extra": {name: list(values) for name, values in reader.extra}} if reader.extra else {}),
    }  # fmt: skip
    answer = await transport.send(requests.review(SUBJECT_ACCESS_REVIEWS, spec))
    status = answer.get("status") or {}
    return bool(status.get("allowed")) and not status.get("denied")
