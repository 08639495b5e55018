"""One idempotent reconcile of one product: observe, step, write what differs, report.

Status is written before what it leads to: a trigger before its Job, a weight before the route.
So whoever comes after a crash knows what was meant, and does nothing twice. Only the first
version is an exception: nothing has to be remembered of it, and a write is saved.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from sluicegate.api import names
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.operator_checks import check_context, runtime_image
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import VersionBase
from sluicegate.errors import Problem
from sluicegate.kube.errors import Invalid, KubeError
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.manifests.plan import spec_version
from sluicegate.measurement.store import Measurements, target_of
from sluicegate.policy.model.terms import Terms, terms_of
from sluicegate.reconcile.apply.applier import Applier, NameConflict
from sluicegate.reconcile.apply.child_writer import ChildKeeper, obstacle_of, with_obstacle
from sluicegate.reconcile.apply.in_sync import InStep
from sluicegate.reconcile.apply.slot_release import SlotKeeper
from sluicegate.reconcile.apply.training_jobs import Trainer
from sluicegate.reconcile.build import Child, build_children
from sluicegate.reconcile.decide.events import Told
from sluicegate.reconcile.decide.planner import Step, take_step
from sluicegate.reconcile.decide.refused_route import (
    claiming,
    is_news,
    kept_product,
    next_for,
    settled,
    shadowed,
    without_split,
)
from sluicegate.reconcile.decide.requeue import next_look
from sluicegate.reconcile.decide.versions import version_reused
from sluicegate.reconcile.decide.warm_up import only_warms_up
from sluicegate.reconcile.fleet.operator_overlap import Overlaps
from sluicegate.reconcile.fleet.registry import Standings
from sluicegate.reconcile.fleet.snapshot import standing_before
from sluicegate.reconcile.fleet.training_slots import wanted_job
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.observation import Situation
from sluicegate.reconcile.observe.observer import Observer
from sluicegate.reconcile.recover_status import known_status
from sluicegate.reconcile.report.condition_events import news, true_of
from sluicegate.reconcile.report.events import emit, emit_refusal, unreadable
from sluicegate.reconcile.report.first_version_start import FirstStarts
from sluicegate.reconcile.report.fleet_update import standing_of
from sluicegate.reconcile.report.product_metrics import ProductMetrics
from sluicegate.reconcile.report.product_sample import REFUSED, figures_of
from sluicegate.reconcile.report.status import due, report, report_invalid, verified_seconds
from sluicegate.reconcile.report.traffic_status import with_first_split
from sluicegate.reconcile.routes.arbitration import Claims, Refusal
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.event_recorder import Recorder
from sluicegate.runtime.interfaces import Done, InvalidSpec, Priority, RequeueAfter, Result
from sluicegate.runtime.workqueue import WorkQueue
from sluicegate.settings import Settings
from sluicegate.spans import Spans, no_spans

logger = logging.getLogger(__name__)

READ_AT_ONCE: Final = 100
"""Products whose status is read in one turn of the event loop: some milliseconds."""
MOST_PROBLEMS: Final = 64
"""Mistakes of a spec that are told; there may be as many as it has fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductReconciler:
    """Reconciles DataProducts."""

    settings: Settings
    applier: Applier
    keeper: ChildKeeper
    overlaps: Overlaps
    observer: Observer
    trainer: Trainer
    measurements: Measurements
    standings: Standings
    slots: SlotKeeper
    in_step: InStep
    recorder: Recorder
    queue: WorkQueue
    wall: Clock
    metrics: ProductMetrics = field(default_factory=ProductMetrics)
    spans: Spans = no_spans
    starts: FirstStarts = field(default_factory=FirstStarts)
    lost: set[Key] = field(default_factory=set)
    """Those of them that once had one, of which nothing is left."""

    @property
    def claims(self) -> Claims:
        """Which product has which route."""
        return self.keeper.claims

    async def begin(self) -> None:
        """Know who trains and who is bad before anybody may train, as this replica begins to lead.

        A budget counts those that began before, and so does a common cause. What was known of a
        time in which this replica led before may be weeks old.
        """
        self.overlaps.begin()
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
                known[key] = standing_before(
                    record,
                    self.observer.jobs(record),
                    now=int(self.wall()),
                    most_training_seconds=self.settings.max_retraining_seconds,
                )
        self.standings.renew(known)

    async def reconcile(self, key: Key) -> Result:
        """Bring one product a step nearer to its spec."""
        record = self.applier.caches.products.get(key)
        excluded = key.namespace in self.settings.excluded_namespaces
        if not isinstance(record, ProductRecord) or record.deleting or excluded:
            self._forget(key)
            return Done()
        met = self.overlaps.meet(
            key, record.written_by, record.has_readable_status, now=self.wall()
        )
        if met.news:
            self._tell(record, (Told(met.reason, "Reconcile", met.news, warning=True),))
        if met.wait:
            return RequeueAfter(met.wait)
        with self.slots.watch(record, self.keeper.obstacles):
            try:
                with claiming(self.claims, record, lambda: self.observer.route(record)):
                    return await self._reconcile(record, self._checked(record))
            except InvalidProduct as error:
                return await self._refuse(record, error.problems)

    def _checked(self, record: ProductRecord) -> DataProduct:
        """The product; InvalidProduct for one that can't be carried out."""
        product = record.parse()
        if problems := check_context(product.spec, self.settings):
            raise InvalidProduct(problems)
        return product

    def _settled(
        self, key: Key, *, contends: bool, now: int
    ) -> Coroutine[None, None, Refusal | None]:
        return settled(self.claims, self.observer.gateways, key, contends=contends, now=now)

    def _terms(self, product: DataProduct) -> Terms:
        return terms_of(product, self.settings.hour_seconds)

    async def _reconcile(self, record: ProductRecord, product: DataProduct) -> Result:
        now = int(self.wall())
        wanted = spec_version(product, runtime_image(product.spec, self.settings))
        recorded = product.status
        product = self._with_known_status(record, product, wanted, now)
        self.measurements.want(record.key, target_of(product, self.measurements.timing))
        contends = product.status.stable is not None and not product.spec.suspend
        refusal = await self._settled(record.key, contends=contends, now=now)
        kept = refusal and kept_product(self.claims, product, self.observer.route(record), now)
        with self.spans("observe"):
            situation = await self.observer.observe(
                record, kept or product, terms=self._terms(product), wanted=wanted, now=now
            )
            situation = replace(
                await self._with_obstacles(record, situation),
                route_kept=kept is not None,
                begun=self.starts.begin(product, now),
                lost=record.key in self.lost,
            )
        with self.spans("decide") as span:
            situation = without_split(situation) if refusal is not None else situation
            step = take_step(situation)
            situation = with_first_split(situation, step)
            if refusal is None and step.layout.weights and not situation.is_frozen(step.status):
                refusal = await self._settled(record.key, contends=True, now=now)
            situation = shadowed(situation, refusal)
            basis = self.in_step.basis(record, recorded, situation, step)
            children = None
            if record.key in self.keeper.obstacles or not self.in_step.holds(record.key, basis):
                children = build_children(
                    situation.product,
                    step.layout,
                    situation.live,
                    service_kind=self.settings.service_kind,
                    services=self.observer.services(record),
                )
            span.set("sluicegate.decision", decision_of(step))
        # Before anything is waited for: whoever is judged meanwhile must see the slot as taken.
        self._stand(record.key, step, situation)
        written = record
        if text := self.measurements.untold(record.key):
            self._tell(record, (unreadable(text),))
        untold = self.starts.can_wait(situation, step)
        if untold:
            self._show(record.key, product, step, step.status)
        else:
            if children is not None and not situation.is_frozen(step.status):
                situation = await self.keeper.foreseen(record, situation, children)
            with self.spans("report"):
                written = await self._write_status(
                    record, situation, step, recorded, told=step.told
                )
            self.starts.end(record.key, step)
            if refusal is not None and is_news(recorded):
                other = self.applier.caches.products.get(refusal.other)
                emit_refusal(self.recorder, record, other, refusal)
        with self.spans("apply"):
            await self._write_children(written, situation, step, children)
            # Only a look that changed nothing has seen all in step.
            same = self.in_step.basis(written, recorded, situation, step) == basis
            if same and record.key not in self.keeper.obstacles:
                self.in_step.record(record.key, basis)
        after = product.model_copy(update={"status": step.status})
        conflicted = record.key in self.keeper.obstacles
        result = next_look(situation, step, conflicted=conflicted, untold=untold)
        result = next_for(refusal, result)
        self.measurements.want(
            record.key,
            target_of(after, self.measurements.timing),
            warms_up=isinstance(result, Done) and only_warms_up(situation, step),
        )
        return result

    # ---- before -----------------------------------------------------------------------------
    def _forget(self, key: Key) -> None:
        self.starts.forget(key)
        self.overlaps.forget(key)
        self.lost.discard(key)
        self.keeper.obstacles.pop(key, None)
        self.in_step.forget(key)
        self.claims.forget(key)
        if self.standings.forget(key):
            self.slots.call_next(int(self.wall()))
        self.trainer.refusals.pop(key, None)
        self.observer.pods.forget(key)
        self.metrics.forget(key)
        self.measurements.want(key, None)

    def _with_known_status(
        self, record: ProductRecord, product: DataProduct, wanted: VersionBase, now: int
    ) -> DataProduct:
        """The product with its status; rebuilt from its Deployments if it was lost."""
        known, told = known_status(
            record,
            product,
            wanted,
            observer=self.observer,
            starts=self.starts,
            lost=self.lost,
            now=now,
        )
        self._tell(record, told)
        return known

    async def _with_obstacles(self, record: ProductRecord, situation: Situation) -> Situation:
        """What keeps the spec from being carried out, though each field is right."""
        situation = with_obstacle(situation, self.keeper.obstacles.get(record.key))
        if (reused := version_reused(situation.product.status, situation.wanted)) is not None:
            observed = replace(situation.observed, wanted=None)
            situation = replace(situation, stalled=reused, observed=observed)
        wanted = wanted_job(record.key, situation.product.status)
        if wanted is None or situation.job is not None:
            return situation
        forbidden = await self.trainer.forbidden(situation)
        if forbidden is not None:
            self.trainer.refuse(record.key, wanted.name, forbidden.message)
        # Others may have been given a slot meanwhile.
        product, block = situation.product, situation.observed.block
        portfolio = self.observer.portfolio(record, product, block, situation.now)
        return replace(
            situation,
            stalled=forbidden or situation.stalled,
            observed=replace(situation.observed, portfolio=portfolio),
        )

    # ---- writing ----------------------------------------------------------------------------
    async def _write_children(
        self,
        record: ProductRecord,
        situation: Situation,
        step: Step,
        children: tuple[Child, ...] | None,
    ) -> None:
        """Write what differs; no children are given of whom all are known to be in step."""
        if children is not None and not situation.is_frozen(step.status):
            try:
                await self.keeper.keep(record, situation, children)
            except (KubeError, NameConflict) as error:
                obstacle = obstacle_of(error)
                strange = isinstance(error, NameConflict)
                # One reason at a time, or the two would be written in turns.
                if obstacle is not None and not (strange and situation.shadowed):
                    await self._write_status(
                        record, with_obstacle(situation, obstacle), step, record.status
                    )
                if strange:
                    return
                raise
            if self.keeper.obstacles.pop(record.key, None) is not None:
                self.queue.add(record.key, Priority.NORMAL)
        if situation.may_train(step.status):
            await self.trainer.keep(record, situation, step.status)

    async def _write_status(
        self,
        record: ProductRecord,
        situation: Situation,
        step: Step,
        recorded: DataProductStatus,
        *,
        told: tuple[Told, ...] = (),
    ) -> ProductRecord:
        """Report and tell, if there is something new; return the product as it then is.

        `recorded` is the status of the record; what the step began with may have been restored.
        """
        before = situation.product.status
        after = report(situation, step)
        self._show(record.key, situation.product, step, after)
        fresh = due(
            before,
            after,
            now=situation.now,
            refresh_seconds=self.settings.numbers_refresh_seconds,
            verified_seconds=verified_seconds(situation),
        )
        written = record if fresh == recorded else await self._send(record, fresh)
        self._tell(record, (*true_of(told, fresh), *news(recorded, fresh)))
        return written

    async def _send(self, record: ProductRecord, status: DataProductStatus) -> ProductRecord:
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": record.key.name, "namespace": record.key.namespace},
            "status": status.model_copy(update={"written_by": self.overlaps.me}).to_dict(),
        }
        caches = self.applier.caches
        async with self.applier.reread_after_conflict(DATA_PRODUCTS, record.key):
            answer = await self.applier.api.apply_status(
                DATA_PRODUCTS, body, resource_version=str(record.version)
            )
        caches.written(DATA_PRODUCTS, answer)
        self.overlaps.wrote(record.key)
        written = caches.products.get(record.key)
        return written if isinstance(written, ProductRecord) else record

    async def _refuse(self, record: ProductRecord, problems: Iterable[Problem]) -> Result:
        """Say what is wrong with the spec, and touch nothing."""
        before, listed = record.status, tuple(str(problem)[:1024] for problem in problems)
        after = report_invalid(
            before, listed[:MOST_PROBLEMS], generation=record.generation, now=int(self.wall())
        )
        self.metrics.record(record.key, REFUSED)
        if after != before:
            with contextlib.suppress(Invalid):  # the stored spec breaks a rule; an event has to do
                await self._send(record, after)
            self._tell(record, (Told("InvalidSpec", "Validate", "; ".join(listed), warning=True),))
        raise InvalidSpec("; ".join(listed))

    # ---- after ------------------------------------------------------------------------------
    def _stand(self, key: Key, step: Step, situation: Situation) -> None:
        """Let the others know how this product does."""
        before = self.standings.dependency(key)
        if self.standings.record(key, standing_of(situation, step)):
            self.slots.call_next(situation.now)
        if self.standings.dependency(key) is not before:
            for dependent in self.standings.dependents(key):
                self.queue.add(dependent, Priority.NORMAL)

    def _show(self, key: Key, product: DataProduct, step: Step, status: DataProductStatus) -> None:
        """Let the metrics know how the product does."""
        reason = step.evaluation.decision.reason if step.evaluation else None
        self.metrics.record(key, figures_of(product, status, reason))

    def _tell(self, record: ProductRecord, told: Iterable[Told]) -> None:
        emit(self.recorder, record, told)


def decision_of(step: Step) -> str:
    """The decision of a step in one word; empty when nothing was judged."""
    return "" if step.evaluation is None else type(step.evaluation.decision).__name__
