"""Where a sealed review stands, in numbers and words; who signs it, in which role, and what is written. Pure."""

from dataclasses import dataclass
from typing import Any

from sluicegate.api.base import rfc3339
from sluicegate.api.names import KIND, ConditionType
from sluicegate.api.review import (
    DataProductReview,
    DataProductReviewStatus,
    ReviewState,
    SignOff,
    SignVerdict,
)
from sluicegate.conditions import Finding
from sluicegate.errors import invalid
from sluicegate.reviews.periods import local_day


@dataclass(frozen=True, slots=True)
class SigningState:
    """Where a review stands.

    Attributes
    ----------
    state : as status shows it. signed : signatures that count, the oldest first.
    missing : roles of which nobody has signed. unfilled : those of them that nobody has.
    """

    state: ReviewState
    signed: tuple[SignOff, ...] = ()
    missing: tuple[str, ...] = ()
    unfilled: tuple[str, ...] = ()


def standing(review: DataProductReview, now: float) -> SigningState:
    """Where a review stands at a moment.

    A signature counts where it came after the seal: what is signed is what was seen. That a person
    signs in their own name, and in a role that the team gives them, is admission's to see to.
    """
    status = review.status
    if status.seal_time is None:
        return SigningState(ReviewState.NOT_STARTED)
    counted = sorted(
        (one for one in review.spec.sign_offs if one.sign_time >= status.seal_time),
        key=lambda one: one.sign_time,
    )
    by_role = {one.role for one in counted}
    missing = tuple(role for role in status.signed_by if role not in by_role)
    filled = {one.role for one in status.team}
    wanted = [one for one in counted if one.role in status.signed_by]
    if missing:
        late = status.due_time is not None and int(now) > status.due_time
        state = ReviewState.OVERDUE if late else ReviewState.TO_REVIEW
    else:
        skipped = bool(wanted) and all(one.verdict is SignVerdict.SKIP for one in wanted)
        state = ReviewState.SKIPPED if skipped else ReviewState.REVIEWED
    return SigningState(
        state=state,
        signed=tuple(counted),
        missing=missing,
        unfilled=tuple(role for role in missing if role not in filled),
    )


def with_standing(status: DataProductReviewStatus, where: SigningState) -> DataProductReviewStatus:
    """The status with where it stands; what is sealed stays as it is."""
    done = where.state in {ReviewState.REVIEWED, ReviewState.SKIPPED}
    return status.replace(
        state=where.state,
        reviewed_by=tuple(dict.fromkeys(one.username for one in where.signed)),
        review_time=max((one.sign_time for one in where.signed), default=None) if done else None,
    )


def sentence(review: DataProductReview, where: SigningState) -> str:
    """Where a review stands, and what to do."""
    name = f"{review.metadata.namespace}/{review.metadata.name}"
    if where.state in {ReviewState.REVIEWED, ReviewState.SKIPPED}:
        people = ", ".join(f"{one.username} ({one.role}: {one.verdict})" for one in where.signed)
        return f"{name} was signed by {people}"
    due = review.status.due_time
    text = f"{name} waits for a signature as {', '.join(where.missing)}"
    if where.state is ReviewState.OVERDUE and due is not None:
        text += f", and was due on {local_day(due, review.status.time_zone)}"
    if where.unfilled:
        text += (
            f"; no member of the team is {', '.join(where.unfilled)}: add one to spec.team of the"
            f" {KIND}, or another role to spec.review.signedBy, for the next period, and skip this one"
            " by deleting it"
        )
        return text
    return f"{text}: sign by `sluicegate review sign {name}`, or in its spec.signOffs"


def finding_of(review: DataProductReview, where: SigningState) -> Finding:
    """The condition of a product whose review waits for signatures."""
    return Finding(ConditionType.REVIEW_DUE, "True", str(where.state), sentence(review, where))


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
