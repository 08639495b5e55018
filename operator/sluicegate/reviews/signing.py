"""Who signs a review, in which role, and what is written: for the command and for the page."""

from dataclasses import dataclass
from typing import Any

from sluicegate.api.base import rfc3339
from sluicegate.api.review import DataProductReview, ReviewState
from sluicegate.errors import invalid
from sluicegate.ledger.periods import local_day


@dataclass(frozen=True, slots=True)
class Signature:
    """What somebody signs: user name as the API server has it, role, verdict (Agree, …), note."""

    username: str
    role: str
    verdict: str
    note: str = ""


def roles_in(review: DataProductReview, username: str) -> tuple[str, ...]:
    """The roles in which this person may be asked to sign: of the team, or else all of the review.

    Who isn't in the team signs with the verb `review`, which admission knows.
    """
    own = [one.role for one in review.status.team if one.username == username]
    return tuple(own or known_roles(review))


def known_roles(review: DataProductReview) -> tuple[str, ...]:
    """All roles that a signature may have, by name."""
    status = review.status
    return tuple(sorted({one.role for one in status.team} | set(status.signed_by)))


def role_of(review: DataProductReview, username: str, asked: str | None) -> str:
    """The role in which somebody signs.

    Raises
    ------
    InvalidInput
        The review can't be signed, or not by this person so; the message says what to do.
    """
    status = review.status
    if status.seal_time is None:
        end = local_day(review.spec.period.end, status.time_zone)
        raise invalid("review", f"isn't sealed yet: its period ends on {end}, sign some days later")
    if status.state in {ReviewState.REVIEWED, ReviewState.SKIPPED}:
        by = ", ".join(status.reviewed_by)
        raise invalid("review", f"was signed by {by}: add a note to spec.notes")
    roles = [one.role for one in status.team if one.username == username]
    known = known_roles(review)
    if asked is not None and asked not in known:
        text = f"neither spec.team nor signedBy has the role {asked}: name {' or '.join(known)}"
        raise invalid("role", text)
    if asked is not None:
        return asked  # admission knows who holds the verb `review`
    if len(roles) == 1:
        return roles[0]
    team = ", ".join(f"{one.username} as {one.role}" for one in status.team) or "nobody"
    text = f"{username} isn't in the team ({team}): with the verb review, name a role with --role"
    raise invalid("role", text)


def signed(review: DataProductReview, signature: Signature, *, at: int) -> dict[str, Any]:
    """The change (a merge patch) that adds a signature, in the place of the same person's in that role.

    `at` : seconds since the epoch.
    """
    author = (signature.username, signature.role)
    kept = [one.to_dict() for one in review.spec.sign_offs if (one.username, one.role) != author]
    added = {"username": signature.username, "role": signature.role,
             "verdict": signature.verdict, "note": signature.note, "signTime": rfc3339(at)}  # fmt: skip
    return {"spec": {"signOffs": [*kept, added]}}
