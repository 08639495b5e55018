"""What one product's route claims, and how well each part of that stands: read from live objects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Final

from sluicegate.kube.resources import Key
from sluicegate.reconcile.live.children import ParentStatus, RouteRecord
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.routes.claim_reading import claim_of
from sluicegate.reconcile.routes.claims import Claim, Parent

SILENT_SECONDS: Final = 30
"""For so long a route counts as about to serve that its Gateway says nothing of, or denies after
it took it: a Gateway that restarts may deny for a moment what it goes on to serve."""
_LAST_TIME: Final = "~"
"""In place of a creationTimestamp: later than each of them."""


class Strength(IntEnum):
    """The rank of a claim; a smaller one has precedence."""

    HELD = 0  # the live HTTPRoute has it, and the Gateway takes that route
    WRITTEN = 1  # the HTTPRoute has it, or is just being written, and the Gateway says nothing yet
    WANTED = 2  # the spec has it


Standing = tuple[Strength, str, tuple[str, str, str]]
"""How well a claim stands: strength, creation of the HTTPRoute, and rank of the product."""


@dataclass(slots=True)
class RouteEntry:
    """The claims of a product's route: desired, live, held and denied.

    Attributes
    ----------
    rank : creation, namespace and name of the product.
    desired, live : what the spec claims, and what the HTTPRoute does; None for nothing.
    creation_time : when the HTTPRoute was created.
    held_parents : parents that take the HTTPRoute. denied_parents : parents that don't.
    lapsed : of those that don't, the ones that took it before, and since when they don't.
    contends_for_route : the operator would write the route of the spec now.
    reserved : it is about to.
    is_written : the HTTPRoute has all that the spec claims.
    """

    key: Key
    rank: tuple[str, str, str]
    desired: Claim | None = None
    live: Claim | None = None
    creation_time: str = _LAST_TIME
    held_parents: frozenset[Parent] = frozenset()
    denied_parents: frozenset[Parent] = frozenset()
    lapsed: Mapping[Parent, float] = field(default_factory=dict)
    contends_for_route: bool = False
    reserved: bool = False
    is_written: bool = False

    def open(self, now: float) -> frozenset[Parent]:
        """Return the parents that may accept the HTTPRoute soon, or again."""
        lapsed_parents = frozenset(
            parent
            for parent, lapse_time in self.lapsed.items()
            if now - lapse_time <= SILENT_SECONDS
        )
        if self.live is None or now - _seconds(self.creation_time) > SILENT_SECONDS:
            return lapsed_parents
        return lapsed_parents | (
            frozenset(self.live.parents) - self.held_parents - self.denied_parents
        )

    def parts(self, now: float) -> Iterator[tuple[Standing, Claim]]:
        """Yield the claims with their ranks, best first."""
        for strength, parents in (
            (Strength.HELD, self.held_parents),
            (Strength.WRITTEN, self.open(now)),
        ):
            claim = self.live.at(parents) if self.live else None
            if claim is not None:
                yield (strength, self.creation_time, self.rank), claim
        if self.desired is None or self.is_written:
            return
        if self.reserved:
            yield (Strength.WRITTEN, _LAST_TIME, self.rank), self.desired
        elif self.contends_for_route:
            yield (Strength.WANTED, "", self.rank), self.desired

    def standing(self, claim: Claim, now: float) -> Standing:
        """Return the rank of the weakest part of a claim that is also desired."""
        if self.live is not None:
            parents: frozenset[Parent] = frozenset()
            for strength, claims in (
                (Strength.HELD, self.held_parents),
                (Strength.WRITTEN, self.open(now)),
            ):
                parents |= claims
                part = self.live.at(parents)
                if part is not None and claim.is_within(part):
                    return strength, self.creation_time, self.rank
        if self.reserved:
            return Strength.WRITTEN, _LAST_TIME, self.rank
        return Strength.WANTED, "", self.rank


def read_entry(
    record: ProductRecord, route: RouteRecord | None, previous_entry: RouteEntry | None
) -> RouteEntry:
    """Return the entry of a product's route by its record and its HTTPRoute.

    Parameters
    ----------
    route : its own HTTPRoute as it lives. previous_entry : what was known of the same product; None if it
        is reconciled for the first time.
    """
    key = record.key
    entry = RouteEntry(key, (record.created, key.namespace, key.name))
    entry.desired = claim_of(record.route, key.namespace)
    entry.contends_for_route = (
        _is_about_to_serve(record) if previous_entry is None else previous_entry.contends_for_route
    )
    # A route that was deleted by hand is created again before another product takes its requests.
    has_vanished = (
        previous_entry is not None and route is None and bool(previous_entry.held_parents)
    )
    entry.reserved = previous_entry is not None and (previous_entry.reserved or has_vanished)
    if route is not None:
        _with_live_claim(entry, route, previous_entry, record)
    live, desired = entry.live, entry.desired
    entry.is_written = desired is None or (live is not None and desired.is_within(live))
    return entry


def _with_live_claim(
    entry: RouteEntry, route: RouteRecord, previous_entry: RouteEntry | None, record: ProductRecord
) -> None:
    """Read the claim of an HTTPRoute, and the parents that accepted it.

    A parent that accepted the route and no longer reports it still counts: a Gateway that is
    replaced, or whose controller restarts, doesn't report for a while. After a restart of the
    operator, status has it.
    """
    entry.live = claim_of(route.spec, route.key.namespace)
    entry.creation_time = route.created
    if entry.live is None:
        return
    words = {parent: _words(route, parent) for parent in entry.live.parents}
    held_parents = {
        parent for parent, statuses in words.items() if any(status.accepted for status in statuses)
    }
    denied_parents = {
        parent
        for parent, statuses in words.items()
        if parent not in held_parents and any(status.is_denied for status in statuses)
    }
    silent_parents = set(entry.live.parents) - held_parents - denied_parents
    since: Mapping[Parent, float] = {}
    lapsing_parents = frozenset(denied_parents) if _was_accepted(record) else frozenset[Parent]()
    if previous_entry is not None:
        held_parents |= silent_parents & previous_entry.held_parents
        since = (
            previous_entry.lapsed
        )  # some Gateways give each answer a time of its own: the first counts
        lapsing_parents = previous_entry.held_parents | since.keys()
    elif not route.parents and _was_accepted(record):
        held_parents |= silent_parents
    entry.held_parents, entry.denied_parents = frozenset(held_parents), frozenset(denied_parents)
    entry.lapsed = {
        parent: since.get(parent, max(_seconds(status.decided_at) for status in words[parent]))
        for parent in denied_parents & lapsing_parents
    }


def _words(route: RouteRecord, parent: Parent) -> list[ParentStatus]:
    """Return the controllers' statuses of a route at a parent."""
    key, section, port = parent.gateway[2], parent.section, parent.port
    return [
        status
        for status in route.parents
        if (status.namespace, status.name, status.section) == (*key, section)
        and status.port in (0, port)
    ]


def _is_about_to_serve(record: ProductRecord) -> bool:
    """Return whether the status of a product that isn't reconciled yet shows that it gets a route soon."""
    return record.status.stable is not None and not record.suspended


def _was_accepted(record: ProductRecord) -> bool:
    """Return whether status reports that the Gateways accepted the route."""
    traffic = record.status.traffic
    return traffic is not None and traffic.acceptance_time is not None


def _seconds(moment: str) -> float:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return 0.0
