"""State of other products that decisions on one need: degraded ones, trainings, simultaneous degradations.

Kept in memory and rebuilt by the first evaluation of each product after a restart; what it says
before that is "unknown", which starts nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from sluicegate.api.engine import ProductState
from sluicegate.api.status import DependencyState
from sluicegate.kube.resources import Key
from sluicegate.policy import Applicant, Budget, admit
from sluicegate.policy.model.observed import DegradedConsumer, Portfolio, UpstreamRelease
from sluicegate.reconcile.fleet.common_cause import Overlaps, Silence, SimultaneousProducts, Span
from sluicegate.reconcile.fleet.dependency_graph import DependencyGraph
from sluicegate.reconcile.fleet.slot_reservation import Reserved
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot


@dataclass(frozen=True, slots=True)
class TrainingQueue:
    """The products that wait for a slot, and those that have one, including running Jobs."""

    asking: frozenset[Key]
    admitted: frozenset[Key]


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counts over all products, cached for a second."""

    now: int
    silence: Silence
    overlaps: dict[Span, Overlaps] = field(default_factory=dict)
    together: dict[tuple[Span, str], SimultaneousProducts] = field(default_factory=dict)
    silent: dict[str, Mapping[str, float]] = field(default_factory=dict)


class FleetRegistry:
    """The snapshots of all products of this operator. Not thread-safe: for the event loop only.

    `wake` is called with each product that a change of another one concerns.
    """

    def __init__(self, budget: Budget, wake: Callable[[Key], None] = lambda _: None) -> None:
        self._budget = budget
        self._wake = wake
        self._snapshots: dict[Key, ProductSnapshot] = {}
        # Slots are asked for often and wanted rarely: who trains or waits is kept apart.
        self._applying: set[Key] = set()
        self._turning: set[Key] = set()
        self._training: set[Key] = set()
        self.graph = DependencyGraph()
        self._bad: set[Key] = set()
        self._renewing: set[Key] = set()
        self._sizes: Counter[str] = Counter()
        """Products by namespace."""
        self._cached_counts: _Counts | None = None
        self._last_slot_times: Counter[str] = Counter()
        """When a namespace had a slot last, in seconds."""
        self._lines: dict[tuple[int, int], TrainingQueue] = {}

    def update(self, key: Key, snapshot: ProductSnapshot, now: int) -> None:
        """Record a snapshot; requeue products that get a slot by it, and the callers of a changed product.

        Their next block may be long off. `now` is in seconds.
        """
        state_before, suspect_before, answers_before = (
            self.dependency(key),
            self._suspect(key),
            self._answers(key),
        )
        if self.record(key, snapshot):
            self.wake_next(now)
        if self._suspect(key) != suspect_before:
            for upstream in self.graph.dependencies(key):
                if str(upstream) in {suspect_before, self._suspect(key)}:
                    self._wake(upstream)
        for affected_key, _ in self._answers(key) ^ answers_before:
            self._wake(affected_key)
        if self.dependency(key) is not state_before:
            for dependent in self.graph.dependents(key):
                self._wake(dependent)

    def leave(self, key: Key, now: int) -> None:
        """Remove a deleted product, and requeue the product that gets its slot; `now` is in seconds."""
        if self.forget(key):
            self.wake_next(now)

    def wake_next(self, now: int) -> None:
        """Requeue the waiting products that have a slot at `now`, in seconds."""
        for key in self.next_in_line(now):
            self._wake(key)

    def record(self, key: Key, snapshot: ProductSnapshot) -> bool:
        """Record the snapshot of an evaluation, completed by fields of the previous snapshot.

        Returns
        -------
        Whether a slot is free by it: the product had one, or it was kept for it.
        """
        previous_snapshot = self._snapshots.get(key)
        if previous_snapshot is not None:
            snapshot = snapshot.following(previous_snapshot)
        self.graph.replace(key, snapshot.depends_on)
        self._snapshots[key] = snapshot
        self._sizes[key.namespace] += previous_snapshot is None
        if snapshot.trained_at is not None:
            last_slot_time = max(self._last_slot_times[key.namespace], snapshot.trained_at)
            self._last_slot_times[key.namespace] = last_slot_time
        waits_for_slot = snapshot.training or snapshot.waiting_since is not None
        was_training = previous_snapshot is not None and previous_snapshot.training
        is_slot_kept = self._has_kept(key)
        if (
            is_slot_kept
            or was_training != snapshot.training
            or waits_for_slot != (key in self._applying)
        ):
            self._lines.clear()
        for index_set, is_member in (
            (self._applying, waits_for_slot),
            (self._training, snapshot.training),
            (self._turning, snapshot.turns_bad),
            (self._bad, snapshot.bad_since is not None),
            (self._renewing, snapshot.renews),
        ):
            (index_set.add if is_member else index_set.discard)(key)
        return (was_training or is_slot_kept) and not snapshot.training

    def reserved(self, key: Key) -> Reserved | None:
        """Return the slot that is reserved for a product's Job that doesn't exist yet."""
        return self._snapshots.get(key, ProductSnapshot()).reserved

    def step_aside(self, key: Key, *, job_runs: bool, keeps_slot: bool, failed: bool) -> bool:
        """Release a product's slot after a failed pass or Job creation; return whether a slot is free.

        Returns
        -------
        Whether a slot is free by it.

        Parameters
        ----------
        job_runs : a Job of it runs. keeps_slot : the slot for a Job that isn't there yet.
        failed : it couldn't be reconciled.
        """
        if (snapshot := self._snapshots.get(key)) is None:
            return False
        stepped_aside = snapshot.stepped_aside(
            job_runs=job_runs, keeps_slot=keeps_slot, failed=failed
        )
        return self.record(key, stepped_aside)

    def renew(self, snapshots: Mapping[Key, ProductSnapshot]) -> None:
        """Replace all snapshots, except for the times at which products degraded."""
        degraded_at = {key: snapshot.degraded_at for key, snapshot in self._snapshots.items()}
        for key in degraded_at:
            self.forget(key)
        self._last_slot_times.clear()
        for key, snapshot in snapshots.items():
            self.record(key, replace(snapshot, degraded_at=degraded_at.get(key)))
        self._cached_counts = None

    def forget(self, key: Key) -> bool:
        """Remove a deleted product; return whether a slot is free."""
        used_slot = self._snapshots.get(key, ProductSnapshot()).training or self._has_kept(key)
        self.graph.replace(key, ())
        if self._snapshots.pop(key, None) is not None:
            self._sizes[key.namespace] -= 1
            if not self._sizes[key.namespace]:
                del self._sizes[key.namespace]
        for index_set in (self._applying, self._training, self._turning, self._bad, self._renewing):
            index_set.discard(key)
        self._lines.clear()
        return used_slot

    def dependency(self, key: Key) -> DependencyState:
        """Return the state of a product as its dependents read it."""
        if (snapshot := self._snapshots.get(key)) is None:
            return DependencyState.NOT_FOUND
        match snapshot.state:
            case ProductState.DEGRADED:
                return DependencyState.DEGRADED
            case ProductState.HEALTHY | ProductState.DEGRADING:
                return DependencyState.HEALTHY
            case ProductState.UNKNOWN:
                return DependencyState.UNKNOWN

    def was_degraded(self, key: Key, since: int) -> bool:
        """Return whether a product is degraded, or has been at any time since `since`, in seconds.

        One whose blocks are long is evaluated seldom: until then it stays what it was found to be.
        """
        snapshot = self._snapshots.get(key, ProductSnapshot())
        degraded_at = snapshot.degraded_at
        return snapshot.state is ProductState.DEGRADED or (
            degraded_at is not None and degraded_at >= since
        )

    def degrading(self, keys: Iterable[Key]) -> dict[str, int]:
        """Return the block length, in seconds, of the products with an unconfirmed missed SLO, by name.

        After a restart a product is Unknown until its first pass.
        """
        snapshots = ((key, self._snapshots.get(key, ProductSnapshot())) for key in keys)
        return {
            key.name: snapshot.block_seconds
            for key, snapshot in snapshots
            if snapshot.may_be_degrading
        }

    def releases(self, key: Key) -> tuple[UpstreamRelease, ...]:
        """Return the releases of a product that may have degraded its callers."""
        return self._snapshots.get(key, ProductSnapshot()).releases

    def degraded_by(self, key: Key) -> Iterator[Key]:
        """Yield the products whose SLOs degraded with a release of this product."""
        for dependent in self.graph.dependents(key):
            if self._suspect(dependent) == str(key):
                yield dependent

    def degraded_consumers(self, key: Key) -> Iterator[tuple[Key, DegradedConsumer]]:
        """Yield the callers whose SLOs degraded with a release of this product, with their diagnosis."""
        for dependent in self.degraded_by(key):
            if (degraded := self._snapshots[dependent].degraded_by) is not None:
                yield dependent, degraded

    def _suspect(self, key: Key) -> str:
        return self._snapshots.get(key, ProductSnapshot()).suspect or ""

    def _answers(self, key: Key) -> frozenset[tuple[Key, str]]:
        return frozenset(self._snapshots.get(key, ProductSnapshot()).answers)

    def bad_since(self, keys: Iterable[Key]) -> int | None:
        """Return when the first of these products may have become bad, in seconds; None if none is."""
        snapshots = (self._snapshots.get(key, ProductSnapshot()) for key in keys)
        first_bad_times = [
            snapshot.turning_span(snapshot.bad_since)[0]
            for snapshot in snapshots
            if snapshot.bad_since is not None
        ]
        return min(first_bad_times, default=None)

    def next_in_line(self, now: int) -> tuple[Key, ...]:
        """Return the waiting products that have a slot now.

        Those that were reconciled before it was free would else leave it empty until their next
        block.
        """
        admitted = self._admit(self._applying, now)
        return tuple(
            product_key for product_key in admitted if not self._snapshots[product_key].training
        )

    def portfolio(
        self, key: Key, now: int, *, block_end: int = 0, needs_slot: bool = False
    ) -> Portfolio:
        """Return the facts about other products for a product's decision at `now`, in seconds.

        Parameters
        ----------
        key : of the product.
        now : the moment of the evaluation, in seconds.
        block_end : of the newest block that it is judged by, in seconds.
        asked : it has a request of a person, or a training that is no challenger. A healthy product
            without either can apply for the slot of a challenger only.
        """
        own_snapshot = self._snapshots.get(key, ProductSnapshot())
        together, silent_shares = self._counts(key.namespace, own_snapshot, now)
        is_namespace_known = key.namespace in self._sizes
        training_keys = self._training - {key}
        return Portfolio(
            products=max(self._sizes[key.namespace], 1),
            degraded_products=together.in_own_namespace,
            namespaces=len(self._sizes) - is_namespace_known,
            degraded_namespaces=together.in_other_namespaces,
            namespaces_share=together.share,
            silent=silent_shares,
            slot=self._has_slot(key, now, block_end, needs_slot=needs_slot),
            training_products=tuple(
                sorted(
                    product.name for product in training_keys if product.namespace == key.namespace
                )
            ),
            slots_taken=len(training_keys),
            renewing=len(self._renewing) - (key in self._renewing),
        )

    def _has_kept(self, key: Key) -> bool:
        """Return whether a slot is kept for the product in the current queue."""
        return any(key in line.admitted for line in self._lines.values())

    def _counts(
        self, namespace: str, own_snapshot: ProductSnapshot, now: int
    ) -> tuple[SimultaneousProducts, Mapping[str, float]]:
        """Return the numbers of products that degraded together and the silent shares, cached for a second.

        Those count that are bad still: as long as they are, what they share isn't over either.
        """
        if self._cached_counts is None or self._cached_counts.now != now:
            silence = Silence(
                (key.namespace, snapshot.silent) for key, snapshot in self._snapshots.items()
            )
            self._cached_counts = _Counts(now, silence)
        counts, turning_span = self._cached_counts, own_snapshot.turning_span(now)
        if turning_span not in counts.overlaps:
            spans_by_namespace = (
                (snapshot.namespace, self._snapshots[snapshot].near_span(turning_span))
                for snapshot in self._bad
            )
            spans = (
                (namespace, span) for namespace, span in spans_by_namespace if span is not None
            )
            counts.overlaps[turning_span] = Overlaps(spans, self._sizes)
        if (turning_span, namespace) not in counts.together:
            counts.together[turning_span, namespace] = counts.overlaps[turning_span].largest(
                namespace
            )
        if namespace not in counts.silent:
            counts.silent[namespace] = counts.silence.shares(namespace)
        return counts.together[turning_span, namespace], counts.silent[namespace]

    def _has_slot(self, key: Key, now: int, block_end: int, *, needs_slot: bool) -> bool:
        """Return whether a waiting product has a slot."""
        line = self._line(now, block_end)
        if key in line.asking and not (needs_slot and self._snapshots[key].challenger):
            return key in line.admitted
        # It doesn't ask yet, and may never: it is kept out of the line that the others stand in.
        return key in self._admit(
            {*line.admitted, key}, now, needing_key=key if needs_slot else None
        )

    def _line(self, now: int, block_end: int) -> TrainingQueue:
        """Return the training queue, computed once per time and block."""
        if (now, block_end) not in self._lines:
            # Products that turn bad together are judged one after the other: those that may want
            # to train a moment later count already, or the first to be judged would go before the
            # first in priority.
            expected_applicants = {
                product_key
                for product_key in self._turning
                if self._snapshots[product_key].is_due(block_end)
            }
            applicants = frozenset(self._applying | expected_applicants)
            if any(moment != now for moment, _ in self._lines):
                self._lines.clear()
            self._lines[now, block_end] = TrainingQueue(applicants, self._admit(applicants, now))
        return self._lines[now, block_end]

    def _admit(
        self, asking: Iterable[Key], now: int, *, needing_key: Key | None = None
    ) -> frozenset[Key]:
        """Return the products that have a slot; `needing_key` is a product with a manual training request."""
        applicants = {product_key: self._applicant(product_key, now) for product_key in asking}
        if needing_key is not None:
            applicants[needing_key] = replace(applicants[needing_key], challenger=False)
        training = {
            key for key in applicants if self._snapshots.get(key, ProductSnapshot()).training
        }
        waiting = [
            applicant
            for applicant_key, applicant in applicants.items()
            if applicant_key not in training
        ]
        running = [applicants[applicant_key] for applicant_key in training]
        admitted = admit(waiting, running, self._budget, now)
        # A product keeps its slot if the write of it has to be repeated.
        return frozenset(
            {*training, *(Key(product_key.namespace, product_key.name) for product_key in admitted)}
        )

    def _applicant(self, key: Key, now: int) -> Applicant:
        snapshot = self._snapshots.get(key, ProductSnapshot())
        since = now if snapshot.waiting_since is None else snapshot.waiting_since
        last_slot_time = self._last_slot_times[key.namespace]
        needs_slot = snapshot.waiting_since is not None or snapshot.training
        challenger = snapshot.challenger if needs_slot else snapshot.bad_since is None
        return Applicant(
            key.namespace, key.name, snapshot.priority, since, last_slot_time, challenger=challenger
        )
