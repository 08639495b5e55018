"""Gives back what a reconcile leaves unused: a slot whose Job didn't come about."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sluicegate.kube.errors import Conflict
from sluicegate.kube.resources import Key
from sluicegate.reconcile.apply.child_writer import WriteObstacle
from sluicegate.reconcile.apply.training_jobs import Trainer
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.fleet.training_slots import Reserved, runs
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.observer import Observer
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.interfaces import QueuePriority
from sluicegate.runtime.workqueue import WorkQueue


@dataclass(frozen=True, slots=True)
class SlotKeeper:
    """Lets no product keep a slot, or its place in the line, that it can't use."""

    fleet: FleetRegistry
    trainer: Trainer
    observer: Observer
    queue: WorkQueue
    wall: Clock

    @contextlib.contextmanager
    def watch(
        self, record: ProductRecord, obstacles: Mapping[Key, WriteObstacle]
    ) -> Iterator[None]:
        """Settle after a reconcile, however it ends; `obstacles` are by product."""
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            failure = error
            raise
        finally:
            reserved = self.fleet.reserved(record.key)
            if failure is not None or reserved is not None:
                obstacle = obstacles.get(record.key)
                why = str(failure or (obstacle.text if obstacle else "it wasn't tried"))
                self._settle(record, reserved, failure, why)

    def call_next(self, now: int) -> None:
        """A slot is free: let those look who wait for it, as their next block may be long off."""
        for waiting in self.fleet.next_in_line(now):
            self.queue.add(waiting, QueuePriority.NORMAL)

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
            self.call_next(now)
        if refusal is not None and refusal.final:
            self.queue.add(record.key, QueuePriority.NORMAL)  # the attempt ends with that
