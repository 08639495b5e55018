"""Names of the objects of a product, all derived, all within Kubernetes' 63 characters."""

import hashlib
from typing import Final

REVISION_LENGTH: Final = 10
TRIGGER_LENGTH: Final = 8


def revision(digest: str, runtime_image: str) -> str:
    """Ten hex digits that stand for a bento in a runtime: what a version really is.

    `digest` is `sha256:<hex>` of the bento's image or archive.
    """
    text = f"{digest} {runtime_image}"
    return hashlib.sha256(text.encode()).hexdigest()[:REVISION_LENGTH]


def version_name(product: str, revision: str) -> str:
    """Name of a version's Deployment and Service."""
    return f"{product}-{revision}"


def job_name(product: str, trigger: str, attempt: int) -> str:
    """Name of a training Job; the same need and attempt have the same name."""
    return f"{product}-train-{trigger}-{attempt}"
