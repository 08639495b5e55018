"""Names of the objects of a product, all derived, all within Kubernetes' 63 characters."""

from hashlib import sha256
from typing import Final

TRIGGER_LENGTH: Final = 8


def version_name(product: str, revision: str) -> str:
    """Name of a version's Deployment and Service."""
    return f"{product}-{revision}"


def candidate_name(product: str) -> str:
    """Name of the Service that mirrored requests go to, whichever version the candidate is."""
    return f"{product}-candidate"


def shadow_job_name(product: str, revision: str, named: int, number: int) -> str:
    """Name of a Job of the candidate's shadow phase, which no other has; `named` at this second."""
    own = sha256(f"{revision} {named}".encode()).hexdigest()[:TRIGGER_LENGTH]
    return f"{product}-shadow-{own}-{number}"


def job_name(product: str, trigger: str, attempt: int) -> str:
    """Name of a training Job; the same need and attempt have the same name."""
    return f"{product}-train-{trigger}-{attempt}"
