"""A sealed review as a file outside the cluster. Pure.

The file is the review itself as JSON, so `sluicegate report --from` and `dossier --from` read it.
"""

import hashlib
import json
import re
from typing import Final

from sluicegate.api import names
from sluicegate.api.review import DataProductReview
from sluicegate.errors import SluicegateError
from sluicegate.reviews.seal import digest_of

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?")
"""Names of Kubernetes objects, and uids: one folder or file, never above its parent."""


class NotArchived(SluicegateError):  # noqa: N818 - says what is the case
    """A review isn't archived; the message has its name, the cause and the way out."""


def file_name(review: DataProductReview) -> str:
    """Return `<namespace>/<product>/<review>.<uid of the product>.json`, below the archive's root.

    Raises
    ------
    NotArchived
        A name isn't that of a Kubernetes object, so the file could be in another folder.
    """
    product_ref = review.spec.product_ref
    uid = f".{product_ref.uid}" if product_ref.uid else ""
    folder_names = (review.metadata.namespace, product_ref.name, f"{review.metadata.name}{uid}")
    for folder_name in folder_names:
        if not _FILE_NAME.fullmatch(folder_name):
            raise NotArchived(
                f"{review.metadata.namespace}/{review.metadata.name} isn't archived, because {folder_name!r} is no"
                " name of an object: delete the review, or correct its spec.productRef"
            )
    return f"{'/'.join(folder_names)}.json"


def file_text(review: DataProductReview) -> str:
    """Return the review as JSON: the sealed content, and the signatures so far."""
    document = {
        "apiVersion": names.API_VERSION,
        "kind": names.REVIEW_KIND,
        "metadata": {"name": review.metadata.name, "namespace": review.metadata.namespace},
        "spec": review.spec.to_dict(),
        "status": review.status.to_dict(),
    }
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def file_digest(review: DataProductReview) -> str:
    """Return `sha256:<hex>` of the file, which changes with a signature or a note."""
    return f"sha256:{hashlib.sha256(file_text(review).encode()).hexdigest()}"


def is_archived(review: DataProductReview) -> bool:
    """Return whether the archive has the current state of the review."""
    return review.metadata.annotations.get(names.ANNOTATION_ARCHIVED) == file_digest(review)


def require_sealed(review: DataProductReview) -> None:
    """Raise if the ledger of a review differs from its sealed content.

    Raises
    ------
    NotArchived
        Its digest differs.
    """
    if review.status.digest != digest_of(review):
        name = f"{review.metadata.namespace}/{review.metadata.name}"
        raise NotArchived(
            f"{name}: its ledger isn't the sealed one, because its digest doesn't match; the audit log of the"
            " API server has who wrote its status"
        )


def require_same_seal(review: DataProductReview, stored_text: str) -> None:
    """Refuse to replace the file of another ledger.

    Parameters
    ----------
    stored : the existing file.

    Raises
    ------
    NotArchived
        The file holds another ledger.
    """
    try:
        digest = json.loads(stored_text)["status"]["digest"]
    except (ValueError, KeyError, TypeError):
        digest = ""
    if digest != review.status.digest:
        raise NotArchived(
            f"{file_name(review)} is there with another ledger ({digest or 'no digest'}), and is left as"
            " it is: give the archive another --to, or move the file away"
        )
