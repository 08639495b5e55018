"""Reports on a product: its status where it differs, its metrics, and events of what is new."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from sluicegate.api.status import DataProductStatus
from sluicegate.errors import Problem
from sluicegate.kube.errors import Invalid
from sluicegate.reconcile.decide.events import EventNote
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.report.events import emit, emit_written
from sluicegate.reconcile.report.product_metrics import ProductMetrics
from sluicegate.reconcile.report.product_sample import INVALID_PRODUCT, observed_figures
from sluicegate.reconcile.report.status import report, report_invalid
from sluicegate.reconcile.report.status_due import status_due, verified_seconds
from sluicegate.reconcile.report.status_store import StatusStore
from sluicegate.runtime.event_recorder import EventRecorder
from sluicegate.runtime.interfaces import InvalidSpec, Result


@dataclass(frozen=True, slots=True)
class StatusWriter:
    """Writes the status, metrics and events of products.

    `refresh_seconds`: how old the numbers in a status may get; 0 for until the next decision.
    """

    store: StatusStore
    recorder: EventRecorder
    metrics: ProductMetrics
    refresh_seconds: float

    async def write(
        self,
        record: ProductRecord,
        observation: Observation,
        plan: Plan,
        *,
        events: tuple[EventNote, ...] = (),
    ) -> ProductRecord:
        """Write changed status and emit its events; return the new record."""
        previous_status = observation.product.status
        after = report(observation, plan)
        self.show(record, observation, plan, after)
        status_to_write = status_due(
            previous_status,
            after,
            now=observation.now,
            refresh_seconds=self.refresh_seconds,
            verified_seconds=verified_seconds(observation),
        )
        # What the pass began with may have been restored.
        written_record = (
            record
            if status_to_write == record.status
            else await self.store.write(record, status_to_write)
        )
        emit_written(self.recorder, record, status_to_write, events)
        return written_record

    async def refuse(
        self, record: ProductRecord, problems: Iterable[Problem], *, now: int
    ) -> Result:
        """Write only the problems of the spec into status."""
        previous_status, problem_texts = record.status, tuple(map(str, problems))
        after = report_invalid(
            previous_status,
            problem_texts,
            requests=record.requests,
            generation=record.generation,
            now=now,
        )
        self.metrics.record(record.key, INVALID_PRODUCT)
        if after != previous_status:
            with contextlib.suppress(Invalid):  # the stored spec breaks a rule; an event has to do
                await self.store.write(record, after)
            self.emit(
                record,
                (EventNote("InvalidSpec", "Validate", "; ".join(after.problems), warning=True),),
            )
        raise InvalidSpec("; ".join(after.problems))

    def show(
        self, record: ProductRecord, observation: Observation, plan: Plan, status: DataProductStatus
    ) -> None:
        """Pass the product's figures to the metrics."""
        reason = plan.evaluation.decision.reason if plan.evaluation else None
        self.metrics.record(record.key, observed_figures(observation, status, reason))

    def emit(self, record: ProductRecord, events: Iterable[EventNote]) -> None:
        """Log events, and emit all but the quiet ones."""
        emit(self.recorder, record, events)
