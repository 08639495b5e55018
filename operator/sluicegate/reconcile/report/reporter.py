"""What a pass reports, and to whom: the other products, the measurements, the status, events.

It also ends a pass that can't begin: of a product that another operator reconciles, or of a spec that
can't be carried out.
"""

from dataclasses import dataclass

from sluicegate.api.errors import InvalidProduct
from sluicegate.measurement.store import Measurements
from sluicegate.reconcile.decide.events import EventNote
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.decide.warm_up import only_warms_up
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.live.product import Pass, ProductRecord
from sluicegate.reconcile.observe.first_starts import FirstStarts
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.report.condition_events import reverted_scale
from sluicegate.reconcile.report.events import emit_refusal, is_new_refusal, unreadable
from sluicegate.reconcile.report.fleet_update import snapshot_of
from sluicegate.reconcile.report.status_writer import StatusWriter
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.interfaces import RequeueAfter, Result


@dataclass(frozen=True, slots=True)
class Reporter:
    """Publishes status, metrics, events and the snapshot of a product."""

    writer: StatusWriter
    fleet: FleetRegistry
    measurements: Measurements
    first_starts: FirstStarts
    wall: Clock

    def publish(self, record: ProductRecord, observation: Observation, plan: Plan) -> None:
        """Publish the snapshot of a product after a decision, for the passes of other products."""
        self.fleet.update(record.key, snapshot_of(observation, plan), observation.now)

    async def record(
        self, record: ProductRecord, observation: Observation, plan: Plan, *, deferred: bool
    ) -> ProductRecord:
        """Write the status and emit events; return the record as written.

        Parameters
        ----------
        deferred : the write can wait: a first version is starting well.
        """
        if text := self.measurements.unreported(record.key):
            self.writer.emit(record, (unreadable(text),))
        if deferred:
            self.writer.show(record, observation, plan, plan.status)
            return record
        self.writer.emit(record, reverted_scale(observation, plan))
        written_record = await self.writer.write(record, observation, plan, events=plan.events)
        if plan.status.stable is not None:
            self.first_starts.forget(record.key)
        refusal = observation.route_refusal
        if refusal is not None and is_new_refusal(record.status):
            other_record = self.writer.store.caches.products.get(refusal.other)
            emit_refusal(self.writer.recorder, record, other_record, refusal)
        return written_record

    def measure(self, observation: Observation, plan: Plan) -> None:
        """Update the product's needs of measurements after a plan is carried out."""
        after = observation.product.replace(status=plan.status)
        warms_up = only_warms_up(observation, plan)
        self.measurements.follow(after, observation.now, warms_up=warms_up)

    # ---- around a pass ----------------------------------------------------------------------
    async def skip_overlap(self, record: ProductRecord, next_step: Pass) -> Result:
        """Skip a product that another operator reconciles (an interceptor)."""
        overlap = self.writer.store.overlaps.check(
            record.key, record.written_by, record.has_readable_status, now=self.wall()
        )
        if overlap.message:
            event = EventNote(overlap.reason, "Reconcile", overlap.message, warning=True)
            self.writer.emit(record, (event,))
        if overlap.requeue_after:
            return RequeueAfter(overlap.requeue_after)
        return await next_step(record)

    async def refuse_invalid(self, record: ProductRecord, next_step: Pass) -> Result:
        """Report an invalid spec (an interceptor)."""
        try:
            return await next_step(record)
        except InvalidProduct as error:
            return await self.writer.refuse(record, error.problems, now=int(self.wall()))
