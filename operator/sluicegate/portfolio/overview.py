"""The portfolio in one sentence, its queue of needs, and the rows that a reader asks for. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sluicegate.api.engine import ProductState
from sluicegate.views.needs import Need, NeedKind
from sluicegate.views.product_facts import WORST, ProductFacts

STATES: Final = (
    ProductState.DEGRADED,
    ProductState.DEGRADING,
    ProductState.UNKNOWN,
    ProductState.HEALTHY,
)
"""States of products, the worst first."""
_RANKS: Final = {state: place for place, state in enumerate(STATES)}
_NAMED: Final = 3
"""Degraded products that the sentence names."""
_LAST: Final = 2**62


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader filters by: empty fields do not filter. `text` is found in names and the purpose."""

    text: str = ""
    team: str = ""
    domain: str = ""
    market: str = ""
    state: str = ""
    need: str = ""
    namespace: str = ""

    def takes(self, one: ProductFacts) -> bool:
        """Whether a product is asked for."""
        return (
            self.team in {"", one.team}
            and self.domain in {"", one.domain}
            and self.namespace in {"", one.key[0]}
            and self.state in {"", str(one.state)}
            and (not self.market or self.market in one.markets)
            and (not self.need or any(_is(need, self.need) for need in one.needs))
            and (not self.text or self._found_in(one))
        )

    def _found_in(self, one: ProductFacts) -> bool:
        where = f"{one.key[0]}/{one.key[1]} {one.title} {one.owner} {one.domain} {one.purpose}"
        return all(word in where.casefold() for word in self.text.casefold().split())


def _is(need: Need, word: str) -> bool:
    return word == "any" or str(need.kind) == word


@dataclass(frozen=True, slots=True)
class PortfolioOverview:
    """Counts of products by state and of needs by kind, the queue, and all of it in one sentence.

    `needy` are the products that need a person: one may be in the queue more than once.
    """

    sentence: str
    total: int
    needy: int
    states: Counter[ProductState]
    kinds: Counter[NeedKind]
    queue: tuple[tuple[ProductFacts, Need], ...]


def overview_of(products: Sequence[ProductFacts]) -> PortfolioOverview:
    """The sentence and the queue of these products, which are those that the reader may see."""
    states = Counter(one.state for one in products)
    queue = sorted(
        ((one, need) for one in products for need in one.needs),
        key=lambda pair: (
            pair[1].kind.rank,
            pair[0].priority.rank,
            pair[1].since if pair[1].since is not None else _LAST,
            pair[0].key,
        ),
    )
    kinds = Counter(need.kind for _, need in queue)
    needy = sum(bool(one.needs) for one in products)
    sentence = _sentence(products, states, kinds, needy)
    return PortfolioOverview(sentence, len(products), needy, states, kinds, tuple(queue))


def _sentence(
    products: Sequence[ProductFacts],
    states: Counter[ProductState],
    kinds: Counter[NeedKind],
    needy: int,
) -> str:
    if not products:
        return "You can see no product."
    number = len(products)
    parts = [f"{states[one]:,} {one.lower()}" for one in reversed(STATES) if states[one]]
    bad = sorted(
        (one for one in products if one.state is ProductState.DEGRADED),
        key=lambda one: (one.priority.rank, one.key),
    )
    text = f"{number:,} product{'s' if number > 1 else ''}: {', '.join(parts)}"
    if bad:
        told = ", ".join(one.title for one in bad[:_NAMED])
        more = f" and {len(bad) - _NAMED:,} more" if len(bad) > _NAMED else ""
        text += f". Degraded: {told}{more}"
    if not kinds:
        return f"{text}. No product needs you."
    said = ", ".join(one.counted(kinds[one]) for one in NeedKind if kinds[one])
    return f"{text}. {needy:,} need{'' if needy > 1 else 's'} you: {said}."


SORTS: Final[dict[str, Callable[[ProductFacts], tuple[object, ...]]]] = {
    "state": lambda one: (_RANKS[one.state], one.priority.rank),
    "name": lambda one: (one.title.casefold(),),
    "namespace": lambda one: (one.key[0],),
    "team": lambda one: (one.team,),
    "markets": lambda one: (-len(one.markets),),
    "slo": lambda one: (WORST.index(one.level.state) if one.level else len(WORST),),
    "budget": lambda one: (_budget(one),),
    "age": lambda one: (one.model_since or _LAST,),
    "change": lambda one: (-one.change.drop if one.change else 1.0,),
    "initial": lambda one: (-one.initial[0].drop if one.initial else 1.0,),
    "training": lambda one: (-(one.trained.time or 0) if one.trained else 1,),
    "priority": lambda one: (one.priority.rank,),
    "hours": lambda one: (-one.hours.cores_a_day if one.hours else 0.0,),
    "review": lambda one: ({"Overdue": 0, "ToReview": 1}.get(one.review, 2),),
}
"""Keys of a sort by the name that the address has; the most remarkable first."""


def _budget(one: ProductFacts) -> float:
    left = one.level.budget_left if one.level else None
    return float("inf") if left is None else left


def rows(
    products: Iterable[ProductFacts],
    wanted: Wanted,
    sort: str = "state",
    *,
    backwards: bool = False,
) -> list[ProductFacts]:
    """The products that are asked for, in this order; an unknown order is that by state."""
    found = [one for one in products if wanted.takes(one)]
    by = SORTS.get(sort, SORTS["state"])
    return sorted(found, key=lambda one: (by(one), one.key), reverse=backwards)


@dataclass(frozen=True, slots=True)
class Choices:
    """Values that a reader may filter by: those of the products that this one may see."""

    teams: tuple[str, ...]
    domains: tuple[str, ...]
    markets: tuple[str, ...]
    namespaces: tuple[str, ...]


def choices_of(products: Iterable[ProductFacts]) -> Choices:
    """What there is to choose from."""
    every = list(products)
    return Choices(
        teams=tuple(sorted({one.team for one in every if one.team})),
        domains=tuple(sorted({one.domain for one in every if one.domain})),
        markets=tuple(sorted({market for one in every for market in one.markets})),
        namespaces=tuple(sorted({one.key[0] for one in every})),
    )
