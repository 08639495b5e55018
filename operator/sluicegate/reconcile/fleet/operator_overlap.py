"""Two operators over one product: one of them skips it, and both report it.

Each operator writes its identity into status. If one finds another identity there after it wrote
its own, both are running; two that follow one another, as after a reinstallation, never do. The
one that watches fewer namespaces keeps the product; otherwise the one whose name comes first. The
other retries every ten minutes, so it takes over if the first is gone, and the writes of both are
bounded.

A status of a newer version that this operator doesn't understand completely isn't changed: the new
status would lack the unknown parts.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

from prometheus_client import Gauge

from sluicegate.api.event_reasons import EventReason
from sluicegate.api.status import OperatorScope, WrittenBy
from sluicegate.kube.resources import Key
from sluicegate.settings import Settings

AWAY_SECONDS: Final = 600
"""How long a product is left to another operator before this one tries again."""
REMEMBER_SECONDS: Final = 1800
"""How long an overlap counts after it was seen last."""

OVERLAPS: Final = Gauge(
    "sluicegate_overlapping_products",
    "Products whose status another operator writes too; one of the two skips each of them.",
)


def written_by(settings: Settings) -> WrittenBy:
    """How this operator names itself in the status of its products: by its Lease."""
    scope = OperatorScope.NAMESPACES if settings.watch_namespaces else OperatorScope.CLUSTER
    return WrittenBy(
        namespace=settings.namespace,
        lease=settings.lease_name,
        scope=scope,
        version=version("sluicegate"),
    )


@dataclass(frozen=True, slots=True)
class Meeting:
    """What follows from another operator's name in a product's status.

    Attributes
    ----------
    wait : seconds for which the product is skipped; 0 for not at all.
    news : text of the event to emit; empty if it was emitted before.
    reason : of the event.
    """

    wait: float = 0.0
    news: str = ""
    reason: EventReason = EventReason.OPERATOR_OVERLAP


@dataclass(slots=True)
class OperatorOverlaps:
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
    _newer: dict[Key, float] = field(default_factory=dict)
    """When people were last told that a status is of a newer version."""

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
        self._newer.pop(key, None)

    def meet(
        self,
        key: Key,
        other: WrittenBy | None,
        is_readable: Callable[[], bool] = lambda: True,
        *,
        now: float,
    ) -> Meeting:
        """What follows from the name in a product's status.

        Parameters
        ----------
        other : the operator in status, if any. now : in seconds.
        is_readable : whether all of the status has a meaning here.
        """
        if (
            other is not None
            and _release(other.version) > _release(self.me.version)
            and not is_readable()
        ):
            return self._leave(key, other, now)
        self._newer.pop(key, None)
        left = self._left.get(key)
        if left is not None:
            if now < left:
                return Meeting(left - now)
            del self._left[key]
            self._written.discard(key)
        if other is None or _rank(other) == _rank(self.me) or key not in self._written:
            return Meeting()
        known = self._met.get(key)
        self._met[key] = other, now
        wait = AWAY_SECONDS if _rank(other) < _rank(self.me) else 0.0
        if wait:
            self._left[key] = now + wait
        if known is not None and _rank(known[0]) == _rank(other):
            return Meeting(wait)
        return Meeting(wait, self.standing(key, now=now))

    def standing(self, key: Key, *, now: float) -> str:
        """Which two operators write a product's status, and the way out; empty when one does."""
        other, seen = self._met.get(key, (self.me, now))
        if other is self.me or now - seen > REMEMBER_SECONDS:
            return ""
        first, second = sorted((self.me, other), key=_rank)
        return (
            f"the operators {_name(first)} and {_name(second)} both watch this namespace:"
            f" {_name(first)} reconciles the product, {_name(second)} skips it; set"
            f" SLUICEGATE_EXCLUDED_NAMESPACES={key.namespace} for the one that must skip it"
        )

    def _leave(self, key: Key, other: WrittenBy, now: float) -> Meeting:
        told = self._newer.get(key)
        if told is not None and now - told < AWAY_SECONDS:
            return Meeting(AWAY_SECONDS)
        self._newer[key] = now
        text = (
            f"the operator {_name(other)} of version {other.version} wrote the status, and version"
            f" {self.me.version} doesn't understand all of it: the product is not changed; run that"
            " version again, or remove status, which is then rebuilt from the Deployments"
        )
        return Meeting(AWAY_SECONDS, text, reason=EventReason.NEWER_STATUS)

    def export(self, now: float) -> None:
        """Bring the metric up to date."""
        for key, (_, seen) in tuple(self._met.items()):
            if now - seen > REMEMBER_SECONDS:
                del self._met[key]
        OVERLAPS.set(len(self._met))


def _rank(one: WrittenBy) -> tuple[bool, str]:
    return one.scope is OperatorScope.CLUSTER, _name(one)


def _release(text: str) -> tuple[int, ...]:
    """The numbers that a version begins with; none where it isn't known."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _name(one: WrittenBy) -> str:
    return f"{one.namespace}/{one.lease}"
