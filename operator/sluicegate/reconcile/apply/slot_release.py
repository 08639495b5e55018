"""Gives back what a reconcile leaves unused: a slot whose Job didn't come about."""

from collections.abc import Mapping
from dataclasses import dataclass

from sluicegate.kube.errors import Conflict
from sluicegate.kube.resources import Key
from sluicegate.reconcile.apply.training_jobs import Trainer
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.fleet.training_slots import Reserved, runs
from sluicegate.reconcile.live.product import Pass, ProductRecord
from sluicegate.reconcile.observe.observer import Observer
from sluicegate.reconcile.observe.write_obstacle import WriteObstacle
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.interfaces import QueuePriority, Result
from sluicegate.runtime.workqueue import WorkQueue


@dataclass(frozen=True, slots=True)
class SlotKeeper:
    """Lets no product keep a slot, or its place in the line, that it can't use.

    Attributes
    ----------
    obstacles : to the writes of children, by product.
    """

    fleet: FleetRegistry
    trainer: Trainer
    observer: Observer
    obstacles: Mapping[Key, WriteObstacle]
    queue: WorkQueue
    wall: Clock

    async def watch(self, record: ProductRecord, proceed: Pass) -> Result:
        """Settle after a pass, however it ends (an interceptor)."""
        failure: Exception | None = None
        try:
            return await proceed(record)
        except Exception as error:
            failure = error
            raise
        finally:
            reserved = self.fleet.reserved(record.key)
            if failure is not None or reserved is not None:
                obstacle = self.obstacles.get(record.key)
                why = str(failure or (obstacle.text if obstacle else "it wasn't tried"))
                self._settle(record, reserved, failure, why)

    def forget(self, key: Key) -> None:
        """Forget a product that is gone: others have its slot."""
        self.fleet.leave(key, int(self.wall()))
        self.trainer.refusals.pop(key, None)

    def _settle(
        self, record: ProductRecord, reserved: Reserved | None, failure: Exception | None, why: str
    ) -> None:
        """Keep a slot for a Job that is there, or may be; else let those have it who wait for it.

        Parameters
        ----------
        reserved : the slot that it had for a Job. failure : what ended the reconcile.
        why : the same, or what else kept the Job from being created.
        """
        now, jobs = int(self.wall()), self.observer.jobs(record)
        there = {one.key.name for one in jobs}
        absent = reserved if reserved and reserved.job not in there else None
        if failure is None and absent is None:
            return
        keeps = absent is not None and absent.is_kept(failure, now)
        known = self.trainer.refusals.get(record.key)
        refusal = known if known and absent and known.job == absent.job else None
        if absent is not None and not keeps and (failure is not None or refusal is None):
            self.trainer.refuse(record.key, absent.job, why)
        trains = any(runs(one, now, self.observer.most_training_seconds) for one in jobs)
        # A conflict comes after the product was judged, and is tried again within seconds.
        failed = failure is not None and not isinstance(failure, Conflict)
        if self.fleet.step_aside(record.key, trains=trains, keeps=keeps, failed=failed):
            self.fleet.wake_next(now)
        if refusal is not None and refusal.final:
            self.queue.add(record.key, QueuePriority.NORMAL)  # the attempt ends with that
