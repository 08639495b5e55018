"""Results of the periods of all products: what each brought, and which products moved most since their last review."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sluicegate.reporting import words
from sluicegate.reporting.brought import Fall, largest_fall
from sluicegate.reporting.summary import (
    SINCE_FIRST_ACCEPTANCE,
    SINCE_PREVIOUS_PERIOD,
    Move,
    PeriodResult,
    SloChange,
    largest_move,
    result_of,
    share_of,
)
from sluicegate.reviews.agreed_actions import AgreedAction, open_actions
from sluicegate.views.goals import period_progress
from sluicegate.views.lift import lift_text
from sluicegate.views.product_facts import ProductFacts
from sluicegate.web.store import ReviewFacts


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """A review with the result of its period.

    Attributes
    ----------
    sentence : the period in words. move : its largest proved change; None without one.
    goals : business goals that an SLO measures, in words, with the numbers of the period.
    actions : those that were agreed in it and are open, if no later review repeats them.
    """

    review: ReviewFacts
    sentence: str
    move: Move | None
    goals: tuple[str, ...]
    actions: tuple[AgreedAction, ...] = ()

    @property
    def change(self) -> str:
        """Return the largest proved change in words; not known before a day of the period is read."""
        summary = self.review.summary
        return words.move_text(self.move, summary.falls, read_days=summary.read_days)

    @property
    def change_state(self) -> str:
        """Return the direction of that change; empty without one."""
        return words.move_state(self.move, self.review.summary.falls)

    @property
    def missed_markets(self) -> Mapping[str, Sequence[str]]:
        """Return the markets that the operator found missed in the period, by SLO."""
        return self.review.summary.missed_markets

    def late(self, now: float) -> tuple[AgreedAction, ...]:
        """Return the actions that are late; `now` in seconds since the epoch."""
        return tuple(action for action in self.actions if action.is_late(now))


@dataclass(frozen=True, slots=True)
class Mover:
    """A product with a proved change in its newest ledger: of an SLO, else of one in a market.

    Attributes
    ----------
    slo : the SLO. values : its shares by period. change : of the SLO, or of it in one market with a version.
    """

    product: ProductFacts
    review: ReviewFacts
    slo: SloChange
    change: Move | Fall
    sentence: str
    values: tuple[float | None, ...]

    @property
    def text(self) -> str:
        """Return the change in words."""
        return words.moved_text(self.change)

    @property
    def state(self) -> str:
        """Return the direction of the change."""
        return words.moved_state(self.change)

    @property
    def short_text(self) -> str:
        """Return the change in words, without its begin."""
        if isinstance(self.change, Fall):
            return lift_text(self.change.lift)
        return f"{self.slo.name} {words.change_text(self.change.evolution)}"

    @property
    def place(self) -> dict[str, str]:
        """Return the market of a fall and the version that brought it; empty for a change of the whole SLO."""
        change = self.change
        return (
            {"market": change.market, "version": change.version} if isinstance(change, Fall) else {}
        )

    @property
    def estimate(self) -> float:
        """Return the change in shares of good events."""
        change = self.change
        return change.lift.gain if isinstance(change, Fall) else -change.evolution.estimate

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the estimate."""
        if isinstance(self.change, Fall):
            return self.change.lift.lower, self.change.lift.upper
        return -self.change.evolution.upper, -self.change.evolution.lower

    @property
    def since(self) -> str:
        """Begin of the change in words."""
        if isinstance(self.change, Fall):
            return f"with {self.change.version}"
        first_day = self.review.first_day
        return (
            "since the first acceptance"
            if self.change.since == SINCE_FIRST_ACCEPTANCE
            else f"since {first_day}"
        )


class Histories:
    """The reviews of each product, the oldest first."""

    def __init__(self, reviews: Iterable[ReviewFacts]) -> None:
        self._reviews: dict[tuple[str, str, str], list[ReviewFacts]] = defaultdict(list)
        for review in sorted(reviews, key=lambda review: review.start):
            self._reviews[review.key.namespace, review.product, review.uid].append(review)
        self._open: dict[tuple[str, str], list[AgreedAction]] = defaultdict(list)
        for product_reviews in self._reviews.values():
            for action in open_actions(review.actions for review in reversed(product_reviews)):
                self._open[action.review].append(action)

    def of(self, product: ProductFacts) -> list[ReviewFacts]:
        """Return the reviews of a product that have a day; a review without a uid matches by name."""
        for uid in (product.uid, ""):
            if reviews := self._reviews.get((*product.key, uid)):
                return [review for review in reviews if review.summary.read_days]
        return []

    def result(self, review: ReviewFacts, product: ProductFacts | None) -> ReviewResult:
        """Return the result of a review's period; `product` has the goals."""
        result = self._changes(review)
        return ReviewResult(
            review,
            words.report_sentence(result),
            result.move,
            tuple(_goal_texts(result, product)),
            tuple(self._open.get(review.key, ())),
        )

    def late_actions(self, now: float) -> list[AgreedAction]:
        """Return all actions that are late, the oldest due day first; `now` in seconds since the epoch."""
        actions = (action for review_actions in self._open.values() for action in review_actions)
        return sorted(
            (action for action in actions if action.is_late(now)),
            key=lambda action: (action.due, action.review),
        )

    def _changes(self, review: ReviewFacts) -> PeriodResult:
        reviews = self._reviews[review.key.namespace, review.product, review.uid]
        position = reviews.index(review)
        previous_review = reviews[position - 1] if position else None
        return result_of(
            review.summary, None if previous_review is None else previous_review.summary
        )

    def shares(self, product: ProductFacts, slo: str) -> tuple[float | None, ...]:
        """Return the share of good events of one SLO by period; None for a period without events."""
        counts = (
            next(
                (
                    slo_period.count
                    for slo_period in review.summary.levels
                    if slo_period.name == slo
                ),
                None,
            )
            for review in self.of(product)
        )
        return tuple(share_of(count) if count else None for count in counts)

    def movers(self, products: Iterable[ProductFacts]) -> tuple[Mover, ...]:
        """Return the products whose newest ledger proves a change against the one before, the largest first.

        The first ledger of a product is compared with the first acceptance.
        """
        return tuple(
            sorted(
                (mover for product in products if (mover := self._mover(product)) is not None),
                key=lambda mover: (-abs(mover.estimate), mover.product.key),
            )
        )

    def _mover(self, product: ProductFacts) -> Mover | None:
        reviews = self.of(product)
        if not reviews:
            return None
        changes = self._changes(reviews[-1])
        largest_change = largest_move(
            changes.slos,
            references=(SINCE_PREVIOUS_PERIOD if len(reviews) > 1 else SINCE_FIRST_ACCEPTANCE,),
        )
        slos = {slo.name: slo for slo in changes.slos}
        falls = [fall for fall in changes.falls if fall.slo in slos]  # else removed from the spec
        change: Move | Fall
        if largest_change is not None:
            change, slo = largest_change, largest_change.slo
        elif falls:
            change = largest_fall(falls)
            slo = slos[change.slo]
        else:
            return None
        sentence = words.report_sentence(changes)
        return Mover(product, reviews[-1], slo, change, sentence, self.shares(product, slo.name))


def _goal_texts(result: PeriodResult, product: ProductFacts | None) -> Iterable[str]:
    slo_by_name = {slo.name: slo for slo in result.slos}
    for goal in product.goals if product is not None else ():
        slo = slo_by_name.get(goal.slo or "")
        if slo is not None:
            yield f"{goal.name}: {period_progress(goal, slo.share, slo.count.total).text}"
