"""What one product must know of the others: who is degraded, who trains, who turned bad together.

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
from sluicegate.policy.model.observed import Portfolio, UpstreamRelease
from sluicegate.reconcile.fleet.common_cause import Overlaps, Silence, Span, Together
from sluicegate.reconcile.fleet.dependency_graph import DependencyGraph
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot
from sluicegate.reconcile.fleet.training_slots import Reserved


@dataclass(frozen=True, slots=True)
class Line:
    """Who asks for a slot at a moment, and who of them has one, those that train included."""

    asking: frozenset[Key]
    admitted: frozenset[Key]


@dataclass(frozen=True, slots=True)
class _Counts:
    """What was counted at a moment, as thousands ask within the same second."""

    now: int
    silence: Silence
    overlaps: dict[Span, Overlaps] = field(default_factory=dict)
    together: dict[tuple[Span, str], Together] = field(default_factory=dict)
    silent: dict[str, Mapping[str, float]] = field(default_factory=dict)


class FleetRegistry:
    """The snapshots of all products of this operator. Used from the event loop only.

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
        self._counted: _Counts | None = None
        self._served: Counter[str] = Counter()
        """When a namespace had a slot last, in seconds."""
        self._lines: dict[tuple[int, int], Line] = {}

    def update(self, key: Key, snapshot: ProductSnapshot, now: int) -> None:
        """Record a snapshot; wake who has a slot by it, and the callers of a product that changed.

        Their next block may be long off. `now` is in seconds.
        """
        before, suspect, answers = self.dependency(key), self._suspect(key), self._answers(key)
        if self.record(key, snapshot):
            self.wake_next(now)
        if self._suspect(key) != suspect:
            for upstream in self.graph.dependencies(key):
                if str(upstream) in {suspect, self._suspect(key)}:
                    self._wake(upstream)
        for answered, _ in self._answers(key) ^ answers:
            self._wake(answered)
        if self.dependency(key) is not before:
            for dependent in self.graph.dependents(key):
                self._wake(dependent)

    def leave(self, key: Key, now: int) -> None:
        """Forget a product that is gone, and wake who has its slot; `now` is in seconds."""
        if self.forget(key):
            self.wake_next(now)

    def wake_next(self, now: int) -> None:
        """Wake the products that wait for a slot and have one at `now`, in seconds."""
        for key in self.next_in_line(now):
            self._wake(key)

    def record(self, key: Key, snapshot: ProductSnapshot) -> bool:
        """Take in what an evaluation found; what only the one before knew stays known.

        Returns
        -------
        Whether a slot is free by it: the product had one, or it was kept for it.
        """
        before = self._snapshots.get(key)
        if before is not None:
            snapshot = snapshot.following(before)
        self.graph.replace(key, snapshot.depends_on)
        self._snapshots[key] = snapshot
        self._sizes[key.namespace] += before is None
        if snapshot.trained_at is not None:
            served = max(self._served[key.namespace], snapshot.trained_at)
            self._served[key.namespace] = served
        applies = snapshot.training or snapshot.waiting_since is not None
        trained = before is not None and before.training
        kept_for_it = self._has_kept(key)
        if kept_for_it or trained != snapshot.training or applies != (key in self._applying):
            self._lines.clear()
        for kept, belongs in (
            (self._applying, applies),
            (self._training, snapshot.training),
            (self._turning, snapshot.turns_bad),
            (self._bad, snapshot.bad_since is not None),
            (self._renewing, snapshot.renews),
        ):
            (kept.add if belongs else kept.discard)(key)
        return (trained or kept_for_it) and not snapshot.training

    def reserved(self, key: Key) -> Reserved | None:
        """Return the slot that a product has for a Job that isn't there yet."""
        return self._snapshots.get(key, ProductSnapshot()).reserved

    def step_aside(self, key: Key, *, trains: bool, keeps: bool, failed: bool) -> bool:
        """Return a product's reconcile failed, or its Job didn't come about: keep no slot for it.

        Returns
        -------
        Whether a slot is free by it.

        Parameters
        ----------
        trains : a Job of it runs. keeps : the slot for a Job that isn't there yet.
        failed : it couldn't be reconciled.
        """
        if (snapshot := self._snapshots.get(key)) is None:
            return False
        aside = snapshot.stepped_aside(trains=trains, keeps=keeps, failed=failed)
        return self.record(key, aside)

    def renew(self, known: Mapping[Key, ProductSnapshot]) -> None:
        """Know these products; of what was known before, only when they were found degraded."""
        degraded_at = {key: one.degraded_at for key, one in self._snapshots.items()}
        for key in degraded_at:
            self.forget(key)
        self._served.clear()
        for key, snapshot in known.items():
            self.record(key, replace(snapshot, degraded_at=degraded_at.get(key)))
        self._counted = None

    def forget(self, key: Key) -> bool:
        """Forget a product that is gone; those that call it go on calling it. Return whether a slot is free."""
        had = self._snapshots.get(key, ProductSnapshot()).training or self._has_kept(key)
        self.graph.replace(key, ())
        if self._snapshots.pop(key, None) is not None:
            self._sizes[key.namespace] -= 1
            if not self._sizes[key.namespace]:
                del self._sizes[key.namespace]
        for kept in (self._applying, self._training, self._turning, self._bad, self._renewing):
            kept.discard(key)
        self._lines.clear()
        return had

    def dependency(self, key: Key) -> DependencyState:
        """Return the state of a product that its dependents may read."""
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
        """Return whether a product is degraded, or was found so at `since`, in seconds, or later.

        One whose blocks are long is evaluated seldom: until then it stays what it was found to be.
        """
        snapshot = self._snapshots.get(key, ProductSnapshot())
        found = snapshot.degraded_at
        return snapshot.state is ProductState.DEGRADED or (found is not None and found >= since)

    def releases(self, key: Key) -> tuple[UpstreamRelease, ...]:
        """Return the versions of a product that another one may have become worse by."""
        return self._snapshots.get(key, ProductSnapshot()).releases

    def degraded_by(self, key: Key) -> Iterator[Key]:
        """Yield the products whose degraded SLOs follow a release of this one."""
        for dependent in self.graph.dependents(key):
            if self._suspect(dependent) == str(key):
                yield dependent

    def _suspect(self, key: Key) -> str:
        return self._snapshots.get(key, ProductSnapshot()).suspect or ""

    def _answers(self, key: Key) -> frozenset[tuple[Key, str]]:
        return frozenset(self._snapshots.get(key, ProductSnapshot()).answers)

    def bad_since(self, keys: Iterable[Key]) -> int | None:
        """Return when the first of these may have turned bad, in seconds; None while none is."""
        found = (self._snapshots.get(key, ProductSnapshot()) for key in keys)
        firsts = [one.turned(one.bad_since)[0] for one in found if one.bad_since is not None]
        return min(firsts, default=None)

    def next_in_line(self, now: int) -> tuple[Key, ...]:
        """Products that wait for a slot and have one now.

        Those that were reconciled before it was free would else leave it empty until their next
        block.
        """
        admitted = self._admit(self._applying, now)
        return tuple(one for one in admitted if not self._snapshots[one].training)

    def portfolio(
        self, key: Key, now: int, *, block_end: int = 0, asked: bool = False
    ) -> Portfolio:
        """Return what a product's decision may know of the others.

        Parameters
        ----------
        key : the product that is asking.
        now : the moment of the evaluation, in seconds.
        block_end : of the newest block that it is judged by, in seconds.
        asked : a person asked something of it, or it has a training that is no challenger.
            Where nothing is wrong with a product either, it can want a slot for a challenger only.
        """
        own = self._snapshots.get(key, ProductSnapshot())
        together, silent = self._counts(key.namespace, own, now)
        known = key.namespace in self._sizes
        trains = self._training - {key}
        return Portfolio(
            products=max(self._sizes[key.namespace], 1),
            turned_bad=together.own,
            namespaces=len(self._sizes) - known,
            namespaces_bad=together.others,
            namespaces_share=together.share,
            silent=silent,
            slot=self._has_slot(key, now, block_end, asked=asked),
            trains_here=tuple(sorted(one.name for one in trains if one.namespace == key.namespace)),
            slots_taken=len(trains),
            renewing=len(self._renewing) - (key in self._renewing),
        )

    def _has_kept(self, key: Key) -> bool:
        """Return whether a slot is kept for the product, in a line that still stands."""
        return any(key in line.admitted for line in self._lines.values())

    def _counts(
        self, namespace: str, own: ProductSnapshot, now: int
    ) -> tuple[Together, Mapping[str, float]]:
        """Return how many turned bad together with this one, and who is silent; counted once a second.

        Those count that are bad still: as long as they are, what they share isn't over either.
        """
        if self._counted is None or self._counted.now != now:
            silence = Silence((key.namespace, one.silent) for key, one in self._snapshots.items())
            self._counted = _Counts(now, silence)
        counted, turned = self._counted, own.turned(now)
        if turned not in counted.overlaps:
            near = ((one.namespace, self._snapshots[one].near(turned)) for one in self._bad)
            spans = ((where, span) for where, span in near if span is not None)
            counted.overlaps[turned] = Overlaps(spans, self._sizes)
        if (turned, namespace) not in counted.together:
            counted.together[turned, namespace] = counted.overlaps[turned].most(namespace)
        if namespace not in counted.silent:
            counted.silent[namespace] = counted.silence.shares(namespace)
        return counted.together[turned, namespace], counted.silent[namespace]

    def _has_slot(self, key: Key, now: int, block_end: int, *, asked: bool) -> bool:
        """Return whether a product has a slot if it wants one: the rule is the same for all of them."""
        line = self._line(now, block_end)
        if key in line.asking and not (asked and self._snapshots[key].challenger):
            return key in line.admitted
        # It doesn't ask yet, and may never: it is kept out of the line that the others stand in.
        return key in self._admit({*line.admitted, key}, now, asked=key if asked else None)

    def _line(self, now: int, block_end: int) -> Line:
        """Put together once for each moment and block, as thousands may ask."""
        if (now, block_end) not in self._lines:
            # Products that turn bad together are judged one after the other: those that may want
            # to train a moment later count already, or the first to be judged would go before the
            # first in priority.
            soon = {one for one in self._turning if self._snapshots[one].is_due(block_end)}
            asking = frozenset(self._applying | soon)
            if any(moment != now for moment, _ in self._lines):
                self._lines.clear()
            self._lines[now, block_end] = Line(asking, self._admit(asking, now))
        return self._lines[now, block_end]

    def _admit(
        self, asking: Iterable[Key], now: int, *, asked: Key | None = None
    ) -> frozenset[Key]:
        """Return which of these have a slot; `asked` is a product of which a person asks something."""
        applicants = {one: self._applicant(one, now) for one in asking}
        if asked is not None:
            applicants[asked] = replace(applicants[asked], challenger=False)
        training = {
            one for one in applicants if self._snapshots.get(one, ProductSnapshot()).training
        }
        waiting = [each for one, each in applicants.items() if one not in training]
        running = [applicants[one] for one in training]
        admitted = admit(waiting, running, self._budget, now)
        # A product keeps its slot if the write of it has to be repeated.
        return frozenset({*training, *(Key(one.namespace, one.name) for one in admitted)})

    def _applicant(self, key: Key, now: int) -> Applicant:
        snapshot = self._snapshots.get(key, ProductSnapshot())
        since = now if snapshot.waiting_since is None else snapshot.waiting_since
        served = self._served[key.namespace]
        wants = snapshot.waiting_since is not None or snapshot.training
        challenger = snapshot.challenger if wants else snapshot.bad_since is None
        return Applicant(
            key.namespace, key.name, snapshot.priority, since, served, challenger=challenger
        )
