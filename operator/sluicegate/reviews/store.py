"""The reviews of a product at the API server: opened, read, recorded in, sealed, and dropped."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from sluicegate.api import names
from sluicegate.api.base import rfc3339
from sluicegate.api.extent import compact
from sluicegate.api.review import DataProductReview, DataProductReviewStatus
from sluicegate.errors import SluicegateError
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import AlreadyExists, Conflict, NotFound
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, Key
from sluicegate.reviews.archive_file import is_archived
from sluicegate.reviews.periods import Period, kept_until
from sluicegate.reviews.subject import ReviewSubject

OPEN, SEALED, CLOSED = "open", "sealed", "closed"


def review_key(product: Key, period: Period, uid: str = "") -> Key:
    """Name of the review of a product's period; with a uid where another product has that name."""
    more = f"-{uid[:8]}" if uid else ""
    return Key(product.namespace, f"{product.name}-{period.name}{more}")


class UnreadableReview(SluicegateError):  # noqa: N818 - says what is the case
    """A review isn't as its definition has it; the message names the field and the way out."""


def parse_review(document: Mapping[str, Any]) -> DataProductReview | None:
    """The review in a document; None for one that can't be read, which is left alone."""
    try:
        return read_review(document)
    except UnreadableReview:
        return None


def read_review(document: Mapping[str, Any]) -> DataProductReview:
    """The review in a document.

    Raises
    ------
    UnreadableReview
        It can't be read.
    """
    meta = document.get("metadata") or {}
    slim = {"name": meta.get("name"), "namespace": meta.get("namespace"),
            "resourceVersion": meta.get("resourceVersion", ""),
            "annotations": meta.get("annotations") or {}}  # fmt: skip
    text = compact({**document, "metadata": slim})
    try:
        return DataProductReview.model_validate_json(text, by_name=False)
    except ValidationError as error:
        wrong = error.errors()[0]
        field = ".".join(map(str, wrong["loc"]))
        raise UnreadableReview(
            f"the {names.REVIEW_KIND} {meta.get('namespace')}/{meta.get('name')} can't be read: {field}:"
            f" {wrong['msg']}. Correct it, or delete it: another is opened, with the days that Prometheus"
            " still has"
        ) from error


def opened(subject: ReviewSubject, period: Period) -> DataProductReviewStatus:
    """What a review says when it is opened."""
    cycle = subject.cycle
    return DataProductReviewStatus(
        time_zone=cycle.time_zone,
        signed_by=cycle.signed_by,
        grace_days=cycle.grace_days,
        expiry_time=kept_until(cycle, period),
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
    """Reads and writes reviews. Every failure is a KubeError.

    Attributes
    ----------
    archived : whether reviews are archived, and none is dropped before.
    """

    api: KubeApi
    archived: bool = False

    async def read(self, key: Key) -> DataProductReview | None:
        """The review of this name; None when there is none. UnreadableReview when it can't be read."""
        try:
            return read_review(await self.api.get(DATA_PRODUCT_REVIEWS, key))
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
        return read_review(made)

    async def record(self, review: DataProductReview, status: DataProductReviewStatus) -> None:
        """Write a status, unless the review was written by another since it was read."""
        body = {
            "metadata": {"name": review.metadata.name, "namespace": review.metadata.namespace},
            "status": status.to_dict(),
        }
        await self.api.apply_status(
            DATA_PRODUCT_REVIEWS, body, resource_version=review.metadata.resource_version
        )

    async def label(self, review: DataProductReview, value: str) -> None:
        """Say in a label where it is, so that it is found without reading all."""
        await self._mark(review, {"labels": {names.LABEL_REVIEW: value}})

    async def labelled(
        self, value: str, namespaces: tuple[str, ...]
    ) -> AsyncIterator[DataProductReview]:
        """The reviews with this label that can be read, one at a time."""
        async for document in self.documents(value, namespaces):
            review = parse_review(document)
            if review is not None:
                yield review

    async def documents(
        self, value: str, namespaces: tuple[str, ...]
    ) -> AsyncIterator[dict[str, Any]]:
        """The same as the API server has them, those that can't be read among them."""
        for namespace in namespaces or ("",):
            labels = f"{names.LABEL_REVIEW}={value}"
            async for page in self.api.pages(
                DATA_PRODUCT_REVIEWS, namespace=namespace, labels=labels, chunk=50
            ):
                for document in page.items:
                    yield document

    async def mark_archived(self, review: DataProductReview, digest: str) -> None:
        """Say on a review which state of it the archive has."""
        await self._mark(review, {"annotations": {names.ANNOTATION_ARCHIVED: digest}})

    async def _mark(self, review: DataProductReview, metadata: Mapping[str, Any]) -> None:
        key = Key(review.metadata.namespace, review.metadata.name)
        await self.api.patch(DATA_PRODUCT_REVIEWS, key, {"metadata": metadata})

    async def drop_beyond(self, product: Key, keep: int, newest: Key) -> int:
        """Delete sealed reviews of a product's name that are older than `keep` others; return how many stay.

        Whatever they are called: those of a former cycle, and of a former product of that name, too.

        Parameters
        ----------
        newest : the review of the period that goes on, which doesn't count.
        """
        found: list[DataProductReview] = []
        labels = f"{names.LABEL_PRODUCT}={product.name}"
        async for page in self.api.pages(
            DATA_PRODUCT_REVIEWS, namespace=product.namespace, labels=labels, chunk=50
        ):
            found += [read_review(document) for document in page.items]
        # Whoever signs may write labels: they find a review, but don't say whose it is.
        others = [
            one
            for one in found
            if one.metadata.name != newest.name and one.spec.product_ref.name == product.name
        ]
        others.sort(key=lambda one: one.spec.period.start, reverse=True)
        old = [one for one in others[keep:] if one.status.seal_time is not None]
        dropped = [await self.drop(one) for one in reversed(old)]
        return dropped.count(False)

    async def drop(self, review: DataProductReview) -> bool:
        """Delete a review, unless the archive hasn't got it as it is; return whether it is gone.

        One that was signed since it was read stays: the archive hasn't got the signature.
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
