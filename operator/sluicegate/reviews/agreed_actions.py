"""Actions that were agreed in reviews: which are open, and which are late. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.review import DataProductReview, ReviewAction
from sluicegate.conditions import Finding
from sluicegate.kube.resources import Key
from sluicegate.reviews.periods import local_day

MAX_NAMED: Final = 3
"""Late actions that the message of a condition names."""
_ACTIONS: Final = TypeAdapter(tuple[ReviewAction, ...])


@dataclass(frozen=True, slots=True)
class AgreedAction:
    """One action of a review; `due` is the last day for it, in the time zone of the review.

    `link` is where its work is tracked; empty without one.
    """

    review: Key
    product: str
    title: str
    owner: str
    due: str
    zone: str
    done: bool
    link: str = ""

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


@dataclass(frozen=True, slots=True)
class LateActions:
    """The late actions of one product, the oldest due day first; `uid` is that of the product."""

    uid: str
    actions: tuple[AgreedAction, ...]

    @property
    def finding(self) -> Finding:
        """Return the condition of the product."""
        named = "; ".join(
            f"{action.title} ({action.owner}, due {action.due}, agreed in {action.review.name})"
            for action in self.actions[:MAX_NAMED]
        )
        more = len(self.actions) - MAX_NAMED
        text = (
            f"late: {named}{f'; and {more} more' if more > 0 else ''}. Set done in spec.actions of the review"
            " once an action is done, or repeat its title with another due date in a later review"
        )
        return Finding(ConditionType.ACTIONS_LATE, "True", ConditionReason.ACTIONS_LATE, text)


def actions_of(review: DataProductReview) -> tuple[AgreedAction, ...]:
    """Return all actions of a review."""
    key = Key(review.metadata.namespace, review.metadata.name)
    product, zone = review.spec.product_ref.name, review.status.time_zone
    return _agreed(key, product, zone, review.spec.actions)


def _agreed(
    key: Key, product: str, zone: str, actions: Iterable[ReviewAction]
) -> tuple[AgreedAction, ...]:
    return tuple(
        AgreedAction(
            key, product, action.title, action.owner, action.due_date, zone, action.done,
            str(action.link or ""),
        )
        for action in actions
    )  # fmt: skip


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


def carried_actions(newest_first: Sequence[Sequence[AgreedAction]]) -> list[AgreedAction]:
    """Return the actions that the newest review of a product takes over from those before.

    They are all of the review before, and those of earlier ones that are open. One that the newest review
    repeats has its state there, and the review in which it was agreed last before.
    """
    (newest, *earlier) = newest_first
    repeated = {action.title: action for action in newest}
    carried = (
        {action.title: action for action in (*earlier[0], *open_actions(earlier))}
        if earlier
        else {}
    )
    return [
        replace(repeated.get(title, action), review=action.review)
        for title, action in carried.items()
    ]


def remaining_actions(
    before: Iterable[LateActions], now_late: Iterable[LateActions]
) -> list[LateActions]:
    """Return the actions of a product that were late and still are, by review and title."""
    late = {(one.uid, action.review, action.title) for one in now_late for action in one.actions}
    remaining = (
        LateActions(
            one.uid,
            tuple(
                action for action in one.actions if (one.uid, action.review, action.title) in late
            ),
        )
        for one in before
    )
    return [one for one in remaining if one.actions]


class ActionIndex:
    """Actions of all reviews by product. Reviews are added in any order, and only those with actions are kept."""

    def __init__(self) -> None:
        self._reviews: dict[tuple[Key, str], list[tuple[str, tuple[AgreedAction, ...]]]] = {}

    def add(self, document: Mapping[str, Any]) -> None:
        """Add a review, whose ledger isn't parsed; one with unreadable actions has none."""
        spec, meta = document.get("spec") or {}, document["metadata"]
        if not spec.get("actions"):
            return
        product_ref = spec.get("productRef") or {}
        key = Key(meta["namespace"], meta["name"])
        product = Key(key.namespace, product_ref.get("name", ""))
        zone = (document.get("status") or {}).get("timeZone") or "UTC"
        try:
            local_day(0, zone)
            actions = _ACTIONS.validate_python(spec["actions"], strict=False, by_name=False)
        except (ValidationError, KeyError, ValueError):  # an unknown zone is a KeyError
            return
        agreed = _agreed(key, product.name, zone, actions)
        start = (spec.get("period") or {}).get("startTime", "")
        reviews = self._reviews.setdefault((product, product_ref.get("uid", "")), [])
        reviews.append((start, agreed))

    def late(self, now: float) -> dict[Key, list[LateActions]]:
        """Return the late actions by product's name; of each former product of this name, too."""
        late: dict[Key, list[LateActions]] = {}
        for (product, uid), reviews in self._reviews.items():
            newest_first = sorted(reviews, key=lambda review: review[0], reverse=True)
            actions = sorted(
                (
                    action
                    for action in open_actions(actions for _, actions in newest_first)
                    if action.is_late(now)
                ),
                key=lambda action: (action.due, action.title),
            )
            if actions:
                late.setdefault(product, []).append(LateActions(uid, tuple(actions)))
        return late
