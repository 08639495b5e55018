"""Names of the objects of a product, all derived, all within Kubernetes' 63 characters."""

import hashlib
from typing import Final

REVISION_LENGTH: Final = 10
TRIGGER_LENGTH: Final = 8


def revision(digest: str, runtime_image: str) -> str:
    """Ten hex digits that stand for a bento in a runtime: what a version really is.

    `digest` is `sha256:<hex>` of the bento's image or archive.
    """
    return _digest(f"{digest} {runtime_image}", REVISION_LENGTH)


def trigger_id(product: str, version: str, slo: str, first_bad_block: int) -> str:
    """Eight hex digits that stand for one need of a retraining, the same after a restart.

    `product` is `<namespace>/<name>`; `first_bad_block` the end of the block, in seconds.
    """
    return _digest(f"{product} {version} {slo} {first_bad_block}", TRIGGER_LENGTH)


def version_name(product: str, revision: str) -> str:
    """Name of a version's Deployment and Service."""
    return f"{product}-{revision}"


def job_name(product: str, trigger: str, attempt: int) -> str:
    """Name of a training Job; the same need and attempt have the same name."""
    return f"{product}-train-{trigger}-{attempt}"


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
