"""Who has signed a sealed review, and where it stands. Pure."""

from dataclasses import dataclass

from sluicegate.api.review import (
    DataProductReview,
    DataProductReviewStatus,
    ReviewState,
    SignOff,
    SignVerdict,
)


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
