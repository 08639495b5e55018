"""State of a sealed review, in numbers and words; possible signatures and their roles. Pure."""

from dataclasses import dataclass
from typing import Any

from sluicegate.api.base import rfc3339
from sluicegate.api.names import KIND, ConditionType
from sluicegate.api.product_info import PRODUCT_MANAGER
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
    """Signatures that a review has and lacks, and the state that follows from them.

    Attributes
    ----------
    state : that of status. signed : valid signatures, oldest first.
    missing : roles without a signature. unfilled : those of them that no member has.
    """

    state: ReviewState
    signed: tuple[SignOff, ...] = ()
    missing: tuple[str, ...] = ()
    unfilled: tuple[str, ...] = ()


def signing_state_of(review: DataProductReview, now: float) -> SigningState:
    """Return the state of a review at a time.

    A signature is valid if it is later than the seal. No review is closed without a signature: one that
    names no role needs that of the DataProductManager. Admission enforces that people sign in their
    own name, and in a role of theirs.
    """
    status = review.status
    if status.seal_time is None:
        return SigningState(ReviewState.NOT_STARTED)
    valid_sign_offs = sorted(
        (sign_off for sign_off in review.spec.sign_offs if sign_off.sign_time >= status.seal_time),
        key=lambda sign_off: sign_off.sign_time,
    )
    by_role = {sign_off.role for sign_off in valid_sign_offs}
    roles = _required_roles(status)
    missing_roles = tuple(role for role in roles if role not in by_role)
    filled_roles = {sign_off.role for sign_off in status.team}
    required_sign_offs = [sign_off for sign_off in valid_sign_offs if sign_off.role in roles]
    if missing_roles:
        is_late = status.due_time is not None and int(now) > status.due_time
        state = ReviewState.OVERDUE if is_late else ReviewState.TO_REVIEW
    else:
        is_skipped = bool(required_sign_offs) and all(
            sign_off.verdict is SignVerdict.SKIP for sign_off in required_sign_offs
        )
        state = ReviewState.SKIPPED if is_skipped else ReviewState.REVIEWED
    return SigningState(
        state=state,
        signed=tuple(valid_sign_offs),
        missing=missing_roles,
        unfilled=tuple(role for role in missing_roles if role not in filled_roles),
    )


def _required_roles(status: DataProductReviewStatus) -> tuple[str, ...]:
    return status.signed_by or (PRODUCT_MANAGER,)


def with_signing_state(
    status: DataProductReviewStatus, signing_state: SigningState
) -> DataProductReviewStatus:
    """Return the status with the state of signatures; the sealed part is unchanged."""
    is_complete = signing_state.state in {ReviewState.REVIEWED, ReviewState.SKIPPED}
    return status.replace(
        state=signing_state.state,
        reviewed_by=tuple(dict.fromkeys(sign_off.username for sign_off in signing_state.signed)),
        review_time=max((sign_off.sign_time for sign_off in signing_state.signed), default=None)
        if is_complete
        else None,
    )


def signing_sentence(review: DataProductReview, signing_state: SigningState) -> str:
    """Return the state of a review, and what to do, in a sentence."""
    name = f"{review.metadata.namespace}/{review.metadata.name}"
    if signing_state.state in {ReviewState.REVIEWED, ReviewState.SKIPPED}:
        signer_texts = ", ".join(
            f"{sign_off.username} ({sign_off.role}: {sign_off.verdict})"
            for sign_off in signing_state.signed
        )
        return f"{name} was signed by {signer_texts}"
    due_time = review.status.due_time
    text = f"{name} waits for a signature as {', '.join(signing_state.missing)}"
    if signing_state.state is ReviewState.OVERDUE and due_time is not None:
        text += f", and was due on {local_day(due_time, review.status.time_zone)}"
    if signing_state.unfilled:
        text += (
            f"; no member of the team is {', '.join(signing_state.unfilled)}: add one to spec.team of the"
            f" {KIND}, or another role to spec.review.signedBy, for the next period, and skip this one"
            " by deleting it"
        )
        return text
    return f"{text}: sign by `sluicegate review sign {name}`, or in its spec.signOffs"


def finding_of(review: DataProductReview, signing_state: SigningState) -> Finding:
    """Return the condition of a product whose review waits for signatures."""
    return Finding(
        ConditionType.REVIEW_DUE,
        "True",
        str(signing_state.state),
        signing_sentence(review, signing_state),
    )


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature: user name of the API server, role, verdict (Agree, …), note."""

    username: str
    role: str
    verdict: str
    note: str = ""


def roles_in(review: DataProductReview, username: str) -> tuple[str, ...]:
    """Return the roles in which a user may sign: the user's roles in the team, or without one all roles of the review.

    People outside the team need the verb `review`, which admission checks.
    """
    roles_of_user = [member.role for member in review.status.team if member.username == username]
    return tuple(roles_of_user or roles_of(review))


def is_member(review: DataProductReview, username: str) -> bool:
    """Return whether a user has a role in the product's team."""
    return any(member.username == username for member in review.status.team)


def roles_of(review: DataProductReview) -> tuple[str, ...]:
    """Return all roles that a signature may have, by name."""
    status = review.status
    return tuple(sorted({member.role for member in status.team} | set(_required_roles(status))))


def role_of(review: DataProductReview, username: str, requested_role: str | None) -> str:
    """Return the role in which a person signs.

    Raises
    ------
    InvalidInput
        The review can't be signed, or not by this person in this role; the message has the way out.
    """
    status = review.status
    if status.seal_time is None:
        end_date = local_day(review.spec.period.end, status.time_zone)
        raise invalid(
            "review", f"isn't sealed yet: its period ends on {end_date}, sign some days later"
        )
    signing_state = signing_state_of(review, status.seal_time)
    if {status.state, signing_state.state} & {ReviewState.REVIEWED, ReviewState.SKIPPED}:
        signers_now = dict.fromkeys(sign_off.username for sign_off in signing_state.signed)
        signers = ", ".join(signers_now or status.reviewed_by)
        raise invalid(
            "review", f"was signed by {signers}, so it is a record: add notes to the next review"
        )
    roles = [member.role for member in status.team if member.username == username]
    roles_of_review = roles_of(review)
    if requested_role is not None and requested_role not in roles_of_review:
        text = f"neither spec.team nor signedBy has the role {requested_role}: name {' or '.join(roles_of_review)}"
        raise invalid("role", text)
    if requested_role is not None:
        return requested_role  # admission checks the verb `review`
    if len(roles) == 1:
        return roles[0]
    if roles:
        text = (
            f"{username} has several roles in the team ({', '.join(roles)}): name one with --role"
        )
        raise invalid("role", text)
    team = ", ".join(f"{member.username} as {member.role}" for member in status.team)
    text = f"{username} isn't in the team ({team or 'no members'}): with the verb review, name a role with --role"
    raise invalid("role", text)


def signed(review: DataProductReview, signature: Signature, *, sign_time: int) -> dict[str, Any]:
    """Return the merge patch that adds a signature, and replaces an earlier one of this person in that role.

    `at` : seconds since the epoch.
    """
    author = (signature.username, signature.role)
    other_sign_offs = [
        sign_off.to_dict()
        for sign_off in review.spec.sign_offs
        if (sign_off.username, sign_off.role) != author
    ]
    added_sign_off = {"username": signature.username, "role": signature.role,
             "verdict": signature.verdict, "note": signature.note, "signTime": rfc3339(sign_time)}  # fmt: skip
    return {"spec": {"signOffs": [*other_sign_offs, added_sign_off]}}
