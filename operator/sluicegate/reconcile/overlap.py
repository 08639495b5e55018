"""Two operators over one product: one of them leaves it alone, and both say so.

Each writes into status which operator it is. One that finds another's name there, after it wrote its
own, knows that both are at work: two that merely follow one another, as a release is installed anew,
never do. The one that watches fewer namespaces keeps the product, of two alike the one whose name
comes first. The other tries again every ten minutes, so it takes over should the first be gone, and
what both write meanwhile is bounded.
"""

from dataclasses import dataclass, field
from typing import Final

from prometheus_client import Gauge

from sluicegate.api.status import OperatorScope, WrittenBy
from sluicegate.kube.resources import Key
from sluicegate.settings import Settings

AWAY_SECONDS: Final = 600
"""How long a product is left to another operator before this one tries again."""
REMEMBER_SECONDS: Final = 1800
"""How long an overlap counts after it was seen last."""

OVERLAPS: Final = Gauge(
    "sluicegate_overlapping_products",
    "Products whose status another operator writes too; one of the two leaves each alone.",
)


def written_by(settings: Settings) -> WrittenBy:
    """How this operator names itself in the status of its products: by its Lease."""
    scope = OperatorScope.NAMESPACES if settings.watch_namespaces else OperatorScope.CLUSTER
    return WrittenBy(namespace=settings.namespace, lease=settings.lease_name, scope=scope)


@dataclass(frozen=True, slots=True)
class Meeting:
    """What follows from another operator's name in a product's status.

    Attributes
    ----------
    wait : seconds for which the product is left alone; 0 for not at all.
    news : what people are told; empty when they were told before.
    """

    wait: float = 0.0
    news: str = ""


@dataclass(slots=True)
class Overlaps:
    """Which products another operator serves too. Used from the event loop only.

    Attributes
    ----------
    me : how this operator names itself.
    """

    me: WrittenBy
    _written: set[Key] = field(default_factory=set)
    """Products whose status this operator has written since it leads."""
    _left: dict[Key, float] = field(default_factory=dict)
    """Until when a product is left alone, in seconds."""
    _met: dict[Key, tuple[WrittenBy, float]] = field(default_factory=dict)
    """Who else was met there last, and when."""

    def begin(self) -> None:
        """Forget what was written before, as this replica begins to lead: it was long ago."""
        self._written.clear()
        self._left.clear()

    def wrote(self, key: Key) -> None:
        """Status was written, with the name of this operator."""
        self._written.add(key)

    def forget(self, key: Key) -> None:
        """The product is gone."""
        self._written.discard(key)
        self._left.pop(key, None)
        self._met.pop(key, None)

    def meet(self, key: Key, other: WrittenBy | None, *, now: float) -> Meeting:
        """What follows from the name in a product's status.

        Parameters
        ----------
        other : whose name is there; None for nobody's. now : in seconds.
        """
        left = self._left.get(key)
        if left is not None:
            if now < left:
                return Meeting(left - now)
            del self._left[key]
            self._written.discard(key)
        if other is None or other == self.me or key not in self._written:
            return Meeting()
        known = self._met.get(key)
        self._met[key] = other, now
        first, second = sorted((self.me, other), key=_rank)
        wait = AWAY_SECONDS if first == other else 0.0
        if wait:
            self._left[key] = now + wait
        if known is not None and known[0] == other:
            return Meeting(wait)
        text = (
            f"the operators {_name(first)} and {_name(second)} both watch this namespace:"
            f" {_name(first)} serves the product, {_name(second)} leaves it alone; set"
            f" SLUICEGATE_EXCLUDED_NAMESPACES={key.namespace} for the one that isn't to serve it"
        )
        return Meeting(wait, text)

    def export(self, now: float) -> None:
        """Bring the metric up to date."""
        for key, (_, seen) in tuple(self._met.items()):
            if now - seen > REMEMBER_SECONDS:
                del self._met[key]
        OVERLAPS.set(len(self._met))


def _rank(one: WrittenBy) -> tuple[bool, str]:
    return one.scope is OperatorScope.CLUSTER, _name(one)


def _name(one: WrittenBy) -> str:
    return f"{one.namespace}/{one.lease}"
