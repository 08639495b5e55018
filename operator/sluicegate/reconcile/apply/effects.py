"""Carries a plan out, once the status names it: builds the children, writes those that differ, and Jobs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sluicegate.kube.errors import KubeError
from sluicegate.kube.resources import Key
from sluicegate.reconcile.apply.applier import NameConflict
from sluicegate.reconcile.apply.child_keeper import ChildKeeper, with_failed_write
from sluicegate.reconcile.apply.in_sync import InSyncCache
from sluicegate.reconcile.apply.training_jobs import Trainer
from sluicegate.reconcile.build import Child, build_children
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.observe.observer import Observer
from sluicegate.runtime.interfaces import QueuePriority
from sluicegate.runtime.workqueue import WorkQueue
from sluicegate.settings import ServiceKind


@dataclass(frozen=True, slots=True)
class Desired:
    """The desired children of a product.

    Attributes
    ----------
    children : as manifests; None where all of them are known to be in sync.
    basis : a digest of what they are built from.
    """

    children: tuple[Child, ...] | None
    basis: bytes


@dataclass(frozen=True, slots=True)
class Effects:
    """Carries out the plans of products.

    Attributes
    ----------
    services : the kind of the Services of new versions.
    random_ids : whether the platform assigns the user and group of pods.
    report : writes the status again, with what keeps a child from being written.
    """

    observer: Observer
    keeper: ChildKeeper
    trainer: Trainer
    in_sync: InSyncCache
    services: ServiceKind
    random_ids: bool
    report: Callable[[ProductRecord, Observation, Plan], Awaitable[ProductRecord]]
    queue: WorkQueue

    def build(self, record: ProductRecord, observation: Observation, plan: Plan) -> Desired:
        """Build the manifests of the children, unless the digest shows that all are in sync."""
        inputs_digest = self.in_sync.inputs_digest(record, observation, plan)
        if not self.is_hindered(record.key) and self.in_sync.is_in_sync(record.key, inputs_digest):
            return Desired(None, inputs_digest)
        children = build_children(
            observation.product,
            plan.allocation,
            observation.live,
            service_kind=self.services,
            services=self.observer.services(record),
            previews=observation.previews,
            random_ids=self.random_ids,
        )
        return Desired(children, inputs_digest)

    async def with_expected_pods(
        self, record: ProductRecord, observation: Observation, plan: Plan, desired: Desired
    ) -> Observation:
        """Return the observation with the pods' rollout that this pass starts, before status is written."""
        if desired.children is None or observation.is_frozen(plan.status):
            return observation
        return await self.keeper.with_foreseen_pods(record, observation, desired.children)

    async def apply(
        self, record: ProductRecord, observation: Observation, plan: Plan, desired: Desired
    ) -> None:
        """Apply the children that differ, then start and end Jobs."""
        frozen = observation.is_frozen(plan.status)
        if desired.children is not None and not frozen:
            try:
                await self.keeper.keep(record, observation, desired.children)
            except (KubeError, NameConflict) as error:
                if (after := with_failed_write(observation, error)) is not None:
                    await self.report(record, after, plan)
                if isinstance(error, NameConflict):
                    return
                raise
            if self.keeper.obstacles.pop(record.key, None) is not None:
                self.queue.add(record.key, QueuePriority.NORMAL)
        if observation.may_train(plan.status) or (plan.status.shadow is not None and not frozen):
            await self.trainer.keep(record, observation, plan.status)
        # Only a pass that changed nothing has seen all children in sync.
        equal_basis = self.in_sync.inputs_digest(record, observation, plan) == desired.basis
        if equal_basis and not self.is_hindered(record.key):
            self.in_sync.record(record.key, desired.basis)

    def is_hindered(self, key: Key) -> bool:
        """Return whether an error prevents the write of a child of the product."""
        return key in self.keeper.obstacles
