"""The reviews of a product at the API server: created, read, updated, sealed, and dropped."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from sluicegate.api import names
from sluicegate.api.base import rfc3339
from sluicegate.api.extent import compact_json
from sluicegate.api.review import DataProductReview, DataProductReviewStatus
from sluicegate.errors import SluicegateError
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import AlreadyExists, Conflict, NotFound
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, Key
from sluicegate.reviews.archive_file import is_archived
from sluicegate.reviews.periods import Period, retention_end
from sluicegate.reviews.subject import ReviewSubject

OPEN_STATE, SEALED_STATE, CLOSED_STATE = "open", "sealed", "closed"


def review_key(product: Key, period: Period, uid: str = "") -> Key:
    """Return the name of a product's review of a period; with a uid if another product has that name."""
    uid_suffix = f"-{uid[:8]}" if uid else ""
    return Key(product.namespace, f"{product.name}-{period.name}{uid_suffix}")


class UnreadableReview(SluicegateError):  # noqa: N818 - says what is the case
    """A review doesn't match its definition; the message names the field and the way out."""


def parse_review(document: Mapping[str, Any]) -> DataProductReview | None:
    """Parse the review of a document; None if it can't be read."""
    try:
        return read_review(document)
    except UnreadableReview:
        return None


def read_review(document: Mapping[str, Any]) -> DataProductReview:
    """Parse the review of a document.

    Raises
    ------
    UnreadableReview
        It can't be read.
    """
    return read_review_text(review_text(document))


def review_text(document: Mapping[str, Any]) -> str:
    """Return the parts of a review that are read, as JSON."""
    meta = document.get("metadata") or {}
    slim_metadata = {"name": meta.get("name"), "namespace": meta.get("namespace"),
            "resourceVersion": meta.get("resourceVersion", ""),
            "annotations": meta.get("annotations") or {}}  # fmt: skip
    return compact_json({**document, "metadata": slim_metadata})


def read_review_text(text: str) -> DataProductReview:
    """Parse the review of a text of `review_text`.

    Raises
    ------
    UnreadableReview
        It can't be read.
    """
    try:
        return DataProductReview.model_validate_json(text, by_name=False)
    except ValidationError as error:
        meta = json.loads(text)["metadata"]
        first_error = error.errors()[0]
        field = ".".join(map(str, first_error["loc"]))
        raise UnreadableReview(
            f"the {names.REVIEW_KIND} {meta['namespace']}/{meta['name']} can't be read: {field}:"
            f" {first_error['msg']}. Correct it, or delete it: another is opened, with the days that Prometheus"
            " still has"
        ) from error


def opened_status(review_subject: ReviewSubject, period: Period) -> DataProductReviewStatus:
    """Return the status of a new review."""
    review_cycle = review_subject.cycle
    return DataProductReviewStatus(
        time_zone=review_cycle.time_zone,
        signed_by=review_cycle.signed_by,
        grace_days=review_cycle.grace_days,
        expiry_time=retention_end(review_cycle, period),
        team=review_subject.team,
        slos=review_subject.slos,
    )


def review_document(review_subject: ReviewSubject, key: Key, period: Period) -> dict[str, Any]:
    """Return a review to create. It has no owner, as it must exist longer than its product."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.REVIEW_KIND,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {
                names.LABEL_PRODUCT: review_subject.key.name,
                names.LABEL_REVIEW: OPEN_STATE,
                names.LABEL_MANAGED_BY: names.MANAGED_BY,
            },
        },
        "spec": {
            "productRef": {"name": review_subject.key.name, "uid": review_subject.uid},
            "period": {"startTime": rfc3339(period.begin), "endTime": rfc3339(period.end)},
        },
    }


@dataclass(frozen=True, slots=True)
class ReviewStore:
    """Reads and writes of reviews. Every failure is a KubeError.

    Attributes
    ----------
    archived : whether reviews are archived, and not dropped before that.
    """

    api: KubeApi
    archived: bool = False

    async def read(self, key: Key) -> DataProductReview | None:
        """Return the review of this name; None if there is none. UnreadableReview if it can't be read."""
        try:
            return read_review(await self.api.get(DATA_PRODUCT_REVIEWS, key))
        except NotFound:
            return None

    async def document(self, key: Key) -> dict[str, Any] | None:
        """Return the document of the review of this name, also an unreadable one; None if there is none."""
        try:
            return dict(await self.api.get(DATA_PRODUCT_REVIEWS, key))
        except NotFound:
            return None

    async def open(
        self, review_subject: ReviewSubject, key: Key, period: Period
    ) -> DataProductReview | None:
        """Create the review of a period, or read the existing review."""
        try:
            document = review_document(review_subject, key, period)
            created_document = await self.api.create(DATA_PRODUCT_REVIEWS, document)
        except AlreadyExists:
            return await self.read(key)
        return read_review(created_document)

    async def record(self, review: DataProductReview, status: DataProductReviewStatus) -> None:
        """Write a status, unless the review was changed since it was read."""
        body = {
            "metadata": {"name": review.metadata.name, "namespace": review.metadata.namespace},
            "status": status.to_dict(),
        }
        await self.api.apply_status(
            DATA_PRODUCT_REVIEWS, body, resource_version=review.metadata.resource_version
        )

    async def label(self, review: DataProductReview, value: str) -> None:
        """Set the label with the state of a review, for selective lists."""
        await self._mark(review, {"labels": {names.LABEL_REVIEW: value}})

    async def labelled(
        self, value: str, namespaces: tuple[str, ...]
    ) -> AsyncIterator[DataProductReview]:
        """Yield the readable reviews with this label, one at a time."""
        async for document in self.documents(value, namespaces):
            review = parse_review(document)
            if review is not None:
                yield review

    async def documents(
        self, value: str, namespaces: tuple[str, ...]
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the documents of the reviews with this label, including unreadable ones."""
        for namespace in namespaces or ("",):
            labels = f"{names.LABEL_REVIEW}={value}"
            async for page in self.api.pages(
                DATA_PRODUCT_REVIEWS, namespace=namespace, labels=labels, chunk=50
            ):
                for document in page.items:
                    yield document

    async def mark_archived(self, review: DataProductReview, digest: str) -> None:
        """Annotate a review with the digest of its archived state."""
        await self._mark(review, {"annotations": {names.ANNOTATION_ARCHIVED: digest}})

    async def _mark(self, review: DataProductReview, metadata: Mapping[str, Any]) -> None:
        key = Key(review.metadata.namespace, review.metadata.name)
        await self.api.patch(DATA_PRODUCT_REVIEWS, key, {"metadata": metadata})

    async def drop_beyond(self, product: Key, kept_reviews: int, newest_key: Key) -> int:
        """Delete the oldest sealed reviews of a product beyond `kept_reviews`; return the number of remaining ones.

        This includes reviews of a former cycle, and of a former product of that name.

        Parameters
        ----------
        newest : the review of the current period, which doesn't count.
        """
        reviews: list[DataProductReview] = []
        labels = f"{names.LABEL_PRODUCT}={product.name}"
        async for page in self.api.pages(
            DATA_PRODUCT_REVIEWS, namespace=product.namespace, labels=labels, chunk=50
        ):
            reviews += [read_review(document) for document in page.items]
        # People who sign may write labels: these find a review, but don't prove its product.
        other_reviews = [
            review
            for review in reviews
            if review.metadata.name != newest_key.name
            and review.spec.product_ref.name == product.name
        ]
        other_reviews.sort(key=lambda review: review.spec.period.start, reverse=True)
        old_reviews = [
            review for review in other_reviews[kept_reviews:] if review.status.seal_time is not None
        ]
        dropped_reviews = [await self.drop(review) for review in reversed(old_reviews)]
        return dropped_reviews.count(False)

    async def drop(self, review: DataProductReview) -> bool:
        """Delete a review, unless its current state isn't archived; return whether it is deleted.

        A review that was signed since it was read is kept: the signature isn't archived.
        """
        if self.archived and not is_archived(review):
            return False
        meta = review.metadata
        try:
            await self.api.delete(
                DATA_PRODUCT_REVIEWS,
                Key(meta.namespace, meta.name),
                resource_version=meta.resource_version,
            )
        except Conflict:
            return False
        except NotFound:
            return True
        return True
