"""Releases a training slot that a reconcile leaves unused, as its Job wasn't created."""

from collections.abc import Mapping
from dataclasses import dataclass

from sluicegate.kube.errors import Conflict
from sluicegate.kube.resources import Key
from sluicegate.reconcile.apply.training_jobs import Trainer
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.fleet.slot_reservation import Reserved, takes_slot
from sluicegate.reconcile.live.product import Pass, ProductRecord
from sluicegate.reconcile.observe.observer import Observer
from sluicegate.reconcile.observe.write_obstacle import WriteObstacle
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.interfaces import QueuePriority, Result
from sluicegate.runtime.workqueue import WorkQueue


@dataclass(frozen=True, slots=True)
class SlotKeeper:
    """Releases training slots, and queue positions, that a product can't use.

    Attributes
    ----------
    obstacles : to the writes of children, by product.
    """

    fleet: FleetRegistry
    trainer: Trainer
    observer: Observer
    obstacles: Mapping[Key, WriteObstacle]
    queue: WorkQueue
    clock: Clock

    async def watch(self, record: ProductRecord, next_step: Pass) -> Result:
        """Release or keep the product's slot after a pass, also after a failed one (an interceptor)."""
        failure: Exception | None = None
        try:
            return await next_step(record)
        except Exception as error:
            failure = error
            raise
        finally:
            reserved = self.fleet.reserved(record.key)
            if failure is not None or reserved is not None:
                obstacle = self.obstacles.get(record.key)
                cause_text = str(failure or (obstacle.text if obstacle else "it wasn't tried"))
                self._release_unless_used(record, reserved, failure, cause_text)

    def forget(self, key: Key) -> None:
        """Release the slot of a deleted product."""
        self.fleet.leave(key, int(self.clock()))
        self.trainer.refusals.pop(key, None)

    def _release_unless_used(
        self,
        record: ProductRecord,
        reserved: Reserved | None,
        failure: Exception | None,
        reason_text: str,
    ) -> None:
        """Keep the slot for a Job that exists or may exist; else release it and requeue the waiting products.

        Parameters
        ----------
        reserved : the slot that it had for a Job. failure : what ended the reconcile.
        reason_text : the same, or what else kept the Job from being created.
        """
        now, jobs = int(self.clock()), self.observer.jobs(record)
        job_names = {job.key.name for job in jobs}
        absent_slot = reserved if reserved and reserved.job not in job_names else None
        if failure is None and absent_slot is None:
            return
        keeps_slot = absent_slot is not None and absent_slot.is_kept(failure, now)
        job_refusal = self.trainer.refusals.get(record.key)
        refusal = (
            job_refusal
            if job_refusal and absent_slot and job_refusal.job == absent_slot.job
            else None
        )
        if absent_slot is not None and not keeps_slot and (failure is not None or refusal is None):
            self.trainer.refuse(record.key, absent_slot.job, reason_text)
        max_seconds = self.observer.max_training_seconds
        job_runs = any(takes_slot(job, now, max_seconds) for job in jobs)
        # A conflict comes after the product was judged, and is tried again within seconds.
        failed = failure is not None and not isinstance(failure, Conflict)
        if self.fleet.step_aside(
            record.key, job_runs=job_runs, keeps_slot=keeps_slot, failed=failed
        ):
            self.fleet.wake_next(now)
        if refusal is not None and refusal.final:
            self.queue.add(record.key, QueuePriority.NORMAL)  # the attempt ends with that
