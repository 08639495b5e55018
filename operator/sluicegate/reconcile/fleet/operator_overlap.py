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
from sluicegate.views.numbers import duration

AWAY_SECONDS: Final = 600
"""How long a product is left to another operator before this one tries again."""
REMEMBER_SECONDS: Final = 1800
"""How long an overlap counts after it was seen last."""

OVERLAPS: Final = Gauge(
    "sluicegate_overlapping_products",
    "Products whose status another operator writes too; one of the two skips each of them.",
)


def written_by(settings: Settings) -> WrittenBy:
    """Return the operator's identity for the status of its products: its Lease and version."""
    scope = OperatorScope.NAMESPACES if settings.watch_namespaces else OperatorScope.CLUSTER
    return WrittenBy(
        namespace=settings.namespace,
        lease=settings.lease_name,
        scope=scope,
        version=version("sluicegate"),
    )


@dataclass(frozen=True, slots=True)
class Overlap:
    """The reaction to another operator's identity in a product's status: an event, a wait, or none.

    Attributes
    ----------
    requeue_after : seconds for which the product is skipped; 0 for not at all.
    message : of the event to emit; empty if it was emitted before.
    reason : of the event.
    """

    requeue_after: float = 0.0
    message: str = ""
    reason: EventReason = EventReason.OPERATOR_OVERLAP


@dataclass(slots=True)
class OperatorOverlaps:
    """Products that another operator reconciles too. Not thread-safe: for the event loop only.

    Attributes
    ----------
    me : how this operator names itself.
    """

    me: WrittenBy
    _written_keys: set[Key] = field(default_factory=set)
    """Products whose status this operator has written since it leads."""
    _skipped: dict[Key, float] = field(default_factory=dict)
    """Until when a product is skipped, in seconds."""
    _other_operators: dict[Key, tuple[WrittenBy, float]] = field(default_factory=dict)
    """The other operator of a product, and when its name was read last, in seconds."""
    _newer_seen: dict[Key, float] = field(default_factory=dict)
    """When the event of a status of a newer version was emitted last, in seconds."""

    def begin_term(self) -> None:
        """Drop the writes recorded before this term."""
        self._written_keys.clear()
        self._skipped.clear()

    def wrote(self, key: Key) -> None:
        """Record that this operator has written the product's status."""
        self._written_keys.add(key)

    def forget(self, key: Key) -> None:
        """Drop the recorded writes of a deleted product."""
        self._written_keys.discard(key)
        self._skipped.pop(key, None)
        self._other_operators.pop(key, None)
        self._newer_seen.pop(key, None)

    def check(
        self,
        key: Key,
        other_identity: WrittenBy | None,
        is_readable: Callable[[], bool] = lambda: True,
        *,
        now: float,
    ) -> Overlap:
        """Return how to react to the operator identity in a product's status.

        Parameters
        ----------
        other_identity : the operator in status, if any. now : in seconds.
        is_readable : whether all of the status has a meaning here.
        """
        if (
            other_identity is not None
            and _release(other_identity.version) > _release(self.me.version)
            and not is_readable()
        ):
            return self._skip_newer(key, other_identity, now)
        self._newer_seen.pop(key, None)
        skip_until = self._skipped.get(key)
        if skip_until is not None:
            if now < skip_until:
                return Overlap(skip_until - now)
            del self._skipped[key]
            self._written_keys.discard(key)
        if (
            other_identity is None
            or _rank(other_identity) == _rank(self.me)
            or key not in self._written_keys
        ):
            return Overlap()
        other_before = self._other_operators.get(key)
        self._other_operators[key] = other_identity, now
        wait = AWAY_SECONDS if _rank(other_identity) < _rank(self.me) else 0.0
        if wait:
            self._skipped[key] = now + wait
        if other_before is not None and _rank(other_before[0]) == _rank(other_identity):
            return Overlap(wait)
        return Overlap(wait, self.message(key, now=now))

    def message(self, key: Key, *, now: float) -> str:
        """Return a message about two operators that write the same status, and its solution; empty for a single writer."""
        other_identity, seen_at = self._other_operators.get(key, (self.me, now))
        if other_identity is self.me or now - seen_at > REMEMBER_SECONDS:
            return ""
        lower_ranked, higher_ranked = sorted((self.me, other_identity), key=_rank)
        return (
            f"the operators {_name(lower_ranked)} and {_name(higher_ranked)} both watch this namespace:"
            f" {_name(lower_ranked)} reconciles the product, {_name(higher_ranked)} skips it; set"
            f" SLUICEGATE_EXCLUDED_NAMESPACES={key.namespace} for the one that must skip it. This ends"
            f" {duration(REMEMBER_SECONDS)} after {_name(other_identity)} has written the status for the last time, as after its removal"
        )

    def _skip_newer(self, key: Key, other_identity: WrittenBy, now: float) -> Overlap:
        emitted_release = self._newer_seen.get(key)
        if emitted_release is not None and now - emitted_release < AWAY_SECONDS:
            return Overlap(AWAY_SECONDS)
        self._newer_seen[key] = now
        text = (
            f"the operator {_name(other_identity)} of version {other_identity.version} wrote the status, and version"
            f" {self.me.version} doesn't understand all of it: the product is not changed; run that"
            " version again, or remove status, which is then rebuilt from the Deployments"
        )
        return Overlap(AWAY_SECONDS, text, reason=EventReason.NEWER_STATUS)

    def export(self, now: float) -> None:
        """Update the metric of overlapping operators."""
        for key, (_, seen_at) in tuple(self._other_operators.items()):
            if now - seen_at > REMEMBER_SECONDS:
                del self._other_operators[key]
        OVERLAPS.set(len(self._other_operators))


def _rank(writer: WrittenBy) -> tuple[bool, str]:
    return writer.scope is OperatorScope.CLUSTER, _name(writer)


def _release(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version text; empty for an unknown version."""
    number = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in number[0].split(".")) if number else ()


def _name(writer: WrittenBy) -> str:
    return f"{writer.namespace}/{writer.lease}"
