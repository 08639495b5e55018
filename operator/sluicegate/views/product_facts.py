"""What a product shows among many: slim, so that thousands are held at once. Pure."""

import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sluicegate.api.engine import ProductState
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.product import DataProduct
from sluicegate.api.product_info import BusinessGoal, Lifecycle, Priority
from sluicegate.api.slo_status import SloState, SloStatus
from sluicegate.api.status import DataProductStatus, DependencyState
from sluicegate.conditions import find_condition
from sluicegate.views.initial import InitialDistance, initial_distance
from sluicegate.views.journey_shares import JourneyShares, shares_of
from sluicegate.views.needs import Need, needs_of, unreadable_need
from sluicegate.views.operator_lease import LeaseKey
from sluicegate.views.product import team_of
from sluicegate.views.resource_hours import ResourceHours
from sluicegate.views.words import has_ended

ProductKey = tuple[str, str]
"""Namespace and name."""
HIDDEN_PRODUCT: Final = "a product you can't see"
STATES_BY_SEVERITY: Final = (SloState.MISSED, SloState.AT_RISK, SloState.UNKNOWN, SloState.MET)
"""States of SLOs, the worst first."""
_RANK_BY_STATE: Final = {state: rank for rank, state in enumerate(STATES_BY_SEVERITY)}


@dataclass(frozen=True, slots=True)
class Upstream:
    """A product that another one calls; `key` is None for one that the reader may not see.

    `state` is what the caller's status says of it, or its own.
    """

    key: ProductKey | None
    state: DependencyState | ProductState
    in_cycle: bool = False


@dataclass(frozen=True, slots=True)
class WorstLevel:
    """The worst SLO of a product: its state; and the least share of an error budget, with its SLO."""

    slo: str
    state: SloState
    budget_left: float | None = None
    budget_slo: str = ""


@dataclass(frozen=True, slots=True)
class AcceptanceChange:
    """How far an SLO is below its performance at acceptance, as shares of events.

    `drop` is positive where it got worse; `lower` and `upper` bound it with 95 %, `total` is the
    number of events of the window that the last decision was made by.
    """

    slo: str
    ratio: float
    accepted: float
    drop: float
    lower: float | None
    upper: float | None
    total: int


@dataclass(frozen=True, slots=True)
class MarketLevel:
    """The state of a product in one market: the worst state of its SLOs there.

    `slo` is the SLO that has it; `ratio` its share of good events there, of `total`, with its 95 %
    `interval`; `required` the least share. Without a name it is only known that none is missed.
    """

    state: SloState
    slo: str = ""
    ratio: float | None = None
    total: int = 0
    interval: tuple[float, ...] = ()
    required: float | None = None
    budget_left: float | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """The outcome of the last training, or that one is under way (`Training`) or waits (`Waiting`)."""

    outcome: str
    reason: str
    time: int | None


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """The facts of a product that readers see; times are seconds since the epoch.

    Attributes
    ----------
    title : as people read it. owner : the team. state_since : None where status doesn't say.
    reason : why it is not ready, needs a person or does not serve the spec's model, in one word.
    worst_slo : its worst SLO; None without SLOs. change : the largest drop since acceptance that is measured.
    initial_distances : the distance of each SLO from its first accepted baseline, the largest drop first.
    model, model_since : the stable version, and since when. canary : `v15@25`, or its phase; or empty.
    review : ToReview or Overdue while a review is due, otherwise empty.
    by_market : the worst state of its SLOs by market, of the markets that something is known of.
    goals : business goals that an SLO measures.
    journeys : its place in journeys, and what it adds to them; None for one that is in none.
    needs : what it needs of a person, the most pressing first.
    people : user names of the members of its team.
    hours : what its pods and trainings reserved in the last days of its ledger; None where no ledger says so.
    operator : the Lease of the operator that wrote its status; None before its first write.
    problem : why the object can't be read; empty for one that can.
    """

    key: ProductKey
    title: str
    uid: str = ""
    owner: str = ""
    domain: str = ""
    purpose: str = ""
    lifecycle: Lifecycle = Lifecycle.DEVELOPMENT
    priority: Priority = Priority.MEDIUM
    markets: tuple[str, ...] = ()
    state: ProductState = ProductState.UNKNOWN
    state_since: int | None = None
    reason: str = ""
    worst_slo: WorstLevel | None = None
    change: AcceptanceChange | None = None
    initial_distances: tuple[InitialDistance, ...] = ()
    model: str = ""
    model_since: int | None = None
    canary: str = ""
    last_training: Trained | None = None
    review: str = ""
    by_market: Mapping[str, MarketLevel] = field(default_factory=dict)
    goals: tuple[BusinessGoal, ...] = ()
    journeys: JourneyShares | None = None
    upstream: tuple[Upstream, ...] = ()
    needs: tuple[Need, ...] = ()
    people: frozenset[str] = frozenset()
    suspended: bool = False
    hours: ResourceHours | None = None
    operator: LeaseKey | None = None
    problem: str = ""

    @property
    def missed_markets(self) -> tuple[str, ...]:
        """The markets in which an SLO is missed, by name."""
        return tuple(
            sorted(
                market for market, level in self.by_market.items() if level.state is SloState.MISSED
            )
        )

    @property
    def team(self) -> str:
        """Return the owner without its kind: catalog of group:default/catalog."""
        return team_of(self.owner)


def _state_since(status: DataProductStatus) -> int | None:
    """Return since when a product has its state, in seconds; the condition Degraded has it.

    A product that is Degrading has Degraded=False for as long as it was not degraded: no time of its own.
    """
    degraded_condition = find_condition(status.conditions, ConditionType.DEGRADED)
    if degraded_condition is None or status.state is ProductState.DEGRADING:
        return None
    return degraded_condition.last_transition_time


def decision_has_ended(status: DataProductStatus) -> bool:
    """Return whether the degradation that the last decision is about has ended."""
    decision = status.decision
    markets_met = find_condition(status.conditions, ConditionType.MARKETS_MET)
    return decision is not None and has_ended(
        decision.type, decision.reason, str(status.state),
        has_missed_market=markets_met is not None and markets_met.status == "False",
    )  # fmt: skip


def facts_of(product: DataProduct) -> ProductFacts:
    """Return the facts of a readable product."""
    spec, status = product.spec, product.status
    summary, stable = status.summary, status.stable
    dependencies = {
        (dependency.namespace, dependency.name): dependency for dependency in status.dependencies
    }
    own_namespace = product.metadata.namespace
    upstream = []
    for dependency in spec.depends_on:
        key = (dependency.namespace or own_namespace, dependency.name)
        upstream_status = dependencies.get(key)
        state = upstream_status.state if upstream_status else DependencyState.UNKNOWN
        upstream.append(
            Upstream(key, state, in_cycle=bool(upstream_status and upstream_status.in_cycle))
        )
    due_condition = find_condition(status.conditions, ConditionType.REVIEW_DUE)
    return ProductFacts(
        key=product.metadata.key,
        title=spec.display_name or product.metadata.name,
        uid=product.metadata.uid,
        owner=spec.owner,
        domain=spec.domain or "",
        purpose=(spec.description.purpose or "") if spec.description else "",
        lifecycle=spec.lifecycle,
        priority=spec.priority,
        markets=spec.markets,
        state=status.state or ProductState.UNKNOWN,
        state_since=_state_since(status),
        reason=summary.reason if summary else "",
        worst_slo=_worst_slo(status.slos),
        change=_change(status.slos),
        initial_distances=_initial_distances(status),
        model=stable.version if stable else "",
        model_since=stable.promotion_time if stable else None,
        canary=summary.canary if summary else "",
        last_training=_last_training(product),
        review=due_condition.reason
        if due_condition is not None and due_condition.status == "True"
        else "",
        by_market=_market_states(status, spec.markets),
        goals=tuple(goal for goal in spec.business_goals if goal.slo is not None),
        journeys=shares_of(product),
        upstream=tuple(upstream),
        needs=needs_of(product),
        people=frozenset(dependency.username for dependency in spec.team.members)
        if spec.team
        else frozenset(),
        suspended=spec.suspend,
        operator=(status.written_by.namespace, status.written_by.lease)
        if status.written_by
        else None,
    )


def read_facts(document: Mapping[str, Any]) -> ProductFacts:
    """Return the facts of an object of the API server; for an unreadable one its name and the reason."""
    try:
        return facts_of(DataProduct.parse(document))
    except InvalidProduct as error:
        return unreadable_facts(document, str(error))


def unreadable_facts(document: Mapping[str, Any], problem: str) -> ProductFacts:
    """Return the facts of an unreadable object: its name, and the reason."""
    meta = document.get("metadata") or {}
    key = (str(meta.get("namespace", "")), str(meta.get("name", "")))
    return ProductFacts(
        key=key,
        title=key[1],
        uid=str(meta.get("uid", "")),
        reason=str(ConditionReason.INVALID_SPEC),
        needs=(unreadable_need(problem),),
        problem=problem,
    )


def facts_for_reader(
    facts: ProductFacts, may_see: Callable[[str], bool], products: Container[ProductKey] = ()
) -> ProductFacts:
    """Return the facts for a reader, without the names of products in other namespaces.

    The operator's sentences name a degraded upstream, so its name is replaced there too.

    Parameters
    ----------
    may_see : whether the reader may see the products of a namespace.
    products : all products there are, whose names may be in a sentence.
    """
    upstream_keys = {dependency.key for dependency in facts.upstream if dependency.key is not None}
    if all(may_see(key[0]) for key in upstream_keys) and not facts.needs:
        return facts
    conceal = name_concealer(may_see, lambda key: key in upstream_keys or key in products)
    return replace(
        facts,
        upstream=tuple(
            upstream
            if upstream.key is not None and may_see(upstream.key[0])
            else replace(upstream, key=None)
            for upstream in facts.upstream
        ),
        needs=tuple(replace(need, message=conceal(need.message)) for need in facts.needs),
    )


def with_states(products: Iterable[ProductFacts]) -> list[ProductFacts]:
    """Return these products, with the states of the called products among them.

    What a status says of an upstream is of the last evaluation, and other pages would say another thing.
    """
    all_products = list(products)
    states = {product.key: product.state for product in all_products}
    return [
        replace(
            product,
            upstream=tuple(
                replace(upstream, state=states[upstream.key])
                if upstream.key in states
                else upstream
                for upstream in product.upstream
            ),
        )
        if product.upstream
        else product
        for product in all_products
    ]


def name_concealer(
    may_see: Callable[[str], bool], is_product: Callable[[ProductKey], bool]
) -> Callable[[str], str]:
    """Return a function that replaces the names (`namespace/name`) of products that a reader may not see."""

    def replace_name(match: re.Match[str]) -> str:
        is_hidden = not may_see(match[1]) and is_product((match[1], match[2]))
        return HIDDEN_PRODUCT if is_hidden else match[0]

    return lambda text: _PRODUCT_NAME.sub(replace_name, text)


_PRODUCT_NAME: Final = re.compile(r"(?<![-\w./@])([a-z0-9][-a-z0-9]*)/([a-z][-a-z0-9]*)(?![-\w/@])")


def _worst_slo(slos: tuple[SloStatus, ...]) -> WorstLevel | None:
    if not slos:
        return None
    worst_status = min(slos, key=lambda slo: (_RANK_BY_STATE[slo.state], _budget(slo)))
    budgets_left = [
        (float(slo.budget_remaining), slo.name) for slo in slos if slo.budget_remaining is not None
    ]
    smallest_budget, name = min(budgets_left, default=(None, ""))
    return WorstLevel(worst_status.name, worst_status.state, smallest_budget, name)


def _budget(slo: SloStatus) -> float:
    return 1.0 if slo.budget_remaining is None else float(slo.budget_remaining)


def _change(slos: tuple[SloStatus, ...]) -> AcceptanceChange | None:
    changes = [
        AcceptanceChange(
            slo=slo.name,
            ratio=float(slo.ratio),
            accepted=float(slo.baseline_ratio),
            drop=float(slo.drop),
            lower=float(slo.interval[0]) if slo.interval else None,
            upper=float(slo.interval[-1]) if slo.interval else None,
            total=slo.total or 0,
        )
        for slo in slos
        if slo.ratio is not None and slo.baseline_ratio is not None and slo.drop is not None
    ]
    return max(changes, key=lambda change: change.drop, default=None)


def _initial_distances(status: DataProductStatus) -> tuple[InitialDistance, ...]:
    original_baseline = status.engine.original_baseline
    if original_baseline is None:
        return ()
    distances = (
        initial_distance(
            slo.name,
            original_baseline.version,
            initial_counts=(baseline.bad, baseline.total),
            present_counts=(slo.bad or 0, slo.total or 0),
            phi=baseline.phi,
        )
        for slo in status.slos
        if (baseline := original_baseline.slos.get(slo.name)) is not None and slo.bad is not None
    )
    measured_distances = (distance for distance in distances if distance is not None)
    return tuple(sorted(measured_distances, key=lambda distance: (-distance.drop, distance.slo)))


def _last_training(product: DataProduct) -> Trained | None:
    retraining = product.status.retraining
    if retraining is None:
        return None
    if retraining.trigger is not None:
        return Trained("Training", retraining.trigger.cause, retraining.start_time)
    if retraining.pending is not None:
        return Trained("Waiting", retraining.waiting_for, retraining.pending.trigger_time)
    if retraining.last_result is not None:
        last_result = retraining.last_result
        return Trained(str(last_result.outcome), last_result.reason, last_result.completion_time)
    return None


def _market_states(status: DataProductStatus, markets: tuple[str, ...]) -> dict[str, MarketLevel]:
    """Return the worst state by market, of the markets that an SLO is counted in.

    A state that isn't known of one SLO is not known, also if another SLO is met.
    """
    levels_by_name: dict[str, list[MarketLevel]] = {}
    for slo in status.slos:
        for market, market_level in levels_by_market(slo, status, markets).items():
            levels_by_name.setdefault(market, []).append(market_level)
    return {
        market: min(
            market_levels,
            key=lambda market_level: (_RANK_BY_STATE[market_level.state], not market_level.slo),
        )
        for market, market_levels in levels_by_name.items()
    }


def levels_by_market(
    slo: SloStatus, status: DataProductStatus, markets: tuple[str, ...]
) -> dict[str, MarketLevel]:
    """Return one SLO by market; empty if it isn't counted by market.

    Status names the three worst markets of an SLO, the met ones last, and the record of the SLO those
    that miss it. Another market is met if a met one is among the three, and otherwise not known.
    """
    missed_markets = status.engine.slo(slo.name).missed_markets
    by_market = {market: MarketLevel(SloState.MISSED, slo.name) for market in missed_markets} | {
        market.market: MarketLevel(
            market.state,
            slo.name,
            None if market.ratio is None else float(market.ratio),
            market.total,
            tuple(map(float, market.interval)),
            None if market.limit is None else float(market.limit),
            None if market.budget_remaining is None else float(market.budget_remaining),
        )
        for market in slo.markets
    }
    if not by_market:
        return {}
    are_others_met = len(by_market) >= _MAX_STATUS_MARKETS and any(
        market_level.state is SloState.MET for market_level in by_market.values()
    )
    all_markets = (*markets, *(name for name in by_market if name not in markets))
    return {
        market: by_market.get(market, _MET_MARKET if are_others_met else _UNKNOWN_MARKET)
        for market in all_markets
    }


_MET_MARKET: Final = MarketLevel(SloState.MET)
_UNKNOWN_MARKET: Final = MarketLevel(SloState.UNKNOWN)
_MAX_STATUS_MARKETS: Final = 3
"""Markets of an SLO that status names at most."""
