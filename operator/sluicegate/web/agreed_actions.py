"""Actions that were agreed in reviews: which are open, and which are late."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sluicegate.api.review import DataProductReview
from sluicegate.kube.resources import Key
from sluicegate.reviews.periods import local_day


@dataclass(frozen=True, slots=True)
class AgreedAction:
    """One action of a review; `due` is the last day for it, in the time zone of the review."""

    review: Key
    product: str
    title: str
    owner: str
    due: str
    zone: str
    done: bool

    def is_late(self, now: float) -> bool:
        """Return whether it isn't done and was due before today; `now` in seconds since the epoch."""
        return not self.done and self.due < local_day(int(now), self.zone)

    def document(self, now: float) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "title": self.title,
            "owner": self.owner,
            "due": self.due,
            "late": self.is_late(now),
        }


def actions_of(key: Key, review: DataProductReview) -> tuple[AgreedAction, ...]:
    """Return all actions of a review."""
    product, zone = review.spec.product_ref.name, review.status.time_zone
    return tuple(
        AgreedAction(key, product, one.title, one.owner, one.due_date, zone, one.done)
        for one in review.spec.actions
    )


def open_actions(newest_first: Iterable[Iterable[AgreedAction]]) -> Iterator[AgreedAction]:
    """Yield the actions of a product's reviews that aren't done.

    An action that a later review repeats has its state there.
    """
    titles: set[str] = set()
    for actions in newest_first:
        for action in actions:
            if action.title not in titles:
                titles.add(action.title)
                if not action.done:
                    yield action
