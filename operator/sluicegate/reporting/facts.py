"""Facts of a report on one product and period, from its ledger and the one before. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sluicegate.api.review import (
    CheckState,
    DataProductReview,
    ReviewCheck,
    ReviewDay,
    ReviewSlo,
    SignOff,
    SignVerdict,
)
from sluicegate.reporting.brought import Brought, Fall, brought_of, falls_of
from sluicegate.reporting.by_market import MAX_DRAWN_MARKETS, MISSED_STATE, MarketFacts, markets_of
from sluicegate.reporting.delivery import Delivery, delivery_of
from sluicegate.reporting.evolution_lines import EvolutionLine, lines_of, market_lines
from sluicegate.reporting.response_times import (
    CallerFacts,
    OperationFacts,
    callers_of,
    histogram_of,
    operations_of,
    quantile_of,
)
from sluicegate.reporting.summary import (
    Move,
    SloChange,
    allowed_of,
    budget_of,
    days_of,
    decisions_of,
    gains_of,
    largest_move,
    margin_of,
    missed_markets_of,
    whole_days_of,
)
from sluicegate.reviews.agreed_actions import AgreedAction, actions_of, carried_actions
from sluicegate.reviews.resource_hours import hours_of
from sluicegate.reviews.seal import differs_from_seal
from sluicegate.reviews.segments import Segment, counts_of, segments_of
from sluicegate.reviews.signing import signing_state_of
from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.stats.evolution import evolution
from sluicegate.views.resource_hours import ResourceHours

NEVER_AT_RISK: Final = 0.1
"""Share of the error budget below which a stricter objective would have been met, too."""
QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class SloFacts(SloChange):
    """Counts, changes and error budget of one SLO over the period.

    Attributes
    ----------
    days : bad events and all by date. outside : days on which the objective was missed.
    before, original : counts of the period before, and of the first baseline.
    markets : the missed ones and the worst first. market_lines : of the worst of them, by day.
    health : problem of the SLO's definition; empty if there is none.
    """

    indicator: str
    days: tuple[tuple[str, Count], ...]
    outside: int
    before: Count
    original: Count
    markets: tuple[MarketFacts, ...]
    market_lines: tuple[EvolutionLine, ...]
    health: str

    @property
    def missed_markets(self) -> tuple[str, ...]:
        """Return the markets that missed it, in the period as a whole or at a time of it."""
        return tuple(
            market.market
            for market in self.markets
            if market.missed or market.state == MISSED_STATE
        )


@dataclass(frozen=True, slots=True)
class Quantile:
    """A response time and its share of the answers: an estimate, interpolated within a bound."""

    share: float
    seconds: float | None
    before: float | None


@dataclass(frozen=True, slots=True)
class ActionFacts:
    """A planned action: `state` is done, open, or late; `agreed_in` is the review's name."""

    title: str
    owner: str
    due_date: str
    link: str
    state: str
    agreed_in: str


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """Facts for the report on one product and period.

    Attributes
    ----------
    digest_holds : whether the sealed content matches the digest; None while it is open.
    decisions : number by type; causes : of retrainings.
    missing_days : days of the period that couldn't be read.
    operations : response times and failures by operation; empty for a product with a single one.
    callers : requests by caller; empty if they aren't counted by caller.
    lines : service levels and response times by day. evolution, periods : over all kept periods until
        this one, by days and by period; empty with a single one.
    hours : resources reserved by its pods and trainings; None if not recorded.
    delivery : DORA's measures. segments : the period by version. brought : what new versions brought.
    last_actions : those of the period before, and earlier ones that were open. open_actions : all open ones.
    """

    review: DataProductReview
    slos: tuple[SloFacts, ...]
    quantiles: tuple[Quantile, ...]
    operations: tuple[OperationFacts, ...]
    callers: tuple[CallerFacts, ...]
    lines: tuple[EvolutionLine, ...]
    evolution: tuple[EvolutionLine, ...]
    periods: tuple[EvolutionLine, ...]
    decisions: Counter[str]
    causes: Counter[str]
    missing_days: int
    digest_holds: bool | None
    hours: ResourceHours | None
    delivery: Delivery
    segments: tuple[Segment, ...]
    brought: tuple[Brought, ...]
    last_actions: tuple[ActionFacts, ...]
    open_actions: tuple[ActionFacts, ...]
    signatures: tuple[SignOff, ...]

    @property
    def name(self) -> str:
        """Return the namespace and name of the product."""
        return f"{self.review.metadata.namespace}/{self.review.spec.product_ref.name}"

    @property
    def gains(self) -> tuple[str, ...]:
        """Return the gains of the versions that remained stable, in words."""
        return gains_of(self.brought)

    @property
    def falls(self) -> tuple[Fall, ...]:
        """Return the proved falls in markets by the versions that remained stable."""
        return falls_of(self.brought)

    @property
    def missed_markets(self) -> dict[str, tuple[str, ...]]:
        """Return markets that the operator found missed in the period, by SLO."""
        return missed_markets_of(self.review)

    @property
    def is_open(self) -> bool:
        """Return whether the ledger is not sealed yet, so that further days may follow."""
        return self.review.status.seal_time is None

    @property
    def read_days(self) -> int:
        """Return the number of days whose events are known."""
        return len(self.review.status.days)

    @property
    def whole_days(self) -> int:
        """Return the number of days of the period."""
        return days_of(self.review)

    @property
    def objections(self) -> tuple[SignOff, ...]:
        """Return the signatures of people who object."""
        return tuple(
            signature for signature in self.signatures if signature.verdict is SignVerdict.OBJECT
        )

    @property
    def missing(self) -> tuple[ReviewCheck, ...]:
        """Return the checks of readiness that aren't met and have no valid exemption."""
        return tuple(
            check for check in self.review.status.readiness if check.state is CheckState.MISSING
        )

    @property
    def unsigned(self) -> tuple[str, ...]:
        """Return the roles that must sign a sealed review, and haven't."""
        return signing_state_of(self.review, 0.0).missing

    @property
    def move(self) -> Move | None:
        """Return the largest proved change for the worse, or else the largest for the better."""
        return largest_move(self.slos)

    @property
    def worst(self) -> float:
        """Return the largest proved change for the worse, in shares of events; 0 without one."""
        sizes = [-fall.lift.gain for fall in self.falls]
        if self.move is not None:
            sizes.append(self.move.evolution.estimate)
        return max([0.0, *sizes])


def facts_of(
    review: DataProductReview,
    previous_review: DataProductReview | None,
    kept_reviews: Sequence[DataProductReview] = (),
    *,
    now: int = 0,
) -> ReportFacts:
    """Return the facts of a report.

    Parameters
    ----------
    before : the review of the period before; None for the first.
    kept_reviews : all reviews until this one, the oldest first; without them, the two.
    now : an action is late if it was due before this day; without it, before the end of the period.
    """
    status = review.status
    ledgers = kept_reviews or tuple(
        ledger for ledger in (previous_review, review) if ledger is not None
    )
    ledgers_to_compare = ledgers if sum(bool(ledger.status.days) for ledger in ledgers) > 1 else ()
    earlier_days = previous_review.status.days if previous_review is not None else ()
    slos = tuple(
        _slo_facts(slo, review, earlier_days) for slo in status.slos if slo.indicator != "gauge"
    )
    decisions, causes = decisions_of(review)
    period = review.spec.period
    agreed_actions = [actions_of(ledger) for ledger in reversed(ledgers)]
    carried = carried_actions(agreed_actions)
    action_by_title = {action.title: action for action in (*carried, *agreed_actions[0])}
    return ReportFacts(
        review=review,
        slos=slos,
        quantiles=quantiles_of(status.days, earlier_days),
        operations=operations_of(status.days, earlier_days),
        callers=callers_of(status.days, earlier_days),
        lines=lines_of([review]),
        evolution=lines_of(ledgers_to_compare),
        periods=lines_of(ledgers_to_compare, by_period=True),
        decisions=decisions,
        causes=causes,
        missing_days=max(whole_days_of(review) - len(status.days), 0),
        digest_holds=not differs_from_seal(review) if status.digest else None,
        hours=hours_of(status.days, status.trainings),
        delivery=delivery_of(review),
        segments=segments_of(review),
        brought=brought_of(review),
        last_actions=tuple(_action_facts(action, now or period.end) for action in carried),
        open_actions=tuple(
            _action_facts(action, now or period.end)
            for action in action_by_title.values()
            if not action.done
        ),
        signatures=review.spec.sign_offs,
    )


def _action_facts(action: AgreedAction, now: int) -> ActionFacts:
    state = "done" if action.done else "late" if action.is_late(now) else "open"
    return ActionFacts(
        action.title, action.owner, action.due, action.link, state, action.review.name
    )


def _slo_facts(
    slo: ReviewSlo, review: DataProductReview, earlier_days: Sequence[ReviewDay]
) -> SloFacts:
    days = review.status.days
    markets = markets_of(slo, review)
    drawn_markets = tuple(market.market for market in markets[:MAX_DRAWN_MARKETS])
    now, earlier_counts_by_day = counts_of(slo.name, days), counts_of(slo.name, earlier_days)
    allowed_ratio, margin = allowed_of(slo.objective), margin_of(slo)
    counts, earlier_counts = (
        [day_count for _, day_count in now],
        [day_count for _, day_count in earlier_counts_by_day],
    )
    count = summed(counts)
    original_count = Count(*slo.original) if slo.original else NOTHING
    budget_left = budget_of(count, slo.objective)
    return SloFacts(
        name=slo.name,
        indicator=slo.indicator,
        threshold_milliseconds=slo.threshold_milliseconds,
        objective=None if slo.objective is None else float(slo.objective),
        count=count,
        days=tuple(now),
        outside=sum(
            allowed_ratio is not None
            and day_count.total > 0
            and day_count.bad > allowed_ratio * day_count.total
            for day_count in counts
        ),
        budget_left=budget_left,
        before=summed(earlier_counts),
        original=original_count,
        against_before=evolution(counts, earlier_counts, margin=margin),
        against_original=evolution(
            counts, [original_count], margin=margin, is_fixed_objective=True
        ),
        markets=markets,
        market_lines=market_lines([review], slo.name, drawn_markets),
        health=_health_word(count, budget_left) if days else "",
    )


def _health_word(count: Count, budget_left: float | None) -> str:
    """Return a problem of an SLO's definition, rather than of the product; empty if there is none."""
    if not count.total:
        return "had no events: check that its indicator is counted"
    if budget_left is None:
        return ""
    if count.bad == 0:
        return "had no bad event: check that it can fail"
    if budget_left >= 1 - NEVER_AT_RISK:
        return "was never at risk: consider a tighter objective"
    if budget_left < -1:
        return "spent more than twice its error budget: consider whether users need this objective"
    return ""


def quantiles_of(
    days: Sequence[ReviewDay], earlier_days: Sequence[ReviewDay]
) -> tuple[Quantile, ...]:
    """Return response times of some days beside those of earlier ones; empty if the days have none."""
    now, earlier_histogram = histogram_of(days), histogram_of(earlier_days)
    if not now:
        return ()
    return tuple(
        Quantile(
            quantile_share,
            quantile_of(now, quantile_share),
            quantile_of(earlier_histogram, quantile_share),
        )
        for quantile_share in QUANTILES
    )
