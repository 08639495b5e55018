"""Where a review stands, as people read it: in an event, and in the product's condition. Pure."""

from sluicegate.api.names import KIND, ConditionType
from sluicegate.api.review import DataProductReview, ReviewState
from sluicegate.conditions import Finding
from sluicegate.ledger.periods import local_day
from sluicegate.ledger.signing import SigningState


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
