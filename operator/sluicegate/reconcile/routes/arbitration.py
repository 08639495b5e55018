"""Arbitration between products whose routes claim the same requests.

A live HTTPRoute that its Gateway has accepted keeps what it claims, even against older products and
more specific matches. A claim that an HTTPRoute doesn't have yet is new, also in an old product. A
product that doesn't serve claims nothing against one that does. Of products that are both about to
serve the elder goes first. All of it is read from live objects, so a restart finds the same.

Products of one namespace may nest their routes in each other on purpose: there, only claims that
are the same collide.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sluicegate.kube.resources import Key
from sluicegate.reconcile.live.children import RouteRecord
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.routes.claim_index import RouteIndex
from sluicegate.reconcile.routes.claims import Claim, Gateway, Listener, Parent
from sluicegate.reconcile.routes.live_claims import RouteEntry, Standing, Strength, read_entry


@dataclass(frozen=True, slots=True)
class RouteRefusal:
    """A route that is refused because another product claims the same requests.

    Attributes
    ----------
    key, other : whose route it is, and who keeps the requests.
    claim : the part of the route that the other product claims, too.
    kept_claim : the same, as the other product claims it.
    strength : how well the other one's claim stands.
    """

    key: Key
    other: Key
    claim: Claim
    kept_claim: Claim
    strength: Strength

    @property
    def passes(self) -> bool:
        """Return whether the refusal may end without a change of the other product's objects."""
        return self.strength is not Strength.HELD

    @property
    def message(self) -> str:
        """Return the message for the refused product, without names of other namespaces."""
        verb = "is served by" if self.strength is Strength.HELD else "was claimed first by"
        return (
            f"spec.route: {self.claim} {verb} {self._name_for(self.other)}, which keeps it: change"
            " hostnames, path or parentRefs of this product, or ask the owner of the Gateway for"
            " a host or a listener of its own"
        )

    @property
    def notice(self) -> str:
        """Return the message for the product that keeps the requests, without names of other namespaces."""
        return (
            f"spec.route: {self._name_for(self.key)} claims requests of {self.kept_claim}; this product"
            " keeps them, and the other route isn't written. No action is needed, unless the"
            " requests should go there: then change hostnames, path or parentRefs of this product"
        )

    def _name_for(self, key: Key) -> str:
        same_namespace = self.key.namespace == self.other.namespace
        return f"DataProduct {key}" if same_namespace else "a DataProduct of another namespace"


class Claims:
    """The route claims of all products. Not thread-safe: for the event loop only.

    `wake` is called with each refused product when the cause of its refusal has changed.
    """

    def __init__(self, wake: Callable[[Key], None] = lambda _: None) -> None:
        self._wake = wake
        self._entries: dict[Key, RouteEntry] = {}
        self._index = RouteIndex()
        self._read: dict[Key, tuple[str, int, RouteRecord | None]] = {}
        """Uid and generation of the product, and its HTTPRoute: what a claim is read from."""
        self._refusals: dict[Key, RouteRefusal] = {}
        self._waiting: dict[Key, dict[Key, None]] = {}
        """Those that are refused, by who keeps their requests."""
        self._listeners: dict[Gateway, tuple[Listener, ...]] = {}
        self._refused_keys: dict[Key, bool] = {}
        """Whether what is written refuses a route, as it was found since `_refused_at`.

        Each of a thousand products that wait for the same requests asks this of all before it.
        """
        self._refused_at = 0.0

    def learn(self, gateway: Gateway, listeners: tuple[Listener, ...]) -> None:
        """Record the hosts that the listeners of a Gateway admit; unknown without any."""
        listeners_before = self._listeners.pop(gateway, ())
        if listeners_before != listeners:
            self._refused_keys.clear()
        if listeners:
            self._listeners[gateway] = listeners

    def record(self, record: ProductRecord, route: RouteRecord | None) -> None:
        """Update the claims of a product, parsed only if its spec or its route changed.

        Parameters
        ----------
        route : its own HTTPRoute as it lives.
        """
        key, entry_before = record.key, self._entries.get(record.key)
        uid, generation, read = self._read.get(key, (None, None, None))
        if (uid, generation) == (record.uid, record.generation) and read is route:
            return
        previous_entry = entry_before if uid == record.uid else None
        entry = read_entry(record, route, previous_entry)
        self._index.replace(key, (entry.desired, entry.live))
        self._entries[key] = entry
        self._read[key] = record.uid, record.generation, route
        self._refused_keys.clear()
        if entry_before != entry:
            self._wake_waiting(key)

    def settle(self, key: Key, *, contends_for_route: bool, now: float) -> RouteRefusal | None:
        """Return the refusal of a product's route; without one, reserve the route until `release`.

        Parameters
        ----------
        contends_for_route : the operator would write that route now. now : in seconds.
        """
        entry = self._entries[key]
        entry.contends_for_route = contends_for_route
        refusal = self._refusal(entry, now)
        self._reserve(entry, is_reserved=contends_for_route and refusal is None)
        if (refusal is None) != (self.refusal(key) is None):
            self._wake_waiting(key)
        self._remember(key, refusal)
        if entry.reserved:
            self._requeue_denied(entry)
        return refusal

    def serves(self, key: Key, now: float) -> tuple[Parent, ...]:
        """Return the parents that accepted a product's HTTPRoute, or may accept it soon."""
        entry = self._entries.get(key)
        if entry is None or entry.live is None:
            return ()
        serving_parents = entry.held_parents | entry.open(now)
        return tuple(parent for parent in entry.live.parents if parent in serving_parents)

    def release(self, key: Key) -> None:
        """End the reservation of a product, whose live objects count from now on."""
        if (entry := self._entries.get(key)) is not None:
            self._reserve(entry, is_reserved=False)

    def withdraw(self, key: Key) -> None:
        """Withdraw the claim of a route that won't be written and isn't live."""
        if (entry := self._entries.get(key)) is not None:
            entry.contends_for_route = False
            self._reserve(entry, is_reserved=False)
            self._wake_waiting(key)

    def outlive(self, key: Key) -> None:
        """Keep the claim of a live HTTPRoute whose product was deleted, so that no other product gets its requests.

        The product is deleted and its route follows; or a failed list has hidden it, and another
        product would take over its requests.
        """
        if (entry := self._entries.get(key)) is None:
            return
        entry.desired, entry.contends_for_route, entry.reserved, entry.is_written = (
            None,
            False,
            False,
            True,
        )
        self._read.pop(key, None)
        self._refused_keys.clear()
        self._index.replace(key, (entry.live,))
        self._remember(key, None)
        self._wake_waiting(key)

    def forget(self, key: Key) -> None:
        """Drop the claims of a deleted product with a deleted HTTPRoute."""
        self._index.replace(key, ())
        self._entries.pop(key, None)
        self._refused_keys.clear()
        self._read.pop(key, None)
        self._remember(key, None)
        self._wake_waiting(key)

    def __iter__(self) -> Iterator[Key]:
        """Iterate over the recorded products."""
        return iter(tuple(self._entries))

    def refusal(self, key: Key) -> RouteRefusal | None:
        """Return the last result of `settle`."""
        return self._refusals.get(key)

    def _reserve(self, entry: RouteEntry, *, is_reserved: bool) -> None:
        if entry.reserved != is_reserved and not entry.is_written:
            self._refused_keys.clear()
        entry.reserved = is_reserved

    def _requeue_denied(self, entry: RouteEntry) -> None:
        """Requeue products with unaccepted routes whose requests are about to be claimed by another route.

        Otherwise such a route could be accepted, and so take the requests, before its product's next reconcile.
        """
        if entry.is_written:
            return
        for other_key in self._near_entries(entry):
            if other_key.denied_parents:
                self._wake(other_key.key)

    def _wake_waiting(self, key: Key) -> None:
        for waiting_key in tuple(self._waiting.get(key, ())):
            self._wake(waiting_key)

    # ---- who goes first ---------------------------------------------------------------------
    def _refusal(self, entry: RouteEntry, now: float) -> RouteRefusal | None:
        if entry.desired is None:
            return None
        lowest_standing = entry.standing(entry.desired, now)
        for other_key in self._near_entries(entry):
            for standing, claim in other_key.parts(now):
                if standing >= lowest_standing:
                    break
                refusal = self._refusal_by(entry, other_key.key, (standing, claim), now)
                if refusal is None:
                    continue
                if standing[0] is Strength.WANTED and self._is_refused(other_key, now):
                    continue  # it never writes that route
                return refusal
        return None

    def _is_refused(self, entry: RouteEntry, now: float) -> bool:
        """Return whether a written claim already refuses a product's route."""
        if now != self._refused_at:
            self._refused_at = now
            self._refused_keys.clear()
        if entry.key not in self._refused_keys:
            self._refused_keys[entry.key] = self._is_refused_now(entry, now)
        return self._refused_keys[entry.key]

    def _is_refused_now(self, entry: RouteEntry, now: float) -> bool:
        return any(
            self._refusal_by(entry, other_key.key, (standing, claim), now)
            for other_key in self._near_entries(entry)
            for standing, claim in other_key.parts(now)
            if standing[0] is not Strength.WANTED
        )

    def _refusal_by(
        self, entry: RouteEntry, other_key: Key, part: tuple[Standing, Claim], now: float
    ) -> RouteRefusal | None:
        """Return the refusal by another product whose claim has precedence; None without one."""
        standing, claim = part
        assert entry.desired is not None
        as_equals = entry.key.namespace == other_key.namespace
        listeners = self._listeners
        shared_claim = entry.desired.shared_with(claim, as_equals=as_equals, listeners=listeners)
        if shared_claim is None or standing >= entry.standing(shared_claim, now):
            return None
        kept_claim = claim.shared_with(shared_claim, as_equals=as_equals, listeners=listeners)
        assert kept_claim is not None  # what meets one meets the other
        return RouteRefusal(entry.key, other_key, shared_claim, kept_claim, standing[0])

    def _near_entries(self, entry: RouteEntry) -> Iterator[RouteEntry]:
        for key in self._index.near_keys(entry.desired, entry.key.namespace):
            if key != entry.key:
                yield self._entries[key]

    def _remember(self, key: Key, refusal: RouteRefusal | None) -> None:
        previous_refusal = self._refusals.pop(key, None)
        if previous_refusal is not None:
            waiting = self._waiting[previous_refusal.other]
            del waiting[key]
            if not waiting:
                del self._waiting[previous_refusal.other]
        if refusal is not None:
            self._refusals[key] = refusal
            self._waiting.setdefault(refusal.other, {})[key] = None
