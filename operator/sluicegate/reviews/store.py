"""The reviews of a product at the API server: opened, read, recorded in, sealed, and dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sluicegate.api import names
from sluicegate.api.base import rfc3339
from sluicegate.api.extent import compact
from sluicegate.api.review import DataProductReview, DataProductReviewStatus
from sluicegate.kube.errors import AlreadyExists, NotFound
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, Key
from sluicegate.ledger.periods import period_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from sluicegate.api.review import ReviewCycle
    from sluicegate.kube.client import KubeApi
    from sluicegate.ledger.periods import Period
    from sluicegate.reviews.subject import ReviewSubject

OPEN, SEALED, CLOSED = "open", "sealed", "closed"


def review_key(product: Key, period: Period, uid: str = "") -> Key:
    """Name of the review of a product's period; with a uid where another product has that name."""
    more = f"-{uid[:8]}" if uid else ""
    return Key(product.namespace, f"{product.name}-{period.name}{more}")


def parse_review(document: Mapping[str, Any]) -> DataProductReview | None:
    """The review in a document; None for one that can't be read, which is left alone."""
    meta = document.get("metadata") or {}
    slim = {"name": meta.get("name"), "namespace": meta.get("namespace"),
            "resourceVersion": meta.get("resourceVersion", "")}  # fmt: skip
    text = compact({**document, "metadata": slim})
    try:
        return DataProductReview.model_validate_json(text, by_name=False)
    except ValidationError:
        return None


def opened(subject: ReviewSubject) -> DataProductReviewStatus:
    """What a review says when it is opened."""
    cycle = subject.cycle
    return DataProductReviewStatus(
        time_zone=cycle.time_zone,
        signed_by=cycle.signed_by,
        grace_days=cycle.grace_days,
        team=subject.team,
        slos=subject.slos,
    )


def review_document(subject: ReviewSubject, key: Key, period: Period) -> dict[str, Any]:
    """A review to create. It has no owner, as it outlives its product."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.REVIEW_KIND,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {
                names.LABEL_PRODUCT: subject.key.name,
                names.LABEL_REVIEW: OPEN,
                names.LABEL_MANAGED_BY: names.MANAGED_BY,
            },
        },
        "spec": {
            "productRef": {"name": subject.key.name, "uid": subject.uid},
            "period": {"startTime": rfc3339(period.begin), "endTime": rfc3339(period.end)},
        },
    }


@dataclass(frozen=True, slots=True)
class ReviewStore:
    """Reads and writes reviews. Every failure is a KubeError."""

    api: KubeApi

    async def read(self, key: Key) -> DataProductReview | None:
        """The review of this name; None when there is none, or it can't be read."""
        try:
            return parse_review(await self.api.get(DATA_PRODUCT_REVIEWS, key))
        except NotFound:
            return None

    async def open(
        self, subject: ReviewSubject, key: Key, period: Period
    ) -> DataProductReview | None:
        """Create the review of a period, or read it where it is there."""
        try:
            document = review_document(subject, key, period)
            made = await self.api.create(DATA_PRODUCT_REVIEWS, document)
        except AlreadyExists:
            return await self.read(key)
        return parse_review(made)

    async def record(self, review: DataProductReview, status: DataProductReviewStatus) -> None:
        """Write a status, unless the review was written by another since it was read."""
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.REVIEW_KIND,
            "metadata": {"name": review.metadata.name, "namespace": review.metadata.namespace},
            "status": status.to_dict(),
        }
        await self.api.apply_status(
            DATA_PRODUCT_REVIEWS, body, resource_version=review.metadata.resource_version
        )

    async def label(self, review: DataProductReview, value: str) -> None:
        """Say in a label where it is, so that it is found without reading all."""
        key = Key(review.metadata.namespace, review.metadata.name)
        await self.api.patch(
            DATA_PRODUCT_REVIEWS, key, {"metadata": {"labels": {names.LABEL_REVIEW: value}}}
        )

    async def labelled(self, value: str, namespaces: tuple[str, ...]) -> AsyncIterator[Any]:
        """The reviews with this label, one at a time."""
        for namespace in namespaces or ("",):
            labels = f"{names.LABEL_REVIEW}={value}"
            async for page in self.api.pages(
                DATA_PRODUCT_REVIEWS, namespace=namespace, labels=labels, chunk=50
            ):
                for document in page.items:
                    review = parse_review(document)
                    if review is not None:
                        yield review

    async def drop_beyond(self, product: Key, cycle: ReviewCycle, period: Period) -> None:
        """Delete the review that is one too old, if it is sealed; the one before went before it."""
        old: Period | None = period
        for _ in range(cycle.keep + 1):
            if old is None:
                return
            old = period_of(cycle, old.first.fromordinal(old.first.toordinal() - 1))
        if old is None:
            return
        key = review_key(product, old)
        review = await self.read(key)
        if review is not None and review.status.seal_time is not None:
            await self.api.delete(DATA_PRODUCT_REVIEWS, key)
