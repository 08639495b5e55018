"""One idempotent pass for one product: observe, decide, build, record the status, apply.

Status is written before its effects: a trigger before its Job, a weight before the route. After a
crash the next pass knows what was meant, and does nothing twice. Only the first version is an
exception: nothing is lost with it, and a write is saved. docs/performance.md lists the fast paths.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.operator_checks import runtime_image
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import VersionBase
from sluicegate.kube.errors import KubeError
from sluicegate.kube.resources import HTTP_ROUTES, Key
from sluicegate.manifests.plan import spec_version
from sluicegate.measurement.store import Measurements, target_of, with_earlier
from sluicegate.policy.model.terms import terms_of
from sluicegate.reconcile.apply.applier import Applier, NameConflict
from sluicegate.reconcile.apply.child_writer import ChildKeeper, obstacle_of, with_obstacle
from sluicegate.reconcile.apply.in_sync import InSyncCache
from sluicegate.reconcile.apply.slot_release import SlotKeeper
from sluicegate.reconcile.apply.training_jobs import Trainer
from sluicegate.reconcile.build import Child, build_children
from sluicegate.reconcile.decide.events import EventNote
from sluicegate.reconcile.decide.planner import Plan, make_plan
from sluicegate.reconcile.decide.requeue import next_for, requeue_after
from sluicegate.reconcile.decide.status_recovery import Children, known_status
from sluicegate.reconcile.decide.versions import version_reused
from sluicegate.reconcile.decide.warm_up import only_warms_up
from sluicegate.reconcile.fleet.block_lengths import BlockLengths
from sluicegate.reconcile.fleet.operator_overlap import OperatorOverlaps
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.fleet.snapshot import snapshot_before
from sluicegate.reconcile.fleet.training_slots import wanted_job
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.attendance import Attendance
from sluicegate.reconcile.observe.carried_spec import CarriedSpec, SpecReader
from sluicegate.reconcile.observe.invalid_spec import with_problems
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.observe.observer import Observer
from sluicegate.reconcile.observe.refused_route import (
    claiming,
    kept_product,
    settled,
    shadowed,
    without_split,
)
from sluicegate.reconcile.report.events import emit_refusal, is_news, unreadable
from sluicegate.reconcile.report.first_version_start import FirstStarts
from sluicegate.reconcile.report.fleet_update import snapshot_of
from sluicegate.reconcile.report.product_metrics import ProductMetrics
from sluicegate.reconcile.report.status_store import StatusStore
from sluicegate.reconcile.report.status_writer import StatusWriter
from sluicegate.reconcile.report.traffic_status import with_first_split
from sluicegate.reconcile.routes.arbitration import Claims, RouteRefusal
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.event_recorder import EventRecorder
from sluicegate.runtime.interfaces import Done, QueuePriority, RequeueAfter, Result
from sluicegate.runtime.workqueue import WorkQueue
from sluicegate.settings import Settings
from sluicegate.spans import Spans, no_spans

logger = logging.getLogger(__name__)

READ_AT_ONCE: Final = 100
"""Products whose status is read in one turn of the event loop: some milliseconds."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one pass begins with.

    Attributes
    ----------
    record : the product as it is cached. recorded : its status there.
    product : the same, parsed; its status was rebuilt if it was lost.
    observation : what was observed. refusal : why it can't have its spec's route.
    """

    record: ProductRecord
    recorded: DataProductStatus
    product: DataProduct
    observation: Observation
    refusal: RouteRefusal | None


@dataclass(slots=True)
class Decided:
    """What one pass leads to.

    Attributes
    ----------
    observation : what was observed, with what follows from the step.
    plan : what is to be. refusal : why the product can't have the route of its spec.
    basis : a digest of the inputs of its children. deferred : the write of status can wait.
    """

    observation: Observation
    plan: Plan
    refusal: RouteRefusal | None
    basis: bytes
    deferred: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductReconciler:
    """Reconciles DataProducts."""

    settings: Settings
    applier: Applier
    keeper: ChildKeeper
    overlaps: OperatorOverlaps
    observer: Observer
    trainer: Trainer
    measurements: Measurements
    fleet: FleetRegistry
    slots: SlotKeeper
    in_sync: InSyncCache
    recorder: EventRecorder
    queue: WorkQueue
    wall: Clock
    plan: Callable[[Observation], Plan] = make_plan
    metrics: ProductMetrics = field(default_factory=ProductMetrics)
    spans: Spans = no_spans
    lengths: BlockLengths = field(default_factory=BlockLengths)
    starts: FirstStarts = field(default_factory=FirstStarts)
    attendance: Attendance = field(default_factory=Attendance)
    lost: set[Key] = field(default_factory=set)
    """Those of them that once had one, of which nothing is left."""

    @property
    def writer(self) -> StatusWriter:
        """Writes its status and events."""
        refresh = self.settings.numbers_refresh_seconds
        store = StatusStore(self.applier.api, self.applier.caches, self.overlaps)
        return StatusWriter(store, self.recorder, self.metrics, refresh)

    @property
    def claims(self) -> Claims:
        """Which product has which route."""
        return self.keeper.claims

    async def begin(self) -> None:
        """Read the state of all products before any may train, as this replica begins to lead.

        The budget and common causes include what began before. State from an earlier term of this
        replica may be weeks old.
        """
        self.overlaps.begin()
        self.starts.term = int(self.wall())
        self.attendance.begin()
        products, known = self.applier.caches.products, {}
        for key in self.claims:
            if products.get(key) is None:
                self.claims.forget(key)
        for number, key in enumerate(tuple(products)):
            if number % READ_AT_ONCE == 0:
                await asyncio.sleep(0)  # each is unpacked; meanwhile others have their turn
            record = products.get(key)
            if isinstance(record, ProductRecord):
                self.claims.record(record, self.observer.route(record))
                self.lengths.record(key, record.block_seconds, record.created)
                known[key] = snapshot_before(
                    record,
                    self.observer.jobs(record),
                    now=int(self.wall()),
                    most_training_seconds=self.settings.max_retraining_seconds,
                )
        self.fleet.renew(known)

    async def reconcile(self, key: Key) -> Result:
        """Bring one product a step nearer to its spec."""
        record = self.applier.caches.products.get(key)
        excluded = key.namespace in self.settings.excluded_namespaces
        if not isinstance(record, ProductRecord) or record.deleting or excluded:
            self._forget(key)
            return Done()
        readable = record.has_readable_status
        overlap = self.overlaps.check(key, record.written_by, readable, now=self.wall())
        if overlap.message:
            self.writer.emit(
                record, (EventNote(overlap.reason, "Reconcile", overlap.message, warning=True),)
            )
        if overlap.requeue_after:
            return RequeueAfter(overlap.requeue_after)
        with self.slots.watch(record, self.keeper.obstacles):
            try:
                with claiming(self.claims, record, lambda: self.observer.route(record)):
                    return await self._reconcile(record, self._carried(record))
            except InvalidProduct as error:
                return await self.writer.refuse(record, error.problems, now=int(self.wall()))

    def _carried(self, record: ProductRecord) -> CarriedSpec:
        """The product as it is carried out; InvalidProduct for one that can't be."""
        carried = SpecReader(self.settings, self.lengths).read(record)
        self._call_relieved(record.key.namespace)
        return carried

    def _call_relieved(self, namespace: str) -> None:
        """Reconcile those that were refused a length of blocks that they can have now."""
        for key in self.lengths.relieved(namespace):
            self.queue.add(key)

    def _settled(
        self, key: Key, *, contends: bool, now: int
    ) -> Coroutine[None, None, RouteRefusal | None]:
        return settled(self.claims, self.observer.gateways, key, contends=contends, now=now)

    async def _reconcile(self, record: ProductRecord, carried: CarriedSpec) -> Result:
        """One pass: observe, decide, build, record the status, apply; then when to requeue."""
        with self.spans("observe"):
            seen = await self._observed(record, carried)
        with self.spans("decide") as span:
            decided = await self._decided(seen)
            children = self._built(seen, decided)
            span.set("sluicegate.decision", decision_of(decided.plan))
        # Before the first await: products that are evaluated meanwhile must see the slot as taken.
        self._stand(record.key, decided.plan, decided.observation)
        if text := self.measurements.unreported(record.key):
            self.writer.emit(record, (unreadable(text),))
        written = await self._recorded(seen, decided, children)
        with self.spans("apply"):
            await self._write_children(written, decided.observation, decided.plan, children)
            self._see_in_sync(written, seen, decided)
        return self._requeued(seen, decided)

    async def _observed(self, record: ProductRecord, carried: CarriedSpec) -> Seen:
        """Everything that the pass is made from; what is measured from now on is asked for."""
        now, product = int(self.wall()), carried.product
        wanted = spec_version(product, runtime_image(product.spec, self.settings))
        recorded = product.status
        product = self._with_known_status(record, product, wanted, now)
        target = target_of(product, self.measurements.timing)
        self.measurements.want(record.key, with_earlier(target, product, now))
        contends = product.status.stable is not None and not product.spec.suspend
        refusal = await self._settled(record.key, contends=contends, now=now)
        kept = refusal and kept_product(self.claims, product, self.observer.route(record), now)
        observation = await self.observer.observe(
            record,
            kept or product,
            terms=terms_of(product, self.settings.hour_seconds),
            wanted=wanted,
            now=now,
        )
        observed = replace(
            observation.observed, absences=self.attendance.absences(), term=self.starts.term
        )
        observation = replace(
            await self._with_obstacles(record, replace(observation, observed=observed)),
            route_kept=kept is not None,
            begun=self.starts.begin(product, now),
            term=self.starts.term,
            lost=record.key in self.lost,
            overlap=self.overlaps.message(record.key, now=now),
        )
        observation = with_problems(observation, carried)
        return Seen(record, recorded, product, observation, refusal)

    async def _decided(self, seen: Seen) -> Decided:
        """What is to be, and with which route: a product contends for it once it has a version."""
        refusal = seen.refusal
        observation = seen.observation if refusal is None else without_split(seen.observation)
        plan = self.plan(observation)
        observation = with_first_split(observation, plan)
        if refusal is None and plan.allocation.weights and not observation.is_frozen(plan.status):
            refusal = await self._settled(seen.record.key, contends=True, now=observation.now)
        observation = shadowed(observation, refusal)
        deferred = self.starts.can_wait(observation, plan)
        basis = self.in_sync.basis(seen.record, seen.recorded, observation, plan)
        return Decided(observation, plan, refusal, basis, deferred=deferred)

    def _built(self, seen: Seen, decided: Decided) -> tuple[Child, ...] | None:
        """The children as manifests; None where all of them are known to be in sync."""
        key = seen.record.key
        if key not in self.keeper.obstacles and self.in_sync.holds(key, decided.basis):
            return None
        return build_children(
            decided.observation.product,
            decided.plan.allocation,
            decided.observation.live,
            service_kind=self.settings.service_kind,
            services=self.observer.services(seen.record),
        )

    async def _recorded(
        self, seen: Seen, decided: Decided, children: tuple[Child, ...] | None
    ) -> ProductRecord:
        """Record the status before its effects; a first version that starts well can wait."""
        record, plan = seen.record, decided.plan
        if decided.deferred:
            self.writer.show(record, seen.product, plan, plan.status)
            return record
        if children is not None and not decided.observation.is_frozen(plan.status):
            decided.observation = await self.keeper.foreseen(record, decided.observation, children)
        with self.spans("report"):
            written = await self.writer.write(
                record, decided.observation, plan, seen.recorded, events=plan.events
            )
        self.starts.end(record.key, plan)
        if decided.refusal is not None and is_news(seen.recorded):
            other = self.applier.caches.products.get(decided.refusal.other)
            emit_refusal(self.recorder, record, other, decided.refusal)
        return written

    def _see_in_sync(self, written: ProductRecord, seen: Seen, decided: Decided) -> None:
        """Know the children as in sync; only a pass that changed nothing has seen them all so."""
        same = (
            self.in_sync.basis(written, seen.recorded, decided.observation, decided.plan)
            == decided.basis
        )
        if same and written.key not in self.keeper.obstacles:
            self.in_sync.record(written.key, decided.basis)

    def _requeued(self, seen: Seen, decided: Decided) -> Result:
        """When to reconcile again, and what is to be measured until then."""
        key, observation, plan = seen.record.key, decided.observation, decided.plan
        conflicted = key in self.keeper.obstacles
        soon = requeue_after(observation, plan, conflicted=conflicted, deferred=decided.deferred)
        result = next_for(decided.refusal, soon)
        after = seen.product.replace(status=plan.status)
        self.measurements.want(
            key,
            with_earlier(target_of(after, self.measurements.timing), after, observation.now),
            warms_up=only_warms_up(observation, plan),
        )
        return result

    # ---- before -----------------------------------------------------------------------------
    def _forget(self, key: Key) -> None:
        self.starts.forget(key)
        self.overlaps.forget(key)
        self.lost.discard(key)
        self.keeper.obstacles.pop(key, None)
        self.in_sync.forget(key)
        if self.applier.caches[HTTP_ROUTES].get(key) is not None:
            self.claims.outlive(key)
        else:
            self.claims.forget(key)
        self.lengths.forget(key)
        self._call_relieved(key.namespace)
        if self.fleet.forget(key):
            self.slots.call_next(int(self.wall()))
        self.trainer.refusals.pop(key, None)
        self.observer.pods.forget(key)
        self.metrics.forget(key)
        self.measurements.want(key, None)

    def _with_known_status(
        self, record: ProductRecord, product: DataProduct, wanted: VersionBase, now: int
    ) -> DataProduct:
        """The product with its status; rebuilt from its Deployments if it was lost."""
        known, events = known_status(
            product,
            wanted,
            Children(
                partial(self.observer.live, record),
                partial(self.observer.route, record),
                partial(self.observer.kinds, record),
            ),
            starting=record.key in self.starts,
            lost=self.lost,
            now=now,
        )
        self.writer.emit(record, events)
        return known

    async def _with_obstacles(self, record: ProductRecord, observation: Observation) -> Observation:
        """What keeps the spec from being carried out, though each field is right."""
        observation = with_obstacle(observation, self.keeper.obstacles.get(record.key))
        if (reused := version_reused(observation.product.status, observation.wanted)) is not None:
            observed = replace(observation.observed, withheld=reused.message)
            observation = replace(observation, stalled=reused, observed=observed)
        wanted = wanted_job(record.key, observation.product.status)
        if wanted is None or observation.job is not None:
            return observation
        forbidden = await self.trainer.forbidden(observation)
        if forbidden is not None:
            self.trainer.refuse(record.key, wanted.name, forbidden.message)
        # Others may have been given a slot meanwhile.
        product, block = observation.product, observation.observed.block
        portfolio = self.observer.portfolio(record, product, block, observation.now)
        return replace(
            observation,
            stalled=forbidden or observation.stalled,
            observed=replace(observation.observed, portfolio=portfolio),
        )

    # ---- writing ----------------------------------------------------------------------------
    async def _write_children(
        self,
        record: ProductRecord,
        observation: Observation,
        plan: Plan,
        children: tuple[Child, ...] | None,
    ) -> None:
        """Apply the children that differ. `children` is None if all are known to be in sync."""
        if children is not None and not observation.is_frozen(plan.status):
            try:
                await self.keeper.keep(record, observation, children)
            except (KubeError, NameConflict) as error:
                obstacle = obstacle_of(error)
                strange = isinstance(error, NameConflict)
                # One reason at a time, or the two would be written in turns.
                if obstacle is not None and not (strange and observation.shadowed):
                    await self.writer.write(
                        record, with_obstacle(observation, obstacle), plan, record.status
                    )
                if strange:
                    return
                raise
            if self.keeper.obstacles.pop(record.key, None) is not None:
                self.queue.add(record.key, QueuePriority.NORMAL)
        shadows = plan.status.shadow is not None and not observation.is_frozen(plan.status)
        if shadows or observation.may_train(plan.status):
            await self.trainer.keep(record, observation, plan.status)

    # ---- after ------------------------------------------------------------------------------
    def _stand(self, key: Key, plan: Plan, observation: Observation) -> None:
        """Update the snapshot that other products read."""
        before = self.fleet.dependency(key)
        if self.fleet.record(key, snapshot_of(observation, plan)):
            self.slots.call_next(observation.now)
        if self.fleet.dependency(key) is not before:
            for dependent in self.fleet.dependents(key):
                self.queue.add(dependent, QueuePriority.NORMAL)


def decision_of(plan: Plan) -> str:
    """The decision of a step in one word; empty when nothing was judged."""
    return "" if plan.evaluation is None else type(plan.evaluation.decision).__name__
