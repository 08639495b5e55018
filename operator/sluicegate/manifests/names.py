"""Names of the objects of a product, all within Kubernetes' limit of 63 characters."""

from hashlib import sha256
from typing import Final

from sluicegate.api.names import DRAW_ROUTE_SUFFIX, PREVIEW_ROUTE_SUFFIX

TRIGGER_LENGTH: Final = 8


def version_name(product: str, revision: str) -> str:
    """Return the name of a version's Deployment and Service."""
    return f"{product}-{revision}"


def candidate_name(product: str) -> str:
    """Return the name of the Service for mirrored requests and previews, for any candidate."""
    return f"{product}-candidate"


def draw_route_name(product: str) -> str:
    """Return the name of the HTTPRoute of consumers' draws."""
    return f"{product}{DRAW_ROUTE_SUFFIX}"


def preview_route_name(product: str) -> str:
    """Return the name of the HTTPRoute of previews."""
    return f"{product}{PREVIEW_ROUTE_SUFFIX}"


def shadow_job_name(product: str, revision: str, second_of_day: int, number: int) -> str:
    """Return the unique name of a Job of the candidate's shadow phase; `second_of_day` is the current second."""
    suffix = sha256(f"{revision} {second_of_day}".encode()).hexdigest()[:TRIGGER_LENGTH]
    return f"{product}-shadow-{suffix}-{number}"


def job_name(product: str, trigger: str, attempt: int) -> str:
    """Return the name of a training Job; the same trigger and attempt have the same name."""
    return f"{product}-train-{trigger}-{attempt}"
